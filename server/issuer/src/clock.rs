//! Time and randomness, handed to everything that needs them.

use ledger::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tells the time; never less than it told before in this process.
pub trait Clock: Send + Sync {
    /// Now, UTC microseconds.
    fn now(&self) -> Timestamp;
}

/// Gives unpredictable bytes.
pub trait Random: Send + Sync {
    /// Overwrites `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

/// A new array of random bytes.
#[must_use]
pub fn random<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut out = [0; N];
    random.fill(&mut out);
    out
}

/// What a new time-ordered id is made of: Unix milliseconds and random bytes (RFC 9562 5.7).
#[must_use]
pub fn id_parts(now: Timestamp, rng: &dyn Random) -> (u64, [u8; 10]) {
    (
        u64::try_from(now.micros() / 1_000).unwrap_or(0),
        random(rng),
    )
}

/// Seconds since 1970-01-01 UTC, rounded down; zero before that.
#[must_use]
pub fn unix_seconds(at: Timestamp) -> u64 {
    u64::try_from(at.unix_s()).unwrap_or(0)
}

/// RFC 3339 in UTC with seconds, as every time in an answer is written.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.micros()).map_or_else(
        |_| "out-of-range".to_owned(),
        |t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

/// The machine's clock, read here and nowhere else.
#[derive(Debug, Default)]
pub struct SystemClock {
    floor: AtomicI64,
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
        let before = self.floor.fetch_max(since, Ordering::Relaxed);
        Timestamp::from_micros(since.max(before))
    }
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system gives random bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_seconds() {
        assert_eq!(
            rfc3339(Timestamp::from_micros(1_700_000_000_999_999)),
            "2023-11-14T22:13:20Z"
        );
    }
}
