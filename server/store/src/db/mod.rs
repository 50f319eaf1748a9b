//! One connection to a database, whichever it is.
//!
//! Every statement of this crate goes through here, in the words that both databases share:
//! parameters are `?1`, `?2`, ...; truth values, counters, times and money are 64-bit integers. What a
//! database needs for itself (its schema, how a transaction begins, which errors are a caller's) is
//! in its own module.

mod column;
mod gather;
mod many;
pub(crate) mod postgres;
pub(crate) mod server;
mod shape;
mod sqlite;
mod turn;
mod value;

use std::cell::Cell;

pub(crate) use self::turn::Mark;
pub(crate) use self::value::{FromColumn, Held, Params, Value};

use crate::sql::fault::Fault;

/// A connection, used by one thread at a time.
#[derive(Debug)]
pub(crate) enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(Box<postgres::Session>),
}

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Reads one instant.
    Read,
    /// Writes; nobody else writes before it ends.
    Write,
    /// The same before there are tables.
    Schema,
}

impl Connection {
    /// Runs a statement; gives how many rows it touched.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, Fault> {
        params.with(|values| match self {
            Self::Sqlite(connection) => sqlite::execute(connection, sql, values),
            Self::Postgres(session) => session.execute(sql, values),
        })
    }

    /// Runs a query and gives `each` its rows, until it says no.
    pub(crate) fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut each: impl FnMut(&Row<'_>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        params.with(|values| match self {
            Self::Sqlite(connection) => sqlite::each(connection, sql, values, &mut each),
            Self::Postgres(session) => session.each(sql, values, &mut each),
        })
    }

    /// Runs a write that must touch exactly one row.
    ///
    /// PostgreSQL may be told of it, and whether it did, only when the transaction commits.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] with `what` where it touches none or several.
    pub(crate) fn write_one(
        &self,
        sql: &str,
        params: impl Params,
        what: &'static str,
    ) -> Result<(), Fault> {
        params.with(|values| match self {
            Self::Sqlite(connection) => match sqlite::execute(connection, sql, values)? {
                1 => Ok(()),
                _ => Err(Fault::Corrupt(what)),
            },
            Self::Postgres(session) => session.write_one(sql, values, what),
        })
    }

    /// Runs an insertion that does nothing where the row is there; gives whether it was not. `seen` asks
    /// for the row by its key.
    pub(crate) fn write_new(
        &self,
        sql: &str,
        params: impl Params,
        seen: &str,
    ) -> Result<bool, Fault> {
        params.with(|values| match self {
            Self::Sqlite(connection) => Ok(sqlite::execute(connection, sql, values)? == 1),
            Self::Postgres(session) => session.write_new(sql, values, seen),
        })
    }

    /// Says that a query's answer will be needed: what is known beforehand is asked for together.
    pub(crate) fn foresee(&self, sql: &str, params: impl Params) {
        params.with(|values| match self {
            Self::Sqlite(_) => {}
            Self::Postgres(session) => session.foresee(sql, values),
        });
    }

    /// Begins a transaction in which commands or readings are carried out.
    ///
    /// On PostgreSQL, `look` carries them out without writing, as often as there is something new to
    /// read: all that they read is asked for together, before the first is carried out. It is told when the
    /// lock was just taken. A reading that is one query needs no transaction then.
    pub(crate) fn begin_foreseen(
        &self,
        mode: Mode,
        look: &mut dyn FnMut(&Self, bool),
    ) -> Result<Transaction<'_>, Fault> {
        let Self::Postgres(session) = self else {
            return self.begin(mode);
        };
        // dropped, it takes back what was begun
        let transaction = Transaction {
            connection: self,
            ended: false,
        };
        session.begin_foreseen(mode, &mut |locked| look(self, locked))?;
        Ok(transaction)
    }

    /// Asks a server at once for all that `look` reads by keys, in a transaction that reads. From here on,
    /// answers by keys stay in memory, until the next time or the end.
    pub(crate) fn prefetch(&self, look: &mut dyn FnMut(&Self)) -> Result<(), Fault> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(session) => session.prefetch(&mut || look(self)),
        }
    }

    /// From here on, commands or readings are carried out: what is written may wait for the commit.
    pub(crate) fn gather(&self) {
        if let Self::Postgres(session) = self {
            session.gather();
        }
    }

    /// Another command begins.
    pub(crate) fn next_command(&self) {
        if let Self::Postgres(session) = self {
            session.next_command();
        }
    }

    /// From here on, each statement is carried out when it is asked for.
    pub(crate) fn direct(&self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(session) => session.direct(),
        }
    }

    /// How often this connection waited for its server since it was last asked.
    pub(crate) fn round_trips(&self) -> u64 {
        match self {
            Self::Sqlite(_) => 0,
            Self::Postgres(session) => session.round_trips(),
        }
    }

    /// Whether a query finds a row.
    pub(crate) fn exists(&self, sql: &str, params: impl Params) -> Result<bool, Fault> {
        let found = Cell::new(false);
        self.each(sql, params, |_| {
            found.set(true);
            Ok(false)
        })?;
        Ok(found.get())
    }

    /// Begins a transaction. Dropping what it gives takes back what was written.
    pub(crate) fn begin(&self, mode: Mode) -> Result<Transaction<'_>, Fault> {
        match self {
            Self::Sqlite(connection) => sqlite::begin(connection, mode)?,
            Self::Postgres(session) => session.begin(mode)?,
        }
        Ok(Transaction {
            connection: self,
            ended: false,
        })
    }

    /// Runs several statements that take nothing and give nothing.
    pub(crate) fn run_script(&self, script: &str) -> Result<(), Fault> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(script)?),
            Self::Postgres(session) => session.run_script(script),
        }
    }

    /// The mark of what was committed last here, by which it is found again; a file needs none.
    pub(crate) fn committed(&self) -> Option<Mark> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(session) => session.committed(),
        }
    }

    /// Whether it is lost for good, so that another one must be opened.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(session) => session.is_lost(),
        }
    }

    /// Ends a session that nobody goes on with; of a file there is one for ever.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(session) => session.close(),
        }
    }

    /// Has it taken for lost, where another can be opened in its place.
    pub(crate) fn lose(&self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(session) => session.lose(),
        }
    }
}

