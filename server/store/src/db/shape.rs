//! What a statement reads or writes, told from its words, and the same statement for many at once.
//!
//! Told of the forms that the ledger's commands use; whatever has another form goes alone, which costs
//! a round trip of its own, and among readings that are shared a transaction for all of them.

use tokio_postgres::types::Type;

/// The columns that name a row of a table and never change in it; (`id = 1` names a table's only row).
/// What no row here names is written alone. A table whose rows refer to a remittance is also one of
/// `gather::REFERRING`.
pub(super) const KEYS: &[(&str, &[&str])] = &[
    ("account", &["id"]),
    ("bank_account", &["holder"]),
    ("bank_debit", &["remittance"]),
    ("card", &["id"]),
    ("holder", &["id"]),
    ("idempotency", &["principal", "operation", "key"]),
    ("in_flight", &["card"]),
    ("invitation", &["id"]),
    ("meta", &[]),
    ("outbox", &["remittance"]),
    ("pool_entry", &["transfer"]),
    ("remittance", &["id"]),
    ("transfer", &["id"]),
    ("webhook_delivery", &["webhook", "event"]),
];

/// The table whose rows are appended in the order of the commands, and read by none of them.
const LOG: &str = "journal";

/// How a statement is carried out for many at once.
#[derive(Debug)]
pub(super) enum Shape {
    Read(Read),
    Write(Write),
    /// Not at all.
    Alone,
}

/// A query.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) tables: Vec<(&'static str, Found)>,
    /// What it selects, where these are columns and nothing else.
    pub(super) columns: Vec<String>,
}

/// How a query finds its rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// By the columns of the key, which are its parameters.
    ByKey,
    /// By another column that never changes; the key is the first column of the answer.
    ByName,
    Otherwise,
}

/// A statement that writes one row.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) table: &'static str,
    /// Which parameters are the row's key, counted from 0.
    pub(super) key: Vec<usize>,
    pub(super) form: Form,
}

#[derive(Debug)]
pub(super) enum Form {
    /// At the end of the log.
    Append,
    Insert,
    /// Columns take parameters, whatever they held.
    Overwrite(Vec<(String, usize)>),
    Change,
}

impl Shape {
    pub(super) fn of(sql: &str) -> Self {
        let shape = if sql.starts_with("SELECT ") {
            read(sql).map(Self::Read)
        } else if let Some(rest) = sql.strip_prefix("INSERT INTO ") {
            insert(rest).map(Self::Write)
        } else if let Some(rest) = sql.strip_prefix("UPDATE ") {
            update(rest).map(Self::Write)
        } else if let Some(rest) = sql.strip_prefix("DELETE FROM ") {
            delete(rest).map(Self::Write)
        } else {
            None
        };
        shape.unwrap_or(Self::Alone)
    }
}

fn table(name: &str) -> Option<(&'static str, &'static [&'static str])> {
    KEYS.iter().find(|(table, _)| *table == name).copied()
}

/// `?7` is 6.
fn parameter(word: &str) -> Option<usize> {
    let number: usize = word.strip_prefix('?')?.parse().ok()?;
    number.checked_sub(1)
}

/// How many parameters a statement takes.
fn parameters(sql: &str) -> usize {
    let number = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_digit());
        part[..end.unwrap_or(part.len())].parse::<usize>().ok()
    };
    sql.split('?').skip(1).filter_map(number).max().unwrap_or(0)
}

