//! Invites people without a card by mail, and makes remittances of what their addresses now stand for.
//!
//! Leased, mailed and only then noted, as a program's mail: a crash in between mails the same once
//! more, with the same Message-ID.

use super::outbox::{ATTEMPTS_MAX, BATCH_MAX, LEASE_S, chain, system_time, wait_s};
use crate::app::App;
use crashpoint::reach;
use ledger::{InvitationMail, InvitationStatus, MailStatus};
use mailer::{InviteMail, Party, SendError, Transport, compose_invite};

/// Mails every invitation that is due; gives how many were handed over.
///
/// # Errors
/// The store is not available. A failed delivery is no error: it is tried again, at most
/// [`ATTEMPTS_MAX`] times; the amount waits all the same.
pub async fn drain(app: &App, transport: &Transport) -> anyhow::Result<usize> {
    let store = &app.office.store;
    let mut sent = 0_usize;
    loop {
        let now = app.office.ledger_now().await?;
        let until = now.plus_s(LEASE_S);
        let leased = store.lease_invitation_mail(now, until, BATCH_MAX).await?;
        if leased.is_empty() {
            return Ok(sent);
        }
        for mail in leased {
            let id = mail.invitation.id;
            let (done, retry_at) = match deliver(app, transport, &mail).await {
                Ok(()) => {
                    reach!("issuer::invitation::handed-over");
                    tracing::info!(remittance.id = %id, "invitation mailed");
                    sent = sent.saturating_add(1);
                    (MailStatus::Sent, None)
                }
                Err((reason, again)) => {
                    let again = again && mail.attempts < ATTEMPTS_MAX;
                    tracing::warn!(remittance.id = %id, reason, given_up = !again, "invitation not mailed");
                    let retry_at = again.then(|| now.plus_s(wait_s(mail.attempts)));
                    let done = if again {
                        MailStatus::Queued
                    } else {
                        MailStatus::Failed
                    };
                    (done, retry_at)
                }
            };
            store.invitation_mail_done(id, done, retry_at).await?;
        }
    }
}

/// Why it did not go out, and whether another attempt is worth it.
async fn deliver(
    app: &App,
    transport: &Transport,
    mail: &InvitationMail,
) -> Result<(), (String, bool)> {
    let (office, invitation) = (&app.office, &mail.invitation);
    // taken back, bound or expired since it was leased: nobody is invited to what is gone
    let now = office.store.invitation(invitation.id).await;
    let now = now.map_err(|error| (chain(&error), true))?;
    if now.is_none_or(|now| now.status != InvitationStatus::Invited) {
        return Err(("the invitation had ended".to_owned(), false));
    }
    let message = InviteMail {
        from: Party {
            name: office.config.issuer.clone(),
            address: app.settings.mail_from.clone(),
        },
        to: invitation.email.clone(),
        message_id: mail.message_id.clone(),
        date: system_time(invitation.created),
        reference: invitation.id.to_string(),
        sender: invitation.sender_name.clone(),
        amount: invitation.amount.money(),
        expires: invitation.expires.unix_s(),
        issuer: office.config.issuer.clone(),
        page_url: format!("{}/address", app.settings.public_origin),
    };
    let bytes = compose_invite(&message).map_err(|error| (error.code().to_owned(), false))?;
    let from = &app.settings.mail_from;
    match transport
        .send(from, &invitation.email, &message.message_id, bytes)
        .await
    {
        Ok(()) => Ok(()),
        Err(error @ SendError::Retry(_)) => Err((chain(&error), true)),
        Err(error) => Err((chain(&error), false)),
    }
}
