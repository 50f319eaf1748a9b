//! PostgreSQL's side of a connection.
//!
//! One transaction writes at a time, over all processes: it begins by waiting for one advisory lock.
//! Whoever holds it commits the commands of all its callers at once, so that the wait is for a commit
//! and not for a caller; and no two writers can meet in a row, so that nobody waits for a row's lock. What
//! the server gives up all the same, or a lost connection, is done again (`sql/writer.rs`, `sql/line.rs`).
//! The statements of its commands go in a few round trips, whatever their number (`gather`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, private::BytesMut};
use tokio_postgres::{Client, Config, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::gather::{Gathered, Group, Phase};
use super::many::{Call, Said, each_of};
use super::{Mode, Of, Row, Value};
use crate::sql::fault::Fault;

/// The advisory lock of the one writer: `TGTA`, then 1.
const WRITER_LOCK: i64 = 0x5447_5441_0000_0001;

/// Waits for the writer's lock; gives the transaction's mark.
const LOCK: &str = "SELECT CAST(gen_random_uuid() AS TEXT) FROM pg_advisory_xact_lock($1)";

/// Leaves the mark in what is written, by which its writer finds it again. Transaction numbers would not
/// do: a standby that is promoted gives those once more which it has not seen.
const MARK: &str = "INSERT INTO writer_mark (mark) VALUES ($1)";

/// Marks of an hour ago go; a session looks for them once in so many transactions.
const OLD_MARKS: &str = "DELETE FROM writer_mark WHERE at < now() - interval '1 hour'";
const OLD_MARKS_EVERY: u32 = 256;

/// Bounds of a session; what the address asks for comes after them and counts.
const OPTIONS: &str = "-c lock_timeout=10s -c statement_timeout=60s \
                       -c idle_in_transaction_session_timeout=60s -c client_min_messages=warning";

/// How long a host may take to answer, and a connection may be silent, before it is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Plans of statements for many: they go through an index for each row. Planned while a table was small,
/// they would read all of it, and go on so while it grows, until its statistics are taken. Planned once
/// for any number of rows, they are not planned again for each.
const PLANS: &str = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan";

/// All of a reading sees one instant.
const BEGIN_TO_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// How a query ends that is about a table of one row.
const ONLY_ROW: &str = "WHERE id = 1";

/// How often more is found to be read before the commands of a commit are carried out: more than any
/// of them has readings that follow from others.
const LOOKS_MAX: u32 = 8;

/// Rows of a long reading that are in memory at once.
const FETCH: usize = 1_000;

/// Where a PostgreSQL is and how to log in.
#[derive(Clone)]
pub(crate) struct Server {
    config: Config,
    /// None where every host is this machine.
    tls: Option<MakeRustlsConnect>,
}

impl core::fmt::Debug for Server {
    // the configuration holds a password
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Server")
            .field("hosts", &self.config.get_hosts())
            .field("database", &self.config.get_dbname())
            .finish_non_exhaustive()
    }
}

/// One session of PostgreSQL. Its calls block: they belong on a thread that may.
pub(crate) struct Session {
    /// None only while dropping.
    runtime: Option<Runtime>,
    pub(super) client: Client,
    pub(super) gathered: RefCell<Gathered>,
    round_trips: Cell<u64>,
    reading: Cell<Reading>,
    /// Transactions that left a mark.
    begun: Cell<u32>,
    /// Whether its plans are those of a writer.
    planned: Cell<bool>,
    statements: RefCell<HashMap<String, Statement>>,
    /// The mark of the transaction that writes, and of the last one that did.
    transaction: RefCell<Option<String>>,
    committed: RefCell<Option<String>>,
    lost: Cell<bool>,
}

/// What goes with a commit.
pub(super) struct Last {
    writes: Vec<(Statement, Group)>,
    /// [`MARK`], and now and then [`OLD_MARKS`].
    marks: Vec<Statement>,
}

