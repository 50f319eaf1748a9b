//! PostgreSQL's side of a connection.
//!
//! One transaction writes at a time, over all processes: it begins by waiting for one advisory lock.
//! Whoever holds it commits the commands of all its callers at once, so that the wait is for a commit
//! and not for a caller; and no two writers can meet in a row, so that nobody waits for a row's lock. What
//! the server gives up all the same, or a lost connection, is done again (`sql/writer.rs`, `sql/line.rs`).
//! The statements of its commands go in a few round trips, whatever their number (`gather`), the last of
//! them with the commit; so do the queries of those who look at a few rows (`sql/shared.rs`).

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::error::Severity;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::gather::{Gathered, HashMap, Phase};
use super::many::{Call, Said, each_of};
use super::turn::Turn;
use super::{Mode, Of, Row, Value};
use crate::sql::fault::Fault;

/// Plans of statements for many: they go through an index for each row. Planned while a table was small,
/// they would read all of it, and go on so while it grows, until its statistics are taken. And they are
/// made once, for any number of rows, not again for each call. (A scan that is switched off counts as so
/// dear, where there is no other way, that the server would compile it.)
const PLANS: &str = "SET enable_hashjoin = off; SET enable_mergejoin = off; \
                     SET enable_seqscan = off; SET jit = off; \
                     SET plan_cache_mode = force_generic_plan";

/// All of a reading sees one instant.
const BEGIN_TO_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// How a query ends that is about a table of one row.
const ONLY_ROW: &str = "WHERE id = 1";

/// How often more is found to be read before the commands of a commit, or readings, are carried out: more
/// than any of them has readings that follow from others.
const FORESEEN_MAX: u32 = 8;

/// Rows of a long reading that are in memory at once.
const FETCH: usize = 1_000;

/// One session of PostgreSQL. Its calls block: they belong on a thread that may.
pub(crate) struct Session {
    /// None once it is closed.
    runtime: Option<Runtime>,
    pub(super) client: Client,
    pub(super) gathered: RefCell<Gathered>,
    round_trips: Cell<u64>,
    pub(super) reading: Cell<Reading>,
    /// Whether [`PLANS`] was said.
    planned: Cell<bool>,
    statements: RefCell<HashMap<String, Statement>>,
    pub(super) turn: Turn,
    silence: Duration,
    lost: Cell<bool>,
}

