//! Whole redemptions against an emulated card, honest and not.

#![expect(clippy::unwrap_used, reason = "a test that meets an error is over")]

#[expect(dead_code, reason = "the world also serves the restored backups")]
mod world;

use ledger::{CardStatus, InFlight, Proven, ReturnReason, Status};
use redemption::ProgramKey;
use wire::exchange::{Refusal, Reply, Request};
use world::{
    AMOUNT, EARLIER_TOKEN, LATER_TOKEN, LIFE_S, START, UID, World, answered, receipt, refusal, step,
};

/// Alters the answers of a request.
fn with_answers(request: &Request, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Request {
    let mut request = request.clone();
    match &mut request {
        Request::Answers(answers) => change(&mut answers.answers),
        Request::Instruction(_) => panic!("answers expected"),
    }
    request
}

fn ticket_of(request: &Request) -> Option<Vec<u8>> {
    match request {
        Request::Answers(answers) => answers.ticket.clone(),
        Request::Instruction(_) => None,
    }
}

fn with_ticket(request: &Request, ticket: Vec<u8>) -> Request {
    let mut request = request.clone();
    if let Request::Answers(answers) = &mut request {
        answers.ticket = Some(ticket);
    }
    request
}

#[test]
fn a_redemption_takes_four_exchanges_and_eleven_commands_and_credits_once() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let end = world.run(id);
    assert!(matches!(end, Reply::Receipt(_)));
    assert_eq!((world.exchanges, world.apdus), (4, 11));
    assert_eq!(i64::from(world.value()), AMOUNT);
    assert_eq!(world.status(id), Status::Credited { at: START });
    let expected = Proven {
        id: id.to_bytes(),
        remittance_seq: 1,
        payment_seq: 0,
        value: AMOUNT,
    };
    assert_eq!(world.card.proven, expected);
    assert!(world.in_flight.is_none());
}

#[test]
fn opened_again_it_gives_the_same_receipt_to_any_card() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let end = world.run(id);
    assert_eq!(world.run(id), end);
    let mut other = world.instruction(id);
    if let Request::Instruction(instruction) = &mut other {
        instruction.uid = [0x04, 9, 9, 9, 9, 9, 0xEE];
    }
    assert_eq!(Reply::Receipt(receipt(&world.serve(other))), end);
    assert_eq!(i64::from(world.value()), AMOUNT);
}

#[test]
fn an_answer_that_was_lost_is_settled_by_the_next_contact() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let batch = world.until_batch_sent(id);
    world.chip.lose_answer_after_commit();
    assert!(world.perform(id, &batch).is_none());
    assert_eq!(i64::from(world.value()), AMOUNT);
    assert_eq!(
        world.status(id),
        Status::CommitSent {
            cancel_asked: false
        }
    );

    assert!(matches!(world.run(id), Reply::Receipt(_)));
    assert_eq!(i64::from(world.value()), AMOUNT);
}

#[test]
fn a_commit_that_never_reached_the_card_is_sent_again() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let batch = world.until_batch_sent(id);
    world.chip.stop_before_commit();
    assert!(world.perform(id, &batch).is_none());
    assert_eq!(world.value(), 0);

    assert!(matches!(world.run(id), Reply::Receipt(_)));
    assert_eq!(i64::from(world.value()), AMOUNT);
    assert_eq!(world.card.proven.remittance_seq, 1);
}

#[test]
fn a_batch_kept_back_is_dead_once_the_card_was_asked_again() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let kept_back = world.until_batch_sent(id);
    assert!(matches!(world.run(id), Reply::Receipt(_)));
    let late = world.perform(id, &kept_back).unwrap();
    assert_eq!(i64::from(world.value()), AMOUNT);
    assert!(matches!(
        Reply::decode(&world.serve(late)).unwrap(),
        Reply::Receipt(_)
    ));
    assert_eq!(i64::from(world.value()), AMOUNT);
}

#[test]
fn a_state_answer_kept_back_from_an_older_epoch_concludes_nothing() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let kept_back = world.until_state_read(id);
    let batch = world.until_batch_sent(id);
    let proof = world.perform(id, &batch).unwrap();
    assert_eq!(i64::from(world.value()), AMOUNT);

    assert_eq!(refusal(&world.serve(kept_back.clone())), Refusal::Restart);
    assert_eq!(
        world.status(id),
        Status::CommitSent {
            cancel_asked: false
        }
    );
    assert!(world.in_flight.is_some());

    receipt(&world.serve(proof));
    assert_eq!(refusal(&world.serve(kept_back)), Refusal::Restart);
    assert_eq!(i64::from(world.value()), AMOUNT);
}

