//! A decoder layer and its three modes.

use crate::attention::{Attending, AttentionBias, Heads, Seen, SelfAttention, filled};
use crate::cache::LayerCache;
use crate::counter;
use crate::cross::{CrossAttention, CrossSizes, Reading, VisualKeys};
use crate::error::ModelError;
use crate::mlp::SwiGlu;
use crate::norm::RmsNorm;
use crate::placement::{Placement, Sight};
use crate::precision::ForEach;
use crate::ragged::{lengths, pack, unpack, zeros};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use visor_core::{LayerMode, Padding};

/// The two streams of a sample.
#[derive(Clone, Debug)]
pub struct Streams {
    /// Text, `[B, T, E]`.
    pub text: Tensor<3>,
    /// The picture, `[B, V, E]`; `None` without pictures and in decode, where caches hold what is
    /// still needed of it.
    pub visual: Option<Tensor<3>>,
}

/// A sample in front of a layer.
#[derive(Debug)]
pub struct Visit<'a> {
    /// What the layer does with it.
    pub mode: LayerMode,
    /// Its streams; all samples of a layer have the same `B`.
    pub streams: Streams,
    /// Where its tokens stand.
    pub at: &'a Placement,
    /// What it has cached in this layer.
    pub cache: Option<&'a mut LayerCache>,
    /// Where its attention weights are left, if somebody looks.
    pub seen: Option<&'a mut Seen>,
}

impl Visit<'_> {
    /// The keys of its picture, if they have been made before.
    fn known_keys(&self) -> Option<&VisualKeys> {
        self.cache.as_deref().and_then(LayerCache::visual)
    }

    /// Keeps the keys of its picture, and gives them back.
    fn keep(&mut self, keys: VisualKeys) -> VisualKeys {
        if let Some(cache) = &mut self.cache {
            cache.keep_visual(&keys);
        }
        keys
    }
}

/// The picture of a sample while the layer runs.
#[derive(Debug)]
struct Resting {
    /// Where it rests.
    beside: Option<Tensor<3>>,
    /// How many of the sample's first rows it is, where it does not rest.
    n_joined: usize,
    /// How many rows the text is.
    n_text: usize,
}

impl Resting {
    /// The streams behind the layer, whose rows of this sample are `x`.
    fn leave(self, x: Tensor<3>) -> Streams {
        match self.n_joined {
            0 => Streams { text: x, visual: self.beside },
            n_visual => Streams {
                text: x.clone().narrow(1, n_visual, self.n_text),
                visual: Some(x.narrow(1, 0, n_visual)),
            },
        }
    }
}

/// Picture and text as one sequence, `[B, V + T, E]`, filled up to so many rows, and how long the
/// picture is.
fn join(text: Tensor<3>, visual: Option<Tensor<3>>, rows: usize) -> (Tensor<3>, usize) {
    match visual {
        Some(visual) => {
            let ([_, n_visual, _], [_, n_text, _]) = (visual.dims(), text.dims());
            let filling = match rows - n_visual - n_text {
                0 => None,
                more => Some(zeros(&text, 1, more)),
            };
            let joined = [visual, text].into_iter().chain(filling).collect();
            (Tensor::cat(joined, 1), n_visual)
        }
        None => (text, 0),
    }
}

/// Whether the picture's keys and values are there, so that the text runs alone: in decode, and
/// where an earlier question has left them.
fn holds(cache: Option<&LayerCache>) -> bool {
    cache.is_some_and(|cache| !cache.own().is_empty())
}

/// What becomes of the picture's update in a self-attention layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refinement {
    /// The picture is refined, as the method says.
    #[default]
    Apply,
    /// Text is updated, the picture stays as it was: an experiment's control.
    Discard,
}

/// A layer of the decoder: norm, self-attention, norm, SwiGLU, and cross-attention in front of it
/// where the layout has one.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: SelfAttention,
    post_attention_layernorm: RmsNorm,
    mlp: SwiGlu,
    cross: Option<CrossAttention>,
}

/// Sizes of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerSizes {
    /// Width of a token.
    pub d_model: usize,
    /// Inner width of the SwiGLU.
    pub d_ffn: usize,
    /// Heads of self-attention.
    pub heads: Heads,
    /// Biases of self-attention.
    pub bias: AttentionBias,
    /// Of the norms.
    pub eps: f64,
    /// Of cross-attention, where the layer has it.
    pub cross: Option<CrossSizes>,
}

