//! The ticket: the server's whole memory of a card session before the commit is decided.
//!
//! ```text
//! ticket  step u8 | nonce 24 | ciphertext | tag 16
//! AAD     "tegata-ticket-v1" | step u8 | remittance 16 | incarnation 16
//! plain   card epoch u64 | UID 7 | expires i64 (UTC microseconds) | session secret   (little endian)
//! ```
//! Tickets exist for exchanges 2 and 3 only, and for the log between 3 and 4. A ticket for one step, remittance or incarnation of
//! the database is no ticket for another: the three are authenticated, not merely stored.

use crate::{
    Context, Incarnation,
    seal::{Nonce, SealKey},
};
use alloc::vec::Vec;
use ledger::{RemittanceId, Timestamp};
use zeroize::Zeroizing;

/// How long a ticket is good for, in microseconds: two minutes. A person who holds a card to a
/// reader needs seconds; a ticket that leaks should not outlive the visit.
pub const LIFETIME_US: i64 = 120_000_000;

/// Separates tickets from everything else sealed under the ticket key.
const LABEL: &[u8; 16] = b"tegata-ticket-v1";

/// Bytes before the session secret.
const HEAD_LEN: usize = 23;

/// Which exchange a ticket answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TicketStep {
    /// Exchange 2: the card's handshake answer is awaited; the secret is the pending handshake.
    Handshake,
    /// Exchange 3: STATE and VALUE are awaited; the secret is the card session.
    Decide,
    /// Exchange 3 once more, after a restore: the card's log is awaited; the secret is the card session
    /// with STATE and VALUE.
    Log,
}

/// What a ticket is bound to besides its step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(crate) step: TicketStep,
    pub(crate) remittance: RemittanceId,
    pub(crate) incarnation: Incarnation,
}

/// An opened, unexpired ticket.
pub(crate) struct Ticket {
    /// The card row's epoch, read before `RndA` was made.
    pub(crate) epoch: u64,
    /// UID of the card that the session key belongs to.
    pub(crate) uid: [u8; 7],
    /// End of life.
    pub(crate) expires: Timestamp,
    /// Pending handshake or session, as the card crate encodes it.
    pub(crate) secret: Zeroizing<Vec<u8>>,
}

/// Why a ticket opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TicketError {
    /// Altered, foreign, or of another step, remittance or incarnation.
    Invalid,
    /// Genuine, and too old.
    Expired,
}

impl TicketStep {
    const fn number(self) -> u8 {
        match self {
            Self::Handshake => 2,
            Self::Decide => 3,
            Self::Log => 4,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Handshake, Self::Decide, Self::Log]
            .into_iter()
            .find(|step| step.number() == number)
    }
}

fn aad(binding: Binding) -> Vec<u8> {
    let remittance = binding.remittance.to_bytes();
    [
        LABEL.as_slice(),
        &[binding.step.number()],
        &remittance,
        &binding.incarnation.0,
    ]
    .concat()
}

impl Ticket {
    /// Seals this ticket under a fresh nonce.
    pub(crate) fn seal(&self, key: &SealKey, nonce: &Nonce, binding: Binding) -> Vec<u8> {
        let mut plain = Zeroizing::new(Vec::with_capacity(
            HEAD_LEN.saturating_add(self.secret.len()),
        ));
        plain.extend_from_slice(&self.epoch.to_le_bytes());
        plain.extend_from_slice(&self.uid);
        plain.extend_from_slice(&self.expires.micros().to_le_bytes());
        plain.extend_from_slice(&self.secret);
        let sealed = key.seal(nonce, &aad(binding), &plain);
        [[binding.step.number()].as_slice(), &sealed].concat()
    }

    /// Opens a ticket and tells its step; it is still good in the microsecond of its expiry.
    pub(crate) fn open(
        context: Context<'_>,
        ticket: &[u8],
        remittance: RemittanceId,
    ) -> Result<(TicketStep, Self), TicketError> {
        let (step, sealed) = ticket.split_first().ok_or(TicketError::Invalid)?;
        let step = TicketStep::from_number(*step).ok_or(TicketError::Invalid)?;
        let binding = Binding {
            step,
            remittance,
            incarnation: context.incarnation,
        };
        let plain = context
            .seal_key
            .open(&aad(binding), sealed)
            .ok_or(TicketError::Invalid)?;
        let ticket = Self::parse(&plain).ok_or(TicketError::Invalid)?;
        if context.now > ticket.expires {
            return Err(TicketError::Expired);
        }
        Ok((step, ticket))
    }

    fn parse(plain: &[u8]) -> Option<Self> {
        let (epoch, rest) = plain.split_first_chunk::<8>()?;
        let (uid, rest) = rest.split_first_chunk::<7>()?;
        let (expires, secret) = rest.split_first_chunk::<8>()?;
        Some(Self {
            epoch: u64::from_le_bytes(*epoch),
            uid: *uid,
            expires: Timestamp::from_micros(i64::from_le_bytes(*expires)),
            secret: Zeroizing::new(secret.to_vec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use ed25519_dalek::SigningKey;

    #[test]
    fn a_ticket_of_one_step_is_none_of_the_other_even_with_its_step_byte_changed() {
        let (seal_key, receipt_key) = (SealKey::new([1; 32]), SigningKey::from_bytes(&[2; 32]));
        let context = Context {
            issuer: "money.example",
            seal_key: &seal_key,
            receipt_key: &receipt_key,
            incarnation: Incarnation([3; 16]),
            now: Timestamp::EPOCH,
        };
        let remittance = RemittanceId::new(1, [4; 10]);
        let ticket = Ticket {
            epoch: 5,
            uid: [6; 7],
            expires: Timestamp::EPOCH,
            secret: Zeroizing::new(vec![7; 40]),
        };
        for (step, other) in [
            (TicketStep::Handshake, TicketStep::Decide),
            (TicketStep::Decide, TicketStep::Log),
            (TicketStep::Log, TicketStep::Handshake),
        ] {
            let binding = Binding {
                step,
                remittance,
                incarnation: context.incarnation,
            };
            let mut sealed = ticket.seal(&seal_key, &[8; 24], binding);
            assert!(matches!(Ticket::open(context, &sealed, remittance), Ok((s, _)) if s == step));
            sealed[0] = other.number();
            let opened = Ticket::open(context, &sealed, remittance);
            assert_eq!(opened.err(), Some(TicketError::Invalid));
        }
    }
}
