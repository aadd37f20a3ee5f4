//! Which requests go through a proxy: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` as Go programs read them.

use std::net::IpAddr;

use super::access::{is_loopback, split_port};

/// The proxies of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For requests over http.
    pub http: Option<String>,
    /// For requests over https.
    pub https: Option<String>,
    /// Who is reached without a proxy: names, `.domains`, addresses and networks, with commas between.
    pub none: String,
}

impl Proxies {
    /// Reads the variables that `get` knows, each in upper or lower case.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let filled = |name: &str| get(name).filter(|value| !value.is_empty());
            filled(name).or_else(|| filled(&name.to_lowercase()))
        };
        Self {
            http: either("HTTP_PROXY"),
            https: either("HTTPS_PROXY"),
            none: either("NO_PROXY").unwrap_or_default(),
        }
    }

    /// Returns the proxy for a request to `host[:port]`, if it needs one.
    pub(super) fn pick(&self, https: bool, host: &str) -> Option<&str> {
        let proxy = if https { &self.https } else { &self.http }.as_deref()?;
        (!self.spares(https, host)).then_some(proxy)
    }

    fn spares(&self, https: bool, host: &str) -> bool {
        let (name, port) = split_port(host);
        let port = port.unwrap_or(if https { "443" } else { "80" });
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if is_loopback(&name) {
            return true;
        }
        let address = name.parse::<IpAddr>().ok();
        self.none.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
            if entry == "*" || address.is_some_and(|address| in_network(address, entry)) {
                return true;
            }
            let (wanted, wanted_port) = split_port(entry);
            let wanted = wanted.to_ascii_lowercase();
            if wanted_port.is_some_and(|wanted| wanted != port) {
                return false;
            }
            match (address, wanted.parse::<IpAddr>()) {
                (Some(address), Ok(wanted)) => address == wanted,
                (None, Err(_)) => covers(&wanted, &name),
                _ => false,
            }
        })
    }
}

/// `example.com` covers itself and what is below it, `.example.com` and `*.example.com` only the latter.
fn covers(entry: &str, name: &str) -> bool {
    let entry = entry.strip_prefix('*').unwrap_or(entry);
    let below = |domain: &str| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    match entry.strip_prefix('.') {
        Some(domain) => !domain.is_empty() && below(domain),
        None => name == entry || below(entry),
    }
}

/// Tells whether `address` is in `network` (`10.0.0.0/8`). A text that is not a network holds nothing.
pub(super) fn in_network(address: IpAddr, network: &str) -> bool {
    let Some((base, bits)) = network.split_once('/') else { return false };
    let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    match (address.to_canonical(), base) {
        (IpAddr::V4(address), IpAddr::V4(base)) if bits <= 32 => {
            let differ = address.to_bits() ^ base.to_bits();
            differ.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(base)) if bits <= 128 => {
            let differ = address.to_bits() ^ base.to_bits();
            differ.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_either_case() {
        let environment = |name: &str| match name {
            "HTTP_PROXY" => Some(String::new()),
            "http_proxy" => Some("http://lower:1".to_owned()),
            "HTTPS_PROXY" => Some("http://upper:1".to_owned()),
            _ => None,
        };
        let proxies = Proxies::read(environment);
        assert_eq!(proxies.pick(false, "a.example"), Some("http://lower:1"));
        assert_eq!(proxies.pick(true, "a.example"), Some("http://upper:1"));
        assert_eq!(proxies.pick(true, "localhost:5000"), None);
        assert_eq!(proxies.pick(true, "[::1]:5000"), None);
        assert_eq!(Proxies::default().pick(true, "a.example"), None);
    }

    #[test]
    fn spares_what_no_proxy_lists() {
        let spares = |none: &str, host: &str| {
            let proxies = Proxies { http: None, https: Some("http://p".to_owned()), none: none.to_owned() };
            proxies.pick(true, host).is_none()
        };
        let list = "example.com, .sub.org,*.star.net,10.0.0.0/8,192.0.2.7,ported.io:8443,fd00::/8";
        for host in [
            "example.com",
            "EXAMPLE.com:5000",
            "a.b.example.com",
            "x.sub.org",
            "x.star.net",
            "10.9.8.7:5000",
            "192.0.2.7",
            "ported.io:8443",
            "[fd00::5]:443",
        ] {
            assert!(spares(list, host), "{host}");
        }
        for host in ["notexample.com", "example.com.evil.net", "sub.org", "star.net", "11.0.0.1", "ported.io"]
        {
            assert!(!spares(list, host), "{host}");
        }
        assert!(spares("*", "anything.at.all"));
        assert!(!spares(",,", "a.b"));
    }

    #[test]
    fn knows_the_edges_of_networks() {
        let inside = |address: &str, network: &str| in_network(address.parse().unwrap(), network);
        assert!(inside("1.2.3.4", "0.0.0.0/0"));
        assert!(inside("1.2.3.4", "1.2.3.4/32"));
        assert!(!inside("1.2.3.5", "1.2.3.4/32"));
        assert!(inside("::1", "::/0"));
        assert!(inside("::ffff:10.1.1.1", "10.0.0.0/8"));
        assert!(!inside("1.2.3.4", "1.2.3.4/33"));
        assert!(!inside("1.2.3.4", "::/0"));
        assert!(!inside("1.2.3.4", "1.2.3.4"));
    }
}
