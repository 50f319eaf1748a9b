//! Schemas of the bodies of [`wire::api`]: that crate has neither the library for them nor a place for it.
//! Tests hold member by member and what is required against what is read and written.

use serde::Deserialize;
use utoipa::ToSchema;

/// Body of `POST /v1/orders`. Unknown members are refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrder {
    /// The recipient's card number, 16 digits, blanks allowed; this or the address.
    #[schema(example = "9000 0012 3456 7897")]
    pub recipient_card: Option<String>,
    /// A mail address that the recipient has verified; this or the card number.
    pub recipient_email: Option<String>,
    /// The amount in minor units.
    #[schema(minimum = 1, maximum = 1_000_000, example = 2500)]
    pub amount_minor: i64,
    /// The currency's code (ISO 4217).
    #[schema(example = "JPY")]
    pub currency: String,
    /// A note to the recipient.
    #[schema(max_length = 140)]
    pub note: Option<String>,
    /// How long the order can be redeemed, in seconds; 30 days without it.
    #[schema(minimum = 1, maximum = 31_622_400)]
    pub expires_in_s: Option<u64>,
    /// Who pays.
    #[serde(default)]
    #[schema(default = "account")]
    pub fund_from: FundFrom,
    /// The number of the sender's own card that pays; with `fund_from` `card` and with nothing else.
    pub from_card: Option<String>,
}

/// Where the amount of an order comes from.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FundFrom {
    /// The sender's account at this issuer.
    #[default]
    Account,
    /// The sender's account at the bank: nothing is mailed before the bank has confirmed.
    Bank,
    /// A card of the sender, by a program that the sender runs.
    Card,
}

/// One order as its sender sees it.
#[derive(Debug, ToSchema)]
pub struct OrderView {
    /// Id of the order and of its remittance.
    #[schema(format = "uuid")]
    pub id: String,
    /// Where the money is: `invited`, `ordered`, `funding-unknown`, `funding-failed`, `cancelled-unfunded`, `expired-unfunded`,
    /// `refunding`, `open`, `commit-sent`, `recovering`, `held`, `credited`, `expired`, `cancelled`, `closed`, `bound`.
    #[schema(example = "open")]
    pub status: String,
    /// Who pays.
    pub fund_from: FundFrom,
    /// The amount in minor units.
    #[schema(minimum = 1, example = 2500)]
    pub amount_minor: i64,
    /// The currency's code (ISO 4217).
    #[schema(example = "JPY")]
    pub currency: String,
    /// The recipient's card number without its middle; while the order is held, the address.
    #[schema(example = "9000 **** **** 7897")]
    pub recipient_masked: String,
    /// When the order was accepted.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the amount goes back to the sender unless it was credited.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// The note to the recipient.
    #[schema(nullable = false)]
    pub note: Option<String>,
    /// Where the mail is: `queued`, `sent` or `failed`.
    #[schema(example = "queued")]
    pub mail: String,
    /// Where the sender gets the program by which their card pays, while it can; a path.
    #[schema(nullable = false)]
    pub program: Option<String>,
}

/// One page of orders, newest first.
#[derive(Debug, ToSchema)]
pub struct OrderPage {
    /// The orders of this page.
    pub items: Vec<OrderView>,
    /// Cursor of the next page, absent on the last.
    #[schema(nullable = false)]
    pub next: Option<String>,
}

/// Body of `POST /v1/claim`. Unknown members are refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The claim code from the mail, as typed.
    #[schema(example = "ABCD-EFGH-IJKL-MNOP")]
    pub claim_code: String,
}

/// Body of `POST /v1/address/verify`. Unknown members are refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyAddress {
    /// The address, as typed.
    pub email: String,
    /// The code from the mail, as typed.
    pub code: String,
}

/// Body of `POST /v1/webhooks`. Unknown members are refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWebhook {
    /// Where events are sent, by https.
    #[schema(max_length = 500, example = "https://shop.example/tegata")]
    pub url: String,
}

/// The secret of an endpoint, shown once.
#[derive(Debug, ToSchema)]
pub struct WebhookSecret {
    /// Id of the endpoint.
    #[schema(format = "uuid")]
    pub id: String,
    /// `whsec_` and 32 bytes in base64.
    #[schema(example = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")]
    pub secret: String,
    /// Until when the secret before signs too.
    #[schema(nullable = false, format = DateTime)]
    pub before_until: Option<String>,
}

/// An endpoint.
#[derive(Debug, ToSchema)]
pub struct WebhookView {
    /// Id of the endpoint.
    #[schema(format = "uuid")]
    pub id: String,
    /// Where events are sent.
    pub url: String,
    /// Since when.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Why nothing is queued for it, if nothing is: `gone` or `dead-letters`.
    #[schema(nullable = false)]
    pub disabled: Option<String>,
    /// Events that wait for an attempt.
    pub queued: u64,
    /// Events that were given up.
    pub dead: u64,
}

/// All endpoints of a holder.
#[derive(Debug, ToSchema)]
pub struct WebhookList {
    /// The endpoints.
    pub items: Vec<WebhookView>,
}

/// An event that was given up.
#[derive(Debug, ToSchema)]
pub struct DeadLetterView {
    /// Id of the event, as in `webhook-id`.
    #[schema(example = "evt_3b6a27bcceb6a42d62a3a8d02a6f0d73")]
    pub event: String,
    /// What happened.
    #[schema(rename = "type", example = "order.credited")]
    pub kind: String,
    /// When it happened.
    #[schema(format = DateTime)]
    pub at: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What was heard last.
    pub error: String,
}

/// One page of dead letters.
#[derive(Debug, ToSchema)]
pub struct DeadLetterPage {
    /// The dead letters of this page.
    pub items: Vec<DeadLetterView>,
    /// Cursor of the next page, absent on the last.
    #[schema(nullable = false)]
    pub next: Option<String>,
}

/// The body of every answer that is not a success (RFC 9457).
#[derive(Debug, ToSchema)]
pub struct Problem {
    /// Where the kind of problem is described, for people: `/problems/<code>`.
    #[schema(
        rename = "type",
        format = "uri-reference",
        example = "/problems/order-unknown"
    )]
    pub type_url: String,
    /// The kind of problem in a few words, the same every time.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened this time and what can be done.
    pub detail: String,
    /// The stable code for programs.
    #[schema(example = "order-unknown")]
    pub code: String,
    /// The member of the body that is wrong, if it is one: a JSON pointer as a fragment.
    #[schema(nullable = false, example = "#/amount_minor")]
    pub pointer: Option<String>,
    /// The id of the request, as in the header `X-Request-Id`.
    #[schema(nullable = false, format = "uri")]
    pub instance: Option<String>,
}

/// A body that is no text.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Bytes(pub Vec<u8>);
