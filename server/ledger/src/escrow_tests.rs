//! The transition table, row by row.

use super::*;
use crate::flow::order_event;
use alloc::vec;
use alloc::vec::Vec;
use money::Currency;

const NOW: Timestamp = Timestamp::from_micros(100);
const FUNDING: [Event; 4] = [Event::Ask, Event::Fund, Event::RefuseFunding, Event::Refund];
const EVENTS: [Event; 7] = [
    Event::SendCommit,
    Event::ProveCredited,
    Event::ProveAbsent,
    Event::Cancel,
    Event::Expire,
    Event::Restore,
    Event::ShowReceipt,
];

fn back(reason: ReturnReason) -> Result<Transition, Refusal> {
    let returned = Status::Returned { at: NOW, reason };
    Ok(Transition::post(returned, Posting::ToSender))
}

const fn recovering(cancel_asked: bool) -> Status {
    Status::Recovering { cancel_asked }
}

fn stay(status: Status) -> Result<Transition, Refusal> {
    Ok(Transition::stay(status))
}

fn escrow(flow: Flow, status: Status, due: bool) -> Escrow {
    Escrow {
        remittance: RemittanceId::new(1, [0; 10]),
        flow,
        sender: HolderId::new(1, [1; 10]),
        card: CardId::new(1, [2; 10]),
        amount: Amount::new(1, Currency::Jpy).unwrap(),
        status,
        expires: if due { NOW } else { NOW.plus_s(1) },
    }
}

const ACCOUNT: Flow = Flow::Credit(Source::Account);
const BANK: Flow = Flow::Credit(Source::Bank);
const CARD: Flow = Flow::Credit(Source::Card);

fn debit() -> Flow {
    Flow::Debit {
        funds: RemittanceId::new(2, [0; 10]),
    }
}

fn flows() -> [Flow; 4] {
    [ACCOUNT, BANK, CARD, debit()]
}

fn unfunded(reason: UnfundedReason) -> Result<Transition, Refusal> {
    stay(Status::Unfunded { at: NOW, reason })
}

fn statuses() -> Vec<Status> {
    let mut all = vec![
        Status::Ordered,
        Status::Open,
        Status::Held { at: NOW },
        Status::Credited { at: NOW },
        Status::Returned {
            at: NOW,
            reason: ReturnReason::Closed,
        },
    ];
    for cancel_asked in [false, true] {
        for recovering in [false, true] {
            all.push(Status::FundingUnknown {
                cancel_asked,
                recovering,
            });
        }
        all.push(recovering(cancel_asked));
        all.push(Status::CommitSent { cancel_asked });
    }
    for reason in [ReturnReason::Expired, ReturnReason::Cancelled] {
        all.push(Status::Refunding { reason });
        all.push(Status::Returned { at: NOW, reason });
    }
    for reason in [
        UnfundedReason::Refused,
        UnfundedReason::Cancelled,
        UnfundedReason::Expired,
    ] {
        all.push(Status::Unfunded { at: NOW, reason });
    }
    all
}

/// The table of `docs/ledger.md`: events across, in the order of [`EVENTS`].
fn check(status: Status, due: bool, expected: [Result<Transition, Refusal>; 7]) {
    let escrow = escrow(ACCOUNT, status, due);
    for (event, expected) in EVENTS.into_iter().zip(expected) {
        assert_eq!(
            escrow.on(event, NOW),
            expected,
            "{status:?} {event:?} due={due}"
        );
    }
}

/// The same for what the bank and the sender's card say, in the order of [`FUNDING`].
fn check_funding(
    flow: Flow,
    status: Status,
    due: bool,
    expected: [Result<Transition, Refusal>; 4],
) {
    let escrow = escrow(flow, status, due);
    for (event, expected) in FUNDING.into_iter().zip(expected) {
        assert_eq!(
            escrow.on(event, NOW),
            expected,
            "{flow:?} {status:?} {event:?} due={due}"
        );
    }
}

#[test]
fn an_open_remittance_can_be_sent_or_given_back() {
    let none = Err(Refusal::NotInFlight);
    let cancelled = back(ReturnReason::Cancelled);
    let sent = stay(Status::CommitSent {
        cancel_asked: false,
    });
    let restored = stay(recovering(false));
    let early = Err(Refusal::NotExpired);
    check(
        Status::Open,
        false,
        [sent, none, none, cancelled, early, restored, none],
    );
    let (expired, due) = (Err(Refusal::Expired), back(ReturnReason::Expired));
    check(
        Status::Open,
        true,
        [expired, none, none, cancelled, due, restored, none],
    );
}

