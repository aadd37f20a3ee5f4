//! How registries are reached: plain values, handed in by whoever has read the settings.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::proxy::{Proxies, in_network};

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// What to try before a registry itself, in this order; by the registry's domain (`docker.io`).
    pub mirrors: BTreeMap<String, Vec<Mirror>>,
    /// Registries whose certificate is not checked and who may speak plain http, as `host[:port]` or as a
    /// network (`10.0.0.0/8`). Those on the loopback interface always are.
    pub insecure: Vec<String>,
    /// Who we are, by the domain of a registry or the host of a mirror.
    pub credentials: BTreeMap<String, Credentials>,
    /// Certificates of single hosts, by `host[:port]` as it stands in a URL.
    pub certificates: BTreeMap<String, Certificates>,
    /// Which requests go through a proxy.
    pub proxies: Proxies,
    /// What else is said in the head of each request, but where a registry sends us elsewhere.
    pub headers: Vec<(String, String)>,
    /// How long to wait and how often to try again.
    pub patience: Patience,
}

/// What one host is trusted by, and trusts (`certs.d`). All of it is in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificates {
    /// Authorities that may sign the host's certificate, beside those of the machine. With one, the host is
    /// spoken to over TLS alone and is checked, even on the loopback interface.
    pub authorities: Vec<Vec<u8>>,
    /// What we show the host of ourselves.
    pub client: Option<ClientPair>,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientPair {
    /// The certificate, and those that lead to its authority.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

impl fmt::Debug for ClientPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientPair")
    }
}

/// Who we are to a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and its password or access token.
    Password {
        /// The name.
        username: String,
        /// The password or access token.
        password: String,
    },
    /// A refresh token of the registry's token service (`identitytoken` in Docker's `config.json`).
    IdentityToken(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { username, .. } => write!(f, "Password({username})"),
            Self::IdentityToken(_) => f.write_str("IdentityToken"),
        }
    }
}

/// How long to wait and how often to try again.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For a connection to be made, TLS included.
    pub connect: Duration,
    /// For the next bytes: longer means that the other side is stalled, not slow.
    pub stall: Duration,
    /// How often a request is tried that meets something that may pass.
    pub attempts: u32,
    /// The pause after the first attempt; each later one is twice as long.
    pub pause: Duration,
    /// The longest pause that a registry may ask for (`Retry-After`).
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            attempts: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// A registry that has copies of another's images: `https://mirror.example:5000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    https: bool,
    host: String,
}

/// A text that is not the address of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid mirror: {0:?}: want http:// or https://, a host, and nothing after it")]
pub struct ParseMirrorError(String);

impl Mirror {
    /// Parses a URL without path, query or user.
    pub fn parse(url: &str) -> Result<Self, ParseMirrorError> {
        let (https, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(ParseMirrorError(url.to_owned())),
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '?' | '#' | '@');
        if host.is_empty() || host.contains(odd) {
            return Err(ParseMirrorError(url.to_owned()));
        }
        Ok(Self { https, host: host.to_owned() })
    }
}

/// One place to ask for the images of a registry.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// `host[:port]` as it stands in a URL.
    pub(super) host: String,
    /// The name its credentials are kept under.
    pub(super) account: String,
    /// What it speaks; with two, the first that works.
    pub(super) schemes: &'static [Scheme],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Https,
    Http,
}

impl Scheme {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }
}

impl Access {
    /// Returns where to ask for images of `domain`: its mirrors, then itself.
    pub(super) fn endpoints(&self, domain: &str) -> Vec<Endpoint> {
        let mirrors = self.mirrors.get(domain).into_iter().flatten().map(|mirror| Endpoint {
            host: mirror.host.clone(),
            account: mirror.host.clone(),
            schemes: if mirror.https { &[Scheme::Https] } else { &[Scheme::Http] },
        });
        mirrors.chain([self.itself(domain)]).collect()
    }

    /// Returns where the registry of `domain` itself is.
    pub(super) fn itself(&self, domain: &str) -> Endpoint {
        self.endpoint(if domain == "docker.io" { "registry-1.docker.io" } else { domain }, domain)
    }

    /// Returns a host that keeps the credentials of `account`.
    pub(super) fn endpoint(&self, host: &str, account: &str) -> Endpoint {
        let schemes: &[Scheme] =
            if self.is_unchecked(host) { &[Scheme::Https, Scheme::Http] } else { &[Scheme::Https] };
        Endpoint { host: host.to_owned(), account: account.to_owned(), schemes }
    }

    /// Tells whether `host[:port]` is insecure, and no authority of its own says otherwise.
    pub(super) fn is_unchecked(&self, host: &str) -> bool {
        let named = self.insecure.iter().any(|entry| entry.eq_ignore_ascii_case(host));
        let has_authority = self.certificates.get(host).is_some_and(|own| !own.authorities.is_empty());
        named || self.is_insecure(host) && !has_authority
    }

    /// Tells whether `host[:port]` may go without a certificate, or without TLS.
    pub(super) fn is_insecure(&self, host: &str) -> bool {
        let (name, _) = split_port(host);
        if is_loopback(name) || self.insecure.iter().any(|entry| entry.eq_ignore_ascii_case(host)) {
            return true;
        }
        let Ok(address) = name.parse::<IpAddr>() else { return false };
        self.insecure.iter().any(|entry| in_network(address, entry))
    }
}

/// Splits `host[:port]`; the host of an IPv6 address comes without its brackets.
pub(super) fn split_port(host: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Tells whether a host name or address is this machine's loopback interface.
pub(super) fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_mirrors_first() {
        let mut access = Access::default();
        let mirrors =
            ["http://127.0.0.1:5000/", "https://mirror.example"].map(|url| Mirror::parse(url).unwrap());
        access.mirrors.insert("docker.io".to_owned(), mirrors.to_vec());
        let endpoints = access.endpoints("docker.io");
        let urls: Vec<_> =
            endpoints.iter().map(|e| format!("{}://{}", e.schemes[0].name(), e.host)).collect();
        assert_eq!(urls, ["http://127.0.0.1:5000", "https://mirror.example", "https://registry-1.docker.io"]);
        assert_eq!(endpoints[2].account, "docker.io");
        assert_eq!(access.endpoints("quay.io").len(), 1);
    }

    #[test]
    fn knows_insecure_registries() {
        let access = Access {
            insecure: vec!["reg.example:5000".to_owned(), "10.1.0.0/16".to_owned(), "fd00::/8".to_owned()],
            ..Access::default()
        };
        for host in [
            "localhost",
            "LOCALHOST:5000",
            "127.1.2.3:80",
            "[::1]:5000",
            "reg.example:5000",
            "10.1.2.3:443",
            "[fd00::1]",
        ] {
            assert!(access.is_insecure(host), "{host}");
        }
        for host in ["reg.example", "localhost.example", "10.2.0.1", "128.0.0.1", "[fe80::1]:5000"] {
            assert!(!access.is_insecure(host), "{host}");
        }
    }

    #[test]
    fn refuses_odd_mirrors() {
        for url in
            ["mirror.example", "ftp://a", "http://", "http://a/b", "http://u:p@a", "http://a?b", "http://a b"]
        {
            assert!(Mirror::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn does_not_print_secrets() {
        let secret = Credentials::Password { username: "alice".to_owned(), password: "hunter2".to_owned() };
        assert_eq!(format!("{secret:?}"), "Password(alice)");
    }
}
