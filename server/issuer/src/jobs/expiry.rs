//! Returns what nobody picked up in time.

use super::pause;
use crate::app::App;
use ledger::Command;
use std::{sync::Arc, time::Duration};
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
        app.claim_limit.forget_quiet_callers();
        app.order_limit.forget_quiet_holders();
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
        let commands = due
            .iter()
            .map(|&remittance| Command::Expire { remittance, now })
            .collect();
        let answers = app.office.store.apply(commands).await?;
        let done = answers.iter().filter(|answer| answer.is_ok()).count();
        returned = returned.saturating_add(done);
        tracing::info!(remittances = done, "returned what had expired");
        if done == 0 {
            return Ok(returned);
        }
    }
}