#[test]
fn the_same_exchange_three_gets_the_same_bytes() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let third = world.until_state_read(id);
    let first_time = world.serve(third.clone());
    let in_flight = world.in_flight.clone();
    assert_eq!(world.serve(third.clone()), first_time);
    assert_eq!(world.in_flight, in_flight);
    let batch = step(&first_time);
    let proof = world.perform(id, &batch).unwrap();
    receipt(&world.serve(proof));
    assert_eq!(refusal(&world.serve(third)), Refusal::Restart);
    assert_eq!(i64::from(world.value()), AMOUNT);
}

#[test]
fn a_proof_is_accepted_a_day_late_and_after_blocking() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let batch = world.until_batch_sent(id);
    let proof = world.perform(id, &batch).unwrap();
    world.now = START.plus_s(LIFE_S + 86_400);
    world.card.status = CardStatus::Blocked;
    let first = world.serve(proof.clone());
    receipt(&first);
    assert_eq!(world.serve(proof), first);
}

#[test]
fn a_forged_or_partial_proof_changes_nothing() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let batch = world.until_batch_sent(id);
    let proof = world.perform(id, &batch).unwrap();
    let forged = [
        with_answers(&proof, Vec::clear),
        with_answers(&proof, |a| a.truncate(3)),
        // no VALUE after the commit: proven, and still to be settled by the next contact
        with_answers(&proof, |a| a.truncate(4)),
        with_answers(&proof, |a| a[3] = vec![0x91, 0x1E]),
        with_answers(&proof, |a| a[3][0] ^= 1),
        with_answers(&proof, |a| a[4][0] ^= 1),
        with_answers(&proof, |a| a.push(vec![0x91, 0x00])),
        with_answers(&proof, |a| a.swap(0, 1)),
    ];
    for (case, request) in forged.into_iter().enumerate() {
        assert_eq!(
            refusal(&world.serve(request)),
            Refusal::InDoubt,
            "case {case}"
        );
        assert_eq!(
            world.status(id),
            Status::CommitSent {
                cancel_asked: false
            }
        );
    }
    receipt(&world.serve(proof));
}

#[test]
fn an_error_that_the_terminal_made_up_is_no_proof_of_absence() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let batch = world.until_batch_sent(id);
    world.perform(id, &batch).unwrap();
    let lie = answered(id, None, vec![vec![0x91, 0x1E]]);
    assert_eq!(refusal(&world.serve(lie)), Refusal::InDoubt);

    let third = world.until_state_read(id);
    let lie = with_answers(&third, |a| *a = vec![vec![0x91, 0x9D]]);
    assert_eq!(refusal(&world.serve(lie)), Refusal::CardStopped);
    assert_eq!(
        world.status(id),
        Status::CommitSent {
            cancel_asked: false
        }
    );
    receipt(&world.serve(third));
}

#[test]
fn altered_foreign_and_old_tickets_open_nothing() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let other = world.order(AMOUNT);
    let first = world.instruction(id);
    let second = world.advance(id, first);
    let third = world.advance(id, second.clone());
    let ticket = ticket_of(&third).unwrap();
    for bit in 0..ticket.len() * 8 {
        let mut bad = ticket.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let reply = world.serve(with_ticket(&third, bad));
        assert_eq!(refusal(&reply), Refusal::TicketInvalid, "bit {bit}");
    }
    let mut foreign = third.clone();
    if let Request::Answers(answers) = &mut foreign {
        answers.remittance = other.to_bytes();
    }
    assert_eq!(refusal(&world.serve(foreign)), Refusal::TicketInvalid);
    // the ticket of exchange 2 with the answers of exchange 3, and the other way round
    let earlier = ticket_of(&second).unwrap();
    assert_eq!(
        refusal(&world.serve(with_ticket(&third, earlier))),
        Refusal::CardStopped
    );
    assert_eq!(
        refusal(&world.serve(with_ticket(&second, ticket))),
        Refusal::CardStopped
    );
    let incarnation = world.incarnation;
    world.incarnation.0[0] ^= 1;
    assert_eq!(refusal(&world.serve(third.clone())), Refusal::TicketInvalid);
    world.incarnation = incarnation;
    assert_eq!(world.value(), 0);
    step(&world.serve(third));
}

