//! The parts of a network that a processor spends its time in, on plain slices: what is
//! exponentiated, normalised or turned, attention, and products with weights that are held in
//! order, in single precision or in fewer bytes.
//!
//! Instructions are chosen when the program runs (AVX-512, AVX2, NEON, or none in particular) by
//! the crates underneath, but for two that these keep to themselves or lack: `matrix/vnni.rs` and
//! `matrix/pairs.rs` hold the only unsafe expressions. Every kernel has a slow obvious twin among the tests.
//!
//! All values but such weights are single precision, rows lie one after another, and work is shared
//! among the threads of the pool that a kernel is called in. A result does not depend on how many
//! there are.

mod activation;
mod attention;
mod matrix;
mod norm;
#[cfg(test)]
mod reference;
mod rotary;
mod rows;
mod softmax;

pub use activation::{gelu, gelu_gradient, gelu_tanh, silu, silu_gradient, silu_times};
pub use attention::{Attention, Rows};
pub use matrix::{MAX_INPUTS, Matrix, MatrixBuilder, MatrixError, MatrixFormat, Quantised};
pub use norm::{layer_norm, rms_norm, to_unit_scale, to_unit_scale_gradient};
pub use rotary::turn;
pub use softmax::{softmax, softmax_gradient};
