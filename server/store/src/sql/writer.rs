//! The one thread that writes: concurrent callers share its commits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use ledger::{Command, Outcome, Refusal, Timestamp};
use planted::Bug;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use crate::db::{Connection, Mode};
use crate::error::StoreError;
use crate::sql::apply;
use crate::sql::crash::{self, Moment};
use crate::sql::fault::{Fault, gone};
use crate::sql::inline::{Access, Inline, Side};
use crate::sql::line::{Line, Lives};
use crate::sql::rows::Life;
use crate::sql::{Origin, journal, rows};
use crate::traits::COMMANDS_MAX;

/// Calls that may wait for the writer; further callers wait for a place.
const QUEUE_MAX: usize = 4_096;

/// How often the writer looks again for callers before it commits fewer commands than last time. Those
/// whom the last commit answered are about to call again: without the wait they would miss this commit,
/// and commits of many and of few would alternate. One that is alone does not wait.
const LOOKS_MAX: u32 = 32;

/// How often a transaction is begun that the server gives up for the sake of another one.
const TRIES_MAX: u32 = 5;

type Answer = Result<Outcome, Refusal>;
type Jobs = Vec<Box<dyn Job>>;

/// The ledger's time in a transaction, raised by the callers' clocks and as it is stored; and the life of
/// the database.
struct Time {
    now: Timestamp,
    stored: Timestamp,
    life: Life,
}

impl Time {
    fn read(connection: &Connection) -> Result<Self, Fault> {
        let (stored, life) = rows::time_and_life(connection)?;
        let now = stored;
        Ok(Self { now, stored, life })
    }

    fn store(&mut self, connection: &Connection) -> Result<(), Fault> {
        if self.now > self.stored || planted::on(Bug::TimeBackwards) {
            rows::raise_time_floor(connection, self.now)?;
            self.stored = self.now;
        }
        Ok(())
    }
}

/// One caller's part of a shared transaction.
trait Job: Send {
    /// How many commands it counts for.
    fn len(&self) -> usize;

    /// Whether these are commands; they are carried out before other writes.
    fn is_commands(&self) -> bool;

    /// Carries out its commands without writing, to find out what they read.
    fn foresee(&self, dry: &Connection);

    /// Does its part. It may be asked again, after the transaction of the first time was rolled
    /// back.
    fn run(&mut self, connection: &Connection, time: &mut Time) -> Result<(), Fault>;

    /// Where a test may end the process.
    fn reach(&self, moment: Moment);

    /// Answers the caller, once the commit has succeeded or failed.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A handle to the writer thread, or to the connection of a store without threads.
#[derive(Debug)]
pub(super) struct Writer {
    // `None` only while dropping, where closing the queue ends the thread, and without a thread
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    inline: Option<Arc<Inline>>,
    counts: Arc<Counts>,
    astray: Arc<AtomicBool>,
}

/// What the writer has done so far.
#[derive(Debug, Default)]
struct Counts {
    commits: AtomicU64,
    round_trips: AtomicU64,
}

impl Writer {
    /// Whether the database is not the one any more that this process began with; then nothing in it
    /// counts here.
    pub(super) fn is_astray(&self) -> bool {
        self.astray.load(Ordering::SeqCst)
    }

    pub(super) fn start(connection: Connection, origin: Origin) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let line = Line::new(connection, origin)?;
        let astray = line.astray();
        let counts = Arc::new(Counts::default());
        let counter = Arc::clone(&counts);
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || serve(line, jobs, &counter))
            .map_err(|error| StoreError::Unavailable {
                reason: error.to_string(),
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            inline: None,
            counts,
            astray,
        })
    }

    /// A writer on the caller's thread: each call is one commit.
    pub(super) fn inline(inline: Arc<Inline>) -> Self {
        Self {
            queue: None,
            thread: None,
            inline: Some(inline),
            counts: Arc::default(),
            astray: Arc::default(),
        }
    }

    /// Transactions committed so far.
    pub(super) fn commits(&self) -> u64 {
        self.counts.commits.load(Ordering::Relaxed)
    }

    /// How often it waited for a server so far.
    pub(super) fn round_trips(&self) -> u64 {
        self.counts.round_trips.load(Ordering::Relaxed)
    }

    /// Calls that wait for the writer.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue
            .as_ref()
            .map_or(0, |queue| QUEUE_MAX - queue.capacity())
    }

    /// See [`crate::Store::apply`].
    pub(super) async fn apply(&self, commands: Vec<Command>) -> Result<Vec<Answer>, StoreError> {
        if commands.len() > COMMANDS_MAX {
            return Err(StoreError::TooManyCommands);
        }
        let (reply, answers) = oneshot::channel();
        let done = Vec::new();
        let job = Apply {
            commands,
            done,
            reply,
        };
        self.pass(Access::Apply, Side::Before).await?;
        self.send(Box::new(job)).await?;
        let answers = answers.await.map_err(|_| gone())??;
        self.pass(Access::Apply, Side::After).await?;
        Ok(answers)
    }

    /// Runs another write in the shared transaction; what it wrote stays only if it succeeds.
    pub(super) async fn write<T, E, F>(&self, write: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let done = None;
        self.pass(Access::Write, Side::Before).await?;
        self.send(Box::new(Other { write, done, reply })).await?;
        let result = result.await.map_err(|_| gone())??;
        self.pass(Access::Write, Side::After).await?;
        Ok(result)
    }

    async fn pass(&self, access: Access, side: Side) -> Result<(), StoreError> {
        match &self.inline {
            Some(inline) => inline.pass(access, side).await,
            None => Ok(()),
        }
    }

    async fn send(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        if let Some(inline) = &self.inline {
            let (connection, mut jobs) = (inline.connection(), vec![job]);
            let done = transact(&connection, &mut jobs, &mut None, &mut |_| {});
            answer(&connection, done, jobs, &self.counts);
            return Ok(());
        }
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(job).await.map_err(|_| gone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // it ends with the queue; every batch was answered
            let _ = thread.join();
        }
    }
}

