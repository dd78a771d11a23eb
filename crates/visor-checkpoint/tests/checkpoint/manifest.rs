//! `visor.json`: what it may say, and that it says what was meant.

use crate::support::manifest;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use visor_checkpoint::{
    CheckpointError, CrossAttentionManifest, DenseMode, Manifest, Provenance, SelectorManifest,
    SelectorTraining, Sha256Sum,
};
use visor_core::{ImageMask, Ladder, Layout, PositionScheme, Rotary};

fn with(change: impl FnOnce(&mut Value)) -> Result<Manifest, CheckpointError> {
    let mut json: Value = serde_json::from_str(&manifest().to_json()).expect("JSON");
    change(&mut json);
    Manifest::parse(json.to_string().as_bytes())
}

#[test]
fn the_fields_have_the_documented_names() {
    let mut full = manifest();
    full.default_policy = Some("nano-utility".to_owned());
    full.files.insert("config.json".to_owned(), Sha256Sum::of(b""));
    let json: Value = serde_json::from_str(&full.to_json()).expect("JSON");
    let expected = json!({
        "schema_version": 1,
        "n_layers": 7,
        "cross_attention_layers": [1, 4, 6],
        "self_attention_layers": [2, 3, 5],
        "cross_attention": { "n_kv_heads": 2, "bias": false, "null_key": true },
        "image_mask": "bidirectional",
        "rotary": "2d",
        "ladder": [
            { "name": "low", "self_attention_layers": [] },
            { "name": "mid", "self_attention_layers": [3] },
            { "name": "top", "self_attention_layers": [2, 3, 5] },
        ],
        "decision_layer": 2,
        "dense": "none",
        "selector": { "d_select": 2, "n_pools": 1, "k_min": 1, "k_max": 4 },
        "default_policy": "nano-utility",
        "provenance": {
            "visor_version": "0.1.0", "created": "2026-01-02", "recipe": "nano",
            "seed": u64::MAX, "steps": 7, "data": "generated", "notes": { "why": "a test" },
        },
        "sha256": {
            "config.json": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        },
    });
    assert_eq!(json, expected);
    assert_eq!(Manifest::parse(full.to_json().as_bytes()).expect("read back"), full);
    assert_eq!(full.to_json(), full.to_json());
}

#[test]
fn layers_that_contradict_each_other_are_refused() {
    let cases = [
        ("self_attention_layers", json!([2, 3, 4])), // 4 is a cross-attention layer
        ("self_attention_layers", json!([2, 5, 3])),
        ("cross_attention_layers", json!([1, 4])), // nothing reads layer 5
        ("cross_attention_layers", json!([1, 4, 7])), // there are seven layers
        ("cross_attention_layers", json!([])),
        ("n_layers", json!(6)),
    ];
    for (field, value) in cases {
        let error = with(|json| json[field] = value).expect_err(field);
        assert!(matches!(error, CheckpointError::Layout(_)), "{field}: {error}");
    }
}

#[test]
fn rungs_that_contradict_the_layers_are_refused() {
    let rungs = |rungs: Value| with(|json| json["ladder"] = rungs);
    let rung = |name: &str, layers: Value| json!({ "name": name, "self_attention_layers": layers });
    let bad = [
        json!([]),
        json!([rung("low", json!([4]))]),
        json!([rung("low", json!([99]))]),
        json!([rung("a", json!([3])), rung("b", json!([5]))]),
        json!([rung("a", json!([3])), rung("a", json!([3, 5]))]),
        json!([rung("dense", json!([]))]),
        json!([rung("", json!([]))]),
    ];
    for ladder in bad {
        let error = rungs(ladder).expect_err("no ladder");
        assert!(matches!(error, CheckpointError::Ladder(_)), "{error}");
    }
    for layers in [json!([3, 3]), json!([5, 3])] {
        let error = rungs(json!([rung("a", layers)])).expect_err("not ascending");
        assert!(matches!(error, CheckpointError::RungOrder { .. }), "{error}");
    }
}

