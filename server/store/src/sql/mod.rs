//! The ledger in SQL: on SQLite, one file, or on PostgreSQL; one writer thread, several readers,
//! and on PostgreSQL one more for all who look at a few rows.
//!
//! A commit is on the disk before its callers hear of it (SQLite: WAL with `synchronous = FULL`), and
//! readers never wait for the writer. All reads of one call see one instant.

mod address;
mod admin;
mod apply;
mod audit;
mod bank;
mod copier;
mod copy;
mod crash;
mod debit;
#[cfg(test)]
mod debit_tests;
mod delivery;
mod doubt;
pub(crate) mod fault;
mod inline;
mod invitation;
mod journal;
mod key;
mod line;
mod log;
#[cfg(test)]
mod log_tests;
mod lost;
mod migrate;
mod officers;
mod order;
mod outbox;
mod pool;
#[cfg(test)]
mod pool_tests;
mod read;
mod recovery;
mod revise;
mod rows;
pub(crate) mod schema;
mod shared;
mod store;
#[cfg(test)]
mod tests;
mod token;
mod webhook;
mod writer;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use copy::{close, copy};

use crate::db::server::Server;
use crate::db::{Connection, Mode};
use crate::error::StoreError;
use crate::sql::fault::Fault;
use crate::sql::inline::Inline;
use crate::sql::shared::Shared;
use crate::sql::writer::Writer;

pub use crate::sql::inline::{Access, Gate, Saved, Side};

/// How long a connection waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Statements kept compiled per connection: more than there are.
const STATEMENTS_MAX: usize = 128;

/// Page cache of the writer, in KiB: holds the accounts of some 500,000 cards.
const WRITER_CACHE_KIB: i64 = 32_768;

/// Write-ahead log, in pages of 4 KiB, before it is copied back into the file: the default of
/// 1,000 copies hot account pages several times a second under load.
const CHECKPOINT_PAGES: i64 = 8_000;

/// Connections that read at the same time.
const READERS: usize = 4;

/// A ledger in one SQLite file, or in a database of PostgreSQL.
///
/// Dropping it waits for the batch that is being written, and for readings that are being answered.
#[derive(Debug)]
pub struct SqlStore {
    writer: Writer,
    readers: Reading,
}

/// Where reads happen.
#[derive(Debug)]
enum Reading {
    Threads(Arc<Readers>),
    /// Of a server: readings of a few rows share the round trips of one thread.
    Shared(Shared, Arc<Readers>),
    Inline(Arc<Inline>),
}

/// Where connections come from.
#[derive(Debug, Clone)]
enum Origin {
    File(PathBuf),
    Server(Box<Server>),
}

#[derive(Debug)]
struct Readers {
    origin: Origin,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl SqlStore {
    /// Opens the file, creates it where there is none, and brings its schema up to date.
    ///
    /// Blocks while it does; call it before serving.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::NotOurs`], [`StoreError::SchemaTooNew`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        create_private(path)?;
        let mut connection = connect(path)?;
        migrate::migrate(&mut connection)?;
        prepare_writer(&connection)?;
        Self::start(
            Connection::Sqlite(connection),
            Origin::File(path.to_owned()),
        )
    }

    /// Opens a database of a PostgreSQL server, and brings its schema up to date.
    ///
    /// `url`: `postgres://USER:PASSWORD@HOST/DATABASE`. Blocks while it does; call it before serving.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::NotOurs`], [`StoreError::SchemaTooNew`].
    pub fn connect(url: &str) -> Result<Self, StoreError> {
        let server = Server::new(url).map_err(|reason| StoreError::Unavailable { reason })?;
        let connection = apart(|| {
            let connection = Connection::Postgres(Box::new(server.connect()?));
            schema::migrate(&connection)?;
            Ok(connection)
        })?;
        Self::start(connection, Origin::Server(Box::new(server)))
    }