/// Commands of one call.
struct Apply {
    commands: Vec<Command>,
    done: Vec<Answer>,
    reply: oneshot::Sender<Result<Vec<Answer>, StoreError>>,
}

impl Job for Apply {
    fn len(&self) -> usize {
        self.commands.len()
    }

    fn is_commands(&self) -> bool {
        true
    }

    fn foresee(&self, dry: &Connection) {
        for command in &self.commands {
            // whatever it says, it is asked again when all is known
            let _ = apply::apply(dry, command, command.now());
        }
    }

    fn run(&mut self, connection: &Connection, time: &mut Time) -> Result<(), Fault> {
        self.done = Vec::with_capacity(self.commands.len());
        for command in &self.commands {
            connection.next_command();
            time.now = if planted::on(Bug::TimeBackwards) {
                command.now()
            } else {
                command.now().max(time.now)
            };
            self.done.push(apply::apply(connection, command, time.now)?);
        }
        Ok(())
    }

    fn reach(&self, moment: Moment) {
        for command in &self.commands {
            crash::reach(command, moment);
        }
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        // a caller that went away asks again by id
        let Self { done, reply, .. } = *self;
        let _ = reply.send(committed.map(|()| done));
    }
}

/// A write that is no command.
struct Other<T, E, F> {
    write: F,
    done: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Other<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: Fn(&Connection) -> Result<T, E> + Send,
{
    fn len(&self) -> usize {
        1
    }

    fn is_commands(&self) -> bool {
        false
    }

    fn foresee(&self, _: &Connection) {}

    fn run(&mut self, connection: &Connection, time: &mut Time) -> Result<(), Fault> {
        // writes that are no commands read and raise the stored floor themselves
        time.store(connection)?;
        connection.direct()?;
        connection.execute("SAVEPOINT job", [])?;
        let mark = journal::mark();
        let result = (self.write)(connection);
        if result.is_err() {
            // a failing disk may have ended the whole transaction; then this fails as well
            connection.execute("ROLLBACK TO job", [])?;
            journal::back_to(mark);
        }
        connection.execute("RELEASE job", [])?;
        self.done = Some(result);
        *time = Time::read(connection)?;
        Ok(())
    }

    // what is written here has its places at the call
    fn reach(&self, _: Moment) {}

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (committed, self.done) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(gone().into()),
            (Err(error), _) => Err(error.into()),
        };
        let _ = self.reply.send(result);
    }
}

fn serve(mut line: Line, jobs: mpsc::Receiver<Box<dyn Job>>, counts: &Counts) {
    let mut queue = Queue { jobs, left: None };
    let mut last = 0;
    while let Some(first) = queue.next() {
        let mut jobs = vec![first];
        queue.gather(&mut jobs, last);
        // A defect in one call must not end the writer: its unwinding rolled the batch back, and its
        // callers hear that nothing is known. Without this the process would live on and refuse
        // every order, proof and return until somebody restarts it.
        let whole = AssertUnwindSafe(|| {
            let more = &mut |jobs: &mut Jobs| queue.gather(jobs, 0);
            let done = line.carry_out(|opened, lives| transact(opened, &mut jobs, lives, more));
            last = jobs.len();
            let mut is_broken = false;
            for job in answer(line.connection(), done, jobs, counts) {
                if is_broken {
                    // not each of them waits for a database that was just looked for in vain
                    job.answer(Err(gone()));
                    continue;
                }
                let mut alone = vec![job];
                let none = &mut |_: &mut Jobs| {};
                let done =
                    line.carry_out(|opened, lives| transact(opened, &mut alone, lives, none));
                is_broken = done.is_err() && line.connection().is_lost();
                answer(line.connection(), done, alone, counts);
            }
        });
        if catch_unwind(whole).is_err() {
            tracing::error!("a call met a broken invariant: its batch was rolled back");
        }
    }
}

