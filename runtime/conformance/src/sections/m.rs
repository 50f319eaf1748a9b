//! M: several at once, ends in the middle, what is left behind.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sandbox::{Effects, NetworkError, ReaderError};

use super::UID;
use crate::bench::{Bench, Input};
use crate::guest::{Guest, floods, sends, sequence};
use crate::issuer::NAME;
use crate::ride::{self, Script};
use crate::row::{Check, Row};

/// Programs at once; each is a process of its own.
const AT_ONCE: usize = 12;

/// Programs one after the other, for what leaks once per run.
const IN_TURN: usize = 40;

/// Descriptors that other cases, which run at the same time, may have open.
const OTHERS: usize = 20;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "M1",
        title: "many programs at once: each has its own card and issuer",
        check: Check::Script(at_once),
    },
    Row {
        id: "M2",
        title: "given up at each call to the host",
        check: Check::Script(given_up),
    },
    Row {
        id: "M3",
        title: "a runner that was started and is never asked to run",
        check: Check::Script(never_run),
    },
    Row {
        id: "M4",
        title: "the runner killed at a call, and before it",
        check: Check::Script(killed),
    },
    Row {
        id: "M5",
        title: "one process, one engine, one program",
        check: Check::Script(one_process_each),
    },
    Row {
        id: "M6",
        title: "many runs in turn leave no descriptor and no process",
        check: Check::Script(in_turn),
    },
    Row {
        id: "M7",
        title: "the terminal ended by a signal in the middle of a run",
        check: Check::Script(terminated),
    },
    Row {
        id: "M8",
        title: "no place for the journal: nothing is sent",
        check: Check::Script(no_journal),
    },
    Row {
        id: "M9",
        title: "no machine code is ever kept",
        check: Check::Script(no_cache),
    },
    Row {
        id: "M10",
        title: "two terminals on one remittance",
        check: Check::Script(two_terminals),
    },
    Row {
        id: "M11",
        title: "the terminal catches no fault of its own code",
        check: Check::Script(no_fault_handlers),
    },
];

fn next_runs(bench: &Bench) -> Result<(), String> {
    let file = bench.maker().lawful();
    let ridden = ride::ride(bench, file, Script::plain(), &ride::command(bench));
    match ridden.code {
        "ok" => Ok(()),
        code => Err(format!("the next program: {code}")),
    }
}

fn at_once(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let runs: Vec<_> = (0..AT_ONCE)
        .map(|number| {
            let own = u8::try_from(number).unwrap_or(u8::MAX);
            (own, maker.file(&sends("exchange", &[own; 4])))
        })
        .collect();
    let ridden: Vec<_> = std::thread::scope(|scope| {
        let started = runs.into_iter().map(|(own, file)| {
            let ridden = move || {
                let mut script = Script::plain();
                script.issuer = vec![Ok(vec![own; 8])];
                (own, ride::ride(bench, file, script, &ride::command(bench)))
            };
            scope.spawn(ridden)
        });
        let started: Vec<_> = started.collect();
        started
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    });
    for (own, ridden) in &ridden {
        if ridden.code != "ok"
            || ridden.result != [*own; 8]
            || ridden.script.requests != [[*own; 4]]
        {
            return Err(format!("{own}: {}", ridden.code));
        }
    }
    match ridden.len() {
        AT_ONCE => Ok(AT_ONCE),
        len => Err(format!("{len} of {AT_ONCE}")),
    }
}

/// Gives up at the call of this number, as somebody does who closes the window.
struct GivesUp(usize);

impl GivesUp {
    fn count(&mut self) {
        match self.0.checked_sub(1) {
            Some(left) => self.0 = left,
            None => std::panic::resume_unwind(Box::new("given up")),
        }
    }
}

impl Effects for GivesUp {
    fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.count();
        Ok(vec![0x90, 0x00])
    }

    fn exchange(&mut self, _: &[u8]) -> Result<Vec<u8>, NetworkError> {
        self.count();
        Ok(vec![1])
    }
}

