//! Holders.

use alloc::string::String;
use core::fmt;

use money::Money;

use crate::id::HolderId;

/// The languages mails and pages exist in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
}

impl Language {
    /// The BCP 47 tag.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }

    /// The language of a tag, if it is one of ours.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::En, Self::Ja]
            .into_iter()
            .find(|language| language.code() == code)
    }
}

/// SHA-256 of a bearer token of 256 random bits. `Debug` does not print it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash([redacted])")
    }
}

/// A holder with the balance of the account; one account, one currency.
#[derive(Clone, PartialEq, Eq)]
pub struct Holder {
    /// Id of the holder and of the account.
    pub id: HolderId,
    /// Name shown to recipients: 1 to 64 characters.
    pub name: String,
    /// Where mail to this holder goes; 3 to 254 bytes.
    pub email: Option<String>,
    /// Language of mails to this holder.
    pub language: Language,
    /// What the account holds.
    pub balance: Money,
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holder")
            .field("id", &self.id)
            .field("balance", &self.balance)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags_are_read_back_and_others_are_not_guessed() {
        for language in [Language::En, Language::Ja] {
            assert_eq!(Language::from_code(language.code()), Some(language));
        }
        assert_eq!(Language::from_code("EN"), None);
    }
}
