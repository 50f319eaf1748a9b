//! `tegata-card`: makes, shows and plugs in the emulated card.

use std::io::{self, Write};
use std::process::ExitCode;

use card_app::Arguments;
use clap::Parser;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match card_app::run(
        &arguments,
        &mut UntilClosed(io::stdout().lock()),
        &mut io::stderr().lock(),
    ) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when stderr is closed too.
            drop(writeln!(io::stderr(), "tegata-card: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A writer whose reader may leave, as in `| head`: what is written then is nobody's.
struct UntilClosed<W>(W);

fn unless_closed<T>(written: io::Result<T>, then: T) -> io::Result<T> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(then),
        written => written,
    }
}

impl<W: Write> Write for UntilClosed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_closed(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_closed(self.0.flush(), ())
    }
}
