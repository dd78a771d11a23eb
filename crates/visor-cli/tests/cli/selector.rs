//! Training a selector, and asking with the patches that it chooses.

use crate::common::{Ended, QUESTION, Tiny, command, contents, ended, visor};
use ::visor::fixture;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;
use tempfile::TempDir;

fn train(model: &Path, out: &Path, more: &[&str]) -> Ended {
    let mut args = vec!["train", "selector", "--steps", "2", "--batch", "2"];
    args.extend(["--test-pictures", "8", "--threads", "1"]);
    let (model, out) = (model.to_str().unwrap(), out.to_str().unwrap());
    args.extend(["--model", model, "--out", out]);
    args.extend(more);
    visor(args)
}

#[test]
fn a_checkpoint_of_clip_teaches_where_one_is_given() {
    let tiny = Tiny::new();
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/../visor-model/tests/goldens/clip");
    let run = tiny.root.path().join("taught");
    train(&tiny.checkpoint(), &run, &["--teacher", clip]).answer();
    let record = fs::read_to_string(run.join("record.json")).unwrap();
    assert!(record.contains("\"teacher\": \"clip\""), "{record}");

    let other = tiny.root.path().join("other");
    let model = tiny.checkpoint();
    let error = train(&model, &other, &["--teacher", model.to_str().unwrap()]).error(1);
    assert!(error.contains("as a teacher") && error.contains("supported: clip"), "{error}");
    assert!(!other.exists());
}

