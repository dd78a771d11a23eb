//! `visor analyze`: what a model does with its pictures.

use crate::bench::bar::Bar;
use crate::bench::format::Format;
use crate::compute::Compute;
use crate::data::OwnData;
use crate::ending::Usage;
use crate::files::NewFolder;
use crate::interrupt::{self, Interrupt};
use crate::loading;
use crate::model::{ModelChoice, failed};
use crate::output;
use crate::untrained;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use visor::{DenseMode, Level, LoadOptions, Model, PolicyRef, Thrift};
use visor_benches::Environment;
use visor_benches::analyze::record::{Context, Seen};
use visor_benches::analyze::render::render;
use visor_benches::analyze::{AnalyzeRecord, Figure};
use visor_benches::compare::observation::Suite;
use visor_benches::compare::record::Identity;
use visor_tasks::{Split, SuiteName};
use visor_train::analysis::Study;
use visor_train::analysis::dropping::subsets;
use visor_train::data::{Dataset, standard};

/// Look into a model: where the text looks, how the picture changes, what each layer is worth
///
/// The figures are those by which the VISOR paper argues. `attention`: where question and answer
/// look, layer by layer (its Fig. 2). `similarity`: how much the picture changes between layers,
/// as CKA (Fig. 3). `dropping`: accuracy when layers do not see the picture, and the families that
/// suffer alike (Fig. 4). `rungs`: accuracy by rung and family (Fig. 6). `choices`: what the policy
/// picks by family (Fig. 7).
#[derive(Args)]
pub(crate) struct Analyze {
    #[command(flatten)]
    model: ModelChoice,

    /// A policy by name, or a folder with one [default: the model's own]
    #[arg(long, value_name = "POLICY")]
    policy: Option<PolicyRef>,

    /// Figures to make, with commas between: attention, similarity, dropping, rungs, choices
    /// [default: all that the model has]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    figures: Vec<Figure>,

    /// The rung at which attention, similarity and dropping are observed, or `dense`
    /// [default: the largest]
    #[arg(long, value_name = "NAME")]
    budget: Option<String>,

    /// The policy's thrift [default: its own]
    #[arg(long, value_name = "X", value_parser = crate::ask::thrift)]
    thrift: Option<Thrift>,

    /// Generated suite of the questions, the one that the model was trained on
    #[arg(long, default_value = "nano", conflicts_with = "data")]
    suite: SuiteName,

    /// Questions of the generated standard mix
    #[arg(long, value_name = "N", default_value_t = 1000, conflicts_with = "data",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    questions: u64,

    #[command(flatten)]
    own: OwnData,

    /// Longest answer, in tokens
    #[arg(long, value_name = "N", default_value = "16")]
    max_new_tokens: NonZeroUsize,

    /// New folder for the record and the figures; an older analysis in it is replaced, nothing else
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// What is printed
    #[arg(long, value_enum, default_value = "md")]
    format: Format,

    #[command(flatten)]
    compute: Compute,
}

const RECORD: &str = "record.json";

impl Analyze {
    pub(crate) fn run(&self) -> Result<()> {
        self.compute.threads.start()?;
        // Before the work, so that what cannot be written is said at once.
        let folder = self.out.as_deref().map(|path| NewFolder::begin(path, replaceable));
        let folder = folder.transpose()?;
        let policy = self.policy.clone().unwrap_or_default();
        let options = LoadOptions::default().device(self.compute.device).policy(policy);
        let model = loading::load(&self.model.find()?, &options).map_err(failed)?;
        untrained::warn(&model, []);
        let (level, name) = self.level(&model)?;
        let figures = self.figures(&model)?;
        let data = self.dataset()?;
        let interrupt = Interrupt::watch(interrupt::stopping)?;
        let study = Study {
            runner: model.runner(),
            data: &data,
            level,
            max_new_tokens: self.max_new_tokens,
            stop: interrupt.flag(),
        };
        let context = self.context(&model, &data, name, &figures);
        let record = self.observe(&study, &figures, context)?;
        if let Some(folder) = folder {
            write(&folder, &record)?;
            folder.finish()?;
            let path = self.out.as_deref().unwrap_or(Path::new("."));
            output::note(&format!("record and figures: `{}`", path.display()));
        }
        output::part(&render(&record, self.format.into())?)
    }

    /// The level at which layers are observed, and its name.
    fn level(&self, model: &Model) -> Result<(Level, String)> {
        let card = model.card();
        let rungs = card.ladder.iter().flat_map(|ladder| {
            ladder.ids().map(|id| (Level::Rung(id), ladder.rung(id).name().to_owned()))
        });
        let dense = (card.dense == DenseMode::Available || card.ladder.is_none())
            .then(|| (Level::Dense, "dense".to_owned()));
        let legal: Vec<(Level, String)> = dense.into_iter().chain(rungs).collect();
        let found = match &self.budget {
            None => legal.last(),
            Some(name) => legal.iter().find(|(_, known)| known == name),
        };
        found.cloned().ok_or_else(|| {
            let names: Vec<&str> = legal.iter().map(|(_, name)| name.as_str()).collect();
            let asked = self.budget.as_deref().unwrap_or_default();
            Usage::because(format!(
                "no budget is called `{asked}`; this model has {}",
                names.join(", ")
            ))
        })
    }

