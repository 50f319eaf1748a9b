//! The pages in `docs/` have the bytes of the programs that are made.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use common::{code_of, echo, file, order};
use program::{BODY_OFFSET, HEADER, VerifyError};

const PAGE: &str = include_str!("../../../docs/program-format.md");

/// The page's code blocks without blanks and line ends.
fn code() -> String {
    let blocks = PAGE.split("```").skip(1).step_by(2);
    blocks
        .map(|block| block.split_whitespace().collect::<String>() + "\n")
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn position(bytes: &[u8], part: &[u8]) -> usize {
    bytes
        .windows(part.len())
        .position(|window| window == part)
        .unwrap()
}

#[test]
fn the_fixed_parts_of_a_program_are_those_of_the_page() {
    let template = echo();
    let file = file(&template);
    let order = order(template.hash()).encode().unwrap();
    let template_at = position(&file, template.as_bytes());
    let order_at = position(&file, order.as_bytes());
    // Section id and a length of two bytes stand before each component.
    let prefix = &file[BODY_OFFSET..template_at - 3];
    let behind_order = &file[order_at + order.as_bytes().len()..];
    let (order_tail, suffix) = behind_order.split_at(98);
    assert_eq!((prefix.len(), suffix.len()), (271, 212));
    for (part, bytes) in [
        ("prefix", prefix),
        ("order tail", order_tail),
        ("suffix", suffix),
    ] {
        assert!(code().contains(&(hex(bytes) + "\n")), "{part}");
    }
    let order_component = template_at + template.as_bytes().len() + 3;
    assert_eq!(order_at - order_component, 82);
    assert_eq!(file[order_component..][..8], HEADER);
}

#[test]
fn every_code_is_on_the_page() {
    for code in [
        VerifyError::Size,
        VerifyError::Format,
        VerifyError::SignatureForm,
        VerifyError::KeyUnknown,
        VerifyError::Signature,
        VerifyError::KeyPurpose,
        VerifyError::KeyRevoked,
        VerifyError::KeyTime,
        VerifyError::Manifest,
        VerifyError::Version,
        VerifyError::Issuer,
    ]
    .map(VerifyError::code)
    {
        assert!(PAGE.contains(&format!("| `{code}` |")), "{code}");
    }
    assert_eq!(code_of(&file(&echo())), "ok");
}
