//! `front` and the socket of `core`: the server as two processes.

use super::serve::{signal, write_ready};
use crate::{
    caller::TRUSTED_HOPS_MAX,
    connections::{self, Limits},
    front::{self, Front},
};
use anyhow::{Context, bail, ensure};
use std::{
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Rights of the core's socket: its owner and its group speak to it, so the front may be another
/// user, who cannot read keys or database.
const SOCKET_MODE: u32 = 0o660;

/// How many proxies `--trusted-hops` may name.
pub(super) fn hops() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(1..=i64::from(TRUSTED_HOPS_MAX))
}

/// Flags of `front`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The front has no keys and no database. Run it as another user than the core, in a group \
that may enter the socket's folder.

Example:
  tegata-server core --data ./issuer --socket /run/tegata/core --public-origin https://money.example
  tegata-server front --core /run/tegata/core --listen 127.0.0.1:8080 --behind-proxy"
)]
pub struct Args {
    /// The core's socket
    #[arg(long, value_name = "PATH")]
    core: PathBuf,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A proxy in front ends TLS and sets X-Forwarded-For; allows other addresses than loopback
    #[arg(long)]
    behind_proxy: bool,
    /// How many proxies of yours stand in front, each adding whom it was called by at the right end of
    /// X-Forwarded-For [default: 1 with --behind-proxy, else 0]
    #[arg(long, value_name = "N", requires = "behind_proxy", value_parser = hops())]
    trusted_hops: Option<u8>,
    /// File that gets the base URL once requests are answered
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    ensure!(
        args.listen.ip().is_loopback() || args.behind_proxy,
        "{} is no loopback address: bearer tokens need TLS; put a proxy in front and say \
         --behind-proxy",
        args.listen
    );
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    let hops = args.trusted_hops.unwrap_or(args.behind_proxy.into());
    let front = Arc::new(Front::new(args.core, hops));
    tracing::info!(http.address = %address, core = %front.core.display(), "front is listening");
    if let Some(path) = &args.ready_file {
        write_ready(path, &format!("http://{address}"))?;
    }
    connections::serve(listener, front::router(front), Limits::SERVER, signal()).await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Listens on a socket of this file system; one that a dead core left behind is replaced.
///
/// # Errors
/// A core answers there, something else has the name, or the folder does not let us.
pub(super) async fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    let name = || path.display().to_string();
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            if UnixStream::connect(path).await.is_ok() {
                bail!("{}: another core answers there", name());
            }
            std::fs::remove_file(path).with_context(name)?;
        }
        Ok(_) => bail!("{}: is there, and no socket", name()),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).with_context(name)?;
    let rights = std::fs::Permissions::from_mode(SOCKET_MODE);
    std::fs::set_permissions(path, rights).with_context(name)?;
    Ok(listener)
}
