//! Order bytes against vectors that were not made by this crate, and at every bound.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use common::{bytes_of_hex, order};
use money::{Amount, Currency};
use program::{
    CARD_MASKED_LEN_MAX, Kind, NOTE_CHARS_MAX, ORDER_LEN_MAX, ORDER_LEN_MIN, Order, OrderBytes,
    SENDER_CHARS_MAX, TIME_MAX,
};
use proptest::prelude::*;
use serde_json::Value;
use wire::cbor::DecodeError;

fn vectors(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap()
}

fn order_of(vector: &Value) -> Order {
    let text = |name: &str| vector[name].as_str().unwrap().to_owned();
    let number = |name: &str| vector[name].as_u64().unwrap();
    let currency = Currency::from_code(&text("currency")).unwrap();
    Order {
        kind: Kind::Credit,
        issuer: text("issuer"),
        remittance: bytes_of_hex(&text("remittance")).try_into().unwrap(),
        revision: number("revision").try_into().unwrap(),
        card_masked: text("card_masked"),
        card_binding: bytes_of_hex(&text("card_binding")).try_into().unwrap(),
        amount: Amount::new(vector["amount_minor"].as_i64().unwrap(), currency).unwrap(),
        sender: text("sender"),
        note: text("note"),
        created: number("created"),
        expires: number("expires"),
        template_hash: bytes_of_hex(&text("template_hash")).try_into().unwrap(),
        claim_token: bytes_of_hex(&text("claim_token")).try_into().unwrap(),
    }
}

#[test]
fn orders_have_the_bytes_of_the_vectors() {
    for vector in vectors(include_str!("vectors/order_valid.json")) {
        let name = vector["name"].as_str().unwrap();
        let bytes = bytes_of_hex(vector["hex"].as_str().unwrap());
        let order = order_of(&vector);
        assert_eq!(order.encode().unwrap().as_bytes(), bytes, "{name}");
        assert_eq!(Order::decode(&bytes), Ok(order), "{name}");
        let kept = OrderBytes::new(bytes.clone()).unwrap();
        assert_eq!(kept.as_bytes(), bytes, "{name}");
        assert!(
            (ORDER_LEN_MIN..=ORDER_LEN_MAX).contains(&bytes.len()),
            "{name}"
        );
    }
}

#[test]
fn bytes_that_break_one_rule_are_refused_for_that_rule() {
    for vector in vectors(include_str!("vectors/order_invalid.json")) {
        let bytes = bytes_of_hex(vector["hex"].as_str().unwrap());
        let refused = Order::decode(&bytes).unwrap_err().to_string();
        assert_eq!(
            refused,
            vector["error"].as_str().unwrap(),
            "{}",
            vector["name"]
        );
        assert!(OrderBytes::new(bytes).is_err());
    }
}

#[test]
fn every_truncation_of_an_order_is_refused() {
    for vector in vectors(include_str!("vectors/order_valid.json")) {
        let bytes = bytes_of_hex(vector["hex"].as_str().unwrap());
        for len in 0..bytes.len() {
            assert!(
                Order::decode(&bytes[..len]).is_err(),
                "{} to {len}",
                vector["name"]
            );
        }
    }
}

fn check(change: impl FnOnce(&mut Order), expected: Result<(), &'static str>) {
    let mut changed = order([0; 32]);
    change(&mut changed);
    let encoded = changed.encode().map(drop);
    assert_eq!(
        encoded,
        expected.map_err(|field| DecodeError::Bounds { field })
    );
}

#[test]
fn each_field_is_taken_up_to_its_bound_and_no_further() {
    check(|o| o.sender = "界".repeat(SENDER_CHARS_MAX), Ok(()));
    check(
        |o| o.sender = "界".repeat(SENDER_CHARS_MAX + 1),
        Err("sender"),
    );
    check(|o| o.sender = String::new(), Err("sender"));
    check(|o| o.note = String::new(), Ok(()));
    check(|o| o.note = "界".repeat(NOTE_CHARS_MAX), Ok(()));
    check(|o| o.note = "界".repeat(NOTE_CHARS_MAX + 1), Err("note"));
    check(|o| o.card_masked = "*".repeat(CARD_MASKED_LEN_MAX), Ok(()));
    check(
        |o| o.card_masked = "*".repeat(CARD_MASKED_LEN_MAX + 1),
        Err("card"),
    );
    check(|o| o.card_masked = String::new(), Err("card"));
    check(|o| o.issuer = "a.".repeat(126) + "a", Ok(()));
    check(|o| o.issuer = "a.".repeat(126) + "aa", Err("issuer"));
    check(|o| o.expires = o.created + 1, Ok(()));
    check(|o| o.expires = o.created, Err("expires"));
    check(|o| o.expires = TIME_MAX, Ok(()));
    check(|o| o.expires = TIME_MAX + 1, Err("expires"));
}

#[test]
fn an_order_of_1024_bytes_is_encoded_and_one_of_1025_is_not() {
    let mut longest = order([0; 32]);
    longest.issuer = "a.".repeat(126) + "a";
    longest.sender = "\u{1f38c}".repeat(SENDER_CHARS_MAX);
    longest.note = "\u{1f38c}".repeat(70);
    let missing = ORDER_LEN_MAX - longest.encode().unwrap().as_bytes().len();
    longest.note += &"\u{1f38c}".repeat(missing / 4);
    longest.note += &"a".repeat(missing % 4);
    assert_eq!(longest.encode().unwrap().as_bytes().len(), ORDER_LEN_MAX);
    longest.note.push('a');
    let len_max = ORDER_LEN_MAX;
    assert_eq!(longest.encode(), Err(DecodeError::TooLong { len_max }));
}

#[test]
fn neither_an_order_nor_its_bytes_print_the_claim_token() {
    let mut order = order([0; 32]);
    order.claim_token = [77; 32];
    let printed = format!("{order:?} {:?}", order.encode().unwrap());
    assert!(
        printed.contains("[redacted]") && !printed.contains("77, 77"),
        "{printed}"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic_and_what_is_read_is_written_the_same(
        at in 0usize..300, with in proptest::collection::vec(any::<u8>(), 0..8), cut in 0usize..300,
    ) {
        let mut bytes = order([0; 32]).encode().unwrap().as_bytes().to_vec();
        let at = at.min(bytes.len());
        bytes.splice(at..(at + with.len()).min(bytes.len()), with);
        bytes.truncate(bytes.len().saturating_sub(cut / 20));
        if let Ok(order) = Order::decode(&bytes) {
            let written = order.encode().unwrap();
            prop_assert_eq!(written.as_bytes(), bytes.as_slice());
        }
    }

    #[test]
    fn every_order_is_read_back_as_it_was(
        sender in "\\PC{1,64}", note in "\\PC{0,140}", revision: u32, minor in 1..=i64::MAX,
        created in 0..TIME_MAX, remittance: [u8; 16], claim_token: [u8; 32],
    ) {
        let order = Order {
            sender, note, revision, created, remittance, claim_token,
            expires: created + 1,
            amount: Amount::new(minor, Currency::Jpy).unwrap(),
            ..order([0; 32])
        };
        match order.encode() {
            Ok(bytes) => prop_assert_eq!(Order::decode(bytes.as_bytes()), Ok(order)),
            Err(error) => prop_assert_eq!(error, DecodeError::TooLong { len_max: ORDER_LEN_MAX }),
        }
    }
}