/// A copy of the small checkpoint of CLIP with one tensor of whole numbers more, `[1, 16]`.
fn clip_with_numbers(folder: &Path, name: &str) {
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/../visor-model/tests/goldens/clip");
    fs::create_dir(folder).unwrap();
    for file in ["config.json", "tokenizer.json"] {
        fs::copy(Path::new(clip).join(file), folder.join(file)).unwrap();
    }
    let file = fs::read(Path::new(clip).join("model.safetensors")).unwrap();
    let (length, rest) = file.split_first_chunk::<8>().unwrap();
    let (json, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: serde_json::Value = serde_json::from_slice(json).unwrap();
    let numbers: Vec<u8> = (0..16_u64).flat_map(u64::to_le_bytes).collect();
    let place = [data.len(), data.len() + numbers.len()];
    header[name] = serde_json::json!({"dtype": "I64", "shape": [1, 16], "data_offsets": place});
    let json = header.to_string();
    let length = (json.len() as u64).to_le_bytes();
    let file = [&length, json.as_bytes(), data, &numbers].concat();
    fs::write(folder.join("model.safetensors"), file).unwrap();
}

#[test]
fn positions_in_a_published_checkpoint_of_clip_are_left_and_other_whole_numbers_are_not() {
    let tiny = Tiny::new();
    let teach = |name: &str| {
        let (clip, run) =
            (tiny.root.path().join(name), tiny.root.path().join(format!("{name}-run")));
        clip_with_numbers(&clip, &format!("text_model.embeddings.{name}"));
        train(&tiny.checkpoint(), &run, &["--teacher", clip.to_str().unwrap()])
    };
    teach("position_ids").answer();
    let error = teach("other_ids").error(1);
    assert!(error.contains("no use for: `text_model.embeddings.other_ids`"), "{error}");
}

#[test]
fn a_trained_selector_chooses_draws_and_says_what_it_chose() {
    let tiny = Tiny::new();
    let run = tiny.root.path().join("selector");
    let table = train(&tiny.checkpoint(), &run, &["--supervision", "grounded"]).answer();
    for word in ["selected", "random", "complement", "question-free", "swapped picture"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    let record = fs::read_to_string(run.join("record.json")).unwrap();
    assert!(record.contains("\"supervision\": \"grounded\""));

    let model = run.join("checkpoint");
    let model = model.to_str().unwrap();
    let (picture, overlay) = (tiny.picture(), run.join("overlay.png"));
    let (picture, overlay) = (picture.to_str().unwrap(), overlay.to_str().unwrap());
    let asked = ["ask", "--model", model, "--budget", "sa0", "--image", picture, "--json"];
    let ask = |more: &[&str]| visor(asked.iter().chain(more).chain([&QUESTION]));

    let all = ask(&[]).json();
    assert!(all["budget"]["patches"].is_null());
    let four = ask(&["--patches", "4", "--overlay", overlay]).json();
    assert_eq!(four["budget"]["patches"], 4);
    let gflops = |answer: &serde_json::Value| answer["cost"]["gflops_prefill"].as_f64().unwrap();
    assert!(gflops(&four) < gflops(&all));
    let drawn = image::open(overlay).unwrap().to_rgb8();
    assert!(drawn.pixels().any(|pixel| pixel.0 == [255, 196, 0]), "no frame is drawn");
    ask(&["--image", picture, "--patches", "4", "--overlay", overlay]).json();
    let both = image::open(overlay).unwrap().to_rgb8();
    assert_eq!(both.width(), drawn.width());
    assert!(both.height() > 2 * drawn.height(), "two pictures, one below the other");

    let auto = ask(&["--patches", "auto"]).json();
    let chosen = auto["budget"]["patches"].as_u64().unwrap();
    assert!((2..=16).contains(&chosen), "{chosen}");

    let error = ask(&["--patches", "37"]).error(2);
    assert!(error.contains("37 patches were asked for") && error.contains("at most 36"), "{error}");
    let card = visor(["inspect", "--model", model]).answer();
    assert!(card.contains("2 to 16 of 36 patches"), "{card}");
    let to = run.join("compared");
    let compared = |format: &str| {
        let args = ["bench", "compare", "--model", model, "--questions", "14", "--timed", "0"];
        let out = ["--fit-questions", "14", "--out", to.to_str().unwrap(), "--format", format];
        visor(args.into_iter().chain(out)).answer()
    };
    let tables = compared("md");
    for arm in ["selected", "random", "complement", "question-free", "blank picture", "swapped"] {
        for rung in ["sa0", "sa3"] {
            let there = |row: &str| row.starts_with(&format!("| {rung} ")) && row.contains(arm);
            assert!(tables.lines().any(there), "{rung}, {arm}: {tables}");
        }
    }
    assert!(tables.contains("How many patches questions choose"), "{tables}");
    let report = fs::read_to_string(to.join("report.html")).unwrap();
    assert!(report.contains("question-free") && report.contains("mean k"));
    let record = fs::read(to.join("record.json")).unwrap();
    let rows = compared("csv");
    assert!(fs::read(to.join("record.json")).unwrap() == record, "asked before, told again");
    assert!(rows.lines().any(|row| row.starts_with("sa0+auto,")), "{rows}");
}

#[test]
fn a_backbone_that_learned_along_names_no_policy_and_a_frozen_one_keeps_its_bits() {
    let tiny = Tiny::new();
    let (frozen, joint) = (tiny.root.path().join("frozen"), tiny.root.path().join("joint"));
    train(&tiny.checkpoint(), &frozen, &[]).answer();
    train(&tiny.checkpoint(), &joint, &["--joint", "1e-3"]).answer();
    let digest = |folder: &Path| {
        let (model, picture) = (folder.to_str().unwrap(), tiny.picture());
        let picture = picture.to_str().unwrap();
        let asked = visor(["ask", "--model", model, "--image", picture, "--json", QUESTION]);
        asked.json()["model_sha256"].as_str().unwrap().to_owned()
    };
    let before = digest(&tiny.checkpoint());
    assert_eq!(digest(&frozen.join("checkpoint")), before);
    assert_ne!(digest(&joint.join("checkpoint")), before);
    let joint = joint.join("checkpoint");
    let again = train(&joint, &tiny.root.path().join("again"), &["--supervision", "grounded"]);
    assert_eq!(again.code, Some(0), "a selector is trained anew: {}", again.stderr);
    let both = train(&joint, &tiny.root.path().join("both"), &["--joint", "1e-3"]);
    assert_eq!(both.code, Some(0), "and with the backbone: {}", both.stderr);
}

#[test]
fn a_policy_that_chooses_patches_is_not_named_beside_another_selector() {
    let root = TempDir::new().unwrap();
    for folder in ["models/nano", "policies/nano-pairs", "policies/nano-router"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
        let copy = root.path().join(folder);
        fs::create_dir_all(&copy).unwrap();
        for (name, content) in contents(&shipped) {
            fs::write(copy.join(name), content).unwrap();
        }
    }
    let model = root.path().join("models/nano");
    for (policy, kept) in [("nano-pairs", None), ("nano-router", Some("nano-router"))] {
        fixture::name_policy(&model, Some(policy)).unwrap();
        let run = root.path().join(policy);
        let ended = train(&model, &run, &[]);
        let says = ended.stderr.contains("names no policy: `nano-pairs` was trained");
        assert_eq!(says, kept.is_none(), "{}", ended.stderr);
        ended.answer();
        let saved = run.join("checkpoint");
        let manifest = fs::read(saved.join("visor.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest["default_policy"].as_str(), kept);
        // With or without one, whoever leaves the budget open gets an answer.
        let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/nano/samples/00000.png");
        let asked = ["ask", "--model", saved.to_str().unwrap(), "--image", picture, "--json"];
        let answer = visor(asked.into_iter().chain([QUESTION])).json();
        assert_eq!(answer["policy"]["name"].as_str(), kept);
    }
}

#[test]
fn a_training_that_was_killed_goes_on_to_the_same_bits_and_one_that_ended_is_looked_at_again() {
    let tiny = Tiny::new();
    let (whole, killed) = (tiny.root.path().join("whole"), tiny.root.path().join("killed"));
    let joint = ["--joint", "1e-3", "--steps", "6", "--save-every", "2"];
    let run = |out: &Path, more: &[&str]| {
        let (model, out) = (tiny.checkpoint(), out.to_str().unwrap());
        let args = ["train", "selector", "--batch", "2", "--test-pictures", "8", "--threads", "1"];
        command()
            .args(args)
            .args(joint)
            .arg("--model")
            .arg(model)
            .args(["--out", out])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let end = |child: Child| ended(&child.wait_with_output().unwrap());
    let table = end(run(&whole, &[])).answer();
    let weights = |run: &Path| fs::read(run.join("checkpoint/model.safetensors")).unwrap();

    let mut child = run(&killed, &[]);
    while child.try_wait().unwrap().is_none() && !killed.join("state.safetensors").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    child.wait().unwrap();
    let resumed = end(run(&killed, &[]));
    assert!(resumed.stderr.contains("going on from step"), "{}", resumed.stderr);
    assert_eq!(resumed.answer(), table);
    assert!(weights(&killed) == weights(&whole), "other weights");

    // Whoever was cut off while the questions were asked need not learn again.
    fs::remove_file(killed.join("record.json")).unwrap();
    let again = end(run(&killed, &[]));
    assert!(again.stderr.contains("all 6 steps are done"), "{}", again.stderr);
    assert_eq!(again.answer(), table);
    let log = fs::read_to_string(killed.join("log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 1, "the last step: {log}");

    let error = end(run(&killed, &["--seed", "2"])).error(1);
    assert!(error.contains("seed differs"), "{error}");
    assert!(weights(&killed) == weights(&whole) && killed.join("record.json").exists());
}

#[test]
fn what_cannot_be_trained_is_refused_and_nothing_is_overwritten() {
    let tiny = Tiny::new();
    let run = tiny.root.path().join("mine");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("thesis.tex"), "years of work").unwrap();
    let error = train(&tiny.checkpoint(), &run, &[]).error(1);
    assert!(error.contains("`thesis.tex`") && error.contains("choose a new folder"), "{error}");
    assert_eq!(fs::read_to_string(run.join("thesis.tex")).unwrap(), "years of work");

    let new = tiny.root.path().join("new");
    for (args, says) in [
        (["--k-min", "9", "--k-max", "4"], "9 to 4 of 36 patches"),
        (["--k-min", "2", "--k-max", "40"], "2 to 40 of 36 patches"),
        (["--target", "0", "--lr", "1e-3"], "above 0, at most 1"),
        (["--joint", "nan", "--lr", "1e-3"], "positive number"),
    ] {
        let error = train(&tiny.checkpoint(), &new, &args).error(2);
        assert!(error.contains(says), "{args:?}: {error}");
    }
    let error = train(&tiny.checkpoint(), &new, &["--suite", "small"]).error(1);
    assert!(error.contains("--suite"), "{error}");
    assert!(!new.exists());
}
