//! Picture bytes and text to pixels, token ids and positions.
//!
//! What a model reads is made here, and nothing here knows a tensor, a file or a network:
//!
//! * bytes -> [`Picture`] (limits first, then pixels) -> [`ImageProcessor`] -> [`Pixels`];
//! * text -> [`PromptTemplate`] or [`ChatTemplate`] -> [`Tokenizer`] -> [`EncodedPrompt`]: the ids of the text, the
//!   place that each one has in the dense prompt, and where the pictures stand in it.
//!
//! Pictures and text come from strangers, so every entrance returns a typed error and none panics.
//!
//! ```
//! use visor_processor::{
//!     Filter, ImageProcessor, ImageTokens, Normalization, Picture, PromptTemplate, Tokenizer,
//!     word_level,
//! };
//!
//! let picture = Picture::from_rgb(2, 1, vec![255, 0, 0, 0, 0, 255])?;
//! let processor = ImageProcessor::Whole {
//!     size: 64,
//!     filter: Filter::Bicubic,
//!     normalization: Normalization::default(),
//! };
//! let processed = processor.process(&picture)?;
//! assert_eq!(processed.pixels.shape(), [1, 3, 64, 64]);
//!
//! // With patches of 8 pixels, 8 x 8 visual tokens.
//! let tile = ImageTokens { rows: 8, cols: 8 };
//! let places = processed.arrangement.places(tile);
//! let vocabulary = word_level(&["what", "colour", "?"], &["<unk>", "<image>", "<a>"])?;
//! let tokenizer = Tokenizer::from_bytes(&vocabulary)?;
//! let template = PromptTemplate::parse("{image}{question}<a>")?;
//! let prompt = template.encode(&tokenizer, 1, "What colour?", &places)?;
//! assert_eq!(prompt.text_ids(), [3, 4, 5, 2]);
//! assert_eq!(prompt.text_positions(), [64, 65, 66, 67]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chat;
mod chat_template;
mod image_processor;
mod lesson;
mod normalize;
mod picture;
mod pixels;
mod prompt;
mod resize;
mod shield;
mod template;
mod tiles;
mod tokenizer;
mod word_level;
mod writing;

pub use chat::{Message, Part, Role};
pub use chat_template::{ChatTemplate, ChatTemplateError, Clock};
pub use image_processor::{
    ImageProcessor, ImageProcessorError, MAX_TILE_SIDE, MAX_TILES, ProcessedPicture, Setting,
    Splitting,
};
pub use lesson::Lesson;
pub use normalize::Normalization;
pub use picture::{Picture, PictureError, PictureFormat, PictureLimits};
pub use pixels::{Pixels, PixelsError};
pub use prompt::{EncodedPrompt, ImageSpan, ImageTokens, PromptError};
pub use resize::{Filter, resize};
pub use template::{Chunk, PromptTemplate, TemplateError, encode_raw};
pub use tiles::{Arrangement, Cover, FeatureMap, Frame, Panel, PixelSize, Resolution, TileGrid};
pub use tokenizer::{TextStream, Tokenizer, TokenizerError};
pub use word_level::{UNKNOWN_TOKEN, VocabularyError, word_level};
pub use writing::{Scribe, Template};
