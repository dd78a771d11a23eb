//! The network of a router: a token that rides along in prefill, and a head that reads its state.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use visor_core::cost::PolicyShape;
use visor_model::init::Noise;
use visor_model::linear::{Bias, Linear};
use visor_model::mlp::gelu_tanh;
use visor_model::norm::RmsNorm;
use visor_model::weights;
use visor_runtime::{ModelCard, RoutingToken};

/// Keeps the norm of an input of zeros finite.
const EPS: f64 = 1e-6;

/// Spread of the first routing token: that of word embeddings.
const TOKEN: f32 = 0.3;

/// Size of the first logits against those of a layer that keeps its input's size: a router begins
/// undecided.
const OUTPUT: f32 = 0.1;

/// Sizes of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterShape {
    /// Width of the routing token.
    pub d_token: usize,
    /// Width of a visual token.
    pub d_visual: usize,
    /// Inner width of the head.
    pub d_hidden: usize,
    /// Rungs to choose from.
    pub n_rungs: usize,
}

impl RouterShape {
    /// For a model whose tokens have `d_model` values: a quarter of them inside the head.
    pub fn new(d_model: usize, n_rungs: usize) -> Self {
        Self { d_token: d_model, d_visual: d_model, d_hidden: (d_model / 4).max(1), n_rungs }
    }

    /// For a model with a ladder; `None` without one, where there is nothing to choose.
    pub fn of(card: &ModelCard) -> Option<Self> {
        let ladder = card.ladder.as_ref()?;
        Some(Self::new(card.shape.decoder.d_model, ladder.rungs().len()))
    }

    /// Width of the head's input.
    pub fn d_input(self) -> usize {
        self.d_token + self.d_visual
    }

    /// For the cost formulas.
    pub fn cost(self) -> PolicyShape {
        PolicyShape { d_input: self.d_input(), d_hidden: self.d_hidden, n_rungs: self.n_rungs }
    }
}

/// `output(gelu(hidden(norm([token; visual]))))`: one logit a rung.
#[derive(Module, Debug)]
pub struct RouterHead {
    norm: RmsNorm,
    hidden: Linear,
    output: Linear,
}

impl RouterHead {
    /// A head to be filled.
    pub fn new(shape: RouterShape, device: &Device) -> Self {
        let d_input = shape.d_input();
        Self {
            norm: RmsNorm::new(d_input, EPS, device),
            hidden: Linear::new(d_input, shape.d_hidden, Bias::With, device),
            output: Linear::new(shape.d_hidden, shape.n_rungs, Bias::With, device),
        }
    }

    /// The routing token's states at the decision layer `[B, d_token]` and the means of the visual
    /// tokens `[B, d_visual]`, zeros where there is no picture, to logits `[B, rungs]`.
    pub fn forward(&self, token: Tensor<2>, visual: Tensor<2>) -> Tensor<2> {
        let x = self.norm.forward(Tensor::cat(vec![token, visual], 1)); // [B, d_input]
        let x = gelu_tanh(self.hidden.forward(x)); // [B, d_hidden]
        self.output.forward(x)
    }
}

/// All that is trained in a router.
#[derive(Module, Debug)]
pub struct RouterNetwork {
    /// The embedding that stands behind the prompt, `[d_token]`. Trained through the layers before
    /// the decision, which stay as they are.
    pub routing_token: Param<Tensor<1>>,
    /// Reads what became of it.
    pub head: RouterHead,
}

impl RouterNetwork {
    /// A router to be filled.
    pub fn new(shape: RouterShape, device: &Device) -> Self {
        let dims = [shape.d_token];
        let zeros = move |device: &Device, _| Tensor::zeros(dims, device);
        let token =
            Param::uninitialized(ParamId::new(), zeros, device.clone(), true, Shape::from(dims));
        Self { routing_token: token, head: RouterHead::new(shape, device) }
    }

    /// A router before its training: a seed gives the same values on every machine.
    pub fn from_seed(shape: RouterShape, seed: u64, device: &Device) -> Self {
        let value = &mut |name: &str, dims: &[usize]| {
            let mut noise = Noise::new(seed, name);
            let n = dims.iter().product();
            Ok(match (name, dims) {
                ("routing_token", _) => noise.normal(n, TOKEN),
                ("head.output.weight", &[_, d_in]) => noise.normal(n, OUTPUT * spread(d_in)),
                (_, &[_, d_in]) => noise.normal(n, spread(d_in)),
                ("head.norm.weight", _) => vec![1.0; n],
                _ => vec![0.0; n],
            })
        };
        weights::fill(Self::new(shape, device), device, value)
            .expect("values that are made and not read cannot be missing")
    }

    /// Its sizes.
    pub fn shape(&self) -> RouterShape {
        let [d_token] = self.routing_token.dims();
        let [d_hidden, d_input] = self.head.hidden.weight.dims();
        let [n_rungs, _] = self.head.output.weight.dims();
        RouterShape { d_token, d_visual: d_input - d_token, d_hidden, n_rungs }
    }

    /// The routing token as a runner takes it.
    pub fn token(&self) -> RoutingToken {
        RoutingToken(self.routing_token.val().into_data().iter::<f32>().collect())
    }

    /// The logits of one sample: the routing token's state, `d_token` values, and the mean visual
    /// token, `d_visual` values or `None` where there is no picture.
    pub fn logits(&self, token: &[f32], visual: Option<&[f32]>) -> Vec<f32> {
        let RouterShape { d_token, d_visual, .. } = self.shape();
        let device = self.routing_token.lazy_device();
        let token = TensorData::new(token.to_vec(), [1, d_token]);
        let token = Tensor::from_data(token, &device); // [1, d_token]
        let visual = match visual {
            Some(mean) => Tensor::from_data(TensorData::new(mean.to_vec(), [1, d_visual]), &device),
            None => Tensor::zeros([1, d_visual], &device),
        }; // [1, d_visual]
        self.head.forward(token, visual).into_data().iter::<f32>().collect()
    }
}

/// Keeps the size of what goes through a layer with so many inputs.
fn spread(d_in: usize) -> f32 {
    (d_in as f32).powf(-0.5)
}
