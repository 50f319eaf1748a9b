//! The decisive step and the proof: what may be concluded from a card, and what may not.

use std::sync::Arc;

use ledger::{
    CardState, Command, CommitOutcome, CommitSend, Decide, Decided, Outcome, Refusal, Settle,
    Settlement, Status,
};
use money::Currency;

use super::{Funded, World};
use crate::traits::Store;

/// One posting, one receipt, however often the proof comes.
pub async fn a_proof_credits_the_card_once_with_one_receipt(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 2_500).await;
    world.sent(of.card, id).await;
    assert_eq!(
        world.status(id).await,
        Status::CommitSent {
            cancel_asked: false
        }
    );
    world.holds(&of, id, [7_500, 2_500, 0]).await;
    let sent = world.store.in_flight(of.card).await.unwrap().unwrap();
    assert_eq!(
        (sent.remittance, sent.seq, sent.epoch, sent.balance_before),
        (id, 1, 0, 0)
    );
    assert_eq!(
        (sent.session, sent.batch),
        (vec![11; 96], id.to_bytes().repeat(12))
    );
    let first = world.proof(of.card).await;
    let late = Settle {
        now: world.at(86_400),
        receipt: b"another".to_vec(),
        ..first.clone()
    };
    let kept = Ok(Outcome::Settled {
        receipt: first.receipt.clone(),
    });
    for proof in [first.clone(), late, first.clone()] {
        assert_eq!(world.apply(Command::Settle(proof)).await, kept);
        world.holds(&of, id, [7_500, 0, 2_500]).await;
    }
    let found = world.store.remittance(id).await.unwrap().unwrap();
    assert_eq!(found.status, Status::Credited { at: world.at(2) });
    assert_eq!(found.receipt, Some(first.receipt));
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!(
        (card.proven.id, card.proven.remittance_seq),
        (id.to_bytes(), 1)
    );
    assert_eq!((card.proven.value, card.epoch), (2_500, 1));
    assert_eq!(world.store.in_flight(of.card).await, Ok(None));
    for command in [
        Command::Cancel {
            remittance: id,
            sender: of.sender,
            now: world.at(9),
        },
        Command::Expire {
            remittance: id,
            now: world.at(9_999),
        },
    ] {
        assert_eq!(world.apply(command).await, Err(Refusal::AlreadyCredited));
    }
    world.holds(&of, id, [7_500, 0, 2_500]).await;
}

