//! In doubt: what waits for the card, and what a blocked or frozen card still may.

use std::sync::Arc;

use ledger::{
    CardStatus, Command, CommitOutcome, Decided, Outcome, Refusal, ReturnReason, Settlement, Status,
};

use super::World;
use crate::traits::Store;

/// Frozen: the case waits for a person, the money stays in escrow, a genuine proof still counts.
pub async fn a_frozen_card_keeps_its_evidence_and_concludes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (id, other) = (world.placed(&of, 1_000).await, world.placed(&of, 10).await);
    world.sent(of.card, id).await;
    let proof = world.proof(of.card).await;
    let evidence = vec![5; ledger::EVIDENCE_LEN_MAX];
    let freeze = Some(Settlement::Freeze {
        evidence: evidence.clone(),
    });
    let decided = world
        .decide(of.card, freeze.clone(), Some(other), world.at(3))
        .await;
    let commit = CommitOutcome::Refused(Refusal::CardFrozen);
    assert_eq!(
        decided,
        Ok(Decided {
            settled: None,
            commit
        })
    );
    world.holds(&of, id, [8_990, 1_000, 0]).await;
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!(card.status, CardStatus::Frozen);
    let cases = world.store.cases(0, 10).await.unwrap();
    assert_eq!(cases.len(), 1);
    assert_eq!(
        (cases[0].card, cases[0].in_flight, cases[0].at),
        (of.card, Some(id), world.at(3))
    );
    assert_eq!(cases[0].evidence, evidence);
    for settle in [
        None,
        Some(Settlement::Absent),
        Some(world.credited(of.card).await),
        freeze,
    ] {
        let step = world.decide(of.card, settle, None, world.at(4)).await;
        assert_eq!(step, Err(Refusal::CardFrozen));
    }
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    world.holds(&of, id, [8_990, 0, 1_000]).await;
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!(card.status, CardStatus::Frozen);
}

/// Blocking stops what is next, not the truth about what was.
pub async fn a_blocked_card_still_settles_but_sends_nothing(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (id, next) = (world.placed(&of, 1_000).await, world.placed(&of, 10).await);
    world.sent(of.card, id).await;
    let block = Command::BlockCard {
        card: of.card,
        now: world.at(2),
    };
    for _ in 0..2 {
        assert_eq!(world.apply(block.clone()).await, Ok(Outcome::CardBlocked));
    }
    let unknown = Command::BlockCard {
        card: world.card_id(),
        now: world.at(2),
    };
    assert_eq!(world.apply(unknown).await, Err(Refusal::CardUnknown));
    let done = world.credited(of.card).await;
    let decided = world
        .decide(of.card, Some(done), Some(next), world.at(3))
        .await;
    let settled = Some(Status::Credited { at: world.at(3) });
    let commit = CommitOutcome::Refused(Refusal::CardBlocked);
    assert_eq!(decided, Ok(Decided { settled, commit }));
    world.holds(&of, id, [8_990, 0, 1_000]).await;
    let odd = Some(Settlement::Freeze { evidence: vec![1] });
    assert!(world.decide(of.card, odd, None, world.at(4)).await.is_ok());
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!(card.status, CardStatus::Blocked);
    assert_eq!(world.store.cases(0, 10).await.unwrap().len(), 1);
}

/// Neither the sender nor the clock takes back what the card may hold already.
pub async fn a_return_waits_for_the_proof(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 1_000).await;
    world.sent(of.card, id).await;
    let late = world.at(9_999);
    assert_eq!(world.store.expirable(late, 10).await, Ok(vec![]));
    let expire = Command::Expire {
        remittance: id,
        now: world.at(2),
    };
    assert_eq!(world.apply(expire).await, Err(Refusal::InDoubt));
    let expire = Command::Expire {
        remittance: id,
        now: late,
    };
    assert_eq!(world.apply(expire).await, Err(Refusal::InDoubt));
    let cancel = Command::Cancel {
        remittance: id,
        sender: of.sender,
        now: late,
    };
    let asked = Status::CommitSent { cancel_asked: true };
    for _ in 0..2 {
        assert_eq!(
            world.apply(cancel.clone()).await,
            Ok(Outcome::CancelNoted(asked))
        );
    }
    world.holds(&of, id, [9_000, 1_000, 0]).await;
    let proof = world.proof(of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    assert_eq!(world.status(id).await, Status::Credited { at: late });
    world.holds(&of, id, [9_000, 0, 1_000]).await;
}

/// Still valid: open, and the same number is given again. Otherwise it goes back.
pub async fn an_absent_commit_reopens_or_returns_the_remittance(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let absent = || Some(Settlement::Absent);
    let again = world.placed(&of, 1_000).await;
    world.sent(of.card, again).await;
    let decided = world
        .decide(of.card, absent(), Some(again), world.at(9))
        .await;
    let commit = CommitOutcome::Sent { epoch: 2 };
    assert_eq!(
        decided,
        Ok(Decided {
            settled: Some(Status::Open),
            commit
        })
    );
    let sent = world.store.in_flight(of.card).await.unwrap().unwrap();
    assert_eq!((sent.remittance, sent.seq), (again, 1));
    let cancel = Command::Cancel {
        remittance: again,
        sender: of.sender,
        now: world.at(10),
    };
    let asked = Status::CommitSent { cancel_asked: true };
    assert_eq!(world.apply(cancel).await, Ok(Outcome::CancelNoted(asked)));
    world.holds(&of, again, [9_000, 1_000, 0]).await;
    let decided = world
        .decide(of.card, absent(), Some(again), world.at(11))
        .await;
    let back = Status::Returned {
        at: world.at(11),
        reason: ReturnReason::Cancelled,
    };
    let commit = CommitOutcome::Refused(Refusal::Cancelled);
    assert_eq!(
        decided,
        Ok(Decided {
            settled: Some(back),
            commit
        })
    );
    world.holds(&of, again, [10_000, 0, 0]).await;
    let late = world.placed(&of, 1_000).await;
    world.sent(of.card, late).await;
    let decided = world
        .decide(of.card, absent(), Some(late), world.at(3_600))
        .await;
    let back = Status::Returned {
        at: world.at(3_600),
        reason: ReturnReason::Expired,
    };
    let commit = CommitOutcome::Refused(Refusal::Expired);
    assert_eq!(
        decided,
        Ok(Decided {
            settled: Some(back),
            commit
        })
    );
    world.holds(&of, late, [10_000, 0, 0]).await;
}

/// The sweep may be late; the instant counts. That the amount would not fit either says less.
pub async fn an_expired_remittance_is_not_sent_though_nobody_swept_it(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (first, full) = (world.placed(&of, 1).await, world.placed(&of, 5_000).await);
    world.sent(of.card, first).await;
    let proof = world.proof(of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    for (now, expected) in [(3_599, Refusal::CardFull), (3_600, Refusal::Expired)] {
        let step = world.decide(of.card, None, Some(full), world.at(now)).await;
        assert_eq!(step.unwrap().commit, CommitOutcome::Refused(expected));
        assert_eq!(world.status(full).await, Status::Open);
    }
}
