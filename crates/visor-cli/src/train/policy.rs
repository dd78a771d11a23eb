//! `visor train policy`: labels from every rung, then a router that predicts them.

use super::run_folder::RunFolder;
use crate::data::OwnData;
use crate::ending::Usage;
use crate::files;
use crate::interrupt::{self, Interrupt};
use crate::loading;
use crate::model::{ModelChoice, failed};
use crate::output;
use crate::table::aligned;
use crate::threads::Threads;
use crate::untrained;
use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;
use visor::{DeviceRequest, LoadOptions, Model, Objective, Pair, PolicyRef, Thrift};
use visor_policy::{Policy, PolicyManifest, PolicyProvenance};
use visor_runtime::device;
use visor_tasks::{Family, Split, Suite, SuiteName};
use visor_train::TrainError;
use visor_train::data::{Dataset, standard_without};
use visor_train::policy::{
    Examples, Measured, PolicyRecord, Settings, fit, kept as kept_pairs, labels, pareto, record,
};

/// Train the policy that chooses a budget for each sample
///
/// Every rung answers every question once; the labels are kept in the run's folder, and the same
/// command goes on from there. Then a small head learns to predict who is right.
#[derive(Args)]
pub(crate) struct TrainPolicy {
    #[command(flatten)]
    model: ModelChoice,

    /// Folder of the run: labels, in the end `policy` and `record.json`
    #[arg(long, value_name = "RUN_DIR")]
    out: PathBuf,

    /// What is predicted: `utility`, who is right on each rung, or `cheapest-right`, the cheapest
    /// rung that does as well as the largest
    #[arg(long, default_value = "utility")]
    objective: Objective,

    /// Thrift of the policy where a user asks for none [default: 0.1]
    #[arg(long, value_name = "X", value_parser = crate::ask::thrift)]
    thrift: Option<Thrift>,

    #[command(flatten)]
    own: OwnData,

    /// The suite that the model was trained on
    #[arg(long, default_value = "nano", conflicts_with = "data")]
    suite: SuiteName,

    /// Questions of the generated standard mix
    #[arg(long, value_name = "N", default_value_t = 16_000, conflicts_with = "data",
          value_parser = clap::value_parser!(u64).range(20..=10_000_000))]
    questions: u64,

    /// A family that the policy shall not see in training; may be given more than once
    #[arg(long, value_name = "FAMILY", conflicts_with = "data")]
    without: Vec<Family>,

    /// Numbers of patches that the policy may choose along with a rung, separated by commas. Every
    /// rung is asked with each; what no cheaper budget equals is chosen from
    #[arg(long, value_name = "K,K,..", value_delimiter = ',')]
    patch_levels: Vec<NonZeroUsize>,

    /// One in so many questions is held out and tells what the policy does
    #[arg(long, value_name = "N", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(2..=1000))]
    hold_out: u32,

    /// Longest answer that is generated for a label, in tokens
    #[arg(long, value_name = "N", default_value = "16")]
    max_new_tokens: NonZeroUsize,

    /// Times that every question is learned from
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    epochs: Option<u64>,

    /// Seed of weights and order
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// The device: cpu, wgpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: DeviceRequest,

    #[command(flatten)]
    threads: Threads,
}

