//! A restored backup, with cards that know more than the database.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
#![allow(dead_code, reason = "the world is shared with other tests")]

mod world;

use card::purse::LogRecord;
use ledger::{CardStatus, ReturnReason, Status};
use redemption::{EVIDENCE_LEN, evidence, evidence_log};
use wire::exchange::{Refusal, Reply};
use world::{AMOUNT, LIFE_S, START, World, receipt, refusal};

fn credited(world: &World, id: ledger::RemittanceId) -> bool {
    matches!(world.status(id), Status::Credited { .. })
}

#[test]
fn a_card_that_knows_more_proves_its_credits_by_its_log_in_one_exchange_more() {
    let mut world = World::new();
    let before = world.order(100);
    assert!(matches!(world.run(before), Reply::Receipt(_)));
    let (first, second, third) = (world.order(AMOUNT), world.order(300), world.order(50));
    let backup = world.backup();
    world.run(first);
    world.run(second);
    world.restore(backup);
    (world.exchanges, world.apdus) = (0, 0);

    assert!(matches!(world.run(second), Reply::Receipt(_)));
    assert_eq!((world.exchanges, world.apdus), (4, 9));
    assert!(credited(&world, first) && credited(&world, second));
    assert_eq!(world.status(third), Status::Open);
    assert_eq!(world.card.proven.value, i64::from(world.value()));
    assert!(!world.card.reread);

    (world.exchanges, world.apdus) = (0, 0);
    assert!(matches!(world.run(third), Reply::Receipt(_)));
    assert_eq!((world.exchanges, world.apdus), (4, 11));
    assert_eq!(i64::from(world.value()), 100 + AMOUNT + 300 + 50);
}

#[test]
fn reading_again_and_the_next_credit_are_one_session_of_five_exchanges() {
    let mut world = World::new();
    let (first, second) = (world.order(AMOUNT), world.order(300));
    let backup = world.backup();
    world.run(first);
    world.restore(backup);
    (world.exchanges, world.apdus) = (0, 0);
    assert!(matches!(world.run(second), Reply::Receipt(_)));
    assert_eq!((world.exchanges, world.apdus), (5, 12));
    assert!(credited(&world, first) && credited(&world, second));
    assert_eq!(i64::from(world.value()), AMOUNT + 300);
}

#[test]
fn an_unchanged_card_costs_no_exchange_and_proves_all_of_them_absent() {
    let mut world = World::new();
    let (first, asked) = (world.order(AMOUNT), world.order(300));
    // in flight when the backup was made, and kept back by the terminal
    let kept_back = world.until_batch_sent(first);
    let backup = world.backup();
    world.restore(backup);
    world.remittances.get_mut(&asked).unwrap().status = Status::Recovering { cancel_asked: true };
    (world.exchanges, world.apdus) = (0, 0);
    assert!(matches!(world.run(first), Reply::Receipt(_)));
    assert_eq!((world.exchanges, world.apdus), (4, 11));
    let back = Status::Returned {
        at: START,
        reason: ReturnReason::Cancelled,
    };
    assert_eq!(world.status(asked), back);
    // its session died with the first reading
    world.perform(first, &kept_back);
    assert_eq!(i64::from(world.value()), AMOUNT);
}

#[test]
fn what_is_due_goes_back_once_its_card_proves_that_it_is_absent() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let backup = world.backup();
    world.restore(backup);
    world.now = START.plus_s(LIFE_S);
    assert_eq!(world.run(id), Reply::Refusal(Refusal::Expired));
    let back = Status::Returned {
        at: world.now,
        reason: ReturnReason::Expired,
    };
    assert_eq!(world.status(id), back);
    assert_eq!(world.value(), 0);
}

