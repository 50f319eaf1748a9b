//! JSON bodies of the HTTP API, and its problem codes.
//!
//! The only types that serialise for the API. Amounts are integers of minor units beside the
//! currency's code; times are texts of RFC 3339 in UTC. Requests with unknown members are refused,
//! so that a misspelt one is never silently ignored.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Body of `POST /v1/orders`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateOrder {
    /// The recipient's card number, 16 digits, blanks allowed; this or the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_card: Option<String>,
    /// A mail address that the recipient has verified; this or the card number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_email: Option<String>,
    /// The amount in minor units.
    pub amount_minor: i64,
    /// The currency's code (ISO 4217).
    pub currency: String,
    /// A note to the recipient, at most 140 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How long the order can be redeemed, in seconds; the issuer's usual time without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// Who pays; the account here without it.
    #[serde(default, skip_serializing_if = "FundFrom::is_account")]
    pub fund_from: FundFrom,
    /// The number of the sender's own card that pays, 16 digits, blanks allowed; with `fund_from`
    /// `card` and with nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_card: Option<String>,
}

/// Where the amount of an order comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FundFrom {
    /// The sender's account at this issuer.
    #[default]
    Account,
    /// The sender's account at the bank: nothing is mailed before the bank has confirmed.
    Bank,
    /// A card of the sender, by a program that the sender runs: nothing is mailed to the recipient
    /// before the card has paid.
    Card,
}

impl FundFrom {
    /// The text in documents and forms.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Bank => "bank",
            Self::Card => "card",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    fn is_account(&self) -> bool {
        *self == Self::Account
    }
}

/// One order as its sender sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// Id of the order and of its remittance, a UUID.
    pub id: String,
    /// Where the money is.
    pub status: String,
    /// Who pays.
    pub fund_from: FundFrom,
    /// The amount in minor units.
    pub amount_minor: i64,
    /// The currency's code (ISO 4217).
    pub currency: String,
    /// The recipient's card number without its middle; while the order is held, the address.
    pub recipient_masked: String,
    /// When the order was accepted, RFC 3339, UTC.
    pub created_at: String,
    /// When the amount goes back to the sender unless it was credited, RFC 3339, UTC.
    pub expires_at: String,
    /// The note to the recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where the mail is.
    pub mail: String,
    /// Where the sender gets the program by which their card pays, while it can; a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// One page of orders, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPage {
    /// The orders of this page.
    pub items: Vec<OrderView>,
    /// Cursor of the next page, absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Body of `POST /v1/claims`: asks for a program whose attachment was stripped.
///
/// `Debug` prints no code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The claim code from the mail, as typed.
    pub claim_code: String,
}

impl core::fmt::Debug for Claim {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Claim { claim_code: [redacted] }")
    }
}

/// Body of `POST /v1/address/verify`: the reader of a mail shows that the address is his.
///
/// `Debug` prints neither.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyAddress {
    /// The address, as typed.
    pub email: String,
    /// The code from the mail, as typed.
    pub code: String,
}

impl core::fmt::Debug for VerifyAddress {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("VerifyAddress { [redacted] }")
    }
}

/// Body of `POST /v1/webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateWebhook {
    /// Where events are sent, by https; at most 500 bytes.
    pub url: String,
}

/// The secret of an endpoint, shown once.
///
/// `Debug` does not print it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSecret {
    /// Id of the endpoint, a UUID.
    pub id: String,
    /// `whsec_` and 32 bytes in base64.
    pub secret: String,
    /// Until when the secret before signs too, RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_until: Option<String>,
}

impl core::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WebhookSecret")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An endpoint to which events are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookView {
    /// Id of the endpoint, a UUID.
    pub id: String,
    /// Where events are sent.
    pub url: String,
    /// Since when, RFC 3339, UTC.
    pub created_at: String,
    /// Why nothing is queued for it, if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<String>,
    /// Events that wait for an attempt.
    pub queued: u64,
    /// Events that were given up.
    pub dead: u64,
}

/// All endpoints of a holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookList {
    /// The endpoints.
    pub items: Vec<WebhookView>,
}

/// An event that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterView {
    /// Id of the event, as in `webhook-id`.
    pub event: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened, RFC 3339, UTC.
    pub at: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What was heard last.
    pub error: String,
}

/// One page of dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterPage {
    /// The dead letters of this page.
    pub items: Vec<DeadLetterView>,
    /// Cursor of the next page, absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The body of every answer that is not a success.
