//! `visor train universal --model M --data FILE`: a converted model on a user's conversations.

use super::material::{self, bar};
use super::minutes::Minutes;
use super::options::Options;
use super::run_folder::RunFolder;
use super::universal::Universal;
use crate::ending::Usage;
use crate::interrupt::{self, Interrupt};
use crate::model::Network;
use crate::table::aligned;
use crate::{files, loading, output};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use visor::Preparation;
use visor_runtime::device;
use visor_train::Checkpoint;
use visor_train::tuning::{
    Course, Freeze, Material, ModelRecipe, Progress, Rhythm, RungScore, Settings, Tuner,
    TuningRecord, Turns, export, run,
};

/// What a user's data need beside the options of every run.
#[derive(Args)]
pub(crate) struct Conversations {
    /// A converted model to train on data of one's own: a folder, or an id on the hub
    #[arg(long, value_name = "MODEL", requires = "data",
          conflicts_with_all = ["arm", "accumulate", "validation_pictures", "test_pictures"])]
    model: Option<String>,

    /// Conversations about pictures, as LLaVA's data are written: a JSON list, or one object a line
    #[arg(long, value_name = "FILE", requires = "model")]
    data: Option<PathBuf>,

    #[command(flatten)]
    network: Network,

    /// Folder that pictures are named from [default: that of the data]
    #[arg(long, value_name = "DIR", requires = "data")]
    images: Option<PathBuf>,

    /// Leave out conversations that cannot be used
    #[arg(long, requires = "data")]
    skip_bad: bool,

    /// Conversations that rungs are checked on [default: those that are learned from]
    #[arg(long, value_name = "FILE", requires = "data")]
    held_out: Option<PathBuf>,

    /// Sequences that a check asks for at most
    #[arg(long, value_name = "N", default_value_t = 512, requires = "data")]
    checked: usize,

    /// What stays as it is in both stages [default: the recipe's]
    #[arg(long, value_enum, requires = "data")]
    freeze: Option<FreezeName>,

    /// Share of the loss that is divergence from the stock model's answers at dense
    /// [default: the recipe's]
    #[arg(long, value_name = "X", requires = "data")]
    distillation: Option<f32>,

    /// Most conversations that go through the network at once [default: the recipe's]
    #[arg(long, value_name = "N", requires = "data",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    micro_batch: Option<u32>,

    /// Compute activations again in the backward pass where that spares memory
    #[arg(long, requires = "data")]
    gradient_checkpointing: bool,

    /// Folder for what a frozen encoder makes of pictures [default: `features` in the run's folder]
    #[arg(long, value_name = "DIR", requires = "data")]
    features: Option<PathBuf>,

    /// Most GiB of that folder; 0 keeps nothing
    #[arg(long, value_name = "GIB", default_value_t = 16, requires = "data")]
    features_gib: u32,
}

/// What stays as it is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FreezeName {
    /// The vision encoder
    Encoder,
    /// The vision encoder and the connector
    Vision,
    /// Nothing
    Nothing,
}

impl From<FreezeName> for Freeze {
    fn from(name: FreezeName) -> Self {
        match name {
            FreezeName::Encoder => Self::Encoder,
            FreezeName::Vision => Self::Vision,
            FreezeName::Nothing => Self::Nothing,
        }
    }
}

/// The model and the data that were asked for.
pub(crate) struct Asked<'a> {
    model: &'a str,
    data: &'a Path,
}

