//! `visor analyze` on the shipped model, from end to end.

use crate::common::{Tiny, contents, gradient, png, visor};
use image::DynamicImage;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn analyze(more: &[&str]) -> crate::common::Ended {
    let mut args = vec!["analyze", "--threads", "1"];
    if !more.contains(&"--data") {
        args.extend(["--questions", "24"]);
    }
    args.extend(more);
    visor(args)
}

fn record(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("record.json")).unwrap()).unwrap()
}

#[test]
fn an_analysis_leaves_a_record_and_its_figures_and_replaces_itself_alone() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("analysis");
    let path = out.to_str().unwrap();
    let table = analyze(&["--out", path]).answer();
    for word in ["Attention of the answer", "CKA", "first half", "loses more", "sa3", "picks"] {
        assert!(table.contains(word), "{word} is missing:\n{table}");
    }
    let names: Vec<String> = contents(&out).into_iter().map(|(name, _)| name).collect();
    let expected = [
        "attention.svg",
        "choices.svg",
        "dropping.svg",
        "record.json",
        "rungs.svg",
        "similarity.svg",
    ];
    assert_eq!(names, expected);
    let first = record(&out);
    assert_eq!((&first["kind"], &first["items"]), (&"analysis".into(), &24.into()));
    for (family, layers) in first["attention"].as_object().unwrap() {
        for layer in layers.as_array().unwrap() {
            for rows in ["question", "answer"] {
                let share = |to: &str| layer[rows][to].as_f64().unwrap();
                let sum = share("to_image") + share("to_question") + share("to_answer");
                assert!((sum - 1.0).abs() < 1e-4, "{family}: {sum}");
            }
        }
    }
    // With nothing dropped the answers are those of the rung itself.
    let (whole, top) = (&first["dropping"]["subsets"][0], &first["rungs"][3]);
    assert_eq!((&whole["name"], &top["name"]), (&"none".into(), &"sa3".into()));
    assert_eq!(whole["families"], top["families"]);

    analyze(&["--out", path, "--figures", "rungs"]).answer();
    assert_eq!(contents(&out).len(), 2, "the older figures are gone");
    assert_eq!(record(&out)["rungs"], first["rungs"]);
    let json = analyze(&["--figures", "rungs", "--format", "json"]).answer();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), record(&out));
}

#[test]
fn what_cannot_be_made_is_named_and_nothing_is_overwritten() {
    let root = TempDir::new().unwrap();
    let error = analyze(&["--figures", "rungs,heatmap"]).error(2);
    assert!(error.contains("`heatmap`") && error.contains("`similarity`"), "{error}");
    let tiny = Tiny::new();
    let model = tiny.checkpoint();
    let error = analyze(&["--model", model.to_str().unwrap(), "--figures", "choices"]).error(2);
    assert!(error.contains("`choices` needs a policy"), "{error}");
    let error = analyze(&["--budget", "sa9"]).error(2);
    assert!(error.contains("`sa9`") && error.contains("sa3"), "{error}");
    let error = analyze(&["--figures", "rungs", "--thrift", "0.1"]).error(2);
    assert!(error.contains("--thrift"), "{error}");

    let kept = root.path().join("kept");
    fs::create_dir(&kept).unwrap();
    for (name, content) in [("notes.txt", "mine"), ("record.json", "{\"schema_version\": 1}")] {
        fs::write(kept.join(name), content).unwrap();
        let before = contents(&kept);
        let error = analyze(&["--out", kept.to_str().unwrap()]).error(1);
        assert!(error.contains(name) && error.contains("choose a new folder"), "{error}");
        assert_eq!(contents(&kept), before);
        fs::remove_file(kept.join(name)).unwrap();
    }
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for out in [file.clone(), file.join("below")] {
        let error = analyze(&["--out", out.to_str().unwrap()]).error(1);
        assert!(error.contains("cannot write"), "{error}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"");
}

#[test]
fn another_model_is_analysed_on_questions_of_ones_own_without_a_policy() {
    let tiny = Tiny::new();
    tiny.picture();
    let line = |family: &str, question: &str| {
        format!(
            "{{\"image\": \"picture.png\", \"question\": \"{question}\", \"answer\": \"red\", \
             \"family\": \"{family}\"}}\n"
        )
    };
    let list = line("one", "colour at r1 c1 ?") + &line("two", "count blue ?");
    let list = tiny.file("list.jsonl", list.as_bytes());
    let model = tiny.checkpoint();
    let out = tiny.root.path().join("analysis");
    let args = ["--model", model.to_str().unwrap(), "--data", list.to_str().unwrap()];
    let level = ["--budget", "sa0", "--out", out.to_str().unwrap()];
    let table = analyze(&[args, level].concat()).answer();
    assert!(table.contains("| one") && table.contains("| two"), "{table}");
    let record = record(&out);
    assert_eq!((&record["level"], &record["choices"]), (&"sa0".into(), &Value::Null));
    assert_eq!(record["similarity"]["stages"], serde_json::json!(["in"]));
}

#[test]
fn a_stock_model_is_analysed_dense_and_has_neither_rungs_nor_choices() {
    let root = TempDir::new().unwrap();
    let (model, out) = (root.path().join("stock"), root.path().join("analysis"));
    visor::fixture::stock(&model, 1).unwrap();
    fs::write(root.path().join("picture.png"), png(&DynamicImage::ImageRgb8(gradient(32, 32))))
        .unwrap();
    let list = root.path().join("list.jsonl");
    let line =
        "{\"image\": \"picture.png\", \"question\": \"colour at r2 c3 ?\", \"answer\": \"red\"}\n";
    fs::write(&list, line.repeat(3)).unwrap();
    let model = model.to_str().unwrap();
    let args = ["--model", model, "--data", list.to_str().unwrap()];
    analyze(&[&args[..], &["--out", out.to_str().unwrap()]].concat()).answer();
    let record = record(&out);
    assert_eq!((&record["level"], &record["rungs"]), (&"dense".into(), &Value::Null));
    assert_eq!(record["similarity"]["stages"].as_array().unwrap().len(), 8);
    assert_eq!(record["dropping"]["subsets"].as_array().unwrap().len(), 11);
    for figure in ["rungs", "choices"] {
        let error = analyze(&[&args[..], &["--figures", figure]].concat()).error(2);
        assert!(error.contains("this is a stock model"), "{error}");
    }
}
