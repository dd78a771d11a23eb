//! `visor train universal`: from the first step to a checkpoint and its record.

use super::conversations::Conversations;
use super::minutes::Minutes;
use super::options::Options;
use super::progress::Progress;
use super::report;
use super::run_folder::RunFolder;
use crate::compute::Compute;
use crate::interrupt::{self, Interrupt};
use crate::{files, output};
use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;
use visor::{Ladder, LayerMode};
use visor_runtime::device;
use visor_tasks::Split;
use visor_train::evaluate::{Scores, pictures};
use visor_train::ladder::{Candidate, choose};
use visor_train::run::{self, Rhythm};
use visor_train::schedule::Budget;
use visor_train::{Arm, Recipe, Trainer, export, outcomes, record};

/// Train a universal network on the generated suite, or a converted model on data of one's own
///
/// On the generated suite it is trained from nothing, or a control of the experiment is, and saved
/// with its record. With --model and --data a converted model learns a user's conversations in two
/// stages: what conversion added, then all weights that are not frozen; one random rung a step.
/// The same command goes on from the last saved state, to the same weights.
#[derive(Args)]
pub(crate) struct Universal {
    /// Folder of the run: state and log, in the end `checkpoint` and `record.json`
    #[arg(long, value_name = "RUN_DIR")]
    pub(super) out: PathBuf,

    #[command(flatten)]
    pub(super) options: Options,

    #[command(flatten)]
    conversations: Conversations,

    /// Steps between two lines in the log
    #[arg(long, value_name = "N", default_value_t = 25,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) log_every: u64,

    /// Steps between two saved states
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) save_every: u64,

    /// Steps between two looks at validation pictures, or with --data at what each rung knows
    #[arg(long, value_name = "N", default_value_t = 500,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) validate_every: u64,

    /// Validation pictures by which the rungs of the ladder are chosen
    #[arg(long, value_name = "N", default_value_t = 1400,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    validation_pictures: u32,

    /// Test pictures of the record; 0 makes none
    #[arg(long, value_name = "N", default_value_t = 2000,
          value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    test_pictures: u32,

    #[command(flatten)]
    pub(super) compute: Compute,
}

impl Universal {
    pub(crate) fn run(&self) -> Result<()> {
        if let Some(asked) = self.conversations.asked() {
            return self.conversations.run(&asked, self);
        }
        let recipe = self.options.recipe()?;
        self.compute.threads.start()?;
        let folder = RunFolder::take(&self.out)?;
        let interrupt = Interrupt::watch(interrupt::stopping)?;

        let (trainer, minutes) = self.train(&recipe, &folder, &interrupt)?;
        let left = "the trained state is saved, the same command goes on from there";

        interrupt.check(left)?;
        output::note("choosing the ladder on validation pictures");
        let n = self.validation_pictures as usize;
        let samples = pictures(trainer.suite(), Split::Validation, n)?;
        let scores = run::validate(&trainer, &samples)?;
        let (ladder, of_rungs) = ladder(&trainer, scores)?;

        interrupt.check(left)?;
        let checkpoint = folder.checkpoint();
        match recipe.arm {
            Arm::Stock => {
                export::export(&trainer, ladder.clone(), &checkpoint)
                    .with_context(|| format!("cannot export to `{}`", checkpoint.display()))?;
                output::note(&format!("stock checkpoint: `{}`", checkpoint.display()));
            }
            arm if arm.is_dense() || arm == Arm::DiscardRefinement => output::note(&format!(
                "the control {} runs in training alone: there is no checkpoint to export",
                recipe.arm.word()
            )),
            _ => {
                export::export(&trainer, ladder.clone(), &checkpoint)
                    .with_context(|| format!("cannot export to `{}`", checkpoint.display()))?;
                output::note(&format!("ladder: {ladder}; checkpoint: `{}`", checkpoint.display()));
            }
        }
        if self.test_pictures == 0 {
            return output::answer(&report::of_scores(&of_rungs));
        }

        interrupt.check(left)?;
        output::note(&format!("testing on {} pictures", self.test_pictures));
        let n = self.test_pictures as usize;
        let device =
            device::training(&device::open_for(self.compute.device, recipe.precision.dtype())?);
        let record = record::make(&trainer, &ladder, n, minutes, &device)?;
        let json = format!("{}\n", serde_json::to_string_pretty(&record)?);
        files::write(&folder.record(), json.as_bytes())?;
        let outcomes = outcomes::make(&trainer, &ladder)?;
        files::write(
            &folder.outcomes(),
            format!("{}\n", serde_json::to_string(&outcomes)?).as_bytes(),
        )?;
        output::note(&format!("record: `{}`", folder.record().display()));
        output::answer(&report::of_record(&record))
    }
}

impl Universal {
    /// All steps that are left to do.
    fn train(
        &self,
        recipe: &Recipe,
        folder: &RunFolder,
        interrupt: &Interrupt,
    ) -> Result<(Trainer, Option<f64>)> {
        let device =
            device::training(&device::open_for(self.compute.device, recipe.precision.dtype())?);
        let pictures = (self.validation_pictures as usize).min(Rhythm::default().pictures);
        let (save, validate) = (self.save_every, self.validate_every);
        let rhythm = Rhythm { log: self.log_every, save, validate, pictures };
        let (mut seen, mut minutes) = (None, None);
        let result =
            run::run(recipe, folder.path(), &device, rhythm, interrupt.flag(), &mut |news| {
                match news {
                    run::Progress::Started { from, total } => {
                        seen = Some(Progress::new(from, total));
                        minutes = Some(Minutes::start(folder.path(), from));
                    }
                    run::Progress::Stepped(report) => {
                        seen.iter().for_each(|seen| seen.stepped(report));
                        if report.step % save == 0 || interrupt.is_raised() {
                            minutes.iter_mut().for_each(|minutes| minutes.note(report.step));
                        }
                    }
                    run::Progress::Validated { step, scores } => {
                        seen.iter().for_each(|seen| seen.validated(step, scores));
                    }
                    _ => {}
                }
            });
        seen.iter().for_each(Progress::end);
        let trainer = result?;
        let Some(mut minutes) = minutes else { return Ok((trainer, None)) };
        minutes.note(trainer.steps_done());
        Ok((trainer, minutes.end()?))
    }
}

/// The ladder by the scores of all budgets, and the scores of those that became rungs.
fn ladder(
    trainer: &Trainer,
    scores: Vec<(String, Scores)>,
) -> Result<(Ladder, Vec<(String, Scores)>)> {
    let budgets = trainer.curriculum().subsets().iter().zip(scores);
    let candidates: Vec<Candidate> = budgets
        .map(|(budget, (_, scores))| Candidate { active: active(budget, trainer), scores })
        .collect();
    let ladder = choose(&trainer.recipe().layout()?, &candidates)?;
    let of_rungs = ladder
        .rungs()
        .iter()
        .filter_map(|rung| {
            let of_rung = |candidate: &&Candidate| candidate.active == rung.active_layers();
            let found = candidates.iter().find(of_rung)?;
            Some((rung.name().to_owned(), found.scores.clone()))
        })
        .collect();
    Ok((ladder, of_rungs))
}

/// The layers that a budget switches on; none in the dense control, whose layers are always on.
fn active(budget: &Budget, trainer: &Trainer) -> Vec<usize> {
    let capable = &trainer.recipe().sizes.self_capable;
    let runs = |layer: &&usize| budget.schedule.modes()[**layer] == LayerMode::SelfAttention;
    capable.iter().filter(runs).copied().collect()
}
