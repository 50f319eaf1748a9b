//! Remittances and what may become of them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use money::Amount;

use crate::id::{CardId, HolderId, RemittanceId};
use crate::outbox::MailStatus;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Longest signed receipt, in bytes; the exchange carries no longer one.
pub const RECEIPT_LEN_MAX: usize = 2_048;

/// Keyed hash of a claim code: finds the program for a person who types the code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimRef(pub [u8; 32]);

impl fmt::Debug for ClaimRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimRef([redacted])")
    }
}

/// Why value went back to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReturnReason {
    /// Nobody picked it up in time.
    Expired,
    /// The sender took it back.
    Cancelled,
}

/// Where the money of a remittance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// In escrow; nothing has been sent to the card.
    Open,
    /// In escrow; the card may or may not hold it already.
    CommitSent {
        /// The sender asked for it back meanwhile.
        cancel_asked: bool,
    },
    /// In escrow, in a database that was restored from a backup: what happened since is forgotten
    /// here, and the card may hold it. Ends by what the card, a receipt or two persons say.
    Recovering {
        /// The sender asked for it back, before the backup or since.
        cancel_asked: bool,
    },
    /// On the card: the end.
    Credited {
        /// When the proof was accepted.
        at: Timestamp,
    },
    /// Back with the sender: the end.
    Returned {
        /// When.
        at: Timestamp,
        /// Why.
        reason: ReturnReason,
    },
}

impl Status {
    /// The stable code: also the stored form, and what holders see.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::CommitSent { .. } => "commit-sent",
            Self::Recovering { .. } => "recovering",
            Self::Credited { .. } => "credited",
            Self::Returned {
                reason: ReturnReason::Expired,
                ..
            } => "expired",
            Self::Returned {
                reason: ReturnReason::Cancelled,
                ..
            } => "cancelled",
        }
    }

    /// Whether the escrow account of the remittance holds its amount.
    #[must_use]
    pub const fn holds_escrow(self) -> bool {
        match self {
            Self::Open | Self::CommitSent { .. } | Self::Recovering { .. } => true,
            Self::Credited { .. } | Self::Returned { .. } => false,
        }
    }
}

/// What may happen to a remittance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A batch with its commit is about to leave for the card.
    SendCommit,
    /// The card proved that it holds the value.
    ProveCredited,
    /// The card proved that it does not, and that the batch can no longer reach it.
    ProveAbsent,
    /// The sender wants it back.
    Cancel,
    /// The clock wants it back.
    Expire,
    /// The database was restored from a backup.
    Restore,
    /// A receipt that we signed was shown, whose remittance this database does not know as
    /// credited.
    ShowReceipt,
}

/// Where the value in escrow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Posting {
    /// Escrow to the card account.
    ToCard,
    /// Escrow to the sender's account.
    ToSender,
}

/// A step that is allowed: the next status and the transfer that belongs to it, both written in
/// one transaction. The status may be the present one; then there is nothing to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The status from now on.
    pub to: Status,
    /// The end leg, if this step is the end.
    pub posting: Option<Posting>,
}

impl Transition {
    const fn stay(status: Status) -> Self {
        Self {
            to: status,
            posting: None,
        }
    }

    const fn credited(at: Timestamp) -> Self {
        Self {
            to: Status::Credited { at },
            posting: Some(Posting::ToCard),
        }
    }

    /// Not on the card, and no longer able to get there.
    const fn absent(cancel_asked: bool, due: bool, now: Timestamp) -> Self {
        match (cancel_asked, due) {
            (true, _) => Self::give_back(now, ReturnReason::Cancelled),
            (false, true) => Self::give_back(now, ReturnReason::Expired),
            (false, false) => Self::stay(Status::Open),
        }
    }

    const fn give_back(at: Timestamp, reason: ReturnReason) -> Self {
        Self {
            to: Status::Returned { at, reason },
            posting: Some(Posting::ToSender),
        }
    }
}

/// The part of a remittance that decides about money: its escrow account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escrow {
    /// The remittance.
    pub remittance: RemittanceId,
    /// Who paid it in.
    pub sender: HolderId,
    /// The card it is bound to.
    pub card: CardId,
    /// How much.
    pub amount: Amount,
    /// Where it is.
    pub status: Status,
    /// From this instant on it goes back to the sender.
    pub expires: Timestamp,
}

