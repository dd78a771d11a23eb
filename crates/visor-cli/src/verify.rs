//! `visor verify`: what a model computes, held against recordings of another program.

use crate::compute::{Compute, Weights};
use crate::loading;
use crate::model::ModelChoice;
use crate::output;
use crate::table::aligned;
use anyhow::{Result, bail};
use clap::Args;
use std::path::PathBuf;
use visor::{Dtype, LoadOptions, Parity, PolicyRef, SeamDifference, SeamParity};

/// Compare a model with recorded tiles, ids and activations, seam by seam
#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    model: ModelChoice,

    /// The folder with cases.json and a recording a case
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,

    /// The folder with the pictures of the cases [default: images, beside the reference or above]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,

    /// Largest error that passes, as a share of the largest value of a seam; levels and ids must be
    /// the same, but for those of answers where weights are rounded [default: 2e-5 in f32, 4e-2 in
    /// bf16, 8e-3 in f16, 1.5e-1 in int8, stored or run]
    #[arg(long, value_name = "X")]
    tolerance: Option<f64>,

    #[command(flatten)]
    compute: Compute,

    #[command(flatten)]
    weights: Weights,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(&self) -> Result<()> {
        let model = self.model.find()?;
        self.compute.threads.start()?;
        let dtype = self.weights.dtype;
        let options = LoadOptions::default().device(self.compute.device).dtype(dtype);
        let model = loading::load(&model, &options.policy(PolicyRef::None))?;
        // What was rounded to be stored stays rounded, whatever it runs in.
        let stored_in_int8 = model.load_report().weights.in_eight_bits > 0;
        let dtype = if stored_in_int8 { Dtype::Int8 } else { dtype };
        let parity = model.verify(&self.reference, self.images.as_deref())?;
        let tolerance = self.tolerance.unwrap_or_else(|| tolerance(dtype));
        let mut failures = parity.failures(tolerance);
        // Where weights are rounded an answer may part from the recorded one at a near tie.
        let parts = |seam: &SeamParity| {
            let other_ids = matches!(seam.worst, SeamDifference::Exact { .. });
            other_ids && seam.seam.starts_with(ANSWER)
        };
        failures.retain(|seam| dtype == Dtype::F32 || !parts(seam));
        output::answer(&match self.json {
            true => serde_json::to_string_pretty(&parity)?,
            false => text(&parity, tolerance, &failures),
        })?;
        match failures.len() {
            0 if parity.seams.is_empty() => bail!("the reference recorded nothing to compare with"),
            0 => Ok(()),
            n => bail!(
                "{n} of {} seams differ by more than {:e} of their largest value",
                parity.seams.len(),
                tolerance
            ),
        }
    }
}

/// How the seams of a whole answer begin.
const ANSWER: &str = "generated_ids";

/// What rounding does to a seam's values at most: half as much again as it was seen to do in any of
/// many small checkpoints (`docs/parity.md`).
fn tolerance(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::BF16 => 4e-2,
        Dtype::F16 => 8e-3,
        Dtype::Int8 => 1.5e-1,
        _ => 2e-5,
    }
}

fn text(parity: &Parity, tolerance: f64, failures: &[&SeamParity]) -> String {
    let header = ["seam", "cases", "values", "largest error", "of the largest", "where", ""];
    let row = |seam: &SeamParity| {
        let verdict = if failures.contains(&seam) { "differs" } else { "ok" };
        let (values, error, share) = match &seam.worst {
            SeamDifference::Exact { values, differing: 0 } => {
                (*values, "equal".to_owned(), String::new())
            }
            SeamDifference::Exact { values, differing } => {
                (*values, format!("{differing} differ"), String::new())
            }
            SeamDifference::Close { values, error, .. } => {
                (*values, format!("{error:.1e}"), format!("{:.1e}", seam.worst.relative()))
            }
            SeamDifference::Shape { recorded, expected } => {
                let values = recorded.iter().product::<usize>();
                (values, format!("shape {recorded:?}, not {expected:?}"), String::new())
            }
        };
        let (cases, values) = (seam.cases.to_string(), values.to_string());
        let (name, place) = (seam.seam.clone(), seam.worst_case.clone());
        vec![name, cases, values, error, share, place, verdict.to_owned()]
    };
    let rows = [header.map(str::to_owned).to_vec()].into_iter();
    let table = aligned(&rows.chain(parity.seams.iter().map(row)).collect::<Vec<_>>());
    let mut text = format!(
        "{} against {}, {} cases, tolerance {tolerance:e} of the largest value\n\n{table}",
        parity.model, parity.reference, parity.cases
    );
    if !parity.not_compared.is_empty() {
        text.push_str(&format!("\n\nrecorded, not compared: {}", parity.not_compared.join(", ")));
    }
    text
}
