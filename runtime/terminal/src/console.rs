//! The terminal window: results on stdout, talk on stderr, questions only where somebody reads.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one module that prints"
)]

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{QueueSelector, tcflush};
use terminal::consent;
use terminal::escape;
use terminal::lang::Lang;
use terminal::report::Report;
use terminal::ui::{Answer, Person};

/// Longest answer in bytes that is read; the rest of the line is not.
const ANSWER_LEN_MAX: u64 = 64;

/// The person at this process's standard streams.
#[derive(Debug)]
pub(crate) struct Console;

impl Console {
    /// Prints the report: one document on stdout with `--json`, else lines; a failure for a person
    /// on stderr in both.
    pub(crate) fn print(&self, report: &Report, json: bool, lang: Lang) {
        if json {
            println!("{}", escape::json(&format!("{:#}", report.document(lang))));
        } else {
            for line in &report.lines {
                println!("{line}");
            }
        }
        for line in report.failure_lines(lang) {
            talk(&line);
        }
    }
}

/// One line on stderr. A window that is closed or full by now must not end a run that may be moving
/// money: what matters is in the journal and in the exit status.
fn talk(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

impl Person for Console {
    fn tell(&mut self, line: &str) {
        talk(line);
    }

    fn ask(&mut self, question: &str) -> Answer {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Answer::Nobody;
        }
        // What was typed or pasted before the question is no answer to it.
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        eprint!("{question}");
        if io::stderr().flush().is_err() {
            return Answer::Nobody;
        }
        let mut line = Vec::new();
        let read = io::stdin()
            .lock()
            .take(ANSWER_LEN_MAX)
            .read_until(b'\n', &mut line);
        match read {
            Ok(_) if consent::is_yes(&String::from_utf8_lossy(&line)) => Answer::Yes,
            Ok(_) | Err(_) => Answer::No,
        }
    }
}
