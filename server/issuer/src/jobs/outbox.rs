//! Sends the mails that orders left in the outbox.
//!
//! A row is leased, the mail is composed from the stored order and handed over, and only then the
//! row is marked; a crash in between sends it again after the lease, with the same Message-ID.

use super::{addresses, invitations, pause};
use crate::{app::App, programs};
use anyhow::Context;
use crashpoint::reach;
use ledger::{Flow, Holder, OutboxMail, Remittance, Status, Timestamp};
use mailer::{Language, Party, ProgramMail, Purpose, SendError, Transport, compose};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::watch;

/// Time between two looks when there was nothing to send.
const PERIOD: Duration = Duration::from_millis(500);

/// How long a leased mail is left alone, in seconds: longer than one delivery may take.
pub(super) const LEASE_S: i64 = 120;

/// Mails taken at once.
pub(super) const BATCH_MAX: u32 = 16;

/// Attempts before a mail is given up; with the waits below about two days.
pub(super) const ATTEMPTS_MAX: u32 = 16;

/// Longest wait between two attempts, in seconds.
const WAIT_MAX_S: i64 = 4 * 3_600;

/// Runs until the server stops.
pub async fn run(app: Arc<App>, transport: Transport, mut stopped: watch::Receiver<bool>) {
    while pause(&mut stopped, PERIOD).await {
        if let Err(error) = drain(&app, &transport).await {
            tracing::error!(error = %format!("{error:#}"), "the outbox could not be read");
        }
        if let Err(error) = addresses::drain(&app, &transport).await {
            tracing::error!(error = %format!("{error:#}"), "the codes to mail could not be read");
        }
        if let Err(error) = crate::invitations::bind_answered(&app).await {
            tracing::error!(error = %format!("{error:#}"), "invitations could not be bound");
        }
        if let Err(error) = invitations::drain(&app, &transport).await {
            tracing::error!(error = %format!("{error:#}"), "invitations could not be mailed");
        }
    }
}

/// Sends every mail that is due; gives how many were handed over.
///
/// # Errors
/// The store is not available. A failed delivery is no error: it is noted on its row.
pub async fn drain(app: &App, transport: &Transport) -> anyhow::Result<usize> {
    let mut sent = 0_usize;
    loop {
        let now = app.office.ledger_now().await?;
        let leased = app
            .office
            .store
            .lease_mail(now, now.plus_s(LEASE_S), BATCH_MAX)
            .await?;
        if leased.is_empty() {
            return Ok(sent);
        }
        for mail in leased {
            match deliver(app, transport, &mail).await {
                Ok(()) => {
                    reach!("issuer::mail::handed-over");
                    app.office.store.mail_sent(mail.id).await?;
                    tracing::info!(mail.id = %mail.id, remittance.id = %mail.remittance, "mail sent");
                    sent = sent.saturating_add(1);
                }
                // the row has another mail now, which goes out in its turn
                Err(Failure::Replaced) => {
                    tracing::info!(mail.id = %mail.id, remittance.id = %mail.remittance, "mail replaced");
                }
                Err(Failure::Retry(reason)) => note(app, &mail, reason, true).await?,
                Err(Failure::Permanent(reason)) => note(app, &mail, reason, false).await?,
            }
        }
    }
}

/// Why a mail did not go out.
enum Failure {
    /// Worth another attempt.
    Retry(String),
    /// It will never go out like this.
    Permanent(String),
    /// A newer program has taken its place since it was leased.
    Replaced,
}

async fn note(app: &App, mail: &OutboxMail, reason: String, retry: bool) -> anyhow::Result<()> {
    let now = app.office.ledger_now().await?;
    let again = retry && mail.attempts < ATTEMPTS_MAX;
    let retry_at = again.then(|| now.plus_s(wait_s(mail.attempts)));
    let given_up = retry_at.is_none();
    tracing::warn!(mail.id = %mail.id, remittance.id = %mail.remittance, reason, given_up, "mail not sent");
    app.office
        .store
        .mail_failed(mail.id, retry_at, reason)
        .await?;
    Ok(())
}

