//! `DELETE /v1/webhooks/{id}`: forgets an endpoint.

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

problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed, WebhookUnknown);

/// Answers 204; what was on its way to it, dead letters included, is gone too.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `webhook-unknown`, also for one of somebody else; `unavailable`.
#[utoipa::path(
    delete, path = "/v1/webhooks/{id}", operation_id = "remove_webhook", tag = "webhooks",
    summary = "Forget an endpoint",
    params(("id" = String, Path, description = "Id of the endpoint.")),
    responses((status = 204, description = "Forgotten, with what was on its way to it."), Problems),
    security(("bearer" = [])),
)]
pub async fn remove(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    let id = own(&app, holder.id, &id).await?.id;
    let now = app.office.clock.now();
    app.office
        .store
        .remove_webhook(id, now)
        .await
        .map_err(problem_of)?;
    Ok(StatusCode::NO_CONTENT)
}
