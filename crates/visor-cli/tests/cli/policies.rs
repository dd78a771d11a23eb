//! Budgets that a policy chooses, and policies that cannot.

use crate::common::{Ended, command, contents, finish, gradient, png, visor};
use ::visor::{Objective, fixture};
use image::DynamicImage;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A model with random weights and its policy, as in a repository: `models/tiny`, which names
/// `policies/router`.
struct Home {
    root: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { root: TempDir::new().unwrap() };
        fs::create_dir(home.root.path().join("models")).unwrap();
        fixture::universal(&home.model(), 1).unwrap();
        fixture::policy(&home.policy(), &home.model(), Objective::Utility, 1).unwrap();
        fixture::name_policy(&home.model(), Some("router")).unwrap();
        let picture = png(&DynamicImage::ImageRgb8(gradient(40, 30)));
        fs::write(home.picture(), picture).unwrap();
        home
    }

    fn model(&self) -> PathBuf {
        self.root.path().join("models/tiny")
    }

    fn policy(&self) -> PathBuf {
        self.root.path().join("policies/router")
    }

    fn picture(&self) -> PathBuf {
        self.root.path().join("picture.png")
    }

    fn ask(&self, args: &[&str]) -> Ended {
        let mut command = command();
        command.args(["ask", "--model"]).arg(self.model()).arg("--image").arg(self.picture());
        finish(command.args(args).arg(fixture::QUESTION))
    }

    fn json(&self, args: &[&str]) -> Value {
        self.ask(&[&["--json"], args].concat()).json()
    }

    fn inspect(&self, args: &[&str]) -> Ended {
        finish(command().args(["inspect", "--model"]).arg(self.model()).args(args))
    }
}

#[test]
fn auto_is_the_default_and_answers_as_the_chosen_rung_by_name() {
    let home = Home::new();
    let chosen = home.json(&[]);
    let budget = &chosen["budget"];
    assert_eq!((&budget["requested"], &budget["basis"]), (&Value::Null, &"predicted".into()));
    let thrift = budget["thrift"].as_f64().unwrap();
    assert!((thrift - 0.1).abs() < 1e-6, "{budget}");
    let probabilities = budget["probabilities"].as_object().unwrap();
    assert_eq!(probabilities.keys().collect::<Vec<_>>(), fixture::RUNGS);
    assert!(probabilities.values().all(|p| (0.0..=1.0).contains(&p.as_f64().unwrap())));
    assert_eq!(chosen["policy"]["name"], "router");
    assert_eq!(chosen["policy"]["sha256"].as_str().unwrap().len(), 64);
    let named = home.json(&["--budget", budget["chosen"].as_str().unwrap()]);
    assert_eq!(named["token_ids"], chosen["token_ids"]);
    assert_eq!(named["budget"]["basis"], "requested");
    assert_eq!((&named["policy"], named["budget"].get("thrift")), (&Value::Null, None));
    assert_eq!(named["budget"].get("probabilities"), None);
    let auto = home.json(&["--budget", "auto"]);
    assert_eq!(auto["budget"]["requested"], "auto");
    assert_eq!(auto["token_ids"], chosen["token_ids"]);
    let folder = home.policy();
    let given = home.json(&["--policy", folder.to_str().unwrap()]);
    assert_eq!((&given["policy"], &given["token_ids"]), (&chosen["policy"], &chosen["token_ids"]));
}

#[test]
fn the_line_for_people_says_what_was_chosen_and_why() {
    let home = Home::new();
    let line = |args: &[&str]| home.ask(args).stderr;
    let chosen = line(&["--thrift", "0"]);
    assert!(chosen.starts_with("sa3 (chosen by router at thrift 0; right: sa0 "), "{chosen}");
    assert!(chosen.contains(" %): ") && chosen.contains("before the first token"), "{chosen}");
    let ceiling = home.json(&["--thrift", "5"])["cost"]["gflops_end_to_end"].to_string();
    let capped = line(&["--thrift", "0", "--max-gflops", &ceiling]);
    let expected = "sa0 (capped: sa3 is above the ceiling and was chosen by router at thrift 0; ";
    assert!(capped.starts_with(expected), "{capped}");
    assert!(line(&["--budget", "sa2"]).starts_with("sa2 (requested): "));
    fixture::policy(&home.policy(), &home.model(), Objective::CheapestRight, 1).unwrap();
    let chosen = line(&[]);
    assert!(chosen.contains(" (chosen by router; cheapest right one: sa0 "), "{chosen}");
}

