//! The shipped model and its sample pictures. A build that ships no model has nothing to show.

use crate::common::visor;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The samples of the default model.
fn samples() -> Option<PathBuf> {
    let models = visor(["models"]).answer();
    let name = models.lines().nth(1)?.split(' ').next()?.to_owned();
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name).join("samples"))
}

#[test]
fn the_default_model_answers_most_questions_about_its_samples() {
    let Some(folder) = samples() else { return };
    let list = fs::read_to_string(folder.join("samples.jsonl")).unwrap();
    let mut by_family: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in list.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        by_family.entry(row["family"].as_str().unwrap().to_owned()).or_default().push(row);
    }
    let (mut right, mut asked) = (0, 0);
    for (family, rows) in &by_family {
        assert!(rows.len() >= 8, "{} samples of {family}", rows.len());
        for row in rows.iter().step_by(rows.len() / 4) {
            let picture = folder.join(row["image"].as_str().unwrap());
            let question = row["question"].as_str().unwrap();
            let args = ["ask", "--image", picture.to_str().unwrap(), question];
            asked += 1;
            right += usize::from(visor(args).answer().trim() == row["answer"].as_str().unwrap());
        }
    }
    assert!(right * 10 >= asked * 8, "{right} of {asked} answers are right");
}

#[test]
fn the_default_model_is_the_one_that_no_name_means() {
    if samples().is_none() {
        return;
    }
    let models = visor(["models"]).answer();
    let name = models.lines().nth(1).unwrap().split(' ').next().unwrap();
    let named = visor(["inspect", "--json", "--model", name]).json();
    assert_eq!(visor(["inspect", "--json"]).json(), named);
    assert_eq!(named["model"], name);
    let error = visor(["ask", "--budget", "sa99", "count red ?"]).error(2);
    assert!(error.contains("`sa0`"), "{error}");
}
