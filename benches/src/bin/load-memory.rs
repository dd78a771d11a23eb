//! How long a checkpoint takes to load and how much memory of its own that needs: `load-memory
//! --name NAME --model DIR --out FILE [--dtype F] [--rounds N] [--visor BINARY]`. Every round is a process of
//! its own, so that nothing is left of the one before; the file has been read before the first that
//! counts, and its hash is trusted by its stamp, as in every load but the first. With `--visor` the
//! time of `visor inspect` is taken too. Linux alone tells what is needed.
#![expect(clippy::print_stdout, reason = "the record also goes to the terminal")]

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use visor_benches::Environment;
use visor_benches::environment::load;
use visor_benches::speed::clock::Clock;
use visor_benches::speed::record::Times;
use visor_checkpoint::files::STAMP;
use visor_model::VisorModel;
use visor_runtime::device::{DeviceRequest, open};
use visor_runtime::{Backbone, Dtype};
use visor_train::{Checkpoint, Source};

/// Bytes of a number in single precision, which memory is held against.
const SINGLE: u64 = 4;
/// Between two looks at the memory in use.
const LOOK: Duration = Duration::from_millis(2);

#[derive(Serialize)]
struct Record {
    schema_version: u32,
    environment: Environment,
    load_before: Option<f64>,
    /// The published model whose shape it is.
    name: String,
    tensors: usize,
    parameters: u64,
    file_bytes: u64,
    /// The number format that matrices are held in.
    dtype: String,
    /// The weights in single precision.
    weight_bytes: u64,
    rounds: usize,
    /// The load that hashes the file, which is done once.
    first_load_ms: f64,
    load_ms: Times,
    /// What processors have worked for it: what is left to go by on a machine that others work on.
    load_cpu_ms: Times,
    /// The most memory that was the process's own and no file's, less what it had before.
    peak_anonymous_bytes: u64,
    /// That over the weights.
    ratio: f64,
    /// The same once it is loaded.
    held_anonymous_bytes: u64,
    inspect_ms: Option<Times>,
}

/// What a round tells.
#[derive(Serialize, Deserialize)]
struct Round {
    ms: f64,
    cpu_ms: f64,
    peak_anonymous_bytes: u64,
    held_anonymous_bytes: u64,
    tensors: usize,
    parameters: u64,
}

fn main() -> Result<()> {
    let (mut name, mut model, mut out, mut visor, mut rounds, mut once, mut dtype) =
        (None, None, None, None, 7_usize, None, Dtype::F32);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--name" => name = Some(value),
            "--model" => model = Some(PathBuf::from(value)),
            "--out" => out = Some(PathBuf::from(value)),
            "--visor" => visor = Some(PathBuf::from(value)),
            "--rounds" => rounds = value.parse().context("--rounds takes a number")?,
            "--dtype" => dtype = value.parse()?,
            "--once" => once = Some(PathBuf::from(value)),
            other => {
                bail!("unknown option {other}: expected --name, --model, --out, --dtype, --rounds")
            }
        }
    }
    if let Some(model) = once {
        println!("{}", serde_json::to_string(&round(model, dtype)?)?);
        return Ok(());
    }
    let (Some(name), Some(model)) = (name, model) else { bail!("expected --name and --model") };
    let load_before = load();
    let file_bytes = file_bytes(&model)?;
    // The first load is one that hashes.
    if let Err(error) = fs::remove_file(model.join(STAMP))
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error).context("cannot remove the stamp of an earlier verification");
    }
    let first = child(&model, dtype)?;
    let all = (0..rounds.max(1)).map(|_| child(&model, dtype)).collect::<Result<Vec<Round>>>()?;
    let times: Vec<f64> = all.iter().map(|round| round.ms).collect();
    let peak = all.iter().map(|round| round.peak_anonymous_bytes).max().unwrap_or_default();
    let inspect = match visor {
        None => None,
        Some(visor) => {
            let times = (0..rounds.max(1)).map(|_| inspected(&visor, &model));
            Some(Times::of(times.collect::<Result<Vec<f64>>>()?).context("no round")?)
        }
    };
    let weight_bytes = first.parameters * SINGLE;
    let held = all.iter().map(|round| round.held_anonymous_bytes).max().unwrap_or_default();
    let record = Record {
        schema_version: 1,
        environment: Environment::here(),
        load_before,
        name,
        tensors: first.tensors,
        parameters: first.parameters,
        file_bytes,
        dtype: dtype.to_string(),
        weight_bytes,
        rounds,
        first_load_ms: first.ms,
        load_ms: Times::of(times).context("no round")?,
        load_cpu_ms: Times::of(all.iter().map(|round| round.cpu_ms).collect())
            .context("no round")?,
        peak_anonymous_bytes: peak,
        ratio: peak as f64 / weight_bytes as f64,
        held_anonymous_bytes: held,
        inspect_ms: inspect,
    };
    let json = format!("{}\n", serde_json::to_string_pretty(&record)?);
    if let Some(out) = out {
        fs::write(&out, &json).with_context(|| format!("cannot write {}", out.display()))?;
    }
    print!("{json}");
    Ok(())
}

