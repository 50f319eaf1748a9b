//! Commits that are decided ahead on PostgreSQL: when they are one round trip, and when they are not.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

use std::sync::Arc;

use ledger::{Account, AccountRef, Command, HolderId, Outcome, Refusal};
use money::Currency;
use postgres_server::Server;
use store::contract::World;
use store::{SqlStore, Store, StoreError};

/// Commits of one process after which the next one is decided ahead.
const ALONE: u64 = 6;

fn process(url: &str) -> Arc<SqlStore> {
    Arc::new(SqlStore::connect(url).expect("a database"))
}

fn world(store: &Arc<SqlStore>) -> World {
    World::new(Arc::clone(store) as Arc<dyn Store>)
}

/// How often the commit of one command waited, and what came of it.
async fn waits(store: &SqlStore, command: Command) -> (u64, Result<Outcome, Refusal>) {
    let (commits, before) = (store.commits(), store.round_trips());
    let answer = store.apply_one(command).await;
    let answer = answer.map_err(|error| match error {
        store::ApplyError::Refused(refusal) => refusal,
        store::ApplyError::Store(error) => panic!("{error}"),
    });
    assert_eq!(store.commits() - commits, 1);
    (store.round_trips() - before, answer)
}

async fn balance(store: &SqlStore, holder: HolderId) -> i64 {
    let found = store.balance(Account::Holder(holder)).await;
    found.unwrap().unwrap().minor()
}

/// A process that has written alone for a while, and two holders, of whom the first has 1,000.
async fn alone(url: &str) -> (Arc<SqlStore>, World, [HolderId; 2]) {
    let store = process(url);
    let world = world(&store);
    let holders = [
        world.holder(Currency::Jpy, 1_000 + 1).await,
        world.holder(Currency::Jpy, 0).await,
    ];
    for round in 0..ALONE {
        let (from, to) = match round % 2 {
            0 => (0, 1),
            _ => (1, 0),
        };
        let command = transfer(&world, holders[from], holders[to], 1);
        world.apply(command).await.unwrap();
    }
    let command = transfer(&world, holders[0], holders[1], 1);
    assert_eq!(waits(&store, command).await, (1, Ok(Outcome::Transferred)));
    (store, world, holders)
}

fn transfer(world: &World, from: HolderId, to: HolderId, minor: i64) -> Command {
    let (from, to) = (AccountRef::Holder(from), AccountRef::Holder(to));
    world.transfer(from, to, minor, Currency::Jpy)
}

#[tokio::test]
async fn what_is_known_is_one_round_trip_and_what_is_not_is_read_first() {
    let (store, world, [rich, poor]) = alone(&postgres_server::database()).await;
    // before it is refused, it is asked whether it was posted before
    let (waited, refused) = waits(&store, transfer(&world, poor, rich, 2)).await;
    assert_eq!(
        (waited > 1, refused),
        (true, Err(Refusal::InsufficientFunds))
    );
    let command = transfer(&world, rich, poor, 1);
    assert_eq!(waits(&store, command).await.0, 1, "what was known still is");
    // whose balance nobody has asked for
    let new = world.holder(Currency::Jpy, 0).await;
    let (waited, done) = waits(&store, transfer(&world, rich, new, 5)).await;
    assert_eq!((waited > 1, done), (true, Ok(Outcome::Transferred)));
    // an id that comes again is no second transfer
    for _ in 0..ALONE {
        let command = transfer(&world, rich, poor, 1);
        world.apply(command).await.unwrap();
    }
    let command = transfer(&world, rich, poor, 7);
    assert_eq!(waits(&store, command.clone()).await.0, 1);
    let (before, again) = (balance(&store, rich).await, waits(&store, command).await);
    assert_eq!((again.0 > 1, again.1), (true, Ok(Outcome::Transferred)));
    assert_eq!(balance(&store, rich).await, before);
    world.balanced().await;
}

#[tokio::test]
async fn what_another_process_wrote_counts() {
    let url = postgres_server::database();
    let (one, world, [rich, poor]) = alone(&url).await;
    let two = process(&url);
    // all but one, by another process
    let command = transfer(&world, rich, poor, 999);
    assert_eq!(two.apply_one(command).await.unwrap(), Outcome::Transferred);
    // of which the first knows nothing yet
    let too_much = transfer(&world, rich, poor, 2);
    let (waited, refused) = waits(&one, too_much).await;
    assert!(waited > 1, "it was taken ahead and given up");
    assert_eq!(refused, Err(Refusal::InsufficientFunds));
    let back = transfer(&world, poor, rich, 1_000);
    assert_eq!(waits(&one, back).await.1, Ok(Outcome::Transferred));
    assert_eq!(balance(&one, rich).await, 1_001);
    world.balanced().await;
}

#[tokio::test]
async fn what_two_processes_write_at_once_adds_up() {
    let url = postgres_server::database();
    let (one, world, [a, b]) = alone(&url).await;
    let stores = [one, process(&url)];
    let mut tasks = Vec::new();
    for count in 0..400_usize {
        let (from, to) = if count % 3 == 0 { (b, a) } else { (a, b) };
        let command = transfer(&world, from, to, 1 + i64::try_from(count % 7).unwrap());
        // turns of one process alone, and turns that change hands
        let store = Arc::clone(&stores[usize::from(count / 50 % 2 == 1 && count % 2 == 1)]);
        tasks.push(tokio::spawn(
            async move { store.apply(vec![command]).await },
        ));
        if count % 5 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(
        balance(&stores[0], a).await + balance(&stores[1], b).await,
        1_001
    );
    world.balanced().await;
}

#[tokio::test]
async fn a_database_that_was_put_back_under_a_living_process_is_noticed_by_its_next_commit() {
    let server = Server::start(&["--no-sync"]);
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    let (store, world, [rich, poor]) = alone(&url).await;
    let saved = server.sql(name, "SELECT commits FROM writer_last");
    world.apply(transfer(&world, rich, poor, 3)).await.unwrap();
    // as a restore in place leaves it: the connection lives on
    let put_back = format!(
        "UPDATE writer_last SET commits = {saved}; UPDATE writer SET commits = {saved}",
        saved = saved.trim()
    );
    server.sql(name, &put_back);
    let done = store.apply(vec![transfer(&world, rich, poor, 3)]).await;
    let Err(StoreError::Unavailable { reason }) = done else {
        panic!("{done:?}");
    };
    assert!(reason.contains("not the one"), "{reason}");
}

#[tokio::test]
async fn a_process_that_was_silent_for_hours_finds_its_database_again() {
    let server = Server::start(&["--no-sync"]);
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    let (store, world, [rich, poor]) = alone(&url).await;
    server.sql(name, "UPDATE writer SET at = at - interval '89 days'");
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
