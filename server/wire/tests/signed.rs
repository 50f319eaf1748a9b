//! Envelopes, receipts and issuer descriptors: signed, opened, and refused.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use ed25519_dalek::SigningKey;
use money::{Amount, Currency};
use wire::cbor::DecodeError;
use wire::descriptor::{
    DESCRIPTOR_LEN_MAX, Descriptor, DescriptorError, KEYS_MAX, KeyEntry, Purpose, fingerprint,
};
use wire::exchange::RECEIPT_LEN_MAX;
use wire::receipt::{CARD_MASKED_LEN_MAX, Receipt, SENDER_CHARS_MAX, TIME_MAX};
use wire::signed::{Label, SignedError, SignerError, key_id, open, seal};

const NOW: u64 = 1_767_225_600;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

fn entry(seed: u8, purpose: Purpose) -> KeyEntry {
    KeyEntry {
        purpose,
        public: public(seed),
        not_before: NOW - 100,
        not_after: NOW + 100,
        revoked_at: None,
    }
}

fn receipt() -> Receipt {
    Receipt {
        issuer: "pay.example".to_owned(),
        remittance: [1; 16],
        revision: 2,
        order_hash: [3; 32],
        amount: Amount::new(2_500, Currency::Jpy).unwrap(),
        card_masked: "**** **** **** 1234".to_owned(),
        sender: "山田 花子".to_owned(),
        credited_at: NOW,
    }
}

fn descriptor() -> Descriptor {
    Descriptor {
        issuer: "pay.example".to_owned(),
        root: public(9),
        issued_at: NOW,
        keys: vec![
            entry(1, Purpose::Program),
            entry(2, Purpose::Receipt),
            KeyEntry {
                revoked_at: Some(NOW),
                ..entry(3, Purpose::Status)
            },
        ],
    }
}

#[test]
fn an_envelope_is_opened_by_its_key_and_its_label_alone() {
    let envelope = seal(b"payload", Label::Receipt, &key(1));
    let opened = |label, seed| open(&envelope, label, |_| Some(public(seed)));
    assert_eq!(opened(Label::Receipt, 1), Ok(b"payload".as_slice()));
    assert_eq!(opened(Label::Issuer, 1), Err(SignedError::Signature));
    assert_eq!(opened(Label::Receipt, 2), Err(SignedError::KeyUnknown));
    let nobody = open(&envelope, Label::Receipt, |_| None);
    assert_eq!(nobody, Err(SignedError::KeyUnknown));
    let asked = open(&envelope, Label::Receipt, |id| {
        assert_eq!(*id, key_id(&public(1)));
        Some(public(1))
    });
    assert!(asked.is_ok());
}

#[test]
fn every_truncation_and_every_flipped_bit_of_a_receipt_is_refused() {
    let signed = receipt().sign(&key(2)).unwrap();
    let keys = [entry(2, Purpose::Receipt)];
    assert_eq!(Receipt::verify(&signed, &keys), Ok(receipt()));
    for len in 0..signed.len() {
        assert!(Receipt::verify(&signed[..len], &keys).is_err());
    }
    for bit in 0..signed.len() * 8 {
        let mut changed = signed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Receipt::verify(&changed, &keys).is_err(), "bit {bit}");
    }
    let behind = [signed.as_slice(), &[0]].concat();
    let refused = SignerError::Signed(SignedError::Envelope(DecodeError::NotDeterministic));
    assert_eq!(Receipt::verify(&behind, &keys), Err(refused));
}

#[test]
fn a_receipt_needs_a_receipt_key_that_was_valid_when_it_was_made() {
    let signed = receipt().sign(&key(2)).unwrap();
    let with = |change: fn(&mut KeyEntry)| {
        let mut key = entry(2, Purpose::Receipt);
        change(&mut key);
        Receipt::verify(&signed, &[entry(1, Purpose::Receipt), key]).map(drop)
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(
        with(|key| key.purpose = Purpose::Program),
        Err(SignerError::KeyPurpose)
    );
    assert_eq!(
        with(|key| key.purpose = Purpose::Status),
        Err(SignerError::KeyPurpose)
    );
    assert_eq!(
        with(|key| key.revoked_at = Some(u64::MAX)),
        Err(SignerError::KeyRevoked)
    );
    assert_eq!(with(|key| key.not_before = NOW), Ok(()));
    assert_eq!(
        with(|key| key.not_before = NOW + 1),
        Err(SignerError::KeyTime)
    );
    assert_eq!(with(|key| key.not_after = NOW), Ok(()));
    assert_eq!(
        with(|key| key.not_after = NOW - 1),
        Err(SignerError::KeyTime)
    );
    let unknown = Err(SignerError::Signed(SignedError::KeyUnknown));
    assert_eq!(Receipt::verify(&signed, &[]).map(drop), unknown);
}

#[test]
fn a_receipt_is_written_up_to_each_bound_and_no_further() {
    let check = |change: &dyn Fn(&mut Receipt), expected: Option<&'static str>| {
        let mut changed = receipt();
        change(&mut changed);
        let refused = changed.encode().err();
        assert_eq!(refused, expected.map(|field| DecodeError::Bounds { field }));
    };
    check(&|r| r.sender = "界".repeat(SENDER_CHARS_MAX), None);
    check(
        &|r| r.sender = "界".repeat(SENDER_CHARS_MAX + 1),
        Some("sender"),
    );
    check(&|r| r.sender.clear(), Some("sender"));
    check(&|r| r.card_masked = "*".repeat(CARD_MASKED_LEN_MAX), None);
    check(
        &|r| r.card_masked = "*".repeat(CARD_MASKED_LEN_MAX + 1),
        Some("card"),
    );
    check(&|r| r.card_masked.clear(), Some("card"));
    check(&|r| r.issuer = "Pay.example".to_owned(), Some("issuer"));
    check(&|r| r.credited_at = TIME_MAX, None);
    check(&|r| r.credited_at = TIME_MAX + 1, Some("credited at"));
}

