//! What stands beside the money: holders, cards being issued, templates, the outbox.

use std::sync::Arc;

use ledger::{CARD_VALUE_MAX, CardStatus, Command, Language, MailStatus, Proven, Uid};
use money::Currency;

use super::World;
use crate::error::AdminError;
use crate::record::{NewCard, NewHolder, TEMPLATE_LEN_MAX};
use crate::traits::Store;

/// Ids and tokens are unique; names and addresses are bounded.
pub async fn holders_are_found_by_id_and_token(store: Arc<dyn Store>) {
    let world = World::new(store);
    let longest = NewHolder {
        name: "\u{540d}".repeat(64),
        email: Some(format!("a@{}", "b".repeat(252))),
        ..world.new_holder(Currency::Kwd, None)
    };
    world.store.add_holder(longest.clone()).await.unwrap();
    let found = world.store.holder(longest.id).await.unwrap().unwrap();
    assert_eq!((&found.name, &found.email), (&longest.name, &longest.email));
    assert_eq!(
        (found.language, found.balance.to_string()),
        (Language::Ja, "KWD 0.000".to_owned())
    );
    let token = longest.token.unwrap();
    let bearer = world.store.bearer(token, world.at(0)).await.unwrap();
    assert_eq!(bearer.map(|bearer| bearer.holder), Some(found));
    assert_eq!(world.store.holder(world.holder_id()).await, Ok(None));
    world.store.set_email(longest.id, None).await.unwrap();
    let unknown = world.store.set_email(world.holder_id(), None).await;
    assert_eq!(unknown, Err(AdminError::Unknown { what: "holder" }));
    let second = world.holder(Currency::Jpy, 5).await;
    let all = world.store.holders(None, 10).await.unwrap();
    assert_eq!(
        all.iter().map(|holder| holder.id).collect::<Vec<_>>(),
        [longest.id, second]
    );
    assert_eq!(all[0].email, None);
    assert_eq!(
        world
            .store
            .holders(Some(longest.id), 10)
            .await
            .unwrap()
            .len(),
        1
    );
}

/// Two holders never share an id or a token, and texts fit where they are shown.
pub async fn a_holder_has_own_ids_and_bounded_texts(store: Arc<dyn Store>) {
    let world = World::new(store);
    let first = world.new_holder(Currency::Jpy, None);
    world.store.add_holder(first.clone()).await.unwrap();
    let fresh = || world.new_holder(Currency::Jpy, None);
    for (bad, what) in [
        (
            NewHolder {
                id: first.id,
                ..fresh()
            },
            "holder id",
        ),
        (
            NewHolder {
                token: first.token,
                ..fresh()
            },
            "holder token",
        ),
    ] {
        assert_eq!(
            world.store.add_holder(bad).await,
            Err(AdminError::Taken { what })
        );
    }
    for (name, email, what) in [
        ("", None, "name"),
        ("line\nbreak", None, "name"),
        (&"x".repeat(65), None, "name"),
        ("x", Some("a@"), "mail address"),
        ("x", Some("nowhere"), "mail address"),
        ("x", Some("a@b\r\nBcc: c@d"), "mail address"),
        (
            "x",
            Some(&*format!("a@{}", "b".repeat(253))),
            "mail address",
        ),
    ] {
        let bad = NewHolder {
            name: name.to_owned(),
            email: email.map(str::to_owned),
            ..fresh()
        };
        assert_eq!(
            world.store.add_holder(bad).await,
            Err(AdminError::OutOfBounds { what })
        );
    }
    let all = world.store.holders(None, 10).await.unwrap();
    assert_eq!((all.len(), all[0].id), (1, first.id));
}

/// The row is there before the first command to the chip, and an interrupted issue goes on.
pub async fn a_card_is_issued_in_two_steps_and_can_resume(store: Arc<dyn Store>) {
    let world = World::new(store);
    let holder = world.holder(Currency::Jpy, 0).await;
    let card = world.new_card(holder, Currency::Jpy, CARD_VALUE_MAX);
    let unknown = world.store.finish_issue(card.id, world.at(0)).await;
    assert_eq!(unknown, Err(AdminError::Unknown { what: "card" }));
    for _ in 0..2 {
        world.store.begin_issue(card.clone()).await.unwrap();
    }
    let found = world.store.card(card.id).await.unwrap().unwrap();
    assert_eq!(
        (found.status, found.proven, found.epoch),
        (CardStatus::Issuing, Proven::default(), 0)
    );
    for _ in 0..2 {
        world
            .store
            .finish_issue(card.id, world.at(1))
            .await
            .unwrap();
    }
    let found = world
        .store
        .card_by_number(card.number_ref)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.id, found.status), (card.id, CardStatus::Active));
    assert_eq!(
        world.store.card_by_uid(card.uid).await.unwrap(),
        Some(found)
    );
    assert_eq!(world.store.card_by_uid(Uid([9; 7])).await, Ok(None));
    assert_eq!(
        world.store.begin_issue(card.clone()).await,
        Err(AdminError::WrongStatus)
    );
    let block = Command::BlockCard {
        card: card.id,
        now: world.at(2),
    };
    world.apply(block).await.unwrap();
    let blocked = world.store.finish_issue(card.id, world.at(3)).await;
    assert_eq!(blocked, Err(AdminError::WrongStatus));
    assert_eq!(world.store.cards(None, 10).await.unwrap().len(), 1);
    assert!(
        world
            .store
            .cards(Some(card.id), 10)
            .await
            .unwrap()
            .is_empty()
    );
    world.balanced().await;
}

