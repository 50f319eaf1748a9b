//! A PostgreSQL server's address, and how its sessions are opened.

use std::str::FromStr;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::runtime::Builder;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::postgres::Session;
use crate::sql::fault::Fault;

/// Bounds of a session; what the address asks for comes after them and counts.
const OPTIONS: &str = "-c lock_timeout=10s -c statement_timeout=60s \
                       -c idle_in_transaction_session_timeout=60s -c client_min_messages=warning";

/// How long a host may take to answer before it is given up, each of its addresses half as long; twice as long may
/// a machine be silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a call may take, though the machine is there: longer than a statement may, by [`OPTIONS`].
const SILENCE_MAX: Duration = Duration::from_secs(75);

/// Where a PostgreSQL is and how to log in.
#[derive(Clone)]
pub(crate) struct Server {
    /// One for each host, in the order of the address.
    hosts: Vec<Config>,
    /// For hosts that are not this machine; none where there is no such.
    tls: Option<MakeRustlsConnect>,
    patience: Duration,
    silence: Duration,
}

impl core::fmt::Debug for Server {
    // the configuration holds a password
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let hosts = self.hosts.iter().flat_map(Config::get_hosts);
        f.debug_struct("Server")
            .field("hosts", &hosts.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Reads `postgres://USER@HOST/DATABASE?...`.
    ///
    /// To another machine there is no way but TLS, with a certificate that this machine's roots vouch for
    /// and that names the host; on this machine there is none.
    ///
    /// # Errors
    /// A sentence without the password.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let hosts: Result<Vec<_>, _> = each_host(url).iter().map(|url| config(url)).collect();
        let hosts = hosts.map_err(|error| error.to_string())?;
        let mut tls = None;
        if !hosts.iter().all(is_here) {
            let client = ClientConfig::with_platform_verifier();
            let client = client.map_err(|error| error.to_string())?;
            tls = Some(MakeRustlsConnect::new(client));
        }
        Ok(Self {
            hosts,
            tls,
            patience: PATIENCE,
            silence: SILENCE_MAX,
        })
    }

    /// A session, and what drives it.
    async fn open(&self, host: &Config) -> Result<Client, tokio_postgres::Error> {
        Ok(match self.tls.as_ref().filter(|_| !is_here(host)) {
            None => {
                let (client, connection) = host.connect(NoTls).await?;
                tokio::spawn(drive(connection));
                client
            }
            Some(tls) => {
                let (client, connection) = host.connect(tls.clone()).await?;
                tokio::spawn(drive(connection));
                client
            }
        })
    }

    /// Opens a session at the first host that answers in time and takes writes.
    ///
    /// # Errors
    /// [`Fault::Unreachable`], with what each host said.
    pub(crate) fn connect(&self) -> Result<Session, Fault> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Fault::Unreachable(told(&error)))?;
        let mut reasons = Vec::new();
        for host in &self.hosts {
            let named = u32::try_from(host.get_hosts().len()).unwrap_or(u32::MAX);
            let patience = self.patience.saturating_mul(named.max(1));
            let opened = async { tokio::time::timeout(patience, self.open(host)).await };
            match runtime.block_on(opened) {
                Ok(Ok(client)) => return Ok(Session::new(runtime, client, self.silence)),
                Ok(Err(error)) => reasons.push(told(&error)),
                Err(_) => reasons.push("the host has not answered in time".to_owned()),
            }
        }
        // a name that is still looked up is not waited for
        runtime.shutdown_background();
        Err(Fault::Unreachable(reasons.join("; ")))
    }
}

/// The address once for each host in it: `USER@ONE,TWO/NAME` names two. Where parameters name hosts or their
/// addresses as well, it stays one.
fn each_host(url: &str) -> Vec<String> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let start = url.find('@').map_or(start, |at| at + 1);
    let (before, rest) = url.split_at(start);
    let (hosts, after) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let mut parameters = after.split(['?', '&']).skip(1);
    if parameters.any(|one| one.starts_with("host")) {
        return vec![url.to_owned()];
    }
    let hosts = hosts.split(',');
    hosts.map(|host| format!("{before}{host}{after}")).collect()
}

fn config(url: &str) -> Result<Config, tokio_postgres::Error> {
    let mut config = Config::from_str(url)?;
    let asked = config.get_options().unwrap_or_default().to_owned();
    config
        .application_name("tegata-server")
        .connect_timeout(PATIENCE / 2)
        .keepalives_idle(PATIENCE)
        .keepalives_interval(PATIENCE)
        .tcp_user_timeout(PATIENCE * 2)
        // a standby, which may be behind, would be taken for a database that was put back
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .options(format!("{OPTIONS} {asked}"));
    if !is_here(&config) {
        // the library's own default falls back to clear text when the server says so
        config.ssl_mode(SslMode::Require);
    }
    Ok(config)
}

