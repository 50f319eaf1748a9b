//! What this terminal remembers of each remittance, and the rules drawn from it.
//!
//! One entry per issuer and remittance. An entry exists from the moment its consent screen is
//! shown; the last exchange of a run is put into it, durably, before it is sent, and taken out
//! when the server has answered it conclusively. Format: docs/terminal.md, section "Journal".

use crashpoint::reach;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use crate::failure::Failure;
use crate::hex;
use crate::state::{Lock, StateDir};

/// Version of the entry format; another one is refused, never guessed at.
pub const VERSION: u32 = 1;

/// Names a remittance of one issuer; ids of different issuers never meet.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// `E_SUPERSEDED` for a lower revision than the newest seen; `E_ORDER_CONFLICT` for
    /// the same revision in other bytes.
    pub fn opened(self, latest: Facts, program_sha256: [u8; 32]) -> Result<Self, Failure> {
        if latest.revision < self.latest.revision {
            return Err(Failure::new("E_SUPERSEDED"));
        }
        if latest.revision == self.latest.revision && program_sha256 != self.program_sha256 {
            return Err(Failure::new("E_ORDER_CONFLICT"));
        }
        Ok(Self {
            latest,
            program_sha256,
            ..self
        })
    }
}

/// The journal in its folder.
#[derive(Debug, Clone)]
pub struct Journal {
    state: StateDir,
}

impl Journal {
    /// The journal of `state`.
    #[must_use]
    pub const fn new(state: StateDir) -> Self {
        Self { state }
    }

    /// Takes the remittance for this process, so that no two runs write its entry at once.
    ///
    /// # Errors
    /// `E_ALREADY_RUNNING`, `E_STATE`.
    pub fn lock(&self, key: &Key) -> Result<Lock, Failure> {
        let name = path("journal", key, "lock");
        self.state
            .try_lock(&name)?
            .ok_or(Failure::new("E_ALREADY_RUNNING"))
    }

    /// Reads the entry of `key`.
    ///
    /// # Errors
    /// `E_STATE`, also for an entry that is damaged or of another version: what may stand
    /// in it is worth money, so it is never skipped silently.
    pub fn entry(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        let name = path("journal", key, "json");
        let Some(bytes) = self.state.read(&name)? else {
            return Ok(None);
        };
        let entry: Entry = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::with("E_STATE", format!("{}: {error}", name.display())))?;
        if entry.version == VERSION {
            Ok(Some(entry))
        } else {
            Err(Failure::with(
                "E_STATE",
                format!("{}: unknown version", name.display()),
            ))
        }
    }

    /// Writes the entry of `key`, durably.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn put(&self, key: &Key, entry: &Entry) -> Result<(), Failure> {
        let bytes =
            serde_json::to_vec_pretty(entry).map_err(|error| Failure::with("E_STATE", error))?;
        self.state.write(&path("journal", key, "json"), &bytes)
    }

    /// The remittances with an entry here.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn keys(&self) -> Result<Vec<Key>, Failure> {
        self.below("journal", "json")
    }

    /// The stored receipt of `key`: its exact bytes.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn receipt(&self, key: &Key) -> Result<Option<Vec<u8>>, Failure> {
        self.state.read(&path("receipts", key, "receipt"))
    }

    /// Stores a receipt that was checked, and only then forgets the unanswered exchange.
    ///
    /// # Errors
    /// `E_STATE`; the exchange is then sent again at the next start, which is harmless.
    pub fn keep_receipt(&self, key: &Key, receipt: &[u8]) -> Result<(), Failure> {
        reach!("terminal::receipt::before-write");
        self.state
            .write(&path("receipts", key, "receipt"), receipt)?;
        reach!("terminal::receipt::after-write");
        self.settle(key)
    }

    /// Forgets the unanswered exchange of `key`, which the server has answered conclusively.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn settle(&self, key: &Key) -> Result<(), Failure> {
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

    /// The remittances with a stored receipt.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn receipts(&self) -> Result<Vec<Key>, Failure> {
        self.below("receipts", "receipt")
    }

    fn below(&self, folder: &str, suffix: &str) -> Result<Vec<Key>, Failure> {
        let mut keys = Vec::new();
        for issuer in self.state.list(&PathBuf::from(folder), "")? {
            for file in self.state.list(&issuer, suffix)? {
                let stem = file.file_stem().and_then(|stem| stem.to_str());
                let issuer = issuer.file_name().and_then(|name| name.to_str());
                if let (Some(issuer), Some(remittance)) = (issuer, stem.and_then(hex::parse_id)) {
                    keys.push(Key {
                        issuer: issuer.to_owned(),
                        remittance,
                    });
                }
            }
        }
        Ok(keys)
    }
}

