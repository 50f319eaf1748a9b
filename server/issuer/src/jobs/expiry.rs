//! Returns what nobody picked up in time.

use super::pause;
use crate::app::App;
use ledger::Command;
use std::{sync::Arc, time::Duration};
use store::StoreError;
use tokio::sync::watch;

/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Remittances returned in one transaction.
const BATCH_MAX: u32 = 500;

/// Runs until the server stops.
pub async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    while pause(&mut stopped, PERIOD).await {
        if let Err(error) = sweep(&app).await {
            tracing::error!(error = %format!("{error:#}"), "expired money could not be returned");
        }
        app.limits.forget_quiet();
    }
}

/// Returns everything that has expired by now; gives how many remittances were returned.
///
/// Two sweeps at once are harmless: the ledger returns each remittance once. One whose commit was
/// sent meanwhile is refused there, and the card decides.
///
/// # Errors
/// The store is not available.
pub async fn sweep(app: &App) -> anyhow::Result<usize> {
    let mut returned = 0_usize;
    loop {
        let now = app.office.ledger_now().await?;
        let due = app.office.store.expirable(now, BATCH_MAX).await?;
        if due.is_empty() {
            return Ok(returned);
        }
        let commands: Vec<Command> = due
            .iter()
            .map(|&remittance| Command::Expire { remittance, now })
            .collect();
        let done = apply(app, commands).await?;
        returned = returned.saturating_add(done);
        tracing::info!(remittances = done, "returned what had expired");
        if done == 0 {
            return Ok(returned);
        }
    }
}

/// Carries them out in one transaction; where a row of one cannot be read, each alone, so that it does
/// not keep the others' money. Gives how many were returned.
async fn apply(app: &App, commands: Vec<Command>) -> anyhow::Result<usize> {
    let store = &app.office.store;
    match store.apply(commands.clone()).await {
        Ok(answers) => return Ok(answers.iter().filter(|answer| answer.is_ok()).count()),
        Err(StoreError::Corrupt { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let mut done = 0_usize;
    for command in commands {
        match store.apply(vec![command.clone()]).await {
            Ok(answers) => {
                let returned = answers.iter().filter(|answer| answer.is_ok()).count();
                done = done.saturating_add(returned);
            }
            Err(StoreError::Corrupt { what }) => {
                tracing::error!(?command, what, "a remittance is unreadable: see the audit");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}
