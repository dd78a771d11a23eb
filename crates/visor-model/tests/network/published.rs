//! The sizes of published models, from their configurations alone: numbers of tensors and
//! parameters are those of the files on the hub, as far as these are known.

use serde_json::{Value, json};
use visor_model::{Head, ModelConfig, Network, weights};
use visor_runtime::{DeviceRequest, device};

/// Tensors and parameters of a stock model; nothing is allocated for them.
fn counts(config: &Value) -> (usize, u64) {
    let config = ModelConfig::parse(config.to_string().as_bytes()).unwrap();
    let head = if config.tied { Head::Tied } else { Head::Own };
    let network = Network::new(&config, None, head, &device::open(DeviceRequest::Cpu).unwrap());
    let outlines = weights::outlines(&network);
    let values = |shape: &Vec<usize>| shape.iter().map(|&side| side as u64).product::<u64>();
    (outlines.len(), outlines.iter().map(|outline| values(&outline.shape)).sum())
}

/// Idefics3 in a size: of the text width, inner width, layers, heads and their keys; of the vision
/// tower width, inner width, layers, heads, and the sides of picture and patch; the pixel shuffle.
fn smolvlm(text: [u64; 5], vision: [u64; 6], scale: u64) -> Value {
    let [hidden, inner, layers, heads, keys] = text;
    let [width, ffn, depth, n_heads, image, patch] = vision;
    json!({
        "model_type": "idefics3", "image_token_id": 49190, "scale_factor": scale,
        "tie_word_embeddings": false,
        "text_config": {
            "model_type": "llama", "hidden_size": hidden, "intermediate_size": inner,
            "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": keys, "head_dim": 64, "rms_norm_eps": 1e-5,
            "rope_theta": 100_000, "vocab_size": 49280, "max_position_embeddings": 8192},
        "vision_config": {
            "hidden_size": width, "intermediate_size": ffn, "num_hidden_layers": depth,
            "num_attention_heads": n_heads, "image_size": image, "patch_size": patch}})
}

/// LLaVA-OneVision on a Qwen2 decoder: width, inner width, layers, heads, keys and vocabulary.
fn onevision([hidden, inner, layers, heads, keys, vocab]: [u64; 6], tied: bool) -> Value {
    json!({
        "model_type": "llava_onevision", "tie_word_embeddings": tied,
        "text_config": {
            "model_type": "qwen2", "tie_word_embeddings": tied, "hidden_size": hidden,
            "intermediate_size": inner, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": keys, "vocab_size": vocab,
            "rms_norm_eps": 1e-6, "max_position_embeddings": 32768,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0}},
        "vision_config": {
            "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
            "num_hidden_layers": 26, "num_attention_heads": 16, "image_size": 384,
            "patch_size": 14, "vision_use_head": false}})
}

#[test]
fn published_models_have_as_many_tensors_and_parameters_as_their_files() {
    let base = [768, 3072, 12, 12, 512, 16];
    let so400m = [1152, 4304, 27, 16, 384, 14];
    // The 256M file: 471 tensors.
    let small = counts(&smolvlm([576, 1536, 30, 9, 3], base, 4));
    assert_eq!(small, (471, 256_484_928));
    // SigLIP's 26 layers, the projector, and Qwen2's 24 with a tied head. Files have two tensors of
    // 1,152 values more, of a norm behind the tower that nothing reads.
    let onevision_small = counts(&onevision([896, 4864, 24, 14, 2, 152_000], true));
    assert_eq!(onevision_small, (714, 893_675_552 - 2 * 1152));

    // Of the others the sizes of files are known, to three digits.
    let gigabytes = |config: &Value, bytes: u64| counts(config).1 as f64 * bytes as f64 / 1e9;
    for (config, bytes, published) in [
        (smolvlm([576, 1536, 30, 9, 3], base, 4), 2, 0.513),
        (smolvlm([960, 2560, 32, 15, 5], base, 4), 2, 1.02),
        (smolvlm([960, 2560, 32, 15, 5], base, 4), 4, 2.03),
        (smolvlm([2048, 8192, 24, 32, 32], so400m, 3), 4, 8.99),
        (onevision([896, 4864, 24, 14, 2, 152_000], true), 2, 1.79),
        // Qwen2-7B's 7.62 billion, SigLIP's 398 million and the projector's 17 million.
        (onevision([3584, 18_944, 28, 28, 4, 152_064], false), 2, 16.1),
    ] {
        let found = gigabytes(&config, bytes);
        assert!((found / published - 1.0).abs() < 5e-3, "{found} GB for {published} GB");
    }
}
