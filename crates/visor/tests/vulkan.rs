//! The same answers on Vulkan as on the processor: with `--features wgpu`, on a machine that has a
//! driver. Mesa's lavapipe, which computes on the processor, is one; without any, these tests fail.
#![cfg(feature = "wgpu")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use visor::{BudgetRequest, DeviceRequest, Dtype, LoadOptions, Model, ModelRef, Question};

/// Largest error that single precision in another order of sums excuses, as a share of the largest
/// value of a seam.
const SINGLE: f64 = 2e-5;
/// The same of products in half precision.
const HALF: f64 = 2e-2;

fn load(model: &ModelRef, device: DeviceRequest, dtype: Dtype) -> Model {
    Model::load(model, &LoadOptions::default().device(device).dtype(dtype)).expect("loads")
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn nano(device: DeviceRequest) -> Model {
    load(&ModelRef::Shipped("nano"), device, Dtype::F32)
}

/// Every so manieth of the samples that come with nano.
fn samples(step: usize) -> Vec<Question> {
    let samples = folder("../../models/nano/samples");
    let text = fs::read_to_string(samples.join("samples.jsonl")).expect("samples");
    let of_line = |line: &str| {
        let sample: Value = serde_json::from_str(line).expect("a sample");
        let picture = samples.join(sample["image"].as_str().expect("a picture"));
        Question::new(sample["question"].as_str().expect("a question")).picture_file(&picture)
    };
    text.lines().step_by(step).map(of_line).collect()
}

#[test]
fn nano_answers_on_vulkan_as_on_the_processor_at_every_rung_and_with_its_policy() {
    let (vulkan, processor) = (nano(DeviceRequest::Wgpu), nano(DeviceRequest::Cpu));
    for budget in ["sa0", "sa1", "sa2", "sa3", "auto"] {
        let budget: BudgetRequest = budget.parse().expect("a budget");
        for question in samples(24) {
            let asked = question.budget(budget.clone());
            let (got, want) = (vulkan.ask(asked.clone()), processor.ask(asked));
            let (got, want) = (got.expect("an answer"), want.expect("an answer"));
            assert_eq!(got.token_ids, want.token_ids, "{budget:?}: {}", want.text);
            assert_eq!(got.decided.name, want.decided.name);
        }
    }
}

#[test]
fn every_recorded_seam_of_every_family_is_reproduced_on_vulkan() {
    // Shaders are compiled for every shape, by lavapipe on the processor: one folder a family.
    for (name, dtype, tolerance) in [
        ("idefics3", Dtype::F32, SINGLE),
        ("llava-onevision", Dtype::F32, SINGLE),
        ("idefics3", Dtype::F16, HALF),
    ] {
        let golden = folder("tests/goldens").join(name);
        let model = load(&ModelRef::Folder(golden.clone()), DeviceRequest::Wgpu, dtype);
        let parity = model.verify(&golden, None).expect("compared");
        // In halves answers may part at a near tie.
        let parted = |seam: &str| dtype == Dtype::F16 && seam.starts_with("generated_ids");
        let failures = parity.failures(tolerance).into_iter();
        let failures: Vec<_> = failures.filter(|failure| !parted(&failure.seam)).collect();
        assert!(failures.is_empty(), "{name} in {dtype}: {failures:#?}");
        assert!(parity.seams.len() > 15, "{name} compared {} seams", parity.seams.len());
    }
}
