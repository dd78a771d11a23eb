//! `visor bench compare`: accuracy and cost, one row a budget.

use crate::bench::bar::Bar;
use crate::bench::format::RowFormat;
use crate::bench::selection;
use crate::compute::{Compute, Weights};
use crate::data::OwnData;
use crate::ending::Usage;
use crate::files;
use crate::interrupt::{self, Interrupt};
use crate::loading;
use crate::model::{ModelChoice, failed};
use crate::output;
use crate::untrained;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use visor::{LoadOptions, Model, Patches, PolicyRef, Thrift};
use visor_benches::Environment;
use visor_benches::compare::gate::{Thresholds, gate};
use visor_benches::compare::html::report;
use visor_benches::compare::observation::{Observations, Scope};
use visor_benches::compare::plot::Figure;
use visor_benches::compare::record::{
    BenchmarkRecord, CompareRecord, Context, Fitting, Identity, OfficialFigure, Protocol,
};
use visor_benches::compare::render::render;
use visor_benches::compare::store::Store;
use visor_benches::measure::{Baselines, ORDER, Plan, WARM_UP};
use visor_tasks::{Split, Suite, SuiteName};
use visor_train::data::benchmarks::Benchmark;
use visor_train::data::{Dataset, standard};

/// Compare accuracy, cost and time of every budget on the same questions
///
/// Rungs, the policy at several thrifts, and what they must be held against: other networks of the
/// same training, blank and swapped pictures, chance, look-ups, an oracle. Patches that questions
/// choose are held against as many at random, all others, and those that no question chose.
#[derive(Args)]
pub(crate) struct Compare {
    #[command(flatten)]
    model: ModelChoice,

    /// A policy by name, or a folder with one [default: the model's own]
    #[arg(long, value_name = "POLICY")]
    policy: Option<PolicyRef>,

    /// Budgets to compare: `all`, or rungs and `auto` with commas between
    #[arg(long, value_name = "LIST", default_value = "all", value_delimiter = ',')]
    budgets: Vec<String>,

    /// Thrifts at which the policy is asked, beside its own
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = crate::ask::thrift,
          default_value = "0.02,0.05,0.2,0.4")]
    thrifts: Vec<Thrift>,

    /// Numbers of patches that every rung is also asked with, as `auto,4`; `all` for none
    /// [default: auto where the model has a selector]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    patches: Vec<Patches>,

    /// Generated suite of the questions, the one that the model was trained on
    #[arg(long, default_value = "nano", conflicts_with = "data")]
    suite: SuiteName,

    /// Questions of the generated standard mix
    #[arg(long, value_name = "N", default_value_t = 1000, conflicts_with = "data",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    questions: u64,

    #[command(flatten)]
    own: OwnData,

    /// Questions of the validation mix that a look-up by family is fitted on
    #[arg(long, value_name = "N", default_value_t = 1000, conflicts_with = "data",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    fit_questions: u64,

    /// Folder with the answers of networks that were trained for comparison, as `visor train`
    /// leaves them; those about other questions are passed over
    #[arg(long, value_name = "DIR")]
    baselines: Option<PathBuf>,

    /// The first questions with which chosen patches are held against others, at every rung; 0 for
    /// none
    #[arg(long, value_name = "N", default_value_t = 1000, conflicts_with = "data")]
    patch_controls: u64,

    /// Requests of each budget that are timed; 0 times none
    #[arg(long, value_name = "N", default_value_t = 50)]
    timed: usize,

    /// Longest answer, in tokens
    #[arg(long, value_name = "N", default_value = "16")]
    max_new_tokens: NonZeroUsize,

    /// Folder for the record, the plots and the report; a run that was killed goes on from there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// What is printed
    #[arg(long, value_enum, default_value = "md")]
    format: RowFormat,

    /// An older record to hold this one against; ends with 1 where something is worse
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,

    #[command(flatten)]
    compute: Compute,

    #[command(flatten)]
    weights: Weights,
}

const RECORD: &str = "record.json";
const REPORT: &str = "report.html";

