//! `visor bench speed`: how long the stages take, one row a combination.

use crate::bench::bar::Bar;
use crate::bench::format::RowFormat;
use crate::ending::Usage;
use crate::files;
use crate::interrupt::{self, Interrupt};
use crate::loading;
use crate::model::{ModelChoice, failed};
use crate::output;
use crate::untrained;
use anyhow::{Context as _, Error, Result, bail};
use clap::Args;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use visor::{DeviceRequest, Dtype, LoadOptions, Model, PolicyRef};
use visor_benches::Environment;
use visor_benches::environment::load;
use visor_benches::speed::SpeedError;
use visor_benches::speed::clock::Clock;
use visor_benches::speed::gate::gate;
use visor_benches::speed::peer::{Peer, Script};
use visor_benches::speed::plan::Plan;
use visor_benches::speed::record::{Context, ModelIdentity, SpeedRecord};
use visor_benches::speed::render::render;
use visor_benches::speed::shapes::{Built, Shape};
use visor_benches::speed::stage::Stage;
use visor_benches::speed::subject::Subject;
use visor_runtime::device;

/// Time the stages of a model: rungs, tiles, batches, threads and devices against each other
///
/// Every combination takes turns with every other, and with another program where one is asked for.
/// Lists have commas between; numbers may be ranges, as `1-4`.
#[derive(Args)]
pub(crate) struct Speed {
    #[command(flatten)]
    model: ModelChoice,

    /// Random weights of a published shape in place of a model: nano, smolvlm-256m, smolvlm-500m or
    /// llava-ov-0.5b
    #[arg(long, value_name = "NAME", conflicts_with = "model")]
    shape: Option<String>,

    /// Gives the shape a patch selector of random weights
    #[arg(long, requires = "shape")]
    selector: bool,

    /// Pixels a side of a picture that is one tile, each of whose patches is a visual token
    #[arg(long, value_name = "N", requires = "shape", conflicts_with = "peer")]
    pixels: Option<NonZeroUsize>,

    /// Stages: preprocess, encode, prefill, warm-prefill (a second question about a kept picture),
    /// decode, first-token, end-to-end
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "preprocess,encode,prefill,decode,first-token,end-to-end"
    )]
    stages: Vec<Stage>,

    /// Budgets: `all`, or rungs and `dense`; a rung that reads chosen patches as `sa0:16` or
    /// `sa0:auto`
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "all")]
    budgets: Vec<String>,

    /// Tiles that the picture is cut into
    #[arg(long, value_name = "LIST", default_value = "1")]
    tiles: Numbers,

    /// Requests at once
    #[arg(long, value_name = "LIST", default_value = "1")]
    batch: Numbers,

    /// Threads that compute on the processor [default: one for each hardware thread]
    #[arg(long, value_name = "LIST")]
    threads: Option<Numbers>,

    /// Devices: cpu, wgpu, cuda or cuda:N
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "cpu")]
    device: Vec<DeviceRequest>,

    /// Number formats that weights are held in: f32, f16, bf16 (cpu and cuda) or int8 (cpu alone)
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "f32")]
    dtype: Vec<Dtype>,

    /// What time is measured by: `wall`, or `cpu` with one thread, for a machine that others work
    /// on
    #[arg(long, value_name = "CLOCK", default_value = "wall")]
    clock: Clock,

    /// Text tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 30,
          value_parser = clap::value_parser!(u16).range(1..))]
    text_tokens: u16,

    /// Decode steps
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u16).range(1..))]
    new_tokens: u16,

    /// Rounds that count
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(5..=10_000))]
    repetitions: u16,

    /// Rounds before the first that counts; the first watches memory
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    warm_up: u16,

    /// Another program that takes turns: `transformers`, or a script that speaks the same lines
    #[arg(long, value_name = "PEER")]
    peer: Option<String>,

    /// The Python that the peer runs by
    #[arg(long, value_name = "PATH", default_value = "python3", requires = "peer")]
    python: String,

    /// The number format that the peer computes in: f32 or bf16
    #[arg(long, value_name = "FORMAT", default_value = "f32", requires = "peer",
          value_parser = peer_dtype)]
    peer_dtype: Dtype,

    /// Folder for the record
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// What is printed
    #[arg(long, value_enum, default_value = "md")]
    format: RowFormat,

    /// An older record to hold this one against; ends with 1 where something is slower
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,

    /// By how much a row may be slower than in the older record, as a share
    #[arg(long, value_name = "SHARE", default_value_t = 0.10, requires = "compare")]
    threshold: f64,
}

