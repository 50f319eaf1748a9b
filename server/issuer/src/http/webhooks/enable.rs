//! `POST /v1/webhooks/{id}/enable`: lets a disabled endpoint listen again.

use super::{own, problem_of, view};
use crate::{
    app::App,
    http::{
        openapi::{bodies, problems::problems},
        principal::Listener,
        problem::Refused,
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use std::sync::Arc;
use wire::api::WebhookView;

problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed, WebhookUnknown);

/// Answers 200 with the endpoint, also where it listened already. What happened meanwhile is not told.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `webhook-unknown`, also for one of somebody else; `unavailable`.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/enable", operation_id = "enable_webhook", tag = "webhooks",
    summary = "Let a disabled endpoint listen again",
    params(("id" = String, Path, description = "Id of the endpoint.")),
    responses((status = 200, description = "It listens.", body = bodies::WebhookView), Problems),
    security(("bearer" = [])),
)]
pub async fn enable(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
    Path(id): Path<String>,
) -> Result<Json<WebhookView>, Refused> {
    let row = own(&app, holder.id, &id).await?;
    let now = app.office.clock.now();
    app.office
        .store
        .enable_webhook(row.id, now)
        .await
        .map_err(problem_of)?;
    Ok(Json(view(&own(&app, holder.id, &id).await?)))
}
