//! How tokens are told apart by place.

/// Which tokens of one picture may attend to each other in self-attention layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageMask {
    /// Earlier ones only, as in the stock models.
    Causal,
    /// All tokens of the same picture.
    Bidirectional,
}

/// What the rotary angles of self-attention turn by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rotary {
    /// The index of the token in the dense prompt.
    OneD,
    /// Half of the pairs by row, half by column: a patch in row r and column c of a picture that
    /// starts at s stands at (s + r, s + c), text with index p at (p, p).
    TwoD,
}

/// The position scheme of a checkpoint. Converted ones keep [`PositionScheme::STOCK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PositionScheme {
    /// Attention among the tokens of one picture.
    pub image_mask: ImageMask,
    /// Rotary positions.
    pub rotary: Rotary,
}

impl PositionScheme {
    /// Causal everywhere, one-dimensional: what makes dense equal to the stock model.
    pub const STOCK: Self = Self { image_mask: ImageMask::Causal, rotary: Rotary::OneD };
}
