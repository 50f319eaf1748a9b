//! B: signature and trust.

use ed25519_dalek::Signer as _;
use money::{Amount, Currency};
use wire::exchange::Refusal;
use wire::signed::key_id;

use super::counts::{new_roots, replaced_meanwhile, times};
use super::mails::mail;
use crate::bench::{Bench, Input};
use crate::guest::{Guest, sends};
use crate::issuer::{Behaviour, Key, SMALL_ORDER};
use crate::maker::{Maker, body, signed_again};
use crate::row::{Case, Check, Ran, Row, case, changed, guest};
use crate::wasm;

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
        check: Check::Script(|bench| detached(bench).map(Ran::inputs)),
    },
    Row {
        id: "B15",
        title: "the program opened again after success: its receipt, and nothing runs",
        check: Check::Script(|bench| replayed(bench).map(Ran::inputs)),
    },
    Row {
        id: "B16",
        title: "one order number, two programs, both signed",
        check: Check::Script(|bench| conflicting(bench).map(Ran::inputs)),
    },
    Row {
        id: "B17",
        title: "order expired, not yet valid; clock set back; another issuer with another clock",
        check: Check::Script(|bench| times(bench).map(Ran::inputs)),
    },
    Row {
        id: "B18",
        title: "an order of another issuer, or for another card",
        check: Check::Script(|bench| other_audience(bench).map(Ran::inputs)),
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
        title: "a new root: named by the old one, two deep, in a loop, by a stranger, by nobody",
        check: Check::Script(|bench| new_roots(bench).map(Ran::inputs)),
    },
    Row {
        id: "B22",
        title: "bytes replaced between verification and compile",
        check: Check::Script(|bench| replaced_meanwhile(bench).map(Ran::inputs)),
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

fn replaced(bytes: &[u8], range: core::ops::Range<usize>, by: &[u8]) -> Vec<u8> {
    [&bytes[..range.start], by, &bytes[range.end..]].concat()
}

fn weak_signatures(maker: &Maker<'_>) -> Vec<Case> {
    // The order of the group, little-endian (RFC 8032 section 5.1).
    const ORDER: [u8; 32] = [
        0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let changed =
        |name: &str, change: &dyn Fn(&[u8]) -> Vec<u8>| changed(maker, name, "E_SIG", change);
    let with = |whole: &[u8], signature: &[u8]| replaced(whole, SIGNATURE..BODY, signature);
    // The same point, another number for it: S plus the order of the group.
    let larger = |whole: &[u8]| {
        let s_at = SIGNATURE + 32;
        let mut carry = 0_u16;
        let mut larger = whole[s_at..BODY].to_vec();
        for (byte, add) in larger.iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            [*byte, _] = sum.to_le_bytes();
            carry = sum >> 8;
        }
        with(
            whole,
            &[&whole[SIGNATURE..s_at], larger.as_slice()].concat(),
        )
    };
    // Under the neutral element as key any message verifies with R neutral and S zero.
    let neutral = [SMALL_ORDER, [0; 32]].concat();
    let other = Key::Program.signing().sign(b"another message").to_bytes();
    vec![
        changed("zero", &|whole| with(whole, &[0; 64])),
        changed("S + L", &larger),
        changed("R of small order", &|whole| with(whole, &neutral)),
        changed("key of small order", &|whole| {
            let id = key_id(&SMALL_ORDER);
            replaced(&with(whole, &neutral), KEY_ID..KEY_ID + 12, &id)
        }),
        changed("of another message", &|whole| with(whole, &other)),
    ]
}

fn misplaced(maker: &Maker<'_>) -> Vec<Case> {
    let section = |whole: &[u8]| whole[SECTION..BODY].to_vec();
    let draft = maker.draft();
    let template = Guest::lawful().template(&draft.instruction());
    let nested = [&template[..8], &section(&maker.lawful()), &template[8..]].concat();
    vec![
        changed(maker, "missing", "E_SIG_FORM", |whole| {
            replaced(whole, SECTION..BODY, b"")
        }),
        changed(maker, "second", "E_SIG", |whole| {
            replaced(whole, BODY..BODY, &section(whole))
        }),
        changed(maker, "second, signed", "E_MANIFEST", |whole| {
            signed_again(&[section(whole).as_slice(), body(whole)].concat())
        }),
        changed(maker, "last", "E_SIG_FORM", |whole| {
            [&whole[..SECTION], body(whole), &section(whole)].concat()
        }),
        file(
            "nested",
            draft.clone().file_of(maker, nested),
            "E_POLICY_SECTION",
        )
        .mended(draft.file_of(maker, template)),
    ]
}

fn long_lengths(maker: &Maker<'_>) -> Vec<Case> {
    let mut cases = vec![changed(maker, "section", "E_SIG_FORM", |whole| {
        replaced(whole, SECTION_LEN..NAME_LEN, b"\x81\x81\0")
    })];
    for (name, at) in [
        ("name", NAME_LEN),
        ("sets", SETS),
        ("set", SET_LEN),
        ("hashes", HASHES),
        ("signatures", SIGNATURES),
    ] {
        cases.push(changed(maker, name, "E_SIG_FORM", |whole| {
            replaced(whole, at..at + 1, &[whole[at] | 0x80, 0])
        }));
    }
    // The template's length in the body, two bytes or three, in one more; signed again.
    cases.push(changed(maker, "template, signed", "E_MANIFEST", |whole| {
        let rest = body(whole);
        let at = 271 + 1;
        let len = rest[at..].iter().position(|byte| byte & 0x80 == 0);
        let last = at + len.expect("a length ends");
        signed_again(&replaced(rest, last..last + 1, &[rest[last] | 0x80, 0]))
    }));
    cases
}

fn counts(maker: &Maker<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, at, numbers) in [
        ("sets", SETS, [0, 2, 64, 0xFFFF_FFFF]),
        ("hashes", HASHES, [0, 2, 65, 0xFFFF_FFFF]),
        ("signatures", SIGNATURES, [0, 2, 256, 0xFFFF_FFFF]),
    ] {
        for number in numbers {
            let mut count = Vec::new();
            wasm::push_leb(&mut count, number);
            let name = format!("{number} {name}");
            cases.push(changed(maker, name, "E_SIG_FORM", |whole| {
                replaced(whole, at..at + 1, &count)
            }));
        }
    }
    // Two hashes with the second one there, as the independent tool writes them.
    cases.push(changed(maker, "two whole hashes", "E_SIG_FORM", |whole| {
        let two = replaced(whole, SIGNATURES..SIGNATURES, &whole[HASH..SIGNATURES]);
        replaced(&two, HASHES..HASH, b"\x02")
    }));
    cases
}