impl DecoderLayer {
    /// A layer to be filled.
    pub fn new(sizes: &LayerSizes, device: &Device) -> Self {
        let &LayerSizes { d_model, d_ffn, heads, bias, eps, cross } = sizes;
        Self {
            input_layernorm: RmsNorm::new(d_model, eps, device),
            self_attn: SelfAttention::new(d_model, heads, bias, device),
            post_attention_layernorm: RmsNorm::new(d_model, eps, device),
            mlp: SwiGlu::new(d_model, d_ffn, device),
            cross: cross.map(|cross| CrossAttention::new(d_model, heads, cross, eps, device)),
        }
    }

    /// One layer, every sample in its own mode (VISOR, Eq. 1-3):
    ///
    /// * text-only `T <- TL(T)`,
    /// * cross-attention `T <- TL(T + CA(T, V))`,
    /// * self-attention `[V; T] <- TL([V; T])`.
    ///
    /// `TL` runs once, on the rows of all samples.
    ///
    /// # Errors
    /// [`ModelError::CacheFull`].
    ///
    /// # Panics
    /// If asked for cross-attention that the layout does not give this layer: schedules are made
    /// from the layout.
    pub fn forward(&self, mut samples: Vec<Visit<'_>>) -> Result<Vec<Streams>, ModelError> {
        let padding = samples.first().map_or(Padding::None, |sample| sample.at.text.padding());
        let mut reads = self.reads(&mut samples, padding).into_iter();
        let (mut rows, mut attending, mut resting) = (Vec::new(), Vec::new(), Vec::new());
        for Visit { mode, streams: Streams { text, visual }, at, mut cache, seen } in samples {
            let [_, n_text, _] = text.dims();
            let rests = |beside| Resting { beside, n_joined: 0, n_text };
            let (x, at, visual) = match mode {
                LayerMode::TextOnly => (text, &at.text, rests(visual)), // T
                LayerMode::CrossAttention => {
                    let read = reads.next().expect("one read a sample that reads");
                    (text + read, &at.text, rests(visual)) // T + CA(T, V)
                }
                LayerMode::SelfAttention if holds(cache.as_deref()) => {
                    let beside = cache.as_deref_mut().and_then(LayerCache::take_refined);
                    (text, at.beside(), rests(beside)) // T
                }
                LayerMode::SelfAttention => {
                    let at = at.joint();
                    let (joint, n_joined) = join(text, visual, at.n_rows());
                    (joint, at, Resting { beside: None, n_joined, n_text }) // [V; T]
                }
            };
            rows.push(x);
            let (cache, seen) = (cache.map(LayerCache::own_mut), seen.map(|seen| &mut seen.own));
            attending.push(Attending { at, cache, seen });
            resting.push(visual);
        }
        let lengths = lengths(&rows, 1);
        let x = self.block(pack(rows, 1, padding), attending)?; // [B, S of all, E]
        let x = unpack(x, &lengths, 1).into_iter().zip(resting);
        Ok(x.map(|(x, visual)| visual.leave(x)).collect())
    }

