//! Orders until they are picked up: placing, keys, cancel, expiry, lists.

use std::sync::Arc;

use ledger::{
    Account, AccountRef, Command, ContentHash, Decide, IDEMPOTENCY_KEY_LEN_MAX, IdempotencyKey,
    MailStatus, Outcome, PlaceOrder, Refusal, ReturnReason, Settle, Settlement, Status, rules,
};
use money::{Amount, Currency};

use super::{Funded, World};
use crate::traits::Store;

/// Everything of an order is there after the one transaction, and can be read back.
pub async fn an_order_moves_funds_to_escrow_with_its_program_and_mail(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let order = world.order(of.sender, of.number, 2_500);
    let id = order.remittance;
    assert_eq!(
        world.place(&order).await,
        Ok(Outcome::Placed { remittance: id })
    );
    world.holds(&of, id, [7_500, 2_500, 0]).await;
    let found = world.store.remittance(id).await.unwrap().unwrap();
    assert_eq!(found.status, Status::Open);
    assert_eq!(
        (found.sender, found.card, found.amount),
        (of.sender, of.card, order.amount)
    );
    assert_eq!(
        (found.created, found.expires),
        (world.at(0), world.at(3_600))
    );
    assert_eq!(
        (&found.sender_name, &found.note),
        (&order.sender_name, &order.note)
    );
    assert_eq!(found.card_masked, "**** **** **** 1234");
    assert_eq!(
        (found.order_bytes.clone(), found.signature),
        (order.order_bytes, [8; 64])
    );
    assert_eq!(
        (found.program_key, found.template_hash),
        ([9; 32], [10; 32])
    );
    assert_eq!((found.revision, found.receipt.clone()), (0, None));
    assert_eq!(found.mail, MailStatus::Queued);
    let by_claim = world.store.remittance_by_claim(order.claim).await.unwrap();
    assert_eq!(by_claim.as_ref(), Some(&found));
    let standing = world.store.standing(id).await.unwrap().unwrap();
    assert_eq!((standing.remittance, standing.in_flight), (found, None));
    assert_eq!(
        (standing.card.id, standing.time_floor),
        (of.card, world.at(0))
    );
    assert_eq!(world.store.standing(world.remittance_id()).await, Ok(None));
}

/// Each line has every fault below it as well, as far as they can occur together.
pub async fn an_order_is_refused_in_order_of_precedence(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let first = world.placed(&of, 100).await;
    let bare = world.new_holder(Currency::Jpy, None);
    let bare_id = bare.id;
    world.store.add_holder(bare).await.unwrap();
    let (_, without_address) = world.card(bare_id, Currency::Jpy, 5_000).await;
    let own = world.card(of.sender, Currency::Usd, 5_000).await.1;
    let dollar = world.card(of.recipient, Currency::Usd, 5_000).await.1;
    let issuing = world.new_card(of.sender, Currency::Usd, 5_000);
    let (issuing_number, unknown) = (
        issuing.number_ref,
        world.new_card(of.sender, Currency::Jpy, 1),
    );
    world.store.begin_issue(issuing).await.unwrap();
    let (blocked, blocked_number) = world.card(of.sender, Currency::Usd, 5_000).await;
    let block = Command::BlockCard {
        card: blocked,
        now: world.at(0),
    };
    assert_eq!(world.apply(block).await, Ok(Outcome::CardBlocked));
    let (frozen, frozen_number) = world.card(of.sender, Currency::Usd, 5_000).await;
    let evidence = Some(Settlement::Freeze { evidence: vec![1] });
    world
        .decide(frozen, evidence, None, world.at(0))
        .await
        .unwrap();
    let bad = |card, change: fn(&mut PlaceOrder)| {
        let mut order = world.order(of.sender, card, 10_000);
        order.expires = world.at(0);
        change(&mut order);
        order
    };
    let nothing = |_: &mut PlaceOrder| {};
    let mut taken = bad(unknown.number_ref, nothing);
    taken.remittance = first;
    taken.sender = world.holder_id();
    let mut stranger = bad(unknown.number_ref, nothing);
    stranger.sender = world.holder_id();
    let in_time = |order: &mut PlaceOrder| order.expires = order.expires.plus_s(1);
    let mut poor = bad(of.number, in_time);
    poor.sender = world.holder(Currency::Jpy, 99).await;
    poor.amount = Amount::new(100, Currency::Jpy).unwrap();
    for (order, expected) in [
        (taken, Refusal::RemittanceTaken),
        (stranger, Refusal::HolderUnknown),
        (bad(unknown.number_ref, nothing), Refusal::CardUnknown),
        (bad(issuing_number, nothing), Refusal::CardIssuing),
        (bad(blocked_number, nothing), Refusal::CardBlocked),
        (bad(frozen_number, nothing), Refusal::CardFrozen),
        (bad(own, nothing), Refusal::SelfRemittance),
        (
            bad(without_address, nothing),
            Refusal::RecipientWithoutAddress,
        ),
        (bad(dollar, nothing), Refusal::CurrencyMismatch),
        (bad(of.number, nothing), Refusal::Expired),
        (bad(of.number, in_time), Refusal::AmountOverLimit),
        (poor, Refusal::InsufficientFunds),
    ] {
        assert_eq!(world.place(&order).await, Err(expected));
        // the answer stays, although nothing stands against a new order with this key any more
        let mut again = order.clone();
        again.remittance = world.remittance_id();
        assert_eq!(world.place(&again).await, Err(expected));
    }
    world.holds(&of, first, [9_900, 100, 0]).await;
}