impl Conversations {
    /// Model and data, where there are any.
    pub(crate) fn asked(&self) -> Option<Asked<'_>> {
        let (model, data) = (self.model.as_deref()?, self.data.as_deref()?);
        Some(Asked { model, data })
    }

    /// The settings: a recipe's, and what single options change of them.
    fn settings(&self, options: &Options, checkpoint: &Checkpoint) -> Result<Settings> {
        let mut settings = match options.recipe_file() {
            None => Settings::default(),
            Some(path) => {
                let recipe = ModelRecipe::read(path)?;
                let config = visor_train::model_config(checkpoint)?;
                recipe.expect(&config)?;
                recipe.training
            }
        };
        options.change(&mut settings)?;
        if let Some(freeze) = self.freeze {
            settings.freeze = freeze.into();
        }
        settings.distillation = self.distillation.unwrap_or(settings.distillation);
        settings.micro_batch = self.micro_batch.map_or(settings.micro_batch, |n| n as usize);
        settings.check().map_err(Usage::because)?;
        Ok(settings)
    }

    /// All of it: examples, training, checkpoint.
    pub(crate) fn run(&self, asked: &Asked<'_>, common: &Universal) -> Result<()> {
        let model = self.network.find(asked.model)?;
        let checkpoint = model.checkpoint()?;
        loading::note_of(&model);
        let settings = self.settings(&common.options, &checkpoint)?;
        common.compute.threads.start()?;
        let preparation = Preparation::read(&model)?;
        let preparing = material::preparing(&preparation, None);
        let read = |path: &Path| -> Result<Material> {
            let images = self.images.as_deref();
            material::read(path, images, Turns::Together, self.skip_bad, preparing)
        };
        let material = read(asked.data)?;
        let held_out = self.held_out.as_deref().map(read).transpose()?;
        let folder = RunFolder::take(&common.out)?;
        let interrupt = Interrupt::watch(interrupt::stopping)?;
        let device = device::open_for(common.compute.device, settings.precision.dtype())?;
        let device = match self.gradient_checkpointing {
            true => device::training_sparing(&device),
            false => device::training(&device),
        };
        let load = |watch| Tuner::new(&checkpoint.clone().watched(watch), &settings, &device);
        let mut tuner = loading::watched(load)?;
        let features = match self.features_gib {
            0 => None,
            gib => {
                let own = folder.features();
                let limit = u64::from(gib) << 30;
                tuner.features(self.features.as_deref().unwrap_or(&own), limit)?
            }
        };
        let course = Course {
            material: &material,
            held_out: held_out.as_ref().unwrap_or(&material),
            checked: self.checked,
            features: features.as_ref(),
            base: checkpoint.digest()?.to_string(),
            folder: folder.path(),
            rhythm: Rhythm {
                log: common.log_every,
                save: common.save_every,
                check: common.validate_every,
            },
        };
        let (scores, minutes) = train(&mut tuner, &course, &interrupt)?;
        interrupt.check("the trained state is saved, the same command goes on from there")?;
        let out = folder.checkpoint();
        export(&tuner, &checkpoint, &material, &out)
            .with_context(|| format!("cannot export to `{}`", out.display()))?;
        let data = (course.material, course.held_out);
        let record = TuningRecord::new(&tuner, data, &scores, minutes);
        let json = format!("{}\n", serde_json::to_string_pretty(&record)?);
        files::write(&folder.record(), json.as_bytes())?;
        output::note(&format!(
            "checkpoint: `{}`; record: `{}`",
            out.display(),
            folder.record().display()
        ));
        output::answer(&table(&scores))
    }
}

/// All steps that are left to do.
fn train(
    tuner: &mut Tuner,
    course: &Course<'_>,
    interrupt: &Interrupt,
) -> Result<(Vec<RungScore>, Option<f64>)> {
    let total = tuner.settings().total();
    let progress = bar("{bar:30} step {pos} of {len}, {eta} left, {prefix}{msg}", total);
    let mut minutes = None;
    let save = course.rhythm.save;
    let scores = run(tuner, course, interrupt.flag(), &mut |news| match news {
        Progress::Started { from, .. } => {
            progress.set_position(from);
            progress.reset_eta();
            minutes = Some(Minutes::start(course.folder, from));
            match from {
                0 => {}
                _ if from == total => output::note(&format!("all {total} steps are done")),
                _ => output::note(&format!("going on from step {from} of {total}")),
            }
        }
        Progress::Stepped(report) => {
            let n = report.answers.len().max(1) as f32;
            let loss = report.answers.iter().map(|(_, loss)| loss).sum::<f32>() / n;
            progress.set_prefix(format!("stage {} loss {loss:.3}", report.stage.word()));
            progress.set_position(report.step);
            if report.step % save == 0 || report.step == total || interrupt.is_raised() {
                minutes.iter_mut().for_each(|minutes| minutes.note(report.step));
            }
        }
        Progress::Checked { step, scores } => {
            let each: Vec<String> =
                scores.iter().map(|s| format!("{} {} of {}", s.name, s.right, s.n)).collect();
            let line = format!("right at step {step}: {}", each.join(", "));
            if progress.is_hidden() {
                output::note(&line);
            }
            progress.set_message(format!("\n{line}"));
        }
        _ => {}
    });
    progress.finish_and_clear();
    let scores = scores?;
    Ok((scores, minutes.map_or(Ok(None), Minutes::end)?))
}

/// What each rung knows in the end.
fn table(scores: &[RungScore]) -> String {
    let header = ["budget", "loss", "right", "of"].map(str::to_owned).to_vec();
    let row = |score: &RungScore| {
        let RungScore { name, loss, right, n } = score;
        vec![name.clone(), format!("{loss:.4}"), right.to_string(), n.to_string()]
    };
    let rows: Vec<Vec<String>> = [header].into_iter().chain(scores.iter().map(row)).collect();
    aligned(&rows)
}
