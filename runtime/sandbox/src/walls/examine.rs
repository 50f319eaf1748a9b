//! Which walls stand on this machine: each is tried out by probes, one process per attempt.
//!
//! A probe raises one wall alone, so that no other wall can answer for it, and tries what the wall
//! prevents. What the system says of itself is not asked.

use std::io::{self, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use program::Kind;

use super::probe::{ALLOWED, Attempt, EVERY_WALL, NO_WALL, PROBE, REFUSED};
use super::{Wall, WallRule, Walls};
use crate::effects::{Effects, NetworkError, ReaderError};
use crate::runner::{Runner, RunnerCommand};

/// Longest wait for a probe; the slowest computes for two seconds, on a machine that may be busy.
const PROBE_TIME: Duration = Duration::from_secs(60);

/// Longest wait for something that has already happened if it happens at all.
const SHORT: Duration = Duration::from_secs(2);

/// How often is looked whether a probe that has nothing more to say is gone.
const LOOK: Duration = Duration::from_millis(10);

/// The variable of probes whose walls do not take it away.
const VARIABLE: (&str, &str) = ("PROBE", "seen");

/// Bytes that probes say at most.
const SAID_MAX: usize = 4;

/// A program without an order that returns at once: `tests/support/guest.wat`, assembled.
const PROGRAM: &[u8] = include_bytes!("probe.wasm");

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// The system refused it.
    Refused,
    /// The probe was killed for it, by this signal.
    Killed(i32),
    /// It was possible.
    Allowed,
    /// The probe could not be started, did not speak, or hung and was killed.
    Unknown,
}

impl Tried {
    /// Whether the wall held.
    #[must_use]
    pub const fn held(&self) -> bool {
        matches!(self, Self::Refused | Self::Killed(_))
    }
}

/// What was found out about one wall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which wall.
    pub wall: Wall,
    /// Whether the runner says that it raised it.
    pub raised: bool,
    /// Whether the runner raised it and it held against what it is there for.
    pub stands: bool,
    /// Each attempt and what became of it, also those that only newer kernels prevent.
    pub tried: Vec<(&'static str, Tried)>,
}

/// What was found out about this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// One finding per wall, in the order of [`Wall::ALL`].
    pub findings: Vec<Finding>,
    /// Whether a lawful program compiles and runs behind all walls together; else the stable code.
    pub runs: Result<(), &'static str>,
}

/// Tries every wall, and then a lawful program behind all of them.
///
/// `command` starts runners, as for [`Runner::spawn`]; each probe is such a process with other
/// arguments. Takes a few seconds. Nothing that is tried does harm where it succeeds.
#[must_use]
pub fn examine(command: &RunnerCommand) -> Examination {
    let (raised, runs) = run(command);
    let finding = |wall| {
        let tried = tried(command, wall);
        let held = |(attempt, tried): &(Attempt, Tried)| tried.held() || is_extra(wall, *attempt);
        Finding {
            wall,
            raised: raised.stands(wall),
            stands: raised.stands(wall) && tried.iter().all(held),
            tried: tried
                .into_iter()
                .map(|(attempt, tried)| (attempt.name(), tried))
                .collect(),
        }
    };
    Examination {
        findings: Wall::ALL.into_iter().map(finding).collect(),
        runs,
    }
}

/// What a wall is there to prevent.
const fn attempts(wall: Wall) -> &'static [Attempt] {
    match wall {
        Wall::Environment => &[Attempt::Variable],
        Wall::Descriptors => &[Attempt::Inherit],
        Wall::OutOfMemory => &[Attempt::Spare],
        Wall::ParentDeath => &[Attempt::Outlive],
        Wall::CoreDump => &[Attempt::Core],
        Wall::Inspection => &[Attempt::Reveal],
        Wall::Privileges => &[Attempt::Gain],
        Wall::Capabilities => &[Attempt::Chroot, Attempt::Bound],
        Wall::Landlock => &[
            Attempt::Open,
            Attempt::Steal,
            Attempt::Bind,
            Attempt::Signal,
        ],
        Wall::OpenFiles => &[Attempt::Open, Attempt::Duplicate, Attempt::Socket],
        Wall::AddressSpace => &[Attempt::Reserve],
        Wall::CpuTime => &[Attempt::Compute],
        Wall::SystemCalls => &[
            Attempt::Open,
            Attempt::Bind,
            Attempt::Socket,
            Attempt::Fork,
            Attempt::Exec,
            Attempt::Steal,
            Attempt::Signal,
            Attempt::Duplicate,
        ],
    }
}