/// The card's limit and the issuer's both count, each to the last unit.
pub async fn an_order_up_to_the_limit_is_accepted_and_not_past_it(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let over = world.order(of.sender, of.number, 5_001);
    assert_eq!(world.place(&over).await, Err(Refusal::AmountOverLimit));
    for (limit, fits) in [(1_000, true), (999, false)] {
        let mut order = world.order(of.sender, of.number, 1_000);
        order.amount_max = limit;
        assert_eq!(world.place(&order).await.is_ok(), fits);
    }
    let most = world.placed(&of, 5_000).await;
    world.holds(&of, most, [4_000, 5_000, 0]).await;
    let rest = world.placed(&of, 4_000).await;
    world.holds(&of, rest, [0, 4_000, 0]).await;
}

/// Acceptances and refusals alike; another content under the key is a conflict.
pub async fn an_idempotency_key_gets_its_first_answer_for_ever(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let order = world.order(of.sender, of.number, 4_000);
    let placed = Ok(Outcome::Placed {
        remittance: order.remittance,
    });
    assert_eq!(world.place(&order).await, placed);
    let again = PlaceOrder {
        scope: order.scope.clone(),
        content: order.content,
        ..world.order(of.sender, of.number, 4_000)
    };
    assert_eq!(world.place(&again).await, placed);
    let other = PlaceOrder {
        content: ContentHash([0xEE; 32]),
        ..again.clone()
    };
    assert_eq!(world.place(&other).await, Err(Refusal::IdempotencyConflict));
    assert_eq!(world.place(&again).await, placed);
    world.holds(&of, order.remittance, [6_000, 4_000, 0]).await;
    let poor = world.holder(Currency::Jpy, 0).await;
    let refused = world.order(poor, of.number, 10);
    assert_eq!(world.place(&refused).await, Err(Refusal::InsufficientFunds));
    let to = AccountRef::Holder(poor);
    let funding = world.transfer(AccountRef::Float, to, 10, Currency::Jpy);
    world.apply(funding).await.unwrap();
    assert_eq!(world.place(&refused).await, Err(Refusal::InsufficientFunds));
    assert_eq!(world.minor(Account::Holder(poor)).await, 10);
    assert!(world.place(&world.order(poor, of.number, 10)).await.is_ok());
    world.balanced().await;
}

