//! How a model's pictures and words are prepared: all that its small files say, without its weights.

use crate::error::Error;
use crate::model_ref::ModelRef;
use crate::remark::Remark;
use crate::{preprocessor, prompting};
use visor_model::Blueprint;
use visor_processor::{ImageProcessor, Template, Tokenizer};

/// Tokenizer, picture preparation, prompt template and sizes of a model.
#[derive(Debug)]
#[non_exhaustive]
pub struct Preparation {
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Pictures to tiles.
    pub image_processor: ImageProcessor,
    /// How the model is asked.
    pub template: Template,
    /// Its sizes.
    pub blueprint: Blueprint,
    /// What the files ask for that is not done.
    pub remarks: Vec<Remark>,
}

impl Preparation {
    /// Reads the small files of a model and holds them against each other.
    ///
    /// # Errors
    /// If there is no such model, or its files are missing, damaged, contradict each other or need
    /// what is not supported.
    pub fn read(model: &ModelRef) -> Result<Self, Error> {
        let checkpoint = model.checkpoint()?;
        let name = model.to_string();
        let tokenizer = Tokenizer::from_bytes(&checkpoint.tokenizer_json()?)?;
        let (template, remark) = prompting::read(&checkpoint, &name)?;
        let blueprint = Blueprint::read(&checkpoint)?;
        let image_processor = preprocessor::read(&checkpoint, &name, &blueprint.config)?;
        let (tokens, rows) = (tokenizer.vocab_size(), blueprint.card.vocab);
        // Control tokens without an embedding, as for padding, do no harm until one is used.
        let spoken = |id: usize| u32::try_from(id).is_ok_and(|id| !tokenizer.is_control(id));
        if (rows..tokens).any(spoken) {
            return Err(Error::Vocabulary { tokenizer: tokens, model: rows });
        }
        prompting::check_image_token(&checkpoint, &tokenizer, blueprint.config.image_token)?;
        let remarks = remark.into_iter().chain(Remark::of(&blueprint)).collect();
        Ok(Self { tokenizer, image_processor, template, blueprint, remarks })
    }
}
