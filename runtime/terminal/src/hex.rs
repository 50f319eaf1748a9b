//! Hexadecimal text of ids, hashes and stored bytes.

use data_encoding::HEXLOWER;

pub(crate) use relay::hex::{array, bytes};

/// A remittance id in the hyphenated form of RFC 9562 section 4.
#[must_use]
pub fn id(bytes: &[u8; 16]) -> String {
    let plain = encode(bytes);
    let mut text = String::with_capacity(36);
    for (index, digit) in plain.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// The id that [`id`] prints as `text`; `None` for any other spelling.
#[must_use]
pub fn parse_id(text: &str) -> Option<[u8; 16]> {
    let bytes = HEXLOWER.decode(text.replace('-', "").as_bytes()).ok()?;
    let bytes = bytes.try_into().ok()?;
    (id(&bytes) == text).then_some(bytes)
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::{id, parse_id};

    #[test]
    fn an_id_has_one_spelling() {
        let bytes = [0xab; 16];
        let text = "abababab-abab-abab-abab-abababababab";
        assert_eq!(id(&bytes), text);
        assert_eq!(parse_id(text), Some(bytes));
        for other in [
            "",
            &text.to_uppercase(),
            &text.replace('-', ""),
            "../../etc/passwd",
        ] {
            assert_eq!(parse_id(other), None);
        }
    }
}