/// Who waits for the writer.
struct Queue {
    jobs: mpsc::Receiver<Box<dyn Job>>,
    /// What no longer fitted.
    left: Option<Box<dyn Job>>,
}

impl Queue {
    /// Waits for the next one; nothing once the store is dropped.
    fn next(&mut self) -> Option<Box<dyn Job>> {
        self.left.take().or_else(|| self.jobs.blocking_recv())
    }

    /// Adds those who wait, up to one commit's worth. `last`: how many jobs to give way for, a little
    /// while.
    fn gather(&mut self, jobs: &mut Jobs, last: usize) {
        let mut count: usize = jobs.iter().map(|job| job.len()).sum();
        let mut looks = 0;
        while count < COMMANDS_MAX && self.left.is_none() {
            match self.jobs.try_recv() {
                Ok(job) if count + job.len() > COMMANDS_MAX => self.left = Some(job),
                Ok(job) => {
                    count += job.len();
                    jobs.push(job);
                }
                Err(TryRecvError::Empty) if jobs.len() < last && looks < LOOKS_MAX => {
                    looks += 1;
                    std::thread::yield_now();
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
    }
}

/// Answers all jobs of a commit; gives those that are to have one each.
fn answer(connection: &Connection, done: Result<(), Fault>, jobs: Jobs, counts: &Counts) -> Jobs {
    let waits = connection.round_trips();
    counts.round_trips.fetch_add(waits, Ordering::Relaxed);
    match done {
        Ok(()) => {
            counts.commits.fetch_add(1, Ordering::Relaxed);
            jobs.iter().for_each(|job| job.reach(Moment::AfterCommit));
            jobs.into_iter().for_each(|job| job.answer(Ok(())));
            Vec::new()
        }
        Err(fault) if fault.is_of_one_command() && jobs.len() > 1 => {
            tracing::error!(
                ?fault,
                "a command broke its batch: committing each call alone"
            );
            jobs
        }
        Err(fault) => {
            match &fault {
                Fault::CommitUnknown(_) => {
                    tracing::error!(
                        calls = jobs.len(),
                        "whether a batch is committed is not known"
                    );
                }
                Fault::Sqlite(_)
                | Fault::Postgres(_)
                | Fault::Unreachable(_)
                | Fault::Unforeseen
                | Fault::Corrupt(_) => {
                    tracing::error!(?fault, calls = jobs.len(), "a batch was rolled back");
                }
            }
            let error = StoreError::from(fault);
            for job in jobs {
                job.answer(Err(error.clone()));
            }
            Vec::new()
        }
    }
}

/// Carries out all jobs in one transaction, again where the server asks for that. `more` adds those who
/// came while the lock was waited for: they would wait for it as well.
fn transact(
    connection: &Connection,
    jobs: &mut Jobs,
    lives: &mut Option<Lives>,
    more: &mut dyn FnMut(&mut Jobs),
) -> Result<(), Fault> {
    for _ in 1..TRIES_MAX {
        match batch(connection, jobs, lives, more) {
            Err(fault) if fault.is_of_the_moment() => {
                tracing::warn!(?fault, "a transaction was given up: doing it again");
            }
            done => return done,
        }
    }
    batch(connection, jobs, lives, more)
}

fn batch(
    connection: &Connection,
    jobs: &mut Jobs,
    lives: &mut Option<Lives>,
    more: &mut dyn FnMut(&mut Jobs),
) -> Result<(), Fault> {
    let transaction = connection.begin_foreseen(Mode::Write, &mut |dry, locked| {
        if locked {
            more(jobs);
        }
        let _ = rows::time_floor(dry);
        jobs.iter().for_each(|job| job.foresee(dry));
    })?;
    // together they are carried out in a few round trips to a server
    jobs.sort_by_key(|job| !job.is_commands());
    journal::begin();
    let mut time = Time::read(&transaction)?;
    if lives.is_some_and(|lives| lives.found != time.life) {
        // another session finds out that it is another database
        connection.lose();
        return Err(Fault::Unreachable("a new life began".to_owned()));
    }
    for job in jobs.iter_mut() {
        job.run(&transaction, &mut time)?;
    }
    transaction.gather();
    time.store(&transaction)?;
    journal::end(&transaction)?;
    jobs.iter().for_each(|job| job.reach(Moment::BeforeCommit));
    if let Some(lives) = lives {
        lives.left = time.life;
    }
    transaction.commit()
}
