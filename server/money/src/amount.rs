//! Sums of money: signed balances and strictly positive amounts.

use core::fmt;

use crate::Currency;

/// Longest text that is read as an amount, in bytes; the longest one that fits `i64` is 20.
const PARSE_LEN_MAX: usize = 32;

/// A sum in minor units of one currency; may be zero or negative, as a balance may.
///
/// Prints as code, blank, sign, digits in groups of three and as many decimals as the currency
/// has: `JPY 2,500`, `USD 12.34`, `KWD -1.005`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// `minor` minor units of `currency`.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// The sum in minor units.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The exact sum of both.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`] first, then [`MoneyError::Overflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// The exact difference, `self` less `other`.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`] first, then [`MoneyError::Overflow`].
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    fn combine(
        self,
        other: Self,
        operation: fn(i64, i64) -> Option<i64>,
    ) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        operation(self.minor, other.minor)
            .map(|minor| Self::new(minor, self.currency))
            .ok_or(MoneyError::Overflow)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.currency.minor_per_major();
        let minor = self.minor.unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        write!(f, "{} {sign}", self.currency)?;
        grouped(f, minor.checked_div(scale).unwrap_or(minor))?;
        match self.currency.exponent() {
            0 => Ok(()),
            digits => {
                let rest = minor.checked_rem(scale).unwrap_or(0);
                write!(
                    f,
                    ".{rest:0width$}",
                    width = usize::try_from(digits).unwrap_or(0)
                )
            }
        }
    }
}

/// Writes `number` with a comma before every third digit from the right.
fn grouped(f: &mut fmt::Formatter<'_>, number: u64) -> fmt::Result {
    match (number.checked_div(1000), number.checked_rem(1000)) {
        (Some(high @ 1..), Some(low)) => {
            grouped(f, high)?;
            write!(f, ",{low:03}")
        }
        _ => write!(f, "{number}"),
    }
}

/// Why two sums have no sum or difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoneyError {
    /// The result does not fit into 64 bits.
    #[error("sum of money is too large")]
    Overflow,
    /// The two sums are in different currencies.
    #[error("currencies differ")]
    CurrencyMismatch,
}

/// A strictly positive sum: `1..=i64::MAX` minor units of one currency.
///
/// What can be ordered, transferred and credited; printed as [`Money`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Amount(Money);

impl Amount {
    /// `minor` minor units of `currency`.
    ///
    /// # Errors
    /// [`AmountError::NotPositive`] for zero and below.
    pub const fn new(minor: i64, currency: Currency) -> Result<Self, AmountError> {
        if minor < 1 {
            return Err(AmountError::NotPositive);
        }
        Ok(Self(Money::new(minor, currency)))
    }

