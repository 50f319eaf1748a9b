//! Of B: which time, which root and which bytes count.

use ed25519_dalek::SigningKey;

use crate::bench::{Bench, Input};
use crate::guest::Guest;
use crate::issuer::{
    Issuer, Key, NAME, descriptor, descriptor_of, link, nothing_withdrawn, signed,
};

const DAY: u64 = 86_400;

/// Opens an order whose times are these, then the same order with lawful times.
fn at_times(bench: &Bench, name: &str, created: u64, expires: u64) -> Result<(), String> {
    let maker = bench.maker();
    let draft = maker.draft();
    let lawful = draft.clone().file(&maker, &Guest::lawful());
    let draft = draft.with(|order| {
        order.created = created;
        order.expires = expires;
    });
    let refused = bench.open(&Input::file(draft.file(&maker, &Guest::lawful())))?;
    if refused.code != "E_TIME" || refused.exchanges != 0 || refused.commands != 0 {
        return Err(format!("{name}: {}", refused.code));
    }
    match bench.open(&Input::file(lawful))?.code.as_str() {
        "ok" => Ok(()),
        code => Err(format!("{name}, mended: {code}")),
    }
}

pub(super) fn times(bench: &Bench) -> Result<usize, String> {
    let now = bench.options.now;
    at_times(bench, "expired", now - 10 * DAY, now - 2 * DAY)?;
    at_times(bench, "not yet valid", now + 2 * DAY, now + 10 * DAY)?;
    // The clock set back: the issuer has signed a time almost a day later than this computer's, by
    // which the order is over. By this computer's own clock the server would be asked.
    let maker = bench.maker();
    let draft = maker.draft().with(|order| {
        order.created = now - 3 * DAY;
        order.expires = now - 3_600;
    });
    let input = Input::file(draft.file(&maker, &Guest::lawful()));
    let list = |at: u64| Some(signed(&nothing_withdrawn(at), Key::Status));
    bench.forget_told()?;
    bench.issuer.serves_status(list(now + DAY - 60));
    let set_back = bench.open(&input)?;
    // The list is gone and the issuer honest again: what it has signed still counts.
    bench.issuer.serves_status(list(now));
    let told = bench.start(&["trust", "show", NAME], None)?;
    let again = bench.open(&input)?;
    let reset = bench.start(&["trust", "reset-time", NAME], None)?;
    let mended = bench.open(&input)?;
    let codes = [&set_back, &again, &reset, &mended].map(|opened| opened.code.as_str());
    let exchanges = [&set_back, &again, &mended].map(|opened| opened.exchanges);
    if codes != ["E_TIME", "E_TIME", "ok", "ok"] || exchanges != [0, 0, 1] {
        return Err(format!("clock set back: {codes:?}, {exchanges:?}"));
    }
    if !told.document["latest_signed_time"].is_string() {
        return Err("the latest signed time is not shown".to_owned());
    }
    another_issuers_time(bench)?;
    Ok(5)
}

/// What another trusted issuer says of the time, and of keys, is its own matter: the order that is over
/// by its clock still runs.
fn another_issuers_time(bench: &Bench) -> Result<(), String> {
    const OTHER: &str = "other.example";
    let now = bench.options.now;
    let liar = Issuer::start(now).map_err(|error| error.to_string())?;
    let root = SigningKey::from_bytes(&[0x77; 32]);
    liar.serves_keys(descriptor_of(OTHER, now + DAY - 60, &root));
    let origin = liar.origin();
    let trusted = bench.start(&["trust", "add", "--dev", &origin, "--yes"], None)?;
    let maker = bench.maker();
    let draft = maker.draft().with(|order| {
        order.created = now - 3 * DAY;
        order.expires = now - 3_600;
    });
    let opened = bench.open(&Input::file(draft.file(&maker, &Guest::lawful())));
    let removed = bench.start(&["trust", "remove", OTHER], None)?;
    let codes = [&trusted, &opened?, &removed].map(|opened| opened.code.clone());
    if codes == ["ok", "ok", "ok"] {
        Ok(())
    } else {
        Err(format!("beside an issuer with another time: {codes:?}"))
    }
}

/// Links, the root of the list of keys, and whether it is followed; one after the other.
type Step<'a> = (&'a str, &'a [(u8, u8)], u8, bool);

