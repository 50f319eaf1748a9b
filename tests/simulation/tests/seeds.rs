//! The simulation as a test: enough seeds that every fault has hit every step, and none broke.

use simulation::{Base, many, run};

/// Histories of the suite.
const SEEDS: u64 = 5_000;

fn base() -> Base {
    Base::new().expect("keys and cards")
}

#[test]
fn in_five_thousand_histories_nothing_breaks_and_every_fault_hits_every_step() {
    let threads = std::thread::available_parallelism().expect("cores").get();
    let sum = many(&base(), 0..SEEDS, threads);
    println!("{}\n{:?}", sum.cells.text(), sum.stats);
    assert_eq!(sum.broken, [], "again, in full: make simulate SEED=n");
    assert_eq!(sum.cells.wrong(), Vec::<String>::new());
    assert!(sum.stats.remittances > 4 * SEEDS, "{:?}", sum.stats);
    assert!(sum.stats.receipts > SEEDS, "{:?}", sum.stats);
}

/// Histories of the suite with the ledger in PostgreSQL.
const SEEDS_ON_POSTGRES: u64 = 60;

#[test]
fn on_postgresql_the_same_histories_hold() {
    let threads = std::thread::available_parallelism().expect("cores").get();
    let servers = Base::on_servers(postgres_server::database).expect("keys and cards");
    let found = many(&servers, 0..SEEDS_ON_POSTGRES, threads);
    assert_eq!(
        found.broken,
        [],
        "again, in full: make simulate SEED=n DATABASE=postgres"
    );
    // the decisions are the same, not only as good
    let memory = many(&base(), 0..SEEDS_ON_POSTGRES, threads);
    assert_eq!(found.stats, memory.stats);
}

#[test]
fn one_seed_is_one_history() {
    let base = base();
    for seed in [1, 4_711] {
        let (first, again) = (run(&base, seed, true), run(&base, seed, true));
        assert!(first.trace.len() > 50, "{}", first.trace.len());
        assert_eq!(first.trace, again.trace);
        assert_eq!(first.stats, again.stats);
    }
}
