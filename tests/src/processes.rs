//! The three shipped binaries as processes: run one and read its answer, or keep a server running.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(20);
/// How many looks a wait takes at most: 30 s.
const POLLS: u32 = 1_500;

/// The path of a shipped binary, built beside the running test or demo.
///
/// # Errors
/// If the own path is unknown or the binary was not built (`cargo build --bins`).
pub fn binary(name: &str) -> Result<PathBuf> {
    built(name, "cargo build --bins")
}

/// The same binary with its failpoints in it, one of them armed: `NAME=return` kills the process
/// there, `NAME=2*off->return` the third time.
///
/// # Errors
/// If the own path is unknown or the binary was not built (`.ci/failpoints`).
pub fn armed(name: &str, failpoint: &str) -> Result<Command> {
    let path = built(&format!("failpoints/{name}"), ".ci/failpoints")?;
    let mut command = Command::new(path);
    command.env("FAILPOINTS", failpoint);
    Ok(command)
}

fn built(name: &str, by: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut dir = own.parent().context("an executable is in a directory")?;
    if dir.ends_with("deps") {
        dir = dir.parent().context("deps is in a directory")?;
    }
    let path = dir.join(name);
    ensure!(path.exists(), "{} is not built: run {by}", path.display());
    Ok(path)
}

/// Runs a binary to its end and returns what it printed and its status.
///
/// # Errors
/// If it cannot be started.
pub fn run(name: &str, args: &[&str]) -> Result<Output> {
    Command::new(binary(name)?)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {name}"))
}

/// Runs a binary to its end with bytes on its standard input.
///
/// # Errors
/// If it cannot be started, or ends before it has read them.
pub fn run_with_input(name: &str, args: &[&str], input: &[u8]) -> Result<Output> {
    let mut child = Command::new(binary(name)?)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    // What is sent here is read whole before anything is printed; dropping the pipe ends it.
    child
        .stdin
        .take()
        .context("a pipe")?
        .write_all(input)
        .with_context(|| format!("writing to {name}"))?;
    Ok(child.wait_with_output()?)
}

/// Runs a binary that must succeed and returns the JSON document it printed.
///
/// # Errors
/// If it fails or prints something else.
pub fn json(name: &str, args: &[&str]) -> Result<Value> {
    let output = run(name, args)?;
    let talk = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{name} {}: {}\n{talk}",
        args.join(" "),
        output.status
    );
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{name} {} printed no JSON", args.join(" ")))
}

/// A running `tegata-server`; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:<port>`.
    pub base: String,
}

impl Server {
    /// Starts `tegata-server serve` on a free loopback port with the data of `data`, and waits until
    /// it says that it is ready. Its talk goes to `<data>/server.log`.
    ///
    /// # Errors
    /// If it ends early or is not ready within 30 s.
    pub fn start(data: &Path, more: &[&str]) -> Result<Self> {
        Self::start_as(Command::new(binary("tegata-server")?), data, more)
    }

    /// The same with another binary or environment.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_as(mut binary: Command, data: &Path, more: &[&str]) -> Result<Self> {
        let ready = data.join("ready");
        let _ = std::fs::remove_file(&ready);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(data.join("server.log"))?;
        let mut child = binary
            .arg("serve")
            .arg("--data")
            .arg(data)
            .arg("--ready-file")
            .arg(&ready)
            .args(["--accept-emulated-cards"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("starting tegata-server")?;
        for _ in 0..POLLS {
            if let Ok(base) = std::fs::read_to_string(&ready)
                && base.ends_with('\n')
            {
                return Ok(Self {
                    child,
                    base: base.trim().to_owned(),
                });
            }
            if let Some(status) = child.try_wait()? {
                let log = std::fs::read_to_string(data.join("server.log"))?;
                bail!("tegata-server ended early with {status}: {log}");
            }
            std::thread::sleep(POLL);
        }
        let _ = child.kill();
        bail!("tegata-server was not ready within 30 s")
    }

    /// Process id, for signals.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server was killed from within, by an armed failpoint.
    ///
    /// # Errors
    /// If it still runs after 30 s, or ended in another way.
    pub fn wait_for_kill(mut self) -> Result<()> {
        let status = wait_until("the server's own kill", || Ok(self.child.try_wait()?))?;
        ensure!(was_killed(status), "the server ended with {status}");
        Ok(())
    }

    /// Kills the server and puts the one that `start` gives in its place.
    ///
    /// # Errors
    /// If the process cannot be ended, or those of `start`.
    pub fn restart(&mut self, start: impl FnOnce() -> Result<Self>) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        *self = start()?;
        Ok(())
    }

    /// Ends the server at once, as a crash would.
    ///
    /// # Errors
    /// If the process cannot be signalled or waited for.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Any other process that runs beside a test; killed when dropped.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts a command without input, its talk thrown away.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        Ok(Self(child))
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Ends it at once (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// If the process cannot be signalled or waited for.
    pub fn end(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a process ended by SIGKILL.
#[must_use]
pub fn was_killed(status: ExitStatus) -> bool {
    /// Its number, the same on every system (POSIX).
    const SIGKILL: i32 = 9;
    status.signal() == Some(SIGKILL)
}

/// The processes that `parent` has started and that still run.
///
/// # Errors
/// If `/proc` cannot be listed.
pub fn children_of(parent: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
            && status_of(pid).is_some_and(|(_, its_parent)| its_parent == parent)
        {
            children.push(pid);
        }
    }
    Ok(children)
}

/// Whether a process still runs; one that only waits to be collected does not.
#[must_use]
pub fn runs(pid: u32) -> bool {
    status_of(pid).is_some_and(|(state, _)| state != 'Z')
}

/// State and parent of a process, from `/proc/<pid>/stat` (proc(5)).
fn status_of(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

/// Whether this is root; if not, says which part of the tests is therefore not run, past the
/// capture of the test harness.
///
/// # Errors
/// If neither can be found out or said.
pub fn is_root(part: &str) -> Result<bool> {
    let root = Command::new("id").arg("-u").output()?.stdout == b"0\n";
    if !root {
        writeln!(std::io::stdout(), "not run: {part} needs root")?;
    }
    Ok(root)
}

/// Looks again and again until `look` finds something.
///
/// # Errors
/// The error of `look`, or a time-out after 30 s naming `what`.
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..POLLS {
        if let Some(found) = look()? {
            return Ok(found);
        }
        std::thread::sleep(POLL);
    }
    bail!("waited 30 s for {what}")
}
