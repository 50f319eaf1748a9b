//! Bearer tokens: what opens, for how long, and how many.

use std::sync::Arc;

use ledger::{HolderId, MailId, Scope, Scopes, TokenHash, TokenId};
use money::Currency;

use super::World;
use crate::error::AdminError;
use crate::token::{NewToken, TOKEN_LABEL_CHARS_MAX, TOKENS_MAX};
use crate::traits::Store;

fn new_token(world: &World, holder: HolderId, hash: u8) -> NewToken {
    NewToken {
        id: TokenId::from_bytes(world.remittance_id().to_bytes()).unwrap(),
        holder,
        label: "till".to_owned(),
        hash: TokenHash([hash; 32]),
        scopes: Scopes::of(&[Scope::OrdersRead]).unwrap(),
        expires: None,
        now: world.at(0),
    }
}

/// A token opens what it names until it is over or taken back; the others go on.
pub async fn a_token_opens_its_scopes_until_it_ends(store: Arc<dyn Store>) {
    let world = World::new(store);
    let store = &world.store;
    let begun = world.new_holder(Currency::Jpy, None);
    let (holder, first) = (begun.id, begun.token.unwrap());
    store.add_holder(begun).await.unwrap();
    let ends = NewToken {
        expires: Some(world.at(10)),
        ..new_token(&world, holder, 7)
    };
    let stays = NewToken {
        scopes: Scopes::of(&[Scope::OrdersWrite, Scope::WebhooksManage]).unwrap(),
        ..new_token(&world, holder, 8)
    };
    for token in [&ends, &stays, &ends] {
        store.add_token(token.clone()).await.unwrap();
    }
    let opened = async |hash, s| store.bearer(hash, world.at(s)).await.unwrap();
    let found = opened(first, 0).await.unwrap();
    assert_eq!((found.holder.id, found.scopes), (holder, Scopes::FULL));
    assert_eq!(found.token.to_bytes(), holder.to_bytes());
    let found = opened(stays.hash, 0).await.unwrap();
    assert_eq!((found.token, found.scopes), (stays.id, stays.scopes));
    assert_eq!(found.used_day, None);
    assert_eq!(opened(TokenHash([9; 32]), 0).await, None);
    // to the microsecond, and by the ledger's time too, which a clock set back does not move
    let last = ledger::Timestamp::from_micros(world.at(10).micros() - 1);
    assert!(store.bearer(ends.hash, last).await.unwrap().is_some());
    assert_eq!(opened(ends.hash, 10).await, None);
    world
        .store
        .add_holder(crate::NewHolder {
            now: world.at(10),
            ..world.new_holder(Currency::Jpy, None)
        })
        .await
        .unwrap();
    assert_eq!(opened(ends.hash, 0).await, None);
    // the latest day stays
    for day in [20_454, 20_455, 20_453] {
        store.token_used(stays.id, day).await.unwrap();
    }
    for _ in 0..2 {
        let revoked = store.revoke_token(holder, stays.id, world.at(11)).await;
        assert_eq!(revoked, Ok(()));
    }
    assert_eq!(opened(stays.hash, 0).await, None);
    assert!(opened(first, 0).await.is_some());
    let listed = store.tokens(holder).await.unwrap();
    let of = |id| listed.iter().find(|row| row.id == id).unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(of(ends.id).expires, Some(world.at(10)));
    assert_eq!(of(stays.id).revoked, Some(world.at(11)));
    assert_eq!(of(stays.id).used_day, Some(20_455));
    assert_eq!(
        (of(stays.id).label.as_str(), of(stays.id).created),
        ("till", world.at(0))
    );
    let whole = of(TokenId::from_bytes(holder.to_bytes()).unwrap());
    assert_eq!(
        (whole.scopes, whole.label.as_str()),
        (Scopes::FULL, "first")
    );
    // the first one is a token like the others
    store
        .revoke_token(holder, whole.id, world.at(12))
        .await
        .unwrap();
    assert_eq!(opened(first, 0).await, None);
}

/// Labels and numbers are bounded; a token is of one holder, and so is the right to take it back.
pub async fn tokens_are_bounded_and_of_one_holder(store: Arc<dyn Store>) {
    let world = World::new(store);
    let store = &world.store;
    let [holder, other] = [
        world.holder(Currency::Jpy, 0).await,
        world.holder(Currency::Jpy, 0).await,
    ];
    let longest = "\u{540d}".repeat(TOKEN_LABEL_CHARS_MAX);
    let mut hash = 10;
    let mut next = |label: &str| {
        hash += 1;
        NewToken {
            label: label.to_owned(),
            ..new_token(&world, holder, hash)
        }
    };
    let first = next(&longest);
    store.add_token(first.clone()).await.unwrap();
    for bad in ["", "a\nb", &format!("{longest}x")] {
        let answer = store.add_token(next(bad)).await;
        let what = "label of a token";
        assert_eq!(answer, Err(AdminError::OutOfBounds { what }), "{bad}");
    }
    let stolen = NewToken {
        hash: first.hash,
        ..new_token(&world, other, 0)
    };
    let taken = Err(AdminError::Taken { what: "token" });
    assert_eq!(store.add_token(stolen).await, taken);
    let nobody = new_token(&world, world.holder_id(), 0);
    let unknown = |what| Err(AdminError::Unknown { what });
    assert_eq!(store.add_token(nobody).await, unknown("holder"));
    let foreign = store.revoke_token(other, first.id, world.at(1)).await;
    assert_eq!(foreign, unknown("token"));
    // one more is the one that the holder began with
    for _ in 2..TOKENS_MAX {
        store.add_token(next("x")).await.unwrap();
    }
    let what = "number of tokens";
    let full = Err(AdminError::OutOfBounds { what });
    assert_eq!(store.add_token(next("x")).await, full);
    store
        .revoke_token(holder, first.id, world.at(1))
        .await
        .unwrap();
    store.add_token(next("x")).await.unwrap();
    assert_eq!(store.add_token(next("x")).await, full);
    let mail = MailId::new(0, [0; 10]);
    let unheard = TokenId::from_bytes(mail.to_bytes()).unwrap();
    store.token_used(unheard, 1).await.unwrap();
}