/// How far a transaction that reads has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
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

impl Server {
    /// Reads `postgres://USER@HOST/DATABASE?...`.
    ///
    /// To another machine there is no way but TLS, with a certificate that this machine's roots vouch for
    /// and that names the host; on this machine there is none.
    ///
    /// # Errors
    /// A sentence without the password.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let mut config = Config::from_str(url).map_err(|error| error.to_string())?;
        let asked = config.get_options().unwrap_or_default().to_owned();
        config
            .application_name("tegata-server")
            .connect_timeout(PATIENCE)
            .keepalives_idle(PATIENCE)
            .tcp_user_timeout(PATIENCE * 2)
            .options(format!("{OPTIONS} {asked}"));
        let here = |host: &Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => ["localhost", "127.0.0.1", "::1"].contains(&name.as_str()),
        };
        let address_here = config
            .get_hostaddrs()
            .iter()
            .all(std::net::IpAddr::is_loopback);
        if !config.get_hosts().is_empty() && config.get_hosts().iter().all(here) && address_here {
            return Ok(Self { config, tls: None });
        }
        // the library's own default falls back to clear text when the server says so
        config.ssl_mode(SslMode::Require);
        let tls = ClientConfig::with_platform_verifier().map_err(|error| error.to_string())?;
        let tls = Some(MakeRustlsConnect::new(tls));
        Ok(Self { config, tls })
    }

    /// A session, and what drives it.
    async fn open(&self) -> Result<Client, tokio_postgres::Error> {
        Ok(match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(drive(connection));
                client
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                tokio::spawn(drive(connection));
                client
            }
        })
    }

    /// Opens a session.
    ///
    /// # Errors
    /// [`Fault::Unreachable`].
    pub(crate) fn connect(&self) -> Result<Session, Fault> {
        let unreachable = |error: &dyn std::error::Error| {
            let mut reason = error.to_string();
            let mut source = error.source();
            while let Some(inner) = source {
                reason = format!("{reason}: {inner}");
                source = inner.source();
            }
            Fault::Unreachable(reason)
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| unreachable(&error))?;
        let client = runtime
            .block_on(self.open())
            .map_err(|error| unreachable(&error))?;
        Ok(Session {
            runtime: Some(runtime),
            client,
            gathered: RefCell::default(),
            round_trips: Cell::new(0),
            reading: Cell::default(),
            begun: Cell::new(0),
            planned: Cell::new(false),
            statements: RefCell::new(HashMap::new()),
            transaction: RefCell::new(None),
            committed: RefCell::new(None),
            lost: Cell::new(false),
        })
    }
}

impl Session {
    pub(super) fn is_lost(&self) -> bool {
        if let (false, Some(runtime)) = (self.lost.get(), &self.runtime) {
            // what the server said since the last call is taken in only while something is awaited
            runtime.block_on(async {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            });
        }
        self.lost.get() || self.client.is_closed()
    }

    /// How often it waited for the server since this was last asked.
    pub(super) fn round_trips(&self) -> u64 {
        self.round_trips.take()
    }

