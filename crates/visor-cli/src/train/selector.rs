//! `visor train selector`: what chooses patches, on a frozen backbone.

use super::own_policy;
use super::run_folder::RunFolder;
use super::selector_data::{Rhythm, SelectorData, Subject};
use super::selector_watch::Watch;
use crate::compute::Compute;
use crate::ending::Usage;
use crate::files;
use crate::interrupt::{self, Interrupt};
use crate::loading;
use crate::model::{ModelChoice, failed};
use crate::output;
use crate::table::aligned;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use visor::{LoadOptions, ModelRef, PolicyRef, VisorModel};
use visor_runtime::{Backbone, device};
use visor_tasks::{Mixture, Sample, Split, StandardMix, Suite, SuiteName};
use visor_train::export::SUPERVISION;
use visor_train::selector::{
    BackboneTraining, ClipTeacher, Lessons, LevelRecord, SelectorRecord, Settings, Supervision,
    TaughtBy, World, fit, record, with_selector,
};
use visor_train::vocabulary::Vocabulary;
use visor_train::{Recipe, TrainError};

/// What a selector is told.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Told {
    /// Answers, contrast, and a teacher that has seen whole pictures with captions
    SelfSupervised,
    /// That, and which patches hold the evidence of each question
    Grounded,
}

impl From<Told> for Supervision {
    fn from(told: Told) -> Self {
        match told {
            Told::SelfSupervised => Self::SelfSupervised,
            Told::Grounded => Self::Grounded,
        }
    }
}

/// Train the selector by which a question chooses the patches that it reads
///
/// The backbone stays as it is; the trained checkpoint has its tensors and the selector's.
#[derive(Args)]
pub(crate) struct TrainSelector {
    #[command(flatten)]
    model: ModelChoice,

    /// Folder of the run: its log, its state, and in the end `checkpoint` and `record.json`. With
    /// the state of a run in it, the run goes on from there
    #[arg(long, value_name = "RUN_DIR")]
    out: PathBuf,

    /// What the selector is told
    #[arg(long, value_enum, default_value = "self-supervised")]
    supervision: Told,

    /// Generated suite of the pictures, the one that the model was trained on
    #[arg(long, default_value = "nano")]
    suite: SuiteName,

    /// Steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    steps: Option<u64>,

    /// A folder with a stock checkpoint of CLIP that says which patches a question is about
    /// [default: a teacher that is trained first, on whole pictures and their captions; with --data
    /// nobody, since a user's conversations have no captions]
    #[arg(long, value_name = "CLIP_DIR")]
    teacher: Option<PathBuf>,

    /// Pictures in a step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=65_536))]
    batch: Option<u32>,

    /// Highest learning rate
    #[arg(long, value_name = "X", value_parser = positive)]
    lr: Option<f64>,

    /// Share of the patches that a question reads on the mean
    #[arg(long, value_name = "X", value_parser = share)]
    target: Option<f64>,

    /// Fewest patches that a question chooses [default: by the root of their number]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    k_min: Option<u32>,

    /// Most patches that a question chooses [default: by the root of their number]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    k_max: Option<u32>,

    /// Train the backbone on as well, with this highest learning rate; its policy must be trained
    /// anew then [default: the backbone stays as it is]
    #[arg(long, value_name = "X", value_parser = positive)]
    joint: Option<f64>,

    /// Test pictures of the record
    #[arg(long, value_name = "N", default_value_t = 4000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    test_pictures: u32,

    /// Seed of weights, data and every draw
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(0..1 << 20))]
    seed: u64,

    #[command(flatten)]
    rhythm: Rhythm,

    #[command(flatten)]
    own: SelectorData,

    #[command(flatten)]
    compute: Compute,
}

fn positive(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
    value.ok_or_else(|| "expected a positive number".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| *value > 0.0 && *value <= 1.0);
    value.ok_or_else(|| "expected a share above 0, at most 1".to_owned())
}

impl TrainSelector {
    pub(crate) fn run(&self) -> Result<()> {
        self.compute.threads.start()?;
        let model_ref = self.model.find()?;
        let checkpoint = model_ref.checkpoint().map_err(failed)?;
        loading::note_of(&model_ref);
        let device = device::open(self.compute.device)?;
        let load = |watch| VisorModel::load_unfolded(&checkpoint.clone().watched(watch), &device);
        let (model, _) = loading::watched(load).map_err(|error| failed(error.into()))?;
        let (settings, interrupt) =
            (self.settings(&model)?, Interrupt::watch(interrupt::stopping)?);
        let clip = self.clip(&model)?;
        if let Some(data) = self.own.asked() {
            let subject = Subject {
                model_ref: &model_ref,
                checkpoint: &checkpoint,
                model: &model,
                teacher: clip,
                settings,
                rhythm: self.rhythm,
                out: &self.out,
            };
            return self.own.run(data, subject, &interrupt);
        }
        let world = self.world(&model, checkpoint.manifest())?;
        let run = RunFolder::take(&self.out)?;
        let lessons = Lessons {
            world: &world,
            settings,
            clip: clip.as_ref(),
            base: checkpoint.digest()?.to_string(),
            folder: run.path(),
            log: self.rhythm.log_every,
            save: self.rhythm.save_every,
        };
        let mut watch = Watch::new(settings.steps, lessons.save, lessons.folder, &interrupt);
        let training = device::training(&device);
        let fitted = fit(&lessons, &training, interrupt.flag(), &mut |news| watch.hear(news));
        let (fitted, minutes) = watch.end(fitted)?;
        let folder = run.checkpoint();
        let policy = own_policy::beside_another_selector(&model_ref, &settings)?;
        with_selector(&checkpoint, &fitted, &settings, policy, &folder)?;
        output::note(&format!("checkpoint: `{}`", folder.display()));
        let samples = self.samples(world.suite)?;
        output::note(&format!("testing on {} pictures", samples.len()));
        // What is tested is what was saved.
        let options = LoadOptions::default().device(self.compute.device).policy(PolicyRef::None);
        let saved = loading::load_quietly(&ModelRef::Folder(folder), &options).map_err(failed)?;
        let world = World { model: saved.runner().model(), ..world };
        let stop = interrupt.flag();
        let record = record(&world, &fitted.selector, &samples, settings, minutes, stop)?;
        let json = format!("{}\n", serde_json::to_string_pretty(&record)?);
        files::write(&run.record(), json.as_bytes())?;
        output::answer(&table(&record))
    }

