//! Where models come from and where they are kept, as the hub's other programs are told it.

use super::HubError;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The public hub.
const ENDPOINT: &str = "https://huggingface.co";

/// How long the other side may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What is not in the cache is downloaded.
    Online,
    /// The cache is all there is.
    Offline,
}

/// The hub and its cache.
#[derive(Clone, Debug)]
pub struct Hub {
    cache: PathBuf,
    endpoint: String,
    token: Option<Token>,
    reach: Reach,
    patience: Duration,
}

/// What tells the hub who asks. Never shown.
#[derive(Clone)]
pub(super) struct Token(String);

impl Token {
    /// For the header of a request.
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Hub {
    /// The hub as the environment of a program describes it, which the caller looks up:
    ///
    /// * the cache: `HF_HUB_CACHE`, else `HUGGINGFACE_HUB_CACHE`, else `hub` in `HF_HOME`, else
    ///   `huggingface/hub` in `XDG_CACHE_HOME`, else in `.cache` of the home folder;
    /// * the token: `HF_TOKEN`, else the file `HF_TOKEN_PATH`, else the file `token` in `HF_HOME`;
    ///   none if `HF_HUB_DISABLE_IMPLICIT_TOKEN` is true;
    /// * the address: `HF_ENDPOINT`;
    /// * offline if `HF_HUB_OFFLINE` is true.
    ///
    /// A variable that is empty is not set.
    ///
    /// # Errors
    /// If there is no place for a cache, the address is none, or the token cannot be read or sent.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let text = |name| path(name).map(|value| value.to_string_lossy().trim().to_owned());
        let is_true = |name| {
            let value = text(name).unwrap_or_default().to_ascii_lowercase();
            ["1", "on", "yes", "true"].contains(&value.as_str())
        };
        let home = || path("HOME").or_else(|| path("USERPROFILE"));
        let caches = || path("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache")));
        let hf_home = path("HF_HOME").or_else(|| caches().map(|caches| caches.join("huggingface")));
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let cache = cache.or_else(|| hf_home.as_ref().map(|home| home.join("hub")));
        let hub = Self::new(cache.ok_or(HubError::NoCache)?);
        let hub = match text("HF_ENDPOINT") {
            Some(endpoint) => hub.endpoint(&endpoint)?,
            None => hub,
        };
        let token = match text("HF_TOKEN").filter(|token| !token.is_empty()) {
            _ if is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") => None,
            Some(token) => Some(token),
            None => {
                match path("HF_TOKEN_PATH").or_else(|| hf_home.map(|home| home.join("token"))) {
                    Some(file) => token_in(&file)?,
                    None => None,
                }
            }
        };
        let hub = match token {
            Some(token) => hub.token(&token)?,
            None => hub,
        };
        Ok(if is_true("HF_HUB_OFFLINE") { hub.offline() } else { hub })
    }

    /// The public hub without a token, with its cache in this folder.
    pub fn new(cache: PathBuf) -> Self {
        let endpoint = ENDPOINT.to_owned();
        Self { cache, endpoint, token: None, reach: Reach::Online, patience: PATIENCE }
    }

    /// Another address, for instance of a mirror.
    ///
    /// # Errors
    /// If it does not begin with `http://` or `https://`.
    pub fn endpoint(mut self, endpoint: &str) -> Result<Self, HubError> {
        let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        let is_address =
            |host: &str| !host.is_empty() && host.chars().all(|c| c.is_ascii_graphic());
        if !host.is_some_and(is_address) {
            let expected = "an address that begins with https:// or http://";
            return Err(HubError::Variable { variable: "HF_ENDPOINT", expected });
        }
        endpoint.trim_end_matches('/').clone_into(&mut self.endpoint);
        Ok(self)
    }

    /// With a token, which is sent to the hub and to nobody that it refers to.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn token(mut self, token: &str) -> Result<Self, HubError> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let expected = "a token of visible ASCII characters";
            return Err(HubError::Variable { variable: "HF_TOKEN", expected });
        }
        self.token = Some(Token(token.to_owned()));
        Ok(self)
    }

    /// Without network.
    pub fn offline(mut self) -> Self {
        self.reach = Reach::Offline;
        self
    }

    /// How long the other side may be silent before it is given up; a minute unless said otherwise.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The folder of the cache.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Whether the network may be used.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    pub(super) fn address(&self) -> (&str, Option<&Token>, Duration) {
        (&self.endpoint, self.token.as_ref(), self.patience)
    }
}

/// A file that is not there means that nobody has logged in.
fn token_in(file: &Path) -> Result<Option<String>, HubError> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|token| !token.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HubError::io("read", file)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Result<Hub, HubError> {
        Hub::from_variables(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_cache_is_where_the_hubs_other_programs_have_it() {
        let all = [
            ("HF_HUB_CACHE", "/a", "/a"),
            ("HUGGINGFACE_HUB_CACHE", "/b", "/b"),
            ("HF_HOME", "/c", "/c/hub"),
            ("XDG_CACHE_HOME", "/d", "/d/huggingface/hub"),
            ("HOME", "/e", "/e/.cache/huggingface/hub"),
        ];
        for (first, (_, _, expected)) in all.iter().enumerate() {
            let set: Vec<_> = all[first..].iter().map(|(name, value, _)| (*name, *value)).collect();
            assert_eq!(hub(&set).expect("a cache").cache(), Path::new(expected));
        }
        assert!(matches!(hub(&[("HF_HOME", "")]), Err(HubError::NoCache)));
    }

    #[test]
    fn offline_is_what_the_hubs_other_programs_take_for_true() {
        for (value, reach) in [
            ("1", Reach::Offline),
            ("True", Reach::Offline),
            ("0", Reach::Online),
            ("", Reach::Online),
        ] {
            let hub = hub(&[("HOME", "/x"), ("HF_HUB_OFFLINE", value)]).expect("a hub");
            assert_eq!(hub.reach(), reach, "{value}");
        }
    }

    #[test]
    fn a_token_is_found_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().to_str().expect("a name");
        std::fs::write(folder.path().join("token"), "secret-file\n").expect("written");
        let bearer = |hub: &Hub| hub.address().1.map(Token::bearer);
        let of_file = hub(&[("HF_HOME", home)]).expect("a hub");
        assert_eq!(bearer(&of_file).as_deref(), Some("Bearer secret-file"));
        assert!(!format!("{of_file:?}").contains("secret"));
        let both = hub(&[("HF_HOME", home), ("HF_TOKEN", "other")]).expect("a hub");
        assert_eq!(bearer(&both).as_deref(), Some("Bearer other"));
        let off = [("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
        assert_eq!(bearer(&hub(&off).expect("a hub")), None);
        let error =
            hub(&[("HOME", "/x"), ("HF_TOKEN", "secret\nInjected: x")]).expect_err("refused");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn an_address_without_a_scheme_is_refused() {
        for endpoint in ["mirror.example", "ftp://x", "https://", "http://a b"] {
            let error = hub(&[("HOME", "/x"), ("HF_ENDPOINT", endpoint)]).expect_err(endpoint);
            assert!(error.to_string().starts_with("HF_ENDPOINT"), "{error}");
        }
        let hub = hub(&[("HOME", "/x"), ("HF_ENDPOINT", "http://localhost:1/")]).expect("a hub");
        assert_eq!(hub.address().0, "http://localhost:1");
    }
}
