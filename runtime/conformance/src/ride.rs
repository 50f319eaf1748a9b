//! One guest in the installed runner: admission, child process and policy as in the product, card
//! and issuer by a script that writes down what reaches it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use program::{RawProgram, TrustedKey, VerifiedProgram};
use sandbox::{Deadlines, Effects, NetworkError, ReaderError, Runner, RunnerCommand, Spent};
use wire::descriptor::Purpose;

use crate::bench::{self, Bench};
use crate::guest::Guest;
use crate::issuer::{Key, NAME};

/// How often a running child is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// What the card answers, in turn; the last answer stays.
pub(crate) type Answers<E> = Vec<Result<Vec<u8>, E>>;

/// Card and issuer of a ride.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) card: Answers<ReaderError>,
    pub(crate) issuer: Answers<NetworkError>,
    pub(crate) commands: Vec<Vec<u8>>,
    pub(crate) requests: Vec<Vec<u8>>,
    /// What the run took, once it has ended.
    pub(crate) fuel: Option<u64>,
}

impl Script {
    /// A card that answers `90 00` and an issuer that answers one byte.
    pub(crate) fn plain() -> Self {
        Self {
            card: vec![Ok(vec![0x90, 0x00])],
            issuer: vec![Ok(vec![1])],
            commands: Vec::new(),
            requests: Vec::new(),
            fuel: None,
        }
    }
}

fn turn<E: Copy>(answers: &Answers<E>, turn: usize, silent: E) -> Result<Vec<u8>, E> {
    let answer = answers.get(turn).or_else(|| answers.last());
    answer.cloned().unwrap_or(Err(silent))
}

impl Effects for Script {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.commands.push(command.to_vec());
        turn(&self.card, self.commands.len() - 1, ReaderError::NoCard)
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        self.requests.push(request.to_vec());
        turn(&self.issuer, self.requests.len() - 1, NetworkError::Offline)
    }

    fn ended(&mut self, spent: Spent) {
        self.fuel = spent.fuel;
    }
}

/// What became of a ride.
#[derive(Debug)]
pub(crate) struct Ridden {
    /// The stable code; `ok` for a result.
    pub(crate) code: &'static str,
    /// The result's bytes.
    pub(crate) result: Vec<u8>,
    /// What reached card and issuer.
    pub(crate) script: Script,
    took: Duration,
}

/// Verifies a program that the test issuer signed.
///
/// # Errors
/// The stable code.
pub(crate) fn verified(now: u64, file: Vec<u8>) -> Result<VerifiedProgram, &'static str> {
    let key: SigningKey = Key::Program.signing();
    let trusted = TrustedKey {
        public: key.verifying_key().to_bytes(),
        issuer: NAME.to_owned(),
        purpose: Purpose::Program,
        not_before: 0,
        not_after: now + 1,
        revoked_at: None,
    };
    let raw = RawProgram::new(file).map_err(program::VerifyError::code)?;
    program::verify(raw, &[trusted], now).map_err(program::VerifyError::code)
}

/// The command that starts the installed runner.
pub(crate) fn command(bench: &Bench) -> RunnerCommand {
    RunnerCommand {
        program: bench.options.executable.clone(),
        args: vec!["runner".into()],
        deadlines: Deadlines::default(),
        walls: sandbox::walls::WallRule::Accept,
    }
}

/// Runs a file of the test issuer.
pub(crate) fn ride(
    bench: &Bench,
    file: Vec<u8>,
    script: Script,
    command: &RunnerCommand,
) -> Ridden {
    let (ridden, peak_kib) = watched(|| ride_at(bench.options.now, file, script, command));
    bench.note(ridden.took, peak_kib, ridden.code == "ok");
    ridden
}

