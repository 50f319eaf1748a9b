//! K: leakage and determinism.

use wire::exchange::Refusal;

use super::UID;
use super::c::components;
use crate::bench::{Bench, Input};
use crate::guest::{Guest, sends, sequence};
use crate::issuer::Behaviour;
use crate::ride::{self, Script};
use crate::row::{Check, Ran, Row, case, guest};

/// Rounds of [`rounds`] that just fit into the fuel of a run, on every machine.
const ROUNDS: u64 = 249_963;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "K1",
        title: "the same program with the same answers: the same calls, result and fuel",
        check: Check::Script(|bench| twice_the_same(bench).map(Ran::inputs)),
    },
    Row {
        id: "K2",
        title: "clocks, randomness, environment, files, arguments",
        check: Check::Open(|maker| {
            [
                "wasi:clocks/monotonic-clock@0.2.0",
                "wasi:clocks/wall-clock@0.2.0",
                "wasi:random/random@0.2.0",
                "wasi:cli/environment@0.2.0",
                "wasi:filesystem/preopens@0.2.0",
            ]
            .map(|name| {
                let import = format!("(import \"{name}\" (instance))");
                components(maker, name, &import, "E_IMPORT", "(type (list u8))")
            })
            .to_vec()
        }),
    },
    Row {
        id: "K3",
        title: "globals and tables of one run in the next",
        check: Check::Open(|maker| {
            let used = Guest::does(
                "(if (i32.ne (global.get $mark) (i32.const 7)) (then (unreachable)))
                 (global.set $mark (i32.const 1))",
            )
            .parts("(global $mark (mut i32) (i32.const 7))");
            vec![
                case("first", Input::file(maker.file(&used)), "ok"),
                case("second", Input::file(maker.file(&used)), "ok"),
            ]
        }),
    },
    Row {
        id: "K4",
        title: "memory that a program did not write holds nothing of the host",
        check: Check::Script(|bench| nothing_of_the_host(bench).map(Ran::inputs)),
    },
    Row {
        id: "K5",
        title: "claim token, card's UID and request in messages, document and log",
        check: Check::Script(|bench| nothing_in_the_log(bench).map(Ran::inputs)),
    },
    Row {
        id: "K6",
        title: "core dumps of the runner",
        check: Check::Script(no_core_dump),
    },
    Row {
        id: "K7",
        title: "floating point, whose results differ between machines",
        check: Check::Open(|maker| {
            [
                "f32.const 1",
                "f64.const nan",
                "i32.const 1 f32.convert_i32_s",
                "i64.const 1 f64.reinterpret_i64",
            ]
            .map(|code| {
                let function = |code: &str| Guest::lawful().parts(format!("(func {code} drop)"));
                guest(
                    maker,
                    code,
                    &function(code),
                    "E_FEATURE",
                    &function("i32.const 1"),
                )
            })
            .to_vec()
        }),
    },
    Row {
        id: "K8",
        title: "growing memory depends on the declared maximum alone",
        check: Check::Open(|maker| {
            // Nineteen of twenty calls have room, whatever the machine has.
            let exactly = |grown: u32| {
                format!(
                    "(local $count i32)
                     (block (loop
                       (br_if 1 (i32.eq (memory.grow (i32.const 1)) (i32.const -1)))
                       (local.set $count (i32.add (local.get $count) (i32.const 1))) (br 0)))
                     (if (i32.ne (local.get $count) (i32.const {grown})) (then (unreachable)))"
                )
            };
            let guest_of = |grown: u32| Guest::does(exactly(grown)).memory("1 20");
            vec![guest(
                maker,
                "twenty",
                &guest_of(20),
                "E_TRAP",
                &guest_of(19),
            )]
        }),
    },
    Row {
        id: "K9",
        title: "the fuel of a run ends at the same instruction on every machine",
        check: Check::Script(|bench| same_fuel(bench).map(Ran::inputs)),
    },
];

fn rounds_of(count: u64) -> Guest {
    Guest::does(format!(
        "(local $left i64) (local.set $left (i64.const {count}))
         (loop
           (local.set $left (i64.sub (local.get $left) (i64.const 1)))
           (br_if 0 (i64.ne (local.get $left) (i64.const 0))))"
    ))
}

fn same_fuel(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let fits = |count: u64| {
        let file = maker.file(&rounds_of(count));
        let ridden = ride::ride(bench, file, Script::plain(), &ride::command(bench));
        match ridden.code {
            "ok" => Ok(true),
            "E_FUEL" => Ok(false),
            code => Err(code.to_owned()),
        }
    };
    if fits(ROUNDS)? && !fits(ROUNDS + 1)? {
        return Ok(2);
    }
    let (mut fitting, mut not) = (0, ROUNDS * 2);
    while fitting + 1 < not {
        let middle = fitting.midpoint(not);
        if fits(middle)? {
            fitting = middle;
        } else {
            not = middle;
        }
    }
    Err(format!("{fitting} rounds fit in place of {ROUNDS}"))
}