    pub(super) fn run<T>(
        &self,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        self.round_trips.set(self.round_trips.get() + 1);
        let runtime = self.runtime.as_ref();
        let done = runtime.ok_or_else(gone)?.block_on(call);
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
        let begin: Call<'_> = Box::pin(async {
            self.client.batch_execute(BEGIN_TO_READ).await?;
            Ok(Said::Done)
        });
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
                self.reading.set(Reading::Announced);
                Ok(())
            }
            Mode::Write | Mode::Schema => {
                let begun = self.begin_to_write(mode);
                if begun.is_err() {
                    // a transaction that was begun and failed would refuse every later one
                    self.lost.set(true);
                }
                begun
            }
        }
    }

    /// See [`super::Connection::begin_foreseen`]; what is read first comes with the lock, or with the
    /// beginning of a transaction that reads.
    pub(super) fn begin_foreseen(&self, mode: Mode, look: &mut dyn FnMut()) -> Result<(), Fault> {
        if !self.planned.replace(true) {
            self.run_script(PLANS)?;
        }
        self.gathered.borrow_mut().phase = Phase::Foresee;
        look();
        match mode {
            Mode::Read if self.is_read_at_once(look)? => {
                self.gather();
                return Ok(());
            }
            Mode::Read => {
                look();
                self.begin_to_read()?;
            }
            Mode::Write | Mode::Schema => self.begin(mode)?,
        }
        for _ in 0..LOOKS_MAX {
            look();
            if !self.fetch()? {
                break;
            }
        }
        self.gather();
        Ok(())
    }

    /// Reads all that is wanted where that is one statement and nothing follows from it: it needs no
    /// transaction.
    fn is_read_at_once(&self, look: &mut dyn FnMut()) -> Result<bool, Fault> {
        if !self.gathered.borrow().is_one() {
            return Ok(false);
        }
        self.fetch()?;
        look();
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
        let begin: Call<'_> = Box::pin(async {
            self.client.batch_execute(BEGIN_TO_READ).await?;
            Ok(Said::Done)
        });
        self.ask(&wanted, vec![begin]).map(|_| ())
    }

    pub(super) fn next_command(&self) {
        self.gathered.borrow_mut().next();
    }

    fn begin_to_write(&self, mode: Mode) -> Result<(), Fault> {
        let lock = self.prepared(LOCK)?;
        let wanted = self.gathered.borrow_mut().wanted();
        let begin: Call<'_> = Box::pin(async {
            let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
            self.client.batch_execute(begin).await?;
            Ok(Said::Done)
        });
        let lock: Call<'_> = Box::pin(async {
            let rows = self.client.query(&lock, &[&WRITER_LOCK]).await;
            rows.map(Said::Rows)
        });
        let said = self.ask(&wanted, vec![begin, lock])?;
        let mark = match (mode, said.last()) {
            (Mode::Write, Some(Said::Rows(rows))) => rows.first().map(|row| row.try_get(0)),
            (Mode::Write | Mode::Read | Mode::Schema, _) => None,
        };
        let mark = mark.transpose().map_err(|_| Fault::Corrupt("mark"))?;
        *self.transaction.borrow_mut() = mark;
        Ok(())
    }

    /// What is left to do before a commit, where its failing leaves a transaction that can be taken back.
    pub(super) fn last(&self) -> Result<Last, Fault> {
        let writes = self.writes()?;
        let mut marks = Vec::new();
        if self.transaction.borrow().is_some() {
            marks.push(self.prepared(MARK)?);
            let begun = self.begun.get();
            self.begun.set(begun.wrapping_add(1));
            if begun.is_multiple_of(OLD_MARKS_EVERY) {
                marks.push(self.prepared(OLD_MARKS)?);
            }
        }
        Ok(Last { writes, marks })
    }

    /// One round trip for the last writes, the mark and the commit: where one of them fails, the server
    /// takes all of it back instead.
    pub(super) fn commit(&self, last: &Last) -> Result<(), Fault> {
        self.gathered.borrow_mut().end();
        match self.reading.take() {
            Reading::Not => {}
            Reading::Announced => return Ok(()),
            Reading::Begun => return self.run(self.client.batch_execute("COMMIT")),
        }
        let mark = self.transaction.take();
        let mut after: Vec<Call<'_>> = Vec::new();
        for (at, statement) in last.marks.iter().enumerate() {
            let mark = mark.as_ref().filter(|_| at == 0);
            after.push(Box::pin(async move {
                let mark: Vec<&(dyn ToSql + Sync)> = mark.iter().map(|mark| *mark as _).collect();
                let done = self.client.execute(statement, &mark).await;
                done.map(|_| Said::Done)
            }));
        }
        after.push(Box::pin(async {
            self.client.batch_execute("COMMIT").await?;
            Ok(Said::Done)
        }));
        match (self.send(&last.writes, after), mark) {
            (Err(_), Some(mark)) if self.is_lost() => Err(Fault::CommitUnknown(mark)),
            (Ok(()), Some(mark)) => {
                *self.committed.borrow_mut() = Some(mark);
                Ok(())
            }
            (done, _) => done,
        }
    }

    /// The mark of what was committed last.
    pub(super) fn committed(&self) -> Option<String> {
        self.committed.borrow().clone()
    }

    pub(super) fn rollback(&self) -> Result<(), Fault> {
        self.gathered.borrow_mut().end();
        self.transaction.take();
        if self.reading.take() == Reading::Announced {
            return Ok(());
        }
        self.run(self.client.batch_execute("ROLLBACK"))
    }

    pub(super) fn run_script(&self, script: &str) -> Result<(), Fault> {
        self.begin_announced()?;
        self.run(self.client.batch_execute(script))
    }
}