/// A double click that lands in one commit places one order.
pub async fn equal_keys_in_one_batch_collapse(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let order = world.order(of.sender, of.number, 2_500);
    let twin = PlaceOrder {
        scope: order.scope.clone(),
        content: order.content,
        ..world.order(of.sender, of.number, 2_500)
    };
    let other = PlaceOrder {
        content: ContentHash([0xEE; 32]),
        ..twin.clone()
    };
    let batch = [order.clone(), twin, other, order.clone()]
        .map(Box::new)
        .map(Command::PlaceOrder);
    let answers = world.store.apply(batch.into()).await.unwrap();
    let placed = Ok(Outcome::Placed {
        remittance: order.remittance,
    });
    let conflict = Err(Refusal::IdempotencyConflict);
    assert_eq!(answers, [placed.clone(), placed.clone(), conflict, placed]);
    world.holds(&of, order.remittance, [7_500, 2_500, 0]).await;
    let page = world.store.orders(of.sender, None, 10).await.unwrap();
    assert_eq!(page.items.len(), 1);
}

/// Two people may choose the same key; the longest key is a key.
pub async fn a_key_belongs_to_its_principal(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let second = world.holder(Currency::Jpy, 1_000).await;
    let key = IdempotencyKey::new(&"k".repeat(IDEMPOTENCY_KEY_LEN_MAX)).unwrap();
    for sender in [of.sender, second] {
        let mut order = world.order(sender, of.number, 10);
        order.scope.key = key.clone();
        let remittance = order.remittance;
        assert_eq!(
            world.place(&order).await,
            Ok(Outcome::Placed { remittance })
        );
    }
}

/// Another key does not make the id free again.
pub async fn a_remittance_id_is_used_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let first = world.placed(&of, 10).await;
    let order = PlaceOrder {
        remittance: first,
        ..world.order(of.sender, of.number, 10)
    };
    assert_eq!(world.place(&order).await, Err(Refusal::RemittanceTaken));
    world.holds(&of, first, [9_990, 10, 0]).await;
}

/// Each limit is reached exactly, then exceeded by one; what is refused so leaves no answer.
pub async fn parts_of_a_command_beyond_their_limit_are_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let most = PlaceOrder {
        sender_name: "\u{540d}".repeat(rules::SENDER_NAME_CHARS_MAX),
        note: "\u{6ce8}".repeat(rules::NOTE_CHARS_MAX),
        order_bytes: vec![0; rules::ORDER_LEN_MAX],
        mail: ledger::NewMail {
            message_id: "m".repeat(rules::MESSAGE_ID_LEN_MAX),
            ..world.order(of.sender, of.number, 1).mail
        },
        ..world.order(of.sender, of.number, 1)
    };
    let past: [fn(&mut PlaceOrder); 7] = [
        |order| order.sender_name.push('x'),
        |order| order.sender_name.clear(),
        |order| order.note.push('x'),
        |order| order.order_bytes.push(0),
        |order| order.mail.message_id.push('x'),
        |order| order.mail.message_id.truncate(2),
        |order| order.amount_max = 0,
    ];
    for change in past {
        let mut order = most.clone();
        change(&mut order);
        assert_eq!(world.place(&order).await, Err(Refusal::OutOfBounds));
    }
    assert!(world.place(&most).await.is_ok());
}

/// A session, a batch, a receipt and evidence fit their columns, and no more.
pub async fn parts_of_a_session_beyond_their_limit_are_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let remittance = world.placed(&of, 1).await;
    let long = |length: usize| vec![0; length + 1];
    let settle = Settle {
        remittance,
        card: of.card,
        seq: 1,
        value_after: 1,
        receipt: long(ledger::RECEIPT_LEN_MAX),
        now: world.at(0),
    };
    assert_eq!(
        world.apply(Command::Settle(settle)).await,
        Err(Refusal::OutOfBounds)
    );
    let step = world
        .step(of.card, None, Some(remittance), world.at(0))
        .await;
    let commit = step.commit.clone().unwrap();
    let session = ledger::CommitSend {
        session: long(ledger::SESSION_LEN_MAX),
        ..commit.clone()
    };
    let batch = ledger::CommitSend {
        batch: long(ledger::BATCH_LEN_MAX),
        ..commit
    };
    let evidence = Settlement::Freeze {
        evidence: long(ledger::EVIDENCE_LEN_MAX),
    };
    for bad in [
        Decide {
            commit: Some(session),
            ..step.clone()
        },
        Decide {
            commit: Some(batch),
            ..step.clone()
        },
        Decide {
            settle: Some(evidence),
            ..step
        },
    ] {
        assert_eq!(world.run(bad).await, Err(Refusal::OutOfBounds));
    }
    let mut most = world
        .step(of.card, None, Some(remittance), world.at(0))
        .await;
    most.commit = most.commit.map(|commit| ledger::CommitSend {
        session: vec![1; ledger::SESSION_LEN_MAX],
        batch: vec![2; ledger::BATCH_LEN_MAX],
        ..commit
    });
    assert!(world.run(most).await.is_ok());
    let mut proof = world.proof(of.card).await;
    proof.receipt = vec![3; ledger::RECEIPT_LEN_MAX];
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
}

