//! What the terminal concludes from the exchanges that pass between program and issuer.
//!
//! The program is not believed: whether money may have moved, whether the issuer refused and what
//! the receipt is, the terminal reads for itself. No I/O here.

use alloc::vec::Vec;

use wire::exchange::{Refusal, Reply, Request};

/// What a request means for the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Nothing is lost if its answer is.
    Light,
    /// It carries the card's answers to the batch that moves value: to be journalled, durably,
    /// before it is sent.
    MoneyMayHaveMoved,
}

/// The one remittance a run may speak for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Remittance id of the order that the person agreed to.
    pub remittance: [u8; 16],
    /// Its claim token.
    pub claim_token: [u8; 32],
}

impl core::fmt::Debug for Scope {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Scope")
            .field("remittance", &self.remittance)
            .finish_non_exhaustive()
    }
}

impl Scope {
    /// Reads a request that the program wants to send; `None` if it must not leave.
    ///
    /// A lawful request is well-formed and names this remittance, the first one also its token.
    /// Answers without ticket are lawful only after `watch` saw the server hand out a step without
    /// ticket in this run: before, there is nothing that they could answer.
    #[must_use]
    pub fn weigh(&self, request: &[u8], watch: &Watch) -> Option<Weight> {
        match Request::decode(request).ok()? {
            Request::Instruction(instruction) => (instruction.remittance == self.remittance
                && instruction.claim_token == self.claim_token)
                .then_some(Weight::Light),
            Request::Answers(answers) if answers.remittance == self.remittance => {
                // The step before the last has a ticket, the last one has none: from then on the
                // server goes by its own row (docs/exchange.md).
                match answers.ticket {
                    Some(_) => Some(Weight::Light),
                    None => watch.commit_handed_out.then_some(Weight::MoneyMayHaveMoved),
                }
            }
            Request::Answers(_) => None,
        }
    }
}

/// What has passed in one run so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// Exchanges that were answered.
    pub exchanges: u32,
    /// Commands that were sent to the card.
    pub apdus: u32,
    /// The batch that moves value has been handed out.
    pub commit_handed_out: bool,
    /// Nothing has been journalled yet since that batch was last handed out.
    pub answers_due: bool,
    /// The receipt bytes that the server sent, unchecked.
    pub receipt: Option<Vec<u8>>,
    /// The refusal that the server sent.
    pub refusal: Option<Refusal>,
}

impl Watch {
    /// Takes note of a reply.
    pub fn replied(&mut self, reply: &Reply) {
        self.exchanges = self.exchanges.saturating_add(1);
        match reply {
            Reply::Step(step) if step.ticket.is_none() => {
                self.commit_handed_out = true;
                self.answers_due = true;
            }
            Reply::Step(_) => {}
            Reply::Receipt(receipt) => self.receipt = Some(receipt.clone()),
            Reply::Refusal(refusal) => self.refusal = Some(*refusal),
        }
    }

    /// Whether the receipt answered the first request: credited before this run began.
    #[must_use]
    pub const fn credited_before(&self) -> bool {
        self.exchanges == 1
    }
}

