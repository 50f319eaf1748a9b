//! What two persons decide together: who they are, and why they did it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::card::{CardState, CardStatus, EVIDENCE_LEN_MAX};
use crate::command::LoggedCredit;
use crate::holder::TokenHash;
use crate::id::{CardId, RemittanceId, TransferId};
use crate::remittance::RECEIPT_LEN_MAX;
use crate::time::Timestamp;

/// Longest name of an officer, in characters.
pub const OFFICER_NAME_LEN_MAX: usize = 32;

/// Longest reason, in characters: a sentence or two, not a file.
pub const REASON_CHARS_MAX: usize = 200;

/// The text is not a name of an officer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an officer's name is 1 to 32 of a to z, 0 to 9, dot, hyphen and underscore")]
pub struct OfficerNameError;

/// Name of an officer: 1 to 32 of `a` to `z`, `0` to `9`, `.`, `-`, `_`, so that two names never look
/// alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfficerName(String);

impl OfficerName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`OfficerNameError`].
    pub fn new(name: &str) -> Result<Self, OfficerNameError> {
        let lawful = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        if (1..=OFFICER_NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(lawful) {
            Ok(Self(name.into()))
        } else {
            Err(OfficerNameError)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OfficerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An officer as they come to a decision: a name, and the hash of the token that only they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Officer {
    /// Who they say they are.
    pub name: OfficerName,
    /// What they have shown.
    pub token: TokenHash,
}

/// Two persons and their reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// One of them.
    pub first: Officer,
    /// The other.
    pub second: Officer,
    /// Why, for whoever reads it years later: 1 to [`REASON_CHARS_MAX`] characters, no control
    /// characters.
    pub reason: String,
}

impl Approval {
    /// Whether the reason is one.
    #[must_use]
    pub fn is_within_bounds(&self) -> bool {
        (1..=REASON_CHARS_MAX).contains(&self.reason.chars().count())
            && !self.reason.trim().is_empty()
            && !self.reason.chars().any(char::is_control)
    }
}

/// Two persons close a remittance in doubt without its card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseInDoubt {
    /// Which.
    pub remittance: RemittanceId,
    /// Who, and why.
    pub approval: Approval,
    /// The caller's clock.
    pub now: Timestamp,
}

/// How two persons decide a case.
#[derive(Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The card's truth, read from it by a reader of the issuing office in an authenticated session
    /// after the case was opened.
    Adopt {
        /// What the card shows as credited of its remittances that are undecided; the others are
        /// absent.
        credited: Vec<LoggedCredit>,
        /// STATE.
        state: CardState,
        /// VALUE, minor units.
        value: i64,
        /// All that was read, encoded by the caller.
        evidence: Vec<u8>,
        /// Id of the adjustment, should one be needed.
        adjustment: TransferId,
    },
    /// The card is blocked for good; nothing is concluded.
    Block,
}

impl fmt::Debug for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Adopt { .. } => "Adopt",
            Self::Block => "Block",
        })
    }
}

/// Two persons decide a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveCase {
    /// Its number.
    pub case: u64,
    /// How.
    pub resolution: Resolution,
    /// Who, and why.
    pub approval: Approval,
    /// The caller's clock.
    pub now: Timestamp,
}

impl ResolveCase {
    /// Whether evidence, receipts and reason are within their limits.
    #[must_use]
    pub fn is_within_bounds(&self) -> bool {
        let resolution = match &self.resolution {
            Resolution::Block => true,
            Resolution::Adopt {
                credited, evidence, ..
            } => {
                let receipts = |logged: &LoggedCredit| logged.receipt.len() <= RECEIPT_LEN_MAX;
                evidence.len() <= EVIDENCE_LEN_MAX && credited.iter().all(receipts)
            }
        };
        resolution && self.approval.is_within_bounds()
    }
}

/// What deciding a case did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseResolved {
    /// The card.
    pub card: CardId,
    /// Its status from now on.
    pub status: CardStatus,
    /// What its account was given, or with a minus was taken from it, minor units.
    pub adjusted: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_officers_name_is_short_and_plain() {
        let longest = "a".repeat(OFFICER_NAME_LEN_MAX);
        for good in ["a", "bob.s-2_x", longest.as_str()] {
            assert_eq!(OfficerName::new(good).unwrap().as_str(), good);
        }
        let longer = "a".repeat(OFFICER_NAME_LEN_MAX + 1);
        for bad in ["", "Bob", "b b", "b\u{f6}b", longer.as_str()] {
            assert_eq!(OfficerName::new(bad), Err(OfficerNameError), "{bad}");
        }
    }

    #[test]
    fn a_reason_is_1_to_200_visible_characters() {
        let officer = |name| Officer {
            name: OfficerName::new(name).unwrap(),
            token: TokenHash([0; 32]),
        };
        let check = |reason: &str| {
            Approval {
                first: officer("a"),
                second: officer("b"),
                reason: reason.into(),
            }
            .is_within_bounds()
        };
        assert!(check("x") && check(&"\u{540d}".repeat(REASON_CHARS_MAX)));
        for bad in ["", "  ", "two\nlines", &"x".repeat(REASON_CHARS_MAX + 1)] {
            assert!(!check(bad), "{bad:?}");
        }
    }
}
