//! What a case rests on, for a person and for a program: what a card said, or what the audit found.

use card::purse::LogRecord;
use data_encoding::HEXLOWER;
use ledger::{CaseKind, FreezeCase, Proven};
use redemption::{evidence, evidence_log};
use serde_json::{Value, json};

/// The evidence of a case, read as its kind says.
pub(super) enum Evidence {
    /// What the card said of itself, with its log where that was read.
    Card(Proven, Vec<Option<LogRecord>>),
    /// What the audit found.
    Found(String),
    /// Bytes that this program does not write.
    Unreadable(String),
}

impl Evidence {
    pub(super) fn of(case: &FreezeCase) -> Self {
        let bytes = &case.evidence;
        match case.kind {
            CaseKind::BooksDisagree => Self::Found(String::from_utf8_lossy(bytes).into_owned()),
            CaseKind::Unexplained | CaseKind::OldCardSeen => evidence(bytes).map_or_else(
                || Self::Unreadable(HEXLOWER.encode(bytes)),
                |said| Self::Card(said, evidence_log(bytes)),
            ),
        }
    }

    /// One line for a person.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Card(said, _) => format!(
                "card says remittance {} number {} payment {} value {}",
                HEXLOWER.encode(&said.id),
                said.remittance_seq,
                said.payment_seq,
                said.value
            ),
            Self::Found(text) | Self::Unreadable(text) => text.clone(),
        }
    }

    /// What the card said, without its log; nothing for anything else.
    pub(super) fn card_says(&self) -> Option<Value> {
        match self {
            Self::Card(said, _) => Some(json!({
                "remittance": HEXLOWER.encode(&said.id),
                "remittance_seq": said.remittance_seq,
                "payment_seq": said.payment_seq,
                "value_minor": said.value,
            })),
            Self::Found(_) | Self::Unreadable(_) => None,
        }
    }

    /// The card's log; empty for anything else.
    pub(super) fn card_log(&self) -> Value {
        match self {
            Self::Card(_, log) => log_document(log),
            Self::Found(_) | Self::Unreadable(_) => json!([]),
        }
    }

    /// What the audit found; nothing for anything else.
    pub(super) fn found(&self) -> Option<&str> {
        match self {
            Self::Found(text) => Some(text),
            Self::Card(..) | Self::Unreadable(_) => None,
        }
    }
}

/// A card's log, oldest record first; `null` for a record that is of no known form.
pub(super) fn log_document(log: &[Option<LogRecord>]) -> Value {
    let one = |record: &LogRecord| {
        json!({
            "kind": record.kind.byte(),
            "id": HEXLOWER.encode(&record.id),
            "amount_minor": record.amount,
            "balance_after_minor": record.balance_after,
            "day": record.day,
        })
    };
    log.iter().map(|record| record.as_ref().map(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{CardId, Timestamp};

    fn case(kind: CaseKind, evidence: Vec<u8>) -> FreezeCase {
        FreezeCase {
            number: 1,
            kind,
            closed: None,
            card: CardId::new(1, [2; 10]),
            in_flight: None,
            evidence,
            at: Timestamp::from_micros(1),
        }
    }

    /// 28 bytes and one record of 30 is what a card says; a finding may be as long.
    #[test]
    fn a_finding_is_text_whatever_its_length() {
        for len in [1, 28, 58, 88] {
            let text = "card-is-proven-value  account 7, proven 5 ".repeat(3);
            let text = &text[..len];
            let found = Evidence::of(&case(CaseKind::BooksDisagree, text.into()));
            assert_eq!((found.line().as_str(), found.found()), (text, Some(text)));
            assert_eq!((found.card_says(), found.card_log()), (None, json!([])));
        }
    }

    #[test]
    fn what_a_card_said_is_read_with_its_log() {
        let bytes = vec![7; 58];
        for kind in [CaseKind::Unexplained, CaseKind::OldCardSeen] {
            let said = Evidence::of(&case(kind, bytes.clone()));
            assert_eq!(said.card_says().unwrap()["remittance_seq"], 0x0707_0707);
            // one record, of no known kind
            assert_eq!((said.card_log(), said.found()), (json!([null]), None));
            let odd = Evidence::of(&case(kind, vec![7; 57]));
            assert_eq!((odd.line(), odd.card_says()), ("07".repeat(57), None));
        }
    }
}