async fn cancel(world: &World, of: &Funded, id: ledger::RemittanceId) -> Result<Outcome, Refusal> {
    world
        .apply(Command::Cancel {
            remittance: id,
            sender: of.sender,
            now: world.at(5),
        })
        .await
}

/// Only its sender may, and only until it is picked up.
pub async fn a_cancelled_order_returns_to_its_sender_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 2_500).await;
    let foreign = Command::Cancel {
        remittance: id,
        sender: of.recipient,
        now: world.at(5),
    };
    assert_eq!(world.apply(foreign).await, Err(Refusal::RemittanceUnknown));
    let unknown = cancel(&world, &of, world.remittance_id()).await;
    assert_eq!(unknown, Err(Refusal::RemittanceUnknown));
    let back = Status::Returned {
        at: world.at(5),
        reason: ReturnReason::Cancelled,
    };
    for _ in 0..2 {
        assert_eq!(
            cancel(&world, &of, id).await,
            Ok(Outcome::CancelNoted(back))
        );
        world.holds(&of, id, [10_000, 0, 0]).await;
    }
    let expire = Command::Expire {
        remittance: id,
        now: world.at(9_999),
    };
    assert_eq!(world.apply(expire).await, Err(Refusal::Cancelled));
    assert_eq!(world.status(id).await, back);
}

/// Not a microsecond earlier, and however often it is asked for.
pub async fn an_order_expires_at_its_instant_and_returns_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 2_500).await;
    let due = world.at(3_600);
    let early = ledger::Timestamp::from_micros(due.micros() - 1);
    let expire = |now| Command::Expire {
        remittance: id,
        now,
    };
    assert_eq!(world.store.expirable(early, 10).await, Ok(vec![]));
    assert_eq!(world.apply(expire(early)).await, Err(Refusal::NotExpired));
    assert_eq!(world.store.expirable(due, 10).await, Ok(vec![id]));
    let back = Status::Returned {
        at: due,
        reason: ReturnReason::Expired,
    };
    for _ in 0..2 {
        assert_eq!(world.apply(expire(due)).await, Ok(Outcome::Expired(back)));
        world.holds(&of, id, [10_000, 0, 0]).await;
    }
    assert_eq!(world.store.expirable(due, 10).await, Ok(vec![]));
    assert_eq!(cancel(&world, &of, id).await, Err(Refusal::Expired));
    let unknown = Command::Expire {
        remittance: world.remittance_id(),
        now: due,
    };
    assert_eq!(world.apply(unknown).await, Err(Refusal::RemittanceUnknown));
}

/// A sender sees all of his orders and nobody else's.
pub async fn orders_are_listed_newest_first_in_pages(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let mut placed = Vec::new();
    for minor in [1, 2, 3, 4, 5] {
        placed.push(world.placed(&of, minor).await);
    }
    placed.reverse();
    let (mut seen, mut before) = (Vec::new(), None);
    for expected in [2, 2, 1] {
        let page = world.store.orders(of.sender, before, 2).await.unwrap();
        assert_eq!(page.items.len(), expected);
        seen.extend(page.items.iter().map(|order| order.id));
        before = page.next;
    }
    assert_eq!((seen, before), (placed, None));
    assert!(
        world
            .store
            .orders(of.recipient, None, 10)
            .await
            .unwrap()
            .items
            .is_empty()
    );
}
