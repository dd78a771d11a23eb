//! What the small files of a checkpoint ask for that is not done.

use std::fmt;
use visor_model::Blueprint;

/// Something that the small files of a checkpoint ask for, and that is not done or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// Several files hold chat templates that differ.
    ChatTemplates {
        /// The file whose template is used.
        used: &'static str,
        /// Those whose templates are others.
        left: Vec<&'static str>,
    },
    /// `generation_config.json` asks for what changes answers and is not supported.
    Generation {
        /// Its fields.
        fields: Vec<String>,
    },
}

impl Remark {
    /// What is to be said of what a model's sizes and settings were read from.
    pub(crate) fn of(blueprint: &Blueprint) -> Option<Self> {
        let fields = blueprint.unfollowed.clone();
        (!fields.is_empty()).then_some(Self::Generation { fields })
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChatTemplates { used, left } => write!(
                f,
                "the chat template of `{used}` is used, as transformers does, and `{}` has another",
                left.join("`, `")
            ),
            Self::Generation { fields } => write!(
                f,
                "generation_config.json asks for what is not supported, and answers may be others \
                 than those of transformers: {}",
                fields.join(", ")
            ),
        }
    }
}