/// A transaction that ends with [`Transaction::commit`], or not at all.
#[derive(Debug)]
pub(crate) struct Transaction<'c> {
    connection: &'c Connection,
    ended: bool,
}

impl Transaction<'_> {
    /// Commits it; an error leaves nothing behind, except [`Fault::CommitUnknown`].
    pub(crate) fn commit(mut self) -> Result<(), Fault> {
        match self.connection {
            Connection::Sqlite(connection) => sqlite::run(connection, "COMMIT")?,
            Connection::Postgres(session) => {
                let ending = session.ending()?;
                self.ended = true;
                session.commit(&ending)?;
            }
        }
        self.ended = true;
        Ok(())
    }
}

impl core::ops::Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // what cannot be taken back now ends with the connection
        let _ = match self.connection {
            // a failing disk may have ended it already
            Connection::Sqlite(connection) if connection.is_autocommit() => Ok(()),
            Connection::Sqlite(connection) => sqlite::run(connection, "ROLLBACK"),
            Connection::Postgres(session) => session.rollback(),
        };
    }
}

/// A row of an answer, while it is being read.
pub(crate) struct Row<'r> {
    of: Of<'r>,
    /// Its first column, where it is a part of a wider one.
    first: usize,
}

#[derive(Clone, Copy)]
enum Of<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
    /// One that was read before.
    Held(&'r [Held]),
}

impl<'r> From<Of<'r>> for Row<'r> {
    fn from(of: Of<'r>) -> Self {
        Self { of, first: 0 }
    }
}

impl Row<'_> {
    /// A column, counted from 0.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] where it holds something else.
    pub(crate) fn get<T: FromColumn>(&self, column: usize) -> Result<T, Fault> {
        T::from_column(self.value(column)?)
    }

    /// What a join added to it: the columns from this one on.
    pub(crate) const fn part(&self, first: usize) -> Self {
        let first = self.first + first;
        Self { of: self.of, first }
    }

    /// A column as it stands there.
    pub(crate) fn value(&self, column: usize) -> Result<Value<'_>, Fault> {
        let column = self.first + column;
        match self.of {
            Of::Sqlite(row) => sqlite::value(row, column),
            Of::Postgres(row) => column::value(row, column),
            Of::Held(row) => {
                let held = row.get(column).ok_or(Fault::Corrupt("column"))?;
                Ok(held.value())
            }
        }
    }

    /// A column of text, without copying it.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] with `what` where it is none.
    pub(crate) fn text(&self, column: usize, what: &'static str) -> Result<&str, Fault> {
        match self.value(column)? {
            Value::Text(text) => Ok(text),
            Value::Null | Value::Int(_) | Value::Bool(_) | Value::Blob(_) => {
                Err(Fault::Corrupt(what))
            }
        }
    }
}
