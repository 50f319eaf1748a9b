//! What one command leaves in the run log.

use program::VerifiedProgram;
use sandbox::{Call, Spent};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::begun::{Begun, Interrupted};
use crate::consent;
use crate::escape;
use crate::failure::Failure;
use crate::hex;
use crate::report::Report;
use crate::roots::NewRoot;
use crate::terminal::Terminal;

/// The functions that a program may call; the same for every kind.
const GRANTED: [&str; 2] = ["reader.transmit", "network.exchange"];

/// One record in the making. Sizes, hashes, ids and outcomes; never the content of a call.
#[derive(Debug)]
pub struct Record {
    fields: Map<String, Value>,
    begun: Option<Begun>,
}

impl Record {
    /// A record of `command`, begun at the Unix time `now`.
    #[must_use]
    pub fn new(command: &'static str, now: u64) -> Self {
        let mut record = Self {
            fields: Map::new(),
            begun: None,
        };
        record.set("command", command);
        record.set("at", consent::utc(now));
        record
    }

    /// A record of `command` that is written even if this process is killed: then by whoever comes next. Tells
    /// of those before it that were.
    ///
    /// # Errors
    /// `E_STATE`: there is no place for the record.
    pub fn begin(
        command: &'static str,
        terminal: &mut Terminal<'_>,
        report: &mut Report,
    ) -> Result<Self, Failure> {
        let mut record = Self::new(command, terminal.now);
        let (begun, interrupted) = terminal.log.begin(&record.fields, terminal.now)?;
        record.begun = Some(begun);
        tell(terminal, report, interrupted);
        Ok(record)
    }

    /// Notes durably what is known so far, in case this process is killed.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn note(&mut self) -> Result<(), Failure> {
        match &mut self.begun {
            Some(begun) => begun.write(&self.fields),
            None => Ok(()),
        }
    }

    /// Adds or replaces a field.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    /// Notes which bytes were opened, before anything is known about them.
    pub fn file(&mut self, bytes: &[u8]) {
        self.set("file_sha256", hex::encode(&Sha256::digest(bytes)));
        self.set("file_len", bytes.len());
    }

    /// Notes what a verified program is.
    pub fn program(&mut self, program: &VerifiedProgram) {
        let order = program.order();
        self.set("issuer", order.issuer.as_str());
        self.set("remittance", hex::id(&order.remittance));
        self.set("revision", order.revision);
        self.set("kind", order.kind.name());
        self.set("template_sha256", hex::encode(&order.template_hash));
        self.set("key", hex::encode(&program.key_id()));
    }

    /// Notes what a program was granted and each of its calls: function, bytes sent, bytes received or
    /// the name of the error; and what the run took.
    pub fn run(&mut self, calls: &[Call], spent: Option<Spent>) {
        self.set("granted", json!(GRANTED));
        if let Some(Spent { fuel, time }) = spent {
            let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            self.set("fuel", fuel);
            self.set("time_ms", time);
        }
        let calls: Vec<Value> = calls
            .iter()
            .map(|call| match call.answer {
                Ok(received) => json!([call.function, call.sent, received]),
                Err(name) => json!([call.function, call.sent, name]),
            })
            .collect();
        self.set("calls", calls);
    }

    /// Closes the record with the report's outcome and appends it to the log.
    ///
    /// A log that cannot be written does not undo what happened: the report says so as a fact,
    /// and the person is told.
    #[must_use]
    pub fn close(mut self, terminal: &mut Terminal<'_>, mut report: Report) -> Report {
        self.set("outcome", report.outcome);
        self.set("exit", report.exit().status());
        if let Some(failure) = &report.failure {
            self.set("code", failure.code);
        }
        for (name, value) in &report.facts {
            if ["consent", "basis", "fingerprint", "issuer"].contains(&name.as_str()) {
                self.fields.insert(name.clone(), value.clone());
            }
        }
        if !terminal.new_roots.is_empty() {
            let new = terminal.new_roots.iter().map(NewRoot::document);
            let new: Vec<Value> = new.collect();
            self.set("new_roots", new.clone());
            report.fact("new_roots", new);
        }
        let written = match &self.begun {
            Some(begun) => terminal.log.close(begun, self.fields),
            None => terminal.log.append(self.fields),
        };
        if let Err(failure) = written {
            report.fact("log", failure.to_string());
            terminal.tell(
                &format!("This command could not be written to the run log ({failure})."),
                &format!("このコマンドを実行ログに記録できませんでした({failure})。"),
            );
        }
        report
    }
}

/// Names the openings that were cut off, and in the document their records.
fn tell(terminal: &mut Terminal<'_>, report: &mut Report, interrupted: Interrupted) {
    if interrupted.is_empty() {
        return;
    }
    for record in &interrupted {
        let field = |name| match record.get(name) {
            Some(Value::String(text)) => escape::shown(text),
            _ => "-".to_owned(),
        };
        let (at, id) = (field("at"), field("remittance"));
        terminal.tell(
            &format!("The opening of {at} (remittance {id}) was cut off; the run log says so now."),
            &format!("{at} の処理 (送金 {id}) は途中で途切れました。実行ログに記録しました。"),
        );
    }
    let records: Vec<_> = interrupted.into_iter().map(Value::Object).collect();
    report.fact("interrupted", records);
}
