//! Bytes as a safetensors file: what it says it holds is there, or it is refused.

use super::folder;
use std::fs;
use visor_checkpoint::{CheckpointError, Weights};

/// A whole file.
pub(crate) fn run(bytes: &[u8]) {
    folder(|folder| {
        let path = folder.join("model.safetensors");
        fs::write(&path, bytes).expect("a temporary folder can be written");
        let Ok(mut weights) = Weights::open_file(&path) else { return };
        let names: Vec<String> = weights.names().map(str::to_owned).collect();
        let mut held = 0;
        for name in names {
            let shape = weights.shape(&name).expect("a name that was listed").to_vec();
            match weights.take(&name, &shape) {
                Ok(values) => {
                    assert_eq!(values.len(), shape.iter().product::<usize>());
                    assert!(values.iter().all(|value| value.is_finite()));
                    held += values.len();
                }
                Err(CheckpointError::NonFinite { .. } | CheckpointError::NotRead { .. }) => return,
                Err(error) => panic!("`{name}` was announced: {error}"),
            }
        }
        assert!(2 * held <= bytes.len(), "no value without bytes");
        weights.finish().expect("everything was taken");
    });
}
