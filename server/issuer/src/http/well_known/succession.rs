//! `GET /.well-known/tegata-succession`: how this issuer's root followed the ones before it.

use crate::app::App;
use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
};
use std::sync::Arc;

/// Answers 200 with the signed links as CBOR, oldest first; an empty list without any.
pub async fn succession(State(app): State<Arc<App>>) -> ([(HeaderName, HeaderValue); 1], Vec<u8>) {
    let media_type = HeaderValue::from_static("application/cbor");
    let links = app.office.keys.succession.clone();
    ([(header::CONTENT_TYPE, media_type)], links)
}
