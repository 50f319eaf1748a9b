//! The walls of the runner process: what it takes from itself before it reads a program.
//!
//! [`raise`] is the first thing that the process does, [`seal`] the last before the first byte of
//! the program. Each wall is one mechanism of the operating system and stands alone, so that the
//! fall of one leaves the others. Table of walls, platforms and tests: docs/sandbox.md, section
//! "Walls".

mod examine;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod linux;
pub(crate) mod probe;

pub use examine::{Behind, Examination, Finding, Tried, examine, try_behind};
pub use probe::Attempt;

/// One wall of the runner process, in the order in which they are raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wall {
    /// No environment variables.
    Environment,
    /// No open descriptor but standard input, output and error.
    Descriptors,
    /// Killed when the terminal ends.
    ParentDeath,
    /// First to go when memory runs out.
    OutOfMemory,
    /// Leaves no core file.
    CoreDump,
    /// No process of the same user looks into it.
    Inspection,
    /// No program that it might start has more rights than it.
    Privileges,
    /// None of the rights of root, even when root started it.
    Capabilities,
    /// No files, no TCP ports, no signals to others, no look into others.
    Landlock,
    /// No descriptor can be opened.
    OpenFiles,
    /// Address space is limited.
    AddressSpace,
    /// Processor time is limited.
    CpuTime,
    /// Only the system calls that compiling and running need.
    SystemCalls,
}

impl Wall {
    /// All walls.
    pub const ALL: [Self; 13] = [
        Self::Environment,
        Self::Descriptors,
        Self::ParentDeath,
        Self::OutOfMemory,
        Self::CoreDump,
        Self::Inspection,
        Self::Privileges,
        Self::Capabilities,
        Self::Landlock,
        Self::OpenFiles,
        Self::AddressSpace,
        Self::CpuTime,
        Self::SystemCalls,
    ];

    /// The name in reports, on the command line and in the documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Descriptors => "descriptors",
            Self::ParentDeath => "parent-death",
            Self::OutOfMemory => "out-of-memory",
            Self::CoreDump => "core-dump",
            Self::Inspection => "inspection",
            Self::Privileges => "privileges",
            Self::Capabilities => "capabilities",
            Self::Landlock => "landlock",
            Self::OpenFiles => "open-files",
            Self::AddressSpace => "address-space",
            Self::CpuTime => "cpu-time",
            Self::SystemCalls => "system-calls",
        }
    }

    /// The mechanism of the operating system.
    #[must_use]
    pub const fn mechanism(self) -> &'static str {
        match self {
            Self::Environment => "cleared at start",
            Self::Descriptors => "close-on-exec, and started again",
            Self::ParentDeath => "PR_SET_PDEATHSIG",
            Self::OutOfMemory => "oom_score_adj 1000",
            Self::CoreDump => "RLIMIT_CORE 0",
            Self::Inspection => "PR_SET_DUMPABLE 0",
            Self::Privileges => "PR_SET_NO_NEW_PRIVS",
            Self::Capabilities => "all dropped, bounding set too",
            Self::Landlock => "Landlock, nothing allowed",
            Self::OpenFiles => "RLIMIT_NOFILE 0",
            Self::AddressSpace => "RLIMIT_AS",
            Self::CpuTime => "RLIMIT_CPU",
            Self::SystemCalls => "seccomp allow-list, kills",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of walls; those that stand, as the runner reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Walls(u16);

impl Walls {
    /// Bytes of the set in a frame.
    pub(crate) const LEN: usize = 2;

    /// Whether this wall stands.
    #[must_use]
    pub const fn stands(self, wall: Wall) -> bool {
        self.0 & wall.bit() != 0
    }

    /// Whether every wall stands.
    #[must_use]
    pub fn complete(self) -> bool {
        self.missing().next().is_none()
    }

    /// The walls that do not stand.
    pub fn missing(self) -> impl Iterator<Item = Wall> {
        Wall::ALL
            .into_iter()
            .filter(move |wall| !self.stands(*wall))
    }

    pub(crate) const fn with(self, wall: Wall, stands: bool) -> Self {
        if stands {
            Self(self.0 | wall.bit())
        } else {
            self
        }
    }

    /// Payload of the frame: bit n, little-endian, for the n-th wall of [`Wall::ALL`].
    pub(crate) const fn encode(self) -> [u8; Self::LEN] {
        self.0.to_le_bytes()
    }

    /// Reverse of `encode`; `None` for another length or an unknown wall.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let set = u16::from_le_bytes(payload.try_into().ok()?);
        let known = Wall::ALL.into_iter().fold(0, |all, wall| all | wall.bit());
        (set & !known == 0).then_some(Self(set))
    }
}

/// What a missing wall means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WallRule {
    /// Programs run behind the walls that this system has.
    #[default]
    Accept,
    /// No program is read by a runner that lacks a wall.
    Require,
}

/// Raises every wall but [`Wall::SystemCalls`] around this process, as far as the system has them.
///
/// Called before any other thread is started, since some of them hold for the calling thread and
/// those that it starts.
pub(crate) fn raise() -> Walls {
    Wall::ALL
        .into_iter()
        .filter(|wall| *wall != Wall::SystemCalls)
        .fold(Walls::default(), |walls, wall| {
            walls.with(wall, raise_one(wall))
        })
}

/// Raises the last wall, for every thread: from here on no thread, process or descriptor is made.
pub(crate) fn seal(walls: Walls) -> Walls {
    walls.with(Wall::SystemCalls, raise_one(Wall::SystemCalls))
}

#[cfg(target_os = "linux")]
fn raise_one(wall: Wall) -> bool {
    linux::raise(wall)
}

#[cfg(not(target_os = "linux"))]
fn raise_one(wall: Wall) -> bool {
    wall == Wall::Environment && no_environment()
}

/// The terminal starts the runner without variables; a process cannot drop its own safely.
fn no_environment() -> bool {
    std::env::vars_os().next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_walls_comes_back_as_it_was_and_unknown_walls_are_refused() {
        let mut all = Walls::default();
        for wall in Wall::ALL {
            assert!(!all.stands(wall) && !all.complete());
            all = all.with(wall, true);
            assert!(all.stands(wall));
            assert_eq!(Walls::decode(&all.encode()), Some(all));
        }
        assert!(all.complete());
        assert_eq!(all.encode(), [0xFF, 0x1F]);
        for payload in [&[][..], &[0], &[0, 0, 0], &[0, 0x20], &[0, 0x80]] {
            assert_eq!(Walls::decode(payload), None, "{payload:?}");
        }
    }

    #[test]
    fn the_documentation_has_every_wall_with_its_mechanism() {
        let page = include_str!("../../../../docs/sandbox.md");
        for wall in Wall::ALL {
            let row = format!("| `{}` | {} |", wall.name(), wall.mechanism());
            assert_eq!(page.matches(&row).count(), 1, "{row}");
        }
    }
}
