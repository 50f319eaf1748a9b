//! How often something may be tried: token buckets, one for each key, in this process.

use crate::caller::network_of;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use ledger::HolderId;
use std::{
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{PoisonError, RwLock},
};

/// How much of something one key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So much at once.
    pub burst: u32,
    /// So much comes back in a minute.
    pub per_minute: u32,
}

/// Codes of mails that one address may try: claim codes and codes for addresses, counted together. A
/// person mistypes a few times; 80 bits are not guessed at this pace.
pub const CODES: Rate = Rate {
    burst: 10,
    per_minute: 10,
};

/// Tokens that one address may try at the sign-in page. 256 bits are not guessed at any pace: this is
/// so that trying costs the database nothing.
pub const SIGN_INS: Rate = Rate {
    burst: 10,
    per_minute: 10,
};

/// What one holder leaves for good or learns: orders, previews, new keys of cancels, new endpoints and
/// secrets. A shop's payday list in one go, and fifty callers that repeat the
/// same order side by side; nobody fills in a form each second. A preview tells initials for a card
/// number: this is what makes guessing numbers slow.
pub const ORDERS: Rate = Rate {
    burst: 100,
    per_minute: 60,
};

/// Orders and previews of one holder to one card or mail address: each order is a mail to one person.
pub const ORDERS_TO_ONE: Rate = Rate {
    burst: 60,
    per_minute: 30,
};

/// Redemptions that one card may begin from one address: at a reader each takes about a second, and a
/// box of programs is opened in one go.
pub const OPENINGS: Rate = Rate {
    burst: 60,
    per_minute: 60,
};

/// Exchanges and orders that one address gets back in a minute, where the operator says nothing: some
/// hundred redemptions of a whole office behind one address.
pub const REQUESTS_PER_MINUTE: u32 = 600;

/// What an address may do at once, in minutes of what it gets back.
const BURST_MINUTES: u32 = 2;

/// Keys that one limit remembers: with all limits full some tens of megabytes.
pub const KEYS_MAX: usize = 65_536;

type Buckets<K, C> =
    RateLimiter<K, DefaultKeyedStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// One bucket for each key.
///
/// It never holds more than its most keys: one more makes it forget those that have been quiet, and if
/// there are none, all. Whoever has so many addresses has as many bursts anyway, and nobody who is new
/// is locked out.
pub struct Limit<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    buckets: RwLock<Buckets<K, C>>,
    quota: Quota,
    clock: C,
    keys_max: usize,
}

