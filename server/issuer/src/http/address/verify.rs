//! `POST /v1/address/verify`: the code of a mail shows that its reader may be sent money there.
//!
//! A code is spent here and nowhere else: a GET would let link scanners spend it.

use crate::{
    app::App,
    caller,
    http::{
        body, claim,
        openapi::{bodies, problems::problems},
        problem::Refused,
    },
};
use axum::{extract::Request, extract::State, http::StatusCode};
use std::sync::Arc;
use store::{AdminError, canonical_email};
use wire::api::{ProblemCode, VerifyAddress};

problems!(Problems: RateLimited, MediaTypeUnsupported, BodyTooLarge, BodyMalformed, AddressCodeWrong, AddressTaken);

/// Answers 204: whoever orders to this address reaches the holder's card from now on.
///
/// # Errors
/// `rate-limited` after too many tries, claim codes included; `body-too-large`, `body-malformed`;
/// `address-code-wrong`; `address-taken`; `unavailable`.
#[utoipa::path(
    post, path = "/v1/address/verify", operation_id = "verify_address", tag = "programs",
    summary = "Confirm a mail address by the code of a mail",
    request_body = bodies::VerifyAddress,
    responses((status = 204, description = "Whoever orders to this address reaches the holder's card from now on."), Problems),
)]
pub async fn verify(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, Refused> {
    let (parts, body) = request.into_parts();
    let caller = caller::address(&parts.headers, &parts.extensions, app.settings.trusted_hops);
    claim::post::admit(&app, caller)?;
    let typed: VerifyAddress = body::json(&parts.headers, body).await?;
    spend(&app, &typed.email, &typed.code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the verification that waits for this code.
///
/// # Errors
/// `address-code-wrong` for a code that is wrong, used or too old, and for an address of which nobody
/// asked; `address-taken` where another holder verified it meanwhile; `unavailable`.
pub async fn spend(app: &App, email: &str, code: &str) -> Result<(), Refused> {
    let hash = app.office.keys.address_code_ref(code);
    let (Some(email), Some(hash)) = (canonical_email(email), hash) else {
        return Err(ProblemCode::AddressCodeWrong.into());
    };
    let now = app.office.clock.now();
    match app.office.store.verify_address(email, hash, now).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(ProblemCode::AddressCodeWrong.into()),
        Err(AdminError::Taken { .. }) => Err(ProblemCode::AddressTaken.into()),
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}