/// How far a transaction that reads has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reading {
    /// There is none.
    #[default]
    Not,
    /// It begins together with its first query.
    Announced,
    Begun,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session")
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// `silence`: how long a call may take.
    pub(super) fn new(runtime: Runtime, client: Client, silence: Duration) -> Self {
        Self {
            runtime: Some(runtime),
            client,
            gathered: RefCell::default(),
            round_trips: Cell::new(0),
            reading: Cell::default(),
            planned: Cell::new(false),
            statements: RefCell::new(HashMap::default()),
            turn: Turn::default(),
            silence,
            lost: Cell::new(false),
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        if let (false, Some(runtime)) = (self.lost.get(), &self.runtime) {
            // what the server said since the last call is taken in only while something is awaited
            runtime.block_on(async {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            });
        }
        self.lost.get() || self.turn.ending.get() || self.client.is_closed()
    }

    /// Ends it: another one is opened in its place.
    pub(super) fn lose(&self) {
        self.lost.set(true);
    }

    /// Ends it without waiting, which may be on a task's thread.
    pub(super) fn close(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.lost.set(true);
    }

    /// How often it waited for the server since this was last asked.
    pub(super) fn round_trips(&self) -> u64 {
        self.round_trips.take()
    }

    pub(super) fn run<T>(
        &self,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        self.run_for(self.silence, call)
    }

    fn run_for<T>(
        &self,
        most: Duration,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        if self.lost.get() {
            // nobody waits for it a second time
            return Err(gone());
        }
        self.round_trips.set(self.round_trips.get() + 1);
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        let bounded = async { tokio::time::timeout(most, call).await };
        let Ok(done) = runtime.block_on(bounded) else {
            self.lost.set(true);
            return Err(Fault::Unreachable("the server is silent".to_owned()));
        };
        if done.as_ref().is_err_and(ends_the_session) {
            self.lost.set(true);
        }
        done.map_err(Fault::from)
    }

    pub(super) fn prepared(&self, sql: &str) -> Result<Statement, Fault> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.run(self.client.prepare(&numbered(sql)))?;
        let mut statements = self.statements.borrow_mut();
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, Fault> {
        self.before_alone(sql, values)?;
        self.begin_announced()?;
        let statement = self.prepared(sql)?;
        let count = self.run(self.client.execute_raw(&statement, values.iter()))?;
        usize::try_from(count).map_err(|_| Fault::Corrupt("count"))
    }

    pub(super) fn each(
        &self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        if let Some(rows) = self.known(sql, values)? {
            return each_of(&rows, each);
        }
        if values.is_empty() && sql.starts_with("SELECT") && !sql.ends_with(ONLY_ROW) {
            return self.scan(sql, each);
        }
        for row in self.rows(sql, values)? {
            if !each(&Of::Postgres(&row).into())? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn rows(
        &self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<tokio_postgres::Row>, Fault> {
        let statement = self.prepared(sql)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| v as _).collect();
        if self.reading.get() != Reading::Announced {
            return self.run(self.client.query(&statement, &values));
        }
        self.reading.set(Reading::Begun);
        let begin = self.script(BEGIN_TO_READ);
        let query: Call<'_> = Box::pin(async {
            let rows = self.client.query(&statement, &values).await;
            rows.map(Said::Rows)
        });
        match self.together(vec![begin, query])?.pop() {
            Some(Said::Rows(rows)) => Ok(rows),
            Some(Said::Done) | None => Err(Fault::Corrupt("answer")),
        }
    }

    /// Begins what was announced, before what is no query of rows.
    fn begin_announced(&self) -> Result<(), Fault> {
        match self.reading.get() {
            Reading::Announced => {
                self.reading.set(Reading::Begun);
                self.run(self.client.batch_execute(BEGIN_TO_READ))
            }
            Reading::Not | Reading::Begun => Ok(()),
        }
    }

    /// A query without parameters may be one over a whole table: it is fetched in pieces.
    fn scan(
        &self,
        sql: &str,
        each: &mut dyn FnMut(&Row<'_>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        self.begin_announced()?;
        let name = format!("scan_{:p}", core::ptr::from_ref(&each));
        self.run(
            self.client
                .batch_execute(&format!("DECLARE {name} NO SCROLL CURSOR FOR {sql}")),
        )?;
        let mut more = true;
        while more {
            let fetch = format!("FETCH {FETCH} FROM {name}");
            let rows = self.run(self.client.query(&fetch, &[]))?;
            more = rows.len() == FETCH;
            for row in &rows {
                if !each(&Of::Postgres(row).into())? {
                    more = false;
                    break;
                }
            }
        }
        self.run(self.client.batch_execute(&format!("CLOSE {name}")))
    }

    pub(super) fn begin(&self, mode: Mode) -> Result<(), Fault> {
        match mode {
            Mode::Read => {
                // what is kept counts with the lock alone
                self.reading.set(Reading::Announced);
                Ok(())
            }
            Mode::Write | Mode::Schema => {
                let begun = self.begin_to_write(mode);
                if let Err(fault) = &begun {
                    // a transaction that was begun and failed would refuse every later one; and with a
                    // failure of another kind nobody knows what of the session still holds
                    let back = self.rollback();
                    if back.is_err() || !fault.is_of_the_lock() {
                        self.lost.set(true);
                    }
                }
                begun
            }
        }
    }

    /// See [`super::Connection::begin_foreseen`]; what is read first comes with the lock, or with the
    /// beginning of a transaction that reads.
    pub(super) fn begin_foreseen(
        &self,
        mode: Mode,
        look: &mut dyn FnMut(bool),
    ) -> Result<(), Fault> {
        if !self.planned.get() {
            self.run(self.client.batch_execute(PLANS))?;
            self.planned.set(true);
        }
        self.gathered.borrow_mut().phase = Phase::Foresee;
        look(false);
        match mode {
            Mode::Read if self.is_read_at_once(look)? => {
                self.gather();
                return Ok(());
            }
            Mode::Read => {
                look(false);
                self.begin_to_read()?;
            }
            Mode::Write | Mode::Schema => self.begin(mode)?,
        }
        let mut locked = mode == Mode::Write;
        for _ in 0..FORESEEN_MAX {
            look(core::mem::take(&mut locked));
            if !self.fetch()? {
                break;
            }
        }
        self.gather();
        Ok(())
    }

    /// See [`super::Connection::prefetch`].
    pub(super) fn prefetch(&self, look: &mut dyn FnMut()) -> Result<(), Fault> {
        self.begin_announced()?;
        {
            let mut gathered = self.gathered.borrow_mut();
            gathered.forget();
            gathered.phase = Phase::Foresee;
        }
        look();
        let fetched = self.fetch();
        self.gather();
        fetched.map(|_| ())
    }

    /// Reads all that is wanted where that is one statement and nothing follows from it: it needs no
    /// transaction.
    fn is_read_at_once(&self, look: &mut dyn FnMut(bool)) -> Result<bool, Fault> {
        if !self.gathered.borrow().is_one() {
            return Ok(false);
        }
        self.fetch()?;
        look(false);
        let mut gathered = self.gathered.borrow_mut();
        let whole = gathered.is_nothing();
        if whole {
            self.reading.set(Reading::Announced);
        } else {
            // from another instant than what follows
            gathered.forget();
            gathered.wanted();
        }
        Ok(whole)
    }

    fn begin_to_read(&self) -> Result<(), Fault> {
        self.reading.set(Reading::Begun);
        let wanted = self.gathered.borrow_mut().wanted();
        let begin = self.script(BEGIN_TO_READ);
        self.ask(&wanted, vec![begin]).map(|_| ())
    }

    pub(super) fn next_command(&self) {
        self.gathered.borrow_mut().next();
    }

    /// Words without an answer, as a call that goes together with others.
    pub(super) fn script<'a>(&'a self, words: &'a str) -> Call<'a> {
        Box::pin(async move {
            let done = self.client.batch_execute(words).await;
            done.map(|()| Said::Done)
        })
    }

    pub(super) fn run_script(&self, script: &str) -> Result<(), Fault> {
        self.begin_announced()?;
        let statements = u32::try_from(script.matches(';').count()).unwrap_or(u32::MAX);
        let most = self.silence.saturating_mul(statements.saturating_add(1));
        self.run_for(most, self.client.batch_execute(script))
    }
}

/// Whether an error comes from a session that is over: class 57P is said by a server that ends it, and
/// nothing comes after what is fatal.
fn ends_the_session(error: &tokio_postgres::Error) -> bool {
    let Some(said) = error.as_db_error() else {
        return true;
    };
    let fatal = said.parsed_severity();
    said.code().code().starts_with("57P")
        || matches!(fatal, Some(Severity::Fatal | Severity::Panic))
}

fn gone() -> Fault {
    Fault::Unreachable("the session has ended".to_owned())
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

/// `?1` in the words of PostgreSQL. No text in our statements holds a question mark.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}
