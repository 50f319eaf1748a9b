//! M: several at once, ends in the middle, what is left behind.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sandbox::{Effects, NetworkError, ReaderError};

use super::UID;
use crate::bench::{Bench, Input};
use crate::guest::{Guest, floods, sends, sequence};
use crate::issuer::NAME;
use crate::ride::{self, Script};
use crate::row::{Check, Ran, Row};

/// Programs at once; each is a process of its own.
const AT_ONCE: usize = 100;

/// Programs one after the other, for what leaks once per run.
const IN_TURN: usize = 100;
const IN_TURN_FULL: usize = 10_000;

/// Memory in KiB by which many runs may let this process grow: less than 1 KiB for each of ten thousand,
/// and room for what an allocator keeps.
const GROWTH_KIB_MAX: u64 = 8 << 10;

/// Mappings by which many runs may let this process grow: an allocator's.
const GROWTH_MAPS_MAX: u64 = 16;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "M1",
        title: "many programs at once: each has its own card and issuer",
        check: Check::Alone(at_once),
    },
    Row {
        id: "M2",
        title: "given up at each call to the host",
        check: Check::Script(|bench| given_up(bench).map(Ran::inputs)),
    },
    Row {
        id: "M3",
        title: "a runner that was started and is never asked to run",
        check: Check::Script(|bench| never_run(bench).map(Ran::inputs)),
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
        title: "many runs in turn leave no descriptor, process, thread, mapping and memory",
        check: Check::Alone(in_turn),
    },
    Row {
        id: "M7",
        title: "the terminal ended by a signal in the middle of a run",
        check: Check::Script(terminated),
    },
    Row {
        id: "M8",
        title: "no place for the journal: nothing is sent",
        check: Check::Script(|bench| no_journal(bench).map(Ran::inputs)),
    },
    Row {
        id: "M9",
        title: "no machine code is ever kept",
        check: Check::Script(|bench| no_cache(bench).map(Ran::inputs)),
    },
    Row {
        id: "M10",
        title: "two terminals on one remittance",
        check: Check::Script(|bench| two_terminals(bench).map(Ran::inputs)),
    },
    Row {
        id: "M11",
        title: "faults that the terminal and its runner catch: those of the language and of the engine",
        check: Check::Script(fault_handlers),
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

/// Each with an answer of its own, and all in the time that a lawful one needs after them.
fn at_once(bench: &Bench) -> Result<Ran, String> {
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
                let command = ride::command(bench);
                (
                    own,
                    ride::ride_at(bench.options.now, file, script, &command),
                )
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
    next_runs(bench)?;
    match ridden.len() {
        AT_ONCE => Ok(Ran::inputs(AT_ONCE)),
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

fn killed(bench: &Bench) -> Result<Ran, String> {
    if !Path::new("/proc/thread-self/children").exists() {
        return Ok(Ran::not_here("nothing here tells which process to kill"));
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
    Ok(Ran::inputs(2))
}

fn one_process_each(bench: &Bench) -> Result<Ran, String> {
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
            Some(status) if !status.success() => {
                next_runs(bench)?;
                Ok(Ran::inputs(1))
            }
            ended => Err(format!("two programs for one runner: {ended:?}")),
        };
    }
    Err("no pipe".to_owned())
}

/// What this process holds, as far as the system tells.
#[derive(Debug, Clone, Copy)]
struct Holds {
    descriptors: usize,
    threads: u64,
    mappings: u64,
    memory_kib: u64,
}

fn holds() -> Option<Holds> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    Some(Holds {
        descriptors: std::fs::read_dir("/proc/self/fd").ok()?.count(),
        threads: number("Threads:")?,
        mappings: u64::try_from(maps.lines().count()).ok()?,
        memory_kib: number("VmRSS:")?,
    })
}

fn in_turn(bench: &Bench) -> Result<Ran, String> {
    let maker = bench.maker();
    let guests = [Guest::lawful(), Guest::returns("(unreachable)")];
    let files = guests.map(|guest| maker.file(&guest));
    let count = if bench.options.full {
        IN_TURN_FULL
    } else {
        IN_TURN
    };
    let run = |count: usize| {
        for (file, code) in files.iter().zip(["ok", "E_TRAP"]).cycle().take(count) {
            let command = ride::command(bench);
            let ridden = ride::ride(bench, file.clone(), Script::plain(), &command);
            if ridden.code != code {
                return Err(format!("{} in place of {code}", ridden.code));
            }
        }
        Ok(())
    };
    // What the first ones make for all is there before it is counted.
    run(IN_TURN / 4)?;
    let Some(before) = holds() else {
        return Ok(Ran::not_here("nothing here tells what a process holds"));
    };
    run(count)?;
    let after = holds().ok_or("nothing tells what this process holds")?;
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    let flat = after.descriptors == before.descriptors
        && after.threads == before.threads
        && after.mappings <= before.mappings + GROWTH_MAPS_MAX
        && after.memory_kib <= before.memory_kib + GROWTH_KIB_MAX;
    if flat && children.trim().is_empty() {
        Ok(Ran::inputs(count))
    } else {
        Err(format!("{before:?}, then {after:?}, children {children:?}"))
    }
}

fn terminated(bench: &Bench) -> Result<Ran, String> {
    let mut ran = 0;
    let mut left_out = Vec::new();
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        // What is ignored here (`nohup`), every child ignores too: that is its caller's wish.
        if is_ignored(number) {
            left_out.push(format!("SIG{signal}: ignored by whoever started this"));
            continue;
        }
        let path = bench.path("signalled.tegata");
        std::fs::write(&path, bench.maker().lawful()).map_err(|error| error.to_string())?;
        let pid = bench.running();
        let (sender, children) = std::sync::mpsc::channel();
        bench.issuer.before_answering(move || {
            let pid = pid.load(std::sync::atomic::Ordering::Relaxed).to_string();
            let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            let _told = sender.send(list.unwrap_or_default());
            let flag = format!("-{signal}");
            let _sent = std::process::Command::new("kill")
                .args([&flag, &pid])
                .status();
        });
        let text = path.to_string_lossy().into_owned();
        let arguments = ["open", &text, "--reader", &bench.reader(), "--yes"];
        let ended = bench.start_to_any_end(&arguments, None)?;
        // By the signal itself: nothing caught it, nothing went on.
        if ended.status.signal() != Some(number) || ended.exchanges != 1 || ended.commands != 0 {
            return Err(format!("SIG{signal}: {}, {}", ended.status, ended.shown));
        }
        let children = children.recv().unwrap_or_default();
        let alive = |child: &str| Path::new("/proc").join(child).exists();
        let gone = || (!children.split_whitespace().any(alive)).then_some(());
        if bench.poll(gone).is_none() {
            return Err(format!("SIG{signal}: its runner lives on"));
        }
        let again = bench.open(&Input::Path(path))?;
        if again.code != "ok" {
            return Err(format!("SIG{signal}: then {}", again.code));
        }
        // It could not write its record; the next one has written it.
        let cut_off = again.document["interrupted"].as_array();
        let cut_off = cut_off.map_or(0, Vec::len);
        if cut_off != 1 {
            return Err(format!(
                "SIG{signal}: {cut_off} records of what was cut off"
            ));
        }
        ran += 1;
    }
    let ran = Ran::inputs(ran);
    Ok(left_out.into_iter().fold(ran, Ran::leaving_out))
}

