//! Records: one encoding per change, and no number used twice.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use audit_log::{Change, RECORD_LEN_MAX, Record, Side};
use ledger::{
    CardId, CardStatus, HolderId, MailId, Refusal, RemittanceId, ReturnReason, Timestamp, TokenId,
    TransferId, UnfundedReason, WebhookId,
};
use money::{Amount, Currency};
use std::collections::BTreeSet;

/// One of each kind, with the longest values that its fields take.
#[expect(clippy::too_many_lines, reason = "a table: one entry per kind")]
fn one_of_each() -> Vec<Change> {
    let random = [0xFF; 10];
    let ms = 0xFFFF_FFFF_FFFF;
    let (card, holder) = (CardId::new(ms, random), HolderId::new(ms, random));
    let remittance = RemittanceId::new(ms, random);
    let mail = MailId::new(ms, random);
    let token = TokenId::new(ms, random);
    let webhook = WebhookId::new(ms, random);
    let currency = Currency::Jpy;
    let amount = Amount::new(9_007_199_254_740_991, currency).unwrap();
    let side = |kind| Side {
        kind,
        id: Some([0xFF; 16]),
    };
    let hash = [0xFF; 32];
    let at = Timestamp::from_micros(i64::MAX);
    vec![
        Change::Posted {
            transfer: TransferId::from_stored([0xFF; 16]),
            from: Side { kind: 0, id: None },
            to: side(255),
            amount,
        },
        Change::HolderAdded {
            holder,
            currency,
            address: true,
            token: false,
        },
        Change::HolderAddress {
            holder,
            address: false,
        },
        Change::CardIssuing {
            card,
            holder,
            currency,
            value_max: i64::MAX,
        },
        Change::CardActive { card },
        Change::CardBlocked { card },
        Change::CardFrozen {
            card,
            status: CardStatus::Frozen,
            in_flight: None,
            evidence: hash,
        },
        Change::Ordered {
            remittance,
            sender: holder,
            card,
            amount,
            expires: at,
            revision: u32::MAX,
            order: hash,
            program_key: hash,
        },
        Change::OrderRefused {
            sender: holder,
            content: hash,
            refusal: Refusal::RecipientWithoutAddress,
        },
        Change::CommitSent {
            remittance,
            card,
            seq: u32::MAX,
            epoch: u64::MAX,
            balance_before: i64::MIN,
        },
        Change::CancelAsked { remittance },
        Change::ProvenAbsent { remittance },
        Change::Credited {
            remittance,
            card,
            seq: u32::MAX,
            payment_seq: u32::MAX,
            value: i64::MAX,
            receipt: hash,
        },
        Change::Returned {
            remittance,
            reason: ReturnReason::Cancelled,
        },
        Change::TemplateKept { template: hash },
        Change::MailSent { mail },
        Change::MailFailed { mail },
        Change::KeyAdded {
            key: hash,
            purpose: u16::MAX,
            not_before: u64::MAX,
            not_after: u64::MAX,
        },
        Change::KeyRevoked {
            key: hash,
            revoked_at: u64::MAX,
        },
        Change::BankAccount {
            holder,
            known: true,
        },
        Change::BankAsked { remittance },
        Change::Funded { remittance },
        Change::Unfunded {
            remittance,
            reason: UnfundedReason::Refused,
        },
        Change::Refunding {
            remittance,
            reason: ReturnReason::Expired,
        },
        Change::Restored { incarnation: hash },
        Change::Recovering { remittance },
        Change::ReceiptShown {
            remittance,
            card,
            receipt: hash,
        },
        Change::CreditedByLog {
            remittance,
            card,
            receipt: hash,
        },
        Change::CardReread {
            card,
            seq: u32::MAX,
            payment_seq: u32::MAX,
            value: i64::MAX,
        },
        Change::Revised {
            remittance,
            revision: u32::MAX,
            order: hash,
            program_key: hash,
            template: hash,
        },
        Change::TemplateWithdrawn { template: hash },
        Change::AccountsSwitched { pooled: true },
        Change::OfficerAdded { officer: hash },
        Change::OfficerWithdrawn { officer: hash },
        Change::ClosedInDoubt {
            remittance,
            card,
            approval: hash,
        },
        Change::CaseAdopted {
            case: u64::MAX,
            card,
            seq: u32::MAX,
            payment_seq: u32::MAX,
            value: i64::MAX,
            adjusted: i64::MIN,
            evidence: hash,
            approval: hash,
        },
        Change::CaseBlocked {
            case: u64::MAX,
            card,
            approval: hash,
        },
        Change::CardLost { card },
        Change::PaidOut {
            card,
            minor: i64::MAX,
        },
        Change::AddressAsked {
            holder,
            request: mail,
        },
        Change::AddressTried {
            request: mail,
            left: u32::MAX,
        },
        Change::AddressVerified {
            holder,
            request: mail,
        },
        Change::AddressCard {
            holder,
            request: mail,
            card: Some(card),
        },
        Change::AddressRemoved {
            holder,
            request: mail,
        },
        Change::Invited {
            remittance,
            sender: holder,
            amount,
            expires: at,
        },
        Change::InvitationClosed {
            remittance,
            approval: hash,
        },
        Change::Approved {
            decision: u64::MAX,
            approval: hash,
        },
        Change::SettleWindow { seconds: u32::MAX },
        Change::TokenAdded {
            holder,
            token,
            scopes: u32::MAX,
        },
        Change::TokenRevoked { holder, token },
        Change::WebhookAdded {
            webhook,
            holder,
            url: hash,
        },
        Change::WebhookRemoved { webhook },
        Change::WebhookSecret {
            webhook,
            secret: u32::MAX,
        },
        Change::WebhookSwitched {
            webhook,
            enabled: true,
        },
    ]
}

