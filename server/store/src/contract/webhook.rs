//! Endpoints: what they hear of, since when, and what becomes of what they do not take.

use std::sync::Arc;

use ledger::{Command, HolderId, IDEMPOTENCY_KEY_LEN_MAX, IdempotencyKey, RemittanceId, WebhookId};
use money::Currency;

use super::World;
use crate::error::AdminError;
use crate::record::{LogSegment, Logged, Seal};
use crate::traits::Store;
use crate::webhook::{
    Attempt, Changes, DEAD_LETTERS_MAX, Delivery, Disabled, EventId, NewDelivery, NewWebhook,
    OrderEvent, SECRET_OVERLAP_S, SecretAsked, SecretOfKey, WEBHOOK_ERROR_CHARS_MAX,
    WEBHOOK_EVENTS_MAX, WEBHOOK_URL_LEN_MAX, WEBHOOKS_MAX,
};

impl World {
    fn new_webhook(&self, holder: HolderId, url: &str) -> NewWebhook {
        NewWebhook {
            id: WebhookId::from_bytes(self.remittance_id().to_bytes()).unwrap(),
            holder,
            url: url.to_owned(),
            now: self.at(0),
        }
    }

    async fn listening(&self, holder: HolderId, url: &str) -> WebhookId {
        let webhook = self.new_webhook(holder, url);
        let id = webhook.id;
        self.store.add_webhook(webhook).await.unwrap();
        id
    }

    /// Seals what waits.
    async fn sealed(&self) {
        let waiting = self.store.log_unsealed(0).await.unwrap();
        let first = waiting.link.position + 1;
        let mut link = waiting.link;
        let logged = waiting.records.into_iter().map(|record| {
            link = link.next(&record);
            let hash = link.hash;
            Logged { record, hash }
        });
        let records = logged.collect();
        let now = self.store.time_floor().await.unwrap();
        let seal = Seal {
            owner: [1; 16],
            now,
            until: now,
            segment: LogSegment {
                number: waiting.number + 1,
                first,
                link,
                records,
                head: vec![1],
            },
            through: waiting.through,
        };
        assert!(self.store.log_append(seal).await.unwrap());
    }

    async fn changes(&self) -> Changes {
        self.store.order_changes().await.unwrap().unwrap()
    }

    /// Queues what is told of a segment.
    async fn queue(&self, of: Changes) -> bool {
        let mut deliveries = Vec::new();
        for change in &of.changes {
            deliveries.extend(change.webhooks.iter().map(|webhook| NewDelivery {
                webhook: *webhook,
                event: change.event,
                what: change.what,
                body: change.order.to_bytes().to_vec(),
                at: change.at,
            }));
        }
        self.store.queue_deliveries(of, deliveries).await.unwrap()
    }

    /// Queues made-up events in a segment of their own.
    async fn made_up(&self, webhook: WebhookId, segment: u64, events: u32) {
        let event = |number: u32| {
            let mut id = [u8::try_from(segment).unwrap(); 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            NewDelivery {
                webhook,
                event: EventId(id),
                what: OrderEvent::Opened,
                body: vec![1],
                at: self.at(0),
            }
        };
        let of = Changes {
            segment,
            begun: Vec::new(),
            changes: Vec::new(),
        };
        let deliveries = (0..events).map(event).collect();
        assert!(self.store.queue_deliveries(of, deliveries).await.unwrap());
    }

    async fn due(&self, s: i64, limit: u32) -> Vec<Delivery> {
        let until = self.at(s + 100);
        let leased = self.store.lease_deliveries(self.at(s), until, limit);
        leased.await.unwrap()
    }

    async fn attempt(&self, of: &Delivery, attempt: Attempt) {
        let noted = self.store.attempted(of.webhook, of.event, attempt);
        noted.await.unwrap();
    }
}

fn told(changes: &Changes) -> Vec<(OrderEvent, RemittanceId)> {
    let pair = changes
        .changes
        .iter()
        .map(|change| (change.what, change.order));
    pair.collect()
}

/// An endpoint hears of what happens after it was added, of its holder's orders, and of each once.
pub async fn an_endpoint_hears_of_each_change_since_it_was_added_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    assert_eq!(world.store.order_changes().await, Ok(None));
    world.placed(&of, 1).await;
    world.sealed().await;
    world.placed(&of, 2).await;
    let webhook = world
        .listening(of.sender, "https://shop.example/hook")
        .await;
    let stranger = world
        .listening(of.recipient, "https://other.example/hook")
        .await;
    let [first, second] = [world.placed(&of, 3).await, world.placed(&of, 4).await];
    // nothing is told before it is sealed, and what was sealed before counts as told
    assert_eq!(world.store.order_changes().await, Ok(None));
    world.sealed().await;
    let found = world.changes().await;
    let opened = |order| (OrderEvent::Opened, order);
    assert_eq!(told(&found), [opened(first), opened(second)]);
    assert_eq!(found.changes[0].webhooks, [webhook]);
    assert_eq!(found.changes[0].amount.minor(), 3);
    assert_ne!(found.changes[0].event, found.changes[1].event);
    let begun: Vec<_> = found.begun.iter().map(|begun| begun.0).collect();
    assert_eq!(begun, [webhook, stranger]);
    // read again it is the same, and of two processes one queues it
    assert_eq!(world.changes().await, found);
    assert!(world.queue(found.clone()).await);
    assert!(!world.queue(found.clone()).await);
    assert_eq!(world.store.order_changes().await, Ok(None));
    let listed = world.store.webhook(webhook).await.unwrap().unwrap();
    assert_eq!((listed.queued, listed.dead), (2, 0));

