//! Messages between program, terminal and issuer.

use ed25519_dalek::SigningKey;
use guest_logic::testing;
use guest_logic::{Host, NetworkError, ReaderError};
use wire::descriptor::{Descriptor, KeyEntry, Purpose};
use wire::exchange::{Answers, Instruction, Refusal, Reply, Request, Step, StopRule};
use wire::receipt::Receipt;
use wire::status::{Replaced, StatusList};
use wire::succession::{self, Succession};

use crate::files::{ISSUER, NOW, key, order};

/// A request to the issuer: what is read is written again as the same bytes.
pub fn request(bytes: &[u8]) {
    if let Ok(request) = Request::decode(bytes) {
        assert_eq!(
            request.encode().expect("what was read can be written"),
            bytes
        );
    }
}

/// An instruction, and answers with and without ticket.
#[must_use]
pub fn request_seeds() -> Vec<Vec<u8>> {
    let answers = |ticket| {
        Request::Answers(Answers {
            remittance: [1; 16],
            ticket,
            answers: vec![vec![0x91, 0x00], vec![1, 2, 3, 4, 5, 6, 7, 8, 0x91, 0x00]],
        })
    };
    let instruction = Request::Instruction(Instruction {
        remittance: [1; 16],
        claim_token: [3; 32],
        uid: [4, 1, 2, 3, 4, 5, 6],
        handshake: [9; 16],
    });
    // Step, nonce, ciphertext and tag of a ticket.
    let ticket = [&[2][..], &[7; 120]].concat();
    [instruction, answers(Some(ticket)), answers(None)]
        .iter()
        .map(|request| request.encode().expect("within bounds"))
        .inspect(|bytes| assert!(Request::decode(bytes).is_ok(), "a seed is accepted"))
        .collect()
}

/// A reply of the issuer: what is read is written again as the same bytes.
pub fn reply(bytes: &[u8]) {
    if let Ok(reply) = Reply::decode(bytes) {
        assert_eq!(reply.encode().expect("what was read can be written"), bytes);
    }
}

/// A step, a receipt, a refusal.
#[must_use]
pub fn reply_seeds() -> Vec<Vec<u8>> {
    let step = Reply::Step(Step {
        ticket: Some(vec![7; 80]),
        stop: StopRule::FirstFailure,
        apdus: vec![vec![0x90, 0x60, 0, 0, 0], vec![0x90, 0xAF, 0, 0, 0]],
    });
    let receipt = Reply::Receipt(signed_receipt());
    [step, receipt, Reply::Refusal(Refusal::WrongCard)]
        .iter()
        .map(|reply| reply.encode().expect("within bounds"))
        .inspect(|bytes| assert!(Reply::decode(bytes).is_ok(), "a seed is accepted"))
        .collect()
}

fn receipt_key() -> KeyEntry {
    KeyEntry {
        purpose: Purpose::Receipt,
        public: key().verifying_key().to_bytes(),
        not_before: 0,
        not_after: NOW + 86_400,
        revoked_at: None,
    }
}

fn signed_receipt() -> Vec<u8> {
    let order = order();
    let receipt = Receipt {
        issuer: ISSUER.to_owned(),
        remittance: order.remittance,
        revision: 0,
        order_hash: [6; 32],
        amount: order.amount,
        card_masked: order.card_masked,
        sender: order.sender,
        credited_at: NOW,
    };
    receipt.sign(&key()).expect("within bounds")
}

/// A receipt: as it came, and its content alone.
pub fn receipt(bytes: &[u8]) {
    if let Ok(receipt) = Receipt::verify(bytes, &[receipt_key()]) {
        // Ed25519 is deterministic: the same content has one signed form.
        assert_eq!(
            receipt.sign(&key()).expect("what was read can be written"),
            bytes
        );
    }
    if let Ok(receipt) = Receipt::decode(bytes) {
        assert_eq!(
            receipt.encode().expect("what was read can be written"),
            bytes
        );
    }
}

/// A signed receipt, and the content of one.
#[must_use]
pub fn receipt_seeds() -> Vec<Vec<u8>> {
    let signed = signed_receipt();
    let content = Receipt::verify(&signed, &[receipt_key()]).expect("just signed");
    vec![signed, content.encode().expect("within bounds")]
}

/// An issuer's list of keys: as it came, and its content alone.
pub fn descriptor(bytes: &[u8]) {
    if let Ok(descriptor) = Descriptor::verify_first_contact(bytes) {
        let root = descriptor.root;
        assert_eq!(Descriptor::verify(bytes, &root), Ok(descriptor));
    }
    if let Ok(descriptor) = Descriptor::decode(bytes) {
        assert_eq!(
            descriptor.encode().expect("what was read can be written"),
            bytes
        );
    }
}

