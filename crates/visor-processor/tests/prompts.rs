//! From a question and pictures to ids and positions, through templates and tokenizers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use visor_processor::{
    Chunk, EncodedPrompt, ImageSpan, ImageTokens, PromptError, PromptTemplate, TemplateError,
    Tokenizer, TokenizerError, encode_raw, word_level,
};

const IMAGE: u32 = 2;
const WORDS: [&str; 8] = ["what", "colour", "is", "the", "circle", "image", "<", "?"];
const SPECIAL: [&str; 5] = ["<unk>", "<pad>", "<image>", "<a>", "<eos>"];

fn tokenizer() -> Tokenizer {
    Tokenizer::from_bytes(&word_level(&WORDS, &SPECIAL).unwrap()).unwrap()
}

fn grid(rows: usize, cols: usize) -> ImageTokens {
    ImageTokens { rows, cols }
}

#[test]
fn text_keeps_the_gap_that_a_picture_leaves() {
    let prompt = EncodedPrompt::from_ids(&[7, IMAGE, 8, 9], IMAGE, &[grid(2, 3)]).unwrap();
    assert_eq!(prompt.text_ids(), [7, 8, 9]);
    assert_eq!(prompt.text_positions(), [0, 7, 8]);
    assert_eq!(prompt.images(), [ImageSpan { start: 1, len: 6, rows: 2, cols: 3 }]);
    assert_eq!((prompt.n_text(), prompt.n_visual(), prompt.len()), (3, 6, 9));
    assert_eq!(prompt.visual_positions().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let before: Vec<_> = (0..4).map(|i| prompt.visual_before(i)).collect();
    assert_eq!(before, [Some(0), Some(6), Some(6), None]);
}

#[test]
fn several_pictures_stand_where_their_markers_do() {
    let images = [grid(1, 2), grid(2, 2)];
    let prompt = EncodedPrompt::from_ids(&[IMAGE, IMAGE, 5], IMAGE, &images).unwrap();
    let spans: Vec<_> = prompt.images().iter().map(|span| (span.start, span.end())).collect();
    assert_eq!(spans, [(0, 2), (2, 6)]);
    assert_eq!(prompt.text_positions(), [6]);
    assert_eq!(prompt.images()[1].row_col(3), (1, 1));
}

#[test]
fn a_prompt_may_have_no_picture() {
    let prompt = EncodedPrompt::from_ids(&[5, 6], IMAGE, &[]).unwrap();
    assert_eq!((prompt.n_visual(), prompt.len(), prompt.images().len()), (0, 2, 0));
}

#[test]
fn markers_and_pictures_must_match() {
    for (ids, pictures) in [(&[5, IMAGE][..], 0), (&[5], 1), (&[IMAGE, IMAGE, 5], 1)] {
        let images = vec![grid(1, 1); pictures];
        let error = EncodedPrompt::from_ids(ids, IMAGE, &images).unwrap_err();
        let markers = ids.iter().filter(|id| **id == IMAGE).count();
        let expected = format!("the prompt has {markers} image markers for {pictures} pictures");
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(EncodedPrompt::from_expanded(ids, IMAGE, &images).is_err());
    }
}

#[test]
fn a_written_out_run_must_be_as_long_as_its_picture() {
    let ids = [IMAGE, IMAGE, IMAGE, 5, IMAGE];
    let prompt = EncodedPrompt::from_expanded(&ids, IMAGE, &[grid(1, 3), grid(1, 1)]).unwrap();
    assert_eq!(prompt.text_positions(), [3]);
    let error = EncodedPrompt::from_expanded(&ids, IMAGE, &[grid(2, 2), grid(1, 1)]).unwrap_err();
    assert!(matches!(error, PromptError::ImageTokens { picture: 0, expected: 4, found: 3 }));
    let error = EncodedPrompt::from_expanded(&ids, IMAGE, &[grid(1, 2), grid(1, 1)]).unwrap_err();
    assert!(matches!(error, PromptError::ImageCount { markers: 3, pictures: 2 }), "{error}");
}

#[test]
fn pictures_without_tokens_and_prompts_without_text_are_refused() {
    let error = EncodedPrompt::from_ids(&[IMAGE, 5], IMAGE, &[grid(0, 4)]).unwrap_err();
    assert!(matches!(error, PromptError::NoVisualTokens { picture: 0, rows: 0, cols: 4 }));
    let error = EncodedPrompt::from_ids(&[IMAGE], IMAGE, &[grid(1, 1)]).unwrap_err();
    assert!(matches!(error, PromptError::EmptyPrompt));
    let error = EncodedPrompt::from_ids(&[], IMAGE, &[]).unwrap_err();
    assert!(matches!(error, PromptError::EmptyPrompt));
}

#[test]
fn uncountable_pictures_are_an_error() {
    for (rows, cols) in [(usize::MAX, 2), (usize::MAX, 1)] {
        let error = EncodedPrompt::from_ids(&[5, IMAGE], IMAGE, &[grid(rows, cols)]).unwrap_err();
        assert!(matches!(error, PromptError::TooLong { .. }), "{error}");
    }
}

#[test]
fn the_context_limit_counts_visual_tokens() {
    let prompt = EncodedPrompt::from_ids(&[IMAGE, 5], IMAGE, &[grid(3, 3)]).unwrap();
    assert!(prompt.check_context(10).is_ok());
    let error = prompt.check_context(9).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the prompt has 10 tokens, of which 9 are visual: expected at most 9"
    );
}

