//! Sizes of the parts of a model, and the cost of each part.

use super::{Flops, matmul};

/// Sizes of a Llama- or Qwen2-type decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderShape {
    /// Number of layers.
    pub n_layers: usize,
    /// Width of a token.
    pub d_model: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Inner width of the SwiGLU.
    pub d_ffn: usize,
    /// Number of tokens in the vocabulary.
    pub vocab: usize,
    /// Sizes of the cross-attention blocks, if the model has any.
    pub cross: Option<CrossShape>,
}

/// Sizes of a cross-attention block beyond the decoder's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossShape {
    /// Key and value heads.
    pub n_kv_heads: usize,
}

impl DecoderShape {
    /// Width of all queries together.
    pub fn d_q(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Width of all keys together.
    pub fn d_kv(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Width of all keys of a cross-attention block together.
    pub fn d_ca(&self) -> usize {
        self.cross.map_or(0, |cross| cross.n_kv_heads * self.head_dim)
    }

    /// The four projections of self-attention for `n` tokens.
    pub fn projections(&self, n: usize) -> Flops {
        matmul(n, self.d_model, 2 * self.d_q() + 2 * self.d_kv())
    }

    /// Scores and weighted values of `queries` against `keys`.
    pub fn attention(&self, queries: usize, keys: usize) -> Flops {
        matmul(queries, keys, 2 * self.d_q())
    }

    /// The SwiGLU of `n` tokens.
    pub fn ffn(&self, n: usize) -> Flops {
        matmul(n, self.d_model, 3 * self.d_ffn)
    }

    /// A whole layer over `n` tokens that attend to each other.
    pub fn layer(&self, n: usize) -> Flops {
        self.projections(n) + self.attention(n, n) + self.ffn(n)
    }

    /// A whole layer over `n_text` tokens beside a picture whose keys and values are there.
    pub fn layer_beside(&self, n_text: usize, n_visual: usize) -> Flops {
        self.projections(n_text) + self.attention(n_text, n_text + n_visual) + self.ffn(n_text)
    }

    /// A whole layer for one token that reads `keys` and is read by nobody: it has a query and no
    /// key or value.
    pub fn query_row(&self, keys: usize) -> Flops {
        matmul(1, self.d_model, 2 * self.d_q()) + self.attention(1, keys) + self.ffn(1)
    }

    /// Query and output projections of a cross-attention block for `n` text tokens.
    pub fn cross_queries(&self, n: usize) -> Flops {
        matmul(n, self.d_model, 2 * self.d_q())
    }

    /// Key and value projections of `n_keys` patches.
    pub fn cross_keys(&self, n_keys: usize) -> Flops {
        matmul(n_keys, self.d_model, 2 * self.d_ca())
    }

    /// What cross-attention adds to a text layer: `n_text` tokens read `n_keys` patches and the
    /// null key.
    pub fn cross_add_on(&self, n_text: usize, n_keys: usize) -> Flops {
        self.cross_queries(n_text) + self.cross_keys(n_keys) + self.attention(n_text, n_keys + 1)
    }

    /// The conditional position convolution over `n_visual` tokens: kernel 7.
    pub fn conditional_position(&self, n_visual: usize) -> Flops {
        matmul(n_visual, 7, self.d_model)
    }

    /// The output head for one token.
    pub fn head(&self) -> Flops {
        matmul(1, self.d_model, self.vocab)
    }
}

/// Sizes of a SigLIP-type vision encoder, for one tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderShape {
    /// Number of layers, possibly none.
    pub n_layers: usize,
    /// Width of a patch token.
    pub d_model: usize,
    /// Inner width of the MLP.
    pub d_ffn: usize,
    /// Patches of one tile.
    pub n_patches: usize,
    /// Values of a patch: channels x patch side squared.
    pub patch_values: usize,
    /// Patches that a patch attends to: `n_patches`, or fewer in a windowed encoder.
    pub n_attended: usize,
}

impl EncoderShape {
    /// One tile.
    pub fn tile(&self) -> Flops {
        let (n, d) = (self.n_patches, self.d_model);
        let layer =
            matmul(n, d, 4 * d) + matmul(n, self.n_attended, 2 * d) + matmul(n, d, 2 * self.d_ffn);
        matmul(n, self.patch_values, d) + layer * self.n_layers
    }
}

/// Sizes of the connector between encoder and decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectorShape {
    /// Pixel shuffle and one linear map (Idefics3, SmolVLM).
    PixelShuffle {
        /// Width of a patch token.
        d_vision: usize,
        /// Side of the square of patches that becomes one visual token.
        scale: usize,
        /// Width of a visual token.
        d_model: usize,
    },
    /// Two linear maps with a GELU between (LLaVA).
    Mlp {
        /// Width of a patch token.
        d_vision: usize,
        /// Width between the two maps.
        d_hidden: usize,
        /// Width of a visual token.
        d_model: usize,
    },
}

impl ConnectorShape {
    /// Visual tokens of one tile of `n_patches` patches.
    pub fn tokens(&self, n_patches: usize) -> usize {
        match *self {
            Self::PixelShuffle { scale, .. } => n_patches / (scale * scale),
            Self::Mlp { .. } => n_patches,
        }
    }

    /// One tile of `n_patches` patches.
    pub fn tile(&self, n_patches: usize) -> Flops {
        let n_visual = self.tokens(n_patches);
        match *self {
            Self::PixelShuffle { d_vision, scale, d_model } => {
                matmul(n_visual, d_vision * scale * scale, d_model)
            }
            Self::Mlp { d_vision, d_hidden, d_model } => {
                matmul(n_visual, d_hidden, d_vision + d_model)
            }
        }
    }
}

/// Sizes of the policy's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyShape {
    /// Width of its input: the routing token's state and the mean visual token.
    pub d_input: usize,
    /// Inner width.
    pub d_hidden: usize,
    /// Number of rungs.
    pub n_rungs: usize,
}

impl PolicyShape {
    /// One decision.
    pub fn decision(&self) -> Flops {
        matmul(1, self.d_hidden, self.d_input + self.n_rungs)
    }
}

/// Sizes of the patch selector (QGSA; method, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectorShape {
    /// Width of question and patch states.
    pub d_model: usize,
    /// Width of the space in which they meet.
    pub d_select: usize,
    /// Salience pools over the question's tokens.
    pub n_pools: usize,
    /// Inner width of the maps behind the pools, and of the one that says how many patches.
    pub d_hidden: usize,
}

impl SelectorShape {
    /// The question's side: `n_question` tokens to pools, their maps, their queries.
    pub fn question(&self, n_question: usize) -> Flops {
        let &Self { d_model: d, d_select, n_pools, d_hidden } = self;
        let pools = matmul(n_question, d, n_pools) + matmul(n_pools, n_question, d);
        let maps = matmul(n_pools, d, 2 * d_hidden);
        pools + maps + matmul(n_pools, d, d_select)
    }

    /// The picture's side: the keys of `n_visual` patches.
    pub fn keys(&self, n_visual: usize) -> Flops {
        matmul(n_visual, self.d_model, self.d_select)
    }

    /// One choice: all of it, with scores and the number of patches.
    pub fn choice(&self, n_question: usize, n_visual: usize) -> Flops {
        let scores = matmul(self.n_pools, self.d_select, n_visual);
        let count = matmul(1, self.d_model + Self::STATISTICS + 1, self.d_hidden);
        self.question(n_question) + self.keys(n_visual) + scores + count
    }

    /// What is told beside the mean of the question: entropy and highest share of the scores, and
    /// how many words it has.
    pub const STATISTICS: usize = 3;
}
