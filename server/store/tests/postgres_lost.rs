//! A connection that is lost while PostgreSQL commits: nothing is lost, nothing is done twice.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ledger::{AccountRef, Command, HolderId, Outcome, PlaceOrder, Refusal};
use money::Currency;
use postgres_server::Server;
use store::contract::{Funded, World};
use store::{SqlStore, Store};

mod line;

use line::{CALM, LOSE_AFTER, LOSE_REPLY, LOSE_REQUEST, line};

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
async fn what_was_committed_is_answered_though_the_line_breaks_right_after() {
    let server = Server::start(&["--no-sync"]);
    let line = line(&server);
    let store: Arc<dyn Store> = Arc::new(SqlStore::connect(&line.url).expect("a new database"));
    let world = World::new(Arc::clone(&store));
    let holder = world.holder(Currency::Jpy, 0).await;
    let to = AccountRef::Holder(holder);
    for (round, mode) in [LOSE_AFTER, CALM, LOSE_AFTER, CALM].into_iter().enumerate() {
        line.mode.store(mode, Ordering::SeqCst);
        let transfer = world.transfer(AccountRef::Float, to, 7, Currency::Jpy);
        assert_eq!(world.apply(transfer).await, Ok(Outcome::Transferred));
        let cut = line.mode.swap(CALM, Ordering::SeqCst) != mode;
        assert_eq!(cut, mode == LOSE_AFTER);
        let found = store.balance(ledger::Account::Holder(holder)).await;
        let expected = 7 * i64::try_from(round + 1).unwrap();
        assert_eq!(found.unwrap().unwrap().minor(), expected);
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
    let (one, two, three) = (open(), open(), open());
    let world = World::new(Arc::new(one));
    let holder = world.holder(Currency::Jpy, 5).await;
    two.begin_incarnation([7; 16], world.at(0)).await.unwrap();
    let to = AccountRef::Holder(holder);
    let transfer = || world.transfer(AccountRef::Float, to, 7, Currency::Jpy);
    // with its next commit
    let refused = world.store.apply(vec![transfer()]).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("Stop every server")));
    assert!(world.store.holder(holder).await.is_err(), "nor is it read");
    // the one that began it lives in it, through a lost line as well
    assert_eq!(
        two.apply(vec![transfer()]).await,
        Ok(vec![Ok(Outcome::Transferred)])
    );
    let name = url.rsplit('/').next().unwrap();
    let sql =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    server.sql("postgres", &sql);
    assert_eq!(
        two.apply(vec![transfer()]).await,
        Ok(vec![Ok(Outcome::Transferred)])
    );
    // or when it connects anew
    assert!(three.apply(vec![transfer()]).await.is_err());
    let balance = two.balance(ledger::Account::Holder(holder)).await;
    assert_eq!(balance.unwrap().unwrap().minor(), 19);
}

#[tokio::test]
async fn whoever_began_a_new_life_lives_in_it_though_the_answer_was_lost() {
    let server = Server::start(&["--no-sync"]);
    let line = line(&server);
    let store: Arc<dyn Store> = Arc::new(SqlStore::connect(&line.url).expect("a new database"));
    let world = World::new(Arc::clone(&store));
    let holder = world.holder(Currency::Jpy, 5).await;
    for (mode, life) in [(LOSE_REPLY, 7), (LOSE_REQUEST, 8)] {
        line.mode.store(mode, Ordering::SeqCst);
        let begun = store.begin_incarnation([life; 16], world.at(0)).await;
        assert!(begun.is_ok(), "{mode}: {begun:?}");
        assert_eq!(line.mode.load(Ordering::SeqCst), CALM, "the line was cut");
        let to = AccountRef::Holder(holder);
        let transfer = world.transfer(AccountRef::Float, to, 7, Currency::Jpy);
        assert_eq!(world.apply(transfer).await, Ok(Outcome::Transferred));
        assert_eq!(store.incarnation().await, Ok(Some([life; 16])));
    }
    world.balanced().await;
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
    let sessions = server.sql(name, "SELECT count(*) FROM writer");
    assert_eq!(sessions.trim(), "1", "the one that waited goes on");
}

/// Fails a quarter of all transfers at once, and a quarter of all transactions when they commit, as a
/// server does that cannot serialise them.
const FAILING: &str = "
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF random() < 0.25 THEN
            RAISE EXCEPTION 'injected' USING ERRCODE =
                CASE WHEN random() < 0.5 THEN '40001' ELSE '40P01' END;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER fail_at_once AFTER INSERT ON transfer FOR EACH STATEMENT EXECUTE FUNCTION fail();
    CREATE CONSTRAINT TRIGGER fail_at_commit AFTER INSERT OR UPDATE ON writer DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION fail();";

