//! Training as a whole: it learns, it is repeatable, it goes on exactly where it stopped.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use visor_runtime::device::{DeviceRequest, open, training};
use visor_train::recipe::{Precision, Sampling, Steps};
use visor_train::run::{Progress, Rhythm, run};
use visor_train::{Arm, Recipe, TrainError, Trainer};

fn device() -> burn::tensor::Device {
    training(&open(DeviceRequest::Cpu).expect("the CPU is always there"))
}

fn short(visual: u64, alternating: u64, universal: u64) -> Recipe {
    let mut recipe = Recipe::nano(5);
    recipe.batch = 4;
    recipe.steps = Steps { visual, alternating, universal };
    recipe
}

fn rhythm() -> Rhythm {
    Rhythm { log: 1, save: 100, validate: 1000, pictures: 7 }
}

fn weights(trainer: &Trainer) -> Vec<f32> {
    let (network, _) = trainer.for_inference();
    let tensors = visor_model::weights::named(&network);
    tensors.iter().flat_map(|tensor| tensor.data.iter().copied()).collect()
}

/// Runs to the end in `folder`, or to `stop_after` steps.
fn train(recipe: &Recipe, folder: &Path, stop_after: Option<u64>) -> Result<Trainer, TrainError> {
    let stop = AtomicBool::new(false);
    run(recipe, folder, &device(), rhythm(), &stop, &mut |progress| {
        if let Progress::Stepped(report) = progress
            && Some(report.step) == stop_after
        {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    })
}

#[test]
fn forty_steps_on_the_same_pictures_lower_every_loss() {
    let mut recipe = short(15, 10, 15);
    recipe.batch = 8;
    let mut trainer = Trainer::new(&recipe, &device()).expect("a trainer");
    // The same pictures in every step: batches differ more than a few steps can learn.
    let batches = trainer.feed().batches(0).expect("batches");
    let mut step = || trainer.step(&batches).expect("a step");
    let reports: Vec<_> = (0..40).map(|_| step()).collect();
    let (first, last) = (&reports[0], &reports[14]);
    assert!(last.alignment < 0.8 * first.alignment, "{first:?} {last:?}");
    assert!(last.refinement < 0.8 * first.refinement, "{first:?} {last:?}");
    let (first, last) = (&reports[15].answers, &reports[39].answers);
    assert_eq!(last.len(), 3, "the largest, the smallest and one between: {last:?}");
    assert!(last[0].1 < 0.7 * first[0].1 && last[1].1 < 0.7 * first[1].1, "{first:?} {last:?}");
}

#[test]
fn products_in_halves_train_as_single_precision_does_but_for_their_rounding() {
    let mut recipe = short(2, 5, 5);
    recipe.batch = 4;
    let trained = |precision| {
        let recipe = Recipe { precision, ..recipe.clone() };
        let mut trainer = Trainer::new(&recipe, &device()).expect("a trainer");
        let batches = trainer.feed().batches(0).expect("batches");
        let reports: Vec<_> = (0..12).map(|_| trainer.step(&batches).expect("a step")).collect();
        (weights(&trainer), reports)
    };
    let (single, by_single) = trained(Precision::F32);
    let (mixed, by_halves) = trained(Precision::Bf16);
    assert_ne!(single, mixed, "products were rounded");
    for (a, b) in by_single.iter().zip(&by_halves) {
        let near = |a: f32, b: f32| (a - b).abs() <= 0.02 * a.abs().max(0.1);
        assert!(near(a.alignment, b.alignment) && near(a.refinement, b.refinement), "{a:?} {b:?}");
        assert!(near(a.gradient_norm, b.gradient_norm), "{a:?} {b:?}");
    }
    let last = |reports: &[visor_train::trainer::StepReport]| reports[11].answers[0].1;
    let (a, b) = (last(&by_single), last(&by_halves));
    assert!((a - b).abs() < 0.05 * a, "{a} and {b}");
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_bits() {
    let whole = tempfile::tempdir().expect("a folder");
    let parts = tempfile::tempdir().expect("a folder");
    let recipe = short(2, 3, 3);
    let uninterrupted = train(&recipe, whole.path(), None).expect("a run");
    for stop in [1, 4] {
        let stopped = train(&recipe, parts.path(), Some(stop)).map(|_| ());
        assert!(matches!(stopped, Err(TrainError::Stopped { step }) if step == stop));
    }
    let resumed = train(&recipe, parts.path(), None).expect("the rest of the run");
    assert_eq!(resumed.steps_done(), 8);
    let (a, b) = (weights(&uninterrupted), weights(&resumed));
    assert!(a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits()), "weights differ");
    let log = std::fs::read_to_string(parts.path().join("log.jsonl")).expect("a log");
    let steps: Vec<&str> = log.lines().filter(|line| line.contains("\"step\",")).collect();
    assert_eq!(steps.len(), 8, "one line a step, none twice: {log}");
}

#[test]
fn another_recipe_does_not_go_on_from_a_saved_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let recipe = short(1, 1, 1);
    train(&recipe, folder.path(), None).expect("a run");
    let other = Recipe { learning_rate: 1e-3, ..recipe };
    let error = train(&other, folder.path(), None).map(|_| ()).expect_err("another recipe");
    assert!(matches!(error, TrainError::OtherRun { field: "learning rate", .. }), "{error}");
}

