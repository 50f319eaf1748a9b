//! What is kept when a card says something that can not be explained.

use alloc::vec::Vec;
use ledger::CardState;

/// Bytes of the evidence kept with a freeze.
pub const EVIDENCE_LEN: usize = 28;

/// STATE as the card stores it (id 16, remittance seq u32, payment seq u32) and VALUE (i32), all
/// integers little endian. Source: `docs/card-protocol.md`.
pub(crate) fn encode(state: CardState, value: i32) -> Vec<u8> {
    let mut out = Vec::with_capacity(EVIDENCE_LEN);
    out.extend_from_slice(&state.id);
    out.extend_from_slice(&state.remittance_seq.to_le_bytes());
    out.extend_from_slice(&state.payment_seq.to_le_bytes());
    out.extend_from_slice(&value.to_le_bytes());
    out
}