/// A signed list of keys, and the content of one.
#[must_use]
pub fn descriptor_seeds() -> Vec<Vec<u8>> {
    let descriptor = Descriptor {
        issuer: ISSUER.to_owned(),
        root: key().verifying_key().to_bytes(),
        issued_at: NOW,
        keys: vec![KeyEntry {
            public: [8; 32],
            ..receipt_key()
        }],
    };
    let signed = descriptor.sign(&key()).expect("its own root");
    let content = descriptor.encode().expect("within bounds");
    Descriptor::verify_first_contact(&signed).expect("a seed is accepted");
    Descriptor::decode(&content).expect("a seed is accepted");
    vec![signed, content]
}

fn status_key() -> KeyEntry {
    KeyEntry {
        purpose: Purpose::Status,
        ..receipt_key()
    }
}

/// An issuer's list of what it has withdrawn: as it came, and its content alone.
pub fn status_list(bytes: &[u8]) {
    if let Ok(list) = StatusList::verify(bytes, &[status_key()]) {
        let signed = list.sign(&key()).expect("what was read can be written");
        assert_eq!(signed, bytes);
    }
    if let Ok(list) = StatusList::decode(bytes) {
        assert_eq!(list.encode().expect("what was read can be written"), bytes);
        for template in &list.templates {
            assert!(list.withdraws(template, &[0; 16], u32::MAX));
        }
    }
}

/// A signed list, and the content of one.
#[must_use]
pub fn status_seeds() -> Vec<Vec<u8>> {
    let list = StatusList {
        issuer: ISSUER.to_owned(),
        issued_at: NOW,
        templates: vec![[1; 32], [2; 32]],
        programs: vec![Replaced {
            remittance: [3; 16],
            revision: 2,
        }],
    };
    let signed = list.sign(&key()).expect("within bounds");
    StatusList::verify(&signed, &[status_key()]).expect("a seed is accepted");
    vec![signed, list.encode().expect("within bounds")]
}

/// An issuer's list of roots that name their successors: what is read is written again as the same bytes,
/// and leads nowhere but to the last of the links that hold.
pub fn succession(bytes: &[u8]) {
    let Ok(links) = succession::read_list(bytes) else {
        return;
    };
    let written = succession::write_list(&links).expect("what was read can be written");
    assert_eq!(written, bytes);
    if let Ok(all) = succession::verify_all(&links, ISSUER) {
        let ends = all.first().zip(all.last());
        if let Some((first, last)) = ends {
            succession::follow(bytes, ISSUER, &first.from, &last.to).expect("a whole path");
            assert!(succession::follow(bytes, ISSUER, &first.from, &[0xA5; 32]).is_err());
        }
    }
}

/// No link, and two of them.
#[must_use]
pub fn succession_seeds() -> Vec<Vec<u8>> {
    let keys = [
        key(),
        SigningKey::from_bytes(&[21; 32]),
        SigningKey::from_bytes(&[22; 32]),
    ];
    let public = |key: &SigningKey| key.verifying_key().to_bytes();
    let links: Vec<_> = keys
        .windows(2)
        .map(|two| Succession {
            issuer: ISSUER.to_owned(),
            from: public(&two[0]),
            to: public(&two[1]),
            signed_at: NOW,
        })
        .zip(&keys)
        .map(|(link, key)| link.sign(key).expect("within bounds"))
        .collect();
    [&[][..], &links]
        .map(|links| succession::write_list(links).expect("within bounds"))
        .to_vec()
}

/// Card and issuer of a program, both played by the input.
struct Played<I> {
    messages: I,
    calls: usize,
}

/// More calls than any budget of the host grants; a program that wants more does not end.
const CALLS_MAX: usize = 10_000;

impl<'a, I: Iterator<Item = &'a [u8]>> Played<I> {
    fn next(&mut self) -> Option<Vec<u8>> {
        self.calls += 1;
        assert!(self.calls < CALLS_MAX, "the program does not end");
        self.messages.next().map(<[u8]>::to_vec)
    }
}

impl<'a, I: Iterator<Item = &'a [u8]>> Host for Played<I> {
    fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.next().ok_or(ReaderError::Removed)
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        Request::decode(request).expect("the program sends lawful requests only");
        self.next().ok_or(NetworkError::Offline)
    }
}

/// The program's own code against a card and an issuer that answer anything; the first byte chooses
/// whether the order too comes from the input.
pub fn guest(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    let mut messages = crate::chunks(rest);
    let order = match choice {
        0 => testing::order(),
        _ => messages.next().unwrap_or_default().to_vec(),
    };
    let mut host = Played { messages, calls: 0 };
    let _ended = guest_logic::run(&order, &mut host);
}

/// A whole run: UID, select, challenge; a step with its answers; a receipt.
#[must_use]
pub fn guest_seeds() -> Vec<Vec<u8>> {
    let uid = [4, 1, 2, 3, 4, 5, 6, 0x90, 0x00].to_vec();
    let challenge = [&[9; 16][..], &[0x91, 0xAF]].concat();
    let done = vec![0x91, 0x00];
    let step = testing::step(Some(&[7; 40]), &[vec![0x90, 0x60, 0, 0, 0]]);
    let receipt = testing::receipt(&[1; 60]);
    let run = [uid, done.clone(), challenge, step, done, receipt];
    vec![[vec![0], crate::joined(&run)].concat()]
}
