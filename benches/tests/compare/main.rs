//! From observations to record, tables, pictures, report and gate, on observations that were made
//! up (`synthetic.rs`).

mod gate;
mod pictures;
mod record;
mod synthetic;
mod tables;
