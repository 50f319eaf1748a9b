//! `POST /v1/orders`: orders a remittance.

use crate::{
    app::App,
    http::{
        body, idempotency,
        openapi::{bodies, problems::problems},
        principal::{Counted, Spender},
        problem::Refused,
    },
    orders::{self, NewOrder},
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
};
use ledger::HolderId;
use std::sync::Arc;
use wire::api::{CreateOrder, OrderView, ProblemCode};

/// Counts one order of this holder, or what else is counted as one ([`crate::limit::ORDERS`]); a repeat
/// under the same key is one more.
///
/// # Errors
/// `rate-limited`; nothing is stored under the key.
pub fn admit(app: &App, holder: HolderId) -> Result<(), Refused> {
    app.limits.order(holder).map_err(Refused::later)
}

/// Counts it as one to its recipient too, once it is known to be an order.
///
/// # Errors
/// `rate-limited`; nothing is stored under the key.
pub fn admit_to(app: &App, holder: HolderId, order: &NewOrder) -> Result<(), Refused> {
    let recipient = order.recipient_key(&app.office.keys);
    app.limits
        .order_to(holder, recipient)
        .map_err(Refused::later)
}

problems!(Problems: Unauthorized, ScopeMissing, RateLimited, MediaTypeUnsupported, BodyTooLarge, BodyMalformed, AmountExponent, IdempotencyKeyMissing, CurrencyUnknown, AmountNotPositive, AmountOverLimit, NoteTooLong, ExpiryOutOfRange, RecipientAmbiguous, CardNumberMalformed, IdempotencyConflict, CardUnknown, CardNotActive, CardBlocked, RecipientUnknown, SelfRemittance, RecipientWithoutAddress, FundingUnavailable, InsufficientFunds);

/// Answers 201 with the order as it was placed, also when the same key and order come again: the same
/// answer for ever, whatever has become of the order.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `rate-limited`; `body-too-large`, `body-malformed`, `amount-exponent`;
/// `idempotency-key-missing`; those of [`NewOrder::check`] and of [`orders::place`].
#[utoipa::path(
    post, path = "/v1/orders", operation_id = "create_order", tag = "orders",
    summary = "Order a remittance",
    params(("Idempotency-Key" = String, Header, description = "Chosen by the caller, 1 to 255 visible ASCII characters, quoted or bare: \
        the same key and order give the same answer, however often and whenever they come.",
        example = "8e03978e-40d5-43e8-bc93-6894a57f9324")),
    request_body = bodies::CreateOrder,
    responses(
        (status = 201, description = "Ordered: now, or the first time that the same key and order came.", body = bodies::OrderView,
            headers(("Location" = String, description = "Where the order is."))),
        Problems,
    ),
    security(("bearer" = [])),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    _: Counted,
    Spender(holder): Spender,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<OrderView>), Refused> {
    // Counted before the body is read: a malformed order is an order.
    admit(&app, holder.id)?;
    let body: CreateOrder = read(&headers, body).await?;
    let key = idempotency::key(&headers)?;
    let order = NewOrder::check(&app, body)?;
    admit_to(&app, holder.id, &order)?;
    let ordered = orders::place(&app, &holder, key, order).await?;
    let location = format!("/v1/orders/{}", ordered.id());
    let headers = [(header::LOCATION, location)];
    let view = ordered.as_placed(&app.office).await?;
    Ok((StatusCode::CREATED, headers, Json(view)))
}

/// Reads the body; an amount with decimals has its own problem, since that is how a caller who
/// thinks in major units goes wrong.
async fn read(headers: &HeaderMap, body: Body) -> Result<CreateOrder, Refused> {
    let bytes = body::json_bytes(headers, body).await?;
    let value: serde_json::Value = body::parse(&bytes)?;
    let amount = value.get("amount_minor");
    if amount.is_some_and(|amount| amount.is_f64()) {
        return Err(Refused::with(
            ProblemCode::AmountExponent,
            "amount_minor is a whole number of minor units",
        ));
    }
    body::parse(&bytes)
}
