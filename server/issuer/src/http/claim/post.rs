//! `POST /v1/claim`: the program of an order, by the code that a person types when a mail gateway
//! removed the attachment.
//!
//! The code is never used up: it gives the same bytes until the order ends. A GET would let link
//! scanners fetch programs.

use crate::{
    app::App,
    caller,
    http::{
        body,
        openapi::{bodies, problems::problems},
        problem::Refused,
    },
    programs,
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
};
use ledger::{ClaimRef, Remittance, Status};
use std::{net::IpAddr, sync::Arc};
use wire::api::{Claim, ProblemCode};

/// Media type of a program.
pub const PROGRAM_MEDIA_TYPE: HeaderValue =
    HeaderValue::from_static("application/vnd.tegata.program+wasm");

problems!(Problems: RateLimited, MediaTypeUnsupported, BodyTooLarge, BodyMalformed, ClaimUnknown);

/// Answers 200 with the program's bytes.
///
/// # Errors
/// `rate-limited` after too many tries; `body-too-large`, `body-malformed`; `claim-unknown` for a
/// code of no order or of one that has ended; `unavailable`.
#[utoipa::path(
    post, path = "/v1/claim", operation_id = "claim_program", tag = "programs",
    summary = "The program of a mail that came without it",
    request_body = bodies::Claim,
    responses(
        (status = 200, description = "The program file, the same bytes until the order ends.",
            content_type = "application/vnd.tegata.program+wasm", body = bodies::Bytes),
        Problems,
    ),
)]
pub async fn post(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<([(HeaderName, HeaderValue); 1], Vec<u8>), Refused> {
    let (parts, body): (_, Body) = request.into_parts();
    let caller = caller::address(&parts.headers, &parts.extensions, app.settings.trusted_hops);
    // Counted before the body is read: a malformed try is a try.
    admit(&app, caller)?;
    let claim: Claim = body::json(&parts.headers, body).await?;
    let (_, program) = program(&app, &claim.claim_code).await?;
    Ok(([(header::CONTENT_TYPE, PROGRAM_MEDIA_TYPE)], program))
}

/// Counts one try of this caller.
///
/// # Errors
/// `rate-limited`.
pub fn admit(app: &App, caller: IpAddr) -> Result<(), Refused> {
    app.limits.code(caller).map_err(Refused::later)
}

/// The file name and the bytes of the program that this code stands for.
///
/// # Errors
/// `claim-unknown` for a code of no order, of one whose amount is not in escrow yet, or of one that
/// has ended; `unavailable`.
pub async fn program(app: &App, code: &str) -> Result<(String, Vec<u8>), Refused> {
    let reference = app
        .office
        .keys
        .claim_code_ref(code)
        .ok_or(ProblemCode::ClaimUnknown)?;
    let found = app
        .office
        .store
        .remittance_by_claim(ClaimRef(reference))
        .await?;
    let remittance = found.ok_or(ProblemCode::ClaimUnknown)?;
    match remittance.status {
        // held too: the card still has to tell
        Status::Open
        | Status::CommitSent { .. }
        | Status::Recovering { .. }
        | Status::Held { .. } => file(app, &remittance).await,
        Status::Ordered
        | Status::FundingUnknown { .. }
        | Status::Unfunded { .. }
        | Status::Refunding { .. }
        | Status::Credited { .. }
        | Status::Returned { .. } => Err(ProblemCode::ClaimUnknown.into()),
    }
}

/// The file name and the bytes of an order's program.
///
/// # Errors
/// `unavailable`.
pub async fn file(app: &App, remittance: &Remittance) -> Result<(String, Vec<u8>), Refused> {
    let program = programs::program_of(app, remittance).await?;
    Ok((mailer::file_name(&remittance.id.to_string()), program))
}
