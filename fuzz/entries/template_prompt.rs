//! Bytes as a template and what is asked with it: a prompt with every picture in its place, or an
//! error.

use super::parts;
use chrono::NaiveDateTime;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use visor_processor::{
    Arrangement, ChatTemplate, ImageTokens, Message, Part, PromptTemplate, Role, Scribe, Template,
    Tokenizer, word_level,
};

/// Longer templates take their time and show nothing new.
const LONGEST: usize = 4096;
const TILE: ImageTokens = ImageTokens { rows: 2, cols: 2 };
const SPECIAL: [&str; 5] = ["<unk>", "<image>", "<eos>", "<a>", "<|im_end|>"];

/// A template, then the user's words, then the words of an earlier answer, with a zero byte between.
pub(crate) fn run(bytes: &[u8]) {
    let [template, asked, answered] = parts(&bytes[..bytes.len().min(LONGEST)]);
    let [template, asked, answered] = [template, asked, answered].map(String::from_utf8_lossy);
    let tokens = BTreeMap::from([("eos_token".to_owned(), "<eos>".to_owned())]);
    let chat = ChatTemplate::parse(&template, tokens, NaiveDateTime::default);
    let plain = PromptTemplate::parse(&template);
    let templates = [chat.map(Template::from).ok(), plain.map(Template::from).ok()];
    let said = |role, text: &str| Message { role, parts: vec![Part::Text(text.to_owned())] };
    let one = vec![Message::question(&asked, 1)];
    let several = vec![
        Message::question("what ?", 1),
        said(Role::Assistant, &answered),
        Message { role: Role::User, parts: vec![Part::Text(asked.to_string()), Part::Image] },
    ];
    let scribe = Scribe { tokenizer: tokenizer(), image_token: 1, tile: TILE };
    for (template, messages) in templates.iter().flatten().flat_map(|t| [(t, &one), (t, &several)])
    {
        let pictures = vec![Arrangement::Whole; messages.iter().map(Message::pictures).sum()];
        if let Ok(prompt) = scribe.conversation(template, messages, &pictures) {
            assert_eq!(prompt.images().len(), pictures.len());
            assert_eq!(prompt.n_visual(), pictures.len() * TILE.rows * TILE.cols);
            assert_eq!(prompt.len(), prompt.n_text() + prompt.n_visual());
            assert!(prompt.n_text() > 0 && prompt.question().end <= prompt.n_text());
        }
        let _ = scribe.question(template, &asked, &[Arrangement::Whole]);
        let _ = scribe.rendered(&asked, &[Arrangement::Whole]);
    }
}

fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let words = ["what", "?", "a", "cat", "user", "assistant", ":"];
        let json = word_level(&words, &SPECIAL).expect("a vocabulary");
        Tokenizer::from_bytes(&json).expect("a tokenizer")
    })
}
