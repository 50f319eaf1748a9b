//! How a run ends, and the bytes of the runner's last frame.

use wasmtime::Trap;
use wasmtime::component::{ComponentType, Lift};

/// Why the program itself gave up; `failure` of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Failure {
    /// The order bytes are of no form or kind that the program carries out.
    #[component(name = "order")]
    Order,
    /// The card has no usable identity or no purse of ours.
    #[component(name = "card-unsupported")]
    CardUnsupported,
    /// The card could not be reached, or left before its work was done.
    #[component(name = "reader")]
    Reader,
    /// The issuer could not be reached.
    #[component(name = "network")]
    Network,
    /// The issuer's reply had no known form, or the conversation did not end.
    #[component(name = "protocol")]
    Protocol,
    /// The issuer refused; its code is in the last reply that crossed the network.
    #[component(name = "refused")]
    Refused,
}

impl Failure {
    const ALL: [Self; 6] = [
        Self::Order,
        Self::CardUnsupported,
        Self::Reader,
        Self::Network,
        Self::Protocol,
        Self::Refused,
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Order => "E_PROGRAM_ORDER",
            Self::CardUnsupported => "E_PROGRAM_CARD_UNSUPPORTED",
            Self::Reader => "E_PROGRAM_READER",
            Self::Network => "E_PROGRAM_NETWORK",
            Self::Protocol => "E_PROGRAM_PROTOCOL",
            Self::Refused => "E_PROGRAM_REFUSED",
        }
    }
}

/// Why the runner stopped the program, or could not start it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The compiler refused the program or failed on it.
    Compile,
    /// The program could not be linked or instantiated.
    Instantiate,
    /// The fuel is used up.
    Fuel,
    /// The guest's time is used up.
    Deadline,
    /// A memory did not fit into the run's total at instantiation.
    Memory,
    /// A table did not fit at instantiation.
    Table,
    /// One call carried too many bytes.
    Bytes,
    /// The program executed `unreachable`: a panic in the guest.
    Trap,
    /// A memory access out of bounds.
    TrapBounds,
    /// The call stack is used up.
    TrapStack,
    /// An indirect call to no function, to one of another type, or out of the table.
    TrapIndirect,
    /// Division by zero or an integer overflow.
    TrapArithmetic,
    /// Bytes at the component boundary that mean nothing: a list out of bounds, a bad discriminant.
    TrapAbi,
    /// A call into or out of the component where it is not allowed.
    TrapReentry,
    /// A call to the host outside `run`.
    Phase,
    /// A fault of the runner itself.
    Internal,
}

impl Fault {
    const ALL: [Self; 16] = [
        Self::Compile,
        Self::Instantiate,
        Self::Fuel,
        Self::Deadline,
        Self::Memory,
        Self::Table,
        Self::Bytes,
        Self::Trap,
        Self::TrapBounds,
        Self::TrapStack,
        Self::TrapIndirect,
        Self::TrapArithmetic,
        Self::TrapAbi,
        Self::TrapReentry,
        Self::Phase,
        Self::Internal,
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Compile => "E_COMPILE",
            Self::Instantiate => "E_INSTANTIATE",
            Self::Fuel => "E_FUEL",
            Self::Deadline => "E_DEADLINE",
            Self::Memory => "E_LIMIT_MEM",
            Self::Table => "E_LIMIT_TABLE",
            Self::Bytes => "E_LIMIT_BYTES",
            Self::Trap => "E_TRAP",
            Self::TrapBounds => "E_TRAP_OOB",
            Self::TrapStack => "E_TRAP_STACK",
            Self::TrapIndirect => "E_TRAP_INDIRECT",
            Self::TrapArithmetic => "E_TRAP_ARITHMETIC",
            Self::TrapAbi => "E_TRAP_ABI",
            Self::TrapReentry => "E_TRAP_REENTRY",
            Self::Phase => "E_PHASE",
            Self::Internal => "E_INTERNAL",
        }
    }

    /// The fault that a trap of the engine means; `None` for a trap that is not in this table.
    pub(crate) const fn of_trap(trap: Trap) -> Option<Self> {
        Some(match trap {
            Trap::OutOfFuel => Self::Fuel,
            Trap::Interrupt => Self::Deadline,
            Trap::UnreachableCodeReached => Self::Trap,
            Trap::MemoryOutOfBounds => Self::TrapBounds,
            Trap::StackOverflow => Self::TrapStack,
            Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => {
                Self::TrapIndirect
            }
            Trap::IntegerOverflow | Trap::IntegerDivisionByZero => Self::TrapArithmetic,
            Trap::StringOutOfBounds
            | Trap::ListOutOfBounds
            | Trap::InvalidDiscriminant
            | Trap::InvalidChar
            | Trap::UnalignedPointer
            | Trap::DebugAssertStringEncodingFinished
            | Trap::DebugAssertEqualCodeUnits
            | Trap::DebugAssertPointerAligned
            | Trap::DebugAssertUpperBitsUnset => Self::TrapAbi,
            Trap::CannotEnterComponent | Trap::CannotLeaveComponent => Self::TrapReentry,
            // Traps of features that are off: to meet one is a fault of the engine or of ours.
            Trap::HeapMisaligned
            | Trap::BadConversionToInteger
            | Trap::AtomicWaitNonSharedMemory
            | Trap::NullReference
            | Trap::ArrayOutOfBounds
            | Trap::AllocationTooLarge
            | Trap::CastFailure
            | Trap::NoAsyncResult
            | Trap::UnhandledTag
            | Trap::ContinuationAlreadyConsumed
            | Trap::DisabledOpcode
            | Trap::AsyncDeadlock
            | Trap::CannotBlockSyncTask
            | Trap::TaskCancelNotCancelled
            | Trap::TaskCancelOrReturnTwice
            | Trap::SubtaskCancelAfterTerminal
            | Trap::TaskReturnInvalid
            | Trap::WaitableSetDropHasWaiters
            | Trap::SubtaskDropNotResolved
            | Trap::ThreadNewIndirectInvalidType
            | Trap::ThreadNewIndirectUninitialized
            | Trap::BackpressureOverflow
            | Trap::UnsupportedCallbackCode
            | Trap::CannotResumeThread
            | Trap::ConcurrentFutureStreamOp
            | Trap::ReferenceCountOverflow
            | Trap::StreamOpTooBig
            | Trap::WaitableSyncAndAsync
            | Trap::UncaughtException => Self::Internal,
            _ => return None,
        })
    }
}

