//! What each family's image processor makes of the fields.

use super::{PreprocessorError, RawSides, RawSize, Section};
use serde_json::json;
use visor_processor::{ImageProcessor, Resolution, Splitting};

/// Class defaults of those that standardise to -1..=1.
const HALF: [f32; 3] = [0.5; 3];
/// Class defaults of the image processors that come from CLIP.
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
/// Class defaults of the side of a tile.
const SIGLIP_SIDE: u32 = 224;
const LLAVA_ONEVISION_SIDE: u32 = 384;
/// Pillow's codes.
const LANCZOS: u32 = 1;
const BICUBIC: u32 = 3;

impl Section {
    /// `SiglipImageProcessor`: the whole picture in one tile.
    pub(super) fn whole(&self, tile_side: usize) -> Result<ImageProcessor, PreprocessorError> {
        let raw = &self.raw;
        for (field, value) in [
            ("do_center_crop", raw.do_center_crop),
            ("do_image_splitting", raw.do_image_splitting),
            ("do_pad", raw.do_pad),
        ] {
            if value == Some(true) {
                return self.unsupported(field, &true, "false: the whole picture in one tile");
            }
        }
        self.expect_resize()?;
        let got = match self.raw.size {
            None => SIGLIP_SIDE,
            Some(size) => match size.square() {
                Some(side) => side,
                None => return self.unsupported("size", &size, "an equal height and width"),
            },
        };
        let size = self.side(got, tile_side)?;
        let (filter, normalization) = (self.filter(BICUBIC)?, self.normalization(HALF, HALF));
        Ok(ImageProcessor::Whole { size, filter, normalization })
    }

    /// `Idefics3ImageProcessor`, `SmolVLMImageProcessor`: a grid of tiles and the whole.
    pub(super) fn split(&self, tile_side: usize) -> Result<ImageProcessor, PreprocessorError> {
        self.expect_resize()?;
        let edge = |field, size: Option<RawSize>, default| match size {
            None => Ok(default),
            Some(RawSize::Sides(RawSides { longest_edge: Some(edge), .. })) => Ok(edge),
            Some(size) => self.unsupported(
                field,
                &size,
                "{\"longest_edge\": N}, which keeps the shape of a picture",
            ),
        };
        let longest_edge = edge("size", self.raw.size, 4 * 364)?;
        let size = self.side(edge("max_image_size", self.raw.max_image_size, 364)?, tile_side)?;
        let splitting = match self.raw.do_image_splitting {
            None | Some(true) => Splitting::On,
            Some(false) => Splitting::Off,
        };
        let (filter, normalization) = (self.filter(LANCZOS)?, self.normalization(HALF, HALF));
        Ok(ImageProcessor::Split { size, longest_edge, splitting, filter, normalization })
    }

    /// `LlavaOnevisionImageProcessor`: the whole and the tiles of the resolution that fits best.
    pub(super) fn any_res(
        &self,
        tile_side: usize,
        resolutions: &[[u32; 2]],
        max_tiles: usize,
    ) -> Result<ImageProcessor, PreprocessorError> {
        self.expect_resize()?;
        // `do_pad` is of batches: it makes the pictures of several prompts as many tiles each.
        // The network packs tokens by the list in `config.json`.
        if let Some(got) = self.raw.image_grid_pinpoints.as_ref().filter(|got| *got != resolutions)
        {
            return Err(PreprocessorError::Contradiction {
                file: self.file,
                field: "image_grid_pinpoints",
                got: format!("{got:?}"),
                expected: format!("{resolutions:?}"),
            });
        }
        let got = match self.raw.size {
            None => LLAVA_ONEVISION_SIDE,
            // Tiles are square, so that their shortest side says both.
            Some(size) => match size.square().or(size.shortest_edge()) {
                Some(side) => side,
                None => {
                    let expected = "an equal height and width, or a shortest_edge";
                    return self.unsupported("size", &size, expected);
                }
            },
        };
        let size = self.side(got, tile_side)?;
        let resolution = |&[height, width]: &[u32; 2]| Resolution { height, width };
        Ok(ImageProcessor::AnyRes {
            size,
            resolutions: resolutions.iter().map(resolution).collect(),
            max_tiles,
            filter: self.filter(BICUBIC)?,
            normalization: self.normalization(CLIP_MEAN, CLIP_STD),
        })
    }
}

impl RawSize {
    /// The side of a square.
    fn square(self) -> Option<u32> {
        match self {
            Self::Number(side) => Some(side),
            Self::Sides(RawSides { height: Some(height), width: Some(width), .. })
                if height == width =>
            {
                Some(height)
            }
            Self::Sides(_) => None,
        }
    }

    /// The shortest side, where that is all that is said of height and width.
    fn shortest_edge(self) -> Option<u32> {
        match self {
            Self::Sides(RawSides { height: None, width: None, shortest_edge, .. }) => shortest_edge,
            Self::Number(_) | Self::Sides(_) => None,
        }
    }
}

