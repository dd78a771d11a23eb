//! Tiny checkpoints and policies with random weights, in the real format, for tests.

use crate::error::Error;
use crate::info::ModelInfo;
use crate::model_ref::ModelRef;
use crate::preprocessor;
use crate::prompting::PROMPT_TEMPLATE;
use std::path::Path;
use visor_checkpoint::{
    Checkpoint, CheckpointError, CrossAttentionManifest, DEFAULT_MAX_SHARD_BYTES, DenseMode, Dtype,
    Manifest, Provenance, Source, files, save_checkpoint,
};
use visor_core::{ImageMask, Ladder, Layout, PositionScheme, Rotary};
use visor_model::config::ModelConfig;
use visor_model::cross::{CrossSizes, NullPair};
use visor_model::init::Noise;
use visor_model::linear::Bias;
use visor_model::{Extension, Head, Network, weights};
use visor_policy::{
    Objective, Policy, PolicyFileError, PolicyManifest, PolicyProvenance, RouterNetwork,
    RouterShape,
};
use visor_processor::word_level;
use visor_runtime::{DeviceRequest, device};

/// A question whose words are all in the vocabulary of the tiny checkpoints.
pub const QUESTION: &str = "colour at r2 c3 ?";

/// The rungs of [`universal`], cheapest first.
pub const RUNGS: [&str; 4] = ["sa0", "sa1", "sa2", "sa3"];

const SPECIAL: [&str; 5] = ["<unk>", "<pad>", "<image>", "<a>", "<eos>"];
const WORDS: [&str; 22] = [
    "?", "colour", "shape", "at", "of", "the", "count", "r0", "r1", "r2", "r3", "c0", "c1", "c2",
    "c3", "red", "green", "blue", "square", "circle", "1", "2",
];

const CONFIG: &str = r#"{
  "model_type": "llava",
  "image_token_index": 2,
  "projector_hidden_act": "gelu",
  "projector_hidden_size": 48,
  "multimodal_projector_bias": true,
  "vision_feature_layer": -1,
  "vision_feature_select_strategy": "full",
  "tie_word_embeddings": true,
  "text_config": {
    "model_type": "llama", "vocab_size": 27, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 7, "num_attention_heads": 4, "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06, "rope_theta": 100.0, "hidden_act": "silu",
    "max_position_embeddings": 128, "tie_word_embeddings": true
  },
  "vision_config": {
    "model_type": "siglip_vision_model",
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_channels": 3, "image_size": 32, "patch_size": 8, "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-06
  }
}
"#;

const PREPROCESSOR: &str = r#"{
  "do_resize": true, "size": {"height": 32, "width": 32}, "resample": 3,
  "do_rescale": true, "rescale_factor": 0.00392156862745098,
  "do_normalize": true, "image_mean": [0.25, 0.25, 0.25], "image_std": [0.25, 0.25, 0.25]
}
"#;

/// Writes a universal checkpoint with the rungs [`RUNGS`], without a dense mode.
///
/// # Errors
/// If the folder cannot be written.
pub fn universal(folder: &Path, seed: u64) -> Result<(), Error> {
    let layout = Layout::try_new(7, &[1, 4, 6], &[2, 3, 5]).expect("a layout by the rules");
    let masks = [vec![], vec![3], vec![3, 5], vec![2, 3, 5]];
    let rungs: Vec<_> = RUNGS.map(str::to_owned).into_iter().zip(masks).collect();
    let ladder = Ladder::try_new(layout.clone(), 2, &rungs).expect("a ladder by the rules");
    let positions = PositionScheme { image_mask: ImageMask::Bidirectional, rotary: Rotary::TwoD };
    let cross = CrossAttentionManifest { n_kv_heads: 2, bias: false, null_key: true };
    let provenance = Provenance {
        visor_version: env!("CARGO_PKG_VERSION").to_owned(),
        recipe: "random weights".to_owned(),
        seed,
        ..Provenance::default()
    };
    let manifest = Manifest::new(ladder, positions, cross, DenseMode::None, provenance);
    let sizes = CrossSizes { n_kv_heads: 2, bias: Bias::Without, null: NullPair::Learned };
    let extension = Extension { layout, cross: sizes, selector: None };
    save(folder, seed, Some(&extension), Some(&manifest))
}

/// Writes a stock checkpoint, which runs dense alone.
///
/// # Errors
/// If the folder cannot be written.
pub fn stock(folder: &Path, seed: u64) -> Result<(), Error> {
    save(folder, seed, None, None)
}

