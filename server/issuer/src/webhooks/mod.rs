//! Webhooks: what is sent, how it is signed, and where it may go.
//!
//! Headers and signature are those of Standard Webhooks (<https://www.standardwebhooks.com>, specification
//! 1.0.0), so that its libraries verify them.

pub mod address;
pub mod send;

use crate::{clock::rfc3339, keys::Keys};
use data_encoding::BASE64;
use ledger::{Timestamp, WebhookId};
use serde_json::json;
use store::{Delivery, OrderChange};
use zeroize::Zeroizing;

/// Begins the text of a secret.
const SECRET_PREFIX: &str = "whsec_";

/// The text of an endpoint's secret, for the program that verifies: `whsec_` and 32 bytes in base64.
#[must_use]
pub fn secret_text(keys: &Keys, webhook: WebhookId, number: u32) -> Zeroizing<String> {
    let secret = keys.webhook_secret(webhook, number);
    let text = Zeroizing::new(BASE64.encode(secret.as_slice()));
    Zeroizing::new(format!("{SECRET_PREFIX}{}", text.as_str()))
}

/// What is sent of a change: no name, no note, no address and no number of a card. Whoever wants more
/// asks for the order with a token.
#[must_use]
pub fn body(change: &OrderChange) -> Vec<u8> {
    let document = json!({
        "type": change.what.code(),
        "timestamp": rfc3339(change.at),
        "data": {
            "order": change.order.to_string(),
            "amount_minor": change.amount.minor(),
            "currency": change.amount.currency().code(),
        },
    });
    document.to_string().into_bytes()
}

/// The value of `webhook-signature`: one signature by the secret that counts, and one by the secret
/// before while that overlaps.
#[must_use]
pub fn signatures(keys: &Keys, delivery: &Delivery, sent: Timestamp) -> String {
    let overlaps = delivery.before_until.is_some_and(|until| sent < until);
    let before = delivery.secret.checked_sub(1).filter(|_| overlaps);
    let numbers = [Some(delivery.secret), before];
    let head = format!("{}.{}.", delivery.event, sent.unix_s());
    let parts = [head.as_bytes(), &delivery.body];
    let signed = numbers.into_iter().flatten().map(|number| {
        let mac = keys.webhook_mac(delivery.webhook, number, &parts);
        format!("v1,{}", BASE64.encode(&mac))
    });
    signed.collect::<Vec<_>>().join(" ")
}