    /// The figures that are asked for, or all that the model has.
    fn figures(&self, model: &Model) -> Result<BTreeSet<Figure>> {
        let card = model.card();
        let lacks = |figure: Figure| match figure {
            Figure::Rungs | Figure::Choices if card.ladder.is_none() => {
                Some("a model with several budgets, and this is a stock model")
            }
            Figure::Choices if model.policy().is_none() => Some("a policy, and there is none"),
            _ => None,
        };
        let asked = self.figures.iter().copied();
        if let Some((figure, lacks)) = asked.clone().find_map(|f| Some((f, lacks(f)?))) {
            return Err(Usage::because(format!("the figure `{figure}` needs {lacks}")));
        }
        let figures: BTreeSet<Figure> = match self.figures.is_empty() {
            false => asked.collect(),
            true => Figure::ALL.into_iter().filter(|figure| lacks(*figure).is_none()).collect(),
        };
        if self.thrift.is_some() && !figures.contains(&Figure::Choices) {
            return Err(Usage::because("--thrift is for the figure `choices`, which is not made"));
        }
        Ok(figures)
    }

    fn dataset(&self) -> Result<Dataset> {
        match self.own.read()? {
            Some(data) => Ok(data),
            None => {
                let suite = visor_tasks::Suite::new(self.suite);
                Ok(standard(suite, Split::Test, 0..self.questions)?)
            }
        }
    }

    fn context(
        &self,
        model: &Model,
        data: &Dataset,
        level: String,
        figures: &BTreeSet<Figure>,
    ) -> Context {
        let card = model.card();
        let (name, split) = match data.name.split_once(", ") {
            Some((name, split)) => (name.to_owned(), split.to_owned()),
            None => (data.name.clone(), "all".to_owned()),
        };
        let asked = figures.contains(&Figure::Choices);
        let policy = model.policy().filter(|_| asked);
        let mut settings = BTreeMap::from([
            ("scorer".to_owned(), data.scoring()),
            ("longest answer".to_owned(), self.max_new_tokens.to_string()),
        ]);
        if let Some(thrift) = policy.and_then(|policy| self.thrift.or(policy.default_thrift)) {
            settings.insert("thrift".to_owned(), thrift.to_string());
        }
        let sha256 = card.sha256.clone().unwrap_or_default();
        Context {
            environment: Environment::here(),
            model: Identity { name: card.name.clone(), sha256 },
            policy: policy.map(|policy| Identity {
                name: policy.name.clone(),
                sha256: policy.sha256.clone(),
            }),
            suite: Suite { name, split, sha256: data.digest() },
            settings,
            level,
        }
    }

    fn observe(
        &self,
        study: &Study<'_>,
        figures: &BTreeSet<Figure>,
        context: Context,
    ) -> Result<AnalyzeRecord> {
        let bar = Bar::new();
        let tell = &mut |what: &str, done: usize, all: usize| bar.tell(what, done, all);
        let asked = |figure| figures.contains(&figure);
        let schedule = study.schedule()?;
        let ladder = study.runner.card().ladder.as_ref();
        let attention = asked(Figure::Attention).then(|| study.attention(tell)).transpose()?;
        let similarity = asked(Figure::Similarity).then(|| study.similarity(tell)).transpose()?;
        let dropping = asked(Figure::Dropping).then(|| {
            let subsets = subsets(&schedule);
            let scores = study.dropped(&subsets, tell)?;
            anyhow::Ok(subsets.into_iter().zip(scores).collect::<Vec<_>>())
        });
        let dropping = dropping.transpose()?;
        let rung_scores = asked(Figure::Rungs).then(|| study.rung_scores(tell)).transpose()?;
        let choices = asked(Figure::Choices).then(|| study.choices(self.thrift, tell));
        let choices = choices.transpose()?;
        bar.end();
        let seen = Seen {
            items: &study.data.items,
            schedule: &schedule,
            rungs: ladder.map_or(&[], |ladder| ladder.rungs()),
            attention,
            similarity,
            dropping,
            rung_scores,
            choices,
        };
        Ok(AnalyzeRecord::new(seen, context)?)
    }
}

/// What may be replaced: an older analysis, and nothing beside it.
fn replaceable(folder: &Path) -> Result<()> {
    let ours = |name: &str| {
        name == RECORD || Figure::ALL.iter().any(|figure| name == format!("{figure}.svg"))
    };
    let cannot = || format!("cannot read `{}`", folder.display());
    for entry in std::fs::read_dir(folder).with_context(cannot)? {
        let name = entry.with_context(cannot)?.file_name();
        if !name.to_str().is_some_and(ours) {
            bail!(
                "`{}` holds `{}`, which is no analysis; choose a new folder",
                folder.display(),
                name.display()
            );
        }
    }
    let record = folder.join(RECORD);
    let foreign =
        || format!("`{}` is no record of an analysis; choose a new folder", record.display());
    let json = std::fs::read_to_string(&record).with_context(foreign)?;
    AnalyzeRecord::from_json(&json).with_context(foreign)?;
    Ok(())
}

fn write(folder: &NewFolder, record: &AnalyzeRecord) -> Result<()> {
    folder.write(RECORD, record.to_json()?.as_bytes())?;
    for figure in Figure::ALL {
        if let Some(svg) = figure.svg(record)? {
            folder.write(&format!("{figure}.svg"), svg.as_bytes())?;
        }
    }
    Ok(())
}
