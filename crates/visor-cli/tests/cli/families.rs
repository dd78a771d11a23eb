//! Stock checkpoints from a folder: asked, inspected, verified.

use crate::common::{Ended, contents, visor};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const QUESTION: &str = "How many dots are on the blue square in row 3?";

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../visor/tests/goldens").join(name)
}

fn run(command: &str, name: &str, args: &[&str]) -> Ended {
    let model = golden(name).to_string_lossy().into_owned();
    visor([&[command, "--model", &model][..], args].concat())
}

fn photo() -> String {
    golden("images/photo.png").to_string_lossy().into_owned()
}

#[test]
fn a_stock_folder_is_asked_at_dense_and_nothing_else() {
    let photo = photo();
    let ask = |args: &[&str]| {
        run(
            "ask",
            "idefics3",
            &[&["--image", &photo, QUESTION, "--max-new-tokens", "2"], args].concat(),
        )
    };
    let report = ask(&["--json"]).json();
    assert_eq!(report["budget"]["chosen"], "dense");
    let all = report["visual_tokens"].as_u64().unwrap();
    let whole = ask(&["--json", "--max-tiles", "1"]).json();
    assert!(whole["visual_tokens"].as_u64().unwrap() < all);
    assert!(ask(&["--budget", "sa1"]).error(2).contains("dense"));
    assert!(ask(&["--max-tiles", "0"]).error(2).contains("zero"));
}

#[test]
fn a_conversation_in_a_file_is_the_prompt_that_it_renders_to() {
    let root = TempDir::new().unwrap();
    fs::copy(golden("images/photo.png"), root.path().join("a.png")).unwrap();
    let file = root.path().join("chat.json");
    fs::write(
        &file,
        r#"[{"role": "user", "content": [{"type": "image", "path": "a.png"},
             {"type": "text", "text": "What?"}]},
            {"role": "assistant", "content": "Dots."}, {"role": "user", "content": "Sure?"}]"#,
    )
    .unwrap();
    let file = file.to_string_lossy().into_owned();
    let base = ["--json", "--max-new-tokens", "4"];
    let chat = run("ask", "llava-onevision", &[&base[..], &["--messages", &file]].concat()).json();
    let rendered = "<|im_start|>user\n<image>\nWhat?<|im_end|>\n<|im_start|>assistant\nDots.\
                    <|im_end|>\n<|im_start|>user\nSure?<|im_end|>\n<|im_start|>assistant\n";
    let args = ["--image", &photo(), "--raw-prompt", rendered];
    let raw = run("ask", "llava-onevision", &[&base[..], &args].concat()).json();
    assert_eq!(chat["token_ids"], raw["token_ids"]);
    assert_eq!(chat["prompt_tokens"], raw["prompt_tokens"]);
}

#[test]
fn a_stock_folder_is_inspected_for_a_picture_of_any_size() {
    let inspect = |name: &str, size: &str| {
        let report = run("inspect", name, &["--json", "--image-size", size]).json();
        assert_eq!(report["rungs"].as_array().unwrap().len(), 0);
        assert_eq!(report["unknown_config_fields"].as_array().unwrap().len(), 0);
        report["prompt"]["visual_tokens"].as_u64().unwrap()
    };
    // Tiles of 32 pixels with 4 tokens, 3 along the longer side, and the whole.
    assert_eq!(inspect("idefics3", "640x640"), 40);
    assert_eq!(inspect("idefics3", "640x200"), 16);
    // Tiles of 26 pixels with 16 tokens: the whole, and a map that loses its padding.
    assert_eq!(inspect("llava-onevision", "26x26"), 16 + 4 * 5);
    assert_eq!(inspect("llava-onevision", "78x26"), 16 + 4 * 13);
}

#[test]
fn verify_prints_a_table_and_fails_beyond_tolerance() {
    let folder = golden("llava-onevision").to_string_lossy().into_owned();
    let verify = |args: &[&str]| {
        run("verify", "llava-onevision", &[&["--reference", folder.as_str()], args].concat())
    };
    let table = verify(&[]).answer();
    assert!(table.contains("tiles_u8") && table.contains("hidden_3"), "{table}");
    assert!(!table.contains("differs"), "{table}");
    let report = verify(&["--json"]).json();
    assert_eq!((&report["cases"], &report["model"]), (&6.into(), &"llava-onevision".into()));
    let ended = verify(&["--tolerance", "1e-12"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("differs") && ended.stderr.contains("seams differ"), "{ended:?}");
    let error = run("verify", "idefics3", &["--reference", "nowhere"]).error(1);
    assert!(error.contains("cases.json"), "{error}");
    let error = verify(&["--images", "nowhere"]).error(1);
    assert!(error.contains("there is no picture"), "{error}");
}

#[test]
fn a_checkpoint_that_is_stored_in_int8_is_verified_at_the_tolerance_of_int8() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("small").to_string_lossy().into_owned();
    run("convert", "llava-onevision", &["--dtype", "int8", "--out", &out]).answer();
    let reference = golden("llava-onevision").to_string_lossy().into_owned();
    let verify = ["verify", "--model", &out, "--reference", &reference];
    let table = visor(verify).answer();
    assert!(table.contains("tolerance 1.5e-1 of the largest value"), "{table}");
    let ended = visor([&verify[..], &["--tolerance", "2e-5"]].concat());
    assert!(ended.stdout.contains("differs"), "{ended:?}");
}

#[test]
fn fields_that_are_not_understood_or_followed_are_said_by_every_command_that_loads_a_model() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("model");
    fs::create_dir(&folder).unwrap();
    for (name, bytes) in contents(&golden("llava-onevision")) {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    fs::write(folder.join("config.json"), config.replacen('{', "{\"moon\": 1, ", 1)).unwrap();
    let generation = fs::read_to_string(folder.join("generation_config.json")).unwrap();
    let beams = generation.replacen('{', "{\"num_beams\": 4, ", 1);
    fs::write(folder.join("generation_config.json"), beams).unwrap();
    let model = folder.to_string_lossy().into_owned();
    let reference = golden("llava-onevision").to_string_lossy().into_owned();
    let out = root.path().join("converted").to_string_lossy().into_owned();
    let layers = ["--cross-attention", "0,2", "--self-attention", "1", "--out", &out];
    for (command, args) in [
        ("ask", &["--max-new-tokens", "1", QUESTION][..]),
        ("verify", &["--reference", &reference]),
        ("convert", &layers),
    ] {
        let ended = visor([&[command, "--model", &model][..], args].concat());
        assert_eq!(ended.code, Some(0), "{command}: {}", ended.stderr);
        let warned = ended.stderr.matches("fields that are not understood: moon").count();
        assert_eq!(warned, 1, "{command}: {}", ended.stderr);
        let warned = ended.stderr.matches("those of transformers: num_beams").count();
        assert_eq!(warned, 1, "{command}: {}", ended.stderr);
    }
}

#[test]
fn reading_a_stock_folder_changes_nothing_in_it_but_its_stamp() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("model");
    fs::create_dir(&folder).unwrap();
    for (name, bytes) in contents(&golden("smolvlm")) {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let before = contents(&folder);
    let path = folder.to_string_lossy().into_owned();
    visor(["ask", "--model", &path, "--max-new-tokens", "1", QUESTION]).answer();
    assert_eq!(contents(&folder), before);
}
