//! The page docs/conformance.md.

use std::fmt::Write as _;

use crate::row::{Outcome, Status};
use crate::sections::NAMES;

const INTRODUCTION: &str = "\
# Conformance

What hostile programs and hostile mail meet in this terminal, case by case. `tegata conformance` runs all of it on your own
computer, against the very binary that you start, in folders of its own: your state, reader and issuers are not touched. This page is
what the command printed (`tegata conformance --page`); times are of that computer.

Each row has several inputs. Each input must end with its stable code, and its lawful neighbour, the same input with one thing
mended, must be credited or give its result: so no row passes for the wrong reason. After each input that goes through the whole
terminal (`open`): the terminal ended by itself with one document; it left exactly one run record, with the same code; nothing
arrived at the issuer, no command at the card, and the card's file is as it was, unless the row is about that; no temporary file
is left; nothing that moves or hides text was printed; it took at most two seconds and, on Linux, at most 64 MiB more memory
than a lawful program. Rows that go through `runner` use admission, runner process and policy of the product with a card and an
issuer that follow a script and write down what reaches them. A `script` takes steps of its own.

Beside the rows, `make test` runs generators: random code inside a lawful program, changed files signed again, and random sequences
of commands held against a model of the policy that is written from its page. Not there yet: the upstream component-model tests (no
crate carries them) and a comparison of the compiler with the engine's other back ends (in one workspace its features, like those of a
ready-made module generator, would give the product another build of the engine).
";

/// Renders the page from the outcomes of all rows.
#[must_use]
pub fn page(outcomes: &[Outcome]) -> String {
    let mut text = INTRODUCTION.to_owned();
    let not_built: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome.status {
            Status::NotBuilt(why) => Some((outcome.id, why)),
            Status::Passed | Status::Failed(_) => None,
        })
        .collect();
    // Writing to a string cannot fail.
    let _ = write!(text, "\n{} rows", outcomes.len());
    if not_built.is_empty() {
        text.push_str(".\n");
    } else {
        let _ = writeln!(text, "; {} of them not built yet:\n", not_built.len());
        for (id, why) in not_built {
            let _ = writeln!(text, "- {id}: {why}");
        }
    }
    for (letter, name) in NAMES {
        let _ = write!(
            text,
            "\n## {letter}: {name}\n\n| row | what is tried | through | inputs | slowest | result |\n|---|---|---|---|---|---|\n"
        );
        for outcome in outcomes.iter().filter(|o| o.id.starts_with(*letter)) {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} ms | {} |",
                outcome.id,
                outcome.title,
                outcome.through,
                outcome.inputs,
                outcome.slowest.as_millis(),
                outcome.status.word()
            );
        }
    }
    text
}