fn read(sql: &str) -> Option<Read> {
    // PostgreSQL takes no column for a limit, which each of many would need
    if sql.contains(" LIMIT ?") {
        return None;
    }
    let mut tables = Vec::new();
    let mut columns = Vec::new();
    let parts: Vec<&str> = sql.split(" UNION ALL ").collect();
    for part in &parts {
        let (selected, from) = part.strip_prefix("SELECT ")?.split_once(" FROM ")?;
        if from.contains("SELECT") || from.contains(" FROM ") {
            return None;
        }
        let (from, condition) = from.split_once(" WHERE ").unwrap_or((from, ""));
        if from.contains([',', '(']) {
            return None;
        }
        let names: Vec<&str> = from.split(" JOIN ").map(first_word).collect();
        for name in &names {
            // what has no key here is written alone, and then all is forgotten
            let Some((name, key)) = table(name) else {
                continue;
            };
            let found_by_key = names.len() == 1 && is_by_key(condition, key, parameters(sql));
            let by_name = name == "card"
                && condition == "number_ref = ?1"
                && parts.len() == 1
                && selected.starts_with("card.id,");
            let found = match (found_by_key, by_name) {
                (true, _) => Found::ByKey,
                (false, true) => Found::ByName,
                (false, false) => Found::Otherwise,
            };
            tables.push((name, found));
        }
        let plain = |column: &str| column.bytes().all(|b| b == b'_' || b.is_ascii_lowercase());
        // where more is asked of the row, a write may decide whether it is found at all
        let by_key_alone = match names.as_slice() {
            [name] => table(name).is_some_and(|(_, key)| condition == by_key(key)),
            _ => false,
        };
        if parts.len() == 1 && by_key_alone && selected.split(", ").all(plain) {
            columns = selected.split(", ").map(str::to_owned).collect();
        }
    }
    // a reading of a whole table is no fact about a command
    (parameters(sql) > 0 || tables.iter().all(|(_, found)| *found == Found::ByKey))
        .then_some(Read { tables, columns })
}

fn first_word(words: &str) -> &str {
    words.split(' ').next().unwrap_or_default()
}

/// The condition that names a row by its key.
fn by_key(key: &[&str]) -> String {
    if key.is_empty() {
        return "id = 1".to_owned();
    }
    let named = (1..)
        .zip(key)
        .map(|(number, column)| format!("{column} = ?{number}"));
    named.collect::<Vec<_>>().join(" AND ")
}

/// Whether the key is all that a query takes, and no other row can answer it.
fn is_by_key(condition: &str, key: &[&str], parameters: usize) -> bool {
    let rest = condition.strip_prefix(&by_key(key));
    parameters == key.len()
        && !condition.contains(" OR ")
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" AND "))
}

fn insert(rest: &str) -> Option<Write> {
    let (name, rest) = rest.split_once(" (")?;
    let (columns, rest) = rest.split_once(") VALUES (")?;
    let (values, _) = rest.split_once(')')?;
    if name == LOG {
        return Some(Write {
            table: LOG,
            key: Vec::new(),
            form: Form::Append,
        });
    }
    let (table, key) = table(name)?;
    let values: Vec<&str> = values.split(", ").collect();
    let columns: Vec<&str> = columns.split(", ").collect();
    let of = |column: &&str| {
        let at = columns.iter().position(|found| found == column)?;
        parameter(values.get(at)?)
    };
    let key = key.iter().map(of).collect::<Option<_>>()?;
    let form = Form::Insert;
    Some(Write { table, key, form })
}

/// Which parameters are the key in a condition that begins with it, and what comes after it.
fn key_of<'a>(condition: &'a str, key: &[&str]) -> Option<(Vec<usize>, &'a str)> {
    if key.is_empty() {
        return Some((Vec::new(), condition.strip_prefix("id = 1")?));
    }
    let mut rest = condition;
    let mut found = Vec::new();
    for column in key {
        rest = rest.strip_prefix(" AND ").unwrap_or(rest);
        rest = rest.strip_prefix(column)?.strip_prefix(" = ")?;
        let end = rest.find(' ').unwrap_or(rest.len());
        found.push(parameter(&rest[..end])?);
        rest = &rest[end..];
    }
    Some((found, rest))
}

fn update(rest: &str) -> Option<Write> {
    let (name, rest) = rest.split_once(" SET ")?;
    let (table, key) = table(name)?;
    let (sets, condition) = rest.split_once(" WHERE ")?;
    if rest.contains("SELECT") {
        return None;
    }
    let (key, more) = key_of(condition, key)?;
    let one = |set: &str| {
        let (column, value) = set.split_once(" = ")?;
        Some((column.to_owned(), parameter(value)?))
    };
    let sets = sets.split(", ").map(one).collect::<Option<Vec<_>>>();
    let form = match (more, sets) {
        ("", Some(sets)) => Form::Overwrite(sets),
        (_, _) => Form::Change,
    };
    Some(Write { table, key, form })
}

