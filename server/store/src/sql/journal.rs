//! The journal: what a transaction changed, noted in that transaction for the sealer to chain.
//!
//! An event is a row. A transfer is no row of its own: its row in `transfer` is there already, so
//! the transaction ends with one row that holds the ids of all its transfers, 16 bytes each.

use std::cell::RefCell;

use crate::db::Connection;
use audit_log::{Change, Record, Side};
use ledger::{Timestamp, Transfer, TransferId};

use crate::sql::fault::Fault;
use crate::sql::rows;

thread_local! {
    /// Ids of the transfers posted in the transaction that runs on this thread: the writer's.
    static POSTED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Notes a change of state.
pub(super) fn record(connection: &Connection, now: Timestamp, change: Change) -> Result<(), Fault> {
    let record = Record { at: now, change }.encode();
    let sql = "INSERT INTO journal (record) VALUES (?1)";
    rows::write(connection, sql, [record], "journal row")
}

/// Notes a transfer; [`end`] writes it.
pub(super) fn posted(id: TransferId) {
    POSTED.with_borrow_mut(|ids| ids.extend_from_slice(id.as_bytes()));
}

/// Forgets what an earlier transaction left when it was rolled back.
pub(super) fn begin() {
    POSTED.with_borrow_mut(Vec::clear);
}

/// Where the notes stand, for [`back_to`].
pub(super) fn mark() -> usize {
    POSTED.with_borrow(Vec::len)
}

/// Forgets what was noted after `mark`, because it was rolled back.
pub(super) fn back_to(mark: usize) {
    POSTED.with_borrow_mut(|ids| ids.truncate(mark));
}

/// Writes the transaction's transfers, before it commits.
pub(super) fn end(connection: &Connection) -> Result<(), Fault> {
    let ids = POSTED.take();
    if ids.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO journal (transfers) VALUES (?1)";
    rows::write(connection, sql, [ids], "journal row")
}

/// Journal rows that are in memory at once: each may hold the ids of a whole commit, 16 kB.
const ROWS_AT_ONCE: u32 = 100;

/// What a journal row holds.
pub(super) enum Noted {
    /// A canonical record.
    Record(Vec<u8>),
    /// A posted transfer.
    Transfer(TransferId),
}

/// So many transfers, or up to a row more, are asked for together.
const TRANSFERS_AT_ONCE: usize = 1_000;

/// One journal row: a record, or the ids of transfers.
struct Entry {
    seq: i64,
    record: Option<Vec<u8>>,
    transfers: Option<Vec<u8>>,
}

impl Entry {
    fn transfers(&self) -> impl Iterator<Item = TransferId> {
        let ids = self.transfers.as_deref().unwrap_or_default();
        ids.as_chunks::<16>()
            .0
            .iter()
            .map(|id| TransferId::from_stored(*id))
    }
}

/// Reads journal rows after `after` in commit order. Before each, `more` is asked whether to go on;
/// gives the last row that was read.
pub(super) fn each<T>(
    connection: &Connection,
    after: i64,
    state: &mut T,
    more: impl Fn(&T) -> bool,
    mut take: impl FnMut(&mut T, Noted) -> Result<(), Fault>,
) -> Result<i64, Fault> {
    let mut through = after;
    loop {
        let entries = entries(connection, through)?;
        // a server is asked for all transfers of some rows at once
        let mut ahead = 0;
        for (at, entry) in entries.iter().enumerate() {
            if !more(state) {
                return Ok(through);
            }
            if at == ahead {
                ahead = prefetch_transfers(connection, &entries, at)?;
            }
            through = entry.seq;
            match (&entry.record, &entry.transfers) {
                (Some(record), None) => take(state, Noted::Record(record.clone()))?,
                (None, Some(_)) => {
                    for id in entry.transfers() {
                        take(state, Noted::Transfer(id))?;
                    }
                }
                (Some(_), Some(_)) | (None, None) => return Err(Fault::Corrupt("journal row")),
            }
        }
        if entries.len() < ROWS_AT_ONCE as usize || !more(state) {
            return Ok(through);
        }
    }
}

fn entries(connection: &Connection, after: i64) -> Result<Vec<Entry>, Fault> {
    let sql = "SELECT seq, record, transfers FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    rows::all(connection, sql, (after, ROWS_AT_ONCE), |row| {
        let (seq, record, transfers) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Entry {
            seq,
            record,
            transfers,
        })
    })
}

/// Asks for the transfers of some rows from this one on; gives the row behind them.
fn prefetch_transfers(
    connection: &Connection,
    entries: &[Entry],
    from: usize,
) -> Result<usize, Fault> {
    let (mut count, mut end) = (0, from);
    while end < entries.len() && count < TRANSFERS_AT_ONCE {
        count += entries[end].transfers().count();
        end += 1;
    }
    connection.prefetch(&mut |dry| {
        for id in entries[from..end].iter().flat_map(Entry::transfers) {
            // whatever it says, it is asked again when all is known
            let _ = rows::transfer(dry, id);
        }
    })?;
    Ok(end)
}

/// Records of the journal rows after `after`, until there are `records_max` of them or more, and the
/// last row that they stand in.
pub(super) fn read(
    connection: &Connection,
    after: i64,
    records_max: usize,
) -> Result<(Vec<Vec<u8>>, i64), Fault> {
    let mut records = Vec::new();
    let more = |records: &Vec<_>| records.len() < records_max;
    let through = each(connection, after, &mut records, more, |records, noted| {
        records.push(match noted {
            Noted::Record(record) => record,
            Noted::Transfer(id) => transfer_record(connection, id)?
                .ok_or(Fault::Corrupt("journalled transfer"))?
                .encode(),
        });
        Ok(())
    })?;
    Ok((records, through))
}

/// The record of a posted transfer.
pub(super) fn transfer_record(
    connection: &Connection,
    id: TransferId,
) -> Result<Option<Record>, Fault> {
    let Some(found) = rows::transfer(connection, id)? else {
        return Ok(None);
    };
    let (at, change) = (found.at, change_of(&found)?);
    Ok(Some(Record { at, change }))
}

/// A transfer as the log holds it.
fn change_of(transfer: &Transfer) -> Result<Change, Fault> {
    let side = |account| {
        let (kind, id) = rows::account_columns(account);
        let kind = u8::try_from(kind).map_err(|_| Fault::Corrupt("account kind"))?;
        Ok::<_, Fault>(Side { kind, id })
    };
    Ok(Change::Posted {
        transfer: transfer.id,
        from: side(&transfer.from)?,
        to: side(&transfer.to)?,
        amount: transfer.amount,
    })
}
