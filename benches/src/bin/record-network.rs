//! The record of a network that has learned along with its selector: as `visor train universal` made
//! that of the network before, on as many test pictures. `--record BASE.json`, the record before;
//! `--run DIR`, what `visor train selector --joint` wrote; `--out FILE`.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use visor_checkpoint::{Checkpoint, Source};
use visor_model::VisorModel;
use visor_runtime::device::{DeviceRequest, open, training};
use visor_train::Trainer;
use visor_train::record::{self, Along, Record, Training};
use visor_train::selector::{SelectorRecord, Settings};

fn main() -> Result<()> {
    let (mut base, mut run, mut out) = (None, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().map(PathBuf::from);
        let value = Some(value.with_context(|| format!("{argument} needs a value"))?);
        match argument.as_str() {
            "--record" => base = value,
            "--run" => run = value,
            "--out" => out = value,
            other => bail!("unknown option {other}: expected --record FILE, --run DIR, --out FILE"),
        }
    }
    let (Some(base), Some(run), Some(out)) = (base, run, out) else {
        bail!("--record FILE, --run DIR and --out FILE are needed")
    };
    let base: Record = serde_json::from_str(&read(&base)?).context("the record before")?;
    let selector: SelectorRecord =
        serde_json::from_str(&read(&run.join("record.json"))?).context("the selector's record")?;
    let checkpoint = Checkpoint::open(Source::Folder(run.join("checkpoint")))?;
    let device = training(&open(DeviceRequest::Cpu)?);
    let (model, _) = VisorModel::load_unfolded(&checkpoint, &device)?;
    let manifest = checkpoint.manifest().context("the checkpoint has no visor.json")?;
    let ladder = &manifest.ladder;
    let Training { recipe, minutes, .. } = base.training.clone();
    let trainer = Trainer::of(&recipe, model.network().clone(), &device)?;
    let mut record = record::make(&trainer, ladder, base.test_pictures, minutes, &device)?;
    let Settings { steps, batch, .. } = selector.settings;
    let minutes = selector.minutes.context("the selector's record has no minutes")?;
    let along = Along { steps, pictures: steps * batch as u64, minutes };
    record.training = Training { along: Some(along), ..base.training };
    let json = serde_json::to_string_pretty(&record)?;
    fs::write(&out, json + "\n").with_context(|| format!("cannot write {}", out.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