/// Whether a host is this machine.
fn is_here(config: &Config) -> bool {
    let here = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => ["localhost", "127.0.0.1", "::1"].contains(&name.as_str()),
    };
    let mut addresses = config.get_hostaddrs().iter();
    let hosts = config.get_hosts();
    !hosts.is_empty() && hosts.iter().all(here) && addresses.all(std::net::IpAddr::is_loopback)
}

/// An error with what caused it.
fn told(error: &dyn std::error::Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        reason = format!("{reason}: {inner}");
        source = inner.source();
    }
    reason
}

async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    // every call that waits gets the error as well
    if let Err(error) = connection.await {
        tracing::warn!(%error, "a connection to the database ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn server(url: &str) -> Server {
        let mut server = Server::new(url).expect("an address");
        server.patience = Duration::from_secs(2);
        server.silence = Duration::from_millis(500);
        server
    }

    #[test]
    fn a_host_that_says_nothing_is_given_up_and_another_found() {
        let url = postgres_server::database();
        let folder = tempfile::TempDir::new().expect("a folder");
        let silent = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
        let path = folder.path().to_str().expect("a path").replace('/', "%2F");
        let (_, at) = url.split_once('@').expect("a host");
        let given_up = server(&format!("postgres://tegata@{path}/none")).connect();
        let Err(Fault::Unreachable(reason)) = given_up else {
            panic!("{given_up:?}");
        };
        assert_eq!(reason, "the host has not answered in time");
        let both = server(&format!("postgres://tegata@{path},{at}"));
        assert!(both.connect().is_ok(), "one of two answers");
        drop(silent);
    }

    #[test]
    fn an_address_of_several_hosts_is_one_for_each() {
        for (url, hosts) in [
            ("postgres://a/b", vec!["postgres://a/b"]),
            (
                "postgres://u:p@a:1,[::1]:2?x=y",
                vec!["postgres://u:p@a:1?x=y", "postgres://u:p@[::1]:2?x=y"],
            ),
            (
                "postgres://u:s/c,t@a,b/hosts",
                vec!["postgres://u:s/c,t@a/hosts", "postgres://u:s/c,t@b/hosts"],
            ),
            (
                "postgres://a,b/c?hostaddr=192.0.2.1,192.0.2.2",
                vec!["postgres://a,b/c?hostaddr=192.0.2.1,192.0.2.2"],
            ),
        ] {
            assert_eq!(each_host(url), hosts);
        }
    }

    #[test]
    fn to_another_machine_there_is_no_way_but_tls() {
        for (url, modes) in [
            ("postgres://%2Frun%2Fpg/b", vec![SslMode::Prefer]),
            (
                "postgres://localhost:1/b?sslmode=disable",
                vec![SslMode::Disable],
            ),
            ("postgres://a/b?sslmode=disable", vec![SslMode::Require]),
            (
                "postgres://127.0.0.1,a/b",
                vec![SslMode::Prefer, SslMode::Require],
            ),
            (
                "postgres://localhost/b?hostaddr=192.0.2.1",
                vec![SslMode::Require],
            ),
            (
                "postgres:///b?host=a&host=localhost",
                vec![SslMode::Require],
            ),
        ] {
            let server = Server::new(url).expect("an address");
            let found: Vec<_> = server.hosts.iter().map(Config::get_ssl_mode).collect();
            assert_eq!(found, modes, "{url}");
            assert_eq!(server.tls.is_some(), modes.contains(&SslMode::Require));
        }
    }

    #[test]
    fn a_call_that_is_not_answered_ends_its_session() {
        let session = server(&postgres_server::database()).connect();
        let session = session.expect("a session");
        let fault = session.run(session.client.batch_execute("SELECT pg_sleep(30)"));
        assert!(matches!(fault, Err(Fault::Unreachable(_))), "{fault:?}");
        assert!(session.is_lost());
        let again = session.run(session.client.batch_execute("SELECT 1"));
        let Err(Fault::Unreachable(reason)) = again else {
            panic!("{again:?}");
        };
        assert_eq!(reason, "the session has ended");
        // a script may take as long for each of its statements
        let session = server(&postgres_server::database()).connect();
        let session = session.expect("a session");
        let two = "SELECT pg_sleep(0.4); SELECT pg_sleep(0.4);";
        assert!(session.run_script(two).is_ok());
    }

    #[test]
    fn a_server_that_only_reads_is_not_used() {
        let url = postgres_server::database();
        let name = url.rsplit('/').next().expect("a name");
        let session = server(&url).connect().expect("a session");
        let only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
        session.run_script(&only).expect("it is set");
        let refused = server(&url).connect();
        assert!(matches!(refused, Err(Fault::Unreachable(_))), "{refused:?}");
    }
}
