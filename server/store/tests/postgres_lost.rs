//! A connection that is lost while PostgreSQL commits: nothing is lost, nothing is done twice.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use ledger::{AccountRef, Outcome};
use money::Currency;
use postgres_server::Server;
use store::contract::World;
use store::{SqlStore, Store};
use tempfile::TempDir;

const CALM: u8 = 0;
/// The next commit does not reach the server.
const LOSE_REQUEST: u8 = 1;
/// The server carries the next commit out, and its answer is lost.
const LOSE_REPLY: u8 = 2;

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
            if mute.load(Ordering::SeqCst) != CALM {
                // the answer has come: now the client may learn that nobody speaks any more
                break;
            }
            if to_client.write_all(&bytes[..len]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let (mut from_client, mut to_server) = (client, server);
    let mut bytes = [0; 16_384];
    while let Ok(len @ 1..) = from_client.read(&mut bytes) {
        let sent = &bytes[..len];
        if sent.windows(7).any(|part| part == b"COMMIT\0") {
            match mode.swap(CALM, Ordering::SeqCst) {
                LOSE_REQUEST => break,
                LOSE_REPLY => muted.store(LOSE_REPLY, Ordering::SeqCst),
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
struct Line {
    mode: Arc<AtomicU8>,
    url: String,
    _folder: TempDir,
}

fn line(server: &Server) -> Line {
    let direct = server.database();
    let name = direct.rsplit('/').next().unwrap().to_owned();
    let socket: PathBuf = server.folder().join(".s.PGSQL.5432");
    let folder = TempDir::new().unwrap();
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    let mode = Arc::new(AtomicU8::new(CALM));
    let shared = Arc::clone(&mode);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
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

#[tokio::test]
async fn a_connection_lost_during_a_commit_loses_nothing_and_doubles_nothing() {
    let server = Server::start(&["--no-sync"]);
    let line = line(&server);
    let store: Arc<dyn Store> = Arc::new(SqlStore::connect(&line.url).expect("a new database"));
    let world = World::new(Arc::clone(&store));
    let holder = world.holder(Currency::Jpy, 0).await;
    let mut expected = 0;
    for mode in [LOSE_REQUEST, LOSE_REPLY, CALM, LOSE_REPLY, LOSE_REQUEST] {
        line.mode.store(mode, Ordering::SeqCst);
        let to = AccountRef::Holder(holder);
        let transfer = world.transfer(AccountRef::Float, to, 7, Currency::Jpy);
        assert_eq!(
            world.apply(transfer).await,
            Ok(Outcome::Transferred),
            "{mode}"
        );
        assert_eq!(line.mode.load(Ordering::SeqCst), CALM, "the line was cut");
        expected += 7;
        let found = store.balance(ledger::Account::Holder(holder)).await;
        assert_eq!(found.unwrap().unwrap().minor(), expected, "{mode}");
    }
    world.balanced().await;
}

#[tokio::test]
async fn a_server_that_was_restarted_is_found_again() {
    let server = Server::start(&["--no-sync"]);
    let name = server.database();
    let store: Arc<dyn Store> = Arc::new(SqlStore::connect(&name).expect("a new database"));
    let world = World::new(Arc::clone(&store));
    let of = world.funded().await;
    let database = name.rsplit('/').next().unwrap();
    server.sql(
        "postgres",
        &format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        ),
    );
    world.placed(&of, 100).await;
    world.balanced().await;
}

/// The database of before in the place of the one that was written since.
fn put_back(server: &Server, name: &str) {
    server.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    server.sql(
        "postgres",
        &format!("ALTER DATABASE saved RENAME TO {name}"),
    );
}

#[tokio::test]
async fn a_database_that_was_put_back_is_not_gone_on_with() {
    let server = Server::start(&["--no-sync"]);
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    drop(SqlStore::connect(&url).expect("a new database"));
    server.sql(
        "postgres",
        &format!("CREATE DATABASE saved TEMPLATE {name}"),
    );
    let store: Arc<dyn Store> = Arc::new(SqlStore::connect(&url).expect("the database"));
    let world = World::new(Arc::clone(&store));
    let holder = world.holder(Currency::Jpy, 5).await;
    put_back(&server, name);
    let to = AccountRef::Holder(holder);
    let transfer = world.transfer(AccountRef::Float, to, 7, Currency::Jpy);
    let refused = store.apply(vec![transfer]).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("Stop every server")));
    assert!(store.holder(holder).await.is_err(), "nor is it read");
    // a process that begins now knows of nothing that is missing: restore --in-place comes before it
    let again = SqlStore::connect(&url).expect("the database");
    assert_eq!(again.holder(holder).await.unwrap(), None);
}

#[tokio::test]
async fn a_new_life_that_began_elsewhere_ends_this_server() {
    let server = Server::start(&["--no-sync"]);
    let url = server.database();
    let open = || SqlStore::connect(&url).expect("the database");
    let (one, two) = (open(), open());
    let world = World::new(Arc::new(one));
    let holder = world.holder(Currency::Jpy, 5).await;
    two.begin_incarnation([7; 16], world.at(0)).await.unwrap();
    let name = url.rsplit('/').next().unwrap();
    let sql =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    server.sql("postgres", &sql);
    let to = AccountRef::Holder(holder);
    let transfer = world.transfer(AccountRef::Float, to, 7, Currency::Jpy);
    assert!(world.store.apply(vec![transfer]).await.is_err());
}

#[tokio::test]
async fn a_writer_that_waited_in_vain_goes_on_when_the_lock_is_free() {
    let server = Server::start(&["--no-sync"]);
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    let hasty = format!("{url}?options=-c%20lock_timeout%3D200ms");
    let store: Arc<dyn Store> = Arc::new(SqlStore::connect(&hasty).expect("a new database"));
    let world = World::new(Arc::clone(&store));
    let holder = world.holder(Currency::Jpy, 5).await;
    let held = server.hold(name, "SELECT pg_advisory_lock(6072915260682010625)");
    let to = AccountRef::Holder(holder);
    let transfer = world.transfer(AccountRef::Float, to, 7, Currency::Jpy);
    assert!(store.apply(vec![transfer.clone()]).await.is_err());
    drop(held);
    assert_eq!(world.apply(transfer).await, Ok(Outcome::Transferred));
}
