//! The chat template that a checkpoint brings: Jinja, as `transformers` renders it.
//!
//! Templates are written by strangers and executed, so that work is counted and limited. Of what
//! `transformers` adds to Jinja, the marks `{% generation %}` of a trainer are left out,
//! `raise_exception` fails with the template's own words, `strftime_now` tells the local time, and
//! `tojson` writes as Python does. Blocks trim the white space around them.

mod transformers;

use crate::chat::{Message, Part};
use crate::prompt::PromptError;
use crate::tokenizer::Ends;
use chrono::NaiveDateTime;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, context};
use std::collections::BTreeMap;
use std::io;

/// Steps that rendering may take: a conversation of a thousand messages takes a tenth of it.
const FUEL: u64 = 2_000_000;
/// Longest template that is read, in bytes.
const MAX_TEMPLATE: usize = 1 << 20;
/// Longest text that a template may write, in bytes: far more than any context holds.
const MAX_RENDERED: usize = 16 << 20;
const NAME: &str = "chat_template";

/// A template that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatTemplateError {
    /// It is no Jinja, or uses what is not supported.
    #[error("the chat template cannot be read: {0}")]
    Syntax(#[source] Error),
    /// It is longer than any real one.
    #[error("the chat template has {bytes} bytes: expected at most {MAX_TEMPLATE}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Tells the local time, for templates that write the date.
pub type Clock = fn() -> NaiveDateTime;

/// A chat template, ready to render conversations.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Names that templates know special tokens by, such as `bos_token`.
    tokens: BTreeMap<String, String>,
}

/// What the text of a conversation ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The words that an answer follows.
    Asked,
    /// An answer.
    Answered,
}

impl ChatTemplate {
    /// Reads a template. `tokens` are the special tokens that it may name, such as `bos_token`, and
    /// `clock` is asked where it writes the date.
    ///
    /// # Errors
    ///
    /// [`ChatTemplateError`].
    pub fn parse(
        template: &str,
        tokens: BTreeMap<String, String>,
        clock: Clock,
    ) -> Result<Self, ChatTemplateError> {
        if template.len() > MAX_TEMPLATE {
            return Err(ChatTemplateError::TooLong { bytes: template.len() });
        }
        // Any end of a line is one to Jinja and becomes a new line, before anything is trimmed.
        let template = template.replace("\r\n", "\n").replace('\r', "\n");
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL));
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        transformers::add(&mut environment, clock);
        environment
            .add_template_owned(NAME, without_generation_marks(&template))
            .map_err(ChatTemplateError::Syntax)?;
        Ok(Self { environment, tokens })
    }

    /// The conversation as one text that ends where the answer begins.
    ///
    /// # Errors
    ///
    /// [`PromptError::ChatTemplate`] where the template fails or raises, with what it says, or does
    /// too much: takes more steps or writes more than any real one.
    pub fn render(&self, messages: &[Message]) -> Result<String, PromptError> {
        self.rendered(messages, Ending::Asked)
    }

    /// The conversation as one text that ends behind its last message, an answer.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render).
    pub(crate) fn render_answered(&self, messages: &[Message]) -> Result<String, PromptError> {
        self.rendered(messages, Ending::Answered)
    }

    /// How a rendered text is tokenised: as `ProcessorMixin.apply_chat_template` of `transformers`
    /// has it, the tokenizer adds what it begins and ends texts by unless the template has written
    /// the token of the beginning itself.
    pub(crate) fn ends_of(&self, text: &str) -> Ends {
        match self.tokens.get("bos_token") {
            Some(bos) if text.starts_with(bos) => Ends::AsWritten,
            _ => Ends::Completed,
        }
    }

    fn rendered(&self, messages: &[Message], ending: Ending) -> Result<String, PromptError> {
        let failed = |error| PromptError::ChatTemplate(Box::new(error));
        let template = self.environment.get_template(NAME).map_err(failed)?;
        let messages: Vec<Value> = messages.iter().map(value).collect();
        let tokens = Value::from_iter(self.tokens.iter().map(|(k, v)| (k.clone(), v.clone())));
        let context = context! {
            messages,
            add_generation_prompt => ending == Ending::Asked,
            // What other conversations offer, and this one does not.
            tools => Value::from(()),
            documents => Value::from(()),
            ..tokens
        };
        let mut text = Bounded::default();
        let rendered = template.render_captured_to(context, &mut text);
        if text.is_full {
            let says = format!("it writes more than {MAX_RENDERED} bytes");
            return Err(failed(Error::new(ErrorKind::InvalidOperation, says)));
        }
        rendered.map_err(failed)?;
        // Templates write whole letters.
        String::from_utf8(text.bytes).map_err(|error| {
            let says = error.to_string();
            failed(Error::new(ErrorKind::InvalidOperation, says))
        })
    }
}