fn twice_the_same(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let calls = sequence(&[("transmit", &UID), ("exchange", b"x"), ("transmit", &UID)]);
    let file = maker.file(&calls);
    let runs = [(); 3].map(|()| {
        let ridden = ride::ride(bench, file.clone(), Script::plain(), &ride::command(bench));
        (
            ridden.code,
            ridden.result,
            ridden.script.commands,
            ridden.script.requests,
            ridden.script.fuel,
        )
    });
    let [first, second, third] = &runs;
    let told = first.4.is_some_and(|fuel| fuel > 0);
    if first.0 == "ok" && told && first == second && second == third {
        Ok(runs.len())
    } else {
        Err(format!("{runs:?}"))
    }
}

/// The guest returns what lies in memory that it never wrote.
fn nothing_of_the_host(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let mut count = 0;
    for at in [8_192, 16_384, 24_576, 60_000] {
        let dump = Guest::returns(format!(
            "(drop (call $peek)) (i32.store (i32.const 20) (i32.const {at}))
             (i32.store (i32.const 24) (i32.const 2048)) (i32.const 16)"
        ))
        .parts(
            "(data (i32.const 2048) \"\\ff\\ca\\00\\00\\00\")
             (func $peek (result i32)
               (call $transmit (i32.const 2048) (i32.const 5) (i32.const 64)) (i32.const 0))",
        );
        let file = maker.file(&dump);
        let ridden = ride::ride(bench, file, Script::plain(), &ride::command(bench));
        if ridden.code != "ok" || ridden.result != [0; 2_048] {
            return Err(format!("{}: memory at {at}", ridden.code));
        }
        count += 1;
    }
    Ok(count)
}

/// Secrets in the claim token, the request and the card's answer, through every kind of end.
fn nothing_in_the_log(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let canary = [0xA5, 0x5A, 0xC3, 0x3C, 0x96, 0x69, 0xF0, 0x0F];
    let uid = [4, 1, 2, 3, 4, 5, 6];
    let drafts = || {
        maker.draft().with(|order| {
            order.claim_token = [canary; 4].concat().try_into().expect("four times eight");
        })
    };
    let ask = "(call $exchange (i32.const 4096) (i32.const {len}) (i32.const 64))";
    let refused = Behaviour::Refuse(Refusal::WrongCard);
    let receipt = Behaviour::Receipt;
    // What is done, how the issuer answers, the code, exchanges and commands.
    let ends = [
        (Guest::lawful(), &receipt, "ok", 1, 0),
        (
            // The receipt came: that the program traps afterwards changes nothing.
            Guest::returns(format!("{ask} (unreachable)")),
            &receipt,
            "ok",
            1,
            0,
        ),
        (Guest::lawful(), &refused, "E_WRONG_CARD", 1, 0),
        // What the card answers, its UID, is what the program returns.
        (sends("transmit", &UID), &receipt, "E_RECEIPT", 0, 1),
        (Guest::returns("(unreachable)"), &receipt, "E_TRAP", 0, 0),
    ];
    let count = ends.len();
    for (guest, behaviour, code, exchanges, commands) in ends {
        let draft = drafts();
        let instruction = draft.instruction();
        bench.issuer.behaves(behaviour.clone());
        let opened = bench.open(&Input::file(draft.file(&maker, &guest)));
        bench.issuer.behaves(Behaviour::Receipt);
        let opened = opened?;
        let seen = (opened.code.as_str(), opened.exchanges, opened.commands);
        if seen != (code, exchanges, commands) {
            return Err(format!("{seen:?} in place of {code}"));
        }
        let log = std::fs::read_to_string(bench.state("log/runs.log"));
        let log = log.map_err(|error| error.to_string())?;
        let texts = [&opened.shown, &log].map(|text| text.to_lowercase());
        for (name, secret) in [
            ("claim token", canary.as_slice()),
            ("request", &instruction[..40]),
            ("UID", &uid),
        ] {
            let hex = data_encoding::HEXLOWER.encode(secret);
            let base64 = data_encoding::BASE64.encode(secret).to_lowercase();
            let base64 = base64.trim_end_matches('=');
            let is_in = |text: &String| text.contains(&hex) || text.contains(base64);
            if texts.iter().any(is_in) {
                return Err(format!("{code}: {name} is shown or logged"));
            }
        }
    }
    Ok(count)
}

fn no_core_dump(bench: &Bench) -> Result<Ran, String> {
    if !std::path::Path::new("/proc/self/limits").exists() {
        return Ok(Ran::not_here("nothing here tells a process's limits"));
    }
    let mut child = std::process::Command::new(&bench.options.executable)
        .arg("runner")
        .env_clear()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let path = format!("/proc/{}/limits", child.id());
    // The child limits itself first thing, and then waits for its program.
    let limits = bench.poll(|| {
        let limits = std::fs::read_to_string(&path).ok()?;
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))?;
        let mut values = core.split_whitespace().skip(4);
        (values.next() == Some("0") && values.next() == Some("0")).then_some(())
    });
    let _killed = child.kill();
    let _status = child.wait();
    if limits.is_none() {
        return Err("the runner may leave a core dump".to_owned());
    }
    Ok(Ran::inputs(1).without_neighbour("no program is run: the runner's own limits are read"))
}
