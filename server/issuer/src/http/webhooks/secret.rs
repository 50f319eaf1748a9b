//! `POST /v1/webhooks/{id}/secret`: gives an endpoint another secret.

use super::{own, problem_of};
use crate::{
    app::App,
    clock::rfc3339,
    http::{
        openapi::{bodies, problems::problems},
        orders::create::admit,
        principal::Listener,
        problem::Refused,
    },
    webhooks::secret_text,
};
use anyhow::Context as _;
use axum::{
    Json,
    extract::{Path, State},
};
use std::sync::Arc;
use wire::api::WebhookSecret;

problems!(Problems: Unauthorized, ScopeMissing, RateLimited, BodyMalformed, WebhookUnknown);

/// Answers 200 with the new secret, shown this once; the one before signs too until `before_until`.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `rate-limited`; `webhook-unknown`, also for one of somebody else; `unavailable`.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/secret", operation_id = "next_secret", tag = "webhooks",
    summary = "Give an endpoint another secret",
    params(("id" = String, Path, description = "Id of the endpoint.")),
    responses(
        (status = 200, description = "The new secret, shown this once; both sign until `before_until`.", body = bodies::WebhookSecret),
        Problems,
    ),
    security(("bearer" = [])),
)]
pub async fn next(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
    Path(id): Path<String>,
) -> Result<Json<WebhookSecret>, Refused> {
    let row = own(&app, holder.id, &id).await?;
    // each leaves a record in the audit log
    admit(&app, holder.id)?;
    let store = &app.office.store;
    let now = app.office.clock.now();
    store.next_secret(row.id, now).await.map_err(problem_of)?;
    let row = store
        .webhook(row.id)
        .await?
        .context("an endpoint that was just there")?;
    Ok(Json(WebhookSecret {
        id: row.id.to_string(),
        secret: secret_text(&app.office.keys, row.id, row.secret).to_string(),
        before_until: row.before_until.map(rfc3339),
    }))
}
