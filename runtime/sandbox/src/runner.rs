//! The terminal's side of a run: starts the child, decides on its requests, ends it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use program::Kind as OrderKind;

use crate::admission::AdmittedProgram;
use crate::effects::{Call, Effects, NETWORK_ERRORS, READER_ERRORS, Spent, encode_answer};
use crate::frame::{self, Frame, FrameError, Kind};
use crate::limits;
use crate::outcome::{Failure, Fault, Outcome};
use crate::policy::{Exhausted, Policy};
use crate::walls::{Wall, WallRule, Walls};

/// Frames that may wait for a pipe. The two sides alternate, so an honest child never has more than
/// the program and `Go` waiting, or one answer.
const QUEUE_LEN: usize = 4;

/// How to start a program runner: `program` with `args` calls [`crate::runner_main`] on its standard
/// input and output.
#[derive(Debug, Clone)]
pub struct RunnerCommand {
    /// The executable, normally the terminal's own.
    pub program: PathBuf,
    /// Its arguments, normally the one hidden subcommand.
    pub args: Vec<OsString>,
    /// How long a child may take.
    pub deadlines: Deadlines,
    /// What a missing wall means.
    pub walls: WallRule,
}

/// How long a child may take before it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From the start to the report of the walls, and from [`Runner::run`] to the end of the compile.
    pub compile: Duration,
    /// From the end of the compile to the outcome, calls included.
    pub wall: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            compile: limits::COMPILE,
            wall: limits::WALL,
        }
    }
}

/// Why a run gave no receipt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The child could not be started.
    #[error("the program runner could not be started")]
    Start(#[source] io::Error),
    /// The child lacks a wall, and the rule is [`WallRule::Require`]; it was given no program.
    #[error("the program runner lacks walls: {}", names(*.0))]
    Walls(Walls),
    /// The child is gone: it crashed, or something killed it.
    #[error("the program runner stopped without an outcome")]
    Lost,
    /// The child sent bytes that have no place in the conversation.
    #[error("the program runner does not keep to the protocol")]
    Protocol,
    /// The child did not finish compiling in time.
    #[error("the program took too long to compile")]
    CompileLimit,
    /// The run took too long.
    #[error("the program took too long")]
    Wall,
    /// The program went on asking for what the policy refuses.
    #[error("the program asked too often for what it may not have")]
    Calls,
    /// The receipt is longer than a receipt can be.
    #[error("the program's result is too long")]
    ResultLength,
    /// The runner stopped the program.
    #[error("the program was stopped ({})", .0.code())]
    Fault(Fault),
    /// The program itself gave up.
    #[error("the program gave up ({})", .0.code())]
    Failure(Failure),
}

impl RunError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Start(_) => "E_RUNNER_START",
            Self::Walls(_) => "E_WALLS",
            Self::Lost => "E_RUNNER_LOST",
            Self::Protocol => "E_RUNNER_PROTOCOL",
            Self::CompileLimit => "E_COMPILE_LIMIT",
            Self::Wall => "E_WALL",
            Self::Calls => "E_LIMIT_CALLS",
            Self::ResultLength => "E_LIMIT_BYTES",
            Self::Fault(fault) => fault.code(),
            Self::Failure(failure) => failure.code(),
        }
    }
}

/// A started child that compiles one program and waits for [`Runner::run`].
///
/// Dropping it kills the child and waits for its end.
#[derive(Debug)]
pub struct Runner {
    child: Reaped,
    kind: OrderKind,
    frames: Receiver<Result<Frame, FrameError>>,
    writes: SyncSender<(Kind, Vec<u8>)>,
    deadlines: Deadlines,
    walls: Walls,
}

impl Runner {
    /// Starts a child and, when it has reported its walls, hands it the program, which it compiles
    /// at once.
    ///
    /// The child has an empty environment, `/` as its directory, two pipes and no error output.
    /// Nothing that the program could ask for is answered before [`Runner::run`]. The child ends
    /// with the thread that calls this, not only with the process.
    ///
    /// # Errors
    ///
    /// [`RunError::Start`] if the process or a thread for its pipes cannot be started, or the child
    /// says nothing in time; [`RunError::Walls`] if one is missing that is required;
    /// [`RunError::Lost`] and [`RunError::Protocol`] for what is no program runner.
    pub fn spawn(program: AdmittedProgram, command: &RunnerCommand) -> Result<Self, RunError> {
        let kind = program.verified().order().kind;
        Self::start(program.verified().bytes().to_vec(), kind, command)
    }

