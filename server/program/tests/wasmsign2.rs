//! The independent tool `wasmsign2` takes our files; what it takes beyond that, we refuse.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use common::{code_of, echo, file, key, remittance};
use program::{BODY_OFFSET, HEADER, sign};
use wasmsign2::{Module, PublicKey, SecretKey};

fn public_key() -> PublicKey {
    PublicKey::from_bytes(&[&[1], key().verifying_key().as_bytes().as_slice()].concat())
        .unwrap()
        .attach_default_key_id()
}

fn secret_key() -> SecretKey {
    SecretKey::from_bytes(&[&[0x81], key().to_keypair_bytes().as_slice()].concat()).unwrap()
}

fn tool_takes(mut file: &[u8]) -> bool {
    public_key().verify(&mut file, None).is_ok()
}

/// Whether the tool takes a file if it is given the bare key.
fn tool_takes_without_key_id(mut file: &[u8]) -> bool {
    let bare = PublicKey::from_bytes(&public_key().to_bytes()).unwrap();
    bare.verify(&mut file, None).is_ok()
}

/// A file with a signature section of this payload before the body.
fn with_section(payload: &[u8], body: &[u8]) -> Vec<u8> {
    let mut section = vec![9];
    section.extend_from_slice(b"signature");
    section.extend_from_slice(payload);
    let len = u8::try_from(section.len() - 128).unwrap() | 0x80;
    [&HEADER, [0, len, 1].as_slice(), &section, body].concat()
}

/// The payload of the signature section of one of our files.
fn payload_of(file: &[u8]) -> &[u8] {
    &file[21..BODY_OFFSET]
}

#[test]
fn the_tool_takes_our_files_and_signs_the_same_bytes() {
    for template in [echo(), remittance()] {
        let file = file(&template);
        assert!(tool_takes(&file));
        assert_eq!(with_section(payload_of(&file), &file[BODY_OFFSET..]), file);

        let unsigned = [&HEADER, &file[BODY_OFFSET..]].concat();
        let module = Module::deserialize(&mut unsigned.as_slice()).unwrap();
        let signed = secret_key().sign(module, public_key().key_id()).unwrap();
        let mut theirs = Vec::new();
        signed.serialize(&mut theirs).unwrap();
        assert_eq!(theirs, file);
    }
}

#[test]
fn the_tool_refuses_other_keys_and_changed_bodies() {
    let mut file = file(&echo());
    let last = file.len() - 1;
    file[last] ^= 1;
    assert!(!tool_takes(&file));
}

#[test]
fn a_file_cut_at_a_signed_delimiter_is_refused_though_the_tool_takes_it() {
    let ours = file(&echo());
    let unsigned = [&HEADER, &ours[BODY_OFFSET..]].concat();
    let module = Module::deserialize(&mut unsigned.as_slice()).unwrap();
    // A delimiter behind the first section: the signature then covers each prefix of its own.
    let mut first = true;
    let split = module.split(|_| std::mem::take(&mut first)).unwrap();
    let (signed, _) = secret_key()
        .sign_multi(split, public_key().key_id(), false, true)
        .unwrap();
    let mut bytes = Vec::new();
    signed.serialize(&mut bytes).unwrap();
    let delimiter = b"signature_delimiter";
    let at = bytes
        .windows(delimiter.len())
        .position(|part| part == delimiter)
        .unwrap();
    // Name, then 16 random bytes end the delimiter section.
    let cut = bytes[..at + delimiter.len() + 16].to_vec();
    for file in [bytes, cut] {
        assert!(tool_takes(&file), "{} bytes", file.len());
        assert_eq!(code_of(&file), "E_SIG_FORM");
    }
}

#[test]
fn a_file_headed_as_core_module_is_refused_though_the_tool_takes_it() {
    let mut file = file(&echo());
    file[4..8].copy_from_slice(&[1, 0, 0, 0]);
    assert!(tool_takes(&file));
    assert_eq!(code_of(&file), "E_FORMAT");
}

#[test]
fn a_key_id_of_choice_is_refused_though_the_tool_takes_it_without_one() {
    let ours = file(&echo());
    let id = b"\x1b[31mTRUSTED BANK";
    let mut payload = payload_of(&ours).to_vec();
    let grown = u8::try_from(id.len() - 12).unwrap();
    // Offsets in the payload: record length 4, signature length 39, key id 40 to 53.
    payload[4] += grown;
    payload[39] += grown;
    payload.splice(
        40..53,
        [&[u8::try_from(id.len()).unwrap()], id.as_slice()].concat(),
    );
    let file = with_section(&payload, &ours[BODY_OFFSET..]);
    assert!(tool_takes_without_key_id(&file));
    assert_eq!(code_of(&file), "E_SIG_FORM");

    let mut same_length = ours.clone();
    same_length[62..74].copy_from_slice(b"TRUSTED BANK");
    assert!(tool_takes_without_key_id(&same_length));
    assert_eq!(code_of(&same_length), "E_KEY_UNKNOWN");
}

#[test]
fn junk_behind_the_signature_is_refused_though_the_tool_takes_it() {
    let ours = file(&echo());
    let payload = [payload_of(&ours), b"junk"].concat();
    let file = with_section(&payload, &ours[BODY_OFFSET..]);
    assert!(tool_takes(&file));
    assert_eq!(code_of(&file), "E_SIG_FORM");
}

#[test]
fn a_section_without_key_id_is_refused_though_the_tool_takes_it() {
    let ours = file(&echo());
    let mut payload = payload_of(&ours).to_vec();
    payload[4] -= 12;
    payload[39] -= 12;
    payload.splice(40..53, [0]);
    let signature = sign(&ours[BODY_OFFSET..], &key());
    assert!(payload.ends_with(&signature));
    let mut section = vec![9];
    section.extend_from_slice(b"signature");
    section.extend_from_slice(&payload);
    let len = u8::try_from(section.len()).unwrap();
    let file = [&HEADER, [0, len].as_slice(), &section, &ours[BODY_OFFSET..]].concat();
    assert!(tool_takes_without_key_id(&file));
    assert_eq!(code_of(&file), "E_SIG_FORM");
}
