//! Durable transfers per second through `Store::apply`, 100,000 accounts, one transfer per call.
//!
//! Prints lines `BENCH name value unit`, which `make bench` collects. A closed loop: each caller waits
//! for its answer, which comes after the commit is on the disk.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark reads the clock, prints its result and stops at the first error"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::{AccountRef, Command, HolderId, Language, Outcome, Timestamp, TransferId};
use money::{Amount, Currency};
use store::{Database, NewHolder, SqlStore, Store};

const ACCOUNTS: u64 = 100_000;
/// Callers in a closed loop, transfers in each of their calls, and the name of the figure.
const SQLITE: [(u64, u64, &str); 3] = [
    (32, 1, "ledger_sqlite_per_s"),
    (1_024, 1, "ledger_peak_per_s"),
    (8, 125, "ledger_batch_per_s"),
];
/// The same on PostgreSQL, where the second argument names a database of it.
const POSTGRES: [(u64, u64, &str); 1] = [(32, 1, "ledger_pg_per_s")];
const WARM_UP: Duration = Duration::from_secs(1);
/// How long each figure is measured, unless the first argument says so.
const MEASURE_S: u64 = 6;
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

async fn fill(database: &Database) -> Arc<SqlStore> {
    let store = Arc::new(database.open().unwrap());
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

/// Lets so many callers transfer for a while; gives transfers per second.
async fn measure(
    store: &Arc<SqlStore>,
    (callers, each): (u64, u64),
    round: u64,
    spend: Duration,
) -> u128 {
    let begin = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let mut choice = Choice((round << 20 | caller) + 1);
                let mut done = 0_u64;
                while begin.elapsed() < spend {
                    let commands: Vec<_> = (done..done + each)
                        .map(|count| transfer(&mut choice, round * 10_000_000 + count, caller))
                        .collect();
                    let answers = store.apply(commands).await.unwrap();
                    let whole = |answer: &_| *answer == Ok(Outcome::Transferred);
                    assert!(answers.iter().all(whole), "{answers:?}");
                    done += each;
                }
                done
            })
        })
        .collect();
    let mut done = 0_u128;
    for task in tasks {
        done += u128::from(task.await.unwrap());
    }
    done * 1_000_000 / begin.elapsed().as_micros()
}

fn transfer(choice: &mut Choice, count: u64, caller: u64) -> Command {
    let (from, mut to) = (choice.account(), choice.account());
    while from == to {
        to = choice.account();
    }
    let (ms, random) = id_parts(count, caller);
    Command::Transfer {
        id: TransferId::new(ms, random),
        from: AccountRef::Holder(from),
        to: AccountRef::Holder(to),
        amount: Amount::new(1, Currency::Jpy).unwrap(),
        now: NOW,
    }
}

fn main() {
    // cargo adds `--bench`
    let seconds = std::env::args().nth(1).and_then(|first| first.parse().ok());
    let spend = Duration::from_secs(seconds.unwrap_or(MEASURE_S));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (database, figures) = match std::env::args().nth(2) {
        Some(url) => (url.parse().unwrap(), &POSTGRES[..]),
        None => {
            let file = folder.path().join("ledger.db");
            (Database::Sqlite(file), &SQLITE[..])
        }
    };
    let store = runtime.block_on(fill(&database));
    for (round, &(callers, each, name)) in (1_u64..).zip(figures) {
        let load = (callers, each);
        runtime.block_on(measure(&store, load, 2 * round - 1, WARM_UP.min(spend)));
        let commits = store.commits();
        let per_s = runtime.block_on(measure(&store, load, 2 * round, spend));
        let commits = u128::from(store.commits() - commits);
        println!("BENCH {name} {per_s} 1/s");
        let shared = per_s * u128::from(spend.as_secs()) / commits.max(1);
        println!("BENCH {name}_commit {shared} transfers");
    }
    let report = runtime.block_on(store.audit()).unwrap();
    assert!(report.is_balanced(), "{report:?}");
}
