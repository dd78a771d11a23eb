//! A model to decide for, policies for it, and places for them.

use burn::tensor::Device;
use tempfile::TempDir;
use visor_checkpoint::{Digests, Sha256Sum, Source};
use visor_core::cost::{ConnectorShape, CrossShape, DecoderShape, EncoderShape, ModelShape};
use visor_core::{ImageMask, Ladder, Layout, Padding, PositionScheme, Rotary};
use visor_policy::{
    Objective, Policy, PolicyFileError, PolicyManifest, PolicyProvenance, RouterNetwork,
    RouterShape,
};
use visor_processor::ImageTokens;
use visor_runtime::{DenseMode, DeviceRequest, Dtype, ModelCard, device};

/// Width of a token.
pub(crate) const D_MODEL: usize = 12;

pub(crate) fn cpu() -> Device {
    device::open(DeviceRequest::Cpu).unwrap()
}

pub(crate) fn ladder(masks: &[&[usize]]) -> Ladder {
    let layout = Layout::try_new(7, &[1, 4, 6], &[2, 3, 5]).unwrap();
    let rung = |mask: &&[usize]| (format!("sa{}", mask.len()), mask.to_vec());
    Ladder::try_new(layout, 2, &masks.iter().map(rung).collect::<Vec<_>>()).unwrap()
}

/// A model with the rungs sa0, sa1, sa2 and sa3.
pub(crate) fn card() -> ModelCard {
    ModelCard {
        name: "tiny".to_owned(),
        ladder: Some(ladder(&[&[], &[3], &[3, 5], &[2, 3, 5]])),
        dense: DenseMode::Unavailable,
        selector: None,
        shape: ModelShape {
            encoder: EncoderShape {
                n_layers: 1,
                d_model: 8,
                d_ffn: 16,
                n_patches: 4,
                patch_values: 12,
                n_attended: 4,
            },
            connector: ConnectorShape::Mlp { d_vision: 8, d_hidden: 8, d_model: D_MODEL },
            decoder: DecoderShape {
                n_layers: 7,
                d_model: D_MODEL,
                n_heads: 2,
                n_kv_heads: 1,
                head_dim: 6,
                d_ffn: 24,
                vocab: 20,
                cross: Some(CrossShape { n_kv_heads: 1 }),
            },
        },
        context: 64,
        positions: PositionScheme { image_mask: ImageMask::Causal, rotary: Rotary::OneD },
        image_token: 2,
        tile_side: 4,
        tile_tokens: ImageTokens { rows: 2, cols: 2 },
        eos: vec![4],
        rules: Vec::new(),
        vocab: 20,
        parameters: 1000,
        dtype: Dtype::F32,
        padding: Padding::None,
        sha256: None,
        selector_sha256: None,
        default_policy: None,
    }
}

/// The digests of a real checkpoint: only a checkpoint has any.
pub(crate) fn digests() -> Digests {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("model");
    let tensor = visor_checkpoint::TensorToSave {
        name: "x".to_owned(),
        shape: vec![1],
        data: vec![1.0].into(),
    };
    visor_checkpoint::save_checkpoint(
        &model,
        b"{}",
        &[],
        None,
        &[tensor],
        visor_checkpoint::Dtype::F32,
        1 << 20,
    )
    .unwrap();
    visor_checkpoint::verify(&Source::Folder(model), None).unwrap().digests
}

pub(crate) fn manifest(objective: Objective) -> PolicyManifest {
    let card = card();
    let provenance = PolicyProvenance {
        visor_version: "0.1.0".to_owned(),
        data: "generated".to_owned(),
        questions: 1000,
        seed: u64::MAX,
        steps: 7,
        notes: [("why".to_owned(), "a test".to_owned())].into(),
    };
    let (shape, ladder) = (RouterShape::of(&card).unwrap(), card.ladder.unwrap());
    PolicyManifest::new(digests().backbone, objective, shape, &ladder, provenance)
}

pub(crate) fn policy(objective: Objective, seed: u64) -> Policy {
    let manifest = manifest(objective);
    let network = RouterNetwork::from_seed(manifest.shape(), seed, &cpu());
    Policy::new(manifest, network).unwrap()
}

pub(crate) fn load(folder: &TempDir) -> Result<Policy, PolicyFileError> {
    Policy::load(&Source::Folder(folder.path().to_owned()), &cpu())
}

pub(crate) fn other_sum() -> Sha256Sum {
    Sha256Sum::of(b"another")
}

/// The message of an error with everything that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