fn delete(rest: &str) -> Option<Write> {
    let (name, condition) = rest.split_once(" WHERE ")?;
    let (table, key) = table(name)?;
    let (key, more) = key_of(condition, key)?;
    let form = Form::Change;
    more.is_empty().then_some(Write { table, key, form })
}

/// Arrays of parameters as rows: `p1`, `p2`, ... and their number `n`.
fn unnested(types: &[Type]) -> String {
    let arrays: Vec<_> = (1..)
        .zip(types)
        .map(|(number, kind)| format!("${number}::{}[]", kind.name()))
        .collect();
    let names: Vec<_> = (1..=types.len())
        .map(|number| format!("p{number}"))
        .collect();
    let (arrays, names) = (arrays.join(", "), names.join(", "));
    format!("unnest({arrays}) WITH ORDINALITY AS k({names}, n)")
}

/// No text in our statements holds a question mark.
fn of_row(sql: &str) -> String {
    sql.replace('?', "k.p")
}

impl Read {
    /// The query for each of many sets of parameters: its columns, then the number of the set from 1.
    pub(super) fn for_many(sql: &str, types: &[Type]) -> String {
        if types.is_empty() {
            return format!("SELECT q.*, CAST(1 AS BIGINT) FROM ({sql}) AS q");
        }
        let (rows, query) = (unnested(types), of_row(sql));
        format!("SELECT q.*, k.n FROM {rows} CROSS JOIN LATERAL ({query}) AS q")
    }
}

