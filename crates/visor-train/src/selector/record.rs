//! What a selector does on test questions, as a record.

use super::evaluate::{Level, Pointing, Sighted, evaluate};
use super::settings::Settings;
use super::world::World;
use crate::batch::Asked;
use crate::error::TrainError;
use crate::evaluate::Tally;
use crate::outcomes::digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use visor_core::Patches;
use visor_core::cost::{Flops, Keys, Prompt};
use visor_model::selector::Selector;
use visor_runtime::Backbone;
use visor_tasks::{Family, Kind, Sample};

/// Version of the fields.
pub const SCHEMA_VERSION: u32 = 1;

/// A trained selector on test questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectorRecord {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// How it was trained.
    pub settings: Settings,
    /// The backbone, SHA-256.
    pub backbone_sha256: Option<String>,
    /// What the backbone was trained from.
    pub backbone: String,
    /// Wall minutes of training, teacher included, where they were measured.
    pub minutes: Option<f64>,
    /// Parameters of the selector.
    pub parameters: u64,
    /// SHA-256 of the questions.
    pub questions_sha256: String,
    /// Number of questions.
    pub n: usize,
    /// Visual tokens of a picture.
    pub n_visual: usize,
    /// By family, how scores point and how many patches are chosen at `auto`.
    pub families: BTreeMap<String, FamilyRecord>,
    /// Mean FLOPs a question by number of patches, at the lowest rung.
    pub costs: BTreeMap<String, CostRecord>,
    /// Accuracy by rung and level.
    pub levels: Vec<LevelRecord>,
}

/// What the patches that questions choose are worth, held against others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Visual tokens of a picture.
    pub n_visual: usize,
    /// By family, how scores point and how many patches are chosen at `auto`.
    pub families: BTreeMap<String, FamilyRecord>,
    /// Accuracy by rung and level.
    pub levels: Vec<LevelRecord>,
}

/// What the selector makes of a family's questions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyRecord {
    /// Questions.
    pub n: u32,
    /// Share of questions whose best patch is evidence.
    pub pointing: f64,
    /// The same for a patch at random.
    pub pointing_by_chance: f64,
    /// Mean share of the evidence that is chosen.
    pub recall: f64,
    /// Mean number of patches chosen.
    pub mean_k: f64,
    /// Questions by number of patches chosen.
    pub k: BTreeMap<u16, u32>,
}

/// Mean FLOPs of a question at the lowest rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostRecord {
    /// Keys, values and scores of cross-attention.
    pub keys_and_scores: f64,
    /// That, and the whole selector.
    pub with_selector: f64,
    /// That, and the queries and outputs of cross-attention.
    pub with_queries: f64,
    /// The decoder's prefill.
    pub lm_prefill: f64,
    /// Everything before the first token.
    pub end_to_end: f64,
}

/// Accuracy at a rung and level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelRecord {
    /// The rung.
    pub rung: String,
    /// The number of patches: `all`, `auto`, or a number.
    pub patches: String,
    /// Which ones.
    pub sighted: Sighted,
    /// Mean accuracy.
    pub accuracy: f64,
    /// Mean over questions of the one-look families.
    pub one_look: f64,
    /// Mean over questions of the refinement families.
    pub refinement: f64,
    /// Difference to all patches at the same rung, with its paired 95 % interval, in shares.
    pub difference: [f64; 3],
    /// The same over the one-look families.
    pub one_look_difference: [f64; 3],
    /// By family.
    pub families: BTreeMap<String, f64>,
    /// A bit a question, `1` where the answer was right, four to a hexadecimal digit; empty where that
    /// is recorded elsewhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub right: String,
}

/// Reading everything, and for each of these numbers of patches the chosen ones and all that they
/// are held against.
pub fn controlled(patches: &[Patches]) -> Vec<Level> {
    let all = Level { patches: Patches::All, sighted: Sighted::Selected };
    let of = |&patches: &Patches| Sighted::ALL.map(|sighted| Level { patches, sighted });
    [all].into_iter().chain(patches.iter().flat_map(of)).collect()
}

/// The levels of a record: `auto` with everything that it is held against, and numbers with as many
/// at random.
fn levels(n_visual: usize) -> Vec<Level> {
    let counts = [1, 2, 4, 8, 16, 32, 64].into_iter().filter(|&k| k < n_visual);
    let counted = counts.filter_map(NonZeroUsize::new).flat_map(|count| {
        [Sighted::Selected, Sighted::Random]
            .map(|sighted| Level { patches: Patches::Count(count), sighted })
    });
    controlled(&[Patches::Auto]).into_iter().chain(counted).collect()
}

