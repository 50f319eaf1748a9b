//! Exit codes of `tegata`; stable, listed in docs/terminal.md.

/// How a command ended, as the exit status tells a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command did what was asked; a remittance credited before counts as done.
    Done,
    /// It failed for a reason of this computer (disk, folder, our bug).
    Failed,
    /// The command line was wrong.
    Usage,
    /// The person said no, or could not be asked.
    Declined,
    /// The file is not a program that may run.
    NotValid,
    /// No trusted issuer stands behind the program.
    Untrusted,
    /// Card or reader.
    Card,
    /// Network or server unavailable; the same command may be run again.
    Unavailable,
    /// The issuer's server refused.
    Refused,
    /// The card may have been credited, the proof is missing; run again with the same card.
    InDoubt,
}

impl Exit {
    /// The status number.
    #[must_use]
    pub const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Declined => 3,
            Self::NotValid => 4,
            Self::Untrusted => 5,
            Self::Card => 6,
            Self::Unavailable => 7,
            Self::Refused => 8,
            Self::InDoubt => 9,
        }
    }
}
