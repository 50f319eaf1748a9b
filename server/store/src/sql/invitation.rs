//! Orders to an address that nobody has verified: held, bound to a card, given back.

use crate::db::{Connection, Row};
use audit_log::{Change, digest};
use ledger::{
    Account, BindFacts, BindInvitation, Card, Escrow, Flow, Invitation, InvitationEvent,
    InvitationMail, InvitationStatus, Invite, InviteFacts, Leg, MailId, MailStatus, Outcome,
    Refusal, RemittanceId, ReturnReason, Source, Status, Timestamp, Transfer,
};

use crate::record::{AnsweredPage, INVITATION_MAILS_MAX};
use crate::sql::fault::Fault;
use crate::sql::order::{self, recorded, remember};
use crate::sql::{address, journal, read, rows};
use crate::traits::{LEASES_MAX, PAGE_MAX};

type Answer = Result<Outcome, Refusal>;

/// What [`read_invitation`] reads.
macro_rules! invitation_select {
    () => {
        "SELECT id, sender, sender_name, email, amount, currency, note, status, cancel_asked, ended, \
         created, expires, mail, message_id, mail_attempts FROM invitation"
    };
}

fn status(row: &Row<'_>) -> Result<InvitationStatus, Fault> {
    let ended = || rows::at(row, 9);
    let returned = |reason| ended().map(|at| InvitationStatus::Returned { at, reason });
    let code: String = row.get(7)?;
    match code.as_str() {
        "invited" => Ok(InvitationStatus::Invited),
        "recovering" => Ok(InvitationStatus::Recovering {
            cancel_asked: row.get(8)?,
        }),
        "bound" => Ok(InvitationStatus::Bound { at: ended()? }),
        "expired" => returned(ReturnReason::Expired),
        "cancelled" => returned(ReturnReason::Cancelled),
        "closed" => returned(ReturnReason::Closed),
        _ => Err(Fault::Corrupt("invitation status")),
    }
}

fn read_invitation(row: &Row<'_>) -> Result<Invitation, Fault> {
    Ok(Invitation {
        id: rows::id(row, 0, RemittanceId::from_bytes)?,
        sender: rows::id(row, 1, ledger::HolderId::from_bytes)?,
        sender_name: row.get(2)?,
        email: row.get(3)?,
        amount: rows::amount(row, 4, 5)?,
        note: row.get(6)?,
        status: status(row)?,
        created: rows::at(row, 10)?,
        expires: rows::at(row, 11)?,
        mail: rows::coded(row, 12, MailStatus::from_code, "mail status")?,
    })
}

/// One invitation, whatever became of it.
pub(super) fn invitation(
    connection: &Connection,
    id: RemittanceId,
) -> Result<Option<Invitation>, Fault> {
    let sql = concat!(invitation_select!(), " WHERE id = ?1");
    rows::one(connection, sql, [id.as_bytes()], read_invitation)
}

/// A sender's invitations that have become no remittance, newest first.
pub(super) fn of_sender(
    connection: &Connection,
    sender: ledger::HolderId,
    before: Option<RemittanceId>,
    limit: u32,
) -> Result<Vec<Invitation>, Fault> {
    let sql = concat!(
        invitation_select!(),
        " WHERE sender = ?1 AND id < ?2 AND status <> 'bound' ORDER BY id DESC LIMIT ?3"
    );
    let before = before.map_or([0xFF; 16], RemittanceId::to_bytes);
    let params = (sender.as_bytes(), before, limit.min(PAGE_MAX));
    rows::all(connection, sql, params, read_invitation)
}

/// Invitations that wait since a restore, in order of id.
pub(super) fn recovering(
    connection: &Connection,
    after: Option<RemittanceId>,
) -> Result<Vec<Invitation>, Fault> {
    let sql = concat!(
        invitation_select!(),
        " WHERE status = 'recovering' AND id > ?1 ORDER BY id LIMIT ?2"
    );
    let after = after.map_or([0; 16], RemittanceId::to_bytes);
    rows::all(connection, sql, (after, PAGE_MAX), read_invitation)
}