#[test]
fn a_ticket_lives_for_its_time_and_not_a_microsecond_longer() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let third = world.until_state_read(id);
    let last = START.micros() + redemption::LIFETIME_US;
    world.now = ledger::Timestamp::from_micros(last + 1);
    assert_eq!(refusal(&world.serve(third.clone())), Refusal::TicketExpired);
    world.now = ledger::Timestamp::from_micros(last);
    step(&world.serve(third));
}

#[test]
fn other_tokens_ids_and_cards_are_refused() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let right = world.instruction(id);
    let check = |world: &mut World, expected, change: &dyn Fn(&mut wire::exchange::Instruction)| {
        let mut request = right.clone();
        if let Request::Instruction(instruction) = &mut request {
            change(instruction);
        }
        assert_eq!(refusal(&world.serve(request)), expected);
    };
    check(&mut world, Refusal::RemittanceUnknown, &|i| {
        i.remittance[15] ^= 1
    });
    check(&mut world, Refusal::ClaimTokenWrong, &|i| {
        i.claim_token[31] ^= 1
    });
    check(&mut world, Refusal::Superseded, &|i| {
        i.claim_token = EARLIER_TOKEN;
    });
    // ours all the same: a restored backup has forgotten the order, or that its program was replaced
    check(&mut world, Refusal::NotInDatabase, &|i| {
        i.remittance[15] ^= 1;
        i.claim_token = LATER_TOKEN;
    });
    check(&mut world, Refusal::WrongCard, &|i| {
        i.claim_token = LATER_TOKEN;
        i.uid[6] ^= 1;
    });
    check(&mut world, Refusal::WrongCard, &|i| i.uid[6] ^= 1);
    check(&mut world, Refusal::CardUnknown, &|i| i.uid[6] = 0xEE);
    for (status, expected) in [
        (CardStatus::Issuing, Refusal::CardUnknown),
        (CardStatus::Blocked, Refusal::CardBlocked),
        (CardStatus::Frozen, Refusal::CardFrozen),
    ] {
        world.card.status = status;
        check(&mut world, expected, &|_| {});
    }
}

#[test]
fn a_program_newer_than_the_database_knows_is_served_like_its_newest() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let mut request = world.instruction(id);
    if let Request::Instruction(instruction) = &mut request {
        instruction.claim_token = LATER_TOKEN;
    }
    step(&world.serve(request));
}

#[test]
fn a_card_that_only_claims_the_uid_is_not_genuine() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let first = world.instruction(id);
    let reply = step(&world.serve(first));
    let faked = answered(
        id,
        reply.ticket.clone(),
        vec![[vec![0x5A; 32], vec![0x91, 0]].concat()],
    );
    assert_eq!(refusal(&world.serve(faked)), Refusal::CardNotGenuine);
    let error = answered(id, reply.ticket.clone(), vec![vec![0x91, 0xAE]]);
    assert_eq!(refusal(&world.serve(error)), Refusal::CardNotGenuine);
    let stopped = answered(id, reply.ticket, vec![vec![0x91, 0xCA]]);
    assert_eq!(refusal(&world.serve(stopped)), Refusal::CardStopped);
}

#[test]
fn a_card_takes_its_limit_exactly_and_one_more_is_refused() {
    let mut world = World::new();
    let limit = world.card.value_max;
    let fits = world.order(limit);
    assert!(matches!(world.run(fits), Reply::Receipt(_)));
    let one = world.order(1);
    assert_eq!(world.run(one), Reply::Refusal(Refusal::CardFull));
    assert_eq!(world.status(one), Status::Open);
    assert_eq!(i64::from(world.value()), limit);
}

#[test]
fn a_card_blocked_between_two_exchanges_is_refused() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let third = world.until_state_read(id);
    world.card.status = CardStatus::Blocked;
    assert_eq!(refusal(&world.serve(third)), Refusal::CardBlocked);
    assert_eq!(world.status(id), Status::Open);
}