impl Write {
    /// The statement for many rows; `sql` has the form that it was told from. It divides by zero where
    /// it does not touch as many rows as it is given: the commit may be on its way behind it already.
    pub(super) fn for_many(&self, sql: &str, types: &[Type]) -> Option<String> {
        let (rows, words) = (unnested(types), of_row(sql));
        let write = match &self.form {
            Form::Append | Form::Insert => {
                let (head, rest) = words.split_once(" VALUES (")?;
                let (values, tail) = rest.split_once(')')?;
                format!("{head} SELECT {values} FROM {rows} ORDER BY k.n{tail}")
            }
            Form::Overwrite(_) | Form::Change => {
                let (head, condition) = words.split_once(" WHERE ")?;
                let join = if head.starts_with("DELETE") {
                    "USING"
                } else {
                    "FROM"
                };
                format!("{head} {join} {rows} WHERE {condition}")
            }
        };
        Some(format!(
            "WITH wrote AS ({write} RETURNING 1) \
             SELECT 1 / CAST(count(*) = cardinality($1) AS INT) FROM wrote"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Found, Read, Shape};
    use tokio_postgres::types::Type;

    fn tables(sql: &str) -> Vec<(&'static str, Found)> {
        match Shape::of(sql) {
            Shape::Read(read) => read.tables,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn a_query_by_the_key_is_told_from_one_by_anything_else() {
        for (sql, expected) in [
            (
                "SELECT balance, currency FROM account WHERE id = ?1",
                vec![("account", Found::ByKey)],
            ),
            (
                "SELECT 1 FROM remittance WHERE id = ?1 UNION ALL SELECT 1 FROM invitation WHERE id = ?1",
                vec![("remittance", Found::ByKey), ("invitation", Found::ByKey)],
            ),
            (
                "SELECT card.id, email FROM card JOIN holder ON holder.id = card.holder WHERE number_ref = ?1",
                vec![("card", Found::ByName), ("holder", Found::Otherwise)],
            ),
            (
                "SELECT id FROM remittance WHERE funds = ?1",
                vec![("remittance", Found::Otherwise)],
            ),
            (
                "SELECT id FROM remittance WHERE id = ?1 AND status = ?2",
                vec![("remittance", Found::Otherwise)],
            ),
            (
                "SELECT time_floor, accounts, incarnation FROM meta WHERE id = 1",
                vec![("meta", Found::ByKey)],
            ),
            (
                "SELECT id FROM card WHERE id = ?1 AND lost = 1 OR reread = 1",
                vec![("card", Found::Otherwise)],
            ),
        ] {
            assert_eq!(tables(sql), expected, "{sql}");
        }
        for sql in [
            "SELECT id FROM remittance",
            "SELECT id FROM remittance WHERE id IN (SELECT remittance FROM in_flight WHERE card = ?1)",
            "SELECT a.id FROM card a, holder b WHERE a.id = ?1",
            "SELECT id FROM remittance WHERE sender = ?1 LIMIT ?2",
        ] {
            assert!(matches!(Shape::of(sql), Shape::Alone), "{sql}");
        }
    }

    #[test]
    fn columns_are_known_only_of_a_row_that_its_key_alone_finds() {
        let columns = |sql: &str| match Shape::of(sql) {
            Shape::Read(read) => read.columns,
            other => panic!("{sql}: {other:?}"),
        };
        assert_eq!(columns("SELECT status FROM card WHERE id = ?1"), ["status"]);
        for sql in [
            "SELECT epoch FROM card WHERE id = ?1 AND lost IS NULL",
            "SELECT coalesce(lost, 0) FROM card WHERE id = ?1",
            "SELECT status FROM card JOIN account ON account.id = card.id WHERE id = ?1",
            "SELECT status FROM card WHERE id = ?1 UNION ALL SELECT status FROM remittance WHERE id = ?1",
        ] {
            assert_eq!(columns(sql), [""; 0], "{sql}");
        }
    }

    #[test]
    fn a_write_is_told_by_its_row_and_goes_for_many() {
        for (sql, key, many) in [
            (
                "UPDATE account SET balance = ?2 WHERE id = ?1",
                vec![0],
                "WITH wrote AS (UPDATE account SET balance = k.p2 FROM unnest($1::bytea[], $2::int8[]) \
                 WITH ORDINALITY AS k(p1, p2, n) WHERE id = k.p1 RETURNING 1) \
                 SELECT 1 / CAST(count(*) = cardinality($1) AS INT) FROM wrote",
            ),
            (
                "INSERT INTO outbox (id, remittance, status) VALUES (?1, ?2, 'queued') ON CONFLICT DO NOTHING",
                vec![1],
                "WITH wrote AS (INSERT INTO outbox (id, remittance, status) SELECT k.p1, k.p2, 'queued' \
                 FROM unnest($1::bytea[], $2::int8[]) WITH ORDINALITY AS k(p1, p2, n) ORDER BY k.n \
                 ON CONFLICT DO NOTHING RETURNING 1) \
                 SELECT 1 / CAST(count(*) = cardinality($1) AS INT) FROM wrote",
            ),
        ] {
            let Shape::Write(write) = Shape::of(sql) else {
                panic!("{sql}");
            };
            assert_eq!(write.key, key, "{sql}");
            let types = [Type::BYTEA, Type::INT8];
            assert_eq!(write.for_many(sql, &types).unwrap(), many);
        }
        let Shape::Write(write) = Shape::of("DELETE FROM in_flight WHERE card = ?1") else {
            panic!("a deletion");
        };
        let many = write.for_many("DELETE FROM in_flight WHERE card = ?1", &[Type::BYTEA]);
        assert!(
            many.unwrap()
                .starts_with("WITH wrote AS (DELETE FROM in_flight USING unnest")
        );
        let epoch = "UPDATE card SET epoch = ?2 WHERE id = ?1 AND epoch = ?3";
        let Shape::Write(write) = Shape::of(epoch) else {
            panic!("{epoch}");
        };
        assert!(matches!(write.form, Form::Change));
    }

    #[test]
    fn a_write_that_names_no_row_goes_alone() {
        for sql in [
            "UPDATE card SET reread = 1",
            "DELETE FROM in_flight WHERE remittance = ?1",
            "INSERT INTO outbox (id, remittance) SELECT ?1, ?2 FROM holder WHERE id = ?3",
            "UPDATE bank_debit SET due = ?1 WHERE remittance IN (SELECT id FROM remittance)",
            "INSERT INTO freeze_case (card) VALUES (?1)",
            "SAVEPOINT job",
        ] {
            assert!(matches!(Shape::of(sql), Shape::Alone), "{sql}");
        }
    }

    #[test]
    fn a_query_for_many_numbers_its_answers() {
        let sql = "SELECT balance FROM account WHERE id = ?1";
        let many = "SELECT q.*, k.n FROM unnest($1::bytea[]) WITH ORDINALITY AS k(p1, n) CROSS JOIN \
                    LATERAL (SELECT balance FROM account WHERE id = k.p1) AS q";
        assert_eq!(Read::for_many(sql, &[Type::BYTEA]), many);
    }
}
