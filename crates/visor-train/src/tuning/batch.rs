//! Examples of one shape of pictures as rows of a batch, and one pass of the network over them.

use super::features::{Feature, Features};
use super::material::{Example, Material, Shown};
use crate::error::TrainError;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::collections::BTreeMap;
use std::ops::Range;
use visor_core::{ImageMask, LayerMode, Schedule};
use visor_model::decoder::Pass;
use visor_model::layer::{Refinement, Streams};
use visor_model::rotary::RotaryConfig;
use visor_model::{ModelError, Network, Placement, TextToken, TokenMap};
use visor_processor::{Arrangement, ImageTokens, ProcessedPicture};

/// A picture of a batch as it is known on the host.
#[derive(Clone, Debug)]
pub enum Sight {
    /// Its tiles.
    Pixels(ProcessedPicture),
    /// What a frozen encoder made of it before.
    Known(Feature),
}

/// Rows on the host: examples whose pictures take equal places.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Number of rows.
    pub n: usize,
    /// `[B, T]`, filled up behind the end.
    pub ids: Vec<i64>,
    /// Tokens a row.
    pub n_text: usize,
    /// Where tokens stand.
    pub maps: Vec<TokenMap>,
    /// Rows of the flattened `[B * T]` text whose next token is asked for, with that token and the
    /// row of the batch.
    pub targets: Vec<(usize, u32, usize)>,
    /// The text tokens of each row that are the words of its last question.
    pub questions: Vec<Range<usize>>,
    /// These words, as the user wrote them.
    pub words: Vec<String>,
    /// The pictures of all rows, in order; equally many of each.
    pub pictures: Vec<(Shown, Sight)>,
}

/// Cuts examples into batches of at most `size` whose pictures take equal places.
///
/// # Errors
/// If a picture cannot be read.
pub(crate) fn rows(
    material: &Material,
    chosen: &[usize],
    size: usize,
    features: Option<&Features>,
) -> Result<Vec<Rows>, TrainError> {
    let mut groups: BTreeMap<(Vec<usize>, usize), Vec<&Example>> = BTreeMap::new();
    for &index in chosen {
        let example = &material.examples[index];
        let shape = (example.spans.clone(), example.pictures.len());
        groups.entry(shape).or_default().push(example);
    }
    let parts = groups.values().flat_map(|group| group.chunks(size));
    parts.map(|examples| Rows::new(material, examples, features)).collect()
}

impl Rows {
    fn new(
        material: &Material,
        examples: &[&Example],
        features: Option<&Features>,
    ) -> Result<Self, TrainError> {
        let n_text = examples.iter().map(|example| example.ids.len()).max().unwrap_or(0);
        let mut rows = Self {
            n: examples.len(),
            ids: Vec::with_capacity(examples.len() * n_text),
            n_text,
            maps: Vec::with_capacity(examples.len()),
            targets: Vec::new(),
            questions: examples.iter().map(|example| example.question.clone()).collect(),
            words: examples.iter().map(|example| example.words.clone()).collect(),
            pictures: Vec::new(),
        };
        for (row, example) in examples.iter().enumerate() {
            let missing = n_text - example.ids.len();
            rows.ids.extend(example.ids.iter().map(|&id| i64::from(id)));
            rows.ids.extend(std::iter::repeat_n(0, missing));
            let mut map = example.map.clone();
            // Filling stands alone, behind everything: each token is a segment of its own.
            let filling = |i| TextToken { position: example.len + i, segment: 1 + i };
            map.text.extend((0..missing).map(filling));
            rows.maps.push(map);
            let targets = example.targets.iter().map(|&(at, id)| (row * n_text + at, id, row));
            rows.targets.extend(targets);
            for &shown in &example.pictures {
                rows.pictures.push((shown, Sight::of(material, shown, features)?));
            }
        }
        Ok(rows)
    }
}

impl Sight {
    fn of(
        material: &Material,
        shown: Shown,
        features: Option<&Features>,
    ) -> Result<Self, TrainError> {
        if let Some(features) = features {
            let key = features.key(&material.file(shown).sha256, &material.cut(shown));
            if let Some(feature) = features.get(&key)? {
                return Ok(Self::Known(feature));
            }
        }
        Ok(Self::Pixels(material.process(shown)?))
    }
}

