//! Which patches a question asks for: scores, and how many (QGSA; method, section 5).
//!
//! The selector restricts the keys and values of cross-attention alone. It reads the states of the
//! question and of the picture in front of the first cross-attention layer, once a turn.

use crate::attention::product;
use crate::linear::{Bias, Linear};
use crate::norm::RmsNorm;
use crate::weights::zeros;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};
use visor_core::cost::SelectorShape;
use visor_runtime::SelectorCard;

/// Temperature of the soft maximum over pools.
const POOL_TEMPERATURE: f64 = 0.5;

/// Scores patches for questions.
#[derive(Module, Debug)]
pub struct Selector {
    text_norm: RmsNorm,
    visual_norm: RmsNorm,
    /// Which words matter, a pool a column: `E` to `P`.
    salience: Linear,
    /// A residual map behind each pool.
    pools: Vec<PoolMap>,
    q_proj: Linear,
    k_proj: Linear,
    /// `[1]`: how much a score counts.
    sharpness: Param<Tensor<1>>,
    count: Count,
    #[module(skip)]
    sizes: SelectorCard,
}

/// `x + out(gelu(in(x)))`.
#[derive(Module, Debug)]
struct PoolMap {
    linear_1: Linear,
    linear_2: Linear,
}

/// How many patches, from 0 for the fewest to 1 for the most.
#[derive(Module, Debug)]
struct Count {
    linear_1: Linear,
    linear_2: Linear,
}

/// What a selector says of questions about pictures.
#[derive(Clone, Debug)]
pub struct Scored {
    /// `[Q, V]`, of mean 0: how much a question wants a patch.
    pub logits: Tensor<2>,
    /// `[Q]`: how many patches it needs.
    pub kappa: Tensor<1>,
    /// `[Q, S]`: the question in the space where patches are met.
    pub query: Tensor<2>,
    /// `[Q, V, S]`: the patches in that space.
    pub keys: Tensor<3>,
}

impl Selector {
    /// A selector to be filled.
    pub fn new(sizes: SelectorCard, eps: f64, device: &Device) -> Self {
        let SelectorShape { d_model, d_select, n_pools, d_hidden } = sizes.shape;
        let linear = |d_in, d_out, bias| Linear::new(d_in, d_out, bias, device);
        let pool = |_| PoolMap {
            linear_1: linear(d_model, d_hidden, Bias::Without),
            linear_2: linear(d_hidden, d_model, Bias::Without),
        };
        Self {
            text_norm: RmsNorm::new(d_model, eps, device),
            visual_norm: RmsNorm::new(d_model, eps, device),
            salience: linear(d_model, n_pools, Bias::Without),
            pools: (0..n_pools).map(pool).collect(),
            q_proj: linear(d_model, d_select, Bias::Without),
            k_proj: linear(d_model, d_select, Bias::Without),
            sharpness: zeros([1], device),
            count: Count {
                linear_1: linear(d_model + SelectorShape::STATISTICS, d_hidden, Bias::With),
                linear_2: linear(d_hidden, 1, Bias::With),
            },
            sizes,
        }
    }

    /// Its sizes.
    pub fn sizes(&self) -> SelectorCard {
        self.sizes
    }

    /// Scores the patches `visual`, `[Q, V, E]`, for each question, `[Q, L, E]`, as
    /// [`score`](Self::score) does.
    pub fn forward(
        &self,
        question: Tensor<3>,
        words: Option<&Tensor<2>>,
        visual: Tensor<3>,
    ) -> Scored {
        self.score(question, words, self.keys(visual))
    }

    /// Patches `[Q, V, E]` in the space where questions meet them, `[Q, V, S]`: the picture's side,
    /// which no question changes.
    pub fn keys(&self, visual: Tensor<3>) -> Tensor<3> {
        self.k_proj.forward(self.visual_norm.forward(visual))
    }

    /// Scores patches by their keys, `[Q, V, S]`, for each question, `[Q, L, E]`. `words` is
    /// `[Q, L]`, 1 for a word of the question and 0 for padding; `None` where there is none.
    ///
    /// With pools `q_p` of the words and patches `v_i`:
    /// `e_ip = <W_q q_p, W_k v_i> / sqrt(S)`, `s_i = tau log sum_p exp(e_ip / tau)`,
    /// `l_i = gamma (s_i - mean s)`.
    pub fn score(&self, question: Tensor<3>, words: Option<&Tensor<2>>, keys: Tensor<3>) -> Scored {
        let ([q, l, e], [_, v, _]) = (question.dims(), keys.dims());
        let words = words.cloned().unwrap_or_else(|| Tensor::ones([q, l], &question.device()));
        let question = self.text_norm.forward(question);
        let pools = self.pool(question.clone(), &words); // [Q, P, E]
        let queries = self.q_proj.forward(pools); // [Q, P, S]
        let scale = (self.sizes.shape.d_select as f64).powf(-0.5) / POOL_TEMPERATURE;
        let e_ip = product(keys.clone(), queries.clone().swap_dims(1, 2)) * scale; // [Q, V, P]
        let scores = log_sum_exp(e_ip) * POOL_TEMPERATURE; // [Q, V]
        let scores = scores.clone() - scores.mean_dim(1);
        let logits = scores * self.sharpness.val().reshape([1, 1]);
        let n_words = words.clone().sum_dim(1); // [Q, 1]
        let mean = (question * words.reshape([q, l, 1])).sum_dim(1).reshape([q, e]);
        let share = self.count.forward(mean / n_words.clone(), &logits, n_words);
        let (k_min, k_max) = self.sizes.range_of(v);
        let kappa = share * (k_max - k_min) as f64 + k_min as f64; // [Q]
        let [_, _, s] = queries.dims();
        Scored { logits, kappa, query: queries.mean_dim(1).reshape([q, s]), keys }
    }

