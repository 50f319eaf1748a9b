//! `GET /.well-known/tegata-issuer`: the issuer's signed descriptor.

use crate::{
    app::App,
    clock::unix_seconds,
    http::{
        openapi::{bodies, problems::problems},
        problem::Refused,
    },
};
use anyhow::Context;
use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
};
use std::sync::Arc;

problems!(Problems: );

/// Answers 200 with the descriptor as CBOR, signed by the root key.
///
/// # Errors
/// `unavailable` when there are more keys than a descriptor holds.
#[utoipa::path(
    get, path = "/.well-known/tegata-issuer", operation_id = "issuer_descriptor", tag = "issuer",
    summary = "The issuer and its keys",
    responses((status = 200, description = "The descriptor, signed by the root key.", content_type = "application/cbor", body = bodies::Bytes), Problems),
)]
pub async fn issuer(
    State(app): State<Arc<App>>,
) -> Result<([(HeaderName, HeaderValue); 1], Vec<u8>), Refused> {
    let now = unix_seconds(app.office.clock.now());
    let keys = &app.office.keys;
    let signed = keys
        .descriptor(&app.office.config.issuer, now)
        .sign(&keys.root)
        .context("the descriptor can not be written")?;
    Ok((
        [(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/cbor"),
        )],
        signed,
    ))
}
