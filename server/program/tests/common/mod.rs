//! Templates, orders and keys that the tests share.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test target uses its own part"
)]

use ed25519_dalek::SigningKey;
use money::{Amount, Currency};
use program::{Kind, Order, RawProgram, Template, TrustedKey, VerifiedProgram, VerifyError};
use wire::descriptor::Purpose;

/// A time at which everything here is valid, in Unix seconds.
pub(crate) const NOW: u64 = 1_767_225_600;
pub(crate) const ISSUER: &str = "pay.example";

/// The smallest template with behaviour.
pub(crate) fn echo() -> Template {
    Template::new(wat::parse_str(include_str!("echo.wat")).unwrap()).unwrap()
}

/// The template that is mailed.
pub(crate) fn remittance() -> Template {
    let bytes = include_bytes!("../../../../guest-programs/prebuilt/remittance.wasm");
    Template::new(bytes.to_vec()).unwrap()
}

pub(crate) fn order(template_hash: [u8; 32]) -> Order {
    Order {
        kind: Kind::Credit,
        issuer: ISSUER.to_owned(),
        remittance: core::array::from_fn(|index| u8::try_from(index).unwrap()),
        revision: 1,
        card_masked: "**** **** **** 1234".to_owned(),
        card_binding: [0xb1; 32],
        amount: Amount::new(2_500, Currency::Jpy).unwrap(),
        sender: "Hanako".to_owned(),
        note: String::new(),
        created: NOW,
        expires: NOW + 30 * 86_400,
        template_hash,
        claim_token: [0xc7; 32],
    }
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn other_key() -> SigningKey {
    SigningKey::from_bytes(&[8; 32])
}

pub(crate) fn trusted(key: &SigningKey) -> TrustedKey {
    TrustedKey {
        public: key.verifying_key().to_bytes(),
        issuer: ISSUER.to_owned(),
        purpose: Purpose::Program,
        not_before: NOW - 86_400 * 100,
        not_after: NOW + 86_400 * 100,
        revoked_at: None,
    }
}

/// The file of a template and the order for it.
pub(crate) fn file(template: &Template) -> Vec<u8> {
    let order = order(template.hash()).encode().unwrap();
    program::compile(template, &order, &key()).unwrap()
}

pub(crate) fn verify(bytes: &[u8]) -> Result<VerifiedProgram, VerifyError> {
    program::verify(RawProgram::new(bytes.to_vec())?, &[trusted(&key())], NOW)
}

pub(crate) fn code_of(bytes: &[u8]) -> &'static str {
    verify(bytes).map_or_else(|error| error.code(), |_| "ok")
}

pub(crate) fn bytes_of_hex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}
