//! Instants, as the ledger stores them.

/// Microseconds in a second.
const MICROS_PER_SECOND: i64 = 1_000_000;

/// An instant: microseconds since 1970-01-01 UTC, without leap seconds.
///
/// The ledger never reads a clock: each command carries `now`, and the store raises it to the
/// highest instant it has committed, so that the ledger's time never runs backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01 00:00:00 UTC.
    pub const EPOCH: Self = Self(0);

    /// From microseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since 1970-01-01 UTC; a value past the range becomes the last instant.
    #[must_use]
    pub const fn from_unix_s(seconds: i64) -> Self {
        Self(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Microseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01 UTC, rounded down.
    #[must_use]
    pub const fn unix_s(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// This instant moved by whole seconds; past the range it stays at the end of it.
    #[must_use]
    pub const fn plus_s(self, seconds: i64) -> Self {
        Self(
            self.0
                .saturating_add(seconds.saturating_mul(MICROS_PER_SECOND)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_microseconds_agree_on_both_sides_of_the_epoch() {
        assert_eq!(Timestamp::from_unix_s(3).micros(), 3_000_000);
        assert_eq!(Timestamp::from_micros(-1).unix_s(), -1);
        assert_eq!(Timestamp::EPOCH.plus_s(-2), Timestamp::from_unix_s(-2));
    }

    #[test]
    fn the_end_of_the_range_is_kept_instead_of_wrapped() {
        let end = Timestamp::from_unix_s(i64::MAX);
        assert_eq!(end.plus_s(1), end);
    }
}
