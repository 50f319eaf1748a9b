//! Lost cards: what they held becomes payable, and reaches another card of their holder.

use std::sync::Arc;

use ledger::{
    Account, CardStatus, CaseKind, Command, NumberRef, Outcome, Payment, PlaceOrder, Proven,
    Refusal, Resolution, ReturnReason, Settlement, Status,
};
use money::Currency;

use super::{Funded, World};
use crate::traits::Store;

const WINDOW_S: u32 = 1_000;

impl World {
    pub(super) async fn lost(&self, of: &Funded) {
        let now = self.at(100);
        let set = self.store.set_settle_window(WINDOW_S, None, now).await;
        assert_eq!(set, Ok(()));
        let since = now;
        let report = |now| Command::ReportLost { card: of.card, now };
        for now in [now, self.at(500)] {
            let lost = self.apply(report(now)).await;
            assert_eq!(lost, Ok(Outcome::CardLost { since }));
        }
    }

    pub(super) async fn pay_out(&self, of: &Funded, now: i64) -> Result<Outcome, Refusal> {
        let pay_out = Command::PayOut {
            card: of.card,
            now: self.at(now),
        };
        let foretold = self.store.payout(of.card, self.at(now)).await;
        let paid = self.apply(pay_out).await;
        let moved = paid.as_ref().map(|done| match done {
            Outcome::PaidOut { minor, .. } => *minor,
            other => panic!("a payout was answered by {other:?}"),
        });
        assert_eq!(foretold, Ok(moved.map_err(|refusal| *refusal)));
        paid
    }

    pub(super) async fn with_value(&self, of: &Funded, minor: i64) {
        let id = self.placed(of, minor).await;
        self.sent(of.card, id).await;
        let proof = self.proof(of.card).await;
        assert!(self.apply(Command::Settle(proof)).await.is_ok());
    }

    async fn owed(&self, of: &Funded) -> i64 {
        self.minor(Account::Payable(of.recipient)).await
    }

    fn payable_order(&self, of: &Funded, number: NumberRef, minor: i64) -> PlaceOrder {
        PlaceOrder {
            payment: Payment::Payable,
            expires: self.at(9_999),
            ..self.order(of.recipient, number, minor)
        }
    }
}

/// At the instant the window ends, all of it, and only the first time.
pub async fn a_lost_card_is_paid_out_after_its_window_and_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    world.with_value(&of, 700).await;
    world.lost(&of).await;
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!(
        (card.status, card.lost),
        (CardStatus::Blocked, Some(world.at(100)))
    );
    let order = world.order(of.sender, of.number, 10);
    assert_eq!(world.place(&order).await, Err(Refusal::CardBlocked));
    assert_eq!(world.pay_out(&of, 1_099).await, Err(Refusal::TooEarly));
    assert_eq!(world.store.payables(None, 10).await, Ok(vec![]));
    for minor in [700, 0] {
        let (total, paid) = (700, world.pay_out(&of, 1_100).await);
        assert_eq!(paid, Ok(Outcome::PaidOut { minor, total }));
        assert_eq!(world.owed(&of).await, 700);
        assert_eq!(world.minor(Account::Card(of.card)).await, 0);
        world.balanced().await;
    }
    let owed = world.store.payables(None, 10).await.unwrap();
    assert_eq!((owed.len(), owed[0].holder), (1, of.recipient));
    assert_eq!(owed[0].balance.minor(), 700);
    assert_eq!(
        world.store.payables(Some(of.recipient), 10).await,
        Ok(vec![])
    );
}

/// Each line has every fault below it as well.
pub async fn a_payout_is_refused_in_order_of_precedence(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let nothing = Command::PayOut {
        card: world.card_id(),
        now: world.at(0),
    };
    assert_eq!(world.apply(nothing).await, Err(Refusal::CardUnknown));
    let nothing = Command::ReportLost {
        card: world.card_id(),
        now: world.at(0),
    };
    assert_eq!(world.apply(nothing).await, Err(Refusal::CardUnknown));
    let id = world.placed(&of, 1_000).await;
    world.sent(of.card, id).await;
    let freeze = Some(Settlement::Freeze { evidence: vec![1] });
    let frozen = world.decide(of.card, freeze, None, world.at(3)).await;
    assert!(frozen.is_ok());
    assert_eq!(world.pay_out(&of, 0).await, Err(Refusal::CaseOpen));
    let set = world.store.set_settle_window(WINDOW_S, None, world.at(0));
    assert_eq!(set.await, Ok(()));
    let approval = world.approval().await;
    let resolved = world.resolve(1, Resolution::Block, approval.clone()).await;
    assert!(resolved.is_ok());
    assert_eq!(world.pay_out(&of, 0).await, Err(Refusal::CardNotLost));
    world.lost(&of).await;
    assert_eq!(world.pay_out(&of, 0).await, Err(Refusal::InDoubt));
    assert!(world.close(id, approval).await.is_ok());
    assert_eq!(world.pay_out(&of, 0).await, Err(Refusal::TooEarly));
    // what is held waits for a proof; the card itself held nothing
    let (minor, total) = (0, 0);
    let paid = world.pay_out(&of, 1_100).await;
    assert_eq!(paid, Ok(Outcome::PaidOut { minor, total }));
    world.holds(&of, id, [10_000, 1_000, 0]).await;
}

