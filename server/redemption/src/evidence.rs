//! What is kept when a card says something that can not be explained.

use alloc::vec::Vec;
use ledger::{CardState, Proven};

/// Bytes of the evidence kept with a freeze.
pub const EVIDENCE_LEN: usize = 28;

/// STATE as the card stores it (id 16, remittance number u32, payment number u32) and VALUE (i32),
/// all integers little endian. Source: `docs/card-protocol.md`.
pub(crate) fn encode(state: CardState, value: i32) -> Vec<u8> {
    let mut out = Vec::with_capacity(EVIDENCE_LEN);
    out.extend_from_slice(&state.id);
    out.extend_from_slice(&state.remittance_seq.to_le_bytes());
    out.extend_from_slice(&state.payment_seq.to_le_bytes());
    out.extend_from_slice(&value.to_le_bytes());
    out
}

/// Reads the evidence of a freeze, for showing it: what the card said of itself.
///
/// Nothing for bytes that are no evidence of ours, [`EVIDENCE_LEN`] bytes.
#[must_use]
pub fn evidence(bytes: &[u8]) -> Option<Proven> {
    let (id, rest) = bytes.split_first_chunk::<16>()?;
    let (remittance_seq, rest) = rest.split_first_chunk::<4>()?;
    let (payment_seq, rest) = rest.split_first_chunk::<4>()?;
    let value = <[u8; 4]>::try_from(rest).ok()?;
    Some(Proven {
        id: *id,
        remittance_seq: u32::from_le_bytes(*remittance_seq),
        payment_seq: u32::from_le_bytes(*payment_seq),
        value: i64::from(i32::from_le_bytes(value)),
    })
}
