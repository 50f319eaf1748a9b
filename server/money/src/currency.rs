//! The supported currencies and their minor units.

use core::fmt;

/// A currency of ISO 4217 that an issuer may keep accounts in.
///
/// A new one is a variant, a line in [`Currency::ALL`], [`Currency::code`] and
/// [`Currency::exponent`], and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Currency {
    /// Australian dollar, 2 digits.
    Aud,
    /// Bahraini dinar, 3 digits.
    Bhd,
    /// Canadian dollar, 2 digits.
    Cad,
    /// Swiss franc, 2 digits.
    Chf,
    /// Renminbi yuan, 2 digits.
    Cny,
    /// Euro, 2 digits.
    Eur,
    /// Pound sterling, 2 digits.
    Gbp,
    /// Japanese yen, no digits.
    Jpy,
    /// South Korean won, no digits.
    Krw,
    /// Kuwaiti dinar, 3 digits.
    Kwd,
    /// Singapore dollar, 2 digits.
    Sgd,
    /// New Taiwan dollar, 2 digits.
    Twd,
    /// United States dollar, 2 digits.
    Usd,
}

impl Currency {
    /// Every supported currency, by code.
    pub const ALL: [Self; 13] = [
        Self::Aud,
        Self::Bhd,
        Self::Cad,
        Self::Chf,
        Self::Cny,
        Self::Eur,
        Self::Gbp,
        Self::Jpy,
        Self::Krw,
        Self::Kwd,
        Self::Sgd,
        Self::Twd,
        Self::Usd,
    ];

    /// The alphabetic code: three ASCII capitals.
    ///
    /// Source: ISO 4217.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Aud => "AUD",
            Self::Bhd => "BHD",
            Self::Cad => "CAD",
            Self::Chf => "CHF",
            Self::Cny => "CNY",
            Self::Eur => "EUR",
            Self::Gbp => "GBP",
            Self::Jpy => "JPY",
            Self::Krw => "KRW",
            Self::Kwd => "KWD",
            Self::Sgd => "SGD",
            Self::Twd => "TWD",
            Self::Usd => "USD",
        }
    }

    /// How many digits of an amount stand behind the decimal point: `0..=3`.
    ///
    /// Source: ISO 4217, "minor unit".
    #[must_use]
    pub const fn exponent(self) -> u32 {
        match self {
            Self::Jpy | Self::Krw => 0,
            Self::Aud
            | Self::Cad
            | Self::Chf
            | Self::Cny
            | Self::Eur
            | Self::Gbp
            | Self::Sgd
            | Self::Twd
            | Self::Usd => 2,
            Self::Bhd | Self::Kwd => 3,
        }
    }

    /// How many minor units make one major unit: `10^exponent`.
    #[must_use]
    pub const fn minor_per_major(self) -> u64 {
        match 10u64.checked_pow(self.exponent()) {
            Some(minor) => minor,
            None => u64::MAX, // no exponent is anywhere near 20
        }
    }

    /// The currency with exactly this code; capitals only.
    ///
    /// # Errors
    /// [`CurrencyError::Unknown`] for any other text.
    pub fn from_code(code: &str) -> Result<Self, CurrencyError> {
        Self::ALL
            .into_iter()
            .find(|currency| currency.code() == code)
            .ok_or(CurrencyError::Unknown)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why a text names no currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CurrencyError {
    /// Not the code of a supported currency.
    #[error("currency is not supported")]
    Unknown,
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn codes_and_exponents_are_those_of_iso_4217() {
        for currency in Currency::ALL {
            let published = iso_currency::Currency::from_code(currency.code()).unwrap();
            assert_eq!(
                published.exponent().map(u32::from),
                Some(currency.exponent()),
                "{currency}"
            );
            assert_eq!(
                currency.minor_per_major(),
                10u64.pow(currency.exponent()),
                "{currency}"
            );
            assert_eq!(Currency::from_code(currency.code()), Ok(currency));
        }
    }

    #[test]
    fn each_currency_is_listed_once_in_order_of_its_code() {
        assert!(
            Currency::ALL
                .windows(2)
                .all(|pair| pair[0] < pair[1] && pair[0].code() < pair[1].code())
        );
    }

    #[test]
    fn only_the_exact_code_names_a_currency() {
        for code in [
            "",
            "jpy",
            "Jpy",
            " JPY",
            "JPY ",
            "JPYX",
            "XXX",
            "ＪＰＹ",
            "¥",
        ] {
            assert_eq!(
                Currency::from_code(code),
                Err(CurrencyError::Unknown),
                "{code:?}"
            );
        }
    }
}
