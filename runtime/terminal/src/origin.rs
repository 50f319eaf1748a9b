//! Where an issuer may live: the one place that decides which addresses are ever contacted.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use wire::is_issuer_name;

use crate::failure::Failure;

/// What kind of issuer the person adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A real issuer: https, default port, a public DNS name.
    Public,
    /// `--dev`: a test issuer on this computer; loopback only, http allowed.
    Dev,
}

/// Scheme, host and port of an issuer, checked against the rules of its [`Access`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    access: Access,
    scheme: &'static str,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Parses a DNS name or an address without path, query, user or fragment.
    ///
    /// [`Access::Public`]: `name` or `https://name[:443][/]`, at least two labels, no IP address.
    /// [`Access::Dev`]: `http[s]://HOST[:PORT][/]` with HOST `localhost`, `127.*.*.*` or `[::1]`.
    ///
    /// # Errors
    /// `E_ORIGIN`.
    pub fn parse(text: &str, access: Access) -> Result<Self, Failure> {
        let refused = || Failure::with("E_ORIGIN", text);
        let lower = text.trim().to_ascii_lowercase();
        let (scheme, rest) = match lower.split_once("://") {
            None => ("https", lower.as_str()),
            Some(("https", rest)) => ("https", rest),
            Some(("http", rest)) => ("http", rest),
            Some(_) => return Err(refused()),
        };
        let (host, port) =
            split_port(rest.strip_suffix('/').unwrap_or(rest)).ok_or_else(refused)?;
        let allowed = match access {
            Access::Public => {
                scheme == "https"
                    && matches!(port, None | Some(443))
                    && is_issuer_name(host)
                    && host.contains('.')
            }
            Access::Dev => is_loopback_host(host),
        };
        if !allowed {
            return Err(refused());
        }
        let port = port.filter(|port| !(scheme == "https" && *port == 443));
        Ok(Self {
            access,
            scheme,
            host: host.to_owned(),
            port,
        })
    }

    /// The rules this origin was checked against.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Host as in the address, IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that is contacted.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
            .unwrap_or(if self.scheme == "https" { 443 } else { 80 })
    }

    /// The address of `path`, which begins with `/`, at this origin.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// Whether a connection to `address` is allowed: public addresses for a public issuer,
    /// loopback for a test issuer. Stops names that resolve into the local network.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        match self.access {
            Access::Public => is_public(address),
            Access::Dev => address.is_loopback(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Splits `host[:port]`; `None` if anything else is in it.
fn split_port(rest: &str) -> Option<(&str, Option<u16>)> {
    let bracket = if rest.starts_with('[') {
        rest.find(']')?
    } else {
        0
    };
    let (host, port) = match rest.rfind(':') {
        Some(colon) if colon > bracket => (rest.get(..colon)?, rest.get(colon + 1..)),
        Some(_) | None => (rest, None),
    };
    let clean = !host.is_empty()
        && host
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'[' | b']' | b':'));
    let port = match port {
        None => None,
        // No sign, no leading zeros: one spelling per port.
        Some(text) => Some(
            u16::from_str(text)
                .ok()
                .filter(|port| port.to_string() == text)?,
        ),
    };
    clean.then_some((host, port))
}

fn is_loopback_host(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || Ipv4Addr::from_str(host).is_ok_and(|address| address.is_loopback())
}

/// Whether `address` is reachable from the whole internet: neither private, shared, link-local,
/// loopback, documentation, benchmarking, multicast, reserved (RFC 6890) nor an embedding of one.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
        || (a == 192 && b == 0 && c == 0))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Only global unicast 2000::/3, without documentation, Teredo and 6to4.
    (first & 0xe000) == 0x2000
        && !(first == 0x2001 && (second == 0x0db8 || second < 0x0200))
        && first != 0x2002
        && first != 0x3fff
}

#[cfg(test)]
mod tests {
    use super::{Access, Origin};

    fn check(text: &str, access: Access, expected: Option<&str>) {
        let origin = Origin::parse(text, access)
            .ok()
            .map(|origin| origin.to_string());
        assert_eq!(origin.as_deref(), expected, "{text}");
    }

    #[test]
    fn a_public_issuer_is_a_name_over_https() {
        for (text, expected) in [
            ("pay.example.org", Some("https://pay.example.org")),
            ("Pay.Example.ORG", Some("https://pay.example.org")),
            ("https://pay.example.org/", Some("https://pay.example.org")),
            (
                "https://pay.example.org:443",
                Some("https://pay.example.org"),
            ),
            ("https://pay.example.org:8443", None),
            ("http://pay.example.org", None),
            ("https://pay.example.org/path", None),
            ("https://user@pay.example.org", None),
            ("https://pay.example.org?x", None),
            ("https://pay.example.org#x", None),
            ("https://pay.example.org:+443", None),
            ("https://pay.example.org:0443", None),
            ("ftp://pay.example.org", None),
            ("localhost", None),
            ("https://127.0.0.1", None),
            ("https://[::1]", None),
            ("https://192.168.1.1", None),
            ("pay..example.org", None),
            ("pаy.example.org", None),
            ("../../etc", None),
            ("", None),
        ] {
            check(text, Access::Public, expected);
        }
    }

    #[test]
    fn a_test_issuer_is_on_this_computer_only() {
        for (text, expected) in [
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("http://localhost:8080/", Some("http://localhost:8080")),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("https://localhost", Some("https://localhost")),
            ("http://pay.example.org", None),
            ("http://192.168.1.1:8080", None),
            ("http://127.0.0.1.example.org", None),
            ("http://127.0.0.1:99999", None),
        ] {
            check(text, Access::Dev, expected);
        }
    }

    #[test]
    fn a_public_name_that_points_into_a_local_network_is_not_contacted() {
        let public = Origin::parse("pay.example.org", Access::Public).unwrap();
        for (address, admitted) in [
            ("93.184.216.34", true),
            ("2606:2800:220:1::1", true),
            ("127.0.0.1", false),
            ("10.0.0.1", false),
            ("172.16.0.1", false),
            ("192.168.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("198.18.0.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("::1", false),
            ("::ffff:10.0.0.1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("2001:db8::1", false),
            ("2002:a00:1::", false),
            ("64:ff9b::a00:1", false),
        ] {
            assert_eq!(
                public.admits(address.parse().unwrap()),
                admitted,
                "{address}"
            );
        }
        let dev = Origin::parse("http://localhost:1", Access::Dev).unwrap();
        assert!(dev.admits("127.0.0.1".parse().unwrap()));
        assert!(!dev.admits("93.184.216.34".parse().unwrap()));
    }
}