#[test]
fn a_decision_after_the_first_difference_is_refused() {
    for decision in [3, 4, 7, 8] {
        let error = with(|json| json["decision_layer"] = json!(decision)).expect_err("too late");
        assert!(matches!(error, CheckpointError::Ladder(_)), "{error}");
    }
    with(|json| json["decision_layer"] = json!(1)).expect("earlier is possible");
}

#[test]
fn unknown_missing_and_repeated_fields_are_refused() {
    for place in ["", "/cross_attention", "/provenance", "/selector", "/ladder/0"] {
        let change = |json: &mut Value| {
            json.pointer_mut(place).expect("there")["surprise"] = json!(1);
        };
        let error = with(change).expect_err("unknown");
        assert!(matches!(error, CheckpointError::Json { .. }), "{place}: {error}");
    }
    let text = manifest().to_json();
    let whole: Value = serde_json::from_str(&text).expect("JSON");
    for field in whole.as_object().expect("an object").keys() {
        let remove = |json: &mut Value| {
            json.as_object_mut().expect("an object").remove(field);
        };
        let optional = ["selector", "default_policy"].contains(&field.as_str());
        assert_eq!(with(remove).is_ok(), optional, "{field}");
    }
    let twice = text.replacen("\"dense\"", "\"dense\": \"stock\",\n  \"dense\"", 1);
    assert!(matches!(Manifest::parse(twice.as_bytes()), Err(CheckpointError::Json { .. })));
    let sum = Sha256Sum::of(b"");
    let files = format!("\"sha256\": {{\"a\": \"{sum}\", \"a\": \"{sum}\"}}");
    let twice = text.replacen("\"sha256\": {}", &files, 1);
    assert!(matches!(Manifest::parse(twice.as_bytes()), Err(CheckpointError::Json { .. })));
}

