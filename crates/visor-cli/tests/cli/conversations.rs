//! A converted model trained on a user's conversations, end to end.

use crate::common::{Ended, command, finish, gradient, names, png, train, visor};
use image::DynamicImage;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../visor/tests/goldens").join(name)
}

/// A folder with a converted model, pictures and conversations about them.
struct World {
    root: TempDir,
}

const ANSWERS: [&str; 6] = ["A red dot.", "Two.", "Nothing at all.", "Row 3.", "A bird", "Yes!"];

impl World {
    fn new(family: &str) -> Self {
        let root = TempDir::new().unwrap();
        let (stock, out) = (golden(family), root.path().join("model"));
        let (stock, out) = (stock.to_string_lossy(), out.to_string_lossy());
        let layers = ["--cross-attention", "0,2", "--self-attention", "1"];
        let fixed = ["convert", "--model", stock.as_ref(), "--out", out.as_ref()];
        visor([&fixed[..], &layers].concat()).answer();
        let mut lines = String::new();
        for (index, answer) in ANSWERS.into_iter().enumerate() {
            let mut picture = gradient(30, 20);
            for (x, y, pixel) in picture.enumerate_pixels_mut() {
                let bright = (x as usize + 2 * y as usize).is_multiple_of(index + 2);
                pixel.0[index % 3] = if bright { 250 } else { 40 * index as u8 };
            }
            let name = format!("{index}.png");
            fs::write(root.path().join(&name), png(&DynamicImage::ImageRgb8(picture))).unwrap();
            let mut turns = vec![
                json!({"from": "human", "value": "<image>\nWhat is this?"}),
                json!({"from": "gpt", "value": answer}),
            ];
            if index == 0 {
                turns.push(json!({"from": "human", "value": "Sure?"}));
                turns.push(json!({"from": "gpt", "value": "Quite sure."}));
            }
            lines += &format!("{}\n", json!({"image": name, "conversations": turns}));
        }
        fs::write(root.path().join("data.jsonl"), lines).unwrap();
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// `train universal` on the data of this folder.
    fn train(&self, run: &str, args: &[&str]) -> Ended {
        self.train_on("data.jsonl", run, args)
    }

    fn train_on(&self, data: &str, run: &str, args: &[&str]) -> Ended {
        let mut command = command();
        command.args(["train", "universal", "--model"]).arg(self.path("model"));
        command.arg("--data").arg(self.path(data)).arg("--out").arg(self.path(run));
        finish(command.args(["--batch", "6"]).args(args))
    }

    /// The tensors of a checkpoint, by name.
    fn values(&self, folder: &str) -> Vec<(String, Vec<f32>)> {
        let source = visor_checkpoint::Source::Folder(self.path(folder));
        let checkpoint = visor_checkpoint::Checkpoint::open(source).unwrap();
        let mut weights = checkpoint.weights().unwrap();
        let names: Vec<String> = weights.names().map(str::to_owned).collect();
        let take = |name: String| {
            let shape = weights.shape(&name).unwrap().to_vec();
            let values = weights.take(&name, &shape).unwrap();
            (name, values)
        };
        names.into_iter().map(take).collect()
    }

    fn weights(&self, run: &str) -> Vec<u8> {
        fs::read(self.path(run).join("checkpoint/model.safetensors")).unwrap()
    }
}

/// The rows of the table at the end: rung, right, of.
fn table(answer: &str) -> Vec<(String, usize, usize)> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        (cells[0].to_owned(), cells[2].parse().unwrap(), cells[3].parse().unwrap())
    };
    answer.lines().skip(1).map(row).collect()
}