fn given_up(bench: &Bench) -> Result<usize, String> {
    let calls = sequence(&[
        ("transmit", &UID),
        ("exchange", b"x"),
        ("transmit", &UID),
        ("exchange", b"y"),
    ]);
    for place in 0..=4 {
        let program = ride::verified(bench.options.now, bench.maker().file(&calls))?;
        let admitted = sandbox::admit(program).map_err(|error| error.to_string())?;
        let runner = sandbox::Runner::spawn(admitted, &ride::command(bench))
            .map_err(|error| error.to_string())?;
        let ended = catch_unwind(AssertUnwindSafe(|| runner.run(&mut GivesUp(place))));
        if ended.is_ok() != (place == 4) {
            return Err(format!("at call {place}"));
        }
        next_runs(bench)?;
    }
    Ok(5)
}

fn never_run(bench: &Bench) -> Result<usize, String> {
    for _ in 0..3 {
        let program = ride::verified(bench.options.now, bench.maker().lawful())?;
        let admitted = sandbox::admit(program).map_err(|error| error.to_string())?;
        // Dropping it ends the child and waits for that.
        let runner = sandbox::Runner::spawn(admitted, &ride::command(bench));
        drop(runner.map_err(|error| error.to_string())?);
    }
    next_runs(bench)?;
    Ok(3)
}

/// Kills the processes that this thread has started, at the first call.
struct Kills;

fn kill_children() -> Option<usize> {
    let children = std::fs::read_to_string("/proc/thread-self/children").ok()?;
    let children: Vec<_> = children.split_whitespace().collect();
    for child in &children {
        let kill = std::process::Command::new("kill")
            .args(["-9", child])
            .status();
        kill.ok().filter(std::process::ExitStatus::success)?;
    }
    Some(children.len())
}

impl Effects for Kills {
    fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, ReaderError> {
        kill_children()
            .map(|_| vec![0x90, 0x00])
            .ok_or(ReaderError::Failed)
    }

    fn exchange(&mut self, _: &[u8]) -> Result<Vec<u8>, NetworkError> {
        Err(NetworkError::Offline)
    }
}

fn killed(bench: &Bench) -> Result<usize, String> {
    if !Path::new("/proc/thread-self/children").exists() {
        // Nothing here tells which process to kill.
        return Ok(0);
    }
    for before in [false, true] {
        let twice = floods("transmit", &UID, 2);
        let program = ride::verified(bench.options.now, bench.maker().file(&twice))?;
        let admitted = sandbox::admit(program).map_err(|error| error.to_string())?;
        let runner = sandbox::Runner::spawn(admitted, &ride::command(bench))
            .map_err(|error| error.to_string())?;
        if before && kill_children() != Some(1) {
            return Err("no child to kill".to_owned());
        }
        let ended = runner.run(&mut Kills);
        let code = ended
            .as_ref()
            .map_or_else(sandbox::RunError::code, |_| "ok");
        if code != "E_RUNNER_LOST" {
            return Err(format!("killed: {code}"));
        }
        next_runs(bench)?;
    }
    Ok(2)
}