impl Compare {
    pub(crate) fn run(&self) -> Result<()> {
        self.compute.threads.start()?;
        let old = self.compare.as_deref().map(old_record).transpose()?;
        let policy = self.policy.clone().unwrap_or_default();
        let options = LoadOptions::default()
            .device(self.compute.device)
            .dtype(self.weights.dtype)
            .policy(policy);
        let model = loading::load(&self.model.find()?, &options).map_err(failed)?;
        let data = self.dataset()?;
        let (rungs, thrifts) = self.budgets(&model)?;
        let patches = self.patches(&model)?;
        untrained::warn(&model, patches.iter().copied());
        let interrupt = Interrupt::watch(interrupt::stopping)?;
        let baselines = self.baselines(&data)?;
        let asked = model.policy().filter(|_| !thrifts.is_empty());
        let plan = Plan {
            runner: model.runner(),
            policy_sha256: asked.map(|policy| policy.sha256.clone()),
            data: &data,
            rungs,
            thrifts,
            patches,
            max_new_tokens: self.max_new_tokens,
            timed: self.timed,
            baselines: &baselines,
        };
        let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
        let folder = self.out.as_deref().unwrap_or(scratch.path());
        let mut store = Store::open(folder, &plan.suite(), &plan.settings())?;
        let bar = Bar::new();
        let mut tell = |what: &str, done: usize, all: usize| bar.tell(what, done, all);
        plan.run(&mut store, interrupt.flag(), &mut tell)?;
        let fitting = match self.own.is_given() {
            true => None,
            false => {
                let suite = Suite::new(self.suite);
                let other = standard(suite, Split::Validation, 0..self.fit_questions)?;
                let scores = plan.fit_families(&other, interrupt.flag(), &mut tell)?;
                Some(Fitting { name: other.name, scores })
            }
        };
        let selection = match self.own.is_given() {
            true => None,
            false => {
                tell("patches held against others", 0, 1);
                let (suite, n) = (self.suite, self.questions.min(self.patch_controls));
                selection::asked(&model, suite, n, &plan, folder, interrupt.flag())?
            }
        };
        bar.end();
        let observed = store.observations()?;
        let mut context = self.context(&model, &plan, fitting);
        context.selection = selection;
        context.benchmark =
            self.own.benchmark().map(|benchmark| official(benchmark, &data, &observed));
        let record = CompareRecord::new(&observed, context)?;
        if self.out.is_some() {
            write(folder, &record)?;
        }
        output::part(&render(&record, self.format.into())?)?;
        match old {
            Some(old) => self.judge(&old, &record),
            None => Ok(()),
        }
    }

    fn dataset(&self) -> Result<Dataset> {
        match self.own.read()? {
            Some(data) => Ok(data),
            None => Ok(standard(Suite::new(self.suite), Split::Test, 0..self.questions)?),
        }
    }

    /// The numbers of patches that are asked for.
    fn patches(&self, model: &Model) -> Result<Vec<Patches>> {
        let chosen: Vec<Patches> =
            self.patches.iter().copied().filter(|patches| *patches != Patches::All).collect();
        match (model.card().selector, chosen.first()) {
            (None, Some(asked)) => Err(Usage::because(format!(
                "`{}` has no patch selector: leave out `--patches {asked}`",
                model.card().name
            ))),
            (Some(_), _) if self.patches.is_empty() => Ok(vec![Patches::Auto]),
            _ => Ok(chosen),
        }
    }

    /// The rungs and thrifts that are asked for.
    fn budgets(&self, model: &Model) -> Result<(Vec<String>, Vec<Option<Thrift>>)> {
        let Some(ladder) = &model.card().ladder else {
            bail!("`{}` is a stock model: it has no budgets to compare", model.card().name);
        };
        let names: Vec<String> = ladder.rungs().iter().map(|rung| rung.name().to_owned()).collect();
        let all = self.budgets.iter().any(|budget| budget == "all");
        for budget in &self.budgets {
            if !["all", "auto"].contains(&budget.as_str()) && !names.contains(budget) {
                let legal = names.join(", ");
                return Err(Usage::because(format!(
                    "no budget is called `{budget}`; this model has {legal}, and there are `auto` \
                     and `all`"
                )));
            }
        }
        let asks_auto = self.budgets.iter().any(|budget| budget == "auto");
        let thrifts = match model.policy() {
            Some(policy) if all || asks_auto => {
                let own = [None].into_iter();
                match policy.default_thrift {
                    // Its own thrift by number would be the same row twice.
                    Some(known) => {
                        let others = self.thrifts.iter().copied().filter(|&thrift| thrift != known);
                        own.chain(others.map(Some)).collect()
                    }
                    // It does not weigh cost: there is one way to ask it.
                    None => own.collect(),
                }
            }
            None if asks_auto => {
                return Err(Usage::because("`auto` needs a policy and this model has none"));
            }
            _ => Vec::new(),
        };
        // What a policy chose is looked up: it needs every rung.
        let every = all || !thrifts.is_empty();
        let rungs = names.into_iter().filter(|name| every || self.budgets.contains(name));
        Ok((rungs.collect(), thrifts))
    }

