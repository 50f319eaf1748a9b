//! How each wall is raised on Linux.

use std::os::unix::process::CommandExt as _;

use caps::CapSet;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetError, RulesetStatus,
    Scope,
};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};

use super::{Wall, filter, no_environment};
use crate::limits;

/// The last argument of a runner that started itself again.
pub(super) const AGAIN: &str = "again";

/// Standard input, output and error; the last leads nowhere.
const STANDARD: std::ops::RangeInclusive<i32> = 0..=2;

/// Raises one wall; whether it stands.
pub(super) fn raise(wall: Wall) -> bool {
    match wall {
        Wall::Environment => no_environment(),
        Wall::Descriptors => no_descriptors(),
        Wall::ParentDeath => set_parent_process_death_signal(Some(Signal::KILL)).is_ok(),
        Wall::OutOfMemory => std::fs::write("/proc/self/oom_score_adj", "1000").is_ok(),
        Wall::CoreDump => limit(Resource::Core, 0, 0),
        Wall::Inspection => set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok(),
        Wall::Privileges => filter::apply_empty(),
        Wall::Capabilities => no_capabilities(),
        Wall::Landlock => deny_all().is_ok_and(|status| status != RulesetStatus::NotEnforced),
        Wall::OpenFiles => limit(Resource::Nofile, 0, 0),
        Wall::AddressSpace => limit_space(limits::RUNNER_SPACE_MAX),
        Wall::CpuTime => limit_time(limits::RUNNER_CPU_S_MAX),
        Wall::SystemCalls => filter::apply(),
    }
}

/// Whether nothing is open but the three. What is left open by whoever started the terminal cannot
/// be closed by number without breaking the rules of this language; it can be marked to be closed
/// when this program starts itself once more, which [`AGAIN`] keeps from happening twice.
fn no_descriptors() -> bool {
    if only_standard() {
        return true;
    }
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if !arguments.iter().any(|argument| argument == AGAIN) {
        close_fds::set_fds_cloexec(STANDARD.end() + 1, &[]);
        arguments.push(AGAIN.into());
        // Returns only if it failed.
        let _error = std::process::Command::new("/proc/self/exe")
            .args(arguments)
            .exec();
    }
    false
}

/// Without a list of them nobody knows.
fn only_standard() -> bool {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return false;
    };
    // The list itself is read with the lowest free number: with one above, that one is taken.
    let lowest_free = STANDARD.end() + 1;
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .all(|open: i32| open <= lowest_free)
}

/// Gives up every capability, for good, and reads back that none is left.
///
/// The bounding set is emptied by whoever may: for others it holds nothing that they could get, since
/// what they start gains no rights.
fn no_capabilities() -> bool {
    let _emptied = caps::clear(None, CapSet::Bounding);
    // The effective set goes with the permitted one, and the ambient set with either of the two.
    let own = [CapSet::Permitted, CapSet::Inheritable];
    let cleared = own.iter().all(|set| caps::clear(None, *set).is_ok());
    let mut sets = own.into_iter().chain([CapSet::Effective]);
    cleared && sets.all(|set| caps::read(None, set).is_ok_and(|left| left.is_empty()))
}

/// Takes every right that Landlock knows on this kernel, and grants none.
fn deny_all() -> Result<RulesetStatus, RulesetError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?;
    Ok(ruleset.create()?.restrict_self()?.ruleset)
}

fn limit(resource: Resource, soft: u64, hard: u64) -> bool {
    let new = Rlimit {
        current: Some(soft),
        maximum: Some(hard),
    };
    setrlimit(resource, new).is_ok() && getrlimit(resource) == new
}

/// Limits address space; an allocation beyond it fails, which ends the process.
pub(super) fn limit_space(bytes: u64) -> bool {
    limit(Resource::As, bytes, bytes)
}

/// Limits processor time; a second later the kernel kills a process that caught the first signal.
pub(super) fn limit_time(seconds: u64) -> bool {
    limit(Resource::Cpu, seconds, seconds + 1)
}