    pub(crate) fn start(
        program: Vec<u8>,
        kind: OrderKind,
        command: &RunnerCommand,
    ) -> Result<Self, RunError> {
        let child = Command::new(&command.program)
            .args(&command.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(RunError::Start)?;
        let mut child = Reaped(child);
        let lost = || RunError::Start(io::ErrorKind::BrokenPipe.into());
        let input = child.0.stdin.take().ok_or_else(lost)?;
        let output = child.0.stdout.take().ok_or_else(lost)?;
        let writes = start_writing(input).map_err(RunError::Start)?;
        let frames = start_reading(output).map_err(RunError::Start)?;
        let mut runner = Self {
            child,
            kind,
            frames,
            writes,
            deadlines: command.deadlines,
            walls: Walls::default(),
        };
        runner.walls = runner.receive_walls()?;
        if command.walls == WallRule::Require && !runner.walls.complete() {
            return Err(RunError::Walls(runner.walls));
        }
        runner.send(Kind::Program, program)?;
        Ok(runner)
    }

    fn receive_walls(&self) -> Result<Walls, RunError> {
        let late = RunError::Start(io::ErrorKind::TimedOut.into());
        let frame = self.receive(Deadline::after(self.deadlines.compile), late)?;
        match frame.kind {
            Kind::Walls => Walls::decode(&frame.payload).ok_or(RunError::Protocol),
            Kind::Program
            | Kind::Go
            | Kind::Answer
            | Kind::Ready
            | Kind::Transmit
            | Kind::Exchange
            | Kind::Outcome => Err(RunError::Protocol),
        }
    }

    /// The child's process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// The walls that the child raised before it read the program.
    #[must_use]
    pub const fn walls(&self) -> Walls {
        self.walls
    }

    /// Runs the program once and returns the receipt bytes as the program gave them.
    ///
    /// The caller has the user's consent. Each request of the program is decided on by the policy
    /// and, if allowed, carried out by `effects`. However it ends, the child is gone afterwards.
    ///
    /// # Errors
    ///
    /// [`RunError`]; each one leaves open whether an effect that was begun has happened.
    pub fn run(mut self, effects: &mut dyn Effects) -> Result<Vec<u8>, RunError> {
        let result = self.compiled().and_then(|()| {
            let (begun, mut fuel) = (Deadline::now(), None);
            let result = self.converse(effects, &mut fuel);
            let time = Deadline::now().saturating_duration_since(begun);
            effects.ended(Spent { fuel, time });
            result
        });
        self.child.end();
        result
    }

    /// Waits for the end of the compile. What did not run has a fault and no receipt.
    fn compiled(&self) -> Result<(), RunError> {
        let compiling = Deadline::after(self.deadlines.compile);
        let frame = self.receive(compiling, RunError::CompileLimit)?;
        match frame.kind {
            Kind::Ready => Ok(()),
            Kind::Outcome => match Outcome::decode(&frame.payload) {
                Some((_, Outcome::Fault(fault))) => Err(RunError::Fault(fault)),
                _ => Err(RunError::Protocol),
            },
            _ => Err(RunError::Protocol),
        }
    }

    fn converse(
        &self,
        effects: &mut dyn Effects,
        fuel: &mut Option<u64>,
    ) -> Result<Vec<u8>, RunError> {
        let deadline = Deadline::after(self.deadlines.wall);
        let mut policy = Policy::new(self.kind);
        self.send(Kind::Go, Vec::new())?;
        loop {
            let Frame { kind, payload } = self.receive(deadline, RunError::Wall)?;
            let exhausted = |Exhausted| RunError::Calls;
            let sent = payload.len();
            let answer = match kind {
                Kind::Transmit => {
                    let answer = policy.transmit(&payload, |command| effects.transmit(command));
                    effects.decided(Call {
                        function: "transmit",
                        sent,
                        answer: match &answer {
                            Ok(Ok(bytes)) => Ok(bytes.len()),
                            Ok(Err(error)) => Err(error.name()),
                            Err(Exhausted) => Err("ended"),
                        },
                    });
                    encode_answer(answer.map_err(exhausted)?, &READER_ERRORS)
                }
                Kind::Exchange => {
                    let answer = policy.exchange(&payload, |request| effects.exchange(request));
                    effects.decided(Call {
                        function: "exchange",
                        sent,
                        answer: match &answer {
                            Ok(Ok(bytes)) => Ok(bytes.len()),
                            Ok(Err(error)) => Err(error.name()),
                            Err(Exhausted) => Err("ended"),
                        },
                    });
                    encode_answer(answer.map_err(exhausted)?, &NETWORK_ERRORS)
                }
                Kind::Outcome => {
                    let (used, outcome) = Outcome::decode(&payload).ok_or(RunError::Protocol)?;
                    *fuel = Some(used);
                    return finish(outcome);
                }
                Kind::Program | Kind::Go | Kind::Answer | Kind::Walls | Kind::Ready => {
                    return Err(RunError::Protocol);
                }
            };
            self.send(Kind::Answer, answer)?;
        }
    }

    fn receive(&self, deadline: Deadline, late: RunError) -> Result<Frame, RunError> {
        // Without this a frame that already waits would be served after the deadline.
        let left = deadline.left();
        if left.is_zero() {
            return Err(late);
        }
        match self.frames.recv_timeout(left) {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(FrameError::Kind(_) | FrameError::Length(_))) => Err(RunError::Protocol),
            Ok(Err(FrameError::Closed | FrameError::Io(_))) => Err(RunError::Lost),
            Err(RecvTimeoutError::Timeout) => Err(late),
            Err(RecvTimeoutError::Disconnected) => Err(RunError::Lost),
        }
    }