#[test]
fn a_converted_model_memorises_a_handful_of_pictures_at_every_rung() {
    let world = World::new("llava-onevision");
    let steps = ["--steps", "60,240", "--lr", "1e-2,4e-3", "--log-every", "20"];
    let ended = world.train("run", &[&steps[..], &["--validate-every", "100"]].concat());
    assert!(ended.stderr.contains("6 sequences with"), "{}", ended.stderr);
    let answer = ended.answer();
    let all = |name: &str| (name.to_owned(), 6, 6);
    assert_eq!(table(&answer), [all("sa0"), all("sa1")], "{answer}");

    // What it says when it is asked as a user asks, at each rung.
    let model = world.path("run/checkpoint").to_string_lossy().into_owned();
    for (index, expected) in ANSWERS.into_iter().enumerate() {
        let picture = world.path(&format!("{index}.png")).to_string_lossy().into_owned();
        for rung in ["sa0", "sa1"] {
            let args = ["ask", "--model", &model, "--image", &picture, "--budget", rung];
            let got = visor([&args[..], &["--json", "What is this?"]].concat()).json();
            assert_eq!(got["text"].as_str().unwrap().trim(), expected, "{rung}");
            assert_eq!(got["finish_reason"], "eos", "{got}");
        }
    }
    // Features of the frozen encoder are kept, one a picture; the log has both stages.
    assert_eq!(names(&world.path("run/features")).len(), 6);
    let log = fs::read_to_string(world.path("run/log.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stages: Vec<&str> = lines.iter().filter_map(|line| line["stage"].as_str()).collect();
    assert_eq!((stages.len(), stages[2], stages[3]), (15, "added", "all"));
    // Stage 2 has changed what dense ran on: it is not offered any more.
    let args = ["ask", "--model", &model, "--budget", "dense", "x"];
    assert!(visor(args).error(2).contains("dense"));
    let inspected = visor(["inspect", "--model", &model, "--json"]).json();
    assert_eq!(inspected["rungs"].as_array().unwrap().len(), 2);
}

#[test]
fn a_run_goes_on_to_the_same_bits_from_either_stage() {
    let world = World::new("idefics3");
    let args = |steps: &'static str| {
        ["--steps", steps, "--save-every", "1", "--sampling", "sandwich", "--lr", "1e-2,1e-3"]
    };
    world.train("whole", &args("3,4")).answer();
    // Interrupted by force in the middle of each stage: a copy of the state as it was then.
    for stop in [2, 3, 5] {
        let run = format!("stopped-{stop}");
        let mut child = command()
            .args(["train", "universal", "--model"])
            .arg(world.path("model"))
            .arg("--data")
            .arg(world.path("data.jsonl"))
            .arg("--out")
            .arg(world.path(&run))
            .args(["--batch", "6"])
            .args(args("3,4"))
            .spawn()
            .unwrap();
        let state = world.path(&run).join("state.safetensors");
        while child.try_wait().unwrap().is_none() && step_of(&state) < stop {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let _ = child.kill();
        child.wait().unwrap();
        let ended = world.train(&run, &args("3,4"));
        ended.answer();
        assert_eq!(world.weights(&run), world.weights("whole"), "stopped at {stop}");
    }
    let error = world.train("whole", &args("3,5")).error(1);
    assert!(error.contains("steps or learning rate differs"), "{error}");
    let data = fs::read_to_string(world.path("data.jsonl")).unwrap();
    fs::write(world.path("data.jsonl"), data.replace("Two.", "Three.")).unwrap();
    let error = world.train("whole", &args("3,4")).error(1);
    assert!(error.contains("data differs"), "{error}");
}

/// The step that a state was saved at; 0 before there is one.
fn step_of(state: &Path) -> usize {
    let Ok(bytes) = fs::read(state) else { return 0 };
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).into_owned();
    let at = text.find(r#""step":""#).map(|at| at + 8);
    let digits =
        at.map(|at| text[at..].chars().take_while(char::is_ascii_digit).collect::<String>());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[test]
fn stage_one_changes_nothing_but_what_was_added_and_keeps_dense() {
    let world = World::new("smolvlm");
    world.train("run", &["--steps", "4,0", "--lr", "1e-2,1e-3"]).answer();
    let ask = |model: &str, budget: &str| {
        let model = world.path(model).to_string_lossy().into_owned();
        let picture = world.path("0.png").to_string_lossy().into_owned();
        let args = ["ask", "--model", &model, "--image", &picture, "--budget", budget, "--json"];
        visor([&args[..], &["--max-new-tokens", "5", "What?"]].concat()).json()["token_ids"].clone()
    };
    assert_eq!(ask("run/checkpoint", "dense"), ask("model", "dense"));
    let (before, after) = (world.values("model"), world.values("run/checkpoint"));
    for ((name, before), (_, after)) in before.into_iter().zip(after) {
        let is_added = name.starts_with("visor.");
        assert!(is_added || before == after, "{name} has changed");
        assert!(!name.ends_with("cross.gate") || before != after, "{name} has not learned");
    }
}

#[test]
fn every_way_to_train_takes_a_step() {
    let world = World::new("llava-onevision");
    for (run, args) in [
        ("one", vec!["--sampling", "one", "--freeze", "nothing"]),
        ("taught", vec!["--distillation", "0.5", "--freeze", "vision", "--features-gib", "0"]),
        ("sparing", vec!["--gradient-checkpointing", "--micro-batch", "2"]),
    ] {
        let args = [&["--steps", "1,2", "--seed", "3"][..], &args].concat();
        world.train(run, &args).answer();
    }
    // Nothing but rounding depends on how activations come back.
    let plain = [&["--steps", "1,2", "--seed", "3"][..], &["--micro-batch", "2"]].concat();
    world.train("plain", &plain).answer();
    let (sparing, plain) = (world.values("sparing/checkpoint"), world.values("plain/checkpoint"));
    assert_eq!(sparing.len(), plain.len());
    for ((name, left), (_, right)) in sparing.into_iter().zip(plain) {
        let apart = left.iter().zip(&right).map(|(l, r)| (l - r).abs()).fold(0.0, f32::max);
        assert!(left.len() == right.len() && apart < 1e-4, "{name}: {apart}");
    }
}

#[test]
fn data_that_cannot_be_learned_from_are_named_by_line() {
    let world = World::new("llava-onevision");
    let good = fs::read_to_string(world.path("data.jsonl")).unwrap();
    let line = |image: &str, human: &str, gpt: &str| {
        let turns = json!([{"from": "human", "value": human}, {"from": "gpt", "value": gpt}]);
        json!({"image": image, "conversations": turns}).to_string()
    };
    fs::write(world.path("broken.png"), b"no picture").unwrap();
    let long = "why ".repeat(3000);
    for (bad, says) in [
        ("{".to_owned(), "EOF"),
        (line("0.png", "What?", "A."), "0 `<image>` markers for 1 pictures"),
        (line("0.png", "<image><image> What?", "A."), "2 `<image>` markers for 1 pictures"),
        (line("nowhere.png", "<image> What?", "A."), "nowhere.png"),
        (line("broken.png", "<image> What?", "A."), "broken.png"),
        (line("0.png", "<image> What?", " "), "has no words"),
        (line("0.png", "<image> What<|im_end|>?", "A."), "`<|im_end|>`"),
        (line("0.png", "<image> What?", "A<|im_end|>b"), "`<|im_end|>`"),
        (line("0.png", &format!("<image> {long}"), "A."), "expected at most"),
    ] {
        fs::write(world.path("bad.jsonl"), format!("{good}{bad}\n")).unwrap();
        let error = world.train_on("bad.jsonl", "run", &["--steps", "1,0"]).error(1);
        assert!(error.contains("line 7") && error.contains(says), "{error}");
        assert!(!world.path("run").exists(), "{says}");
    }
    let ended = world.train_on("bad.jsonl", "run", &["--steps", "1,0", "--skip-bad"]);
    assert!(ended.stderr.contains("1 conversations were left out"), "{}", ended.stderr);
    ended.answer();

    // Pictures from elsewhere, all in one list.
    let elsewhere = world.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let list = good.lines().collect::<Vec<_>>().join(",");
    fs::write(elsewhere.join("data.json"), format!("[{list}]")).unwrap();
    let images = world.root.path().to_string_lossy().into_owned();
    let args = ["--steps", "1,0", "--images", &images];
    world.train_on("elsewhere/data.json", "list", &args).answer();
}

#[test]
fn options_of_the_other_way_to_train_are_wrong_usage() {
    let world = World::new("llava-onevision");
    for (args, says) in [
        (vec!["--steps", "1,2,3"], "expected two numbers of steps"),
        (vec!["--lr", "1e-3"], "learning rate of each stage"),
        (
            vec!["--recipe", "nano"],
            "the recipes `nano`, `mini` and `small` are for the generated suite",
        ),
        (vec!["--arm", "dense"], "cannot be used with"),
        (vec!["--distillation", "2"], "a share from 0 to 1"),
    ] {
        let error = world.train("run", &args).error(2);
        assert!(error.contains(says), "{error}");
    }
    let out = world.path("other").to_string_lossy().into_owned();
    let error = visor(["train", "universal", "--out", &out, "--steps", "1,2"]).error(2);
    assert!(error.contains("three numbers of steps"), "{error}");
    // A stock model has nothing to train yet.
    let (stock, data) = (golden("llava-onevision"), world.path("data.jsonl"));
    let (stock, data) = (stock.to_string_lossy(), data.to_string_lossy());
    let args = ["train", "universal", "--model", stock.as_ref(), "--data", data.as_ref()];
    let error = visor([&args[..], &["--out", &out]].concat()).error(1);
    assert!(error.contains("`visor convert`"), "{error}");
}

#[test]
fn a_dense_network_of_ones_own_is_converted_trained_and_given_a_policy() {
    let root = TempDir::new().unwrap();
    let path = |name: &str| root.path().join(name).to_string_lossy().into_owned();
    let steps = ["--arm", "stock", "--steps", "1,0,2", "--batch", "2"];
    train(&root.path().join("dense"), &steps).answer();
    let dense = path("dense/checkpoint");
    assert!(!names(Path::new(&dense)).contains(&"visor.json".to_owned()));

    let (converted, data) = (path("converted"), path("data"));
    let layers = ["--cross-attention", "1,4,6", "--self-attention", "2,3,5"];
    let rungs = ["--rungs", "2;2,3;2,3,5"];
    let convert = ["convert", "--model", &dense, "--out", &converted];
    visor([&convert[..], &layers, &rungs].concat()).answer();
    let generate = ["tasks", "generate", "--suite", "nano", "--count", "8", "--conversations"];
    visor([&generate[..], &["--out", &data]].concat()).answer();
    let conversations = path("data/conversations.jsonl");
    let run = path("run");
    let tune = ["train", "universal", "--model", &converted, "--data", &conversations];
    let settings = ["--steps", "2,2", "--batch", "8", "--out", &run];
    let answer = visor([&tune[..], &settings].concat()).answer();
    let names: Vec<String> = table(&answer).into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(names, ["sa0", "sa1", "sa2", "sa3"]);

    // Labels come from the same conversations.
    let (model, policy) = (path("run/checkpoint"), path("policy"));
    let labels = ["train", "policy", "--model", &model, "--data", &conversations];
    let objective = ["--objective", "utility", "--epochs", "1", "--out", &policy];
    visor([&labels[..], &objective].concat()).answer();
    let picture = path("data/00000.png");
    let ask = ["ask", "--model", &model, "--policy", &path("policy/policy"), "--json"];
    let ask = [&ask[..], &["--image", &picture, "--max-new-tokens", "2", "colour at r1 c1 ?"]];
    let report = visor(ask.concat()).json();
    assert_eq!(report["budget"]["basis"], "predicted");
}

#[test]
fn a_converted_family_is_given_a_policy_and_a_selector_by_the_same_conversations() {
    let world = World::new("idefics3");
    let model = world.path("model").to_string_lossy().into_owned();
    let data = world.path("data.jsonl").to_string_lossy().into_owned();
    let picture = world.path("1.png").to_string_lossy().into_owned();

    // Seven answers of six conversations, the second of one behind its first.
    let policy = world.path("policy").to_string_lossy().into_owned();
    let args = ["train", "policy", "--model", &model, "--data", &data, "--out", &policy];
    let args = [&args[..], &["--epochs", "1", "--max-new-tokens", "2"]].concat();
    visor(&args).answer();
    let labels = world.path("policy/labels.jsonl");
    let whole = fs::read_to_string(&labels).unwrap();
    assert_eq!(whole.lines().count(), 1 + 7, "{whole}");
    assert!(whole.contains("line 1, answer 2"), "{whole}");
    // Killed while it made labels: it makes the others and comes to the same.
    let torn: String = whole.lines().take(4).map(|line| format!("{line}\n")).collect();
    fs::write(&labels, format!("{torn}{{\"id\": \"li")).unwrap();
    visor(&args).answer();
    assert_eq!(fs::read_to_string(&labels).unwrap(), whole);
    let folder = world.path("policy/policy").to_string_lossy().into_owned();
    let ask = ["ask", "--model", &model, "--policy", &folder, "--image", &picture, "--json"];
    let ask = [&ask[..], &["--max-new-tokens", "2", "What is this?"]].concat();
    assert_eq!(visor(ask).json()["budget"]["basis"], "predicted");

    let selector = |out: &str, more: &[&str]| {
        let out = world.path(out).to_string_lossy().into_owned();
        let args = ["train", "selector", "--model", &model, "--data", &data, "--out", &out];
        let settings = ["--steps", "6", "--batch", "6", "--lr", "1e-2", "--save-every", "2"];
        visor([&args[..], &settings, more].concat())
    };
    let ended = selector("whole", &["--k-min", "1", "--k-max", "2"]);
    assert!(ended.stderr.contains("7 sequences with"), "{}", ended.stderr);
    let answer = ended.answer();
    let rows: Vec<Vec<&str>> =
        answer.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let reads: Vec<[&str; 2]> = rows.iter().map(|row| [row[0], row[1]]).collect();
    let each = ["all", "chosen", "random", "others"];
    let expected: Vec<[&str; 2]> =
        ["sa0", "sa1"].iter().flat_map(|rung| each.map(|read| [*rung, read])).collect();
    assert_eq!(reads, expected);
    assert!(rows.iter().all(|row| row[5] == "7"), "{answer}");
    // As many at random as were chosen.
    assert_eq!(rows[1][2], rows[2][2]);

    // A backbone that learns on leaves its selector behind, which is said.
    let inspected = |run: &str| {
        let model = world.path(run).join("checkpoint");
        visor(["inspect", "--model", model.to_str().unwrap()]).answer()
    };
    assert!(!inspected("whole").contains("train it"), "{}", inspected("whole"));
    let (from, on) = (world.path("whole/checkpoint"), world.path("on"));
    let (from, on) = (from.to_string_lossy(), on.to_string_lossy());
    let args = ["train", "universal", "--model", from.as_ref(), "--data", &data];
    let more = ["--out", on.as_ref(), "--steps", "1,0", "--batch", "6"];
    visor([&args[..], &more].concat()).answer();
    let card = inspected("on");
    assert!(card.contains("the backbone has learned on since the selector was trained"), "{card}");

    // The backbone is what it was, and the question chooses.
    let trained = world.path("whole/checkpoint").to_string_lossy().into_owned();
    let asked = |model: &str, patches: &str| {
        let args = ["ask", "--model", model, "--image", &picture, "--budget", "sa0", "--json"];
        let more = ["--patches", patches, "--max-new-tokens", "3", "What is this?"];
        visor([&args[..], &more].concat())
    };
    let (before, after) = (asked(&model, "all").json(), asked(&trained, "all").json());
    assert_eq!(before["token_ids"], after["token_ids"]);
    assert!(asked(&trained, "auto").json()["budget"]["patches"].as_u64().unwrap() >= 1);
    assert!(asked(&model, "auto").error(2).contains("selector"));

    // Stopped anywhere, it goes on to the same bits; by other settings it does not.
    let mut child = command()
        .args(["train", "selector", "--model", &model, "--data", &data, "--out"])
        .arg(world.path("stopped"))
        .args(["--steps", "6", "--batch", "6", "--lr", "1e-2", "--save-every", "2"])
        .args(["--k-min", "1", "--k-max", "2"])
        .spawn()
        .unwrap();
    let state = world.path("stopped/state.safetensors");
    while child.try_wait().unwrap().is_none() && step_of(&state) < 2 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let _ = child.kill();
    child.wait().unwrap();
    selector("stopped", &["--k-min", "1", "--k-max", "2"]).answer();
    assert_eq!(world.weights("stopped"), world.weights("whole"));
    let error = selector("stopped", &["--k-min", "1", "--k-max", "3"]).error(1);
    assert!(error.contains("k-max differs"), "{error}");
}

#[test]
fn a_checkpoint_of_clip_teaches_on_conversations_and_a_question_that_it_cannot_read_is_named() {
    let world = World::new("idefics3");
    let model = world.path("model").to_string_lossy().into_owned();
    let train = |data: &str, out: &str, more: &[&str]| {
        let (data, out) = (world.path(data), world.path(out));
        let (data, out) = (data.to_string_lossy(), out.to_string_lossy());
        let args = ["train", "selector", "--model", &model, "--data", data.as_ref()];
        let settings = ["--out", out.as_ref(), "--steps", "3", "--batch", "6", "--lr", "1e-2"];
        let sizes = ["--k-min", "1", "--k-max", "2"];
        visor([&args[..], &settings, &sizes, more].concat())
    };
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/../visor-model/tests/goldens/clip");
    let clip = ["--teacher", clip];
    train("data.jsonl", "taught", &clip).answer();
    train("data.jsonl", "untaught", &[]).answer();
    for (run, teacher) in [("taught", "clip"), ("untaught", "nobody")] {
        let record = fs::read_to_string(world.path(run).join("record.json")).unwrap();
        assert!(record.contains(&format!("\"teacher\": \"{teacher}\"")), "{record}");
    }
    assert!(world.weights("taught") != world.weights("untaught"), "nothing was taught");
    // What it makes of pictures is kept beside what the encoder makes of the six, and changes no bit.
    assert!(names(&world.path("taught/features")).len() > 6);
    train("data.jsonl", "again", &[&clip[..], &["--features-gib", "0"]].concat()).answer();
    assert!(world.weights("again") == world.weights("taught"), "other weights");
    let error = train("data.jsonl", "taught", &[]).error(1);
    assert!(error.contains("teacher differs"), "{error}");

    // It reads 16 tokens, with one in front and one behind.
    let good = fs::read_to_string(world.path("data.jsonl")).unwrap();
    let long = json!({"image": "1.png", "conversations": [
        {"from": "human", "value": "<image> a b c d e f g h i j k l m n o"},
        {"from": "gpt", "value": "A"}]});
    fs::write(world.path("long.jsonl"), format!("{good}{long}\n")).unwrap();
    let error = train("long.jsonl", "long", &clip).error(1);
    let says = ["line 7", "the question has 17 tokens", "reads 16 at most"];
    assert!(says.iter().all(|says| error.contains(says)), "{error}");
    assert!(!world.path("long").exists());
    let ended = train("long.jsonl", "long", &[&clip[..], &["--skip-bad"]].concat());
    assert!(ended.stderr.contains("1 conversations were left out"), "{}", ended.stderr);
    ended.answer();
    train("long.jsonl", "unread", &[]).answer();
}

#[test]
fn a_selector_learns_from_conversations_that_it_can_use_and_says_which_it_cannot() {
    let world = World::new("smolvlm");
    let model = world.path("model").to_string_lossy().into_owned();
    let train = |data: &str, more: &[&str]| {
        let (data, out) = (world.path(data), world.path("run"));
        let (data, out) = (data.to_string_lossy(), out.to_string_lossy());
        let args = ["train", "selector", "--model", &model, "--data", data.as_ref()];
        visor([&args[..], &["--out", out.as_ref(), "--steps", "1", "--batch", "2"], more].concat())
    };
    let blind = json!({"conversations": [{"from": "human", "value": "Hello?"},
        {"from": "gpt", "value": "Hello."}]});
    fs::write(world.path("blind.jsonl"), format!("{blind}\n")).unwrap();
    assert!(train("blind.jsonl", &[]).error(1).contains("no question that can be used"));
    let good = fs::read_to_string(world.path("data.jsonl")).unwrap();
    let torn = json!({"image": "none.png", "conversations": [
        {"from": "human", "value": "<image> What?"}, {"from": "gpt", "value": "A"}]});
    fs::write(world.path("torn.jsonl"), format!("{good}{torn}\n")).unwrap();
    let error = train("torn.jsonl", &[]).error(1);
    assert!(error.contains("line 7") && error.contains("none.png"), "{error}");
    for (more, says) in [
        (vec!["--joint", "1e-3"], "cannot be used with"),
        (vec!["--suite", "nano"], "cannot be used with"),
        (vec!["--k-min", "9", "--k-max", "3"], "cannot choose 9 to 3"),
    ] {
        let error = train("data.jsonl", &more).error(2);
        assert!(error.contains(says), "{error}");
    }
    let error = train("data.jsonl", &["--teacher", "x"]).error(1);
    assert!(error.contains("cannot use `x` as a teacher"), "{error}");
    assert!(!world.path("run").exists());
    let ended = train("torn.jsonl", &["--skip-bad"]);
    assert!(ended.stderr.contains("1 conversations were left out"), "{}", ended.stderr);
    ended.answer();
    // A stock model has no layer that reads.
    let stock = golden("smolvlm").to_string_lossy().into_owned();
    let (data, out) = (world.path("data.jsonl"), world.path("stock"));
    let (data, out) = (data.to_string_lossy(), out.to_string_lossy());
    let args = ["train", "selector", "--model", &stock, "--data", data.as_ref()];
    let error = visor([&args[..], &["--out", out.as_ref()]].concat()).error(1);
    assert!(error.contains("`visor convert`"), "{error}");
}