    /// `CA(T, V)` of the samples that cross-attend, in their order.
    fn reads(&self, samples: &mut [Visit<'_>], padding: Padding) -> Vec<Tensor<3>> {
        let reads = |sample: &&mut Visit<'_>| sample.mode == LayerMode::CrossAttention;
        let mut samples: Vec<&mut Visit<'_>> = samples.iter_mut().filter(reads).collect();
        let Some(first) = samples.first() else { return Vec::new() };
        let [batch, _, _] = first.streams.text.dims();
        let cross = self.cross.as_ref().expect("schedules follow the layout");
        let new = samples.iter().filter(|sample| sample.known_keys().is_none());
        let new = new.map(|sample| sample.at.selected(sample.streams.visual.clone())).collect();
        let mut new = cross.keys(new, batch, padding).into_iter();
        let reading = samples.iter_mut().map(|sample| {
            let keys = match sample.known_keys() {
                Some(keys) => keys.clone(),
                None => sample.keep(new.next().expect("made for every sample without")),
            };
            let Visit { streams, at, seen, .. } = &mut **sample;
            let Sight { bias, mask, .. } = &at.cross;
            let seen = seen.as_deref_mut().map(|seen| &mut seen.cross);
            let (bias, mask) = (bias.as_ref(), mask.as_ref());
            let filled = at.text.filled().asking;
            Reading { text: streams.text.clone(), filled, keys, bias, mask, seen }
        });
        cross.read(reading.collect(), padding)
    }

    /// The pre-trained layer `TL`: `x + attention(norm(x))`, then `x + mlp(norm(x))`.
    fn block(&self, x: Tensor<3>, attending: Vec<Attending<'_>>) -> Result<Tensor<3>, ModelError> {
        let ([_, rows, _], filled) = (x.dims(), filled(&attending).asking);
        let normed = self.input_layernorm.forward(x.clone());
        let x = x + self.self_attn.forward(normed, attending)?;
        let normed = self.post_attention_layernorm.forward(x.clone());
        Ok(x + counter::of_rows(rows, filled, || self.mlp.forward(normed)))
    }

    pub(crate) fn for_each_weight(&mut self, each: ForEach<'_>) {
        self.self_attn.for_each_weight(each);
        self.mlp.for_each_weight(each);
        if let Some(cross) = &mut self.cross {
            cross.for_each_weight(each);
        }
    }

    /// With maps of the same rows as one product, to be run.
    #[must_use]
    pub(crate) fn joined(self) -> Self {
        Self {
            self_attn: self.self_attn.joined(),
            mlp: self.mlp.joined(),
            cross: self.cross.map(CrossAttention::joined),
            ..self
        }
    }

    /// Folds the gate of cross-attention, for inference.
    #[must_use]
    pub fn fold_gate(self) -> Self {
        Self { cross: self.cross.map(CrossAttention::fold_gate), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross::NullPair;
    use crate::init::Noise;
    use crate::placement::{TextToken, TokenMap, VisualToken};
    use crate::rotary::RotaryConfig;
    use crate::weights;
    use visor_core::{ImageMask, Rotary};
    use visor_runtime::{DeviceRequest, device};

    const WIDTH: usize = 8;

    fn random(name: &str, rows: usize, device: &Device) -> Tensor<3> {
        let values = Noise::new(3, name).normal(rows * WIDTH, 1.0);
        Tensor::<1>::from_floats(values.as_slice(), device).reshape([1, rows, WIDTH])
    }

    #[test]
    fn a_row_without_a_key_equals_a_row_whose_key_is_hidden() {
        let device = device::open(DeviceRequest::Cpu).expect("the CPU is always there");
        let heads = Heads { n_heads: 2, n_kv_heads: 1, head_dim: 4 };
        let bias = AttentionBias::Inputs;
        let cross =
            Some(CrossSizes { n_kv_heads: 1, bias: bias.inputs(), null: NullPair::Learned });
        let sizes = LayerSizes { d_model: WIDTH, d_ffn: 12, heads, bias, eps: 1e-5, cross };
        let layer = DecoderLayer::new(&sizes, &device);
        let fill = &mut |name: &str, shape: &[usize]| {
            Ok(Noise::new(5, name).normal(shape.iter().product(), 0.5))
        };
        let layer = weights::fill(layer, &device, fill).expect("every weight is filled");
        let (n_visual, n_text) = (3, 4);
        let visual = |i| VisualToken { position: i, image: 0, start: 0, row: 0, column: i };
        let map = TokenMap {
            visual: (0..n_visual).map(visual).collect(),
            text: (0..n_text).map(|i| TextToken { position: n_visual + i, segment: 0 }).collect(),
        };
        let rotary = RotaryConfig { scheme: Rotary::OneD, base: 100.0, head_dim: 4 };
        let at = Placement::prefill(&[map], rotary, ImageMask::Causal, None, &device);
        let routed = at.clone().with_routing_token();
        let hidden = at.with_last_key_hidden();
        for mode in [LayerMode::TextOnly, LayerMode::CrossAttention, LayerMode::SelfAttention] {
            let run = |at: &Placement| {
                let text = random("text", n_text, &device);
                let visual = Some(random("visual", n_visual, &device));
                let streams = Streams { text, visual };
                let streams =
                    layer.forward(vec![Visit { mode, streams, at, cache: None, seen: None }]);
                streams.expect("no cache, no error").remove(0).text.into_data()
            };
            let tolerance = burn::tensor::Tolerance::<f32>::absolute(1e-5);
            run(&routed).assert_approx_eq(&run(&hidden), tolerance);
        }
    }
}
