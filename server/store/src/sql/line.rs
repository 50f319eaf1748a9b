//! The writer's line to its database: it breaks, is laid anew, and knows whom it reaches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::db::{Connection, Mark, Mode};
use crate::error::StoreError;
use crate::sql::fault::Fault;
use crate::sql::rows::Life;
use crate::sql::{Origin, recovery};

/// How often a batch is begun on a line that breaks each time.
const TRIES_MAX: u32 = 3;

/// How long, and with what pause, a lost database is looked for before callers hear that it is gone: a
/// standby is promoted in it, or a server restarts. The last look may take its own time beyond it.
const RECONNECT_FOR: Duration = Duration::from_secs(10);
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// What is said of a database that is not the one any more.
const ASTRAY: &str = "this database is not the one that this server began with: it lacks what was committed, \
                      or began a new life. Stop every server; docs/postgresql.md says what then";

/// A connection that writes, and what it must find when it is opened anew.
#[derive(Debug)]
pub(super) struct Line {
    connection: Connection,
    origin: Origin,
    /// Nothing where it is not looked at.
    life: Option<Life>,
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
                Connection::Postgres(_) => {
                    Some(super::snapshot(&connection, recovery::incarnation)?)
                }
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

    /// Runs one transaction, which gets the life that it must find, and leaves there the one that it
    /// committed. Where the line breaks, another is laid, and what was not committed is done again.
    pub(super) fn carry_out(
        &mut self,
        mut batch: impl FnMut(&Connection, &mut Option<Life>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for _ in 0..TRIES_MAX {
            if self.astray.load(Ordering::SeqCst) {
                return Err(Fault::Unreachable(ASTRAY.to_owned()));
            }
            let done = if self.connection.is_lost() {
                None
            } else {
                Some(batch(&self.connection, &mut self.life))
            };
            self.committed = self.connection.committed().or(self.committed.take());
            let fault = match done {
                // also where the line broke just after it: the next transaction lays another
                Some(Ok(())) => return Ok(()),
                Some(Err(fault)) if !self.connection.is_lost() => return Err(fault),
                Some(Err(fault)) => Some(fault),
                None => None,
            };
            tracing::warn!("the connection to the database was lost: opening another");
            if self.lay(fault)? {
                return Ok(());
            }
        }
        let reason = "the connection was lost again and again".to_owned();
        Err(Fault::Unreachable(reason))
    }

    /// Opens another connection; gives whether what was done on the lost one is committed.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long callers wait is no time of the ledger"
    )]
    fn lay(&mut self, lost_by: Option<Fault>) -> Result<bool, Fault> {
        let wanted = match lost_by {
            Some(Fault::CommitUnknown(mark)) => Some(mark),
            Some(_) | None => None,
        };
        let begun = Instant::now();
        let last = loop {
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
                Err(fault) => {
                    if self.astray.load(Ordering::SeqCst) || begun.elapsed() >= RECONNECT_FOR {
                        break fault;
                    }
                }
            }
            std::thread::sleep(RECONNECT_PAUSE);
        };
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
        let life = recovery::incarnation(&transaction)?;
        if !kept || self.life.is_some_and(|begun| begun != life) {
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