#[test]
fn a_sent_commit_ends_only_by_proof() {
    let doubt = Err(Refusal::InDoubt);
    let credited = Ok(Transition {
        to: Status::Credited { at: NOW },
        posting: Some(Posting::ToCard),
    });
    let asked = stay(Status::CommitSent { cancel_asked: true });
    for (cancel_asked, due, absent) in [
        (false, false, stay(Status::Open)),
        (false, true, back(ReturnReason::Expired)),
        (true, false, back(ReturnReason::Cancelled)),
        (true, true, back(ReturnReason::Cancelled)),
    ] {
        let status = Status::CommitSent { cancel_asked };
        let restored = stay(recovering(cancel_asked));
        let none = Err(Refusal::NotInFlight);
        check(
            status,
            due,
            [doubt, credited, absent, asked, doubt, restored, none],
        );
        let (waits, asked) = (Err(Refusal::Recovering), stay(recovering(true)));
        check(
            recovering(cancel_asked),
            due,
            [waits, credited, absent, asked, waits, restored, credited],
        );
    }
}

#[test]
fn an_ended_remittance_never_moves_again() {
    let credited = Status::Credited {
        at: Timestamp::EPOCH,
    };
    let refused = Err(Refusal::AlreadyCredited);
    let gone = Err(Refusal::NotInFlight);
    for due in [false, true] {
        check(
            credited,
            due,
            [
                refused,
                stay(credited),
                refused,
                refused,
                refused,
                stay(credited),
                stay(credited),
            ],
        );
        let reason = ReturnReason::Expired;
        let expired = Status::Returned {
            at: Timestamp::EPOCH,
            reason,
        };
        let refused = Err(Refusal::Expired);
        let kept = stay(expired);
        check(
            expired,
            due,
            [refused, gone, gone, refused, kept, kept, gone],
        );
        let reason = ReturnReason::Cancelled;
        let cancelled = Status::Returned {
            at: Timestamp::EPOCH,
            reason,
        };
        let refused = Err(Refusal::Cancelled);
        let kept = stay(cancelled);
        check(
            cancelled,
            due,
            [refused, gone, gone, kept, refused, kept, gone],
        );
    }
}

#[test]
fn what_is_not_funded_is_neither_sent_nor_proven_and_ends_without_a_transfer() {
    let (none, no) = (Err(Refusal::NotInFlight), Err(Refusal::NotFunded));
    let unfunded = |reason| stay(Status::Unfunded { at: NOW, reason });
    let cancelled = unfunded(UnfundedReason::Cancelled);
    let early = Err(Refusal::NotExpired);
    let bad = Err(Refusal::Contradictory);
    let events = [no, none, none, cancelled, early, bad, none];
    check(Status::Ordered, false, events);
    let expired = unfunded(UnfundedReason::Expired);
    let events = [no, none, none, cancelled, expired, bad, none];
    check(Status::Ordered, true, events);
    let noted = Ok(Transition::unknown(true, false));
    let doubt = Err(Refusal::InDoubt);
    for (cancel_asked, due) in [(false, false), (false, true), (true, false), (true, true)] {
        let status = Transition::unknown(cancel_asked, false).to;
        let restored = Ok(Transition::unknown(cancel_asked, true));
        check(status, due, [no, none, none, noted, doubt, restored, none]);
    }
}

