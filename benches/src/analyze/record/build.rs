//! What was seen becomes a record: means with intervals, correlations, clusters.

use super::{
    Alikeness, AnalyzeRecord, Cluster, DroppedSubset, Dropping, KIND, LayerLook, Look, Mode, Pick,
    Picks, RecordError, RungAnswers, SCHEMA_VERSION,
};
use crate::Environment;
use crate::analyze::cluster::{correlation, in_two};
use crate::compare::observation::{Kind, Suite};
use crate::compare::record::{FamilyHead, Identity, rounded};
use crate::compare::statistics::{Clusters, Estimate, mean, student};
use std::collections::BTreeMap;
use visor_core::{LayerMode, Rung, Schedule};
use visor_train::analysis::attention::{self, Attention};
use visor_train::analysis::choices::Choice;
use visor_train::analysis::dropping::Subset;
use visor_train::analysis::similarity::Similarity;
use visor_train::data::{Item, Need};

/// What observations do not say and a record has to.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where it was run.
    pub environment: Environment,
    /// The model.
    pub model: Identity,
    /// The policy, where it was asked.
    pub policy: Option<Identity>,
    /// What was asked.
    pub suite: Suite,
    /// Everything that the numbers depend on, by name.
    pub settings: BTreeMap<String, String>,
    /// Name of the observed level.
    pub level: String,
}

/// What was seen; a part is there where it was asked for. Scores are in the order of `items`.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The questions.
    pub items: &'a [Item],
    /// What the layers do at the observed level.
    pub schedule: &'a Schedule,
    /// The ladder, cheapest first; empty of a stock model.
    pub rungs: &'a [Rung],
    /// Where the text looks.
    pub attention: Option<Attention>,
    /// How alike the picture is between layers.
    pub similarity: Option<Similarity>,
    /// Subsets of layers, the one that drops nothing first, with a score a question.
    pub dropping: Option<Vec<(Subset, Vec<f32>)>>,
    /// A score a question for each rung.
    pub rung_scores: Option<Vec<Vec<f32>>>,
    /// What the policy picked for each question.
    pub choices: Option<Vec<Choice>>,
}

impl AnalyzeRecord {
    /// The record of what was seen.
    ///
    /// # Errors
    /// [`RecordError::Length`], where scores are not one a question.
    pub fn new(seen: Seen<'_>, context: Context) -> Result<Self, RecordError> {
        let families = families(seen.items);
        let part = Part { items: seen.items, families: &families };
        let record = Self {
            kind: KIND.to_owned(),
            schema_version: SCHEMA_VERSION,
            environment: context.environment,
            model: context.model,
            policy: context.policy,
            suite: context.suite,
            items: seen.items.len(),
            settings: context.settings,
            level: context.level,
            modes: seen.schedule.modes().iter().copied().map(Mode::from).collect(),
            attention: seen.attention.as_ref().map(looks),
            similarity: seen.similarity.map(alikeness),
            dropping: seen.dropping.map(|dropped| part.dropping(dropped)).transpose()?,
            rungs: seen.rung_scores.map(|scores| part.rungs(seen.rungs, &scores)).transpose()?,
            choices: seen.choices.map(|choices| part.picks(seen.rungs, &choices)).transpose()?,
            families,
        };
        Ok(rounded(&record)?)
    }
}

impl From<LayerMode> for Mode {
    fn from(mode: LayerMode) -> Self {
        match mode {
            LayerMode::TextOnly => Self::TextOnly,
            LayerMode::CrossAttention => Self::CrossAttention,
            LayerMode::SelfAttention => Self::SelfAttention,
        }
    }
}

fn kind(need: Option<Need>) -> Kind {
    match need {
        Some(Need::OneLook) => Kind::Easy,
        Some(Need::Refinement) => Kind::Hard,
        None => Kind::Other,
    }
}

fn families(items: &[Item]) -> Vec<FamilyHead> {
    let mut found: BTreeMap<&str, (Kind, usize)> = BTreeMap::new();
    for item in items {
        found.entry(&item.family).or_insert((kind(item.need), 0)).1 += 1;
    }
    let head = |(name, (kind, items)): (&str, _)| FamilyHead { name: name.to_owned(), kind, items };
    let mut families: Vec<FamilyHead> = found.into_iter().map(head).collect();
    families.sort_by_key(|family| family.kind);
    families
}

