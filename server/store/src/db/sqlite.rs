//! SQLite's side of a connection.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, ToSql};

use super::{Mode, Of, Row, Value};
use crate::sql::fault::Fault;

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(int) => ValueRef::Integer(*int),
            Value::Bool(bool) => ValueRef::Integer((*bool).into()),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(blob) => ValueRef::Blob(blob),
        }))
    }
}

fn bound<'c>(
    connection: &'c rusqlite::Connection,
    sql: &str,
    values: &[Value<'_>],
) -> Result<CachedStatement<'c>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    if statement.parameter_count() != values.len() {
        return Err(rusqlite::Error::InvalidParameterCount(
            values.len(),
            statement.parameter_count(),
        )
        .into());
    }
    for (at, value) in (1..).zip(values) {
        statement.raw_bind_parameter(at, value)?;
    }
    Ok(statement)
}

pub(super) fn execute(
    connection: &rusqlite::Connection,
    sql: &str,
    values: &[Value<'_>],
) -> Result<usize, Fault> {
    Ok(bound(connection, sql, values)?.raw_execute()?)
}

pub(super) fn each(
    connection: &rusqlite::Connection,
    sql: &str,
    values: &[Value<'_>],
    each: &mut dyn FnMut(&Row<'_>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let mut statement = bound(connection, sql, values)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        if !each(&Of::Sqlite(row).into())? {
            break;
        }
    }
    Ok(())
}

/// Runs a statement that takes nothing and gives nothing.
pub(super) fn run(connection: &rusqlite::Connection, sql: &str) -> Result<(), Fault> {
    connection.prepare_cached(sql)?.raw_execute()?;
    Ok(())
}

pub(super) fn begin(connection: &rusqlite::Connection, mode: Mode) -> Result<(), Fault> {
    run(
        connection,
        match mode {
            Mode::Read => "BEGIN",
            Mode::Write | Mode::Schema => "BEGIN IMMEDIATE",
        },
    )
}

pub(super) fn value<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> Result<Value<'r>, Fault> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Text(text) => {
            Value::Text(core::str::from_utf8(text).map_err(|_| Fault::Corrupt("text"))?)
        }
        ValueRef::Blob(blob) => Value::Blob(blob),
        // no table has such a column
        ValueRef::Real(_) => return Err(Fault::Corrupt("column")),
    })
}
