//! `GET /v1/orders/{id}`: one order of the caller's.

use crate::{
    app::App,
    http::{principal::Principal, problem::Refused},
    orders,
};
use axum::{
    Json,
    extract::{Path, State},
};
use ledger::{HolderId, Remittance, RemittanceId};
use std::sync::Arc;
use wire::api::{OrderView, ProblemCode};

/// Answers 200 with the order.
///
/// # Errors
/// `unauthorized`; `order-unknown`, also for an order of somebody else; `unavailable`.
pub async fn read(
    State(app): State<Arc<App>>,
    Principal(holder): Principal,
    Path(id): Path<String>,
) -> Result<Json<OrderView>, Refused> {
    let remittance = own(&app, holder.id, &id).await?;
    Ok(Json(orders::view(&remittance)))
}

/// The remittance of this id that this sender ordered.
pub(crate) async fn own(app: &App, sender: HolderId, id: &str) -> Result<Remittance, Refused> {
    let id: RemittanceId = id.parse().map_err(|_| ProblemCode::OrderUnknown)?;
    let found = app.office.store.remittance(id).await?;
    found
        .filter(|r| r.sender == sender)
        .ok_or_else(|| ProblemCode::OrderUnknown.into())
}
