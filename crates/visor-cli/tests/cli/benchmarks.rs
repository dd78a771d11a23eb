//! Benchmarks that lie on disk, asked of a converted model at every budget.

use crate::common::{UNTRAINED, command, finish, gradient, png, visor};
use image::DynamicImage;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A converted model with a selector, and a folder for a benchmark.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let world = Self(TempDir::new().unwrap());
        let stock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../visor/tests/goldens/idefics3");
        let mut convert = command();
        convert.args(["convert", "--selector", "--cross-attention", "0,2"]);
        convert.args(["--self-attention", "1", "--model"]).arg(stock);
        finish(convert.arg("--out").arg(world.path("model"))).answer();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn picture(&self, name: &str) {
        self.write(name, png(&DynamicImage::ImageRgb8(gradient(40, 30))));
    }

    /// `bench COMMAND` with this model on `data`.
    fn bench(&self, what: &str, data: &str, args: &[&str]) -> crate::common::Ended {
        let mut command = command();
        command.args(["bench", what, "--model"]).arg(self.path("model"));
        finish(command.args(["--data", data]).args(args))
    }

    fn source(&self, name: &str, folder: &str) -> String {
        format!("{name}:{}", self.path(folder).display())
    }
}

#[test]
fn a_benchmark_is_compared_at_every_budget_with_its_own_figures() {
    let world = World::new();
    let row = |kind: &str, answer: &str| {
        json!({"qid": 1, "phrase_type": "test_para", "image_name": "a.png", "question": "What?",
               "answer": answer, "answer_type": kind})
    };
    world.picture("rad/VQA_RAD Image Folder/a.png");
    let rows = json!([row("CLOSED", "yes"), row("OPEN", "lung"), row("NEITHER", "x")]);
    world.write("rad/VQA_RAD Dataset Public.json", rows.to_string());
    let (data, out) = (world.source("vqa-rad", "rad"), world.path("out"));
    let out = out.to_string_lossy();
    let args = ["--timed", "0", "--max-new-tokens", "2", "--out", out.as_ref()];
    let error = world.bench("compare", &data, &args).error(1);
    assert!(error.contains("entry 3") && error.contains("NEITHER"), "{error}");

    let ended = world.bench("compare", &data, &[&args[..], &["--skip-bad"]].concat());
    assert!(ended.stderr.contains("1 lines were left out"), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches(UNTRAINED).count(), 1, "{}", ended.stderr);
    let answer = ended.answer();
    assert!(answer.contains("The benchmark's own figures"), "{answer}");
    let record: Value =
        serde_json::from_slice(&fs::read(world.path("out/record.json")).unwrap()).unwrap();
    assert_eq!(record["benchmark"]["name"], "vqa-rad");
    assert_eq!((&record["items"], &record["pictures"]), (&json!(2), &json!(1)));
    assert_eq!(record["settings"]["scorer"], "word and recall");
    for row in ["sa0", "sa1", "sa0+auto", "blank@sa1"] {
        let figures = record["benchmark"]["rows"][row].as_array().unwrap();
        let names: Vec<&str> = figures.iter().map(|f| f["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["closed", "open"], "{row}");
    }
    // Started again, nothing is asked anew, and the same is said.
    let again = world.bench("compare", &data, &[&args[..], &["--skip-bad"]].concat());
    assert_eq!(again.answer(), answer);
}

#[test]
fn chosen_patches_are_held_against_the_boxes_of_expressions() {
    let world = World::new();
    let row = |corners: [u32; 4]| {
        json!({"image": "x/a.png", "sent": "the left one", "bbox": corners, "height": 30,
               "width": 40})
    };
    world.picture("ref/train2014/a.png");
    let rows = format!("{}\n{}\n", row([0, 0, 40, 30]), row([0, 0, 20, 15]));
    world.write("ref/refcoco_val.jsonl", rows);
    let folder = world.path("ref").to_string_lossy().into_owned();
    let args = ["--patches", "auto,2", "--format", "json"];
    let lines: Value =
        serde_json::from_str(&world.bench("point", &folder, &args).answer()).unwrap();
    let two = &lines[1];
    assert_eq!((&two["patches"], &two["expressions"]), (&json!("2"), &json!(2)));
    assert_eq!(two["mean_chosen"], 2.0);
    // Every point is in the whole picture, a quarter of them in its quarter.
    assert_eq!(two["random_pointing"], 0.625);
    assert!(two["pointing"].as_f64().unwrap() >= 0.5, "{two}");
    let ended = world.bench("point", &folder, &[]);
    assert_eq!(ended.stderr.matches(UNTRAINED).count(), 1, "{}", ended.stderr);
    assert!(ended.answer().contains("coverage %"));

    let error = world.bench("compare", &world.source("refcoco", "ref"), &[]).error(2);
    assert!(error.contains("`visor bench point --data DIR`"), "{error}");
    let error = world.bench("point", &folder, &["--patches", "all"]).error(2);
    assert!(error.contains("chooses nothing"), "{error}");
}

#[test]
fn wrong_names_and_scorers_of_benchmarks_are_wrong_usage() {
    let world = World::new();
    let error = world.bench("compare", "vqarad:x", &[]).error(2);
    assert!(error.contains("`vqarad` is no benchmark") && error.contains("`docvqa`"), "{error}");
    let error = world.bench("compare", "pope:x", &["--scorer", "vqa"]).error(2);
    assert!(error.contains("leave out `--scorer vqa`"), "{error}");
    let error = world.bench("compare", &world.source("gqa", "nowhere"), &[]).error(1);
    assert!(error.contains("testdev_balanced_questions.json"), "{error}");
    let error = visor(["bench", "point", "--data", "x"]).error(1);
    assert!(error.contains("refcoco_val.jsonl"), "{error}");
}
