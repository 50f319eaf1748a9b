//! Requests and replies against vectors that were not made by this crate.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use proptest::prelude::*;
use serde_json::Value;
use wire::cbor::DecodeError;
use wire::exchange::{
    ANSWER_LEN_MAX, ANSWERS_MAX, APDU_LEN_MAX, APDUS_MAX, Answers, Instruction, RECEIPT_LEN_MAX,
    REQUEST_LEN_MAX, Refusal, Reply, Request, Step, StopRule, TICKET_LEN_MAX,
};

fn bytes_of_hex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// Reads bytes as this kind and writes them again.
fn again(kind: &str, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    match kind {
        "request" => Request::decode(bytes)?.encode(),
        "reply" => Reply::decode(bytes)?.encode(),
        other => panic!("no kind {other}"),
    }
}

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("vectors/exchange.json")).unwrap()
}

fn vector(name: &str) -> Vec<u8> {
    let all = vectors();
    let found = all.iter().find(|vector| vector["name"] == name).unwrap();
    bytes_of_hex(found["hex"].as_str().unwrap())
}

#[test]
fn bytes_are_taken_or_refused_as_the_vectors_say_and_written_the_same() {
    for vector in vectors() {
        let bytes = bytes_of_hex(vector["hex"].as_str().unwrap());
        let found = again(vector["kind"].as_str().unwrap(), &bytes);
        match vector["error"].as_str() {
            None => assert_eq!(found, Ok(bytes), "{}", vector["name"]),
            Some(error) => assert_eq!(found.unwrap_err().to_string(), error, "{}", vector["name"]),
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for vector in vectors().iter().filter(|vector| vector["error"].is_null()) {
        let bytes = bytes_of_hex(vector["hex"].as_str().unwrap());
        for len in (0..bytes.len()).rev().take(300) {
            let found = again(vector["kind"].as_str().unwrap(), &bytes[..len]);
            assert!(found.is_err(), "{} to {len}", vector["name"]);
        }
    }
}

fn instruction() -> Instruction {
    Instruction {
        remittance: core::array::from_fn(|index| u8::try_from(index).unwrap()),
        claim_token: [0xc7; 32],
        uid: [0x04, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66],
        handshake: [0x5a; 16],
    }
}

fn answers(answers: Vec<Vec<u8>>, ticket: Option<Vec<u8>>) -> Request {
    Request::Answers(Answers {
        remittance: instruction().remittance,
        ticket,
        answers,
    })
}

fn step(apdus: Vec<Vec<u8>>, ticket: Option<Vec<u8>>) -> Reply {
    Reply::Step(Step {
        ticket,
        stop: StopRule::FirstFailure,
        apdus,
    })
}

#[test]
fn values_have_the_bytes_of_the_vectors() {
    let ok = vec![0x91, 0];
    let read = bytes_of_hex("90bd0000070100000010000000");
    for (request, name) in [
        (Request::Instruction(instruction()), "instruction"),
        (answers(vec![ok.clone()], None), "answers without ticket"),
        (
            answers(
                vec![[vec![0xaa; 16], ok].concat(), vec![0x91, 0xae]],
                Some(vec![b'T'; 40]),
            ),
            "answers with ticket",
        ),
    ] {
        assert_eq!(request.encode(), Ok(vector(name)), "{name}");
        assert_eq!(Request::decode(&vector(name)), Ok(request), "{name}");
    }
    for (reply, name) in [
        (step(vec![read.clone()], None), "step without ticket"),
        (
            step(vec![read, bytes_of_hex("90c7000000")], Some(vec![b'T'; 40])),
            "step with ticket",
        ),
        (Reply::Receipt(b"receipt".to_vec()), "receipt"),
        (Reply::Refusal(Refusal::CardFull), "refusal: card full"),
        (Reply::Refusal(Refusal::NotInDatabase), "last refusal"),
    ] {
        assert_eq!(reply.encode(), Ok(vector(name)), "{name}");
        assert_eq!(Reply::decode(&vector(name)), Ok(reply), "{name}");
    }
}

#[test]
fn what_a_reader_would_refuse_is_not_written() {
    let bounds = |field| Err(DecodeError::Bounds { field });
    let ok = vec![0x91, 0];
    let apdu = vec![0; 5];
    let too_long = Some(vec![0; TICKET_LEN_MAX + 1]);
    assert_eq!(
        answers(vec![ok.clone(); ANSWERS_MAX + 1], None).encode(),
        bounds("answers")
    );
    assert_eq!(
        answers(vec![vec![0; ANSWER_LEN_MAX + 1]], None).encode(),
        bounds("answers")
    );
    assert_eq!(answers(vec![vec![0x91]], None).encode(), bounds("answers"));
    assert_eq!(
        answers(vec![ok.clone()], too_long.clone()).encode(),
        bounds("ticket")
    );
    assert_eq!(
        answers(vec![ok], Some(Vec::new())).encode(),
        bounds("ticket")
    );
    let len_max = REQUEST_LEN_MAX;
    assert_eq!(
        answers(vec![vec![0; ANSWER_LEN_MAX]; 8], None).encode(),
        Err(DecodeError::TooLong { len_max })
    );
    assert_eq!(step(Vec::new(), None).encode(), bounds("commands"));
    assert_eq!(
        step(vec![apdu.clone(); APDUS_MAX + 1], None).encode(),
        bounds("commands")
    );
    assert_eq!(
        step(vec![vec![0; APDU_LEN_MAX + 1]], None).encode(),
        bounds("commands")
    );
    assert_eq!(step(vec![vec![0; 3]], None).encode(), bounds("commands"));
    assert_eq!(step(vec![apdu], too_long).encode(), bounds("ticket"));
    assert_eq!(
        Reply::Receipt(vec![0; RECEIPT_LEN_MAX + 1]).encode(),
        bounds("receipt")
    );
    assert_eq!(Reply::Receipt(Vec::new()).encode(), bounds("receipt"));
}

#[test]
fn the_fullest_reply_fits() {
    let fullest = step(
        vec![vec![0; APDU_LEN_MAX]; APDUS_MAX],
        Some(vec![0; TICKET_LEN_MAX]),
    );
    assert!(fullest.encode().is_ok());
}

#[test]
fn an_instruction_prints_neither_claim_token_nor_uid() {
    let printed = format!("{:?}", instruction());
    assert!(
        !printed.contains("199") && !printed.contains("17, 34"),
        "{printed}"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(
        index in 0usize..60, at in 0usize..200, with in proptest::collection::vec(any::<u8>(), 0..6),
    ) {
        let all = vectors();
        let vector = &all[index % all.len()];
        let mut bytes = bytes_of_hex(vector["hex"].as_str().unwrap());
        let at = at.min(bytes.len());
        bytes.splice(at..(at + with.len()).min(bytes.len()), with);
        for kind in ["request", "reply"] {
            if let Ok(written) = again(kind, &bytes) {
                prop_assert_eq!(&written, &bytes);
            }
        }
    }
}
