//! Readings of a few rows by their keys from a server: concurrent callers share its round trips.
//!
//! As the writer commits together whoever waits, one thread reads for all who ask. What they read is foreseen
//! by carrying them out with nothing known (ADR 16), and all of it is seen at one instant. A
//! reading of one query is one round trip, for one caller and for many.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::db::{Connection, Mode};
use crate::error::StoreError;
use crate::sql::Origin;
use crate::sql::fault::{Fault, gone};

/// Readings that may wait, as many as calls of the writer; further callers wait for a place.
const QUEUE_MAX: usize = 4_096;

/// Readings that share an instant: their answers, some kilobytes each, are in memory together, and nobody
/// waits behind more of them.
const TOGETHER_MAX: usize = 256;

type Jobs = Vec<Box<dyn Job>>;

/// One caller's reading.
trait Job: Send {
    /// Carries it out with what is known, to find out what it reads.
    fn foresee(&self, dry: &Connection);

    /// Reads. An error is the database's; a value that nobody can read is the caller's own matter.
    fn run(&mut self, connection: &Connection) -> Result<(), Fault>;

    /// Whether the caller still waits for it.
    fn is_awaited(&self) -> bool;

    /// Answers the caller.
    fn answer(self: Box<Self>, read: Result<(), StoreError>);
}

struct Look<T, F> {
    read: F,
    done: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Look<T, F>
where
    T: Send,
    F: Fn(&Connection) -> Result<T, Fault> + Send,
{
    fn foresee(&self, dry: &Connection) {
        // whatever it says, it is asked again when all is known
        let _ = (self.read)(dry);
    }

    fn run(&mut self, connection: &Connection) -> Result<(), Fault> {
        self.done = Some(match (self.read)(connection) {
            Ok(value) => Ok(value),
            Err(Fault::Corrupt(what)) => Err(StoreError::Corrupt { what }),
            Err(fault) => return Err(fault),
        });
        Ok(())
    }

    fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    fn answer(self: Box<Self>, read: Result<(), StoreError>) {
        let Self { done, reply, .. } = *self;
        let answer = match (read, done) {
            (Ok(()), Some(done)) => done,
            (Ok(()), None) => Err(gone()),
            (Err(error), _) => Err(error),
        };
        // a caller that went away asks again
        let _ = reply.send(answer);
    }
}

/// A handle to the thread that reads.
#[derive(Debug)]
pub(super) struct Shared {
    // `None` only while dropping, where closing the queue ends the thread
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Shared {
    pub(super) fn start(origin: Origin) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("ledger-reader".to_owned())
            .spawn(move || serve(origin, jobs))
            .map_err(|error| StoreError::Unavailable {
                reason: error.to_string(),
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    pub(super) async fn look<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let done = None;
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        let job = Box::new(Look { read, done, reply });
        queue.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // it ends with the queue
            let _ = thread.join();
        }
    }
}

fn serve(origin: Origin, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    let line = None;
    let mut reader = Reader { origin, line };
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = gather(first, &mut queue);
        if reader.attempt(&mut jobs) {
            continue;
        }
        // whose reading it is that has the defect shows when each is done alone
        for job in jobs {
            reader.attempt(&mut vec![job]);
        }
    }
}

/// Takes what waits in the queue, up to [`TOGETHER_MAX`]; not those whose caller went away.
fn gather(first: Box<dyn Job>, queue: &mut mpsc::Receiver<Box<dyn Job>>) -> Jobs {
    let mut jobs = vec![first];
    while jobs.len() < TOGETHER_MAX
        && let Ok(job) = queue.try_recv()
    {
        jobs.push(job);
    }
    jobs.retain(|job| job.is_awaited());
    jobs
}

/// The thread's line to the database.
struct Reader {
    origin: Origin,
    line: Option<Connection>,
}

impl Reader {
    /// Answers all of them; `false` after a defect, when those remain that were not answered.
    fn attempt(&mut self, jobs: &mut Jobs) -> bool {
        let whole = catch_unwind(AssertUnwindSafe(|| self.answer(jobs))).is_ok();
        if !whole {
            self.line = None;
            tracing::error!(readings = jobs.len(), "a reading met a broken invariant");
        }
        whole
    }

    fn answer(&mut self, jobs: &mut Jobs) {
        let had_line = self.line.is_some();
        let mut done = self.read(jobs);
        if had_line && done.is_err() && self.is_lost() && !jobs.is_empty() {
            // it broke since it was used last, or just now: nothing was written, so it is done again
            done = self.read(jobs);
        }
        let Err(fault) = done else {
            return;
        };
        tracing::error!(?fault, readings = jobs.len(), "readings failed");
        let alone = jobs.len() > 1 && fault.is_of_one_command();
        let error = StoreError::from(fault);
        while let Some(job) = jobs.pop() {
            if alone && !self.is_lost() {
                let mut one = vec![job];
                self.answer(&mut one);
            } else {
                job.answer(Err(error.clone()));
            }
        }
    }

