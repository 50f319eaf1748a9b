//! Where a holder's programs are told what happens to the holder's orders.

pub mod again;
pub mod create;
pub mod dead;
pub mod enable;
pub mod list;
pub mod remove;
pub mod secret;

use super::problem::Refused;
use crate::{app::App, clock::rfc3339};
use ledger::{HolderId, WebhookId};
use store::{AdminError, WebhookRow};
use wire::api::{ProblemCode, WebhookView};

/// The endpoint of this id, if it is this holder's.
async fn own(app: &App, holder: HolderId, id: &str) -> Result<WebhookRow, Refused> {
    let id: WebhookId = id.parse().map_err(|_| ProblemCode::WebhookUnknown)?;
    let found = app.office.store.webhook(id).await?;
    found
        .filter(|row| row.holder == holder)
        .ok_or_else(|| ProblemCode::WebhookUnknown.into())
}

/// An endpoint as its holder sees it.
fn view(row: &WebhookRow) -> WebhookView {
    WebhookView {
        id: row.id.to_string(),
        url: row.url.clone(),
        created_at: rfc3339(row.created),
        disabled: row.disabled.map(|why| why.code().to_owned()),
        queued: row.queued,
        dead: row.dead,
    }
}

/// What became of a write to an endpoint that was there a moment ago.
fn problem_of(error: AdminError) -> Refused {
    match error {
        AdminError::Unknown { what: "webhook" } => ProblemCode::WebhookUnknown.into(),
        AdminError::Unknown {
            what: "dead letter",
        } => ProblemCode::DeadLetterUnknown.into(),
        AdminError::Taken { .. } => ProblemCode::WebhookTaken.into(),
        AdminError::OutOfBounds {
            what: "number of webhooks",
        } => ProblemCode::WebhooksFull.into(),
        AdminError::Disabled => ProblemCode::WebhookDisabled.into(),
        other => anyhow::Error::from(other).into(),
    }
}
