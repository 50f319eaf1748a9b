//! Which database a ledger is in.

use std::path::PathBuf;
use std::str::FromStr;

use crate::error::StoreError;
use crate::sql::SqlStore;

/// A database by its address.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// `sqlite:FILE`: one file, one server process.
    Sqlite(PathBuf),
    /// `postgres://USER:PASSWORD@HOST/NAME`, as in PostgreSQL 15, 34.1.1.2; several server processes.
    Postgres(String),
}

/// An address of neither form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give sqlite:FILE or postgres://USER@HOST/NAME")]
pub struct DatabaseError;

impl FromStr for Database {
    type Err = DatabaseError;

    fn from_str(text: &str) -> Result<Self, DatabaseError> {
        match text.split_once(':') {
            Some(("sqlite", file)) if !file.is_empty() => Ok(Self::Sqlite(PathBuf::from(file))),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            Some(_) | None => Err(DatabaseError),
        }
    }
}

/// Without what may be a password.
impl core::fmt::Display for Database {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "{}", file.display()),
            Self::Postgres(url) => {
                let end = url.split(['?', '#']).next().unwrap_or_default();
                let place = end.rsplit('@').next().unwrap_or_default();
                write!(f, "the database {place}")
            }
        }
    }
}

impl core::fmt::Debug for Database {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self}")
    }
}

impl Database {
    /// The address, with what may be a password.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Sqlite(file) => format!("sqlite:{}", file.display()),
            Self::Postgres(url) => url.clone(),
        }
    }

    /// Opens it and brings its schema up to date; blocks while it does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::NotOurs`], [`StoreError::SchemaTooNew`].
    pub fn open(&self) -> Result<SqlStore, StoreError> {
        match self {
            Self::Sqlite(file) => SqlStore::open(file),
            Self::Postgres(url) => SqlStore::connect(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_one_of_two_databases() {
        let parse = |text: &str| text.parse::<Database>();
        assert_eq!(
            parse("sqlite:/var/t.db"),
            Ok(Database::Sqlite(PathBuf::from("/var/t.db")))
        );
        for text in ["postgres://u@h/d", "postgresql://u:p@h/d?a=b"] {
            assert_eq!(parse(text), Ok(Database::Postgres(text.to_owned())));
        }
        for text in ["", "sqlite:", "tegata.db", "postgres:h", "mysql://h/d"] {
            assert_eq!(parse(text), Err(DatabaseError), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let url = "postgres://tegata:se@cret@db.example/money?password=secret";
        let database = Database::Postgres(url.to_owned());
        assert_eq!(database.to_string(), "the database db.example/money");
        assert_eq!(format!("{database:?}"), "the database db.example/money");
        assert_eq!(database.address().parse(), Ok(database));
    }
}
