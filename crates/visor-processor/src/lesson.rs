//! A conversation as a model learns it: the prompt of every answer, and the answer's own tokens.
//!
//! The prompt of an answer is the very one that the conversation before it is asked with, by the
//! same code, so that training and serving see the same ids. What the answer becomes is what the
//! chat template makes of it, up to the end token. Answers of one conversation stand in one lesson
//! where each prompt goes on from the one before and its answer.

use crate::chat::{Message, Role};
use crate::prompt::{EncodedPrompt, PromptError};
use crate::tiles::Arrangement;
use crate::writing::{Scribe, Template};

/// A sequence to learn from. Only its targets are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// What goes in.
    pub prompt: EncodedPrompt,
    /// What is to come out: the token that follows a text token, by the index of the latter.
    pub targets: Vec<(usize, u32)>,
}

/// A lesson that may go on with the next turn.
struct Open {
    /// Without the last token, which nothing follows.
    lesson: Lesson,
    /// With it.
    whole: EncodedPrompt,
}

impl Scribe<'_> {
    /// The lessons of a conversation: all answers of the assistant, in order. `ends` are the tokens
    /// that end an answer; where the template writes none, the first of them is added.
    ///
    /// # Errors
    ///
    /// As [`conversation`](Self::conversation); [`PromptError::NoAnswer`] where nobody answers
    /// last, [`PromptError::EmptyAnswer`], [`PromptError::Reserved`] for an answer with a token that
    /// steers the model, [`PromptError::AnswerElsewhere`] where the template does not write an
    /// answer behind the prompt for it.
    pub fn lessons(
        &self,
        template: &Template,
        messages: &[Message],
        pictures: &[Arrangement],
        ends: &[u32],
    ) -> Result<Vec<Lesson>, PromptError> {
        let shown = messages.iter().map(Message::pictures).sum();
        if shown != pictures.len() {
            return Err(PromptError::ImageCount { markers: shown, pictures: pictures.len() });
        }
        if messages.last().is_none_or(|last| last.role != Role::Assistant) {
            return Err(PromptError::NoAnswer);
        }
        let mut open: Option<Open> = None;
        let mut lessons = Vec::new();
        let answered = messages.iter().enumerate().filter(|(_, m)| m.role == Role::Assistant);
        for (at, answer) in answered {
            let before = &messages[..at];
            let n_shown = before.iter().map(Message::pictures).sum();
            let prompt = self.conversation(template, before, &pictures[..n_shown])?;
            let ids = self.answer(template, before, answer, ends)?;
            let mut targets = match open.take() {
                Some(Open { lesson, whole }) if prompt.goes_on_from(&whole) => lesson.targets,
                Some(Open { lesson, .. }) => {
                    lessons.push(lesson);
                    Vec::new()
                }
                None => Vec::new(),
            };
            let asked = prompt.n_text() - 1..;
            targets.extend(asked.zip(ids.iter().copied()));
            let whole = prompt.continued(&ids);
            let prompt = prompt.continued(&ids[..ids.len() - 1]);
            open = Some(Open { lesson: Lesson { prompt, targets }, whole });
        }
        lessons.extend(open.map(|open| open.lesson));
        Ok(lessons)
    }

    /// The ids of an answer with its end; at least one.
    fn answer(
        &self,
        template: &Template,
        before: &[Message],
        answer: &Message,
        ends: &[u32],
    ) -> Result<Vec<u32>, PromptError> {
        let words = answer.texts().collect::<Vec<_>>().join(" ");
        if words.trim().is_empty() {
            return Err(PromptError::EmptyAnswer);
        }
        if let Some(id) = self.tokenizer.encode(&words)?.into_iter().find(|id| self.steers(*id)) {
            let token = self.tokenizer.id_to_token(id).unwrap_or_else(|| id.to_string());
            return Err(PromptError::Reserved { token });
        }
        let written = match template {
            Template::Plain(_) => words,
            Template::Chat(chat) => {
                let asked = chat.render(before)?;
                let all: Vec<Message> = before.iter().chain([answer]).cloned().collect();
                let whole = chat.render_answered(&all)?;
                behind(&whole, &asked).ok_or(PromptError::AnswerElsewhere)?.to_owned()
            }
        };
        let mut ids = self.tokenizer.encode(&written)?;
        match ids.iter().position(|id| ends.contains(id)) {
            Some(end) => ids.truncate(end + 1),
            None => ids.extend(ends.first()),
        }
        if ids.is_empty() { Err(PromptError::EmptyAnswer) } else { Ok(ids) }
    }
}

