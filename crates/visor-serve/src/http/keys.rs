//! Keys that clients must show.

use sha2::{Digest, Sha256};
use std::fmt;
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

/// Shorter keys can be guessed.
const MIN: usize = 16;

/// The keys of a server, as hashes: how long a comparison takes says nothing about any of them.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<[u8; 32]>);

/// A key that is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeysError {
    /// It can be guessed.
    #[error(
        "key {number} has fewer than {MIN} characters: expected a long random one, for instance of `openssl rand -hex 32`"
    )]
    Short {
        /// Which, counted from 1.
        number: usize,
    },
    /// It cannot stand in a header.
    #[error(
        "key {number} has characters that cannot stand in a header: expected letters, digits and signs of ASCII without blanks"
    )]
    Characters {
        /// Which, counted from 1.
        number: usize,
    },
}

impl ApiKeys {
    /// One key a line; empty lines and those that begin with `#` are left out.
    ///
    /// # Errors
    /// If one of them is no key. It is not quoted.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let lines = text.lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let hash = |(number, key): (usize, &str)| {
            if key.len() < MIN {
                return Err(KeysError::Short { number });
            }
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(KeysError::Characters { number });
            }
            Ok(Sha256::digest(key).into())
        };
        (1..).zip(keys).map(hash).collect::<Result<_, _>>().map(Self)
    }

    /// Whether nobody is asked for a key.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Which key it is. All are compared, whichever it is.
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        let hash: [u8; 32] = Sha256::digest(key).into();
        let mut found = None;
        for (index, known) in self.0.iter().enumerate() {
            let same: Choice = known.ct_eq(&hash);
            found = if bool::from(same) { Some(index) } else { found };
        }
        found
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({} keys)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "0123456789abcdef";
    const SECOND: &str = "fedcba9876543210";

    #[test]
    fn keys_are_found_whole_and_never_shown() {
        let keys = ApiKeys::parse(&format!("# ours\n{FIRST}\n\n {SECOND} \n")).expect("two keys");
        assert_eq!(keys.find(FIRST.as_bytes()), Some(0));
        assert_eq!(keys.find(SECOND.as_bytes()), Some(1));
        for wrong in ["", "0123456789abcde", "0123456789abcdef ", "# ours"] {
            assert_eq!(keys.find(wrong.as_bytes()), None);
        }
        assert_eq!(format!("{keys:?}"), "ApiKeys(2 keys)");
        assert!(ApiKeys::default().is_open() && !keys.is_open());
    }

    #[test]
    fn what_can_be_guessed_or_not_be_sent_is_no_key() {
        assert_eq!(ApiKeys::parse("short").expect_err("short"), KeysError::Short { number: 1 });
        let blank = format!("{FIRST}\n{FIRST} {SECOND}");
        assert_eq!(ApiKeys::parse(&blank).expect_err("blank"), KeysError::Characters { number: 2 });
    }
}
