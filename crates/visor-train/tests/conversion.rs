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
use visor_runtime::{Backbone, Cancel, DeviceRequest, Dtype as InMemory, Start, device};
use visor_train::convert::{Plan, SelectorPlan, convert};
use visor_train::int8;

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

/// Holds a conversion against the stock model: dense to the bit, the lowest rung as text alone.
fn expect_unchanged(root: &Path, name: &str, plan: &Plan) -> VisorModel {
    let stock = root.join("stock");
    if !stock.exists() {
        write_stock(&stock);
    }
    let universal = root.join(name);
    let ladder = convert(&open(&stock), plan, 3, &universal).unwrap();
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
    after
}

#[test]
fn a_converted_checkpoint_is_the_stock_model_at_dense_and_the_text_alone_at_its_lowest_rung() {
    let root = TempDir::new().unwrap();
    expect_unchanged(root.path(), "universal", &Plan::default());
    let universal = root.path().join("universal");
    assert_eq!(std::fs::read(universal.join("tokenizer.json")).unwrap(), b"{}");
    let again = convert(&open(&universal), &Plan::default(), 3, &root.path().join("again"));
    let again = again.unwrap_err();
    assert!(again.to_string().contains("universal already"), "{again}");
}

#[test]
fn a_layout_of_ones_own_changes_nothing_before_training_either() {
    let root = TempDir::new().unwrap();
    let plan = Plan {
        cross: Some(vec![1, 2, 20]),
        self_capable: Some(vec![0, 5, 6, 19]),
        rungs: Some(vec![vec![], vec![19], vec![0, 6], vec![0, 5, 6, 19]]),
        ..Plan::default()
    };
    let model = expect_unchanged(root.path(), "own", &plan);
    let rungs = model.card().ladder.as_ref().unwrap().rungs();
    let active: Vec<Vec<usize>> = rungs.iter().map(|rung| rung.active_layers()).collect();
    assert_eq!(active, [vec![], vec![19], vec![0, 6], vec![0, 5, 6, 19]]);
    let named: Vec<&str> = rungs.iter().map(|rung| rung.name()).collect();
    assert_eq!(named, ["sa0", "sa1", "sa2", "sa4"]);
    // One of the two lists alone: the other is that of the depth.
    let plan = Plan { cross: Some(vec![0, 23]), ..Plan::default() };
    let model = expect_unchanged(root.path(), "half", &plan);
    let ladder = model.card().ladder.as_ref().unwrap();
    assert_eq!(ladder.layout().self_capable().len(), 6);
}

#[test]
fn a_selector_is_added_untrained_and_changes_nothing_where_nobody_asks_for_it() {
    let root = TempDir::new().unwrap();
    let plan = Plan { selector: SelectorPlan::Fresh, ..Plan::default() };
    let model = expect_unchanged(root.path(), "chosen", &plan);
    // A tile of 2 x 2 visual tokens: the range is that of four.
    let card = model.card().selector.unwrap();
    assert_eq!((card.n_reference, card.range, card.shape.d_select), (4, (1, 4), 4));
    let picture = picture();
    let places = picture.arrangement.places(ImageTokens { rows: 2, cols: 2 });
    let prompt = EncodedPrompt::from_ids(&[7, IMAGE, 5, 9, 3], IMAGE, &places).unwrap();
    let cancel = Cancel::new();
    let visual = model.encode(&[picture], &cancel).unwrap();
    let ladder = model.card().ladder.as_ref().unwrap();
    let count = visor_core::Patches::Count(std::num::NonZeroUsize::new(2).unwrap());
    let start = Start::Budgeted { ladder, routing: None, patches: count };
    model.prefill_to_decision(&prompt, Some(&visual), start, prompt.n_text(), &cancel).unwrap();
}

#[test]
fn a_plan_that_cannot_be_followed_writes_nothing() {
    let root = TempDir::new().unwrap();
    let stock = root.path().join("stock");
    write_stock(&stock);
    let out = root.path().join("out");
    let plan = |cross: &[usize], capable: &[usize], rungs: &[&[usize]], decision| Plan {
        cross: Some(cross.to_vec()),
        self_capable: Some(capable.to_vec()),
        rungs: Some(rungs.iter().map(|rung| rung.to_vec()).collect()),
        decision,
        selector: SelectorPlan::Without,
    };
    for (plan, says) in [
        (plan(&[24], &[1], &[&[1]], None), "layer 24 is out of range"),
        (plan(&[1], &[4], &[&[4]], None), "not followed by a cross-attention layer"),
        (plan(&[4, 8], &[4], &[&[4]], None), "both as cross-attention and"),
        (plan(&[8], &[2, 4], &[&[2], &[4]], None), "`rung-2` (1 self-attention layers) follows"),
        (plan(&[8], &[2, 4], &[&[3]], None), "not self-attention capable"),
        (plan(&[8], &[2, 4], &[&[2], &[2, 4]], Some(4)), "before the decision layer 4"),
        (plan(&[8], &[2, 4], &[&[2]], Some(25)), "beyond the 24 layers"),
    ] {
        let error = convert(&open(&stock), &plan, 3, &out).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!out.exists(), "{says}");
    }
    // A tensor that nobody takes is found before anything is written.
    let mut weights = open(&stock).weights().unwrap();
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    let mut tensors: Vec<visor_checkpoint::TensorToSave<'_>> = names
        .into_iter()
        .map(|name| {
            let shape = weights.shape(&name).unwrap().to_vec();
            let data = weights.take(&name, &shape).unwrap().into();
            visor_checkpoint::TensorToSave { name, shape, data }
        })
        .collect();
    tensors[0].name = "stranger".to_owned();
    let other = root.path().join("other");
    let bytes = DEFAULT_MAX_SHARD_BYTES;
    save_checkpoint(&other, CONFIG.as_bytes(), &[], None, &tensors, Dtype::BF16, bytes).unwrap();
    let error = convert(&open(&other), &Plan::default(), 3, &out).unwrap_err().to_string();
    assert!(error.contains("image_newline") && !out.exists(), "{error}");
}

