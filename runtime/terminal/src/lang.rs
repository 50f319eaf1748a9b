//! The two languages of the terminal.

/// A language in which the terminal talks to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// English, also the choice for any language not listed here.
    En,
    /// Japanese.
    Ja,
}

impl Lang {
    /// The language of a `--lang` value or of a POSIX locale name such as `ja_JP.UTF-8`.
    ///
    /// Only the part before `_`, `-`, `.` and `@` counts; everything but `ja` is English.
    #[must_use]
    pub fn from_locale(locale: &str) -> Self {
        let language = locale
            .split(['_', '-', '.', '@'])
            .next()
            .unwrap_or_default();
        if language.eq_ignore_ascii_case("ja") {
            Self::Ja
        } else {
            Self::En
        }
    }

    /// Picks the text of this language.
    #[must_use]
    pub fn pick<'a>(self, en: &'a str, ja: &'a str) -> &'a str {
        match self {
            Self::En => en,
            Self::Ja => ja,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lang;

    #[test]
    fn japanese_locales_are_japanese_and_all_others_english() {
        for (locale, lang) in [
            ("ja", Lang::Ja),
            ("ja_JP.UTF-8", Lang::Ja),
            ("JA-jp", Lang::Ja),
            ("en_GB", Lang::En),
            ("C.UTF-8", Lang::En),
            ("jav", Lang::En),
            ("", Lang::En),
        ] {
            assert_eq!(Lang::from_locale(locale), lang, "{locale}");
        }
    }
}
