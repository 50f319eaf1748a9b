//! B: signature and trust.

use ed25519_dalek::Signer as _;
use money::{Amount, Currency};
use wire::exchange::Refusal;
use wire::signed::key_id;

use super::mails::mail;
use crate::bench::{Bench, Input};
use crate::guest::{Guest, sends};
use crate::issuer::{Behaviour, Key, SMALL_ORDER};
use crate::maker::{Maker, body, signed_again};
use crate::row::{Case, Check, Row, case, guest};
use crate::wasm;

const DAY: u64 = 86_400;

// Places in a file (docs/program-format.md, "Signature").
const SECTION: usize = 8;
const SECTION_LEN: usize = 9;
const NAME_LEN: usize = 11;
const SETS: usize = 24;
const SET_LEN: usize = 25;
const HASHES: usize = 26;
const HASH: usize = 27;
const SIGNATURES: usize = 59;
const KEY_ID: usize = 62;
const SIGNATURE: usize = 76;
const BODY: usize = 140;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "B1",
        title: "a good signature of an unknown key",
        check: Check::Open(|maker| {
            vec![signed_by(
                maker,
                "unknown key",
                Key::Unknown,
                "E_KEY_UNKNOWN",
            )]
        }),
    },
    Row {
        id: "B2",
        title: "keys revoked, expired, not yet valid",
        check: Check::Open(|maker| {
            vec![
                signed_by(maker, "revoked", Key::Revoked, "E_KEY_REVOKED"),
                signed_by(maker, "expired", Key::Expired, "E_KEY_TIME"),
                signed_by(maker, "not yet", Key::NotYet, "E_KEY_TIME"),
            ]
        }),
    },
    Row {
        id: "B3",
        title: "keys of another purpose: receipt, status, root",
        check: Check::Open(|maker| {
            vec![
                signed_by(maker, "receipt key", Key::Receipt, "E_KEY_PURPOSE"),
                signed_by(maker, "status key", Key::Status, "E_KEY_PURPOSE"),
                signed_by(maker, "root key", Key::Root, "E_KEY_UNKNOWN"),
            ]
        }),
    },
    Row {
        id: "B4",
        title: "zero signature, S beyond the order, small-order key and R",
        check: Check::Open(weak_signatures),
    },
    Row {
        id: "B5",
        title: "signature section missing, second, not first, nested",
        check: Check::Open(misplaced),
    },
    Row {
        id: "B6",
        title: "lengths in more bytes than needed",
        check: Check::Open(long_lengths),
    },
    Row {
        id: "B7",
        title: "counts of sets, hashes and signatures other than one",
        check: Check::Open(counts),
    },
    Row {
        id: "B8",
        title: "a signature section of four gigabytes",
        check: Check::Open(|maker| {
            let huge = replaced(
                &maker.lawful(),
                SECTION_LEN..NAME_LEN,
                b"\xff\xff\xff\xff\x0f",
            );
            vec![file("length", huge, "E_SIG_FORM").mended(maker.lawful())]
        }),
    },
    Row {
        id: "B9",
        title: "delimiter sections, and a file cut at one",
        check: Check::Open(delimiters),
    },
    Row {
        id: "B10",
        title: "the header of a core module on a signed component",
        check: Check::Open(|maker| {
            let whole = maker.lawful();
            let module = replaced(&whole, 4..8, b"\x01\0\0\0");
            vec![file("header", module, "E_FORMAT").mended(whole)]
        }),
    },
    Row {
        id: "B11",
        title: "a key id that is a text with escapes",
        check: Check::Open(|maker| {
            let whole = maker.lawful();
            let text = replaced(&whole, KEY_ID..KEY_ID + 12, b"\x1b[31mTRUSTED");
            vec![file("key id", text, "E_KEY_UNKNOWN").mended(whole)]
        }),
    },
    Row {
        id: "B12",
        title: "bytes behind the signature in its section",
        check: Check::Open(|maker| {
            let whole = maker.lawful();
            let longer = replaced(&whole, SECTION_LEN..NAME_LEN, b"\x85\x01");
            let longer = replaced(&longer, BODY..BODY, b"junk");
            vec![file("junk", longer, "E_SIG_FORM").mended(whole)]
        }),
    },
    Row {
        id: "B13",
        title: "sections added, removed, reordered; one digit of the order changed",
        check: Check::Open(changed_body),
    },
    Row {
        id: "B14",
        title: "a detached signature beside the program",
        check: Check::Open(|maker| {
            let whole = maker.lawful();
            let detached = whole[SECTION..BODY].to_vec();
            let beside = |bytes: &[u8]| {
                mail(&[
                    ("order.tegata", program::MEDIA_TYPE, bytes),
                    ("order.tegata.sig", "application/octet-stream", &detached),
                ])
            };
            let broken = replaced(&whole, SIGNATURE..BODY, &[0; 64]);
            vec![file("embedded one broken", beside(&broken), "E_SIG").mended(beside(&whole))]
        }),
    },
    Row {
        id: "B15",
        title: "the program opened again after success: its receipt, and nothing runs",
        check: Check::Script(replayed),
    },
    Row {
        id: "B16",
        title: "one order number, two programs, both signed",
        check: Check::Script(conflicting),
    },
    Row {
        id: "B17",
        title: "order expired, not yet valid; clock set back",
        check: Check::Open(|maker| {
            let now = maker.now;
            vec![
                order(maker, "expired", "E_TIME", |order| {
                    order.created = now - 10 * DAY;
                    order.expires = now - 2 * DAY;
                }),
                order(maker, "not yet valid", "E_TIME", |order| {
                    order.created = now + 2 * DAY;
                    order.expires = now + 10 * DAY;
                }),
            ]
        }),
    },
    Row {
        id: "B18",
        title: "an order of another issuer, or for another card",
        check: Check::Script(other_audience),
    },
    Row {
        id: "B19",
        title: "order bytes of another version",
        check: Check::Open(versions),
    },
    Row {
        id: "B20",
        title: "a guest that speaks for another remittance than the one shown",
        check: Check::Open(other_remittance),
    },
    Row {
        id: "B21",
        title: "rotation of the root key: signed by the old one, two deep, in a loop",
        check: Check::Script(|_| Ok(0)),
    },
    Row {
        id: "B22",
        title: "bytes replaced between verification and compile",
        check: Check::Script(replaced_meanwhile),
    },
];

