//! Makes a small database large: every row once more, many times over, as days gone by.
//!
//! A copy's ids are older by a fixed time, so that they are time-ordered among each other as real ones
//! are; what must be unique beside them (keyed hashes, chips) is changed at random. Each copy balances
//! like the original, so the audit holds. The audit log is not copied, since a chain cannot be: the copies'
//! transfers are put into the journal, and the server seals them.

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, types::Value};
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// What a copy is made of, holders first. Addresses, bank debits and cases are not: there are none. Nor are
/// tokens: nobody comes with a copy of one.
const TABLES: [&str; 7] = [
    "holder",
    "account",
    "card",
    "remittance",
    "transfer",
    "idempotency",
    "outbox",
];
/// Columns that must differ and are no ids.
const UNIQUE: [&str; 3] = ["claim_ref", "number_ref", "uid"];
/// How much older the next copy is, in milliseconds: longer than any original took to make.
const STEP_MS: u64 = 3_600_000;
/// Copies in one transaction.
const AT_ONCE: u64 = 20;

struct Table {
    name: String,
    insert: String,
    unique: Vec<bool>,
    rows: Vec<Vec<Value>>,
}

/// Adds `copies` of all that is in the database.
pub(crate) fn multiply(database: &Path, copies: u64) -> Result<()> {
    let mut db = Connection::open(database)?;
    db.pragma_update(None, "foreign_keys", false)?;
    db.pragma_update(None, "synchronous", "OFF")?;
    db.pragma_update(None, "cache_size", -524_288)?;
    db.busy_timeout(std::time::Duration::from_secs(60))?;
    let tables: Vec<Table> = TABLES
        .iter()
        .map(|name| read(&db, name))
        .collect::<Result<_>>()?;
    let (mut copy, last) = (0, copies);
    while copy < last {
        let transaction = db.transaction()?;
        for _ in 0..AT_ONCE.min(last - copy) {
            copy += 1;
            for table in &tables {
                let mut insert = transaction.prepare_cached(&table.insert)?;
                for row in &table.rows {
                    let of = |(value, unique): (&Value, &bool)| changed(value, *unique, copy);
                    let values = row.iter().zip(&table.unique).map(of);
                    insert.execute(rusqlite::params_from_iter(values))?;
                }
            }
            let ids = tables.iter().filter(|table| table.name == "transfer");
            let ids = ids
                .flat_map(|table| &table.rows)
                .filter_map(|row| row.first());
            let ids = ids
                .map(|id| changed(id, false, copy))
                .filter_map(|id| match id {
                    Value::Blob(bytes) => Some(bytes),
                    Value::Null | Value::Integer(_) | Value::Real(_) | Value::Text(_) => None,
                });
            let sql = "INSERT INTO journal (transfers) VALUES (?1)";
            let ids: Vec<u8> = ids.flatten().collect();
            transaction.prepare_cached(sql)?.execute([ids])?;
        }
        transaction.commit()?;
    }
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// The same in PostgreSQL, which does it itself: what must differ does so by a hash here.
const IN_POSTGRESQL: &str = r"
    SET session_replication_role = replica;
    SET synchronous_commit = off;
    CREATE FUNCTION pg_temp.older(id BYTEA, copy BIGINT) RETURNS BYTEA IMMUTABLE LANGUAGE sql AS $$
        SELECT CASE WHEN length(id) = 16 AND substring(id FOR 6) <> '\x000000000000' THEN
            substring(int8send(('x' || encode(substring(id FOR 6), 'hex'))::BIT(48)::BIGINT - copy * {step}) FROM 3)
            || substring(id FROM 7)
        ELSE id END $$;
    CREATE FUNCTION pg_temp.other(hash BYTEA, copy BIGINT) RETURNS BYTEA IMMUTABLE LANGUAGE sql AS $$
        SELECT substring(hash FOR 1) || substring(sha256(hash || int8send(copy)) FOR length(hash) - 1) $$;
    INSERT INTO journal (transfers)
        SELECT string_agg(pg_temp.older(id, copy), ''::BYTEA ORDER BY id) FROM transfer CROSS JOIN generate_series(1, {copies}) AS copy
        GROUP BY copy;
    DO $do$ DECLARE name TEXT; columns TEXT; changed TEXT; BEGIN
        FOREACH name IN ARRAY '{tables}'::TEXT[] LOOP
            SELECT string_agg(attname, ', ' ORDER BY attnum), string_agg(CASE
                WHEN attname = ANY('{unique}'::TEXT[]) THEN format('pg_temp.other(%I, copy)', attname)
                WHEN atttypid = 'bytea'::REGTYPE THEN format('pg_temp.older(%I, copy)', attname)
                ELSE quote_ident(attname) END, ', ' ORDER BY attnum)
            INTO columns, changed FROM pg_attribute
            WHERE attrelid = name::REGCLASS AND attnum > 0 AND NOT attisdropped;
            EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM %I CROSS JOIN generate_series(1, {copies}) AS copy',
                name, columns, changed, name);
        END LOOP;
    END $do$";