#[test]
fn two_thrifts_choose_two_budgets_and_a_ceiling_cuts_the_dearer_one() {
    let home = Home::new();
    let [spend, save] = ["0", "5"].map(|thrift| home.json(&["--thrift", thrift]));
    assert_eq!(
        (&spend["budget"]["chosen"], &save["budget"]["chosen"]),
        (&"sa3".into(), &"sa0".into())
    );
    assert_eq!(spend["budget"]["probabilities"], save["budget"]["probabilities"]);
    assert_eq!((&spend["budget"]["thrift"], &save["budget"]["thrift"]), (&0.0.into(), &5.0.into()));
    let ceiling = save["cost"]["gflops_end_to_end"].to_string();
    let capped = home.json(&["--thrift", "0", "--max-gflops", &ceiling]);
    let budget = &capped["budget"];
    assert_eq!((&budget["chosen"], &budget["basis"]), (&"sa0".into(), &"capped".into()));
    assert_eq!(budget["probabilities"], spend["budget"]["probabilities"]);
    assert_eq!((&capped["token_ids"], &capped["cost"]), (&save["token_ids"], &save["cost"]));
}

#[test]
fn a_fixed_budget_loads_no_policy_at_all() {
    let home = Home::new();
    let expected = home.json(&["--budget", "sa1"]);
    fs::remove_file(home.policy().join("policy.safetensors")).unwrap();
    fs::write(home.policy().join("policy.json"), "{").unwrap();
    assert!(home.ask(&[]).error(1).contains("policy.json"));
    assert!(home.ask(&["--budget", "auto"]).error(1).contains("policy.json"));
    assert_eq!(home.json(&["--budget", "sa1"])["token_ids"], expected["token_ids"]);
    fs::remove_dir_all(home.policy()).unwrap();
    assert_eq!(home.json(&["--budget", "sa1"])["token_ids"], expected["token_ids"]);
    let error = home.ask(&[]).error(1);
    assert!(
        error.contains("names the policy `router`") && error.contains("nor shipped"),
        "{error}"
    );
}

#[test]
fn what_a_policy_cannot_be_asked_for_is_wrong_usage() {
    let home = Home::new();
    let folder = home.policy();
    let folder = folder.to_str().unwrap();
    let cases: &[(i32, &[&str], &str)] = &[
        (2, &["--thrift", "0.1", "--budget", "sa1"], "the budget is `sa1`: ask for `auto`"),
        (2, &["--thrift", "0.1", "--budget", "dense"], "the budget is `dense`"),
        (2, &["--policy", folder, "--budget", "sa1"], "leave out --policy"),
        (2, &["--thrift", "nan"], "expected a number from 0 up"),
        (2, &["--thrift=-1"], "expected a number from 0 up"),
        (2, &["--thrift", "0.1", "--max-gflops", "1e-6"], "`sa0` costs"),
        (1, &["--policy", "nowhere"], "there is no policy `nowhere`: expected a folder"),
        (1, &["--policy", "src"], "src has no `policy.json`"),
    ];
    for (code, args, says) in cases {
        let error = home.ask(args).error(*code);
        assert!(error.contains(says), "{args:?}: {error}");
    }
    fixture::policy(&home.policy(), &home.model(), Objective::CheapestRight, 1).unwrap();
    let error = home.ask(&["--thrift", "0.1"]).error(2);
    assert!(error.contains("`cheapest-right` and does not weigh cost"), "{error}");
    fixture::name_policy(&home.model(), None).unwrap();
    let error = home.ask(&["--thrift", "0.1"]).error(2);
    assert!(error.contains("this model has no policy"), "{error}");
    let error = home.ask(&["--budget", "auto"]).error(2);
    assert!(error.contains("`auto` needs a policy and this model has none"), "{error}");
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn replace(home: &Home, from: &str, to: &str) {
    edit(&home.policy().join("policy.json"), |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        *bytes = text.replacen(from, to, 1).into_bytes();
    });
}

