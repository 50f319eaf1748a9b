//! Card accounts kept one by one, or as one pool: the figures are the same, the accounts are not.

use std::sync::Arc;

use ledger::{Account, CardAccounts, CardStatus, CaseKind, Command};
use money::Currency;

use super::{Funded, World};
use crate::error::AdminError;
use crate::traits::Store;

impl World {
    /// Orders and credits.
    async fn redeemed(&self, of: &Funded, minor: i64) {
        let id = self.placed(of, minor).await;
        self.sent(of.card, id).await;
        let proof = self.proof(of.card).await;
        assert!(self.apply(Command::Settle(proof)).await.is_ok());
    }

    async fn pool(&self) -> i64 {
        self.minor(Account::Pool(Currency::Jpy)).await
    }

    async fn pooled(&self) -> bool {
        self.store.card_accounts().await.unwrap() == CardAccounts::Pooled
    }
}

/// The pool is the sum of its sub-records at every step.
pub async fn the_pool_holds_what_its_cards_hold_and_is_empty_without_it(store: Arc<dyn Store>) {
    let world = World::new(store);
    let (one, two) = (world.funded().await, world.funded().await);
    let mut sum = 0;
    for (of, minor) in [(&one, 1_000), (&two, 300), (&one, 20)] {
        world.redeemed(of, minor).await;
        sum += minor;
        let expected = if world.pooled().await { sum } else { 0 };
        assert_eq!(world.pool().await, expected);
        world.balanced().await;
    }
    assert_eq!(world.minor(Account::Card(one.card)).await, 1_020);
    assert_eq!(world.minor(Account::Card(two.card)).await, 300);
    assert_eq!(world.minor(Account::Pool(Currency::Usd)).await, 0);
}

/// There and back: what the cards hold moves to the pool and out of it, and is credited to either.
pub async fn card_accounts_are_switched_only_while_nothing_is_open(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    world.redeemed(&of, 1_000).await;
    let begin = world.store.card_accounts().await.unwrap();
    let other = match begin {
        CardAccounts::Individual => CardAccounts::Pooled,
        CardAccounts::Pooled => CardAccounts::Individual,
    };
    let open = world.placed(&of, 200).await;
    let refused = world.store.set_card_accounts(other, world.at(5)).await;
    assert_eq!(
        refused,
        Err(AdminError::OpenRemittances { ids: vec![open] })
    );
    assert_eq!(world.store.card_accounts().await, Ok(begin));
    // what is set already stays, whatever is open
    assert_eq!(
        world.store.set_card_accounts(begin, world.at(5)).await,
        Ok(())
    );
    world.sent(of.card, open).await;
    let proof = world.proof(of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    let mut sum = 1_200;
    for to in [other, begin, other, begin] {
        for _ in 0..2 {
            let switched = world.store.set_card_accounts(to, world.at(6)).await;
            assert_eq!(switched, Ok(()));
        }
        let expected = if world.pooled().await { sum } else { 0 };
        assert_eq!(world.pool().await, expected);
        world.balanced().await;
        world.redeemed(&of, 10).await;
        sum += 10;
        assert_eq!(world.minor(Account::Card(of.card)).await, sum);
        let expected = if world.pooled().await { sum } else { 0 };
        assert_eq!(world.pool().await, expected);
        world.balanced().await;
    }
}

/// Two persons may have closed it for good, and what has no escrow is on its way to no card.
pub async fn what_is_held_or_not_in_escrow_does_not_stop_a_switch(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.banked().await;
    let begin = world.store.card_accounts().await.unwrap();
    let other = match begin {
        CardAccounts::Individual => CardAccounts::Pooled,
        CardAccounts::Pooled => CardAccounts::Individual,
    };
    world.redeemed(&of, 100).await;
    let (held, ordered) = (world.placed(&of, 1_000).await, world.ordered(&of, 30).await);
    world.sent(of.card, held).await;
    let blocked = world.store.set_card_accounts(other, world.at(5)).await;
    assert_eq!(
        blocked,
        Err(AdminError::OpenRemittances { ids: vec![held] })
    );
    let proof = world.proof(of.card).await;
    let approval = world.approval().await;
    assert!(world.close(held, approval).await.is_ok());
    assert!(world.ask(ordered, 51).await.is_ok());
    let switched = world.store.set_card_accounts(other, world.at(60)).await;
    assert_eq!(switched, Ok(()));
    world.balanced().await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    assert_eq!(world.minor(Account::Card(of.card)).await, 1_100);
    world.balanced().await;
}

/// One case, one card; a blocked one stays blocked.
pub async fn a_card_whose_books_disagree_is_frozen_alone(store: Arc<dyn Store>) {
    let world = World::new(store);
    let (one, two) = (world.funded().await, world.funded().await);
    let found = vec![7; ledger::EVIDENCE_LEN_MAX];
    for _ in 0..2 {
        let frozen = world
            .store
            .freeze_card(one.card, found.clone(), world.at(5));
        assert_eq!(frozen.await, Ok(()));
    }
    let first = world.store.card(one.card).await.unwrap().unwrap();
    let second = world.store.card(two.card).await.unwrap().unwrap();
    assert_eq!(
        (first.status, second.status),
        (CardStatus::Frozen, CardStatus::Active)
    );
    let cases = world.store.cases(0, 10).await.unwrap();
    assert_eq!(cases.len(), 1);
    assert_eq!((cases[0].card, &cases[0].evidence), (one.card, &found));
    assert_eq!(cases[0].kind, CaseKind::BooksDisagree);
    let (card, now) = (two.card, world.at(6));
    assert!(world.apply(Command::BlockCard { card, now }).await.is_ok());
    let kept = world.store.freeze_card(two.card, vec![1], now).await;
    assert_eq!(kept, Ok(()));
    let second = world.store.card(two.card).await.unwrap().unwrap();
    assert_eq!(second.status, CardStatus::Blocked);
    let unknown = world.store.freeze_card(world.card_id(), vec![1], now).await;
    assert_eq!(unknown, Err(AdminError::Unknown { what: "card" }));
    for bad in [vec![], vec![0; ledger::EVIDENCE_LEN_MAX + 1]] {
        let refused = world.store.freeze_card(two.card, bad, now).await;
        assert_eq!(refused, Err(AdminError::OutOfBounds { what: "finding" }));
    }
    world.balanced().await;
}
