//! Who calls: the holder whose bearer token came with the request.

use super::problem::Refused;
use crate::app::App;
use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use ledger::Holder;
use std::sync::Arc;
use wire::api::ProblemCode;

/// A holder who proved to be one; sees and spends only what is his.
#[derive(Clone, Debug)]
pub struct Principal(pub Holder);

impl FromRequestParts<Arc<App>> for Principal {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(ProblemCode::Unauthorized)?;
        let holder = app.office.holder_of_token(token).await?;
        holder
            .map(Self)
            .ok_or_else(|| ProblemCode::Unauthorized.into())
    }
}