/// Writes the weights anew with changes, and the hash that they have then.
fn resave(home: &Home, change: impl FnOnce(&mut Vec<visor_checkpoint::NamedTensor>)) {
    let path = home.policy().join("policy.safetensors");
    let old = visor_checkpoint::Sha256Sum::of(&fs::read(&path).unwrap()).to_string();
    let mut tensors = visor_checkpoint::read_safetensors(&path).unwrap();
    change(&mut tensors);
    let tensors: Vec<_> = tensors
        .into_iter()
        .map(|(name, shape, data)| visor_checkpoint::TensorToSave {
            name,
            shape,
            data: data.into(),
        })
        .collect();
    let f32 = visor_checkpoint::Dtype::F32;
    let written =
        visor_checkpoint::write_safetensors(&path, &tensors, f32, &Default::default()).unwrap();
    replace(home, &old, &written.sha256.to_string());
}

/// What is done to a policy or its model, and what the error says of it.
type Damage = (&'static str, fn(&Home), &'static str);

const DAMAGES: &[Damage] = &[
    (
        "a bit of the weights",
        |home| edit(&home.policy().join("policy.safetensors"), |b| *b.last_mut().unwrap() ^= 1),
        "`policy.safetensors` has sha256",
    ),
    (
        "a bit of the header",
        |home| edit(&home.policy().join("policy.safetensors"), |b| b[30] ^= 1),
        "`policy.safetensors` has sha256",
    ),
    (
        "half of the weights",
        |home| edit(&home.policy().join("policy.safetensors"), |b| b.truncate(b.len() / 2)),
        "`policy.safetensors` has sha256",
    ),
    (
        "missing weights",
        |home| fs::remove_file(home.policy().join("policy.safetensors")).unwrap(),
        "no `policy.safetensors`",
    ),
    (
        "missing manifest",
        |home| fs::remove_file(home.policy().join("policy.json")).unwrap(),
        "no `policy.json`",
    ),
    (
        "half of the manifest",
        |home| edit(&home.policy().join("policy.json"), |b| b.truncate(b.len() / 2)),
        "`policy.json` is not as expected",
    ),
    (
        "a file in place of the folder",
        |home| {
            fs::remove_dir_all(home.policy()).unwrap();
            fs::write(home.policy(), "policy").unwrap();
        },
        "no folder",
    ),
    (
        "an extra tensor",
        |home| resave(home, |tensors| tensors.push(("head.stray".to_owned(), vec![1], vec![0.0]))),
        "`head.stray`",
    ),
    (
        "a missing tensor",
        |home| resave(home, |tensors| tensors.retain(|(name, _, _)| name != "routing_token")),
        "`routing_token` of shape [32] is missing",
    ),
    (
        "a manifest with another width",
        |home| replace(home, "\"d_hidden\": 8", "\"d_hidden\": 9"),
        "expected [9, 64] by `policy.json`",
    ),
    (
        "a manifest for wider tokens",
        |home| {
            replace(home, "\"d_token\": 32", "\"d_token\": 33");
            replace(home, "\"d_visual\": 32", "\"d_visual\": 31");
        },
        "expected [33] by `policy.json`",
    ),
    (
        "a manifest with other rungs",
        |home| replace(home, "\"sa2\"", "\"sb2\""),
        "it chooses among `sa0` [], `sa1` [3], `sb2` [3, 5]",
    ),
    (
        "a manifest of tomorrow",
        |home| replace(home, "\"schema_version\": 1", "\"schema_version\": 2"),
        "schema version 2",
    ),
    (
        "an unknown field",
        |home| replace(home, "\"d_token\"", "\"x\": 1, \"d_token\""),
        "unknown field `x`",
    ),
    (
        "thrift below nothing",
        |home| replace(home, "\"default_thrift\": 0.1", "\"default_thrift\": -0.1"),
        "default_thrift = -0.1",
    ),
    (
        "the policy of another model",
        |home| {
            let other = home.root.path().join("models/other");
            fixture::universal(&other, 2).unwrap();
            fixture::policy(&home.policy(), &other, Objective::Utility, 1).unwrap();
        },
        "it was trained for the backbone",
    ),
    (
        "a model with another ladder",
        |home| {
            edit(&home.model().join("visor.json"), |bytes| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                assert!(text.contains("\"sa2\""), "{text}");
                *bytes = text.replace("\"sa2\"", "\"mid\"").into_bytes();
            });
        },
        "the model has `sa0` [], `sa1` [3], `mid` [3, 5]",
    ),
];

