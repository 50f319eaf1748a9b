//! What is kept when a card says something that can not be explained.

use alloc::vec::Vec;
use card::purse::{LOG_RECORD_LEN, LogRecord};
use ledger::{CardState, Proven};

use crate::reread::Record;

/// Bytes of the evidence kept with a freeze, before the log.
pub const EVIDENCE_LEN: usize = 28;

/// STATE as the card stores it (id 16, remittance number u32, payment number u32) and VALUE (i32),
/// all integers little endian; then the log, where it was read: up to eight records of 30 bytes as they
/// stand on the card, oldest first. Source: `docs/card-protocol.md`.
#[must_use]
pub fn encode(state: CardState, value: i32, log: &[Record]) -> Vec<u8> {
    let mut out = Vec::with_capacity(EVIDENCE_LEN);
    out.extend_from_slice(&state.id);
    out.extend_from_slice(&state.remittance_seq.to_le_bytes());
    out.extend_from_slice(&state.payment_seq.to_le_bytes());
    out.extend_from_slice(&value.to_le_bytes());
    log.iter().for_each(|record| out.extend_from_slice(record));
    out
}

/// Reads the evidence of a freeze, for showing it: what the card said of itself.
///
/// Nothing for bytes that are no evidence of ours: [`EVIDENCE_LEN`] and 30 for each record of the log.
#[must_use]
pub fn evidence(bytes: &[u8]) -> Option<Proven> {
    let (id, rest) = bytes.split_first_chunk::<16>()?;
    let (remittance_seq, rest) = rest.split_first_chunk::<4>()?;
    let (payment_seq, rest) = rest.split_first_chunk::<4>()?;
    let (value, log) = rest.split_first_chunk::<4>()?;
    let ([..], []) = log.as_chunks::<LOG_RECORD_LEN>() else {
        return None;
    };
    Some(Proven {
        id: *id,
        remittance_seq: u32::from_le_bytes(*remittance_seq),
        payment_seq: u32::from_le_bytes(*payment_seq),
        value: i64::from(i32::from_le_bytes(*value)),
    })
}

/// Reads the log in the evidence of a freeze, oldest record first; empty where it was not read.
///
/// `None` for a record that is not of a known version and kind.
#[must_use]
pub fn evidence_log(bytes: &[u8]) -> Vec<Option<LogRecord>> {
    let log = bytes.get(EVIDENCE_LEN..).unwrap_or_default();
    let (records, _) = log.as_chunks::<LOG_RECORD_LEN>();
    records.iter().map(LogRecord::from_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use card::purse::LogKind;

    #[test]
    fn evidence_is_read_back_with_and_without_the_log() {
        let state = CardState {
            id: [1; 16],
            remittance_seq: 2,
            payment_seq: 3,
        };
        let record = LogRecord {
            kind: LogKind::Credit,
            id: [1; 16],
            amount: 5,
            balance_after: 6,
            day: 7,
        };
        for (log, read) in [
            (vec![], vec![]),
            (vec![record.to_bytes(), [9; 30]], vec![Some(record), None]),
        ] {
            let bytes = encode(state, -4, &log);
            assert_eq!(evidence(&bytes), Some(Proven::from_state(state, -4)));
            assert_eq!(evidence_log(&bytes), read);
            assert_eq!(evidence(&bytes[1..]), None);
        }
    }
}
