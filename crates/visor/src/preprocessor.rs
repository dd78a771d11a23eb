//! How a checkpoint wants its pictures, in Hugging Face's fields: the section `image_processor` of
//! `processor_config.json` where version 5 of `transformers` wrote it, or `preprocessor_config.json`.
//! Where both are there the section counts, as it does for `transformers`
//! (`ImageProcessingMixin.get_image_processor_dict`): the file beside it is left from before.
//!
//! Fields that are left out are the class defaults of the family's image processor.

mod families;

use crate::error::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use visor_checkpoint::Checkpoint;
use visor_model::config::{ModelConfig, Tiling};
use visor_processor::{Filter, ImageProcessor, ImageProcessorError, Normalization};

/// The name of the file.
pub(crate) const FILE: &str = "preprocessor_config.json";
/// The file that may hold it as a section, and says what prompts are made of.
const PROCESSOR_FILE: &str = "processor_config.json";

/// Why pictures cannot be prepared as the file says.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PreprocessorError {
    /// The file is damaged or something else.
    #[error("`{file}` is not as expected")]
    Json {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Something in it is not supported.
    #[error("`{file}` has {field} = {got}, supported is {expected}")]
    Unsupported {
        /// The file.
        file: &'static str,
        /// The field.
        field: &'static str,
        /// Its value.
        got: String,
        /// What would do.
        expected: &'static str,
    },
    /// It contradicts `config.json`.
    #[error("`{file}` has {field} = {got}, and by `config.json` it is {expected}")]
    Contradiction {
        /// The file.
        file: &'static str,
        /// The field.
        field: &'static str,
        /// By the file.
        got: String,
        /// By `config.json`.
        expected: String,
    },
    /// Its tiles are not the vision encoder's.
    #[error(
        "`{file}` makes tiles of {got} pixels a side, the vision encoder of `config.json` takes \
         {expected}"
    )]
    Size {
        /// The file.
        file: &'static str,
        /// By the file.
        got: u32,
        /// By `config.json`.
        expected: usize,
    },
    /// Its numbers are out of range.
    #[error("`{file}` cannot be followed: {source}")]
    Processor {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        #[source]
        source: ImageProcessorError,
    },
}

/// The fields of all families.
#[derive(Deserialize, Default)]
#[serde(default)]
struct RawPreprocessor {
    do_resize: Option<bool>,
    size: Option<RawSize>,
    max_image_size: Option<RawSize>,
    resample: Option<u32>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    do_center_crop: Option<bool>,
    do_image_splitting: Option<bool>,
    do_pad: Option<bool>,
    image_grid_pinpoints: Option<Vec<[u32; 2]>>,
}

/// A size: some of the sides that it may name, or one number for whatever the class makes of it.
#[derive(Deserialize, Clone, Copy)]
#[serde(untagged, expecting = "expected a number, or an object with the sides of a picture")]
enum RawSize {
    Number(u32),
    Sides(RawSides),
}

#[derive(Deserialize, Serialize, Default, Clone, Copy)]
#[serde(default)]
struct RawSides {
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_edge: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shortest_edge: Option<u32>,
}

/// What `processor_config.json` says of prompts.
#[derive(Deserialize, Default)]
#[serde(default)]
struct RawProcessor {
    image_seq_len: Option<usize>,
    num_image_tokens: Option<usize>,
    vision_aspect_ratio: Option<String>,
}

/// A section with the name of its file, for messages.
struct Section {
    file: &'static str,
    raw: RawPreprocessor,
}

/// Reads how pictures are prepared for the network of `config`.
pub(crate) fn read(
    checkpoint: &Checkpoint,
    model: &str,
    config: &ModelConfig,
) -> Result<ImageProcessor, Error> {
    if let Some(json) = checkpoint.file(PROCESSOR_FILE)? {
        agree(&json, config)?;
        let value: Value = serde_json::from_slice(&json).map_err(json_error(PROCESSOR_FILE))?;
        if let Some(section) = value.get("image_processor").filter(|section| !section.is_null()) {
            return Ok(parse(PROCESSOR_FILE, section.to_string().as_bytes(), config)?);
        }
    }
    let json = checkpoint.file(FILE)?.ok_or_else(|| Error::MissingFile {
        model: model.to_owned(),
        file: FILE,
        says: "how pictures are resized and scaled",
    })?;
    Ok(parse(FILE, &json, config)?)
}