#[test]
fn a_bank_decides_once_and_what_is_not_wanted_any_more_goes_back() {
    let (bad, asked) = (Err(Refusal::Contradictory), |cancel_asked| {
        Ok(Transition::unknown(cancel_asked, false))
    });
    let open = Ok(Transition::post(Status::Open, Posting::ToEscrow));
    let refund = |reason| {
        let refunding = Status::Refunding { reason };
        Ok(Transition::post(refunding, Posting::ToEscrow))
    };
    let refused = |reason| Ok(Transition::unfunded(NOW, reason));
    check_funding(BANK, Status::Ordered, false, [asked(false), bad, bad, bad]);
    let late = Err(Refusal::Expired);
    check_funding(BANK, Status::Ordered, true, [late, bad, bad, bad]);
    for (cancel_asked, due, fund, refuse) in [
        (false, false, open, UnfundedReason::Refused),
        (
            false,
            true,
            refund(ReturnReason::Expired),
            UnfundedReason::Expired,
        ),
        (
            true,
            false,
            refund(ReturnReason::Cancelled),
            UnfundedReason::Cancelled,
        ),
        (
            true,
            true,
            refund(ReturnReason::Cancelled),
            UnfundedReason::Cancelled,
        ),
    ] {
        let status = Transition::unknown(cancel_asked, false).to;
        let expected = [asked(cancel_asked), fund, refused(refuse), bad];
        check_funding(BANK, status, due, expected);
    }
    for reason in [ReturnReason::Expired, ReturnReason::Cancelled] {
        let refunding = Status::Refunding { reason };
        let done = Ok(Transition::post(
            Status::Returned { at: NOW, reason },
            Posting::ToSender,
        ));
        check_funding(BANK, refunding, true, [bad, stay(refunding), bad, done]);
        let returned = Status::Returned { at: NOW, reason };
        let same = stay(returned);
        check_funding(BANK, returned, true, [bad, same, bad, same]);
    }
    for reason in [UnfundedReason::Refused, UnfundedReason::Cancelled] {
        let status = Status::Unfunded { at: NOW, reason };
        check_funding(BANK, status, false, [bad, bad, stay(status), bad]);
    }
    let same = stay(Status::Open);
    check_funding(BANK, Status::Open, false, [bad, same, bad, bad]);
}

#[test]
fn what_a_bank_gave_returns_only_when_it_has_acknowledged() {
    let cancel = |flow, status| escrow(flow, status, false).on(Event::Cancel, NOW);
    let reason = ReturnReason::Cancelled;
    assert_eq!(
        cancel(BANK, Status::Open),
        stay(Status::Refunding { reason })
    );
    assert_eq!(cancel(ACCOUNT, Status::Open), back(reason));
    let absent = escrow(BANK, Status::CommitSent { cancel_asked: true }, false);
    let step = absent.on(Event::ProveAbsent, NOW);
    assert_eq!(step, stay(Status::Refunding { reason }));
}

#[test]
fn what_was_not_funded_when_the_backup_was_made_is_recovering_once_it_is() {
    for flow in [BANK, CARD] {
        let ordered = escrow(flow, Status::Ordered, false);
        let restored = ordered.on(Event::Restore, NOW).unwrap();
        assert_eq!(restored, Transition::unknown(false, true));
        for due in [false, true] {
            let funded = escrow(flow, restored.to, due).on(Event::Fund, NOW);
            let expected = Transition::post(recovering(false), Posting::ToEscrow);
            assert_eq!(funded, Ok(expected), "whatever the time");
        }
    }
    let bad = Err(Refusal::Contradictory);
    for (due, asked, reason) in [
        (false, false, ReturnReason::Cancelled),
        (true, false, ReturnReason::Expired),
        (true, true, ReturnReason::Cancelled),
    ] {
        let back = Status::Returned { at: NOW, reason };
        let gone = Ok(Transition::post(back, Posting::ToSender));
        let same = stay(recovering(asked));
        check_funding(BANK, recovering(asked), due, [bad, same, bad, gone]);
        // the bank may have refunded it after the backup: it is never open again
        let absent = escrow(BANK, recovering(asked), due).on(Event::ProveAbsent, NOW);
        assert_eq!(absent, stay(Status::Refunding { reason }));
    }
}

#[test]
fn a_debit_comes_off_its_card_by_proof_and_holds_no_escrow() {
    let sent = Status::CommitSent {
        cancel_asked: false,
    };
    let on = |status, event, due| escrow(debit(), status, due).on(event, NOW);
    let paid = Ok(Transition::post(
        Status::Credited { at: NOW },
        Posting::FromCard,
    ));
    assert_eq!(on(sent, Event::ProveCredited, true), paid);
    assert_eq!(on(sent, Event::ProveAbsent, false), stay(Status::Open));
    let ended = |reason| stay(Status::Returned { at: NOW, reason });
    let expired = ended(ReturnReason::Expired);
    assert_eq!(on(sent, Event::ProveAbsent, true), expired);
    assert_eq!(on(Status::Open, Event::Expire, true), expired);
    let cancelled = ended(ReturnReason::Cancelled);
    assert_eq!(on(Status::Open, Event::Cancel, false), cancelled);
    for status in statuses() {
        assert!(!escrow(debit(), status, false).holds(), "{status:?}");
    }
}

