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
use crate::rotary::RotaryTable;
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

/// The streams of several samples. Their texts stay together from layer to layer: what has weights
/// runs on all their rows.
#[derive(Clone, Debug)]
pub struct Batch {
    /// All texts, one after another, `[B, T of all, E]`, and what fills them up.
    text: Tensor<3>,
    /// The rows of each text.
    lengths: Vec<usize>,
    /// The picture of each, `[B, V, E]`.
    pub(crate) visual: Vec<Option<Tensor<3>>>,
}

impl Batch {
    /// One sample at least; all have the same `B`.
    pub(crate) fn of(streams: Vec<Streams>, padding: Padding) -> Self {
        let (text, visual): (Vec<_>, Vec<_>) =
            streams.into_iter().map(|Streams { text, visual }| (text, visual)).unzip();
        Self { lengths: lengths(&text, 1), text: pack(text, 1, padding), visual }
    }

    /// Each sample by itself.
    pub(crate) fn streams(self) -> impl Iterator<Item = Streams> {
        let text = unpack(self.text, &self.lengths, 1);
        text.into_iter().zip(self.visual).map(|(text, visual)| Streams { text, visual })
    }
}

/// A sample in front of a layer, without its streams.
#[derive(Debug)]
pub struct Visit<'a> {
    /// What the layer does with it.
    pub mode: LayerMode,
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

/// Where the picture of a sample is while the layer runs.
#[derive(Debug)]
enum Picture {
    /// It rests, if there is one.
    Beside(Option<Tensor<3>>),
    /// In front of the text, `[B, V, E]`.
    Joined(Tensor<3>),
}

/// What becomes the streams of a sample again when the layer has run.
#[derive(Debug)]
struct Resting {
    /// The picture, where it rests.
    beside: Option<Tensor<3>>,
    /// How many of the sample's first rows it is, where it does not rest.
    n_joined: usize,
    /// How many rows the text is.
    n_text: usize,
}

impl Picture {
    /// The sample's rows: its text, `[B, T, E]`, or `[B, V + T, E]`, filled up to so many.
    fn join(self, text: Tensor<3>, rows: usize) -> (Tensor<3>, Resting) {
        let [_, n_text, _] = text.dims();
        match self {
            Self::Beside(beside) => (text, Resting { beside, n_joined: 0, n_text }),
            Self::Joined(visual) => {
                let [_, n_joined, _] = visual.dims();
                let more = rows - n_joined - n_text;
                let filling = (more > 0).then(|| zeros(&text, 1, more));
                let joint = [visual, text].into_iter().chain(filling).collect();
                (Tensor::cat(joint, 1), Resting { beside: None, n_joined, n_text })
            }
        }
    }
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
    /// `TL` runs once, on the rows of all samples; `turns` is the rotary table of all texts.
    ///
    /// # Errors
    /// [`ModelError::CacheFull`].
    ///
    /// # Panics
    /// If asked for cross-attention that the layout does not give this layer: schedules are made
    /// from the layout.
    pub fn forward(
        &self,
        batch: Batch,
        samples: Vec<Visit<'_>>,
        turns: &RotaryTable,
    ) -> Result<Batch, ModelError> {
        let padding = samples.first().map_or(Padding::None, |sample| sample.at.text.padding());
        let (Batch { text, lengths: texts, visual }, samples) = self.look(batch, samples, padding);
        let (mut attending, mut pictures) = (Vec::new(), Vec::new());
        for (Visit { mode, at, mut cache, seen }, visual) in samples.into_iter().zip(visual) {
            let (at, picture) = match (mode, visual) {
                (LayerMode::SelfAttention, _) if holds(cache.as_deref()) => {
                    let refined = cache.as_deref_mut().and_then(LayerCache::take_refined);
                    (at.beside(), Picture::Beside(refined)) // T
                }
                (LayerMode::SelfAttention, Some(visual)) => (at.joint(), Picture::Joined(visual)),
                (LayerMode::SelfAttention, None) => (at.joint(), Picture::Beside(None)),
                (_, visual) => (&at.text, Picture::Beside(visual)), // T
            };
            let (cache, seen) = (cache.map(LayerCache::own_mut), seen.map(|seen| &mut seen.own));
            attending.push(Attending { at, cache, seen });
            pictures.push(picture);
        }
        let rest = |picture: &Picture| match picture {
            Picture::Beside(visual) => Some(visual.clone()),
            Picture::Joined(_) => None,
        };
        if let Some(visual) = pictures.iter().map(rest).collect() {
            let text = self.block(text, attending, turns.clone())?; // [B, T of all, E]
            return Ok(Batch { text, lengths: texts, visual });
        }
        let parts = unpack(text, &texts, 1).into_iter().zip(pictures).zip(&attending);
        let joined = parts.map(|((text, picture), sample)| picture.join(text, sample.at.n_rows()));
        let (rows, resting): (Vec<_>, Vec<_>) = joined.unzip();
        let lengths = lengths(&rows, 1);
        let turns = RotaryTable::joined(attending.iter().map(|one| &one.at.rotary), padding);
        let x = self.block(pack(rows, 1, padding), attending, turns)?; // [B, S of all, E]
        let parts = unpack(x, &lengths, 1).into_iter().zip(resting);
        Ok(Batch::of(parts.map(|(x, resting)| resting.leave(x)).collect(), padding))
    }

