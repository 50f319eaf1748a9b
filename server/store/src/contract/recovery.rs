//! A restored backup: what waits, and what ends the waiting.

use std::sync::Arc;

use ledger::{
    Account, CardId, CardState, CardStatus, Command, CommitOutcome, Decided, LoggedCredit, Outcome,
    Refusal, RemittanceId, ReturnReason, Settlement, Status,
};

use super::{Funded, World};
use crate::record::Incarnated;
use crate::traits::Store;

pub(super) const LIFE: [u8; 16] = [0xA5; 16];
const WAITS: Status = Status::Recovering {
    cancel_asked: false,
};

impl World {
    pub(super) async fn restored(&self) -> Incarnated {
        let begun = self.store.begin_incarnation(LIFE, self.at(10));
        begun.await.unwrap()
    }

    /// What the card says at its first reading, when it was credited with these since the backup.
    pub(super) async fn first_reading(
        &self,
        card: CardId,
        credited: &[RemittanceId],
    ) -> Settlement {
        let found = self.store.card(card).await.unwrap().unwrap();
        let mut proven = found.proven;
        for id in credited {
            let remittance = self.store.remittance(*id).await.unwrap().unwrap();
            proven.id = id.to_bytes();
            proven.remittance_seq += 1;
            let after = remittance
                .flow
                .value_after(proven.value, remittance.amount.minor());
            proven.value = after.unwrap();
        }
        let logged = |id: &RemittanceId| LoggedCredit {
            remittance: *id,
            receipt: receipt_of(*id),
        };
        Settlement::Reread {
            credited: credited.iter().map(logged).collect(),
            value: proven.value,
            state: proven.state(),
        }
    }

    pub(super) async fn read(
        &self,
        of: &Funded,
        credited: &[RemittanceId],
    ) -> Result<Decided, Refusal> {
        let settle = self.first_reading(of.card, credited).await;
        self.decide(of.card, Some(settle), None, self.at(20)).await
    }
}

fn receipt_of(id: RemittanceId) -> Vec<u8> {
    format!("receipt of {id}").into_bytes()
}

/// Expiry, cancel, a commit: each would decide about money that may be on the card.
pub async fn a_restored_database_sends_and_returns_nothing_before_its_cards_are_read(
    store: Arc<dyn Store>,
) {
    let world = World::new(store);
    let of = world.funded().await;
    let (open, sent) = (
        world.placed(&of, 1_000).await,
        world.placed(&of, 2_000).await,
    );
    world.sent(of.card, sent).await;
    assert_eq!(world.store.incarnation().await.unwrap(), None);
    let waiting = Incarnated {
        recovering: 2,
        invitations: 0,
        cards: 1,
    };
    assert_eq!(world.restored().await, waiting);
    assert_eq!(world.store.incarnation().await.unwrap(), Some(LIFE));
    assert_eq!(
        (world.status(open).await, world.status(sent).await),
        (WAITS, WAITS)
    );
    let late = world.at(7_200);
    let due = world.store.expirable(late, 10).await.unwrap();
    assert_eq!(due, []);
    for remittance in [open, sent] {
        let expire = Command::Expire {
            remittance,
            now: late,
        };
        assert_eq!(world.apply(expire).await, Err(Refusal::Recovering));
    }
    let cancel = Command::Cancel {
        remittance: open,
        sender: of.sender,
        now: late,
    };
    let asked = Status::Recovering { cancel_asked: true };
    assert_eq!(world.apply(cancel).await, Ok(Outcome::CancelNoted(asked)));
    let absent = Some(Settlement::Absent);
    for settle in [None, absent, Some(world.credited(of.card).await)] {
        let refused = world.decide(of.card, settle, Some(open), late).await;
        assert_eq!(refused, Err(Refusal::Contradictory));
    }
    // the same restore again, as after a cut
    assert_eq!(world.restored().await, waiting);
    assert_eq!(world.status(open).await, asked);
    world.holds(&of, open, [7_000, 1_000, 0]).await;
}