    fn is_lost(&self) -> bool {
        self.line.as_ref().is_none_or(Connection::is_lost)
    }

    /// Reads all in one transaction and answers them; on an error those remain that were not answered.
    fn read(&mut self, jobs: &mut Jobs) -> Result<(), Fault> {
        if self.is_lost() {
            self.line = None;
        }
        let line = match &mut self.line {
            Some(line) => line,
            none @ None => none.insert(self.origin.line()?),
        };
        let snapshot = line.begin_foreseen(Mode::Read, &mut |dry, _| {
            jobs.iter().for_each(|job| job.foresee(dry));
        })?;
        for job in jobs.iter_mut() {
            job.run(&snapshot)?;
        }
        // before a transaction ends: there is nothing in it that could fail to stay
        jobs.drain(..).for_each(|job| job.answer(Ok(())));
        snapshot.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::server::Server;
    use crate::sql::{read, rows, token};
    use ledger::{RemittanceId, Timestamp, TokenHash};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, PoisonError};

    type Asked = oneshot::Receiver<Result<i64, StoreError>>;

    /// A reading of one number.
    fn reading(
        read: impl Fn(&Connection) -> Result<i64, Fault> + Send + 'static,
    ) -> (Box<dyn Job>, Asked) {
        let (reply, asked) = oneshot::channel();
        let done = None;
        (Box::new(Look { read, done, reply }), asked)
    }

    fn number(connection: &Connection, sql: &str, of: i64) -> Result<i64, Fault> {
        rows::one(connection, sql, [of], |row| row.get(0))?.ok_or(Fault::Corrupt("number"))
    }

    fn once(connection: &Connection, of: i64) -> Result<i64, Fault> {
        number(connection, "SELECT CAST(?1 AS BIGINT) + 1 FROM meta", of)
    }

    /// Two queries, of which the second hangs on the first.
    fn twice(connection: &Connection, of: i64) -> Result<i64, Fault> {
        let first = once(connection, of)?;
        number(
            connection,
            "SELECT CAST(?1 AS BIGINT) * 10 FROM meta",
            first,
        )
    }

    fn reader() -> Reader {
        let url = postgres_server::database();
        drop(crate::SqlStore::connect(&url).expect("a new database"));
        let server = Server::new(&url).expect("an address");
        let (origin, line) = (Origin::Server(Box::new(server)), None);
        Reader { origin, line }
    }

    /// Reads together; gives the answers, and how often that waited for the server.
    fn together(reader: &mut Reader, all: Vec<(Box<dyn Job>, Asked)>) -> (Vec<Asked>, u64) {
        let (mut jobs, asked): (Jobs, _) = all.into_iter().unzip();
        assert!(reader.attempt(&mut jobs), "no defect");
        let waited = reader.line.as_ref().map_or(0, Connection::round_trips);
        (asked, waited)
    }

    fn answer(asked: Asked) -> Result<i64, StoreError> {
        asked.blocking_recv().expect("an answer")
    }

    /// How often readings of this form wait for the server: one after another, and 200 together.
    fn waits(
        read: fn(&Connection, i64) -> Result<i64, Fault>,
        expected: fn(i64) -> i64,
    ) -> [u64; 2] {
        let mut reader = reader();
        // the first time also tells the server what the statements are
        let waits = [1, 1, 200].map(|many| {
            let all = (0..many).map(|of| reading(move |connection| read(connection, of)));
            let (asked, waited) = together(&mut reader, all.collect());
            for (of, asked) in (0..many).zip(asked) {
                assert_eq!(answer(asked), Ok(expected(of)));
            }
            waited
        });
        [waits[1], waits[2]]
    }

    #[test]
    fn many_readings_wait_as_often_as_one() {
        // one statement sees one instant by itself
        assert_eq!(waits(once, |of| of + 1), [1, 1]);
        // more follows from the first: it is asked again with the beginning, then the second, the end
        assert_eq!(waits(twice, |of| (of + 1) * 10), [4, 4]);
    }

    #[test]
    fn a_reading_that_fails_does_so_for_its_own_caller() {
        let mut reader = reader();
        let failing = "SELECT 1 / CAST(?1 AS BIGINT) FROM meta";
        let all = vec![
            reading(|connection| twice(connection, 1)),
            reading(|_| Err(Fault::Corrupt("row"))),
            reading(move |connection| number(connection, failing, 0)),
            reading(|connection| twice(connection, 2)),
        ];
        let (asked, _) = together(&mut reader, all);
        let mut answers = asked.into_iter().map(answer);
        assert_eq!(answers.next(), Some(Ok(20)));
        assert_eq!(
            answers.next(),
            Some(Err(StoreError::Corrupt { what: "row" }))
        );
        assert!(matches!(
            answers.next(),
            Some(Err(StoreError::Unavailable { .. }))
        ));
        assert_eq!(answers.next(), Some(Ok(30)));
    }