    /// Reads what a person types: ASCII digits, then at most one point with 1 up to
    /// [`Currency::exponent`] digits. `12`, `12.3` and `12.30` are the same amount of dollars.
    ///
    /// No blanks, signs, separators, exponents or needless leading zeros; nothing is rounded.
    ///
    /// # Errors
    /// In this order: [`AmountError::Malformed`]; [`AmountError::TooManyDigits`];
    /// [`AmountError::Negative`] for a well-formed amount behind a minus sign;
    /// [`AmountError::Zero`]; [`AmountError::TooLarge`] beyond `i64::MAX` minor units.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, AmountError> {
        if text.len() > PARSE_LEN_MAX {
            return Err(AmountError::Malformed);
        }
        let (unsigned, negative) = match text.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (major, decimals) = match unsigned.split_once('.') {
            Some((major, decimals)) if is_digits(decimals) => (major, decimals),
            Some(_) => return Err(AmountError::Malformed),
            None => (unsigned, ""),
        };
        let leading_zero = major.len() > 1 && major.starts_with('0');
        if !is_digits(major) || leading_zero {
            return Err(AmountError::Malformed);
        }
        let exponent = currency.exponent();
        let missing = usize::try_from(exponent)
            .ok()
            .and_then(|digits| digits.checked_sub(decimals.len()))
            .ok_or(AmountError::TooManyDigits { allowed: exponent })?;
        let digits = major
            .bytes()
            .chain(decimals.bytes())
            .chain(core::iter::repeat_n(b'0', missing));
        match minor_units(digits) {
            Some(0) => Err(AmountError::Zero),
            Some(_) | None if negative => Err(AmountError::Negative),
            Some(minor) => Self::new(minor, currency),
            None => Err(AmountError::TooLarge),
        }
    }

    /// The amount in minor units, at least 1.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.0.minor
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.0.currency
    }

    /// The amount as a sum that can be added and subtracted.
    #[must_use]
    pub const fn money(self) -> Money {
        self.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The value of ASCII digits, most significant first; nothing if it does not fit.
fn minor_units(mut digits: impl Iterator<Item = u8>) -> Option<i64> {
    digits.try_fold(0i64, |value, digit| {
        value
            .checked_mul(10)?
            .checked_add(i64::from(digit.checked_sub(b'0')?))
    })
}

/// Why a number or a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmountError {
    /// Zero or negative minor units.
    #[error("amount is not positive")]
    NotPositive,
    /// Not digits with at most one decimal point.
    #[error("amount is not written as digits with at most one decimal point")]
    Malformed,
    /// More decimals than the currency has.
    #[error("amount has more than {allowed} decimals")]
    TooManyDigits {
        /// What [`Currency::exponent`] allows.
        allowed: u32,
    },
    /// Zero.
    #[error("amount is zero")]
    Zero,
    /// Negative.
    #[error("amount is negative")]
    Negative,
    /// More than `i64::MAX` minor units.
    #[error("amount is too large")]
    TooLarge,
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    fn check_parse(text: &str, currency: Currency, expected: Result<i64, AmountError>) {
        let parsed = Amount::parse(text, currency).map(Amount::minor);
        assert_eq!(parsed, expected, "{text:?} in {currency}");
    }

    #[test]
    fn money_prints_with_groups_and_the_decimals_of_its_currency() {
        for (minor, currency, text) in [
            (0, Currency::Jpy, "JPY 0"),
            (999, Currency::Jpy, "JPY 999"),
            (2_500, Currency::Jpy, "JPY 2,500"),
            (-1_000_000, Currency::Jpy, "JPY -1,000,000"),
            (1_234, Currency::Usd, "USD 12.34"),
            (5, Currency::Usd, "USD 0.05"),
            (-5, Currency::Usd, "USD -0.05"),
            (100_000_000, Currency::Usd, "USD 1,000,000.00"),
            (-1_005, Currency::Kwd, "KWD -1.005"),
            (i64::MAX, Currency::Jpy, "JPY 9,223,372,036,854,775,807"),
            (i64::MIN, Currency::Kwd, "KWD -9,223,372,036,854,775.808"),
        ] {
            assert_eq!(Money::new(minor, currency).to_string(), text);
        }
        assert_eq!(
            Amount::new(1_234, Currency::Usd).unwrap().to_string(),
            "USD 12.34"
        );
    }

    #[test]
    fn an_amount_is_at_least_one_minor_unit() {
        assert_eq!(Amount::new(1, Currency::Jpy).map(Amount::minor), Ok(1));
        assert_eq!(
            Amount::new(i64::MAX, Currency::Jpy).map(Amount::minor),
            Ok(i64::MAX)
        );
        for minor in [0, -1, i64::MIN] {
            assert_eq!(
                Amount::new(minor, Currency::Jpy),
                Err(AmountError::NotPositive)
            );
        }
    }

    #[test]
    fn typed_amounts_are_read_exactly() {
        check_parse("1", Currency::Jpy, Ok(1));
        check_parse("2500", Currency::Jpy, Ok(2_500));
        check_parse("12", Currency::Usd, Ok(1_200));
        check_parse("12.3", Currency::Usd, Ok(1_230));
        check_parse("12.34", Currency::Usd, Ok(1_234));
        check_parse("0.01", Currency::Usd, Ok(1));
        check_parse("1.005", Currency::Kwd, Ok(1_005));
        check_parse("9223372036854775807", Currency::Jpy, Ok(i64::MAX));
        check_parse("92233720368547758.07", Currency::Usd, Ok(i64::MAX));
    }

    #[test]
    fn amounts_that_are_no_amounts_are_refused_each_for_its_reason() {
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "-.5",
            "1.2.3",
            "--1",
            "+1",
            " 1",
            "1 ",
            "1,000",
            "1e3",
            "0x10",
            "01",
            "00",
            "00.5",
            "１",
            "1\u{a0}000",
            "1.２",
            "NaN",
            "1_000",
            "-01",
            "000000000000000000000000000000001",
        ] {
            check_parse(text, Currency::Usd, Err(AmountError::Malformed));
        }
        check_parse(
            "1.0",
            Currency::Jpy,
            Err(AmountError::TooManyDigits { allowed: 0 }),
        );
        check_parse(
            "0.001",
            Currency::Usd,
            Err(AmountError::TooManyDigits { allowed: 2 }),
        );
        check_parse(
            "1.0050",
            Currency::Kwd,
            Err(AmountError::TooManyDigits { allowed: 3 }),
        );
        check_parse(
            "-0.001",
            Currency::Usd,
            Err(AmountError::TooManyDigits { allowed: 2 }),
        );
        check_parse("0", Currency::Jpy, Err(AmountError::Zero));
        check_parse("0.00", Currency::Usd, Err(AmountError::Zero));
        check_parse("-0", Currency::Jpy, Err(AmountError::Zero));
        check_parse("-1", Currency::Jpy, Err(AmountError::Negative));
        check_parse("-0.01", Currency::Usd, Err(AmountError::Negative));
        check_parse(
            "9223372036854775808",
            Currency::Jpy,
            Err(AmountError::TooLarge),
        );
        check_parse(
            "92233720368547758.08",
            Currency::Usd,
            Err(AmountError::TooLarge),
        );
        check_parse(&"9".repeat(32), Currency::Jpy, Err(AmountError::TooLarge));
        check_parse(&"9".repeat(33), Currency::Jpy, Err(AmountError::Malformed));
    }

    #[test]
    fn sums_stay_within_one_currency_and_within_64_bits() {
        let yen = |minor| Money::new(minor, Currency::Jpy);
        assert_eq!(yen(2).checked_add(yen(-5)), Ok(yen(-3)));
        assert_eq!(yen(2).checked_sub(yen(5)), Ok(yen(-3)));
        assert_eq!(yen(i64::MAX).checked_add(yen(0)), Ok(yen(i64::MAX)));
        assert_eq!(yen(i64::MAX).checked_add(yen(1)), Err(MoneyError::Overflow));
        assert_eq!(yen(i64::MIN).checked_sub(yen(1)), Err(MoneyError::Overflow));
        let dollars = Money::new(i64::MAX, Currency::Usd);
        assert_eq!(
            yen(i64::MAX).checked_add(dollars),
            Err(MoneyError::CurrencyMismatch)
        );
    }

    proptest! {
        #[test]
        fn what_is_printed_without_its_separators_is_read_back(minor in 1..=i64::MAX, index in 0..Currency::ALL.len()) {
            let amount = Amount::new(minor, Currency::ALL[index]).unwrap();
            let typed = amount.to_string()[4..].replace(',', "");
            prop_assert_eq!(Amount::parse(&typed, amount.currency()), Ok(amount));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[-0-9., e+]{0,40}|\\PC{0,40}", index in 0..Currency::ALL.len()) {
            let _ = Amount::parse(&text, Currency::ALL[index]);
        }
    }
}
