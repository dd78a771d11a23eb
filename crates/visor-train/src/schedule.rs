//! The curriculum: what is trained at a step, on which budgets, how fast.

use crate::error::TrainError;
use crate::recipe::{Arm, Recipe, Sampling};
use crate::reduction::Pool;
use std::f64::consts::PI;
use visor_core::Schedule;
use visor_model::init::Noise;
use visor_model::layer::Refinement;

/// A stage of the curriculum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The visual stream alone.
    Visual,
    /// The largest budget and the smallest in turn, in every step: trained on the largest alone,
    /// the text learns to read through joint attention and cross-attention starts from nothing.
    Alternating,
    /// All budgets.
    Universal,
}

impl Stage {
    /// The word in logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Visual => "visual",
            Self::Alternating => "alternating",
            Self::Universal => "universal",
        }
    }
}

/// One budget of a step.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Its name in logs.
    pub name: String,
    /// What layers do.
    pub schedule: Schedule,
    /// How visual tokens are averaged before the first of them.
    pub pool: Pool,
}

/// All budgets that a run may meet, and how steps draw from them.
#[derive(Debug)]
pub struct Curriculum {
    recipe: Recipe,
    /// Subsets of the self-attention layers, by their number, then in order of the layers.
    subsets: Vec<Budget>,
    /// The same with fewer visual tokens, for the arm that learns them; as many for each pool.
    reduced: Vec<Budget>,
}

