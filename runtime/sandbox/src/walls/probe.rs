//! A probe: a child that raises walls and then tries one thing that they are there to prevent.
//!
//! It reports with one byte on standard output: [`ALLOWED`] or [`REFUSED`]; a probe that was killed
//! reports nothing. Nothing that it tries does harm where it succeeds: it opens the root folder to
//! read, binds a port of loopback, starts itself again, asks whether a signal could be sent.

use std::ffi::OsString;
use std::io::{Read as _, Write as _, stdin, stdout};
use std::process::ExitCode;

use super::{Wall, raise, raise_one, seal};

/// The probe could do it.
pub(super) const ALLOWED: u8 = b'a';
/// The system refused it.
pub(super) const REFUSED: u8 = b'r';

/// What a probe tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Nothing; the probe starts and ends.
    Nothing,
    /// See an environment variable.
    Variable,
    /// Open the root folder to read.
    Open,
    /// Bind a TCP port of loopback.
    Bind,
    /// Make a local socket.
    Socket,
    /// Start a process.
    Fork,
    /// Become another program.
    Exec,
    /// Take a descriptor of the parent, for which one needs the right to trace it.
    Steal,
    /// Ask whether the parent could be sent a signal.
    Signal,
    /// Duplicate a descriptor.
    Duplicate,
    /// Reserve twice the address space that a runner may have.
    Reserve,
    /// Compute for longer than a second of processor time, which is what this probe is given.
    Compute,
    /// Be looked into by another process of the same user.
    Reveal,
    /// Leave a core file.
    Core,
    /// Gain rights by starting a program that has them.
    Gain,
    /// Make the root folder its root folder, for which one needs a right of root.
    Chroot,
    /// Keep rights in the set that bounds what programs it starts may have.
    Bound,
    /// Keep a descriptor that the parent left open.
    Inherit,
    /// Be spared when memory runs out.
    Spare,
    /// Stay when the parent is gone: a probe between the two is killed.
    Outlive,
    /// Wait for the end of standard input; what the probe that outlives does.
    Wait,
}

impl Attempt {
    const ALL: [Self; 21] = [
        Self::Nothing,
        Self::Variable,
        Self::Open,
        Self::Bind,
        Self::Socket,
        Self::Fork,
        Self::Exec,
        Self::Steal,
        Self::Signal,
        Self::Duplicate,
        Self::Reserve,
        Self::Compute,
        Self::Reveal,
        Self::Core,
        Self::Gain,
        Self::Chroot,
        Self::Bound,
        Self::Inherit,
        Self::Spare,
        Self::Outlive,
        Self::Wait,
    ];

    /// The name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Variable => "variable",
            Self::Open => "open",
            Self::Bind => "bind",
            Self::Socket => "socket",
            Self::Fork => "fork",
            Self::Exec => "exec",
            Self::Steal => "steal",
            Self::Signal => "signal",
            Self::Duplicate => "duplicate",
            Self::Reserve => "reserve",
            Self::Compute => "compute",
            Self::Reveal => "reveal",
            Self::Core => "core",
            Self::Gain => "gain",
            Self::Chroot => "chroot",
            Self::Bound => "bound",
            Self::Inherit => "inherit",
            Self::Spare => "spare",
            Self::Outlive => "outlive",
            Self::Wait => "wait",
        }
    }
}

/// Processor time for which a probe computes: one and a half seconds, in hundredths.
const COMPUTE_TICKS: u64 = 150;

/// The word before a probe's arguments.
pub(crate) const PROBE: &str = "probe";
/// Instead of a wall's name: no wall, every wall.
pub(super) const NO_WALL: &str = "none";
pub(super) const EVERY_WALL: &str = "all";

/// The probe that these arguments ask for: `probe WALL ATTEMPT`.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let names: Vec<_> = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .collect();
    // A probe that had to start itself again has one more.
    let [PROBE, walls, attempt, ..] = names[..] else {
        return ExitCode::FAILURE;
    };
    let attempt = Attempt::ALL
        .into_iter()
        .find(|known| known.name() == attempt);
    let (Some(attempt), Some(())) = (attempt, raise_named(walls)) else {
        return ExitCode::FAILURE;
    };
    let allowed = perform(attempt, walls);
    say(if allowed { ALLOWED } else { REFUSED });
    if matches!(
        attempt,
        Attempt::Inherit | Attempt::Spare | Attempt::Bound | Attempt::Outlive | Attempt::Wait
    ) {
        // To the end of input, or of this process.
        let _end = stdin().read(&mut [0]);
    }
    ExitCode::SUCCESS
}

