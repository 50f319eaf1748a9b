//! Where an endpoint may be: nowhere that only this machine reaches.
//!
//! Whoever registers an endpoint chooses whom the server speaks to. So the address is looked up once,
//! checked, and connected to as it was checked; and nobody is followed anywhere else.

use hyper::{Uri, http::uri::Scheme};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use store::WEBHOOK_URL_LEN_MAX;

/// Which addresses this server speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those of the internet, by https.
    Public,
    /// Any, and loopback without TLS: where the operator says so.
    Everywhere,
}

/// An endpoint's address that may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host name, or address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Path and query.
    pub path: String,
    /// Host and port as the header `Host` has them.
    pub authority: String,
}

/// Why an address is refused, for the person who named it.
pub type Refusal = &'static str;

impl Target {
    /// Reads the address of an endpoint.
    ///
    /// # Errors
    /// It is no absolute `https` address, has a user or a fragment, or names an address that `reach` does
    /// not allow. `http` is for loopback only.
    pub fn read(url: &str, reach: Reach) -> Result<Self, Refusal> {
        const FORM: Refusal = "an address is https://HOST[:PORT]/PATH";
        if url.len() > WEBHOOK_URL_LEN_MAX || !url.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("an address has at most 500 visible ASCII characters");
        }
        if url.contains('#') {
            return Err("an address of an endpoint has no fragment");
        }
        let uri: Uri = url.parse().map_err(|_| FORM)?;
        let authority = uri.authority().ok_or(FORM)?;
        if authority.as_str().contains('@') {
            return Err("an address of an endpoint has no user");
        }
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let literal: Option<IpAddr> = host.parse().ok();
        let local = literal.map_or(host == "localhost", |ip| ip.to_canonical().is_loopback());
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP && local && reach == Reach::Everywhere => false,
            Some(_) | None => return Err(FORM),
        };
        if host.is_empty() {
            return Err(FORM);
        }
        if literal.is_some_and(|ip| !allowed(ip, reach)) {
            return Err(NOT_PUBLIC);
        }
        // a port that is written and is none must not become the usual one
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") if tls => 443,
            Some("") => 80,
            Some(_) | None => authority.port_u16().filter(|port| *port > 0).ok_or(FORM)?,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
            authority: authority.as_str().to_owned(),
        })
    }

    /// The first address of this host that may be connected to.
    ///
    /// # Errors
    /// The host is unknown, or has no such address.
    pub async fn resolve(&self, reach: Reach) -> Result<SocketAddr, Refusal> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let mut found = found.map_err(|_| "the name of its host is unknown")?;
        found
            .find(|address| allowed(address.ip(), reach))
            .ok_or(NOT_PUBLIC)
    }
}

/// What is said of an address that only this machine or its network reaches.
pub const NOT_PUBLIC: Refusal = "its host has no public address";

fn allowed(ip: IpAddr, reach: Reach) -> bool {
    reach == Reach::Everywhere || is_public(ip)
}

/// Whether an address is one of the internet's: of a host that anybody may speak to, not of this machine,
/// a private network, the metadata service of a cloud, or a group.
///
/// Source: IANA's registries of special-purpose addresses (RFC 6890).
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

const fn is_public_v4(ip: Ipv4Addr) -> bool {
    let octets = ip.octets();
    let special = matches!(
        octets,
        [0 | 10 | 127, ..]
            // shared behind a provider (RFC 6598), link-local, private
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            // protocol assignments, 6to4 relays, documentation, benchmarks
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18..=19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            // groups, reserved, everybody
            | [224..=255, ..]
    );
    !special
}

/// Only what is given out to hosts, without addresses that carry an IPv4 address within, which a
/// translator on the way would turn into one of those above.
const fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let given_out = matches!(segments, [0x2000..=0x3FFF, ..]);
    let special = matches!(
        segments,
        // protocol assignments with Teredo, documentation twice, 6to4
        [0x2001, 0..=0x1FF, ..] | [0x2001, 0xDB8, ..] | [0x3FFF, 0..=0xFFF, ..] | [0x2002, ..]
    );
    given_out && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_machines_and_private_networks_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "100::1",
            "4000::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.0.3.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "2001:200::1",
            "2606:4700::1111",
            "2a00::1",
            "3ffe::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    fn refused(url: &str, reach: Reach) -> bool {
        Target::read(url, reach).is_err()
    }

    #[test]
    fn an_endpoint_is_reached_by_https_at_a_public_host() {
        let read = Target::read("https://shop.example:8443/hook?x=1", Reach::Public).unwrap();
        let expected = Target {
            host: "shop.example".to_owned(),
            port: 8443,
            tls: true,
            path: "/hook?x=1".to_owned(),
            authority: "shop.example:8443".to_owned(),
        };
        assert_eq!(read, expected);
        assert_eq!(Target::read("https://a", Reach::Public).unwrap().port, 443);
        let six = Target::read("https://[2606:4700::1111]/", Reach::Public).unwrap();
        assert_eq!((six.host.as_str(), six.port), ("2606:4700::1111", 443));
        for bad in [
            "",
            "shop.example",
            "/hook",
            "http://shop.example",
            "ftp://shop.example",
            "https://",
            "https://:443/",
            "https://a:0/",
            "https://a:/",
            "https://a:65536/",
            "https://u@a/",
            "https://u:p@a/",
            "https://a/#b",
            "https://a b/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://10.0.0.1/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest",
            "http://127.0.0.1/",
        ] {
            assert!(refused(bad, Reach::Public), "{bad}");
        }
        // by the operator's word: private ones, and loopback in the clear, but nothing else in the clear
        for good in [
            "https://10.0.0.1/",
            "http://127.0.0.1:9/x",
            "http://[::1]:9/",
            "http://localhost:9/",
        ] {
            assert!(!refused(good, Reach::Everywhere), "{good}");
        }
        assert!(refused("http://10.0.0.1/", Reach::Everywhere));
        assert!(refused("http://shop.example/", Reach::Everywhere));
    }

    #[tokio::test]
    async fn a_name_counts_as_the_address_that_it_leads_to() {
        for host in ["localhost", "127.1", "2130706433"] {
            let target = Target::read(&format!("https://{host}/"), Reach::Public);
            // what is no literal here may be one for the resolver
            let target = target.unwrap();
            assert!(target.resolve(Reach::Public).await.is_err(), "{host}");
        }
        let target = Target::read("http://localhost:9/", Reach::Everywhere).unwrap();
        let found = target.resolve(Reach::Everywhere).await.unwrap();
        assert!(found.ip().is_loopback() && found.port() == 9);
    }
}
