//! Number formats of weights, from the command line and on the shipped model.

use crate::common::visor;
use tempfile::TempDir;
use visor::{Dtype, GenerationSettings, LoadOptions, Model, ModelRef, PolicyRef, Question};
use visor_tasks::{Split, Suite, SuiteName};
use visor_train::data::standard;

/// Questions that are asked in every format.
const QUESTIONS: u64 = 150;

#[test]
fn the_shipped_model_answers_in_fewer_bytes_as_in_single_precision() {
    let data = standard(Suite::new(SuiteName::Nano), Split::Test, 0..QUESTIONS).unwrap();
    let answers = |dtype: Dtype| -> Vec<String> {
        let model_ref: ModelRef = "nano".parse().unwrap();
        let options = LoadOptions::default().dtype(dtype).policy(PolicyRef::None);
        let model = Model::load(&model_ref, &options).unwrap();
        assert_eq!(model.card().dtype, dtype);
        let settings = GenerationSettings {
            max_new_tokens: std::num::NonZeroUsize::new(8),
            ..GenerationSettings::default()
        };
        let ask = |item: &visor_train::data::Item| {
            let question = Question::new(item.question.clone()).settings(settings.clone());
            let question = item
                .pictures
                .iter()
                .map(|picture| picture.pixels().unwrap())
                .fold(question, Question::picture);
            model.ask(question.budget("sa3".parse().unwrap())).unwrap().text
        };
        data.items.iter().map(ask).collect()
    };
    let single = answers(Dtype::F32);
    for (dtype, share) in [(Dtype::BF16, 0.97), (Dtype::F16, 0.99), (Dtype::Int8, 0.90)] {
        let got = answers(dtype);
        let same = got.iter().zip(&single).filter(|(got, single)| got == single).count();
        let found = same as f64 / single.len() as f64;
        assert!(found >= share, "{dtype}: {found} of the answers are the same");
    }
}

#[test]
fn a_model_is_stored_in_int8_and_answers_from_there() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("small");
    let out = out.to_str().unwrap();
    visor(["convert", "--model", "nano", "--dtype", "int8", "--out", out]).answer();
    let question = ["ask", "--budget", "sa2", "--dtype", "int8", "--json", "--raw-prompt"];
    let ask = |model: &str| {
        visor([&question[..], &["colour ?", "--model", model]].concat()).json()["token_ids"].clone()
    };
    assert_eq!(ask(out), ask("nano"));
    let conflict = ["convert", "--model", "nano", "--dtype", "int8", "--selector", "--out", out];
    assert!(visor(conflict).error(2).contains("--selector"));
    let other = ["convert", "--model", "nano", "--dtype", "int4", "--out", out];
    assert!(visor(other).error(2).contains("int8"));
}

#[test]
fn number_formats_are_timed_beside_each_other() {
    let args = ["bench", "speed", "--text-tokens", "8", "--threads", "1", "--new-tokens", "2"];
    let more = ["--shape", "nano", "--stages", "decode", "--budgets", "sa1", "--dtype"];
    let csv = visor([&args[..], &more, &["f32,bf16,int8", "--format", "csv"]].concat()).answer();
    let formats: Vec<&str> =
        csv.lines().skip(1).map(|line| line.rsplit(',').next().unwrap()).collect();
    assert_eq!(formats, ["bf16", "f32", "int8"], "{csv}");
    let error = visor([&args[..], &more, &["f32,half"]].concat()).error(2);
    assert!(error.contains("expected f32, bf16, f16 or int8"), "{error}");
}
