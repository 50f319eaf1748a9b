//! `POST /v1/orders/{id}/cancel`: takes an order back.
//!
//! Key, condition, cancel and first answer are one transaction of the store: what happens to the order between
//! the request and the cancel is seen, and what was answered once is answered for ever.

use super::{create::admit, read::own};
use crate::{
    app::App,
    http::{
        etag::{self, Tagged},
        idempotency,
        openapi::{bodies, problems::problems},
        principal::Spender,
        problem::Refused,
    },
    invitations::Ordered,
    orders,
};
use anyhow::Context as _;
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
use store::{CancelAnswer, CancelAsked, Expected, KeyUse, OrderRow};
use wire::api::ProblemCode;

problems!(Problems: Unauthorized, ScopeMissing, RateLimited, BodyMalformed, IdempotencyKeyMissing, OrderUnknown, IdempotencyConflict, PreconditionFailed, NotCancellable);

/// Answers 200 when the money is back, also when it was before, and 202 when the wish is noted: the
/// order is just being picked up and the card decides, or the bank has to speak first. The same key gets the
/// same answer for ever, whatever has become of the order.
///
/// # Errors
/// `unauthorized`, `scope-missing`; `idempotency-key-missing`; `rate-limited` for a new key, which is kept for ever;
/// `order-unknown`, also for an order of somebody else;
/// `idempotency-conflict` for a key that took back another; `precondition-failed` where `If-Match` names what it is no
/// more when it is to be taken back; `not-cancellable` once it was credited or has expired; `unavailable`.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders",
    summary = "Take an order back",
    params(
        ("id" = String, Path, description = "The order's id, a UUID."),
        ("Idempotency-Key" = String, Header, description = "Chosen by the caller, 1 to 255 visible ASCII characters, quoted or bare: \
            the same key gets the same answer, however often and whenever it comes.",
            example = "4d2b36f0-8e0c-4f0e-9d38-2a9a0a1f7b11"),
        ("If-Match" = Option<String>, Header, description = "Tags of the order as the caller has seen it: taken back only if it is still so, in the same transaction."),
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
    let order = own(&app, holder.id, &id).await?.id();
    let asked = CancelAsked {
        key: asked(&app, &holder, key, order),
        expected: expected(headers),
        answer,
    };
    let store = &app.office.store;
    let answer = match store.cancel_answer(asked.key.clone()).await? {
        Some(answer) => answer,
        None => {
            // a key takes room for ever
            admit(&app, holder.id)?;
            store.cancel_under_key(asked).await?
        }
    };
    match answer {
        CancelAnswer::Told(told) => response(&told),
        CancelAnswer::Refused(refusal) => Err(orders::not_cancelled(refusal)),
        CancelAnswer::ForAnother => Err(ProblemCode::IdempotencyConflict.into()),
        CancelAnswer::Changed => Err(ProblemCode::PreconditionFailed.into()),
    }
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

/// The condition of a request, if it has one.
fn expected(headers: HeaderMap) -> Option<Expected> {
    etag::has_condition(&headers).then(|| -> Expected {
        Arc::new(move |order| {
            let shown = Tagged::new(&Ordered::from(order.clone()).view());
            shown.is_ok_and(|shown| shown.is_expected(&headers).is_ok())
        })
    })
}

/// The answer as it is kept: its status, two bytes, big endian, and its body.
fn answer(order: OrderRow) -> Option<Vec<u8>> {
    let order = Ordered::from(order);
    let noted = match &order {
        Ordered::Invitation(held) => held.status.holds(),
        Ordered::Remittance(remittance) => is_noted(remittance.status),
    };
    let status = if noted {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    let mut kept = status.as_u16().to_be_bytes().to_vec();
    serde_json::to_writer(&mut kept, &order.view()).ok()?;
    Some(kept)
}

/// The response of which an answer was kept.
fn response(kept: &[u8]) -> Result<Response, Refused> {
    let (status, body) = kept
        .split_first_chunk()
        .context("a kept answer has a status")?;
    let status = StatusCode::from_u16(u16::from_be_bytes(*status));
    let status = status.context("a kept answer has a status of HTTP")?;
    Ok(Tagged::of(body.to_vec()).answer(status))
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