#[test]
fn what_a_card_pays_for_waits_for_its_debit_and_goes_home_when_it_comes_too_late() {
    let bad = Err(Refusal::Contradictory);
    let asked = |cancel_asked| Ok(Transition::unknown(cancel_asked, false));
    check_funding(CARD, Status::Ordered, false, [asked(false), bad, bad, bad]);
    let late = Err(Refusal::Expired);
    check_funding(CARD, Status::Ordered, true, [late, bad, bad, bad]);
    let open = Ok(Transition::post(Status::Open, Posting::ToEscrow));
    let home = |reason| {
        let returned = Status::Returned { at: NOW, reason };
        Ok(Transition::post(returned, Posting::Through))
    };
    let cancelled = (ReturnReason::Cancelled, UnfundedReason::Cancelled);
    let expired = (ReturnReason::Expired, UnfundedReason::Expired);
    for (cancel_asked, due, fund, refuse) in [
        (false, false, open, UnfundedReason::Refused),
        (false, true, home(expired.0), expired.1),
        (true, false, home(cancelled.0), cancelled.1),
        (true, true, home(cancelled.0), cancelled.1),
    ] {
        let status = Transition::unknown(cancel_asked, false).to;
        let expected = [asked(cancel_asked), fund, unfunded(refuse), bad];
        check_funding(CARD, status, due, expected);
    }
    let absent = |flow, cancel_asked| {
        let status = Transition::unknown(cancel_asked, false).to;
        escrow(flow, status, false).on(Event::ProveAbsent, NOW)
    };
    assert_eq!(absent(CARD, false), stay(Status::Ordered));
    for (flow, cancel_asked) in [(CARD, true), (BANK, false), (BANK, true)] {
        assert_eq!(absent(flow, cancel_asked), Err(Refusal::NotInFlight));
    }
    let returned = escrow(CARD, Status::Open, false);
    assert_eq!(returned.home(), Account::Payable(returned.sender));
    assert_eq!(returned.paid_from_loss(), Account::Payable(returned.sender));
}

/// Every way of both from the order's first moment on: what the debit does, the order can follow, and
/// the two are funded and proven together.
#[test]
fn an_order_follows_its_debit_wherever_it_goes() {
    let events = EVENTS.into_iter().chain([Event::Close]);
    let events: Vec<Event> = events.collect();
    let mut seen = vec![(Status::Open, Status::Ordered)];
    let mut next = 0;
    while let Some((paying, paid)) = seen.get(next).copied() {
        next += 1;
        for (event, due) in events.iter().flat_map(|e| [(*e, false), (*e, true)]) {
            let Ok(step) = escrow(debit(), paying, due).on(event, NOW) else {
                continue;
            };
            let follows = match order_event(paying, step.to) {
                Some(follows) if step.to != paying => follows,
                _ => {
                    let closed = matches!(paying, Status::Held { .. });
                    assert!(closed || step.to == paying, "{paying:?} {event:?}");
                    continue;
                }
            };
            let moved = escrow(CARD, paid, due).on(follows, NOW);
            let what = (paying, paid, event, follows, due);
            let moved = moved.unwrap_or_else(|refusal| panic!("{what:?} {refusal}"));
            let funds =
                moved.posting == Some(Posting::ToEscrow) || moved.posting == Some(Posting::Through);
            assert_eq!(step.posting == Some(Posting::FromCard), funds, "{what:?}");
            assert_eq!(moved.to.is_funded(), funds, "{what:?}");
            let open = |status| {
                let ended = matches!(
                    status,
                    Status::Credited { .. }
                        | Status::Returned { .. }
                        | Status::Unfunded { .. }
                        | Status::Held { .. }
                );
                !ended
            };
            assert_eq!(open(step.to), open(moved.to) && !funds, "{what:?}");
            let pair = (step.to, moved.to);
            if !moved.to.is_funded() && !seen.contains(&pair) {
                seen.push(pair);
            }
        }
    }
    let sent = |cancel_asked| {
        let asked = Transition::unknown(cancel_asked, false).to;
        (Status::CommitSent { cancel_asked }, asked)
    };
    assert!(seen.contains(&sent(true)) && seen.contains(&sent(false)));
    // open, sent twice, recovering twice, returned twice, held for each of three reasons
    assert_eq!(seen.len(), 10, "{seen:?}");
}

