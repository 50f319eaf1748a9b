//! A PostgreSQL server for the tests of this process, and a new database for each that asks.
//!
//! Nothing to set up: the server is Debian's, installed by `.ci/setup test`; it lives in a folder of its
//! own behind a Unix socket, and ends with the process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A server of its own; it ends when this is dropped, or with the process.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    // its standard input is what keeps the server alive
    script: Child,
}

impl Server {
    /// Starts a server and waits until it answers. `options`: of `.ci/postgres` and then of `postgres`.
    ///
    /// # Panics
    /// Where PostgreSQL is not installed, or does not start.
    #[must_use]
    pub fn start(options: &[&str]) -> Self {
        Self::start_in(&std::env::temp_dir(), options)
    }

    /// The same with its data under a folder that everybody may write to.
    ///
    /// # Panics
    /// As [`Server::start`].
    #[must_use]
    pub fn start_in(folder: &Path, options: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut script = Command::new(root.join(".ci/postgres"))
            .args(options)
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect(".ci/postgres");
        let mut line = String::new();
        let output = script.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let folder = PathBuf::from(line.trim_end());
        assert!(
            folder.is_absolute(),
            "PostgreSQL did not start; it said why above"
        );
        Self { folder, script }
    }

    /// Starts a standby that follows this server, and lets each commit wait until the standby has it.
    ///
    /// # Panics
    /// Where it does not start or follow.
    #[must_use]
    pub fn standby(&self) -> Self {
        let standby = Self::start(&["--standby-of", self.folder.to_str().expect("UTF-8")]);
        // not in one call: it would be one transaction, in which ALTER SYSTEM is not allowed
        self.sql(
            "postgres",
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
        );
        self.sql("postgres", "SELECT pg_reload_conf()");
        standby
    }

    /// Ends the server as a power cut does: nothing is said to anybody, nothing is written any more.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill(&self) {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid"));
        let file = file.expect("a running server");
        let pid = file.lines().next().expect("its number");
        // its helpers end with it
        let killed = Command::new("kill").args(["-9", pid]).status();
        assert!(killed.expect("kill").success());
    }

    /// Makes a standby the primary.
    ///
    /// # Panics
    /// Where it does not become it.
    pub fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote()").trim(), "t");
    }

    /// One address for the same database on this server and another one: whichever writes.
    ///
    /// # Panics
    /// Where a folder's name is no UTF-8.
    #[must_use]
    pub fn url_with(&self, other: &Self, name: &str) -> String {
        let [one, two] = [self, other].map(|server| {
            let folder = server.folder.to_str().expect("UTF-8");
            folder.replace('/', "%2F")
        });
        format!("postgres://tegata@{one},{two}/{name}")
    }

    /// A new, empty database, as `--database` takes it.
    ///
    /// # Panics
    /// Where the server does not make it.
    #[must_use]
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The address of a database by its name.
    ///
    /// # Panics
    /// Where the folder's name is no UTF-8.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        let folder = self.folder.to_str().expect("UTF-8").replace('/', "%2F");
        format!("postgres://tegata@{folder}/{name}")
    }

    /// Runs SQL in a database and keeps the session open.
    ///
    /// # Panics
    /// Where it does not answer.
    #[must_use]
    pub fn hold(&self, database: &str, sql: &str) -> Held {
        let mut session = Command::new("psql")
            .args(["-XAtq", "-U", "tegata", "-h"])
            .arg(&self.folder)
            .args(["-d", database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql");
        let input = session.stdin.as_mut().expect("a pipe");
        writeln!(input, "{sql};").expect("a line");
        let output = session.stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("a line");
        Held(session)
    }

    /// The folder of its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs SQL in a database; gives what it answers, a row a line.
    ///
    /// # Panics
    /// Where the server refuses it.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = Command::new("psql")
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "tegata", "-h"])
            .arg(&self.folder)
            .args(["-d", database, "-c", sql])
            .output()
            .expect("psql");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {error}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// A session that keeps what it took until this is dropped.
#[derive(Debug)]
pub struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

/// A new, empty database on the one server of this process, which does not wait for its disk.
///
/// # Panics
/// As [`Server::start`].
#[must_use]
pub fn database() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER
        .get_or_init(|| Server::start(&["--no-sync"]))
        .database()
}