/// What only newer kernels let a wall prevent: TCP ports since Linux 6.7, signals since 6.12; and what only
/// root can do, who alone has need of it: empty the bounding set.
const fn is_extra(wall: Wall, attempt: Attempt) -> bool {
    matches!(
        (wall, attempt),
        (Wall::Landlock, Attempt::Bind | Attempt::Signal) | (Wall::Capabilities, Attempt::Bound)
    )
}

fn tried(command: &RunnerCommand, wall: Wall) -> Vec<(Attempt, Tried)> {
    let of = |attempt: &Attempt| (*attempt, try_behind(command, Behind::One(wall), *attempt));
    attempts(wall).iter().map(of).collect()
}

/// The walls that a probe raises before its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// None: what the system allows anybody.
    Nothing,
    /// This one alone.
    One(Wall),
    /// All of them, as a runner does.
    Everything,
}

impl Behind {
    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => NO_WALL,
            Self::One(wall) => wall.name(),
            Self::Everything => EVERY_WALL,
        }
    }

    /// Whether a probe has a variable: the wall against them is raised by who starts it.
    const fn leaves_variables(self) -> bool {
        !matches!(self, Self::One(Wall::Environment) | Self::Everything)
    }
}

/// Starts a probe behind these walls and says what became of its attempt.
#[must_use]
pub fn try_behind(command: &RunnerCommand, behind: Behind, attempt: Attempt) -> Tried {
    let tried = match attempt {
        Attempt::Inherit => inherit(command, behind),
        Attempt::Spare => seen(command, behind, attempt, "oom_score_adj", "1000"),
        Attempt::Gain => seen(command, behind, attempt, "status", "NoNewPrivs:\t1"),
        Attempt::Bound => seen(
            command,
            behind,
            attempt,
            "status",
            "CapBnd:\t0000000000000000",
        ),
        Attempt::Outlive => outlive(command, behind),
        _ => plain(command, behind, attempt),
    };
    tried.unwrap_or(Tried::Unknown)
}

fn plain(command: &RunnerCommand, behind: Behind, attempt: Attempt) -> io::Result<Tried> {
    answer(Probe::start(command, behind, attempt)?)
}

fn answer(probe: Probe) -> io::Result<Tried> {
    match probe.byte()? {
        Some(ALLOWED) => Ok(Tried::Allowed),
        Some(REFUSED) => Ok(Tried::Refused),
        Some(_) => Ok(Tried::Unknown),
        None => probe.end(),
    }
}

/// Leaves a descriptor open for the probe: the write end of a pipe, which ends when the probe has
/// closed it too.
#[cfg(target_os = "linux")]
fn inherit(command: &RunnerCommand, behind: Behind) -> io::Result<Tried> {
    let (mut reader, writer) = io::pipe()?;
    rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::empty())?;
    let probe = Probe::start(command, behind, Attempt::Inherit)?;
    drop(writer);
    if probe.byte()? != Some(ALLOWED) {
        return probe.end();
    }
    let (sender, ended) = sync_channel(1);
    std::thread::Builder::new().spawn(move || {
        // The receiver may have stopped waiting.
        let _sent = sender.send(reader.read(&mut [0]));
    })?;
    Ok(held_if(matches!(ended.recv_timeout(SHORT), Ok(Ok(0)))))
}

/// Looks for a line of the kernel's own file about the probe.
#[cfg(target_os = "linux")]
fn seen(
    command: &RunnerCommand,
    behind: Behind,
    attempt: Attempt,
    file: &str,
    line: &str,
) -> io::Result<Tried> {
    let probe = Probe::start(command, behind, attempt)?;
    if probe.byte()? != Some(ALLOWED) {
        return probe.end();
    }
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", probe.child.id()))?;
    Ok(held_if(text.lines().any(|found| found == line)))
}

/// Kills a probe that has started another one, and sees whether that one goes too.
#[cfg(target_os = "linux")]
fn outlive(command: &RunnerCommand, behind: Behind) -> io::Result<Tried> {
    let mut probe = Probe::start(command, behind, Attempt::Outlive)?;
    if (probe.byte()?, probe.byte()?) != (Some(ALLOWED), Some(ALLOWED)) {
        return probe.end();
    }
    // Kept open, or the wait would close it, which is what the other one waits for.
    let _input = probe.child.stdin.take();
    probe.child.kill()?;
    probe.child.wait()?;
    // Both wrote to one pipe, so its end is the end of both.
    Ok(held_if(matches!(probe.bytes.recv_timeout(SHORT), Ok(None))))
}

