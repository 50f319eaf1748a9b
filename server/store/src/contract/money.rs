//! Transfers, time and batches.

use std::sync::Arc;

use ledger::{Account, AccountRef, BALANCE_MINOR_MAX, Command, Outcome, Refusal};
use money::{Amount, Currency};

use super::World;
use crate::error::StoreError;
use crate::traits::{COMMANDS_MAX, Store};

/// Value appears for a holder exactly as it leaves the float.
pub async fn funding_moves_value_from_the_float_to_a_holder(store: Arc<dyn Store>) {
    let world = World::new(store);
    let yen = world.holder(Currency::Jpy, 10_000).await;
    let dinar = world.holder(Currency::Kwd, 1_005).await;
    assert_eq!(world.minor(Account::Holder(yen)).await, 10_000);
    assert_eq!(world.minor(Account::Holder(dinar)).await, 1_005);
    assert_eq!(world.minor(Account::Float(Currency::Jpy)).await, -10_000);
    assert_eq!(world.minor(Account::Float(Currency::Kwd)).await, -1_005);
    assert_eq!(world.minor(Account::Float(Currency::Usd)).await, 0);
    let report = world.store.audit().await.unwrap();
    assert!(report.is_balanced(), "{report:#?}");
    let held: Vec<_> = report
        .totals
        .iter()
        .map(|t| (t.currency, t.holders, t.float))
        .collect();
    assert_eq!(
        held,
        [
            (Currency::Jpy, 10_000, -10_000),
            (Currency::Kwd, 1_005, -1_005)
        ]
    );
}

/// The id decides: same content, same answer; other content, conflict; one posting in any case.
pub async fn a_repeated_transfer_changes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store);
    let (from, to) = (
        AccountRef::Float,
        AccountRef::Holder(world.holder(Currency::Jpy, 0).await),
    );
    let first = world.transfer(from, to, 500, Currency::Jpy);
    let Command::Transfer { id, now, .. } = first else {
        panic!("not a transfer")
    };
    let later = now.plus_s(60);
    let amount = Amount::new(500, Currency::Jpy).unwrap();
    let again = Command::Transfer {
        id,
        from,
        to,
        amount,
        now: later,
    };
    let amount = Amount::new(501, Currency::Jpy).unwrap();
    let other = Command::Transfer {
        id,
        from,
        to,
        amount,
        now,
    };
    let swapped = Command::Transfer {
        id,
        from: to,
        to: from,
        amount,
        now,
    };
    let answers = world
        .store
        .apply(vec![first, again.clone(), other, swapped, again])
        .await;
    let (done, conflict) = (Ok(Outcome::Transferred), Err(Refusal::TransferConflict));
    assert_eq!(
        answers,
        Ok(vec![
            done.clone(),
            done.clone(),
            conflict.clone(),
            conflict,
            done
        ])
    );
    assert_eq!(world.minor(Account::Float(Currency::Jpy)).await, -500);
    assert_eq!(world.store.transfer(id).await.unwrap().unwrap().at, now);
    world.balanced().await;
}

/// What was posted stays the answer when the account that gave could not give again.
pub async fn a_transfer_repeated_from_an_empty_account_is_not_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    let from = AccountRef::Holder(world.holder(Currency::Jpy, 100).await);
    let to = AccountRef::Holder(world.holder(Currency::Jpy, 0).await);
    let whole = world.transfer(from, to, 100, Currency::Jpy);
    for _ in 0..2 {
        assert_eq!(world.apply(whole.clone()).await, Ok(Outcome::Transferred));
    }
    let Command::Transfer { id, now, .. } = whole else {
        panic!("not a transfer")
    };
    let amount = Amount::new(99, Currency::Jpy).unwrap();
    let other = Command::Transfer {
        id,
        from,
        to,
        amount,
        now,
    };
    assert_eq!(world.apply(other).await, Err(Refusal::TransferConflict));
    world.balanced().await;
}