/// What a pass needs to know of the model beside its weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// How angles follow from positions.
    pub(crate) rotary: RotaryConfig,
    /// Who sees whom in a picture.
    pub(crate) image_mask: ImageMask,
    /// How the tokens of a tile lie.
    pub(crate) tile: ImageTokens,
}

/// Rows on a device.
#[derive(Debug)]
pub(crate) struct Lifted {
    /// `[B, T]`.
    pub(crate) ids: Tensor<2, Int>,
    pub(crate) at: Placement,
    /// `[targets]`: rows of the flattened text that are asked.
    pub(crate) asked: Tensor<1, Int>,
    /// `[targets, 1]`.
    pub(crate) targets: Tensor<2, Int>,
    /// Places of each picture of all rows.
    places: Vec<usize>,
}

impl Lifted {
    /// Lifts rows.
    pub(crate) fn new(rows: &Rows, frame: Frame, device: &Device) -> Self {
        let asked: Vec<i64> = rows.targets.iter().map(|&(row, _, _)| row as i64).collect();
        let targets: Vec<i64> = rows.targets.iter().map(|&(_, id, _)| i64::from(id)).collect();
        let (n, shape) = (asked.len(), [rows.n, rows.n_text]);
        let places = |(shown, _): &(Shown, Sight)| shown.arrangement.places(frame.tile).len();
        Self {
            ids: Tensor::from_data(TensorData::new(rows.ids.clone(), shape), device),
            at: Placement::prefill(&rows.maps, frame.rotary, frame.image_mask, None, device),
            asked: Tensor::from_data(TensorData::new(asked, [n]), device),
            targets: Tensor::from_data(TensorData::new(targets, [n, 1]), device),
            places: rows.pictures.iter().map(places).collect(),
        }
    }

    /// Adds conditional positions to visual tokens `[places, N, E]` of all rows: the places of a
    /// picture are one sequence.
    pub(crate) fn condition(&self, network: &Network, tokens: &Tensor<3>) -> Tensor<3> {
        let [_, n, e] = tokens.dims();
        let mut start = 0;
        let alike = self.places.chunk_by(|one, next| one == next).map(|alike| {
            let (pictures, places) = (alike.len(), alike[0]);
            let own = tokens.clone().narrow(0, start, pictures * places);
            start += pictures * places;
            let own = network.condition(own.reshape([pictures, places * n, e]));
            own.reshape([pictures * places, n, e])
        });
        Tensor::cat(alike.collect(), 0) // [places, N, E]
    }

    /// Runs the decoder over visual tokens `[places, N, E]` of all rows and asks for the targets:
    /// logits `[targets, vocab]`.
    ///
    /// # Errors
    /// None in a sound network.
    pub(crate) fn answer(
        &self,
        network: &Network,
        visual: Option<Tensor<3>>,
        schedule: &Schedule,
    ) -> Result<Tensor<2>, ModelError> {
        let text = network.decoder().embed(self.ids.clone()); // [B, T, E]
        let [b, t, e] = text.dims();
        let visual = visual.map(|places| {
            let places = match schedule.count(LayerMode::CrossAttention) {
                0 => places,
                _ => self.condition(network, &places),
            };
            let [n, tokens, _] = places.dims();
            places.reshape([b, n / b * tokens, e]) // [B, V, E]
        });
        let layers = 0..network.decoder().n_layers();
        let pass = Pass { layers, schedule, at: &self.at, refinement: Refinement::Apply };
        let streams = Streams { text, visual };
        let streams = network.decoder().run(streams, &pass, None, &mut |_, _| Ok(()))?;
        let rows = streams.text.reshape([b * t, e]).select(0, self.asked.clone()); // [targets, E]
        Ok(network.logits(rows))
    }
}

/// Where the work on a picture begins and ends that is done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Behind a frozen encoder.
    Patches,
    /// Behind a frozen encoder and connector.
    Tokens,
}

