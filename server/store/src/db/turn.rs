//! Whose turn it is to write: how a transaction that writes begins and ends.
//!
//! One writes at a time, over all processes: it holds one advisory lock. Each commit leaves its number
//! with its session, and says that it was the last of all. Where the last was this session's own, what it
//! knows of accounts and of the time still counts. Then the next transaction can be decided **ahead**,
//! before it begins: beginning, lock, writes and commit go in one round trip, and the statement that takes
//! the turn fails, and the commit with it, where somebody else has written since. Whatever fails there, or
//! needs anything that is not known, is done again the other way: with the lock held, what is wanted is
//! read before the commands are carried out.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tokio_postgres::Statement;

use super::gather::{Group, Phase};
use super::many::{Call, Said};
use super::postgres::{Reading, Session};
use super::{Connection, Look, Mode};
use crate::sql::fault::Fault;

/// The advisory lock of the one writer: `TGTA`, then 1.
const WRITER_LOCK: i64 = 0x5447_5441_0000_0001;

const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// A new session, and no more of those that were silent for a season.
const NAME: &str = "WITH old AS (DELETE FROM writer WHERE at < now() - interval '90 days') \
                    SELECT CAST(gen_random_uuid() AS TEXT)";

/// Whose commit was the last, and this session's own as the database has it.
const LAST: &str = "SELECT writer_last.session, writer_last.commits, coalesce(writer.commits, 0) \
                    FROM writer_last LEFT JOIN writer ON writer.session = $1 WHERE id = 1";

/// Takes the turn after the one that was the last; divides by zero where that is not the last any more.
const TURN: &str = "WITH last AS (UPDATE writer_last SET session = $1, commits = $2 \
                    WHERE id = 1 AND session = $3 AND commits = $4 RETURNING 1), \
                    mine AS (INSERT INTO writer (session, commits) SELECT $1, $2 FROM last \
                    ON CONFLICT (session) DO UPDATE SET commits = $2, at = now() RETURNING 1) \
                    SELECT 1 / CAST(count(*) AS INT) FROM mine";

/// Own turns in a row before the next one is taken ahead: with another process at work it would fail each
/// time.
const STREAK: u32 = 2;

/// A commit, by which it is found again. Transaction numbers would not do: a standby that is promoted gives
/// those once more which it has not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    session: Arc<str>,
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
    /// The last commit of all, as far as it was met.
    last: RefCell<Option<Mark>>,
    /// The last one of this session.
    committed: RefCell<Option<Mark>>,
    /// The transaction that runs.
    transaction: RefCell<Option<Mark>>,
    streak: Cell<u32>,
    /// While commands are carried out that have no transaction yet: nothing is said to the server.
    ahead: Cell<bool>,
    /// While a commit is on its way.
    pub(super) ending: Cell<bool>,
}

impl Turn {
    pub(super) const fn is_ahead(&self) -> bool {
        self.ahead.get()
    }
}

/// What goes with a commit.
pub(super) struct Last {
    pub(super) writes: Vec<(Statement, Group)>,
    /// [`TURN`], and whose turn comes after whose.
    turn: Option<(Statement, Mark, Mark)>,
    /// [`LOCK`], where the transaction has not begun.
    lock: Option<Statement>,
}

impl Session {
    /// Carries commands out on what is known, without a transaction, where that can be enough: gives whether
    /// nothing is missing.
    pub(super) fn begin_ahead(&self, look: &mut dyn FnMut(Look)) -> bool {
        let turn = &self.turn;
        if turn.streak.get() < STREAK {
            return false;
        }
        {
            let mut gathered = self.gathered.borrow_mut();
            gathered.phase = Phase::Foresee;
            gathered.hopes = true;
        }
        look(Look::Before);
        let mut gathered = self.gathered.borrow_mut();
        gathered.hopes = false;
        let (Some(last), true) = (turn.last.borrow().clone(), gathered.is_nothing()) else {
            gathered.wanted();
            gathered.alone = false;
            return false;
        };
        gathered.hopes = true;
        gathered.phase = Phase::Gather;
        let commits = last.commits + 1;
        *turn.transaction.borrow_mut() = Some(Mark { commits, ..last });
        turn.ahead.set(true);
        true
    }

    pub(super) fn begin_to_write(&self, mode: Mode) -> Result<(), Fault> {
        let session = match mode {
            Mode::Write => Some(self.named()?),
            Mode::Read | Mode::Schema => None,
        };
        let lock = self.prepared(LOCK)?;
        let last = session.as_ref().map(|_| self.prepared(LAST)).transpose()?;
        let wanted = self.gathered.borrow_mut().wanted();
        let mut first = vec![self.script(BEGIN), self.locked(&lock)];
        if let (Some(last), Some(session)) = (&last, &session) {
            first.push(Box::pin(async move {
                let rows = self.client.query(last, &[&&**session]).await;
                rows.map(Said::Rows)
            }));
        }
        let said = self.ask(&wanted, first)?;
        if let (Some(session), Some(Said::Rows(rows))) = (session, said.last()) {
            self.meet(session, rows)?;
        }
        Ok(())
    }

