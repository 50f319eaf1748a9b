//! The name of an issuer.

/// Longest issuer name in bytes: the longest name that DNS can carry, without the final dot.
///
/// Source: RFC 1035 section 2.3.4.
pub const ISSUER_NAME_LEN_MAX: usize = 253;

/// Longest label of a name in bytes. Source: RFC 1035 section 2.3.4.
const LABEL_LEN_MAX: usize = 63;

/// Whether `name` is the DNS name of an issuer in its one accepted spelling.
///
/// Labels of 1 to 63 lower-case ASCII letters, digits and inner hyphens, joined by dots, 253 bytes
/// at most, no final dot, and a last label that is not all digits, so that no IPv4 address passes.
/// Other scripts appear in their `xn--` form.
///
/// Source: RFC 1123 section 2.1.
#[must_use]
pub fn is_issuer_name(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= ISSUER_NAME_LEN_MAX
        && name.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_LEN_MAX).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names_in_lower_case_are_issuer_names() {
        for name in [
            "localhost",
            "pay.example.org",
            "a",
            "1a.b-c.xn--wgv71a",
            "9.example",
        ] {
            assert!(is_issuer_name(name), "{name}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for name in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "Pay.example",
            "-a.example",
            "a-.example",
            "a_b.example",
            "pay.example:443",
            "https://pay.example",
            "pay example",
            "127.0.0.1",
            "日本.example",
            "[::1]",
            "a/b",
            "a\n",
        ] {
            assert!(!is_issuer_name(name), "{name:?}");
        }
    }

    #[test]
    fn labels_and_names_have_the_bounds_of_dns() {
        assert!(is_issuer_name(&"a".repeat(63)));
        assert!(!is_issuer_name(&"a".repeat(64)));
        let longest = "a.".repeat(126) + "a";
        assert_eq!(longest.len(), ISSUER_NAME_LEN_MAX);
        assert!(is_issuer_name(&longest));
        assert!(!is_issuer_name(&(longest + "a")));
    }
}