fn path(folder: &str, key: &Key, suffix: &str) -> PathBuf {
    let file = format!("{}.{suffix}", hex::id(&key.remittance));
    [folder, &key.issuer, &file].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{Entry, Facts, Journal, Key, Unanswered};
    use crate::state::StateDir;

    fn facts(revision: u32) -> Facts {
        Facts {
            revision,
            order_sha256: [7; 32],
            amount_minor: 2500,
            currency: "JPY".to_owned(),
        }
    }

    fn unanswered() -> Option<Unanswered> {
        Some(Unanswered {
            request: vec![1, 2, 3],
            facts: facts(1),
        })
    }

    #[test]
    fn a_program_is_judged_against_the_newest_one_seen() {
        let known = Entry::new(facts(2), [1; 32]);
        for (revision, program, expected) in [
            (2, [1; 32], Ok(2)),
            (2, [9; 32], Err("E_ORDER_CONFLICT")),
            (1, [1; 32], Err("E_SUPERSEDED")),
            (3, [9; 32], Ok(3)),
        ] {
            let result = known.clone().opened(facts(revision), program);
            let result = result
                .map(|entry| entry.latest.revision)
                .map_err(|f| f.code);
            assert_eq!(result, expected);
        }
    }

    #[test]
    fn a_newer_revision_does_not_make_an_unanswered_exchange_forgotten() {
        let known = Entry {
            unanswered: unanswered(),
            ..Entry::new(facts(1), [1; 32])
        };
        let newer = known.opened(facts(2), [2; 32]).unwrap();
        assert_eq!(newer.unanswered, unanswered());
    }

    #[test]
    fn entries_survive_and_a_receipt_ends_the_unanswered_exchange() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(StateDir::open(dir.path()).unwrap());
        let key = Key {
            issuer: "pay.example.org".to_owned(),
            remittance: [0xab; 16],
        };
        assert_eq!(journal.entry(&key).unwrap(), None);
        let entry = Entry {
            unanswered: unanswered(),
            ..Entry::new(facts(1), [1; 32])
        };
        journal.put(&key, &entry).unwrap();
        assert_eq!(journal.entry(&key).unwrap(), Some(entry));
        assert_eq!(journal.keys().unwrap(), vec![key.clone()]);
        journal.keep_receipt(&key, b"receipt").unwrap();
        assert_eq!(
            journal.receipt(&key).unwrap().as_deref(),
            Some(&b"receipt"[..])
        );
        assert_eq!(journal.entry(&key).unwrap().unwrap().unanswered, None);
        assert_eq!(journal.receipts().unwrap(), [key]);
    }

    #[test]
    fn a_damaged_entry_is_reported_not_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let journal = Journal::new(state.clone());
        let key = Key {
            issuer: "pay.example.org".to_owned(),
            remittance: [0; 16],
        };
        journal.put(&key, &Entry::new(facts(1), [1; 32])).unwrap();
        let name = super::path("journal", &key, "json");
        let good = String::from_utf8(state.read(&name).unwrap().unwrap()).unwrap();
        for bad in ["", "{}", &good.replace("\"version\": 1", "\"version\": 2")] {
            state.write(&name, bad.as_bytes()).unwrap();
            assert_eq!(journal.entry(&key).unwrap_err().code, "E_STATE");
        }
    }

    #[test]
    fn two_runs_of_one_remittance_at_once_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(StateDir::open(dir.path()).unwrap());
        let key = Key {
            issuer: "pay.example.org".to_owned(),
            remittance: [0; 16],
        };
        let _held = journal.lock(&key).unwrap();
        assert_eq!(journal.lock(&key).unwrap_err().code, "E_ALREADY_RUNNING");
    }
}
