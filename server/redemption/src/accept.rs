//! Exchanges 2, 3 and 4 begin alike: answers, and a ticket that says what they answer.

use crate::{
    Context,
    evidence::{EVIDENCE_LEN, evidence},
    seal::Nonce,
    ticket::{Binding, LIFETIME_US, Ticket, TicketError, TicketStep},
};
use alloc::vec::Vec;
use card::{
    CardError,
    apdu::Status,
    handshake::Pending,
    key::Key,
    purse,
    secure_messaging::{SESSION_LEN, Session},
};
use ledger::{CardState, RemittanceId, Timestamp};
use wire::exchange::{Answers, Refusal, Reply, Step, StopRule};
use zeroize::Zeroizing;

/// Answers of the card, with what they answer.
#[derive(Debug)]
pub enum Accepted {
    /// Exchange 2: the answer to the handshake.
    Card(CardAnswered),
    /// Exchange 3: STATE and VALUE, or the log.
    State(StateAnswered),
    /// Exchange 4: the answers to the batch, the commit's among them.
    Proof(ProofAnswered),
}

/// Exchange 2: the card has answered the challenge.
#[derive(Debug)]
pub struct CardAnswered {
    binding: Bound,
    pending: Pending,
    answer: Vec<u8>,
}

/// Exchange 3: the card, proven genuine, has told STATE and VALUE; still unchecked.
#[derive(Debug)]
pub struct StateAnswered {
    pub(crate) binding: Bound,
    pub(crate) session: Session,
    pub(crate) answers: Vec<Vec<u8>>,
    /// STATE and VALUE of this session, when the answers are of the log.
    pub(crate) told: Option<(CardState, i32)>,
}

/// Exchange 4: what the card is said to have answered to the batch; no ticket, no time limit.
#[derive(Debug)]
pub struct ProofAnswered {
    pub(crate) remittance: RemittanceId,
    pub(crate) answers: Vec<Vec<u8>>,
}

/// What a ticket binds a session to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) remittance: RemittanceId,
    pub(crate) epoch: u64,
    pub(crate) uid: [u8; 7],
}

/// Finds out which exchange these answers belong to.
///
/// # Errors
/// [`Refusal::RemittanceUnknown`] for an id that is none, [`Refusal::TicketInvalid`] for a ticket
/// that is altered, foreign, or of another remittance, [`Refusal::TicketExpired`].
pub fn accept(context: Context<'_>, answers: Answers) -> Result<Accepted, Refusal> {
    let remittance =
        RemittanceId::from_bytes(answers.remittance).map_err(|_| Refusal::RemittanceUnknown)?;
    let Some(sealed) = answers.ticket else {
        return Ok(Accepted::Proof(ProofAnswered {
            remittance,
            answers: answers.answers,
        }));
    };
    let (step, ticket) = Ticket::open(context, &sealed, remittance).map_err(|e| match e {
        TicketError::Invalid => Refusal::TicketInvalid,
        TicketError::Expired => Refusal::TicketExpired,
    })?;
    let binding = Bound {
        remittance,
        epoch: ticket.epoch,
        uid: ticket.uid,
    };
    match step {
        TicketStep::Handshake => {
            let pending = Pending::from_bytes(&*secret(&ticket)?);
            let [answer] =
                <[Vec<u8>; 1]>::try_from(answers.answers).map_err(|_| Refusal::CardStopped)?;
            Ok(Accepted::Card(CardAnswered {
                binding,
                pending,
                answer,
            }))
        }
        TicketStep::Decide => {
            let session = Session::from_bytes(&*secret(&ticket)?);
            Ok(Accepted::State(StateAnswered {
                binding,
                session,
                answers: answers.answers,
                told: None,
            }))
        }
        TicketStep::Log => {
            let secret = secret::<{ SESSION_LEN + EVIDENCE_LEN }>(&ticket)?;
            let (session, told) = secret
                .split_first_chunk::<SESSION_LEN>()
                .ok_or(Refusal::TicketInvalid)?;
            let told = evidence(told).ok_or(Refusal::TicketInvalid)?;
            let value = i32::try_from(told.value).map_err(|_| Refusal::TicketInvalid)?;
            Ok(Accepted::State(StateAnswered {
                binding,
                session: Session::from_bytes(session),
                answers: answers.answers,
                told: Some((told.state(), value)),
            }))
        }
    }
}

/// The secret of a ticket, of the one length that its step has.
fn secret<const N: usize>(ticket: &Ticket) -> Result<Zeroizing<[u8; N]>, Refusal> {
    let bytes = ticket
        .secret
        .as_slice()
        .try_into()
        .map_err(|_| Refusal::TicketInvalid)?;
    Ok(Zeroizing::new(bytes))
}

impl CardAnswered {
    /// UID of the card that was challenged, for deriving its key again.
    #[must_use]
    pub const fn uid(&self) -> [u8; 7] {
        self.binding.uid
    }

    /// Checks that the card holds its key, and asks it for STATE and VALUE.
    ///
    /// `key`: the card's key 1, the same as in exchange 1.
    ///
    /// # Errors
    /// [`Refusal::CardNotGenuine`] when the answer does not prove the key, [`Refusal::CardStopped`]
    /// when the card answered an error instead.
    pub fn read(self, context: Context<'_>, key: &Key, nonce: &Nonce) -> Result<Reply, Refusal> {
        let mut session = self.pending.finish(key, &self.answer).map_err(refusal_of)?;
        let apdus = purse::read_state_and_value(&mut session).map_err(refusal_of)?;
        let ticket = Ticket {
            epoch: self.binding.epoch,
            uid: self.binding.uid,
            expires: Timestamp::from_micros(context.now.micros().saturating_add(LIFETIME_US)),
            secret: Zeroizing::new(session.to_bytes().to_vec()),
        };
        let binding = Binding {
            step: TicketStep::Decide,
            remittance: self.binding.remittance,
            incarnation: context.incarnation,
        };
        Ok(Reply::Step(Step {
            ticket: Some(ticket.seal(context.seal_key, nonce, binding)),
            stop: StopRule::FirstFailure,
            apdus: apdus.into_iter().collect(),
        }))
    }
}

/// Why a handshake did not end in a session. An error status proves nothing: the terminal may have
/// made it up.
const fn refusal_of(error: CardError) -> Refusal {
    match error {
        CardError::NotGenuine | CardError::Status(Status::AuthenticationError) => {
            Refusal::CardNotGenuine
        }
        CardError::Status(_)
        | CardError::NotNative
        | CardError::Form
        | CardError::Mac
        | CardError::Unasked
        | CardError::CounterUsedUp
        | CardError::OutOfRange
        | CardError::TooLong => Refusal::CardStopped,
    }
}
