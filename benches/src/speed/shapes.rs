//! Models of published sizes with random weights, so that time can be measured without a download.

use super::SpeedError;
use super::subject::Subject;
use burn::tensor::Device;
use std::num::NonZeroUsize;
use visor_checkpoint::{Checkpoint, Source};
use visor_core::Layout;
use visor_model::config::{ConnectorConfig, ModelConfig, Tiling};
use visor_model::cross::CrossSizes;
use visor_model::{Blueprint, Extension, Head, Network, VisorModel, parameters, precision};
use visor_processor::{Filter, ImageProcessor, ImageTokens, Normalization, Resolution, Splitting};
use visor_runtime::Dtype;
use visor_train::convert::default_ladder;
use visor_train::selector;

/// Name and content of each file.
type Files = &'static [(&'static str, &'static [u8])];

/// The sizes that can be asked for by name: their `config.json`, and `visor.json` where the
/// checkpoint is universal already.
const SHAPES: [(&str, Files); 4] = [
    (
        "nano",
        &[
            ("config.json", include_bytes!("../../../models/nano/config.json")),
            ("visor.json", include_bytes!("../../../models/nano/visor.json")),
        ],
    ),
    ("smolvlm-256m", &[("config.json", include_bytes!("../../assets/shapes/smolvlm-256m.json"))]),
    ("smolvlm-500m", &[("config.json", include_bytes!("../../assets/shapes/smolvlm-500m.json"))]),
    ("llava-ov-0.5b", &[("config.json", include_bytes!("../../assets/shapes/llava-ov-0.5b.json"))]),
];

/// A published shape.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    name: &'static str,
    files: Files,
    /// Whether it gets a patch selector.
    selector: bool,
    /// Pixels a side of a picture that is one tile, where that is not the published one.
    pixels: Option<NonZeroUsize>,
}

/// The names of all shapes, smallest first.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHAPES.iter().map(|(name, _)| *name)
}

impl std::str::FromStr for Shape {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = SHAPES.iter().find(|(name, _)| *name == text);
        let shape = |&(name, files)| Self { name, files, selector: false, pixels: None };
        found.map(shape).ok_or_else(|| SpeedError::UnknownShape {
            got: text.to_owned(),
            known: names().collect::<Vec<_>>().join(", "),
        })
    }
}

impl Shape {
    /// The same with the selector that `visor convert --selector` adds.
    #[must_use]
    pub fn with_selector(self) -> Self {
        Self { selector: true, ..self }
    }

    /// The same for pictures of so many pixels a side, each of them one tile whose patches are
    /// visual tokens: none are put together.
    #[must_use]
    pub fn with_pixels(self, pixels: NonZeroUsize) -> Self {
        Self { pixels: Some(pixels), ..self }
    }

    /// A model of this shape on a device. A stock shape gets the layout and the ladder that
    /// `visor convert` gives its depth, so that its rungs can be timed as well as dense.
    ///
    /// Its matrices are held in `dtype`.
    ///
    /// # Errors
    /// If the device has no room for it.
    pub fn build(&self, dtype: Dtype, device: &Device) -> Result<Built, SpeedError> {
        let checkpoint = Checkpoint::open(Source::Embedded(self.files))?;
        let Blueprint { mut config, extension, mut card, .. } = Blueprint::read(&checkpoint)?;
        if let Some(pixels) = self.pixels {
            self.cut(&mut config, pixels.get())?;
            let grid = config.token_grid();
            card.tile_side = pixels.get();
            card.tile_tokens = ImageTokens { rows: grid, cols: grid };
            card.shape = config.shape(card.shape.decoder.cross.map(|cross| cross.n_kv_heads));
        }
        let mut extension = match extension {
            Some(extension) => extension,
            None => {
                let layout = Layout::conversion_default(config.text.n_layers);
                let ladder = default_ladder(layout.map_err(visor_train::TrainError::from)?)?;
                let layout = ladder.layout().clone();
                card.ladder = Some(ladder);
                let cross = CrossSizes::like_the_decoders(&config.text);
                card.shape = config.shape(Some(cross.n_kv_heads));
                Extension { layout, cross, selector: None }
            }
        };
        if self.selector && extension.selector.is_none() {
            let n_visual = config.token_grid().pow(2);
            let d_model = config.text.d_model;
            let settings = selector::Settings::new(
                selector::Supervision::SelfSupervised,
                1,
                d_model,
                n_visual,
            );
            extension.selector = Some(settings.card_for(&config));
        }
        card.selector = extension.selector;
        card.name = self.name.to_owned();
        let head = if config.tied { Head::Tied } else { Head::Own };
        card.parameters = parameters(&config, Some(&extension), head);
        let network = Network::new(&config, Some(&extension), head, device);
        let values = &mut |name: &str, shape: &[usize]| Ok(random(name, shape));
        let network = precision::fill(network, dtype, device, values)?;
        card.dtype = dtype;
        let model = VisorModel::new(network.fold_gates(), &config, card, device);
        Ok(Built { model, processor: processor(&config) })
    }