#[test]
fn a_template_joins_text_that_touches() {
    let template = PromptTemplate::parse("User: {image}Q: {question}{{?}}<a>").unwrap();
    let chunks = template.render("what", 2).unwrap();
    let text = |text: &str| Chunk::Text(text.to_owned());
    assert_eq!(chunks, [text("User: "), Chunk::Image, Chunk::Image, text("Q: what{?}<a>")]);
    // Braces in a user's text mean nothing.
    let chunks = template.render("{image}", 0).unwrap();
    assert_eq!(chunks, [text("User: Q: {image}{?}<a>")]);
}

#[test]
fn templates_are_checked_when_they_are_read() {
    use TemplateError::{Images, LoneBrace, Questions, UnknownField};
    for (template, error) in [
        ("{image}", Questions { found: 0 }),
        ("{question}{question}", Questions { found: 2 }),
        ("{image}{image}{question}", Images { found: 2 }),
        ("{question} {images}", UnknownField { name: "images".to_owned() }),
        ("{question} {", LoneBrace { at: 11 }),
        ("}{question}", LoneBrace { at: 0 }),
    ] {
        assert_eq!(PromptTemplate::parse(template), Err(error), "{template}");
    }
}

#[test]
fn a_question_about_a_picture_is_encoded_with_its_template() {
    let template = PromptTemplate::parse("{image}{question}<a>").unwrap();
    let prompt = template.encode(&tokenizer(), IMAGE, "What colour is it?", &[grid(4, 4)]).unwrap();
    // "it" is not in the vocabulary: the unknown token is no control token.
    assert_eq!(prompt.text_ids(), [5, 6, 7, 0, 12, 3]);
    assert_eq!(prompt.text_positions(), [16, 17, 18, 19, 20, 21]);
}

#[test]
fn the_words_of_a_question_are_told_from_those_of_its_template() {
    for (template, question, tokens) in [
        ("{image}{question}<a>", "What colour is it?", 0..5),
        ("red {image} red {question} blue<a>", "what colour", 2..4),
        ("red {question}{image}<a>", "what", 1..2),
    ] {
        let template = PromptTemplate::parse(template).unwrap();
        let prompt = template.encode(&tokenizer(), IMAGE, question, &[grid(2, 2)]).unwrap();
        assert_eq!(prompt.question(), tokens, "{question}: {:?}", prompt.text_ids());
    }
    let raw = encode_raw(&tokenizer(), IMAGE, "<image>what<a>", &[grid(2, 2)]).unwrap();
    assert_eq!(raw.question(), 0..raw.n_text(), "nothing is known of a rendered prompt");
}

#[test]
fn an_empty_question_is_refused() {
    let template = PromptTemplate::parse("{image}{question}<a>").unwrap();
    for question in ["", "  \n\t"] {
        let error = template.encode(&tokenizer(), IMAGE, question, &[grid(1, 1)]).unwrap_err();
        assert!(matches!(error, PromptError::EmptyQuestion), "{error}");
    }
}

#[test]
fn pictures_need_a_place_in_the_template() {
    let template = PromptTemplate::parse("{question}<a>").unwrap();
    let error = template.encode(&tokenizer(), IMAGE, "what", &[grid(1, 1)]).unwrap_err();
    assert!(matches!(error, PromptError::NoImagePlace { pictures: 1 }), "{error}");
}