#[test]
fn every_kind_is_read_back_from_its_one_encoding() {
    let all = one_of_each();
    let numbers: BTreeSet<_> = all.iter().map(Change::number).collect();
    assert_eq!(numbers, Change::KINDS.iter().map(|kind| kind.0).collect());
    for change in all {
        let record = Record {
            at: Timestamp::from_micros(i64::MIN),
            change,
        };
        let bytes = record.encode();
        assert!(
            bytes.len() <= RECORD_LEN_MAX / 2,
            "{}: {}",
            change.name(),
            bytes.len()
        );
        assert_eq!(Record::decode(&bytes), Ok(record));
        for end in 0..bytes.len() {
            assert!(
                Record::decode(&bytes[..end]).is_err(),
                "{} cut at {end}",
                change.name()
            );
        }
        assert!(Record::decode(&[&bytes[..], &[0]].concat()).is_err());
        let names: Vec<_> = change.show().into_iter().map(|field| field.0).collect();
        let kind = Change::KINDS.iter().find(|kind| kind.0 == change.number());
        assert_eq!(names, kind.unwrap().2);
    }
}

#[test]
fn numbers_and_names_are_given_out_once() {
    let numbers: BTreeSet<_> = Change::KINDS.iter().map(|kind| kind.0).collect();
    let names: BTreeSet<_> = Change::KINDS.iter().map(|kind| kind.1).collect();
    assert_eq!(
        (numbers.len(), names.len()),
        (Change::KINDS.len(), Change::KINDS.len())
    );
}

#[test]
fn the_page_lists_every_kind_with_its_fields() {
    let page = include_str!("../../../docs/audit-log.md");
    for (number, name, fields) in Change::KINDS {
        let row = format!("| {number} | `{name}` | {} |", fields.join(", "));
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn an_unknown_kind_is_refused() {
    assert!(Record::decode(&[0x82, 0x00, 0x19, 0xFF, 0xFF]).is_err());
}

#[test]
fn a_transfer_has_these_bytes() {
    let record = Record {
        at: Timestamp::from_micros(1),
        change: Change::Posted {
            transfer: TransferId::from_stored([7; 16]),
            from: Side { kind: 0, id: None },
            to: Side {
                kind: 1,
                id: Some([9; 16]),
            },
            amount: Amount::new(500, Currency::Jpy).unwrap(),
        },
    };
    let expected = [
        &[0x86, 0x01, 0x01, 0x50][..],
        &[7; 16],
        &[0x82, 0x00, 0xF6, 0x82, 0x01, 0x50],
        &[9; 16],
        &[0x82, 0x19, 0x01, 0xF4, 0x63],
        b"JPY",
    ]
    .concat();
    assert_eq!(record.encode(), expected);
}
