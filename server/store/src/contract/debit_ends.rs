//! How debits end that no session ends in the ordinary way: two persons, restored backups, cases.

use std::sync::Arc;

use ledger::{
    Account, CardStatus, Command, Outcome, Proven, Refusal, RemittanceId, ReturnReason, Settlement,
    Status, UnfundedReason,
};

use super::{Carded, Funded, Pair, World};
use crate::traits::Store;

const WAITS: Status = Status::Recovering {
    cancel_asked: false,
};
const FORGOTTEN: Status = Status::FundingUnknown {
    cancel_asked: false,
    recovering: true,
};

impl Carded {
    /// The sender as the holder of a lost card.
    const fn as_lost(&self) -> Funded {
        Funded {
            card: self.own,
            number: self.own_number,
            recipient: self.of.sender,
            ..self.of
        }
    }
}

impl World {
    /// A debit of `500` in doubt, on a card with `2_000` that is lost since; two persons have closed it.
    async fn closed_debit(&self, of: &Carded) -> (Pair, ledger::Settle) {
        let pair = self.card_placed(of, 500).await;
        self.sent(of.own, pair.debit).await;
        let proof = self.proof(of.own).await;
        self.lost(&of.as_lost()).await;
        let paid = self.pay_out(&of.as_lost(), 1_100).await;
        assert_eq!(paid, Err(Refusal::InDoubt));
        let approval = self.approval().await;
        let named = self.close(pair.order, approval.clone()).await;
        assert_eq!(named, Err(Refusal::NotInFlight), "the debit is in doubt");
        let (at, reason) = (self.at(1_100), UnfundedReason::Refused);
        for _ in 0..2 {
            let closed = self.close(pair.debit, approval.clone()).await;
            assert_eq!(closed, Ok(Outcome::Closed(Status::Held { at })));
            let ended = Status::Unfunded { at, reason };
            self.stand(pair, [ended, Status::Held { at }]).await;
            // nobody is paid: what it may have taken is in the card account
            assert_eq!(self.five(of, pair).await, [10_000, 2_000, 0, 0, 0]);
        }
        (pair, proof)
    }

    async fn told(&self, of: &Carded, credited: &[RemittanceId]) -> Settlement {
        self.first_reading(of.own, credited).await
    }
}

/// All of the account is paid out, with what the debit may have taken; a proof after that moves nothing.
pub async fn a_debit_that_two_persons_closed_is_paid_out_with_its_card(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let (pair, proof) = world.closed_debit(&of).await;
    let (minor, total) = (2_000, 2_000);
    let paid = world.pay_out(&of.as_lost(), 1_100).await;
    assert_eq!(paid, Ok(Outcome::PaidOut { minor, total }));
    assert_eq!(world.five(&of, pair).await, [10_000, 0, 2_000, 0, 0]);
    world.balanced().await;
    for _ in 0..2 {
        let settled = world.apply(Command::Settle(proof.clone())).await;
        assert!(
            matches!(settled, Ok(Outcome::Settled { .. })),
            "{settled:?}"
        );
        assert!(matches!(
            world.status(pair.debit).await,
            Status::Credited { .. }
        ));
        assert_eq!(world.five(&of, pair).await, [10_000, 0, 2_000, 0, 0]);
        world.balanced().await;
    }
    let (minor, total) = (0, 2_000);
    let paid = world.pay_out(&of.as_lost(), 1_200).await;
    assert_eq!(paid, Ok(Outcome::PaidOut { minor, total }));
}

