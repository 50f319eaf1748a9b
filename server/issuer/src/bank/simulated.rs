//! A bank in a JSON file, for tests and demonstrations: slow, silent, late or refusing as its file
//! says.
//!
//! ```json
//! { "accounts": { "0001-1234567": { "balance_minor": 50000, "slow_ms": 0, "refuse": null,
//!                                   "pending_polls": 0, "hold": false, "lose_requests": 0,
//!                                   "lose_answers": 0, "lose_refund_answers": 0 } },
//!   "references": { "<remittance>": { "account": "0001-1234567", "amount_minor": 2500,
//!                                     "state": "confirmed", "debits": 1, "refunds": 0 } } }
//! ```
//! Whoever changes the file holds the lock on `FILE.lock` and replaces it whole, so that the bank's
//! memory survives any process that talks to it, as a bank's does.

use super::{Bank, Debit, Refund, Standing};
use crate::files;
use anyhow::Context;
use async_trait::async_trait;
use ledger::RemittanceId;
use money::Amount;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

/// The whole file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Books {
    accounts: BTreeMap<String, Customer>,
    references: BTreeMap<String, Entry>,
}

/// One customer's account, and how the bank behaves about it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Customer {
    balance_minor: i64,
    /// Answers come this much later; what was asked is done all the same.
    slow_ms: u64,
    /// Refuses debits with these words.
    refuse: Option<String>,
    /// So many questions are answered with "pending" before a debit is carried out.
    pending_polls: u32,
    /// Debits stay pending while this is set.
    hold: bool,
    /// So many debits never arrive.
    lose_requests: u32,
    /// So many answers to debits never arrive.
    lose_answers: u32,
    /// So many answers to refunds never arrive.
    lose_refund_answers: u32,
}

/// What the bank remembers of a reference.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    account: String,
    amount_minor: i64,
    state: State,
    /// How often the account was debited under this reference: more than once would be a defect.
    debits: u32,
    /// How often it got the amount back.
    refunds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Pending,
    Confirmed,
    Refused,
    Refunded,
    Void,
}

const LOST: &str = "no answer";

/// The bank in a file.
#[derive(Clone, Debug)]
pub struct SimulatedBank {
    file: PathBuf,
}

impl SimulatedBank {
    /// Opens the bank; a missing file is a bank without accounts.
    ///
    /// # Errors
    /// The file is unreadable or none of ours.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let bank = Self {
            file: file.to_owned(),
        };
        bank.with(|_| ())?;
        Ok(bank)
    }

    /// Changes the books under their lock.
    fn with<T>(&self, change: impl FnOnce(&mut Books) -> T) -> anyhow::Result<T> {
        let mut lock = self.file.clone().into_os_string();
        lock.push(".lock");
        let lock = File::create(Path::new(&lock)).context("the bank's lock")?;
        lock.lock().context("the bank's lock")?;
        let mut books: Books = match std::fs::read(&self.file) {
            Ok(bytes) => serde_json::from_slice(&bytes).context("the bank's file")?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Books::default(),
            Err(error) => return Err(error.into()),
        };
        let done = change(&mut books);
        files::replace(&self.file, &serde_json::to_vec_pretty(&books)?)?;
        Ok(done)
    }

    /// Does the work on a task of its own, so that it is carried out although the caller stops
    /// waiting; gives the answer after the account's delay.
    async fn serve<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Books) -> (T, u64) + Send + 'static,
        failed: impl FnOnce(String) -> T + Send + 'static,
    ) -> T {
        let bank = self.clone();
        let done = tokio::task::spawn_blocking(move || bank.with(work)).await;
        match done {
            Ok(Ok((answer, slow_ms))) => {
                tokio::time::sleep(Duration::from_millis(slow_ms)).await;
                answer
            }
            Ok(Err(error)) => failed(format!("{error:#}")),
            Err(error) => failed(error.to_string()),
        }
    }
}

impl Books {
    /// Carries out a pending debit when its account's behaviour lets it.
    fn advance(&mut self, reference: &str) {
        let Some(entry) = self.references.get_mut(reference) else {
            return;
        };
        let customer = self.accounts.entry(entry.account.clone()).or_default();
        if entry.state != State::Pending || customer.hold {
            return;
        }
        if let Some(left) = customer.pending_polls.checked_sub(1) {
            customer.pending_polls = left;
            return;
        }
        let after = customer.balance_minor.checked_sub(entry.amount_minor);
        match after.filter(|after| *after >= 0 && customer.refuse.is_none()) {
            Some(after) => {
                customer.balance_minor = after;
                entry.debits = entry.debits.saturating_add(1);
                entry.state = State::Confirmed;
            }
            None => entry.state = State::Refused,
        }
    }

