//! Training throughput of the nano recipe: questions a second in each stage, and pictures
//! generated a second. Writes a record; `--out FILE`, `--steps N` measured steps a stage.
#![expect(clippy::print_stdout, reason = "the record also goes to the terminal")]

use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::time::Instant;
use visor_benches::{Environment, quantile};
use visor_runtime::device::{DeviceRequest, open, training};
use visor_tasks::{Mixture, Split, Suite, SuiteName};
use visor_train::recipe::Steps;
use visor_train::{Recipe, Trainer};

#[derive(Serialize)]
struct Record {
    schema_version: u32,
    environment: Environment,
    threads: String,
    recipe: Recipe,
    stages: Vec<Stage>,
    generator: Generator,
}

#[derive(Serialize)]
struct Stage {
    name: &'static str,
    steps: u64,
    median_step_ms: f64,
    p95_step_ms: f64,
    questions_per_second: f64,
}

#[derive(Serialize)]
struct Generator {
    pictures: u64,
    pictures_per_second_on_one_thread: f64,
}

/// Steps before measuring starts.
const WARM_UP: u64 = 3;

fn main() -> Result<()> {
    let (mut out, mut steps) = (None, 20);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--out" => out = Some(value),
            "--steps" => steps = value.parse().context("--steps takes a number")?,
            other => bail!("unknown option {other}: expected --out FILE or --steps N"),
        }
    }
    let stage = |name, visual, alternating, universal| -> Result<Stage> {
        measure(name, steps, Steps { visual, alternating, universal })
    };
    let all = steps + WARM_UP;
    let record = Record {
        schema_version: 1,
        environment: Environment::here(),
        threads: std::env::var("RAYON_NUM_THREADS").unwrap_or_else(|_| "all".to_owned()),
        recipe: Recipe::nano(1),
        stages: vec![
            stage("visual", all, 0, 0)?,
            stage("alternating", 0, all, 0)?,
            stage("universal", 0, 0, all)?,
        ],
        generator: generate(20_000)?,
    };
    let json = serde_json::to_string_pretty(&record)?;
    println!("{json}");
    if let Some(out) = out {
        std::fs::write(&out, json + "\n").with_context(|| format!("cannot write {out}"))?;
    }
    Ok(())
}

fn measure(name: &'static str, steps: u64, curriculum: Steps) -> Result<Stage> {
    let device = training(&open(DeviceRequest::Cpu)?);
    let mut recipe = Recipe::nano(1);
    recipe.steps = curriculum;
    let mut trainer = Trainer::new(&recipe, &device)?;
    let feed = trainer.feed();
    let (mut times, mut questions) = (Vec::new(), 0);
    for step in 0..steps + WARM_UP {
        let batches = feed.batches(step)?;
        let start = Instant::now();
        let report = trainer.step(&batches)?;
        if step >= WARM_UP {
            times.push(start.elapsed().as_secs_f64());
            questions += report.questions;
        }
    }
    let at = |share| -> Result<f64> {
        Ok(1e3 * quantile(&times, share).context("--steps must be at least 1")?)
    };
    Ok(Stage {
        name,
        steps,
        median_step_ms: at(0.5)?,
        p95_step_ms: at(0.95)?,
        questions_per_second: questions as f64 / times.iter().sum::<f64>(),
    })
}

fn generate(pictures: u64) -> Result<Generator> {
    let suite = Suite::new(SuiteName::Nano);
    let mixture = Mixture::uniform(suite.families())?;
    let start = Instant::now();
    let pixels: usize = (0..pictures)
        .map(|i| suite.sample(Split::Train, mixture.pick(i), i).picture.rgb.len())
        .sum();
    let seconds = start.elapsed().as_secs_f64();
    anyhow::ensure!(pixels > 0, "pictures have pixels");
    Ok(Generator { pictures, pictures_per_second_on_one_thread: pictures as f64 / seconds })
}
