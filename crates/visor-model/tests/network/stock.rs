//! Dense equals the stock model, and cross-attention equals the equation, both written plainly.

use crate::plain::{self, Matrix, Sizes, Weights, add, dot};
use crate::support::*;
use burn::tensor::Tensor;
use visor_core::{Padding, PositionScheme};
use visor_model::attention::Heads;
use visor_model::cross::{CrossAttention, CrossSizes, NullPair, Reading, VisualKeys};
use visor_model::linear::Bias;
use visor_model::{Head, Network, weights};

pub(crate) fn plain_weights<M: burn::module::Module>(module: &M) -> Weights {
    let tensors = weights::named(module).into_iter().map(|tensor| {
        let (rows, columns) = match tensor.shape.as_slice() {
            &[columns] => (1, columns),
            &[rows, columns] => (rows, columns),
            shape => (shape[0], shape[1..].iter().product()),
        };
        (tensor.name, Matrix { rows, columns, values: tensor.data.into_owned() })
    });
    Weights(tensors.collect())
}

pub(crate) fn sizes() -> Sizes {
    let text = config().text;
    Sizes {
        layers: text.n_layers,
        heads: text.n_heads,
        kv_heads: text.n_kv_heads,
        head_dim: text.head_dim,
        eps: text.rms_norm_eps,
        theta: text.rope_theta,
    }
}

/// The dense prompt as rows: embeddings, and encoded patches where the pictures stand.
fn dense_rows(network: &Network, ids: &[u32], patches: &[f32]) -> Vec<Vec<f32>> {
    let width = config().text.d_model;
    let weights = plain_weights(network);
    let table = weights.get("decoder.embed_tokens.weight");
    let mut patches = patches.chunks(width).map(<[f32]>::to_vec);
    let mut rows = Vec::new();
    for &id in ids {
        match id {
            IMAGE => rows.extend(patches.by_ref().take(GRID * GRID)),
            _ => rows.push(table.row(id as usize).to_vec()),
        }
    }
    rows
}

#[test]
fn dense_equals_a_stock_llama_decoder_on_the_joint_sequence() {
    let model = model(PositionScheme::STOCK, 7);
    let stock = Network::new(&config(), None, Head::Tied, &cpu());
    for network in [model.network(), &filled(stock, 7)] {
        for (ids, pictures) in prompts() {
            let patches = encoded(network, &pictures).map(values).unwrap_or_default();
            let rows = dense_rows(network, &ids, &patches);
            let expected = plain::llama(&plain_weights(network), sizes(), rows);
            let text = prompt(&ids).text_positions().to_vec();
            let expected: Vec<f32> = text.iter().flat_map(|&row| expected[row].clone()).collect();
            let dense = slow(network, &ids, &pictures, Way::Dense, PositionScheme::STOCK);
            assert_close(&dense.concat(), &expected, 1e-5);
        }
    }
}

#[test]
fn text_without_pictures_equals_a_stock_llama_decoder_at_every_rung_with_closed_gates() {
    let network = Network::new(&config(), Some(&extension()), Head::Tied, &cpu());
    let network = weights::fill(network, &cpu(), &mut |name, shape| {
        Ok(if name.ends_with("gate") { vec![0.0] } else { value(7, name, shape) })
    })
    .unwrap();
    let ids = [5, 9, 11, 3];
    let rows = dense_rows(&network, &ids, &[]);
    let expected = plain::llama(&plain_weights(&network), sizes(), rows).concat();
    for way in ways() {
        let got = slow(&network, &ids, &[], way, PositionScheme::STOCK).concat();
        assert_close(&got, &expected, 1e-5);
    }
}

#[test]
fn cross_attention_equals_its_equation_with_a_null_pair_and_without() {
    for null in [NullPair::Learned, NullPair::Absent] {
        expect_its_equation(null);
    }
}

fn expect_its_equation(null: NullPair) {
    let (d, n_text, n_visual) = (32, 3, 5);
    let heads = Heads { n_heads: 4, n_kv_heads: 2, head_dim: 8 };
    let sizes = CrossSizes { n_kv_heads: 2, bias: Bias::With, null };
    let decoder = Heads { n_kv_heads: 4, ..heads };
    let cross = CrossAttention::new(d, decoder, sizes, 1e-5, &cpu());
    let cross = filled(cross, 9);
    let random = |name: &str, rows: usize| value(9, name, &[rows, d]);
    let (text, visual) = (random("text", n_text), random("visual", n_visual));
    let tensor = |values: &[f32], rows| {
        Tensor::<3>::from_data(burn::tensor::TensorData::new(values.to_vec(), [1, rows, d]), &cpu())
    };
    let keys =
        cross.keys(vec![Some((tensor(&visual, n_visual), n_visual)), None], 1, Padding::None);
    assert_eq!(keys.iter().map(VisualKeys::n_visual).collect::<Vec<_>>(), [n_visual, 0]);
    let read = |cross: &CrossAttention, keys: &VisualKeys| {
        let (text, keys) = (tensor(&text, n_text), keys.clone());
        let filled = n_text;
        let reading = Reading { filled, keys, bias: None, mask: None, seen: None };
        values(cross.read(text, &[filled], vec![reading], Padding::None))
    };
    let got = read(&cross, &keys[0]);

    let plain = plain_weights(&cross);
    let rows = |values: &[f32]| values.chunks(d).map(<[f32]>::to_vec).collect::<Vec<_>>();
    let q = plain.linear("q_proj", &plain.norm("text_norm", &rows(&text), 1e-5));
    let normed = plain.norm("visual_norm", &rows(&visual), 1e-5);
    let with_null = |part: &str, name: &str| {
        let rows = plain.linear(part, &normed);
        match null {
            NullPair::Learned => [vec![plain.get(name).values.clone()], rows].concat(),
            NullPair::Absent => rows,
        }
    };
    let k = with_null("k_proj", "null_key");
    let v = with_null("v_proj", "null_value");
    let head = |row: &[f32], head: usize| row[head * 8..(head + 1) * 8].to_vec();
    let read_head = |q: &[f32], h: usize| {
        // Two query heads share a key and value head.
        let part = |rows: &[Vec<f32>]| rows.iter().map(|row| head(row, h / 2)).collect::<Vec<_>>();
        plain::read(&head(q, h), &part(&k), &part(&v))
    };
    let merged: Vec<Vec<f32>> =
        q.iter().map(|q| (0..4).flat_map(|h| read_head(q, h)).collect()).collect();
    let gate = plain.get("gate").values[0].tanh();
    let expected: Vec<f32> =
        plain.linear("o_proj", &merged).concat().iter().map(|read| gate * read).collect();
    assert_close(&got, &expected, 1e-5);
    let folded = read(&cross.clone().fold_gate(), &keys[0]);
    assert_close(&folded, &expected, 1e-5);

    // Without a picture there is the null pair alone: every token reads the null value, or nothing.
    let nothing = read(&cross, &keys[1]);
    let null = match null {
        NullPair::Learned => plain.get("null_value").values.clone(),
        NullPair::Absent => vec![0.0; 16],
    };
    let merged: Vec<f32> = (0..4).flat_map(|h| head(&null, h / 2)).collect();
    let o = plain.get("o_proj.weight");
    let row: Vec<f32> = (0..d).map(|out| gate * dot(o.row(out), &merged)).collect();
    let mut expected = vec![vec![0.0; d]; n_text];
    add(&mut expected, &vec![row; n_text]);
    assert_close(&nothing, &expected.concat(), 1e-5);
}
