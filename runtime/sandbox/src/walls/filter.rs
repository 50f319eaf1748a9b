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

/// What the kernel may be advised of memory: that its content is not needed. That is what allocators and
/// the engine say when they give memory back; others of the many advices reach into parts of the kernel
/// that nothing here needs.
const ADVICE: &[libc::c_int] = &[libc::MADV_DONTNEED, libc::MADV_FREE];

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
    let advice = ADVICE.iter().map(|advice| rule(&[(2, Eq, flag(*advice))]));
    rules.insert(libc::SYS_madvise, advice.collect::<Result<_, _>>()?);
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

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: u32 = 0x7fff_0000;
    const KILL_PROCESS: u32 = 0x8000_0000;

    /// One system call as the kernel shows it to a filter: number, architecture, program counter, arguments.
    fn seen(arch: u32, call: i64, arguments: [u64; 6]) -> Vec<u32> {
        let mut words = vec![u32::try_from(call).expect("a number"), arch, 0, 0];
        for argument in arguments {
            let bytes = argument.to_le_bytes();
            let (low, high) = bytes.split_at(4);
            words.push(u32::from_le_bytes(low.try_into().expect("four bytes")));
            words.push(u32::from_le_bytes(high.try_into().expect("four bytes")));
        }
        words
    }

    /// What the kernel does with a program of this form, by its documentation: one register, jumps ahead.
    fn run(program: &BpfProgram, data: &[u32]) -> u32 {
        let (mut at, mut register) = (0, 0_u32);
        loop {
            let step = &program[at];
            at += 1;
            let k = step.k;
            let jump = |met: bool| usize::from(if met { step.jt } else { step.jf });
            match step.code {
                0x20 => register = data[usize::try_from(k / 4).expect("small")],
                0x54 => register &= k,
                0x05 => at += usize::try_from(k).expect("small"),
                0x15 => at += jump(register == k),
                0x25 => at += jump(register > k),
                0x35 => at += jump(register >= k),
                0x06 => return k,
                other => panic!("an instruction that this test does not know: {other:#x}"),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    const ARCH: u32 = 0xC000_003E;
    #[cfg(target_arch = "aarch64")]
    const ARCH: u32 = 0xC000_00B7;
    #[cfg(target_arch = "riscv64")]
    const ARCH: u32 = 0xC000_00F3;

    #[track_caller]
    fn expect(call: i64, arguments: [u64; 6], allowed: bool) {
        let program = program().expect("a filter");
        let answer = run(&program, &seen(ARCH, call, arguments));
        let expected = if allowed { ALLOW } else { KILL_PROCESS };
        assert_eq!(answer, expected, "{call} {arguments:?}");
        // The same call in the numbers of another architecture.
        let foreign = run(&program, &seen(0x4000_0003, call, arguments));
        assert_eq!(foreign, KILL_PROCESS);
    }

    fn third(value: libc::c_int) -> [u64; 6] {
        [4096, 4096, u64::from(value.unsigned_abs()), 0, 0, 0]
    }

    #[test]
    fn memory_is_given_back_and_no_other_advice_is_taken() {
        for advice in 0..=200 {
            let allowed = [libc::MADV_DONTNEED, libc::MADV_FREE].contains(&advice);
            expect(libc::SYS_madvise, third(advice), allowed);
        }
    }

    #[test]
    fn arguments_decide_where_a_call_can_do_more_than_is_needed() {
        let (read, write, exec) = (libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC);
        for (protection, allowed) in [
            (0, true),
            (read, true),
            (read | write, true),
            (read | exec, true),
            (read | write | exec, false),
            (write | exec, false),
        ] {
            expect(libc::SYS_mprotect, third(protection), allowed);
        }
        let map = |protection: libc::c_int, flags: libc::c_int| {
            let mut arguments = third(protection);
            arguments[3] = u64::from(flags.unsigned_abs());
            arguments
        };
        let (private, anonymous) = (libc::MAP_PRIVATE, libc::MAP_ANONYMOUS);
        expect(libc::SYS_mmap, map(read | write, private | anonymous), true);
        expect(libc::SYS_mmap, map(0, private | anonymous), true);
        expect(libc::SYS_mmap, map(read | exec, private | anonymous), false);
        expect(libc::SYS_mmap, map(read, private), false);
        for (call, descriptor, allowed) in [
            (libc::SYS_read, 0, true),
            (libc::SYS_read, 1, false),
            (libc::SYS_read, 3, false),
            (libc::SYS_write, 0, false),
            (libc::SYS_write, 1, true),
            (libc::SYS_write, 2, true),
            (libc::SYS_write, 3, false),
        ] {
            expect(call, [descriptor, 4096, 8, 0, 0, 0], allowed);
        }
    }

    #[test]
    fn a_call_outside_the_list_ends_the_process_whatever_its_arguments() {
        let by_argument = [
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_mmap,
            libc::SYS_mprotect,
            libc::SYS_madvise,
        ];
        for call in (0..1_000).filter(|call| !by_argument.contains(call)) {
            let allowed = FREE.contains(&call);
            for value in [0, 1, 2, u64::MAX] {
                expect(call, [value; 6], allowed);
            }
        }
    }
}