impl std::fmt::Display for RawSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(side) => write!(f, "{side}"),
            // As it stands in the file.
            Self::Sides(sides) => f.write_str(&json!(sides).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use visor_model::config::ModelConfig;
    use visor_processor::{Filter, Normalization};

    const GOOD: &str = r#"{
        "do_resize": true, "size": {"height": 48, "width": 48}, "resample": 2,
        "do_rescale": true, "rescale_factor": 0.00392156862745098,
        "do_normalize": true, "image_mean": [0.25, 0.25, 0.25], "image_std": [0.25, 0.25, 0.25],
        "image_processor_type": "SiglipImageProcessor", "do_convert_rgb": true
    }"#;

    fn config(family: &str, side: usize) -> ModelConfig {
        let json = format!(
            r#"{{"model_type": "{family}", "vision_feature_layer": -1,
                "vision_feature_select_strategy": "full",
                "image_grid_pinpoints": [[{side}, {side}]],
                "vision_config": {{"model_type": "siglip_vision_model",
                    "image_size": {side}, "patch_size": 8}}}}"#
        );
        ModelConfig::parse(json.as_bytes()).expect("a config")
    }

    fn read(json: &str, family: &str) -> Result<ImageProcessor, PreprocessorError> {
        parse("preprocessor_config.json", json.as_bytes(), &config(family, 48))
    }

    #[test]
    fn the_fields_of_hugging_face_make_a_processor() {
        let expected = ImageProcessor::Whole {
            size: 48,
            filter: Filter::Bilinear,
            normalization: Normalization { mean: [0.25; 3], std: [0.25; 3], rescale: 1.0 / 255.0 },
        };
        assert_eq!(read(GOOD, "llava").expect("read"), expected);
    }

    #[test]
    fn fields_that_are_left_out_are_those_of_the_class() {
        let json = r#"{"size": {"longest_edge": 192}, "max_image_size": {"longest_edge": 48}}"#;
        let expected = ImageProcessor::Split {
            size: 48,
            longest_edge: 192,
            splitting: Splitting::On,
            filter: Filter::Lanczos,
            normalization: Normalization::default(),
        };
        assert_eq!(read(json, "idefics3").expect("read"), expected);
        let json = r#"{"size": {"height": 48, "width": 48}}"#;
        let expected = ImageProcessor::AnyRes {
            size: 48,
            resolutions: vec![Resolution { height: 48, width: 48 }],
            max_tiles: 9,
            filter: Filter::Bicubic,
            normalization: Normalization { mean: CLIP_MEAN, std: CLIP_STD, rescale: 1.0 / 255.0 },
        };
        assert_eq!(read(json, "llava_onevision").expect("read"), expected);
    }

    #[test]
    fn a_square_tile_is_said_in_several_ways_and_padding_of_batches_is_passed_over() {
        let square = r#"{"size": {"height": 48, "width": 48}}"#;
        for (family, json) in [
            ("llava", r#"{"size": 48}"#),
            ("llava_onevision", r#"{"size": 48}"#),
            ("llava_onevision", r#"{"size": {"shortest_edge": 48}}"#),
            ("llava_onevision", r#"{"size": {"height": 48, "width": 48}, "do_pad": false}"#),
        ] {
            let expected = read(square, family).expect("read");
            assert_eq!(read(json, family).expect("read"), expected, "{family}: {json}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_an_error_that_names_the_field() {
        for (from, to, named) in [
            ("\"width\": 48", "\"width\": 32", "size"),
            ("\"resample\": 2", "\"resample\": 0", "resample"),
            ("\"do_resize\": true", "\"do_resize\": false", "do_resize"),
            ("\"do_rescale\": true", "\"do_center_crop\": true", "do_center_crop"),
            ("\"image_std\": [0.25, 0.25, 0.25]", "\"image_std\": [0, 1, 1]", "finite"),
        ] {
            let error = read(&GOOD.replace(from, to), "llava").expect_err(from);
            assert!(error.to_string().contains(named), "{error}");
        }
        assert!(read("[1]", "llava").is_err());
        for (json, family, named) in [
            (r#"{"size": {"height": 64, "width": 64}}"#, "llava", "64"),
            (r#"{"max_image_size": {"longest_edge": 64}}"#, "smolvlm", "64"),
            (
                r#"{"size": {"height": 128, "width": 64}}"#,
                "idefics3",
                r#"size = {"height":128,"width":64}, supported is {"longest_edge": N}"#,
            ),
            (r#"{"size": 48}"#, "smolvlm", "size = 48"),
            (r#"{"size": {"shortest_edge": 48}}"#, "llava", r#"size = {"shortest_edge":48}"#),
            (r#"{"size": {"height": 48, "width": 32}}"#, "llava_onevision", "an equal height"),
            (r#"{"size": {}}"#, "llava_onevision", "size = {}"),
            // Class defaults.
            ("{}", "llava", "tiles of 224 pixels"),
            ("{}", "llava_onevision", "tiles of 384 pixels"),
            ("{}", "idefics3", "tiles of 364 pixels"),
            (r#"{"image_grid_pinpoints": [[96, 48]]}"#, "llava_onevision", "[96, 48]"),
        ] {
            let error = read(json, family).expect_err(json).to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
