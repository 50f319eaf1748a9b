//! `POST /v1/orders/{id}/cancel`: takes an order back.

use super::read::own;
use crate::{
    app::App,
    http::{
        openapi::{bodies, problems::problems},
        principal::Spender,
        problem::Refused,
    },
    invitations::Ordered,
    orders,
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use ledger::Status;
use std::sync::Arc;
use wire::api::OrderView;

problems!(Problems: Unauthorized, ScopeMissing, BodyMalformed, OrderUnknown, NotCancellable);

/// Answers 200 when the money is back, also when it was before, and 202 when the wish is noted: the
/// order is just being picked up and the card decides, or the bank has to speak first.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `order-unknown`, also for an order of somebody else; `not-cancellable` once it
/// was credited or has expired; `unavailable`.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders",
    summary = "Take an order back",
    params(("id" = String, Path, description = "The order's id, a UUID.")),
    responses(
        (status = 200, description = "The money is back, also when it was before.", body = bodies::OrderView),
        (status = 202, description = "Noted: it is just being picked up and the card decides, or the bank has to speak first.",
            body = bodies::OrderView),
        Problems,
    ),
    security(("bearer" = [])),
)]
pub async fn cancel(
    State(app): State<Arc<App>>,
    Spender(holder): Spender,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<OrderView>), Refused> {
    let before = own(&app, holder.id, &id).await?;
    orders::cancel(&app, holder.id, before.id()).await?;
    let after = own(&app, holder.id, &id).await?;
    let noted = match &after {
        Ordered::Invitation(held) => held.status.holds(),
        Ordered::Remittance(remittance) => is_noted(remittance.status),
    };
    let status = if noted {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(after.view())))
}

/// Whether the money is not back yet.
const fn is_noted(status: Status) -> bool {
    match status {
        Status::CommitSent { .. }
        | Status::Recovering { .. }
        | Status::FundingUnknown { .. }
        | Status::Refunding { .. } => true,
        Status::Ordered
        | Status::Unfunded { .. }
        | Status::Open
        | Status::Held { .. }
        | Status::Credited { .. }
        | Status::Returned { .. } => false,
    }
}