#[test]
fn special_tokens_in_a_users_text_are_refused() {
    let template = PromptTemplate::parse("{image}{question}<a>").unwrap();
    for token in ["<image>", "<a>", "<eos>", "<pad>"] {
        for question in [format!("what {token} colour"), token.to_owned(), format!("is{token}")] {
            let error = template.encode(&tokenizer(), IMAGE, &question, &[grid(1, 1)]).unwrap_err();
            assert!(
                matches!(&error, PromptError::Reserved { token: named } if named == token),
                "{question}: {error}"
            );
        }
    }
    // What merely resembles one is text, and `<unk>` is a word like any unknown one.
    for question in ["< image >", "<IMAGE>", "<unk>"] {
        template.encode(&tokenizer(), IMAGE, question, &[grid(1, 1)]).unwrap();
    }
}

#[test]
fn a_raw_prompt_is_taken_as_it_is() {
    let prompt = encode_raw(&tokenizer(), IMAGE, "what <image> <a>", &[grid(2, 2)]).unwrap();
    assert_eq!((prompt.text_ids(), prompt.text_positions()), (&[5, 3][..], &[0, 5][..]));
    let error = encode_raw(&tokenizer(), IMAGE, "", &[]).unwrap_err();
    assert!(matches!(error, PromptError::EmptyPrompt), "{error}");
}

#[test]
fn a_tokenizer_neither_cuts_nor_pads() {
    let json = String::from_utf8(word_level(&WORDS, &SPECIAL).unwrap()).unwrap();
    let cutting = r#""truncation": {"max_length": 2, "stride": 0, "strategy": "LongestFirst",
        "direction": "Right"}"#;
    let padding = r#""padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_id": 1,
        "pad_type_id": 0, "pad_token": "<pad>", "pad_to_multiple_of": null}"#;
    let json = json.replacen(r#""truncation": null"#, cutting, 1).replacen(
        r#""padding": null"#,
        padding,
        1,
    );
    let ids = Tokenizer::from_bytes(json.as_bytes()).unwrap().encode("what is the circle").unwrap();
    assert_eq!(ids, [5, 7, 8, 9]);
}

#[test]
fn a_damaged_tokenizer_is_an_error() {
    let bytes = word_level(&WORDS, &SPECIAL).unwrap();
    for length in 0..bytes.len() - 1 {
        let error = Tokenizer::from_bytes(&bytes[..length]).unwrap_err();
        assert!(matches!(error, TokenizerError::Load(_)));
    }
    assert!(Tokenizer::from_bytes(b"{}").is_err());
}

proptest! {
    #[test]
    fn every_position_of_the_dense_prompt_is_taken_once(
        ids in prop::collection::vec(0_u32..6, 1..40),
        shapes in prop::collection::vec((1_usize..5, 1_usize..5), 40),
    ) {
        let markers = ids.iter().filter(|id| **id == IMAGE).count();
        let images: Vec<_> = shapes[..markers].iter().map(|&(r, c)| grid(r, c)).collect();
        prop_assume!(markers < ids.len());
        let prompt = EncodedPrompt::from_ids(&ids, IMAGE, &images).unwrap();
        let mut positions: Vec<_> =
            prompt.text_positions().iter().copied().chain(prompt.visual_positions()).collect();
        positions.sort_unstable();
        prop_assert_eq!(positions, (0..prompt.len()).collect::<Vec<_>>());

        // Writing the markers out gives the same prompt.
        let mut sizes = images.iter().map(|image| image.rows * image.cols);
        let expanded: Vec<_> = ids
            .iter()
            .flat_map(|id| {
                let times = if *id == IMAGE { sizes.next().unwrap() } else { 1 };
                std::iter::repeat_n(*id, times)
            })
            .collect();
        let written_out = EncodedPrompt::from_expanded(&expanded, IMAGE, &images).unwrap();
        prop_assert_eq!(written_out, prompt);
    }

    #[test]
    fn any_text_gives_a_prompt_or_an_error(question in "\\PC{0,40}", template in "\\PC{0,20}") {
        let tokenizer = tokenizer();
        let _ = tokenizer.unknown_words(&question).unwrap();
        let fixed = PromptTemplate::parse("{image}{question}<a>").unwrap();
        let _ = fixed.encode(&tokenizer, IMAGE, &question, &[grid(1, 1)]);
        let _ = PromptTemplate::parse(&template);
    }

    #[test]
    fn unknown_words_are_those_that_become_the_unknown_token(
        words in prop::collection::vec(prop::sample::select(vec!["what", "Zebra", "is", "noon"]), 0..9),
    ) {
        let tokenizer = tokenizer();
        let text = words.join(" ");
        let unknown = tokenizer.unknown_words(&text).unwrap();
        let has_unknown = tokenizer.encode(&text).unwrap().contains(&0);
        prop_assert_eq!(has_unknown, !unknown.is_empty());
        prop_assert!(unknown.iter().all(|word| !WORDS.contains(&word.as_str())));
    }
}