/// The proof of the first remittance was lost; the session of the second one brings it.
pub async fn the_next_session_settles_and_sends_in_one_step(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (first, second) = (
        world.placed(&of, 1_000).await,
        world.placed(&of, 4_000).await,
    );
    world.sent(of.card, first).await;
    let done = world.credited(of.card).await;
    let decided = world
        .decide(of.card, Some(done), Some(second), world.at(9))
        .await;
    let settled = Some(Status::Credited { at: world.at(9) });
    assert_eq!(
        decided,
        Ok(Decided {
            settled,
            commit: CommitOutcome::Sent { epoch: 2 }
        })
    );
    world.holds(&of, first, [5_000, 0, 1_000]).await;
    let receipt = world
        .store
        .remittance(first)
        .await
        .unwrap()
        .unwrap()
        .receipt;
    assert_eq!(
        receipt.as_deref(),
        Some(&b"receipt by the next session"[..])
    );
    let sent = world.store.in_flight(of.card).await.unwrap().unwrap();
    assert_eq!(
        (sent.remittance, sent.seq, sent.balance_before),
        (second, 2, 1_000)
    );
    let proof = world.proof(of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    world.holds(&of, second, [5_000, 0, 5_000]).await;
}

/// A STATE answer that was kept back while another session sent a commit settles nothing.
pub async fn a_stale_session_concludes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (first, second) = (
        world.placed(&of, 1_000).await,
        world.placed(&of, 2_000).await,
    );
    let kept_back = world.step(of.card, None, Some(second), world.at(1)).await;
    world.sent(of.card, first).await;
    let fresh = world
        .step(of.card, Some(Settlement::Absent), None, world.at(2))
        .await;
    let stale = Decide {
        expect_epoch: kept_back.expect_epoch,
        ..fresh.clone()
    };
    assert_eq!(world.run(stale).await, Err(Refusal::Stale));
    assert_eq!(world.run(kept_back.clone()).await, Err(Refusal::Stale));
    let blind = Decide {
        expect_epoch: fresh.expect_epoch,
        ..kept_back
    };
    assert_eq!(world.run(blind).await, Err(Refusal::Stale));
    let other = Decide {
        expect_in_flight: Some(second),
        ..fresh.clone()
    };
    assert_eq!(world.run(other).await, Err(Refusal::Stale));
    let ahead = Decide {
        expect_epoch: fresh.expect_epoch + 1,
        ..fresh.clone()
    };
    assert_eq!(world.run(ahead).await, Err(Refusal::Stale));
    assert_eq!(
        world.status(first).await,
        Status::CommitSent {
            cancel_asked: false
        }
    );
    assert_eq!(world.status(second).await, Status::Open);
    let proof = world.proof(of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    assert_eq!(world.run(fresh).await, Err(Refusal::Stale));
    world.holds(&of, first, [7_000, 0, 1_000]).await;
}

/// Nothing is sent to a card before what it was sent last is settled.
pub async fn a_card_has_one_operation_in_flight(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (first, second) = (
        world.placed(&of, 1_000).await,
        world.placed(&of, 2_000).await,
    );
    world.sent(of.card, first).await;
    for next in [first, second] {
        let step = world.decide(of.card, None, Some(next), world.at(2)).await;
        assert_eq!(step, Err(Refusal::Contradictory));
    }
    let both = [first, second]
        .map(|id| world.step(of.card, Some(Settlement::Absent), Some(id), world.at(3)));
    let [one, two] = both;
    let batch = vec![Command::Decide(one.await), Command::Decide(two.await)];
    let answers = world.store.apply(batch).await.unwrap();
    assert!(answers[0].is_ok());
    assert_eq!(answers[1], Err(Refusal::Stale));
    world.holds(&of, first, [7_000, 1_000, 0]).await;
}

/// The settlement beside a refused commit stands; here there is none.
pub async fn a_commit_is_refused_in_order_of_precedence(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let other = world.card(of.recipient, Currency::Jpy, 5_000).await.1;
    let elsewhere = world
        .placed(
            &Funded {
                number: other,
                ..of
            },
            10,
        )
        .await;
    let cancelled = world.placed(&of, 10).await;
    let cancel = Command::Cancel {
        remittance: cancelled,
        sender: of.sender,
        now: world.at(0),
    };
    assert!(world.apply(cancel).await.is_ok());
    let credited = world.placed(&of, 1_000).await;
    world.sent(of.card, credited).await;
    let proof = world.proof(of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    let (fits, full) = (
        world.placed(&of, 4_000).await,
        world.placed(&of, 4_001).await,
    );
    let late = ledger::Timestamp::from_micros(world.at(3_600).micros() - 1);
    for (id, now, expected) in [
        (
            world.remittance_id(),
            world.at(3),
            Refusal::RemittanceUnknown,
        ),
        (elsewhere, world.at(3), Refusal::WrongCard),
        (credited, world.at(3), Refusal::AlreadyCredited),
        (cancelled, world.at(3), Refusal::Cancelled),
        (full, world.at(3), Refusal::CardFull),
    ] {
        let commit = CommitOutcome::Refused(expected);
        let step = world.decide(of.card, None, Some(id), now).await;
        assert_eq!(
            step,
            Ok(Decided {
                settled: None,
                commit
            })
        );
    }
    let sent = world.decide(of.card, None, Some(fits), late).await.unwrap();
    assert!(matches!(sent.commit, CommitOutcome::Sent { .. }));
    world.balanced().await;
    let expired = world
        .decide(
            of.card,
            Some(Settlement::Absent),
            Some(fits),
            world.at(3_600),
        )
        .await;
    assert_eq!(
        expired.unwrap().commit,
        CommitOutcome::Refused(Refusal::Expired)
    );
}

/// The next number and the proven value, exactly.
pub async fn a_commit_that_contradicts_the_record_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (first, id) = (world.placed(&of, 1_000).await, world.placed(&of, 10).await);
    world.sent(of.card, first).await;
    let proof = world.proof(of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    let step = world.step(of.card, None, Some(id), world.at(3)).await;
    let commit = step.commit.clone().unwrap();
    for bad in [
        CommitSend {
            seq: commit.seq + 1,
            ..commit.clone()
        },
        CommitSend {
            seq: commit.seq - 1,
            ..commit.clone()
        },
        CommitSend {
            balance_before: 999,
            ..commit
        },
    ] {
        let bad = Decide {
            commit: Some(bad),
            ..step.clone()
        };
        assert_eq!(world.run(bad).await, Err(Refusal::Contradictory));
    }
    assert!(matches!(
        world.run(step).await,
        Ok(Decided {
            commit: CommitOutcome::Sent { .. },
            ..
        })
    ));
    let nobody = world.step(of.card, None, None, world.at(3)).await;
    let nobody = Decide {
        card: world.card_id(),
        ..nobody
    };
    assert_eq!(world.run(nobody).await, Err(Refusal::CardUnknown));
}

/// STATE must hold the in-flight id with its numbers, and VALUE the sum; nothing in between.
pub async fn a_settlement_that_contradicts_the_record_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let id = world.placed(&of, 1_000).await;
    for settle in [
        Settlement::Absent,
        Settlement::Credited {
            receipt: vec![1],
            value_after: 0,
            state: CardState::default(),
        },
    ] {
        let step = world.decide(of.card, Some(settle), None, world.at(1)).await;
        assert_eq!(step, Err(Refusal::Contradictory));
    }
    world.sent(of.card, id).await;
    let Settlement::Credited {
        receipt,
        value_after,
        state,
    } = world.credited(of.card).await
    else {
        panic!("not credited");
    };
    for (value_after, state) in [
        (value_after + 1, state),
        (value_after - 1, state),
        (
            value_after,
            CardState {
                id: [0; 16],
                ..state
            },
        ),
        (
            value_after,
            CardState {
                remittance_seq: 0,
                ..state
            },
        ),
        (
            value_after,
            CardState {
                remittance_seq: 2,
                ..state
            },
        ),
        (
            value_after,
            CardState {
                payment_seq: 1,
                ..state
            },
        ),
    ] {
        let settle = Settlement::Credited {
            receipt: receipt.clone(),
            value_after,
            state,
        };
        let step = world.decide(of.card, Some(settle), None, world.at(2)).await;
        assert_eq!(step, Err(Refusal::Contradictory), "{state:?}");
    }
    world.holds(&of, id, [9_000, 1_000, 0]).await;
}

/// The proof must be of this card, this number and this sum.
pub async fn a_proof_that_contradicts_the_record_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (id, other) = (
        world.placed(&of, 1_000).await,
        world.placed(&of, 1_000).await,
    );
    let second = world.card(of.recipient, Currency::Jpy, 5_000).await.0;
    world.sent(of.card, id).await;
    let proof = world.proof(of.card).await;
    for (bad, expected) in [
        (
            Settle {
                remittance: world.remittance_id(),
                ..proof.clone()
            },
            Refusal::RemittanceUnknown,
        ),
        (
            Settle {
                card: second,
                ..proof.clone()
            },
            Refusal::WrongCard,
        ),
        (
            Settle {
                value_after: 999,
                ..proof.clone()
            },
            Refusal::Contradictory,
        ),
        (
            Settle {
                seq: 2,
                ..proof.clone()
            },
            Refusal::NotInFlight,
        ),
        (
            Settle {
                remittance: other,
                ..proof.clone()
            },
            Refusal::NotInFlight,
        ),
    ] {
        assert_eq!(world.apply(Command::Settle(bad)).await, Err(expected));
    }
    world
        .decide(of.card, Some(Settlement::Absent), None, world.at(3))
        .await
        .unwrap();
    assert_eq!(
        world.apply(Command::Settle(proof)).await,
        Err(Refusal::NotInFlight)
    );
    world.holds(&of, id, [8_000, 1_000, 0]).await;
}
