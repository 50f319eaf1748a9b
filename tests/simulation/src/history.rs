//! One seed from beginning to end.

use crate::{
    base::{Base, Machine},
    cells::Cells,
    world::World,
};
use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Events before the faults stop.
const EVENTS: usize = 560;

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Things that happened, one at a time.
    pub events: u64,
    /// Times that every invariant was checked against the books.
    pub checks: u64,
    /// Remittances ordered.
    pub remittances: u64,
    /// Debits by which cards were to pay for some of them.
    pub debits: u64,
    /// Receipts that a terminal stored.
    pub receipts: u64,
    /// Exchanges that reached the server.
    pub exchanges: u64,
    /// Commands that reached a card.
    pub apdus: u64,
    /// Runs of a terminal.
    pub runs: u64,
    /// Times that the server was killed.
    pub kills: u64,
    /// Times that a backup was put back.
    pub restores: u64,
    /// Lost cards that were paid out.
    pub paid_out: u64,
}

impl Stats {
    /// Adds those of another history.
    pub const fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.checks += other.checks;
        self.remittances += other.remittances;
        self.debits += other.debits;
        self.receipts += other.receipts;
        self.exchanges += other.exchanges;
        self.apdus += other.apdus;
        self.runs += other.runs;
        self.kills += other.kills;
        self.restores += other.restores;
        self.paid_out += other.paid_out;
    }
}

/// One history.
#[derive(Debug)]
pub struct Outcome {
    /// In numbers.
    pub stats: Stats,
    /// Which faults hit which steps.
    pub cells: Cells,
    /// What must not be, if anything was.
    pub broken: Option<String>,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

/// Runs the history of one seed.
///
/// # Panics
/// If the world cannot be made at all: no memory.
#[must_use]
pub fn run(base: &Base, seed: u64, verbose: bool) -> Outcome {
    // the jobs that ask the bank have time limits, which nothing here ever reaches
    let _time = base.runtime.enter();
    let mut world = World::new(base, seed, verbose).expect("a database in memory");
    let lived = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..EVENTS {
            if world.broken.is_some() {
                return;
            }
            world.event();
        }
        if world.broken.is_none() {
            world.settle();
        }
    }));
    match lived {
        Ok(()) => {
            let (gate, store) = (Arc::clone(&world.gate), Arc::clone(&world.store));
            base.give_back(Machine { gate, store });
        }
        Err(_) => world.broke("a panic".to_owned()),
    }
    Outcome {
        stats: world.stats,
        cells: world.cells,
        broken: world.broken,
        trace: world.trace,
    }
}

/// Many histories.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// In numbers.
    pub stats: Stats,
    /// Which faults hit which steps.
    pub cells: Cells,
    /// Seeds whose history broke, and what must not be.
    pub broken: Vec<(u64, String)>,
}

/// Runs the histories of a range of seeds; takes no new ones after the first that breaks.
#[must_use]
pub fn many(base: &Base, seeds: Range<u64>, threads: usize) -> Sum {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut mine = Sum::default();
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = run(base, seed, false);
                    mine.stats.add(&outcome.stats);
                    mine.cells.add(&outcome.cells);
                    if let Some(broken) = outcome.broken {
                        mine.broken.push((seed, broken));
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                sum.stats.add(&mine.stats);
                sum.cells.add(&mine.cells);
                sum.broken.append(&mut mine.broken);
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}