/// The end of a run as the runner reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Receipt(Vec<u8>),
    Failure(Failure),
    Fault(Fault),
}

impl Outcome {
    /// Bytes of the fuel in front of the outcome.
    pub(crate) const FUEL_LEN: usize = 8;

    /// Payload of the outcome frame: the fuel used, little-endian, and the outcome.
    pub(crate) fn encode(&self, fuel: u64) -> Vec<u8> {
        let mut payload = fuel.to_le_bytes().to_vec();
        payload.extend_from_slice(&self.body());
        payload
    }

    /// The outcome: 00 and the receipt, 01 and the failure, 02 and the fault.
    pub(crate) fn body(&self) -> Vec<u8> {
        match self {
            Self::Receipt(bytes) => {
                let mut payload = vec![0];
                payload.extend_from_slice(bytes);
                payload
            }
            Self::Failure(failure) => vec![1, number(&Failure::ALL, failure)],
            Self::Fault(fault) => vec![2, number(&Fault::ALL, fault)],
        }
    }

    /// Reverse of `encode`: fuel and outcome; `None` if the payload has no known form.
    pub(crate) fn decode(payload: &[u8]) -> Option<(u64, Self)> {
        let (fuel, body) = payload.split_first_chunk::<{ Self::FUEL_LEN }>()?;
        let outcome = match body {
            [0, receipt @ ..] => Some(Self::Receipt(receipt.to_vec())),
            [1, number] => Failure::ALL
                .get(usize::from(*number))
                .copied()
                .map(Self::Failure),
            [2, number] => Fault::ALL
                .get(usize::from(*number))
                .copied()
                .map(Self::Fault),
            _ => None,
        };
        Some((u64::from_le_bytes(*fuel), outcome?))
    }
}

fn number<T: PartialEq>(all: &[T], item: &T) -> u8 {
    let place = all.iter().position(|listed| listed == item);
    place
        .and_then(|place| u8::try_from(place).ok())
        .expect("every variant is in its short list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trap_of_the_engine_is_classified() {
        let unclassified: Vec<_> = (0..=u8::MAX)
            .filter_map(Trap::from_u8)
            .filter(|trap| Fault::of_trap(*trap).is_none())
            .collect();
        assert_eq!(unclassified, []);
        assert!((0..=u8::MAX).filter_map(Trap::from_u8).count() >= 46);
    }

    #[test]
    fn every_outcome_comes_back_as_it_was() {
        let failures = Failure::ALL.map(Outcome::Failure);
        let faults = Fault::ALL.map(Outcome::Fault);
        let receipts = [
            Outcome::Receipt(vec![]),
            Outcome::Receipt(vec![0xA5; 16 << 10]),
        ];
        for outcome in failures.into_iter().chain(faults).chain(receipts) {
            for fuel in [0, 0x0102_0304_0506_0708, u64::MAX] {
                let back = Outcome::decode(&outcome.encode(fuel));
                assert_eq!(back, Some((fuel, outcome.clone())));
            }
        }
    }

    #[test]
    fn outcomes_of_no_known_form_are_none() {
        for body in [&[][..], &[1], &[1, 6], &[2, 16], &[2, 0, 0], &[3, 0]] {
            let payload = [&[0; Outcome::FUEL_LEN], body].concat();
            assert_eq!(Outcome::decode(&payload), None, "{payload:?}");
        }
        for len in 0..Outcome::FUEL_LEN {
            assert_eq!(Outcome::decode(&vec![0; len]), None, "{len}");
        }
    }

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<_> = Fault::ALL.map(Fault::code).to_vec();
        codes.extend(Failure::ALL.map(Failure::code));
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }
}
