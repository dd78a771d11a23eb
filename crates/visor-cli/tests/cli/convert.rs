//! `visor convert` from the command line: what it writes answers, and bad input writes nothing.

use crate::common::{Ended, UNTRAINED, names, visor};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const QUESTION: &str = "How many dots are on the blue square in row 3?";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../visor/tests/goldens").join(name)
}

fn convert(model: &Path, out: &Path, args: &[&str]) -> Ended {
    let (model, out) = (model.to_string_lossy(), out.to_string_lossy());
    visor([&["convert", "--model", model.as_ref(), "--out", out.as_ref()][..], args].concat())
}

const LAYERS: [&str; 4] = ["--cross-attention", "0,2", "--self-attention", "1"];

fn ask(model: &Path, args: &[&str]) -> Ended {
    let (model, photo) = (model.to_string_lossy(), golden("images/photo.png"));
    let photo = photo.to_string_lossy();
    let base = ["ask", "--model", model.as_ref(), "--image", photo.as_ref(), "--json"];
    visor([&base[..], &["--max-new-tokens", "4", QUESTION], args].concat())
}

#[test]
fn every_family_is_converted_by_flags_and_answers_at_dense_as_before() {
    let root = TempDir::new().unwrap();
    for family in ["idefics3", "llava-onevision", "llava-onevision-v5", "smolvlm"] {
        let (stock, out) = (golden(family), root.path().join(family));
        let args = [&LAYERS[..], &["--rungs", "1", "--selector"]].concat();
        assert_eq!(convert(&stock, &out, &args).answer(), "sa0: none\nsa1: 1\n");
        let (before, after) = (ask(&stock, &[]).json(), ask(&out, &["--budget", "dense"]).json());
        assert_eq!(after["token_ids"], before["token_ids"], "{family}");
        // Nobody has taught the selector anything: whoever asks it hears so, and nobody else.
        let asked = ask(&out, &["--budget", "sa1", "--patches", "3"]);
        assert!(asked.stderr.contains(UNTRAINED), "{}", asked.stderr);
        assert!(!ask(&out, &["--budget", "sa1"]).stderr.contains("untrained"));
        let card = visor(["inspect", "--model", out.to_str().unwrap()]).answer();
        assert!(card.contains("or a given number; the selector is untrained"), "{card}");
        let rung = asked.json();
        assert_eq!(rung["budget"]["self_attention_layers"], serde_json::json!([1]));
        assert_eq!(rung["budget"]["patches"], 3);
    }
    // What is there already is replaced if it is a checkpoint's own, and not converted twice.
    let out = root.path().join("idefics3");
    convert(&golden("smolvlm"), &out, &LAYERS).answer();
    let error = convert(&out, &root.path().join("again"), &LAYERS).error(1);
    assert!(error.contains("universal already"), "{error}");
}

#[test]
fn bad_input_is_named_and_writes_nothing() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    let stock = golden("llava-onevision");
    let refused = |args: &[&str], code: i32, says: &str| {
        let error = convert(&stock, &out, args).error(code);
        assert!(error.contains(says), "{args:?}: {error}");
        assert!(!out.exists(), "{args:?}");
    };
    refused(&[], 1, "no default layout for 3 layers");
    refused(&["--cross-attention", "0,3", "--self-attention", "1"], 1, "layer 3 is out of range");
    refused(&["--cross-attention", "0", "--self-attention", "1"], 1, "not followed by");
    refused(&[&LAYERS[..], &["--rungs", "1;1"]].concat(), 1, "without repeats");
    refused(&[&LAYERS[..], &["--rungs", "2"]].concat(), 1, "not self-attention capable");
    let late = [&LAYERS[..], &["--decision-layer", "2"]].concat();
    refused(&late, 1, "before the decision layer 2");
    refused(&[&LAYERS[..], &["--rungs", "1;x"]].concat(), 2, "`x` is no layer");
    refused(&["--cross-attention", "a"], 2, "invalid digit");

    // A family that nobody knows.
    let strange = root.path().join("strange");
    fs::create_dir(&strange).unwrap();
    for name in names(&stock) {
        if stock.join(&name).is_file() {
            fs::copy(stock.join(&name), strange.join(&name)).unwrap();
        }
    }
    let config = fs::read_to_string(strange.join("config.json")).unwrap();
    fs::write(strange.join("config.json"), config.replace("llava_onevision", "telepathy")).unwrap();
    let error = convert(&strange, &out, &LAYERS).error(1);
    assert!(error.contains("telepathy") && !out.exists(), "{error}");

    // A folder of somebody's.
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.tex"), b"x").unwrap();
    let error = convert(&stock, &out, &LAYERS).error(1);
    assert!(error.contains("`thesis.tex`"), "{error}");
    assert_eq!(names(&out), ["thesis.tex"]);
}
