//! The place where a case runs: a terminal's state, a card and an issuer that exist for this run
//! only, and the installed binary started on them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Options;
use crate::card::Card;
use crate::issuer::{Issuer, NAME};
use crate::maker::Maker;

/// How often a running process is looked at.
const POLL: Duration = Duration::from_millis(2);
/// A process that takes longer is killed: far beyond the bound that a case has to keep.
const PATIENCE: Duration = Duration::from_secs(60);
/// Memory that a case may take beyond what the lawful program takes, in KiB.
const MEMORY_KIB_MAX: u64 = 64 << 10;

/// What is opened.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// A file of this name with this content.
    File(String, Vec<u8>),
    /// Something that is there already.
    Path(PathBuf),
    /// A pipe on standard input that carries these bytes, then this many more.
    Pipe(Vec<u8>, u64),
}

impl Input {
    pub(crate) fn file(bytes: Vec<u8>) -> Self {
        Self::File("case.tegata".to_owned(), bytes)
    }
}

/// What became of one start of the terminal.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    /// The stable code; `ok` for success.
    pub(crate) code: String,
    /// The JSON document.
    pub(crate) document: Value,
    /// Standard output and error output.
    pub(crate) shown: String,
    /// Exchanges that arrived at the issuer.
    pub(crate) exchanges: usize,
    /// Commands that arrived at the card.
    pub(crate) commands: usize,
    /// How the process ended.
    pub(crate) status: ExitStatus,
    took: Duration,
    peak_kib: Option<u64>,
}

/// What a bench has seen since a row began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// The longest that one start of the terminal, or one run of the runner, took.
    pub(crate) slowest: Duration,
    /// Programs that were credited or gave their result.
    pub(crate) lawful: usize,
    /// The most memory that a process held, as far as the system tells.
    pub(crate) peak_kib: Option<u64>,
}

/// Held while a row runs: beside others, or alone.
#[derive(Debug)]
pub(crate) enum Beside<'a> {
    Others { _held: RwLockReadGuard<'a, ()> },
    Nobody { _held: RwLockWriteGuard<'a, ()> },
}

/// A terminal with its surroundings.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) issuer: Issuer,
    card: Card,
    next: AtomicU32,
    running: Arc<AtomicU32>,
    usual_kib: u64,
    seen: Mutex<Seen>,
    rows: Arc<RwLock<()>>,
    // Last: the others are dropped before their folder.
    dir: tempfile::TempDir,
}

impl Bench {
    /// Makes state folder, card and issuer, has the terminal trust the issuer, and opens a lawful
    /// program, which must be credited.
    ///
    /// # Errors
    /// What could not be made, in words.
    pub(crate) fn new(options: &Options) -> Result<Self, String> {
        Self::beside_others(options, &Arc::default())
    }

    /// The same, for rows that run beside those of other benches with the same `rows`.
    ///
    /// # Errors
    /// As [`Bench::new`].
    pub(crate) fn beside_others(options: &Options, rows: &Arc<RwLock<()>>) -> Result<Self, String> {
        let failed = |error: io::Error| format!("the bench cannot be set up: {error}");
        let dir = tempfile::tempdir().map_err(failed)?;
        for folder in ["files", "tmp"] {
            fs::create_dir(dir.path().join(folder)).map_err(failed)?;
        }
        let card = card_sim::Card::new([4, 1, 2, 3, 4, 5, 6], [7; 32]);
        let mut bench = Self {
            options: options.clone(),
            issuer: Issuer::start(options.now).map_err(failed)?,
            card: Card::start(&dir.path().join("card"), card).map_err(failed)?,
            next: AtomicU32::new(1),
            running: Arc::default(),
            usual_kib: 0,
            seen: Mutex::default(),
            rows: Arc::clone(rows),
            dir,
        };
        let origin = bench.issuer.origin();
        let trusted = bench.start(&["trust", "add", "--dev", &origin, "--yes"], None)?;
        if trusted.code != "ok" {
            return Err(format!("the test issuer is not trusted: {}", trusted.shown));
        }
        let input = Input::file(bench.maker().lawful());
        let lawful = bench.open(&input)?;
        if lawful.code != "ok" {
            return Err(format!("a lawful program does not run: {}", lawful.shown));
        }
        bench.usual_kib = lawful.peak_kib.unwrap_or_default();
        Ok(bench)
    }

