//! R: a hostile guest written in Rust (guest-programs/hostile), one misbehaviour per run: what a
//! compiler makes of hostile source, beside the guests in text.

use crate::bench::Bench;
use crate::ride::{self, Script};
use crate::row::{Check, Ran, Row};

const GUEST: &[u8] = include_bytes!("../../../../guest-programs/prebuilt/hostile.wasm");

/// Its number in the guest, what it does, the code, and what reaches card and issuer.
type Misbehaviour = (u8, &'static str, &'static str, [usize; 2]);

const AT_THE_CARD: &[Misbehaviour] = &[
    (1, "an empty command", "E_PROGRAM_READER", [0, 0]),
    (2, "ISO select", "E_PROGRAM_READER", [0, 0]),
    (3, "another application", "E_PROGRAM_READER", [0, 0]),
    (4, "a command to the reader", "E_PROGRAM_READER", [0, 0]),
    (5, "AF with nothing open", "E_PROGRAM_READER", [0, 0]),
    (6, "credit without a session", "E_PROGRAM_READER", [1, 0]),
    (7, "commit without a session", "E_PROGRAM_READER", [1, 0]),
    (8, "a command of 262 bytes", "E_PROGRAM_READER", [0, 0]),
    (
        9,
        "commands without end",
        "E_LIMIT_CALLS",
        [sandbox::limits::READER_CALLS_MAX, 0],
    ),
];

const AT_THE_ISSUER: &[Misbehaviour] = &[
    (10, "an empty request", "E_PROGRAM_NETWORK", [0, 0]),
    (11, "a request of 4,097 bytes", "E_PROGRAM_NETWORK", [0, 0]),
    (
        12,
        "requests without end",
        "E_LIMIT_CALLS",
        [0, sandbox::limits::NETWORK_CALLS_MAX],
    ),
    (13, "more than a call carries", "E_LIMIT_BYTES", [0, 0]),
];

const IN_ITSELF: &[Misbehaviour] = &[
    (14, "an endless loop", "E_FUEL", [0, 0]),
    (15, "recursion past the stack", "E_TRAP_OOB", [0, 0]),
    (16, "unreachable code", "E_TRAP", [0, 0]),
    (17, "an index out of range", "E_TRAP", [0, 0]),
    (18, "division by zero", "E_TRAP", [0, 0]),
    (19, "a result too long", "E_LIMIT_BYTES", [0, 0]),
    (20, "memory without end", "E_TRAP", [0, 0]),
    (21, "a wild pointer", "E_TRAP_OOB", [0, 0]),
    (22, "giving up", "E_PROGRAM_REFUSED", [0, 0]),
    (23, "an order it does not know", "E_PROGRAM_ORDER", [0, 0]),
];

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "R1",
        title: "nine misbehaviours at the card",
        check: Check::Script(|bench| each(bench, AT_THE_CARD).map(Ran::inputs)),
    },
    Row {
        id: "R2",
        title: "four misbehaviours at the issuer",
        check: Check::Script(|bench| each(bench, AT_THE_ISSUER).map(Ran::inputs)),
    },
    Row {
        id: "R3",
        title: "ten misbehaviours in itself",
        check: Check::Script(|bench| each(bench, IN_ITSELF).map(Ran::inputs)),
    },
];

fn each(bench: &Bench, list: &[Misbehaviour]) -> Result<usize, String> {
    let maker = bench.maker();
    let run = |mode: u8| {
        let draft = maker.draft().with(|order| {
            let [first, ..] = &mut order.claim_token;
            *first = mode;
        });
        let file = draft.file_of(&maker, GUEST.to_vec());
        ride::ride(bench, file, Script::plain(), &ride::command(bench))
    };
    for (mode, name, code, reached) in list {
        let ridden = run(*mode);
        let seen = [ridden.script.commands.len(), ridden.script.requests.len()];
        if ridden.code != *code || seen != *reached {
            return Err(format!(
                "{name}: {} in place of {code}, {seen:?}",
                ridden.code
            ));
        }
        // The lawful neighbour: the same template, asked for nothing hostile.
        let lawful = run(0);
        if lawful.code != "ok" || lawful.result != b"done" {
            return Err(format!("after {name}: {}", lawful.code));
        }
    }
    Ok(list.len())
}