/// A refused issue leaves neither a card nor an account behind.
pub async fn a_card_has_its_own_number_and_chip(store: Arc<dyn Store>) {
    let world = World::new(store);
    let holder = world.holder(Currency::Jpy, 0).await;
    let card = world.new_card(holder, Currency::Jpy, CARD_VALUE_MAX);
    world.store.begin_issue(card.clone()).await.unwrap();
    let fresh = || world.new_card(holder, Currency::Jpy, 1);
    let what = "card number or chip";
    for (bad, expected) in [
        (
            NewCard {
                id: card.id,
                ..fresh()
            },
            AdminError::Taken { what: "card id" },
        ),
        (
            NewCard {
                number_ref: card.number_ref,
                ..fresh()
            },
            AdminError::Taken { what },
        ),
        (
            NewCard {
                uid: card.uid,
                ..fresh()
            },
            AdminError::Taken { what },
        ),
        (
            NewCard {
                holder: world.holder_id(),
                ..fresh()
            },
            AdminError::Unknown { what: "holder" },
        ),
        (
            NewCard {
                value_max: 0,
                ..fresh()
            },
            AdminError::OutOfBounds { what: "card limit" },
        ),
        (
            NewCard {
                value_max: CARD_VALUE_MAX + 1,
                ..fresh()
            },
            AdminError::OutOfBounds { what: "card limit" },
        ),
        (
            NewCard {
                masked: "4539 1488 0343 6467 ".to_owned(),
                ..fresh()
            },
            AdminError::OutOfBounds {
                what: "masked number",
            },
        ),
    ] {
        assert_eq!(world.store.begin_issue(bad).await, Err(expected));
    }
    assert_eq!(world.store.cards(None, 10).await.unwrap().len(), 1);
    world.balanced().await;
}

/// Programs are rebuilt from it for years.
pub async fn a_template_is_kept_as_it_was(store: Arc<dyn Store>) {
    let world = World::new(store);
    let bytes = vec![3; TEMPLATE_LEN_MAX];
    for _ in 0..2 {
        world
            .store
            .put_template([1; 32], bytes.clone())
            .await
            .unwrap();
    }
    assert_eq!(world.store.template([1; 32]).await, Ok(Some(bytes.clone())));
    assert_eq!(world.store.template([2; 32]).await, Ok(None));
    let other = world.store.put_template([1; 32], vec![4]).await;
    assert_eq!(
        other,
        Err(AdminError::Taken {
            what: "template hash"
        })
    );
    for bad in [Vec::new(), [bytes, vec![3]].concat()] {
        let refused = world.store.put_template([2; 32], bad).await;
        assert_eq!(refused, Err(AdminError::OutOfBounds { what: "template" }));
    }
}

/// A lease that runs out frees the mail; a failed attempt waits for its time.
pub async fn a_mail_is_leased_to_one_and_retried_with_its_message_id(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let order = world.order(of.sender, of.number, 10);
    let id = order.remittance;
    world.place(&order).await.unwrap();
    let lease = async |now, until| {
        let now = world.at(now);
        world
            .store
            .lease_mail(now, world.at(until), 10)
            .await
            .unwrap()
    };
    let mails = lease(0, 60).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(
        (mails[0].id, mails[0].remittance, mails[0].attempts),
        (order.mail.id, id, 1)
    );
    assert_eq!(
        (mails[0].to.as_str(), mails[0].language),
        ("hana@example.org", Language::Ja)
    );
    assert_eq!(mails[0].message_id, order.mail.message_id);
    assert_eq!(lease(59, 120).await, []);
    let again = lease(60, 120).await;
    assert_eq!(
        (again[0].attempts, &again[0].message_id),
        (2, &order.mail.message_id)
    );
    let refused = "451 try later ".repeat(100);
    world
        .store
        .mail_failed(order.mail.id, Some(world.at(600)), refused)
        .await
        .unwrap();
    assert_eq!(lease(599, 700).await, []);
    assert_eq!(lease(600, 700).await[0].attempts, 3);
    let mail = async || world.store.remittance(id).await.unwrap().unwrap().mail;
    assert_eq!(mail().await, MailStatus::Queued);
    world
        .store
        .mail_failed(order.mail.id, None, "550 no such user".to_owned())
        .await
        .unwrap();
    assert_eq!(mail().await, MailStatus::Failed);
    assert_eq!(lease(9_999, 10_000).await, []);
    world.store.mail_sent(order.mail.id).await.unwrap();
    world
        .store
        .mail_failed(order.mail.id, Some(world.at(0)), "late".to_owned())
        .await
        .unwrap();
    assert_eq!(mail().await, MailStatus::Sent);
    assert_eq!(lease(9_999, 10_000).await, []);
    world.holds(&of, id, [9_990, 10, 0]).await;
}
