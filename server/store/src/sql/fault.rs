//! What goes wrong below the rules, and what it means for a batch.

use rusqlite::ErrorCode;
use tokio_postgres::error::SqlState;

use crate::db::Mark;
use crate::error::{AdminError, StoreError};

/// Something failed below the rules.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A statement or a commit of SQLite.
    Sqlite(rusqlite::Error),
    /// A statement or a commit of PostgreSQL.
    Postgres(tokio_postgres::Error),
    /// PostgreSQL could not be reached, or not as it must be.
    Unreachable(String),
    /// The connection was lost while PostgreSQL committed the transaction with this mark.
    CommitUnknown(Mark),
    /// A command was carried out without writing and met what was not read yet; nobody hears of it.
    Unforeseen,
    /// A stored value that this program does not write.
    Corrupt(&'static str),
}

impl Fault {
    /// Whether the fault belongs to one command's own rows, so that the commands which shared its
    /// batch are carried out without it. A full or failing disk belongs to all of them.
    pub(crate) fn is_of_one_command(&self) -> bool {
        match self {
            Self::Corrupt(_) => true,
            Self::Sqlite(error) => {
                error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
            }
            // class 22, "data exception", and 23, "integrity constraint violation"; ours are raised by
            // triggers
            Self::Postgres(error) => error.code().is_some_and(|code| {
                ["22", "23"].contains(&code.code().get(..2).unwrap_or_default()) || *code == RAISED
            }),
            Self::Unreachable(_) | Self::CommitUnknown(_) | Self::Unforeseen => false,
        }
    }

    /// Whether the server gave a transaction up for the sake of another one, so that it is done again.
    ///
    /// One writer at a time gives it no reason to; a PostgreSQL-compatible database may find others.
    pub(crate) fn is_of_the_moment(&self) -> bool {
        match self {
            Self::Postgres(error) => error.code().is_some_and(|code| {
                [
                    SqlState::T_R_SERIALIZATION_FAILURE,
                    SqlState::T_R_DEADLOCK_DETECTED,
                ]
                .contains(code)
            }),
            Self::Sqlite(_)
            | Self::Unreachable(_)
            | Self::CommitUnknown(_)
            | Self::Unforeseen
            | Self::Corrupt(_) => false,
        }
    }

    /// Whether a lock was waited for in vain, for as long as a session may wait.
    pub(crate) fn is_of_the_lock(&self) -> bool {
        match self {
            Self::Postgres(error) => error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE),
            Self::Sqlite(_)
            | Self::Unreachable(_)
            | Self::CommitUnknown(_)
            | Self::Unforeseen
            | Self::Corrupt(_) => false,
        }
    }

    /// Whether a `UNIQUE` or primary key stands against a write.
    pub(crate) fn is_duplicate(&self) -> bool {
        match self {
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => matches!(
                error.extended_code,
                rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                    | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            ),
            Self::Postgres(error) => error.code() == Some(&SqlState::UNIQUE_VIOLATION),
            Self::Sqlite(_)
            | Self::Unreachable(_)
            | Self::CommitUnknown(_)
            | Self::Unforeseen
            | Self::Corrupt(_) => false,
        }
    }
}

/// What `RAISE EXCEPTION` of a trigger gives.
const RAISED: SqlState = SqlState::RAISE_EXCEPTION;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Self::Corrupt("column"),
            other => Self::Sqlite(other),
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        let reason = match fault {
            Fault::Corrupt(what) => return Self::Corrupt { what },
            Fault::Sqlite(error) => error.to_string(),
            Fault::Postgres(error) => match error.as_db_error() {
                Some(said) => said.to_string(),
                None => error.to_string(),
            },
            Fault::Unreachable(reason) => reason,
            Fault::Unforeseen => "a command was not carried out".to_owned(),
            Fault::CommitUnknown(_) => {
                "the connection was lost during a commit: ask by id whether it happened".to_owned()
            }
        };
        Self::Unavailable { reason }
    }
}

impl From<Fault> for AdminError {
    fn from(fault: Fault) -> Self {
        Self::Store(fault.into())
    }
}

impl From<rusqlite::Error> for AdminError {
    fn from(error: rusqlite::Error) -> Self {
        Fault::from(error).into()
    }
}

/// The answer when a read or a batch was given up: only after a defect, or while the process stops.
pub(super) fn gone() -> StoreError {
    StoreError::Unavailable {
        reason: "the call was given up".to_owned(),
    }
}
