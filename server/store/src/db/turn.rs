//! Whose turn it is to write: how a transaction that writes begins and ends.
//!
//! One writes at a time, over all processes: it holds one advisory lock. Each commit leaves its number with its
//! session. By it a session finds out what became of a commit whose answer was lost, and that the database was
//! put back: the number before is not there any more.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tokio_postgres::Statement;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::gather::Group;
use super::many::{Call, Said};
use super::postgres::{Reading, Session};
use super::{Connection, Mode};
use crate::sql::fault::Fault;

/// The advisory lock of the one writer: `TGTA`, then 1.
const WRITER_LOCK: i64 = 0x5447_5441_0000_0001;

const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";

const NAME: &str = "SELECT CAST(gen_random_uuid() AS TEXT)";

/// The first commit of a session.
const FIRST: &str = "INSERT INTO writer (session, commits) VALUES ($1, $2)";

/// Each later one; divides by zero where the one before it is missing.
const NEXT: &str = "WITH wrote AS (UPDATE writer SET commits = $2, at = now() \
                    WHERE session = $1 AND commits = CAST($2 AS BIGINT) - 1 RETURNING 1) \
                    SELECT 1 / CAST(count(*) AS INT) FROM wrote";

/// A commit, by which it is found again. Transaction numbers would not do: a standby that is promoted gives
/// those once more which it has not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    session: Arc<str>,
    /// From 1.
    commits: i64,
}

impl Mark {
    /// Whether a database has it.
    pub(crate) fn is_in(&self, connection: &Connection) -> Result<bool, Fault> {
        let sql = "SELECT 1 FROM writer WHERE session = ?1 AND commits >= ?2";
        connection.exists(sql, (&*self.session, self.commits))
    }
}

/// What a session knows of its turns.
#[derive(Debug, Default)]
pub(super) struct Turn {
    session: RefCell<Option<Arc<str>>>,
    /// The last commit.
    committed: RefCell<Option<Mark>>,
    /// The transaction that runs.
    transaction: RefCell<Option<Mark>>,
    /// While a commit is on its way.
    pub(super) ending: Cell<bool>,
}

/// What goes with a commit.
pub(super) struct Ending {
    pub(super) writes: Vec<(Statement, Group)>,
    /// Leaves the commit's number.
    mark: Option<Statement>,
}

impl Session {
    pub(super) fn begin_to_write(&self, mode: Mode) -> Result<(), Fault> {
        let mark = match mode {
            Mode::Write => Some(self.next_mark()?),
            Mode::Read | Mode::Schema => None,
        };
        let lock = self.prepared(LOCK)?;
        let wanted = self.gathered.borrow_mut().wanted();
        let begin = self.script("BEGIN ISOLATION LEVEL READ COMMITTED");
        let lock: Call<'_> = Box::pin(async {
            let rows = self.client.query(&lock, &[&WRITER_LOCK]).await;
            rows.map(Said::Rows)
        });
        self.ask(&wanted, vec![begin, lock])?;
        *self.turn.transaction.borrow_mut() = mark;
        Ok(())
    }

    fn next_mark(&self) -> Result<Mark, Fault> {
        let session = self.turn.session.borrow().clone();
        let session = match session {
            Some(session) => session,
            None => self.named()?,
        };
        let committed = self.turn.committed.borrow();
        let commits = committed.as_ref().map_or(0, |last| last.commits) + 1;
        Ok(Mark { session, commits })
    }

    fn named(&self) -> Result<Arc<str>, Fault> {
        let row = self.run(self.client.query_one(NAME, &[]))?;
        let name: &str = row.try_get(0).map_err(|_| Fault::Corrupt("session"))?;
        let name: Arc<str> = name.into();
        *self.turn.session.borrow_mut() = Some(Arc::clone(&name));
        Ok(name)
    }

    /// What is left to do before a commit, where its failing leaves a transaction that can be taken back.
    pub(super) fn ending(&self) -> Result<Ending, Fault> {
        let writes = self.writes()?;
        if self.reading.get() != Reading::Not && !writes.is_empty() {
            return Err(Fault::Corrupt("a reading that writes"));
        }
        let mark = match &*self.turn.transaction.borrow() {
            Some(Mark { commits: 1, .. }) => Some(self.prepared(FIRST)?),
            Some(_) => Some(self.prepared(NEXT)?),
            None => None,
        };
        Ok(Ending { writes, mark })
    }

    /// One round trip for the last writes, the commit's number and the commit: where one of them fails, the
    /// server takes all of it back instead.
    pub(super) fn commit(&self, ending: &Ending) -> Result<(), Fault> {
        self.gathered.borrow_mut().end();
        match self.reading.take() {
            Reading::Not => {}
            Reading::Announced => return Ok(()),
            Reading::Begun => return self.run(self.client.batch_execute("COMMIT")),
        }
        let mark = self.turn.transaction.take();
        let (failed, missing) = (Cell::new(false), Cell::new(false));
        let (failed, missing) = (&failed, &missing);
        let mut after: Vec<Call<'_>> = Vec::new();
        if let (Some(statement), Some(mark)) = (&ending.mark, &mark) {
            after.push(Box::pin(async move {
                let session = &*mark.session;
                let params: [&(dyn ToSql + Sync); 2] = [&session, &mark.commits];
                let done = self.client.execute(statement, &params).await;
                failed.set(failed.get() || done.is_err());
                let code = done.as_ref().err().and_then(tokio_postgres::Error::code);
                missing.set(code == Some(&SqlState::DIVISION_BY_ZERO));
                done.map(|_| Said::Done)
            }));
        }
        after.push(Box::pin(async move {
            // asked for after the writes were: those that could not be sent have said so
            let end = if failed.get() { "ROLLBACK" } else { "COMMIT" };
            let done = self.client.batch_execute(end).await;
            done.map(|()| Said::Done)
        }));
        // a defect on the way leaves a session that nobody goes on with
        self.turn.ending.set(true);
        let done = self.send(&ending.writes, after, failed);
        self.turn.ending.set(false);
        if missing.get() {
            // the database was put back: another session finds out which one it is
            self.lose();
            return Err(Fault::Unreachable(
                "the commit before is missing".to_owned(),
            ));
        }
        match (done, mark) {
            (Err(_), Some(mark)) if self.is_lost() => Err(Fault::CommitUnknown(mark)),
            (Ok(()), Some(mark)) => {
                *self.turn.committed.borrow_mut() = Some(mark);
                Ok(())
            }
            (done, _) => done,
        }
    }

    /// The mark of what was committed last.
    pub(super) fn committed(&self) -> Option<Mark> {
        self.turn.committed.borrow().clone()
    }

    pub(super) fn rollback(&self) -> Result<(), Fault> {
        self.gathered.borrow_mut().end();
        self.turn.transaction.take();
        if self.reading.take() == Reading::Announced {
            return Ok(());
        }
        self.run(self.client.batch_execute("ROLLBACK"))
    }
}