/// Runs a file of the test issuer at `now`, Unix seconds.
pub(crate) fn ride_at(
    now: u64,
    file: Vec<u8>,
    mut script: Script,
    command: &RunnerCommand,
) -> Ridden {
    let begun = bench::now();
    let result = verified(now, file).and_then(|program| {
        let admitted = sandbox::admit(program).map_err(|error| error.code())?;
        Runner::spawn(admitted, command)
            .and_then(|runner| runner.run(&mut script))
            .map_err(|error| error.code())
    });
    let code = result.as_ref().map_or_else(|code| *code, |_| "ok");
    Ridden {
        code,
        result: result.unwrap_or_default(),
        script,
        took: begun.elapsed(),
    }
}

/// Does something that starts a runner, and looks meanwhile how much memory that takes, as far as the
/// system tells.
fn watched<T>(run: impl FnOnce() -> T) -> (T, Option<u64>) {
    // The processes that this very thread has started, whoever looks.
    let own = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    let children = Path::new("/proc").join(own).join("children");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = None;
            while !ended.load(Ordering::Acquire) {
                peak = peak.max(bench::peak_of_children_kib(&children));
                std::thread::sleep(LOOK);
            }
            peak
        });
        let done = run();
        ended.store(true, Ordering::Release);
        (done, watcher.join().ok().flatten())
    })
}

/// One guest with its script and what must come of it.
#[derive(Debug, Clone)]
pub(crate) struct Ride {
    name: String,
    guest: Guest,
    script: Script,
    code: &'static str,
    reached: [usize; 2],
    at_most: bool,
    mended: Option<Guest>,
    mended_script: Option<Script>,
}

impl Ride {
    /// A guest that must end with `code` and reach nothing.
    pub(crate) fn new(name: impl Into<String>, guest: Guest, code: &'static str) -> Self {
        Self {
            name: name.into(),
            guest,
            script: Script::plain(),
            code,
            reached: [0, 0],
            at_most: false,
            mended: None,
            mended_script: None,
        }
    }

    /// With this card.
    pub(crate) fn card(mut self, answers: Answers<ReaderError>) -> Self {
        self.script.card = answers;
        self
    }

    /// With this issuer.
    pub(crate) fn issuer(mut self, answers: Answers<NetworkError>) -> Self {
        self.script.issuer = answers;
        self
    }

    /// So many commands and requests reach card and issuer.
    pub(crate) fn reaching(self, commands: usize, requests: usize) -> Self {
        Self {
            reached: [commands, requests],
            ..self
        }
    }

    /// At most so many commands reach the card.
    pub(crate) fn reaching_at_most(self, commands: usize) -> Self {
        Self {
            at_most: true,
            ..self.reaching(commands, 0)
        }
    }

    /// The same guest with one thing mended: it gives a result.
    pub(crate) fn mended(self, guest: Guest) -> Self {
        Self {
            mended: Some(guest),
            ..self
        }
    }

    /// The same guest with a card and an issuer that answer: it gives a result.
    pub(crate) fn mended_around(self) -> Self {
        Self {
            mended_script: Some(Script::plain()),
            ..self.clone().mended(self.guest)
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn run(&self, bench: &Bench) -> Result<(), String> {
        let maker = bench.maker();
        let command = command(bench);
        let file = maker.file(&self.guest);
        let ridden = ride(bench, file, self.script.clone(), &command);
        if ridden.code != self.code {
            return Err(format!("{} in place of {}", ridden.code, self.code));
        }
        let reached = [ridden.script.commands.len(), ridden.script.requests.len()];
        let fewer = reached
            .iter()
            .zip(self.reached)
            .all(|(seen, max)| *seen <= max);
        if reached != self.reached && !(self.at_most && fewer) {
            return Err(format!(
                "{reached:?} in place of {:?} effects",
                self.reached
            ));
        }
        let Some(next) = &self.mended else {
            let lawful = self.code == "ok";
            return lawful.then_some(()).ok_or("no lawful neighbour".to_owned());
        };
        let script = self.mended_script.as_ref().unwrap_or(&self.script);
        let next = ride(bench, maker.file(next), script.clone(), &command);
        if next.code != "ok" {
            return Err(format!("mended: {}", next.code));
        }
        Ok(())
    }
}
