//! `POST /v1/orders`: orders a remittance.

use crate::{
    app::App,
    http::{body, principal::Spender, problem::Refused},
    orders::{self, NewOrder},
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
};
use ledger::{HolderId, IdempotencyKey};
use std::sync::Arc;
use wire::api::{CreateOrder, OrderView, ProblemCode};

/// Counts one order or preview of this holder; a repeat under the same key is one more.
///
/// # Errors
/// `rate-limited`; nothing is stored under the key.
pub fn admit(app: &App, holder: HolderId) -> Result<(), Refused> {
    if app.order_limit.admits(holder) {
        Ok(())
    } else {
        Err(ProblemCode::RateLimited.into())
    }
}

/// Answers 201 with the order, also when the same key and order come again: then with the order
/// of the first time.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `rate-limited`; `body-too-large`, `body-malformed`, `amount-exponent`;
/// `idempotency-key-missing`; those of [`NewOrder::check`] and of [`orders::place`].
pub async fn create(
    State(app): State<Arc<App>>,
    Spender(holder): Spender,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<OrderView>), Refused> {
    // Counted before the body is read: a malformed order is an order.
    admit(&app, holder.id)?;
    let body: CreateOrder = read(&headers, body).await?;
    let key = headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| IdempotencyKey::new(value).ok())
        .ok_or(ProblemCode::IdempotencyKeyMissing)?;
    let order = NewOrder::check(&app, body)?;
    let ordered = orders::place(&app, &holder, key, order).await?;
    let location = format!("/v1/orders/{}", ordered.id());
    let headers = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Json(ordered.view())))
}

/// Reads the body; an amount with decimals has its own problem, since that is how a caller who
/// thinks in major units goes wrong.
async fn read(headers: &HeaderMap, body: Body) -> Result<CreateOrder, Refused> {
    let body: serde_json::Value = body::json(headers, body).await?;
    let amount = body.get("amount_minor");
    if amount.is_some_and(|amount| amount.is_f64()) {
        return Err(Refused::with(
            ProblemCode::AmountExponent,
            "amount_minor is a whole number of minor units",
        ));
    }
    serde_json::from_value(body)
        .map_err(|_| Refused::with(ProblemCode::BodyMalformed, "not an order document"))
}
