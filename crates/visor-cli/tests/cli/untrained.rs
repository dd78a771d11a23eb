//! A selector that nobody has taught: whoever has patches chosen hears so, once, and nobody else.

use crate::common::{UNTRAINED, visor};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const QUESTION: &str = "How many dots are on the blue square in row 3?";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../visor/tests/goldens").join(name)
}

/// A folder with a converted model whose selector has random weights.
struct World {
    root: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { root: TempDir::new().unwrap() };
        let (stock, out) = (golden("smolvlm"), world.model());
        let stock = stock.to_string_lossy();
        let convert = ["convert", "--model", stock.as_ref(), "--out", &out, "--selector"];
        let layers = ["--cross-attention", "0,2", "--self-attention", "1"];
        visor([&convert[..], &layers].concat()).answer();
        world
    }

    fn path(&self, name: &str) -> String {
        self.root.path().join(name).to_string_lossy().into_owned()
    }

    fn model(&self) -> String {
        self.path("model")
    }

    /// How often `ask` says it.
    fn ask(&self, args: &[&str]) -> usize {
        let model = self.model();
        let base = ["ask", "--model", &model, "--json", "--max-new-tokens", "2"];
        let ended = visor([&base[..], args].concat());
        let said = ended.stderr.matches(UNTRAINED).count();
        ended.answer();
        said
    }
}

#[test]
fn whoever_asks_with_chosen_patches_hears_that_the_selector_is_untrained() {
    let world = World::new();
    let (photo, overlay) = (golden("images/photo.png"), world.path("overlay.png"));
    let photo = photo.to_string_lossy();
    let ask =
        |args: &[&str]| world.ask(&[&["--image", photo.as_ref(), QUESTION][..], args].concat());
    assert_eq!(ask(&["--budget", "sa1", "--patches", "3"]), 1);
    assert_eq!(ask(&["--budget", "sa1", "--patches", "auto", "--overlay", &overlay]), 1);
    assert_eq!(ask(&["--budget", "sa1-k3"]), 1, "a pair has patches chosen");
    assert_eq!(ask(&["--budget", "sa1"]), 0);
    assert_eq!(ask(&["--budget", "sa1", "--patches", "random/4"]), 0, "no selector runs");
}

#[test]
fn a_batch_says_once_that_the_selector_is_untrained_when_a_line_has_patches_chosen() {
    let world = World::new();
    let photo = golden("images/photo.png").to_string_lossy().into_owned();
    let batch = |name: &str, patches: &[Value]| {
        let line = |patches: &Value| {
            let line = json!({"prompt": QUESTION, "images": [photo], "budget": "sa1",
                              "patches": patches});
            format!("{line}\n")
        };
        let file = world.path(name);
        fs::write(&file, patches.iter().map(line).collect::<String>()).unwrap();
        let model = world.model();
        let base = ["ask", "--model", &model, "--max-new-tokens", "2", "--batch", &file];
        let ended = visor(base);
        let said = ended.stderr.matches(UNTRAINED).count();
        assert_eq!(ended.answer().lines().count(), patches.len());
        said
    };
    assert_eq!(batch("none.jsonl", &[json!("all"), json!("random/4")]), 0);
    assert_eq!(batch("some.jsonl", &[json!("all"), json!(3), json!("auto"), json!(2)]), 1);
}

#[test]
fn timing_chosen_patches_says_that_the_selector_is_untrained() {
    let world = World::new();
    let model = world.model();
    let said = |budget: &str| {
        let base = ["bench", "speed", "--model", &model, "--stages", "prefill", "--threads", "1"];
        let ended = visor([&base[..], &["--text-tokens", "8", "--budgets", budget]].concat());
        ended.stderr.matches(UNTRAINED).count()
    };
    assert_eq!((said("sa1:3"), said("sa1")), (1, 0));
}
