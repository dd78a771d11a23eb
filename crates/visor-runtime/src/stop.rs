//! Stop strings: text that ends an answer and is no part of it.

use thiserror::Error;

/// A stop string without characters would end every answer before it begins.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a stop string must have at least one character")]
pub struct EmptyStop;

/// Text that ends an answer where it appears; it is no part of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopString(String);

impl StopString {
    /// # Errors
    /// [`EmptyStop`].
    pub fn new(text: impl Into<String>) -> Result<Self, EmptyStop> {
        let text = text.into();
        if text.is_empty() { Err(EmptyStop) } else { Ok(Self(text)) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Passes an answer on while it grows, and keeps back what may turn out to be a stop string.
#[derive(Clone, Debug)]
pub(crate) struct StopFilter {
    stops: Vec<StopString>,
    held: String,
}

/// What a piece of text released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// This much of the answer is certain.
    Text(String),
    /// The answer ends with this; a stop string followed.
    Stopped(String),
}

impl StopFilter {
    pub(crate) fn new(stops: &[StopString]) -> Self {
        Self { stops: stops.to_vec(), held: String::new() }
    }

    /// Takes the next piece of the answer.
    pub(crate) fn push(&mut self, text: &str) -> Released {
        self.held.push_str(text);
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        if let Some(at) = found {
            self.held.truncate(at);
            return Released::Stopped(std::mem::take(&mut self.held));
        }
        let kept = self.held.split_off(self.certain());
        Released::Text(std::mem::replace(&mut self.held, kept))
    }

    /// The answer has ended: what was kept back belongs to it.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Where the longest end begins that could still grow into a stop string.
    fn certain(&self) -> usize {
        let begins_a_stop = |at: &usize| {
            let end = &self.held[*at..];
            self.stops.iter().any(|stop| stop.as_str().starts_with(end))
        };
        let starts = self.held.char_indices().map(|(at, _)| at);
        let longest = self.stops.iter().map(|stop| stop.as_str().len()).max().unwrap_or(0);
        let recent = starts.filter(|at| self.held.len() - at < longest);
        { recent }.find(begins_a_stop).unwrap_or(self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces that come out, the last of them when the answer ends by itself.
    fn stream(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let stops: Vec<_> =
            stops.iter().map(|stop| StopString::new(*stop).expect("not empty")).collect();
        let mut filter = StopFilter::new(&stops);
        let mut out = Vec::new();
        for piece in pieces {
            match filter.push(piece) {
                Released::Text(text) => out.push(text),
                Released::Stopped(text) => {
                    out.push(text);
                    return (out, true);
                }
            }
        }
        out.push(filter.finish());
        (out, false)
    }

    #[test]
    fn without_stop_strings_text_passes_at_once() {
        assert_eq!(stream(&[], &["a", "b"]), (vec!["a".into(), "b".into(), "".into()], false));
    }

    #[test]
    fn a_stop_string_across_tokens_is_never_shown() {
        let (out, stopped) = stream(&["END"], &["one E", "N", "D two"]);
        assert_eq!((out, stopped), (vec!["one ".into(), "".into(), "".into()], true));
    }

    #[test]
    fn what_looked_like_a_stop_string_is_shown_once_it_is_none() {
        let (out, stopped) = stream(&["END"], &["one E", "NX", " EN"]);
        assert_eq!(
            (out, stopped),
            (vec!["one ".into(), "ENX".into(), " ".into(), "EN".into()], false)
        );
    }

    #[test]
    fn the_earliest_of_several_stop_strings_ends_the_answer() {
        let (out, stopped) = stream(&["cd", "b"], &["abcd"]);
        assert_eq!((out, stopped), (vec!["a".into()], true));
    }

    #[test]
    fn a_repeated_beginning_is_held_back_from_its_longest_match() {
        let (out, stopped) = stream(&["aab"], &["a", "a", "a", "b"]);
        assert!(stopped);
        assert_eq!(out.concat(), "a");
    }

    #[test]
    fn characters_of_several_bytes_are_not_cut() {
        let (out, stopped) = stream(&["éé"], &["né", "e"]);
        assert_eq!((out.concat(), stopped), ("née".to_owned(), false));
    }

    #[test]
    fn an_empty_stop_string_is_an_error() {
        assert_eq!(StopString::new(""), Err(EmptyStop));
    }
}
