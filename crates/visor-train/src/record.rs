//! The record of a trained network: what a model card and the README are generated from.

use crate::batch::Sight;
use crate::error::TrainError;
use crate::evaluate::{Scores, Tally, blanked, pictures};
use crate::leak;
use crate::recipe::Recipe;
use crate::reduction::Pool;
use crate::schedule::Budget;
use crate::trainer::Trainer;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use visor_core::cost::{Flops, Keys, ModelShape, Prompt, Scopes};
use visor_core::{Ladder, Schedule};
use visor_tasks::{Family, Kind, Sample, Split};

/// Version of the record's fields.
pub const SCHEMA_VERSION: u32 = 1;

/// Accuracy of a family with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Share of right answers.
    pub accuracy: f64,
    /// Lower end of Wilson's interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Questions.
    pub n: u32,
}

/// Mean GFLOPs a question in the four scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gflops {
    /// Of the decoder, because of the picture.
    pub vision_side: f64,
    /// The decoder's prefill.
    pub lm_prefill: f64,
    /// Prefill with encoder and connector.
    pub end_to_end: f64,
    /// One decode step.
    pub decode_step: f64,
}

/// A budget's row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RungRow {
    /// The budget.
    pub name: String,
    /// Its active layers.
    pub self_attention_layers: Vec<usize>,
    /// Its cost.
    pub gflops: Gflops,
    /// Dense over this budget, decoder's prefill.
    pub saving_lm_prefill: f64,
    /// Dense over this budget, end to end.
    pub saving_end_to_end: f64,
    /// Accuracy by family.
    pub families: BTreeMap<String, Accuracy>,
    /// Chains by number of hops.
    pub chain_by_hops: BTreeMap<u8, Accuracy>,
    /// Mean over the one-look families.
    pub one_look_mean: f64,
    /// Mean over the refinement families.
    pub refinement_mean: f64,
}

/// Accuracy under a changed input, by budget and family.
pub type Table = BTreeMap<String, BTreeMap<String, Accuracy>>;

/// How the network came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Everything the weights depend on.
    pub recipe: Recipe,
    /// Steps done.
    pub steps: u64,
    /// Pictures seen.
    pub pictures: u64,
    /// Parameters of the network.
    pub parameters: u64,
    /// Wall minutes, where they were measured.
    pub minutes: Option<f64>,
    /// What the network learned after that, along with its selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub along: Option<Along>,
}

/// Steps in which a network learned along with its selector.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Along {
    /// Steps.
    pub steps: u64,
    /// Pictures seen.
    pub pictures: u64,
    /// Wall minutes.
    pub minutes: f64,
}

/// The record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The suite and its version.
    pub suite: String,
    /// Test pictures; every question about them is asked.
    pub test_pictures: usize,
    /// One row a budget, cheapest first.
    pub rungs: Vec<RungRow>,
    /// What the stock layout of the same decoder would cost.
    pub dense_gflops: Gflops,
    /// Pictures without content: what words alone tell.
    pub blank_picture: Table,
    /// Cross-attention sees a random half of the patches.
    pub random_half: Table,
    /// Scenes beyond those of training.
    pub harder: Table,
    /// A small head on the encoder's output alone.
    pub encoder_probe: BTreeMap<String, Accuracy>,
    /// Share of the commonest answer of each family in the test questions.
    pub majority: BTreeMap<String, f64>,
    /// How it was trained.
    pub training: Training,
}

/// Steps of the probe's head.
const PROBE_STEPS: u64 = 1500;

/// Evaluates a trained network on `n` test pictures.
///
/// # Errors
/// None in a sound network.
pub fn make(
    trainer: &Trainer,
    ladder: &Ladder,
    n: usize,
    minutes: Option<f64>,
    device: &Device,
) -> Result<Record, TrainError> {
    let (network, plain) = trainer.for_inference();
    let subject = trainer.subject(&network, &plain);
    let suite = trainer.suite();
    let tested = tested(trainer, ladder);
    let budgets: Vec<&Budget> = tested.iter().map(|(_, budget)| budget).collect();
    let names = budgets.iter().map(|budget| budget.name.clone());
    let table =
        |scores: Vec<Scores>| -> Table { names.clone().zip(scores.iter().map(families)).collect() };
    let test = pictures(suite, Split::Test, n)?;
    let few = &test[..n.min(700)];
    let half = Sight::Share { share: 0.5, seed: 3 };
    let scores = subject.evaluate(suite, &test, Sight::Whole, &budgets)?;
    let blank = subject.evaluate(suite, &blanked(few), Sight::Whole, &budgets)?;
    let random_half = subject.evaluate(suite, few, half, &budgets)?;
    let harder = pictures(suite, Split::Harder, few.len())?;
    let harder = subject.evaluate(suite, &harder, Sight::Whole, &budgets)?;
    let shape = trainer.config().shape(Some(trainer.extension().cross.n_kv_heads));
    let prompts = prompts(trainer, &test)?;
    let schedule = Schedule::dense(trainer.recipe().sizes.n_layers);
    let dense = Budget { name: "dense".to_owned(), schedule, pool: Pool::NONE };
    let dense = gflops(&shape, &dense, &prompts);
    let rungs = tested
        .iter()
        .zip(&scores)
        .map(|((active, budget), scores)| {
            let cost = gflops(&shape, budget, &prompts);
            RungRow {
                name: budget.name.clone(),
                self_attention_layers: active.clone(),
                gflops: cost,
                saving_lm_prefill: dense.lm_prefill / cost.lm_prefill,
                saving_end_to_end: dense.end_to_end / cost.end_to_end,
                families: families(scores),
                chain_by_hops: scores
                    .chain_by_hops
                    .iter()
                    .map(|(&h, t)| (h, accuracy(t)))
                    .collect(),
                one_look_mean: scores.mean(Kind::OneLook),
                refinement_mean: scores.mean(Kind::Refinement),
            }
        })
        .collect();
    let recipe = trainer.recipe();
    let batch = (recipe.batch * recipe.accumulate) as u64;
    Ok(Record {
        schema_version: SCHEMA_VERSION,
        suite: format!("{} v{}", recipe.suite, suite.version()),
        test_pictures: n,
        rungs,
        dense_gflops: dense,
        blank_picture: table(blank),
        random_half: table(random_half),
        harder: table(harder),
        encoder_probe: families(&leak::probe(trainer, PROBE_STEPS, n, device)?),
        majority: majority(&test),
        training: Training {
            recipe: recipe.clone(),
            steps: trainer.steps_done(),
            pictures: trainer.steps_done() * batch,
            parameters: trainer.parameters(),
            minutes,
            along: None,
        },
    })
}