    /// Queues a frame; a child that lets its queue run full does not read its answers.
    fn send(&self, kind: Kind, payload: Vec<u8>) -> Result<(), RunError> {
        use std::sync::mpsc::TrySendError;
        self.writes
            .try_send((kind, payload))
            .map_err(|error| match error {
                TrySendError::Full(_) => RunError::Protocol,
                TrySendError::Disconnected(_) => RunError::Lost,
            })
    }
}

/// The missing walls, for a person.
fn names(walls: Walls) -> String {
    let names: Vec<_> = walls.missing().map(Wall::name).collect();
    names.join(", ")
}

fn finish(outcome: Outcome) -> Result<Vec<u8>, RunError> {
    match outcome {
        Outcome::Receipt(receipt) if receipt.len() > wire::exchange::RECEIPT_LEN_MAX => {
            Err(RunError::ResultLength)
        }
        Outcome::Receipt(receipt) => Ok(receipt),
        Outcome::Failure(failure) => Err(RunError::Failure(failure)),
        Outcome::Fault(fault) => Err(RunError::Fault(fault)),
    }
}

/// Writes queued frames until the queue or the pipe is gone. A thread, since a child that does not
/// read must not be able to stop the terminal.
fn start_writing(mut input: ChildStdin) -> io::Result<SyncSender<(Kind, Vec<u8>)>> {
    let (sender, receiver) = sync_channel::<(Kind, Vec<u8>)>(QUEUE_LEN);
    std::thread::Builder::new()
        .name("runner-in".to_owned())
        .spawn(move || {
            let input: &mut dyn Write = &mut input;
            for (kind, payload) in receiver {
                if frame::write(input, kind, &payload).is_err() {
                    break;
                }
            }
        })?;
    Ok(sender)
}

/// Reads frames until the first error, which it hands on too.
fn start_reading(mut output: ChildStdout) -> io::Result<Receiver<Result<Frame, FrameError>>> {
    let (sender, receiver) = sync_channel(QUEUE_LEN);
    std::thread::Builder::new()
        .name("runner-out".to_owned())
        .spawn(move || {
            loop {
                let frame = frame::read(&mut output);
                let last = frame.is_err();
                if sender.send(frame).is_err() || last {
                    break;
                }
            }
        })?;
    Ok(receiver)
}

/// A child process that is killed and waited for when it is dropped.
#[derive(Debug)]
struct Reaped(Child);

impl Reaped {
    fn end(&mut self) {
        // Both fail only if the child is already gone and waited for.
        let _killed = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        self.end();
    }
}

/// A point in time; the one place of this crate that reads a clock.
#[derive(Debug, Clone, Copy)]
struct Deadline(Instant);

impl Deadline {
    #[expect(
        clippy::disallowed_methods,
        reason = "a deadline for a real process needs real time"
    )]
    fn now() -> Instant {
        Instant::now()
    }

    fn after(time: Duration) -> Self {
        Self(Self::now() + time)
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Self::now())
    }
}
