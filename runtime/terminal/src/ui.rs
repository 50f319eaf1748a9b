//! How the library talks to a person, without knowing what is on the other side.

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes, said as such.
    Yes,
    /// No, silence, or anything else.
    No,
    /// There is nobody to ask.
    Nobody,
}

/// A person, or the place where one would be.
pub trait Person {
    /// Shows one line of talk.
    fn tell(&mut self, line: &str);

    /// Asks a question whose default answer is no.
    fn ask(&mut self, question: &str) -> Answer;
}
