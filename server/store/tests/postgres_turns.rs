//! Turns of several writers over one PostgreSQL: who goes along, and whose database it is.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

use std::sync::Arc;

use ledger::{Account, AccountRef, Command, HolderId, Outcome};
use money::Currency;
use postgres_server::Server;
use store::contract::World;
use store::{SqlStore, Store, StoreError};

/// `SELECT pg_advisory_lock` of the writer's lock.
const HOLD: &str = "SELECT pg_advisory_lock(6072915260682010625)";

fn process(url: &str) -> Arc<SqlStore> {
    Arc::new(SqlStore::connect(url).expect("a database"))
}

async fn balance(store: &SqlStore, holder: HolderId) -> i64 {
    let found = store.balance(Account::Holder(holder)).await;
    found.unwrap().unwrap().minor()
}

/// A process, and two holders, of whom the first has 1,000.
async fn two(url: &str) -> (Arc<SqlStore>, World, [HolderId; 2]) {
    let store = process(url);
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let holders = [
        world.holder(Currency::Jpy, 1_000).await,
        world.holder(Currency::Jpy, 0).await,
    ];
    (store, world, holders)
}

fn transfer(world: &World, from: HolderId, to: HolderId, minor: i64) -> Command {
    let (from, to) = (AccountRef::Holder(from), AccountRef::Holder(to));
    world.transfer(from, to, minor, Currency::Jpy)
}

/// Waits until so many sessions wait for the writer's lock.
fn until_waiting(server: &Server, name: &str, sessions: &str) {
    let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    let waits = || server.sql(name, sql).trim() == sessions;
    assert!((0..2_000).any(|_| waits()), "{sessions} sessions wait");
}

#[tokio::test]
async fn whoever_comes_while_the_lock_is_waited_for_goes_along() {
    let server = Server::start(&["--no-sync"]);
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    let (store, world, [rich, poor]) = two(&url).await;
    let held = server.hold(name, HOLD);
    let before = store.commits();
    let mut tasks = Vec::new();
    for count in 0..20 {
        let (store, command) = (Arc::clone(&store), transfer(&world, rich, poor, 1));
        tasks.push(tokio::spawn(async move {
            store.apply_one(command).await.unwrap()
        }));
        tokio::task::yield_now().await;
        if count == 0 {
            until_waiting(&server, name, "1");
        }
    }
    drop(held);
    for task in tasks {
        assert_eq!(task.await.unwrap(), Outcome::Transferred);
    }
    assert_eq!(store.commits() - before, 1);
    assert_eq!(balance(&store, poor).await, 20);
    world.balanced().await;
}

#[tokio::test]
async fn what_two_processes_write_at_once_adds_up() {
    let url = postgres_server::database();
    let (one, world, [a, b]) = two(&url).await;
    let stores = [one, process(&url)];
    let mut tasks = Vec::new();
    for count in 0..400_usize {
        let (from, to) = if count % 3 == 0 { (b, a) } else { (a, b) };
        let command = transfer(&world, from, to, 1 + i64::try_from(count % 7).unwrap());
        let store = Arc::clone(&stores[count % 2]);
        tasks.push(tokio::spawn(
            async move { store.apply(vec![command]).await },
        ));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    for store in &stores {
        assert_eq!(balance(store, a).await + balance(store, b).await, 1_000);
    }
    world.balanced().await;
}

#[tokio::test]
async fn a_database_put_back_under_a_living_process_is_noticed_by_its_next_commit() {
    // the session is there with an earlier number, or not at all
    for put_back in [
        "UPDATE writer SET commits = commits - 1",
        "DELETE FROM writer",
    ] {
        let server = Server::start(&["--no-sync"]);
        let url = server.database();
        let name = url.rsplit('/').next().unwrap();
        let (store, world, [rich, poor]) = two(&url).await;
        server.sql(name, put_back);
        let done = store.apply(vec![transfer(&world, rich, poor, 3)]).await;
        let Err(StoreError::Unavailable { reason }) = done else {
            panic!("{put_back}: {done:?}");
        };
        assert!(reason.contains("not the one"), "{put_back}: {reason}");
        let posted = server.sql(name, "SELECT count(*) FROM transfer");
        assert_eq!(posted.trim(), "1", "nothing stayed of it");
    }
}

#[tokio::test]
async fn a_process_that_was_silent_for_months_finds_its_database_again() {
    let server = Server::start(&["--no-sync"]);
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    let (store, world, [rich, poor]) = two(&url).await;
    server.sql(name, "UPDATE writer SET at = at - interval '300 days'");
    // another process begins, and writes
    let other = process(&url);
    let command = transfer(&world, rich, poor, 3);
    assert_eq!(
        other.apply_one(command).await.unwrap(),
        Outcome::Transferred
    );
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE application_name = 'tegata-server'";
    server.sql(name, kill);
    let command = transfer(&world, poor, rich, 2);
    assert_eq!(
        store.apply_one(command).await.unwrap(),
        Outcome::Transferred
    );
    world.balanced().await;
}
