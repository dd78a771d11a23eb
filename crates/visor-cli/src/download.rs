//! `visor download`: a model of the hub into its cache, and the bar of every download.

use crate::ending::Usage;
use crate::model::Network;
use crate::output;
use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use visor::hub::{HubModel, Progress};

/// Download a model of the hub into its cache, or bring it up to date
///
/// Only what is needed is downloaded: configuration, weights in the safetensors format, tokenizer,
/// processor, templates, policies. A download that was cut off goes on where it was. The cache is
/// the one of the hub's other programs: HF_HUB_CACHE, or hub in HF_HOME, or
/// ~/.cache/huggingface/hub. HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE mean what they mean there.
#[derive(Args)]
pub(crate) struct Download {
    /// The model, OWNER/NAME or OWNER/NAME@REVISION
    #[arg(value_name = "ID")]
    id: String,

    /// A branch, a tag or a commit [default: main]
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,

    #[command(flatten)]
    network: Network,
}

impl Download {
    /// Prints the folder with the files.
    pub(crate) fn run(&self) -> Result<()> {
        let model = self.model()?;
        let snapshot = self.network.hub()?.download(&model, &mut Bar::default())?;
        output::note(&format!("{model} is commit {}", snapshot.commit()));
        output::answer(&snapshot.folder().display().to_string())
    }

    /// Either the option names a revision or the id does, but not both.
    fn model(&self) -> Result<HubModel> {
        let model = match &self.revision {
            Some(revision) => HubModel::new(&self.id, revision),
            None if self.id.contains('@') => self.id.parse(),
            None => self.id.parse(),
        };
        model.map_err(Usage::because)
    }
}

/// A bar of bytes, drawn on a terminal alone.
pub(crate) fn bar(says: &str, bytes: u64) -> ProgressBar {
    let template = "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style).with_message(says.to_owned())
}

/// How far a file is, on a terminal: elsewhere the bar is not drawn.
#[derive(Debug, Default)]
pub(crate) struct Bar(Option<ProgressBar>);

impl Progress for Bar {
    fn starts(&mut self, file: &str, bytes: u64, done: u64) {
        self.ends();
        let bar = bar(file, bytes);
        bar.set_position(done);
        // What was there already says nothing about the speed.
        bar.reset_eta();
        self.0 = Some(bar);
    }

    fn received(&mut self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    fn ends(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    /// An error is not written over a bar.
    fn drop(&mut self) {
        self.ends();
    }
}
