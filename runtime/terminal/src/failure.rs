//! What a command reports when it did not do what was asked.

use core::fmt;

use crate::codes::{self, Explanation};
use crate::escape;

/// A failure as a person meets it: a stable code, and perhaps facts that only this case has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The stable code, `E_…`.
    pub code: &'static str,
    /// Facts of this case, already safe to show; never secrets, never whole foreign texts.
    pub detail: Option<String>,
    /// The row whose words and exit status apply when the table has none for `code`.
    fallback: &'static str,
}

impl Failure {
    /// A failure that its code describes fully.
    #[must_use]
    pub const fn new(code: &'static str) -> Self {
        Self {
            code,
            detail: None,
            fallback: "E_FAILED",
        }
    }

    /// A failure with facts of the case; `detail` is escaped here.
    #[must_use]
    pub fn with(code: &'static str, detail: impl fmt::Display) -> Self {
        Self {
            detail: Some(escape::shown(&detail.to_string())),
            ..Self::new(code)
        }
    }

    /// The same failure, explained by the row of `fallback` if `code` has no row of its own.
    ///
    /// For codes that come from a part which may learn new ones, such as the sandbox.
    #[must_use]
    pub fn or_as(self, fallback: &'static str) -> Self {
        Self { fallback, ..self }
    }

    /// The words and the exit status of this failure.
    ///
    /// # Panics
    /// If a fallback named in this crate is not in the table: our bug, held by a test.
    #[must_use]
    pub fn explanation(&self) -> &'static Explanation {
        codes::explain(self.code)
            .or_else(|| codes::explain(self.fallback))
            .expect("the fallback codes are rows of the table")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{} ({detail})", self.code),
            None => f.write_str(self.code),
        }
    }
}

impl core::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::Failure;
    use crate::exit::Exit;

    #[test]
    fn a_code_without_words_of_its_own_is_explained_by_its_fallback() {
        let failure = Failure::new("E_FUEL").or_as("E_POLICY");
        assert_eq!(failure.code, "E_FUEL");
        assert_eq!(failure.explanation().exit, Exit::NotValid);
        assert_eq!(Failure::new("E_NEW").explanation().exit, Exit::Failed);
    }

    #[test]
    fn details_are_escaped() {
        let failure = Failure::with("E_INPUT", "a\u{1b}[2J");
        assert_eq!(failure.detail.as_deref(), Some("a\\u{1b}[2J"));
    }
}