    world.sent(of.card, first).await;
    let proof = world.proof(of.card).await;
    world.apply(Command::Settle(proof)).await.unwrap();
    let cancel = Command::Cancel {
        remittance: second,
        sender: of.sender,
        now: world.at(5),
    };
    world.apply(cancel).await.unwrap();
    let third = world.placed(&of, 5).await;
    world.sealed().await;
    let now = world.at(4_000);
    let expire = Command::Expire {
        remittance: third,
        now,
    };
    world.apply(expire).await.unwrap();
    world.sealed().await;
    let found = world.changes().await;
    let ended = [
        (OrderEvent::Credited, first),
        (OrderEvent::Cancelled, second),
        opened(third),
    ];
    assert_eq!(
        (told(&found).as_slice(), &found.begun),
        (ended.as_slice(), &vec![])
    );
    assert!(world.queue(found).await);
    let found = world.changes().await;
    assert_eq!(told(&found), [(OrderEvent::Expired, third)]);
    assert_eq!(found.changes[0].at, now);
    // removed since the segment was read
    world.store.remove_webhook(webhook, now).await.unwrap();
    assert!(world.queue(found).await);
    assert_eq!(world.due(5_000, 10).await, []);
    world.balanced().await;
}

/// What is leased is nobody else's until the lease is over; what is given up can be sent again.
pub async fn a_delivery_is_leased_to_one_and_given_up_until_it_is_sent_again(
    store: Arc<dyn Store>,
) {
    let world = World::new(store);
    let holder = world.holder(Currency::Jpy, 0).await;
    let webhook = world.listening(holder, "https://a.example").await;
    world.made_up(webhook, 1, 1).await;
    let first = world.due(0, 10).await;
    assert_eq!((first.len(), first[0].attempts), (1, 1));
    assert_eq!(first[0].url, "https://a.example");
    assert_eq!(world.due(99, 10).await, []);
    let second = world.due(100, 10).await;
    assert_eq!((second[0].event, second[0].attempts), (first[0].event, 2));
    let error = "x".repeat(201);
    let at = world.at(150);
    world
        .attempt(
            &second[0],
            Attempt::Retry {
                at,
                error: error.clone(),
            },
        )
        .await;
    assert_eq!(world.due(149, 10).await, []);
    let third = world.due(150, 10).await.remove(0);
    let letters = async || {
        let letters = world.store.dead_letters(webhook, None, 10).await;
        letters.unwrap()
    };
    assert_eq!(letters().await, []);
    let unknown = Err(AdminError::Unknown {
        what: "dead letter",
    });
    let again = async |event| world.store.send_again(webhook, event, world.at(300)).await;
    assert_eq!(again(third.event).await, unknown);
    world.attempt(&third, Attempt::Dead { error }).await;
    let dead = letters().await;
    assert_eq!((dead.len(), dead[0].attempts), (1, 3));
    assert_eq!(
        (dead[0].error.as_str(), dead[0].what.as_str()),
        (&*"x".repeat(200), "order.opened")
    );
    let after = world
        .store
        .dead_letters(webhook, Some(third.event), 10)
        .await;
    assert_eq!(after, Ok(vec![]));
    assert_eq!(world.due(1_000, 10).await, []);
    assert_eq!(again(EventId([9; 16])).await, unknown);
    assert_eq!(again(third.event).await, Ok(()));
    let fourth = world.due(300, 10).await.remove(0);
    assert_eq!((fourth.event, fourth.attempts), (third.event, 1));
    for _ in 0..2 {
        world.attempt(&fourth, Attempt::Delivered).await;
    }
    assert_eq!(world.due(10_000, 10).await, []);
    assert_eq!(letters().await, []);
}

