//! How often a commit waits for PostgreSQL: as often for many commands as for one.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

use std::sync::Arc;

use ledger::{AccountRef, CardAccounts, Command, Outcome, Timestamp, WebhookId};
use money::Currency;
use store::contract::{Funded, World};
use store::{
    Changes, EventId, NewDelivery, NewWebhook, OrderEvent, SqlStore, Store, Webhooks as _,
};

/// Waits of one commit: the lock with what is read first, what follows from that, and the writes with the
/// commit. Transfers, orders, decisive steps, proofs.
const ROUND_TRIPS: [u64; 4] = [2, 3, 2, 3];

/// Carries out many commands in one commit; gives how often that waited.
async fn round_trips(store: &SqlStore, commands: Vec<Command>) -> u64 {
    let (before, commits) = (store.round_trips(), store.commits());
    for answer in store.apply(commands).await.unwrap() {
        answer.unwrap();
    }
    assert_eq!(store.commits() - commits, 1);
    store.round_trips() - before
}

/// The whole way of as many remittances as there are cards, each step of all of them in one commit, with
/// transfers out of one account beside it; gives the waits of each.
async fn steps(store: &Arc<SqlStore>, world: &World, all: &[Funded]) -> Vec<u64> {
    let mut found = Vec::new();
    let hot = world.holder(Currency::Jpy, 100_000).await;
    let transfer = |of: &Funded| {
        let (from, to) = (AccountRef::Holder(hot), AccountRef::Holder(of.sender));
        world.transfer(from, to, 3, Currency::Jpy)
    };
    found.push(round_trips(store, all.iter().map(transfer).collect()).await);
    let orders: Vec<_> = all
        .iter()
        .map(|of| world.order(of.sender, of.number, 100))
        .collect();
    let placed = orders.iter().map(|order| order.remittance);
    let placed: Vec<_> = placed.collect();
    let place = |order| Command::PlaceOrder(Box::new(order));
    found.push(round_trips(store, orders.into_iter().map(place).collect()).await);
    let mut commits = Vec::new();
    for (of, remittance) in all.iter().zip(placed) {
        let step = world
            .step(of.card, None, Some(remittance), world.at(1))
            .await;
        commits.push(Command::Decide(step));
    }
    found.push(round_trips(store, commits).await);
    let mut proofs = Vec::new();
    for of in all {
        proofs.push(Command::Settle(world.proof(of.card).await));
    }
    found.push(round_trips(store, proofs).await);
    found
}

async fn of_setting(setting: CardAccounts) {
    let store = SqlStore::connect(&postgres_server::database()).expect("a new database");
    let store = Arc::new(store);
    if setting == CardAccounts::Pooled {
        let pooled = store.set_card_accounts(CardAccounts::Pooled, Timestamp::EPOCH);
        pooled.await.unwrap();
    }
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let mut all = Vec::new();
    for _ in 0..40 {
        all.push(world.funded().await);
    }
    // the first time also tells the server what the statements are
    steps(&store, &world, &all[..1]).await;
    let one = steps(&store, &world, &all[..1]).await;
    let many = steps(&store, &world, &all).await;
    assert_eq!(one, many, "transfers, orders, decisive steps, proofs");
    assert_eq!(one, ROUND_TRIPS);
    world.balanced().await;
}

#[tokio::test]
async fn a_commit_waits_as_often_for_many_commands_as_for_one() {
    of_setting(CardAccounts::Individual).await;
}

#[tokio::test]
async fn a_commit_waits_as_often_for_many_commands_as_for_one_in_a_pool() {
    of_setting(CardAccounts::Pooled).await;
}

#[tokio::test]
async fn the_writer_waits_as_often_for_many_events_as_for_one() {
    let store = SqlStore::connect(&postgres_server::database()).expect("a new database");
    let store = Arc::new(store);
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let webhook = NewWebhook {
        id: WebhookId::new(1, [0; 10]),
        holder: world.holder(Currency::Jpy, 0).await,
        url: "https://a.example".to_owned(),
        now: world.at(0),
    };
    let id = webhook.id;
    store.add_webhook(webhook).await.unwrap();
    let mut trips = Vec::new();
    // the first time also tells the server what the statements are
    for (segment, events) in [(1, 1), (2, 1), (3, 200)] {
        let delivery = |number: u8| NewDelivery {
            webhook: id,
            event: EventId([segment, number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            what: OrderEvent::Opened,
            body: vec![number],
            at: world.at(0),
        };
        let of = Changes {
            segment: segment.into(),
            begun: Vec::new(),
            changes: Vec::new(),
        };
        let before = store.round_trips();
        let deliveries = (0..events).map(delivery).collect();
        assert!(store.queue_deliveries(of, deliveries).await.unwrap());
        trips.push(store.round_trips() - before);
    }
    assert_eq!(trips[1], trips[2], "{trips:?}");
    let row = store.webhook(id).await.unwrap().unwrap();
    assert_eq!((row.queued, row.dead), (202, 0));
}

#[tokio::test]
async fn what_one_command_wrote_the_next_in_its_commit_has_read() {
    let store = SqlStore::connect(&postgres_server::database()).expect("a new database");
    let store = Arc::new(store);
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let of = world.funded().await;
    let poor = world.holder(Currency::Jpy, 0).await;
    let (sender, poor_side) = (AccountRef::Holder(of.sender), AccountRef::Holder(poor));
    // funds that come and go within the commit, an id that comes again, and an order of what is left
    let first = world.transfer(sender, poor_side, 9_000, Currency::Jpy);
    let back = world.transfer(poor_side, sender, 9_000, Currency::Jpy);
    let too_much = world.transfer(poor_side, sender, 1, Currency::Jpy);
    let order = world.order(of.sender, of.number, 4_000);
    let remittance = order.remittance;
    let commands = vec![
        first.clone(),
        back,
        first,
        too_much,
        Command::PlaceOrder(Box::new(order.clone())),
        Command::PlaceOrder(Box::new(order)),
        Command::Cancel {
            remittance,
            sender: of.sender,
            now: world.at(2),
        },
        world.transfer(sender, poor_side, 10_000, Currency::Jpy),
    ];
    let answers = store.apply(commands).await.unwrap();
    let went: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(went, [true, true, true, false, true, true, true, true]);
    assert_eq!(answers[4], Ok(Outcome::Placed { remittance }));
    world.balanced().await;
}
