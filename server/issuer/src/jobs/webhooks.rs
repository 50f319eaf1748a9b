//! Tells endpoints what happened to orders.
//!
//! What is sealed in the audit log is queued, each segment once; what is queued is leased, sent, and only
//! then taken out. A crash in between sends it again after the lease, under the same id. Several processes
//! share both, since leases and the place in the log stand in the database.

use super::pause;
use crate::{
    app::App,
    clock::random,
    webhooks::{
        body,
        send::{Message, Sender},
        signatures,
    },
};
use crashpoint::reach;
use ledger::Timestamp;
use std::{sync::Arc, time::Duration};
use store::{Attempt, Delivery, NewDelivery};
use tokio::{sync::watch, task::JoinSet};

/// Time between two looks when there was nothing to send.
const PERIOD: Duration = Duration::from_millis(500);

/// How long a leased event is left alone, in seconds: longer than an attempt may take.
pub const LEASE_S: i64 = 60;

/// Endpoints that are spoken to at once: one that is slow keeps one place of them, for one attempt.
const AT_ONCE: usize = 16;

/// Seconds to wait after the first attempt, the second and so on; after as many and one more an event is a
/// dead letter. Together two days: a weekend is longer than that, and dead letters can be sent again.
pub const WAITS_S: [i64; 11] = [
    5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400,
];

/// Up to this part of a wait is added to it at random, so that an endpoint which comes back does not meet
/// everything in one second.
pub const JITTER: i64 = 5;

/// Runs until the server stops; attempts that run then are ended by their own bound.
pub async fn run(app: Arc<App>, sender: Sender, mut stopped: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            going = pause(&mut stopped, PERIOD) => if !going { break },
            Some(_) = running.join_next(), if !running.is_empty() => {}
        }
        if let Err(error) = queue(&app).await {
            tracing::error!(error = %format!("{error:#}"), "events could not be queued");
        }
        if let Err(error) = begin(&app, &sender, &mut running).await {
            tracing::error!(error = %format!("{error:#}"), "events could not be leased");
        }
    }
    while running.join_next().await.is_some() {}
}

/// Queues what the audit log holds and nobody was told; gives how many segments.
///
/// # Errors
/// The store is not available.
pub async fn queue(app: &App) -> anyhow::Result<u64> {
    let store = &app.office.store;
    let mut queued = 0_u64;
    while let Some(found) = store.order_changes().await? {
        let mut deliveries = Vec::new();
        for change in &found.changes {
            let body = body(change);
            deliveries.extend(change.webhooks.iter().map(|webhook| NewDelivery {
                webhook: *webhook,
                event: change.event,
                what: change.what,
                body: body.clone(),
                at: change.at,
            }));
        }
        // where another process was quicker, the next look is at what comes after
        if store.queue_deliveries(found, deliveries).await? {
            queued = queued.saturating_add(1);
        }
    }
    Ok(queued)
}

/// Leases what is due and begins to send it; gives how many.
async fn begin(
    app: &Arc<App>,
    sender: &Sender,
    running: &mut JoinSet<()>,
) -> anyhow::Result<usize> {
    let mut begun = 0_usize;
    loop {
        let free = AT_ONCE.saturating_sub(running.len());
        let limit = u32::try_from(free).unwrap_or(0);
        if limit == 0 {
            return Ok(begun);
        }
        let now = app.office.ledger_now().await?;
        let until = now.plus_s(LEASE_S);
        let leased = app.office.store.lease_deliveries(now, until, limit).await?;
        if leased.is_empty() {
            return Ok(begun);
        }
        for delivery in leased {
            begun = begun.saturating_add(1);
            running.spawn(deliver(Arc::clone(app), sender.clone(), delivery));
        }
    }
}

/// Queues and sends until nothing is due; gives how many attempts that took.
///
/// # Errors
/// The store is not available. A failed attempt is no error: it is noted on its row.
pub async fn drain(app: &Arc<App>, sender: &Sender) -> anyhow::Result<usize> {
    let mut running = JoinSet::new();
    let mut attempts = 0_usize;
    queue(app).await?;
    loop {
        let begun = begin(app, sender, &mut running).await?;
        attempts = attempts.saturating_add(begun);
        if running.join_next().await.is_none() && begun == 0 {
            return Ok(attempts);
        }
    }
}

async fn deliver(app: Arc<App>, sender: Sender, delivery: Delivery) {
    let sent = app.office.clock.now();
    let message = Message {
        id: delivery.event.to_string(),
        timestamp: sent.unix_s(),
        signature: signatures(&app.office.keys, &delivery, sent),
        body: delivery.body.clone(),
    };
    let (webhook, event) = (delivery.webhook, delivery.event);
    // by the ledger's time, as leases are: a clock that was put back would make each wait none
    let now = app.office.ledger_now().await.unwrap_or(sent);
    let answer = sender.send(&delivery.url, message).await;
    reach!("issuer::webhook::sent");
    let attempt = match answer {
        Ok(200..=299) => Attempt::Delivered,
        Ok(410) => Attempt::Gone,
        Ok(status) => failed(&app, &delivery, now, format!("answered {status}")),
        Err(error) => failed(&app, &delivery, now, error),
    };
    tracing::info!(webhook.id = %webhook, event.id = %event, attempt = delivery.attempts, outcome = ?attempt, "event sent");
    if let Err(error) = app.office.store.attempted(webhook, event, attempt).await {
        // it is sent again after its lease
        tracing::error!(%error, event.id = %event, "an attempt could not be noted");
    }
}

fn failed(app: &App, delivery: &Delivery, now: Timestamp, error: String) -> Attempt {
    match wait_s(delivery.attempts, random(&*app.office.random)) {
        Some(wait) => Attempt::Retry {
            at: now.plus_s(wait),
            error,
        },
        None => Attempt::Dead { error },
    }
}

/// Seconds to wait after so many attempts; none where there were enough. `chance`: random.
fn wait_s(attempts: u32, [chance]: [u8; 1]) -> Option<i64> {
    let made = usize::try_from(attempts).unwrap_or(usize::MAX);
    let wait = *WAITS_S.get(made.saturating_sub(1))?;
    let more = wait.saturating_mul(i64::from(chance)) / (JITTER * i64::from(u8::MAX));
    Some(wait.saturating_add(more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_the_table_and_at_most_a_fifth_and_end() {
        assert!(WAITS_S.is_sorted());
        for (attempts, wait) in (1..).zip(WAITS_S) {
            assert_eq!(wait_s(attempts, [0]), Some(wait));
            assert_eq!(wait_s(attempts, [u8::MAX]), Some(wait + wait / JITTER));
        }
        assert_eq!(wait_s(12, [0]), None);
        assert_eq!(wait_s(u32::MAX, [0]), None);
        let page = include_str!("../../../../docs/webhooks.md");
        let row = WAITS_S.map(|wait| wait.to_string()).join(", ");
        assert!(page.contains(&row), "{row}");
    }
}
