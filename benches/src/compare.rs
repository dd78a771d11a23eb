//! Budgets compared on the same items: from what was observed to record, tables, pictures, report.
//!
//! [`observation`] is what a run has seen, [`store`] keeps it over a kill. [`references`] says what
//! could have been had at the same cost, by the arithmetic of [`mixture`]; [`statistics`] puts
//! intervals to it. [`record`] is computed from these once, and all else reads it alone: tables in
//! [`render`], pictures in [`plot`], the report in [`html`], the files of all in [`folder`], and the
//! comparison with an older one in [`gate`].

pub mod folder;
pub mod gate;
pub mod html;
pub mod mixture;
pub mod observation;
pub mod plot;
pub mod record;
pub mod references;
pub mod render;
pub mod statistics;
pub mod store;
