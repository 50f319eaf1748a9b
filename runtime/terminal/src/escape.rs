//! Foreign text made safe to show.
//!
//! Names, notes and file names come from other people. Shown raw they could move the cursor,
//! reorder the line (bidirectional controls) or hide characters (zero width), and so make the
//! consent screen say something else than what is signed.

use core::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;
use wire::text::is_deceiving;

/// Characters of one foreign text that are shown before it is cut with `…`.
///
/// A note has at most 140 characters; 200 shows every lawful text whole and keeps a hostile one
/// from pushing the question off the screen.
pub const SHOWN_CHARS_MAX: usize = 200;

/// Combining marks shown after one base character; more would pile up over the lines around it.
pub const COMBINING_MAX: usize = 2;

/// Returns `text` with every character that could deceive replaced by `\u{…}`, and cut after
/// [`SHOWN_CHARS_MAX`] characters of the input.
///
/// Replaced: control characters, bidirectional and other format characters, zero width and blank
/// letters, line and paragraph separators, variation selectors, private use, and combining marks
/// beyond [`COMBINING_MAX`] in a row. `\` and `"` are doubled up, so that the result is
/// unambiguous between quotes.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut combining: usize = 0;
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN_CHARS_MAX {
            out.push('…');
            break;
        }
        combining = if is_combining(c) {
            combining.saturating_add(1)
        } else {
            0
        };
        if matches!(c, '\\' | '"') {
            out.push('\\');
            out.push(c);
        } else if is_deceiving(c) || combining > COMBINING_MAX {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns [`shown`] text between double quotes: the frame that marks foreign words.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

/// Returns a printed JSON document with the same meaning and nothing in it that could deceive.
///
/// Such characters stand in its strings only; they become `\uXXXX`, in UTF-16 as JSON has it (RFC
/// 8259 section 7). Line breaks between fields stay.
#[must_use]
pub fn json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        if c != '\n' && is_deceiving(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether `c` is drawn over the character before it: it takes no column and is not replaced anyway.
fn is_combining(c: char) -> bool {
    c.width() == Some(0) && !is_deceiving(c)
}

#[cfg(test)]
mod tests {
    use super::{COMBINING_MAX, SHOWN_CHARS_MAX, json, quoted, shown};

    #[test]
    fn deceiving_characters_become_visible_escapes() {
        for (input, expected) in [
            ("Hanako Yamada", "Hanako Yamada"),
            ("山田　花子", "山田　花子"),
            ("Łukasz Żak é", "Łukasz Żak é"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\u{9b}2Jb", "a\\u{9b}2Jb"),
            (
                "a\rb\nc\td\0e\u{7f}",
                "a\\u{d}b\\u{a}c\\u{9}d\\u{0}e\\u{7f}",
            ),
            ("\u{202e}005,2 YPJ", "\\u{202e}005,2 YPJ"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            (
                "a\u{200b}b\u{200d}c\u{feff}",
                "a\\u{200b}b\\u{200d}c\\u{feff}",
            ),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            (
                "\u{3164}\u{ffa0}\u{2800}\u{115f}",
                "\\u{3164}\\u{ffa0}\\u{2800}\\u{115f}",
            ),
            ("\u{e0041}\u{fe0f}\u{e000}", "\\u{e0041}\\u{fe0f}\\u{e000}"),
            ("say \"yes\" \\u{41}", "say \\\"yes\\\" \\\\u{41}"),
        ] {
            assert_eq!(shown(input), expected);
        }
    }

    #[test]
    fn a_pile_of_combining_marks_is_flattened() {
        let two = format!("e{}", "\u{301}".repeat(COMBINING_MAX));
        assert_eq!(shown(&two), two);
        let three = format!("{two}\u{301}");
        assert_eq!(shown(&three), format!("{two}\\u{{301}}"));
    }

    #[test]
    fn marks_of_every_script_count_as_combining_and_spacing_letters_do_not() {
        for mark in [
            '\u{301}',
            '\u{488}',
            '\u{5c1}',
            '\u{670}',
            '\u{6d6}',
            '\u{730}',
            '\u{941}',
            '\u{e34}',
            '\u{eb4}',
            '\u{1037}',
            '\u{1dfd}',
            '\u{20dd}',
            '\u{302a}',
            '\u{3099}',
            '\u{a66f}',
            '\u{fe20}',
            '\u{10376}',
            '\u{1d167}',
            '\u{1e8d0}',
        ] {
            let two = format!("e{mark}{mark}");
            assert_eq!(shown(&two), two);
            let third = format!("{two}\\u{{{:x}}}", u32::from(mark));
            assert_eq!(shown(&format!("{two}{mark}")), third);
        }
        for text in [
            "がぎぐ",
            "ｶﾞﾞﾞ",
            "हिन्दी",
            "ภาษาที่นี่",
            "한국어",
            "\u{1112}\u{1161}\u{11ab}",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn text_is_cut_after_the_limit_with_a_mark() {
        let exact = "x".repeat(SHOWN_CHARS_MAX);
        assert_eq!(shown(&exact), exact);
        assert_eq!(shown(&format!("{exact}y")), format!("{exact}…"));
    }

    #[test]
    fn a_document_says_the_same_in_harmless_characters() {
        let value = serde_json::json!({ "note": "a\u{202e}\u{9b}b\u{e0041}\n\u{1b}山田" });
        let printed = json(&format!("{value:#}"));
        assert_eq!(
            printed,
            "{\n  \"note\": \"a\\u202e\\u009bb\\udb40\\udc41\\n\\u001b山田\"\n}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&printed).unwrap(),
            value
        );
    }

    #[test]
    fn foreign_words_stand_between_quotes_they_cannot_close() {
        assert_eq!(quoted("a\" b"), "\"a\\\" b\"");
    }
}
