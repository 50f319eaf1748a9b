//! The one thread that writes: concurrent callers share its commits.

use std::thread::JoinHandle;

use ledger::{Command, Outcome, Refusal, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;
use crate::sqlite::apply;
use crate::sqlite::fault::{Fault, gone};
use crate::sqlite::rows;
use crate::traits::COMMANDS_MAX;

/// Calls that may wait for the writer; further callers wait for a place.
const QUEUE_MAX: usize = 4_096;

type Answer = Result<Outcome, Refusal>;

enum Job {
    /// Commands, which share a transaction with those of other callers.
    Apply(Call),
    /// Anything else; it opens its own transaction.
    Run(Box<dyn FnOnce(&mut Connection) + Send>),
}

struct Call {
    commands: Vec<Command>,
    reply: oneshot::Sender<Result<Vec<Answer>, StoreError>>,
}

/// A handle to the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    // `None` only while dropping: closing the queue ends the thread
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || serve(connection, jobs))
            .map_err(|error| StoreError::Unavailable {
                reason: error.to_string(),
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// See [`crate::Store::apply`].
    pub(super) async fn apply(&self, commands: Vec<Command>) -> Result<Vec<Answer>, StoreError> {
        if commands.len() > COMMANDS_MAX {
            return Err(StoreError::TooManyCommands);
        }
        let (reply, answers) = oneshot::channel();
        self.send(Job::Apply(Call { commands, reply })).await?;
        answers.await.map_err(|_| gone())?
    }

    /// Runs a write in a transaction of its own; it is committed only if it succeeds.
    pub(super) async fn write<T, E, F>(&self, write: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + From<Fault> + Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let job = move |connection: &mut Connection| {
            let _ = reply.send(in_transaction(connection, write));
        };
        self.send(Job::Run(Box::new(job))).await?;
        result.await.map_err(|_| gone())?
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(job).await.map_err(|_| gone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // a panic of the writer was already reported to its callers
            let _ = thread.join();
        }
    }
}

fn in_transaction<T, E: From<Fault>>(
    connection: &mut Connection,
    write: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = begun.map_err(Fault::from)?;
    let value = write(&transaction)?;
    transaction.commit().map_err(Fault::from)?;
    Ok(value)
}

fn serve(mut connection: Connection, mut jobs: mpsc::Receiver<Job>) {
    let mut next = jobs.blocking_recv();
    while let Some(job) = next.take() {
        match job {
            Job::Run(run) => run(&mut connection),
            Job::Apply(call) => {
                let (calls, other) = gather(call, &mut jobs);
                commit(&mut connection, calls);
                next = other;
            }
        }
        if next.is_none() {
            next = jobs.blocking_recv();
        }
    }
}

/// Takes what waits in the queue, up to one commit's worth or to the first job of another kind.
fn gather(first: Call, jobs: &mut mpsc::Receiver<Job>) -> (Vec<Call>, Option<Job>) {
    let mut count = first.commands.len();
    let mut calls = vec![first];
    while count < COMMANDS_MAX {
        match jobs.try_recv() {
            Ok(Job::Apply(call)) if count + call.commands.len() <= COMMANDS_MAX => {
                count += call.commands.len();
                calls.push(call);
            }
            Ok(other) => return (calls, Some(other)),
            Err(_) => break,
        }
    }
    (calls, None)
}

/// Carries out all calls in one commit and answers them after it.
fn commit(connection: &mut Connection, calls: Vec<Call>) {
    match batch(connection, &calls) {
        Ok(answers) => {
            for (call, answers) in calls.into_iter().zip(answers) {
                let _ = call.reply.send(Ok(answers));
            }
        }
        Err(fault) if fault.is_of_one_command() && calls.len() > 1 => {
            tracing::error!(
                ?fault,
                "a command broke its batch: committing each call alone"
            );
            for call in calls {
                commit(connection, vec![call]);
            }
        }
        Err(fault) => {
            tracing::error!(?fault, calls = calls.len(), "a batch was rolled back");
            let error = StoreError::from(fault);
            for call in calls {
                let _ = call.reply.send(Err(error.clone()));
            }
        }
    }
}

fn batch(connection: &mut Connection, calls: &[Call]) -> Result<Vec<Vec<Answer>>, Fault> {
    in_transaction(connection, |transaction| {
        let floor = rows::time_floor(transaction)?;
        let mut now = floor;
        let answers = calls
            .iter()
            .map(|call| apply_call(transaction, call, &mut now))
            .collect::<Result<_, Fault>>()?;
        if now > floor {
            rows::raise_time_floor(transaction, now)?;
        }
        Ok(answers)
    })
}

fn apply_call(
    transaction: &Transaction<'_>,
    call: &Call,
    now: &mut Timestamp,
) -> Result<Vec<Answer>, Fault> {
    let mut answers = Vec::with_capacity(call.commands.len());
    for command in &call.commands {
        *now = command.now().max(*now);
        answers.push(apply::apply(transaction, command, *now)?);
    }
    Ok(answers)
}