#[test]
fn eight_credits_since_the_backup_are_proven_and_nine_freeze_the_card() {
    for (count, explained) in [(8, true), (9, false)] {
        let mut world = World::new();
        let ids: Vec<_> = (0..count).map(|_| world.order(10)).collect();
        let backup = world.backup();
        ids.iter().for_each(|id| drop(world.run(*id)));
        world.restore(backup);
        let end = world.run(ids[0]);
        assert_eq!(matches!(end, Reply::Receipt(_)), explained, "{end:?}");
        let done = ids.iter().filter(|id| credited(&world, **id)).count();
        assert_eq!(done, if explained { count } else { 0 });
        let status = if explained {
            CardStatus::Active
        } else {
            CardStatus::Frozen
        };
        assert_eq!(world.card.status, status);
    }
}

#[test]
fn a_remittance_that_was_ordered_after_the_backup_freezes_its_card_with_the_log() {
    let mut world = World::new();
    let known = world.order(AMOUNT);
    let backup = world.backup();
    let forgotten = world.order(300);
    world.run(known);
    world.run(forgotten);
    world.restore(backup);
    assert_eq!(world.run(known), Reply::Refusal(Refusal::CardFrozen));
    let waits = Status::Recovering {
        cancel_asked: false,
    };
    assert_eq!(world.status(known), waits);
    let kept = world.evidence.clone().unwrap();
    assert_eq!(kept.len(), EVIDENCE_LEN + 2 * 30);
    let said = evidence(&kept).unwrap();
    assert_eq!((said.remittance_seq, said.value), (2, AMOUNT + 300));
    let ids = evidence_log(&kept).into_iter().map(|r| r.unwrap().id);
    assert!(ids.eq([known.to_bytes(), forgotten.to_bytes()]));
}

#[test]
fn a_log_that_contradicts_the_record_freezes_the_card() {
    type Spoil = fn(&mut World, ledger::RemittanceId);
    let spoils: [Spoil; 4] = [
        // the database says another amount, an earlier value, an earlier id, a payment
        |w, id| {
            let amount = money::Amount::new(AMOUNT + 1, money::Currency::Jpy).unwrap();
            w.remittances.get_mut(&id).unwrap().amount = amount;
        },
        |w, _| w.card.proven.value += 1,
        |w, _| w.card.proven.id = [9; 16],
        |w, _| w.card.proven.payment_seq += 1,
    ];
    for (number, spoil) in spoils.into_iter().enumerate() {
        let mut world = World::new();
        let before = world.order(100);
        world.run(before);
        let id = world.order(AMOUNT);
        let backup = world.backup();
        world.run(id);
        world.restore(backup);
        spoil(&mut world, id);
        let end = world.run(id);
        assert_eq!(end, Reply::Refusal(Refusal::CardFrozen), "{number}");
        assert!(!credited(&world, id), "{number}");
    }
}

#[test]
fn a_receipt_that_the_card_contradicts_freezes_it_and_one_that_it_confirms_stays() {
    for on_card in [true, false] {
        let mut world = World::new();
        let (id, other) = (world.order(AMOUNT), world.order(300));
        let backup = world.backup();
        let mut twin = World::new();
        let twin_id = twin.order(AMOUNT);
        let Reply::Receipt(shown) = (if on_card {
            world.run(id)
        } else {
            twin.run(twin_id)
        }) else {
            panic!("a receipt expected")
        };
        world.restore(backup);
        world.show(id, shown.clone());
        let end = world.run(other);
        if on_card {
            assert!(matches!(end, Reply::Receipt(_)));
            assert_eq!(world.remittances[&id].receipt, Some(shown));
            assert_eq!(world.card.proven.value, AMOUNT + 300);
        } else {
            // a new card has no log to ask for
            assert_eq!(end, Reply::Refusal(Refusal::CardFrozen));
            assert_eq!(world.evidence.map(|e| e.len()), Some(EVIDENCE_LEN));
        }
    }
}