/// What stands in a conversation behind the prompt for it. Some templates, that of LLaVA-OneVision
/// among them, write other white space in front of an answer that is there than in front of one that
/// is asked for: the answer then begins behind it, and is learned behind the prompt as it is served.
fn behind<'t>(whole: &'t str, asked: &str) -> Option<&'t str> {
    let but_for_space = || whole.strip_prefix(asked.trim_end()).map(str::trim_start);
    whole.strip_prefix(asked).or_else(but_for_space)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Part;
    use crate::chat_template::ChatTemplate;
    use crate::prompt::ImageTokens;
    use crate::template::PromptTemplate;
    use crate::tokenizer::Tokenizer;
    use crate::word_level;
    use std::collections::BTreeMap;

    const END: u32 = 2;
    const IMAGE: u32 = 1;

    fn tokenizer() -> Tokenizer {
        let words = ["a", "b", "c", "d", "u", "as"];
        let bytes = word_level(&words, &["<unk>", "<image>", "<eos>", "<a>"]).expect("words");
        Tokenizer::from_bytes(&bytes).expect("a tokenizer")
    }

    fn said(role: Role, text: &str) -> Message {
        Message { role, parts: vec![Part::Text(text.to_owned())] }
    }

    fn chat(text: &str) -> Template {
        ChatTemplate::parse(text, BTreeMap::new(), Default::default).expect("a template").into()
    }

    const TURNS: &str = "{% for m in messages %}{{ 'u ' if m.role == 'user' else 'as ' }}\
        {% for c in m.content %}{{ '<image> ' if c.type == 'image' else c.text }}{% endfor %} \
        <eos> {% endfor %}{% if add_generation_prompt %}as {% endif %}";

    fn lessons(template: &Template, messages: &[Message]) -> Result<Vec<Lesson>, PromptError> {
        let tokenizer = tokenizer();
        let tile = ImageTokens { rows: 1, cols: 2 };
        let scribe = Scribe { tokenizer: &tokenizer, image_token: IMAGE, tile };
        let n = messages.iter().map(Message::pictures).sum();
        scribe.lessons(template, messages, &vec![Arrangement::Whole; n], &[END])
    }

    #[test]
    fn all_answers_of_a_conversation_are_asked_for_and_nothing_else() {
        let (user, assistant) = (Role::User, Role::Assistant);
        let conversation = [
            Message::question("a", 1),
            said(assistant, "b c"),
            said(user, "d"),
            said(assistant, "a"),
        ];
        let got = lessons(&chat(TURNS), &conversation).expect("lessons");
        let tokenizer = tokenizer();
        let id = |word: &str| tokenizer.token_to_id(word).expect("a word");
        let all = ["u", "a", "<eos>", "as", "b", "c", "<eos>", "u", "d", "<eos>", "as", "a"];
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].prompt.text_ids(), all.map(id));
        // The picture's two tokens stand behind the first.
        assert_eq!(got[0].prompt.text_positions()[..3], [0, 3, 4]);
        let expected = [(3, "b"), (4, "c"), (5, "<eos>"), (10, "a"), (11, "<eos>")];
        assert_eq!(got[0].targets, expected.map(|(row, word)| (row, id(word))));
    }

    #[test]
    fn the_prompt_of_an_answer_is_the_one_that_is_asked() {
        let template = PromptTemplate::parse("{image}{question}<a>").expect("a template").into();
        let question = Message::question("b c", 1);
        let got = lessons(&template, &[question.clone(), said(Role::Assistant, "d")]);
        let got = got.expect("a lesson").remove(0);
        let tokenizer = tokenizer();
        let tile = ImageTokens { rows: 1, cols: 2 };
        let scribe = Scribe { tokenizer: &tokenizer, image_token: IMAGE, tile };
        let asked = scribe.question(&template, "b c", &[Arrangement::Whole]).expect("a prompt");
        let d = tokenizer.token_to_id("d").expect("a word");
        assert_eq!(got.prompt, asked.continued(&[d]));
        assert_eq!(got.targets, [(2, d), (3, END)]);
    }

    #[test]
    fn a_template_that_forgets_earlier_turns_gives_a_lesson_an_answer() {
        let forgets = chat(
            "{% for m in (messages[-1:] if add_generation_prompt else messages[-2:]) %}\
             {{ 'as ' if m.role == 'assistant' else '' }}{{ m.content[0].text }} {% endfor %}\
             {% if add_generation_prompt %}as {% endif %}",
        );
        let conversation = [
            said(Role::User, "a"),
            said(Role::Assistant, "b"),
            said(Role::User, "c"),
            said(Role::Assistant, "d"),
        ];
        let got = lessons(&forgets, &conversation).expect("lessons");
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].targets.len(), got[1].targets.len()), (2, 2));
    }

    #[test]
    fn an_answer_behind_other_white_space_is_learned_behind_the_prompt_as_it_is_served() {
        // As newer files of LLaVA-OneVision: `as ` and a new line before an answer, no space before
        // one that is asked for.
        let spaced = chat(
            "{% for m in messages %}{{ ('u' if m.role == 'user' else 'as') + ' ' }}\
             {% for c in m.content if c.type == 'image' %}{{ '<image>' }}{% endfor %}\
             {% for c in m.content if c.type == 'text' %}{{ '\\n' + c.text }}{% endfor %}\
             {{ '<eos>' }}{% endfor %}{% if add_generation_prompt %}{{ 'as\\n' }}{% endif %}",
        );
        let Template::Chat(written) = &spaced else { panic!("a chat template") };
        let (question, answer) = (Message::question("a", 1), said(Role::Assistant, "b c"));
        let asked = written.render(std::slice::from_ref(&question)).expect("asked");
        let whole = written.render_answered(&[question.clone(), answer.clone()]).expect("whole");
        assert_eq!(asked, "u <image>\na<eos>as\n");
        assert_eq!(whole, "u <image>\na<eos>as \nb c<eos>");
        assert_eq!(behind(&whole, &asked), Some("b c<eos>"));
        assert_eq!(behind("as\n b", "as\n"), Some(" b"), "what fits is taken as it is");
        assert_eq!(behind("u b", "as\n"), None);

        let got = lessons(&spaced, &[question, answer]).expect("a lesson").remove(0);
        let tokenizer = tokenizer();
        let id = |word: &str| tokenizer.token_to_id(word).expect("a word");
        let all = ["u", "a", "<eos>", "as", "b", "c"];
        assert_eq!(got.prompt.text_ids(), all.map(id));
        assert_eq!(got.targets, [(3, id("b")), (4, id("c")), (5, END)]);
    }

    #[test]
    fn what_cannot_be_learned_is_an_error_that_says_so() {
        let (user, assistant) = (Role::User, Role::Assistant);
        let turns = chat(TURNS);
        for (messages, says) in [
            (vec![said(user, "a")], "no answer"),
            (vec![said(user, "a"), said(assistant, " ")], "is empty"),
            (vec![said(user, "a"), said(assistant, "b <eos>")], "`<eos>`"),
            (vec![said(assistant, "a")], "the last message is missing"),
        ] {
            let error = lessons(&turns, &messages).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
        let silent = chat("{{ messages | length }}");
        let error = lessons(&silent, &[said(user, "a"), said(assistant, "b")]).expect_err("lost");
        assert!(matches!(error, PromptError::AnswerElsewhere), "{error}");
    }
}
