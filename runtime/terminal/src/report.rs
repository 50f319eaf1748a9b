//! What a command reports: one JSON document, or lines for a person.

use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::lang::Lang;

/// Version of every JSON document; fields may be added under the same number.
pub const VERSION: u32 = 1;

/// The result of one command.
#[derive(Debug, Clone)]
pub struct Report {
    /// The command, as in the document's field `tegata`.
    pub command: &'static str,
    /// One word for how it ended.
    pub outcome: &'static str,
    /// The failure, if it failed.
    pub failure: Option<Failure>,
    /// Facts of this command, in the order in which they are shown in JSON.
    pub facts: Map<String, Value>,
    /// The same for a person: the lines of the result.
    pub lines: Vec<String>,
}

impl Report {
    /// A report without facts yet.
    #[must_use]
    pub fn new(command: &'static str) -> Self {
        Self {
            command,
            outcome: "done",
            failure: None,
            facts: Map::new(),
            lines: Vec::new(),
        }
    }

    /// Adds or replaces a fact.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }

    /// Ends the report with a failure.
    #[must_use]
    pub fn failed(self, failure: Failure) -> Self {
        let outcome = match failure.explanation().exit {
            Exit::Declined => "declined",
            Exit::InDoubt => "in-doubt",
            Exit::Refused => "refused",
            Exit::Done
            | Exit::Failed
            | Exit::Usage
            | Exit::NotValid
            | Exit::Untrusted
            | Exit::Card
            | Exit::Unavailable => "failed",
        };
        Self {
            outcome,
            failure: Some(failure),
            ..self
        }
    }

    /// The exit status.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.failure
            .as_ref()
            .map_or(Exit::Done, |failure| failure.explanation().exit)
    }

    /// The one JSON document of the command.
    #[must_use]
    pub fn document(&self, lang: Lang) -> Value {
        let mut document = Map::new();
        document.insert("tegata".to_owned(), self.command.into());
        document.insert("version".to_owned(), VERSION.into());
        document.insert("outcome".to_owned(), self.outcome.into());
        document.insert("exit".to_owned(), self.exit().status().into());
        if let Some(failure) = &self.failure {
            let row = failure.explanation();
            document.insert("code".to_owned(), failure.code.into());
            document.insert("message".to_owned(), row.what(lang).into());
            document.insert("next".to_owned(), row.next(lang).into());
            document.insert("detail".to_owned(), json!(failure.detail));
        }
        document.extend(self.facts.clone());
        Value::Object(document)
    }

    /// What a person is told about the failure: what happened, the code, what to do next.
    #[must_use]
    pub fn failure_lines(&self, lang: Lang) -> Vec<String> {
        let Some(failure) = &self.failure else {
            return Vec::new();
        };
        let row = failure.explanation();
        let code = match &failure.detail {
            Some(detail) => format!("code {}: {detail}", failure.code),
            None => format!("code {}", failure.code),
        };
        vec![row.what(lang).to_owned(), code, row.next(lang).to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::failure::Failure;
    use crate::lang::Lang;

    #[test]
    fn a_failure_is_told_in_three_lines() {
        let report = Report::new("open").failed(Failure::with("E_INPUT", "x: no such file"));
        assert_eq!(
            report.failure_lines(Lang::En),
            [
                "The file could not be read.",
                "code E_INPUT: x: no such file",
                "Check the path; a pipe is read with `-`."
            ]
        );
    }

    #[test]
    fn the_document_names_command_version_outcome_and_exit() {
        let mut report = Report::new("open").failed(Failure::new("E_DECLINED"));
        report.fact("remittance", "x");
        assert_eq!(
            report.document(Lang::En).to_string(),
            r#"{"code":"E_DECLINED","detail":null,"exit":3,"message":"You declined; nothing was sent and nothing ran.","next":"Open the program again if you change your mind, until it expires.","outcome":"declined","remittance":"x","tegata":"open","version":1}"#
        );
    }
}