/// On a bench of its own: what is trusted there is another root afterwards.
pub(super) fn new_roots(bench: &Bench) -> Result<usize, String> {
    let own = Bench::new(&bench.options)?;
    let now = own.options.now;
    let root = |number: u8| match number {
        0 => Key::Root.signing(),
        other => SigningKey::from_bytes(&[other; 32]),
    };
    let steps: [Step<'_>; 9] = [
        ("named by nobody", &[], 1, false),
        ("named by a stranger", &[(9, 1)], 1, false),
        ("another named", &[(0, 2)], 1, false),
        ("one link", &[(0, 1)], 1, true),
        (
            "two links, seen from the first",
            &[(0, 1), (1, 2), (2, 3)],
            3,
            true,
        ),
        ("back to the first", &[(3, 0)], 0, false),
        ("a loop", &[(1, 2), (2, 3), (3, 1)], 1, false),
        ("a gap", &[(3, 4), (5, 6)], 6, false),
        ("the last root, not served any more", &[(2, 3)], 2, false),
    ];
    let mut current = 0;
    for (name, links, served, followed) in steps {
        let links: Vec<_> = links
            .iter()
            .map(|(from, to)| link(&root(*from), &root(*to), now))
            .collect();
        own.issuer.serves_roots(Some(&links));
        own.issuer.serves_keys(descriptor(now, &root(served)));
        // A day later the terminal fetches the keys anew.
        own.age("json", "/fetched_at")?;
        let input = Input::file(own.maker().lawful());
        let opened = own
            .open(&input)
            .map_err(|error| format!("{name}: {error}"))?;
        let told = opened.document["new_roots"].as_array().map(Vec::len);
        let logged = own
            .records()
            .last()
            .map(|record| record["new_roots"].clone());
        let seen = (opened.code.as_str(), opened.exchanges, told);
        let expected = if followed {
            current = served;
            ("ok", 1, Some(1))
        } else {
            ("E_ROOT_CHANGED", 0, None)
        };
        if seen != expected || logged.as_ref() != Some(&opened.document["new_roots"]) {
            return Err(format!("{name}: {seen:?}, logged {logged:?}"));
        }
        // Its neighbour: the same program, and the root that is known.
        own.issuer.serves_keys(descriptor(now, &root(current)));
        let opened = own.open(&input)?;
        if opened.code != "ok" || opened.exchanges != usize::from(!followed) {
            return Err(format!("{name}, mended: {}", opened.code));
        }
    }
    bench.note_all(own.seen());
    Ok(steps.len())
}

/// What is verified is what runs: a file that is another one afterwards, or a pipe that has nothing more.
pub(super) fn replaced_meanwhile(bench: &Bench) -> Result<usize, String> {
    let opened = bench.open(&Input::Pipe(bench.maker().lawful(), 0))?;
    if opened.code != "ok" || opened.exchanges != 1 {
        return Err(format!("from a pipe: {}", opened.code));
    }
    // Between verification and compile: the status list is fetched after the one and before the
    // other. And once more while the program runs.
    for verified in [true, false] {
        let maker = bench.maker();
        let draft = maker.draft();
        let remittance = draft.order.remittance;
        let one = draft.file(&maker, &Guest::lawful());
        let two = maker.file(&Guest::returns("(unreachable)"));
        let path = bench.path("replaced.tegata");
        let io = |error: std::io::Error| error.to_string();
        std::fs::write(&path, one).map_err(io)?;
        let swapped = path.clone();
        let swap = move || {
            let _written = std::fs::write(&swapped, &two);
        };
        if verified {
            bench.forget_told()?;
            bench.issuer.before_status(swap);
        } else {
            bench.issuer.before_answering(swap);
        }
        let opened = bench.open(&Input::Path(path.clone()))?;
        let shown = opened.document["remittance"].as_str().unwrap_or_default();
        let same = shown.replace('-', "") == data_encoding::HEXLOWER.encode(&remittance);
        if opened.code != "ok" || opened.exchanges != 1 || !same {
            return Err(format!("a file replaced meanwhile: {}", opened.code));
        }
        // It was replaced: what stands there now traps.
        let after = bench.open(&Input::Path(path))?;
        if after.code != "E_TRAP" {
            return Err(format!("nothing was replaced: {}", after.code));
        }
    }
    Ok(3)
}
