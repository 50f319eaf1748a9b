//! `GET /readyz`: the server can take orders.

use crate::{
    app::App,
    clock::unix_seconds,
    http::{openapi::problems::problems, problem::Refused},
};
use axum::extract::State;
use std::sync::Arc;
use wire::{api::ProblemCode, descriptor::Purpose};

problems!(Problems: );

/// Answers 200 when the database reads and a key for programs and one for receipts are valid; with
/// `--require-standby` only while a synchronous standby has what the database commits.
///
/// # Errors
/// `unavailable`.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "service",
    summary = "Whether the server can take orders",
    responses((status = 200, description = "It can.", body = String, content_type = "text/plain"), Problems),
)]
pub async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Refused> {
    let now = unix_seconds(app.office.ledger_now().await?);
    let keys = &app.office.keys;
    for purpose in [Purpose::Program, Purpose::Receipt] {
        if keys.signer(purpose, now, now).is_none() {
            return Err(Refused::with(
                ProblemCode::Unavailable,
                "a signing key has ended",
            ));
        }
    }
    if app.settings.require_standby && app.office.store.synchronous_standbys().await? == 0 {
        return Err(Refused::with(
            ProblemCode::Unavailable,
            "the database has no synchronous standby",
        ));
    }
    Ok("ready\n")
}
