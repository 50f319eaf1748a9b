//! What the commands of one commit, or the readings of one instant, read and write, kept together until it
//! goes to the server.
//!
//! Reads: what a command would read is found out by carrying it out without writing; what all of them
//! read is then asked for at once and known from there on. Writes: statements with the same words become
//! one, in which each row keeps its place after what its command wrote before and after what was
//! written to the same row. A write to a row corrects or drops what is known of it, so a command sees
//! what those before it have done. Nothing here talks to the server.

use std::sync::{Arc, OnceLock};

use tokio_postgres::Statement;

use super::shape::{Form, Found, Shape, Write};
use super::value::Held;

/// Keys are words of statements and ids, looked up many times for each command.
pub(super) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
type HashSet<K> = std::collections::HashSet<K, foldhash::fast::RandomState>;

/// Tables of `shape::KEYS` whose rows name a remittance that must be there before them: a row of one that
/// is missing here could be sent before its remittance, and the server would refuse both.
const REFERRING: &[&str] = &["bank_debit", "in_flight", "outbox", "remittance"];

/// How statements are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// Each when it is asked for.
    #[default]
    Direct,
    /// Nothing is written; what is read and not known is noted, to be asked for with all the rest.
    Foresee,
    /// What is known is not asked for; what is written waits for the rest.
    Gather,
}

/// A statement, and what its words tell.
#[derive(Debug)]
pub(super) struct Told {
    number: usize,
    pub(super) sql: String,
    pub(super) shape: Shape,
    /// The same for many, once the server knows it.
    pub(super) many: OnceLock<Statement>,
}

/// The parameters of one statement, or the columns of one row.
pub(super) type Values = Vec<Held>;

/// A query with all the parameters that it is asked for with.
pub(super) type Wanted = (Arc<Told>, Vec<Values>);

/// Rows that one statement writes.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) told: Arc<Told>,
    pub(super) rows: Vec<Values>,
    pub(super) what: &'static str,
    table: &'static str,
    /// Where a row that is overwritten stands.
    places: HashMap<Values, usize>,
}

#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) phase: Phase,
    statements: HashMap<String, Arc<Told>>,
    known: HashMap<usize, HashMap<Values, Arc<[Values]>>>,
    /// The queries that read a table.
    readers: HashMap<&'static str, Vec<Arc<Told>>>,
    wanted: Vec<Wanted>,
    /// Whether a query was met that goes alone ([`Shape::Alone`]).
    pub(super) alone: bool,
    asked: HashSet<(usize, Values)>,
    groups: Vec<Group>,
    log: Vec<Group>,
    /// The last group that writes a row.
    touched: HashMap<(&'static str, Values), usize>,
    /// The group of what the command that runs wrote last.
    last: usize,
}

impl Gathered {
    pub(super) fn told(&mut self, sql: &str) -> Arc<Told> {
        if let Some(told) = self.statements.get(sql) {
            return Arc::clone(told);
        }
        let told = Arc::new(Told {
            number: self.statements.len(),
            sql: sql.to_owned(),
            shape: Shape::of(sql),
            many: OnceLock::new(),
        });
        if let Shape::Read(read) = &told.shape {
            for (table, _) in &read.tables {
                self.readers
                    .entry(table)
                    .or_default()
                    .push(Arc::clone(&told));
            }
        }
        self.statements.insert(sql.to_owned(), Arc::clone(&told));
        told
    }