fn raise_named(walls: &str) -> Option<()> {
    match walls {
        NO_WALL => {}
        EVERY_WALL => {
            seal(raise());
        }
        #[cfg(target_os = "linux")]
        name if name == Wall::CpuTime.name() => {
            // The same limit, in a length for which one can wait.
            super::linux::limit_time(1);
        }
        name => {
            let wall = Wall::ALL.into_iter().find(|wall| wall.name() == name)?;
            raise_one(wall);
        }
    }
    Some(())
}

fn say(byte: u8) {
    let mut output = stdout();
    // A reader that is gone has no use for it.
    let _said = output.write_all(&[byte]).and_then(|()| output.flush());
}

/// Tries it; whether it was possible.
fn perform(attempt: Attempt, walls: &str) -> bool {
    match attempt {
        // The parent sees what becomes of these.
        Attempt::Nothing
        | Attempt::Inherit
        | Attempt::Spare
        | Attempt::Gain
        | Attempt::Bound
        | Attempt::Wait => true,
        Attempt::Variable => !super::no_environment(),
        Attempt::Open => std::fs::File::open("/").is_ok(),
        Attempt::Bind => std::net::TcpListener::bind(("127.0.0.1", 0)).is_ok(),
        Attempt::Reserve => reserve(),
        Attempt::Compute => compute(),
        Attempt::Socket => std::os::unix::net::UnixDatagram::unbound().is_ok(),
        Attempt::Duplicate => {
            use std::os::fd::AsFd as _;
            stdin().as_fd().try_clone_to_owned().is_ok()
        }
        Attempt::Fork => again(NO_WALL, Attempt::Nothing)
            .status()
            .is_ok_and(|status| status.success()),
        Attempt::Exec => {
            use std::os::unix::process::CommandExt as _;
            // Returns only if it failed; otherwise the other program says that it runs.
            let _error = again(NO_WALL, Attempt::Nothing).exec();
            false
        }
        // With the same input and output, on which it says that it lives and has its walls.
        Attempt::Outlive => again(walls, Attempt::Wait).spawn().is_ok(),
        #[cfg(target_os = "linux")]
        Attempt::Steal | Attempt::Signal | Attempt::Reveal | Attempt::Core | Attempt::Chroot => {
            perform_linux(attempt)
        }
        #[cfg(not(target_os = "linux"))]
        Attempt::Steal | Attempt::Signal | Attempt::Reveal | Attempt::Core | Attempt::Chroot => {
            true
        }
    }
}

/// What Linux alone can be asked.
#[cfg(target_os = "linux")]
fn perform_linux(attempt: Attempt) -> bool {
    use rustix::process as system;
    let Some(parent) = system::getppid() else {
        return false;
    };
    match attempt {
        Attempt::Signal => system::test_kill_process(parent).is_ok(),
        Attempt::Chroot => system::chroot("/").is_ok(),
        Attempt::Reveal => system::dumpable_behavior() != Ok(system::DumpableBehavior::NotDumpable),
        Attempt::Core => {
            let limit = system::getrlimit(system::Resource::Core);
            (limit.current, limit.maximum) != (Some(0), Some(0))
        }
        _ => system::pidfd_open(parent, system::PidfdFlags::empty())
            .and_then(|parent| system::pidfd_getfd(parent, 0, system::PidfdGetfdFlags::empty()))
            .is_ok(),
    }
}

/// This program again, as another probe.
fn again(walls: &str, attempt: Attempt) -> std::process::Command {
    // What stands before the word is how this program is told to be a runner.
    let before = std::env::args_os()
        .skip(1)
        .take_while(|argument| argument != PROBE);
    let mut command = std::process::Command::new("/proc/self/exe");
    command.args(before).args([PROBE, walls, attempt.name()]);
    command
}

fn reserve() -> bool {
    let bytes = usize::try_from(crate::limits::RUNNER_SPACE_MAX).unwrap_or(usize::MAX / 4);
    Vec::<u8>::new()
        .try_reserve_exact(bytes.saturating_mul(2))
        .is_ok()
}

/// Computes until the process has spent more than the second that its limit leaves it.
fn compute() -> bool {
    while spent_ticks().is_some_and(|ticks| ticks < COMPUTE_TICKS) {
        std::hint::black_box((0..10_000_000_u64).map(std::hint::black_box).sum::<u64>());
    }
    true
}

/// Processor time of this process so far, in hundredths of a second; `None` where it cannot be read.
fn spent_ticks() -> Option<u64> {
    let line = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Fields 14 and 15, counted after the name, which may hold anything but ends with the last bracket.
    let (_, fields) = line.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}