/// Whether a reply to the last exchange ends the need to send that exchange again.
///
/// A receipt does, once checked and stored: its caller decides. A refusal does when the server has
/// judged the card's answers; it does not when the server could not look at them, because it may be
/// able to later, nor when the remittance has ended some other way.
#[must_use]
pub const fn concludes(refusal: Refusal) -> bool {
    match refusal {
        Refusal::InDoubt
        | Refusal::CardStopped
        | Refusal::CardNotGenuine
        | Refusal::CardFrozen
        | Refusal::CardUnknown
        | Refusal::WrongCard
        | Refusal::CardFull
        | Refusal::CardShort
        | Refusal::ProgramRevoked => true,
        // Ended: two persons may have closed it, or the database may be restored; a genuine proof still
        // counts then, and what is journalled is the card's own word. Unknown: it may be restored. Recovering: it was. Blocked: two persons may still need the proof.
        // Superseded, not yet valid: what was sent to the card was neither when it was sent.
        // The others say nothing about the answers.
        Refusal::Superseded
        | Refusal::NotYetValid
        | Refusal::Expired
        | Refusal::Cancelled
        | Refusal::Returned
        | Refusal::RemittanceUnknown
        | Refusal::Recovering
        | Refusal::NotInDatabase
        | Refusal::ClaimTokenWrong
        | Refusal::CardBlocked
        | Refusal::CardBusy
        | Refusal::Restart
        | Refusal::TicketInvalid
        | Refusal::TicketExpired => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, Watch, Weight, concludes};
    use alloc::{vec, vec::Vec};
    use wire::exchange::{Answers, Instruction, Refusal, Reply, Request, Step, StopRule};

    const SCOPE: Scope = Scope {
        remittance: [1; 16],
        claim_token: [2; 32],
    };

    fn instruction(remittance: u8, token: u8) -> Vec<u8> {
        let instruction = Instruction {
            remittance: [remittance; 16],
            claim_token: [token; 32],
            uid: [3; 7],
            handshake: [4; 16],
        };
        Request::Instruction(instruction).encode().unwrap()
    }

    fn answers(remittance: u8, ticket: Option<Vec<u8>>) -> Vec<u8> {
        let answers = vec![vec![0x91, 0]];
        Request::Answers(Answers {
            remittance: [remittance; 16],
            ticket,
            answers,
        })
        .encode()
        .unwrap()
    }

    #[test]
    fn only_requests_for_the_agreed_remittance_leave() {
        for (request, expected) in [
            (instruction(1, 2), Some(Weight::Light)),
            (instruction(9, 2), None),
            (instruction(1, 9), None),
            (answers(1, Some(vec![7])), Some(Weight::Light)),
            (answers(1, None), Some(Weight::MoneyMayHaveMoved)),
            (answers(9, None), None),
            (vec![], None),
            (b"GET / HTTP/1.1".to_vec(), None),
        ] {
            let watch = Watch {
                commit_handed_out: true,
                ..Watch::default()
            };
            assert_eq!(SCOPE.weigh(&request, &watch), expected, "{request:?}");
        }
    }

    #[test]
    fn answers_without_ticket_wait_for_a_step_without_ticket() {
        let mut watch = Watch::default();
        let step = |ticket| {
            Reply::Step(Step {
                ticket,
                stop: StopRule::FirstFailure,
                apdus: vec![vec![0x90; 5]],
            })
        };
        assert_eq!(SCOPE.weigh(&answers(1, None), &watch), None);
        watch.replied(&step(Some(vec![1])));
        assert_eq!(SCOPE.weigh(&answers(1, None), &watch), None);
        watch.replied(&step(None));
        let weight = SCOPE.weigh(&answers(1, None), &watch);
        assert_eq!(weight, Some(Weight::MoneyMayHaveMoved));
    }

    #[test]
    fn the_step_without_ticket_is_where_doubt_begins() {
        let step = |ticket| {
            Reply::Step(Step {
                ticket,
                stop: StopRule::FirstFailure,
                apdus: vec![vec![0x90; 5]],
            })
        };
        let mut watch = Watch::default();
        watch.replied(&step(Some(vec![1])));
        assert!(!watch.commit_handed_out);
        watch.replied(&step(None));
        assert!(watch.commit_handed_out);
        watch.replied(&Reply::Receipt(vec![5]));
        assert_eq!(
            (watch.receipt.as_deref(), watch.exchanges),
            (Some(&[5][..]), 3)
        );
        assert!(!watch.credited_before());
    }

    #[test]
    fn only_a_refusal_that_judges_the_cards_answers_makes_the_proof_forgotten() {
        let judges = [
            Refusal::CardUnknown,
            Refusal::WrongCard,
            Refusal::CardFrozen,
            Refusal::CardFull,
            Refusal::CardNotGenuine,
            Refusal::CardStopped,
            Refusal::InDoubt,
            Refusal::ProgramRevoked,
            Refusal::CardShort,
        ];
        for refusal in Refusal::ALL {
            assert_eq!(concludes(refusal), judges.contains(&refusal), "{refusal:?}");
        }
    }
}