/// Whether the numbers of tokens that prompts were made of are those of the network.
fn agree(json: &[u8], config: &ModelConfig) -> Result<(), PreprocessorError> {
    let raw: RawProcessor = serde_json::from_slice(json).map_err(json_error(PROCESSOR_FILE))?;
    let contradiction = |field, got: String, expected: String| {
        Err(PreprocessorError::Contradiction { file: PROCESSOR_FILE, field, got, expected })
    };
    let tokens = config.token_grid().pow(2);
    let stated = [("image_seq_len", raw.image_seq_len), ("num_image_tokens", raw.num_image_tokens)];
    for (field, stated) in stated {
        if let Some(got) = stated.filter(|got| *got != tokens) {
            return contradiction(field, got.to_string(), tokens.to_string());
        }
    }
    if let (Tiling::AnyRes { max_tiles, .. }, Some(got)) = (&config.tiling, raw.vision_aspect_ratio)
    {
        let expected = format!("anyres_max_{max_tiles}");
        if got != expected {
            return contradiction("vision_aspect_ratio", got, expected);
        }
    }
    Ok(())
}

/// Reads a section.
fn parse(
    file: &'static str,
    json: &[u8],
    config: &ModelConfig,
) -> Result<ImageProcessor, PreprocessorError> {
    let raw = serde_json::from_slice(json).map_err(json_error(file))?;
    let section = Section { file, raw };
    let processor = match &config.tiling {
        Tiling::Whole => section.whole(config.vision.image_size)?,
        Tiling::Split => section.split(config.vision.image_size)?,
        Tiling::AnyRes { resolutions, max_tiles } => {
            section.any_res(config.vision.image_size, resolutions, *max_tiles)?
        }
    };
    processor.check().map_err(|source| PreprocessorError::Processor { file, source })?;
    Ok(processor)
}

fn json_error(file: &'static str) -> impl Fn(serde_json::Error) -> PreprocessorError {
    move |source| PreprocessorError::Json { file, source }
}

impl Section {
    fn unsupported<T>(
        &self,
        field: &'static str,
        got: &dyn ToString,
        expected: &'static str,
    ) -> Result<T, PreprocessorError> {
        let (file, got) = (self.file, got.to_string());
        Err(PreprocessorError::Unsupported { file, field, got, expected })
    }

    /// Pillow's codes.
    fn filter(&self, default: u32) -> Result<Filter, PreprocessorError> {
        match self.raw.resample.unwrap_or(default) {
            1 => Ok(Filter::Lanczos),
            2 => Ok(Filter::Bilinear),
            3 => Ok(Filter::Bicubic),
            other => {
                self.unsupported("resample", &other, "1 (lanczos), 2 (bilinear) or 3 (bicubic)")
            }
        }
    }

    fn normalization(&self, mean: [f32; 3], std: [f32; 3]) -> Normalization {
        let raw = &self.raw;
        let (mean, std) = match raw.do_normalize.unwrap_or(true) {
            true => (raw.image_mean.unwrap_or(mean), raw.image_std.unwrap_or(std)),
            false => ([0.0; 3], [1.0; 3]),
        };
        let rescale = match raw.do_rescale.unwrap_or(true) {
            true => raw.rescale_factor.unwrap_or(1.0 / 255.0),
            false => 1.0,
        };
        Normalization { mean, std, rescale }
    }

    fn expect_resize(&self) -> Result<(), PreprocessorError> {
        match self.raw.do_resize {
            None | Some(true) => Ok(()),
            Some(false) => self.unsupported("do_resize", &false, "true"),
        }
    }

    /// The side of a tile, which must be the encoder's.
    fn side(&self, got: u32, expected: usize) -> Result<u32, PreprocessorError> {
        match got as usize == expected {
            true => Ok(got),
            false => Err(PreprocessorError::Size { file: self.file, got, expected }),
        }
    }
}