    /// The salient words of each question, `[Q, P, E]`.
    fn pool(&self, question: Tensor<3>, words: &Tensor<2>) -> Tensor<3> {
        let [q, l, e] = question.dims();
        let salience = self.salience.forward(question.clone()); // [Q, L, P]
        let hidden = (-words.clone() + 1.0) * HIDDEN; // [Q, L]
        let salience = salience + hidden.reshape([q, l, 1]);
        let share = activation::softmax(salience, 1).swap_dims(1, 2); // [Q, P, L]
        let pools = product(share, question); // [Q, P, E]
        let mapped = self.pools.iter().enumerate().map(|(p, map)| {
            let pool = pools.clone().narrow(1, p, 1); // [Q, 1, E]
            pool.clone() + map.forward(pool)
        });
        Tensor::cat(mapped.collect(), 1).reshape([q, self.pools.len(), e])
    }
}

/// Added to the salience of padding.
const HIDDEN: f64 = -3e4;

impl PoolMap {
    /// `[Q, 1, E]` to `[Q, 1, E]`.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.linear_2.forward(activation::gelu(self.linear_1.forward(x)))
    }
}

impl Count {
    /// From the mean of the words `[Q, E]`, the scores `[Q, V]` and the number of words `[Q, 1]`.
    fn forward(&self, mean: Tensor<2>, logits: &Tensor<2>, n_words: Tensor<2>) -> Tensor<1> {
        let [q, v] = logits.dims();
        let log_p = activation::log_softmax(logits.clone(), 1); // [Q, V]
        let p = log_p.clone().exp();
        let entropy = -(p.clone() * log_p).sum_dim(1) / (v as f64).ln().max(f64::MIN_POSITIVE);
        let features = vec![mean, entropy, p.max_dim(1), n_words.log()];
        let hidden = activation::gelu(self.linear_1.forward(Tensor::cat(features, 1)));
        activation::sigmoid(self.linear_2.forward(hidden)).reshape([q])
    }
}

/// `log sum exp` over the last axis: `[Q, V, P]` to `[Q, V]`.
fn log_sum_exp(x: Tensor<3>) -> Tensor<2> {
    let [q, v, _] = x.dims();
    let top = x.clone().detach().max_dim(2); // [Q, V, 1]
    ((x - top.clone()).exp().sum_dim(2).log() + top).reshape([q, v])
}

/// The patches of the `k` highest scores, in the order of the picture; of equal scores the earlier.
pub fn best(scores: &[f32], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order.truncate(k);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::Noise;
    use crate::weights;
    use visor_runtime::{DeviceRequest, device};

    const SHAPE: SelectorShape = SelectorShape { d_model: 8, d_select: 4, n_pools: 2, d_hidden: 4 };
    const SIZES: SelectorCard = SelectorCard { shape: SHAPE, range: (2, 5), n_reference: 9 };

    fn selector(device: &Device) -> Selector {
        let fill = &mut |name: &str, shape: &[usize]| {
            Ok(Noise::new(5, name).normal(shape.iter().product(), 0.7))
        };
        weights::fill(Selector::new(SIZES, 1e-5, device), device, fill).expect("filled")
    }

    fn random(name: &str, [q, n]: [usize; 2], device: &Device) -> Tensor<3> {
        let values = Noise::new(3, name).normal(q * n * 8, 1.0);
        Tensor::<1>::from_floats(values.as_slice(), device).reshape([q, n, 8])
    }

    #[test]
    fn padding_behind_a_question_changes_neither_scores_nor_number() {
        let device = device::open(DeviceRequest::Cpu).expect("the CPU is always there");
        let selector = selector(&device);
        let (question, visual) = (random("q", [1, 4], &device), random("v", [1, 9], &device));
        let alone = selector.forward(question.clone(), None, visual.clone());
        let padded = Tensor::cat(vec![question, random("pad", [1, 3], &device)], 1);
        let words = Tensor::<2>::from_floats([[1., 1., 1., 1., 0., 0., 0.]], &device);
        let padded = selector.forward(padded, Some(&words), visual);
        let tolerance = burn::tensor::Tolerance::<f32>::absolute(1e-5);
        padded.logits.into_data().assert_approx_eq(&alone.logits.into_data(), tolerance);
        padded.kappa.into_data().assert_approx_eq(&alone.kappa.into_data(), tolerance);
    }

    #[test]
    fn scores_have_mean_zero_and_the_number_stays_in_its_range() {
        let device = device::open(DeviceRequest::Cpu).expect("the CPU is always there");
        let (question, visual) = (random("q", [6, 4], &device), random("v", [6, 9], &device));
        let Scored { logits, kappa, .. } = selector(&device).forward(question, None, visual);
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        for row in logits.chunks(9) {
            assert!(row.iter().sum::<f32>().abs() < 1e-4, "{row:?}");
        }
        assert!(kappa.into_data().iter::<f32>().all(|k| (2.0..=5.0).contains(&k)));
    }

    #[test]
    fn the_best_patches_come_in_the_order_of_the_picture_and_ties_go_to_the_earlier() {
        assert_eq!(best(&[0.5, 2.0, 0.5, -1.0, 3.0], 3), [0, 1, 4]);
        assert_eq!(best(&[1.0; 4], 2), [0, 1]);
        assert_eq!(best(&[1.0; 2], 5), [0, 1]);
    }
}
