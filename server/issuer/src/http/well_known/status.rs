//! `GET /.well-known/tegata-status`: what this issuer has withdrawn.

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
use wire::{
    descriptor::Purpose,
    status::{PROGRAMS_MAX, Replaced, StatusList},
};

problems!(Problems: );

/// Answers 200 with the status list as CBOR, made now and signed by the newest status key.
///
/// # Errors
/// `unavailable` when the store is, when no status key is valid now, or when more templates are
/// withdrawn than a list holds.
#[utoipa::path(
    get, path = "/.well-known/tegata-status", operation_id = "status_list", tag = "issuer",
    summary = "What this issuer has withdrawn",
    responses((status = 200, description = "The status list, signed now.", content_type = "application/cbor", body = bodies::Bytes), Problems),
)]
pub async fn status(
    State(app): State<Arc<App>>,
) -> Result<([(HeaderName, HeaderValue); 1], Vec<u8>), Refused> {
    let office = &app.office;
    let now = unix_seconds(office.ledger_now().await?);
    let signer = office
        .keys
        .signer(Purpose::Status, now, now)
        .context("no status key is valid now")?;
    let limit = u32::try_from(PROGRAMS_MAX).context("a small number")?;
    let replaced = office.store.replaced(limit).await?;
    let mut programs: Vec<_> = replaced
        .into_iter()
        .map(|(remittance, revision)| Replaced {
            remittance: remittance.to_bytes(),
            revision,
        })
        .collect();
    programs.sort_unstable();
    let list = StatusList {
        issuer: office.config.issuer.clone(),
        issued_at: now,
        templates: office.store.withdrawn_templates().await?,
        programs,
    };
    let signed = list
        .sign(&signer.key)
        .context("the status list can not be written")?;
    let media_type = HeaderValue::from_static("application/cbor");
    Ok(([(header::CONTENT_TYPE, media_type)], signed))
}
