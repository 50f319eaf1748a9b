//! Files from mails and of the terminal's own: programs, orders, the journal.

use ed25519_dalek::SigningKey;
use money::{Amount, Currency};
use program::{Kind, Order, RawProgram, Template, TrustedKey, VerifyError};
use relay::journal::{Entry, Facts};
use wire::descriptor::Purpose;

/// Some time within the validity of everything here, Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "issuer.example";

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn template() -> Template {
    let bytes = include_bytes!("../../../guest-programs/prebuilt/remittance.wasm");
    Template::new(bytes.to_vec()).expect("our own template")
}

pub(crate) fn order() -> Order {
    Order {
        kind: Kind::Credit,
        issuer: ISSUER.to_owned(),
        remittance: [1; 16],
        revision: 0,
        card_masked: "**** **** **** 1234".to_owned(),
        card_binding: [2; 32],
        amount: Amount::new(2_500, Currency::Jpy).expect("positive"),
        sender: "Tanaka".to_owned(),
        note: "for the train".to_owned(),
        created: NOW,
        expires: NOW + 86_400,
        template_hash: template().hash(),
        claim_token: [3; 32],
    }
}

/// A program that verifies.
pub(crate) fn program() -> Vec<u8> {
    let order = order().encode().expect("within bounds");
    program::compile(&template(), &order, &key()).expect("of this template")
}

fn trusted() -> TrustedKey {
    TrustedKey {
        public: key().verifying_key().to_bytes(),
        issuer: ISSUER.to_owned(),
        purpose: Purpose::Program,
        not_before: 0,
        not_after: NOW + 86_400,
        revoked_at: None,
    }
}

/// A program file: first as it came, then with a good signature over its body, so that what lies
/// behind the signature is reached. What verifies is what was signed, to the byte.
pub fn program_file(bytes: &[u8]) {
    let Ok(raw) = RawProgram::new(bytes.to_vec()) else {
        return;
    };
    let verified = program::verify(raw.clone(), &[trusted()], NOW);
    let claimed = program::inspect_unverified(&raw);
    if let Ok(verified) = &verified {
        let claimed = claimed.as_ref().expect("what verifies can be inspected");
        assert_eq!(verified.order(), claimed.order());
        assert_eq!(verified.bytes(), bytes);
    }
    let Some(body) = bytes.get(program::BODY_OFFSET..) else {
        return;
    };
    let signed = program::seal(body, &key());
    let Ok(raw) = RawProgram::new(signed.clone()) else {
        return;
    };
    match program::verify(raw, &[trusted()], NOW) {
        Ok(verified) => {
            // Whatever verifies is exactly template and order wrapped.
            let template = Template::new(verified.template_bytes().to_vec()).expect("a template");
            assert_eq!(program::body(&template, verified.order_bytes()), body);
            order_bytes(verified.order_bytes().as_bytes());
        }
        Err(error) => assert_ne!(error, VerifyError::KeyUnknown, "the key is known"),
    }
}

/// Programs that verify.
#[must_use]
pub fn program_seeds() -> Vec<Vec<u8>> {
    let program = program();
    let raw = RawProgram::new(program.clone()).expect("short enough");
    program::verify(raw, &[trusted()], NOW).expect("a seed is accepted");
    vec![program]
}

/// Order bytes: what is read is written again as the same bytes.
pub fn order_bytes(bytes: &[u8]) {
    if let Ok(order) = Order::decode(bytes) {
        let again = order.encode().expect("what was read can be written");
        assert_eq!(again.as_bytes(), bytes);
    }
}

/// Orders of several lengths.
#[must_use]
pub fn order_seeds() -> Vec<Vec<u8>> {
    let longest = Order {
        sender: "\u{3042}".repeat(20),
        note: "\u{1F600}".repeat(20),
        ..order()
    };
    [order(), longest]
        .iter()
        .filter_map(|order| order.encode().ok())
        .map(|bytes| bytes.as_bytes().to_vec())
        .inspect(|bytes| assert!(Order::decode(bytes).is_ok(), "a seed is accepted"))
        .collect()
}

/// An entry of the terminal's journal: read, written and read again it is the same.
pub fn journal_entry(bytes: &[u8]) {
    if let Ok(entry) = serde_json::from_slice::<Entry>(bytes) {
        let text = serde_json::to_vec(&entry).expect("an entry can be written");
        let again: Entry = serde_json::from_slice(&text).expect("and read");
        assert_eq!(again, entry);
    }
}

/// An entry as the terminal writes it.
#[must_use]
pub fn journal_seeds() -> Vec<Vec<u8>> {
    let facts = Facts {
        revision: 3,
        order_sha256: [4; 32],
        amount_minor: 2_500,
        currency: "JPY".to_owned(),
    };
    let entry = Entry::new(facts, [5; 32]);
    vec![serde_json::to_vec(&entry).expect("an entry can be written")]
}