/// Asks `samples`, one question each, and makes the record.
///
/// # Errors
/// Of a stock model, words that the vocabulary lacks, or [`TrainError::AskingStopped`] if `stop` was
/// raised.
pub fn record(
    world: &World<'_>,
    selector: &Selector,
    samples: &[Sample],
    settings: Settings,
    minutes: Option<f64>,
    stop: &AtomicBool,
) -> Result<SelectorRecord, TrainError> {
    let levels = levels(world.n_visual());
    let (selection, asked) = ask(world, selector, samples, &levels, stop)?;
    let Selection { n_visual, families, levels } = selection;
    Ok(SelectorRecord {
        schema_version: SCHEMA_VERSION,
        settings,
        backbone_sha256: world.model.card().sha256.clone(),
        backbone: world.backbone.clone(),
        minutes,
        parameters: burn::module::Module::num_params(selector) as u64,
        questions_sha256: digest(samples),
        n: asked.len(),
        n_visual,
        costs: costs(world, selector, &asked, n_visual)?,
        levels,
        families,
    })
}

/// Asks `samples`, one question each, at every rung with the patches of every level, of which the
/// first reads everything: what a comparison of budgets says beside its own answers.
///
/// # Errors
/// As [`record`].
pub fn selection(
    world: &World<'_>,
    selector: &Selector,
    samples: &[Sample],
    levels: &[Level],
    stop: &AtomicBool,
) -> Result<Selection, TrainError> {
    let (mut selection, _) = ask(world, selector, samples, levels, stop)?;
    selection.levels.iter_mut().for_each(|level| level.right.clear());
    Ok(selection)
}

fn ask(
    world: &World<'_>,
    selector: &Selector,
    samples: &[Sample],
    levels: &[Level],
    stop: &AtomicBool,
) -> Result<(Selection, Vec<Question>), TrainError> {
    let (ladder, rungs) = (world.ladder()?, world.rungs()?);
    let mut right = vec![vec![Vec::with_capacity(samples.len()); levels.len()]; rungs.len()];
    let (mut asked, mut families) = (Vec::new(), BTreeMap::<String, FamilyRecord>::new());
    evaluate(
        world,
        selector,
        samples,
        levels,
        stop,
        &mut |(question, pointing)| {
            let family = families.entry(question.family.to_string()).or_default();
            family.add(question, pointing);
            asked.push((question.family, question.words.len(), usize::from(pointing.k)));
        },
        &mut |rung, level, is_right| right[rung][level].push(is_right),
    )?;
    families.values_mut().for_each(FamilyRecord::average);
    let rows = rungs.iter().zip(&right).flat_map(|(&rung, by_level)| {
        let (name, all) = (ladder.rung(rung).name(), &by_level[0]);
        let asked = &asked;
        let row = move |(level, right): (&Level, &Vec<bool>)| {
            LevelRecord::new(name, *level, asked, right, all)
        };
        levels.iter().zip(by_level).map(row)
    });
    let levels = rows.collect();
    Ok((Selection { n_visual: world.n_visual(), families, levels }, asked))
}

impl FamilyRecord {
    /// Adds a question to what are sums until [`FamilyRecord::average`].
    fn add(&mut self, question: &Asked, pointing: Pointing) {
        let evidence = question.evidence.iter().filter(|&&holds| holds).count();
        self.n += 1;
        self.pointing += f64::from(u8::from(pointing.hit));
        self.pointing_by_chance += evidence as f64 / question.evidence.len() as f64;
        self.recall += f64::from(pointing.recall);
        self.mean_k += f64::from(pointing.k);
        *self.k.entry(pointing.k).or_default() += 1;
    }

    fn average(&mut self) {
        let n = f64::from(self.n);
        let Self { pointing, pointing_by_chance, recall, mean_k, .. } = self;
        [pointing, pointing_by_chance, recall, mean_k].into_iter().for_each(|mean| *mean /= n);
    }
}

/// A question's family, its words, and the patches that it chose.
type Question = (Family, usize, usize);