/// Takes what was made new of a picture that stays as it is.
pub(crate) type Keep<'a> = &'a mut dyn FnMut(Shown, Feature) -> Result<(), TrainError>;

/// The visual tokens of all rows in their places, `[places, N, E]`. What is new behind the frozen
/// part is kept where there is a place for it.
///
/// # Errors
/// Of pictures in one row that take places of different lengths, and as the encoder.
pub(crate) fn tokens(
    network: &Network,
    rows: &Rows,
    frame: Frame,
    kept: Option<Kept>,
    device: &Device,
    mut keep: Option<Keep<'_>>,
) -> Result<Option<Tensor<3>>, TrainError> {
    let mut parts = Vec::with_capacity(rows.pictures.len());
    for (shown, sight) in &rows.pictures {
        let made = match sight {
            Sight::Known(Feature { shape, values }) => {
                Tensor::from_data(TensorData::new(values.clone(), *shape), device)
            }
            Sight::Pixels(picture) => {
                let made = encode(network, picture, kept, frame, device)?;
                if let (Some(_), Some(keep)) = (kept, &mut keep) {
                    let values = made.clone().inner().into_data().iter::<f32>().collect();
                    keep(*shown, Feature { shape: made.dims(), values })?;
                }
                made
            }
        };
        parts.push((shown.arrangement, made));
    }
    if parts.is_empty() {
        return Ok(None);
    }
    if kept != Some(Kept::Tokens) {
        parts = connected(network, parts, frame.tile);
    }
    let places: Vec<Tensor<3>> = parts.into_iter().map(|(_, tokens)| tokens).collect();
    let lengths: Vec<usize> = places.iter().map(|tokens| tokens.dims()[1]).collect();
    match lengths.iter().all(|length| *length == lengths[0]) {
        true => Ok(Some(Tensor::cat(places, 0))),
        false => Err(TrainError::Recipe {
            field: "pictures of one conversation",
            got: format!("{lengths:?} visual tokens"),
            expected: "places of one length",
        }),
    }
}

/// A picture as far as it stays as it is, tile by tile, as serving encodes it; where nothing stays,
/// through the encoder.
fn encode(
    network: &Network,
    picture: &ProcessedPicture,
    kept: Option<Kept>,
    frame: Frame,
    device: &Device,
) -> Result<Tensor<3>, ModelError> {
    let [_, channels, height, width] = picture.pixels.shape();
    let tiles = picture.pixels.data().chunks(channels * height * width).map(|values| {
        let data = TensorData::new(values.to_vec(), [1, channels, height, width]);
        network.vision().forward(Tensor::from_data(data, device), &|| Ok(()))
    });
    let patches = Tensor::cat(tiles.collect::<Result<Vec<_>, _>>()?, 0); // [tiles, P, E_vision]
    Ok(match kept {
        Some(Kept::Tokens) => {
            let tokens = network.connector().forward(patches); // [tiles, N, E]
            network.connector().pack(tokens, picture.arrangement, frame.tile)
        }
        Some(Kept::Patches) | None => patches,
    })
}

/// Patches of pictures through the connector, which runs once on all of them.
fn connected(
    network: &Network,
    parts: Vec<(Arrangement, Tensor<3>)>,
    tile: ImageTokens,
) -> Vec<(Arrangement, Tensor<3>)> {
    let (arrangements, patches): (Vec<_>, Vec<Tensor<3>>) = parts.into_iter().unzip();
    let tokens = network.connector().forward(Tensor::cat(patches, 0)); // [tiles of all, N, E]
    if arrangements.iter().all(|a| matches!(a, Arrangement::Whole | Arrangement::Marked { .. })) {
        // Their tiles stand in the prompt as they are.
        return vec![(Arrangement::Whole, tokens)];
    }
    let mut start = 0;
    let pack = |arrangement: Arrangement| {
        let n = arrangement.tiles();
        let own = tokens.clone().narrow(0, start, n);
        start += n;
        (arrangement, network.connector().pack(own, arrangement, tile))
    };
    arrangements.into_iter().map(pack).collect()
}
