//! The router's network against a plain one, and what it costs.

use crate::support::*;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use visor_model::init::Noise;
use visor_model::{counter, weights};
use visor_policy::{RouterNetwork, RouterShape};
use visor_runtime::{RoutingToken, device};

const SHAPE: RouterShape = RouterShape { d_token: 12, d_visual: 8, d_hidden: 5, n_rungs: 3 };

/// A router with a say in everything, norm and biases included.
fn router() -> RouterNetwork {
    weights::fill(RouterNetwork::new(SHAPE, &cpu()), &cpu(), &mut |name, shape| {
        Ok(Noise::new(3, name).normal(shape.iter().product(), 0.7))
    })
    .unwrap()
}

fn tensor(rows: &[Vec<f32>]) -> Tensor<2> {
    let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
    Tensor::from_data(data, &cpu())
}

fn rows(name: &str, n: usize, width: usize) -> Vec<Vec<f32>> {
    (0..n).map(|row| Noise::new(9, &format!("{name} {row}")).normal(width, 2.0)).collect()
}

/// The head by its definition, with `f64` sums.
fn plain(network: &RouterNetwork, input: &[f32]) -> Vec<f32> {
    let tensors = weights::named(network);
    let of = |name: &str| {
        let tensor = tensors.iter().find(|tensor| tensor.name == format!("head.{name}"));
        tensor.unwrap().data.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>()
    };
    let x: Vec<f64> = input.iter().map(|value| f64::from(*value)).collect();
    let rms = (x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64 + 1e-6).sqrt();
    let x: Vec<f64> = x.iter().zip(of("norm.weight")).map(|(v, w)| v / rms * w).collect();
    let linear = |x: &[f64], name: &str| -> Vec<f64> {
        let (w, b) = (of(&format!("{name}.weight")), of(&format!("{name}.bias")));
        let dot = |row: &[f64]| row.iter().zip(x).map(|(w, v)| w * v).sum::<f64>();
        w.chunks(x.len()).zip(b).map(|(row, b)| dot(row) + b).collect()
    };
    let gelu = |x: f64| {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
        0.5 * x * (1.0 + inner.tanh())
    };
    let hidden: Vec<f64> = linear(&x, "hidden").into_iter().map(gelu).collect();
    linear(&hidden, "output").into_iter().map(|v| v as f32).collect()
}

fn assert_close(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-4, "{got} {expected}");
    }
}

#[test]
fn the_head_is_norm_linear_gelu_linear_and_a_row_of_a_batch_equals_the_sample_alone() {
    let network = router();
    let (token, visual) = (rows("token", 4, 12), rows("visual", 4, 8));
    let all = network.head.forward(tensor(&token), tensor(&visual));
    assert_eq!(all.dims(), [4, 3]);
    let all: Vec<f32> = all.into_data().iter::<f32>().collect();
    for (row, logits) in all.chunks(3).enumerate() {
        let (token, visual) = (&token[row], &visual[row]);
        assert_close(logits, &plain(&network, &[token.clone(), visual.clone()].concat()));
        assert_close(logits, &network.logits(token, Some(visual)));
    }
}

#[test]
fn no_picture_is_a_picture_of_zeros() {
    let (network, token) = (router(), &rows("token", 1, 12)[0]);
    assert_eq!(network.logits(token, None), network.logits(token, Some(&[0.0; 8])));
    assert_ne!(network.logits(token, None), network.logits(token, Some(&[1.0; 8])));
}

#[test]
fn a_decision_executes_what_the_formula_says() {
    let network = router();
    let token = &rows("token", 1, 12)[0];
    let (_, executed) = counter::count(|| network.logits(token, None));
    assert_eq!(executed, SHAPE.cost().decision());
}

#[test]
fn sizes_are_read_back_and_parameters_are_counted() {
    assert_eq!(router().shape(), SHAPE);
    // Token, norm, hidden with bias, output with bias.
    assert_eq!(router().num_params(), 12 + 20 + (20 * 5 + 5) + (5 * 3 + 3));
    let nano = RouterShape::new(64, 4);
    assert_eq!((nano.d_input(), nano.d_hidden, nano.n_rungs), (128, 16, 4));
    assert_eq!(RouterShape::of(&card()), Some(RouterShape::new(D_MODEL, 4)));
    let mut stock = card();
    stock.ladder = None;
    assert_eq!(RouterShape::of(&stock), None);
}

#[test]
fn a_seed_gives_the_same_router_and_begins_undecided() {
    let values = |seed| weights::named(&RouterNetwork::from_seed(SHAPE, seed, &cpu()));
    assert_eq!(values(1), values(1));
    assert_ne!(values(1), values(2));
    let network = RouterNetwork::from_seed(SHAPE, 1, &cpu());
    let RoutingToken(token) = network.token();
    assert!(token.len() == 12 && token.iter().any(|value| value.abs() > 0.1));
    for token in rows("token", 20, 12) {
        let logits = network.logits(&token, None);
        assert!(logits.iter().all(|logit| logit.abs() < 1.0), "{logits:?}");
    }
}

#[test]
fn every_parameter_can_be_trained() {
    let device = device::training(&cpu());
    let network = RouterNetwork::from_seed(SHAPE, 1, &device);
    let token: Tensor<2> = network.routing_token.val().unsqueeze();
    let visual = Tensor::ones([1, SHAPE.d_visual], &device);
    let grads = network.head.forward(token, visual).sum().backward();
    let token = network.routing_token.val().grad(&grads).unwrap();
    assert!(token.abs().sum().into_scalar::<f32>() > 0.0);
    let grads = burn::optim::GradientsParams::from_grads(grads, &network);
    assert_eq!(grads.len(), weights::named(&network).len());
}