/// An endpoint with much to take does not keep the others waiting.
pub async fn endpoints_take_turns(store: Arc<dyn Store>) {
    let world = World::new(store);
    let holder = world.holder(Currency::Jpy, 0).await;
    let busy = world.listening(holder, "https://busy.example").await;
    let quiet = world.listening(holder, "https://quiet.example").await;
    world.made_up(busy, 1, 3).await;
    world.made_up(quiet, 2, 1).await;
    let mut turns = Vec::new();
    for _ in 0..2 {
        turns.push(world.due(0, 1).await.remove(0));
    }
    let order: Vec<_> = turns.iter().map(|turn| turn.webhook).collect();
    assert_eq!(order, [busy, quiet]);
    // one that does not answer keeps one place, however much waits for it
    assert_eq!(world.due(0, 10).await, []);
    assert_eq!(world.due(99, 10).await, []);
    // one of each at a time, when it was given up too
    let second = world.due(100, 10).await;
    assert_eq!(second.len(), 2);
    assert_eq!(second[0].webhook, busy);
    assert_eq!(world.due(199, 10).await, []);
    // what waits for its next attempt is not on its way
    let (at, error) = (world.at(150), String::new());
    world
        .attempt(&second[0], Attempt::Retry { at, error })
        .await;
    let next = world.due(101, 10).await;
    assert_eq!((next.len(), next[0].webhook), (1, busy));
    assert_ne!(next[0].event, second[0].event);
    world.attempt(&next[0], Attempt::Delivered).await;
    let last = world.due(101, 10).await.remove(0);
    assert!(last.event != next[0].event && last.event != second[0].event);
}

/// Nothing more is queued for an endpoint that is gone, or that nobody listens at, until it is enabled.
pub async fn an_endpoint_is_disabled_when_it_is_gone_or_full_of_dead_letters(
    store: Arc<dyn Store>,
) {
    let world = World::new(store);
    let holder = world.holder(Currency::Jpy, 0).await;
    let webhook = world.listening(holder, "https://a.example").await;
    let row = async || world.store.webhook(webhook).await.unwrap().unwrap();
    world.made_up(webhook, 1, 3).await;
    let first = world.due(0, 1).await.remove(0);
    world.attempt(&first, Attempt::Gone).await;
    let gone = row().await;
    assert_eq!(
        (gone.disabled, gone.queued, gone.dead),
        (Some(Disabled::Gone), 0, 3)
    );
    world.made_up(webhook, 2, 1).await;
    assert_eq!(row().await.dead, 3);
    let refused = world
        .store
        .send_again(webhook, first.event, world.at(1))
        .await;
    assert_eq!(refused, Err(AdminError::Disabled));
    for _ in 0..2 {
        world
            .store
            .enable_webhook(webhook, world.at(1))
            .await
            .unwrap();
    }
    world
        .store
        .send_again(webhook, first.event, world.at(1))
        .await
        .unwrap();
    let again = world.due(1, 1).await.remove(0);
    world.attempt(&again, Attempt::Delivered).await;
    assert_eq!((row().await.disabled, row().await.dead), (None, 2));

    world.made_up(webhook, 3, DEAD_LETTERS_MAX).await;
    let error = || "\u{8a9e}".repeat(WEBHOOK_ERROR_CHARS_MAX + 1);
    for dead in 3..=DEAD_LETTERS_MAX {
        let next = world.due(1, 1).await.remove(0);
        assert_eq!(row().await.disabled, None, "{dead}");
        world.attempt(&next, Attempt::Dead { error: error() }).await;
    }
    let full = row().await;
    assert_eq!(full.disabled, Some(Disabled::DeadLetters));
    assert_eq!(
        (full.queued, full.dead),
        (0, u64::from(DEAD_LETTERS_MAX) + 2)
    );
    let page = world.store.dead_letters(webhook, None, 2).await.unwrap();
    assert_eq!(page.len(), 2);
    let all = world.store.dead_letters(webhook, None, 100).await.unwrap();
    let lengths = all.iter().map(|letter| letter.error.chars().count());
    assert_eq!(lengths.max(), Some(WEBHOOK_ERROR_CHARS_MAX));
    let next = world
        .store
        .dead_letters(webhook, Some(page[1].event), 1)
        .await;
    assert!(next.unwrap()[0].event > page[1].event);
}