#[test]
fn escrow_is_entered_and_left_exactly_by_the_steps_that_post() {
    let events = || FUNDING.into_iter().chain(EVENTS).chain([Event::Close]);
    for flow in flows() {
        for (status, due) in statuses().into_iter().flat_map(|s| [(s, false), (s, true)]) {
            for event in events() {
                let before = escrow(flow, status, due);
                let Ok(step) = before.on(event, NOW) else {
                    continue;
                };
                let after = Escrow {
                    status: step.to,
                    ..before
                };
                let expected = match (before.holds(), after.holds(), step.posting) {
                    (false, true, posting) => posting == Some(Posting::ToEscrow),
                    (true, false, posting) => {
                        matches!(
                            posting,
                            Some(Posting::ToCard | Posting::ToSender | Posting::ToLoss)
                        )
                    }
                    // closing pays the sender from elsewhere
                    (true, true, Some(Posting::LossToSender)) => event == Event::Close,
                    (true, true, posting) => posting.is_none(),
                    (false, false, None) => true,
                    (false, false, Some(Posting::Through)) => flow == CARD,
                    (false, false, posting) => {
                        let closed = matches!(status, Status::Held { .. });
                        let from = match closed {
                            true => Posting::CardToSender,
                            false => Posting::FromCard,
                        };
                        matches!(flow, Flow::Debit { .. }) && posting == Some(from)
                    }
                };
                assert!(expected, "{flow:?} {status:?} {event:?} due={due}");
            }
        }
    }
}

#[test]
fn a_closed_remittance_still_ends_by_its_card_and_by_nothing_else() {
    let held = Status::Held {
        at: Timestamp::EPOCH,
    };
    let returned = Status::Returned {
        at: NOW,
        reason: ReturnReason::Closed,
    };
    let credited = Ok(Transition {
        to: Status::Credited { at: NOW },
        posting: Some(Posting::ToCard),
    });
    let made_good = Ok(Transition {
        to: returned,
        posting: Some(Posting::ToLoss),
    });
    let refused = Err(Refusal::Closed);
    let gone = Err(Refusal::NotInFlight);
    for due in [false, true] {
        let kept = stay(held);
        check(
            held,
            due,
            [
                refused, credited, made_good, refused, refused, kept, credited,
            ],
        );
        let kept = stay(returned);
        check(
            returned,
            due,
            [refused, gone, gone, refused, refused, kept, gone],
        );
    }
}

#[test]
fn two_persons_close_only_what_nobody_can_know() {
    let now_held = Ok(Transition {
        to: Status::Held { at: NOW },
        posting: Some(Posting::LossToSender),
    });
    for (status, expected) in statuses().into_iter().map(|status| {
        let expected = match status {
            Status::CommitSent { .. } | Status::Recovering { .. } => now_held,
            Status::Held { .. }
            | Status::Returned {
                reason: ReturnReason::Closed,
                ..
            } => stay(status),
            Status::Credited { .. } => Err(Refusal::AlreadyCredited),
            Status::Returned {
                reason: ReturnReason::Expired,
                ..
            } => Err(Refusal::Expired),
            Status::Returned {
                reason: ReturnReason::Cancelled,
                ..
            } => Err(Refusal::Cancelled),
            Status::Ordered
            | Status::FundingUnknown { .. }
            | Status::Open
            | Status::Refunding { .. }
            | Status::Unfunded { .. } => Err(Refusal::NotInFlight),
        };
        (status, expected)
    }) {
        for (flow, due) in [(ACCOUNT, false), (BANK, true), (CARD, false)] {
            let found = escrow(flow, status, due).on(Event::Close, NOW);
            assert_eq!(found, expected, "{flow:?} {status:?}");
        }
        // nobody has to be paid for a debit
        let expected = expected.map(|step| Transition::stay(step.to));
        let debit = escrow(debit(), status, false).on(Event::Close, NOW);
        assert_eq!(debit, expected, "{status:?}");
    }
}
