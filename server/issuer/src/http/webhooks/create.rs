//! `POST /v1/webhooks`: registers an endpoint.

use super::problem_of;
use crate::{
    app::App,
    clock::id_parts,
    http::{
        body,
        openapi::{bodies, problems::problems},
        orders::create::admit,
        principal::Listener,
        problem::Refused,
    },
    webhooks::{address::Target, secret_text},
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
};
use ledger::WebhookId;
use std::sync::Arc;
use store::NewWebhook;
use wire::api::{CreateWebhook, ProblemCode, WebhookSecret};

problems!(Problems: Unauthorized, ScopeMissing, RateLimited, MediaTypeUnsupported, BodyTooLarge, BodyMalformed, WebhookUrlRefused, WebhookTaken, WebhooksFull);

/// Answers 201 with the endpoint's id and its secret, which is shown this once. The endpoint hears of
/// what happens from now on.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `rate-limited`; `body-too-large`, `body-malformed`; `webhook-url-refused`;
/// `webhook-taken` for an address that the holder has registered; `webhooks-full`; `unavailable`.
#[utoipa::path(
    post, path = "/v1/webhooks", operation_id = "create_webhook", tag = "webhooks",
    summary = "Register an endpoint",
    request_body = bodies::CreateWebhook,
    responses(
        (status = 201, description = "Registered; the secret is shown this once.", body = bodies::WebhookSecret,
            headers(("Location" = String, description = "Where the endpoint is."))),
        Problems,
    ),
    security(("bearer" = [])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<WebhookSecret>), Refused> {
    // each leaves a record in the audit log
    admit(&app, holder.id)?;
    let wanted: CreateWebhook = body::json(&headers, body).await?;
    Target::read(&wanted.url, app.settings.webhooks)
        .map_err(|why| Refused::with(ProblemCode::WebhookUrlRefused, why))?;
    let now = app.office.clock.now();
    let (ms, bits) = id_parts(now, &*app.office.random);
    let id = WebhookId::new(ms, bits);
    let webhook = NewWebhook {
        id,
        holder: holder.id,
        url: wanted.url,
        now,
    };
    app.office
        .store
        .add_webhook(webhook)
        .await
        .map_err(problem_of)?;
    let secret = WebhookSecret {
        id: id.to_string(),
        secret: secret_text(&app.office.keys, id, 0).to_string(),
        before_until: None,
    };
    let headers = [(header::LOCATION, format!("/v1/webhooks/{id}"))];
    Ok((StatusCode::CREATED, headers, Json(secret)))
}
