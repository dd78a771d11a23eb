//! Requests to the hub, and what its answers mean.

use super::listing::{Listing, Remote};
use super::{Hub, HubError, HubModel};
use std::io::Read;
use std::time::Duration;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{Response, header};
use ureq::{Agent, Body};

/// Longer lists are refused; those of large models take 100 kB.
const MAX_LISTING: u64 = 16 << 20;

/// Looking up a name and connecting take no longer where there is anybody.
const CONNECTING: Duration = Duration::from_secs(30);

/// Speaks with one hub about one model.
#[derive(Debug)]
pub(super) struct Client<'a> {
    agent: Agent,
    endpoint: &'a str,
    bearer: Option<String>,
    pub(super) model: &'a HubModel,
}

/// The rest of a file, from some byte on.
pub(super) struct Rest {
    pub(super) start: u64,
    pub(super) body: Box<dyn Read>,
}

impl<'a> Client<'a> {
    pub(super) fn new(hub: &'a Hub, model: &'a HubModel) -> Result<Self, HubError> {
        let (endpoint, token, patience) = hub.address();
        let config = Agent::config_builder()
            .user_agent(concat!("visor/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // Files lie with others, who have no business with the token.
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_resolve(Some(CONNECTING))
            .timeout_connect(Some(CONNECTING))
            .timeout_per_read(Some(patience))
            .timeout_per_write(Some(patience));
        let agent = config.build().new_agent();
        let bearer = token.map(super::settings::Token::bearer);
        Ok(Self { agent, endpoint, bearer, model })
    }

    /// What the revision means now, and which files there are.
    pub(super) fn listing(&self) -> Result<Listing, HubError> {
        let (id, revision) = (self.model.id(), escaped(self.model.revision(), ""));
        let url = format!("{}/api/models/{id}/revision/{revision}?blobs=true", self.endpoint);
        let what = "the list of files";
        let mut response = self.get(&url, 0, what)?;
        match response.status().as_u16() {
            200 => (),
            status => return Err(self.refused(status, what, "200")),
        }
        let body = response.body_mut().with_config().limit(MAX_LISTING).read_to_vec();
        Listing::parse(self.model, &body.map_err(|error| self.unreachable(what, error))?)
    }

    /// A file from a byte on, or from its beginning if that is what is sent; `None` if the hub
    /// cannot go on there.
    pub(super) fn file(
        &self,
        commit: &str,
        file: &Remote,
        start: u64,
    ) -> Result<Option<Rest>, HubError> {
        let (id, name) = (self.model.id(), escaped(&file.name, "/"));
        let url = format!("{}/{id}/resolve/{commit}/{name}", self.endpoint);
        let what = format!("`{}`", file.name);
        let response = self.get(&url, start, &what)?;
        let start = match response.status().as_u16() {
            200 => 0,
            206 if starts_at(&response) == Some(start) => start,
            206 | 416 if start > 0 => return Ok(None),
            status => return Err(self.refused(status, &what, "200 or 206")),
        };
        Ok(Some(Rest { start, body: Box::new(response.into_body().into_reader()) }))
    }

    fn get(&self, url: &str, start: u64, what: &str) -> Result<Response<Body>, HubError> {
        let mut request = self.agent.get(url);
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, bearer);
        }
        if start > 0 {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        request.call().map_err(|error| self.unreachable(what, error))
    }

    fn unreachable(&self, what: &str, error: ureq::Error) -> HubError {
        let (model, endpoint) = (self.model.clone(), self.endpoint.to_owned());
        HubError::Unreachable { model, what: what.to_owned(), endpoint, source: Box::new(error) }
    }

    fn refused(&self, status: u16, what: &str, expected: &'static str) -> HubError {
        let (model, endpoint) = (self.model.clone(), self.endpoint.to_owned());
        let what = what.to_owned();
        match status {
            // The hub says 401 of models that it does not have, too.
            401 | 403 if self.bearer.is_none() => {
                HubError::NeedsToken { model, what, endpoint, status }
            }
            401 | 403 => HubError::Denied { model, what, endpoint, status },
            404 => HubError::NotFound { model, what, endpoint },
            _ => HubError::Status { model, what, endpoint, status, expected },
        }
    }
}

/// The first byte of a part, by `Content-Range: bytes FIRST-LAST/ALL`.
fn starts_at(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// A name as a part of an address; characters of `also` stand for themselves.
fn escaped(name: &str, also: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c) || also.contains(c);
    let write = |c: char| match plain(c) {
        true => c.to_string(),
        false => c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect(),
    };
    name.chars().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_the_address_that_it_stands_in() {
        assert_eq!(escaped("a b+c.json", "/"), "a%20b%2Bc.json");
        assert_eq!(escaped("refs/pr/1", ""), "refs%2Fpr%2F1");
        assert_eq!(escaped("r/policy.json", "/"), "r/policy.json");
        assert_eq!(escaped("?é", ""), "%3F%C3%A9");
    }
}
