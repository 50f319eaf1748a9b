//! Whole files: what is made, what is taken, and each reason for which one is refused.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use common::{
    ISSUER, NOW, code_of, echo, file, key, order, other_key, remittance, trusted, verify,
};
use program::{
    BODY_OFFSET, CLOCK_TOLERANCE_S, CompileError, FILE_LEN_MAX, HEADER, Order, OrderBytes,
    RawProgram, Template, TrustedKey, VerifyError, assemble, body, compile, inspect_unverified,
    seal, sign,
};
use sha2::{Digest, Sha256};
use wire::descriptor::Purpose;
use wire::signed::key_id;

/// A file of `order`, unchanged since it was signed.
fn file_of(order: &Order) -> Vec<u8> {
    compile(&echo(), &order.encode().unwrap(), &key()).unwrap()
}

#[test]
fn a_compiled_program_is_verified_and_tells_its_order() {
    for template in [echo(), remittance()] {
        let bytes = file(&template);
        let program = verify(&bytes).unwrap();
        let ordered = order(template.hash());
        assert_eq!(program.bytes(), bytes);
        assert_eq!(program.order(), &ordered);
        assert_eq!(program.order_bytes(), &ordered.encode().unwrap());
        assert_eq!(program.template_bytes(), template.as_bytes());
        assert_eq!(program.template_hash(), template.hash());
        assert_eq!(program.key_id(), key_id(&key().verifying_key().to_bytes()));
        assert_eq!(program.hash(), <[u8; 32]>::from(Sha256::digest(&bytes)));
    }
}

#[test]
fn the_mailed_program_with_an_order_of_256_bytes_stays_within_its_budget() {
    let template = remittance();
    let mut ordered = order(template.hash());
    ordered.note = "n".repeat(74);
    let bytes = ordered.encode().unwrap();
    assert_eq!(bytes.as_bytes().len(), 256);
    let len = compile(&template, &bytes, &key()).unwrap().len();
    assert!(len <= 12_288, "{len} bytes");
}

#[test]
fn the_same_template_and_order_give_the_same_bytes_by_every_way() {
    let template = echo();
    let order = order(template.hash()).encode().unwrap();
    let file = compile(&template, &order, &key()).unwrap();
    assert_eq!(compile(&template, &order, &key()), Ok(file.clone()));
    let body = body(&template, &order);
    assert_eq!(&file[BODY_OFFSET..], body);
    assert_eq!(seal(&body, &key()), file);
    let public = key().verifying_key().to_bytes();
    let signature = sign(&body, &key());
    assert_eq!(assemble(&template, &order, &public, &signature), Ok(file));
}

#[test]
fn an_order_is_only_compiled_with_the_template_it_names() {
    let order = order([1; 32]).encode().unwrap();
    let refused = Err(CompileError::OtherTemplate);
    assert_eq!(compile(&echo(), &order, &key()), refused);
    assert_eq!(assemble(&echo(), &order, &[0; 32], &[0; 64]), refused);
}

#[test]
fn a_file_of_65536_bytes_is_looked_at_and_one_of_65537_is_not() {
    assert!(RawProgram::new(vec![0; FILE_LEN_MAX]).is_ok());
    let refused = RawProgram::new(vec![0; FILE_LEN_MAX + 1]);
    assert_eq!(refused, Err(VerifyError::Size));
    assert_eq!(VerifyError::Size.code(), "E_SIZE");
}

#[test]
fn what_is_no_component_is_refused_by_its_header() {
    let mut core_module = file(&echo());
    core_module[4..8].copy_from_slice(&[1, 0, 0, 0]);
    for bytes in [
        b"".as_slice(),
        b"\0",
        b"\0asm\x0d\0\x01",
        b"(component)",
        b"\x7fELF\x02\x01\x01\0",
        b"\x1f\x8b\x08\0\0\0\0\0",
        b"PK\x03\x04\0\0\0\0",
        &core_module,
    ] {
        assert_eq!(code_of(bytes), "E_FORMAT", "{bytes:02x?}");
    }
}