/// Numbers and ranges with commas between: `1,4-6`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbers(Vec<usize>);

/// More is a slip of the finger.
const MOST: usize = 1024;

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected numbers from 1 to {MOST} or ranges, as `1,4-6`");
        let number = |text: &str| {
            let number = text.trim().parse().ok().filter(|n| (1..=MOST).contains(n));
            number.ok_or_else(wrong)
        };
        let mut numbers = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(wrong());
            }
            numbers.extend(first..=last);
        }
        numbers.dedup();
        Ok(Self(numbers))
    }
}

/// What is measured, as long as it is needed.
enum Loaded {
    Checkpoint(Box<Model>),
    Shape(Box<Built>),
}

impl Loaded {
    fn subject(&self) -> Subject<'_> {
        match self {
            Self::Checkpoint(model) => {
                let runner = model.runner();
                Subject { model: runner.model(), processor: runner.image_processor() }
            }
            Self::Shape(built) => built.subject(),
        }
    }
}

impl Speed {
    pub(crate) fn run(&self) -> Result<()> {
        let old = self.compare.as_deref().map(old_record).transpose()?;
        let shape = self.shape.as_deref().map(Shape::from_str).transpose().map_err(usage)?;
        let shape = shape.map(|shape| if self.selector { shape.with_selector() } else { shape });
        let shape = shape.map(|shape| match self.pixels {
            Some(pixels) => shape.with_pixels(pixels),
            None => shape,
        });
        let before = load();
        let mut dtypes = self.dtype.clone();
        dtypes.dedup();
        let pairs = self.device.iter().flat_map(|&device| dtypes.iter().map(move |&d| (device, d)));
        let loaded = pairs.map(|(device, dtype)| {
            Ok((device.to_string(), self.load(shape.as_ref(), device, dtype)?))
        });
        let loaded = loaded.collect::<Result<Vec<(String, Loaded)>>>()?;
        let subjects: Vec<(String, Subject<'_>)> =
            loaded.iter().map(|(device, loaded)| (device.clone(), loaded.subject())).collect();
        let (_, first) = subjects.first().context("a list of devices is never empty")?;
        let hardware = || vec![std::thread::available_parallelism().map_or(1, usize::from)];
        let identity = identity(first, &dtypes);
        let levels = first.levels_called(&self.budgets).map_err(usage)?;
        // The weights of a shape are random, and were asked for.
        if let Some((_, Loaded::Checkpoint(model))) = loaded.first() {
            untrained::warn(model, levels.iter().map(|(_, level)| level.patches()));
        }
        let plan = Plan {
            levels,
            subjects: subjects.clone(),
            stages: self.stages.clone(),
            tiles: self.tiles.0.clone(),
            batches: self.batch.0.clone(),
            threads: self.threads.clone().map_or_else(hardware, |Numbers(threads)| threads),
            clock: self.clock,
            text_tokens: usize::from(self.text_tokens),
            new_tokens: usize::from(self.new_tokens),
            warm_up: usize::from(self.warm_up),
            repetitions: usize::from(self.repetitions),
        };
        let examples = plan.examples().map_err(usage)?;
        let interrupt = Interrupt::watch(interrupt::stopping)?;
        let mut peer = self.peer(shape.as_ref())?;
        let bar = Bar::new();
        let mut tell = |what: &str, done: usize, all: usize| bar.tell(what, done, all);
        let observed = plan.run(&examples, peer.as_mut(), interrupt.flag(), &mut tell);
        let observed = observed.map_err(usage)?;
        bar.end();
        let context = Context {
            environment: Environment::here(),
            model: identity,
            load: before.zip(load()).map(|(before, after)| [before, after]),
            peer: peer.map(|peer| peer.name.clone()),
        };
        let record = SpeedRecord::new(&plan, &examples, &observed, context);
        if let Some(folder) = &self.out {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
            files::write(&folder.join("record.json"), record.to_json()?.as_bytes())?;
        }
        output::part(&render(&record, self.format.into())?)?;
        match old {
            Some(old) => self.judge(&old, &record),
            None => Ok(()),
        }
    }

    fn load(&self, shape: Option<&Shape>, device: DeviceRequest, dtype: Dtype) -> Result<Loaded> {
        device::check_dtype(device, dtype)?;
        match shape {
            Some(shape) => {
                let opened = device::open_for(device, dtype)?;
                Ok(Loaded::Shape(Box::new(shape.build(dtype, &opened)?)))
            }
            None => {
                let options =
                    LoadOptions::default().device(device).dtype(dtype).policy(PolicyRef::None);
                let model = loading::load(&self.model.find()?, &options).map_err(failed)?;
                Ok(Loaded::Checkpoint(Box::new(model)))
            }
        }
    }

    /// Starts the peer, which gets the `config.json` of what is measured.
    fn peer(&self, shape: Option<&Shape>) -> Result<Option<Peer>> {
        let Some(name) = &self.peer else { return Ok(None) };
        let config = match shape {
            Some(shape) => shape.config_json(),
            None => {
                let checkpoint = self.model.find()?.checkpoint().map_err(failed)?;
                String::from_utf8_lossy(checkpoint.config_json()).into_owned()
            }
        };
        let script = match name.as_str() {
            "transformers" => Script::Transformers,
            path => Script::File(path.to_owned()),
        };
        Ok(Some(Peer::start(&script, &self.python, &config, self.peer_dtype)?))
    }

    fn judge(&self, old: &SpeedRecord, new: &SpeedRecord) -> Result<()> {
        let verdict = gate(old, new, self.threshold);
        output::note(&verdict.markdown());
        if verdict.regressed() {
            bail!("{} rows are slower past the threshold", verdict.worse().count());
        }
        Ok(())
    }
}

/// What transformers computes in on a processor.
fn peer_dtype(text: &str) -> Result<Dtype, String> {
    match text.parse() {
        Ok(dtype @ (Dtype::F32 | Dtype::BF16)) => Ok(dtype),
        _ => Err("expected f32 or bf16".to_owned()),
    }
}

/// What was asked for and is not there is wrong usage.
fn usage(error: SpeedError) -> Error {
    match error {
        SpeedError::UnknownShape { .. }
        | SpeedError::CpuTimeOfThreads
        | SpeedError::Pixels { .. }
        | SpeedError::Tiles { .. }
        | SpeedError::Budget { .. }
        | SpeedError::Context { .. } => Usage::because(error),
        _ => Error::new(error),
    }
}

fn identity(subject: &Subject<'_>, dtypes: &[Dtype]) -> ModelIdentity {
    let card = subject.card();
    ModelIdentity {
        name: card.name.clone(),
        sha256: card.sha256.clone(),
        parameters: card.parameters,
        dtype: dtypes.iter().map(Dtype::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn old_record(path: &Path) -> Result<SpeedRecord> {
    let cannot = || format!("cannot use `{}` as a record to compare with", path.display());
    let json = std::fs::read_to_string(path).with_context(cannot)?;
    SpeedRecord::from_json(&json).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_numbers_and_ranges() {
        assert_eq!("1,4-6".parse(), Ok(Numbers(vec![1, 4, 5, 6])));
        assert_eq!("17".parse(), Ok(Numbers(vec![17])));
        for wrong in ["", "0", "3-1", "a", "1-", "-2", "1,,2", "99999"] {
            assert!(wrong.parse::<Numbers>().is_err(), "{wrong}");
        }
    }
}
