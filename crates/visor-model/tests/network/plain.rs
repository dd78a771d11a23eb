//! A Llama decoder as plainly as it can be written: loops over `Vec<f32>`, no caches, no tricks.

use std::collections::BTreeMap;

/// A matrix, row by row.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }
}

/// Sizes of the decoder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) eps: f64,
    pub(crate) theta: f64,
}

/// Weights by name, as the network calls them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weights(pub(crate) BTreeMap<String, Matrix>);

impl Weights {
    pub(crate) fn get(&self, name: &str) -> &Matrix {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// `x W^T + b` for every row.
    pub(crate) fn linear(&self, name: &str, x: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let weight = self.get(&format!("{name}.weight"));
        let bias = self.0.get(&format!("{name}.bias"));
        let map = |x: &Vec<f32>| {
            (0..weight.rows)
                .map(|out| dot(weight.row(out), x) + bias.map_or(0.0, |bias| bias.values[out]))
                .collect()
        };
        x.iter().map(map).collect()
    }

    /// RMSNorm of every row.
    pub(crate) fn norm(&self, name: &str, x: &[Vec<f32>], eps: f64) -> Vec<Vec<f32>> {
        let weight = &self.get(&format!("{name}.weight")).values;
        let norm = |x: &Vec<f32>| {
            let square: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
            let scale = 1.0 / (square / x.len() as f64 + eps).sqrt();
            x.iter().zip(weight).map(|(&x, &w)| (f64::from(x) * scale) as f32 * w).collect()
        };
        x.iter().map(norm).collect()
    }
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
}

/// Turns one head of a token at `position`: value `i` with value `i + D/2`.
pub(crate) fn rotate(head: &[f32], position: usize, theta: f64) -> Vec<f32> {
    let half = head.len() / 2;
    let mut out = head.to_vec();
    for i in 0..half {
        let angle = position as f64 * theta.powf(-((2 * i) as f64) / head.len() as f64);
        let (sin, cos) = angle.sin_cos();
        let (a, b) = (f64::from(head[i]), f64::from(head[i + half]));
        out[i] = (a * cos - b * sin) as f32;
        out[i + half] = (b * cos + a * sin) as f32;
    }
    out
}

/// `softmax(q k^T / sqrt(D)) v` of one query over the keys that it may read.
pub(crate) fn read(q: &[f32], keys: &[Vec<f32>], values: &[Vec<f32>]) -> Vec<f32> {
    let scale = (q.len() as f64).powf(-0.5);
    let scores: Vec<f64> = keys.iter().map(|k| f64::from(dot(q, k)) * scale).collect();
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let mut out = vec![0.0; values[0].len()];
    for (weight, value) in weights.iter().zip(values) {
        for (out, value) in out.iter_mut().zip(value) {
            *out += weight / sum * f64::from(*value);
        }
    }
    out.into_iter().map(|value| value as f32).collect()
}

fn silu(x: f32) -> f32 {
    (f64::from(x) / (1.0 + (-f64::from(x)).exp())) as f32
}

pub(crate) fn add(a: &mut [Vec<f32>], b: &[Vec<f32>]) {
    for (a, b) in a.iter_mut().zip(b) {
        for (a, b) in a.iter_mut().zip(b) {
            *a += b;
        }
    }
}

/// Rows at positions 0, 1, 2, .. through all layers, causally, to logits by the embedding table.
pub(crate) fn llama(weights: &Weights, sizes: Sizes, x: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    let n_keys = x.len();
    let x = layers(weights, sizes, x, n_keys);
    let x = weights.norm("decoder.norm", &x, sizes.eps);
    let table = weights.get("decoder.embed_tokens.weight");
    x.iter().map(|x| (0..table.rows).map(|id| dot(table.row(id), x)).collect()).collect()
}

/// Rows at positions 0, 1, 2, .. through all layers, causally. Rows from `n_keys` on are read by
/// none, not even by themselves.
pub(crate) fn layers(
    weights: &Weights,
    sizes: Sizes,
    mut x: Vec<Vec<f32>>,
    n_keys: usize,
) -> Vec<Vec<f32>> {
    for layer in 0..sizes.layers {
        let name = |part: &str| format!("decoder.layers.{layer}.{part}");
        let normed = weights.norm(&name("input_layernorm"), &x, sizes.eps);
        let attended = attention(weights, &name("self_attn"), sizes, &normed, n_keys);
        add(&mut x, &attended);
        let normed = weights.norm(&name("post_attention_layernorm"), &x, sizes.eps);
        let gate = weights.linear(&name("mlp.gate_proj"), &normed);
        let mut inner = weights.linear(&name("mlp.up_proj"), &normed);
        for (inner, gate) in inner.iter_mut().flatten().zip(gate.iter().flatten()) {
            *inner *= silu(*gate);
        }
        add(&mut x, &weights.linear(&name("mlp.down_proj"), &inner));
    }
    x
}

fn attention(
    weights: &Weights,
    name: &str,
    sizes: Sizes,
    x: &[Vec<f32>],
    n_keys: usize,
) -> Vec<Vec<f32>> {
    let Sizes { heads, kv_heads, head_dim: d, theta, .. } = sizes;
    let project = |part: &str| weights.linear(&format!("{name}.{part}"), x);
    let (q, k, v) = (project("q_proj"), project("k_proj"), project("v_proj"));
    let turned = |row: &[f32], head: usize, position| {
        rotate(&row[head * d..(head + 1) * d], position, theta)
    };
    let mut merged = vec![Vec::new(); x.len()];
    for head in 0..heads {
        let group = head / (heads / kv_heads);
        let keys: Vec<Vec<f32>> = k.iter().enumerate().map(|(p, k)| turned(k, group, p)).collect();
        let values: Vec<Vec<f32>> =
            v.iter().map(|v| v[group * d..(group + 1) * d].to_vec()).collect();
        for (p, merged) in merged.iter_mut().enumerate() {
            let query = turned(&q[p], head, p);
            let seen = (p + 1).min(n_keys);
            merged.extend(read(&query, &keys[..seen], &values[..seen]));
        }
    }
    weights.linear(&format!("{name}.o_proj"), &merged)
}