/// Before the payout: what it took is owed at once, and the payout has the rest.
pub async fn a_closed_debit_that_is_proven_late_is_owed_to_its_holder(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let (pair, proof) = world.closed_debit(&of).await;
    for _ in 0..2 {
        let settled = world.apply(Command::Settle(proof.clone())).await;
        assert!(
            matches!(settled, Ok(Outcome::Settled { .. })),
            "{settled:?}"
        );
        assert_eq!(world.five(&of, pair).await, [10_000, 1_500, 500, 0, 0]);
        world.balanced().await;
    }
    let (minor, total) = (1_500, 1_500);
    let paid = world.pay_out(&of.as_lost(), 1_100).await;
    assert_eq!(paid, Ok(Outcome::PaidOut { minor, total }));
    assert_eq!(world.five(&of, pair).await, [10_000, 0, 2_000, 0, 0]);
    world.balanced().await;
}

/// Found again and read: it was never taken, and stays on the card.
pub async fn a_closed_debit_that_its_card_denies_ends(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let (pair, _) = world.closed_debit(&of).await;
    let absent = Some(Settlement::Absent);
    let step = world.decide(of.own, absent, None, world.at(1_200)).await;
    let at = world.at(1_200);
    let reason = ReturnReason::Closed;
    let closed = Status::Returned { at, reason };
    assert_eq!(step.unwrap().settled, Some(closed));
    let (at, reason) = (world.at(1_100), UnfundedReason::Refused);
    let ended = Status::Unfunded { at, reason };
    world.stand(pair, [ended, closed]).await;
    assert_eq!(world.five(&of, pair).await, [10_000, 2_000, 0, 0, 0]);
}

/// Its log shows the debit: the order is funded, and waits for its own card's word in turn.
pub async fn a_card_that_paid_since_the_backup_is_believed(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let (pair, other) = (
        world.card_placed(&of, 500).await,
        world.card_placed(&of, 40).await,
    );
    world.sent(of.own, pair.debit).await;
    world.restored().await;
    world.stand(pair, [FORGOTTEN, WAITS]).await;
    world.stand(other, [FORGOTTEN, WAITS]).await;
    // whoever reads the recipient's card must know that the order may be on it
    let standing = world.store.standing(pair.order).await.unwrap().unwrap();
    let mut named: Vec<_> = standing.recovering.iter().map(|r| r.id).collect();
    named.sort();
    assert_eq!(named, [pair.order, other.order]);
    let cancel = world.take(&of, other.order, 15).await;
    let asked = Status::FundingUnknown {
        cancel_asked: true,
        recovering: true,
    };
    assert_eq!(cancel, Ok(Outcome::CancelNoted(asked)));
    let settle = Some(world.told(&of, &[pair.debit]).await);
    let step = world.decide(of.own, settle, None, world.at(20)).await;
    assert!(step.is_ok(), "{step:?}");
    let at = world.at(20);
    world.stand(pair, [WAITS, Status::Credited { at }]).await;
    assert_eq!(world.five(&of, pair).await, [10_000, 1_500, 0, 500, 0]);
    let reason = UnfundedReason::Cancelled;
    let ended = Status::Unfunded { at, reason };
    let reason = ReturnReason::Cancelled;
    let returned = Status::Returned { at, reason };
    world.stand(other, [ended, returned]).await;
    // the recipient's card was not asked before it was known that there is something to ask for
    let settle = Some(world.first_reading(of.of.card, &[]).await);
    let step = world.decide(of.of.card, settle, None, world.at(30)).await;
    assert!(step.is_ok(), "{step:?}");
    world
        .stand(pair, [Status::Open, Status::Credited { at }])
        .await;
}

/// Not there: order and debit are as they were, and the program pays still.
pub async fn a_card_that_did_not_pay_since_the_backup_can_pay_still(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let pair = world.card_placed(&of, 500).await;
    world.restored().await;
    let settle = Some(world.told(&of, &[]).await);
    let step = world.decide(of.own, settle, None, world.at(20)).await;
    assert!(step.is_ok(), "{step:?}");
    world.stand(pair, [Status::Ordered, Status::Open]).await;
    world.sent(of.own, pair.debit).await;
    world.pays(&of, 30).await;
    let done = Status::Credited { at: world.at(30) };
    world.stand(pair, [Status::Open, done]).await;
}

