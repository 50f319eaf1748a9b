//! The three shipped binaries as processes: run one and read its answer, or keep a server running.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
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
    let own = std::env::current_exe()?;
    let mut dir = own.parent().context("an executable is in a directory")?;
    if dir.ends_with("deps") {
        dir = dir.parent().context("deps is in a directory")?;
    }
    let path = dir.join(name);
    ensure!(
        path.exists(),
        "{} is not built: run cargo build --bins",
        path.display()
    );
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
        let ready = data.join("ready");
        let _ = std::fs::remove_file(&ready);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(data.join("server.log"))?;
        let mut child = Command::new(binary("tegata-server")?)
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