/// An endpoint that never takes anything has only so much waiting for it.
pub async fn an_endpoint_has_so_many_events_and_no_more(store: Arc<dyn Store>) {
    let world = World::new(store);
    let holder = world.holder(Currency::Jpy, 0).await;
    let webhook = world.listening(holder, "https://a.example").await;
    let row = async || {
        let row = world.store.webhook(webhook).await.unwrap().unwrap();
        (row.disabled, row.queued, row.dead)
    };
    let most = u64::from(WEBHOOK_EVENTS_MAX);
    world.made_up(webhook, 1, WEBHOOK_EVENTS_MAX - 1).await;
    world.made_up(webhook, 2, 1).await;
    assert_eq!(row().await, (None, most, 0));
    world.made_up(webhook, 3, 1).await;
    let full = (Some(Disabled::DeadLetters), 0, most);
    assert_eq!(row().await, full);
    let enabled = world.store.enable_webhook(webhook, world.at(1)).await;
    assert_eq!(enabled, Ok(()));
    world.made_up(webhook, 4, 1).await;
    assert_eq!(row().await, full);
    world.balanced().await;
}

/// Addresses and numbers are bounded; each new secret leaves the one before for a while.
pub async fn webhooks_are_bounded_and_get_new_secrets(store: Arc<dyn Store>) {
    let world = World::new(store);
    let store = &world.store;
    let [holder, other] = [
        world.holder(Currency::Jpy, 0).await,
        world.holder(Currency::Jpy, 0).await,
    ];
    let longest = format!("https://{}", "a".repeat(WEBHOOK_URL_LEN_MAX - 8));
    let first = world.listening(holder, &longest).await;
    world.listening(other, &longest).await;
    let add = async |holder, url: &str| store.add_webhook(world.new_webhook(holder, url)).await;
    let what = "address of a webhook";
    assert_eq!(add(holder, &longest).await, Err(AdminError::Taken { what }));
    for bad in ["", "https://a b", "https://\u{e9}", &format!("{longest}a")] {
        assert_eq!(
            add(holder, bad).await,
            Err(AdminError::OutOfBounds { what }),
            "{bad}"
        );
    }
    let unknown = |what| Err(AdminError::Unknown { what });
    assert_eq!(add(world.holder_id(), "https://a").await, unknown("holder"));
    for number in 1..WEBHOOKS_MAX {
        assert_eq!(add(holder, &format!("https://a/{number}")).await, Ok(()));
    }
    let what = "number of webhooks";
    assert_eq!(
        add(holder, "https://a/8").await,
        Err(AdminError::OutOfBounds { what })
    );
    assert_eq!(
        store.webhooks(holder).await.unwrap().len(),
        WEBHOOKS_MAX as usize
    );
    let secrets = async || {
        let row = store.webhook(first).await.unwrap().unwrap();
        (row.secret, row.before_until)
    };
    assert_eq!(secrets().await, (0, None));
    store.next_secret(first, world.at(10)).await.unwrap();
    assert_eq!(secrets().await, (1, Some(world.at(10 + SECRET_OVERLAP_S))));
    store.remove_webhook(first, world.at(20)).await.unwrap();
    assert_eq!(store.webhook(first).await, Ok(None));
    let gone = [
        store.remove_webhook(first, world.at(20)).await,
        store.next_secret(first, world.at(20)).await,
        store.enable_webhook(first, world.at(20)).await,
    ];
    assert_eq!(
        gone,
        [unknown("webhook"), unknown("webhook"), unknown("webhook")]
    );
    assert_eq!(add(holder, "https://a/8").await, Ok(()));
    world.balanced().await;
}