///
/// Media type `application/problem+json`. Source: RFC 9457 section 3.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where the kind of problem is described: `/problems/<code>`.
    #[serde(rename = "type")]
    pub type_url: String,
    /// The kind of problem in a few words, the same every time.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time and what can be done.
    pub detail: String,
    /// The stable code for programs.
    pub code: String,
    /// The member of the body that is wrong, if it is one: a JSON pointer as a fragment (RFC 6901 section 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The id of the request, a URN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl Problem {
    /// A problem of kind `code`; `detail` says what happened this time.
    #[must_use]
    pub fn new(code: ProblemCode, detail: &str) -> Self {
        Self {
            type_url: code.type_path(),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.to_owned(),
            code: code.code().to_owned(),
            pointer: None,
            instance: None,
        }
    }
}

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $title:literal;)+) => {
        /// The kinds of problems. Codes and statuses are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProblemCode {
            $($(#[$doc])* $name,)+
        }

        impl ProblemCode {
            /// Every kind, in the order in which requests are checked.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable code: lower-case words joined by hyphens.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status, `400..=599`.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// The kind of problem in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

problem_codes! {
    /// Nothing is at this path.
    NotFound = "not-found", 404, "Nothing here";
    /// The path takes other methods; `Allow` names them.
    MethodNotAllowed = "method-not-allowed", 405, "Method not allowed";
    /// The request did not arrive, or was not answered, in time.
    RequestTimeout = "request-timeout", 408, "Request took too long";
    /// No principal, or one who may not do this.
    Unauthorized = "unauthorized", 401, "Sign-in needed";
    /// The token is genuine, and was not given out for this call.
    ScopeMissing = "scope-missing", 403, "The token may not do this";
    /// Too many requests from this principal or address.
    RateLimited = "rate-limited", 429, "Too many requests";
    /// The body is not of the media type that this call takes.
    MediaTypeUnsupported = "media-type-unsupported", 415, "Media type not supported";
    /// The body is longer than this call takes.
    BodyTooLarge = "body-too-large", 413, "Request too large";
    /// The body is not the JSON this call takes.
    BodyMalformed = "body-malformed", 400, "Request malformed";
    /// A call that needs an `Idempotency-Key` came without one.
    IdempotencyKeyMissing = "idempotency-key-missing", 400, "Idempotency key missing";
    /// The idempotency key was used for another request.
    IdempotencyConflict = "idempotency-conflict", 422, "Idempotency key used for another request";
    /// The currency is not one of this issuer's.
    CurrencyUnknown = "currency-unknown", 422, "Currency not supported";
    /// The amount is zero or negative.
    AmountNotPositive = "amount-not-positive", 422, "Amount not positive";
    /// The amount has more decimals than its currency.
    AmountExponent = "amount-exponent", 422, "Too many decimals";
    /// The amount is over the limit for one order or for the card.
    AmountOverLimit = "amount-over-limit", 422, "Amount over limit";
    /// The note is longer than 140 characters.
    NoteTooLong = "note-too-long", 422, "Note too long";
    /// The time to expiry is outside the issuer's bounds.
    ExpiryOutOfRange = "expiry-out-of-range", 422, "Expiry out of range";
    /// Card number and mail address both, or neither.
    RecipientAmbiguous = "recipient-ambiguous", 422, "Name one recipient";
    /// Not a card number: 16 digits with a check digit.
    CardNumberMalformed = "card-number-malformed", 422, "Card number malformed";
    /// No verified address with a card; unknown, unverified and cardless are not told apart.
    RecipientUnknown = "recipient-unknown", 422, "Recipient unknown";
    /// No card of this number was issued here.
    CardUnknown = "card-unknown", 422, "Card unknown";
    /// The card is blocked or frozen.
    CardBlocked = "card-blocked", 422, "Card blocked";
    /// The card was not given out yet.
    CardNotActive = "card-not-active", 422, "Card not active";
    /// Sender and recipient are the same holder.
    SelfRemittance = "self-remittance", 422, "Sender is the recipient";
    /// The recipient has no mail address.
    RecipientWithoutAddress = "recipient-without-address", 422, "Recipient has no mail address";
    /// The issuer has no bank, or the sender no account there.
    FundingUnavailable = "funding-unavailable", 422, "Cannot be paid from there";
    /// The sender's account does not hold the amount.
    InsufficientFunds = "insufficient-funds", 422, "Not enough funds";
    /// No order of this id that this principal may see.
    OrderUnknown = "order-unknown", 404, "Order unknown";
    /// No card pays for the order, or it has paid, or the order has ended.
    ProgramUnknown = "program-unknown", 404, "No program for the sender";
    /// The order is not what the caller has seen any more.
    PreconditionFailed = "precondition-failed", 412, "Changed meanwhile";
    /// The order is credited, returned or already asked to be cancelled.
    NotCancellable = "not-cancellable", 409, "Order cannot be cancelled";
    /// The address of an endpoint is no https address at a public host.
    WebhookUrlRefused = "webhook-url-refused", 422, "Address of the webhook refused";
    /// The holder has registered this address.
    WebhookTaken = "webhook-taken", 409, "Webhook registered already";
    /// The holder has as many endpoints as one may have.
    WebhooksFull = "webhooks-full", 422, "Too many webhooks";
    /// No endpoint of this id that this principal may see.
    WebhookUnknown = "webhook-unknown", 404, "Webhook unknown";
    /// The endpoint has no dead letter of this id.
    DeadLetterUnknown = "dead-letter-unknown", 404, "Dead letter unknown";
    /// The endpoint is disabled: enable it first.
    WebhookDisabled = "webhook-disabled", 409, "Webhook disabled";
    /// The secret that the key made is shown for a day, and only while no other was made.
    WebhookSecretNotShown = "webhook-secret-not-shown", 409, "Secret not shown";
    /// No program for this claim code.
    ClaimUnknown = "claim-unknown", 404, "Claim code unknown";
    /// No verification waits for this code.
    AddressCodeWrong = "address-code-wrong", 422, "Code wrong, used or too old";
    /// Another holder has verified the address.
    AddressTaken = "address-taken", 409, "Address belongs to another holder";
    /// The service cannot answer now; the same request may be sent again.
    Unavailable = "unavailable", 503, "Try again later";
}

impl ProblemCode {
    /// Path of the page that describes the kind: `/problems/<code>`.
    #[must_use]
    pub fn type_path(self) -> String {
        format!("/problems/{}", self.code())
    }

    /// The kind with this code, if there is one.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use serde_json::json;

    #[test]
    fn an_order_without_note_and_expiry_needs_neither_member() {
        let body = json!({"recipient_card": "1234", "amount_minor": 2500, "currency": "JPY"});
        let order: CreateOrder = serde_json::from_value(body.clone()).unwrap();
        assert_eq!((order.note.as_ref(), order.expires_in_s), (None, None));
        assert_eq!(serde_json::to_value(&order).unwrap(), body);
    }

    #[test]
    fn requests_with_unknown_wrong_or_missing_members_are_refused() {
        for body in [
            json!({"recipient_card": "1", "amount_minor": 1, "currency": "JPY", "nota": "x"}),
            json!({"recipient_card": "1", "amount_minor": 1.5, "currency": "JPY"}),
            json!({"recipient_card": "1", "amount_minor": "1", "currency": "JPY"}),
            json!({"recipient_card": "1", "amount_minor": 9_223_372_036_854_775_808_u64, "currency": "JPY"}),
            json!({"recipient_card": "1", "currency": "JPY"}),
            json!([]),
        ] {
            assert!(
                serde_json::from_value::<CreateOrder>(body.clone()).is_err(),
                "{body}"
            );
        }
        assert!(serde_json::from_value::<Claim>(json!({"claim_code": "A", "id": 1})).is_err());
    }

    #[test]
    fn problems_have_distinct_kebab_codes_and_error_statuses() {
        let codes: BTreeSet<_> = ProblemCode::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
        for kind in ProblemCode::ALL.iter().copied() {
            assert!(
                kind.code()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-')
            );
            assert!((400..600).contains(&kind.status()));
            assert_eq!(ProblemCode::from_code(kind.code()), Some(kind));
        }
        assert_eq!(ProblemCode::from_code("unheard-of"), None);
    }

    #[test]
    fn a_problem_is_written_with_the_members_of_its_standard() {
        let problem = Problem::new(ProblemCode::OrderUnknown, "no such order");
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            json!({
                "type": "/problems/order-unknown", "title": "Order unknown", "status": 404,
                "detail": "no such order", "code": "order-unknown",
            })
        );
    }

    #[test]
    fn a_claim_prints_without_its_code() {
        let claim = Claim {
            claim_code: "ABCD".into(),
        };
        assert!(!format!("{claim:?}").contains("ABCD"));
        let typed = VerifyAddress {
            email: "hana".into(),
            code: "ABCD".into(),
        };
        let text = format!("{typed:?}");
        assert!(!text.contains("ABCD") && !text.contains("hana"));
    }
}