/// Active layers and budget of each row: the rungs of the ladder, also with fewer visual tokens
/// where the arm learned them; the budgets of a control without a ladder.
pub(crate) fn tested(trainer: &Trainer, ladder: &Ladder) -> Vec<(Vec<usize>, Budget)> {
    let curriculum = trainer.curriculum();
    if trainer.recipe().arm.is_dense() {
        let every: Vec<usize> = (0..trainer.recipe().sizes.n_layers).collect();
        return curriculum.subsets().iter().map(|b| (every.clone(), b.clone())).collect();
    }
    let mut pools = vec![Pool::NONE];
    pools.extend(curriculum.reduced().iter().map(|budget| budget.pool));
    pools.dedup();
    let rung = |pool: Pool| {
        ladder.ids().map(move |id| {
            let rung = ladder.rung(id);
            let name = match pool.factor() {
                1 => rung.name().to_owned(),
                factor => format!("{}/{factor}", rung.name()),
            };
            (rung.active_layers(), Budget { name, schedule: ladder.schedule(id), pool })
        })
    };
    pools.into_iter().flat_map(rung).collect()
}

fn accuracy(tally: &Tally) -> Accuracy {
    let (low, high) = tally.interval();
    Accuracy { accuracy: tally.accuracy(), low, high, n: tally.n }
}

fn families(scores: &Scores) -> BTreeMap<String, Accuracy> {
    scores.families.iter().map(|(family, tally)| (family.to_string(), accuracy(tally))).collect()
}

/// Sizes of every question's prompt.
pub(crate) fn prompts(trainer: &Trainer, samples: &[Sample]) -> Result<Vec<Prompt>, TrainError> {
    let n_visual = trainer.config().token_grid().pow(2);
    samples
        .iter()
        .flat_map(|sample| &sample.questions)
        .map(|question| {
            // The words, and the token that asks for the answer.
            let n_question = trainer.vocabulary().encode(&question.text)?.len();
            let n_text = n_question + 1;
            Ok(Prompt { n_text, n_question, n_visual, n_tiles: 1, keys: Keys::All })
        })
        .collect()
}

/// What a question costs at a budget: encoder and connector run on the whole picture, the decoder
/// on what is left of it.
pub(crate) fn scopes(shape: &ModelShape, budget: &Budget, prompt: Prompt) -> Scopes {
    let left = prompt.n_visual / budget.pool.factor();
    let reduced = Prompt { n_visual: left, ..prompt };
    shape.scopes(&budget.schedule, reduced, None)
}

fn gflops(shape: &ModelShape, budget: &Budget, prompts: &[Prompt]) -> Gflops {
    let all: Vec<Scopes> = prompts.iter().map(|&p| scopes(shape, budget, p)).collect();
    let mean = |scope: fn(&Scopes) -> Flops| {
        all.iter().map(scope).sum::<Flops>().giga() / all.len().max(1) as f64
    };
    Gflops {
        vision_side: mean(|s| s.vision_side),
        lm_prefill: mean(|s| s.lm_prefill),
        end_to_end: mean(|s| s.end_to_end),
        decode_step: mean(|s| s.decode_step),
    }
}

/// The share of the commonest answer: what a guess that knows the family gets.
fn majority(samples: &[Sample]) -> BTreeMap<String, f64> {
    let mut answers: BTreeMap<Family, BTreeMap<&str, u32>> = BTreeMap::new();
    for question in samples.iter().flat_map(|sample| &sample.questions) {
        *answers.entry(question.family).or_default().entry(&question.answer).or_default() += 1;
    }
    let share = |counts: &BTreeMap<&str, u32>| {
        let (most, all) = (counts.values().max(), counts.values().sum::<u32>());
        f64::from(most.copied().unwrap_or(0)) / f64::from(all.max(1))
    };
    answers.iter().map(|(family, counts)| (family.to_string(), share(counts))).collect()
}
