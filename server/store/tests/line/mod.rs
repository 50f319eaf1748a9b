//! A line to PostgreSQL that can be cut while it commits.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use postgres_server::Server;
use tempfile::TempDir;

/// Nothing is lost.
pub(crate) const CALM: u8 = 0;
/// The next commit does not reach the server.
pub(crate) const LOSE_REQUEST: u8 = 1;
/// The server carries the next commit out, and its answer is lost.
pub(crate) const LOSE_REPLY: u8 = 2;
/// The answer to the next commit is the last that comes: the line breaks, and nobody answers a new one.
pub(crate) const LOSE_AFTER: u8 = 3;
/// Nobody answers.
const SILENT: u8 = 4;

/// Both say it with this word: who asks, and who answers.
fn is_about_a_commit(bytes: &[u8]) -> bool {
    bytes.windows(7).any(|part| part == b"COMMIT\0")
}

/// Hands bytes on between a client and the server, except for what `mode` says, once.
fn carry(client: UnixStream, server: &Path, mode: &Arc<AtomicU8>) {
    let server = UnixStream::connect(server).expect("the server");
    let (mut from_server, mut to_client) =
        (server.try_clone().unwrap(), client.try_clone().unwrap());
    let muted = Arc::new(AtomicU8::new(CALM));
    let mute = Arc::clone(&muted);
    std::thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(len @ 1..) = from_server.read(&mut bytes) {
            let muted = mute.load(Ordering::SeqCst);
            if muted == LOSE_REPLY {
                // the answer has come: now the client may learn that nobody speaks any more
                break;
            }
            let last = muted == LOSE_AFTER && is_about_a_commit(&bytes[..len]);
            if to_client.write_all(&bytes[..len]).is_err() || last {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let (mut from_client, mut to_server) = (client, server);
    let mut bytes = [0; 16_384];
    while let Ok(len @ 1..) = from_client.read(&mut bytes) {
        let sent = &bytes[..len];
        if is_about_a_commit(sent) {
            match mode.load(Ordering::SeqCst) {
                LOSE_REQUEST => {
                    mode.store(CALM, Ordering::SeqCst);
                    break;
                }
                LOSE_REPLY => {
                    mode.store(CALM, Ordering::SeqCst);
                    muted.store(LOSE_REPLY, Ordering::SeqCst);
                }
                LOSE_AFTER => {
                    mode.store(SILENT, Ordering::SeqCst);
                    muted.store(LOSE_AFTER, Ordering::SeqCst);
                }
                _ => {}
            }
        }
        if to_server.write_all(sent).is_err() {
            break;
        }
    }
    let _ = to_server.shutdown(Shutdown::Both);
    let _ = from_client.shutdown(Shutdown::Both);
}

/// A server behind a line that can be cut; the address of a new database on it.
pub(crate) struct Line {
    pub(crate) mode: Arc<AtomicU8>,
    pub(crate) url: String,
    _folder: TempDir,
}

pub(crate) fn line(server: &Server) -> Line {
    let direct = server.database();
    let name = direct.rsplit('/').next().unwrap().to_owned();
    let socket: PathBuf = server.folder().join(".s.PGSQL.5432");
    let folder = TempDir::new().unwrap();
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    let mode = Arc::new(AtomicU8::new(CALM));
    let shared = Arc::clone(&mode);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            if shared.load(Ordering::SeqCst) == SILENT {
                continue;
            }
            let (socket, mode) = (socket.clone(), Arc::clone(&shared));
            std::thread::spawn(move || carry(client, &socket, &mode));
        }
    });
    let host = folder.path().to_str().unwrap().replace('/', "%2F");
    Line {
        mode,
        url: format!("postgres://tegata@{host}/{name}"),
        _folder: folder,
    }
}
