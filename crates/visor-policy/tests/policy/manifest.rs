//! `policy.json`: what it may say, and that it says what was meant.

use crate::support::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use visor_checkpoint::Sha256Sum;
use visor_core::Thrift;
use visor_policy::{Objective, PolicyFileError, PolicyManifest, PolicyProvenance, PolicyRung};

fn saved(objective: Objective) -> PolicyManifest {
    PolicyManifest { weights: Some(Sha256Sum::of(b"")), ..manifest(objective) }
}

fn with(change: impl FnOnce(&mut Value)) -> Result<PolicyManifest, PolicyFileError> {
    let mut json: Value = serde_json::from_str(&saved(Objective::Utility).to_json()).unwrap();
    change(&mut json);
    PolicyManifest::parse(json.to_string().as_bytes())
}

#[test]
fn the_fields_have_the_documented_names() {
    let full = PolicyManifest {
        backbone_digest: Sha256Sum::of(b"a"),
        selector_digest: Some(Sha256Sum::of(b"b")),
        ..saved(Objective::Utility)
    };
    let text = full.to_json();
    let json: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "schema_version": 1,
        "backbone_digest": Sha256Sum::of(b"a").to_string(),
        "selector_digest": Sha256Sum::of(b"b").to_string(),
        "objective": "utility",
        "default_thrift": 0.1,
        "d_token": 12,
        "d_visual": 12,
        "d_hidden": 3,
        "rungs": [
            { "name": "sa0", "self_attention_layers": [] },
            { "name": "sa1", "self_attention_layers": [3] },
            { "name": "sa2", "self_attention_layers": [3, 5] },
            { "name": "sa3", "self_attention_layers": [2, 3, 5] },
        ],
        "provenance": {
            "visor_version": "0.1.0", "data": "generated", "questions": 1000, "seed": u64::MAX,
            "steps": 7, "notes": { "why": "a test" },
        },
        "weights_sha256": Sha256Sum::of(b"").to_string(),
    });
    assert_eq!(json, expected);
    assert_eq!(PolicyManifest::parse(text.as_bytes()).unwrap(), full);
    let cheapest = saved(Objective::CheapestRight);
    assert!(!cheapest.to_json().contains("thrift"));
    assert_eq!(PolicyManifest::parse(cheapest.to_json().as_bytes()).unwrap(), cheapest);
}