fn delimiters(maker: &Maker<'_>) -> Vec<Case> {
    let delimiter = wasm::custom("signature_delimiter", &[7; 16]);
    let signed = |whole: &[u8]| signed_again(&[body(whole), &delimiter].concat());
    vec![
        changed(maker, "behind the end", "E_SIG", |whole| {
            [whole, &delimiter].concat()
        }),
        changed(maker, "behind the end, signed", "E_MANIFEST", signed),
        changed(maker, "cut at it", "E_SIG", |whole| {
            signed(whole)[..whole.len()].to_vec()
        }),
    ]
}

fn changed_body(maker: &Maker<'_>) -> Vec<Case> {
    let changed = |name: &str, change: &dyn Fn(&mut Vec<wasm::Section>)| {
        changed(maker, name, "E_SIG", |whole| {
            let mut sections = wasm::sections(whole);
            change(&mut sections);
            wasm::join(whole, &sections)
        })
    };
    vec![
        changed("removed", &|sections| drop(sections.remove(1))),
        changed("reordered", &|sections| sections.swap(1, 2)),
        changed("added", &|sections| {
            sections.insert(1, (0, b"\x04note".to_vec()));
        }),
        replaced_amount(maker),
    ]
}

/// 2,500 becomes 2,501 in the order bytes.
fn replaced_amount(maker: &Maker<'_>) -> Case {
    changed(maker, "a digit", "E_SIG", |whole| {
        let amount = [0x19, 0x09, 0xC4];
        let at = whole
            .windows(amount.len())
            .rposition(|window| window == amount)
            .expect("the amount in CBOR");
        replaced(whole, at + 2..at + 3, &[0xC5])
    })
}

/// The embedded signature counts alone, also where the detached one is the good one; that there was
/// another attachment stands in the log.
fn detached(bench: &Bench) -> Result<usize, String> {
    let broken = |whole: &[u8]| replaced(whole, SIGNATURE..BODY, &[0; 64]);
    let good = |whole: &[u8]| whole[SECTION..BODY].to_vec();
    for (name, embedded, signature, code) in [
        ("embedded one broken", false, true, "E_SIG"),
        ("detached one broken", true, false, "ok"),
        ("both good", true, true, "ok"),
    ] {
        let whole = bench.maker().lawful();
        let program = if embedded {
            whole.clone()
        } else {
            broken(&whole)
        };
        let signature = if signature {
            good(&whole)
        } else {
            vec![0; 132]
        };
        let sent = mail(&[
            ("order.tegata", program::MEDIA_TYPE, &program),
            ("order.tegata.sig", "application/octet-stream", &signature),
        ]);
        let opened = bench.open(&Input::file(sent))?;
        let recorded = bench.records().pop().unwrap_or_default();
        let logged = recorded["attachments_unused"].as_u64();
        let exchanges = usize::from(code == "ok");
        if opened.code != code || opened.exchanges != exchanges || logged != Some(1) {
            return Err(format!("{name}: {}, logged {logged:?}", opened.code));
        }
    }
    Ok(3)
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
    [0, 2, 23]
        .map(|number| {
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
            let changed = replaced(rest, at + 1..at + 2, &[number]);
            let name = format!("version {number}");
            file(name, signed_again(&changed), "E_VERSION").mended(whole)
        })
        .to_vec()
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
        )
        .mended(maker.lawful()),
        guest(
            maker,
            "no request",
            &sends("exchange", b"GET / HTTP/1.1"),
            "E_POLICY",
            &Guest::lawful(),
        ),
    ]
}
