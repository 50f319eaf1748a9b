//! How often claim codes may be tried, and orders be sent.

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use ledger::HolderId;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
};

/// Tries that one address may make at once; a person mistypes a few times.
pub const CLAIM_BURST: u32 = 10;

/// Tries that one address gets back each minute.
const CLAIMS_PER_MINUTE: u32 = 10;

/// A limit per caller's address.
pub struct ClaimLimit(DefaultKeyedRateLimiter<IpAddr>);

impl core::fmt::Debug for ClaimLimit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ClaimLimit")
    }
}

impl Default for ClaimLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl ClaimLimit {
    /// A limit nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self(RateLimiter::keyed(quota(CLAIMS_PER_MINUTE, CLAIM_BURST)))
    }

    /// Counts one try; whether it is within the limit.
    #[must_use]
    pub fn admits(&self, caller: IpAddr) -> bool {
        self.check(caller).is_ok()
    }

    /// Counts one try within the limit.
    ///
    /// # Errors
    /// It is beyond: after how many seconds the next one is not.
    pub fn check(&self, caller: IpAddr) -> Result<(), u64> {
        waiting(&self.0, &network_of(caller))
    }

    /// Forgets callers who have been quiet, so that memory stays bounded.
    pub fn forget_quiet_callers(&self) {
        self.0.retain_recent();
    }
}

/// Orders and previews that one holder may send at once: a shop's payday list in one go, and fifty
/// callers that repeat the same order side by side.
pub const ORDER_BURST: u32 = 100;

/// Orders and previews that one holder gets back each minute; nobody fills in a form each second. A
/// preview tells initials for a card number: this is what makes guessing numbers slow.
const ORDERS_PER_MINUTE: u32 = 60;

/// A limit per holder.
pub struct OrderLimit(DefaultKeyedRateLimiter<HolderId>);

impl core::fmt::Debug for OrderLimit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("OrderLimit")
    }
}

impl Default for OrderLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl OrderLimit {
    /// A limit nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self(RateLimiter::keyed(quota(ORDERS_PER_MINUTE, ORDER_BURST)))
    }

    /// Counts one order or preview; whether it is within the limit.
    #[must_use]
    pub fn admits(&self, holder: HolderId) -> bool {
        self.check(holder).is_ok()
    }

    /// Counts one order or preview within the limit.
    ///
    /// # Errors
    /// It is beyond: after how many seconds the next one is not.
    pub fn check(&self, holder: HolderId) -> Result<(), u64> {
        waiting(&self.0, &holder)
    }

    /// Forgets holders who have been quiet, so that memory stays bounded.
    pub fn forget_quiet_holders(&self) {
        self.0.retain_recent();
    }
}

/// Counts one for `key`; beyond the limit, the whole seconds until there is room, at least one.
fn waiting<K: Clone + Eq + std::hash::Hash>(
    limit: &DefaultKeyedRateLimiter<K>,
    key: &K,
) -> Result<(), u64> {
    limit.check_key(key).map_err(|until| {
        let wait = until.wait_time_from(limit.clock().now());
        let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
        u64::try_from(seconds).unwrap_or(u64::MAX)
    })
}

fn quota(per_minute: u32, burst: u32) -> Quota {
    let count = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    Quota::per_minute(count(per_minute)).allow_burst(count(burst))
}

/// One household has a whole IPv6 network of 64 bits: count it as one caller. An IPv4 address in
/// IPv6 form is no such network.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

/// The caller's address.
///
/// Behind a proxy: the right-most entry of `X-Forwarded-For`, which the proxy itself wrote; all
/// others come from the caller, who may write what he likes.
#[must_use]
pub fn caller(headers: &HeaderMap, extensions: &Extensions, behind_proxy: bool) -> IpAddr {
    let peer = extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let forwarded = headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next())
        .and_then(|value| forwarded_address(value.trim()));
    let seen = if behind_proxy {
        forwarded.or(peer)
    } else {
        peer
    };
    seen.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// An address as proxies write it: bare, in brackets, or with the caller's port.
fn forwarded_address(written: &str) -> Option<IpAddr> {
    let unbracketed = || written.strip_prefix('[')?.strip_suffix(']');
    let with_port = || written.parse().map(|address: SocketAddr| address.ip());
    unbracketed()
        .unwrap_or(written)
        .parse()
        .or_else(|_| with_port())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_reached_exactly_and_per_network() {
        let limit = ClaimLimit::new();
        let first: IpAddr = "2001:db8::1".parse().unwrap();
        for _ in 0..CLAIM_BURST {
            assert!(limit.admits(first));
        }
        assert!(!limit.admits(first));
        assert!(!limit.admits("2001:db8::2".parse().unwrap()));
        assert!(limit.admits("2001:db8:0:1::1".parse().unwrap()));
        limit.forget_quiet_callers();
        assert!(!limit.admits(first));
        // one comes back each six seconds, and some of them may have passed
        let wait = limit.check(first).unwrap_err();
        assert!(
            (1..=60 / u64::from(CLAIMS_PER_MINUTE)).contains(&wait),
            "{wait}"
        );
    }

    #[test]
    fn a_burst_of_orders_is_admitted_and_then_no_more() {
        let limit = OrderLimit::new();
        let [one, other] = [1, 2].map(|n| HolderId::new(n, [0; 10]));
        assert!((0..ORDER_BURST).all(|_| limit.admits(one)));
        assert!(!limit.admits(one));
        limit.forget_quiet_holders();
        assert!(!limit.admits(one));
        assert!(limit.admits(other));
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
        ] {
            let mut headers = HeaderMap::new();
            headers.append("x-forwarded-for", written.parse().unwrap());
            let mut extensions = Extensions::new();
            extensions.insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))));
            let caller = caller(&headers, &extensions, true);
            assert_eq!(caller.to_string(), read, "{written}");
        }
    }

    #[test]
    fn ipv4_addresses_in_ipv6_form_are_not_one_network() {
        let limit = ClaimLimit::new();
        let first: IpAddr = "::ffff:203.0.113.9".parse().unwrap();
        while limit.admits(first) {}
        assert!(limit.admits("::ffff:203.0.113.10".parse().unwrap()));
        assert!(!limit.admits("203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn only_the_entry_that_the_proxy_wrote_counts() {
        let mut headers = HeaderMap::new();
        headers.append(
            "x-forwarded-for",
            "198.51.100.1, 203.0.113.9".parse().unwrap(),
        );
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))));
        assert_eq!(
            caller(&headers, &extensions, true).to_string(),
            "203.0.113.9"
        );
        assert_eq!(
            caller(&headers, &extensions, false).to_string(),
            "127.0.0.1"
        );
    }
}
