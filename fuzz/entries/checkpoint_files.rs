//! Bytes as the JSON files of a checkpoint: read or refused, and never more than that.

use super::{folder, parts};
use std::fs;
use visor_checkpoint::{Checkpoint, Source, Weights};
use visor_model::clip::ClipConfig;
use visor_model::config::ModelConfig;

/// `config.json`, then `model.safetensors.index.json`, then `visor.json`, with a zero byte between.
pub(crate) fn run(bytes: &[u8]) {
    let [config, index, manifest] = parts(bytes);
    // The name of an unknown field may be any text, the empty one too.
    if let Ok((config, _)) = ModelConfig::parse_reporting(config) {
        assert!(config.text.d_model > 0 && config.text.n_layers > 0);
        // What it costs is said of any model that could be built.
        let _ = config.shape(None);
    }
    let _ = ClipConfig::parse(config);

    folder(|folder| {
        let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).is_ok();
        let written = write("config.json", config)
            && write("model.safetensors.index.json", index)
            && (manifest.is_empty() || write("visor.json", manifest));
        assert!(written, "a temporary folder can be written");
        let source = Source::Folder(folder.to_owned());
        // None of the shards is there, so that no index is enough.
        if let Ok(weights) = Weights::open(&source) {
            assert_eq!(weights.names().count(), 0);
        }
        if let Ok(checkpoint) = Checkpoint::open(source) {
            assert_eq!(checkpoint.config_json(), config, "read as it stands");
            assert_eq!(checkpoint.manifest().is_some(), !manifest.is_empty());
        }
    });
}
