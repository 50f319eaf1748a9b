//! What can go wrong with the storage itself.

use ledger::{Refusal, RemittanceId};

/// The storage could not do it. None of these says anything about the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Full, read-only, busy for too long, or gone. Nothing of the call was answered as done; ask
    /// again later with the same ids and keys, which makes a repetition harmless.
    #[error("the database is unavailable: {reason}")]
    Unavailable {
        /// What the database said, without any value from a statement.
        reason: String,
    },
    /// More than [`crate::COMMANDS_MAX`] commands in one call.
    #[error("too many commands in one call")]
    TooManyCommands,
    /// The file was written by a newer version of this program.
    #[error("the database has schema {found}, this program knows up to {known}")]
    SchemaTooNew {
        /// Version in the file.
        found: i64,
        /// Newest version of this binary.
        known: i64,
    },
    /// The file is a database of something else.
    #[error("the file is no ledger of this program")]
    NotOurs,
    /// A stored value is outside what this program writes.
    #[error("the database holds an unreadable {what}")]
    Corrupt {
        /// Table and column.
        what: &'static str,
    },
}

/// Why one command did not go through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The storage could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an administrator's write did not go through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The id, token, number or chip is in use already.
    #[error("the {what} is in use already")]
    Taken {
        /// What is.
        what: &'static str,
    },
    /// The record that the write refers to does not exist.
    #[error("no such {what}")]
    Unknown {
        /// What does not.
        what: &'static str,
    },
    /// The card is not in the status that the step needs.
    #[error("the card is not in the status for this step")]
    WrongStatus,
    /// The endpoint takes no events until it is enabled again.
    #[error("the endpoint is disabled")]
    Disabled,
    /// The step needs that no money is in escrow.
    #[error("remittances are open: {}", list(ids))]
    OpenRemittances {
        /// Which; at most [`crate::PAGE_MAX`].
        ids: Vec<RemittanceId>,
    },
    /// Two officers have to approve this change.
    #[error("two officers have to approve this")]
    TwoPersonsNeeded,
    /// Fewer than two officers would be left, who could decide nothing.
    #[error("fewer than two officers would be left")]
    TooFewOfficers,
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A text is empty, too long or malformed, or a limit is out of range.
    #[error("the {what} is out of bounds")]
    OutOfBounds {
        /// Which.
        what: &'static str,
    },
    /// The storage could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(ids: &[RemittanceId]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(", ")
}
