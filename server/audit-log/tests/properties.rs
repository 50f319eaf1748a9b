//! Whatever is done to an exported log is named, at the place where it was done.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use audit_log::{
    Finding, HEADER, Head, Known, Link, Standing, Subject, Verdict, Verifier, What, head_line,
    record_line,
};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use wire::signed::{KEY_ID_LEN, key_id};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

/// Key 1 is accepted, key 2 revoked, others are strangers'.
fn lookup(id: &[u8; KEY_ID_LEN]) -> Standing {
    if *id == key_id(&public(1)) {
        Standing::Accepted(public(1))
    } else if *id == key_id(&public(2)) {
        Standing::Revoked(public(2))
    } else {
        Standing::Unknown
    }
}

#[derive(Debug, Clone)]
struct Log {
    lines: Vec<Vec<u8>>,
    /// What each line is.
    subjects: Vec<Subject>,
    /// The last signed head.
    head: Vec<u8>,
    records: u64,
}

/// A log of segments of the given numbers of records, signed by these keys.
fn log(segments: &[(u64, u8)], seed: u8) -> Log {
    let mut log = Log {
        lines: vec![HEADER.into()],
        subjects: vec![Subject::Header],
        head: Vec::new(),
        records: 0,
    };
    let mut link = Link::START;
    for (number, (records, signer)) in (1_u64..).zip(segments) {
        let first = link.position + 1;
        for _ in 0..*records {
            let position = link.position + 1;
            let record = [&[seed], &position.to_be_bytes()[..], &[0xA5; 40]].concat();
            link = link.next(&record);
            log.lines.push(record_line(&record, link).into());
            log.subjects.push(Subject::Record(position));
        }
        let head = Head {
            issuer: "money.example".to_owned(),
            number,
            first,
            link,
            sealed_at: 1_767_225_600 + number,
        };
        log.head = head.sign(&key(*signer)).unwrap();
        log.lines.push(head_line(&log.head).into());
        log.subjects.push(Subject::Head(number));
    }
    log.records = link.position;
    log
}

fn file(lines: &[Vec<u8>]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| [line, &b"\n"[..]].concat())
        .collect()
}

fn verify(bytes: &[u8], known: Option<&[u8]>) -> Verdict {
    let known = known.map(|head| Known::open(head, lookup).unwrap());
    let mut verifier = Verifier::new(lookup, known);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let ended = line.ends_with(b"\n");
        verifier.line(line.strip_suffix(b"\n").unwrap_or(line), ended);
    }
    verifier.finish()
}

fn finding(lines: &[Vec<u8>], known: &[u8]) -> Finding {
    verify(&file(lines), Some(known))
        .finding
        .expect("a finding")
}

fn line_of(index: usize) -> u64 {
    u64::try_from(index).unwrap() + 1
}

/// The record before which line `index` stands, or which it is.
fn place(log: &Log, index: usize) -> Subject {
    let before = log.subjects.iter().take(index);
    let records = before.filter(|subject| matches!(subject, Subject::Record(_)));
    Subject::Record(u64::try_from(records.count()).unwrap() + 1)
}

fn logs() -> impl Strategy<Value = Log> {
    (
        prop::collection::vec((1_u64..6, Just(1_u8)), 2..6),
        any::<u8>(),
    )
        .prop_map(|(segments, seed)| log(&segments, seed))
}