async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    // every call that waits gets the error as well
    if let Err(error) = connection.await {
        tracing::warn!(%error, "a connection to the database ended");
    }
}

/// Whether an error comes from a session that is over: class 57P is said by a server that ends it.
fn ends_the_session(error: &tokio_postgres::Error) -> bool {
    let said = error.code();
    said.is_none_or(|code| code.code().starts_with("57P"))
}

fn gone() -> Fault {
    Fault::Unreachable("the session has ended".to_owned())
}

impl Drop for Session {
    fn drop(&mut self) {
        // without waiting, since this may be a task's thread
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// `?1` in the words of PostgreSQL. No text in our statements holds a question mark.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        to: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let int = match self {
            Value::Null => return Ok(IsNull::Yes),
            Value::Text(text) => return text.to_sql(to, out),
            Value::Blob(blob) => return blob.to_sql(to, out),
            Value::Int(int) => *int,
            Value::Bool(bool) => i64::from(*bool),
        };
        match *to {
            Type::BOOL => (int != 0).to_sql(to, out),
            Type::INT4 => i32::try_from(int)?.to_sql(to, out),
            _ => int.to_sql(to, out),
        }
    }

    fn accepts(to: &Type) -> bool {
        [Type::BOOL, Type::INT4, Type::INT8, Type::TEXT, Type::BYTEA].contains(to)
    }

    fn to_sql_checked(
        &self,
        to: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let fits = match self {
            Value::Null => true,
            Value::Int(_) | Value::Bool(_) => [Type::BOOL, Type::INT4, Type::INT8].contains(to),
            Value::Text(_) => *to == Type::TEXT,
            Value::Blob(_) => *to == Type::BYTEA,
        };
        if !fits {
            return Err(format!("{self:?} does not go into {to}").into());
        }
        self.to_sql(to, out)
    }
}

/// A column as PostgreSQL sends it.
struct Column<'a>(Value<'a>);

impl<'a> FromSql<'a> for Column<'a> {
    fn from_sql(
        from: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(match *from {
            Type::BOOL => Value::Bool(bool::from_sql(from, raw)?),
            Type::INT4 => Value::Int(i32::from_sql(from, raw)?.into()),
            Type::INT8 => Value::Int(i64::from_sql(from, raw)?),
            Type::BYTEA => Value::Blob(raw),
            _ => Value::Text(core::str::from_utf8(raw)?),
        }))
    }

    fn accepts(from: &Type) -> bool {
        [Type::BOOL, Type::INT4, Type::INT8, Type::TEXT, Type::BYTEA].contains(from)
    }
}

pub(super) fn value(row: &tokio_postgres::Row, column: usize) -> Result<Value<'_>, Fault> {
    let found: Option<Column<'_>> = row.try_get(column).map_err(|_| Fault::Corrupt("column"))?;
    Ok(found.map_or(Value::Null, |column| column.0))
}
