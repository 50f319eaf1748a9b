//! The page docs/conformance.md.

use std::fmt::Write as _;

use crate::row::Outcome;
use crate::sections::NAMES;

const INTRODUCTION: &str = "\
# Conformance

What hostile programs and hostile mail meet in this terminal, case by case. `tegata conformance` runs all of it on your own
computer, against the very binary that you start, in folders of its own: your state, reader and issuers are not touched. This page is
what the command printed (`tegata conformance --full --page`); times are of that computer.

Each row has several inputs. Each input must end with its stable code, and its lawful neighbour, the same input with one thing
mended, must be credited or give its result: so no row passes for the wrong reason, and whoever was attacked serves the next program. A row
without a lawful program fails, unless it names its reason here. After each input that goes through the whole
terminal (`open`): the terminal ended by itself with one document; it left exactly one run record, with the same code; as many exchanges
arrived at the test issuer as the row says (none, where it says nothing) and no command at the test card, both counted there; no temporary file
is left; nothing that moves or hides text was printed; on Linux it took at most 64 MiB more memory
than a lawful program. Rows that go through `runner` use admission, runner process and policy of the product with a card and an
issuer that follow a script and write down what reaches them; there is no log in them, and the bound of memory is that of the runner. A `script`
takes steps of its own.

The bound of time, two seconds, is for one start of the terminal or one run of the runner, from its start to its end (`slowest`), not for a row: rows that by
themselves ask for many runs have many. `lawful` counts the lawful programs of a row.

Beside the rows, `make test` runs generators: random code inside a lawful program, changed files signed again, and random sequences
of commands held against a model of the policy that is written from its page. Not there yet: the upstream component-model tests (no
crate carries them).
";

/// Renders the page from the outcomes of all rows; `ran` says by whom and on what they were run.
#[must_use]
pub fn page(outcomes: &[Outcome], ran: &str) -> String {
    let mut text = INTRODUCTION.to_owned();
    // Writing to a string cannot fail.
    let inputs: usize = outcomes.iter().map(|outcome| outcome.inputs).sum();
    let lawful: usize = outcomes.iter().map(|outcome| outcome.lawful).sum();
    let _ = writeln!(
        text,
        "\n{} rows, {inputs} inputs, {lawful} lawful programs. {ran}",
        outcomes.len()
    );
    let mut notes = Vec::new();
    for outcome in outcomes {
        let id = outcome.id;
        let without = outcome.without_neighbour.iter();
        notes.extend(without.map(|why| format!("- {id} has no lawful program: {why}")));
        let left_out = outcome.left_out.iter();
        notes.extend(left_out.map(|why| format!("- {id}, not tried here: {why}")));
    }
    if !notes.is_empty() {
        let _ = writeln!(text, "\n{}", notes.join("\n"));
    }
    for (letter, name) in NAMES {
        let _ = write!(
            text,
            "\n## {letter}: {name}\n\n| row | what is tried | through | inputs | lawful | slowest | result |\n|---|---|---|---|---|---|---|\n"
        );
        for outcome in outcomes.iter().filter(|o| o.id.starts_with(*letter)) {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} ms | {} |",
                outcome.id,
                outcome.title,
                outcome.through,
                outcome.inputs,
                outcome.lawful,
                outcome.slowest.as_millis(),
                outcome.status.word()
            );
        }
    }
    text
}