/// Seconds to wait after the given number of attempts: 5, 10, 20 and so on, to at most four hours.
pub(super) fn wait_s(attempts: u32) -> i64 {
    let doublings = attempts.saturating_sub(1).min(20);
    5_i64.saturating_mul(1_i64 << doublings).min(WAIT_MAX_S)
}

async fn deliver(app: &App, transport: &Transport, mail: &OutboxMail) -> Result<(), Failure> {
    let (remittance, recipient, purpose) = gather(app, mail)
        .await
        .map_err(|e| Failure::Retry(format!("{e:#}")))?;
    // asked after the remittance was read: what was read is then of this mail's revision
    let waits = app.office.store.mail_waits(mail.id).await;
    if !waits.map_err(|e| Failure::Retry(e.to_string()))? {
        return Err(Failure::Replaced);
    }
    match remittance.status {
        Status::Open | Status::CommitSent { .. } | Status::Recovering { .. } => {}
        Status::Ordered | Status::FundingUnknown { .. } => {
            return Err(Failure::Retry("the order is not funded yet".to_owned()));
        }
        Status::Unfunded { .. }
        | Status::Refunding { .. }
        | Status::Held { .. }
        | Status::Credited { .. }
        | Status::Returned { .. } => {
            return Err(Failure::Permanent("the order had ended".to_owned()));
        }
    }
    let program = programs::program_of(app, &remittance)
        .await
        .map_err(|e| Failure::Retry(format!("{e:#}")))?;
    let message = message(app, mail, &remittance, (&recipient, purpose), program);
    let bytes = compose(&message).map_err(|e| Failure::Permanent(e.code().to_owned()))?;
    match transport
        .send(&app.settings.mail_from, &mail.to, &mail.message_id, bytes)
        .await
    {
        Ok(()) => Ok(()),
        Err(error @ SendError::Retry(_)) => Err(Failure::Retry(chain(&error))),
        Err(error) => Err(Failure::Permanent(chain(&error))),
    }
}

async fn gather(app: &App, mail: &OutboxMail) -> anyhow::Result<(Remittance, Holder, Purpose)> {
    let store = &app.office.store;
    let remittance = store
        .remittance(mail.remittance)
        .await?
        .context("a mail without order")?;
    let card = store
        .card(remittance.card)
        .await?
        .context("an order without card")?;
    let holder = store
        .holder(card.holder)
        .await?
        .context("a card without holder")?;
    let purpose = match remittance.flow {
        Flow::Credit(_) => Purpose::Credit,
        Flow::Debit { funds } => {
            let order = store.remittance(funds).await?;
            let order = order.context("a debit without order")?;
            Purpose::Debit {
                to_card: order.card_masked,
            }
        }
    };
    Ok((remittance, holder, purpose))
}

fn message(
    app: &App,
    mail: &OutboxMail,
    remittance: &Remittance,
    (recipient, purpose): (&Holder, Purpose),
    program: Vec<u8>,
) -> ProgramMail {
    let office = &app.office;
    ProgramMail {
        from: Party {
            name: office.config.issuer.clone(),
            address: app.settings.mail_from.clone(),
        },
        to: Party {
            name: recipient.name.clone(),
            address: mail.to.clone(),
        },
        language: match mail.language {
            ledger::Language::En => Language::En,
            ledger::Language::Ja => Language::Ja,
        },
        message_id: mail.message_id.clone(),
        date: system_time(remittance.created),
        reference: remittance.id.to_string(),
        sender: remittance.sender_name.clone(),
        amount: remittance.amount.money(),
        note: remittance.note.clone(),
        card_masked: remittance.card_masked.clone(),
        purpose,
        expires: remittance.expires.unix_s(),
        issuer: office.config.issuer.clone(),
        claim_url: format!("{}/claim", app.settings.public_origin),
        claim_code: office.keys.claim_code(remittance.id, remittance.revision),
        program,
    }
}

pub(super) fn system_time(at: Timestamp) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(at.unix_s()).unwrap_or(0));
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_four_hours() {
        let waits: Vec<_> = [1, 2, 3, 11, 12, 13, u32::MAX]
            .into_iter()
            .map(wait_s)
            .collect();
        assert_eq!(waits, [5, 10, 20, 5_120, 10_240, WAIT_MAX_S, WAIT_MAX_S]);
    }
}
