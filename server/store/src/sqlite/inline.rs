//! A ledger in memory on the caller's thread, with a gate before and behind every access.
//!
//! For the simulation: the statements, transactions and rules are those of the file; what is absent
//! is the disk, the writer thread and the readers' threads, so that one seed gives one history.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use rusqlite::Connection;

use crate::error::StoreError;
use crate::sqlite::writer::Writer;
use crate::sqlite::{SqliteStore, migrate, prepare};

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

/// Stands before and behind every access of a store in memory.
///
/// An error on the side `Before` is a database that failed; on the side `After` one whose answer
/// was lost after the commit. A call that stays pending and is dropped is a process that was killed.
pub trait Gate: core::fmt::Debug + Send + Sync {
    /// Asked until it is ready; nobody is woken, whoever drives the call asks again.
    fn pass(&self, access: Access, side: Side) -> Poll<Result<(), StoreError>>;
}

/// The one connection and its gate.
#[derive(Debug)]
pub(super) struct Inline {
    connection: Mutex<Connection>,
    gate: Arc<dyn Gate>,
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

impl SqliteStore {
    /// A new, empty ledger in memory whose every access passes `gate`, on the calling thread.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no memory.
    pub fn in_memory(gate: Arc<dyn Gate>) -> Result<Self, StoreError> {
        let mut connection = prepare(Connection::open_in_memory())?;
        migrate::migrate(&mut connection)?;
        let inline = Arc::new(Inline {
            connection: Mutex::new(connection),
            gate,
        });
        Ok(Self {
            writer: Writer::inline(Arc::clone(&inline)),
            readers: super::Reading::Inline(inline),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Gate, Side};
    use crate::error::StoreError;
    use crate::{SqliteStore, Store as _};
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
            let store = SqliteStore::in_memory(Arc::clone(&gate) as Arc<dyn Gate>).unwrap();
            let put = store.put_template([7; 32], vec![1]).await;
            assert!(put.is_err());
            let found = store.template([7; 32]).await.unwrap();
            assert_eq!(found.is_some(), stored);
            let passed = gate.1.lock().unwrap().clone();
            assert_eq!(passed.first(), Some(&(Access::Write, Side::Before)));
            assert_eq!(passed.last(), Some(&(Access::Read, Side::After)));
        }
    }
}