#[cfg(not(target_os = "linux"))]
fn inherit(_: &RunnerCommand, _: Behind) -> io::Result<Tried> {
    Ok(Tried::Unknown)
}

#[cfg(not(target_os = "linux"))]
fn seen(_: &RunnerCommand, _: Behind, _: Attempt, _: &str, _: &str) -> io::Result<Tried> {
    Ok(Tried::Unknown)
}

#[cfg(not(target_os = "linux"))]
fn outlive(_: &RunnerCommand, _: Behind) -> io::Result<Tried> {
    Ok(Tried::Unknown)
}

const fn held_if(held: bool) -> Tried {
    if held { Tried::Refused } else { Tried::Allowed }
}

/// A probe that runs, and the bytes that it says; `None` is their end.
struct Probe {
    child: Child,
    bytes: Receiver<Option<u8>>,
    /// Longest wait for a byte, and for the end.
    time: Duration,
}

impl Probe {
    fn start(command: &RunnerCommand, behind: Behind, attempt: Attempt) -> io::Result<Self> {
        let variable = behind.leaves_variables().then_some(VARIABLE);
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .args([PROBE, behind.name(), attempt.name()])
            .env_clear()
            .envs(variable)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, bytes) = sync_channel(SAID_MAX);
        let probe = Self {
            child,
            bytes,
            time: PROBE_TIME,
        };
        std::thread::Builder::new().spawn(move || {
            loop {
                let mut byte = [0];
                let said = matches!(output.read(&mut byte), Ok(1)).then_some(byte[0]);
                if sender.send(said).is_err() || said.is_none() {
                    break;
                }
            }
        })?;
        Ok(probe)
    }

    /// The next byte; `None` if its output has ended. One that hangs is an error, and is killed when it
    /// is dropped.
    fn byte(&self) -> io::Result<Option<u8>> {
        match self.bytes.recv_timeout(self.time) {
            Ok(said) => Ok(said),
            // The end was said before.
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// What became of a probe that said nothing, or not what it should; not ended in time is an error.
    fn end(mut self) -> io::Result<Tried> {
        drop(self.child.stdin.take());
        let mut left = self.time;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.signal().map_or(Tried::Unknown, Tried::Killed));
            }
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(LOOK);
            left = left.saturating_sub(LOOK);
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Both fail only if it is already gone and waited for.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

struct Nobody;

impl Effects for Nobody {
    fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Err(ReaderError::NoCard)
    }

    fn exchange(&mut self, _: &[u8]) -> Result<Vec<u8>, NetworkError> {
        Err(NetworkError::Offline)
    }
}

/// Runs the lawful program; the walls that its runner raised, and how it ended.
fn run(command: &RunnerCommand) -> (Walls, Result<(), &'static str>) {
    let command = RunnerCommand {
        walls: WallRule::Accept,
        ..command.clone()
    };
    match Runner::start(PROGRAM.to_vec(), Kind::Credit, &command) {
        Ok(runner) => (
            runner.walls(),
            runner
                .run(&mut Nobody)
                .map(drop)
                .map_err(|error| error.code()),
        ),
        Err(error) => (Walls::default(), Err(error.code())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::Guest;

    #[test]
    fn the_probes_program_is_the_text_assembled() {
        assert_eq!(PROGRAM, Guest::done().standalone());
    }

    /// A process that does not end by itself, in place of a probe.
    fn hanging(script: &str) -> Probe {
        let command = RunnerCommand {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            deadlines: crate::Deadlines::default(),
            walls: WallRule::Accept,
        };
        Probe::start(&command, Behind::Nothing, Attempt::Nothing).unwrap()
    }

    #[test]
    fn a_probe_that_hangs_is_waited_for_no_longer_and_is_no_answer() {
        let mut silent = hanging("exec sleep 600");
        silent.time = LOOK;
        let kind = |error: io::Error| error.kind();
        assert_eq!(answer(silent).map_err(kind), Err(io::ErrorKind::TimedOut));

        let mut closed = hanging("exec sleep 600 >&-");
        assert_eq!(closed.byte().unwrap(), None);
        closed.time = LOOK;
        assert_eq!(closed.end().map_err(kind), Err(io::ErrorKind::TimedOut));
    }
}