#[test]
fn what_expires_between_two_exchanges_is_not_credited() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    world.now = START.plus_s(LIFE_S - 10);
    let third = world.until_state_read(id);
    world.now = START.plus_s(LIFE_S);
    assert_eq!(refusal(&world.serve(third)), Refusal::Expired);
    let exchanges = world.exchanges;
    assert_eq!(world.run(id), Reply::Refusal(Refusal::Expired));
    assert_eq!(
        world.exchanges,
        exchanges + 1,
        "refused before the card is challenged"
    );
    assert_eq!(world.value(), 0);
}

#[test]
fn what_expired_in_flight_is_returned_once_the_card_proves_its_absence() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    world.until_batch_sent(id);
    world.now = START.plus_s(LIFE_S);
    assert_eq!(world.run(id), Reply::Refusal(Refusal::Expired));
    let reason = ReturnReason::Expired;
    assert_eq!(
        world.status(id),
        Status::Returned {
            at: world.now,
            reason
        }
    );
    assert_eq!(world.value(), 0);
}

#[test]
fn what_expired_in_flight_stays_credited_when_the_card_has_it() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let batch = world.until_batch_sent(id);
    world.perform(id, &batch).unwrap();
    world.now = START.plus_s(LIFE_S);
    assert!(matches!(world.run(id), Reply::Receipt(_)));
    assert_eq!(world.status(id), Status::Credited { at: world.now });
}

#[test]
fn a_cancel_asked_in_flight_wins_only_when_the_card_proves_absence() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    world.until_batch_sent(id);
    world.remittances.get_mut(&id).unwrap().status = Status::CommitSent { cancel_asked: true };
    assert_eq!(world.run(id), Reply::Refusal(Refusal::Cancelled));
    let reason = ReturnReason::Cancelled;
    assert_eq!(
        world.status(id),
        Status::Returned {
            at: world.now,
            reason
        }
    );
}

#[test]
fn two_remittances_on_one_card_are_credited_one_after_the_other() {
    let mut world = World::new();
    let (one, two) = (world.order(AMOUNT), world.order(300));
    let first = world.until_state_read(one);
    let second = world.until_state_read(two);
    let batch = step(&world.serve(first.clone()));
    assert_eq!(refusal(&world.serve(second)), Refusal::Restart);
    // the card's session belongs to the second program by now: the first batch is refused there
    let proof = world.perform(one, &batch).unwrap();
    assert_eq!(refusal(&world.serve(proof)), Refusal::InDoubt);
    assert_eq!(world.value(), 0);
    // any session of this card settles what is in flight, then goes on with its own
    assert!(matches!(world.run(two), Reply::Receipt(_)));
    assert_eq!(world.status(one), Status::Open);
    assert!(matches!(world.run(one), Reply::Receipt(_)));
    assert_eq!(i64::from(world.value()), AMOUNT + 300);
    assert_eq!(world.card.proven.remittance_seq, 2);
}

#[test]
fn another_remittance_settles_one_that_was_credited_without_proof() {
    let mut world = World::new();
    let (one, two) = (world.order(AMOUNT), world.order(300));
    let batch = world.until_batch_sent(one);
    let proof = world.perform(one, &batch).unwrap();
    assert!(matches!(world.run(two), Reply::Receipt(_)));
    assert!(matches!(world.status(one), Status::Credited { .. }));
    let kept = world.remittances[&one].receipt.clone().unwrap();
    assert_eq!(receipt(&world.serve(proof)), kept);
    assert_eq!(i64::from(world.value()), AMOUNT + 300);
}

#[test]
fn an_ended_remittance_still_settles_what_is_in_flight_on_its_card() {
    let mut world = World::new();
    let (one, two) = (world.order(AMOUNT), world.order(300));
    let batch = world.until_batch_sent(one);
    world.perform(one, &batch).unwrap();
    let reason = ReturnReason::Cancelled;
    world.remittances.get_mut(&two).unwrap().status = Status::Returned { at: START, reason };
    assert_eq!(world.run(two), Reply::Refusal(Refusal::Cancelled));
    assert!(matches!(world.status(one), Status::Credited { .. }));
    assert_eq!(world.run(two), Reply::Refusal(Refusal::Cancelled));
    assert_eq!(world.apdus, 3 + 3 + 5 + 3 + 3 + 3);
}