fn pick(log: &Log, at: prop::sample::Index) -> usize {
    at.index(log.lines.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_whole_log_is_whole(log in logs()) {
        let verdict = verify(&file(&log.lines), Some(&log.head));
        prop_assert_eq!(verdict.finding, None);
        prop_assert_eq!((verdict.records, verdict.unsealed), (log.records, 0));
    }

    #[test]
    fn any_changed_byte_is_named(log in logs(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut bytes = file(&log.lines);
        let at = at.index(bytes.len());
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        bytes[at] ^= flip;
        let found = verify(&bytes, Some(&log.head)).finding.expect("a finding");
        prop_assert_eq!(found.what, What::Altered);
        prop_assert_eq!(found.subject, log.subjects[line]);
        prop_assert_eq!(found.line, line_of(line));
    }

    #[test]
    fn any_removed_line_is_named(log in logs(), at in any::<prop::sample::Index>()) {
        let at = pick(&log, at);
        let mut lines = log.lines.clone();
        lines.remove(at);
        let found = finding(&lines, &log.head);
        prop_assert_eq!(found.subject, log.subjects[at]);
        let what = if at == 0 { What::Altered } else { What::Removed };
        prop_assert_eq!(found.what, what);
    }

    #[test]
    fn any_two_swapped_lines_are_named(
        log in logs(),
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let (one, other) = (pick(&log, one), pick(&log, other));
        let (first, last) = (one.min(other), one.max(other));
        prop_assume!(first > 0 && first < last);
        let mut lines = log.lines.clone();
        lines.swap(first, last);
        let found = finding(&lines, &log.head);
        prop_assert_eq!(found.what, What::Reordered, "{:?}", found);
        // a head that is only late shows where it comes
        let late = matches!(log.subjects[first], Subject::Head(_)) && last == first + 1;
        prop_assert!(found.line == line_of(first) || late && found.line == line_of(last));
    }

    #[test]
    fn any_line_put_in_twice_is_named(
        log in logs(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let (from, to) = (pick(&log, from), pick(&log, to));
        prop_assume!(to > 0);
        let mut lines = log.lines.clone();
        lines.insert(to, log.lines[from].clone());
        let found = finding(&lines, &log.head);
        // the record after a head, put in before it, stands rightly: then the head is late
        let head_is_late = matches!(log.subjects[to], Subject::Head(_)) && from == to + 1;
        let expected = if head_is_late { What::Reordered } else { What::Inserted };
        prop_assert_eq!(found.what, expected);
        let next = from == to || head_is_late;
        prop_assert_eq!(found.line, line_of(to) + u64::from(next));
        if !next {
            prop_assert_eq!(found.subject, place(&log, to));
        }
    }

    #[test]
    fn any_foreign_record_put_in_is_named(
        log in logs(),
        at in any::<prop::sample::Index>(),
        position in 0_u64..30,
        chained in any::<bool>(),
    ) {
        let at = pick(&log, at);
        prop_assume!(at > 0);
        let before = log.lines[..at].iter().rev().find_map(|line| match audit_log::parse(line) {
            Some(audit_log::Item::Record { link, .. }) => Some(link),
            _ => None,
        });
        let mut link = before.unwrap_or(Link::START);
        if !chained {
            link.position = position;
        }
        let mut lines = log.lines.clone();
        let link = link.next(b"forged");
        lines.insert(at, record_line(b"forged", link).into());
        let found = finding(&lines, &log.head);
        // one that continues the chain shows at what should follow instead
        prop_assert!(found.line == line_of(at) || found.line == line_of(at) + 1);
    }

    #[test]
    fn any_cut_end_is_named_by_a_later_head(log in logs(), at in any::<prop::sample::Index>()) {
        let at = pick(&log, at).max(1);
        let verdict = verify(&file(&log.lines[..at]), None);
        prop_assert_eq!(verdict.finding, None, "without a later head a shorter log is a log");
        let found = finding(&log.lines[..at], &log.head);
        // the known head tells that there are records, not whether a head stood before them
        let last = at + 1 == log.lines.len();
        let missing = if last { log.subjects[at] } else { place(&log, at) };
        prop_assert_eq!((found.what, found.subject), (What::Removed, missing));
    }
}

#[test]
fn a_rewritten_chain_stands_against_its_own_heads_and_against_a_known_one() {
    let (honest, forged) = (log(&[(3, 1), (2, 1)], 7), log(&[(3, 1), (2, 1)], 8));
    let mut lines = honest.lines.clone();
    lines[..4].clone_from_slice(&forged.lines[..4]);
    let found = verify(&file(&lines), None).finding.unwrap();
    assert_eq!(
        (found.what, found.subject),
        (What::Rewritten, Subject::Head(1))
    );
    let found = finding(&forged.lines, &honest.head);
    assert_eq!(
        (found.what, found.subject),
        (What::Rewritten, Subject::Head(2))
    );
}

#[test]
fn heads_of_revoked_keys_seal_nothing_and_strangers_heads_are_no_heads() {
    let verdict = verify(&file(&log(&[(3, 1), (2, 2)], 7).lines), None);
    assert_eq!(verdict.finding, None);
    assert_eq!(
        (verdict.heads, verdict.revoked_heads, verdict.unsealed),
        (2, 1, 2)
    );
    let later = verify(&file(&log(&[(3, 2), (2, 1)], 7).lines), None);
    assert_eq!(
        (later.finding, later.unsealed),
        (None, 0),
        "a later head covers all before it"
    );
    let stranger = log(&[(3, 1), (2, 9)], 7);
    let found = verify(&file(&stranger.lines), None).finding.unwrap();
    assert_eq!(
        (found.what, found.subject),
        (What::Altered, Subject::Head(2))
    );
    assert!(Known::open(&log(&[(1, 2)], 7).head, lookup).is_err());
}

#[test]
fn the_unsealed_tail_is_counted() {
    let whole = log(&[(3, 1), (2, 1)], 7);
    let verdict = verify(&file(&whole.lines[..whole.lines.len() - 1]), None);
    assert_eq!((verdict.finding, verdict.unsealed), (None, 2));
}

#[test]
fn a_file_that_is_no_log_is_said_so() {
    for bytes in [
        &b""[..],
        b"\n",
        b"tegata-audit-log 2\n",
        b"tegata-audit-log 1",
    ] {
        let found = verify(bytes, None).finding.unwrap();
        assert_eq!(
            (found.what, found.subject),
            (What::Altered, Subject::Header)
        );
    }
    assert_eq!(verify(b"tegata-audit-log 1\n", None).finding, None);
}
