//! From where a request comes, behind any number of proxies.

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Proxies in front that may be believed: a content network, a load balancer, a proxy, and some to spare.
pub const TRUSTED_HOPS_MAX: u8 = 8;

/// The caller's address.
///
/// Each proxy adds the address of whom it was called by at the right end of `X-Forwarded-For`. So with
/// `hops` proxies of ours in front, the caller is the entry that many places from the right; what stands
/// left of it is the caller's own word. Without a proxy it is the peer of the socket, whatever the
/// header says. Where there are fewer entries, the request came in at a later proxy of ours, and the
/// left-most is what that one saw.
#[must_use]
pub fn address(headers: &HeaderMap, extensions: &Extensions, hops: u8) -> IpAddr {
    let peer = extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let values = headers.get_all("x-forwarded-for").iter().rev();
    let entries = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    let seen = entries.take(hops.into()).last();
    let forwarded = seen.and_then(|entry| written(entry.trim()));
    forwarded
        .or(peer)
        .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// An address as proxies write it: bare, in brackets, or with the caller's port.
fn written(entry: &str) -> Option<IpAddr> {
    let unbracketed = || entry.strip_prefix('[')?.strip_suffix(']');
    let with_port = || entry.parse().map(|address: SocketAddr| address.ip());
    unbracketed()
        .unwrap_or(entry)
        .parse()
        .or_else(|_| with_port())
        .ok()
}

/// Whom an address is counted as. One household has a whole IPv6 network of 64 bits: it is one caller. An
/// IPv4 address in IPv6 form is no such network.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(forwarded: &[&str], hops: u8) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))));
        address(&headers, &extensions, hops).to_string()
    }

    #[test]
    fn the_address_that_a_proxy_wrote_may_carry_a_port() {
        for (written, read) in [
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:50314", "203.0.113.9"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]:50314", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("unknown", "127.0.0.1"),
            ("", "127.0.0.1"),
        ] {
            assert_eq!(seen(&[written], 1), read, "{written}");
        }
    }

    #[test]
    fn hops_are_counted_from_the_right_and_what_a_caller_forges_changes_nothing() {
        let proxies = "203.0.113.9, 192.0.2.1, 192.0.2.2";
        for (hops, read) in [
            (0, "127.0.0.1"),
            (1, "192.0.2.2"),
            (2, "192.0.2.1"),
            (3, "203.0.113.9"),
        ] {
            assert_eq!(seen(&[proxies], hops), read, "{hops}");
            for forged in ["198.51.100.1", "198.51.100.1, 198.51.100.2", ",,,", "x"] {
                let one = format!("{forged}, {proxies}");
                assert_eq!(seen(&[&one], hops), read, "{hops}: {forged}");
                // a proxy may as well add a header of its own
                assert_eq!(seen(&[forged, proxies], hops), read, "{hops}: {forged}");
            }
        }
        assert_eq!(
            seen(&["203.0.113.9", "192.0.2.1", "192.0.2.2"], 2),
            "192.0.2.1"
        );
        // called at the second of three
        assert_eq!(seen(&["203.0.113.9, 192.0.2.2"], 3), "203.0.113.9");
        assert_eq!(seen(&[], 3), "127.0.0.1");
    }

    #[test]
    fn an_ipv6_network_is_one_caller_and_ipv4_in_ipv6_form_is_not() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:203.0.113.9"), "203.0.113.9");
        assert_ne!(network("203.0.113.9"), network("203.0.113.10"));
    }
}
