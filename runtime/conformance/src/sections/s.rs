//! S: what the issuer has withdrawn, and by which list it says so.

use wire::status::{Replaced, StatusList};

use crate::bench::{Bench, Input};
use crate::guest::Guest;
use crate::issuer::{Key, nothing_withdrawn, signed};
use crate::maker::Draft;
use crate::row::{Check, Ran, Row};

const DAY: u64 = 86_400;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "S1",
        title: "a template that the issuer has withdrawn",
        check: Check::Script(|bench| withdrawn_template(bench).map(Ran::inputs)),
    },
    Row {
        id: "S2",
        title: "a program that a newer one of the same remittance has replaced",
        check: Check::Script(|bench| replaced_program(bench).map(Ran::inputs)),
    },
    Row {
        id: "S3",
        title: "a list of three days ago, of the day after tomorrow, none, and bytes that are none",
        check: Check::Script(|bench| other_times(bench).map(Ran::inputs)),
    },
    Row {
        id: "S4",
        title: "an older list after a newer one: what was withdrawn does not come back",
        check: Check::Script(|bench| rolled_back(bench).map(Ran::inputs)),
    },
    Row {
        id: "S5",
        title: "a list of another issuer, or signed by a key for something else",
        check: Check::Script(|bench| foreign(bench).map(Ran::inputs)),
    },
];

/// Serves this list to a terminal that has none, opens the program, then does the same with a list that
/// withdraws nothing: the lawful neighbour.
fn with_list(
    bench: &Bench,
    name: &str,
    list: Option<Vec<u8>>,
    code: &str,
    file: Vec<u8>,
) -> Result<(), String> {
    let input = Input::file(file);
    bench.forget_told()?;
    bench.issuer.serves_status(list);
    let refused = bench.open(&input);
    lawful_list(bench);
    bench.forget_told()?;
    let refused = refused.map_err(|error| format!("{name}: {error}"))?;
    if refused.code != code || refused.exchanges != 0 || refused.commands != 0 {
        return Err(format!("{name}: {} in place of {code}", refused.code));
    }
    let opened = bench.open(&input)?;
    match (opened.code.as_str(), opened.exchanges) {
        ("ok", 1) => Ok(()),
        (other, _) => Err(format!("{name}, mended: {other}")),
    }
}

fn lawful_list(bench: &Bench) {
    let list = nothing_withdrawn(bench.options.now);
    bench.issuer.serves_status(Some(signed(&list, Key::Status)));
}

fn list(bench: &Bench, change: impl FnOnce(&mut StatusList)) -> Option<Vec<u8>> {
    let mut list = nothing_withdrawn(bench.options.now);
    change(&mut list);
    Some(signed(&list, Key::Status))
}

/// The file of a lawful guest, and the hash of the template that it is made of.
fn lawful(bench: &Bench, draft: &Draft) -> (Vec<u8>, [u8; 32]) {
    let template = Guest::lawful().template(&draft.instruction());
    let hash = program::Template::new(template).map_or([0; 32], |template| template.hash());
    (draft.clone().file(&bench.maker(), &Guest::lawful()), hash)
}

fn withdrawn_template(bench: &Bench) -> Result<usize, String> {
    let (file, hash) = lawful(bench, &bench.maker().draft());
    let among = |mut templates: Vec<[u8; 32]>| {
        templates.sort_unstable();
        list(bench, |list| list.templates = templates)
    };
    let code = "E_PROGRAM_REVOKED";
    with_list(bench, "alone", among(vec![hash]), code, file)?;
    let (file, hash) = lawful(bench, &bench.maker().draft());
    let several = among(vec![[0; 32], hash, [0xFF; 32]]);
    with_list(bench, "among others", several, code, file)?;
    Ok(2)
}

fn replaced_program(bench: &Bench) -> Result<usize, String> {
    let draft = bench.maker().draft();
    let listed = |revision| {
        let remittance = draft.order.remittance;
        list(bench, |list| {
            list.programs = vec![Replaced {
                remittance,
                revision,
            }];
        })
    };
    let (file, _) = lawful(bench, &draft);
    let by = draft.order.revision + 1;
    with_list(bench, "replaced", listed(by), "E_PROGRAM_REVOKED", file)?;
    // The lowest revision that may still run, runs.
    let draft = bench.maker().draft();
    let remittance = draft.order.remittance;
    let revision = draft.order.revision;
    bench.forget_told()?;
    bench.issuer.serves_status(list(bench, |list| {
        list.programs = vec![Replaced {
            remittance,
            revision,
        }];
    }));
    let opened = bench.open(&Input::file(lawful(bench, &draft).0));
    lawful_list(bench);
    bench.forget_told()?;
    match opened?.code.as_str() {
        "ok" => Ok(2),
        code => Err(format!("the replacing one: {code}")),
    }
}

fn other_times(bench: &Bench) -> Result<usize, String> {
    let now = bench.options.now;
    let at = |time: u64| list(bench, |list| list.issued_at = time);
    let lists = [
        ("three days old", at(now - 3 * DAY)),
        ("of the day after tomorrow", at(now + 2 * DAY)),
        ("none", None),
        ("no list", Some(b"nothing withdrawn".to_vec())),
        ("empty", Some(Vec::new())),
    ];
    let count = lists.len();
    for (name, list) in lists {
        let file = bench.maker().lawful();
        with_list(bench, name, list, "E_STATUS_STALE", file)?;
    }
    Ok(count)
}

fn rolled_back(bench: &Bench) -> Result<usize, String> {
    let now = bench.options.now;
    let (file, hash) = lawful(bench, &bench.maker().draft());
    let input = Input::file(file);
    bench.forget_told()?;
    bench
        .issuer
        .serves_status(list(bench, |list| list.templates = vec![hash]));
    let withdrawn = bench.open(&input)?;
    // A day later the terminal asks again, and is shown what was true before.
    bench.age("told", "/status/at")?;
    bench
        .issuer
        .serves_status(list(bench, |list| list.issued_at = now - 1));
    let older = bench.open(&input)?;
    // Asked again, and told what is true now.
    bench
        .issuer
        .serves_status(list(bench, |list| list.issued_at = now + 1));
    let newer = bench.open(&input)?;
    lawful_list(bench);
    bench.forget_told()?;
    match [withdrawn, older, newer]
        .map(|opened| opened.code)
        .as_slice()
    {
        [first, second, third]
            if first == "E_PROGRAM_REVOKED" && second == "E_STATUS_STALE" && third == "ok" =>
        {
            Ok(2)
        }
        codes => Err(format!("{codes:?}")),
    }
}

fn foreign(bench: &Bench) -> Result<usize, String> {
    let now = bench.options.now;
    let empty = nothing_withdrawn(now);
    let other = StatusList {
        issuer: "other.example".to_owned(),
        ..empty.clone()
    };
    let good = signed(&empty, Key::Status);
    let mut changed = good.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let lists = [
        ("another issuer's", signed(&other, Key::Status)),
        ("by the program key", signed(&empty, Key::Program)),
        ("by the receipt key", signed(&empty, Key::Receipt)),
        ("by the root", signed(&empty, Key::Root)),
        ("by a stranger", signed(&empty, Key::Unknown)),
        ("one bit changed", changed),
    ];
    let count = lists.len();
    for (name, list) in lists {
        let file = bench.maker().lawful();
        with_list(bench, name, Some(list), "E_STATUS_STALE", file)?;
    }
    Ok(count)
}
