//! The terminal window: results on stdout, talk on stderr, questions only where somebody reads.
#![expect(clippy::print_stderr, reason = "the one module that prints")]

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{QueueSelector, tcflush};
use terminal::consent;
use terminal::escape;
use terminal::exit::Exit;
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
    /// on stderr in both. Returns the exit status: the report's, unless the result could not be written.
    pub(crate) fn print(&self, report: &Report, json: bool, lang: Lang) -> u8 {
        let mut text = String::new();
        if json {
            text = escape::json(&format!("{:#}\n", report.document(lang)));
        } else {
            for line in &report.lines {
                text.push_str(line);
                text.push('\n');
            }
        }
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        for line in report.failure_lines(lang) {
            talk(&line);
        }
        match written {
            // Whoever reads has seen enough (`| head`).
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                talk(&format!("standard output: {error}"));
                report.exit().status().max(Exit::Failed.status())
            }
            Ok(()) | Err(_) => report.exit().status(),
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
