//! Generated programs: nothing of them may bring the host down, and each ends in a known way.

mod calls;
mod mutated;
mod random;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicU32;

use sandbox::{Deadlines, RunnerCommand, limits};

use crate::issuer::Issuer;
use crate::maker::Maker;
use crate::ride::{self, Ridden, Script};

/// Some time within the validity of everything here, Unix seconds.
const NOW: u64 = 1_800_000_000;

/// How a program may end that passed for one of the issuer's: a result, a stated limit or trap, or
/// a refusal at admission. Faults of the runner itself are none of them.
fn known() -> BTreeSet<&'static str> {
    let mut codes: BTreeSet<_> = limits::TABLE.iter().map(|limit| limit.code).collect();
    codes.extend([
        "ok",
        "E_FORMAT",
        "E_FEATURE",
        "E_IMPORT",
        "E_IMPORT_TYPE",
        "E_EXPORT",
        "E_POLICY_SECTION",
        "E_POLICY_START",
        "E_POLICY_CANON",
        "E_INSTANTIATE",
        "E_LIMIT_TABLE",
        "E_TRAP",
        "E_TRAP_OOB",
        "E_TRAP_INDIRECT",
        "E_TRAP_ARITHMETIC",
        "E_TRAP_ABI",
        "E_TRAP_REENTRY",
        "E_PROGRAM_ORDER",
        "E_PROGRAM_CARD_UNSUPPORTED",
        "E_PROGRAM_READER",
        "E_PROGRAM_NETWORK",
        "E_PROGRAM_PROTOCOL",
        "E_PROGRAM_REFUSED",
    ]);
    codes
}

/// The issuer of generated programs and the runner that they run in.
struct Range {
    issuer: Issuer,
    next: AtomicU32,
    command: RunnerCommand,
}

impl Range {
    fn new() -> Self {
        // The example `runner`, which Cargo builds beside the tests.
        let test = std::env::current_exe().expect("a test is a file");
        let target = test.parent().and_then(Path::parent);
        let program = target.expect("target/debug/deps").join("examples/runner");
        Self {
            issuer: Issuer::start(NOW).expect("a port"),
            next: AtomicU32::new(1),
            command: RunnerCommand {
                program,
                args: vec!["runner".into()],
                deadlines: Deadlines::default(),
                walls: sandbox::walls::WallRule::Accept,
            },
        }
    }

    const fn maker(&self) -> Maker<'_> {
        Maker::new(&self.issuer, NOW, &self.next)
    }

    /// Runs a file that must end in a known way.
    #[track_caller]
    fn ride(&self, file: Vec<u8>, script: Script) -> Ridden {
        let ridden = ride::ride_at(NOW, file, script, &self.command);
        assert!(known().contains(ridden.code), "{}", ridden.code);
        ridden
    }
}

#[test]
fn a_lawful_program_gives_its_result_here() {
    let range = Range::new();
    let ridden = range.ride(range.maker().lawful(), Script::plain());
    assert_eq!((ridden.code, ridden.result), ("ok", vec![1]));
}
