//! Each wall tried from inside: what it prevents is possible without it and not behind it.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};

use rustix::process::{PTracer, set_ptracer};
use sandbox::walls::{Attempt, Behind, Tried, Wall, WallRule, examine, try_behind};
use sandbox::{Deadlines, RunnerCommand};

/// SIGSYS and SIGXCPU, as on every architecture that has the filter.
const SIGSYS: i32 = 31;
const SIGXCPU: i32 = 24;

/// The example `runner`, which Cargo builds beside the tests.
fn command() -> RunnerCommand {
    let test = std::env::current_exe().expect("a test is a file");
    let target = test
        .parent()
        .and_then(Path::parent)
        .expect("target/debug/deps");
    let program: PathBuf = target.join("examples").join("runner");
    RunnerCommand {
        program,
        args: Vec::new(),
        deadlines: Deadlines::default(),
        walls: WallRule::Accept,
    }
}

/// What anybody may do here; only a system that forbids it to everybody has another answer.
const POSSIBLE: &[Attempt] = &[
    Attempt::Nothing,
    Attempt::Variable,
    Attempt::Open,
    Attempt::Bind,
    Attempt::Socket,
    Attempt::Fork,
    Attempt::Exec,
    Attempt::Signal,
    Attempt::Duplicate,
    Attempt::Reserve,
    Attempt::Compute,
    Attempt::Reveal,
    Attempt::Core,
    Attempt::Gain,
    Attempt::Inherit,
    Attempt::Spare,
    Attempt::Outlive,
    Attempt::Wait,
];

/// What the filter answers by killing; `Wait` alone is possible behind every wall.
const FILTERED: &[Attempt] = &[
    Attempt::Open,
    Attempt::Bind,
    Attempt::Socket,
    Attempt::Fork,
    Attempt::Exec,
    Attempt::Steal,
    Attempt::Signal,
    Attempt::Duplicate,
    Attempt::Chroot,
    Attempt::Outlive,
];

/// Whether this system may refuse to everybody what `Steal` tries: by Yama, or by a filter around this
/// test, as containers have it.
fn nobody_may_steal() -> bool {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let scope = read("/proc/sys/kernel/yama/ptrace_scope");
    let filtered = |line: &str| line == "Seccomp:\t2";
    matches!(scope.trim(), "2" | "3") || read("/proc/self/status").lines().any(filtered)
}

// One test, one attempt after the other: a probe that is started meanwhile would hold the descriptor
// that the probe for `Inherit` is to close.
#[test]
fn each_wall_prevents_alone_what_is_possible_without_it() {
    let command = command();
    for attempt in POSSIBLE {
        let tried = try_behind(&command, Behind::Nothing, *attempt);
        assert_eq!(tried, Tried::Allowed, "without walls: {attempt:?}");
    }

    // Yama's usual rule: only those trace a process whom it names. Other kernels know no such call.
    let _named = set_ptracer(PTracer::Any);
    if try_behind(&command, Behind::Nothing, Attempt::Steal) != Tried::Allowed {
        assert!(nobody_may_steal(), "without walls: Steal");
        println!("not run: this system lets nobody take a descriptor");
    }

    // Root's rights, where this test has them: what may this process do to its own root folder?
    let root = try_behind(&command, Behind::Nothing, Attempt::Chroot) == Tried::Allowed;
    if root {
        let tried = try_behind(&command, Behind::One(Wall::Capabilities), Attempt::Bound);
        assert_eq!(tried, Tried::Refused, "an empty bounding set");
    } else {
        println!("not run: only root has capabilities to lose");
    }

    let examination = examine(&command);
    assert_eq!(
        examination.runs,
        Ok(()),
        "a lawful program runs behind all walls"
    );
    assert_eq!(examination.findings.len(), Wall::ALL.len());
    for finding in &examination.findings {
        if finding.raised {
            assert!(finding.stands, "{finding:?}");
        } else {
            // Landlock came with Linux 5.13; the others are older than anything supported.
            assert_eq!(finding.wall, Wall::Landlock, "{finding:?}");
            println!("not run: this system has no Landlock");
        }
    }
    let of = |wall| {
        examination
            .findings
            .iter()
            .find(|finding| finding.wall == wall)
            .expect("every wall")
    };
    assert_eq!(
        of(Wall::CpuTime).tried,
        [("compute", Tried::Killed(SIGXCPU))]
    );
    for (attempt, tried) in &of(Wall::SystemCalls).tried {
        assert_eq!(*tried, Tried::Killed(SIGSYS), "{attempt}");
    }

    for attempt in FILTERED {
        let tried = try_behind(&command, Behind::Everything, *attempt);
        assert_eq!(
            tried,
            Tried::Killed(SIGSYS),
            "behind all walls: {attempt:?}"
        );
    }
    for attempt in [Attempt::Variable, Attempt::Reserve] {
        let tried = try_behind(&command, Behind::Everything, attempt);
        assert_eq!(tried, Tried::Refused, "behind all walls: {attempt:?}");
    }
    if root {
        let tried = try_behind(&command, Behind::Nothing, Attempt::Bound);
        assert_eq!(
            tried,
            Tried::Allowed,
            "without walls root has a bounding set"
        );
        let tried = try_behind(&command, Behind::Everything, Attempt::Bound);
        assert_eq!(tried, Tried::Refused, "behind all walls it is empty");
    }
    let tried = try_behind(&command, Behind::Everything, Attempt::Wait);
    assert_eq!(tried, Tried::Allowed, "reading and writing the two pipes");
}