/// See [`crate::Store::answered_invitations`].
pub(super) fn answered(
    connection: &Connection,
    after: Option<RemittanceId>,
    limit: u32,
    now: Timestamp,
) -> Result<AnsweredPage, Fault> {
    let sql = concat!(
        invitation_select!(),
        " WHERE status = 'invited' AND id > ?1 AND EXISTS (SELECT 1 FROM address \
         WHERE address.email = invitation.email AND verified_at IS NOT NULL) ORDER BY id LIMIT ?2"
    );
    let after = after.map_or([0; 16], RemittanceId::to_bytes);
    let params = (after, limit.min(PAGE_MAX));
    let found = rows::all(connection, sql, params, |row| {
        let id = rows::id(row, 0, RemittanceId::from_bytes)?;
        Ok((id, read_invitation(row)))
    })?;
    let next = found.last().map(|(id, _)| *id);
    let mut ready = Vec::new();
    for (id, invitation) in found {
        let Some(invitation) = readable(id, invitation)? else {
            continue;
        };
        let Some(card) = address::card(connection, &invitation.email)? else {
            continue;
        };
        let waits = match invitation.status {
            InvitationStatus::Invited => invitation.expires <= now,
            InvitationStatus::Recovering { .. }
            | InvitationStatus::Bound { .. }
            | InvitationStatus::Returned { .. } => true,
        };
        if waits || ledger::fits(&invitation, &card).is_err() {
            continue;
        }
        let holder = read::holder(connection, card.holder)?.ok_or(Fault::Corrupt("holder"))?;
        ready.push((invitation, card, holder));
    }
    Ok(AnsweredPage { items: ready, next })
}