impl LevelRecord {
    fn new(rung: &str, level: Level, asked: &[Question], right: &[bool], all: &[bool]) -> Self {
        let mut families = BTreeMap::<String, Tally>::new();
        for ((family, _, _), right) in asked.iter().zip(right) {
            families.entry(family.to_string()).or_default().add(*right);
        }
        let mean = |kind: Kind| {
            let mut tally = Tally::default();
            let of_kind = asked.iter().zip(right).filter(|((family, ..), _)| family.kind() == kind);
            of_kind.for_each(|(_, right)| tally.add(*right));
            tally.accuracy()
        };
        let paired = |counts: &dyn Fn(Family) -> bool| {
            let pairs = asked.iter().zip(right.iter().zip(all));
            difference(
                pairs
                    .filter(|((family, ..), _)| counts(*family))
                    .map(|(_, (a, b))| f64::from(u8::from(*a)) - f64::from(u8::from(*b))),
            )
        };
        let share = right.iter().filter(|&&right| right).count() as f64;
        Self {
            rung: rung.to_owned(),
            patches: level.patches.to_string(),
            sighted: level.sighted,
            accuracy: share / right.len().max(1) as f64,
            one_look: mean(Kind::OneLook),
            refinement: mean(Kind::Refinement),
            difference: paired(&|_| true),
            one_look_difference: paired(&|family| family.kind() == Kind::OneLook),
            families: families.into_iter().map(|(family, t)| (family, t.accuracy())).collect(),
            right: digits(right),
        }
    }
}

/// Mean of paired differences with a 95 % interval.
fn difference(differences: impl Iterator<Item = f64>) -> [f64; 3] {
    const Z: f64 = 1.959_964;
    let all: Vec<f64> = differences.collect();
    let n = all.len().max(1) as f64;
    let mean = all.iter().sum::<f64>() / n;
    let variance = all.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / n;
    let half = Z * (variance / n).sqrt();
    [mean, mean - half, mean + half]
}

fn digits(right: &[bool]) -> String {
    let digit = |four: &[bool]| {
        let value = four.iter().fold(0_u32, |value, &right| value << 1 | u32::from(right));
        char::from_digit(value, 16).expect("four bits are one digit")
    };
    right.chunks(4).map(digit).collect()
}

fn costs(
    world: &World<'_>,
    selector: &Selector,
    asked: &[Question],
    n_visual: usize,
) -> Result<BTreeMap<String, CostRecord>, TrainError> {
    let (card, ladder) = (world.model.card(), world.ladder()?);
    let schedule = ladder.schedule(ladder.cheapest());
    let looks = schedule.count(visor_core::LayerMode::CrossAttention);
    let decoder = card.shape.decoder;
    let counts = [1, 2, 4, 8, 16, 32, 64].into_iter().filter(|&k| k < n_visual);
    let numbers = [Patches::All, Patches::Auto]
        .into_iter()
        .chain(counts.filter_map(NonZeroUsize::new).map(Patches::Count));
    let mean = |patches: Patches| {
        let mut sum = CostRecord::default();
        for &(_, n_question, k) in asked {
            let n_keys = match patches {
                Patches::All => n_visual,
                Patches::Auto => k,
                Patches::Count(count) => count.get(),
                Patches::Random { one_in, .. } => Patches::drawn(one_in, n_visual),
            };
            let shape = selector.sizes().shape;
            let keys = match patches {
                Patches::All => Keys::All,
                Patches::Random { .. } => Keys::Selected { n_keys, from: 0, selector: None },
                _ => Keys::Selected { n_keys, from: 0, selector: Some(shape) },
            };
            // The words, and what asks for an answer.
            let n_text = n_question + 1;
            let prompt = Prompt { n_text, n_question, n_visual, n_tiles: 1, keys };
            let read = decoder.cross_keys(n_keys) + decoder.attention(n_text, n_keys + 1);
            let with_selector = read * looks + prompt.selection();
            let with_queries = with_selector + decoder.cross_queries(n_text) * looks;
            let scopes = card.shape.scopes(&schedule, prompt, None);
            let add = |sum: &mut f64, Flops(flops): Flops| {
                *sum += flops as f64 / asked.len().max(1) as f64;
            };
            add(&mut sum.keys_and_scores, read * looks);
            add(&mut sum.with_selector, with_selector);
            add(&mut sum.with_queries, with_queries);
            add(&mut sum.lm_prefill, scopes.lm_prefill);
            add(&mut sum.end_to_end, scopes.end_to_end);
        }
        (patches.to_string(), sum)
    };
    Ok(numbers.map(mean).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_digits_four_at_a_time() {
        assert_eq!(digits(&[true, false, true, true, false, true]), "b1");
    }

    #[test]
    fn a_paired_difference_of_equal_answers_is_nothing() {
        assert_eq!(difference([0.0; 9].into_iter()), [0.0; 3]);
        let [mean, low, high] = difference([1.0, -1.0, 1.0, 1.0].into_iter());
        assert!(low < mean && mean < high && (mean - 0.5).abs() < 1e-9);
    }

    #[test]
    fn levels_begin_with_all_patches_and_never_have_as_many_by_number() {
        let levels = levels(36);
        assert_eq!(levels[0].patches, Patches::All);
        assert!(levels.iter().all(|level| level.patches.to_string() != "36"));
    }
}
