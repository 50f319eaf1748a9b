//! Refusals as RFC 9457 problem documents.
//!
//! A handler returns [`Refused`]; the outermost layer writes the document, since only it knows the
//! request id that becomes `instance`.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use store::StoreError;
use wire::api::{Problem, ProblemCode};

/// Media type of a problem document (RFC 9457 section 6.1).
pub const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Seconds after which a refused caller may try again, where nobody knows better.
const RETRY_AFTER_S: u64 = 5;

/// A request that is answered by a problem.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What is wrong, for programs.
    pub code: ProblemCode,
    /// What is wrong, for people; no secrets, no internals.
    pub detail: Option<String>,
    /// The member of the body that is wrong, as a fragment.
    pub pointer: Option<&'static str>,
    /// Seconds after which the caller may try again, where that is known.
    pub retry_after_s: Option<u64>,
}

impl From<ProblemCode> for Refused {
    fn from(code: ProblemCode) -> Self {
        Self {
            code,
            detail: None,
            pointer: pointer(code),
            retry_after_s: None,
        }
    }
}

impl Refused {
    /// A problem with a sentence that helps this caller.
    #[must_use]
    pub fn with(code: ProblemCode, detail: &str) -> Self {
        Self {
            detail: Some(detail.to_owned()),
            ..Self::from(code)
        }
    }

    /// The same, of this member of the body.
    #[must_use]
    pub fn at(self, pointer: &'static str) -> Self {
        Self {
            pointer: Some(pointer),
            ..self
        }
    }

    /// A caller who has to wait for this many seconds.
    #[must_use]
    pub fn later(seconds: u64) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..Self::from(ProblemCode::RateLimited)
        }
    }
}

impl Refused {
    /// The same for a command line.
    #[must_use]
    pub fn into_error(self) -> anyhow::Error {
        let said = self.detail.as_deref().unwrap_or(self.code.title());
        anyhow::anyhow!("{}: {said}", self.code.code())
    }
}

impl IntoResponse for Refused {
    /// Status and headers; the body follows in [`write_document`].
    fn into_response(self) -> Response {
        let mut response = status(self.code).into_response();
        match self.code {
            ProblemCode::Unauthorized => {
                let bearer = HeaderValue::from_static("Bearer");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, bearer);
            }
            // RFC 6750, section 3.1
            ProblemCode::ScopeMissing => {
                let wanted = HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, wanted);
            }
            code if is_retried(code) => {
                let seconds = self.retry_after_s.unwrap_or(RETRY_AFTER_S);
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %error, "the store did not answer");
        ProblemCode::Unavailable.into()
    }
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!(error = %format!("{error:#}"), "a request could not be served");
        ProblemCode::Unavailable.into()
    }
}

/// The member of the body that a kind of problem is about, where it is always the same one.
const fn pointer(code: ProblemCode) -> Option<&'static str> {
    match code {
        ProblemCode::CurrencyUnknown => Some("#/currency"),
        ProblemCode::AmountNotPositive
        | ProblemCode::AmountExponent
        | ProblemCode::AmountOverLimit
        | ProblemCode::InsufficientFunds => Some("#/amount_minor"),
        ProblemCode::NoteTooLong => Some("#/note"),
        ProblemCode::ExpiryOutOfRange => Some("#/expires_in_s"),
        ProblemCode::CardUnknown
        | ProblemCode::CardBlocked
        | ProblemCode::CardNotActive
        | ProblemCode::SelfRemittance
        | ProblemCode::RecipientWithoutAddress => Some("#/recipient_card"),
        ProblemCode::RecipientUnknown => Some("#/recipient_email"),
        ProblemCode::FundingUnavailable => Some("#/fund_from"),
        ProblemCode::ClaimUnknown => Some("#/claim_code"),
        ProblemCode::AddressCodeWrong => Some("#/code"),
        ProblemCode::AddressTaken => Some("#/email"),
        ProblemCode::WebhookUrlRefused | ProblemCode::WebhookTaken => Some("#/url"),
        _ => None,
    }
}

/// Whether the same request may be sent again after a while, which `Retry-After` tells.
#[must_use]
pub const fn is_retried(code: ProblemCode) -> bool {
    matches!(code, ProblemCode::RateLimited | ProblemCode::Unavailable)
}

/// The problem of an answer that somebody below wrote without a document: the router, an extractor, a
/// layer.
const fn undocumented(status: StatusCode) -> Option<ProblemCode> {
    Some(match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => ProblemCode::BodyMalformed,
        StatusCode::NOT_FOUND => ProblemCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ProblemCode::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => ProblemCode::RequestTimeout,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemCode::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ProblemCode::MediaTypeUnsupported,
        StatusCode::INTERNAL_SERVER_ERROR => ProblemCode::Unavailable,
        _ => return None,
    })
}

/// Whether a body was meant for people: a page.
fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

fn status(code: ProblemCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Gives a refused response its document, also one that was refused below without one; any other
/// response passes unchanged.
#[must_use]
pub fn write_document(mut response: Response, request_id: &str) -> Response {
    let refused = response.extensions_mut().remove::<Refused>();
    let bare = || match undocumented(response.status()) {
        Some(code) if !is_page(&response) => Some(Refused::from(code)),
        _ => None,
    };
    let Some(refused) = refused.or_else(bare) else {
        return response;
    };
    *response.status_mut() = status(refused.code);
    let code = refused.code;
    let mut document = Problem::new(code, refused.detail.as_deref().unwrap_or(code.title()));
    document.pointer = refused.pointer.map(str::to_owned);
    document.instance = Some(format!("urn:uuid:{request_id}"));
    let (parts, body) = Json(document).into_response().into_parts();
    response.headers_mut().extend(parts.headers);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, MEDIA_TYPE);
    *response.body_mut() = body;
    response
}
