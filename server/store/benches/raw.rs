//! Reference: SQLite alone, one transaction for each transfer, by one caller.
//!
//! The same rows as the ledger writes and the same durability, without a queue, idempotency of its own,
//! rules, or anything for the audit log. Prints `BENCH raw_sqlite_per_s value 1/s`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark reads the clock, prints its result and stops at the first error"
)]

use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

const ACCOUNTS: u64 = 100_000;
/// How long it is measured, unless the first argument says so.
const MEASURE_S: u64 = 6;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;
    PRAGMA wal_autocheckpoint = 8000;
    CREATE TABLE account (id BLOB NOT NULL PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0))
        STRICT, WITHOUT ROWID;
    CREATE TABLE transfer (id BLOB NOT NULL PRIMARY KEY, from_id BLOB NOT NULL, to_id BLOB NOT NULL,
        amount INTEGER NOT NULL CHECK (amount > 0), at INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

fn id(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(2)
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|first| first.parse().ok());
    let spend = Duration::from_secs(seconds.unwrap_or(MEASURE_S));
    let folder = tempfile::tempdir().unwrap();
    let mut db = Connection::open(folder.path().join("raw.db")).unwrap();
    db.execute_batch(SCHEMA).unwrap();
    let fill = db.transaction().unwrap();
    for number in 0..ACCOUNTS {
        let sql = "INSERT INTO account VALUES (?1, 1000000000)";
        fill.prepare_cached(sql)
            .unwrap()
            .execute([id(number)])
            .unwrap();
    }
    fill.commit().unwrap();
    let (mut state, mut done) = (1_u64, 0_u64);
    // xorshift64*: which accounts meet is all that it decides
    let mut account = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        id((state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % ACCOUNTS)
    };
    let begin = Instant::now();
    while begin.elapsed() < spend {
        let (from, to) = (account(), account());
        let transfer = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        for (id, change) in [(&from, -1), (&to, 1)] {
            let sql = "SELECT balance FROM account WHERE id = ?1";
            let mut select = transfer.prepare_cached(sql).unwrap();
            let balance: i64 = select.query_row([id], |row| row.get(0)).unwrap();
            let sql = "UPDATE account SET balance = ?2 WHERE id = ?1";
            let mut update = transfer.prepare_cached(sql).unwrap();
            assert_eq!(update.execute((id, balance + change)).unwrap(), 1);
        }
        let sql = "INSERT INTO transfer VALUES (?1, ?2, ?3, 1, 1)";
        let mut insert = transfer.prepare_cached(sql).unwrap();
        insert.execute((id(done), from, to)).unwrap();
        drop(insert);
        transfer.commit().unwrap();
        done += 1;
    }
    let per_s = u128::from(done) * 1_000_000 / begin.elapsed().as_micros();
    println!("BENCH raw_sqlite_per_s {per_s} 1/s");
}