/// Adds `copies` of all that is in the database.
pub(crate) fn multiply_in_postgresql(url: &str, copies: u64) -> Result<()> {
    let listed = |names: &[&str]| format!("{{{}}}", names.join(","));
    let sql = IN_POSTGRESQL
        .replace("{copies}", &copies.to_string())
        .replace("{step}", &STEP_MS.to_string())
        .replace("{tables}", &listed(&TABLES))
        .replace("{unique}", &listed(&UNIQUE));
    psql(url, &[&sql, "VACUUM ANALYZE", "CHECKPOINT"]).map(|_| ())
}

/// Whether the audit log has all transfers, so that a server seals none beside what is measured.
pub(crate) fn is_sealed(url: &str) -> Result<bool> {
    Ok(psql(url, &["SELECT count(*) FROM journal"])?.trim() == "0")
}

fn psql(url: &str, scripts: &[&str]) -> Result<String> {
    let mut psql = Command::new("psql");
    psql.args([url, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
    scripts.iter().for_each(|script| {
        psql.args(["-c", script]);
    });
    let done = psql.stderr(Stdio::inherit()).output().context("psql")?;
    ensure!(done.status.success(), "PostgreSQL refused it");
    Ok(String::from_utf8(done.stdout)?)
}

/// How many remittances there are.
pub(crate) fn remittances(database: &Path) -> Result<u64> {
    let db = Connection::open(database)?;
    let count: i64 = db.query_row("SELECT count(*) FROM remittance", [], |row| row.get(0))?;
    Ok(u64::try_from(count)?)
}

fn read(db: &Connection, name: &str) -> Result<Table> {
    let mut select = db.prepare(&format!("SELECT * FROM {name}"))?;
    let columns: Vec<String> = select
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let places = vec!["?"; columns.len()].join(", ");
    let mut found = select.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let values = (0..columns.len()).map(|column| row.get(column));
        rows.push(values.collect::<rusqlite::Result<Vec<Value>>>()?);
    }
    Ok(Table {
        name: name.to_owned(),
        insert: format!("INSERT INTO {name} VALUES ({places})"),
        unique: columns
            .iter()
            .map(|name| UNIQUE.contains(&name.as_str()))
            .collect(),
        rows,
    })
}

/// The value in the copy with this number.
fn changed(value: &Value, unique: bool, copy: u64) -> Value {
    let Value::Blob(bytes) = value else {
        return value.clone();
    };
    let mut bytes = bytes.clone();
    if unique {
        // the first byte of a chip's number names its maker
        let spread = copy.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
        let places = bytes.iter_mut().skip(1);
        places.zip(spread).for_each(|(byte, other)| *byte ^= other);
    } else if bytes.len() == 16
        && let Some((time, _)) = bytes.split_first_chunk_mut::<6>()
        && *time != [0; 6]
    {
        let [a, b, c, d, e, f] = *time;
        let ms = u64::from_be_bytes([0, 0, a, b, c, d, e, f]).wrapping_sub(copy * STEP_MS);
        let [_, _, older @ ..] = ms.to_be_bytes();
        *time = older;
    }
    Value::Blob(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_older_and_hashes_become_others() {
        let id = |first: u8| Value::Blob([vec![first; 6], vec![7; 10]].concat());
        let Value::Blob(older) = changed(&id(9), false, 1) else {
            panic!("no blob")
        };
        assert!(older < vec![9; 16] && older[6..] == [7; 10]);
        assert_ne!(changed(&id(9), false, 1), changed(&id(9), false, 2));
        assert_eq!(changed(&id(0), false, 1), id(0), "no id");
        let uid = Value::Blob(vec![4; 7]);
        let Value::Blob(other) = changed(&uid, true, 1) else {
            panic!("no blob")
        };
        assert!(other[0] == 4 && other[1..] != [4; 6]);
        let order = Value::Blob(vec![1; 200]);
        assert_eq!(changed(&order, false, 3), order);
    }
}
