//! A converted checkpoint is the stock model at dense, and the text alone at its lowest rung.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use tempfile::TempDir;
use visor_checkpoint::{Checkpoint, DEFAULT_MAX_SHARD_BYTES, Dtype, Source, save_checkpoint};
use visor_core::Schedule;
use visor_model::config::ModelConfig;
use visor_model::init::Noise;
use visor_model::{Head, Network, VisorModel, weights};
use visor_processor::{
    Arrangement, EncodedPrompt, Filter, ImageProcessor, ImageTokens, Normalization, Picture,
    Resolution,
};
use visor_runtime::{Backbone, Cancel, DeviceRequest, Start, device};
use visor_train::convert::convert;

const IMAGE: u32 = 2;
const CONFIG: &str = r#"{"model_type": "llava_onevision", "image_token_index": 2,
    "image_grid_pinpoints": [[8, 16], [16, 8]],
    "text_config": {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 24,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 11,
        "max_position_embeddings": 64},
    "vision_config": {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
        "num_attention_heads": 2, "image_size": 8, "patch_size": 4}}"#;

fn write_stock(folder: &Path) {
    let config = ModelConfig::parse(CONFIG.as_bytes()).unwrap();
    let device = device::open(DeviceRequest::Cpu).unwrap();
    let network = Network::new(&config, None, Head::Own, &device);
    let network = weights::fill(network, &device, &mut |name, shape| {
        let spread = if shape.len() == 1 { 0.3 } else { (shape[1] as f32).powf(-0.5) };
        let values = Noise::new(5, name).normal(shape.iter().product(), spread);
        Ok(match name.contains("norm") && name.ends_with("weight") {
            true => values.into_iter().map(|value| 1.0 + value).collect(),
            false => values,
        })
    })
    .unwrap();
    let tensors = weights::tensors(&network, &config.family.key_map());
    let extra: [(&str, &[u8]); 1] = [("tokenizer.json", b"{}")];
    let bytes = DEFAULT_MAX_SHARD_BYTES;
    save_checkpoint(folder, CONFIG.as_bytes(), &extra, None, &tensors, Dtype::BF16, bytes).unwrap();
}

fn open(folder: &Path) -> Checkpoint {
    Checkpoint::open(Source::Folder(folder.to_owned())).unwrap()
}

fn load(folder: &Path) -> VisorModel {
    VisorModel::load(&open(folder), &device::open(DeviceRequest::Cpu).unwrap()).unwrap().0
}

fn picture() -> visor_processor::ProcessedPicture {
    let rgb = (0..9 * 5 * 3_u32).map(|i| (i * 37) as u8).collect();
    let resolution = |height, width| Resolution { height, width };
    let processor = ImageProcessor::AnyRes {
        size: 8,
        resolutions: vec![resolution(8, 16), resolution(16, 8)],
        max_tiles: 9,
        filter: Filter::Bicubic,
        normalization: Normalization::default(),
    };
    processor.process(&Picture::from_rgb(9, 5, rgb).unwrap()).unwrap()
}

fn logits(
    model: &VisorModel,
    prompt: &EncodedPrompt,
    schedule: &Schedule,
    dense: bool,
) -> Vec<f32> {
    let cancel = Cancel::new();
    let visual = model.encode(&[picture()], &cancel).unwrap();
    let visual = (!prompt.images().is_empty()).then_some(&visual);
    let start = match (&model.card().ladder, dense) {
        (Some(ladder), false) => {
            Start::Budgeted { ladder, routing: None, patches: visor_core::Patches::All }
        }
        _ => Start::Dense,
    };
    let state = model.prefill_to_decision(prompt, visual, start, prompt.n_text(), &cancel).unwrap();
    model.prefill_rest(state, schedule, &cancel).unwrap().0.0
}

#[test]
fn a_converted_checkpoint_is_the_stock_model_at_dense_and_the_text_alone_at_its_lowest_rung() {
    let root = TempDir::new().unwrap();
    let (stock, universal) = (root.path().join("stock"), root.path().join("universal"));
    write_stock(&stock);
    let ladder = convert(&open(&stock), 3, &universal).unwrap();
    let (before, after) = (load(&stock), load(&universal));
    assert_eq!(after.card().ladder.as_ref(), Some(&ladder));
    let picture = picture();
    assert!(matches!(picture.arrangement, Arrangement::AnyRes { .. }));
    let tile = ImageTokens { rows: 2, cols: 2 };
    let places = picture.arrangement.places(tile);
    let prompt = EncodedPrompt::from_ids(&[7, IMAGE, 5, 9, 3], IMAGE, &places).unwrap();
    let dense = Schedule::dense(24);
    let expected = logits(&before, &prompt, &dense, true);
    assert_eq!(logits(&after, &prompt, &dense, true), expected);

    // The lowest rung reads through closed gates: the scores are those of the text in its places.
    let lowest = ladder.schedule(ladder.cheapest());
    let blind = Schedule::blind(24);
    let text = EncodedPrompt::from_ids(&[7, 5, 9, 3], IMAGE, &[]).unwrap();
    for prompt in [&prompt, &text] {
        let got = logits(&after, prompt, &lowest, false);
        let alone = logits(&before, prompt, &blind, true);
        for (got, alone) in got.iter().zip(&alone) {
            assert!((got - alone).abs() < 1e-5, "{got} and {alone}");
        }
    }
    assert_ne!(logits(&after, &prompt, &lowest, false), expected);
    assert_eq!(std::fs::read(universal.join("tokenizer.json")).unwrap(), b"{}");
    let again = convert(&open(&universal), 3, &root.path().join("again")).unwrap_err();
    assert!(again.to_string().contains("universal already"), "{again}");
}
