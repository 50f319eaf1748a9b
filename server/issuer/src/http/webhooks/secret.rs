//! `POST /v1/webhooks/{id}/secret`: gives an endpoint another secret.
//!
//! No secret is stored: what is kept under a key is the number of the one that it made, from which a repeat
//! derives it again.

use super::{own, problem_of};
use crate::{
    app::App,
    clock::rfc3339,
    http::{
        idempotency,
        openapi::{bodies, problems::problems},
        orders::create::admit,
        principal::Listener,
        problem::Refused,
    },
    webhooks::secret_text,
};
use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
};
use std::sync::Arc;
use store::{SecretAsked, SecretOfKey};
use wire::api::{ProblemCode, WebhookSecret};

problems!(Problems: Unauthorized, ScopeMissing, RateLimited, BodyMalformed, IdempotencyKeyMissing, IdempotencyConflict, WebhookUnknown, WebhookSecretNotShown);

/// Answers 200 with the new secret; the one before signs too until `before_until`. The same key never makes
/// another: it gets the same answer until then, unless another secret is made by another key.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `idempotency-key-missing`; `webhook-unknown`, also for one of somebody else;
/// `rate-limited` for a new key; `idempotency-conflict` for a key that made a secret of another endpoint;
/// `webhook-secret-not-shown` once another was made since, or `before_until` is over; `unavailable`.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/secret", operation_id = "next_secret", tag = "webhooks",
    summary = "Give an endpoint another secret",
    params(
        ("id" = String, Path, description = "Id of the endpoint."),
        ("Idempotency-Key" = String, Header, description = "Chosen by the caller, 1 to 255 visible ASCII characters, quoted or bare.",
            example = "c1d6a1f4-7d0b-4b2f-9a0c-5a4f5b0f7c33"),
    ),
    responses(
        (status = 200, description = "The new secret, shown to the holder of the key only; both sign until `before_until`.", body = bodies::WebhookSecret),
        Problems,
    ),
    security(("bearer" = [])),
)]
pub async fn next(
    State(app): State<Arc<App>>,
    Listener(holder): Listener,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<WebhookSecret>, Refused> {
    let key = idempotency::key(&headers)?;
    let webhook = own(&app, holder.id, &id).await?.id;
    let asked = SecretAsked {
        webhook,
        holder: holder.id,
        key,
        now: app.office.clock.now(),
    };
    let store = &app.office.store;
    let made = match store.secret_of_key(asked.clone()).await? {
        Some(made) => made,
        None => {
            // each leaves a record in the audit log, and its key for ever
            admit(&app, holder.id)?;
            store.secret_under_key(asked).await.map_err(problem_of)?
        }
    };
    match made {
        SecretOfKey::Counts {
            secret,
            before_until,
        } => Ok(Json(WebhookSecret {
            id: webhook.to_string(),
            secret: secret_text(&app.office.keys, webhook, secret).to_string(),
            before_until: Some(rfc3339(before_until)),
        })),
        SecretOfKey::NotShown => Err(ProblemCode::WebhookSecretNotShown.into()),
        SecretOfKey::ForAnother => Err(ProblemCode::IdempotencyConflict.into()),
    }
}