#[test]
fn what_can_not_be_explained_freezes_the_card_and_credits_nothing() {
    type Change = fn(&mut World);
    let changes: [(&str, Change); 5] = [
        ("a higher number", |w| w.card.proven.remittance_seq += 1),
        ("another payment", |w| w.card.proven.payment_seq += 1),
        ("another id", |w| w.card.proven.id[0] ^= 1),
        ("another value", |w| w.card.proven.value += 1),
        ("an older state", |w| w.card.proven = Proven::default()),
    ];
    for (name, change) in changes {
        let mut world = World::new();
        let id = world.order(AMOUNT);
        assert!(matches!(world.run(id), Reply::Receipt(_)));
        change(&mut world);
        let next = world.order(300);
        assert_eq!(
            world.run(next),
            Reply::Refusal(Refusal::CardFrozen),
            "{name}"
        );
        assert_eq!(world.card.status, CardStatus::Frozen, "{name}");
        let evidence = world.evidence.as_ref().unwrap();
        let said = Proven {
            id: id.to_bytes(),
            remittance_seq: 1,
            payment_seq: 0,
            value: AMOUNT,
        };
        assert_eq!(redemption::evidence(evidence), Some(said), "{name}");
        assert_eq!(redemption::evidence(&evidence[1..]), None);
        assert_eq!(world.status(next), Status::Open, "{name}");
        assert_eq!(i64::from(world.value()), AMOUNT, "{name}");
    }
}

#[test]
fn an_id_in_flight_with_another_figure_freezes_instead_of_posting() {
    type Change = fn(&mut InFlight);
    let changes: [(&str, Change); 3] = [
        ("value", |f| f.balance_before += 1),
        ("number", |f| f.seq += 1),
        ("payment number", |f| f.payment_seq += 1),
    ];
    for (name, change) in changes {
        let mut world = World::new();
        let id = world.order(AMOUNT);
        let batch = world.until_batch_sent(id);
        world.perform(id, &batch).unwrap();
        change(world.in_flight.as_mut().unwrap());
        assert_eq!(world.run(id), Reply::Refusal(Refusal::CardFrozen), "{name}");
        let status = Status::CommitSent {
            cancel_asked: false,
        };
        assert_eq!(world.status(id), status, "{name}");
    }
}

#[test]
fn a_proven_commit_with_another_value_stays_in_doubt() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let batch = world.until_batch_sent(id);
    let proof = world.perform(id, &batch).unwrap();
    world.in_flight.as_mut().unwrap().balance_before += 1;
    assert_eq!(refusal(&world.serve(proof)), Refusal::InDoubt);
    assert!(world.in_flight.is_some());
}

#[test]
fn a_proof_of_what_is_not_in_flight_says_what_became_of_it() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let proof = |id| answered(id, None, vec![vec![0x91, 0x00]]);
    assert_eq!(refusal(&world.serve(proof(id))), Refusal::Restart);
    let reason = ReturnReason::Cancelled;
    world.remittances.get_mut(&id).unwrap().status = Status::Returned { at: START, reason };
    assert_eq!(refusal(&world.serve(proof(id))), Refusal::Cancelled);
    let unknown = ledger::RemittanceId::new(999, [0; 10]);
    assert_eq!(
        refusal(&world.serve(proof(unknown))),
        Refusal::RemittanceUnknown
    );
}

#[test]
fn the_uid_of_the_test_card_is_the_one_that_is_bound() {
    assert_eq!(World::new().chip.uid(), UID);
}

#[test]
fn a_program_of_a_revoked_key_is_refused_at_exchanges_one_and_three() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    world.program_key = ProgramKey::Revoked;
    let begun = world.instruction(id);
    assert_eq!(refusal(&world.serve(begun)), Refusal::ProgramRevoked);

    world.program_key = ProgramKey::Honoured;
    let third = world.until_state_read(id);
    world.program_key = ProgramKey::Revoked;
    assert_eq!(refusal(&world.serve(third)), Refusal::ProgramRevoked);
    assert_eq!((world.value(), world.status(id)), (0, Status::Open));
}

#[test]
fn what_is_in_flight_is_settled_whatever_became_of_the_programs_key() {
    let mut world = World::new();
    let id = world.order(AMOUNT);
    let batch = world.until_batch_sent(id);
    world.perform(id, &batch).unwrap();
    world.program_key = ProgramKey::Revoked;
    assert!(matches!(world.run(id), Reply::Receipt(_)));
    assert_eq!(world.status(id), Status::Credited { at: START });
}