    /// How many connections of servers and commands a database of PostgreSQL has.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub fn sessions(url: &str) -> Result<u64, StoreError> {
        let server = Server::new(url).map_err(|reason| StoreError::Unavailable { reason })?;
        apart(|| {
            let session = Connection::Postgres(Box::new(server.connect()?));
            let session = session.begin(Mode::Read)?;
            Ok(schema::sessions(&session)?)
        })
    }

    fn start(connection: Connection, origin: Origin) -> Result<Self, StoreError> {
        let readers = Arc::new(Readers {
            origin: origin.clone(),
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(READERS)),
        });
        let readers = match &origin {
            Origin::File(_) => Reading::Threads(readers),
            Origin::Server(_) => Reading::Shared(Shared::start(origin.clone())?, readers),
        };
        let writer = Writer::start(connection, origin)?;
        Ok(Self { writer, readers })
    }

    /// As [`crate::Store::incarnation`], for callers that do not wait.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub fn life(&self) -> Result<Option<[u8; 16]>, StoreError> {
        match &self.readers {
            Reading::Threads(readers) | Reading::Shared(_, readers) => {
                apart(|| readers.run(recovery::incarnation))
            }
            Reading::Inline(inline) => snapshot(&inline.connection(), recovery::incarnation),
        }
    }

    /// Transactions committed since the file was opened; fewer than the calls that caused them.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// How often the writer waited for PostgreSQL since the database was opened; never for a file.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.writer.round_trips()
    }

    /// Runs one read on a connection of its own; all of it sees one instant.
    ///
    /// The permit belongs to the read and not to whoever waits for it: a read goes on when its
    /// caller has hung up, and callers who hang up must not be able to start more of them.
    async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        if self.writer.is_astray() {
            return Err(line::gone_astray());
        }
        let readers = match &self.readers {
            Reading::Threads(readers) | Reading::Shared(_, readers) => Arc::clone(readers),
            Reading::Inline(inline) => {
                inline.pass(Access::Read, Side::Before).await?;
                let value = snapshot(&inline.connection(), read)?;
                inline.pass(Access::Read, Side::After).await?;
                return Ok(value);
            }
        };
        let permit = readers.permit().await?;
        let done = tokio::task::spawn_blocking(move || {
            let value = readers.run(read);
            drop(permit);
            value
        });
        done.await.map_err(|_| fault::gone())?
    }

    /// As [`SqlStore::look`], for a page of rows: of a server on a connection of its own, where it holds up
    /// nobody who looks at a few.
    async fn page<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        match &self.readers {
            Reading::Shared(..) => self.read(read).await,
            Reading::Threads(_) | Reading::Inline(_) => self.look(read).await,
        }
    }

    /// As [`SqlStore::read`], for a few rows found by their keys; it may be carried out more than once.
    ///
    /// Of a server they are asked for together with those of others (`shared`): a query that goes alone
    /// there (`db/shape.rs`) holds up the rest.
    /// Of a file they are read where they are asked for: that takes some ten microseconds, and handing
    /// it to another thread and back as long again. Readers of a file wait for nobody.
    async fn look<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        match &self.readers {
            Reading::Threads(readers) => {
                let _permit = readers.permit().await?;
                readers.run(read)
            }
            Reading::Shared(..) if self.writer.is_astray() => Err(line::gone_astray()),
            Reading::Shared(shared, _) => shared.look(read).await,
            Reading::Inline(_) => self.read(read).await,
        }
    }
}

impl Readers {
    async fn permit(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let permits = Arc::clone(&self.permits);
        permits.acquire_owned().await.map_err(|_| fault::gone())
    }

    fn run<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) if !connection.is_lost() => connection,
            Some(_) | None => self.origin.reader()?,
        };
        let value = snapshot(&connection, read)?;
        self.idle().push(connection);
        Ok(value)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Origin {
    /// Another connection that reads.
    fn reader(&self) -> Result<Connection, StoreError> {
        match self {
            Self::File(path) => {
                let connection = connect(path)?;
                connection
                    .pragma_update(None, "query_only", true)
                    .map_err(Fault::from)?;
                Ok(Connection::Sqlite(connection))
            }
            Self::Server(server) => Ok(Connection::Postgres(Box::new(server.connect()?))),
        }
    }

    /// Another connection to a server, where the one before was lost. A file loses none.
    fn line(&self) -> Result<Connection, Fault> {
        match self {
            Self::File(_) => Err(Fault::Unreachable("the file was closed".to_owned())),
            Self::Server(server) => Ok(Connection::Postgres(Box::new(server.connect()?))),
        }
    }
}

/// Runs on a thread of its own: a session of PostgreSQL blocks, which the thread of a task must not.
fn apart<T: Send>(run: impl FnOnce() -> Result<T, StoreError> + Send) -> Result<T, StoreError> {
    std::thread::scope(|scope| scope.spawn(run).join().map_err(|_| fault::gone())?)
}

/// One read of one instant.
fn snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, StoreError> {
    let snapshot = connection.begin(Mode::Read)?;
    let value = read(&snapshot)?;
    snapshot.commit()?;
    Ok(value)
}

/// Creates the file, where there is none, so that only its owner reads it: it names people, their
/// addresses, and the claim token of every order. SQLite gives its log the same rights.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unavailable {
            reason: error.to_string(),
        }),
    }
}

fn connect(path: &Path) -> Result<rusqlite::Connection, StoreError> {
    prepare(rusqlite::Connection::open(path))
}

fn prepare(
    opened: rusqlite::Result<rusqlite::Connection>,
) -> Result<rusqlite::Connection, StoreError> {
    let open = || -> Result<rusqlite::Connection, Fault> {
        let connection = opened?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.pragma_update(None, "foreign_keys", true)?;
        // Else SQLite compiles a statement anew for many a value that is bound to it, to plan by
        // statistics that we do not keep.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    };
    open().map_err(StoreError::from)
}

fn prepare_writer(connection: &rusqlite::Connection) -> Result<(), StoreError> {
    let prepare = || -> Result<bool, Fault> {
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        Ok(mode == "wal")
    };
    match prepare() {
        Ok(true) => Ok(()),
        Ok(false) => Err(StoreError::Unavailable {
            reason: "the file system does not support a write-ahead log".to_owned(),
        }),
        Err(fault) => Err(fault.into()),
    }
}
