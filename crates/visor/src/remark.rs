//! What the small files of a checkpoint ask for that is not done.

use std::fmt;

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
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChatTemplates { used, left } => write!(
                f,
                "the chat template of `{used}` is used, as transformers does, and `{}` has another",
                left.join("`, `")
            ),
        }
    }
}
