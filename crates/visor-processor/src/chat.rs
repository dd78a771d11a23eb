//! A conversation: who says what, and where pictures stand.

use std::fmt;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sets the scene.
    System,
    /// Asks.
    User,
    /// Has answered.
    Assistant,
}

impl Role {
    /// Its name in a chat template.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::System, Self::User, Self::Assistant].into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words.
    Text(String),
    /// The next picture.
    Image,
}

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who.
    pub role: Role,
    /// What, in order.
    pub parts: Vec<Part>,
}

impl Message {
    /// A user's question about pictures that stand before it.
    pub fn question(text: &str, pictures: usize) -> Self {
        let mut parts = vec![Part::Image; pictures];
        parts.push(Part::Text(text.to_owned()));
        Self { role: Role::User, parts }
    }

    /// Its pieces of text.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Image => None,
        })
    }

    /// How many pictures it shows.
    pub fn pictures(&self) -> usize {
        self.parts.iter().filter(|part| **part == Part::Image).count()
    }

    /// The same with other words wherever there are any.
    pub(crate) fn with_texts(&self, text: &str) -> Self {
        let part = |part: &Part| match part {
            Part::Text(old) if !old.trim().is_empty() => Part::Text(text.to_owned()),
            Part::Text(_) | Part::Image => part.clone(),
        };
        Self { role: self.role, parts: self.parts.iter().map(part).collect() }
    }
}
