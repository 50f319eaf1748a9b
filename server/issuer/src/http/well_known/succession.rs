//! `GET /.well-known/tegata-succession`: how this issuer's root followed the ones before it.

use crate::{
    app::App,
    http::openapi::{bodies, problems::problems},
};
use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
};
use std::sync::Arc;

problems!(Problems: );

/// Answers 200 with the signed links as CBOR, oldest first; an empty list without any.
#[utoipa::path(
    get, path = "/.well-known/tegata-succession", operation_id = "succession", tag = "issuer",
    summary = "How the issuer's root followed the ones before it",
    responses((status = 200, description = "The signed links, oldest first.", content_type = "application/cbor", body = bodies::Bytes), Problems),
)]
pub async fn succession(State(app): State<Arc<App>>) -> ([(HeaderName, HeaderValue); 1], Vec<u8>) {
    let media_type = HeaderValue::from_static("application/cbor");
    let links = app.office.keys.succession.clone();
    ([(header::CONTENT_TYPE, media_type)], links)
}
