//! What every command works with.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use sandbox::walls::WallRule;

use crate::failure::Failure;
use crate::journal::Journal;
use crate::lang::Lang;
use crate::log::Log;
use crate::roots::NewRoot;
use crate::state::StateDir;
use crate::trust::TrustStore;
use crate::ui::Person;

/// The first argument with which this executable is the program runner; no command of people.
pub const RUNNER: &str = "runner";

/// How consent is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// The person is asked.
    Ask,
    /// `--yes`: given beforehand; shown as such.
    GivenByFlag,
}

/// One terminal: its memory, its person, and what the binary found out about the surroundings.
pub struct Terminal<'a> {
    /// Trusted issuers.
    pub trust: TrustStore,
    /// Remittances seen, and receipts.
    pub journal: Journal,
    /// What was opened here, and how it ended.
    pub log: Log,
    /// Who is talked to.
    pub person: &'a mut dyn Person,
    /// In which language.
    pub lang: Lang,
    /// Unix time at which the command began.
    pub now: u64,
    /// Unix time, read anew: for what a person lets wait.
    pub clock: fn() -> u64,
    /// Time zone in which times are shown.
    pub zone: TimeZone,
    /// This executable, started again as the program runner.
    pub executable: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// What a missing wall of the program runner means.
    pub walls: WallRule,
    /// Issuers whose new root was taken over by this command.
    pub new_roots: Vec<NewRoot>,
}

impl core::fmt::Debug for Terminal<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Terminal")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// What surrounds a terminal.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The state folder.
    pub state: PathBuf,
    /// In which language to talk.
    pub lang: Lang,
    /// Unix time.
    pub clock: fn() -> u64,
    /// Time zone in which times are shown.
    pub zone: TimeZone,
    /// This executable.
    pub executable: PathBuf,
    /// What a missing wall of the program runner means.
    pub walls: WallRule,
}

impl<'a> Terminal<'a> {
    /// Opens the state folder.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn open_state(
        surroundings: Surroundings,
        person: &'a mut dyn Person,
    ) -> Result<Self, Failure> {
        let state = StateDir::open(&surroundings.state)?;
        Ok(Self {
            trust: TrustStore::new(state.clone()),
            journal: Journal::new(state.clone()),
            log: Log::new(state),
            person,
            lang: surroundings.lang,
            now: (surroundings.clock)(),
            clock: surroundings.clock,
            zone: surroundings.zone,
            executable: surroundings.executable,
            state: surroundings.state,
            walls: surroundings.walls,
            new_roots: Vec::new(),
        })
    }

    /// Tells that an issuer has a new root, and keeps it for document and record.
    pub fn tell_new_root(&mut self, new: NewRoot) {
        let NewRoot { issuer, from, to } = &new;
        self.tell(
            &format!(
                "{issuer} has a new root key, signed by the old one: {to} in place of {from}. \
                 Compare it with what the issuer publishes."
            ),
            &format!(
                "{issuer} の根の鍵が新しくなりました(以前の鍵による署名あり): {from} から {to} へ。\
                 発行者が公表しているものと照合してください。"
            ),
        );
        self.new_roots.push(new);
    }

    /// Shows one line of talk in the person's language.
    pub fn tell(&mut self, en: &str, ja: &str) {
        let line = self.lang.pick(en, ja).to_owned();
        self.person.tell(&line);
    }
}