#[test]
fn a_changed_missing_or_second_signature_section_is_refused_by_its_form() {
    let file = file(&echo());
    let (section, body) = file[8..].split_at(BODY_OFFSET - 8);
    let joined = |parts: &[&[u8]]| [HEADER.as_slice(), &parts.concat()].concat();
    let with = |at: usize, bytes: &[u8]| {
        let mut section = section.to_vec();
        section.splice(at..at + 1, bytes.iter().copied());
        joined(&[&section, body])
    };
    let cases = [
        ("no section", joined(&[body])),
        ("header alone", HEADER.to_vec()),
        ("not first", joined(&[b"\x00\x02\x01x", section, body])),
        ("not a custom section", with(0, b"\x01")),
        ("section length not minimal", with(1, b"\x81\x81\x00")),
        ("section length of 4 GiB", with(1, b"\xff\xff\xff\xff")),
        ("name length not minimal", with(3, b"\x89\x00")),
        ("other name", with(4, b"S")),
        ("specification 2", with(13, b"\x02")),
        ("content 2", with(14, b"\x02")),
        ("other hash function", with(15, b"\x02")),
        ("no set", with(16, b"\x00")),
        ("two sets", with(16, b"\x02")),
        ("2^32-1 sets", with(16, b"\xff\xff\xff\xff\x0f")),
        ("no hash", with(18, b"\x00")),
        ("two hashes", with(18, b"\x02")),
        ("2^32-1 hashes", with(18, b"\xff\xff\xff\xff\x0f")),
        ("no signature", with(51, b"\x00")),
        ("two signatures", with(51, b"\x02")),
        ("256 signatures", with(51, b"\x80\x02")),
        ("key id of 11 bytes", with(53, b"\x0b")),
        ("other algorithm", with(66, b"\x02")),
        ("signature of 63 bytes", with(67, b"\x3f")),
    ];
    for (name, bytes) in cases {
        assert_eq!(code_of(&bytes), "E_SIG_FORM", "{name}");
    }
    let second = joined(&[section, section, body]);
    assert_eq!(
        code_of(&second),
        "E_SIG",
        "a second section is part of the body"
    );
}

#[test]
fn a_changed_body_is_refused_by_the_signature() {
    let file = file(&echo());
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = file.clone();
        change(&mut file);
        file
    };
    let last = file.len() - 1;
    let newline = changed(&|file| file.push(b'\n'));
    let custom_section = changed(&|file| file.extend_from_slice(b"\x00\x02\x01x"));
    let shorter = changed(&|file| file.truncate(last));
    let inserted = changed(&|file| drop(file.splice(BODY_OFFSET..BODY_OFFSET, *b"\x00\x02\x01x")));
    let sender = file.windows(6).position(|text| text == b"Hanako").unwrap();
    let renamed = changed(&|file| file[sender] = b'B');
    for bytes in [newline, custom_section, shorter, inserted, renamed] {
        assert_eq!(code_of(&bytes), "E_SIG");
    }
}

#[test]
fn signatures_that_only_lax_verifiers_take_are_refused() {
    let file = file(&echo());
    let with_signature = |signature: [u8; 64]| {
        let mut file = file.clone();
        file[76..BODY_OFFSET].copy_from_slice(&signature);
        file
    };
    assert_eq!(code_of(&with_signature([0; 64])), "E_SIG");
    // S + L instead of S: the same residue, written differently. RFC 8032 section 5.1.
    let mut high: [u8; 64] = file[76..BODY_OFFSET].try_into().unwrap();
    let order_l =
        common::bytes_of_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    for (digit, add) in high[32..].iter_mut().zip(order_l) {
        let sum = u16::from(*digit) + u16::from(add) + carry;
        *digit = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(code_of(&with_signature(high)), "E_SIG");
    // A trusted key of small order: R = identity and S = 0 then fit every message.
    let mut identity = [0u8; 32];
    identity[0] = 1;
    let mut forged = file.clone();
    forged[62..74].copy_from_slice(&key_id(&identity));
    forged[76..108].copy_from_slice(&identity);
    forged[108..140].fill(0);
    let weak = TrustedKey {
        public: identity,
        ..trusted(&key())
    };
    let refused = program::verify(RawProgram::new(forged).unwrap(), &[weak], NOW);
    assert_eq!(refused.unwrap_err().code(), "E_SIG");
}

/// The code with which a valid file is refused by these keys at this time.
fn code_with(keys: &[TrustedKey], now: u64) -> &'static str {
    let raw = RawProgram::new(file(&echo())).unwrap();
    program::verify(raw, keys, now).map_or_else(|error| error.code(), |_| "ok")
}

