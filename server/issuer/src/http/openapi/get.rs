//! `GET /v1/openapi.json`: what this server answers, for programs that read it.

use crate::http::problem::Refused;
use anyhow::Context;
use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use std::sync::OnceLock;

super::problems::problems!(Problems: );

/// Answers 200 with the document, the same for everybody.
///
/// # Errors
/// `unavailable` if it can not be written.
#[utoipa::path(
    get, path = "/v1/openapi.json", operation_id = "openapi", tag = "service",
    summary = "This document",
    responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value), Problems),
)]
pub async fn openapi() -> Result<Response, Refused> {
    static WRITTEN: OnceLock<Option<String>> = OnceLock::new();
    let written = WRITTEN.get_or_init(|| super::written().ok());
    let text = written
        .as_deref()
        .context("the document can not be written")?;
    let kind: (HeaderName, HeaderValue) = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(([kind], text).into_response())
}