/// Two were credited after the backup, one was not; then the session goes on to a commit.
pub async fn a_card_that_knows_more_than_a_restored_database_is_believed(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let first = world.placed(&of, 1_000).await;
    world.sent(of.card, first).await;
    let (second, third) = (world.placed(&of, 300).await, world.placed(&of, 50).await);
    world.restored().await;
    let standing = world.store.standing(third).await.unwrap().unwrap();
    let mut known: Vec<_> = standing.recovering.iter().map(|r| r.id).collect();
    known.sort();
    assert_eq!(known, [first, second, third]);
    // the second came first: what was in flight in the backup was absent, and was sent once more
    let settle = world.first_reading(of.card, &[second, first]).await;
    let decided = world
        .decide(of.card, Some(settle), Some(third), world.at(20))
        .await
        .unwrap();
    assert!(
        matches!(decided.commit, CommitOutcome::Sent { .. }),
        "{decided:?}"
    );
    let credited = Status::Credited { at: world.at(20) };
    assert_eq!(
        (world.status(first).await, world.status(second).await),
        (credited, credited)
    );
    for id in [first, second] {
        let kept = world.store.remittance(id).await.unwrap().unwrap().receipt;
        assert_eq!(kept, Some(receipt_of(id)));
    }
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!((card.reread, card.proven.remittance_seq), (false, 2));
    let sent = world.store.in_flight(of.card).await.unwrap().unwrap();
    assert_eq!(
        (sent.remittance, sent.seq, sent.balance_before),
        (third, 3, 1_300)
    );
    world.holds(&of, third, [8_650, 50, 1_300]).await;
    let proof = world.proof(of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    world.holds(&of, third, [8_650, 0, 1_350]).await;
}

/// All that waits is proven absent: open again, or back to the sender as was asked or is due.
pub async fn a_card_that_is_unchanged_since_the_backup_opens_or_returns_what_waits(
    store: Arc<dyn Store>,
) {
    let world = World::new(store);
    let of = world.funded().await;
    let done = world.placed(&of, 500).await;
    world.sent(of.card, done).await;
    let proof = world.proof(of.card).await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    let mut due = world.order(of.sender, of.number, 10);
    due.expires = world.at(15);
    assert!(world.place(&due).await.is_ok());
    let (sent, asked) = (world.placed(&of, 20).await, world.placed(&of, 40).await);
    world.sent(of.card, sent).await;
    let waiting = world.restored().await;
    assert_eq!((waiting.recovering, waiting.cards), (3, 1));
    let cancel = Command::Cancel {
        remittance: asked,
        sender: of.sender,
        now: world.at(11),
    };
    assert!(world.apply(cancel).await.is_ok());
    let decided = world.read(&of, &[]).await.unwrap();
    assert_eq!(decided.commit, CommitOutcome::NotAsked);
    let returned = |reason| Status::Returned {
        at: world.at(20),
        reason,
    };
    assert_eq!(world.status(sent).await, Status::Open);
    assert_eq!(
        world.status(due.remittance).await,
        returned(ReturnReason::Expired)
    );
    assert_eq!(world.status(asked).await, returned(ReturnReason::Cancelled));
    assert_eq!(world.store.in_flight(of.card).await.unwrap(), None);
    world.holds(&of, sent, [9_480, 20, 500]).await;
    // a second session that read the card at the same time concludes nothing
    assert_eq!(world.read(&of, &[]).await, Err(Refusal::Stale));
}

/// The row of the operation in flight was in the backup: its session can still check the proof.
pub async fn a_proof_that_comes_after_a_restore_still_counts(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (id, other) = (world.placed(&of, 1_000).await, world.placed(&of, 10).await);
    world.sent(of.card, id).await;
    let proof = world.proof(of.card).await;
    world.restored().await;
    assert!(world.apply(Command::Settle(proof)).await.is_ok());
    world.holds(&of, id, [8_990, 0, 1_000]).await;
    assert_eq!(world.status(other).await, WAITS);
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert!(card.reread, "one proof is not the whole record");
    world.read(&of, &[other]).await.unwrap();
    world.holds(&of, other, [8_990, 0, 1_010]).await;
}

/// A receipt posts at once; a card that does not have the credit contradicts it.
pub async fn a_receipt_that_is_shown_credits_and_the_card_has_to_confirm_it(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (id, other) = (world.placed(&of, 1_000).await, world.placed(&of, 10).await);
    let show = |remittance| Command::ShowReceipt {
        remittance,
        receipt: receipt_of(remittance),
        now: world.at(12),
    };
    let early = world.apply(show(id)).await;
    assert_eq!(early, Err(Refusal::NotInFlight), "nothing was restored");
    let unknown = world.apply(show(world.remittance_id())).await;
    assert_eq!(unknown, Err(Refusal::RemittanceUnknown));
    world.sent(of.card, id).await;
    world.restored().await;
    for _ in 0..2 {
        let receipt = receipt_of(id);
        let settled = Ok(Outcome::Settled { receipt });
        assert_eq!(world.apply(show(id)).await, settled);
        world.holds(&of, id, [8_990, 0, 1_000]).await;
    }
    let state = CardState::default();
    let without = Settlement::Reread {
        credited: Vec::new(),
        value: 0,
        state,
    };
    let refused = world.decide(of.card, Some(without), None, world.at(20));
    assert_eq!(refused.await, Err(Refusal::Contradictory));
    world.read(&of, &[id, other]).await.unwrap();
    let kept = world.store.remittance(id).await.unwrap().unwrap().receipt;
    assert_eq!(kept, Some(receipt_of(id)));
    assert_eq!(world.minor(Account::Card(of.card)).await, 1_010);
    world.holds(&of, id, [8_990, 0, 1_010]).await;
}

/// Refused, and frozen when the caller says so: nothing is credited, nothing returned.
pub async fn a_first_reading_that_does_not_add_up_concludes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store);
    let of = world.funded().await;
    let (id, foreign) = (world.placed(&of, 1_000).await, world.remittance_id());
    let good = world.first_reading(of.card, &[id]).await;
    let early = world
        .decide(of.card, Some(good.clone()), None, world.at(9))
        .await;
    assert_eq!(early, Err(Refusal::Stale), "nothing was restored");
    world.restored().await;
    for (remittance, extra, seq) in [(foreign, 0, 1), (id, 1, 1), (id, 0, 2)] {
        let receipt = receipt_of(remittance);
        let settle = Settlement::Reread {
            credited: vec![LoggedCredit {
                remittance,
                receipt,
            }],
            value: 1_000 + extra,
            state: CardState {
                id: remittance.to_bytes(),
                remittance_seq: seq,
                payment_seq: 0,
            },
        };
        let refused = world
            .decide(of.card, Some(settle), None, world.at(20))
            .await;
        assert_eq!(refused, Err(Refusal::Contradictory));
    }
    let mut long = good.clone();
    if let Settlement::Reread { credited, .. } = &mut long {
        credited[0].receipt = vec![0; ledger::RECEIPT_LEN_MAX + 1];
    }
    let refused = world.decide(of.card, Some(long), None, world.at(20)).await;
    assert_eq!(refused, Err(Refusal::OutOfBounds));
    let freeze = Settlement::Freeze { evidence: vec![1] };
    let frozen = world
        .decide(of.card, Some(freeze), None, world.at(20))
        .await;
    assert!(frozen.is_ok());
    let card = world.store.card(of.card).await.unwrap().unwrap();
    assert_eq!((card.status, card.reread), (CardStatus::Frozen, true));
    assert_eq!(world.status(id).await, WAITS);
    let refused = world.decide(of.card, Some(good), None, world.at(21)).await;
    assert_eq!(refused, Err(Refusal::CardFrozen));
    world.holds(&of, id, [9_000, 1_000, 0]).await;
}
