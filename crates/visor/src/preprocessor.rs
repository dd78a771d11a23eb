//! `preprocessor_config.json`: how a checkpoint wants its pictures, in Hugging Face's fields.

use serde::Deserialize;
use thiserror::Error;
use visor_processor::{Filter, ImageProcessor, ImageProcessorError, Normalization};

/// The name of the file.
pub(crate) const FILE: &str = "preprocessor_config.json";

/// Why pictures cannot be prepared as the file says.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PreprocessorError {
    /// The file is damaged or something else.
    #[error("`preprocessor_config.json` is not as expected")]
    Json(#[from] serde_json::Error),
    /// Something in it is not supported.
    #[error("`preprocessor_config.json` has {field} = {got}, supported is {expected}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        got: String,
        /// What would do.
        expected: &'static str,
    },
    /// Its tiles are not the vision encoder's.
    #[error(
        "`preprocessor_config.json` makes tiles of {got} pixels a side, the vision encoder of \
         `config.json` takes {expected}"
    )]
    Size {
        /// By the file.
        got: u32,
        /// By `config.json`.
        expected: usize,
    },
    /// Its numbers are out of range.
    #[error("`preprocessor_config.json` cannot be followed: {0}")]
    Processor(#[from] ImageProcessorError),
}

#[derive(Deserialize)]
struct RawPreprocessor {
    #[serde(default = "yes")]
    do_resize: bool,
    size: RawSize,
    #[serde(default = "bicubic")]
    resample: u32,
    #[serde(default = "yes")]
    do_rescale: bool,
    #[serde(default = "one_255th")]
    rescale_factor: f64,
    #[serde(default = "yes")]
    do_normalize: bool,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    #[serde(default)]
    do_center_crop: Option<bool>,
    #[serde(default)]
    do_image_splitting: Option<bool>,
    #[serde(default)]
    do_pad: Option<bool>,
}

#[derive(Deserialize)]
struct RawSize {
    height: Option<u32>,
    width: Option<u32>,
}

fn yes() -> bool {
    true
}

/// Pillow's code.
fn bicubic() -> u32 {
    3
}

fn one_255th() -> f64 {
    1.0 / 255.0
}

/// Reads the file for a vision encoder that takes tiles of `tile_side` pixels.
pub(crate) fn parse(json: &[u8], tile_side: usize) -> Result<ImageProcessor, PreprocessorError> {
    let raw: RawPreprocessor = serde_json::from_slice(json)?;
    let unsupported =
        |field, got: String, expected| Err(PreprocessorError::Unsupported { field, got, expected });
    for (field, value) in [
        ("do_center_crop", raw.do_center_crop),
        ("do_image_splitting", raw.do_image_splitting),
        ("do_pad", raw.do_pad),
    ] {
        if value == Some(true) {
            return unsupported(field, "true".to_owned(), "false: the whole picture in one tile");
        }
    }
    if !raw.do_resize {
        return unsupported("do_resize", "false".to_owned(), "true");
    }
    let size = match raw.size {
        RawSize { height: Some(height), width: Some(width) } if height == width => height,
        RawSize { height, width } => {
            let got = format!("{{height: {height:?}, width: {width:?}}}");
            return unsupported("size", got, "an equal height and width");
        }
    };
    if size as usize != tile_side {
        return Err(PreprocessorError::Size { got: size, expected: tile_side });
    }
    let filter = match raw.resample {
        1 => Filter::Lanczos,
        2 => Filter::Bilinear,
        3 => Filter::Bicubic,
        other => {
            let expected = "1 (lanczos), 2 (bilinear) or 3 (bicubic)";
            return unsupported("resample", other.to_string(), expected);
        }
    };
    let (mean, std) = match raw.do_normalize {
        true => (raw.image_mean, raw.image_std),
        false => ([0.0; 3], [1.0; 3]),
    };
    let rescale = if raw.do_rescale { raw.rescale_factor } else { 1.0 };
    let normalization = Normalization { mean, std, rescale };
    let processor = ImageProcessor::Whole { size, filter, normalization };
    processor.check()?;
    Ok(processor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{
        "do_resize": true, "size": {"height": 48, "width": 48}, "resample": 2,
        "do_rescale": true, "rescale_factor": 0.00392156862745098,
        "do_normalize": true, "image_mean": [0.25, 0.25, 0.25], "image_std": [0.25, 0.25, 0.25],
        "image_processor_type": "SiglipImageProcessor", "do_convert_rgb": true
    }"#;

    #[test]
    fn the_fields_of_hugging_face_make_a_processor() {
        let expected = ImageProcessor::Whole {
            size: 48,
            filter: Filter::Bilinear,
            normalization: Normalization { mean: [0.25; 3], std: [0.25; 3], rescale: 1.0 / 255.0 },
        };
        assert_eq!(parse(GOOD.as_bytes(), 48).expect("read"), expected);
    }

    #[test]
    fn what_cannot_be_followed_is_an_error_that_names_the_field() {
        for (from, to, named) in [
            ("\"width\": 48", "\"width\": 32", "size"),
            ("\"resample\": 2", "\"resample\": 0", "resample"),
            ("\"do_resize\": true", "\"do_resize\": false", "do_resize"),
            ("\"do_rescale\": true", "\"do_center_crop\": true", "do_center_crop"),
            ("0.25, 0.25]}", "0.25]}", ""),
            ("\"image_std\": [0.25, 0.25, 0.25]", "\"image_std\": [0, 1, 1]", "finite"),
        ] {
            if let Ok(processor) = parse(GOOD.replace(from, to).as_bytes(), 48) {
                assert_eq!(GOOD.replace(from, to), GOOD, "{from} gave {processor:?}");
            } else {
                let error = parse(GOOD.replace(from, to).as_bytes(), 48).expect_err("refused");
                assert!(error.to_string().contains(named), "{error}");
            }
        }
        let error = parse(GOOD.as_bytes(), 64).expect_err("another encoder").to_string();
        assert!(error.contains("48") && error.contains("64"), "{error}");
        assert!(parse(b"[]", 48).is_err());
    }
}
