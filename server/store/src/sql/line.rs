//! The writer's line to its database: it breaks, is laid anew, and knows whom it reaches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::db::{Connection, Mark, Mode};
use crate::error::StoreError;
use crate::sql::fault::Fault;
use crate::sql::{Origin, recovery};

/// How often a batch is begun on a line that breaks each time.
const TRIES_MAX: u32 = 3;

/// How often, and with what pause, a lost database is looked for before callers hear that it is gone:
/// some ten seconds where hosts refuse at once, in which a standby is promoted or a server restarts.
const RECONNECTS_MAX: u32 = 100;
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// What is said of a database that is not the one any more.
const ASTRAY: &str = "this database is not the one that this server began with: it lacks what was committed, \
                      or began a new life. Stop every server; docs/postgresql.md says what then";

/// A connection that writes, and what it must find when it is opened anew.
#[derive(Debug)]
pub(super) struct Line {
    connection: Connection,
    origin: Origin,
    /// The life of the database, which every ticket names.
    life: Option<[u8; 16]>,
    /// The mark of what was committed last.
    committed: Option<Mark>,
    astray: Arc<AtomicBool>,
}

impl Line {
    pub(super) fn new(connection: Connection, origin: Origin) -> Result<Self, StoreError> {
        let (connection, life) = super::apart(move || {
            let life = match &connection {
                // nobody puts a file back while it is in use
                Connection::Sqlite(_) => None,
                Connection::Postgres(_) => super::snapshot(&connection, recovery::incarnation)?,
            };
            Ok((connection, life))
        })?;
        Ok(Self {
            connection,
            origin,
            life,
            committed: None,
            astray: Arc::default(),
        })
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Set for good once the database is found to be another one.
    pub(super) fn astray(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.astray)
    }

    /// Runs one transaction. Where the line breaks, another is laid, and what was not committed is done
    /// again.
    pub(super) fn carry_out(
        &mut self,
        mut batch: impl FnMut(&Connection) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for _ in 0..TRIES_MAX {
            if self.astray.load(Ordering::SeqCst) {
                return Err(Fault::Unreachable(ASTRAY.to_owned()));
            }
            let done = if self.connection.is_lost() {
                None
            } else {
                Some(batch(&self.connection))
            };
            self.committed = self.connection.committed().or(self.committed.take());
            match done {
                Some(done) if !self.connection.is_lost() => return done,
                done => {
                    tracing::warn!("the connection to the database was lost: opening another");
                    // what was committed just before is found again, or the database is another one
                    let whole = matches!(done, Some(Ok(())));
                    if self.lay(done.unwrap_or(Ok(())))? || whole {
                        return Ok(());
                    }
                }
            }
        }
        let reason = "the connection was lost again and again".to_owned();
        Err(Fault::Unreachable(reason))
    }

    /// Opens another connection; gives whether what was done on the lost one is committed.
    fn lay(&mut self, done: Result<(), Fault>) -> Result<bool, Fault> {
        let wanted = match done {
            Err(Fault::CommitUnknown(mark)) => Some(mark),
            Ok(()) | Err(_) => None,
        };
        let mut last = Fault::Unreachable("the database did not say".to_owned());
        for _ in 0..RECONNECTS_MAX {
            let found = self.origin.line().and_then(|opened| {
                let found = self.look(&opened, wanted.as_ref())?;
                Ok((opened, found))
            });
            match found {
                Ok((opened, found)) => {
                    self.committed = opened.committed().or(self.committed.take());
                    self.connection = opened;
                    return Ok(found);
                }
                Err(fault) => last = fault,
            }
            if self.astray.load(Ordering::SeqCst) {
                break;
            }
            std::thread::sleep(RECONNECT_PAUSE);
        }
        Err(match wanted {
            Some(mark) => Fault::CommitUnknown(mark),
            None => last,
        })
    }

    /// Whether this is still the same database, and whether it has the wanted mark.
    ///
    /// It begins with the writer's lock, so that the transaction of the lost connection has ended, and it
    /// commits, so that a standby has all that was found before callers hear of it.
    fn look(&self, opened: &Connection, wanted: Option<&Mark>) -> Result<bool, Fault> {
        let transaction = opened.begin(Mode::Write)?;
        let kept = match &self.committed {
            Some(mark) => mark.is_in(&transaction)?,
            None => true,
        };
        if !kept || recovery::incarnation(&transaction)? != self.life {
            tracing::error!("{ASTRAY}");
            self.astray.store(true, Ordering::SeqCst);
            return Err(Fault::Unreachable(ASTRAY.to_owned()));
        }
        let found = match wanted {
            Some(mark) => mark.is_in(&transaction)?,
            None => false,
        };
        transaction.commit()?;
        Ok(found)
    }
}

/// What a caller hears once the database is another one.
pub(super) fn astray() -> StoreError {
    StoreError::Unavailable {
        reason: ASTRAY.to_owned(),
    }
}