#[test]
fn a_proof_of_the_lost_life_is_accepted_by_its_row_or_kept_by_the_terminal() {
    // the row is in the backup
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let batch = world.until_batch_sent(id);
    let backup = world.backup();
    let proof = world.perform(id, &batch).unwrap();
    world.restore(backup);
    let kept = receipt(&world.serve(proof.clone()));
    assert!(credited(&world, id) && world.card.reread);
    assert_eq!(receipt(&world.serve(proof)), kept);

    // the row came after the backup, or the backup has the row of an earlier session
    for earlier in [false, true] {
        let mut world = World::new();
        let id = world.order(AMOUNT);
        if earlier {
            world.until_batch_sent(id);
        }
        let backup = world.backup();
        let batch = world.until_batch_sent(id);
        let proof = world.perform(id, &batch).unwrap();
        world.restore(backup);
        assert_eq!(refusal(&world.serve(proof)), Refusal::Recovering);
        assert!(!credited(&world, id));
        assert!(matches!(world.run(id), Reply::Receipt(_)));
        assert_eq!(i64::from(world.value()), AMOUNT);
    }
}

#[test]
fn a_proof_of_what_the_backup_does_not_know_as_funded_is_told_to_wait() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let backup = world.backup();
    let batch = world.until_batch_sent(id);
    let proof = world.perform(id, &batch).unwrap();
    world.restore(backup);
    world.remittances.get_mut(&id).unwrap().status = Status::FundingUnknown {
        cancel_asked: false,
        recovering: true,
    };
    assert_eq!(refusal(&world.serve(proof)), Refusal::Recovering);
}

#[test]
fn a_card_that_paid_since_the_backup_proves_its_debit_by_its_log() {
    for settled_by_credit in [false, true] {
        let mut world = World::new();
        let charge = world.order(AMOUNT);
        assert!(matches!(world.run(charge), Reply::Receipt(_)));
        let (debit, next) = (world.order_debit(1_000), world.order(300));
        let backup = world.backup();
        assert!(matches!(world.run(debit), Reply::Receipt(_)));
        world.restore(backup);
        let first = if settled_by_credit { next } else { debit };
        assert!(matches!(world.run(first), Reply::Receipt(_)));
        assert_eq!(world.card.status, CardStatus::Active);
        assert!(credited(&world, debit));
        assert!(matches!(world.run(next), Reply::Receipt(_)));
        assert_eq!(i64::from(world.value()), AMOUNT - 1_000 + 300);
        assert_eq!(world.card.proven.value, i64::from(world.value()));
    }
}

#[test]
fn a_card_that_has_what_is_not_known_as_funded_waits_and_is_not_frozen() {
    let mut world = World::new();
    let (paid, other) = (world.order(AMOUNT), world.order(300));
    let backup = world.backup();
    assert!(matches!(world.run(paid), Reply::Receipt(_)));
    world.restore(backup);
    let known = world.status(paid);
    world.remittances.get_mut(&paid).unwrap().status = Status::FundingUnknown {
        cancel_asked: false,
        recovering: true,
    };
    for id in [other, paid] {
        assert_eq!(world.run(id), Reply::Refusal(Refusal::Recovering));
    }
    assert!(world.card.reread && world.card.status == CardStatus::Active);
    // its bank, or its sender's card, has spoken
    world.remittances.get_mut(&paid).unwrap().status = known;
    assert!(matches!(world.run(other), Reply::Receipt(_)));
    assert!(credited(&world, paid) && credited(&world, other));
    assert_eq!(i64::from(world.value()), AMOUNT + 300);
}

