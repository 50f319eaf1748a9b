//! A commit of many commands in a few round trips: `gather` says what belongs together, and this sends it.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio_postgres::Statement;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::column::value;
use super::gather::{Group, Phase, Told, Values, Wanted, key};
use super::postgres::Session;
use super::shape::{Read, Shape};
use super::value::Held;
use super::{Of, Row, Value};
use crate::sql::fault::Fault;

/// What one of several calls that go together gives.
pub(super) enum Said {
    Rows(Vec<tokio_postgres::Row>),
    Done,
}

/// A call that goes together with others.
pub(super) type Call<'a> = Pin<Box<dyn Future<Output = Result<Said, tokio_postgres::Error>> + 'a>>;

impl Session {
    /// One round trip: all of them are sent, in order, before the first is answered.
    pub(super) fn together(&self, mut calls: Vec<Call<'_>>) -> Result<Vec<Said>, Fault> {
        let mut said: Vec<_> = calls.iter().map(|_| None).collect();
        let (mut sent, mut next) = (false, 0);
        let all = core::future::poll_fn(move |context| {
            // the first look sends them all; they are answered in order, so later ones stop at who is next
            let first = next;
            for at in first..calls.len() {
                if said[at].is_none() {
                    match calls[at].as_mut().poll(context) {
                        Poll::Ready(done) => said[at] = Some(done),
                        Poll::Pending if sent => return Poll::Pending,
                        Poll::Pending => continue,
                    }
                }
                if at == next {
                    next += 1;
                }
            }
            sent = true;
            if next < calls.len() {
                return Poll::Pending;
            }
            Poll::Ready(core::mem::take(&mut said).into_iter().flatten().collect())
        });
        self.run(all)
    }

    pub(super) fn phase(&self) -> Phase {
        self.gathered.borrow().phase
    }

    /// From here on, commands are carried out; what they write waits.
    pub(super) fn gather(&self) {
        self.gathered.borrow_mut().phase = Phase::Gather;
    }

    /// From here on, each statement is carried out when it is asked for.
    pub(super) fn direct(&self) -> Result<(), Fault> {
        self.flush()?;
        let mut gathered = self.gathered.borrow_mut();
        gathered.phase = Phase::Direct;
        gathered.forget();
        Ok(())
    }

    fn told(&self, sql: &str) -> Arc<Told> {
        self.gathered.borrow_mut().told(sql)
    }

    /// The statement for many, known to the server.
    fn many(&self, told: &Told) -> Result<Statement, Fault> {
        if let Some(statement) = told.many.get() {
            return Ok(statement.clone());
        }
        let one = self.prepared(&told.sql)?;
        let sql = match &told.shape {
            Shape::Read(_) => Some(Read::for_many(&told.sql, one.params())),
            Shape::Write(write) => write.for_many(&told.sql, one.params()),
            Shape::Alone => None,
        };
        let statement = self.prepared(&sql.ok_or(Fault::Corrupt("statement"))?)?;
        Ok(told.many.get_or_init(|| statement).clone())
    }

    /// Takes in what is wanted, or nothing where nothing is; gives whether there was anything.
    pub(super) fn fetch(&self) -> Result<bool, Fault> {
        let wanted = self.gathered.borrow_mut().wanted();
        if wanted.is_empty() {
            return Ok(false);
        }
        self.ask(&wanted, Vec::new())?;
        Ok(true)
    }

