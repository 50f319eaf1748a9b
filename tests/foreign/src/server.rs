//! What the server reads of strangers.

use std::sync::LazyLock;

use audit_log::{
    Finding, HEADER, Head, Item, Link, RECORD_LEN_MAX, Standing, Verifier, head_line, parse,
    record_line,
};
use ledger::Timestamp;
use redemption::{Accepted, Context, Incarnation, SealKey};
use wire::api::{Claim, CreateOrder, OrderPage, OrderView, Problem, ProblemCode};
use wire::exchange::Request;
use wire::signed::key_id;

use crate::files::{ISSUER, NOW, key};

static SEAL_KEY: LazyLock<SealKey> = LazyLock::new(|| SealKey::new([5; 32]));

/// Answers with a ticket that this server never sealed: nothing but a proof is taken up, and a
/// proof has no ticket.
pub fn sealed_ticket(bytes: &[u8]) {
    let Ok(Request::Answers(answers)) = Request::decode(bytes) else {
        return;
    };
    let key = key();
    let context = Context {
        issuer: ISSUER,
        seal_key: &SEAL_KEY,
        receipt_key: &key,
        incarnation: Incarnation([6; 16]),
        now: Timestamp::from_unix_s(1_800_000_000),
    };
    let had_ticket = answers.ticket.is_some();
    match redemption::accept(context, answers) {
        Ok(Accepted::Proof(_)) => assert!(!had_ticket),
        Ok(Accepted::Card(_) | Accepted::State(_)) => panic!("a forged ticket was opened"),
        Err(_) => {}
    }
}

/// Bodies of the HTTP interface, in both directions: what is read can be written and read again.
pub fn api_body(bytes: &[u8]) {
    again::<CreateOrder>(bytes);
    again::<Claim>(bytes);
    again::<OrderView>(bytes);
    again::<OrderPage>(bytes);
    again::<Problem>(bytes);
}

fn again<T: serde::de::DeserializeOwned + serde::Serialize + PartialEq>(bytes: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_vec(&read).expect("what was read can be written");
        let again: T = serde_json::from_slice(&written).expect("and read");
        assert!(again == read, "another value than was written");
    }
}

/// A problem as our server writes it, and an order form.
#[must_use]
pub fn api_seeds() -> Vec<Vec<u8>> {
    let problem = Problem::new(ProblemCode::ALL[0], "a detail");
    let order = br#"{"recipient_card":"4000 0000 0000 0002","amount_minor":2500,"currency":"JPY","note":"hello"}"#;
    vec![
        serde_json::to_vec(&problem).expect("a problem can be written"),
        order.to_vec(),
        br#"{"claim_code":"ABCD-EFGH"}"#.to_vec(),
    ]
}

/// An audit log of somebody else: each line has one spelling, and what a head seals without a finding is what
/// was signed.
///
/// The bytes are also put in the place of a sealed record, under its hash, so that what lies behind the form is
/// reached.
pub fn audit_log(bytes: &[u8]) {
    let _finding = finding(bytes);
    let record = bytes.get(..RECORD_LEN_MAX).unwrap_or(bytes);
    let link = Link::START.next(FIRST_RECORD);
    let log = String::from_utf8_lossy(&SEALED_LOGS[0]).replacen(
        &record_line(FIRST_RECORD, link),
        &record_line(record, link),
        1,
    );
    assert_eq!(finding(log.as_bytes()).is_none(), record == FIRST_RECORD);
}

fn finding(bytes: &[u8]) -> Option<Finding> {
    let public = key().verifying_key().to_bytes();
    let lookup = |id: &[u8; wire::signed::KEY_ID_LEN]| {
        if *id == key_id(&public) {
            Standing::Accepted(public)
        } else {
            Standing::Unknown
        }
    };
    let mut verifier = Verifier::new(lookup, None);
    let mut records = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n");
        let line = text.unwrap_or(line);
        match parse(line) {
            Some(Item::Record { record, link }) => {
                assert_eq!(record_line(&record, link).as_bytes(), line);
            }
            Some(Item::Head(envelope)) => assert_eq!(head_line(&envelope).as_bytes(), line),
            None => {}
        }
        records += u64::from(verifier.line(line, text.is_some()).is_some());
    }
    let verdict = verifier.finish();
    assert_eq!(verdict.records, records);
    assert_eq!(verdict.revoked_heads, 0, "no key is revoked");
    if let (None, Some(head)) = (verdict.finding, verdict.head) {
        assert_eq!(head.number, verdict.heads);
        let sealed = &SEALED_LOGS[usize::try_from(head.number).expect("a small number") - 1];
        assert!(bytes.starts_with(sealed), "another log was sealed");
    }
    verdict.finding
}

/// What the first record holds; the chain takes any bytes.
const FIRST_RECORD: &[u8] = b"one";

/// One log after each of its heads.
static SEALED_LOGS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut log = format!("{HEADER}\n");
    let mut link = Link::START;
    let mut sealed = Vec::new();
    for number in 1..=3 {
        let first = link.position + 1;
        for record in [FIRST_RECORD, b"two"] {
            link = link.next(record);
            log = log + &record_line(record, link) + "\n";
        }
        let head = Head {
            issuer: ISSUER.to_owned(),
            number,
            first,
            link,
            sealed_at: NOW,
        };
        let envelope = head.sign(&key()).expect("within bounds");
        log = log + &head_line(&envelope) + "\n";
        sealed.push(log.clone().into_bytes());
    }
    sealed
});

/// Logs of one to three heads, and one with a tail that nobody sealed.
#[must_use]
pub fn audit_seeds() -> Vec<Vec<u8>> {
    let mut seeds = SEALED_LOGS.clone();
    let tail = seeds.last().and_then(|whole| {
        let end = whole.iter().rposition(|byte| *byte == b'h')?;
        whole.get(..end)
    });
    let tail = tail.expect("a log has a head").to_vec();
    seeds.push(tail);
    for seed in &seeds {
        assert_eq!(finding(seed), None, "a seed is accepted");
    }
    seeds
}