#[test]
fn a_damaged_state_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let recipe = short(1, 0, 0);
    train(&recipe, folder.path(), None).expect("a run");
    let path = folder.path().join("state.safetensors");
    let bytes = std::fs::read(&path).expect("a state");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("a cut state");
    let error = train(&recipe, folder.path(), None).map(|_| ()).expect_err("a cut state");
    assert!(error.to_string().contains("state.safetensors"), "{error}");
}

#[test]
fn a_loss_that_is_no_number_stops_with_step_and_pass() {
    let mut recipe = short(0, 40, 0);
    recipe.learning_rate = 1e30;
    let folder = tempfile::tempdir().expect("a folder");
    let error = train(&recipe, folder.path(), None).map(|_| ()).expect_err("it must diverge");
    assert!(matches!(error, TrainError::NonFinite { step: 2.., .. }), "{error}");
}

/// What begins at zero and need not have moved after a few steps.
fn may_be_zero(name: &str) -> bool {
    name.ends_with("bias") || name == "conditional.weight"
}

#[test]
fn every_arm_and_way_of_sampling_takes_a_step_in_every_stage() {
    for arm in Arm::ALL {
        for sampling in [Sampling::Sandwich, Sampling::One] {
            let mut recipe = short(1, 2, 2).with_arm(arm);
            recipe.batch = 2;
            recipe.sampling = sampling;
            recipe.accumulate = 2;
            let folder = tempfile::tempdir().expect("a folder");
            let trainer = train(&recipe, folder.path(), None).expect("a run");
            let (network, _) = trainer.for_inference();
            for tensor in visor_model::weights::named(&network) {
                let name = &tensor.name;
                assert!(tensor.data.iter().all(|w| w.is_finite()), "{arm:?} {sampling:?} {name}");
                let nothing = tensor.data.iter().all(|w| *w == 0.0);
                let still = name == "conditional.weight" && arm == Arm::NoConditionalPosition;
                assert!(nothing || !still, "{arm:?} {sampling:?} {name} has learned");
                assert!(!nothing || may_be_zero(name), "{arm:?} {sampling:?} {name} is not there");
            }
        }
    }
}

#[test]
fn a_recipe_that_cannot_be_followed_is_refused_by_field() {
    for (field, spoil) in [
        ("batch", (|r| r.batch = 0) as fn(&mut Recipe)),
        ("accumulate", |r| r.accumulate = 0),
        ("steps", |r| r.steps = Steps { visual: 0, alternating: 0, universal: 0 }),
        ("learning_rate", |r| r.learning_rate = f64::NAN),
        ("d_model / n_heads", |r| r.sizes.n_heads = 7),
    ] {
        let mut recipe = short(1, 1, 1);
        spoil(&mut recipe);
        let error = Trainer::new(&recipe, &device()).map(|_| ()).expect_err(field);
        assert!(matches!(&error, TrainError::Recipe { field: f, .. } if *f == field), "{error}");
    }
    let mut recipe = short(1, 1, 1);
    recipe.families = vec![("juggling".to_owned(), 1)];
    let error = Trainer::new(&recipe, &device()).map(|_| ()).expect_err("no such family");
    assert!(error.to_string().contains("juggling"), "{error}");
}