    fn world<'a>(
        &self,
        model: &'a VisorModel,
        manifest: Option<&visor::Manifest>,
    ) -> Result<World<'a>> {
        let suite = Suite::new(self.suite);
        let vocabulary = Vocabulary::new(&suite);
        if vocabulary.len() != model.card().vocab {
            let (has, needs) = (model.card().vocab, vocabulary.len());
            bail!(
                "the model has {has} tokens and the suite {} needs {needs}: name the suite that \
                 the model was trained on with --suite",
                self.suite
            );
        }
        let notes = manifest.map(|manifest| &manifest.provenance.notes);
        let said = notes.and_then(|notes| notes.get(SUPERVISION)).cloned();
        Ok(World {
            model,
            backbone: said.unwrap_or_else(|| "unknown".to_owned()),
            suite,
            vocabulary,
            mixture: mixture(self.suite, self.seed)?,
        })
    }

    fn settings(&self, model: &VisorModel) -> Result<Settings> {
        let card = model.card();
        let n_visual = card.tile_tokens.rows * card.tile_tokens.cols;
        let d_model = card.shape.decoder.d_model;
        let usual = Settings::new(self.supervision.into(), self.seed, d_model, n_visual);
        let of = |given: Option<u32>, usual| given.map_or(usual, |k| k as usize);
        let (k_min, k_max) = (of(self.k_min, usual.k_min), of(self.k_max, usual.k_max));
        if k_min > k_max || k_max > n_visual {
            return Err(Usage::because(format!(
                "a question cannot choose {k_min} to {k_max} of {n_visual} patches: --k-min is at \
                 most --k-max, and that at most {n_visual}"
            )));
        }
        let backbone = match self.joint {
            None => BackboneTraining::Frozen,
            Some(learning_rate) => BackboneTraining::Joint { learning_rate },
        };
        Ok(Settings {
            k_min,
            k_max,
            backbone,
            steps: self.steps.unwrap_or(usual.steps),
            batch: self.batch.map_or(usual.batch, |batch| batch as usize),
            learning_rate: self.lr.unwrap_or(usual.learning_rate),
            target: self.target.unwrap_or(usual.target),
            teacher: match self.teacher {
                Some(_) => TaughtBy::Clip,
                None => TaughtBy::Captions,
            },
            ..usual
        })
    }

    fn clip(&self, model: &VisorModel) -> Result<Option<ClipTeacher>> {
        let Some(folder) = &self.teacher else { return Ok(None) };
        let cannot = || format!("cannot use `{}` as a teacher", folder.display());
        Ok(Some(ClipTeacher::load(folder, model.device()).with_context(cannot)?))
    }

    fn samples(&self, suite: Suite) -> Result<Vec<Sample>, TrainError> {
        let mix = StandardMix::new(suite, &[])?;
        Ok((0..u64::from(self.test_pictures)).map(|i| mix.sample(Split::Test, i)).collect())
    }
}

/// The families as the backbone met them.
pub(crate) fn mixture(suite: SuiteName, seed: u64) -> Result<Mixture, TrainError> {
    match suite {
        SuiteName::Nano => Recipe::nano(seed).mixture(),
        _ => Recipe::mini(seed).mixture(),
    }
}

/// Accuracy at the lowest and the highest rung with the chosen patches and what they are held
/// against.
fn table(record: &SelectorRecord) -> String {
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let ends = [record.levels.first(), record.levels.last()];
    let ends: Vec<&str> = ends.into_iter().flatten().map(|level| level.rung.as_str()).collect();
    let head = ["rung", "patches", "which", "accuracy", "one look", "refinement", "to all"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for level in record.levels.iter().filter(|level| ends.contains(&level.rung.as_str())) {
        let LevelRecord { rung, patches, sighted, accuracy, one_look, refinement, .. } = level;
        rows.push(vec![
            rung.clone(),
            patches.clone(),
            sighted.word().to_owned(),
            percent(*accuracy),
            percent(*one_look),
            percent(*refinement),
            percent(level.difference[0]),
        ]);
    }
    aligned(&rows)
}
