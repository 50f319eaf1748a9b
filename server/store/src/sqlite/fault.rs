//! Errors of SQLite, and what they mean for a batch.

use rusqlite::ErrorCode;

use crate::error::{AdminError, StoreError};

/// Something failed below the rules.
#[derive(Debug)]
pub(super) enum Fault {
    /// A statement or a commit.
    Sql(rusqlite::Error),
    /// A stored value that this program does not write.
    Corrupt(&'static str),
}

impl Fault {
    /// Whether the fault belongs to one command's own rows, so that the commands which shared its
    /// batch are carried out without it. A full or failing disk belongs to all of them.
    pub(super) fn is_of_one_command(&self) -> bool {
        match self {
            Self::Corrupt(_) => true,
            Self::Sql(error) => error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation),
        }
    }

    /// Whether a `UNIQUE` or primary key stands against a write.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Sql(rusqlite::Error::SqliteFailure(error, _))
        if matches!(
            error.extended_code,
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        ))
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Self::Corrupt("column"),
            other => Self::Sql(other),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Corrupt(what) => Self::Corrupt { what },
            Fault::Sql(error) => Self::Unavailable {
                reason: error.to_string(),
            },
        }
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