/// Each line has every fault below it as well.
pub async fn a_transfer_is_refused_in_order_of_precedence(store: Arc<dyn Store>) {
    let world = World::new(store);
    let yen = AccountRef::Holder(world.holder(Currency::Jpy, 100).await);
    let dollar = AccountRef::Holder(world.holder(Currency::Usd, 100).await);
    let poor = AccountRef::Holder(world.holder(Currency::Jpy, 0).await);
    let nobody = AccountRef::Holder(world.holder_id());
    for (from, to, currency, expected) in [
        (nobody, nobody, Currency::Usd, Refusal::HolderUnknown),
        (yen, nobody, Currency::Usd, Refusal::HolderUnknown),
        (yen, yen, Currency::Usd, Refusal::SelfRemittance),
        (
            AccountRef::Float,
            AccountRef::Float,
            Currency::Jpy,
            Refusal::SelfRemittance,
        ),
        (yen, dollar, Currency::Jpy, Refusal::CurrencyMismatch),
        (
            AccountRef::Float,
            yen,
            Currency::Usd,
            Refusal::CurrencyMismatch,
        ),
        (poor, yen, Currency::Jpy, Refusal::InsufficientFunds),
        (yen, poor, Currency::Jpy, Refusal::InsufficientFunds),
    ] {
        let command = world.transfer(from, to, 101, currency);
        assert_eq!(
            world.apply(command.clone()).await,
            Err(expected),
            "{command:?}"
        );
    }
    let whole = world.transfer(yen, poor, 100, Currency::Jpy);
    assert_eq!(world.apply(whole).await, Ok(Outcome::Transferred));
    let back = world.transfer(poor, AccountRef::Float, 100, Currency::Jpy);
    assert_eq!(world.apply(back).await, Ok(Outcome::Transferred));
    world.balanced().await;
}

/// The limit itself is allowed, one more is not.
pub async fn an_account_is_funded_up_to_its_limit_and_not_past_it(store: Arc<dyn Store>) {
    let world = World::new(store);
    let rich = AccountRef::Holder(world.holder(Currency::Jpy, BALANCE_MINOR_MAX).await);
    for amount in [1, i64::MAX] {
        let more = world.transfer(AccountRef::Float, rich, amount, Currency::Jpy);
        assert_eq!(world.apply(more).await, Err(Refusal::BalanceOverLimit));
    }
    world.balanced().await;
}

/// A clock that was set back does not reach the books.
pub async fn time_never_runs_backwards(store: Arc<dyn Store>) {
    let world = World::new(store);
    let holder = AccountRef::Holder(world.holder(Currency::Jpy, 0).await);
    let (high, low) = (world.at(500), world.at(100));
    let amount = Amount::new(1, Currency::Jpy).unwrap();
    let ids = [world.transfer_id(), world.transfer_id()];
    for (id, now) in ids.into_iter().zip([high, low]) {
        let command = Command::Transfer {
            id,
            from: AccountRef::Float,
            to: holder,
            amount,
            now,
        };
        assert_eq!(world.apply(command).await, Ok(Outcome::Transferred));
    }
    for id in ids {
        assert_eq!(world.store.transfer(id).await.unwrap().unwrap().at, high);
    }
    assert_eq!(world.store.time_floor().await, Ok(high));
}

/// Exactly as many as one commit takes are accepted.
pub async fn a_call_of_too_many_commands_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    let holder = AccountRef::Holder(world.holder(Currency::Jpy, 0).await);
    let command = |_| world.transfer(AccountRef::Float, holder, 1, Currency::Jpy);
    let most: Vec<_> = (0..COMMANDS_MAX).map(command).collect();
    let mut more = most.clone();
    more.push(world.transfer(AccountRef::Float, holder, 1, Currency::Jpy));
    assert_eq!(
        world.store.apply(more).await,
        Err(StoreError::TooManyCommands)
    );
    assert_eq!(world.minor(Account::Float(Currency::Jpy)).await, 0);
    assert_eq!(world.store.apply(most).await.unwrap().len(), COMMANDS_MAX);
    assert_eq!(world.store.apply(Vec::new()).await, Ok(Vec::new()));
    assert_eq!(world.minor(Account::Float(Currency::Jpy)).await, -1_000);
}

/// Callers that all debit one account are served until it is empty, and not once more.
pub async fn a_hot_account_serves_a_whole_batch(store: Arc<dyn Store>) {
    let world = World::new(store);
    let hot = AccountRef::Holder(world.holder(Currency::Jpy, 150).await);
    let to = AccountRef::Holder(world.holder(Currency::Jpy, 0).await);
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let command = world.transfer(hot, to, 1, Currency::Jpy);
            let store = Arc::clone(&world.store);
            tokio::spawn(async move { store.apply(vec![command]).await.unwrap().remove(0) })
        })
        .collect();
    let (mut done, mut refused) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(Outcome::Transferred) => done += 1,
            Err(Refusal::InsufficientFunds) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((done, refused), (150, 50));
    world.balanced().await;
}