/// What the card had got since the backup is forgotten too, so its account may be too small for now.
pub async fn a_receipt_of_a_debit_waits_for_what_the_card_had_then(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let pair = world.card_placed(&of, 2_000).await;
    let small = world.card_placed(&of, 500).await;
    world.restored().await;
    let show = |remittance| Command::ShowReceipt {
        remittance,
        receipt: b"a receipt of ours".to_vec(),
        now: world.at(12),
    };
    let shown = world.apply(show(small.debit)).await;
    assert!(matches!(shown, Ok(Outcome::Settled { .. })), "{shown:?}");
    let at = world.at(12);
    world.stand(small, [WAITS, Status::Credited { at }]).await;
    assert_eq!(world.five(&of, small).await, [10_000, 1_500, 0, 500, 0]);
    let shown = world.apply(show(pair.debit)).await;
    assert_eq!(shown, Err(Refusal::Recovering));
    world.stand(pair, [FORGOTTEN, WAITS]).await;
    // the card confirms the one, and knows nothing of the other
    let settle = Some(world.told(&of, &[small.debit]).await);
    let step = world.decide(of.own, settle, None, world.at(20)).await;
    assert!(step.is_ok(), "{step:?}");
    world.stand(small, [WAITS, Status::Credited { at }]).await;
    world.stand(pair, [Status::Ordered, Status::Open]).await;
    assert_eq!(world.five(&of, small).await, [10_000, 1_500, 0, 500, 0]);
}

/// A card whose past the books do not know: it got 900 that nobody remembers, and paid 2,500 of it.
pub async fn a_case_of_a_card_that_paid_is_decided_by_its_truth(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let pair = world.card_placed(&of, 2_000).await;
    world.sent(of.own, pair.debit).await;
    let other = world.card_placed(&of, 500).await;
    world.restored().await;
    let freeze = Some(Settlement::Freeze { evidence: vec![1] });
    let step = world.decide(of.own, freeze, None, world.at(20)).await;
    assert!(step.is_ok(), "{step:?}");
    let truth = Proven {
        id: other.debit.to_bytes(),
        remittance_seq: 4,
        payment_seq: 0,
        value: 400,
    };
    let truth = world.truth(truth, &[pair.debit, other.debit]);
    let approval = world.approval().await;
    let decided = world.resolve(1, truth, approval).await;
    assert!(decided.is_ok(), "{decided:?}");
    let at = world.at(60);
    for of_both in [pair, other] {
        world.stand(of_both, [WAITS, Status::Credited { at }]).await;
    }
    assert_eq!(world.five(&of, pair).await, [10_000, 400, 0, 2_000, 0]);
    assert_eq!(world.minor(Account::Escrow(other.order)).await, 500);
    let card = world.store.card(of.own).await.unwrap().unwrap();
    assert_eq!((card.status, card.proven.value), (CardStatus::Active, 400));
}

/// Its account holds less than it paid, until what it got in between is posted.
pub async fn a_card_that_was_credited_and_paid_since_the_backup_is_believed(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.carded().await;
    let (dear, pair) = (
        world.card_placed(&of, 2_000).await,
        world.card_placed(&of, 500).await,
    );
    let friend = Funded {
        sender: world.holder(money::Currency::Jpy, 900).await,
        ..of.as_lost()
    };
    let gift = world.placed(&friend, 900).await;
    world.restored().await;
    let settle = world.told(&of, &[gift, dear.debit, pair.debit]).await;
    let step = world.decide(of.own, Some(settle), None, world.at(20)).await;
    assert!(step.is_ok(), "{step:?}");
    let at = world.at(20);
    for paid in [dear, pair] {
        world.stand(paid, [WAITS, Status::Credited { at }]).await;
    }
    assert_eq!(world.five(&of, pair).await, [10_000, 400, 0, 500, 0]);
}
