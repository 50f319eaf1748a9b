//! Characters that a text from somebody else must not hold, or must not be shown with.

/// Whether `c` can change how other characters are displayed, or is displayed as nothing: control,
/// bidirectional, zero-width, line-separating, private and unassigned characters (Unicode 16).
#[must_use]
pub fn is_deceiving(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x00AD | 0x034F | 0x0600..=0x0605 | 0x061C | 0x06DD | 0x070F | 0x0890 | 0x0891 | 0x08E2
            | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800
            | 0x3164 | 0xE000..=0xF8FF | 0xFDD0..=0xFDEF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0
            | 0xFFF0..=0xFFFF
            | 0x110BD | 0x110CD | 0x13430..=0x1345F | 0x1BCA0..=0x1BCAF | 0x1D173..=0x1D17A
            | 0xE0000..=0x0010_FFFF)
}

#[cfg(test)]
mod tests {
    use super::is_deceiving;

    #[test]
    fn letters_of_any_script_pass_and_what_moves_or_hides_text_does_not() {
        for c in "Az 9é山花ぱ한ع०-–。😀".chars() {
            assert!(!is_deceiving(c), "{c:?}");
        }
        for c in "\n\r\u{1b}\u{85}\u{200b}\u{200e}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\u{e000}"
            .chars()
        {
            assert!(is_deceiving(c), "{c:?}");
        }
    }
}