    fn reason(&self, reference: &str) -> String {
        let customer = self
            .references
            .get(reference)
            .and_then(|entry| self.accounts.get(&entry.account));
        customer
            .and_then(|customer| customer.refuse.clone())
            .unwrap_or_else(|| "no cover".to_owned())
    }

    fn debit(&mut self, reference: &str, account: &str, amount: i64) -> (Debit, u64) {
        let customer = self.accounts.entry(account.to_owned()).or_default();
        let slow_ms = customer.slow_ms;
        let unknown = |reason: &str| Debit::Unknown {
            reason: reason.to_owned(),
        };
        if let Some(left) = customer.lose_requests.checked_sub(1) {
            customer.lose_requests = left;
            return (unknown(LOST), slow_ms);
        }
        let lost = customer.lose_answers.checked_sub(1);
        customer.lose_answers = lost.unwrap_or(0);
        let entry = Entry {
            account: account.to_owned(),
            amount_minor: amount,
            state: State::Pending,
            debits: 0,
            refunds: 0,
        };
        self.references.entry(reference.to_owned()).or_insert(entry);
        self.advance(reference);
        if lost.is_some() {
            return (unknown(LOST), slow_ms);
        }
        let answer = match self.references.get(reference).map(|entry| entry.state) {
            Some(State::Confirmed | State::Refunded) => Debit::Confirmed,
            Some(State::Refused) => Debit::Refused {
                reason: self.reason(reference),
            },
            Some(State::Void) => Debit::Refused {
                reason: "void".to_owned(),
            },
            Some(State::Pending) | None => unknown("being worked on"),
        };
        (answer, slow_ms)
    }

    fn status(&mut self, reference: &str) -> (Standing, u64) {
        self.advance(reference);
        let slow_ms = self.slow_ms(reference);
        let standing = match self.references.get(reference).map(|entry| entry.state) {
            None => Standing::NeverHeard,
            Some(State::Pending) => Standing::Pending,
            Some(State::Confirmed) => Standing::Confirmed,
            Some(State::Refunded) => Standing::Refunded,
            Some(State::Void) => Standing::Void,
            Some(State::Refused) => Standing::Refused {
                reason: self.reason(reference),
            },
        };
        (standing, slow_ms)
    }

    fn refund(&mut self, reference: &str) -> (Refund, u64) {
        let slow_ms = self.slow_ms(reference);
        let entry = self
            .references
            .entry(reference.to_owned())
            .or_insert(Entry {
                account: String::new(),
                amount_minor: 0,
                state: State::Void,
                debits: 0,
                refunds: 0,
            });
        let customer = self.accounts.entry(entry.account.clone()).or_default();
        let answer = match entry.state {
            State::Confirmed => {
                customer.balance_minor = customer.balance_minor.saturating_add(entry.amount_minor);
                entry.refunds = entry.refunds.saturating_add(1);
                entry.state = State::Refunded;
                Refund::Refunded
            }
            State::Refunded => Refund::Refunded,
            State::Pending | State::Refused | State::Void => {
                entry.state = State::Void;
                Refund::Void
            }
        };
        if let Some(left) = customer.lose_refund_answers.checked_sub(1) {
            customer.lose_refund_answers = left;
            let reason = LOST.to_owned();
            return (Refund::Unknown { reason }, slow_ms);
        }
        (answer, slow_ms)
    }

    fn slow_ms(&self, reference: &str) -> u64 {
        let entry = self.references.get(reference);
        let customer = entry.and_then(|entry| self.accounts.get(&entry.account));
        customer.map_or(0, |customer| customer.slow_ms)
    }
}

#[async_trait]
impl Bank for SimulatedBank {
    async fn debit(&self, reference: RemittanceId, account: &str, amount: Amount) -> Debit {
        let (account, minor) = (account.to_owned(), amount.minor());
        self.serve(
            move |books| books.debit(&reference.to_string(), &account, minor),
            |reason| Debit::Unknown { reason },
        )
        .await
    }

    async fn status(&self, reference: RemittanceId) -> Standing {
        self.serve(
            move |books| books.status(&reference.to_string()),
            |reason| Standing::Unknown { reason },
        )
        .await
    }

    async fn refund(&self, reference: RemittanceId) -> Refund {
        self.serve(
            move |books| books.refund(&reference.to_string()),
            |reason| Refund::Unknown { reason },
        )
        .await
    }
}
