//! `POST /v1/webhooks/{id}/dead/{event}`: sends a dead letter again.

use super::{own, problem_of};
use crate::{
    app::App,
    http::{openapi::problems::problems, principal::Listener, problem::Refused},
};
use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use std::sync::Arc;
use store::EventId;
use wire::api::ProblemCode;

problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed, WebhookUnknown, DeadLetterUnknown, WebhookDisabled);

/// Answers 202: it waits, with all its attempts before it, under the id and with the bytes that it had.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `webhook-unknown`, also for one of somebody else;
/// `dead-letter-unknown`; `webhook-disabled` until it is enabled; `unavailable`.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/dead/{event}", operation_id = "send_again", tag = "webhooks",
    summary = "Send a dead letter again",
    params(
        ("id" = String, Path, description = "Id of the endpoint."),
        ("event" = String, Path, description = "Id of the event."),
    ),
    responses((status = 202, description = "It waits for its next attempt."), Problems),
    security(("bearer" = [])),
)]
pub async fn again(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
    Path((id, event)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    let row = own(&app, holder.id, &id).await?;
    let event: EventId = event.parse().map_err(|_| ProblemCode::DeadLetterUnknown)?;
    let now = app.office.ledger_now().await?;
    let store = &app.office.store;
    store
        .send_again(row.id, event, now)
        .await
        .map_err(problem_of)?;
    Ok(StatusCode::ACCEPTED)
}
