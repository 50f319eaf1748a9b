//! `POST /v1/orders/{id}/cancel`: takes an order back.

use super::{create::admit, read::own};
use crate::{
    app::App,
    http::{
        etag::Tagged,
        idempotency,
        openapi::{bodies, problems::problems},
        principal::Spender,
        problem::Refused,
    },
    invitations::Ordered,
    orders,
};
use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use ledger::{
    ContentHash, Holder, HolderId, IdempotencyKey, IdempotencyScope, Operation, RemittanceId,
    Status,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use store::{KeyStands, KeyUse};
use wire::api::ProblemCode;

problems!(Problems: Unauthorized, ScopeMissing, RateLimited, BodyMalformed, IdempotencyKeyMissing, OrderUnknown, IdempotencyConflict, PreconditionFailed, NotCancellable);

/// Answers 200 when the money is back, also when it was before, and 202 when the wish is noted: the
/// order is just being picked up and the card decides, or the bank has to speak first.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `idempotency-key-missing`; `rate-limited` for a new key, which is kept for ever;
/// `order-unknown`, also for an order of somebody else;
/// `idempotency-conflict` for a key that took back another; `precondition-failed` where `If-Match` names what it is no
/// more; `not-cancellable` once it was credited or has expired; `unavailable`.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders",
    summary = "Take an order back",
    params(
        ("id" = String, Path, description = "The order's id, a UUID."),
        ("Idempotency-Key" = String, Header, description = "Chosen by the caller, 1 to 255 visible ASCII characters, quoted or bare.",
            example = "4d2b36f0-8e0c-4f0e-9d38-2a9a0a1f7b11"),
        ("If-Match" = Option<String>, Header, description = "Tags of the order as the caller has seen it: taken back only if it is still so."),
    ),
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
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let key = idempotency::key(&headers)?;
    let before = own(&app, holder.id, &id).await?;
    let asked = asked(&app, &holder, key, before.id());
    match app.office.store.key_stands(asked.clone()).await? {
        KeyStands::ForNothing => {
            Tagged::new(&before.view())?.is_expected(&headers)?;
            // a key takes room for ever
            admit(&app, holder.id)?;
        }
        // asked before: what that has changed is no reason to refuse
        KeyStands::ForThis => {}
        KeyStands::ForAnother => return Err(ProblemCode::IdempotencyConflict.into()),
    }
    match app.office.store.bind_key(asked).await? {
        KeyStands::ForNothing | KeyStands::ForThis => {}
        KeyStands::ForAnother => return Err(ProblemCode::IdempotencyConflict.into()),
    }
    let after = take_back(&app, holder.id, &before).await?;
    let noted = match &after {
        Ordered::Invitation(held) => held.status.holds(),
        Ordered::Remittance(remittance) => is_noted(remittance.status),
    };
    let status = if noted {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok(Tagged::new(&after.view())?.answer(status))
}

/// What is asked for under a key: this order back.
fn asked(app: &App, holder: &Holder, key: IdempotencyKey, order: RemittanceId) -> KeyUse {
    KeyUse {
        scope: IdempotencyScope {
            principal: holder.id,
            operation: Operation::CancelOrder,
            key,
        },
        content: ContentHash(Sha256::digest(order.to_bytes()).into()),
        remittance: order,
        now: app.office.clock.now(),
    }
}

/// Takes an order back that was found to be this sender's; gives it as it is then.
///
/// # Errors
/// `not-cancellable`; `order-unknown`; `unavailable`.
pub(crate) async fn take_back(
    app: &App,
    sender: HolderId,
    order: &Ordered,
) -> Result<Ordered, Refused> {
    orders::cancel(app, sender, order.id()).await?;
    own(app, sender, &order.id().to_string()).await
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