/// Leaves out a row that nobody can read, so that it does not stop the others; the audit names it.
fn readable<T>(id: RemittanceId, row: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match row {
        Ok(row) => Ok(Some(row)),
        Err(Fault::Corrupt(what)) => {
            tracing::error!(remittance.id = %id, what, "an invitation is unreadable: see the audit");
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

pub(super) fn invite(
    connection: &Connection,
    invite: &Invite,
    now: Timestamp,
) -> Result<Answer, Fault> {
    if let Some((content, answer)) = recorded(connection, &invite.scope)? {
        return Ok(if content == invite.content {
            answer
        } else {
            Err(Refusal::IdempotencyConflict)
        });
    }
    let facts = InviteFacts {
        taken: order::is_taken(connection, invite.remittance)?,
        sender: rows::balance(connection, invite.sender.as_bytes())?,
    };
    let answer = match ledger::invite(invite, facts, now) {
        Ok(sender_after) => {
            hold(connection, invite, sender_after, now)?;
            Ok(Outcome::Placed {
                remittance: invite.remittance,
            })
        }
        Err(refusal) => Err(refusal),
    };
    let asked = (&invite.scope, invite.content, invite.remittance);
    remember(connection, asked, &answer, now)?;
    Ok(answer)
}

fn hold(
    connection: &Connection,
    invite: &Invite,
    sender_after: i64,
    now: Timestamp,
) -> Result<(), Fault> {
    rows::set_balance(connection, invite.sender.as_bytes(), sender_after)?;
    let transfer = Transfer {
        id: Leg::Funding.transfer_of(invite.remittance),
        from: Account::Holder(invite.sender),
        to: Account::Escrow(invite.remittance),
        amount: invite.amount,
        at: now,
    };
    rows::post(connection, &transfer)?;
    let sql = "INSERT INTO invitation (id, sender, sender_name, email, currency, amount, note, status, \
               cancel_asked, ended, created, expires, message_id, mail, mail_due, mail_attempts) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'invited', 0, NULL, ?8, ?9, ?10, 'queued', ?8, 0)";
    let params = (
        invite.remittance.as_bytes(),
        invite.sender.as_bytes(),
        &invite.sender_name,
        &invite.email,
        invite.amount.currency().code(),
        invite.amount.minor(),
        &invite.note,
        now.micros(),
        invite.expires.micros(),
        &invite.message_id,
    );
    rows::write(connection, sql, params, "invitation")?;
    let change = Change::Invited {
        remittance: invite.remittance,
        sender: invite.sender,
        amount: invite.amount,
        expires: invite.expires,
    };
    journal::record(connection, now, change)
}

pub(super) fn bind(
    connection: &Connection,
    bind: &BindInvitation,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let invitation = invitation(connection, bind.remittance)?;
    let card = match &invitation {
        Some(invitation) => address::card(connection, &invitation.email)?,
        None => None,
    };
    let facts = BindFacts {
        invitation: invitation.as_ref(),
        card: card.as_ref(),
    };
    let status = match ledger::bind(bind, &facts, now) {
        Ok(Some(status)) => status,
        Ok(None) => return Ok(Ok(Outcome::Bound)),
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (Some(invitation), Some(card)) = (invitation, card) else {
        return Err(Fault::Corrupt("invitation"));
    };
    let to = InvitationStatus::Bound { at: now };
    set_status(connection, &invitation, to)?;
    insert(connection, bind, &invitation, &card, status, now)?;
    let change = Change::Ordered {
        remittance: invitation.id,
        sender: invitation.sender,
        card: card.id,
        amount: invitation.amount,
        expires: invitation.expires,
        revision: bind.revision,
        order: digest(&bind.order_bytes),
        program_key: bind.program_key,
    };
    journal::record(connection, now, change)?;
    Ok(Ok(Outcome::Bound))
}

/// The remittance and its mail.
fn insert(
    connection: &Connection,
    bind: &BindInvitation,
    invitation: &Invitation,
    card: &Card,
    status: Status,
    now: Timestamp,
) -> Result<(), Fault> {
    let sql = "INSERT INTO remittance (id, revision, sender, sender_name, card, currency, amount, \
               note, status, cancel_asked, recovering, ended, created, expires, order_bytes, \
               signature, program_key, template_hash, claim_ref, receipt, flow, funds, payable) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, NULL, ?12, ?13, ?14, ?15, ?16, \
               ?17, ?18, NULL, ?19, NULL, ?20)";
    let (flow, payable) = rows::flow_columns(Flow::Credit(Source::Account));
    let status = rows::status_columns(status);
    let params = (
        invitation.id.as_bytes(),
        bind.revision,
        invitation.sender.as_bytes(),
        &invitation.sender_name,
        card.id.as_bytes(),
        invitation.amount.currency().code(),
        invitation.amount.minor(),
        &invitation.note,
        status.status,
        status.cancel_asked,
        status.recovering,
        invitation.created.micros(),
        invitation.expires.micros(),
        &bind.order_bytes,
        bind.signature,
        bind.program_key,
        bind.template_hash,
        bind.claim.0,
        flow,
        payable,
    );
    rows::write(connection, sql, params, "remittance")?;
    let sql = "INSERT INTO outbox \
               (id, remittance, message_id, to_address, language, status, attempts, due, error) \
               SELECT ?1, ?2, ?3, ?4, language, 'queued', 0, ?5, NULL FROM holder WHERE id = ?6";
    let params = (
        bind.mail.id.as_bytes(),
        invitation.id.as_bytes(),
        &bind.mail.message_id,
        &invitation.email,
        now.micros(),
        card.holder.as_bytes(),
    );
    rows::write(connection, sql, params, "mail")
}

fn set_status(
    connection: &Connection,
    invitation: &Invitation,
    to: InvitationStatus,
) -> Result<(), Fault> {
    let (cancel_asked, ended) = match to {
        InvitationStatus::Invited => (false, None),
        InvitationStatus::Recovering { cancel_asked } => (cancel_asked, None),
        InvitationStatus::Bound { at } | InvitationStatus::Returned { at, .. } => (false, Some(at)),
    };
    let sql = "UPDATE invitation SET status = ?2, cancel_asked = ?3, ended = ?4, mail_due = NULL \
               WHERE id = ?1 AND status = ?5";
    let params = (
        invitation.id.as_bytes(),
        to.code(),
        cancel_asked,
        ended.map(Timestamp::micros),
        invitation.status.code(),
    );
    rows::write(connection, sql, params, "invitation")
}

/// Cancels, expires, closes, or marks after a restore; only what is no remittance yet comes here.
pub(super) fn step(
    connection: &Connection,
    invitation: &Invitation,
    event: InvitationEvent,
    now: Timestamp,
) -> Result<Result<InvitationStatus, Refusal>, Fault> {
    let to = match (invitation.status).on(event, invitation.expires, now) {
        Ok(to) => to,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if to == invitation.status {
        return Ok(Ok(to));
    }
    set_status(connection, invitation, to)?;
    let remittance = invitation.id;
    let change = match to {
        InvitationStatus::Returned { reason, .. } => {
            give_back(connection, invitation, now)?;
            Change::Returned { remittance, reason }
        }
        InvitationStatus::Recovering { cancel_asked: true } => Change::CancelAsked { remittance },
        InvitationStatus::Recovering {
            cancel_asked: false,
        } => Change::Recovering { remittance },
        InvitationStatus::Invited | InvitationStatus::Bound { .. } => {
            return Err(Fault::Corrupt("invitation status"));
        }
    };
    journal::record(connection, now, change)?;
    Ok(Ok(to))
}

/// The end leg of its remittance-to-be, back to the sender.
fn give_back(
    connection: &Connection,
    invitation: &Invitation,
    now: Timestamp,
) -> Result<(), Fault> {
    let sender = invitation.sender.as_bytes();
    let balance = rows::balance(connection, sender)?.ok_or(Fault::Corrupt("account"))?;
    let after = balance.checked_add(invitation.amount.money());
    let after = after.map_err(|_| Fault::Corrupt("balance"))?;
    rows::set_balance(connection, sender, after.minor())?;
    rows::post(
        connection,
        &Transfer {
            id: Leg::End.transfer_of(invitation.id),
            from: Account::Escrow(invitation.id),
            to: Account::Holder(invitation.sender),
            amount: invitation.amount,
            at: now,
        },
    )
}

/// Whether `escrow` is that of a remittance; else the invitation that has the id.
pub(super) fn instead_of(
    connection: &Connection,
    escrow: Option<&Escrow>,
    id: RemittanceId,
) -> Result<Option<Invitation>, Fault> {
    match escrow {
        Some(_) => Ok(None),
        None => invitation(connection, id),
    }
}

/// Marks everything that waits, at a restore.
pub(super) fn restore(connection: &Connection, now: Timestamp) -> Result<(), Fault> {
    let sql = concat!(
        invitation_select!(),
        " WHERE status = 'invited' ORDER BY id"
    );
    for invitation in rows::all(connection, sql, [], read_invitation)? {
        let marked = step(connection, &invitation, InvitationEvent::Restore, now)?;
        marked.map_err(|_| Fault::Corrupt("invitation status"))?;
    }
    Ok(())
}

/// Leases mails that invite. The attempt is counted before it is made.
pub(super) fn lease(
    connection: &Connection,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<InvitationMail>, Fault> {
    let sql = concat!(
        invitation_select!(),
        " WHERE mail_due <= ?1 ORDER BY mail_due, id LIMIT ?2"
    );
    let found = rows::all(
        connection,
        sql,
        (now.micros(), limit.min(LEASES_MAX)),
        |row| {
            let mail = read_invitation(row).and_then(|invitation| {
                Ok(InvitationMail {
                    invitation,
                    message_id: row.get(13)?,
                    attempts: row.get::<u32>(14)?.saturating_add(1),
                })
            });
            Ok((row.get::<Vec<u8>>(0)?, mail))
        },
    )?;
    let sql =
        "UPDATE invitation SET mail_due = ?2, mail_attempts = mail_attempts + 1 WHERE id = ?1";
    let mut due = Vec::with_capacity(found.len());
    for (id, mail) in found {
        if let Ok(mail) = &mail
            && mail.attempts == 1
            && mailed_today(connection, &mail.invitation.email, now)? >= INVITATION_MAILS_MAX
        {
            // the amount is held all the same
            let sql = "UPDATE invitation SET mail_due = ?2 WHERE id = ?1";
            let later = now.plus_s(DAY_S).micros();
            rows::write(connection, sql, (id, later), "invitation")?;
            continue;
        }
        rows::write(connection, sql, (id, until.micros()), "invitation")?;
        match mail {
            Ok(mail) => due.push(mail),
            // it waits as long as a lease, so that the others go out
            Err(Fault::Corrupt(what)) => {
                tracing::error!(what, "an invitation is unreadable: see the audit");
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(due)
}

const DAY_S: i64 = 86_400;

/// Invitations of the last day to this address whose mail was tried.
fn mailed_today(connection: &Connection, email: &str, now: Timestamp) -> Result<u32, Fault> {
    let sql = "SELECT count(*) FROM invitation \
               WHERE email = ?1 AND mail_attempts > 0 AND created > ?2";
    let since = now.plus_s(-DAY_S).micros();
    let count = rows::one(connection, sql, (email, since), |row| row.get(0))?;
    count.ok_or(Fault::Corrupt("count"))
}

/// See [`crate::Store::invitation_mail_done`].
pub(super) fn mail_done(
    connection: &Connection,
    id: RemittanceId,
    done: MailStatus,
    retry_at: Option<Timestamp>,
) -> Result<(), Fault> {
    let due = match done {
        MailStatus::Queued => retry_at,
        MailStatus::Sent | MailStatus::Failed => None,
    };
    // what has ended meanwhile keeps what became of its mail, and has no next attempt
    let sql = "UPDATE invitation SET mail = ?2, \
               mail_due = CASE status WHEN 'invited' THEN CAST(?3 AS BIGINT) END WHERE id = ?1 AND mail = 'queued'";
    let params = (id.as_bytes(), done.code(), due.map(Timestamp::micros));
    if connection.execute(sql, params)? == 0 {
        return Ok(());
    }
    let mail = MailId::from_bytes(id.to_bytes()).map_err(|_| Fault::Corrupt("id"))?;
    let change = match done {
        MailStatus::Queued => return Ok(()),
        MailStatus::Sent => Change::MailSent { mail },
        MailStatus::Failed => Change::MailFailed { mail },
    };
    journal::record(connection, rows::time_floor(connection)?, change)
}
