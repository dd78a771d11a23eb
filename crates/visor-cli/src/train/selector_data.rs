//! `visor train selector --data FILE`: the selector of a converted model, on a user's conversations.

use super::run_folder::RunFolder;
use super::selector_watch::Watch;
use super::{material, own_policy};
use crate::interrupt::Interrupt;
use crate::table::aligned;
use crate::{files, output};
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use visor::{ModelRef, Preparation, VisorModel};
use visor_runtime::device;
use visor_train::selector::{
    ClipTeacher, ReadScore, SelectorCourse, SelectorTuner, Settings, TunedSelectorRecord, tune,
    with_selector,
};
use visor_train::tuning::{Material, Turns};
use visor_train::{Checkpoint, TrainError};

/// What a user's data need beside the options of every training of a selector.
#[derive(Args)]
pub(crate) struct SelectorData {
    /// Conversations about pictures, as LLaVA's data are written, in place of the generated suite:
    /// a JSON list, or one object a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["suite", "supervision", "joint",
          "test_pictures"])]
    data: Option<PathBuf>,

    /// Folder that pictures are named from [default: that of the data]
    #[arg(long, value_name = "DIR", requires = "data")]
    images: Option<PathBuf>,

    /// Leave out conversations that cannot be used, and count them
    #[arg(long, requires = "data")]
    skip_bad: bool,

    /// Conversations that the selector is looked at with [default: those that it learns from]
    #[arg(long, value_name = "FILE", requires = "data")]
    held_out: Option<PathBuf>,

    /// Answers that it is looked at with at most
    #[arg(long, value_name = "N", default_value_t = 512, requires = "data")]
    checked: usize,

    /// Most questions that go through the network at once
    #[arg(long, value_name = "N", default_value_t = 8, requires = "data",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    micro_batch: u32,

    /// Most GiB of what frozen encoders make of pictures, kept in the run's folder; 0 keeps nothing
    #[arg(long, value_name = "GIB", default_value_t = 16, requires = "data")]
    features_gib: u32,
}

/// How often something is written, in steps.
#[derive(Args, Clone, Copy)]
pub(crate) struct Rhythm {
    /// Steps between states on disk
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) save_every: u64,

    /// Steps between lines of the log
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) log_every: u64,
}

/// What is trained, and where to.
pub(crate) struct Subject<'a> {
    pub(crate) model_ref: &'a ModelRef,
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) model: &'a VisorModel,
    pub(crate) teacher: Option<ClipTeacher>,
    pub(crate) settings: Settings,
    pub(crate) rhythm: Rhythm,
    pub(crate) out: &'a Path,
}

impl SelectorData {
    /// The file, where there is one.
    pub(crate) fn asked(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// All of it: examples, training, checkpoint, record.
    pub(crate) fn run(
        &self,
        data: &Path,
        subject: Subject<'_>,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let Subject { model_ref, checkpoint, model, teacher, settings, rhythm, out } = subject;
        if checkpoint.manifest().is_none() {
            return Err(TrainError::NotConverted.into());
        }
        let preparation = Preparation::read(model_ref)?;
        let preparing = material::preparing(&preparation, teacher.as_ref());
        let read = |path: &Path| -> Result<Material> {
            let images = self.images.as_deref();
            material::read(path, images, Turns::Apart, self.skip_bad, preparing)
        };
        let learned = read(data)?;
        let held_out = self.held_out.as_deref().map(read).transpose()?;
        let folder = RunFolder::take(out)?;
        let training = device::training(model.device());
        let together = self.micro_batch as usize;
        let mut tuner = SelectorTuner::new(model, settings, teacher, together, &training)?;
        let settings = *tuner.settings();
        let features = match self.features_gib {
            0 => None,
            gib => Some(tuner.features(&folder.features(), u64::from(gib) << 30)?),
        };
        let course = SelectorCourse {
            material: &learned,
            held_out: held_out.as_ref().unwrap_or(&learned),
            checked: self.checked,
            features: features.as_ref(),
            base: checkpoint.digest()?.to_string(),
            folder: folder.path(),
            log: rhythm.log_every,
            save: rhythm.save_every,
        };
        let mut watch = Watch::new(settings.steps, course.save, course.folder, interrupt);
        let scores = tune(&mut tuner, &course, interrupt.flag(), &mut |news| watch.hear(news));
        let (scores, _) = watch.end(scores)?;
        let to = folder.checkpoint();
        let policy = own_policy::beside_another_selector(model_ref, &settings)?;
        with_selector(checkpoint, &tuner.fitted(), &settings, policy, &to)
            .with_context(|| format!("cannot export to `{}`", to.display()))?;
        let record = TunedSelectorRecord::new(&tuner, &course, &scores);
        let json = format!("{}\n", serde_json::to_string_pretty(&record)?);
        files::write(&folder.record(), json.as_bytes())?;
        output::note(&format!("checkpoint: `{}`", to.display()));
        output::answer(&table(&scores))
    }
}

/// What each rung knows of the answers, by what it reads.
fn table(scores: &[ReadScore]) -> String {
    let header = ["budget", "reads", "patches", "loss", "right", "of"].map(str::to_owned).to_vec();
    let row = |score: &ReadScore| {
        let ReadScore { rung, read, loss, right, n, patches } = score;
        vec![
            rung.clone(),
            read.word().to_owned(),
            format!("{patches:.1}"),
            format!("{loss:.4}"),
            right.to_string(),
            n.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = [header].into_iter().chain(scores.iter().map(row)).collect();
    aligned(&rows)
}