#[test]
fn another_schema_version_is_named_before_anything_else_is_looked_at() {
    for version in [0, 2, 99] {
        let json =
            format!(r#"{{"schema_version": {version}, "layers": "as the future has them"}}"#);
        match Manifest::parse(json.as_bytes()).expect_err("another version") {
            CheckpointError::SchemaVersion { got } => assert_eq!(got, version),
            other => panic!("{other}"),
        }
    }
    assert!(matches!(Manifest::parse(b"{}"), Err(CheckpointError::Json { .. })));
}

#[test]
fn counts_and_names_that_make_no_sense_are_refused() {
    let cases = [
        ("/n_layers", json!(0)),
        ("/n_layers", json!(usize::MAX)),
        ("/cross_attention/n_kv_heads", json!(0)),
        ("/selector/d_select", json!(0)),
        ("/selector/n_pools", json!(0)),
        ("/selector/k_min", json!(0)),
        ("/selector/k_min", json!(5)),
        ("/default_policy", json!("../policy")),
        ("/default_policy", json!("")),
    ];
    for (place, value) in cases {
        let change = |json: &mut Value| {
            if place.starts_with("/default") {
                json["default_policy"] = value.clone();
            } else {
                *json.pointer_mut(place).expect("there") = value.clone();
            }
        };
        let error = with(change).expect_err(place);
        assert!(matches!(error, CheckpointError::Field { .. }), "{place}: {error}");
    }
    for (field, value) in [("rotary", "3d"), ("image_mask", "Causal"), ("dense", "yes")] {
        assert!(matches!(with(|j| j[field] = json!(value)), Err(CheckpointError::Json { .. })));
    }
    let short = with(|json| json["sha256"] = json!({ "model.safetensors": "abc" }));
    assert!(matches!(short, Err(CheckpointError::Json { .. })));
}

/// Layouts of a decoder, with a ladder of growing random subsets that all agree before the first.
fn any_ladder() -> impl Strategy<Value = Ladder> {
    let layers = 3_usize..40;
    layers
        .prop_flat_map(|n| {
            let kinds = proptest::collection::vec(0_u8..3, n);
            (Just(n), kinds, any::<u64>())
        })
        .prop_map(|(n, kinds, order)| {
            let of = |kind| (0..n - 1).filter(|&l| kinds[l] == kind).collect::<Vec<usize>>();
            let (mut cross, capable) = (of(1), of(2));
            cross.push(n - 1);
            let layout = Layout::try_new(n, &cross, &capable).expect("a layout");
            let decision = layout.decision_layer().0;
            let rungs: Vec<(String, Vec<usize>)> = (0..=capable.len())
                .filter(|&k| k == 0 || order >> (k % 64) & 1 == 1)
                .map(|k| (format!("sa{k}"), capable[capable.len() - k..].to_vec()))
                .collect();
            Ladder::try_new(layout, decision, &rungs).expect("a ladder")
        })
}

fn any_manifest() -> impl Strategy<Value = Manifest> {
    let text = "\\PC{0,10}";
    let provenance = (text, proptest::option::of(text), text, any::<u64>(), any::<u64>());
    let notes = proptest::collection::btree_map(text, text, 0..3);
    let selector = proptest::option::of((1_usize..64, 1_usize..4, 1_usize..64, 0_usize..512));
    let switches = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), 0_u8..3);
    let policy = proptest::option::of("[a-z][a-z0-9-]{0,8}");
    (any_ladder(), provenance, notes, selector, switches, policy, 1_usize..64).prop_map(
        |(ladder, provenance, notes, selector, switches, default_policy, n_kv_heads)| {
            let (visor_version, created, recipe, seed, steps) = provenance;
            let (two_d, bidirectional, bias, null_key, dense) = switches;
            let data = recipe.clone();
            let image_mask =
                if bidirectional { ImageMask::Bidirectional } else { ImageMask::Causal };
            let rotary = if two_d { Rotary::TwoD } else { Rotary::OneD };
            let dense = [DenseMode::Stock, DenseMode::Trained, DenseMode::None][usize::from(dense)];
            let mut manifest = Manifest::new(
                ladder,
                PositionScheme { image_mask, rotary },
                CrossAttentionManifest { n_kv_heads, bias, null_key },
                dense,
                Provenance { visor_version, created, recipe, seed, steps, data, notes },
            );
            manifest.selector = selector.map(|(d_select, n_pools, k_min, more)| SelectorManifest {
                d_select,
                n_pools,
                k_min,
                k_max: k_min + more,
            });
            manifest.default_policy = default_policy;
            manifest.files.insert("model.safetensors".to_owned(), Sha256Sum::of(&[7]));
            manifest
        },
    )
}

proptest! {
    #[test]
    fn every_manifest_reads_back_as_it_was_written(manifest in any_manifest()) {
        let json = manifest.to_json();
        let read = Manifest::parse(json.as_bytes()).expect("valid");
        prop_assert_eq!(&read, &manifest);
        prop_assert_eq!(read.to_json(), json);
    }
}

#[test]
fn the_provenance_tells_selectors_that_can_choose_from_those_that_cannot() {
    let mut manifest = manifest();
    let known = |manifest: &Manifest| {
        Manifest::parse(manifest.to_json().as_bytes()).expect("parsed").selector_training()
    };
    assert_eq!(known(&manifest), Some(SelectorTraining::Untrained));
    manifest.note_backbone_trained();
    assert_eq!(known(&manifest), Some(SelectorTraining::Untrained));
    manifest.note_selector_trained("grounded");
    assert_eq!(known(&manifest), Some(SelectorTraining::Trained));
    manifest.note_backbone_trained();
    assert_eq!(known(&manifest), Some(SelectorTraining::Outdated));
    manifest.selector = None;
    assert_eq!(known(&manifest), None);
}

#[test]
fn the_selectors_of_shipped_models_are_trained() {
    for name in ["nano", "mini"] {
        let path = format!("{}/../../models/{name}/visor.json", env!("CARGO_MANIFEST_DIR"));
        let manifest = Manifest::parse(&fs::read(path).expect("shipped")).expect("parsed");
        assert_eq!(manifest.selector_training(), Some(SelectorTraining::Trained), "{name}");
    }
}