/// The sender was paid from the issuer's loss; the card had it, so its holder is owed it.
pub async fn a_late_proof_of_a_lost_card_is_paid_out_too(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    world.with_value(&of, 700).await;
    let id = world.placed(&of, 1_000).await;
    world.sent(of.card, id).await;
    let proof = world.proof(of.card).await;
    world.lost(&of).await;
    let approval = world.approval().await;
    assert!(world.close(id, approval).await.is_ok());
    assert!(world.pay_out(&of, 1_100).await.is_ok());
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    assert_eq!(world.minor(Account::Card(of.card)).await, 1_000);
    world.balanced().await;
    for minor in [1_000, 0] {
        let (total, paid) = (1_700, world.pay_out(&of, 1_200).await);
        assert_eq!(paid, Ok(Outcome::PaidOut { minor, total }));
    }
    assert_eq!(world.owed(&of).await, 1_700);
    assert_eq!(world.minor(Account::Loss(Currency::Jpy)).await, -1_000);
    world.balanced().await;
}

/// By an order like any other; if nobody picks it up, it is owed again.
pub async fn what_is_payable_goes_to_an_own_card_and_returns_there(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    world.with_value(&of, 700).await;
    world.lost(&of).await;
    let (second, number) = world.card(of.recipient, Currency::Jpy, 5_000).await;
    let (_, foreign) = world.card(of.sender, Currency::Jpy, 5_000).await;
    let early = world.payable_order(&of, number, 700);
    assert_eq!(world.place(&early).await, Err(Refusal::HolderUnknown));
    assert!(world.pay_out(&of, 1_100).await.is_ok());
    for (number, minor, expected) in [
        (foreign, 701, Refusal::WrongCard),
        (number, 701, Refusal::InsufficientFunds),
    ] {
        let order = world.payable_order(&of, number, minor);
        assert_eq!(world.place(&order).await, Err(expected));
    }
    let own = world.order(of.recipient, number, 10);
    assert_eq!(world.place(&own).await, Err(Refusal::SelfRemittance));
    let order = world.payable_order(&of, number, 700);
    let id = order.remittance;
    assert_eq!(
        world.place(&order).await,
        Ok(Outcome::Placed { remittance: id })
    );
    assert_eq!(world.owed(&of).await, 0);
    world.balanced().await;
    let cancel = Command::Cancel {
        remittance: id,
        sender: of.recipient,
        now: world.at(1_200),
    };
    let (at, reason) = (world.at(1_200), ReturnReason::Cancelled);
    let returned = Status::Returned { at, reason };
    assert_eq!(
        world.apply(cancel).await,
        Ok(Outcome::CancelNoted(returned))
    );
    assert_eq!(world.owed(&of).await, 700);
    assert_eq!(world.minor(Account::Holder(of.recipient)).await, 0);
    world.balanced().await;
    let order = world.payable_order(&of, number, 700);
    assert!(world.place(&order).await.is_ok());
    world.sent(second, order.remittance).await;
    let proof = world.proof(second).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    assert_eq!(world.owed(&of).await, 0);
    assert_eq!(world.minor(Account::Card(second)).await, 700);
    world.balanced().await;
}

/// Its value was paid out, so it is refused and named; two persons close the case, never adopt it.
pub async fn a_paid_out_card_that_comes_back_is_a_case(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    world.with_value(&of, 700).await;
    world.lost(&of).await;
    assert!(world.pay_out(&of, 1_100).await.is_ok());
    for _ in 0..3 {
        let freeze = Some(Settlement::Freeze { evidence: vec![1] });
        let seen = world.decide(of.card, freeze, None, world.at(1_200)).await;
        assert!(seen.is_ok());
    }
    let cases = world.store.cases(0, 10).await.unwrap();
    assert_eq!((cases.len(), cases[0].kind), (1, CaseKind::OldCardSeen));
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!(card.status, CardStatus::Blocked);
    let approval = world.approval().await;
    let truth = world.truth(Proven::default(), &[]);
    let adopted = world.resolve(1, truth, approval.clone()).await;
    assert_eq!(adopted, Err(Refusal::CardPaidOut));
    let closed = world.resolve(1, Resolution::Block, approval).await;
    assert!(closed.is_ok());
    world.balanced().await;
}