fn file_bytes(model: &std::path::Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(model).with_context(|| format!("no folder {}", model.display()))? {
        let entry = entry?;
        if entry.path().extension() == Some("safetensors".as_ref()) {
            sum += entry.metadata()?.len();
        }
    }
    Ok(sum)
}

/// A round in a process of its own.
fn child(model: &std::path::Path, dtype: Dtype) -> Result<Round> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["--dtype", &dtype.to_string(), "--once"]).arg(model).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Loads a model and watches what that takes.
fn round(model: PathBuf, dtype: Dtype) -> Result<Round> {
    let device = open(DeviceRequest::Cpu)?;
    let before = anonymous().context("the system does not tell what memory is used")?;
    let (peak, done) = (AtomicU64::new(before), AtomicBool::new(false));
    let (ms, cpu_ms, loaded, tensors) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(anonymous().unwrap_or_default(), Ordering::Relaxed);
                std::thread::sleep(LOOK);
            }
        });
        let start = Instant::now();
        let mut loaded = None;
        let cpu = Clock::Cpu.seconds(|| loaded = Some(opened(model, dtype, &device)));
        let ms = start.elapsed().as_secs_f64() * 1e3;
        peak.fetch_max(anonymous().unwrap_or_default(), Ordering::Relaxed);
        done.store(true, Ordering::Relaxed);
        let (model, tensors) = loaded.context("nothing was loaded")??;
        anyhow::Ok((ms, 1e3 * cpu, model, tensors))
    })?;
    let held = anonymous().unwrap_or_default().saturating_sub(before);
    Ok(Round {
        ms,
        held_anonymous_bytes: held,
        cpu_ms,
        peak_anonymous_bytes: peak.into_inner().saturating_sub(before),
        tensors,
        parameters: loaded.card().parameters,
    })
}

/// The model with the number of its tensors on disk.
fn opened(model: PathBuf, dtype: Dtype, device: &Device) -> Result<(VisorModel, usize)> {
    let checkpoint = Checkpoint::open(Source::Folder(model))?;
    let tensors = checkpoint.weights()?.names().count();
    Ok((VisorModel::load_as(&checkpoint, dtype, device)?.0, tensors))
}

/// Resident memory of this process that belongs to no file, in bytes.
fn anonymous() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// Milliseconds that `visor inspect` takes, its start included.
fn inspected(visor: &std::path::Path, model: &std::path::Path) -> Result<f64> {
    let start = Instant::now();
    let status = Command::new(visor)
        .args(["inspect", "--json", "--model"])
        .arg(model)
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("{} inspect has failed", visor.display());
    }
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