impl Escrow {
    /// The transition table: every status against every event.
    ///
    /// `now`: the ledger's time. A remittance expires *at* `expires`.
    ///
    /// # Errors
    /// The refusal of the table in `docs/ledger.md`.
    pub const fn on(&self, event: Event, now: Timestamp) -> Result<Transition, Refusal> {
        let due = self.expires.micros() <= now.micros();
        match self.status {
            Status::Open => Self::on_open(event, due, now),
            Status::CommitSent { cancel_asked } => {
                Self::on_commit_sent(event, cancel_asked, due, now)
            }
            Status::Recovering { cancel_asked } => {
                Self::on_recovering(event, cancel_asked, due, now)
            }
            Status::Credited { .. } => match event {
                Event::ProveCredited | Event::Restore | Event::ShowReceipt => {
                    Ok(Transition::stay(self.status))
                }
                Event::SendCommit | Event::ProveAbsent | Event::Cancel | Event::Expire => {
                    Err(Refusal::AlreadyCredited)
                }
            },
            Status::Returned { reason, .. } => match (event, reason) {
                (Event::Cancel, ReturnReason::Cancelled)
                | (Event::Expire, ReturnReason::Expired)
                | (Event::Restore, _) => Ok(Transition::stay(self.status)),
                (Event::ProveCredited | Event::ProveAbsent | Event::ShowReceipt, _) => {
                    Err(Refusal::NotInFlight)
                }
                (Event::SendCommit | Event::Expire, ReturnReason::Cancelled) => {
                    Err(Refusal::Cancelled)
                }
                (Event::SendCommit | Event::Cancel, ReturnReason::Expired) => Err(Refusal::Expired),
            },
        }
    }

    const fn on_open(event: Event, due: bool, now: Timestamp) -> Result<Transition, Refusal> {
        match (event, due) {
            (Event::SendCommit, false) => Ok(Transition::stay(Status::CommitSent {
                cancel_asked: false,
            })),
            (Event::SendCommit, true) => Err(Refusal::Expired),
            (Event::ProveCredited | Event::ProveAbsent | Event::ShowReceipt, _) => {
                Err(Refusal::NotInFlight)
            }
            (Event::Restore, _) => Ok(Transition::stay(Status::Recovering {
                cancel_asked: false,
            })),
            (Event::Cancel, _) => Ok(Transition::give_back(now, ReturnReason::Cancelled)),
            (Event::Expire, true) => Ok(Transition::give_back(now, ReturnReason::Expired)),
            (Event::Expire, false) => Err(Refusal::NotExpired),
        }
    }

    const fn on_commit_sent(
        event: Event,
        cancel_asked: bool,
        due: bool,
        now: Timestamp,
    ) -> Result<Transition, Refusal> {
        match (event, cancel_asked, due) {
            (Event::SendCommit | Event::Expire, _, _) => Err(Refusal::InDoubt),
            (Event::ShowReceipt, _, _) => Err(Refusal::NotInFlight),
            (Event::ProveCredited, _, _) => Ok(Transition::credited(now)),
            (Event::ProveAbsent, _, _) => Ok(Transition::absent(cancel_asked, due, now)),
            (Event::Cancel, _, _) => {
                Ok(Transition::stay(Status::CommitSent { cancel_asked: true }))
            }
            (Event::Restore, cancel_asked, _) => {
                Ok(Transition::stay(Status::Recovering { cancel_asked }))
            }
        }
    }

    const fn on_recovering(
        event: Event,
        cancel_asked: bool,
        due: bool,
        now: Timestamp,
    ) -> Result<Transition, Refusal> {
        match event {
            Event::SendCommit | Event::Expire => Err(Refusal::Recovering),
            Event::ProveCredited | Event::ShowReceipt => Ok(Transition::credited(now)),
            Event::ProveAbsent => Ok(Transition::absent(cancel_asked, due, now)),
            Event::Cancel => Ok(Transition::stay(Status::Recovering { cancel_asked: true })),
            Event::Restore => Ok(Transition::stay(Status::Recovering { cancel_asked })),
        }
    }
}