fn load_in(folder: &Path, dtype: InMemory) -> (VisorModel, visor_model::LoadReport) {
    let device = device::open(DeviceRequest::Cpu).unwrap();
    VisorModel::load_as(&open(folder), dtype, &device).unwrap()
}

#[test]
fn a_checkpoint_in_int8_is_to_the_bit_what_int8_runs() {
    let root = TempDir::new().unwrap();
    let [stock, universal, small, again] =
        ["stock", "universal", "small", "again"].map(|name| root.path().join(name));
    write_stock(&stock);
    convert(&open(&stock), &Plan::default(), 3, &universal).unwrap();
    let prompt = || {
        let places = picture().arrangement.places(ImageTokens { rows: 2, cols: 2 });
        EncodedPrompt::from_ids(&[7, IMAGE, 5, 9, 3], IMAGE, &places).unwrap()
    };
    for from in [&stock, &universal] {
        int8::store(&open(from), &small).unwrap();
        let ((model, report), (stored, of_stored)) =
            (load_in(from, InMemory::Int8), load_in(&small, InMemory::Int8));
        assert_eq!(of_stored.weights.parameters, report.weights.parameters);
        assert_eq!(of_stored.weights.tensors, report.weights.tensors);
        assert_ne!(of_stored.verified.digests.backbone, report.verified.digests.backbone);
        let dense = Schedule::dense(24);
        let expected = logits(&model, &prompt(), &dense, true);
        assert_eq!(logits(&stored, &prompt(), &dense, true), expected);
        assert_ne!(logits(&load(from), &prompt(), &dense, true), expected);
        // It runs in the other formats as well, and stores as itself.
        let single = logits(&load(&small), &prompt(), &dense, true);
        assert!(single.iter().all(|score| score.is_finite()));
        int8::store(&open(&small), &again).unwrap();
        let bytes = |folder: &Path| std::fs::read(folder.join("model.safetensors")).unwrap();
        assert_eq!(bytes(&again), bytes(&small));
    }
    let manifest = open(&small).manifest().unwrap().clone();
    assert_eq!(manifest.ladder, open(&universal).manifest().unwrap().ladder);
}

#[test]
fn an_int8_file_of_another_model_or_without_its_factors_is_refused() {
    let root = TempDir::new().unwrap();
    let [stock, universal, small] = ["stock", "universal", "small"].map(|n| root.path().join(n));
    write_stock(&stock);
    convert(&open(&stock), &Plan::default(), 3, &universal).unwrap();
    int8::store(&open(&universal), &small).unwrap();
    let device = device::open(DeviceRequest::Cpu).unwrap();
    let refused = |folder: &Path| {
        VisorModel::load_as(&open(folder), InMemory::Int8, &device).unwrap_err().to_string()
    };
    // A file that visor.json does not know.
    let foreign = root.path().join("foreign");
    convert(&open(&stock), &Plan::default(), 4, &foreign).unwrap();
    let file = "model.safetensors";
    std::fs::copy(small.join(file), foreign.join(file)).unwrap();
    let error = refused(&foreign);
    assert!(error.contains(file), "{error}");
    // One of other sizes, in a stock folder that knows no hashes.
    let wide = root.path().join("wide");
    int8::store(&open(&stock), &wide).unwrap();
    let config = CONFIG.replace("\"intermediate_size\": 24", "\"intermediate_size\": 32");
    std::fs::write(wide.join("config.json"), config).unwrap();
    let error = refused(&wide);
    assert!(error.contains("gate_proj.weight") || error.contains("mlp."), "{error}");
    // One whose header has lost a factor.
    let lost = root.path().join("lost");
    int8::store(&open(&stock), &lost).unwrap();
    let mut bytes = std::fs::read(lost.join(file)).unwrap();
    let name = b"lm_head.weight.scale";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at + name.len() - 1] = b'x';
    std::fs::write(lost.join(file), bytes).unwrap();
    let error = refused(&lost);
    assert!(error.contains("lm_head.weight.scale`, one F32 factor a row"), "{error}");
}
