//! `GET /v1/webhooks` and `GET /v1/webhooks/{id}`: the caller's endpoints.

use super::{own, view};
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
use wire::api::{WebhookList, WebhookView};

problems!(ListProblems: Unauthorized, ScopeMissing);
problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed, WebhookUnknown);

/// Answers 200 with all of them: there are few.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `unavailable`.
#[utoipa::path(
    get, path = "/v1/webhooks", operation_id = "list_webhooks", tag = "webhooks",
    summary = "The caller's endpoints",
    responses((status = 200, description = "All of them.", body = bodies::WebhookList), ListProblems),
    security(("bearer" = [])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
) -> Result<Json<WebhookList>, Refused> {
    let rows = app.office.store.webhooks(holder.id).await?;
    let items = rows.iter().map(view).collect();
    Ok(Json(WebhookList { items }))
}

/// Answers 200 with one of them.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `webhook-unknown`, also for one of somebody else; `unavailable`.
#[utoipa::path(
    get, path = "/v1/webhooks/{id}", operation_id = "read_webhook", tag = "webhooks",
    summary = "One endpoint",
    params(("id" = String, Path, description = "Id of the endpoint.")),
    responses((status = 200, description = "The endpoint.", body = bodies::WebhookView), Problems),
    security(("bearer" = [])),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
    Path(id): Path<String>,
) -> Result<Json<WebhookView>, Refused> {
    Ok(Json(view(&own(&app, holder.id, &id).await?)))
}