fn one_process_each(bench: &Bench) -> Result<usize, String> {
    // A second program on the same pipes has no place: the runner leaves.
    let mut child = std::process::Command::new(&bench.options.executable)
        .arg("runner")
        .env_clear()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let program = bench.maker().lawful();
    let len = u32::try_from(program.len()).map_err(|error| error.to_string())?;
    let frame = [&[1], len.to_le_bytes().as_slice(), &program].concat();
    if let Some(mut stdin) = child.stdin.take() {
        use std::io::Write as _;
        let _broken = stdin.write_all(&frame.repeat(2));
        let ended = bench.poll(|| child.try_wait().ok().flatten());
        drop(stdin);
        let _killed = child.kill();
        let _status = child.wait();
        return match ended {
            Some(status) if !status.success() => Ok(1),
            ended => Err(format!("two programs for one runner: {ended:?}")),
        };
    }
    Err("no pipe".to_owned())
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn in_turn(bench: &Bench) -> Result<usize, String> {
    let maker = bench.maker();
    let guests = [Guest::lawful(), Guest::returns("(unreachable)")];
    let files = guests.map(|guest| maker.file(&guest));
    let before = descriptors();
    for file in files.iter().cycle().take(IN_TURN) {
        ride::ride(bench, file.clone(), Script::plain(), &ride::command(bench));
    }
    let after = descriptors();
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    if after > before + OTHERS || !children.trim().is_empty() {
        return Err(format!(
            "{before} descriptors before, {after} after, children {children:?}"
        ));
    }
    Ok(IN_TURN)
}

fn terminated(bench: &Bench) -> Result<usize, String> {
    let mut count = 0;
    for (signal, number) in [("-TERM", 15), ("-INT", 2), ("-HUP", 1)] {
        // What is ignored here (`nohup`), every child ignores too: that is its caller's wish.
        if is_ignored(number) {
            continue;
        }
        let file = bench.maker().lawful();
        let input = Input::file(file);
        let pid = bench.running();
        bench.issuer.before_answering(move || {
            let pid = pid.load(std::sync::atomic::Ordering::Relaxed).to_string();
            let _sent = std::process::Command::new("kill")
                .args([signal, &pid])
                .status();
        });
        // It ends without a document; nothing else is left of it.
        if bench.open(&input).is_ok() {
            return Err(format!("{signal}: the terminal went on"));
        }
        let again = bench.open(&input)?;
        if again.code != "ok" {
            return Err(format!("{signal}: then {}", again.code));
        }
        // It could not write its record; the next one has written it.
        let cut_off = again.document["interrupted"].as_array();
        let cut_off = cut_off.map_or(0, Vec::len);
        if cut_off != 1 {
            return Err(format!("{signal}: {cut_off} records of what was cut off"));
        }
        count += 1;
    }
    Ok(count)
}

/// Whether this process, and so each that it starts, ignores the signal of this number.
fn is_ignored(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

fn no_journal(bench: &Bench) -> Result<usize, String> {
    let draft = bench.maker().draft();
    let id = data_encoding::HEXLOWER.encode(&draft.order.remittance);
    let name = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
    // A folder where the entry belongs.
    let place = bench.state(&format!("journal/{NAME}/{name}.json"));
    std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let input = Input::file(draft.file(&bench.maker(), &Guest::lawful()));
    let opened = bench.open(&input)?;
    if opened.code != "E_STATE" || opened.exchanges != 0 {
        return Err(format!(
            "no journal: {}, {} exchanges",
            opened.code, opened.exchanges
        ));
    }
    std::fs::remove_dir(&place).map_err(|error| error.to_string())?;
    let again = bench.open(&input)?;
    match again.code.as_str() {
        "ok" => Ok(1),
        code => Err(format!("with a journal: {code}")),
    }
}

fn no_cache(bench: &Bench) -> Result<usize, String> {
    bench.open(&Input::file(bench.maker().lawful()))?;
    let known = BTreeSet::from(["journal", "log", "receipts", "stalled", "trust"]);
    let names = std::fs::read_dir(bench.state("")).map_err(|error| error.to_string())?;
    for name in names.filter_map(Result::ok) {
        let name = name.file_name().to_string_lossy().into_owned();
        if !known.contains(name.as_str()) && !name.starts_with("lock") {
            return Err(format!("{name} in the state folder"));
        }
    }
    Ok(1)
}

fn two_terminals(bench: &Bench) -> Result<usize, String> {
    let draft = bench.maker().draft();
    let id = data_encoding::HEXLOWER.encode(&draft.order.remittance);
    let name = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
    let lock = bench.state(&format!("journal/{NAME}/{name}.lock"));
    let folder = lock.parent().unwrap_or(&lock);
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let held = std::fs::File::create(&lock).map_err(|error| error.to_string())?;
    held.lock().map_err(|error| error.to_string())?;
    let input = Input::file(draft.file(&bench.maker(), &Guest::lawful()));
    let second = bench.open(&input)?;
    drop(held);
    if second.code != "E_ALREADY_RUNNING" || second.exchanges != 0 {
        return Err(format!("the second: {}", second.code));
    }
    let again = bench.open(&input)?;
    match again.code.as_str() {
        "ok" => Ok(1),
        code => Err(format!("alone: {code}")),
    }
}

/// Illegal instruction and arithmetic fault have no handler in the terminal, where no program runs.
fn no_fault_handlers(_: &Bench) -> Result<usize, String> {
    const ILLEGAL: u64 = 1 << 3;
    const ARITHMETIC: u64 = 1 << 7;
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return Ok(0);
    };
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    match caught {
        Some(mask) if mask & (ILLEGAL | ARITHMETIC) == 0 => Ok(1),
        mask => Err(format!("caught signals {mask:x?}")),
    }
}
