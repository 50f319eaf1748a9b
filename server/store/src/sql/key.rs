//! Idempotency keys of calls that name what they change.

use async_trait::async_trait;
use crashpoint::reach;
use ledger::Outcome;

use crate::db::Connection;
use crate::error::StoreError;
use crate::key::{KeyStands, KeyUse, Keys};
use crate::sql::admin::ledger_time;
use crate::sql::fault::Fault;
use crate::sql::{SqlStore, order};

#[async_trait]
impl Keys for SqlStore {
    async fn key_stands(&self, key: KeyUse) -> Result<KeyStands, StoreError> {
        self.look(move |connection| stands(connection, &key)).await
    }

    async fn bind_key(&self, key: KeyUse) -> Result<KeyStands, StoreError> {
        let bound = self.write(move |connection| {
            let before = bind(connection, &key)?;
            reach!("store::bind-key::before-commit");
            Ok(before)
        });
        bound
            .await
            .inspect(|_| reach!("store::bind-key::after-commit"))
    }
}

fn stands(connection: &Connection, key: &KeyUse) -> Result<KeyStands, Fault> {
    Ok(match order::recorded(connection, &key.scope)? {
        None => KeyStands::ForNothing,
        Some((content, _)) if content == key.content => KeyStands::ForThis,
        Some(_) => KeyStands::ForAnother,
    })
}

fn bind(connection: &Connection, key: &KeyUse) -> Result<KeyStands, Fault> {
    let before = stands(connection, key)?;
    if before == KeyStands::ForNothing {
        let now = ledger_time(connection, key.now)?;
        let remittance = key.remittance;
        let asked = (&key.scope, key.content, remittance);
        order::remember(connection, asked, &Ok(Outcome::Placed { remittance }), now)?;
    }
    Ok(before)
}