    /// One tile of so many pixels a side.
    fn cut(&self, config: &mut ModelConfig, pixels: usize) -> Result<(), SpeedError> {
        let side = config.vision.patch_size;
        if !pixels.is_multiple_of(side) {
            return Err(SpeedError::Pixels { pixels, side });
        }
        config.vision.image_size = pixels;
        config.tiling = Tiling::Whole;
        if let ConnectorConfig::PixelShuffle { scale } = &mut config.connector {
            *scale = 1;
        }
        Ok(())
    }

    /// Its `config.json`, from which another program builds the same shape.
    pub fn config_json(&self) -> String {
        let config = self.files.iter().find(|(name, _)| *name == "config.json");
        config.map_or_else(String::new, |(_, json)| String::from_utf8_lossy(json).into_owned())
    }
}

/// A model of a shape, and how its pictures are prepared.
#[derive(Debug)]
pub struct Built {
    model: VisorModel,
    processor: ImageProcessor,
}

impl Built {
    /// As what is measured.
    pub fn subject(&self) -> Subject<'_> {
        Subject { model: &self.model, processor: &self.processor }
    }
}

/// Values that keep activations of the size that trained weights give them: nothing overflows, and
/// no softmax is a single spike.
fn random(name: &str, shape: &[usize]) -> Vec<f32> {
    let n: usize = shape.iter().product();
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let fan_in: usize = shape.iter().skip(1).product();
    match (leaf, shape.len()) {
        ("weight", 1) => vec![1.0; n],
        ("bias" | "gate", _) => vec![0.0; n],
        _ => uniform(n, (3.0 / fan_in.max(1) as f32).sqrt(), name.len() as u64 + n as u64),
    }
}

/// Numbers between `-limit` and `limit`; a generator that fills a gigabyte in a second.
pub(super) fn uniform(n: usize, limit: f32, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * limit
    };
    (0..n).map(next).collect()
}

/// How the family prepares pictures where the shape's checkpoint does not say otherwise.
fn processor(config: &ModelConfig) -> ImageProcessor {
    let size = config.vision.image_size as u32;
    let normalization = Normalization::default();
    match &config.tiling {
        Tiling::Whole => ImageProcessor::Whole { size, filter: Filter::Bicubic, normalization },
        Tiling::Split => ImageProcessor::Split {
            size,
            longest_edge: 4 * size,
            splitting: Splitting::On,
            filter: Filter::Lanczos,
            normalization,
        },
        Tiling::AnyRes { resolutions, max_tiles } => ImageProcessor::AnyRes {
            size,
            resolutions: resolutions
                .iter()
                .map(|&[height, width]| Resolution { height, width })
                .collect(),
            max_tiles: *max_tiles,
            filter: Filter::Bicubic,
            normalization,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_the_parameters_that_its_checkpoint_is_published_with() {
        for (name, published) in [("smolvlm-256m", 256_484_928), ("smolvlm-500m", 507_482_304)] {
            let shape: Shape = name.parse().expect("a shape");
            let checkpoint = Checkpoint::open(Source::Embedded(shape.files)).expect("files");
            let blueprint = Blueprint::read(&checkpoint).expect("a blueprint");
            assert_eq!(blueprint.card.parameters, published, "{name}");
        }
    }

    #[test]
    fn an_unknown_shape_lists_those_that_there_are() {
        let error = "gpt".parse::<Shape>().expect_err("no shape").to_string();
        assert!(error.contains("nano, smolvlm-256m, smolvlm-500m, llava-ov-0.5b"), "{error}");
    }

    #[test]
    fn random_values_fill_their_range_evenly() {
        let values = uniform(10_000, 0.5, 3);
        let mean: f32 = values.iter().sum::<f32>() / 1e4;
        let square: f32 = values.iter().map(|x| x * x).sum::<f32>() / 1e4;
        assert!(mean.abs() < 0.02 && (square - 1.0 / 12.0).abs() < 0.005, "{mean} {square}");
        assert!(values.iter().all(|x| x.abs() <= 0.5));
    }
}