impl<K: Hash + Eq + Clone, C: Clock> core::fmt::Debug for Limit<K, C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Limit")
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> Limit<K> {
    /// A limit that nobody has used yet.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self::by(rate, DefaultClock::default(), KEYS_MAX)
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Limit<K, C> {
    /// The same by another clock and with other most keys.
    fn by(rate: Rate, clock: C, keys_max: usize) -> Self {
        let count = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(count(rate.per_minute)).allow_burst(count(rate.burst));
        let buckets = RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock.clone());
        Self {
            buckets: RwLock::new(buckets),
            quota,
            clock,
            keys_max,
        }
    }

    /// Counts one for `key`.
    ///
    /// # Errors
    /// It is beyond the limit: the whole seconds after which the next one is not, at least one.
    pub fn check(&self, key: &K) -> Result<(), u64> {
        let (checked, keys) = {
            let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
            let checked = buckets.check_key(key).map_err(|until| {
                let wait = until.wait_time_from(self.clock.now());
                let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
                u64::try_from(seconds).unwrap_or(u64::MAX)
            });
            (checked, buckets.len())
        };
        if keys > self.keys_max {
            self.forget(key);
        }
        checked
    }

    /// Forgets keys that have been quiet, so that memory stays bounded.
    pub fn forget_quiet(&self) {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        buckets.retain_recent();
        buckets.shrink_to_fit();
    }

    fn forget(&self, last: &K) {
        self.forget_quiet();
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > self.keys_max {
            let store = DefaultKeyedStateStore::default();
            *buckets = RateLimiter::new(self.quota, store, self.clock.clone());
            // the one that came last has had one of its own
            let _ = buckets.check_key(last);
        }
    }

    /// Keys that are remembered.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.buckets
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

/// A card, as somebody at an address says: two addresses that name one card do not share a bucket, so
/// that a stranger cannot lock its owner out.
type CardAt = (IpAddr, [u8; 7]);

/// Every limit of a serving issuer. Each process has its own.
#[derive(Debug)]
pub struct Limits {
    codes: Limit<IpAddr>,
    sign_ins: Limit<IpAddr>,
    orders: Limit<HolderId>,
    orders_to_one: Limit<(HolderId, [u8; 32])>,
    /// Nothing where the operator wants no limit.
    requests: Option<(Limit<IpAddr>, Limit<CardAt>)>,
}

impl Limits {
    /// Limits that nobody has used yet. `requests_per_minute`: what one address may send, 0 for any
    /// number; then neither one card's redemptions are counted.
    #[must_use]
    pub fn new(requests_per_minute: u32) -> Self {
        let requests = (requests_per_minute > 0).then(|| {
            let rate = Rate {
                burst: requests_per_minute.saturating_mul(BURST_MINUTES),
                per_minute: requests_per_minute,
            };
            (Limit::new(rate), Limit::new(OPENINGS))
        });
        Self {
            codes: Limit::new(CODES),
            sign_ins: Limit::new(SIGN_INS),
            orders: Limit::new(ORDERS),
            orders_to_one: Limit::new(ORDERS_TO_ONE),
            requests,
        }
    }

    /// Counts a claim code or a code for an address that is tried.
    ///
    /// # Errors
    /// As [`Limit::check`].
    pub fn code(&self, caller: IpAddr) -> Result<(), u64> {
        self.codes.check(&network_of(caller))
    }

    /// Counts a token that is tried at the sign-in page.
    ///
    /// # Errors
    /// As [`Limit::check`].
    pub fn sign_in(&self, caller: IpAddr) -> Result<(), u64> {
        self.sign_ins.check(&network_of(caller))
    }

    /// Counts an exchange or an order, whoever sends it.
    ///
    /// # Errors
    /// As [`Limit::check`].
    pub fn request(&self, caller: IpAddr) -> Result<(), u64> {
        match &self.requests {
            Some((requests, _)) => requests.check(&network_of(caller)),
            None => Ok(()),
        }
    }

    /// Counts a redemption that a card begins.
    ///
    /// # Errors
    /// As [`Limit::check`].
    pub fn opening(&self, caller: IpAddr, uid: [u8; 7]) -> Result<(), u64> {
        match &self.requests {
            Some((_, cards)) => cards.check(&(network_of(caller), uid)),
            None => Ok(()),
        }
    }

    /// Counts an order of a holder, or what else is counted as one ([`ORDERS`]).
    ///
    /// # Errors
    /// As [`Limit::check`].
    pub fn order(&self, holder: HolderId) -> Result<(), u64> {
        self.orders.check(&holder)
    }

    /// Counts an order or preview of a holder to one recipient. `recipient`: a hash that names card or
    /// address.
    ///
    /// # Errors
    /// As [`Limit::check`].
    pub fn order_to(&self, holder: HolderId, recipient: [u8; 32]) -> Result<(), u64> {
        self.orders_to_one.check(&(holder, recipient))
    }

    /// Forgets keys that have been quiet, so that memory stays bounded.
    pub fn forget_quiet(&self) {
        self.codes.forget_quiet();
        self.sign_ins.forget_quiet();
        self.orders.forget_quiet();
        self.orders_to_one.forget_quiet();
        if let Some((requests, cards)) = &self.requests {
            requests.forget_quiet();
            cards.forget_quiet();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::time::Duration;

    #[test]
    fn each_limit_is_reached_exactly_and_one_past_it_waits_as_long_as_it_says() {
        let requests = Rate {
            burst: REQUESTS_PER_MINUTE * BURST_MINUTES,
            per_minute: REQUESTS_PER_MINUTE,
        };
        for rate in [CODES, SIGN_INS, ORDERS, ORDERS_TO_ONE, OPENINGS, requests] {
            let clock = FakeRelativeClock::default();
            let limit = Limit::by(rate, clock.clone(), KEYS_MAX);
            assert!((0..rate.burst).all(|_| limit.check(&1).is_ok()), "{rate:?}");
            let each = 60 / u64::from(rate.per_minute.min(60));
            assert_eq!(limit.check(&1), Err(each), "{rate:?}");
            // the others are not held up, and quiet ones only are forgotten
            assert_eq!(limit.check(&2), Ok(()));
            limit.forget_quiet();
            assert_eq!(limit.check(&1), Err(each));
            clock.advance(Duration::from_millis(60_000 / u64::from(rate.per_minute)));
            assert_eq!((limit.check(&1), limit.check(&1)), (Ok(()), Err(each)));
        }
    }

    #[test]
    fn the_page_names_every_limit() {
        let page = include_str!("../../../docs/server.md");
        let (_, page) = page.split_once("## Limits").unwrap();
        let requests = Rate {
            burst: REQUESTS_PER_MINUTE * BURST_MINUTES,
            per_minute: REQUESTS_PER_MINUTE,
        };
        assert!(
            page.contains("| 1,200 | 600 |")
                && (requests.burst, requests.per_minute) == (1_200, 600)
        );
        for rate in [CODES, SIGN_INS, ORDERS, ORDERS_TO_ONE, OPENINGS] {
            let row = format!("| {} | {} |\n", rate.burst, rate.per_minute);
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn no_more_keys_are_remembered_than_there_may_be() {
        let rate = Rate {
            burst: 1,
            per_minute: 1,
        };
        let clock = FakeRelativeClock::default();
        let limit = Limit::by(rate, clock.clone(), 3);
        assert!((1..=3).all(|key| limit.check(&key).is_ok()));
        assert_eq!((limit.keys(), limit.check(&1)), (3, Err(60)));
        // one past it, and nobody has been quiet
        assert_eq!(limit.check(&4), Ok(()));
        assert_eq!((limit.keys(), limit.check(&4)), (1, Err(60)));
        assert_eq!(limit.check(&1), Ok(()));
        // the quiet ones go first
        clock.advance(Duration::from_secs(121));
        assert_eq!((limit.check(&5), limit.check(&6)), (Ok(()), Ok(())));
        assert_eq!((limit.keys(), limit.check(&5)), (2, Err(60)));
    }

    #[test]
    fn a_stranger_who_names_a_card_does_not_lock_it_out() {
        let limits = Limits::new(0);
        let [owner, stranger]: [IpAddr; 2] = [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
        assert!((0..10_000).all(|_| limits.opening(stranger, [4; 7]).is_ok()));
        let limits = Limits::new(REQUESTS_PER_MINUTE);
        while limits.opening(stranger, [4; 7]).is_ok() {}
        assert_eq!(limits.opening(owner, [4; 7]), Ok(()));
        let [one, other] = [1, 2].map(|n| HolderId::new(n, [0; 10]));
        while limits.order_to(one, [7; 32]).is_ok() {}
        assert_eq!(limits.order_to(other, [7; 32]), Ok(()));
        assert_eq!(limits.order_to(one, [8; 32]), Ok(()));
    }
}
