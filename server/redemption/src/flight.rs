//! The session of an operation in flight, sealed for its row.

use crate::seal::{Nonce, SealKey};
use alloc::vec::Vec;
use card::secure_messaging::{SESSION_LEN, Session};
use ledger::{CardId, RemittanceId};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Separates these from tickets, which are sealed with the same key.
const LABEL: &[u8; 16] = b"tegata-flight-v1";

/// The card and the remittance a session in flight belongs to. Not the incarnation: a proof must
/// still be accepted after a backup was restored.
fn aad(card: CardId, remittance: RemittanceId) -> Vec<u8> {
    [LABEL.as_slice(), card.as_bytes(), remittance.as_bytes()].concat()
}

/// Seals the session as it is before the first command of the batch.
pub(crate) fn seal(
    key: &SealKey,
    nonce: &Nonce,
    card: CardId,
    remittance: RemittanceId,
    session: &Session,
) -> Vec<u8> {
    key.seal(nonce, &aad(card, remittance), session.to_bytes().as_slice())
}

/// Opens what [`seal`] made.
pub(crate) fn open(
    key: &SealKey,
    card: CardId,
    remittance: RemittanceId,
    sealed: &[u8],
) -> Option<Session> {
    let plain = key.open(&aad(card, remittance), sealed)?;
    let bytes = Zeroizing::new(<[u8; SESSION_LEN]>::try_from(plain.as_slice()).ok()?);
    Some(Session::from_bytes(&bytes))
}

/// Whether two states belong to one card session: equal keys and TI, whatever the counters.
pub(crate) fn same_session(left: &Session, right: &Session) -> bool {
    /// Session keys (2 x 16) and TI (4), which come first in the encoding.
    const IDENTITY_LEN: usize = 36;
    let (left, right) = (left.to_bytes(), right.to_bytes());
    match (left.get(..IDENTITY_LEN), right.get(..IDENTITY_LEN)) {
        (Some(left), Some(right)) => left.ct_eq(right).into(),
        (_, _) => false,
    }
}
