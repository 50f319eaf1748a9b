//! The card number that a sender types.

use alloc::string::String;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Digits of a card number.
const DIGITS: usize = 16;

/// Longest text that is looked at, in bytes: 16 digits and as many separators.
const TEXT_LEN_MAX: usize = 32;

/// Why a text is not a card number; the text itself is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardNumberError {
    /// Something other than a digit, a space or a hyphen.
    #[error("a card number is made of digits")]
    NotDigits,
    /// Fewer or more than 16 digits.
    #[error("a card number has 16 digits")]
    Length,
    /// The last digit does not fit the others: most likely a typing error.
    #[error("the check digit of the card number is wrong")]
    CheckDigit,
}

/// A card number: 16 decimal digits, the last one a Luhn check digit.
///
/// It is stored nowhere: the server keeps a keyed hash for finding it again ([`crate::NumberRef`])
/// and the masked form. `Debug` prints no digit, and the digits are erased on drop.
///
/// Source: ISO/IEC 7812-1, annex B (check digit).
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct CardNumber([u8; DIGITS]);

impl CardNumber {
    /// Reads a number as people type it; spaces and hyphens are skipped.
    ///
    /// # Errors
    /// [`CardNumberError`], in the order of its variants.
    pub fn parse(text: &str) -> Result<Self, CardNumberError> {
        if text.len() > TEXT_LEN_MAX {
            return Err(CardNumberError::Length);
        }
        let mut number = Self([b'0'; DIGITS]);
        let mut free = number.0.iter_mut();
        let mut too_many = false;
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' => match free.next() {
                    Some(place) => *place = byte,
                    None => too_many = true,
                },
                b' ' | b'-' => {}
                _ => return Err(CardNumberError::NotDigits),
            }
        }
        if too_many || free.next().is_some() {
            return Err(CardNumberError::Length);
        }
        if !luhn_sum(&number.0).is_multiple_of(10) {
            return Err(CardNumberError::CheckDigit);
        }
        Ok(number)
    }

    /// Completes 15 digits with their check digit, for the issuing office.
    ///
    /// `payload`: numbers 0 to 9, most significant first.
    ///
    /// # Errors
    /// [`CardNumberError::NotDigits`] where a value is above 9.
    pub fn from_payload(payload: [u8; 15]) -> Result<Self, CardNumberError> {
        let mut number = Self([b'0'; DIGITS]);
        for (place, digit) in number.0.iter_mut().zip(payload) {
            if digit > 9 {
                return Err(CardNumberError::NotDigits);
            }
            *place = digit.wrapping_add(b'0');
        }
        let check = (b'0'..=b'9').find(|check| {
            if let Some(last) = number.0.last_mut() {
                *last = *check;
            }
            luhn_sum(&number.0).is_multiple_of(10)
        });
        // one of ten consecutive sums is always a multiple of ten
        check
            .map(|_| number.clone())
            .ok_or(CardNumberError::CheckDigit)
    }

    /// The 16 digits as ASCII, for the keyed hash and for the card's own file; never for a log.
    #[must_use]
    pub const fn digits(&self) -> &[u8; DIGITS] {
        &self.0
    }

    /// The form that may be shown, mailed and logged: `**** **** **** 1234`.
    #[must_use]
    pub fn masked(&self) -> String {
        let mut masked = String::from("**** **** **** ");
        masked.extend(self.0.iter().skip(12).map(|digit| char::from(*digit)));
        masked
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardNumber([redacted])")
    }
}

/// Sum of the digits, every second one from the right doubled and cast out by nine.
fn luhn_sum(digits: &[u8; DIGITS]) -> u32 {
    digits
        .iter()
        .rev()
        .enumerate()
        .fold(0_u32, |sum, (at, digit)| {
            let value = u32::from(digit.wrapping_sub(b'0'));
            let counted = match (at % 2, value) {
                (0, value) => value,
                (_, 0..=4) => value.saturating_mul(2),
                (_, value) => value.saturating_mul(2).saturating_sub(9),
            };
            sum.saturating_add(counted)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const GOOD: &str = "4539 1488 0343 6467";

    #[test]
    fn a_number_is_read_with_and_without_separators() {
        let number = CardNumber::parse(GOOD).unwrap();
        assert_eq!(CardNumber::parse("4539-1488-0343-6467"), Ok(number.clone()));
        assert_eq!(number.digits(), b"4539148803436467");
        assert_eq!(number.masked(), "**** **** **** 6467");
    }

    #[test]
    fn one_wrong_digit_and_a_swap_of_neighbours_are_noticed() {
        for bad in ["4539148803436468", "4539148803436476", "4593148803436467"] {
            assert_eq!(
                CardNumber::parse(bad),
                Err(CardNumberError::CheckDigit),
                "{bad}"
            );
        }
    }

    #[test]
    fn other_lengths_and_characters_are_refused() {
        for (bad, error) in [
            ("", CardNumberError::Length),
            ("453914880343646", CardNumberError::Length),
            ("45391488034364670", CardNumberError::Length),
            ("4539 1488 0343 646x", CardNumberError::NotDigits),
            ("\u{ff14}539148803436467", CardNumberError::NotDigits),
        ] {
            assert_eq!(CardNumber::parse(bad), Err(error), "{bad}");
        }
        let longest = format!("{GOOD:<32}");
        assert!(CardNumber::parse(&longest).is_ok());
        assert_eq!(
            CardNumber::parse(&format!("{longest} ")),
            Err(CardNumberError::Length)
        );
    }

    #[test]
    fn every_payload_gets_the_check_digit_that_parses() {
        for last in 0..=9 {
            let number = CardNumber::from_payload([4, 5, 3, 9, 1, 4, 8, 8, 0, 3, 4, 3, 6, 4, last]);
            let number = number.unwrap();
            let text = core::str::from_utf8(number.digits()).unwrap();
            assert_eq!(CardNumber::parse(text), Ok(number.clone()));
        }
        assert_eq!(
            CardNumber::from_payload([10; 15]),
            Err(CardNumberError::NotDigits)
        );
    }

    #[test]
    fn debug_prints_no_digit() {
        let shown = format!("{:?}", CardNumber::parse(GOOD).unwrap());
        assert_eq!(shown, "CardNumber([redacted])");
    }
}