#[test]
fn every_policy_that_cannot_be_used_is_an_error_that_names_why_and_nothing_is_written() {
    for (what, damage, says) in DAMAGES {
        let home = Home::new();
        damage(&home);
        let before = home.policy().is_dir().then(|| contents(&home.policy()));
        let error = home.ask(&[]).error(1);
        assert!(error.contains("the policy `router` cannot be used: "), "{what}: {error}");
        assert!(error.contains(says), "{what}: {error}");
        assert_eq!(home.policy().is_dir().then(|| contents(&home.policy())), before, "{what}");
    }
}

#[test]
fn inspect_shows_the_policy_and_what_it_costs_to_ask_it() {
    let home = Home::new();
    let info = home.inspect(&["--json", "--text-tokens", "6"]).json();
    let policy = &info["policy"];
    let keys: Vec<&String> = policy.as_object().unwrap().keys().collect();
    let expected = ["default_thrift", "name", "objective", "overhead_gflops", "sha256"];
    assert_eq!(keys, expected);
    assert_eq!((&policy["name"], &policy["objective"]), (&"router".into(), &"utility".into()));
    let (auto, rungs) = (home.json(&[]), info["rungs"].as_array().unwrap());
    assert_eq!(policy["sha256"], auto["policy"]["sha256"]);
    let chosen = rungs.iter().find(|rung| rung["name"] == auto["budget"]["chosen"]).unwrap();
    let gflops = |value: &Value| value.as_f64().unwrap();
    let expected = gflops(&chosen["gflops"]["end_to_end"]) + gflops(&policy["overhead_gflops"]);
    assert!((gflops(&auto["cost"]["gflops_end_to_end"]) - expected).abs() < 1e-9);
    let text = home.inspect(&[]).answer();
    let line = text.lines().find(|line| line.starts_with("policy ")).unwrap();
    assert!(
        line.contains("router: utility, thrift 0.1, ") && line.ends_with(" to choose"),
        "{line}"
    );
    fs::write(home.policy().join("policy.json"), "{").unwrap();
    assert!(home.inspect(&[]).error(1).contains("the policy `router` cannot be used"));
    fixture::name_policy(&home.model(), None).unwrap();
    assert_eq!(home.inspect(&["--json"]).json()["policy"], Value::Null);
    assert!(
        home.inspect(&[])
            .answer()
            .lines()
            .any(|line| { line.starts_with("policy ") && line.ends_with(" none") })
    );
}

#[test]
fn models_are_listed_with_their_policies() {
    let list = visor(["models"]).answer();
    let mut lines = list.lines();
    let Some(header) = lines.next() else { return };
    assert!(header.ends_with("policy"), "{list}");
    for line in lines {
        let name = line.split(' ').next().unwrap();
        let policy = visor(["inspect", "--json", "--model", name]).json()["policy"].clone();
        let named = policy["name"].as_str().unwrap_or("none");
        assert!(line.ends_with(&format!(" {named}")), "{line}");
    }
}
