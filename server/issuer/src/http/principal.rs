//! Who calls: the holder whose bearer token came with the request, if the token may do what is asked.
//!
//! Each handler names the scope that it needs by the type that it takes, so none can forget it.

use super::problem::Refused;
use crate::{app::App, caller};
use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use ledger::{Holder, Scope};
use std::sync::Arc;
use wire::api::ProblemCode;

/// The holder of the request's token, which may do what `scope` names.
async fn holder(parts: &Parts, app: &App, scope: Scope) -> Result<Holder, Refused> {
    let token = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or(ProblemCode::Unauthorized)?;
    let bearer = app.office.bearer(token).await?;
    let bearer = bearer.ok_or(ProblemCode::Unauthorized)?;
    if bearer.scopes.allows(scope) {
        Ok(bearer.holder)
    } else {
        let detail = format!("this token lacks the scope {}", scope.code());
        Err(Refused::with(ProblemCode::ScopeMissing, &detail))
    }
}

/// One more request from where this one comes, whoever sends it: counted before a token is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Counted;

impl FromRequestParts<Arc<App>> for Counted {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        let caller = caller::address(&parts.headers, &parts.extensions, app.settings.trusted_hops);
        app.limits.request(caller).map_err(Refused::later)?;
        Ok(Self)
    }
}

macro_rules! principals {
    ($($(#[$doc:meta])* $name:ident = $scope:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub Holder);

        impl FromRequestParts<Arc<App>> for $name {
            type Rejection = Refused;

            async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
                holder(parts, app, Scope::$scope).await.map(Self)
            }
        }
    )+};
}

principals! {
    /// A holder who sees what is his, and nothing else.
    Reader = OrdersRead;
    /// A holder who spends what is his, and nothing else.
    Spender = OrdersWrite;
    /// A holder who says where events of what is his are sent.
    Listener = WebhooksManage;
}