/// What a template has written so far, which ends before memory does.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > MAX_RENDERED - self.bytes.len() {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn value(message: &Message) -> Value {
    let part = |part: &Part| match part {
        Part::Text(text) => context! { type => "text", text },
        Part::Image => context! { type => "image" },
    };
    let content: Vec<Value> = message.parts.iter().map(part).collect();
    context! { role => message.role.name(), content }
}

/// The template without `{% generation %}` and `{% endgeneration %}`, which mark an answer's tokens
/// for training and render nothing.
fn without_generation_marks(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, from)) = rest.split_once("{%") {
        out.push_str(before);
        let Some((tag, after)) = from.split_once("%}") else {
            out.push_str("{%");
            rest = from;
            continue;
        };
        let word = tag.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        if matches!(word, "generation" | "endgeneration") {
            // An empty comment trims what the mark would have trimmed.
            let side = |text: Option<char>| text.filter(|c| "-+".contains(*c));
            out.push_str("{#");
            out.extend(side(tag.chars().next()));
            out.push(' ');
            out.extend(side(tag.chars().next_back()));
            out.push_str("#}");
        } else {
            out.push_str(&format!("{{%{tag}%}}"));
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Role;

    fn template(text: &str) -> ChatTemplate {
        let tokens = BTreeMap::from([("bos_token".to_owned(), "<s>".to_owned())]);
        ChatTemplate::parse(text, tokens, || NaiveDateTime::MIN).expect("a template")
    }

    fn conversation() -> [Message; 3] {
        let said = |role, text: &str| Message { role, parts: vec![Part::Text(text.to_owned())] };
        [Message::question("What?", 1), said(Role::Assistant, "A cat."), said(Role::User, "Sure?")]
    }

    #[test]
    fn what_templates_of_transformers_use_is_there() {
        let text = "{{ bos_token }}\n{% for m in messages %}\n  {% if loop.first %}\n1{% endif %}\
                    {{ m.role | capitalize }}:{% for c in m['content'] \
                    | selectattr('type', 'equalto', 'text') %}{%- generation -%} {{ c.text.strip() \
                    }}{% endgeneration %}{% endfor %};{% endfor %}\
                    {% if add_generation_prompt %}A:{% endif %}\n";
        let rendered = template(text).render(&conversation()).expect("rendered");
        assert_eq!(rendered, "<s>\n1User:What?;Assistant:A cat.;User:Sure?;A:");
    }

    #[test]
    fn every_end_of_a_line_is_a_new_line() {
        let text = "{% for m in messages %}\n  {%- set a = 'x\ny' %}\n{{ a }}\n\n{% endfor %}\nA\n";
        let rendered = |text: &str| template(text).render(&conversation()).expect("rendered");
        let expected = rendered(text);
        assert_eq!(expected, "x\ny\n\nx\ny\n\nx\ny\n\nA");
        for end in ["\r\n", "\r"] {
            assert_eq!(rendered(&text.replace('\n', end)), expected, "{end:?}");
        }
    }

    #[test]
    fn a_template_that_raises_fails_with_its_own_words() {
        let raising = template("{{ raise_exception('roles must alternate') }}");
        let error = raising.render(&conversation()).expect_err("raised");
        assert!(error.to_string().contains("roles must alternate"), "{error}");
        let endless = template(
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}\
                                {% endfor %}",
        );
        let error = endless.render(&conversation()).expect_err("stopped");
        assert!(error.to_string().contains("fuel"), "{error}");
        let long = template("{% for a in range(9999) %}{{ 'x' * 99999 }}{% endfor %}");
        let error = long.render(&conversation()).expect_err("stopped");
        assert!(error.to_string().contains("writes more than"), "{error}");
    }

    #[test]
    fn what_is_no_template_is_refused_where_it_is_read() {
        let parse = |text: &str| ChatTemplate::parse(text, BTreeMap::new(), || NaiveDateTime::MIN);
        let error = parse("{% for %}").expect_err("refused");
        assert!(error.to_string().starts_with("the chat template cannot be read: "), "{error}");
        assert!(parse(&" ".repeat(MAX_TEMPLATE + 1)).is_err());
    }
}
