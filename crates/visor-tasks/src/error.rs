//! What can go wrong: only names and sizes that a caller made up.

/// An input of the caller that the suite does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// A name of a suite, split or family that does not exist.
    #[error("unknown {what} `{name}`; known: {known}")]
    UnknownName {
        /// What the name was to name: "suite", "split" or "family".
        what: &'static str,
        /// The name as given.
        name: String,
        /// The names that exist, separated by commas.
        known: String,
    },
    /// A canvas size that the suite is not drawn at.
    #[error("the suite `{suite}` is not drawn at {canvas} pixels a side; its sizes are {known}")]
    UnknownCanvas {
        /// The suite's name.
        suite: String,
        /// The canvas asked for.
        canvas: usize,
        /// The sizes that exist, separated by commas.
        known: String,
    },
    /// A mixture without families or with weights that sum to zero.
    #[error("a mixture needs at least one family with a weight above zero")]
    EmptyMixture,
    /// A picture that could not be encoded.
    #[error("the picture could not be encoded as PNG: {reason}")]
    Encode {
        /// What the encoder said.
        reason: String,
    },
}
