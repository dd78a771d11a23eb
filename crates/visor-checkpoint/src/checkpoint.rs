//! A checkpoint as a whole: its small files in hand, its weights where they are.

use crate::source::MIB;
use crate::verify::verify_opened;
use crate::{CheckpointError, Manifest, Sha256Sum, Source, Verified, Watch, Weights, files};
use std::borrow::Cow;

/// Longer configurations and manifests are refused.
const MAX_CONFIG: u64 = MIB;

/// Longer tokenizers and other small files are refused; those of large vocabularies take 20 MB.
const MAX_FILE: u64 = 64 * MIB;

/// A folder, or embedded files, that have a configuration and perhaps a manifest.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    source: Source,
    config_json: Cow<'static, [u8]>,
    manifest: Option<Manifest>,
    watch: Option<Watch>,
}

impl Checkpoint {
    /// Reads `config.json` and, where there is one, `visor.json`. Weights are not touched.
    ///
    /// # Errors
    /// If there is no checkpoint, a file is too large, or `visor.json` is not valid.
    pub fn open(source: Source) -> Result<Self, CheckpointError> {
        source.expect_checkpoint()?;
        let config_json = source.read(files::CONFIG, MAX_CONFIG)?;
        let manifest = if source.exists(files::MANIFEST) {
            Some(Manifest::parse(&source.read(files::MANIFEST, MAX_CONFIG)?)?)
        } else {
            None
        };
        Ok(Self { source, config_json, manifest, watch: None })
    }

    /// The same, telling `watch` how far it is whenever its weights are verified and read.
    #[must_use]
    pub fn watched(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Where the files are.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The architecture, as its family writes it.
    pub fn config_json(&self) -> &[u8] {
        &self.config_json
    }

    /// What `visor.json` says; `None` for a stock checkpoint, which runs dense alone.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The content of `tokenizer.json`.
    ///
    /// # Errors
    /// If it is missing or unreadable.
    pub fn tokenizer_json(&self) -> Result<Cow<'static, [u8]>, CheckpointError> {
        self.source.read(files::TOKENIZER, MAX_FILE)
    }

    /// The content of `generation_config.json`, if there is one.
    ///
    /// # Errors
    /// If it is there but unreadable.
    pub fn generation_config(&self) -> Result<Option<Cow<'static, [u8]>>, CheckpointError> {
        self.file(files::GENERATION_CONFIG)
    }

    /// The content of any other small file, for instance a processor's configuration or a chat
    /// template, if there is one.
    ///
    /// # Errors
    /// If it is there but unreadable, or has more than 64 MiB.
    pub fn file(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, CheckpointError> {
        if self.source.exists(name) { self.source.read(name, MAX_FILE).map(Some) } else { Ok(None) }
    }

    /// Opens the weights: headers are read and checked, values are not.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn weights(&self) -> Result<Weights, CheckpointError> {
        Ok(Weights::open(&self.source)?.watched(self.watch.clone()))
    }

    /// Compares all files with the hashes in `visor.json`, by their stamp if that is enough.
    ///
    /// # Errors
    /// As [`verify()`](crate::verify()).
    pub fn verify(&self) -> Result<Verified, CheckpointError> {
        self.verified_weights().map(|(verified, _)| verified)
    }

    /// Verifies the checkpoint and opens its weights. Unlike one call after the other, this holds
    /// even while somebody saves another checkpoint to the same place: the weights are the files
    /// that were verified, and they fit the configuration and the manifest that were read before.
    ///
    /// # Errors
    /// As [`verify()`](crate::verify()) and [`Weights::open`].
    pub fn verified_weights(&self) -> Result<(Verified, Weights), CheckpointError> {
        let recorded = |manifest: &Manifest| manifest.files.get(files::CONFIG).copied();
        if let Some(expected) = self.manifest.as_ref().and_then(recorded) {
            let got = Sha256Sum::of(&self.config_json);
            if got != expected {
                let file = files::CONFIG.to_owned();
                return Err(CheckpointError::Hash { file, expected, got });
            }
        }
        let weights = self.weights()?;
        let verified = verify_opened(&self.source, self.manifest.as_ref(), &weights)?;
        Ok((verified, weights))
    }

    /// The digest of the backbone, after verification.
    ///
    /// # Errors
    /// As [`Checkpoint::verify`].
    pub fn digest(&self) -> Result<Sha256Sum, CheckpointError> {
        Ok(self.verify()?.digests.backbone)
    }
}
