//! Training of a policy: every rung is asked once, then a small head learns who gets it right.
//!
//! The backbone stays as it is. [`labels`] runs every rung over training questions, on disk and
//! resumable; [`pareto`](fn@pareto) keeps the pairs of rung and patches that are worth choosing
//! from, where there are any; [`Examples`] holds what the head sees of them; [`fit`](fn@fit) trains routing token
//! and head through the frozen layers before the decision (method, section 4; VISOR, section 4.3).

mod examples;
mod fit;
mod labels;
mod pareto;
mod report;

pub use examples::Examples;
pub use fit::{Fitted, Settings, fit};
pub use labels::{Label, Labels, labels};
pub use pareto::{MOST, Measured, kept, pareto};
pub use report::{PolicyRecord, Routed, SCHEMA_VERSION, record};