fn file(name: impl Into<String>, bytes: Vec<u8>, codes: &'static str) -> Case {
    case(name, Input::file(bytes), codes)
}

fn signed_by(maker: &Maker<'_>, name: &str, key: Key, code: &'static str) -> Case {
    let draft = maker.draft();
    let lawful = draft.clone().file(maker, &Guest::lawful());
    file(name, draft.by(key).file(maker, &Guest::lawful()), code).mended(lawful)
}

fn order(
    maker: &Maker<'_>,
    name: &str,
    code: &'static str,
    change: impl FnOnce(&mut program::Order),
) -> Case {
    let draft = maker.draft();
    let lawful = draft.clone().file(maker, &Guest::lawful());
    file(name, draft.with(change).file(maker, &Guest::lawful()), code).mended(lawful)
}

fn replaced(bytes: &[u8], range: core::ops::Range<usize>, by: &[u8]) -> Vec<u8> {
    [&bytes[..range.start], by, &bytes[range.end..]].concat()
}

fn weak_signatures(maker: &Maker<'_>) -> Vec<Case> {
    // The order of the group, little-endian (RFC 8032 section 5.1).
    const ORDER: [u8; 32] = [
        0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let whole = maker.lawful();
    let with = |signature: &[u8]| replaced(&whole, SIGNATURE..BODY, signature);
    let s_at = SIGNATURE + 32;
    let mut larger = whole[s_at..BODY].to_vec();
    let mut carry = 0_u16;
    for (byte, add) in larger.iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
    let larger = [&whole[SIGNATURE..s_at], larger.as_slice()].concat();
    // Under the neutral element as key any message verifies with R neutral and S zero.
    let neutral = [SMALL_ORDER, [0; 32]].concat();
    let small = replaced(&with(&neutral), KEY_ID..KEY_ID + 12, &key_id(&SMALL_ORDER));
    let other = Key::Program.signing().sign(b"another message").to_bytes();
    vec![
        file("zero", with(&[0; 64]), "E_SIG").mended(maker.lawful()),
        file("S + L", with(&larger), "E_SIG"),
        file("R of small order", with(&neutral), "E_SIG"),
        file("key of small order", small, "E_SIG"),
        file("of another message", with(&other), "E_SIG").mended(whole),
    ]
}

fn misplaced(maker: &Maker<'_>) -> Vec<Case> {
    let whole = maker.lawful();
    let section = whole[SECTION..BODY].to_vec();
    let rest = body(&whole);
    let missing = replaced(&whole, SECTION..BODY, b"");
    let second = replaced(&whole, BODY..BODY, &section);
    let second_signed = signed_again(&[section.as_slice(), rest].concat());
    let late = [&whole[..SECTION], rest, section.as_slice()].concat();
    let draft = maker.draft();
    let template = Guest::lawful().template(&draft.instruction());
    let nested = [&template[..8], &section, &template[8..]].concat();
    vec![
        file("missing", missing, "E_SIG_FORM").mended(maker.lawful()),
        file("second", second, "E_SIG"),
        file("second, signed", second_signed, "E_MANIFEST"),
        file("last", late, "E_SIG_FORM").mended(whole),
        file(
            "nested",
            draft.clone().file_of(maker, nested),
            "E_POLICY_SECTION",
        )
        .mended(draft.file_of(maker, template)),
    ]
}

fn long_lengths(maker: &Maker<'_>) -> Vec<Case> {
    let whole = maker.lawful();
    let one = |at: usize| [whole[at] | 0x80, 0];
    let mut cases = vec![
        file(
            "section",
            replaced(&whole, SECTION_LEN..NAME_LEN, b"\x81\x81\0"),
            "E_SIG_FORM",
        )
        .mended(maker.lawful()),
    ];
    for (name, at) in [
        ("name", NAME_LEN),
        ("sets", SETS),
        ("set", SET_LEN),
        ("hashes", HASHES),
        ("signatures", SIGNATURES),
    ] {
        let bytes = replaced(&whole, at..at + 1, &one(at));
        cases.push(file(name, bytes, "E_SIG_FORM"));
    }
    // The template's length in the body, two bytes or three, in one more; signed again.
    let rest = body(&whole);
    let at = 271 + 1;
    let len = rest[at..].iter().position(|byte| byte & 0x80 == 0);
    let last = at + len.expect("a length ends");
    let longer = replaced(rest, last..last + 1, &[rest[last] | 0x80, 0]);
    cases.push(file("template, signed", signed_again(&longer), "E_MANIFEST").mended(whole));
    cases
}

fn counts(maker: &Maker<'_>) -> Vec<Case> {
    let whole = maker.lawful();
    let mut cases = Vec::new();
    for (name, at, numbers) in [
        ("sets", SETS, [0, 2, 64, 0xFFFF_FFFF]),
        ("hashes", HASHES, [0, 2, 65, 0xFFFF_FFFF]),
        ("signatures", SIGNATURES, [0, 2, 256, 0xFFFF_FFFF]),
    ] {
        for number in numbers {
            let mut count = Vec::new();
            wasm::push_leb(&mut count, number);
            let bytes = replaced(&whole, at..at + 1, &count);
            cases.push(file(format!("{number} {name}"), bytes, "E_SIG_FORM"));
        }
    }
    // Two hashes with the second one there, as the independent tool writes them.
    let hash = whole[HASH..SIGNATURES].to_vec();
    let two = replaced(&whole, SIGNATURES..SIGNATURES, &hash);
    let two = replaced(&two, HASHES..HASH, b"\x02");
    cases.push(file("two whole hashes", two, "E_SIG_FORM").mended(whole));
    cases
}

fn delimiters(maker: &Maker<'_>) -> Vec<Case> {
    let whole = maker.lawful();
    let delimiter = wasm::custom("signature_delimiter", &[7; 16]);
    let with = replaced(&whole, whole.len()..whole.len(), &delimiter);
    let signed = signed_again(&[body(&whole), &delimiter].concat());
    let cut = signed[..signed.len() - delimiter.len()].to_vec();
    vec![
        file("behind the end", with, "E_SIG").mended(maker.lawful()),
        file("behind the end, signed", signed, "E_MANIFEST"),
        file("cut at it", cut, "E_SIG").mended(whole),
    ]
}

fn changed_body(maker: &Maker<'_>) -> Vec<Case> {
    let whole = maker.lawful();
    let sections = wasm::sections(&whole);
    let joined = |sections: &[wasm::Section]| wasm::join(&whole, sections);
    let mut removed = sections.clone();
    removed.remove(1);
    let mut swapped = sections.clone();
    swapped.swap(1, 2);
    let mut added = sections.clone();
    added.insert(1, (0, b"\x04note".to_vec()));
    let digit = replaced_amount(maker);
    vec![
        file("removed", joined(&removed), "E_SIG").mended(maker.lawful()),
        file("reordered", joined(&swapped), "E_SIG"),
        file("added", joined(&added), "E_SIG").mended(joined(&sections)),
        digit,
    ]
}

/// 2,500 becomes 2,501 in the order bytes.
fn replaced_amount(maker: &Maker<'_>) -> Case {
    let whole = maker.lawful();
    let amount = [0x19, 0x09, 0xC4];
    let at = whole
        .windows(amount.len())
        .rposition(|window| window == amount)
        .expect("the amount in CBOR");
    let changed = replaced(&whole, at + 2..at + 3, &[0xC5]);
    file("a digit", changed, "E_SIG").mended(whole)
}

fn replayed(bench: &Bench) -> Result<usize, String> {
    let input = Input::file(bench.maker().lawful());
    let first = bench.open(&input)?;
    let again = bench.open(&input)?;
    let receipt = |document: &serde_json::Value| document["receipt"].clone();
    let same = receipt(&first.document) == receipt(&again.document)
        && receipt(&first.document).is_string();
    match (first.exchanges, again.exchanges, again.code.as_str()) {
        (1, 0, "ok") if same && again.document["outcome"] == "already-credited" => Ok(2),
        seen => Err(format!("{seen:?}")),
    }
}

fn conflicting(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let draft = maker.draft();
    let other = draft
        .clone()
        .with(|order| order.amount = Amount::new(9_999, Currency::Jpy).expect("positive"));
    // The first one is opened and fails, so that no receipt is stored.
    let failing = Guest::returns("(unreachable)");
    let newer = draft.clone().with(|order| order.revision = 2);
    let steps = [
        ("first", draft.clone().file(&maker, &failing), "E_TRAP"),
        (
            "other amount",
            other.file(&maker, &Guest::lawful()),
            "E_ORDER_CONFLICT",
        ),
        (
            "other template",
            draft.clone().file(&maker, &Guest::lawful()),
            "E_ORDER_CONFLICT",
        ),
        ("next revision", newer.file(&maker, &Guest::lawful()), "ok"),
        (
            "lower revision",
            draft.file(&maker, &failing),
            "E_SUPERSEDED",
        ),
    ];
    let count = steps.len();
    for (name, bytes, code) in steps {
        let opened = bench.open(&Input::file(bytes))?;
        if opened.code != code {
            return Err(format!("{name}: {} in place of {code}", opened.code));
        }
    }
    Ok(count)
}

fn other_audience(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let draft = maker.draft();
    let foreign = draft
        .clone()
        .with(|order| order.issuer = "other.example".to_owned());
    let opened = bench.open(&Input::file(foreign.file(&maker, &Guest::lawful())))?;
    if opened.code != "E_ISSUER" || opened.exchanges != 0 {
        return Err(format!("another issuer: {}", opened.code));
    }
    // For which card an order is, the issuer alone can tell; the terminal passes its word on.
    let bytes = draft.file(&maker, &Guest::lawful());
    bench.issuer.behaves(Behaviour::Refuse(Refusal::WrongCard));
    let refused = bench.open(&Input::file(bytes.clone()));
    bench.issuer.behaves(Behaviour::Receipt);
    let refused = refused?;
    if refused.code != "E_WRONG_CARD" || refused.exchanges != 1 {
        return Err(format!("another card: {}", refused.code));
    }
    let opened = bench.open(&Input::file(bytes))?;
    match opened.code.as_str() {
        "ok" => Ok(2),
        code => Err(format!("the right card: {code}")),
    }
}

fn versions(maker: &Maker<'_>) -> Vec<Case> {
    let draft = maker.draft();
    let whole = draft.clone().file(maker, &Guest::lawful());
    let template = Guest::lawful().template(&draft.instruction());
    let draft = draft.with(|order| {
        order.template_hash = program::Template::new(template).expect("headed").hash();
    });
    let order = draft.order.encode().expect("within bounds");
    let order = order.as_bytes();
    let rest = body(&whole);
    let at = rest
        .windows(order.len())
        .position(|window| window == order)
        .expect("the order bytes in the body");
    // An array, then the version.
    let version = at + 1;
    [0, 2, 23]
        .map(|number| {
            let changed = replaced(rest, version..version + 1, &[number]);
            file(
                format!("version {number}"),
                signed_again(&changed),
                "E_VERSION",
            )
            .mended(whole.clone())
        })
        .into_iter()
        .enumerate()
        // One remittance is credited once; the others only need to be refused.
        .map(|(place, case)| if place == 0 { case } else { case.alone() })
        .collect()
}

fn other_remittance(maker: &Maker<'_>) -> Vec<Case> {
    let draft = maker.draft();
    let other = maker.draft().instruction();
    let token = draft.clone().with(|order| order.claim_token = [9; 32]);
    vec![
        guest(
            maker,
            "another number",
            &sends("exchange", &other),
            "E_POLICY",
            &Guest::lawful(),
        ),
        file(
            "another token",
            draft
                .clone()
                .file(maker, &sends("exchange", &token.instruction())),
            "E_POLICY",
        ),
        guest(
            maker,
            "no request",
            &sends("exchange", b"GET / HTTP/1.1"),
            "E_POLICY",
            &Guest::lawful(),
        ),
    ]
}

/// A pipe gives its bytes once: what is verified there is what runs, there is nothing to read again.
fn replaced_meanwhile(bench: &Bench) -> Result<usize, String> {
    let opened = bench.open(&Input::Pipe(bench.maker().lawful(), 0))?;
    if opened.code != "ok" || opened.exchanges != 1 {
        return Err(format!("from a pipe: {}", opened.code));
    }
    // A file that becomes another one while the terminal waits for the issuer.
    let maker = bench.maker();
    let (one, two) = (maker.lawful(), maker.file(&Guest::returns("(unreachable)")));
    let path = bench.path("replaced.tegata");
    let io = |error: std::io::Error| error.to_string();
    std::fs::write(&path, one).map_err(io)?;
    let swapped = path.clone();
    bench.issuer.before_answering(move || {
        let _written = std::fs::write(&swapped, &two);
    });
    let opened = bench.open(&Input::Path(path))?;
    match (opened.code.as_str(), opened.exchanges) {
        ("ok", 1) => Ok(2),
        (code, _) => Err(format!("a file replaced while it runs: {code}")),
    }
}
