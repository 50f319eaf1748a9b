//! `GET /v1/webhooks` and `GET /v1/webhooks/{id}`: the caller's endpoints.

use super::{own, view};
use crate::{
    app::App,
    http::{
        etag::{NotModified, Tagged},
        openapi::{bodies, problems::problems},
        principal::Listener,
        problem::Refused,
    },
};
use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use std::sync::Arc;
use wire::api::WebhookList;

problems!(ListProblems: Unauthorized, ScopeMissing);
problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed, WebhookUnknown);

/// Answers 200 with all of them, which are few, or 304 where `If-None-Match` has their tag.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `unavailable`.
#[utoipa::path(
    get, path = "/v1/webhooks", operation_id = "list_webhooks", tag = "webhooks",
    summary = "The caller's endpoints",
    params(("If-None-Match" = Option<String>, Header, description = "Tags that the caller has seen.")),
    responses(
        (status = 200, description = "All of them.", body = bodies::WebhookList,
            headers(("ETag" = String, description = "Strong: another one with each change of the list, and the same without."))),
        NotModified,
        ListProblems,
    ),
    security(("bearer" = [])),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let rows = app.office.store.webhooks(holder.id).await?;
    let items = rows.iter().map(view).collect();
    Ok(Tagged::new(&WebhookList { items })?.answer_to(&headers))
}

/// Answers 200 with one of them, or 304 where `If-None-Match` has its tag.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `webhook-unknown`, also for one of somebody else; `unavailable`.
#[utoipa::path(
    get, path = "/v1/webhooks/{id}", operation_id = "read_webhook", tag = "webhooks",
    summary = "One endpoint",
    params(
        ("id" = String, Path, description = "Id of the endpoint."),
        ("If-None-Match" = Option<String>, Header, description = "Tags that the caller has seen."),
    ),
    responses(
        (status = 200, description = "The endpoint.", body = bodies::WebhookView,
            headers(("ETag" = String, description = "Strong: another one with each change of the endpoint, and the same without."))),
        NotModified,
        Problems,
    ),
    security(("bearer" = [])),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let row = own(&app, holder.id, &id).await?;
    Ok(Tagged::new(&view(&row))?.answer_to(&headers))
}
