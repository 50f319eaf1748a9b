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

/// The life of the database that a transaction must find, and the one that it leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    pub(super) found: Life,
    pub(super) left: Life,
}

/// A connection that writes, and what it must find when it is opened anew.
#[derive(Debug)]
pub(super) struct Line {
    connection: Connection,
    origin: Origin,
    /// Nothing where they are not looked at.
    lives: Option<Lives>,
    /// The mark of what was committed last.
    committed: Option<Mark>,
    astray: Arc<AtomicBool>,
}

impl Line {
    pub(super) fn new(connection: Connection, origin: Origin) -> Result<Self, StoreError> {
        let (connection, lives) = super::apart(move || {
            let lives = match &connection {
                // nobody puts a file back while it is in use
                Connection::Sqlite(_) => None,
                Connection::Postgres(_) => {
                    let found = super::snapshot(&connection, recovery::incarnation)?;
                    let left = found;
                    Some(Lives { found, left })
                }
            };
            Ok((connection, lives))
        })?;
        Ok(Self {
            connection,
            origin,
            lives,
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

    /// Runs one transaction, which compares the life that it finds and says which one it leaves. Where the
    /// line breaks, another is laid, and what was not committed is done again.
    pub(super) fn carry_out(
        &mut self,
        mut batch: impl FnMut(&Connection, &mut Option<Lives>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for _ in 0..TRIES_MAX {
            if self.astray.load(Ordering::SeqCst) {
                return Err(Fault::Unreachable(ASTRAY.to_owned()));
            }
            let done = if self.connection.is_lost() {
                None
            } else {
                Some(batch(&self.connection, &mut self.lives))
            };
            self.committed = self.connection.committed().or(self.committed.take());
            let fault = match done {
                // also where the line broke just after it: the next transaction lays another
                Some(Ok(())) => {
                    self.went_on();
                    return Ok(());
                }
                Some(Err(fault)) if !self.connection.is_lost() => return Err(fault),
                Some(Err(fault)) => Some(fault),
                None => None,
            };
            tracing::warn!(
                ?fault,
                "the connection to the database was lost: opening another"
            );
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
        // a transaction that it may still hold would keep the lock that is waited for
        self.connection.close();
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
                    if found {
                        self.went_on();
                    }
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
            Some(mark) if !self.astray.load(Ordering::SeqCst) => Fault::CommitUnknown(mark),
            Some(_) | None => last,
        })
    }

    /// The life that a committed transaction left is the one that the next must find.
    const fn went_on(&mut self) {
        if let Some(lives) = &mut self.lives {
            lives.found = lives.left;
        }
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
        let found = match wanted {
            Some(mark) => mark.is_in(&transaction)?,
            None => false,
        };
        let life = recovery::incarnation(&transaction)?;
        let is_ours = |lives: Lives| life == lives.found || found && life == lives.left;
        if !kept || !self.lives.is_none_or(is_ours) {
            tracing::error!("{ASTRAY}");
            self.astray.store(true, Ordering::SeqCst);
            return Err(Fault::Unreachable(ASTRAY.to_owned()));
        }
        transaction.commit()?;
        Ok(found)
    }
}

/// What a caller hears once the database is another one.
pub(super) fn gone_astray() -> StoreError {
    StoreError::Unavailable {
        reason: ASTRAY.to_owned(),
    }
}
