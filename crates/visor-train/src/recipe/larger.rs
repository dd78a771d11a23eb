//! Recipes beyond nano: pages of text, tables and charts beside the grids, 256 visual tokens.

use super::{Arm, LossWeights, Precision, Recipe, Sampling, Sizes, Steps};
use visor_tasks::SuiteName;

/// Weights of the families of the suite `small`. Those that only the answers teach, and that every
/// pilot of nano was slowest in, come most often.
const FAMILIES: [(&str, u32); 15] = [
    ("colour", 4),
    ("shape", 2),
    ("count", 3),
    ("read", 3),
    ("chain", 4),
    ("group", 3),
    ("twin", 5),
    ("exist", 2),
    ("attribute", 2),
    ("relation", 2),
    ("needle", 3),
    ("text", 2),
    ("table", 3),
    ("chart", 3),
    ("trace", 2),
];

impl Recipe {
    /// The recipe of `models/mini`: as much as CPU cores can train in hours.
    pub fn mini(seed: u64) -> Self {
        let sizes = Sizes {
            d_model: 128,
            n_heads: 4,
            n_kv_heads: 4,
            d_ffn: 256,
            d_connector: 512,
            rope_theta: 100.0,
            n_layers: 8,
            cross: vec![1, 4, 6, 7],
            self_capable: vec![2, 3, 5],
        };
        let steps = Steps { visual: 800, alternating: 4_000, universal: 6_000 };
        Self { batch: 16, learning_rate: 1.5e-3, ..Self::on_pages(seed, sizes, steps) }
    }

    /// The recipe of `models/small`, for a GPU.
    pub fn small(seed: u64) -> Self {
        let sizes = Sizes {
            d_model: 256,
            n_heads: 8,
            n_kv_heads: 8,
            d_ffn: 512,
            d_connector: 1024,
            rope_theta: 100.0,
            n_layers: 12,
            cross: vec![1, 4, 8, 11],
            self_capable: vec![2, 3, 6, 9],
        };
        let steps = Steps { visual: 2_000, alternating: 10_000, universal: 12_000 };
        Self { batch: 64, learning_rate: 1e-3, ..Self::on_pages(seed, sizes, steps) }
    }

    fn on_pages(seed: u64, sizes: Sizes, steps: Steps) -> Self {
        Self {
            suite: SuiteName::Small.to_string(),
            families: FAMILIES.map(|(family, weight)| (family.to_owned(), weight)).to_vec(),
            arm: Arm::Universal,
            sizes,
            seed,
            batch: 16,
            accumulate: 1,
            learning_rate: 1e-3,
            clip: 1.0,
            steps,
            sampling: Sampling::Sandwich,
            losses: LossWeights { alignment: 0.3, refinement: 0.5, distillation: 0.5, looks: 0.3 },
            precision: Precision::F32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_can_be_followed_and_asks_every_family_of_its_suite() {
        for recipe in [Recipe::nano(1), Recipe::mini(1), Recipe::small(1)] {
            recipe.check().expect("a recipe by the rules");
            let (suite, mixture) = (recipe.suite(), recipe.mixture());
            let (suite, mixture) = (suite.expect("a suite"), mixture.expect("a mixture"));
            assert_eq!(mixture.parts().len(), suite.families().len());
            let config = recipe.config(suite.vocabulary().len() + 8, 2).expect("a configuration");
            let n_visual = config.token_grid().pow(2);
            let words = suite.max_question_words() + suite.max_answer_words() + 2;
            assert!(n_visual + words <= config.text.max_positions, "{}", suite.name());
        }
    }
}