    /// `T <- T + CA(T, V)` of the samples that cross-attend.
    fn look<'a>(
        &self,
        batch: Batch,
        mut samples: Vec<Visit<'a>>,
        padding: Padding,
    ) -> (Batch, Vec<Visit<'a>>) {
        let reads = |sample: &Visit<'_>| sample.mode == LayerMode::CrossAttention;
        let reading: Vec<usize> =
            (0..samples.len()).filter(|&index| reads(&samples[index])).collect();
        if reading.is_empty() {
            return (batch, samples);
        }
        let Batch { text, lengths, visual } = batch;
        let text = if reading.len() == samples.len() {
            text.clone() + self.read(text, &lengths, &visual, samples.iter_mut().collect(), padding)
        } else {
            let mut texts = unpack(text, &lengths, 1);
            let own = |index: &usize| (texts[*index].clone(), lengths[*index]);
            let (rows, own): (Vec<_>, Vec<_>) = reading.iter().map(own).unzip();
            let pictures: Vec<_> = reading.iter().map(|&index| visual[index].clone()).collect();
            let rows = pack(rows, 1, padding);
            let visits = samples.iter_mut().filter(|sample| reads(sample)).collect();
            let rows = rows.clone() + self.read(rows, &own, &pictures, visits, padding);
            for (index, rows) in reading.into_iter().zip(unpack(rows, &own, 1)) {
                texts[index] = rows;
            }
            pack(texts, 1, padding)
        };
        (Batch { text, lengths, visual }, samples)
    }

    /// `CA(T, V)` of samples that all cross-attend, `[B, T of all, E]`.
    fn read(
        &self,
        text: Tensor<3>,
        lengths: &[usize],
        visual: &[Option<Tensor<3>>],
        mut samples: Vec<&mut Visit<'_>>,
        padding: Padding,
    ) -> Tensor<3> {
        let [batch, _, _] = text.dims();
        let cross = self.cross.as_ref().expect("schedules follow the layout");
        let new = samples.iter().zip(visual).filter(|(sample, _)| sample.known_keys().is_none());
        let new = new.map(|(sample, visual)| sample.at.selected(visual.clone())).collect();
        let mut new = cross.keys(new, batch, padding).into_iter();
        let reading = samples.iter_mut().map(|sample| {
            let keys = match sample.known_keys() {
                Some(keys) => keys.clone(),
                None => sample.keep(new.next().expect("made for every sample without")),
            };
            let Visit { at, seen, .. } = &mut **sample;
            let Sight { bias, mask, .. } = &at.cross;
            let seen = seen.as_deref_mut().map(|seen| &mut seen.cross);
            let (bias, mask) = (bias.as_ref(), mask.as_ref());
            Reading { filled: at.text.filled().asking, keys, bias, mask, seen }
        });
        cross.read(text, lengths, reading.collect(), padding)
    }

    /// The pre-trained layer `TL`: `x + attention(norm(x))`, then `x + mlp(norm(x))`.
    fn block(
        &self,
        x: Tensor<3>,
        attending: Vec<Attending<'_>>,
        rotary: RotaryTable,
    ) -> Result<Tensor<3>, ModelError> {
        let ([_, rows, _], filled) = (x.dims(), filled(&attending).asking);
        let normed = self.input_layernorm.forward(x.clone());
        let x = x + self.self_attn.forward(normed, attending, rotary)?;
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
                let batch = Batch::of(vec![Streams { text, visual }], Padding::None);
                let batch = layer.forward(
                    batch,
                    vec![Visit { mode, at, cache: None, seen: None }],
                    &at.text.rotary,
                );
                batch.expect("no cache, no error").text.into_data()
            };
            let tolerance = burn::tensor::Tolerance::<f32>::absolute(1e-5);
            run(&routed).assert_approx_eq(&run(&hidden), tolerance);
        }
    }
}
