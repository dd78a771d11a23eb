//! What each family's image processor makes of the fields.

use super::{PreprocessorError, RawSize, Section};
use visor_processor::{ImageProcessor, Resolution, Splitting};

/// Class defaults of those that standardise to -1..=1.
const HALF: [f32; 3] = [0.5; 3];
/// Class defaults of the image processors that come from CLIP.
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
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
        let size = self.square(tile_side)?;
        let (filter, normalization) = (self.filter(BICUBIC)?, self.normalization(HALF, HALF));
        Ok(ImageProcessor::Whole { size, filter, normalization })
    }

    /// `Idefics3ImageProcessor`, `SmolVLMImageProcessor`: a grid of tiles and the whole.
    pub(super) fn split(&self, tile_side: usize) -> Result<ImageProcessor, PreprocessorError> {
        self.expect_resize()?;
        let edge = |field, size: Option<RawSize>, default| match size {
            None => Ok(default),
            Some(RawSize { longest_edge: Some(edge), .. }) => Ok(edge),
            Some(size) => self.unsupported(field, &size, "a longest_edge"),
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
        if self.raw.do_pad == Some(false) {
            return self.unsupported("do_pad", &false, "true");
        }
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
        let size = self.square(tile_side)?;
        let resolution = |&[height, width]: &[u32; 2]| Resolution { height, width };
        Ok(ImageProcessor::AnyRes {
            size,
            resolutions: resolutions.iter().map(resolution).collect(),
            max_tiles,
            filter: self.filter(BICUBIC)?,
            normalization: self.normalization(CLIP_MEAN, CLIP_STD),
        })
    }

    /// A tile's side from an equal height and width.
    fn square(&self, tile_side: usize) -> Result<u32, PreprocessorError> {
        match self.raw.size.unwrap_or_default() {
            RawSize { height: Some(height), width: Some(width), .. } if height == width => {
                self.side(height, tile_side)
            }
            size => self.unsupported("size", &size, "an equal height and width"),
        }
    }
}

impl std::fmt::Display for RawSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { height, width, longest_edge } = self;
        write!(f, "{{height: {height:?}, width: {width:?}, longest_edge: {longest_edge:?}}}")
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
            (r#"{"size": {"height": 48}}"#, "idefics3", "longest_edge"),
            (r#"{"image_grid_pinpoints": [[96, 48]]}"#, "llava_onevision", "[96, 48]"),
            (r#"{"do_pad": false}"#, "llava_onevision", "do_pad"),
        ] {
            let error = read(json, family).expect_err(json).to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