#[test]
fn the_longest_receipt_and_descriptor_fit_their_limits() {
    let longest = Receipt {
        issuer: "a.".repeat(126) + "a",
        sender: "\u{1f38c}".repeat(SENDER_CHARS_MAX),
        card_masked: "*".repeat(CARD_MASKED_LEN_MAX),
        amount: Amount::new(i64::MAX, Currency::Kwd).unwrap(),
        credited_at: TIME_MAX,
        ..receipt()
    };
    assert!(longest.sign(&key(2)).unwrap().len() <= RECEIPT_LEN_MAX);
    let mut full = Descriptor {
        issuer: "a.".repeat(126) + "a",
        ..descriptor()
    };
    full.keys = (0..u8::try_from(KEYS_MAX).unwrap())
        .map(|seed| KeyEntry {
            purpose: Purpose::Program,
            public: [seed; 32],
            not_before: u64::MAX,
            not_after: u64::MAX,
            revoked_at: Some(u64::MAX),
        })
        .collect();
    let signed = full.sign(&key(9)).unwrap();
    assert!(signed.len() <= DESCRIPTOR_LEN_MAX);
    assert_eq!(Descriptor::verify(&signed, &public(9)), Ok(full.clone()));
    full.keys.push(entry(1, Purpose::Program));
    assert_eq!(
        full.sign(&key(9)),
        Err(DecodeError::Bounds { field: "keys" })
    );
}

#[test]
fn a_descriptor_is_opened_by_its_root_alone() {
    let signed = descriptor().sign(&key(9)).unwrap();
    assert_eq!(Descriptor::verify(&signed, &public(9)), Ok(descriptor()));
    assert_eq!(Descriptor::verify_first_contact(&signed), Ok(descriptor()));
    let unknown = DescriptorError::Signed(SignedError::KeyUnknown);
    assert_eq!(Descriptor::verify(&signed, &public(8)), Err(unknown));
    let payload = descriptor().encode().unwrap();
    let forged = seal(&payload, Label::Issuer, &key(8));
    assert_eq!(Descriptor::verify_first_contact(&forged), Err(unknown));
    assert_eq!(
        Descriptor::verify(&forged, &public(8)),
        Err(DescriptorError::Root)
    );
    let other_label = seal(&payload, Label::Receipt, &key(9));
    let refused = DescriptorError::Signed(SignedError::Signature);
    assert_eq!(Descriptor::verify_first_contact(&other_label), Err(refused));
    let other_root = DecodeError::Bounds { field: "root" };
    assert_eq!(descriptor().sign(&key(8)), Err(other_root));
}

#[test]
fn a_descriptor_lists_no_key_twice_and_not_its_root() {
    let check = |change: &dyn Fn(&mut Descriptor), field| {
        let mut changed = descriptor();
        change(&mut changed);
        assert_eq!(changed.encode(), Err(DecodeError::Bounds { field }));
    };
    check(&|d| d.keys.push(entry(1, Purpose::Receipt)), "key");
    check(&|d| d.keys.push(entry(9, Purpose::Program)), "key");
    check(
        &|d| d.keys[0].not_after = d.keys[0].not_before - 1,
        "key validity",
    );
    check(&|d| d.issuer.clear(), "issuer");
}

#[test]
fn every_flipped_bit_of_a_descriptor_is_refused() {
    let signed = descriptor().sign(&key(9)).unwrap();
    for bit in 0..signed.len() * 8 {
        let mut changed = signed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(
            Descriptor::verify(&changed, &public(9)).is_err(),
            "bit {bit}"
        );
        assert!(
            Descriptor::verify_first_contact(&changed).is_err(),
            "bit {bit}"
        );
    }
}

#[test]
fn key_ids_and_fingerprints_are_those_of_other_tools() {
    // Computed by another implementation: HMAC-SHA-256 of "key_id" and SHA-256 then base32, of 32 zero bytes.
    assert_eq!(
        key_id(&[0; 32]),
        [
            0x62, 0x2e, 0xbb, 0x42, 0xec, 0xca, 0xf0, 0xc6, 0x11, 0x1f, 0xa1, 0xf7
        ]
    );
    assert_eq!(fingerprint(&[0; 32]), "MZUH-VLPY-MK6X-O3EP");
}