/// A key makes one secret, however often it is asked with: until another is made it is told again, and
/// nothing of it after that. It stands for one endpoint of one holder.
pub async fn a_key_makes_one_secret_of_one_endpoint(store: Arc<dyn Store>) {
    let world = World::new(store);
    let store = &world.store;
    let [holder, other] = [
        world.holder(Currency::Jpy, 0).await,
        world.holder(Currency::Jpy, 0).await,
    ];
    let first = world.listening(holder, "https://a/1").await;
    let second = world.listening(holder, "https://a/2").await;
    let strangers = world.listening(other, "https://a/1").await;
    let asked = |holder, webhook, key: &str, s| SecretAsked {
        webhook,
        holder,
        key: IdempotencyKey::new(key).unwrap(),
        now: world.at(s),
    };
    let made = |secret, s| SecretOfKey::Counts {
        secret,
        before_until: world.at(s + SECRET_OVERLAP_S),
    };
    let counts = async |webhook| {
        let row = store.webhook(webhook).await.unwrap().unwrap();
        (row.secret, row.before_until)
    };
    let key = &"k".repeat(IDEMPOTENCY_KEY_LEN_MAX);
    let longest = asked(holder, first, key, 10);
    assert_eq!(store.secret_of_key(longest.clone()).await, Ok(None));
    for s in [10, 20] {
        let again = asked(holder, first, key, s);
        assert_eq!(store.secret_under_key(again).await, Ok(made(1, 10)), "{s}");
        let known = store.secret_of_key(longest.clone()).await;
        assert_eq!(known, Ok(Some(made(1, 10))));
    }
    let until = Some(world.at(10 + SECRET_OVERLAP_S));
    assert_eq!(counts(first).await, (1, until));
    // of the same holder it is this endpoint's; another holder's is another key
    let elsewhere = asked(holder, second, key, 30);
    let for_another = SecretOfKey::ForAnother;
    let known = store.secret_of_key(elsewhere.clone()).await;
    assert_eq!(known, Ok(Some(for_another)));
    assert_eq!(store.secret_under_key(elsewhere).await, Ok(for_another));
    assert_eq!(counts(second).await, (0, None));
    let strange = asked(other, strangers, key, 30);
    assert_eq!(store.secret_under_key(strange).await, Ok(made(1, 30)));
    // the same key twice at once is one secret, and another key makes another
    let [one, two] = ["one", "two"].map(|key| asked(holder, second, key, 40));
    let both = tokio::join!(
        store.secret_under_key(one.clone()),
        store.secret_under_key(one.clone())
    );
    assert_eq!(both, (Ok(made(1, 40)), Ok(made(1, 40))));
    assert_eq!(store.secret_under_key(two).await, Ok(made(2, 40)));
    let not_shown = SecretOfKey::NotShown;
    assert_eq!(store.secret_under_key(one).await, Ok(not_shown));
    // by whichever way the next one is made
    store.next_secret(first, world.at(50)).await.unwrap();
    assert_eq!(store.secret_under_key(longest.clone()).await, Ok(not_shown));
    let until = Some(world.at(50 + SECRET_OVERLAP_S));
    assert_eq!(counts(first).await, (2, until));
    store.remove_webhook(first, world.at(60)).await.unwrap();
    assert_eq!(store.secret_under_key(longest).await, Ok(not_shown));
    let gone = store
        .secret_under_key(asked(holder, first, "new", 60))
        .await;
    assert_eq!(gone, Err(AdminError::Unknown { what: "webhook" }));
    let unused = store.secret_of_key(asked(holder, first, "new", 60)).await;
    assert_eq!(unused, Ok(None));
    world.balanced().await;
}

/// The secret that a key made is told again for as long as the one before signs too, and makes no other
/// afterwards.
pub async fn a_secret_of_a_key_is_shown_for_a_day(store: Arc<dyn Store>) {
    let world = World::new(store);
    let store = &world.store;
    let holder = world.holder(Currency::Jpy, 0).await;
    let webhook = world.listening(holder, "https://a/1").await;
    let asked = |s| SecretAsked {
        webhook,
        holder,
        key: IdempotencyKey::new("once").unwrap(),
        now: world.at(s),
    };
    let shown = SecretOfKey::Counts {
        secret: 1,
        before_until: world.at(10 + SECRET_OVERLAP_S),
    };
    for (s, expected) in [
        (10, shown),
        (10 + SECRET_OVERLAP_S - 1, shown),
        (10 + SECRET_OVERLAP_S, SecretOfKey::NotShown),
    ] {
        let told = store.secret_under_key(asked(s)).await;
        assert_eq!(told, Ok(expected), "{s}");
        let known = store.secret_of_key(asked(s)).await;
        assert_eq!(known, Ok(Some(expected)), "{s}");
    }
    let row = store.webhook(webhook).await.unwrap().unwrap();
    assert_eq!(row.secret, 1);
}