/// Gives up so many transactions, one after the other, when they commit: a sequence does not go back.
fn give_up(server: &Server, name: &str, times: u32) {
    let sql = format!(
        "DROP SEQUENCE IF EXISTS commits CASCADE; CREATE SEQUENCE commits;
         CREATE OR REPLACE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('commits') <= {times} THEN
                 RAISE EXCEPTION 'injected' USING ERRCODE = '40001';
             END IF;
             RETURN NULL;
         END $$;
         DROP TRIGGER IF EXISTS give_up ON writer;
         CREATE CONSTRAINT TRIGGER give_up AFTER INSERT OR UPDATE ON writer DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION give_up();"
    );
    server.sql(name, &sql);
}

#[tokio::test]
async fn of_a_broken_batch_one_call_waits_for_a_lost_database_and_the_rest_are_given_up() {
    let server = Server::start(&["--no-sync"]);
    let line = line(&server);
    let name = line.url.rsplit('/').next().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqlStore::connect(&line.url).expect("a new database"));
    let world = World::new(Arc::clone(&store));
    let unreadable = world.holder(Currency::Jpy, 5).await;
    let to = world.holder(Currency::Jpy, 0).await;
    server.sql(
        name,
        "UPDATE account SET currency = 'ZZZ' WHERE balance = 5",
    );
    // all are of one batch: it cannot begin before the last has come
    let held = server.hold(name, "SELECT pg_advisory_lock(6072915260682010625)");
    let waits = || {
        let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        server.sql(name, sql).trim() == "1"
    };
    let mut calls = Vec::new();
    for to in [unreadable, to, to, to, to] {
        let command = world.transfer(AccountRef::Float, AccountRef::Holder(to), 7, Currency::Jpy);
        let (store, asked) = (Arc::clone(&store), command.clone());
        let call = tokio::spawn(async move { store.apply(vec![asked]).await });
        calls.push((command, call));
        tokio::task::yield_now().await;
        if calls.len() == 1 {
            assert!((0..2_000).any(|_| waits()), "the writer waits");
        }
    }
    line.mode.store(LOSE_AFTER, Ordering::SeqCst);
    drop(held);
    let (mut said, mut commands) = (Vec::new(), Vec::new());
    for (command, call) in calls {
        said.push(match call.await.unwrap() {
            Ok(answers) => format!("{answers:?}"),
            Err(error) => error.to_string(),
        });
        commands.push(command);
    }
    assert!(said[0].contains("currency"), "{said:?}");
    assert_eq!(said[1], "[Ok(Transferred)]", "its commit was the last");
    assert!(!said[2].contains("given up"), "{said:?}");
    for given_up in &said[3..] {
        assert!(given_up.contains("the call was given up"), "{said:?}");
    }
    line.mode.store(CALM, Ordering::SeqCst);
    for command in commands.drain(1..) {
        assert_eq!(world.apply(command).await, Ok(Outcome::Transferred));
    }
    let balance = store.balance(ledger::Account::Holder(to)).await;
    assert_eq!(balance.unwrap().unwrap().minor(), 28, "each once");
}

#[tokio::test]
async fn a_transaction_is_done_again_until_its_fifth_time_and_then_nothing_has_happened() {
    let server = Server::start(&["--no-sync"]);
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqlStore::connect(&url).expect("a new database"));
    let world = World::new(Arc::clone(&store));
    let holder = world.holder(Currency::Jpy, 5).await;
    let to = AccountRef::Holder(holder);
    let balance = async || store.balance(ledger::Account::Holder(holder)).await;
    give_up(&server, name, 4);
    let transfer = world.transfer(AccountRef::Float, to, 7, Currency::Jpy);
    assert_eq!(world.apply(transfer).await, Ok(Outcome::Transferred));
    assert_eq!(balance().await.unwrap().unwrap().minor(), 12);
    give_up(&server, name, 5);
    let transfer = world.transfer(AccountRef::Float, to, 9, Currency::Jpy);
    assert!(store.apply(vec![transfer.clone()]).await.is_err());
    assert_eq!(balance().await.unwrap().unwrap().minor(), 12);
    assert_eq!(world.apply(transfer).await, Ok(Outcome::Transferred));
    assert_eq!(balance().await.unwrap().unwrap().minor(), 21);
}

/// Calls of one history.
const CALLS: usize = 120;