/// A remittance with everything needed to show it, mail it and rebuild its program.
#[derive(Clone, PartialEq, Eq)]
pub struct Remittance {
    /// Its id.
    pub id: RemittanceId,
    /// Revision of the order bytes; 0 for the first.
    pub revision: u32,
    /// Who sends.
    pub sender: HolderId,
    /// The name shown to the recipient.
    pub sender_name: String,
    /// The card it is bound to.
    pub card: CardId,
    /// That card's number, masked.
    pub card_masked: String,
    /// How much.
    pub amount: Amount,
    /// The sender's note; may be empty.
    pub note: String,
    /// Where the money is.
    pub status: Status,
    /// When it was placed.
    pub created: Timestamp,
    /// From when on it goes back.
    pub expires: Timestamp,
    /// The order as the program carries it.
    pub order_bytes: Vec<u8>,
    /// Signature over the program.
    pub signature: [u8; 64],
    /// The public key it verifies with.
    pub program_key: [u8; 32],
    /// SHA-256 of the template.
    pub template_hash: [u8; 32],
    /// The signed receipt, once credited: always the same bytes.
    pub receipt: Option<Vec<u8>>,
    /// What became of the mail.
    pub mail: MailStatus,
}

impl Remittance {
    /// The part that decides about money.
    #[must_use]
    pub const fn escrow(&self) -> Escrow {
        Escrow {
            remittance: self.id,
            sender: self.sender,
            card: self.card,
            amount: self.amount,
            status: self.status,
            expires: self.expires,
        }
    }
}

impl fmt::Debug for Remittance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remittance")
            .field("id", &self.id)
            .field("card", &self.card)
            .field("amount", &self.amount)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use money::Currency;

    const NOW: Timestamp = Timestamp::from_micros(100);
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
        Ok(Transition::give_back(NOW, reason))
    }

    const fn recovering(cancel_asked: bool) -> Status {
        Status::Recovering { cancel_asked }
    }

    fn stay(status: Status) -> Result<Transition, Refusal> {
        Ok(Transition::stay(status))
    }

    /// The table of `docs/ledger.md`: events across, in the order of [`EVENTS`].
    fn check(status: Status, due: bool, expected: [Result<Transition, Refusal>; 7]) {
        let escrow = Escrow {
            remittance: RemittanceId::new(1, [0; 10]),
            sender: HolderId::new(1, [1; 10]),
            card: CardId::new(1, [2; 10]),
            amount: Amount::new(1, Currency::Jpy).unwrap(),
            status,
            expires: if due {
                NOW
            } else {
                Timestamp::from_micros(101)
            },
        };
        for (event, expected) in EVENTS.into_iter().zip(expected) {
            assert_eq!(
                escrow.on(event, NOW),
                expected,
                "{status:?} {event:?} due={due}"
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
    fn escrow_is_left_exactly_by_the_steps_that_post() {
        for status in [
            Status::Open,
            Status::CommitSent {
                cancel_asked: false,
            },
            Status::CommitSent { cancel_asked: true },
            recovering(false),
            recovering(true),
            Status::Credited { at: NOW },
            Status::Returned {
                at: NOW,
                reason: ReturnReason::Expired,
            },
            Status::Returned {
                at: NOW,
                reason: ReturnReason::Cancelled,
            },
        ] {
            for (event, expires) in EVENTS
                .into_iter()
                .flat_map(|e| [(e, NOW), (e, NOW.plus_s(1))])
            {
                let escrow = Escrow {
                    remittance: RemittanceId::new(1, [0; 10]),
                    sender: HolderId::new(1, [1; 10]),
                    card: CardId::new(1, [2; 10]),
                    amount: Amount::new(1, Currency::Jpy).unwrap(),
                    status,
                    expires,
                };
                if let Ok(step) = escrow.on(event, NOW) {
                    let left = status.holds_escrow() && !step.to.holds_escrow();
                    assert_eq!(left, step.posting.is_some(), "{status:?} {event:?}");
                }
            }
        }
    }
}
