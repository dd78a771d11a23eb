//! Tiny random models, prompts and pictures, and the slow way to logits.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use visor_core::cost::{Flops, SelectorShape};
use visor_core::{
    ImageMask, Ladder, Layout, Padding, Patches, PositionScheme, Rotary, RungId, Schedule,
};
use visor_model::attention::AttentionBias;
use visor_model::config::{
    ConnectorConfig, Family, ModelConfig, PatchPositions, TextConfig, Tiling, VisionConfig,
};
use visor_model::cross::{CrossSizes, NullPair};
use visor_model::decoder::Pass;
use visor_model::init::Noise;
use visor_model::layer::{Refinement, Streams};
use visor_model::linear::Bias;
use visor_model::{
    Extension, Head, Network, Placement, TextToken, TokenMap, VisorModel, VisualToken, parameters,
    precision, weights,
};
use visor_processor::{
    EncodedPrompt, Filter, ImageProcessor, ImageTokens, Normalization, Picture, ProcessedPicture,
};
use visor_runtime::{
    Backbone, Cancel, DenseMode, DeviceRequest, Dtype, ModelCard, SelectorCard, Start, device,
};

pub(crate) const IMAGE: u32 = 2;
pub(crate) const VOCAB: usize = 23;
/// Visual tokens along a side of a picture.
pub(crate) const GRID: usize = 3;
pub(crate) const SIDE: u32 = 12;

/// Positions of a network that was trained from scratch.
pub(crate) const SCRATCH: PositionScheme =
    PositionScheme { image_mask: ImageMask::Bidirectional, rotary: Rotary::TwoD };

pub(crate) fn cpu() -> Device {
    device::open(DeviceRequest::Cpu).unwrap()
}

pub(crate) fn config() -> ModelConfig {
    ModelConfig {
        family: Family::Llava,
        vision: VisionConfig {
            d_model: 24,
            d_ffn: 40,
            n_layers: 2,
            n_heads: 3,
            image_size: SIDE as usize,
            patch_size: SIDE as usize / GRID,
            layer_norm_eps: 1e-6,
            post_norm: false,
            positions: PatchPositions::InOrder,
        },
        connector: ConnectorConfig::Mlp { d_hidden: 36, bias: Bias::With },
        tiling: Tiling::Whole,
        text: TextConfig {
            d_model: 32,
            d_ffn: 48,
            n_layers: 7,
            n_heads: 4,
            n_kv_heads: 2,
            head_dim: 8,
            vocab: VOCAB,
            rms_norm_eps: 1e-5,
            rope_theta: 100.0,
            attention_bias: AttentionBias::Inputs,
            max_positions: 96,
        },
        image_token: IMAGE,
        tied: true,
    }
}

pub(crate) fn ladder() -> Ladder {
    let layout = Layout::try_new(7, &[1, 4, 6], &[2, 3, 5]).unwrap();
    let rungs = [("sa0", vec![]), ("sa1", vec![3]), ("sa2", vec![2, 5]), ("sa3", vec![2, 3, 5])];
    let rungs = rungs.map(|(name, active)| (name.to_owned(), active));
    Ladder::try_new(layout, 2, &rungs).unwrap()
}

pub(crate) fn extension() -> Extension {
    let layout = ladder().layout().clone();
    let cross = CrossSizes { n_kv_heads: 2, bias: Bias::With, null: NullPair::Learned };
    Extension { layout, cross, selector: None }
}

/// Random values of a size at which every part has a say.
pub(crate) fn value(seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    let mut noise = Noise::new(seed, name);
    let n = shape.iter().product();
    match shape {
        [_] if name.contains("norm") && name.ends_with("weight") => {
            noise.normal(n, 0.2).into_iter().map(|value| 1.0 + value).collect()
        }
        [_] => noise.normal(n, 0.5),
        [_, inner @ ..] => {
            noise.normal(n, 1.2 * (inner.iter().product::<usize>() as f32).powf(-0.5))
        }
        [] => vec![0.0; n],
    }
}

pub(crate) fn filled<M: Module>(module: M, seed: u64) -> M {
    weights::fill(module, &cpu(), &mut |name, shape| Ok(value(seed, name, shape))).unwrap()
}

pub(crate) fn network(seed: u64) -> Network {
    filled(Network::new(&config(), Some(&extension()), Head::Tied, &cpu()), seed)
}

/// A universal model that may run dense as well.
pub(crate) fn model(positions: PositionScheme, seed: u64) -> VisorModel {
    model_of(&extension(), network(seed), positions)
}