    /// The same together with what comes `first`, whose answers are given.
    pub(super) fn ask<'a>(
        &'a self,
        wanted: &[Wanted],
        first: Vec<Call<'a>>,
    ) -> Result<Vec<Said>, Fault> {
        let mut asked = Vec::new();
        for (told, keys) in wanted {
            asked.push((self.many(told)?, Arrays::of(keys)));
        }
        let before = first.len();
        let mut calls: Vec<Call<'_>> = first;
        for (statement, arrays) in &asked {
            calls.push(Box::pin(async move {
                let rows = self.client.query(statement, &arrays.params()).await;
                rows.map(Said::Rows)
            }));
        }
        let mut first = self.together(calls)?;
        let said = first.split_off(before);
        for ((told, keys), said) in wanted.iter().zip(said) {
            let Said::Rows(rows) = said else {
                return Err(Fault::Corrupt("answer"));
            };
            self.keep(told, keys, &rows)?;
        }
        Ok(first)
    }

    fn keep(
        &self,
        told: &Told,
        keys: &[Values],
        rows: &[tokio_postgres::Row],
    ) -> Result<(), Fault> {
        let mut found: Vec<Vec<Values>> = keys.iter().map(|_| Vec::new()).collect();
        for row in rows {
            let mut values = held(row)?;
            let Some(Held::Int(number)) = values.pop() else {
                return Err(Fault::Corrupt("number"));
            };
            let at = usize::try_from(number - 1).ok();
            let of = at.and_then(|at| found.get_mut(at));
            of.ok_or(Fault::Corrupt("number"))?.push(values);
        }
        let mut gathered = self.gathered.borrow_mut();
        for (key, rows) in keys.iter().zip(found) {
            gathered.keep(told, key.clone(), rows.into());
        }
        Ok(())
    }

    /// Sends what waits to be written.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] where a row is not as its command took it to be.
    pub(super) fn flush(&self) -> Result<(), Fault> {
        let writes = self.writes()?;
        if writes.is_empty() {
            return Ok(());
        }
        self.send(&writes, Vec::new(), &Cell::new(false))
    }

    /// What waits to be written, in statements that the server knows.
    pub(super) fn writes(&self) -> Result<Vec<(Statement, Group)>, Fault> {
        let groups = self.gathered.borrow_mut().take();
        let with = |group: Group| Ok((self.many(&group.told)?, group));
        groups.into_iter().map(with).collect()
    }

    /// One round trip for writes and what comes after them. Each write fails, and with it the transaction,
    /// where it does not touch as many rows as it was given. `failed` is set by one that failed here, before
    /// anything of it was sent: the server knows nothing of that.
    pub(super) fn send<'a>(
        &'a self,
        writes: &'a [(Statement, Group)],
        after: Vec<Call<'a>>,
        failed: &'a Cell<bool>,
    ) -> Result<(), Fault> {
        let wrong = Cell::new(None);
        let wrong = &wrong;
        let write = |(statement, group): &'a (Statement, Group)| -> Call<'_> {
            Box::pin(async move {
                let arrays = Arrays::of(&group.rows);
                let wrote = self.client.execute(statement, &arrays.params()).await;
                if let Err(error) = &wrote {
                    failed.set(true);
                    if error.code() == Some(&SqlState::DIVISION_BY_ZERO) {
                        wrong.set(Some(group.what));
                    }
                }
                wrote.map(|_| Said::Done)
            })
        };
        let calls = writes.iter().map(write).chain(after).collect();
        match (self.together(calls), wrong.get()) {
            (Err(_), Some(what)) => Err(Fault::Corrupt(what)),
            (done, _) => done.map(|_| ()),
        }
    }

    /// Writes exactly one row.
    pub(super) fn write_one(
        &self,
        sql: &str,
        values: &[Value<'_>],
        what: &'static str,
    ) -> Result<(), Fault> {
        match self.phase() {
            Phase::Foresee => return Ok(()),
            Phase::Direct => {}
            Phase::Gather => {
                let told = self.told(sql);
                if let Shape::Write(write) = &told.shape {
                    let row = values.iter().map(Held::from).collect();
                    self.gathered.borrow_mut().add(&told, write, row, what);
                    return Ok(());
                }
            }
        }
        match self.execute(sql, values)? {
            1 => Ok(()),
            _ => Err(Fault::Corrupt(what)),
        }
    }

    /// Writes one row unless it is there, which `seen` asks for by its key; gives whether it was not.
    pub(super) fn write_new(
        &self,
        sql: &str,
        values: &[Value<'_>],
        seen: &str,
    ) -> Result<bool, Fault> {
        let phase = self.phase();
        let told = self.told(sql);
        if let (Phase::Foresee | Phase::Gather, Shape::Write(write)) = (phase, &told.shape) {
            let row: Values = values.iter().map(Held::from).collect();
            let (seen, key) = (self.told(seen), key(write, &row));
            let mut gathered = self.gathered.borrow_mut();
            match (phase, gathered.known(&seen, &key)) {
                (Phase::Foresee, None) => gathered.want(&seen, key),
                (Phase::Gather, Some(rows)) if rows.is_empty() => {
                    gathered.add(&told, write, row, write.table);
                    return Ok(true);
                }
                (Phase::Direct | Phase::Foresee | Phase::Gather, _) => {}
            }
        }
        if phase == Phase::Foresee {
            return Ok(true);
        }
        Ok(self.execute(sql, values)? == 1)
    }

    /// Makes room for a statement that goes alone; `Err` where nothing may be written yet.
    pub(super) fn before_alone(&self, sql: &str, values: &[Value<'_>]) -> Result<(), Fault> {
        match self.phase() {
            Phase::Direct => Ok(()),
            Phase::Foresee => Err(Fault::Unforeseen),
            Phase::Gather => {
                self.flush()?;
                let told = self.told(sql);
                let mut gathered = self.gathered.borrow_mut();
                match &told.shape {
                    Shape::Write(write) => {
                        let row = values.iter().map(Held::from).collect();
                        gathered.correct(write, &key(write, &row), &row);
                    }
                    Shape::Read(_) | Shape::Alone => gathered.forget(),
                }
                Ok(())
            }
        }
    }

    /// Notes a query whose answer will be needed, where such notes are taken.
    pub(super) fn foresee(&self, sql: &str, values: &[Value<'_>]) {
        if self.phase() == Phase::Foresee {
            let _ = self.known(sql, values);
        }
    }

    /// The rows of a query from what is known; none where it has to be asked alone.
    pub(super) fn known(
        &self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Option<Arc<[Values]>>, Fault> {
        let phase = self.phase();
        if phase == Phase::Direct {
            return Ok(None);
        }
        let told = self.told(sql);
        let Shape::Read(_) = &told.shape else {
            return match phase {
                Phase::Foresee => {
                    self.gathered.borrow_mut().alone = true;
                    Err(Fault::Unforeseen)
                }
                Phase::Gather if !sql.starts_with("SELECT ") => {
                    // it may write what it gives
                    self.before_alone(sql, values).map(|()| None)
                }
                Phase::Gather | Phase::Direct => self.flush().map(|()| None),
            };
        };
        let key: Values = values.iter().map(Held::from).collect();
        let mut gathered = self.gathered.borrow_mut();
        if let Some(rows) = gathered.known(&told, &key) {
            return Ok(Some(rows));
        }
        if phase == Phase::Foresee {
            gathered.want(&told, key);
            return Err(Fault::Unforeseen);
        }
        let pending = gathered.is_pending_on(&told);
        drop(gathered);
        if pending {
            self.flush()?;
        }
        let rows = self.rows(sql, values)?;
        let rows: Arc<[Values]> = rows.iter().map(held).collect::<Result<_, _>>()?;
        let mut gathered = self.gathered.borrow_mut();
        gathered.keep(&told, key, Arc::clone(&rows));
        Ok(Some(rows))
    }
}

/// Gives `each` rows that are known.
pub(super) fn each_of(
    rows: &[Values],
    each: &mut dyn FnMut(&Row<'_>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    for row in rows {
        if !each(&Of::Held(row).into())? {
            break;
        }
    }
    Ok(())
}

fn held(row: &tokio_postgres::Row) -> Result<Values, Fault> {
    (0..row.len())
        .map(|column| Ok(Held::from(&value(row, column)?)))
        .collect()
}

/// Sets of parameters, one array for each parameter.
struct Arrays<'a>(Vec<Vec<Value<'a>>>);

impl<'a> Arrays<'a> {
    fn of(rows: &'a [Values]) -> Self {
        let width = rows.first().map_or(0, Vec::len);
        let column = |at: usize| rows.iter().map(|row| row[at].value()).collect();
        Self((0..width).map(column).collect())
    }

    fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.0.iter().map(|array| array as _).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mode;
    use super::super::server::Server;
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn session(url: &str) -> Session {
        let server = Server::new(url).expect("an address");
        server.connect().expect("a session")
    }

    fn count(session: &Session, sql: &str) -> i64 {
        let rows = session.rows(sql, &[]).expect("an answer");
        rows[0].get(0)
    }

    /// A commit of one write, altered on its way; gives what it said.
    fn commit(session: &Session, alter: fn(&mut Vec<Values>)) -> Result<(), Fault> {
        let floor = "UPDATE meta SET time_floor = ?1 WHERE id = 1";
        session.begin_foreseen(Mode::Write, &mut |_| {})?;
        session.write_one(floor, &[Value::Int(7)], "meta")?;
        let mut last = session.ending()?;
        alter(&mut last.writes[0].1.rows);
        session.commit(&last)
    }

    #[test]
    fn a_write_that_fails_takes_the_commit_behind_it_along() {
        let url = postgres_server::database();
        drop(crate::SqlStore::connect(&url).expect("a new database"));
        let marks = || {
            count(
                &session(&url),
                "SELECT CAST(sum(commits) AS BIGINT) FROM writer",
            )
        };
        let of = session(&url);
        commit(&of, |_| {}).expect("it is whole");
        let before = marks();
        assert!(before > 0, "each commit leaves a mark");
        // a row that is not there, said by the server
        let wrong = "UPDATE account SET balance = ?2 WHERE id = ?1";
        of.begin_foreseen(Mode::Write, &mut |_| {})
            .expect("it begins");
        of.write_one(wrong, &[Value::Blob(&[9; 16]), Value::Int(1)], "account")
            .expect("it waits");
        let last = of.ending().expect("it is known");
        let done = of.commit(&last);
        assert!(matches!(done, Err(Fault::Corrupt("account"))), "{done:?}");
        assert!(!of.is_lost());
        // one that no message can carry: the server never hears of it
        let done = commit(&of, |rows| rows[0].push(Held::Int(9)));
        assert!(done.is_err(), "{done:?}");
        assert_eq!(marks(), before, "nothing stayed of either");
    }

    #[test]
    fn a_defect_while_a_commit_is_on_its_way_ends_the_session() {
        let url = postgres_server::database();
        drop(crate::SqlStore::connect(&url).expect("a new database"));
        let mut of = session(&url);
        // a row that is narrower than the first one
        let broken = || commit(&of, |rows| rows.push(Values::new()));
        assert!(catch_unwind(AssertUnwindSafe(broken)).is_err());
        assert!(of.is_lost(), "nobody goes on with it");
        // and nobody waits for the lock that it holds
        of.close();
        commit(&session(&url), |_| {}).expect("the lock is free");
    }
}