fn looks(attention: &Attention) -> BTreeMap<String, Vec<LayerLook>> {
    let look = |look: attention::Look| Look {
        to_image: look.own.image,
        to_question: look.own.question,
        to_answer: look.own.answer,
        cross_to_image: look.cross,
    };
    let layer = |layer: &attention::LayerAttention| LayerLook {
        question: layer.question.map(look),
        answer: layer.answer.map(look),
    };
    let family = |(name, layers): (&String, &Vec<attention::LayerAttention>)| {
        (name.clone(), layers.iter().map(layer).collect())
    };
    attention.iter().map(family).collect()
}

fn alikeness(similarity: Similarity) -> Alikeness {
    let stage = |stage: &Option<usize>| match stage {
        None => "in".to_owned(),
        Some(layer) => format!("after {layer}"),
    };
    Alikeness {
        stages: similarity.stages.iter().map(stage).collect(),
        families: similarity.families,
    }
}

/// Most numbers by which picks are told apart.
const MOST_KINDS: usize = 12;

/// The questions and their families.
struct Part<'a> {
    items: &'a [Item],
    families: &'a [FamilyHead],
}

impl Part<'_> {
    fn expect(&self, what: &'static str, got: usize) -> Result<(), RecordError> {
        match self.items.len() {
            expected if expected == got => Ok(()),
            expected => Err(RecordError::Length { what, got, expected }),
        }
    }

    /// Over all questions, and by family.
    fn estimates(&self, scores: &[f32]) -> (Estimate, BTreeMap<String, Estimate>) {
        let of = |here: &dyn Fn(&Item) -> bool| {
            let chosen = self.items.iter().zip(scores).filter(|(item, _)| here(item));
            let scores: Vec<f64> = chosen.map(|(_, score)| f64::from(*score)).collect();
            mean(&scores, &Clusters::single(scores.len()))
        };
        let none = Estimate { mean: 0.0, low: 0.0, high: 1.0, n: 0 };
        let family = |family: &FamilyHead| {
            let name = family.name.clone();
            let found = of(&|item| item.family == name)?;
            Some((name, found))
        };
        let families = self.families.iter().filter_map(family).collect();
        (of(&|_| true).unwrap_or(none), families)
    }

    fn dropping(&self, dropped: Vec<(Subset, Vec<f32>)>) -> Result<Dropping, RecordError> {
        let mut subsets = Vec::with_capacity(dropped.len());
        for (subset, scores) in dropped {
            self.expect("scores with the picture dropped", scores.len())?;
            let (accuracy, families) = self.estimates(&scores);
            let layers = subset.layers.iter().map(|layer| layer.0).collect();
            subsets.push(DroppedSubset { name: subset.name, layers, accuracy, families });
        }
        let accuracy = |family: &FamilyHead| -> Vec<f64> {
            let of = |subset: &DroppedSubset| subset.families.get(&family.name).map(|e| e.mean);
            subsets.iter().filter_map(of).collect()
        };
        let curves: Vec<Vec<f64>> = self.families.iter().map(accuracy).collect();
        let pair = |a: &Vec<f64>, b: &Vec<f64>| correlation(a, b);
        let correlation: Vec<Vec<Option<f64>>> =
            curves.iter().map(|a| curves.iter().map(|b| pair(a, b)).collect()).collect();
        // What never changes is as near to one as to another.
        let groups = in_two(curves.len(), |i, j| 1.0 - correlation[i][j].unwrap_or(0.0));
        let loss = |curve: &Vec<f64>| match curve.split_first() {
            Some((whole, rest)) if !rest.is_empty() => {
                rest.iter().map(|dropped| whole - dropped).sum::<f64>() / rest.len() as f64
            }
            _ => 0.0,
        };
        let mut groups: Vec<(Vec<usize>, f64)> = groups
            .into_iter()
            .map(|group| {
                let sum: f64 = group.iter().map(|&family| loss(&curves[family])).sum();
                let mean = sum / group.len() as f64;
                (group, mean)
            })
            .collect();
        groups.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        let as_declared = self.as_declared(&groups);
        let name = |family: usize| self.families[family].name.clone();
        let cluster = |(group, mean_loss): (Vec<usize>, f64)| Cluster {
            families: group.into_iter().map(name).collect(),
            mean_loss,
        };
        Ok(Dropping {
            subsets,
            families: self.families.iter().map(|family| family.name.clone()).collect(),
            correlation,
            clusters: groups.into_iter().map(cluster).collect(),
            as_declared,
        })
    }

    /// How many families stand in the cluster that fits what they were declared to need, the one
    /// that loses less being the easy one, and how many were declared.
    fn as_declared(&self, groups: &[(Vec<usize>, f64)]) -> (usize, usize) {
        let kinds = [Kind::Easy, Kind::Hard];
        let declared = self.families.iter().filter(|family| kinds.contains(&family.kind)).count();
        let found = groups.iter().zip(kinds).flat_map(|((group, _), kind)| {
            group.iter().filter(move |&&family| self.families[family].kind == kind)
        });
        (found.count(), declared)
    }

    fn rungs(&self, rungs: &[Rung], scores: &[Vec<f32>]) -> Result<Vec<RungAnswers>, RecordError> {
        let rung = |(rung, scores): (&Rung, &Vec<f32>)| {
            self.expect("scores of a rung", scores.len())?;
            let (accuracy, families) = self.estimates(scores);
            let self_attention_layers = rung.active_layers();
            Ok(RungAnswers {
                name: rung.name().to_owned(),
                self_attention_layers,
                accuracy,
                families,
            })
        };
        rungs.iter().zip(scores).map(rung).collect()
    }

    fn picks(&self, rungs: &[Rung], choices: &[Choice]) -> Result<Picks, RecordError> {
        self.expect("choices", choices.len())?;
        let of = |here: &dyn Fn(&Item) -> bool| {
            let chosen = self.items.iter().zip(choices).filter(|(item, _)| here(item));
            pick(&chosen.map(|(_, choice)| *choice).collect::<Vec<_>>(), rungs.len())
        };
        let by = |number: &dyn Fn(&Item) -> Option<u32>| {
            let mut by: BTreeMap<String, BTreeMap<u32, Pick>> = BTreeMap::new();
            for item in self.items {
                let Some(wanted) = number(item) else { continue };
                let here =
                    |other: &Item| other.family == item.family && number(other) == Some(wanted);
                let of_family = by.entry(item.family.clone()).or_default();
                of_family.entry(wanted).or_insert_with(|| of(&here));
            }
            // Of a single kind nothing can be compared, of very many nothing can be said.
            by.retain(|_, picks| (2..=MOST_KINDS).contains(&picks.len()));
            by
        };
        let hops = |item: &Item| (item.hops > 0).then_some(u32::from(item.hops));
        let answer = |item: &Item| item.answers.first()?.trim().parse::<u32>().ok();
        let all_numbers = |family: &str| {
            self.items.iter().filter(|item| item.family == family).all(|i| answer(i).is_some())
        };
        let mut by_number = by(&answer);
        by_number.retain(|family, _| all_numbers(family));
        let family = |family: &FamilyHead| {
            (family.name.clone(), of(&|item: &Item| item.family == family.name))
        };
        Ok(Picks {
            ladder: rungs.iter().map(|rung| rung.name().to_owned()).collect(),
            all: of(&|_| true),
            families: self.families.iter().map(family).collect(),
            by_hops: by(&hops),
            by_number,
        })
    }
}

fn pick(choices: &[Choice], rungs: usize) -> Pick {
    let n = choices.len();
    let share = |rung| {
        let taken = choices.iter().filter(|choice| choice.rung == rung).count();
        taken as f64 / n.max(1) as f64
    };
    let layers: Vec<f64> = choices.iter().map(|c| c.self_attention_layers as f64).collect();
    let mean = layers.iter().sum::<f64>() / n.max(1) as f64;
    let squares: f64 = layers.iter().map(|layers| (layers - mean).powi(2)).sum();
    let half = (n > 1).then(|| {
        let n = n as f64;
        student(choices.len()) * (squares / (n - 1.0) / n).sqrt()
    });
    Pick { n, shares: (0..rungs).map(share).collect(), layers: mean, layers_plus_minus: half }
}
