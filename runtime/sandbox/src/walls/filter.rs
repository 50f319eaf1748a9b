//! The system calls that a runner needs between its last wall and its end.
//!
//! At that point the engine, its signal handlers and the epoch thread exist. Compiling and running
//! take memory, make code executable, wait, and talk over two pipes; anything else ends the
//! process at once. In particular no call here makes a descriptor, a thread or a process, so even
//! `close` and `clone` are missing.

use std::collections::BTreeMap;

use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

/// Calls that are allowed whatever their arguments.
const FREE: &[i64] = &[
    // Memory: the allocator, the compiler, the guest's memory.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // Waiting: locks and the epoch thread's sleep; the last continues a wait after a stop.
    libc::SYS_futex,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    // Traps of the guest arrive as signals: a stack for their handler, and the way back.
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    // Keys of hash tables; the thread's number in the text of a panic.
    libc::SYS_getrandom,
    libc::SYS_gettid,
    // New code is made visible to every core where the processor does not do so itself.
    libc::SYS_membarrier,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Installs the filter for every thread of this process; whether it stands.
pub(super) fn apply() -> bool {
    program().is_ok_and(|program| apply_filter_all_threads(&program).is_ok())
}

/// Installs a filter that allows everything, for the switch that comes with it: no new privileges.
/// The safe interfaces at hand set it only so.
pub(super) fn apply_empty() -> bool {
    let everything = SeccompFilter::new(
        BTreeMap::new(),
        SeccompAction::Allow,
        SeccompAction::KillProcess,
        match std::env::consts::ARCH.try_into() {
            Ok(arch) => arch,
            Err(_) => return false,
        },
    );
    let program: Result<BpfProgram, _> = everything.and_then(TryInto::try_into);
    program.is_ok_and(|program| seccompiler::apply_filter(&program).is_ok())
}

fn program() -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(
        rules()?,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let flag = |flags: libc::c_int| u64::from(flags.unsigned_abs());
    let (write, exec, anonymous) = (
        flag(libc::PROT_WRITE),
        flag(libc::PROT_EXEC),
        flag(libc::MAP_ANONYMOUS),
    );
    let mut rules: BTreeMap<_, _> = FREE.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_read, vec![rule(&[(0, Eq, 0)])?]);
    rules.insert(
        libc::SYS_write,
        vec![rule(&[(0, Eq, 1)])?, rule(&[(0, Eq, 2)])?],
    );
    // Fresh memory only, never executable from the start.
    rules.insert(
        libc::SYS_mmap,
        vec![rule(&[
            (2, MaskedEq(exec), 0),
            (3, MaskedEq(anonymous), anonymous),
        ])?],
    );
    // Compiled code has to become executable; then it is no longer writable.
    rules.insert(
        libc::SYS_mprotect,
        vec![
            rule(&[(2, MaskedEq(exec), 0)])?,
            rule(&[(2, MaskedEq(write), 0)])?,
        ],
    );
    Ok(rules)
}

/// All of these conditions on arguments, each with the argument's place.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
    let conditions = conditions
        .iter()
        .map(|(place, operator, value)| {
            SeccompCondition::new(*place, Dword, operator.clone(), *value)
        })
        .collect::<Result<_, _>>()?;
    SeccompRule::new(conditions)
}