#[test]
fn only_a_program_key_that_is_trusted_and_not_revoked_signs_programs() {
    assert_eq!(code_with(&[], NOW), "E_KEY_UNKNOWN");
    assert_eq!(code_with(&[trusted(&other_key())], NOW), "E_KEY_UNKNOWN");
    assert_eq!(
        code_with(&[trusted(&other_key()), trusted(&key())], NOW),
        "ok"
    );
    for purpose in [Purpose::Receipt, Purpose::Status] {
        let key = TrustedKey {
            purpose,
            ..trusted(&key())
        };
        assert_eq!(code_with(&[key], NOW), "E_KEY_PURPOSE");
    }
    for at in [0, NOW - 1, NOW + 1_000_000] {
        let key = TrustedKey {
            revoked_at: Some(at),
            ..trusted(&key())
        };
        assert_eq!(code_with(&[key], NOW), "E_KEY_REVOKED");
    }
}

#[test]
fn a_key_is_taken_up_to_a_day_outside_its_validity_and_no_longer() {
    let key = TrustedKey {
        not_before: NOW,
        not_after: NOW + 10,
        ..trusted(&key())
    };
    let at = |now: u64| code_with(std::slice::from_ref(&key), now);
    assert_eq!(at(NOW - CLOCK_TOLERANCE_S), "ok");
    assert_eq!(at(NOW - CLOCK_TOLERANCE_S - 1), "E_KEY_TIME");
    assert_eq!(at(NOW + 10 + CLOCK_TOLERANCE_S), "ok");
    assert_eq!(at(NOW + 10 + CLOCK_TOLERANCE_S + 1), "E_KEY_TIME");
    assert_eq!(at(0), "E_KEY_TIME");
    assert_eq!(at(u64::MAX), "E_KEY_TIME");
    let eternal = TrustedKey {
        not_before: 0,
        not_after: u64::MAX,
        ..key.clone()
    };
    assert_eq!(code_with(&[eternal], u64::MAX), "ok");
}

#[test]
fn an_order_is_only_taken_from_the_issuer_whose_key_signed_it() {
    let foreign = TrustedKey {
        issuer: "other.example".to_owned(),
        ..trusted(&key())
    };
    assert_eq!(code_with(std::slice::from_ref(&foreign), NOW), "E_ISSUER");
    // An issuer that lists another one's key takes nothing from that one, in either order.
    assert_eq!(code_with(&[foreign.clone(), trusted(&key())], NOW), "ok");
    assert_eq!(code_with(&[trusted(&key()), foreign.clone()], NOW), "ok");
    let revoked = TrustedKey {
        revoked_at: Some(1),
        ..trusted(&key())
    };
    assert_eq!(code_with(&[foreign, revoked], NOW), "E_ISSUER");
}

