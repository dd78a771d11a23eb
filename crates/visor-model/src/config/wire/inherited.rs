//! Fields that every section of a `config.json` inherits: versions of `transformers` up to 4.4x write
//! all of them into inner sections, with the defaults of `PretrainedConfig.__init__` and of
//! `_get_global_generation_defaults` (`configuration_utils.py` of 4.46).

use serde_json::Value;

/// Of files, training and other modalities: they have no bearing here, whatever they say.
const INERT: &[&str] = &[
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "bos_token_id",
    "eos_token_id",
    "finetuning_task",
    "id2label",
    "label2id",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "problem_type",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "task_specific_params",
    "tf_legacy_loss",
    "tokenizer_class",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "use_bfloat16",
];

/// Those that would ask for something else than a decoder that answers greedily.
const FALSE: &[&str] = &[
    "add_cross_attention",
    "do_sample",
    "early_stopping",
    "is_decoder",
    "is_encoder_decoder",
    "remove_invalid_values",
    "tie_encoder_decoder",
];
const NULL: &[&str] = &[
    "bad_words_ids",
    "begin_suppress_tokens",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "prefix",
    "suppress_tokens",
];
const NUMBERS: &[(&str, f64)] = &[
    ("chunk_size_feed_forward", 0.0),
    ("diversity_penalty", 0.0),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("length_penalty", 1.0),
    ("max_length", 20.0),
    ("min_length", 0.0),
    ("no_repeat_ngram_size", 0.0),
    ("num_beam_groups", 1.0),
    ("num_beams", 1.0),
    ("num_return_sequences", 1.0),
    ("repetition_penalty", 1.0),
    ("temperature", 1.0),
    ("top_k", 50.0),
    ("top_p", 1.0),
    ("typical_p", 1.0),
];

/// Whether a field says what every section says, and nothing of its own.
pub(super) fn says_nothing(name: &str, value: &Value) -> bool {
    let default = |&(known, default): &(&str, f64)| {
        known == name && value.as_f64().is_some_and(|value| value == default)
    };
    INERT.contains(&name)
        || value == false && FALSE.contains(&name)
        || value.is_null() && NULL.contains(&name)
        || name == "pruned_heads" && value.as_object().is_some_and(serde_json::Map::is_empty)
        || NUMBERS.iter().any(default)
}
