//! Mails the codes that verify addresses.
//!
//! A code is leased, mailed, and only then noted as gone; a crash in between mails it again after the
//! lease, with the same Message-ID and the same code, which follows from the verification's id.

use super::outbox::{ATTEMPTS_MAX, BATCH_MAX, LEASE_S, chain, system_time, wait_s};
use crate::app::App;
use crashpoint::reach;
use mailer::{CodeMail, Language, Party, SendError, Transport, compose_code};
use store::{AddressMail, CODE_LIFETIME_S};

/// Mails every code that is due; gives how many were handed over.
///
/// # Errors
/// The store is not available. A failed delivery is no error: it is tried again, as long as the code
/// counts and at most [`ATTEMPTS_MAX`] times.
pub async fn drain(app: &App, transport: &Transport) -> anyhow::Result<usize> {
    let store = &app.office.store;
    let mut sent = 0_usize;
    loop {
        let now = app.office.ledger_now().await?;
        let until = now.plus_s(LEASE_S);
        let leased = store.lease_address_mail(now, until, BATCH_MAX).await?;
        if leased.is_empty() {
            return Ok(sent);
        }
        for mail in leased {
            let retry_at = match deliver(app, transport, &mail).await {
                Ok(()) => {
                    reach!("issuer::code::handed-over");
                    tracing::info!(mail.id = %mail.request, "code mailed");
                    sent = sent.saturating_add(1);
                    None
                }
                Err((reason, again)) => {
                    let again = again && mail.attempts < ATTEMPTS_MAX;
                    tracing::warn!(mail.id = %mail.request, reason, given_up = !again, "code not mailed");
                    again.then(|| now.plus_s(wait_s(mail.attempts)))
                }
            };
            store.address_mail_done(mail.request, retry_at).await?;
        }
    }
}

/// Why a code did not go out, and whether another attempt is worth it.
async fn deliver(
    app: &App,
    transport: &Transport,
    mail: &AddressMail,
) -> Result<(), (String, bool)> {
    let office = &app.office;
    let message = CodeMail {
        from: Party {
            name: office.config.issuer.clone(),
            address: app.settings.mail_from.clone(),
        },
        to: Party {
            name: mail.name.clone(),
            address: mail.to.clone(),
        },
        language: match mail.language {
            ledger::Language::En => Language::En,
            ledger::Language::Ja => Language::Ja,
        },
        message_id: format!("{}@{}", mail.request, office.config.issuer),
        date: system_time(mail.expires.plus_s(-CODE_LIFETIME_S)),
        issuer: office.config.issuer.clone(),
        page_url: format!("{}/address", app.settings.public_origin),
        code: office.keys.address_code(mail.request),
        expires: mail.expires.unix_s(),
    };
    let bytes = compose_code(&message).map_err(|error| (error.code().to_owned(), false))?;
    let from = &app.settings.mail_from;
    match transport
        .send(from, &mail.to, &message.message_id, bytes)
        .await
    {
        Ok(()) => Ok(()),
        Err(error @ SendError::Retry(_)) => Err((chain(&error), true)),
        Err(error) => Err((chain(&error), false)),
    }
}