    /// Forgets everything about the transaction that ended.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Direct;
        self.forget();
        self.wanted.clear();
        self.alone = false;
        self.asked.clear();
        self.take();
    }

    /// Forgets what is known.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// The next command begins: it need not come after what the one before it wrote.
    pub(super) const fn next(&mut self) {
        self.last = 0;
    }

    pub(super) fn known(&self, told: &Told, key: &Values) -> Option<Arc<[Values]>> {
        Some(Arc::clone(self.known.get(&told.number)?.get(key)?))
    }

    pub(super) fn keep(&mut self, told: &Told, key: Values, rows: Arc<[Values]>) {
        self.known.entry(told.number).or_default().insert(key, rows);
    }

    pub(super) fn want(&mut self, told: &Arc<Told>, key: Values) {
        if !self.asked.insert((told.number, key.clone())) {
            return;
        }
        let same = |(found, _): &&mut Wanted| found.number == told.number;
        match self.wanted.iter_mut().find(same) {
            Some((_, keys)) => keys.push(key),
            None => self.wanted.push((Arc::clone(told), vec![key])),
        }
    }

    /// Whether all that is wanted is one statement, which sees one instant by itself.
    pub(super) const fn is_one(&self) -> bool {
        self.wanted.len() == 1 && !self.alone
    }

    pub(super) const fn is_nothing(&self) -> bool {
        self.wanted.is_empty() && !self.alone
    }

    /// What was wanted since the last time.
    pub(super) fn wanted(&mut self) -> Vec<Wanted> {
        self.asked.clear();
        core::mem::take(&mut self.wanted)
    }

    /// Whether what waits may change what a query reads.
    pub(super) fn is_pending_on(&self, told: &Told) -> bool {
        match &told.shape {
            Shape::Read(read) => self
                .groups
                .iter()
                .any(|group| read.tables.iter().any(|(table, _)| *table == group.table)),
            Shape::Write(_) | Shape::Alone => !self.groups.is_empty() || !self.log.is_empty(),
        }
    }

    /// All that waits, in order.
    pub(super) fn take(&mut self) -> Vec<Group> {
        self.touched.clear();
        self.last = 0;
        let mut groups = core::mem::take(&mut self.groups);
        groups.append(&mut self.log);
        groups
    }

    /// Puts a write where it belongs.
    pub(super) fn add(&mut self, told: &Arc<Told>, write: &Write, row: Values, what: &'static str) {
        let new = |rows: Vec<Values>| Group {
            told: Arc::clone(told),
            rows,
            what,
            table: write.table,
            places: HashMap::default(),
        };
        if let Form::Append = write.form {
            match self.log.last_mut() {
                Some(last) if last.told.number == told.number => last.rows.push(row),
                Some(_) | None => self.log.push(new(vec![row])),
            }
            return;
        }
        let key = key(write, &row);
        self.correct(write, &key, &row);
        let named = (write.table, key);
        let before = self.touched.get(&named).copied();
        let mut first = self.last.max(before.unwrap_or(0));
        if REFERRING.contains(&write.table) {
            for value in &row {
                let parent = ("remittance", vec![value.clone()]);
                if let Some(at) = self.touched.get(&parent)
                    && parent != named
                {
                    first = first.max(at + 1);
                }
            }
        }
        // of two changes of one row, the second needs to see the first
        let changed = matches!(write.form, Form::Change)
            .then_some(before)
            .flatten();
        let found = (first..self.groups.len())
            .find(|at| self.groups[*at].told.number == told.number && changed != Some(*at));
        let at = found.unwrap_or_else(|| {
            self.groups.push(new(Vec::new()));
            self.groups.len() - 1
        });
        let group = &mut self.groups[at];
        let place = group.rows.len();
        match (&write.form, group.places.get(&named.1)) {
            (Form::Overwrite(_), Some(place)) => group.rows[*place] = row,
            (Form::Overwrite(_), None) => {
                group.places.insert(named.1.clone(), place);
                group.rows.push(row);
            }
            (Form::Append | Form::Insert | Form::Change, _) => group.rows.push(row),
        }
        self.touched.insert(named, at);
        self.last = at;
    }

    /// Brings what is known in step with a write to one row.
    pub(super) fn correct(&mut self, write: &Write, key: &Values, row: &Values) {
        for told in self.readers.get(write.table).into_iter().flatten() {
            let (Shape::Read(read), Some(known)) = (&told.shape, self.known.get_mut(&told.number))
            else {
                continue;
            };
            for (table, found) in &read.tables {
                if *table != write.table {
                    continue;
                }
                match (found, &write.form) {
                    (Found::ByKey, Form::Overwrite(sets)) if !read.columns.is_empty() => {
                        if let Some(rows) = known.get_mut(key) {
                            *rows = overwritten(rows, &read.columns, sets, row);
                        }
                    }
                    (Found::ByKey, _) => {
                        known.remove(key);
                    }
                    // of a new row nobody knows which name it has
                    (Found::ByName, Form::Insert) | (Found::Otherwise, _) => known.clear(),
                    (Found::ByName, _) => {
                        known.retain(|_, rows| rows.iter().all(|row| row.first() != key.first()));
                    }
                }
            }
        }
    }
}