/// The same with its matrices in a number format.
pub(crate) fn model_in(dtype: Dtype, seed: u64) -> VisorModel {
    let network = Network::new(&config(), Some(&extension()), Head::Tied, &cpu());
    let values = &mut |name: &str, shape: &[usize]| Ok(value(seed, name, shape));
    let network = precision::fill(network, dtype, &cpu(), values).unwrap();
    model_of(&extension(), network.fold_gates(), SCRATCH)
}

/// The same with a patch selector.
pub(crate) fn selecting_model(seed: u64) -> VisorModel {
    let shape = SelectorShape { d_model: 32, d_select: 8, n_pools: 2, d_hidden: 8 };
    let selector = SelectorCard { shape, range: (2, 6), n_reference: GRID * GRID };
    let extension = Extension { selector: Some(selector), ..extension() };
    let network = filled(Network::new(&config(), Some(&extension), Head::Tied, &cpu()), seed);
    model_of(&extension, network, SCRATCH)
}

fn model_of(extension: &Extension, network: Network, positions: PositionScheme) -> VisorModel {
    let config = config();
    let card = ModelCard {
        name: "random".to_owned(),
        ladder: Some(ladder()),
        dense: DenseMode::Available,
        selector: extension.selector,
        shape: config.shape(Some(extension.cross.n_kv_heads)),
        context: config.text.max_positions,
        positions,
        image_token: IMAGE,
        tile_side: SIDE as usize,
        tile_tokens: ImageTokens { rows: GRID, cols: GRID },
        eos: vec![4],
        rules: Vec::new(),
        vocab: VOCAB,
        parameters: parameters(&config, Some(extension), Head::Tied),
        dtype: Dtype::F32,
        padding: Padding::None,
        sha256: None,
        selector_sha256: None,
        default_policy: None,
    };
    VisorModel::new(network, &config, card, &cpu())
}

pub(crate) fn picture(seed: u64) -> ProcessedPicture {
    let mut noise = Noise::new(seed, "picture");
    let rgb = (0..SIDE * SIDE * 3).map(|_| noise.below(256) as u8).collect();
    let picture = Picture::from_rgb(SIDE, SIDE, rgb).unwrap();
    let normalization = Normalization::default();
    let whole = ImageProcessor::Whole { size: SIDE, filter: Filter::Bicubic, normalization };
    whole.process(&picture).unwrap()
}

pub(crate) fn prompt(ids: &[u32]) -> EncodedPrompt {
    let pictures = ids.iter().filter(|id| **id == IMAGE).count();
    let tokens = ImageTokens { rows: GRID, cols: GRID };
    EncodedPrompt::from_ids(ids, IMAGE, &vec![tokens; pictures]).unwrap()
}

/// Prompts with their pictures: none, one before the question, one within it, two.
pub(crate) fn prompts() -> [(Vec<u32>, Vec<ProcessedPicture>); 4] {
    [
        (vec![5, 9, 11, 3], vec![]),
        (vec![IMAGE, 5, 9, 11, 3], vec![picture(1)]),
        (vec![7, 8, IMAGE, 5, 9, 3], vec![picture(2)]),
        (vec![IMAGE, 6, IMAGE, 5, 9, 3], vec![picture(3), picture(4)]),
    ]
}

/// A level of the tests: a rung, or dense.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Rung(RungId),
    Dense,
}

pub(crate) fn ways() -> Vec<Way> {
    ladder().ids().map(Way::Rung).chain([Way::Dense]).collect()
}

impl Way {
    pub(crate) fn schedule(self) -> Schedule {
        match self {
            Self::Rung(rung) => ladder().schedule(rung),
            Self::Dense => Schedule::dense(7),
        }
    }

    pub(crate) fn start(self, ladder: &Ladder) -> Start<'_> {
        match self {
            Self::Rung(_) => Start::Budgeted { ladder, routing: None, patches: Patches::All },
            Self::Dense => Start::Dense,
        }
    }
}

/// Runs a whole prefill through the runtime's trait.
pub(crate) fn prefill(
    model: &VisorModel,
    ids: &[u32],
    pictures: &[ProcessedPicture],
    way: Way,
    capacity: usize,
) -> (Vec<f32>, <VisorModel as Backbone>::Decoding) {
    let (cancel, ladder) = (Cancel::new(), ladder());
    let visual = (!pictures.is_empty()).then(|| model.encode(pictures, &cancel).unwrap());
    let start = way.start(&ladder);
    let state =
        model.prefill_to_decision(&prompt(ids), visual.as_ref(), start, capacity, &cancel).unwrap();
    let (logits, decoding) = model.prefill_rest(state, &way.schedule(), &cancel).unwrap();
    (logits.0, decoding)
}

