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
    /// The code of the row whose words and exit status apply.
    row: &'static str,
}

/// The row for codes that have none, not even by kinship.
const UNKNOWN: &str = "E_FAILED";

impl Failure {
    /// A failure that its code describes fully.
    #[must_use]
    pub const fn new(code: &'static str) -> Self {
        Self {
            code,
            detail: None,
            row: code,
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

    /// The same failure in the words of another row, if `code` has no row of its own.
    ///
    /// For codes that come from a part which may learn new ones, such as a reader.
    #[must_use]
    pub fn or_as(self, row: &'static str) -> Self {
        if codes::explain(self.code).is_some() {
            self
        } else {
            self.told_as(row)
        }
    }

    /// The same failure in the words of another row.
    ///
    /// For a code that means something else where it comes from than it does in the table.
    #[must_use]
    pub const fn told_as(mut self, row: &'static str) -> Self {
        self.row = row;
        self
    }

    /// The words and the exit status of this failure.
    ///
    /// # Panics
    /// If the row for unknown codes is not in the table: our bug, held by a test.
    #[must_use]
    pub fn explanation(&self) -> &'static Explanation {
        codes::explain(self.row)
            .or_else(|| codes::explain(UNKNOWN))
            .expect("the row for unknown codes is in the table")
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
