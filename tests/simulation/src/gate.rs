//! The store's gate, the clock and the randomness of a simulated server.

use crate::dice::Dice;
use issuer::clock::{Clock, Random};
use ledger::Timestamp;
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, Ordering},
};
use std::task::Poll;
use store::{Access, Gate, Side, StoreError};

/// Where a call stands while it waits for the scheduler.
pub(crate) type Point = (Access, Side);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct State {
    /// Lets everything pass: the checks read, the world is being set up.
    open: bool,
    waiting: Option<Point>,
    verdict: Option<Result<(), StoreError>>,
}

/// Makes each access of the store two scheduling points.
#[derive(Debug, Default)]
pub(crate) struct SimGate(Mutex<State>);

impl SimGate {
    /// Lets everything pass, or nothing without a verdict.
    pub(crate) fn set_open(&self, open: bool) {
        lock(&self.0).open = open;
    }

    /// Open, and nobody waits.
    pub(crate) fn clear(&self) {
        let open = true;
        *lock(&self.0) = State {
            open,
            ..State::default()
        };
    }

    /// What happens to the call that is polled next.
    pub(crate) fn decide(&self, verdict: Result<(), StoreError>) {
        lock(&self.0).verdict = Some(verdict);
    }

    /// Where the call that was just polled waits.
    pub(crate) fn take_waiting(&self) -> Option<Point> {
        let mut state = lock(&self.0);
        state.verdict = None;
        state.waiting.take()
    }
}

impl Gate for SimGate {
    fn pass(&self, access: Access, side: Side) -> Poll<Result<(), StoreError>> {
        let mut state = lock(&self.0);
        if state.open {
            return Poll::Ready(Ok(()));
        }
        match state.verdict.take() {
            Some(verdict) => Poll::Ready(verdict),
            None => {
                state.waiting = Some((access, side));
                Poll::Pending
            }
        }
    }
}

/// The failing database, as a caller sees it.
pub(crate) fn unavailable() -> StoreError {
    StoreError::Unavailable {
        reason: "simulated".to_owned(),
    }
}

/// The machine's clock, which may jump, behind the floor that every process keeps for itself.
#[derive(Debug)]
pub(crate) struct SimClock {
    raw: AtomicI64,
    floor: AtomicI64,
}

impl SimClock {
    pub(crate) const fn new(at: Timestamp) -> Self {
        Self {
            raw: AtomicI64::new(at.micros()),
            floor: AtomicI64::new(0),
        }
    }

    /// Moves the machine's clock, either way.
    pub(crate) fn shift(&self, micros: i64) {
        self.raw.fetch_add(micros, Ordering::Relaxed);
    }

    /// A new process knows no time before its own.
    pub(crate) fn restart(&self) {
        self.floor.store(0, Ordering::Relaxed);
    }

    /// What the machine's clock shows.
    pub(crate) fn raw(&self) -> i64 {
        self.raw.load(Ordering::Relaxed)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let raw = self.raw();
        let before = self.floor.fetch_max(raw, Ordering::Relaxed);
        Timestamp::from_micros(raw.max(before))
    }
}

/// The server's randomness.
#[derive(Debug)]
pub(crate) struct SimRandom(Mutex<Dice>);

impl SimRandom {
    pub(crate) const fn new(dice: Dice) -> Self {
        Self(Mutex::new(dice))
    }
}

impl Random for SimRandom {
    fn fill(&self, out: &mut [u8]) {
        lock(&self.0).fill(out);
    }
}
