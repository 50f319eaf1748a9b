//! What a terminal remembers of each remittance, and the rules drawn from it.
//!
//! One entry per issuer and remittance. An entry exists from the moment its consent screen is
//! shown; the last exchange of a run is put into it, durably, before it is sent, and taken out
//! when the server has answered it conclusively. Format: docs/terminal.md, section "Journal".

use alloc::{string::String, vec::Vec};
use crashpoint::reach;
use serde::{Deserialize, Serialize};

use crate::hex;

/// Version of the entry format; another one is refused, never guessed at.
pub const VERSION: u32 = 1;

/// Names a remittance of one issuer; ids of different issuers never meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Issuer, a checked DNS name: it becomes a folder name.
    pub issuer: String,
    /// Remittance id.
    pub remittance: [u8; 16],
}

/// The facts of an order that its receipt must repeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Revision of the order.
    pub revision: u32,
    /// SHA-256 of the order bytes.
    #[serde(with = "hex::array")]
    pub order_sha256: [u8; 32],
    /// Amount in minor units of `currency`.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// A last exchange that has not been answered: money may have moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unanswered {
    /// The exact request bytes; sent again they mean the same.
    #[serde(with = "hex::bytes")]
    pub request: Vec<u8>,
    /// The order whose receipt is awaited.
    pub facts: Facts,
}

/// What is remembered of one remittance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    version: u32,
    /// The newest order opened here.
    pub latest: Facts,
    /// SHA-256 of the program file that carried it.
    #[serde(with = "hex::array")]
    pub program_sha256: [u8; 32],
    /// The exchange to send again, if any.
    pub unanswered: Option<Unanswered>,
}

/// Why a program must not be opened here again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// A newer revision of its order was opened here.
    #[error("a newer revision was opened here")]
    Superseded,
    /// The same revision was opened here in other bytes.
    #[error("the same revision was opened here in other bytes")]
    Conflict,
}

impl Entry {
    /// The entry of a remittance whose program is opened for the first time.
    #[must_use]
    pub const fn new(latest: Facts, program_sha256: [u8; 32]) -> Self {
        Self {
            version: VERSION,
            latest,
            program_sha256,
            unanswered: None,
        }
    }

    /// Whether the entry is of the version that this program writes.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.version == VERSION
    }

    /// The entry while `unanswered` waits for its answer.
    #[must_use]
    pub fn awaiting(self, unanswered: Unanswered) -> Self {
        Self {
            unanswered: Some(unanswered),
            ..self
        }
    }

    /// The entry after a program was opened here again, or the reason why it must not be.
    ///
    /// A higher revision replaces what is remembered, except an unanswered exchange.
    ///
    /// # Errors
    /// [`NotOpened::Superseded`] for a lower revision than the newest seen;
    /// [`NotOpened::Conflict`] for the same revision in other bytes.
    pub fn opened(self, latest: Facts, program_sha256: [u8; 32]) -> Result<Self, NotOpened> {
        if latest.revision < self.latest.revision {
            return Err(NotOpened::Superseded);
        }
        if latest.revision == self.latest.revision && program_sha256 != self.program_sha256 {
            return Err(NotOpened::Conflict);
        }
        Ok(Self {
            latest,
            program_sha256,
            ..self
        })
    }
}

/// Where entries and receipts are kept. Every write is durable when it returns.
pub trait Journal {
    /// Why the journal could not do it.
    type Error;

    /// The entry of `key`.
    ///
    /// # Errors
    /// It cannot be read.
    fn entry(&self, key: &Key) -> Result<Option<Entry>, Self::Error>;

    /// Writes the entry of `key`.
    ///
    /// # Errors
    /// It cannot be written; the old one stands.
    fn put(&self, key: &Key, entry: &Entry) -> Result<(), Self::Error>;

    /// The stored receipt of `key`: its exact bytes.
    ///
    /// # Errors
    /// It cannot be read.
    fn receipt(&self, key: &Key) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Writes the receipt of `key`.
    ///
    /// # Errors
    /// It cannot be written.
    fn put_receipt(&self, key: &Key, receipt: &[u8]) -> Result<(), Self::Error>;

    /// Stores a receipt that was checked, and only then forgets the unanswered exchange.
    ///
    /// # Errors
    /// As the writes; the exchange is then sent again at the next start, which is harmless.
    fn keep_receipt(&self, key: &Key, receipt: &[u8]) -> Result<(), Self::Error> {
        reach!("terminal::receipt::before-write");
        self.put_receipt(key, receipt)?;
        reach!("terminal::receipt::after-write");
        self.settle(key)
    }

    /// Forgets the unanswered exchange of `key`, which the server has answered conclusively.
    ///
    /// # Errors
    /// As reading and writing the entry.
    fn settle(&self, key: &Key) -> Result<(), Self::Error> {
        match self.entry(key)? {
            Some(entry) if entry.unanswered.is_some() => {
                let unanswered = None;
                reach!("terminal::settle::before-write");
                self.put(
                    key,
                    &Entry {
                        unanswered,
                        ..entry
                    },
                )?;
                reach!("terminal::settle::after-write");
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Facts, NotOpened, Unanswered};
    use alloc::{borrow::ToOwned, vec};

    fn facts(revision: u32) -> Facts {
        Facts {
            revision,
            order_sha256: [7; 32],
            amount_minor: 2500,
            currency: "JPY".to_owned(),
        }
    }

    #[test]
    fn a_program_is_judged_against_the_newest_one_seen() {
        let known = Entry::new(facts(2), [1; 32]);
        for (revision, program, expected) in [
            (2, [1; 32], Ok(2)),
            (2, [9; 32], Err(NotOpened::Conflict)),
            (1, [1; 32], Err(NotOpened::Superseded)),
            (3, [9; 32], Ok(3)),
        ] {
            let result = known.clone().opened(facts(revision), program);
            assert_eq!(result.map(|entry| entry.latest.revision), expected);
        }
    }

    #[test]
    fn a_newer_revision_does_not_make_an_unanswered_exchange_forgotten() {
        let unanswered = Unanswered {
            request: vec![1, 2, 3],
            facts: facts(1),
        };
        let known = Entry::new(facts(1), [1; 32]).awaiting(unanswered.clone());
        let newer = known.opened(facts(2), [2; 32]).unwrap();
        assert_eq!(newer.unanswered, Some(unanswered));
    }
}
