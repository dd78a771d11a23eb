//! What was found at every seam, and whether it is within tolerance.

use serde::{Deserialize, Serialize};
use visor_runtime::ModelCard;

/// How far a seam of one case is from its recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Of levels and ids, which must be the same.
    Exact {
        /// Values that were recorded.
        values: usize,
        /// Those that are others.
        differing: usize,
    },
    /// Of numbers, which rounding moves.
    Close {
        /// Values that were recorded.
        values: usize,
        /// Largest distance.
        error: f32,
        /// Largest value that was recorded.
        largest: f32,
    },
    /// Of recordings that are shorter or longer than what they are compared with, or lie otherwise.
    Shape {
        /// The shape of what was recorded.
        recorded: Vec<usize>,
        /// That of what is expected; rows may lie along several axes.
        expected: Vec<usize>,
    },
}

impl Difference {
    /// The largest distance as a share of the largest value; 1 or more for what must be the same
    /// and is not, and infinite for what cannot be compared.
    pub fn relative(&self) -> f64 {
        match *self {
            Self::Exact { differing, .. } => differing as f64,
            Self::Close { error: 0.0, .. } => 0.0,
            Self::Close { error, largest, .. } => f64::from(error) / f64::from(largest),
            Self::Shape { .. } => f64::INFINITY,
        }
    }
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) case: String,
    pub(super) seam: String,
    pub(super) difference: Difference,
}

/// One seam over all cases that recorded it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeamParity {
    /// Its name in the recordings.
    pub seam: String,
    /// How many cases recorded it.
    pub cases: usize,
    /// The case that is farthest away.
    pub worst_case: String,
    /// How far that is.
    pub worst: Difference,
}

/// A model held against a reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parity {
    /// The model's name.
    pub model: String,
    /// SHA-256 of its weights.
    pub sha256: Option<String>,
    /// What made the reference.
    pub reference: String,
    /// Its cases.
    pub cases: usize,
    /// The seams, in the order in which a sample passes them.
    pub seams: Vec<SeamParity>,
    /// Tensors that were recorded under names of no seam, so that nothing is known of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_compared: Vec<String>,
}

impl Parity {
    pub(super) fn new(
        card: &ModelCard,
        origin: &str,
        found: Vec<Found>,
        not_compared: Vec<String>,
    ) -> Self {
        let mut seams: Vec<SeamParity> = Vec::new();
        let mut cases: Vec<String> = Vec::new();
        for Found { case, seam, difference } in found {
            if !cases.contains(&case) {
                cases.push(case.clone());
            }
            match seams.iter_mut().find(|known| known.seam == seam) {
                Some(known) => {
                    known.cases += 1;
                    if difference.relative() > known.worst.relative() {
                        (known.worst, known.worst_case) = (difference, case);
                    }
                }
                None => {
                    seams.push(SeamParity { seam, cases: 1, worst_case: case, worst: difference });
                }
            }
        }
        seams.sort_by_key(|seam| order(&seam.seam));
        Self {
            model: card.name.clone(),
            sha256: card.sha256.clone(),
            reference: origin.to_owned(),
            cases: cases.len(),
            seams,
            not_compared,
        }
    }

    /// The seams beyond `tolerance`, a share of the largest value. Levels and ids must be the same,
    /// and recordings as long as what they are compared with.
    pub fn failures(&self, tolerance: f64) -> Vec<&SeamParity> {
        let fails = |seam: &&SeamParity| match &seam.worst {
            Difference::Exact { differing, .. } => *differing > 0,
            Difference::Shape { .. } => true,
            // What is no number is no pass.
            difference @ Difference::Close { .. } => !matches!(
                difference.relative().partial_cmp(&tolerance),
                Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
            ),
        };
        self.seams.iter().filter(fails).collect()
    }
}

/// Where a seam stands among the others; those of layers by their numbers.
fn order(seam: &str) -> (usize, usize) {
    const STAGES: [&str; 13] = [
        "tiles_u8",
        "pixel_values",
        "input_ids",
        "vision_embeddings",
        "vision_layer_",
        "vision_post_layernorm",
        "connector",
        "image_features",
        "hidden_",
        "logits",
        "first_logits",
        "step_logits",
        "generated_ids",
    ];
    let stage = STAGES.iter().rposition(|stage| seam.starts_with(stage));
    let number = seam.rsplit('_').next().and_then(|number| number.parse().ok());
    (stage.unwrap_or(STAGES.len()), number.unwrap_or(0))
}