    /// Takes in whose commit was the last: what is known counts no more where it was another's.
    fn meet(&self, session: Arc<str>, rows: &[tokio_postgres::Row]) -> Result<(), Fault> {
        const WRONG: Fault = Fault::Corrupt("turn");
        let row = rows.first().ok_or(WRONG)?;
        let of = |column| row.try_get::<_, i64>(column).map_err(|_| WRONG);
        let last = Mark {
            session: row.try_get::<_, &str>(0).map_err(|_| WRONG)?.into(),
            commits: of(1)?,
        };
        let turn = &self.turn;
        let own = turn.committed.borrow().clone();
        if own
            .as_ref()
            .is_some_and(|own| own.commits != of(2).unwrap_or(0))
        {
            // a database that was put back: another line finds out which one it is
            self.lost.set(true);
            return Err(Fault::Unreachable("a commit is missing".to_owned()));
        }
        if own.as_ref() == Some(&last) {
            turn.streak.set(turn.streak.get().saturating_add(1));
        } else {
            turn.streak.set(0);
            self.gathered.borrow_mut().forget_kept();
        }
        let commits = own.map_or(0, |own| own.commits) + 1;
        *turn.transaction.borrow_mut() = Some(Mark { session, commits });
        *turn.last.borrow_mut() = Some(last);
        Ok(())
    }

    fn named(&self) -> Result<Arc<str>, Fault> {
        if let Some(session) = &*self.turn.session.borrow() {
            return Ok(Arc::clone(session));
        }
        let row = self.run(self.client.query_one(NAME, &[]))?;
        let name: &str = row.try_get(0).map_err(|_| Fault::Corrupt("turn"))?;
        let name: Arc<str> = name.into();
        *self.turn.session.borrow_mut() = Some(Arc::clone(&name));
        Ok(name)
    }

    fn locked<'a>(&'a self, lock: &'a Statement) -> Call<'a> {
        Box::pin(async move {
            let rows = self.client.query(lock, &[&WRITER_LOCK]).await;
            rows.map(|_| Said::Done)
        })
    }

    /// What is left to do before a commit, where its failing leaves a transaction that can be taken back.
    pub(super) fn last(&self) -> Result<Last, Fault> {
        let writes = self.writes()?;
        if self.reading.get() != Reading::Not && !writes.is_empty() {
            return Err(Fault::Corrupt("a reading that writes"));
        }
        let of = |now: &Option<Mark>| now.clone();
        let turn = match (
            of(&self.turn.transaction.borrow()),
            of(&self.turn.last.borrow()),
        ) {
            (Some(now), Some(last)) => Some((self.prepared(TURN)?, last, now)),
            (Some(_) | None, Some(_) | None) => None,
        };
        let lock = self.turn.is_ahead().then(|| self.prepared(LOCK));
        let lock = lock.transpose()?;
        Ok(Last { writes, turn, lock })
    }

    /// One round trip for the last writes, the turn and the commit: where one of them fails, the server
    /// takes all of it back instead.
    pub(super) fn commit(&self, last: &Last) -> Result<(), Fault> {
        match self.reading.take() {
            Reading::Not => {}
            Reading::Announced => {
                self.gathered.borrow_mut().forget_all();
                return Ok(());
            }
            Reading::Begun => {
                self.gathered.borrow_mut().forget_all();
                return self.run(self.client.batch_execute("COMMIT"));
            }
        }
        let failed = Cell::new(false);
        let failed = &failed;
        let mut before: Vec<Call<'_>> = Vec::new();
        if let Some(lock) = &last.lock {
            before.extend([self.script(BEGIN), self.locked(lock)]);
        }
        if let Some((statement, was, now)) = &last.turn {
            before.push(Box::pin(async move {
                let (session, last) = (&*now.session, &*was.session);
                let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                    [&session, &now.commits, &last, &was.commits];
                let done = self.client.execute(statement, &params).await;
                failed.set(failed.get() || done.is_err());
                done.map(|_| Said::Done)
            }));
        }
        let end: Call<'_> = Box::pin(async move {
            // asked for after the writes were: those that could not be sent have said so
            let end = if failed.get() { "ROLLBACK" } else { "COMMIT" };
            let done = self.client.batch_execute(end).await;
            done.map(|()| Said::Done)
        });
        let ahead = self.turn.ahead.take();
        // a defect on the way leaves a session that nobody goes on with
        self.turn.ending.set(true);
        let done = self.send(before, &last.writes, Some(end), failed);
        self.turn.ending.set(false);
        let mark = self.turn.transaction.take();
        match (done, mark) {
            (Err(_), Some(mark)) if self.is_lost() => {
                self.gathered.borrow_mut().forget_all();
                Err(Fault::CommitUnknown(mark))
            }
            (Ok(()), mark) => {
                self.gathered.borrow_mut().end();
                if mark.is_some() {
                    self.turn.last.borrow_mut().clone_from(&mark);
                    *self.turn.committed.borrow_mut() = mark;
                }
                Ok(())
            }
            (Err(fault), _) => {
                self.gathered.borrow_mut().forget_all();
                self.turn.streak.set(0);
                Err(if ahead { Fault::Unforeseen } else { fault })
            }
        }
    }

    /// The mark of what was committed last.
    pub(super) fn committed(&self) -> Option<Mark> {
        self.turn.committed.borrow().clone()
    }

    pub(super) fn rollback(&self) -> Result<(), Fault> {
        self.turn.transaction.take();
        if self.turn.ahead.take() {
            self.gathered.borrow_mut().give_up();
            return Ok(());
        }
        self.gathered.borrow_mut().forget_all();
        if self.reading.take() == Reading::Announced {
            return Ok(());
        }
        self.run(self.client.batch_execute("ROLLBACK"))
    }
}
