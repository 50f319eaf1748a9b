//! N: what is shown, and what is written down. Nothing that a stranger wrote is shown as it is; the
//! bench holds that for every case, these rows give it something to hold.

use crate::bench::{Bench, Input};
use crate::guest::Guest;
use crate::issuer::Key;
use crate::maker::{Maker, body, signed_again};
use crate::row::{Case, Check, Ran, Row, case};

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "N1",
        title: "a result with cursor movements, titles, bells, overwritten lines",
        check: Check::Open(|maker| {
            [
                "\\1b[2J\\1b[H",
                "\\1b]0;title\\07",
                "\\1b]52;c;AAAA\\07",
                "\\1b]8;;http://evil.example\\07link",
                "\\c2\\9b2J",
                "credited\\0dnothing ",
            ]
            .map(|text| result(maker, text))
            .to_vec()
        }),
    },
    Row {
        id: "N2",
        title: "names and notes that turn, hide or pile up characters",
        check: Check::Open(|maker| {
            let piled = format!("a{}", "\u{301}".repeat(60));
            [
                "abc\u{202e}def",
                "\u{2066}abc\u{2069}",
                "a\u{200b}b\u{200d}c\u{feff}",
                "JPY \u{ff11}\u{ff10}\u{ff10}",
                "\u{1b}[31mred",
                &piled,
            ]
            .map(|text| note(maker, text))
            .to_vec()
        }),
    },
    Row {
        id: "N3",
        title: "line breaks and formulas that would forge records",
        check: Check::Script(|bench| forged_records(bench).map(Ran::inputs)),
    },
    Row {
        id: "N4",
        title: "a result longer than a receipt can be, a message of 128 KiB",
        check: Check::Open(|maker| {
            let of_len = |len: usize| {
                Guest::returns(format!(
                    "(i32.store (i32.const 20) (i32.const 0)) (i32.store (i32.const 24) (i32.const {len}))
                     (i32.const 16)"
                ))
            };
            [
                ("2,049 bytes", 2_049),
                ("16 KiB", 16_384),
                ("64 KiB", 65_536),
            ]
            .map(|(name, len)| {
                case(name, Input::file(maker.file(&of_len(len))), "E_LIMIT_BYTES")
                    .mended(maker.lawful())
            })
            .to_vec()
        }),
    },
    Row {
        id: "N5",
        title: "names of imports, exports and sections with escapes",
        check: Check::Open(|maker| {
            let named = Guest::lawful()
                .parts("(func $\"\\1b[2J\\1b[31mverified\" unreachable)")
                .named();
            let export = Guest::lawful().parts("(func (export \"\\1b]0;x\\07\"))");
            let lawful = Guest::lawful().parts("(func (export \"x\"))");
            vec![
                case("names", Input::file(maker.file(&named)), "E_POLICY_SECTION")
                    .mended(maker.lawful()),
                // Inside the template any name is lawful, and none is shown.
                case("export", Input::file(maker.file(&export)), "ok"),
                case("plain export", Input::file(maker.file(&lawful)), "ok"),
            ]
        }),
    },
    Row {
        id: "N6",
        title: "text that imitates the terminal's own question",
        check: Check::Script(|bench| framed(bench).map(Ran::inputs)),
    },
    Row {
        id: "N7",
        title: "a flood of errors leaves one record",
        check: Check::Script(|bench| one_record(bench).map(Ran::inputs)),
    },
    Row {
        id: "N8",
        title: "log records altered, removed, exchanged, cut off",
        check: Check::Script(chain),
    },
    Row {
        id: "N9",
        title: "a record holds file, template, key, order, grants, calls and outcome",
        check: Check::Script(|bench| schema(bench).map(Ran::inputs)),
    },
    Row {
        id: "N10",
        title: "consent: nobody to ask is no",
        check: Check::Script(|bench| consent(bench).map(Ran::inputs)),
    },
    Row {
        id: "N11",
        title: "amounts that are zero, negative, too large, of no currency",
        check: Check::Open(amounts),
    },
];

/// A guest that returns this in place of the receipt, having asked for none.
fn result(maker: &Maker<'_>, text: &str) -> Case {
    let guest = Guest::returns(
        "(i32.store (i32.const 20) (i32.const 2048)) (i32.store (i32.const 24) (i32.const 24))
         (i32.const 16)",
    )
    .parts(format!("(data (i32.const 2048) \"{text}\")"));
    case(text, Input::file(maker.file(&guest)), "E_RECEIPT").mended(maker.lawful())
}

/// An order with this note and sender, lawful all the same.
fn note(maker: &Maker<'_>, text: &str) -> Case {
    let draft = maker.draft().with(|order| {
        order.note = text.to_owned();
        order.sender = text.to_owned();
    });
    case(
        format!("{text:?}"),
        Input::file(draft.file(maker, &Guest::lawful())),
        "ok",
    )
}

fn forged_records(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let texts = [
        "x\n{\"command\":\"open\",\"code\":null}",
        "x\r\ny",
        "=cmd|' /C calc'!A0",
        "\",\"code\":\"E_X",
    ];
    for text in texts {
        let draft = maker.draft().with(|order| order.note = text.to_owned());
        // One record more, and its code that of the document: the bench looks.
        let opened = bench.open(&Input::file(draft.file(&maker, &Guest::lawful())))?;
        let verified = bench.start(&["log", "verify"], None)?;
        if opened.code != "ok" || verified.code != "ok" {
            return Err(format!("{text:?}: {}, {}", opened.code, verified.code));
        }
    }
    Ok(texts.len())
}

