//! `serve`: the HTTP server and its jobs, until a signal ends them.

use super::open;
use crate::{
    app::{App, Settings},
    bank,
    config::Config,
    connections::{self, Limits},
    files, http, jobs,
    limit::REQUESTS_PER_MINUTE,
    webhooks::{address::Reach, send::Sender},
};
use anyhow::{Context, bail, ensure};
use mailer::{SmtpConfig, SmtpTls, Transport};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
    task::JoinSet,
};

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tegata-server serve --data ./issuer --mail-dir ./mails
  tegata-server serve --data ./issuer --listen 127.0.0.1:8080 --behind-proxy \\
      --public-origin https://money.example --smtp relay.example:587 --smtp-user tegata \\
      --smtp-password-file /etc/tegata/smtp-password")]
pub struct Args {
    /// Data folder; `--json` changes nothing here.
    #[command(flatten)]
    common: super::Common,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Origin under which the outside reaches this server
    #[arg(long, value_name = "URL")]
    public_origin: Option<String>,
    /// A proxy in front ends TLS and sets X-Forwarded-For; allows other addresses than loopback,
    /// wants --public-origin
    #[arg(long)]
    behind_proxy: bool,
    /// How many proxies of yours stand in front, each adding whom it was called by at the right end of
    /// X-Forwarded-For [default: 1 with --behind-proxy, else 0]
    #[arg(long, value_name = "N", requires = "behind_proxy", value_parser = super::front::hops())]
    trusted_hops: Option<u8>,
    /// Exchanges and orders that one address may send in a minute, twice as many at once; 0: no limit, also
    /// none for each card
    #[arg(long, value_name = "N", default_value_t = REQUESTS_PER_MINUTE)]
    requests_per_minute: u32,
    /// Credit emulated cards too: for tests and demonstrations
    #[arg(long)]
    accept_emulated_cards: bool,
    /// Write mails as files into this folder [default: DATA/mail]
    #[arg(long, value_name = "DIR", conflicts_with = "smtp")]
    mail_dir: Option<PathBuf>,
    /// Send mails through this relay
    #[arg(long, value_name = "HOST:PORT")]
    smtp: Option<String>,
    /// Protection of the connection to the relay
    #[arg(long, value_enum, default_value_t = Tls::Starttls)]
    smtp_tls: Tls,
    /// User for SMTP AUTH
    #[arg(long, requires = "smtp_password_file", value_name = "USER")]
    smtp_user: Option<String>,
    /// File with the password for SMTP AUTH, mode 0600
    #[arg(long, requires = "smtp_user", value_name = "FILE")]
    smtp_password_file: Option<PathBuf>,
    /// Sender address of mails [default: no-reply@ISSUER]
    #[arg(long, value_name = "ADDRESS")]
    mail_from: Option<String>,
    /// Let senders pay from this bank: simulated:FILE
    #[arg(long, value_name = "BANK")]
    bank: Option<String>,
    /// Be ready (GET /readyz) only while a synchronous standby of PostgreSQL has what is committed
    #[arg(long)]
    require_standby: bool,
    /// Tell webhooks at private addresses too, and at loopback without TLS: whoever registers one then
    /// chooses whom this server speaks to in its own network
    #[arg(long)]
    private_webhooks: bool,
    /// File that gets the base URL once requests are answered
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
}

/// Protection of an SMTP connection, as a flag's value.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Tls {
    /// In the clear, for a relay on this machine
    None,
    /// STARTTLS required
    Starttls,
    /// TLS from the first byte
    Implicit,
}

/// Flags of `core`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The core answers a socket of this machine only; `tegata-server front` hands requests on to it.

Example:
  tegata-server core --data ./issuer --socket /run/tegata/core --public-origin https://money.example
  tegata-server front --core /run/tegata/core --listen 127.0.0.1:8080 --behind-proxy"
)]
pub struct CoreArgs {
    /// Socket to listen on; whoever may connect to it is taken for the front
    #[arg(
        long,
        value_name = "PATH",
        requires = "public_origin",
        conflicts_with_all = ["listen", "behind_proxy", "trusted_hops"]
    )]
    socket: PathBuf,
    /// All else is as for `serve`.
    #[command(flatten)]
    serve: Args,
}

