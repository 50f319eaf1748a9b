//! Durable transfers per second through `Store::apply`, 100,000 accounts, one transfer per call.
//!
//! Prints one JSON line per measurement, which `make bench` collects. A closed loop: each caller
//! waits for its answer, which comes after the commit is on the disk.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark reads the clock, prints its result and stops at the first error"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use ledger::{AccountRef, Command, HolderId, Language, Outcome, Timestamp, TransferId};
use money::{Amount, Currency};
use store::{NewHolder, SqliteStore, Store};

const ACCOUNTS: u64 = 100_000;
const CALLERS: [u64; 2] = [32, 1_024];
const NOW: Timestamp = Timestamp::from_unix_s(1_767_225_600);

/// An id of the `count`-th millisecond; `mark` keeps callers apart.
fn id_parts(count: u64, mark: u64) -> (u64, [u8; 10]) {
    let [a, b, c, d, e, f, g, h] = mark.to_be_bytes();
    (1_767_225_600_000 + count, [0, 0, a, b, c, d, e, f, g, h])
}

fn holder(number: u64) -> HolderId {
    let (ms, random) = id_parts(0, number);
    HolderId::new(ms, random)
}

/// A cheap generator; which accounts meet is all that it decides (xorshift64*).
struct Choice(u64);

impl Choice {
    fn account(&mut self) -> HolderId {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        holder((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % ACCOUNTS)
    }
}

async fn fill(path: &Path) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path).unwrap());
    let mut tasks = Vec::new();
    for number in 0..ACCOUNTS {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let (id, currency) = (holder(number), Currency::Jpy);
            let name = "bench".to_owned();
            let (email, token, language) = (None, None, Language::En);
            let new = NewHolder {
                id,
                name,
                email,
                language,
                currency,
                token,
                now: NOW,
            };
            store.add_holder(new).await.unwrap();
            let (ms, random) = id_parts(0, number);
            let (from, to) = (AccountRef::Float, AccountRef::Holder(id));
            let amount = Amount::new(1_000_000_000, currency).unwrap();
            let id = TransferId::new(ms, random);
            let funding = Command::Transfer {
                id,
                from,
                to,
                amount,
                now: NOW,
            };
            store.apply_one(funding).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    store
}

/// `transfers` in all, from so many callers; gives how long they took.
async fn transfers(store: &Arc<dyn Store>, callers: u64, transfers: u64, round: u64) -> Duration {
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let store = Arc::clone(store);
        let mine = transfers / callers + u64::from(caller < transfers % callers);
        tasks.push(tokio::spawn(async move {
            let mut choice = Choice((round << 20 | caller) + 1);
            for count in 0..mine {
                let (from, to) = (choice.account(), choice.account());
                if from == to {
                    continue;
                }
                let (ms, random) = id_parts(round * 1_000_000 + count, caller);
                let command = Command::Transfer {
                    id: TransferId::new(ms, random),
                    from: AccountRef::Holder(from),
                    to: AccountRef::Holder(to),
                    amount: Amount::new(1, Currency::Jpy).unwrap(),
                    now: NOW,
                };
                let answers = store.apply(vec![command]).await.unwrap();
                assert_eq!(black_box(answers), [Ok(Outcome::Transferred)]);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    begin.elapsed()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = runtime.block_on(fill(&folder.path().join("ledger.db")));
    let mut criterion = Criterion::default()
        .sample_size(10)
        .measurement_time(Duration::from_secs(8))
        .configure_from_args();
    let mut round = 1;
    for callers in CALLERS {
        let mut group = criterion.benchmark_group("durable_transfers");
        group.throughput(Throughput::Elements(1));
        let (mut count, mut spent) = (0_u64, Duration::ZERO);
        group.bench_function(BenchmarkId::new("callers", callers), |bencher| {
            bencher.iter_custom(|transfers_now| {
                round += 1;
                let begin_count = transfers_now.max(callers);
                let took = runtime.block_on(transfers(&store, callers, begin_count, round));
                count += begin_count;
                spent += took;
                took.mul_f64(ratio(transfers_now, begin_count))
            });
        });
        group.finish();
        if let Some(per_s) = (u128::from(count) * 1_000_000).checked_div(spent.as_micros()) {
            println!(
                "{{\"name\": \"ledger_sqlite_{callers}_callers_per_s\", \"value\": {per_s}, \
                 \"unit\": \"transfers/s\", \"lower_is_better\": false}}"
            );
        }
    }
    let report = runtime.block_on(store.audit()).unwrap();
    assert!(report.is_balanced(), "{report:?}");
}

/// How much of a run counts where fewer transfers were asked for than there are callers.
fn ratio(asked: u64, made: u64) -> f64 {
    f64::from(u32::try_from(asked).unwrap_or(u32::MAX))
        / f64::from(u32::try_from(made).unwrap_or(u32::MAX))
}