/// Whether this process, and so each that it starts, ignores the signal of this number.
fn is_ignored(number: i32) -> bool {
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

/// Looks at the terminal and its runner while the program waits for the issuer.
///
/// The terminal catches at most the two faults by which the language's own library tells that a stack
/// ran over; the runner those by which the engine turns a fault of the program into a trap.
fn fault_handlers(bench: &Bench) -> Result<Ran, String> {
    if caught("self").is_none() {
        return Ok(Ran::not_here("nothing here tells what a process catches"));
    }
    let pid = bench.running();
    let (sender, seen) = std::sync::mpsc::channel();
    bench.issuer.before_answering(move || {
        let pid = pid.load(std::sync::atomic::Ordering::Relaxed).to_string();
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let list = list.unwrap_or_default();
        let children = list.split_whitespace().map(caught).collect::<Vec<_>>();
        let _told = sender.send((caught(&pid), children));
    });
    let opened = bench.open(&Input::file(bench.maker().lawful()))?;
    let (terminal, children) = seen.recv().map_err(|error| error.to_string())?;
    let of = |numbers: &[u32]| {
        numbers
            .iter()
            .fold(0, |mask, number| mask | 1 << (number - 1))
    };
    // SIGBUS and SIGSEGV; with SIGILL and SIGFPE. SIGTERM, SIGINT and SIGHUP end both.
    let (stack, engine) = (of(&[7, 11]), of(&[4, 7, 8, 11]));
    let ends = of(&[1, 2, 15]);
    let terminal_holds =
        terminal.is_some_and(|mask: u64| mask & engine & !stack == 0 && mask & ends == 0);
    match children.as_slice() {
        [Some(runner)] if terminal_holds && runner & !engine == 0 && opened.code == "ok" => {
            Ok(Ran::inputs(2))
        }
        children => Err(format!(
            "{}: the terminal catches {terminal:x?}, its children {children:x?}",
            opened.code
        )),
    }
}

/// The signals that a process catches, one bit each, without the two that the C library keeps for its
/// threads and shows to nobody.
fn caught(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask & !(0b11 << 31))
}