/// Where requests come in.
struct Door {
    /// URL of the listener, or the socket.
    name: String,
    listener: Listening,
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Door {
    async fn open(args: &Args, socket: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = socket {
            let listener = Listening::Unix(super::front::listen(path).await?, path.to_owned());
            let name = format!("unix:{}", path.display());
            return Ok(Self { name, listener });
        }
        let listener = TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        let name = format!("http://{}", listener.local_addr()?);
        let listener = Listening::Tcp(listener);
        Ok(Self { name, listener })
    }

    async fn serve(self, router: axum::Router) {
        match self.listener {
            Listening::Tcp(listener) => {
                connections::serve(listener, router, Limits::SERVER, signal()).await;
            }
            Listening::Unix(listener, path) => {
                connections::serve(listener, router, Limits::SERVER, signal()).await;
                // a name that nobody answers; the next core would replace it too
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

pub(super) async fn core(args: CoreArgs) -> anyhow::Result<ExitCode> {
    run(args.serve, Some(&args.socket)).await
}

pub(super) async fn run(args: Args, socket: Option<&Path>) -> anyhow::Result<ExitCode> {
    check(&args)?;
    ensure!(
        args.accept_emulated_cards || !Config::emulated_mark(&args.common.data).exists(),
        "this issuer has issued emulated cards, which anyone can copy; \
         say --accept-emulated-cards for tests and demonstrations"
    );
    let office = open(&args.common)?;
    let transport = transport(&args)?;
    let bank = args.bank.as_deref().map(bank::connect).transpose()?;
    let door = Door::open(&args, socket).await?;
    let address = door.name.clone();
    let origin = args
        .public_origin
        .clone()
        .unwrap_or_else(|| address.clone());
    let settings = Settings {
        public_origin: origin.trim_end_matches('/').to_owned(),
        trusted_hops: hops(&args, socket.is_some()),
        requests_per_minute: args.requests_per_minute,
        mail_from: args
            .mail_from
            .clone()
            .unwrap_or_else(|| format!("no-reply@{}", office.config.issuer)),
        bank: args.bank.is_some(),
        require_standby: args.require_standby,
        webhooks: if args.private_webhooks {
            Reach::Everywhere
        } else {
            Reach::Public
        },
    };
    let sender = Sender::new(settings.webhooks)?;
    let app = Arc::new(App::new(office, settings).await?);
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(jobs::expiry::run(Arc::clone(&app), stopped.clone()));
    tasks.spawn(jobs::outbox::run(
        Arc::clone(&app),
        transport,
        stopped.clone(),
    ));
    if let Some(bank) = bank {
        tasks.spawn(jobs::bank::run(Arc::clone(&app), bank, stopped.clone()));
    }
    tasks.spawn(jobs::sealer::run(Arc::clone(&app), stopped.clone()));
    tasks.spawn(jobs::webhooks::run(
        Arc::clone(&app),
        sender,
        stopped.clone(),
    ));
    tracing::info!(http.address = %address, http.origin = %app.settings.public_origin, "listening");
    if let Some(path) = &args.ready_file {
        write_ready(path, &address)?;
    }
    whole(door.serve(http::router(app)), &mut tasks).await?;
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// How many proxies are believed. A core believes its front, and nobody else reaches it.
fn hops(args: &Args, is_core: bool) -> u8 {
    let proxied = args.behind_proxy || is_core;
    args.trusted_hops.unwrap_or(proxied.into())
}

/// Refuses flags that would put tokens or mails at risk.
fn check(args: &Args) -> anyhow::Result<()> {
    ensure!(
        args.listen.ip().is_loopback() || args.behind_proxy,
        "{} is no loopback address: bearer tokens need TLS; put a proxy in front and say \
         --behind-proxy",
        args.listen
    );
    // Mails would name a loopback address in the clear, and cookies would lack `Secure`.
    ensure!(
        args.public_origin.is_some() || !args.behind_proxy,
        "behind a proxy nobody outside reaches this server by its own address: name the proxy's, \
         such as --public-origin https://money.example"
    );
    Ok(())
}

/// Serves as long as the jobs do. A job ends early only by a defect, and a server that looks healthy
/// while no money is returned and no mail goes out is worse than one that is started again.
async fn whole(serving: impl Future<Output = ()>, jobs: &mut JoinSet<()>) -> anyhow::Result<()> {
    tokio::select! {
        () = serving => Ok(()),
        Some(_) = jobs.join_next() => bail!("a job has ended: see the log, and start the server again"),
    }
}

pub(super) fn write_ready(path: &Path, url: &str) -> anyhow::Result<()> {
    files::replace(path, format!("{url}\n").as_bytes()).with_context(|| path.display().to_string())
}

fn transport(args: &Args) -> anyhow::Result<Transport> {
    let Some(relay) = &args.smtp else {
        let dir = args
            .mail_dir
            .clone()
            .unwrap_or_else(|| args.common.data.join("mail"));
        return Ok(Transport::directory(&dir)?);
    };
    let (host, port) = relay.rsplit_once(':').context("--smtp wants HOST:PORT")?;
    let credentials = match (&args.smtp_user, &args.smtp_password_file) {
        (Some(user), Some(file)) => {
            let password = files::read_secret(file).with_context(|| file.display().to_string())?;
            Some((
                user.clone(),
                password.trim_end_matches(['\r', '\n']).to_owned(),
            ))
        }
        _ => None,
    };
    let config = SmtpConfig {
        host: host.to_owned(),
        port: port.parse().context("--smtp wants HOST:PORT")?,
        tls: match args.smtp_tls {
            Tls::None => SmtpTls::None,
            Tls::Starttls => SmtpTls::StartTls,
            Tls::Implicit => SmtpTls::Implicit,
        },
        credentials,
    };
    Ok(Transport::smtp(&config)?)
}

/// Waits for SIGTERM or Ctrl-C.
pub(super) async fn signal() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::TRUSTED_HOPS_MAX;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(flags: &[&str]) -> Args {
        let line = [&["serve", "--data", "d"], flags].concat();
        Line::try_parse_from(line).unwrap().args
    }

    #[test]
    fn behind_a_proxy_the_origin_must_be_named() {
        let said = check(&args(&["--behind-proxy"])).unwrap_err().to_string();
        assert!(said.contains("--public-origin https://"), "{said}");
        let named = ["--behind-proxy", "--public-origin", "https://money.example"];
        check(&args(&named)).unwrap();
        check(&args(&[])).unwrap();
    }

    #[test]
    fn as_many_proxies_are_believed_as_are_said_to_be_there() {
        let proxied = ["--behind-proxy", "--public-origin", "https://money.example"];
        let with = |more: &[&str]| args(&[&proxied[..], more].concat());
        assert_eq!((hops(&args(&[]), false), hops(&args(&[]), true)), (0, 1));
        assert_eq!(hops(&with(&[]), false), 1);
        for n in [1, TRUSTED_HOPS_MAX] {
            assert_eq!(hops(&with(&["--trusted-hops", &n.to_string()]), false), n);
        }
        let refused = |flags: &[&str]| {
            let line = [&["serve", "--data", "d"], flags].concat();
            Line::try_parse_from(line).is_err()
        };
        let past = (TRUSTED_HOPS_MAX + 1).to_string();
        assert!(refused(&["--trusted-hops", "1"]));
        for n in ["0", &past] {
            assert!(
                refused(&[&proxied[..], &["--trusted-hops", n]].concat()),
                "{n}"
            );
        }
    }

    #[tokio::test]
    async fn a_mail_password_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        files::write_new(&path, b"secret\n").unwrap();
        let file = path.to_str().unwrap();
        let relay = ["--smtp", "relay.example:587", "--smtp-user", "u"];
        let args = args(&[&relay[..], &["--smtp-password-file", file]].concat());
        transport(&args).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let said = format!("{:#}", transport(&args).unwrap_err());
        assert!(said.contains("readable by others"), "{said}");
    }

    #[tokio::test]
    async fn a_job_that_ends_early_ends_the_server() {
        let mut jobs = JoinSet::new();
        jobs.spawn(std::future::pending());
        jobs.spawn(async { panic!("a defect") });
        assert!(whole(std::future::pending(), &mut jobs).await.is_err());
        assert!(whole(async {}, &mut jobs).await.is_ok());
    }
}
