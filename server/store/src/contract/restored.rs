//! A restored backup beside what else has its own course: a bank that was asked, a lost card.

use std::sync::Arc;

use ledger::{
    Account, BankAnswer, CommitOutcome, Outcome, Refusal, RemittanceId, ReturnReason, Status,
};
use money::Currency;

use super::{Funded, World};
use crate::traits::Store;

const WAITS: Status = Status::Recovering {
    cancel_asked: false,
};

impl World {
    /// An order that the bank has paid.
    async fn paid(&self, of: &Funded, minor: i64) -> RemittanceId {
        let id = self.ordered(of, minor).await;
        self.ask(id, 1).await.unwrap();
        let confirmed = self.bank_says(id, BankAnswer::Confirmed, 2).await;
        assert_eq!(confirmed, Ok(Outcome::Funding(Status::Open)));
        id
    }
}

/// The bank may have its money back since the backup: nothing of it is sent or paid before it has
/// answered, and what is not on the card goes back.
pub async fn what_a_bank_paid_is_never_open_again_after_a_restore(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.banked().await;
    let id = world.paid(&of, 1_000).await;
    world.restored().await;
    assert_eq!(world.status(id).await, WAITS);
    let approval = world.approval().await;
    let rows = world.store.in_doubt(None, 10).await.unwrap();
    assert!(
        rows.iter()
            .any(|row| row.escrow.remittance == id && row.bank_asked)
    );
    let early = world.close(id, approval).await;
    assert_eq!(early, Err(Refusal::Recovering));
    world.read(&of, &[]).await.unwrap();
    let reason = ReturnReason::Cancelled;
    assert_eq!(world.status(id).await, Status::Refunding { reason });
    let refunded = world.bank_says(id, BankAnswer::Refunded, 60).await;
    assert!(refunded.is_ok());
    assert_eq!(world.minor(Account::Bank(Currency::Jpy)).await, 0);
    world.holds(&of, id, [10_000, 0, 0]).await;
}

/// Each restore asks, also about what waits since the one before; then two persons may close it.
pub async fn a_second_restore_asks_the_bank_again(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.banked().await;
    let id = world.paid(&of, 1_000).await;
    world.restored().await;
    for life in [None, Some([0x5A; 16])] {
        if let Some(life) = life {
            let begun = world.store.begin_incarnation(life, world.at(20)).await;
            assert!(begun.is_ok());
        }
        let tasks = world.bank_tasks(20).await;
        assert_eq!(tasks.len(), 1);
        assert_eq!((tasks[0].remittance, tasks[0].attempts), (id, 1));
        let confirmed = world.bank_says(id, BankAnswer::Confirmed, 20).await;
        assert_eq!(confirmed, Ok(Outcome::Funding(WAITS)));
        assert_eq!(world.bank_tasks(9_000).await, []);
    }
    let approval = world.approval().await;
    assert!(world.close(id, approval).await.is_ok());
    world.balanced().await;
}

/// The row of the backup goes with the remittance that the bank has back.
pub async fn what_the_bank_has_back_is_not_in_flight_any_more(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.banked().await;
    let id = world.paid(&of, 1_000).await;
    world.sent(of.card, id).await;
    world.restored().await;
    let refunded = world.bank_says(id, BankAnswer::Refunded, 20).await;
    assert!(refunded.is_ok());
    assert_eq!(world.store.in_flight(of.card).await, Ok(None));
    world.holds(&of, id, [10_000, 0, 0]).await;
}

/// The card was read while nobody knew whether the bank had paid: it is read once more.
pub async fn what_turns_out_to_be_funded_after_the_first_reading_needs_another(
    store: Arc<dyn Store>,
) {
    let world = World::new(store);
    let of = world.banked().await;
    let id = world.ordered(&of, 1_000).await;
    world.restored().await;
    world.read(&of, &[]).await.unwrap();
    let session = world.step(of.card, None, None, world.at(21)).await;
    let confirmed = world.bank_says(id, BankAnswer::Confirmed, 21).await;
    assert_eq!(confirmed, Ok(Outcome::Funding(WAITS)));
    world.balanced().await;
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert!(card.reread);
    assert_eq!(world.run(session).await, Err(Refusal::Stale));
    world.read(&of, &[id]).await.unwrap();
    world.holds(&of, id, [10_000, 0, 1_000]).await;
}

/// What its account holds is what the backup knew; and terminals have the whole window again.
pub async fn a_lost_card_is_not_paid_out_before_what_a_restore_forgot_is_known(
    store: Arc<dyn Store>,
) {
    let world = World::new(store);
    let of = world.funded().await;
    world.with_value(&of, 700).await;
    world.lost(&of).await;
    let late = world.at(9_000);
    let begun = world.store.begin_incarnation([0xA5; 16], late).await;
    assert!(begun.is_ok());
    assert_eq!(world.pay_out(&of, 20_000).await, Err(Refusal::Recovering));
    let read = world.first_reading(of.card, &[]).await;
    let read = world.decide(of.card, Some(read), None, late).await.unwrap();
    assert_eq!(read.commit, CommitOutcome::NotAsked);
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!(card.lost, Some(late));
    let (minor, total) = (700, 700);
    let paid = world.pay_out(&of, 20_000).await;
    assert_eq!(paid, Ok(Outcome::PaidOut { minor, total }));
    world.balanced().await;
}
