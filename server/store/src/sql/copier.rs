//! Puts the tables of a whole ledger aside and back, for the simulation.

use rusqlite::config::DbConfig;

use crate::db::{Connection, Mode};
use crate::sql::fault::Fault;
use crate::sql::inline::{Saved, flags};
use crate::sql::rows;

/// A second connection to the same ledger, for which neither triggers nor references count. The ledger's
/// connection keeps its schema and its compiled statements meanwhile, which take longer to make than a
/// history takes to run.
#[derive(Debug)]
pub(super) enum Copier {
    /// A ledger in memory, and its tables.
    Pages(rusqlite::Connection, Vec<String>),
    /// A database of PostgreSQL, and for each copy what saves it and what puts it back.
    Server(Connection, Vec<(Saved, [String; 2])>),
}

impl Copier {
    pub(super) fn of_pages(name: &str) -> Result<Self, Fault> {
        let connection = rusqlite::Connection::open_with_flags(name, flags())?;
        connection.pragma_update(None, "foreign_keys", false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.set_prepared_statement_cache_capacity(super::STATEMENTS_MAX * 2);
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
        let tables = connection
            .prepare(sql)?
            .query_map([], |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()?;
        for copy in Saved::ALL {
            let schema = copy.schema();
            connection.execute_batch(&format!("ATTACH ':memory:' AS {schema}"))?;
            for table in &tables {
                let sql = format!("CREATE TABLE {schema}.{table} AS SELECT * FROM main.{table}");
                connection.execute_batch(&sql)?;
            }
        }
        Ok(Self::Pages(connection, tables))
    }

    pub(super) fn of_server(connection: Connection) -> Result<Self, Fault> {
        // the numbers of commits are the sessions' and not the ledger's
        let sql = "SELECT CAST(tablename AS TEXT) FROM pg_catalog.pg_tables WHERE schemaname = 'public' \
                   AND CAST(tablename AS TEXT) <> ?1 ORDER BY tablename";
        let name = |row: &crate::db::Row<'_>| row.get::<String>(0);
        let tables = rows::all(&connection, sql, ["writer"], name)?;
        // as after a copy of files, numbers go on after the last that is there
        let sql = "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) \
                   FROM information_schema.columns \
                   WHERE table_schema = 'public' AND CAST(is_identity AS TEXT) = ?1";
        let numbered = rows::all(&connection, sql, ["YES"], |row| {
            let (table, column): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(format!(
                "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), coalesce(max({column}), 0) + 1, \
                 false) FROM public.{table};"
            ))
        })?;
        let copy = |from: &str, to: &str| -> String {
            let copy = tables.iter().map(|table| {
                format!(
                    "DELETE FROM {to}.{table}; \
                     INSERT INTO {to}.{table} OVERRIDING SYSTEM VALUE SELECT * FROM {from}.{table};"
                )
            });
            copy.collect()
        };
        let mut scripts = Vec::new();
        connection.run_script("SET session_replication_role = replica")?;
        for saved in Saved::ALL {
            let schema = saved.schema();
            let make = tables.iter().map(|table| {
                format!("CREATE UNLOGGED TABLE {schema}.{table} AS TABLE public.{table};")
            });
            let make: String = make.collect();
            connection.run_script(&format!("CREATE SCHEMA {schema}; {make}"))?;
            let save = copy("public", schema);
            let back = copy(schema, "public") + &numbered.concat();
            scripts.push((saved, [save, back]));
        }
        Ok(Self::Server(connection, scripts))
    }

    pub(super) fn save(&self, to: Saved) -> Result<(), Fault> {
        match self {
            Self::Pages(connection, tables) => pages(connection, tables, ["main", to.schema()]),
            Self::Server(..) => self.run(to, |[save, _]| save),
        }
    }

    pub(super) fn go_back(&self, to: Saved) -> Result<(), Fault> {
        match self {
            Self::Pages(connection, tables) => pages(connection, tables, [to.schema(), "main"]),
            Self::Server(..) => self.run(to, |[_, back]| back),
        }
    }

    fn run(&self, to: Saved, which: impl Fn(&[String; 2]) -> &String) -> Result<(), Fault> {
        let Self::Server(connection, scripts) = self else {
            return Ok(());
        };
        for (_, scripts) in scripts.iter().filter(|(saved, _)| *saved == to) {
            let transaction = connection.begin(Mode::Schema)?;
            transaction.run_script(which(scripts))?;
            transaction.commit()?;
        }
        Ok(())
    }
}

fn pages(
    connection: &rusqlite::Connection,
    tables: &[String],
    [from, to]: [&str; 2],
) -> Result<(), Fault> {
    let run = |sql: &str| connection.prepare_cached(sql)?.execute([]);
    run("BEGIN IMMEDIATE")?;
    for table in tables {
        run(&format!("DELETE FROM {to}.{table}"))?;
        run(&format!(
            "INSERT INTO {to}.{table} SELECT * FROM {from}.{table}"
        ))?;
    }
    run("COMMIT")?;
    Ok(())
}
