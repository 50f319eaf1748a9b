//! PostgreSQL's schema versions: applied in order when the database is opened, each in one transaction.

use crate::db::{Connection, Mode};
use crate::error::StoreError;
use crate::sql::fault::Fault;
use crate::sql::{migrate, rows};

/// The scripts and the version that each leads to; versions are those of SQLite's schema. A shipped one
/// is never edited.
pub(crate) const SCRIPTS: [(i64, &str); 9] = [
    (9, include_str!("../../migrations/postgres/0009_ledger.sql")),
    (
        10,
        include_str!("../../migrations/postgres/0010_invitation.sql"),
    ),
    (
        11,
        include_str!("../../migrations/postgres/0011_officers.sql"),
    ),
    (
        12,
        include_str!("../../migrations/postgres/0012_books_disagree.sql"),
    ),
    (13, include_str!("../../migrations/postgres/0013_token.sql")),
    (
        14,
        include_str!("../../migrations/postgres/0014_webhook.sql"),
    ),
    (15, include_str!("../../migrations/postgres/0015_pages.sql")),
    (16, include_str!("../../migrations/postgres/0016_turns.sql")),
    (
        17,
        include_str!("../../migrations/postgres/0017_answers.sql"),
    ),
];

/// Sessions that have not written for so long are over: a server that was silent for longer, and then writes or
/// connects anew, would take its database for another one.
const OLD_SESSIONS: &str = "DELETE FROM writer WHERE at < now() - interval '400 days'";

/// Brings an empty or older database to [`migrate::VERSION`].
pub(super) fn migrate(connection: &Connection) -> Result<(), StoreError> {
    // the writer's lock: of several processes that start at once, one does it
    let transaction = connection.begin(Mode::Schema)?;
    let found = match version(&transaction)? {
        Some(found) if found > migrate::VERSION => {
            let known = migrate::VERSION;
            return Err(StoreError::SchemaTooNew { found, known });
        }
        Some(found) => found,
        None if tables(&transaction)? == 0 => 0,
        None => return Err(StoreError::NotOurs),
    };
    for (to, script) in SCRIPTS {
        if to > found {
            transaction.run_script(script)?;
            let sql = "UPDATE tegata SET schema_version = ?1 WHERE id = 1";
            rows::write(&transaction, sql, [to], "schema version")?;
        }
    }
    transaction.execute(OLD_SESSIONS, [])?;
    Ok(transaction.commit()?)
}

/// The version that a database says it has; none where it is not ours.
fn version(connection: &Connection) -> Result<Option<i64>, Fault> {
    let sql = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = current_schema() \
               AND tablename = 'tegata'";
    if !connection.exists(sql, [])? {
        return Ok(None);
    }
    let sql = "SELECT schema_version FROM tegata WHERE id = ?1";
    rows::one(connection, sql, [1_i64], |row| row.get(0))
}

/// Standbys that have each commit before it is answered.
pub(super) fn synchronous_standbys(connection: &Connection) -> Result<u64, Fault> {
    match connection {
        Connection::Sqlite(_) => Ok(0),
        Connection::Postgres(_) => {
            let sql = "SELECT count(*) FROM pg_catalog.pg_stat_replication \
                       WHERE sync_state IN ('sync', 'quorum')";
            let found = rows::one(connection, sql, [], |row| rows::counter(row, 0))?;
            Ok(found.unwrap_or(0))
        }
    }
}

/// Sessions of this program besides this one.
pub(super) fn sessions(connection: &Connection) -> Result<u64, Fault> {
    let sql = "SELECT count(*) FROM pg_catalog.pg_stat_activity \
               WHERE datname = current_database() AND application_name = 'tegata-server' \
               AND pid <> pg_backend_pid()";
    let found = rows::one(connection, sql, [], |row| rows::counter(row, 0))?;
    Ok(found.unwrap_or(0))
}

fn tables(connection: &Connection) -> Result<i64, Fault> {
    let sql = "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema()";
    Ok(rows::one(connection, sql, [], |row| row.get(0))?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::server::Server;
    use crate::sql::SqlStore;
    use tempfile::TempDir;

    /// What both schemas must have alike, one line each.
    fn listed(connection: &Connection, queries: [&str; 3]) -> Vec<String> {
        let mut lines: Vec<String> = queries
            .iter()
            .flat_map(|sql| rows::all(connection, sql, [], |row| row.get(0)).unwrap())
            .collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn both_schemas_have_the_same_columns_indices_and_guards() {
        let server = Server::new(&postgres_server::database()).unwrap();
        let postgres = Connection::Postgres(Box::new(server.connect().unwrap()));
        migrate(&postgres).unwrap();
        // again: nothing is left to do
        migrate(&postgres).unwrap();
        let transaction = postgres.begin(Mode::Read).unwrap();
        let found = listed(
            &transaction,
            [
                "SELECT 'column ' || table_name || '.' || column_name || ' ' || CASE data_type \
                 WHEN 'bytea' THEN 'BLOB' WHEN 'bigint' THEN 'INTEGER' WHEN 'text' THEN 'TEXT' END \
                 || CASE is_nullable WHEN 'NO' THEN ' needed' ELSE '' END \
                 FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name NOT IN ('tegata', 'writer')",
                "SELECT 'index ' || CAST(indexname AS text) FROM pg_catalog.pg_indexes \
                 WHERE schemaname = current_schema() AND indexname NOT LIKE '%\\_key' \
                 AND indexname NOT LIKE '%\\_pkey' AND tablename <> 'writer'",
                "SELECT 'guard ' || CAST(tgname AS text) FROM pg_catalog.pg_trigger \
                 WHERE NOT tgisinternal",
            ],
        );
        drop(transaction);

        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ledger.db");
        drop(SqlStore::open(&path).unwrap());
        let sqlite = Connection::Sqlite(rusqlite::Connection::open(&path).unwrap());
        let expected = listed(
            &sqlite,
            [
                "SELECT 'column ' || m.name || '.' || c.name || ' ' || c.type || \
                 CASE WHEN c.\"notnull\" THEN ' needed' WHEN c.pk THEN ' needed' ELSE '' END \
                 FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
                 WHERE m.type = 'table' AND m.name <> 'event_before_log' AND m.name NOT LIKE 'sqlite_%'",
                "SELECT 'index ' || name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
                "SELECT 'guard ' || name FROM sqlite_schema WHERE type = 'trigger' \
                 AND tbl_name <> 'event_before_log'",
            ],
        );
        assert!(expected.len() > 150, "the schema was read");
        assert_eq!(found, expected);
        assert_eq!(SCRIPTS.last().unwrap().0, migrate::VERSION);
    }

    #[test]
    fn a_database_of_somebody_else_or_of_a_later_version_is_refused() {
        let server = Server::new(&postgres_server::database()).unwrap();
        let connection = Connection::Postgres(Box::new(server.connect().unwrap()));
        connection
            .run_script("CREATE TABLE guests (id BIGINT)")
            .unwrap();
        assert!(matches!(migrate(&connection), Err(StoreError::NotOurs)));
        connection.run_script("DROP TABLE guests").unwrap();
        migrate(&connection).unwrap();
        let sql = "UPDATE tegata SET schema_version = ?1 WHERE id = 1";
        connection.execute(sql, [migrate::VERSION + 1]).unwrap();
        assert!(matches!(
            migrate(&connection),
            Err(StoreError::SchemaTooNew { .. })
        ));
    }
}