/// Another card waits for what this one has paid, and this one for what the other has.
#[test]
fn what_stands_in_the_log_before_what_has_to_wait_is_posted_at_once_and_nothing_is_absent() {
    let mut world = World::new();
    let charge = world.order(AMOUNT);
    assert!(matches!(world.run(charge), Reply::Receipt(_)));
    let (own, debit) = (world.order(300), world.order_debit(1_000));
    let (back, after, never) = (world.order(700), world.order(50), world.order(20));
    let backup = world.backup();
    for id in [own, debit, back, after] {
        assert!(matches!(world.run(id), Reply::Receipt(_)));
    }
    world.restore(backup);
    let known = world.status(back);
    world.remittances.get_mut(&back).unwrap().status = Status::FundingUnknown {
        cancel_asked: false,
        recovering: true,
    };
    for id in [after, back, never] {
        assert_eq!(world.run(id), Reply::Refusal(Refusal::Recovering));
        assert!(credited(&world, own) && credited(&world, debit));
        assert_eq!(world.status(after), known, "not before what has to wait");
        assert_eq!(world.status(never), known, "nothing is absent yet");
        assert!(world.card.reread && world.card.proven.value == AMOUNT);
    }
    let kept = world.remittances[&debit].receipt.clone();
    world.remittances.get_mut(&back).unwrap().status = known;
    assert!(matches!(world.run(never), Reply::Receipt(_)));
    assert!(
        [own, debit, back, after]
            .iter()
            .all(|id| credited(&world, *id))
    );
    assert_eq!(world.remittances[&debit].receipt, kept);
    let value = AMOUNT + 300 - 1_000 + 700 + 50 + 20;
    assert_eq!(i64::from(world.value()), value);
    assert_eq!(world.card.proven.value, value);
}

/// What stands before what has to wait has to join what was proven, too.
#[test]
fn of_a_log_that_does_not_join_nothing_is_posted_before_what_has_to_wait() {
    let mut world = World::new();
    let (own, back) = (world.order(300), world.order(700));
    let backup = world.backup();
    for id in [own, back] {
        assert!(matches!(world.run(id), Reply::Receipt(_)));
    }
    world.restore(backup);
    let waits = world.status(own);
    world.card.proven.value += 1;
    world.remittances.get_mut(&back).unwrap().status = Status::FundingUnknown {
        cancel_asked: false,
        recovering: true,
    };
    assert_eq!(world.run(own), Reply::Refusal(Refusal::Recovering));
    assert_eq!(world.status(own), waits);
}

#[test]
fn tickets_of_the_lost_life_open_nothing() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let backup = world.backup();
    let third = world.until_state_read(id);
    world.restore(backup);
    assert_eq!(refusal(&world.serve(third)), Refusal::TicketInvalid);
}

#[test]
fn a_program_of_ours_that_the_database_forgot_is_told_from_a_forged_one() {
    let mut world = World::new();
    let backup = world.backup();
    let id = world.order(AMOUNT);
    let ours = world.instruction(id);
    let mut forged = ours.clone();
    if let wire::exchange::Request::Instruction(instruction) = &mut forged {
        instruction.claim_token[0] ^= 1;
    }
    world.restore(backup);
    assert_eq!(refusal(&world.serve(ours)), Refusal::NotInDatabase);
    assert_eq!(refusal(&world.serve(forged)), Refusal::RemittanceUnknown);
}

#[test]
fn a_log_that_is_kept_back_or_altered_concludes_nothing() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let backup = world.backup();
    world.run(id);
    world.restore(backup);
    let third = world.until_state_read(id);
    let log = world.advance(id, third);
    let wire::exchange::Request::Answers(answers) = &log else {
        panic!("answers expected")
    };
    let mut altered = answers.clone();
    altered.answers[0][3] ^= 1;
    let none = wire::exchange::Answers {
        answers: Vec::new(),
        ..answers.clone()
    };
    for bad in [altered, none] {
        let request = wire::exchange::Request::Answers(bad);
        assert_eq!(refusal(&world.serve(request)), Refusal::CardStopped);
    }
    assert!(world.card.reread && !credited(&world, id));
    // the same answers twice, as over a bad line
    let kept = receipt(&world.serve(log.clone()));
    assert_eq!(world.remittances[&id].receipt, Some(kept));
    assert_eq!(LogRecord::from_bytes(&[0; 30]), None);
}
