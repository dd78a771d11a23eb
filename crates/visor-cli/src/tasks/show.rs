//! `visor tasks show`: a contact sheet to look at.

use super::selection::Selection;
use crate::files;
use crate::output::note;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use visor_tasks::{Sample, contact_sheet};

/// Write one PNG with many pictures, their questions and answers below each
#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    selection: Selection,

    /// Number of pictures
    #[arg(long, value_name = "N", default_value_t = 28,
          value_parser = clap::value_parser!(u32).range(1..=256))]
    count: u32,

    /// Pictures in a row
    #[arg(long, value_name = "N", default_value_t = 7,
          value_parser = clap::value_parser!(u32).range(1..=32))]
    columns: u32,

    /// The PNG file; an older one is replaced
    #[arg(long, value_name = "SHEET.png")]
    out: PathBuf,
}

impl Show {
    pub(crate) fn run(&self) -> Result<()> {
        let pictures = self.selection.pictures()?;
        let samples: Vec<Sample> =
            (0..u64::from(self.count)).map(|index| pictures.in_turn(index)).collect();
        files::write(&self.out, &contact_sheet(&samples, self.columns as usize)?)?;
        note(&format!("{} pictures in `{}`", self.count, self.out.display()));
        Ok(())
    }
}
