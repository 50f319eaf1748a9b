//! The audit log's rows: sealed segments, who seals, and the signing keys it knows.

use crate::db::{Connection, Row};
use audit_log::{Change, Link};
use crashpoint::reach;
use ledger::Timestamp;

use crate::error::AdminError;
use crate::record::{LogKey, LogSegment, Logged, Seal, Unsealed};
use crate::sql::admin::ledger_time;
use crate::sql::fault::Fault;
use crate::sql::{journal, rows};

/// Records of one segment: as many as one commit of commands has. One more journal row may bring a
/// second as many.
const SEGMENT_RECORDS: usize = crate::COMMANDS_MAX;

const HASH_LEN: usize = 32;

/// What is not sealed yet, after the journal row `after`.
pub(super) fn unsealed(connection: &Connection, after: i64) -> Result<Unsealed, Fault> {
    let (number, link) = last(connection)?;
    let (records, through) = journal::read(connection, after, SEGMENT_RECORDS)?;
    let more = records.len() >= SEGMENT_RECORDS;
    Ok(Unsealed {
        number,
        link,
        records,
        through,
        more,
    })
}

/// Number and end of the last segment.
fn last(connection: &Connection) -> Result<(u64, Link), Fault> {
    let sql = "SELECT number, last, hash FROM log_segment ORDER BY number DESC LIMIT 1";
    let found = rows::one(connection, sql, [], |row| {
        let position = rows::counter(row, 1)?;
        let hash = row.get(2)?;
        Ok((rows::counter(row, 0)?, Link { position, hash }))
    })?;
    Ok(found.unwrap_or((0, Link::START)))
}

/// One segment.
pub(super) fn segment(connection: &Connection, number: u64) -> Result<Option<LogSegment>, Fault> {
    let sql = "SELECT number, first, last, hash, records, head FROM log_segment WHERE number = ?1";
    let Ok(number) = i64::try_from(number) else {
        return Ok(None);
    };
    rows::one(connection, sql, [number], read_segment)
}

/// The segment sealed last.
pub(super) fn last_segment(connection: &Connection) -> Result<Option<LogSegment>, Fault> {
    let (number, _) = last(connection)?;
    segment(connection, number)
}

fn read_segment(row: &Row<'_>) -> Result<LogSegment, Fault> {
    let position = rows::counter(row, 2)?;
    let hash = row.get(3)?;
    let packed: Vec<u8> = row.get(4)?;
    Ok(LogSegment {
        number: rows::counter(row, 0)?,
        first: rows::counter(row, 1)?,
        link: Link { position, hash },
        records: unpack(&packed).ok_or(Fault::Corrupt("log segment"))?,
        head: row.get(5)?,
    })
}

fn pack(records: &[Logged]) -> Option<Vec<u8>> {
    let mut packed = Vec::new();
    for logged in records {
        let len = u32::try_from(logged.record.len()).ok()?;
        packed.extend_from_slice(&len.to_be_bytes());
        packed.extend_from_slice(&logged.record);
        packed.extend_from_slice(&logged.hash);
    }
    Some(packed)
}

fn unpack(mut packed: &[u8]) -> Option<Vec<Logged>> {
    let mut records = Vec::new();
    while !packed.is_empty() {
        let (len, rest) = packed.split_first_chunk()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let (record, rest) = rest.split_at_checked(len)?;
        let (hash, rest) = rest.split_first_chunk::<HASH_LEN>()?;
        records.push(Logged {
            record: record.to_vec(),
            hash: *hash,
        });
        packed = rest;
    }
    Some(records)
}

/// Appends a segment and takes what it holds out of the journal; false where another sealer leads.
pub(super) fn append(connection: &Connection, seal: &Seal) -> Result<bool, Fault> {
    let lease = rows::one(
        connection,
        "SELECT owner, until FROM log_lease WHERE id = 1",
        [],
        |row| Ok((row.get::<[u8; 16]>(0)?, rows::at(row, 1)?)),
    )?;
    if lease.is_some_and(|(owner, until)| owner != seal.owner && until > seal.now) {
        return Ok(false);
    }
    let segment = &seal.segment;
    let (number, link) = last(connection)?;
    if number.checked_add(1) != Some(segment.number)
        || link.position.checked_add(1) != Some(segment.first)
    {
        return Ok(false);
    }
    let sql = "INSERT INTO log_lease (id, owner, until) VALUES (1, ?1, ?2) \
               ON CONFLICT (id) DO UPDATE SET owner = ?1, until = ?2";
    rows::write(connection, sql, (seal.owner, seal.until.micros()), "lease")?;
    let sql = "INSERT INTO log_segment (number, first, last, hash, records, head) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let params = (
        rows::stored(segment.number)?,
        rows::stored(segment.first)?,
        rows::stored(segment.link.position)?,
        segment.link.hash,
        pack(&segment.records).ok_or(Fault::Corrupt("log segment"))?,
        &segment.head,
    );
    rows::write(connection, sql, params, "log segment")?;
    let sql = "DELETE FROM journal WHERE seq <= ?1";
    connection.execute(sql, [seal.through])?;
    reach!("store::log-append::before-commit");
    Ok(true)
}

/// Notes signing keys and revocations that the log does not know yet.
pub(super) fn note_keys(
    connection: &Connection,
    keys: &[LogKey],
    now: Timestamp,
) -> Result<(), AdminError> {
    for key in keys {
        let sql = "SELECT revoked_at FROM signing_key WHERE public = ?1";
        let known = rows::one(connection, sql, [key.public], |row| {
            row.get::<Option<i64>>(0)
        })?;
        if known.is_none() {
            let now = ledger_time(connection, now)?;
            let sql = "INSERT INTO signing_key (public) VALUES (?1)";
            rows::write(connection, sql, [key.public], "signing key")?;
            let change = Change::KeyAdded {
                key: key.public,
                purpose: key.purpose,
                not_before: key.not_before,
                not_after: key.not_after,
            };
            journal::record(connection, now, change)?;
        }
        if let (Some(revoked_at), None | Some(None)) = (key.revoked_at, known) {
            let now = ledger_time(connection, now)?;
            let sql = "UPDATE signing_key SET revoked_at = ?2 WHERE public = ?1";
            let params = (key.public, rows::stored(revoked_at)?);
            rows::write(connection, sql, params, "signing key")?;
            let key = key.public;
            journal::record(connection, now, Change::KeyRevoked { key, revoked_at })?;
        }
    }
    reach!("store::note-keys::before-commit");
    Ok(())
}
