//! What the server reads of strangers.

use std::sync::LazyLock;

use ledger::Timestamp;
use redemption::{Accepted, Context, Incarnation, SealKey};
use wire::api::{Claim, CreateOrder, OrderPage, OrderView, Problem, ProblemCode};
use wire::exchange::Request;

use crate::files::{ISSUER, key};

static SEAL_KEY: LazyLock<SealKey> = LazyLock::new(|| SealKey::new([5; 32]));

/// Answers with a ticket that this server never sealed: nothing but a proof is taken up, and a
/// proof has no ticket.
pub fn sealed_ticket(bytes: &[u8]) {
    let Ok(Request::Answers(answers)) = Request::decode(bytes) else {
        return;
    };
    let key = key();
    let context = Context {
        issuer: ISSUER,
        seal_key: &SEAL_KEY,
        receipt_key: &key,
        incarnation: Incarnation([6; 16]),
        now: Timestamp::from_unix_s(1_800_000_000),
    };
    let had_ticket = answers.ticket.is_some();
    match redemption::accept(context, answers) {
        Ok(Accepted::Proof(_)) => assert!(!had_ticket),
        Ok(Accepted::Card(_) | Accepted::State(_)) => panic!("a forged ticket was opened"),
        Err(_) => {}
    }
}

/// Bodies of the HTTP interface, in both directions: what is read can be written and read again.
pub fn api_body(bytes: &[u8]) {
    again::<CreateOrder>(bytes);
    again::<Claim>(bytes);
    again::<OrderView>(bytes);
    again::<OrderPage>(bytes);
    again::<Problem>(bytes);
}

fn again<T: serde::de::DeserializeOwned + serde::Serialize + PartialEq>(bytes: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_vec(&read).expect("what was read can be written");
        let again: T = serde_json::from_slice(&written).expect("and read");
        assert!(again == read, "another value than was written");
    }
}

/// A problem as our server writes it, and an order form.
#[must_use]
pub fn api_seeds() -> Vec<Vec<u8>> {
    let problem = Problem::new(ProblemCode::ALL[0], "a detail");
    let order = br#"{"recipient_card":"4000 0000 0000 0002","amount_minor":2500,"currency":"JPY","note":"hello"}"#;
    vec![
        serde_json::to_vec(&problem).expect("a problem can be written"),
        order.to_vec(),
        br#"{"claim_code":"ABCD-EFGH"}"#.to_vec(),
    ]
}
