//! The encoder-leak probe: how much a small head can answer from the encoder's output alone.
//!
//! If it solves the refinement families, the encoder is too strong and budgets mean nothing
//! (tasks are meant to need relations between patches). The head has one look: it pools patches by
//! attention from the question's words, and answers through one hidden layer.

use crate::batch::{Batch, Sight};
use crate::error::TrainError;
use crate::evaluate::{Scores, pictures};
use crate::optimizer::{FlatAdamW, Settings};
use crate::pass::Lifted;
use crate::reduction::shrink;
use crate::trainer::Trainer;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use visor_model::Network;
use visor_model::init::Noise;
use visor_model::linear::{Bias, Linear};
use visor_model::weights;
use visor_tasks::{Mixture, Sample, Split};

/// Pictures a step; each brings its first question.
const BATCH: usize = 64;

#[derive(Module, Debug)]
struct Head {
    /// Bag of question words to a query, `[vocab, E]`.
    words: Linear,
    keys: Linear,
    hidden: Linear,
    answer: Linear,
}

impl Head {
    fn new(d_model: usize, vocab: usize, device: &Device) -> Self {
        Self {
            words: Linear::new(vocab, d_model, Bias::With, device),
            keys: Linear::new(d_model, d_model, Bias::With, device),
            hidden: Linear::new(3 * d_model, 4 * d_model, Bias::With, device),
            answer: Linear::new(4 * d_model, vocab, Bias::With, device),
        }
    }

    /// `encoded` is `[B, V, E]`, `words` the questions' bags `[B, vocab]`; gives `[B, vocab]`.
    fn forward(&self, encoded: Tensor<3>, words: Tensor<2>) -> Tensor<2> {
        let [b, _, e] = encoded.dims();
        let query = self.words.forward(words); // [B, E]
        let keys = self.keys.forward(encoded.clone()); // [B, V, E]
        let scores = query.clone().reshape([b, 1, e]).matmul(keys.swap_dims(1, 2)); // [B, 1, V]
        let looked = activation::softmax(scores, 2).matmul(encoded.clone()).reshape([b, e]);
        let mean = encoded.mean_dim(1).reshape([b, e]);
        let hidden = self.hidden.forward(Tensor::cat(vec![query, looked, mean], 1)); // [B, 4 E]
        self.answer.forward(activation::relu(hidden))
    }
}

/// Trains the head for `steps` on training pictures and scores it on `n` test pictures, first
/// answer token and first question only.
///
/// # Errors
/// Of words that the vocabulary lacks.
pub fn probe(
    trainer: &Trainer,
    steps: u64,
    n: usize,
    device: &Device,
) -> Result<Scores, TrainError> {
    let suite = trainer.suite();
    let mixture = Mixture::uniform(suite.families())?;
    let (d_model, vocab) = (trainer.recipe().sizes.d_model, trainer.vocabulary().len());
    let mut head = weights::fill(Head::new(d_model, vocab, device), device, &mut |name, shape| {
        let spread = (*shape.last().unwrap_or(&1) as f32).powf(-0.5);
        let values = Noise::new(17, name).normal(shape.iter().product(), spread);
        Ok(if name.ends_with("bias") { vec![0.0; values.len()] } else { values })
    })?;
    let frozen = trainer.for_inference();
    let settings = Settings { beta_1: 0.9, beta_2: 0.98, clip: 1.0 };
    let mut optimizer = FlatAdamW::new(&head, settings);
    for step in 0..steps {
        // Seeds far beyond those of training.
        let first = (1 << 60) + step * BATCH as u64;
        let sample = |i: u64| suite.sample(Split::Train, mixture.pick(i), first + i);
        let samples: Vec<Sample> = (0..BATCH as u64).map(sample).collect();
        let asked = Asked::new(trainer, &frozen, &samples)?;
        let logits = head.forward(asked.encoded(device), asked.words(device));
        let targets: Vec<i64> = asked.targets.iter().map(|&id| i64::from(id)).collect();
        let targets: Tensor<2, Int> =
            Tensor::from_data(TensorData::new(targets, [BATCH, 1]), device);
        let loss = -activation::log_softmax(logits, 1).gather(1, targets).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &head);
        let gradient = optimizer.flatten(&head, gradients);
        let lr = 2e-3 * (1.0 - step as f64 / steps as f64);
        (head, _) = optimizer.step(head, gradient, lr);
    }
    let mut scores = Scores::default();
    for samples in pictures(suite, Split::Test, n)?.chunks(BATCH) {
        let asked = Asked::new(trainer, &frozen, samples)?;
        let logits = head.forward(asked.encoded(device), asked.words(device));
        let likeliest: Vec<i64> = logits.argmax(1).into_data().iter::<i64>().collect();
        for (i, sample) in samples.iter().enumerate() {
            let right = likeliest[i] == i64::from(asked.targets[i]);
            scores.families.entry(sample.questions[0].family).or_default().add(right);
        }
    }
    Ok(scores)
}

/// The first question of each sample: its words, the first token of its answer, and what the
/// frozen encoder gives.
struct Asked {
    words: Vec<f32>,
    targets: Vec<u32>,
    encoded: TensorData,
    vocab: usize,
}

impl Asked {
    fn new(
        trainer: &Trainer,
        (network, plain): &(Network, Device),
        samples: &[Sample],
    ) -> Result<Self, TrainError> {
        let vocabulary = trainer.vocabulary();
        let vocab = vocabulary.len();
        let mut words = vec![0.0; samples.len() * vocab];
        let mut targets = Vec::with_capacity(samples.len());
        for (row, sample) in samples.iter().enumerate() {
            for id in vocabulary.encode(&sample.questions[0].text)? {
                words[row * vocab + id as usize] += 1.0;
            }
            targets.extend(vocabulary.encode(&sample.questions[0].answer)?.first());
        }
        let seen = shrink(samples, trainer.config().vision.image_size, trainer.suite().patch())?;
        let batch = Batch::pack(trainer.suite(), vocabulary, &seen, Sight::Whole)?;
        let positions = trainer.recipe().positions();
        let lifted = Lifted::new(&batch, [], trainer.config(), positions, plain);
        let encoded = lifted.encode(network)?.into_data();
        Ok(Self { words, targets, encoded, vocab })
    }

    fn encoded(&self, device: &Device) -> Tensor<3> {
        Tensor::from_data(self.encoded.clone(), device)
    }

    fn words(&self, device: &Device) -> Tensor<2> {
        let rows = self.targets.len();
        Tensor::from_data(TensorData::new(self.words.clone(), [rows, self.vocab]), device)
    }
}