impl TrainPolicy {
    pub(crate) fn run(&self) -> Result<()> {
        if self.thrift.is_some() && self.objective.default_thrift().is_none() {
            return Err(Usage::because(format!(
                "--thrift has no meaning for the objective {}: it does not weigh cost",
                self.objective
            )));
        }
        self.threads.start()?;
        let options = LoadOptions::default().device(self.device).policy(PolicyRef::None);
        let model = self.widened(loading::load(&self.model.find()?, &options).map_err(failed)?)?;
        untrained::warn(&model, []);
        let data = self.dataset()?;
        Examples::expect_room(model.runner(), &data)?;
        let run = RunFolder::take_for_policy(&self.out)?;
        let interrupt = Interrupt::watch(interrupt::stopping)?;
        let start = Instant::now();

        let runner = model.runner();
        let (n, cache) = (data.items.len(), run.labels());
        let bar = bar("asking every rung", n as u64);
        let mut tell = |done: usize| bar.set_position(done as u64);
        let done = labels(runner, &data, self.max_new_tokens, &cache, interrupt.flag(), &mut tell);
        bar.finish_and_clear();
        let labels = done?;
        let bar = self::bar("encoding pictures", n as u64);
        let examples =
            Examples::new(runner, &data, &labels, &mut |done| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        interrupt.check("the labels are saved, the same command goes on from there")?;

        let held_out = (n / self.hold_out as usize).max(1);
        let chosen: Vec<usize> = (held_out..n).collect();
        let (model, examples, measured) = self.narrowed(model, examples, held_out..n)?;
        let Some(ladder) = &model.card().ladder else { return Err(TrainError::NoLadder.into()) };
        let settings = Settings::new(self.objective, self.seed);
        let settings = Settings { epochs: self.epochs.unwrap_or(settings.epochs), ..settings };
        let training = device::training(&device::open(self.device)?);
        let bar = self::bar("learning", 0);
        let network = model.runner().model();
        let fitted = fit(
            network,
            ladder,
            &examples,
            &chosen,
            settings,
            &training,
            &mut |step, all, loss| {
                bar.set_length(all);
                bar.set_position(step);
                bar.set_message(format!("loss {loss:.4}"));
            },
        )?;
        bar.finish_and_clear();

        let logits = fitted.logits(network, ladder, &examples, 0..held_out)?;
        let empty = PolicyRecord {
            schema_version: visor_train::policy::SCHEMA_VERSION,
            objective: self.objective.word().to_owned(),
            data: data.name.clone(),
            questions: chosen.len(),
            held_out,
            seed: self.seed,
            steps: fitted.steps,
            loss: fitted.loss,
            minutes: start.elapsed().as_secs_f64() / 60.0,
            fixed: Vec::new(),
            oracle: (0.0, 0.0),
            routed: Vec::new(),
            measured,
        };
        let record = record(empty, self.objective, &examples, &logits, 0..held_out)?;
        let provenance = PolicyProvenance {
            visor_version: env!("CARGO_PKG_VERSION").to_owned(),
            data: data.name.clone(),
            questions: chosen.len() as u64,
            seed: self.seed,
            steps: fitted.steps,
            notes: BTreeMap::new(),
        };
        let digests = &model.load_report().verified.digests;
        let (backbone, shape) = (digests.backbone, fitted.network.shape());
        let mut manifest = PolicyManifest::new(backbone, self.objective, shape, ladder, provenance);
        manifest.selector_digest = digests.selector.filter(|_| !ladder.pairs().is_empty());
        manifest.default_thrift = self.thrift.or(manifest.default_thrift);
        let folder = run.policy();
        Policy::new(manifest, fitted.network)?.save(&folder)?;
        let json = format!("{}\n", serde_json::to_string_pretty(&record)?);
        files::write(&run.record(), json.as_bytes())?;
        output::note(&format!("policy: `{}`", folder.display()));
        output::answer(&table(&record, &model))
    }

    /// The model with every rung at every number of patches among its budgets.
    fn widened(&self, model: Model) -> Result<Model> {
        if self.patch_levels.is_empty() {
            return Ok(model);
        }
        let card = model.card();
        let n_visual = card.tile_tokens.rows * card.tile_tokens.cols;
        if let Some(too_many) = self.patch_levels.iter().find(|k| k.get() >= n_visual) {
            return Err(Usage::because(format!(
                "--patch-levels {too_many}: a picture has {n_visual} patches, and all of them are \
                 a rung already; name fewer"
            )));
        }
        let mut levels = self.patch_levels.clone();
        levels.sort_unstable();
        levels.dedup();
        let rungs = card.ladder.iter().flat_map(|ladder| ladder.rungs());
        let pairs: Vec<Pair> = rungs
            .flat_map(|rung| {
                let rung = rung.name();
                levels.iter().map(|&patches| Pair { rung: rung.to_owned(), patches })
            })
            .collect();
        model.with_pairs(&pairs).map_err(failed)
    }

    /// What is left of the budgets where the best pairs are chosen from: measured on the questions
    /// in `range`.
    fn narrowed(
        &self,
        model: Model,
        examples: Examples,
        range: Range<usize>,
    ) -> Result<(Model, Examples, Vec<Measured>)> {
        let Some(ladder) = model.card().ladder.clone().filter(|ladder| !ladder.pairs().is_empty())
        else {
            return Ok((model, examples, Vec::new()));
        };
        let measured = pareto(&ladder, &examples, range);
        let kept = |place: &usize| measured[*place].kept;
        let places: Vec<usize> = (0..measured.len()).filter(kept).collect();
        let model = model.with_pairs(&kept_pairs(&ladder, &measured)).map_err(failed)?;
        Ok((model, examples.narrowed(&places), measured))
    }

    fn dataset(&self) -> Result<Dataset> {
        if let Some(data) = self.own.read()? {
            return Ok(data);
        }
        let suite = Suite::new(self.suite);
        Ok(standard_without(suite, Split::Train, 0..self.questions, &self.without)?)
    }
}

fn bar(what: &'static str, n: u64) -> ProgressBar {
    let template = "{prefix} {bar:30} {pos} of {len}, {eta} left {msg}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(n).with_style(style).with_prefix(what)
}

/// What the policy does on the questions held out, beside every rung.
fn table(record: &PolicyRecord, model: &Model) -> String {
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let mut rows = vec![vec!["budget".to_owned(), "accuracy".into(), "SA cost".into()]];
    let ladder = model.card().ladder.iter().flat_map(|ladder| ladder.rungs());
    for (rung, accuracy) in ladder.zip(&record.fixed) {
        rows.push(vec![rung.name().to_owned(), percent(*accuracy), String::new()]);
    }
    for routed in &record.routed {
        let name = routed.thrift.map_or("auto".to_owned(), |thrift| format!("auto, {thrift}"));
        let share = percent(routed.share_of_refinement_cost);
        rows.push(vec![name, percent(routed.accuracy), share]);
    }
    let (accuracy, share) = record.oracle;
    rows.push(vec!["oracle".to_owned(), percent(accuracy), percent(share)]);
    aligned(&rows)
}
