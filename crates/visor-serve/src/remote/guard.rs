//! Where connections may go.

use super::{Addresses, Schemes};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use thiserror::Error;
use ureq::Error as HttpError;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Hosts that pictures are fetched from: `example.org`, or `*.example.org` for all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// In lower case.
    name: String,
    below: Below,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Below {
    /// The host itself.
    Only,
    /// All hosts below it, and not itself.
    All,
}

/// A text that names no host.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` names no host: expected example.org, or *.example.org for all hosts below it")]
pub struct HostPatternError(String);

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, below) = match text.strip_prefix("*.") {
            Some(name) => (name, Below::All),
            None => (text, Below::Only),
        };
        let label = |label: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            !label.is_empty() && label.len() <= 63 && label.chars().all(plain)
        };
        match name.len() <= 253 && name.split('.').all(label) {
            true => Ok(Self { name: name.to_ascii_lowercase(), below }),
            false => Err(HostPatternError(text.to_owned())),
        }
    }
}

impl HostPattern {
    fn fits(&self, host: &str) -> bool {
        match self.below {
            Below::Only => host == self.name,
            Below::All => host
                .strip_suffix(&self.name)
                .is_some_and(|before| before.len() > 1 && before.ends_with('.')),
        }
    }
}

/// A connection that must not be made.
#[derive(Clone, Copy, Debug, Error)]
#[error("this address is not allowed")]
pub(super) struct NotAllowed;

/// Looks hosts up, and lets those through that may be connected to.
pub(super) struct Guard {
    hosts: Vec<HostPattern>,
    schemes: Schemes,
    addresses: Addresses,
    inner: DefaultResolver,
}

impl Guard {
    pub(super) fn new(hosts: Vec<HostPattern>, schemes: Schemes, addresses: Addresses) -> Self {
        Self { hosts, schemes, addresses, inner: DefaultResolver::default() }
    }

    /// The host of an address that may be looked up.
    fn check(&self, uri: &Uri) -> Result<(), NotAllowed> {
        let spoken = matches!(
            (uri.scheme_str(), self.schemes),
            (Some("https"), _) | (Some("http"), Schemes::HttpToo)
        );
        let authority = uri.authority().ok_or(NotAllowed)?;
        // Names before an `@` are for people who want to be misunderstood.
        let plain = !authority.as_str().contains('@');
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let listed = self.hosts.iter().any(|pattern| pattern.fits(host));
        if spoken && plain && listed { Ok(()) } else { Err(NotAllowed) }
    }
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, HttpError> {
        let refuse = |refused: NotAllowed| HttpError::Other(Box::new(refused));
        self.check(uri).map_err(refuse)?;
        let found = self.inner.resolve(uri, config, timeout)?;
        let allowed = |address: &SocketAddr| match self.addresses {
            Addresses::Public => is_public(address.ip()),
            Addresses::Any => true,
        };
        match found.iter().all(allowed) {
            true => Ok(found),
            false => Err(refuse(NotAllowed)),
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("hosts", &self.hosts)
            .field("schemes", &self.schemes)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// Whether an address is one of the public internet (IANA's registries of special addresses).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, private, loopback.
        (0 | 10 | 127, ..) => true,
        // Shared by carriers (RFC 6598).
        (100, 64..=127, _) => true,
        // Link-local, where clouds keep their secrets.
        (169, 254, _) => true,
        (172, 16..=31, _) => true,
        // Protocol assignments, documentation, the 6to4 relay, private.
        (192, 0, 0 | 2) | (192, 88, 99) | (192, 168, _) => true,
        // Benchmarks (RFC 2544), documentation.
        (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // What carries an address of version 4 is as public as that one.
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let inner = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // NAT64 (RFC 6052), 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(inner(high, low)),
        [0x2002, high, low, ..] => is_public_v4(inner(high, low)),
        // Protocol assignments with Teredo, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => false,
        [0x3fff, 0..=0xfff, ..] => false,
        // Global unicast; all else is loopback, local, multicast or reserved.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().expect("an address"))
    }

    #[test]
    fn no_address_of_a_private_or_special_range_is_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:c0a8:1::1",
            "2001::1",
            "2001:0:53aa:64c::",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!public(text), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "198.17.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(public(text), "{text}");
        }
    }

    #[test]
    fn a_host_is_on_the_list_by_its_whole_name_or_below_a_star() {
        let hosts: Vec<HostPattern> =
            ["Example.org", "*.pics.net"].map(|text| text.parse().expect("a host")).into();
        let guard = Guard::new(hosts, Schemes::Https, Addresses::Public);
        let fits = |uri: &str| guard.check(&uri.parse().expect("an address")).is_ok();
        for uri in [
            "https://example.org/a",
            "https://EXAMPLE.org:8443/",
            "https://a.b.pics.net/",
            "https://example.org./a",
        ] {
            assert!(fits(uri), "{uri}");
        }
        for uri in [
            "http://example.org/a",
            "ftp://example.org/",
            "https://evil.org/",
            "https://pics.net/",
            "https://example.org.evil.org/",
            "https://evilpics.net/",
            "https://sub.example.org/",
            "https://example.org@evil.org/",
            "https://evil.org@example.org/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "/relative",
            "https://.pics.net/",
        ] {
            assert!(!fits(uri), "{uri}");
        }
    }

    #[test]
    fn what_names_no_host_is_no_pattern() {
        for text in ["", "*", "*.", "a..b", "http://a", "a/b", "a:80", "*.*.a", "[::1]", "a b"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