#[test]
fn unknown_missing_and_repeated_fields_are_refused() {
    for place in ["", "/provenance", "/rungs/0"] {
        let change = |json: &mut Value| {
            json.pointer_mut(place).unwrap()["surprise"] = json!(1);
        };
        let error = with(change).unwrap_err();
        assert!(matches!(error, PolicyFileError::Json(_)), "{place}: {error}");
    }
    let text = saved(Objective::Utility).to_json();
    let whole: Value = serde_json::from_str(&text).unwrap();
    for field in whole.as_object().unwrap().keys() {
        let removed = with(|json| {
            json.as_object_mut().unwrap().remove(field);
        });
        assert!(removed.is_err(), "{field}");
    }
    for (once, twice) in [
        ("\"d_token\": 12", "\"d_token\": 12, \"d_token\": 12"),
        ("\"why\": \"a test\"", "\"why\": \"a test\", \"why\": \"another\""),
    ] {
        assert!(text.contains(once), "{text}");
        let error = PolicyManifest::parse(text.replace(once, twice).as_bytes()).unwrap_err();
        assert!(matches!(error, PolicyFileError::Json(_)), "{error}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let rungs = |names: [&str; 2], layers: [Value; 2]| {
        let rung = |i: usize| json!({ "name": names[i], "self_attention_layers": layers[i] });
        json!([rung(0), rung(1)])
    };
    let cases = [
        ("d_token", json!(0), "d_token = 0"),
        ("d_visual", json!(1 << 30), "1 to 16384"),
        ("d_hidden", json!(0), "d_hidden = 0"),
        ("default_thrift", json!(-0.1), "from 0 up"),
        ("default_thrift", json!(1e300), "from 0 up"),
        ("default_thrift", json!(null), "a number"),
        ("weights_sha256", json!(null), "weights_sha256"),
        ("rungs", json!([]), "0 of them"),
        ("rungs", rungs(["a", "a"], [json!([]), json!([1])]), "without repeats"),
        ("rungs", rungs(["a", ""], [json!([]), json!([1])]), "a name of letters"),
        ("rungs", rungs(["a", "b c"], [json!([]), json!([1])]), "a name of letters"),
        ("rungs", rungs(["a", "b"], [json!([]), json!([3, 2])]), "ascending layers"),
        ("rungs", rungs(["a", "b"], [json!([]), json!([1024])]), "below 1024"),
        ("rungs", rungs(["a", "b"], [json!([1]), json!([2])]), "more layers"),
    ];
    for (field, value, says) in cases {
        let error = with(|json| json[field] = value.clone()).unwrap_err().to_string();
        assert!(error.contains(says), "{field} = {value}: {error}");
    }
    let pair = |patches: [Value; 2], layers: [Value; 2]| {
        let mut pair = rungs(["a", "b"], layers);
        for (rung, patches) in pair.as_array_mut().unwrap().iter_mut().zip(patches) {
            rung["patches"] = patches;
        }
        pair
    };
    for (patches, layers, says) in [
        ([json!(4), json!(null)], [json!([]), json!([1])], "the same layers with all patches"),
        ([json!(null), json!(4)], [json!([]), json!([])], "as many and more patches"),
        ([json!(0), json!(null)], [json!([]), json!([])], "nonzero"),
    ] {
        let error = with(|json| {
            json["rungs"] = pair(patches.clone(), layers.clone());
            json["selector_digest"] = json!(other_sum());
        });
        let error = chain(&error.unwrap_err());
        assert!(error.contains(says), "{patches:?}: {error}");
    }
    let pairs = pair([json!(4), json!(null)], [json!([]), json!([])]);
    let error = with(|json| json["rungs"] = pairs.clone()).unwrap_err().to_string();
    assert!(error.contains("selector_digest"), "{error}");
    let error = with(|json| json["objective"] = json!("cheapest-right")).unwrap_err().to_string();
    assert!(error.contains("default_thrift = 0.1, expected none"), "{error}");
    let error = with(|json| json["objective"] = json!("speed")).unwrap_err();
    assert!(chain(&error).contains("unknown variant `speed`"), "{error}");
    let error = with(|json| json["backbone_digest"] = json!("abc")).unwrap_err();
    assert!(chain(&error).contains("64 lower-case hexadecimal digits"), "{error}");
    let error = with(|json| json["schema_version"] = json!(2)).unwrap_err().to_string();
    assert!(error.contains("schema version 2, this program reads 1"), "{error}");
}

#[test]
fn the_digest_is_of_what_decides_and_not_of_where_it_comes_from() {
    let manifest = saved(Objective::Utility);
    let digest = manifest.digest().unwrap();
    let mut renamed = manifest.clone();
    renamed.provenance = PolicyProvenance::default();
    assert_eq!(renamed.digest(), Some(digest));
    let changes: [fn(&mut PolicyManifest); 5] = [
        |manifest| manifest.backbone_digest = other_sum(),
        |manifest| manifest.default_thrift = Thrift::new(0.2),
        |manifest| manifest.weights = Some(other_sum()),
        |manifest| manifest.objective = Objective::CheapestRight,
        |manifest| manifest.rungs.truncate(2),
    ];
    for change in changes {
        let mut changed = manifest.clone();
        change(&mut changed);
        assert!(changed.digest().is_some_and(|changed| changed != digest), "{changed:?}");
    }
    assert_eq!(PolicyManifest { weights: None, ..manifest }.digest(), None);
}

fn any_manifest() -> impl Strategy<Value = PolicyManifest> {
    let widths = (1_usize..=16384, 1_usize..=16384, 1_usize..=16384);
    let weigh = proptest::option::of(0.0_f32..1e9);
    let sums = (any::<u64>(), proptest::option::of(any::<u64>()));
    let notes = proptest::collection::btree_map(".{0,9}", ".{0,9}", 0..3);
    (widths, weigh, sums, 1_usize..6, any::<[u64; 3]>(), notes).prop_map(
        |((d_token, d_visual, d_hidden), weight, (one, other), n, numbers, notes)| {
            let sum = |n: u64| Sha256Sum::of(&n.to_le_bytes());
            let rung = |n: usize| PolicyRung {
                name: format!("rung-{n}"),
                self_attention_layers: (0..n).map(|layer| 3 * layer).collect(),
                patches: None,
            };
            PolicyManifest {
                backbone_digest: sum(one),
                selector_digest: other.map(sum),
                objective: match weight {
                    Some(_) => Objective::Utility,
                    None => Objective::CheapestRight,
                },
                default_thrift: weight.and_then(Thrift::new),
                d_token,
                d_visual,
                d_hidden,
                rungs: (0..n).map(rung).collect(),
                weights: Some(sum(one)),
                provenance: PolicyProvenance {
                    questions: numbers[0],
                    seed: numbers[1],
                    steps: numbers[2],
                    notes,
                    ..PolicyProvenance::default()
                },
            }
        },
    )
}

proptest! {
    #[test]
    fn every_policy_manifest_reads_back_as_it_was_written(manifest in any_manifest()) {
        let read = PolicyManifest::parse(manifest.to_json().as_bytes());
        prop_assert_eq!(read.unwrap(), manifest);
    }

    #[test]
    fn arbitrary_bytes_are_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = PolicyManifest::parse(&bytes);
    }

    #[test]
    fn a_damaged_manifest_is_never_a_panic(place in 0.0_f64..1.0, byte: u8) {
        let mut json = saved(Objective::Utility).to_json().into_bytes();
        let place = (place * json.len() as f64) as usize;
        json[place] = byte;
        let _ = PolicyManifest::parse(&json);
    }
}
