//! What a benchmark's own evaluation reports of all answers together.

use super::Benchmark;
use super::yes_no::{COGNITION, PERCEPTION, SPLITS};
use crate::data::Item;
use std::collections::BTreeMap;

/// One number of an evaluation, in the unit in which it is published.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is, as `F1, random`.
    pub name: String,
    /// Per cent, unless the name says otherwise.
    pub value: f64,
}

fn figure(name: impl Into<String>, value: f64) -> Figure {
    Figure { name: name.into(), value }
}

impl Benchmark {
    /// The figures of one way of answering: one score an item, in the same order.
    pub fn figures(self, items: &[Item], scores: &[f32]) -> Vec<Figure> {
        let all: Vec<Scored<'_>> = items.iter().zip(scores.iter().copied()).collect();
        let of = |family: &str| -> Vec<Scored<'_>> {
            all.iter().copied().filter(|(item, _)| item.family == family).collect()
        };
        match self {
            Self::VqaRad => ["closed", "open"]
                .into_iter()
                .filter_map(|family| Some(figure(family, 100.0 * mean(&of(family))?)))
                .collect(),
            Self::ChartQa => {
                let halves = ["human", "augmented"].map(|half| (half, mean(&of(half))));
                let each = halves.iter().filter_map(|&(half, mean)| Some((half, 100.0 * mean?)));
                let each: Vec<(&str, f64)> = each.collect();
                let sum: f64 = each.iter().map(|(_, value)| value).sum();
                let both = figure("relaxed accuracy", sum / each.len().max(1) as f64);
                [both].into_iter().chain(each.into_iter().map(|(n, v)| figure(n, v))).collect()
            }
            Self::Mme => mme(&all),
            Self::Pope => pope(&all),
            Self::OcrBench => {
                let right: f64 = scores.iter().map(|&score| f64::from(score)).sum();
                vec![figure(format!("right of {}", items.len()), right)]
            }
            Self::InfoVqa | Self::DocVqa => whole("ANLS", &all),
            Self::TextVqa => whole("VQA accuracy", &all),
            Self::AOkvqa
            | Self::AOkvqaDirect
            | Self::RealWorldQa
            | Self::ScienceQa
            | Self::Gqa
            | Self::Ai2d
            | Self::RefCoco => whole("accuracy", &all),
        }
    }
}

type Scored<'a> = (&'a Item, f32);

fn whole(name: &str, all: &[Scored<'_>]) -> Vec<Figure> {
    mean(all).map(|mean| figure(name, 100.0 * mean)).into_iter().collect()
}

fn mean(all: &[Scored<'_>]) -> Option<f64> {
    let sum: f64 = all.iter().map(|&(_, score)| f64::from(score)).sum();
    (!all.is_empty()).then(|| sum / all.len() as f64)
}

/// By task the share of right answers and of pictures with all answers right, together up to 200;
/// and the sums of both halves.
fn mme(all: &[Scored<'_>]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (half, tasks) in [("perception", &PERCEPTION[..]), ("cognition", &COGNITION[..])] {
        let mut sum = None;
        let mut of_tasks = Vec::new();
        for task in tasks {
            let own: Vec<Scored<'_>> =
                all.iter().copied().filter(|(item, _)| item.family == *task).collect();
            let Some(right) = mean(&own) else { continue };
            let mut pictures: BTreeMap<&str, bool> = BTreeMap::new();
            for (item, score) in &own {
                // What stands before the last stroke is common to the questions about a picture.
                let about = item.id.rsplit_once('/').map_or(item.id.as_str(), |(about, _)| about);
                *pictures.entry(about).or_insert(true) &= *score == 1.0;
            }
            let whole = pictures.values().filter(|&&whole| whole).count() as f64;
            let value = 100.0 * (right + whole / pictures.len() as f64);
            *sum.get_or_insert(0.0) += value;
            of_tasks.push(figure(format!("{task}, of 200"), value));
        }
        figures.extend(sum.map(|sum| figure(format!("{half}, of {}", 200 * of_tasks.len()), sum)));
        figures.extend(of_tasks);
    }
    figures
}

/// By split. Yes is what is looked for; who was wrong said the opposite.
fn pope(all: &[Scored<'_>]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (split, _) in SPLITS {
        let own = all.iter().filter(|(item, _)| item.family == split);
        let (mut n, mut right, mut said_yes, mut is_yes, mut both) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (item, score) in own {
            let truth = item.answers.iter().any(|answer| answer == "yes");
            let is_right = *score == 1.0;
            let said = truth == is_right;
            n += 1.0;
            for (count, holds) in [
                (&mut right, is_right),
                (&mut said_yes, said),
                (&mut is_yes, truth),
                (&mut both, said && truth),
            ] {
                *count += f64::from(u8::from(holds));
            }
        }
        if n == 0.0 {
            continue;
        }
        let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let (precision, recall) = (ratio(both, said_yes), ratio(both, is_yes));
        let f1 = ratio(2.0 * precision * recall, precision + recall);
        for (name, value) in [
            ("F1", f1),
            ("accuracy", right / n),
            ("precision", precision),
            ("recall", recall),
            ("yes", said_yes / n),
        ] {
            figures.push(figure(format!("{name}, {split}"), 100.0 * value));
        }
    }
    figures
}
