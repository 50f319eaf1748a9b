//! The first reading of a card after a backup was restored: the card may know more than the
//! database, and says so by its log.

use alloc::vec::Vec;

use crate::card::{Card, CardState, Proven};
use crate::command::LoggedCredit;
use crate::escrow::{Escrow, Event, Transition};
use crate::flow::Flow;
use crate::refusal::Refusal;
use crate::remittance::Status;
use crate::time::Timestamp;

/// What one remittance of the card becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RereadStep {
    /// The remittance as it was.
    pub escrow: Escrow,
    /// Its next status, with its posting.
    pub step: Transition,
    /// Which entry of [`crate::Settlement::Reread`] shows it; `None`: the card does not have it.
    pub logged: Option<usize>,
}

/// What a first reading writes: all of the card's remittances that the restore left open are
/// decided, what was in flight goes, and the card is a card like any other again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RereadPlan {
    /// One per remittance.
    pub steps: Vec<RereadStep>,
    /// What the card proved: its account holds `proven.value` after these steps.
    pub proven: Proven,
}

impl RereadPlan {
    /// The status that a remittance got.
    #[must_use]
    pub fn status_of(&self, remittance: crate::RemittanceId) -> Option<Status> {
        let mut steps = self.steps.iter();
        let found = steps.find(|step| step.escrow.remittance == remittance);
        found.map(|step| step.step.to)
    }
}

/// Checks what the caller read from the card against the record, and decides each remittance.
///
/// `recovering`: every remittance of this card that is `Recovering`, and every one that a receipt
/// showed as credited since the restore. The card must account for its whole way from what it last
/// proved: as many credits as its number has risen, their amounts the rise of its value, the last
/// of them in STATE, no payment in between, and no receipt contradicted.
///
/// # Errors
/// `Stale` if another session read the card meanwhile; `Contradictory` for anything that does not
/// add up, which a caller freezes instead.
pub(crate) fn reread(
    card: &Card,
    recovering: &[Escrow],
    credited: &[LoggedCredit],
    (state, value): (CardState, i64),
    now: Timestamp,
) -> Result<RereadPlan, Refusal> {
    if !card.reread {
        return Err(Refusal::Stale);
    }
    let mut expected = card.proven;
    for logged in credited {
        let mut known = recovering.iter();
        let escrow = known
            .find(|escrow| escrow.remittance == logged.remittance)
            .ok_or(Refusal::Contradictory)?;
        expected = after(expected, escrow).ok_or(Refusal::Contradictory)?;
    }
    let proven = Proven::from_state(state, value);
    let by_number = planted::on(planted::Bug::DecideBySeq);
    if proven != expected && !by_number {
        return Err(Refusal::Contradictory);
    }
    let mut steps = Vec::with_capacity(recovering.len());
    for escrow in credits_first(recovering) {
        let mut shown = credited.iter();
        let logged = shown.position(|logged| logged.remittance == escrow.remittance);
        let event = match (escrow.status, logged) {
            (_, Some(_)) => Event::ProveCredited,
            (
                Status::Credited { .. }
                | Status::Ordered
                | Status::FundingUnknown { .. }
                | Status::Unfunded { .. }
                | Status::Refunding { .. },
                None,
            ) => return Err(Refusal::Contradictory),
            (
                Status::Open
                | Status::CommitSent { .. }
                | Status::Recovering { .. }
                | Status::Held { .. }
                | Status::Returned { .. },
                None,
            ) => Event::ProveAbsent,
        };
        let step = escrow.on(event, now)?;
        steps.push(RereadStep {
            escrow: *escrow,
            step,
            logged,
        });
    }
    let shown = steps.iter().filter(|step| step.logged.is_some()).count();
    if shown == credited.len() {
        Ok(RereadPlan { steps, proven })
    } else {
        // one remittance twice
        Err(Refusal::Contradictory)
    }
}

/// The same remittances, debits last: a card account that holds what the card does in the end is then
/// never below zero on the way, in whatever order it happened.
pub(crate) fn credits_first(escrows: &[Escrow]) -> impl Iterator<Item = &Escrow> {
    let is_debit = |escrow: &&Escrow| matches!(escrow.flow, Flow::Debit { .. });
    let credits = escrows.iter().filter(move |escrow| !is_debit(escrow));
    credits.chain(escrows.iter().filter(is_debit))
}

