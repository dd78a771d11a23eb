//! What a trained network answers on the standard mix, question by question: what comparisons of
//! networks pair.

use crate::batch::Sight;
use crate::data::{Dataset, ItemPicture};
use crate::error::TrainError;
use crate::record::{prompts, scopes, tested};
use crate::trainer::Trainer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use visor_core::Ladder;
use visor_tasks::{Sample, Split, StandardMix};

/// Version of the fields.
pub const SCHEMA_VERSION: u32 = 1;

/// Questions of the standard mix's test.
pub const STANDARD_TEST: usize = 4000;

/// The answers of one network at each of its budgets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The arm that was trained.
    pub arm: String,
    /// Its seed.
    pub seed: u64,
    /// Steps done.
    pub steps: u64,
    /// Parameters of the network.
    pub parameters: u64,
    /// [`digest`] of the questions.
    pub questions_sha256: String,
    /// Number of questions.
    pub n: usize,
    /// One entry a budget, cheapest first.
    pub budgets: Vec<BudgetOutcomes>,
}

/// The answers at one budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetOutcomes {
    /// The budget.
    pub name: String,
    /// Its active self-attention layers.
    pub self_attention_layers: Vec<usize>,
    /// Visual tokens that reach the decoder.
    pub visual_tokens: usize,
    /// A digit a question, `1` where the answer was right.
    pub right: String,
    /// Mean FLOPs a question: of the decoder because of the picture, of its prefill, of everything
    /// before the first token, of a decode step.
    pub mean_flops: [u64; 4],
}

/// The first questions of the standard mix's test.
///
/// # Errors
/// Of a suite without one of the mix's halves.
pub fn standard_test(trainer: &Trainer) -> Result<Vec<Sample>, TrainError> {
    let mix = StandardMix::new(*trainer.suite(), &[])?;
    Ok((0..STANDARD_TEST as u64).map(|index| mix.sample(Split::Test, index)).collect())
}

/// SHA-256 of pictures, questions and answers, in hexadecimal digits.
pub fn digest(samples: &[Sample]) -> String {
    let mut hash = Sha256::new();
    for sample in samples {
        hash.update(&sample.picture.rgb);
        for question in &sample.questions {
            hash.update(format!("{}\n{}\n", question.text, question.answer));
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same of a dataset with one question a picture: equal where the questions are.
pub fn digest_of_items(data: &Dataset) -> String {
    let mut hash = Sha256::new();
    for item in &data.items {
        for picture in &item.pictures {
            match picture {
                ItemPicture::Held(picture) => hash.update(picture.rgb()),
                // No network was trained for comparison on these.
                other => other.identify(&mut hash),
            }
        }
        hash.update(format!("{}\n{}\n", item.question, item.answers.join("\n")));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asks a trained network the standard mix's test at each budget.
///
/// # Errors
/// None in a sound network.
pub fn make(trainer: &Trainer, ladder: &Ladder) -> Result<Outcomes, TrainError> {
    let samples = standard_test(trainer)?;
    let tested = tested(trainer, ladder);
    let (network, device) = trainer.for_inference();
    let subject = trainer.subject(&network, &device);
    let budgets: Vec<_> = tested.iter().map(|(_, budget)| budget).collect();
    let mut right = vec![String::with_capacity(samples.len()); budgets.len()];
    subject.ask(
        trainer.suite(),
        &samples,
        Sight::Whole,
        &budgets,
        &mut |budget, _, is_right| {
            right[budget].push(if is_right { '1' } else { '0' });
        },
    )?;
    let shape = trainer.config().shape(Some(trainer.extension().cross.n_kv_heads));
    let prompts = prompts(trainer, &samples)?;
    let n_visual = trainer.config().token_grid().pow(2);
    let budgets = tested
        .iter()
        .zip(right)
        .map(|((active, budget), right)| {
            let mut sums = [0_u64; 4];
            for &prompt in &prompts {
                let cost = scopes(&shape, budget, prompt);
                let all = [cost.vision_side, cost.lm_prefill, cost.end_to_end, cost.decode_step];
                sums.iter_mut().zip(all).for_each(|(sum, flops)| *sum += flops.0);
            }
            BudgetOutcomes {
                name: budget.name.clone(),
                self_attention_layers: active.clone(),
                visual_tokens: n_visual / budget.pool.factor(),
                right,
                mean_flops: sums.map(|sum| sum / prompts.len() as u64),
            }
        })
        .collect();
    Ok(Outcomes {
        schema_version: SCHEMA_VERSION,
        arm: trainer.recipe().arm.word().to_owned(),
        seed: trainer.recipe().seed,
        steps: trainer.steps_done(),
        parameters: trainer.parameters(),
        questions_sha256: digest(&samples),
        n: samples.len(),
        budgets,
    })
}