    pub(crate) const fn maker(&self) -> Maker<'_> {
        Maker::new(&self.issuer, self.options.now, &self.next)
    }

    /// A path in the folder of the files that are opened.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("files").join(name)
    }

    /// The records of the terminal's run log.
    pub(crate) fn records(&self) -> Vec<Value> {
        let path = self.state("log/runs.log");
        let text = fs::read_to_string(path).unwrap_or_default();
        // A hash, a blank, a JSON object.
        let record = |line: &str| serde_json::from_str(line.split_once(' ')?.1).ok();
        let lines = text.lines();
        lines.map(|line| record(line).unwrap_or_default()).collect()
    }

    /// A path in the terminal's state folder.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.dir.path().join("state").join(name)
    }

    /// What `--reader` takes for the card of this bench.
    pub(crate) fn reader(&self) -> String {
        self.card.spec()
    }

    /// Waits until a row may run beside the others, or alone.
    pub(crate) fn beside(&self, alone: bool) -> Beside<'_> {
        if alone {
            let held = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            Beside::Nobody { _held: held }
        } else {
            let held = self.rows.read().unwrap_or_else(PoisonError::into_inner);
            Beside::Others { _held: held }
        }
    }

    /// Begins a row: what was seen before is another's.
    pub(crate) fn begin(&self) {
        *self.meter() = Seen::default();
    }

    /// What was seen since the row began.
    pub(crate) fn seen(&self) -> Seen {
        *self.meter()
    }

    /// Takes note of one start or run: how long it took, the most memory that it held, whether it was
    /// credited or gave its result.
    pub(crate) fn note(&self, took: Duration, peak_kib: Option<u64>, lawful: bool) {
        self.note_all(Seen {
            slowest: took,
            lawful: usize::from(lawful),
            peak_kib,
        });
    }

    /// Takes note of what another bench has seen.
    pub(crate) fn note_all(&self, other: Seen) {
        let mut seen = self.meter();
        seen.slowest = seen.slowest.max(other.slowest);
        seen.lawful += other.lawful;
        seen.peak_kib = seen.peak_kib.max(other.peak_kib);
    }

    fn meter(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Most memory that a process of a case may hold, in KiB, as far as the system tells.
    pub(crate) fn memory_kib_max(&self) -> Option<u64> {
        (self.usual_kib > 0).then_some(self.usual_kib + MEMORY_KIB_MAX)
    }

    /// Has the terminal forget what the issuer told: it fetches the status list anew.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn forget_told(&self) -> Result<(), String> {
        match fs::remove_file(self.state(&format!("trust/{NAME}.told"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes one time in a file of the terminal's trust store a very old one, at this place in it.
    ///
    /// # Errors
    /// The file is not as it must be.
    pub(crate) fn age(&self, name: &str, place: &str) -> Result<(), String> {
        let path = self.state(&format!("trust/{NAME}.{name}"));
        let text = fs::read(&path).map_err(|error| error.to_string())?;
        let mut file: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let time = file.pointer_mut(place).ok_or("no such time")?;
        *time = 0.into();
        fs::write(&path, file.to_string()).map_err(|error| error.to_string())
    }

    /// Where the process id of the terminal stands that was started last.
    pub(crate) fn running(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.running)
    }

    /// Looks until there is something, at most for the time that a case may take.
    pub(crate) fn poll<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let begun = now();
        loop {
            let seen = look();
            if seen.is_some() || begun.elapsed() > self.options.time_max {
                return seen;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Opens `input` with the installed terminal, consent given by flag.
    ///
    /// # Errors
    /// A broken post-condition, in words: no document, not one record, a changed card, a file left
    /// behind, unescaped text, too long, too much memory.
    pub(crate) fn open(&self, input: &Input) -> Result<Opened, String> {
        self.judged(|| match input {
            Input::File(name, bytes) => {
                let path = self.path(name);
                fs::write(&path, bytes).map_err(|error| error.to_string())?;
                let opened = self.start_open(&path, None);
                fs::remove_file(&path).map_err(|error| error.to_string())?;
                opened
            }
            Input::Path(path) => self.start_open(path, None),
            Input::Pipe(bytes, more) => self.start_open(Path::new("-"), Some((bytes, *more))),
        })
    }

    /// Opens the file at `path` with a card at `reader` and further arguments, and what stands on
    /// standard input; judged like [`Bench::open`].
    ///
    /// # Errors
    /// As [`Bench::open`].
    pub(crate) fn open_with(
        &self,
        path: &Path,
        reader: &str,
        more: &[&str],
        pipe: Option<(&[u8], u64)>,
    ) -> Result<Opened, String> {
        let path = path.to_string_lossy();
        let arguments = [&["open", &path, "--reader", reader], more].concat();
        self.judged(|| self.start(&arguments, pipe))
    }

    fn judged(&self, open: impl FnOnce() -> Result<Opened, String>) -> Result<Opened, String> {
        let records = self.records().len();
        let opened = open()?;
        let now = self.records();
        // One of this opening, and one of each that was cut off before it and is noticed by this one.
        let cut_off = opened.document["interrupted"].as_array();
        if now.len() != records + 1 + cut_off.map_or(0, Vec::len) {
            return Err(format!("{} run records", now.len() - records));
        }
        let recorded = now.last().map(|record| record["code"].clone());
        if recorded.as_ref() != Some(&opened.document["code"]) {
            return Err(format!("the run record says {recorded:?}"));
        }
        self.check(&opened)?;
        Ok(opened)
    }

    fn check(&self, opened: &Opened) -> Result<(), String> {
        let left = fs::read_dir(self.dir.path().join("tmp"));
        if left.is_ok_and(|mut left| left.next().is_some()) {
            return Err("temporary files are left".to_owned());
        }
        if let Some(c) = opened.shown.chars().find(|c| is_raw(*c)) {
            return Err(format!("{c:?} reaches the screen"));
        }
        Ok(())
    }

    fn start_open(&self, path: &Path, pipe: Option<(&[u8], u64)>) -> Result<Opened, String> {
        let path = path.to_string_lossy();
        let arguments = ["open", &path, "--reader", &self.reader(), "--yes"];
        let opened = self.start(&arguments, pipe)?;
        self.note(opened.took, opened.peak_kib, opened.code == "ok");
        Ok(opened)
    }

    /// Starts the installed terminal and waits for its end.
    ///
    /// # Errors
    /// It could not be started, took for ever, or printed no document.
    pub(crate) fn start(
        &self,
        args: &[&str],
        pipe: Option<(&[u8], u64)>,
    ) -> Result<Opened, String> {
        let opened = self.start_to_any_end(args, pipe)?;
        self.note(opened.took, opened.peak_kib, false);
        if opened.document.is_null() {
            return Err(format!("no document: {}: {}", opened.status, opened.shown));
        }
        Ok(opened)
    }

    /// The same where it may be killed before it prints its document.
    ///
    /// # Errors
    /// It could not be started, or took for ever.
    pub(crate) fn start_to_any_end(
        &self,
        args: &[&str],
        pipe: Option<(&[u8], u64)>,
    ) -> Result<Opened, String> {
        let commands = self.card.commands();
        let exchanges = self.issuer.exchanges();
        let begun = now();
        let mut child = Command::new(&self.options.executable)
            .args(args)
            .args(["--json", "--lang", "en"])
            .arg("--state")
            .arg(self.dir.path().join("state"))
            .env_clear()
            .env("TMPDIR", self.dir.path().join("tmp"))
            .stdin(if pipe.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(self.output("out")?)
            .stderr(self.output("err")?)
            .spawn()
            .map_err(|error| format!("the terminal does not start: {error}"))?;
        self.running.store(child.id(), Ordering::Relaxed);
        let writer = child.stdin.take().zip(pipe).map(|(stdin, (bytes, more))| {
            let bytes = bytes.to_vec();
            std::thread::spawn(move || {
                // The terminal stops reading when it has seen enough.
                let mut chain = io::Cursor::new(bytes).chain(io::repeat(0).take(more));
                let mut stdin = stdin;
                let _broken = io::copy(&mut chain, &mut stdin);
            })
        });
        let (status, peak_kib) = wait(&mut child, begun)?;
        let took = begun.elapsed();
        if let Some(writer) = writer {
            let _ended = writer.join();
        }
        let read = |name| fs::read(self.dir.path().join(name)).unwrap_or_default();
        let (out, err) = (read("out"), read("err"));
        let document: Value = serde_json::from_slice(&out).unwrap_or_default();
        let shown = [out, err].concat();
        Ok(Opened {
            code: match document["exit"].as_u64() {
                Some(0) => "ok".to_owned(),
                _ => document["code"].as_str().unwrap_or("no code").to_owned(),
            },
            commands: self.card.commands() - commands,
            status,
            document,
            shown: String::from_utf8_lossy(&shown).into_owned(),
            exchanges: self.issuer.exchanges() - exchanges,
            took,
            peak_kib,
        })
    }

    /// A fresh file for an output; a pipe that nobody reads would stop the terminal.
    fn output(&self, name: &str) -> Result<File, String> {
        File::create(self.dir.path().join(name)).map_err(|error| error.to_string())
    }
}

/// Whether a character must not reach a screen as it is.
fn is_raw(c: char) -> bool {
    c != '\n' && wire::text::is_deceiving(c)
}

/// Waits for the end of `child` and returns the most memory that it and its children held, each for
/// itself, as far as the system tells.
fn wait(child: &mut Child, begun: Instant) -> Result<(ExitStatus, Option<u64>), String> {
    let mut peak = None;
    loop {
        peak = peak.max(peak_kib(child.id()));
        match child.try_wait() {
            Ok(Some(status)) => return Ok((status, peak)),
            Ok(None) if begun.elapsed() < PATIENCE => std::thread::sleep(POLL),
            Ok(None) | Err(_) => {
                let _killed = child.kill();
                let _status = child.wait();
                return Err("the terminal did not end".to_owned());
            }
        }
    }
}

/// The most resident memory of a process and of its children so far, in KiB (Linux).
fn peak_kib(process: u32) -> Option<u64> {
    let children = format!("/proc/{process}/task/{process}/children");
    own_peak_kib(&process.to_string()).max(peak_of_children_kib(Path::new(&children)))
}

/// The most resident memory of one process so far, in KiB (Linux).
fn own_peak_kib(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok()
}

/// The most that one of the processes listed in the file `children` has held so far, in KiB.
pub(crate) fn peak_of_children_kib(children: &Path) -> Option<u64> {
    let children = fs::read_to_string(children).ok()?;
    children.split_whitespace().filter_map(own_peak_kib).max()
}

/// The clock of measurements.
#[expect(
    clippy::disallowed_methods,
    reason = "the suite measures real processes; nothing is decided by it but the bound of a case"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