#[test]
fn a_signed_body_that_is_not_template_and_order_is_refused() {
    let template = echo();
    let good = body(&template, &order(template.hash()).encode().unwrap());
    let sealed = |body: &[u8]| code_of(&seal(body, &key()));
    assert_eq!(sealed(&good), "ok");
    for (name, body) in [
        ("empty", Vec::new()),
        ("template alone", template.as_bytes()[8..].to_vec()),
        (
            "a section more",
            [good.as_slice(), b"\x00\x02\x01x"].concat(),
        ),
        ("a section less", good[..good.len() - 1].to_vec()),
        (
            "a section before",
            [b"\x00\x02\x01x", good.as_slice()].concat(),
        ),
    ] {
        assert_eq!(sealed(&body), "E_MANIFEST", "{name}");
    }
    let template_at = good.windows(8).position(|bytes| bytes == HEADER).unwrap();
    let mut padded = good.clone();
    assert!(
        padded[template_at - 1] < 0x80,
        "last byte of the template's length"
    );
    padded[template_at - 1] |= 0x80;
    padded.insert(template_at, 0);
    assert_eq!(sealed(&padded), "E_MANIFEST", "template length not minimal");
    let ordered = order(template.hash()).encode().unwrap();
    let place = |part: &[u8]| {
        let start = good.windows(part.len()).position(|bytes| bytes == part);
        start.unwrap()..start.unwrap() + part.len()
    };
    let (in_template, in_order) = (place(template.as_bytes()), place(ordered.as_bytes()));
    for at in (0..good.len()).filter(|at| !in_template.contains(at) && !in_order.contains(at)) {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert_eq!(sealed(&changed), "E_MANIFEST", "byte {at}");
    }
}

#[test]
fn an_order_for_another_template_is_refused_even_if_signed() {
    let order = order([1; 32]).encode().unwrap();
    assert_eq!(code_of(&seal(&body(&echo(), &order), &key())), "E_MANIFEST");
}

#[test]
fn a_malformed_order_or_one_of_another_version_is_refused_even_if_signed() {
    let template = echo();
    let good = order(template.hash()).encode().unwrap();
    let sealed = body(&template, &good);
    let at = sealed
        .windows(good.as_bytes().len())
        .position(|bytes| bytes == good.as_bytes())
        .unwrap();
    // Byte 1 of an order is its version, byte 2 its kind; both are one byte long.
    for (offset, value, code) in [
        (1, 2, "E_VERSION"),
        (2, 2, "E_ORDER_FORM"),
        (0, 0x8d, "E_ORDER_FORM"),
    ] {
        let mut changed = sealed.clone();
        changed[at + offset] = value;
        assert_eq!(code_of(&seal(&changed, &key())), code);
    }
}

#[test]
fn a_file_of_anybody_can_be_looked_at() {
    let bytes = compile(
        &echo(),
        &order(echo().hash()).encode().unwrap(),
        &other_key(),
    )
    .unwrap();
    let raw = RawProgram::new(bytes.clone()).unwrap();
    let seen = inspect_unverified(&raw).unwrap();
    assert_eq!(seen.order().issuer, ISSUER);
    assert_eq!(seen.order_bytes(), &order(echo().hash()).encode().unwrap());
    assert_eq!(seen.template_hash(), echo().hash());
    assert_eq!(
        seen.key_id(),
        key_id(&other_key().verifying_key().to_bytes())
    );
    for len in 0..bytes.len() {
        assert!(inspect_unverified(&RawProgram::new(bytes[..len].to_vec()).unwrap()).is_err());
    }
}

#[test]
fn nothing_prints_a_signing_key_or_the_claim_token() {
    let template = echo();
    let bytes = file_of(&order(template.hash()));
    let raw = RawProgram::new(bytes).unwrap();
    let seen = inspect_unverified(&raw).unwrap();
    let verified = program::verify(raw.clone(), &[trusted(&key())], NOW).unwrap();
    let printed = format!("{raw:?} {seen:?} {verified:?} {template:?} {:?}", key());
    assert!(
        !printed.contains("199, 199") && !printed.contains("7, 7, 7"),
        "{printed}"
    );
}

#[test]
fn the_longest_template_and_order_make_a_file_that_is_taken() {
    let mut bytes = HEADER.to_vec();
    bytes.resize(program::TEMPLATE_LEN_MAX, 0);
    let template = Template::new(bytes).unwrap();
    let mut longest = order(template.hash());
    longest.note = "界".repeat(140);
    longest.sender = "界".repeat(64);
    longest.issuer = ISSUER.to_owned();
    let order = OrderBytes::new(longest.encode().unwrap().as_bytes().to_vec()).unwrap();
    assert_eq!(code_of(&compile(&template, &order, &key()).unwrap()), "ok");
}