/// What the card shows once this remittance was credited too.
fn after(before: Proven, escrow: &Escrow) -> Option<Proven> {
    Some(Proven {
        id: escrow.remittance.to_bytes(),
        remittance_seq: before.remittance_seq.checked_add(1)?,
        payment_seq: before.payment_seq,
        value: escrow
            .flow
            .value_after(before.value, escrow.amount.minor())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CardId, CardStatus, HolderId, NumberRef, RemittanceId, Uid};
    use money::{Amount, Currency};

    const NOW: Timestamp = Timestamp::from_micros(100);

    fn id(number: u64) -> RemittanceId {
        RemittanceId::new(number, [0; 10])
    }

    fn escrow(number: u64, minor: i64, status: Status) -> Escrow {
        Escrow {
            remittance: id(number),
            flow: Flow::Credit(crate::Source::Account),
            sender: HolderId::new(1, [1; 10]),
            card: CardId::new(1, [2; 10]),
            amount: Amount::new(minor, Currency::Jpy).unwrap(),
            status,
            expires: NOW.plus_s(1),
        }
    }

    fn recovering(number: u64, minor: i64) -> Escrow {
        let cancel_asked = false;
        escrow(number, minor, Status::Recovering { cancel_asked })
    }

    /// A card that has proved remittance 9, its third, and 500.
    fn card() -> Card {
        Card {
            id: CardId::new(1, [2; 10]),
            number_ref: NumberRef([9; 32]),
            masked: "**** **** **** 0001".into(),
            uid: Uid([4; 7]),
            holder: HolderId::new(1, [3; 10]),
            status: CardStatus::Active,
            currency: Currency::Jpy,
            value_max: 10_000,
            epoch: 0,
            proven: Proven {
                id: id(9).to_bytes(),
                remittance_seq: 3,
                payment_seq: 7,
                value: 500,
            },
            reread: true,
            lost: None,
            payouts: 0,
            paid_out: 0,
        }
    }

    fn logged(numbers: &[u64]) -> Vec<LoggedCredit> {
        let entry = |&number: &u64| LoggedCredit {
            remittance: id(number),
            receipt: Vec::new(),
        };
        numbers.iter().map(entry).collect()
    }

    fn says(number: u64, remittance_seq: u32, value: i64) -> (CardState, i64) {
        let state = CardState {
            id: id(number).to_bytes(),
            remittance_seq,
            payment_seq: 7,
        };
        (state, value)
    }

    #[test]
    fn a_card_that_is_ahead_proves_what_its_log_shows_and_the_absence_of_the_rest() {
        let known = [recovering(1, 10), recovering(2, 20), recovering(3, 40)];
        let plan = reread(&card(), &known, &logged(&[3, 1]), says(1, 5, 550), NOW).unwrap();
        let credited = Some(Status::Credited { at: NOW });
        let statuses = [1, 2, 3].map(|number| plan.status_of(id(number)));
        assert_eq!(statuses, [credited, Some(Status::Open), credited]);
        assert_eq!((plan.proven.value, plan.proven.remittance_seq), (550, 5));
        let posted = plan.steps.iter().filter(|s| s.step.posting.is_some());
        assert_eq!(posted.count(), 2);
    }

    #[test]
    fn a_card_that_is_unchanged_proves_all_of_them_absent() {
        let due = Escrow {
            expires: NOW,
            ..recovering(2, 20)
        };
        let known = [recovering(1, 10), due];
        let plan = reread(&card(), &known, &[], says(9, 3, 500), NOW).unwrap();
        assert_eq!(plan.status_of(id(1)), Some(Status::Open));
        assert!(matches!(
            plan.status_of(id(2)),
            Some(Status::Returned { .. })
        ));
    }

    #[test]
    fn what_a_receipt_showed_is_posted_once_and_must_be_on_the_card() {
        let shown = escrow(1, 10, Status::Credited { at: NOW });
        let plan = reread(&card(), &[shown], &logged(&[1]), says(1, 4, 510), NOW).unwrap();
        assert!(plan.steps.iter().all(|step| step.step.posting.is_none()));
        let without = reread(&card(), &[shown], &[], says(9, 3, 500), NOW);
        assert_eq!(without, Err(Refusal::Contradictory));
    }

    #[test]
    fn whatever_does_not_add_up_is_refused() {
        let known = [recovering(1, 10), recovering(2, 20)];
        let twice = says(1, 5, 520);
        for (numbers, said) in [
            (&[][..], says(9, 3, 501)),
            (&[1], says(1, 4, 511)),
            (&[1], says(1, 5, 510)),
            (&[1], says(2, 4, 510)),
            (&[1, 1], twice),
            (&[4], says(4, 4, 510)),
        ] {
            let found = reread(&card(), &known, &logged(numbers), said, NOW);
            assert_eq!(found, Err(Refusal::Contradictory), "{numbers:?}");
        }
        let (mut state, value) = says(1, 4, 510);
        state.payment_seq += 1;
        let paid = reread(&card(), &known, &logged(&[1]), (state, value), NOW);
        assert_eq!(paid, Err(Refusal::Contradictory));
        let read = Card {
            reread: false,
            lost: None,
            payouts: 0,
            paid_out: 0,
            ..card()
        };
        let found = reread(&read, &known, &logged(&[1]), says(1, 4, 510), NOW);
        assert_eq!(found, Err(Refusal::Stale));
    }
}