/// What a history is made of, told from its seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound;
        usize::try_from(number).unwrap()
    }
}

/// Any command, from what `world` holds now.
async fn any(
    dice: &mut Dice,
    world: &World,
    all: &[Funded],
    orders: &mut Vec<PlaceOrder>,
) -> Command {
    let of = &all[dice.below(3)];
    let placed = (!orders.is_empty()).then(|| dice.below(orders.len() as u64));
    match (dice.below(10), placed.map(|at| orders[at].clone())) {
        (0..3, _) => {
            let side = |holder: HolderId| AccountRef::Holder(holder);
            let (from, to) = (side(of.sender), side(all[dice.below(3)].recipient));
            let minor = 1 + i64::try_from(dice.below(3_000)).unwrap();
            world.transfer(from, to, minor, Currency::Jpy)
        }
        // the same order once more
        (3, Some(order)) => Command::PlaceOrder(Box::new(order)),
        (4, Some(order)) => Command::Cancel {
            remittance: order.remittance,
            sender: order.sender,
            now: world.at(3),
        },
        (5 | 6, Some(order)) => {
            let of = all.iter().find(|of| of.number == order.card).unwrap();
            let step = world.step(of.card, None, Some(order.remittance), world.at(2));
            Command::Decide(step.await)
        }
        (7 | 8, _) if world.store.in_flight(of.card).await.unwrap().is_some() => {
            Command::Settle(world.proof(of.card).await)
        }
        (_, _) => {
            let minor = 1 + i64::try_from(dice.below(600)).unwrap();
            let order = world.order(of.sender, of.number, minor);
            orders.push(order.clone());
            Command::PlaceOrder(Box::new(order))
        }
    }
}

/// Asks until it is answered, as every caller does.
async fn answers(
    store: &dyn Store,
    commands: &[Command],
    asked_again: &mut usize,
) -> Vec<Result<Outcome, Refusal>> {
    for _ in 0..50 {
        if let Ok(answers) = store.apply(commands.to_vec()).await {
            return answers;
        }
        *asked_again += 1;
    }
    panic!("never answered");
}

#[tokio::test]
async fn a_history_of_lost_lines_and_failed_transactions_is_that_of_a_calm_ledger() {
    let server = Server::start(&["--no-sync"]);
    let line = line(&server);
    let name = line.url.rsplit('/').next().unwrap().to_owned();
    let folder = tempfile::TempDir::new().unwrap();
    let calm = SqlStore::open(&folder.path().join("ledger.db")).unwrap();
    let stormy = SqlStore::connect(&line.url).expect("a new database");
    let stores: [Arc<dyn Store>; 2] = [Arc::new(calm), Arc::new(stormy)];
    let mut all = Vec::new();
    // ids are counted, so both have the same
    let worlds = stores.map(World::new);
    for world in &worlds {
        all.clear();
        for _ in 0..3 {
            all.push(world.funded().await);
        }
    }
    server.sql(&name, FAILING);
    let [calm, stormy] = &worlds;
    let (mut dice, mut orders) = (Dice(4_711), Vec::new());
    let (mut cut, mut moved, mut asked_again) = (0, 0, 0);
    for call in 0..CALLS {
        let mut commands = Vec::new();
        for _ in 0..=dice.below(4) {
            commands.push(any(&mut dice, calm, &all, &mut orders).await);
        }
        let expected = calm.store.apply(commands.clone()).await.unwrap();
        let mode = [CALM, CALM, LOSE_REQUEST, LOSE_REPLY][dice.below(4)];
        line.mode.store(mode, Ordering::SeqCst);
        let found = answers(&*stormy.store, &commands, &mut asked_again).await;
        assert_eq!(found, expected, "call {call}: {commands:?}");
        cut += u32::from(mode != CALM && line.mode.swap(CALM, Ordering::SeqCst) == CALM);
        moved += found.iter().filter(|answer| answer.is_ok()).count();
    }
    let given_up = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    let given_up: u64 = server.sql(&name, given_up).trim().parse().unwrap();
    println!("{moved} commands moved something, {cut} lines cut, {given_up} transactions given up");
    assert!(moved > CALLS && cut > 20 && given_up > 20);
    // the writer itself does again what was given up: five in a row are rare
    assert!(asked_again < CALLS / 8, "{asked_again}");
    for of in &all {
        for account in [
            ledger::Account::Holder(of.sender),
            ledger::Account::Holder(of.recipient),
            ledger::Account::Card(of.card),
        ] {
            assert_eq!(stormy.minor(account).await, calm.minor(account).await);
        }
    }
    stormy.balanced().await;
}
