//! The journal in its folder: entries and receipts as files. The rules are in `relay::journal`.
//!
//! Format: docs/terminal.md, section "Journal".

pub use relay::journal::{Entry, Facts, Key, NotOpened, Unanswered, VERSION};
use std::path::PathBuf;

use crate::failure::Failure;
use crate::hex;
use crate::state::{Lock, StateDir};

impl From<NotOpened> for Failure {
    fn from(error: NotOpened) -> Self {
        Self::new(match error {
            NotOpened::Superseded => "E_SUPERSEDED",
            NotOpened::Conflict => "E_ORDER_CONFLICT",
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

    /// The remittances with an entry here.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn keys(&self) -> Result<Vec<Key>, Failure> {
        self.below("journal", "json")
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

impl relay::journal::Journal for Journal {
    type Error = Failure;

    /// `E_STATE` also for an entry that is damaged or of another version: what may stand in it is
    /// worth money, so it is never skipped silently.
    fn entry(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        let name = path("journal", key, "json");
        let Some(bytes) = self.state.read(&name)? else {
            return Ok(None);
        };
        let entry: Entry = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::with("E_STATE", format!("{}: {error}", name.display())))?;
        if entry.is_known() {
            Ok(Some(entry))
        } else {
            Err(Failure::with(
                "E_STATE",
                format!("{}: unknown version", name.display()),
            ))
        }
    }

    fn put(&self, key: &Key, entry: &Entry) -> Result<(), Failure> {
        let bytes =
            serde_json::to_vec_pretty(entry).map_err(|error| Failure::with("E_STATE", error))?;
        self.state.write(&path("journal", key, "json"), &bytes)
    }

    fn receipt(&self, key: &Key) -> Result<Option<Vec<u8>>, Failure> {
        self.state.read(&path("receipts", key, "receipt"))
    }

    fn put_receipt(&self, key: &Key, receipt: &[u8]) -> Result<(), Failure> {
        self.state.write(&path("receipts", key, "receipt"), receipt)
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
    use relay::journal::Journal as _;

    fn facts(revision: u32) -> Facts {
        Facts {
            revision,
            order_sha256: [7; 32],
            amount_minor: 2500,
            currency: "JPY".to_owned(),
        }
    }

    fn unanswered() -> Unanswered {
        Unanswered {
            request: vec![1, 2, 3],
            facts: facts(1),
        }
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
        let entry = Entry::new(facts(1), [1; 32]).awaiting(unanswered());
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
