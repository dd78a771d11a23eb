//! Pictures from elsewhere, where the operator allows it: a client must not make the server fetch
//! what he could not fetch himself.
//!
//! There is one parser, that of the HTTP client. Every connection, the first one and those after
//! redirects, goes through one resolver (`guard`), which looks at the scheme, holds the host
//! against the operator's list, looks it up once, refuses the whole host if a single address is not
//! public, and hands exactly those addresses to the connector. Proxies of the environment are not
//! used.

mod guard;

use crate::error::ApiError;
use guard::Guard;
pub use guard::{HostPattern, HostPatternError, is_public};
use std::io::Read;
use std::time::Duration;
use ureq::http::StatusCode;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Error};

/// Bounds of a picture that is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteLimits {
    /// Bytes of a picture.
    pub bytes: u64,
    /// From the look-up to the last byte.
    pub time: Duration,
    /// Redirects that are followed.
    pub redirects: u32,
}

impl Default for RemoteLimits {
    fn default() -> Self {
        Self { bytes: 10 << 20, time: Duration::from_secs(10), redirects: 3 }
    }
}

/// Which schemes are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schemes {
    /// https alone.
    #[default]
    Https,
    /// http as well.
    HttpToo,
}

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// Those of the public internet.
    #[default]
    Public,
    /// Any: for servers that fetch from their own network, and for tests.
    Any,
}

/// Fetches pictures from hosts that are allowed.
#[derive(Clone, Debug)]
pub struct RemoteImages {
    agent: Agent,
    limits: RemoteLimits,
}

impl RemoteImages {
    /// From these hosts.
    pub fn new(
        hosts: Vec<HostPattern>,
        schemes: Schemes,
        addresses: Addresses,
        limits: RemoteLimits,
    ) -> Self {
        let config = Agent::config_builder()
            .proxy(None)
            .max_redirects(limits.redirects)
            .max_redirects_will_error(true)
            .timeout_global(Some(limits.time))
            .max_response_header_size(64 << 10)
            .max_idle_connections(0)
            .http_status_as_error(false)
            .accept("image/*")
            .user_agent("visor")
            .build();
        let guard = Guard::new(hosts, schemes, addresses);
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), guard), limits }
    }

    /// Fetches a picture. Blocks the thread.
    ///
    /// # Errors
    /// If the address is not allowed or the picture cannot be had: a client learns which of both, and
    /// nothing of the network behind the server.
    pub fn fetch(&self, url: &str) -> Result<Vec<u8>, ApiError> {
        let response = self.agent.get(url).call().map_err(refused)?;
        if response.status() != StatusCode::OK {
            return Err(unavailable());
        }
        let mut bytes = Vec::new();
        let limit = self.limits.bytes;
        let body = response.into_body().into_with_config().limit(limit + 1).reader();
        body.take(limit + 1).read_to_end(&mut bytes).map_err(|_| unavailable())?;
        if bytes.len() as u64 > limit {
            let message = format!("a remote picture has more than {limit} bytes");
            let error = ApiError::invalid("image_url.url", message);
            return Err(ApiError { code: "picture_too_large", ..error });
        }
        Ok(bytes)
    }
}

fn refused(error: Error) -> ApiError {
    match error {
        Error::Other(other) if other.is::<guard::NotAllowed>() => not_allowed(),
        Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_) => not_allowed(),
        _ => unavailable(),
    }
}

fn not_allowed() -> ApiError {
    let message = "pictures are not fetched from this address; send them as data URLs";
    let error = ApiError::invalid("image_url.url", message);
    ApiError { code: "remote_image_not_allowed", ..error }
}

fn unavailable() -> ApiError {
    let error = ApiError::invalid("image_url.url", "the remote picture could not be fetched");
    ApiError { code: "remote_image_unavailable", ..error }
}