    #[test]
    fn a_line_that_broke_is_laid_again_and_what_is_not_there_is_said() {
        let mut reader = reader();
        let one = |of| vec![reading(move |connection| twice(connection, of))];
        let (asked, _) = together(&mut reader, one(1));
        assert_eq!(asked.into_iter().map(answer).next(), Some(Ok(20)));
        let tried = AtomicBool::new(false);
        let ended = reading(move |connection| {
            if tried.load(Ordering::SeqCst) {
                return once(connection, 1);
            }
            // goes alone, and ends its own session
            let sql = "SELECT CAST(pg_terminate_backend(pg_backend_pid()) AS INT) + ?1 FROM meta \
                       WHERE id = (SELECT 1)";
            let end = number(connection, sql, 0);
            tried.store(connection.is_lost(), Ordering::SeqCst);
            end
        });
        let (asked, _) = together(&mut reader, vec![ended]);
        assert_eq!(asked.into_iter().map(answer).next(), Some(Ok(2)));
        reader.origin = Origin::Server(Box::new(
            Server::new("postgres://nobody@127.0.0.1:1/nowhere").expect("an address"),
        ));
        reader.line = None;
        let (asked, _) = together(&mut reader, one(3));
        assert!(asked.into_iter().map(answer).all(|answer| answer.is_err()));
    }

    #[test]
    fn a_defect_in_a_reading_is_its_own_callers() {
        let server = Server::new(&postgres_server::database()).expect("an address");
        let origin = Origin::Server(Box::new(server));
        let (queue, jobs) = mpsc::channel(3);
        let all = vec![
            reading(|_| Ok(1)),
            reading(|_| panic!("a defect")),
            reading(|_| Ok(3)),
        ];
        let (jobs_of, asked): (Jobs, Vec<_>) = all.into_iter().unzip();
        for job in jobs_of {
            assert!(queue.try_send(job).is_ok(), "a place");
        }
        drop(queue);
        serve(origin, jobs);
        let answers: Vec<_> = asked
            .into_iter()
            .map(|asked| asked.blocking_recv().ok())
            .collect();
        assert_eq!(answers, [Some(Ok(1)), None, Some(Ok(3))]);
    }

    #[test]
    fn so_many_readings_share_an_instant_and_those_that_nobody_waits_for_are_left_out() {
        let (queue, mut jobs) = mpsc::channel(QUEUE_MAX);
        let (all, mut asked): (Jobs, Vec<_>) =
            (0..=TOGETHER_MAX).map(|_| reading(|_| Ok(1))).unzip();
        for job in all {
            assert!(queue.try_send(job).is_ok(), "a place");
        }
        // gone already
        asked.remove(5);
        let Ok(first) = jobs.try_recv() else {
            panic!("a job");
        };
        assert_eq!(gather(first, &mut jobs).len(), TOGETHER_MAX - 1);
        assert_eq!(jobs.len(), 1);
    }

    #[test]
    fn a_reading_sees_one_instant() {
        let mut reader = reader();
        let other = Mutex::new(reader.origin.line().expect("a session"));
        let marks = |connection: &Connection, of: &str| {
            number(
                connection,
                &format!("SELECT count(*) + ?1 * 0 FROM {of}"),
                0,
            )
        };
        let read = reading(move |connection| {
            let before = marks(connection, "writer")?;
            let other = other.lock().unwrap_or_else(PoisonError::into_inner);
            other.run_script(
                "INSERT INTO writer (session, commits) VALUES (CAST(gen_random_uuid() AS TEXT), 1)",
            )?;
            // goes alone
            Ok(marks(connection, "(SELECT session FROM writer) AS m")? - before)
        });
        let (asked, waited) = together(&mut reader, vec![read]);
        assert_eq!(asked.into_iter().map(answer).next(), Some(Ok(0)));
        assert!(waited > 2, "it was asked for in two statements");
    }

    #[test]
    fn what_calls_look_at_goes_together() {
        let standing = |connection: &Connection, of: i64| {
            let id = RemittanceId::new(of.unsigned_abs(), [7; 10]);
            Ok(read::standing(connection, id)?.map_or(of, |_| 0))
        };
        let bearer = |connection: &Connection, of: i64| {
            let token = TokenHash([u8::try_from(of % 251).unwrap_or(0); 32]);
            Ok(token::bearer(connection, token, Timestamp::EPOCH)?.map_or(of, |_| 0))
        };
        assert_eq!(waits(standing, |of| of), [1, 1]);
        assert_eq!(waits(bearer, |of| of), [1, 1]);
    }
}