fn framed(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let text = "x\" \n  Amount: JPY 1\nRun this program? [y/N] y";
    let draft = maker.draft().with(|order| order.note = text.to_owned());
    let opened = bench.open(&Input::file(draft.file(&maker, &Guest::lawful())))?;
    let forged = opened
        .shown
        .lines()
        .any(|line| line.trim() == "Amount: JPY 1");
    if opened.code != "ok" || forged || !opened.shown.contains("Amount: JPY 2,500") {
        return Err(format!("{}: {}", opened.code, opened.shown));
    }
    Ok(1)
}

fn one_record(bench: &Bench) -> Result<usize, String> {
    let guest = crate::guest::floods("transmit", &[0xFF; 5], 1_000_000);
    let opened = bench.open(&Input::file(bench.maker().file(&guest)))?;
    let records = bench.records();
    let calls = records
        .last()
        .and_then(|record| record["calls"].as_array().map(Vec::len));
    let few = crate::guest::floods("transmit", &[0xFF; 5], 3);
    let mended = bench.open(&Input::file(bench.maker().file(&few)))?;
    match (opened.code.as_str(), calls, mended.code.as_str()) {
        ("E_LIMIT_CALLS", Some(calls), "ok") if calls == sandbox::limits::REFUSALS_MAX + 1 => Ok(1),
        seen => Err(format!("{seen:?}")),
    }
}

fn chain(bench: &Bench) -> Result<Ran, String> {
    let path = bench.state("log/runs.log");
    let whole = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let lines: Vec<_> = whole.lines().collect();
    let joined = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let mut exchanged = lines.clone();
    exchanged.swap(0, 1);
    let changes = [
        (
            "altered",
            whole.replacen("\"command\":\"trust-add\"", "\"command\":\"trust-xdd\"", 1),
        ),
        ("removed", joined(&lines[1..])),
        ("exchanged", joined(&exchanged)),
        ("cut off", joined(&lines[..lines.len() - 1])),
        ("cut in a line", whole[..whole.len() - 9].to_owned()),
    ];
    let mut wrong = None;
    for (name, text) in &changes {
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        let verified = bench.start(&["log", "verify"], None)?;
        if *text == whole || verified.code == "ok" {
            wrong = Some(format!("{name}: {}", verified.code));
        }
    }
    std::fs::write(&path, &whole).map_err(|error| error.to_string())?;
    let verified = bench.start(&["log", "verify"], None)?;
    match (wrong, verified.code.as_str()) {
        (None, "ok") => Ok(Ran::inputs(changes.len()).without_neighbour(
            "no program is run: the log itself is changed, and verifies when it is whole again",
        )),
        (wrong, code) => Err(format!("{wrong:?}, the whole log: {code}")),
    }
}

fn schema(bench: &Bench) -> Result<usize, String> {
    let opened = bench.open(&Input::file(bench.maker().lawful()))?;
    let records = bench.records();
    let record = records.last().ok_or("no record")?;
    let fields = [
        "seq",
        "at",
        "command",
        "outcome",
        "exit",
        "file_sha256",
        "file_len",
        "issuer",
        "remittance",
        "revision",
        "kind",
        "template_sha256",
        "key",
        "consent",
        "granted",
        "calls",
        "fuel",
        "time_ms",
    ];
    let missing: Vec<_> = fields
        .iter()
        .filter(|field| record[**field].is_null())
        .collect();
    let calls = record["calls"].as_array().map(Vec::len);
    if opened.code == "ok" && missing.is_empty() && calls == Some(1) {
        Ok(fields.len())
    } else {
        Err(format!("missing {missing:?}, calls {calls:?}"))
    }
}

fn consent(bench: &Bench) -> Result<usize, String> {
    let path = bench.path("asked.tegata");
    std::fs::write(&path, bench.maker().lawful()).map_err(|error| error.to_string())?;
    // Nobody there, and a pipe that says yes: neither is a person.
    for pipe in [None, Some((b"y\nyes\n".as_slice(), 0))] {
        let opened = bench.open_with(&path, &bench.reader(), &[], pipe)?;
        if opened.code != "E_NO_CONSENT" || opened.exchanges != 0 || opened.commands != 0 {
            return Err(opened.code);
        }
    }
    let opened = bench.open(&Input::Path(path))?;
    match opened.code.as_str() {
        "ok" => Ok(2),
        code => Err(format!("with consent: {code}")),
    }
}

fn amounts(maker: &Maker<'_>) -> Vec<Case> {
    // 2,500 in CBOR, as it stands in the order bytes before the currency.
    let amount = [0x19, 0x09, 0xC4];
    let mut cases: Vec<_> = [
        ("zero", [0x19, 0x00, 0x00]),
        ("negative", [0x39, 0x09, 0xC4]),
        ("a float", [0xF9, 0x3C, 0x00]),
        ("a text", [0x62, 0x31, 0x30]),
    ]
    .map(|(name, by)| patched(maker, name, &amount, &by))
    .to_vec();
    cases.push(patched(maker, "no currency", b"JPY", b"XQZ"));
    cases.push(patched(maker, "lower case", b"JPY", b"jpy"));
    cases
}

/// The order bytes with one piece replaced by another of the same length, signed again.
fn patched(maker: &Maker<'_>, name: &str, from: &[u8], to: &[u8]) -> Case {
    let draft = maker.draft().by(Key::Program);
    let lawful = draft.file(maker, &Guest::lawful());
    let mut changed = body(&lawful).to_vec();
    let at = changed
        .windows(from.len())
        .rposition(|window| window == from);
    let at = at.expect("a piece of the order");
    changed[at..at + to.len()].copy_from_slice(to);
    case(name, Input::file(signed_again(&changed)), "E_ORDER_FORM").mended(lawful)
}
