//! What the bytes are, judged by the bytes alone: a name or a media type may lie.

use program::HEADER;

/// The kinds of input the terminal tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Begins like a component; nothing more is known yet.
    Program,
    /// Begins with a mail header field.
    Mail,
    /// Anything else; never opened, in particular never decompressed.
    Other,
}

/// Says what `bytes` begin like.
#[must_use]
pub fn content(bytes: &[u8]) -> Content {
    if bytes.starts_with(&HEADER) {
        Content::Program
    } else if begins_with_header_field(bytes) {
        Content::Mail
    } else {
        Content::Other
    }
}

/// Whether the first line is a mail header field (RFC 5322 section 2.2): printable ASCII without
/// colon, then a colon; or the `From ` line that mailbox files put before it.
fn begins_with_header_field(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"From ") {
        return true;
    }
    let name_len = bytes
        .iter()
        .take_while(|b| (33..=126).contains(*b) && **b != b':')
        .count();
    name_len > 0 && bytes.get(name_len) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::{Content, HEADER, content};

    #[test]
    fn content_decides_not_the_name() {
        for (bytes, expected) in [
            (&b""[..], Content::Other),
            (&b"\0asm\r\0\x01"[..], Content::Other),
            (&HEADER[..], Content::Program),
            (&b"\0asm\x01\0\0\0"[..], Content::Other),
            (&b"(component)"[..], Content::Other),
            (&b"\x7fELF\x02\x01\x01\0"[..], Content::Other),
            (&b"\x1f\x8b\x08\0"[..], Content::Other),
            (&b"PK\x03\x04"[..], Content::Other),
            (&b"%PDF-1.7\n"[..], Content::Other),
            (&b"Received: from x"[..], Content::Mail),
            (&b"From alice@example.org Mon"[..], Content::Mail),
            (&b": no name"[..], Content::Other),
        ] {
            assert_eq!(content(bytes), expected, "{bytes:?}");
        }
    }
}
