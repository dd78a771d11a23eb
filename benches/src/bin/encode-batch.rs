//! Pictures through the encoder on the processor: side by side, and one after another. Writes a
//! record; `--model DIR` (several), `--out FILE`.
#![expect(clippy::print_stdout, reason = "the record also goes to the terminal")]

use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::slice::from_ref;
use std::time::Instant;
use visor_benches::Environment;
use visor_checkpoint::{Checkpoint, Source};
use visor_model::VisorModel;
use visor_processor::{Filter, ImageProcessor, Normalization, Picture, ProcessedPicture};
use visor_runtime::device::{DeviceRequest, open};
use visor_runtime::{Backbone, Cancel, Encode};

#[derive(Serialize)]
struct Record {
    schema_version: u32,
    environment: Environment,
    threads: String,
    rows: Vec<Row>,
}

/// Times are the least of the rounds, in which both take turns.
#[derive(Serialize)]
struct Row {
    model: String,
    pictures: usize,
    rounds: usize,
    together_ms: f64,
    apart_ms: f64,
}

/// Numbers of pictures.
const BATCHES: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Pictures that are encoded in all rounds of a row.
const PICTURES: usize = 320;

fn main() -> Result<()> {
    let (mut out, mut models) = (None, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--out" => out = Some(value),
            "--model" => models.push(value),
            other => bail!("unknown option {other}: expected --model DIR or --out FILE"),
        }
    }
    let mut rows = Vec::new();
    for model in &models {
        rows.extend(measure(model)?);
    }
    let record = Record {
        schema_version: 1,
        environment: Environment::here(),
        threads: std::env::var("RAYON_NUM_THREADS").unwrap_or_else(|_| "all".to_owned()),
        rows,
    };
    let json = serde_json::to_string_pretty(&record)?;
    println!("{json}");
    if let Some(out) = out {
        std::fs::write(&out, json + "\n").with_context(|| format!("cannot write {out}"))?;
    }
    Ok(())
}

fn measure(folder: &str) -> Result<Vec<Row>> {
    let checkpoint = Checkpoint::open(Source::Folder(folder.into()))?;
    let device = open(DeviceRequest::Cpu)?;
    let load = || -> Result<VisorModel> { Ok(VisorModel::load(&checkpoint, &device)?.0) };
    let (wide, narrow) = (load()?.with_encoder_batch(usize::MAX), load()?.with_encoder_batch(1));
    let size = wide.network().vision().image_size() as u32;
    let processor = ImageProcessor::Whole {
        size,
        filter: Filter::Bicubic,
        normalization: Normalization::default(),
    };
    let most = BATCHES[BATCHES.len() - 1];
    let pictures = (0..most as u32).map(|seed| Ok(processor.process(&drawn(seed)?)?));
    let pictures = pictures.collect::<Result<Vec<_>>>()?;
    let row = |n: usize| -> Result<Row> {
        let rounds = PICTURES / n;
        let (mut together_ms, mut apart_ms) = (f64::MAX, f64::MAX);
        for _ in 0..rounds {
            together_ms = encode(&wide, &pictures[..n])?.min(together_ms);
            apart_ms = encode(&narrow, &pictures[..n])?.min(apart_ms);
        }
        let model = narrow.card().name.clone();
        Ok(Row { model, pictures: n, rounds, together_ms, apart_ms })
    };
    BATCHES.into_iter().map(row).collect()
}

/// Milliseconds for a batch.
fn encode(model: &VisorModel, pictures: &[ProcessedPicture]) -> Result<f64> {
    let cancel = Cancel::new();
    let sample = |picture| Encode { pictures: from_ref(picture), owners: vec![&cancel] };
    let samples: Vec<_> = pictures.iter().map(sample).collect();
    let start = Instant::now();
    for encoded in model.encode_batch(&samples) {
        encoded?;
    }
    Ok(1e3 * start.elapsed().as_secs_f64())
}

/// A picture of stripes.
fn drawn(seed: u32) -> Result<Picture> {
    const SIDE: u32 = 64;
    let value = |i: u32| ((i * (seed + 3)) % 251) as u8;
    Ok(Picture::from_rgb(SIDE, SIDE, (0..SIDE * SIDE * 3).map(value).collect())?)
}
