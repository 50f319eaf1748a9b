//! A ledger on the caller's thread, with a gate before and behind every access: in memory, or in a
//! database of PostgreSQL.
//!
//! For the simulation: the statements, transactions and rules are those of the file and the server; what
//! is absent is the disk, the writer thread and the readers' threads, so that one seed gives one history.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use rusqlite::OpenFlags;

use crate::db::Connection;
use crate::db::server::Server;
use crate::error::StoreError;
use crate::sql::copier::Copier;
use crate::sql::fault::Fault;
use crate::sql::writer::Writer;
use crate::sql::{Reading, SqlStore, migrate, prepare, schema};

/// What is about to happen, or has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// One reading of one instant.
    Read,
    /// One transaction that is no command.
    Write,
    /// One transaction of commands.
    Apply,
}

/// On which side of the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Nothing has happened.
    Before,
    /// It is committed, and nobody has heard of it.
    After,
}

/// Stands before and behind every access of a store that is driven on its caller's thread.
///
/// An error on the side `Before` is a database that failed; on the side `After` one whose answer
/// was lost after the commit. A call that stays pending and is dropped is a process that was killed.
pub trait Gate: core::fmt::Debug + Send + Sync {
    /// Asked until it is ready; nobody is woken, whoever drives the call asks again.
    fn pass(&self, access: Access, side: Side) -> Poll<Result<(), StoreError>>;
}

/// What such a ledger can be put back to, as a file is by copying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// The state that every history begins with.
    Beginning,
    /// A backup.
    Backup,
}

impl Saved {
    pub(super) const ALL: [Self; 2] = [Self::Beginning, Self::Backup];

    /// The database beside the ledger that it lies in.
    pub(super) const fn schema(self) -> &'static str {
        match self {
            Self::Beginning => "beginning",
            Self::Backup => "backup",
        }
    }
}

/// The one connection of the ledger, its gate, and whoever copies it.
#[derive(Debug)]
pub(super) struct Inline {
    connection: Mutex<Connection>,
    gate: Arc<dyn Gate>,
    copier: Mutex<Copier>,
}

/// Pages that both connections see; each is used by one thread at a time.
pub(super) fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_SHARED_CACHE
}

impl Inline {
    pub(super) async fn pass(&self, access: Access, side: Side) -> Result<(), StoreError> {
        poll_fn(|_| self.gate.pass(access, side)).await
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl SqlStore {
    /// A new, empty ledger in memory whose every access passes `gate`, on the calling thread.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no memory.
    pub fn in_memory(gate: Arc<dyn Gate>) -> Result<Self, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("file:ledger-{number}?mode=memory&cache=shared");
        let mut connection = prepare(rusqlite::Connection::open_with_flags(&name, flags()))?;
        migrate::migrate(&mut connection)?;
        let inline = Arc::new(Inline {
            connection: Mutex::new(Connection::Sqlite(connection)),
            gate,
            copier: Mutex::new(Copier::of_pages(&name)?),
        });
        Ok(Self {
            writer: Writer::inline(Arc::clone(&inline)),
            readers: Reading::Inline(inline),
        })
    }

    /// As [`SqlStore::in_memory`], in an empty database of PostgreSQL, of which the role is a superuser.
    /// The thread must be one that may wait.
    ///
    /// # Errors
    /// As [`SqlStore::connect`].
    pub fn on_server(url: &str, gate: Arc<dyn Gate>) -> Result<Self, StoreError> {
        let server = Server::new(url).map_err(|reason| StoreError::Unavailable { reason })?;
        let connection = Connection::Postgres(Box::new(server.connect()?));
        schema::migrate(&connection)?;
        let copier = Connection::Postgres(Box::new(server.connect()?));
        let inline = Arc::new(Inline {
            connection: Mutex::new(connection),
            gate,
            copier: Mutex::new(Copier::of_server(copier)?),
        });
        Ok(Self {
            writer: Writer::inline(Arc::clone(&inline)),
            readers: Reading::Inline(inline),
        })
    }

    /// Copies the whole ledger, in the place of what was copied there before. Passes no gate.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no memory, and for a ledger in a file.
    pub fn save(&self, to: Saved) -> Result<(), StoreError> {
        self.copier(|copier| copier.save(to))
    }

    /// Puts a copy in the place of the whole ledger. Passes no gate.
    ///
    /// # Errors
    /// As [`SqlStore::save`].
    pub fn go_back(&self, to: Saved) -> Result<(), StoreError> {
        self.copier(|copier| copier.go_back(to))
    }

    fn copier(&self, run: impl FnOnce(&Copier) -> Result<(), Fault>) -> Result<(), StoreError> {
        match &self.readers {
            Reading::Inline(inline) => {
                let copier = inline.copier.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(run(&copier)?)
            }
            Reading::Threads(_) | Reading::Shared(..) => Err(StoreError::Unavailable {
                reason: "a file is copied as a file".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Gate, Saved, Side};
    use crate::error::StoreError;
    use crate::sql::Reading;
    use crate::{SqlStore, Store as _};
    use std::sync::{Arc, Mutex};
    use std::task::Poll;

    /// Fails on one side of writes, and counts.
    #[derive(Debug)]
    struct FailOn(Side, Mutex<Vec<(Access, Side)>>);

    impl Gate for FailOn {
        fn pass(&self, access: Access, side: Side) -> Poll<Result<(), StoreError>> {
            self.1.lock().unwrap().push((access, side));
            if access == Access::Write && side == self.0 {
                let reason = "gate".to_owned();
                return Poll::Ready(Err(StoreError::Unavailable { reason }));
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_write_refused_before_is_not_there_and_one_refused_after_is() {
        for (side, stored) in [(Side::Before, false), (Side::After, true)] {
            let gate = Arc::new(FailOn(side, Mutex::new(Vec::new())));
            let store = SqlStore::in_memory(Arc::clone(&gate) as Arc<dyn Gate>).unwrap();
            let put = store.put_template([7; 32], vec![1]).await;
            assert!(put.is_err());
            let found = store.template([7; 32]).await.unwrap();
            assert_eq!(found.is_some(), stored);
            let passed = gate.1.lock().unwrap().clone();
            assert_eq!(passed.first(), Some(&(Access::Write, Side::Before)));
            assert_eq!(passed.last(), Some(&(Access::Read, Side::After)));
        }
    }
    #[test]
    fn a_copy_takes_the_whole_ledger_back_and_can_be_used_again() {
        let gate = || Arc::new(FailOn(Side::Before, Mutex::new(Vec::new())));
        copied(&SqlStore::in_memory(gate()).unwrap());
        copied(&SqlStore::on_server(&postgres_server::database(), gate()).unwrap());
    }

    fn copied(store: &SqlStore) {
        let life = |store: &SqlStore| store.life().unwrap();
        let begin = |life: u8| {
            let Reading::Inline(inline) = &store.readers else {
                unreachable!("it is in memory");
            };
            let sql = "UPDATE meta SET incarnation = ?1";
            inline.connection().execute(sql, [[life; 16]]).unwrap();
        };
        begin(1);
        store.save(Saved::Beginning).unwrap();
        begin(2);
        store.save(Saved::Backup).unwrap();
        begin(3);
        for (copy, was) in [
            (Saved::Backup, 2),
            (Saved::Beginning, 1),
            (Saved::Beginning, 1),
            (Saved::Backup, 2),
        ] {
            store.go_back(copy).unwrap();
            assert_eq!(life(store), Some([was; 16]));
            begin(4);
        }
    }
}