impl Curriculum {
    /// The curriculum of a recipe.
    ///
    /// # Errors
    /// Of a layout that breaks its rules.
    pub fn new(recipe: &Recipe) -> Result<Self, TrainError> {
        let layout = recipe.layout()?;
        let capable = &recipe.sizes.self_capable;
        let mut masks: Vec<Vec<usize>> = (0..1_usize << capable.len())
            .map(|bits| {
                let active = capable.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1);
                active.map(|(_, &layer)| layer).collect()
            })
            .collect();
        masks.sort_by_key(|mask| (mask.len(), mask.clone()));
        if recipe.arm == Arm::NestedSubsets {
            masks.retain(|mask| capable.starts_with(mask));
        }
        let dense = |(name, pool): (&str, Pool)| {
            let schedule = Schedule::dense(recipe.sizes.n_layers);
            Budget { name: name.to_owned(), schedule, pool }
        };
        let subset = |mask: &[usize]| {
            let schedule = layout.schedule(mask)?;
            Ok(Budget { name: mask_name(mask), schedule, pool: Pool::NONE })
        };
        let subsets: Vec<Budget> = match recipe.arm {
            Arm::Pooled => {
                let named = ["pooled-1", "pooled-4", "pooled-9", "pooled-36"];
                named.into_iter().zip([6, 3, 2, 1].map(Pool::square)).map(dense).collect()
            }
            arm if arm.is_dense() => vec![dense((arm.word(), Pool::NONE))],
            arm if arm.alone().is_some() => vec![subset(&recipe.sizes.self_capable)?],
            _ => masks.iter().map(|mask| subset(mask)).collect::<Result<_, TrainError>>()?,
        };
        let pools: &[Pool] = match recipe.arm {
            Arm::Reduced => &[Pool::SQUARES, Pool::PAIRS],
            _ => &[],
        };
        let reduced = |&pool: &Pool| {
            subsets.iter().map(move |budget| {
                let name = format!("{}/{}", budget.name, pool.factor());
                Budget { name, pool, ..budget.clone() }
            })
        };
        let reduced = pools.iter().flat_map(reduced).collect();
        Ok(Self { recipe: recipe.clone(), subsets, reduced })
    }

    /// The stage of a step.
    pub fn stage(&self, step: u64) -> Stage {
        let steps = self.recipe.steps;
        // Without labels the visual stream alone has nothing to learn from.
        let labelled = self.recipe.arm != Arm::SelfSupervised;
        if step < steps.visual && labelled {
            Stage::Visual
        } else if step < steps.visual + steps.alternating {
            Stage::Alternating
        } else {
            Stage::Universal
        }
    }

    /// The budgets of a step, the largest first.
    pub fn budgets(&self, step: u64) -> Vec<&Budget> {
        let (smallest, largest) = (&self.subsets[0], self.largest());
        if self.subsets.len() == 1 {
            return vec![largest];
        }
        if self.recipe.arm == Arm::Pooled && self.stage(step) != Stage::Visual {
            return self.subsets.iter().rev().collect();
        }
        if !self.reduced.is_empty() && self.stage(step) == Stage::Universal {
            // The whole picture at the largest budget teaches two others, at any reduction.
            let drawn = self.draw(step, self.reduced.len() + self.subsets.len());
            let other = self
                .subsets
                .get(drawn)
                .unwrap_or_else(|| &self.reduced[drawn - self.subsets.len()]);
            return vec![largest, self.smallest_reduced(step), other];
        }
        match (self.stage(step), self.recipe.sampling) {
            (Stage::Visual, _) => vec![largest],
            (Stage::Alternating, _) => vec![largest, smallest],
            (Stage::Universal, Sampling::One) => {
                vec![&self.subsets[self.draw(step, self.subsets.len())]]
            }
            (Stage::Universal, Sampling::Sandwich) => {
                let between = &self.subsets[1..self.subsets.len() - 1];
                let mut budgets = vec![largest, smallest];
                if !between.is_empty() {
                    budgets.push(&between[self.draw(step, between.len())]);
                }
                budgets
            }
        }
    }

    /// The smallest budget, at one reduction after another.
    fn smallest_reduced(&self, step: u64) -> &Budget {
        let every = self.subsets.len();
        match step as usize % (self.reduced.len() / every + 1) {
            0 => &self.subsets[0],
            pool => &self.reduced[(pool - 1) * every],
        }
    }

    fn draw(&self, step: u64, n: usize) -> usize {
        Noise::new(self.recipe.seed ^ (step << 20), "budget").below(n)
    }

    /// Every subset, cheapest first; one schedule for the controls.
    pub fn subsets(&self) -> &[Budget] {
        &self.subsets
    }

    /// The subsets with fewer visual tokens, where the arm learns them.
    pub fn reduced(&self) -> &[Budget] {
        &self.reduced
    }

    /// The budget with all self-attention layers.
    pub fn largest(&self) -> &Budget {
        &self.subsets[self.subsets.len() - 1]
    }

    /// The learning rate of a step: linear warm-up over 3 % of the steps, then a cosine to zero.
    pub fn learning_rate(&self, step: u64) -> f64 {
        self.recipe.learning_rate * warm_cosine(step + 1, self.recipe.steps.total())
    }

    /// Whether dense grounding supervision is on at a step.
    pub fn grounds(&self, step: u64) -> bool {
        let late = step * 10 >= self.recipe.steps.total() * 7;
        match self.recipe.arm {
            Arm::SelfSupervised => false,
            Arm::LateAnswersOnly => !late,
            _ => true,
        }
    }

    /// What becomes of the picture's update.
    pub fn refinement(&self) -> Refinement {
        match self.recipe.arm {
            Arm::DiscardRefinement => Refinement::Discard,
            _ => Refinement::Apply,
        }
    }
}

/// `sa{2,5}` for the subset of layers 2 and 5.
pub fn mask_name(mask: &[usize]) -> String {
    let layers: Vec<String> = mask.iter().map(ToString::to_string).collect();
    format!("sa{{{}}}", layers.join(","))
}

/// Share of the peak learning rate at a step, counted from 1: linear warm-up over 3 % of the steps,
/// then a cosine to zero.
pub(crate) fn warm_cosine(step: u64, total: u64) -> f64 {
    let (step, total) = (step as f64, total as f64);
    let warm_up = (0.03 * total).max(1.0);
    if step < warm_up {
        return step / warm_up;
    }
    let done = (step - warm_up) / (total - warm_up).max(1.0);
    0.5 * (1.0 + (PI * done.min(1.0)).cos())
}