/// Where the tokens of `ids` stand, written down apart from the model's own way there.
pub(crate) fn map(ids: &[u32]) -> TokenMap {
    let mut map = TokenMap::default();
    let (mut next, mut image) = (0, 0);
    for &id in ids {
        if id != IMAGE {
            map.text.push(TextToken { position: next, segment: 0 });
            next += 1;
            continue;
        }
        map.visual.extend((0..GRID * GRID).map(|i| VisualToken {
            position: next + i,
            image,
            start: next,
            row: i / GRID,
            column: i % GRID,
        }));
        next += GRID * GRID;
        image += 1;
    }
    map
}

/// Text ids as a tensor, image tokens left out.
pub(crate) fn text_ids(ids: &[u32]) -> Tensor<2, Int> {
    let ids: Vec<i64> = ids.iter().filter(|id| **id != IMAGE).map(|&id| i64::from(id)).collect();
    let n = ids.len();
    Tensor::from_data(TensorData::new(ids, [1, n]), &cpu())
}

/// `[1, V, E]` of some pictures, before conditional positions; `None` of no picture.
pub(crate) fn encoded(network: &Network, pictures: &[ProcessedPicture]) -> Option<Tensor<3>> {
    let encode = |picture: &ProcessedPicture| {
        let pixels = TensorData::new(picture.pixels.data().to_vec(), picture.pixels.shape());
        network.encode(Tensor::from_data(pixels, &cpu()), &|| Ok(())).unwrap()
    };
    let all: Vec<Tensor<3>> = pictures.iter().map(encode).collect();
    (!all.is_empty()).then(|| Tensor::cat(all, 0))
}

/// The two streams before the first layer.
pub(crate) fn streams(
    network: &Network,
    ids: &[u32],
    pictures: &[ProcessedPicture],
    way: Way,
) -> Streams {
    let sequence = |picture: &ProcessedPicture| {
        let tokens = encoded(network, std::slice::from_ref(picture)).unwrap();
        let [tiles, n, e] = tokens.dims();
        let sequence = tokens.reshape([1, tiles * n, e]);
        match way {
            Way::Rung(_) => network.condition(sequence),
            Way::Dense => sequence,
        }
    };
    let visual: Vec<_> = pictures.iter().map(sequence).collect();
    let visual = (!visual.is_empty()).then(|| Tensor::cat(visual, 1)); // [1, V, E]
    Streams { text: network.decoder().embed(text_ids(ids)), visual }
}

pub(crate) fn placement(maps: &[TokenMap], positions: PositionScheme) -> Placement {
    let rotary = config().text.rotary(positions.rotary);
    Placement::prefill(maps, rotary, positions.image_mask, None, &cpu())
}

/// Runs all layers in one pass, without any cache.
pub(crate) fn one_pass(
    network: &Network,
    streams: Streams,
    schedule: &Schedule,
    at: &Placement,
) -> Streams {
    let layers = 0..network.decoder().n_layers();
    let pass = Pass { layers, schedule, at, refinement: Refinement::Apply };
    network.decoder().run(streams, &pass, None, &mut |_, _| Ok(())).unwrap()
}

/// Logits of all text rows: `[T][vocab]`.
pub(crate) fn logits(network: &Network, text: Tensor<3>) -> Vec<Vec<f32>> {
    let [b, t, e] = text.dims();
    let all = values(network.logits(text.reshape([b * t, e])));
    all.chunks(VOCAB).map(<[f32]>::to_vec).collect()
}

/// Logits of all text rows of a prompt, recomputed from nothing.
pub(crate) fn slow(
    network: &Network,
    ids: &[u32],
    pictures: &[ProcessedPicture],
    way: Way,
    positions: PositionScheme,
) -> Vec<Vec<f32>> {
    let streams = streams(network, ids, pictures, way);
    let at = placement(&[map(ids)], positions);
    logits(network, one_pass(network, streams, &way.schedule(), &at).text)
}

pub(crate) fn values<const R: usize>(tensor: Tensor<R>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

pub(crate) fn best(logits: &[f32]) -> u32 {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap() as u32
}

/// Largest difference, relative to the largest value.
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "lengths differ");
    let largest = b.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
    a.iter().zip(b).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs())) / largest
}

#[track_caller]
pub(crate) fn assert_close(a: &[f32], b: &[f32], tolerance: f32) {
    let distance = distance(a, b);
    assert!(distance <= tolerance, "differ by {distance}: {:?} {:?}", first(a), first(b));
}

fn first(values: &[f32]) -> &[f32] {
    &values[..values.len().min(6)]
}

#[track_caller]
pub(crate) fn assert_flops(executed: Flops, formula: Flops, what: &str) {
    assert_eq!(executed, formula, "{what}: executed {executed}, by the formula {formula}");
}