    fn baselines(&self, data: &Dataset) -> Result<Baselines> {
        let Some(folder) = &self.baselines else { return Ok(Baselines::default()) };
        let questions = visor_train::outcomes::digest_of_items(data);
        Ok(Baselines::read(folder)?.about(&questions))
    }

    fn context(&self, model: &Model, plan: &Plan<'_>, fitting: Option<Fitting>) -> Context {
        let card = model.card();
        let sha256 = card.sha256.clone().unwrap_or_default();
        let policy = model.policy().filter(|_| !plan.thrifts.is_empty());
        Context {
            environment: Environment::here(),
            model: Identity { name: card.name.clone(), sha256 },
            policy: policy.map(|policy| Identity {
                name: policy.name.clone(),
                sha256: policy.sha256.clone(),
            }),
            settings: plan.settings(),
            protocol: (self.timed > 0)
                .then(|| Protocol { warm_up: WARM_UP, order: ORDER.to_owned() }),
            full: None,
            dense: None,
            routed: None,
            // The selector of a pair runs outside of the decoder.
            cost_scope: match card.ladder.as_ref().is_some_and(|l| !l.pairs().is_empty()) {
                true => Scope::EndToEnd,
                false => Scope::LmPrefill,
            },
            fitting,
            benchmark: None,
            selection: None,
        }
    }

    fn judge(&self, old: &CompareRecord, new: &CompareRecord) -> Result<()> {
        let verdict = gate(old, new, Thresholds::default())?;
        output::note(&verdict.markdown());
        if verdict.regressed() {
            bail!("{} cells are worse past the threshold", verdict.worse().count());
        }
        Ok(())
    }
}

/// What the benchmark's own evaluation says of every row.
fn official(benchmark: Benchmark, data: &Dataset, observed: &Observations) -> BenchmarkRecord {
    let rows = observed.rows().iter().filter_map(|row| {
        let scores: Option<Vec<f32>> = row.answers.iter().map(|answer| answer.score).collect();
        let figures = benchmark.figures(&data.items, &scores?).into_iter();
        let figures = figures.map(|f| OfficialFigure { name: f.name, value: f.value });
        Some((row.head.name.clone(), figures.collect()))
    });
    BenchmarkRecord {
        name: benchmark.word().to_owned(),
        metric: benchmark.metric().to_owned(),
        source: benchmark.source().to_owned(),
        rows: rows.collect(),
    }
}

fn old_record(path: &Path) -> Result<CompareRecord> {
    let cannot = || format!("cannot use `{}` as a record to compare with", path.display());
    let json = std::fs::read_to_string(path).with_context(cannot)?;
    CompareRecord::from_json(&json).with_context(cannot)
}

fn write(folder: &Path, record: &CompareRecord) -> Result<()> {
    files::write(&folder.join(RECORD), record.to_json()?.as_bytes())?;
    for figure in Figure::ALL {
        if let Some(svg) = figure.svg(record)? {
            files::write(&folder.join(format!("{}.svg", figure.stem())), svg.as_bytes())?;
        }
        if let Some(png) = figure.png(record)? {
            files::write(&folder.join(format!("{}.png", figure.stem())), &png)?;
        }
    }
    files::write(&folder.join(REPORT), report(record)?.as_bytes())?;
    output::note(&format!("record, plots and `{REPORT}`: `{}`", folder.display()));
    Ok(())
}