/// Writes a policy for the checkpoint in the folder `model`. It predicts the more of a rung the
/// dearer that is, so that thrift decides.
///
/// # Errors
/// If there is no universal checkpoint or the folder cannot be written.
pub fn policy(folder: &Path, model: &Path, objective: Objective, seed: u64) -> Result<(), Error> {
    let source = Source::Folder(model.to_owned());
    let info = ModelInfo::open(&ModelRef::Folder(model.to_owned()))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |source| Error::Policy { policy: name.clone(), source: Box::new(source) };
    let no_ladder = || failed(PolicyFileError::NoLadder { model: info.card().name.clone() });
    let ladder = info.card().ladder.as_ref().ok_or_else(no_ladder)?;
    let shape = RouterShape::new(info.card().shape.decoder.d_model, ladder.rungs().len());
    let provenance = PolicyProvenance {
        visor_version: env!("CARGO_PKG_VERSION").to_owned(),
        data: "random weights".to_owned(),
        seed,
        ..PolicyProvenance::default()
    };
    let digest = Checkpoint::open(source)?.digest()?;
    let manifest = PolicyManifest::new(digest, objective, shape, ladder, provenance);
    let device = device::open(DeviceRequest::Cpu)?;
    let network = RouterNetwork::new(shape, &device);
    let network = weights::fill(network, &device, &mut |name, shape| {
        let values = value(&mut Noise::new(seed, name), name, shape);
        Ok(match name {
            "head.output.bias" => (0..values.len()).map(|rung| rung as f32).collect(),
            "head.output.weight" => values.into_iter().map(|value| 0.1 * value).collect(),
            _ => values,
        })
    })?;
    Policy::new(manifest, network).and_then(|policy| policy.save(folder)).map_err(failed)?;
    Ok(())
}

/// Writes the name of a default policy into the `visor.json` of a checkpoint.
///
/// # Errors
/// If there is no such file, or it cannot be read or written.
pub fn name_policy(model: &Path, policy: Option<&str>) -> Result<(), Error> {
    let path = model.join(files::MANIFEST);
    let io = |action| {
        let file = path.display().to_string();
        move |source| CheckpointError::Io { action, file, source }
    };
    let mut manifest = Manifest::parse(&std::fs::read(&path).map_err(io("read"))?)?;
    manifest.default_policy = policy.map(str::to_owned);
    std::fs::write(&path, manifest.to_json()).map_err(io("write"))?;
    Ok(())
}

fn save(
    folder: &Path,
    seed: u64,
    extension: Option<&Extension>,
    manifest: Option<&Manifest>,
) -> Result<(), Error> {
    let config = ModelConfig::parse(CONFIG.as_bytes()).map_err(visor_model::ModelError::from)?;
    let device = device::open(DeviceRequest::Cpu)?;
    let network = Network::new(&config, extension, Head::Tied, &device);
    let network = weights::fill(network, &device, &mut |name, shape| {
        Ok(value(&mut Noise::new(seed, name), name, shape))
    })?;
    let tensors = weights::tensors(&network, &config.family.key_map());
    let tokenizer = word_level(&WORDS, &SPECIAL).expect("words without repeats");
    let extra: [(&str, &[u8]); 4] = [
        (files::TOKENIZER, &tokenizer),
        (files::GENERATION_CONFIG, br#"{"eos_token_id": 4}"#),
        (preprocessor::FILE, PREPROCESSOR.as_bytes()),
        (PROMPT_TEMPLATE, b"{image}{question}<a>\n"),
    ];
    save_checkpoint(
        folder,
        CONFIG.as_bytes(),
        &extra,
        manifest,
        &tensors,
        Dtype::F32,
        DEFAULT_MAX_SHARD_BYTES,
    )?;
    Ok(())
}

/// Values of a size at which every part of the network has a say in the answer.
fn value(noise: &mut Noise, name: &str, shape: &[usize]) -> Vec<f32> {
    let n = shape.iter().product();
    match shape {
        [_] if name.ends_with("norm.weight") || name.contains("norm1.weight") => {
            noise.normal(n, 0.1).into_iter().map(|value| 1.0 + value).collect()
        }
        [_] => noise.normal(n, 0.5),
        [_, inner @ ..] => {
            noise.normal(n, 1.5 * (inner.iter().product::<usize>() as f32).powf(-0.5))
        }
        [] => vec![0.0; n],
    }
}
