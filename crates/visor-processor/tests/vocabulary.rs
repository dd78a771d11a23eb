//! Tokenizers of closed vocabularies: reading, writing back, and words that are not in them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use visor_processor::{Tokenizer, UNKNOWN_TOKEN, VocabularyError, word_level};

const SPECIAL: [&str; 5] = [UNKNOWN_TOKEN, "<pad>", "<image>", "<a>", "<eos>"];
const WORDS: [&str; 6] = ["what", "colour", "is", "the", "circle", "?"];

fn tokenizer() -> Tokenizer {
    Tokenizer::from_bytes(&word_level(&WORDS, &SPECIAL).unwrap()).unwrap()
}

#[test]
fn special_tokens_come_first_and_words_follow_in_order() {
    let tokenizer = tokenizer();
    assert_eq!(tokenizer.vocab_size(), 11);
    for (id, token) in (0..).zip(SPECIAL.iter().chain(&WORDS)) {
        assert_eq!(tokenizer.token_to_id(token), Some(id));
        assert_eq!(tokenizer.id_to_token(id).as_deref(), Some(*token));
    }
}

#[test]
fn text_is_lowercased_and_punctuation_stands_alone() {
    let ids = tokenizer().encode("<image>What colour  is THE circle?<a>").unwrap();
    assert_eq!(ids, [2, 5, 6, 7, 8, 9, 10, 3]);
}

#[test]
fn decoding_joins_words_by_spaces_and_can_leave_special_tokens_out() {
    let tokenizer = tokenizer();
    assert_eq!(tokenizer.decode(&[8, 9, 4], true).unwrap(), "the circle");
    assert_eq!(tokenizer.decode(&[8, 9, 4], false).unwrap(), "the circle <eos>");
}

#[test]
fn a_stream_gives_the_same_text_as_decoding_at_once() {
    let tokenizer = tokenizer();
    let ids = [5, 6, 7, 0, 8, 4, 9, 10, 4];
    for skip in [true, false] {
        let mut stream = tokenizer.stream(skip);
        let text: String = ids.iter().filter_map(|&id| stream.push(id).unwrap()).collect();
        assert_eq!(text, tokenizer.decode(&ids, skip).unwrap());
    }
}

#[test]
fn unknown_words_are_named_once_as_typed() {
    let words = tokenizer().unknown_words("What is the Zebra, a zebra or the circle's?").unwrap();
    assert_eq!(words, ["Zebra", ",", "a", "or", "'", "s"]);
}

#[test]
fn a_vocabulary_without_an_unknown_token_is_refused() {
    assert!(matches!(word_level(&WORDS, &["<pad>"]), Err(VocabularyError::NoUnknown)));
}

#[test]
fn a_word_twice_is_refused() {
    let error = word_level(&["red", "<unk>"], &SPECIAL).unwrap_err();
    assert_eq!(error.to_string(), "`<unk>` is in the vocabulary twice");
}

#[test]
fn a_word_that_no_text_can_give_is_refused() {
    for word in ["Red", "top left", "top-left", "", "don't"] {
        let error = word_level(&[word], &SPECIAL).unwrap_err();
        assert!(matches!(error, VocabularyError::Unreadable { .. }), "{word}: {error}");
    }
}

#[test]
fn the_same_words_give_the_same_bytes() {
    assert_eq!(word_level(&WORDS, &SPECIAL).unwrap(), word_level(&WORDS, &SPECIAL).unwrap());
}