/// The row that a write names.
pub(super) fn key(write: &Write, row: &Values) -> Values {
    write.key.iter().map(|at| row[*at].clone()).collect()
}

fn overwritten(
    rows: &[Values],
    columns: &[String],
    sets: &[(String, usize)],
    by: &Values,
) -> Arc<[Values]> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        for (column, from) in sets {
            if let Some(at) = columns.iter().position(|found| found == column) {
                row[at] = by[*from].clone();
            }
        }
    }
    rows.into()
}

#[cfg(test)]
mod tests {
    use super::super::shape::KEYS;
    use super::*;
    use crate::sql::schema::SCRIPTS;

    #[test]
    fn whatever_refers_to_a_remittance_and_is_gathered_waits_for_it() {
        let tables = SCRIPTS
            .iter()
            .flat_map(|(_, script)| script.split("CREATE TABLE ").skip(1));
        let mut found: Vec<_> = tables
            .filter_map(|table| table.split_once(");")?.0.split_once(" ("))
            .filter(|(_, columns)| columns.contains("REFERENCES remittance"))
            .map(|(name, _)| name)
            .filter(|name| KEYS.iter().any(|(key, _)| key == name))
            .collect();
        found.sort_unstable();
        assert_eq!(found, REFERRING);
    }

    fn id(byte: u8) -> Held {
        Held::Blob([byte; 16].into())
    }

    /// What is known of a query with this parameter, after a write.
    fn after(query: &str, of: Held, rows: &[Values], write: &str, row: Values) -> Option<usize> {
        let mut gathered = Gathered::default();
        let told = gathered.told(query);
        gathered.keep(&told, vec![of.clone()], rows.into());
        let writing = gathered.told(write);
        let Shape::Write(shape) = &writing.shape else {
            panic!("{write}");
        };
        gathered.correct(shape, &key(shape, &row), &row);
        Some(gathered.known(&told, &vec![of])?.len())
    }

    #[test]
    fn what_a_write_may_have_changed_is_not_known_any_more() {
        let update = "UPDATE card SET lost = ?2 WHERE id = ?1";
        let row = || vec![id(1), Held::Int(5)];
        let insert = "INSERT INTO card (id, number_ref) VALUES (?1, ?2)";
        let by_name = "SELECT card.id, status FROM card WHERE number_ref = ?1";
        for (query, rows, write, known) in [
            // a row that was not there, and one that a write takes away from the answer
            (by_name, vec![], insert, None),
            (by_name, vec![vec![id(1)]], update, None),
            (by_name, vec![vec![id(2)]], update, Some(1)),
            (
                "SELECT lost FROM card WHERE id = ?1",
                vec![vec![Held::Null]],
                update,
                Some(1),
            ),
            (
                "SELECT epoch FROM card WHERE id = ?1 AND lost IS NULL",
                vec![vec![id(3)]],
                update,
                None,
            ),
            // read twice by one query, once by the key
            (
                "SELECT epoch FROM card WHERE id = ?1 UNION ALL SELECT epoch FROM card WHERE holder = ?1",
                vec![vec![id(3)]],
                update,
                None,
            ),
        ] {
            assert_eq!(after(query, id(1), &rows, write, row()), known, "{query}");
        }
        let twice = "SELECT epoch FROM card WHERE id = ?1 UNION ALL SELECT epoch FROM card WHERE holder = ?1";
        assert_eq!(after(twice, id(9), &[vec![id(3)]], update, row()), None);
    }
}
