//! Processes that are measured: started, watched from outside, killed when dropped.

use anyhow::{Context, Result, bail};
use axum::{Router, routing::post};
use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Between two looks whether a server is ready.
const POLL: Duration = Duration::from_millis(2);
/// Far longer than any server takes to start; past it something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);
/// Clock ticks in a second, as `/proc` counts: the same on every Linux (proc(5), `sysconf(_SC_CLK_TCK)`).
const TICKS_PER_S: u64 = 100;

/// A process that answers HTTP.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From its start to its readiness.
    pub(crate) ready: Duration,
}

impl Server {
    /// `tegata-server serve` as it is shipped, its log into a file.
    pub(crate) fn start(binary: &Path, data: &Path) -> Result<Self> {
        let ready = data.join("ready");
        let _ = fs::remove_file(&ready);
        let log = File::create(data.join("server.log"))?;
        let begin = Instant::now();
        let mut child = Command::new(binary)
            .args(["serve", "--accept-emulated-cards"])
            // all callers are at one address
            .args(["--requests-per-minute", "0", "--data"])
            .arg(data)
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| binary.display().to_string())?;
        while begin.elapsed() < PATIENCE {
            if let Ok(base) = fs::read_to_string(&ready)
                && let Some(base) = base.strip_suffix('\n')
            {
                let address = base.trim_start_matches("http://").parse()?;
                let ready = begin.elapsed();
                return Ok(Self {
                    child,
                    address,
                    ready,
                });
            }
            if let Some(status) = child.try_wait()? {
                bail!("the server ended with {status}: see {}", data.display());
            }
            std::thread::sleep(POLL);
        }
        bail!("the server was not ready in time")
    }

    /// This program as a server of nothing.
    pub(crate) fn nothing() -> Result<Self> {
        let begin = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("nothing")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().context("a pipe")?;
        let mut address = String::new();
        BufReader::new(out).read_line(&mut address)?;
        Ok(Self {
            child,
            address: address.trim().parse()?,
            ready: begin.elapsed(),
        })
    }

    /// Processor time so far, in microseconds.
    pub(crate) fn cpu_us(&self) -> Result<u64> {
        cpu_us(self.child.id())
    }

    /// Resident memory, in KiB.
    pub(crate) fn rss_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.context("VmRSS")?.parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of a process so far, in microseconds.
pub(crate) fn cpu_us(process: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("stat")?;
    // utime and stime are the fields 14 and 15 (proc(5)); the name before `)` is the second
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|f| f.parse().unwrap_or(0)).sum();
    Ok(ticks * (1_000_000 / TICKS_PER_S))
}

/// Runs a command of the server to its end; how long it took, and what it printed.
pub(crate) fn run(binary: &Path, args: &[&str]) -> Result<(Duration, String)> {
    let begin = Instant::now();
    let output = Command::new(binary)
        .args(args)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}: {said}", args.join(" "), output.status);
    }
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((begin.elapsed(), printed))
}

/// Serves `POST /` with an empty answer until it is killed.
pub(crate) fn answer_nothing() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let router = Router::new().route("/", post(|| async {}));
        axum::serve(listener, router).await?;
        Ok(())
    })
}
