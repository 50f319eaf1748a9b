//! `tegata`: reads flags and surroundings, calls the library, prints the report.

mod args;
mod console;
mod suite;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use jiff::tz::TimeZone;
use terminal::failure::Failure;
use terminal::lang::Lang;
use terminal::report::Report;
use terminal::terminal::{RUNNER, Surroundings, Terminal};
use terminal::{cards, doctor, inspect, log_command, open, receipts, trust_command};

use crate::args::{Args, Command, ConformanceArgs, LogCommand, TrustCommand};
use crate::console::Console;

fn main() -> ExitCode {
    // The sandbox's own process: it takes its rights from itself before anything else happens.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == RUNNER) {
        return sandbox::runner_main(&arguments.collect::<Vec<_>>());
    }
    let args = Args::parse();
    // One TLS provider, chosen before the first connection; a second call would be refused.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let lang = language(&args);
    let mut console = Console;
    if let Command::Conformance(conformance) = &args.command {
        let report = judge(conformance, lang, &mut console);
        return ExitCode::from(console.print(&report, args.json, lang));
    }
    let report = surroundings(&args, lang)
        .and_then(|around| Terminal::open_state(around, &mut console))
        .map_or_else(
            |failure| Report::new(args.command.name()).failed(failure),
            |mut terminal| perform(&mut terminal, &args.command),
        );
    ExitCode::from(console.print(&report, args.json, lang))
}

fn perform(terminal: &mut Terminal<'_>, command: &Command) -> Report {
    match command {
        Command::Open(args) => match args.request() {
            Ok(request) => open::open(terminal, &request),
            Err(failure) => Report::new(command.name()).failed(failure),
        },
        Command::Inspect { file } => {
            inspect::inspect(terminal, &terminal::input::Source::from_argument(file))
        }
        Command::Cards => cards::cards(terminal),
        Command::Doctor => doctor::doctor(terminal),
        Command::Receipt { which } => receipts::receipt(terminal, which.as_deref()),
        Command::Log {
            command: None,
            last,
        } => log_command::list(terminal, *last),
        Command::Log {
            command: Some(LogCommand::Verify),
            ..
        } => log_command::verify(terminal),
        Command::Trust {
            command: TrustCommand::Add(args),
        } => trust_command::add(terminal, &args.request()),
        Command::Trust {
            command: TrustCommand::List,
        } => trust_command::list(terminal),
        Command::Trust {
            command: TrustCommand::Show { name },
        } => trust_command::show(terminal, name),
        Command::Trust {
            command: TrustCommand::Remove { name },
        } => trust_command::remove(terminal, name),
        Command::Trust {
            command: TrustCommand::ResetTime { name },
        } => trust_command::reset_time(terminal, name),
        // Handled before anything else is set up.
        Command::Conformance(_) => Report::new(command.name()),
    }
}

/// The suite has a state folder of its own; the person's is not even opened.
fn judge(args: &ConformanceArgs, lang: Lang, person: &mut Console) -> Report {
    match executable() {
        Ok(executable) => {
            let options = conformance::Options {
                executable,
                now: unix_now(),
                only: args.only(),
                time_max: Duration::from_millis(args.time_max),
                full: args.full,
            };
            suite::run(&options, args.form(), lang, person)
        }
        Err(failure) => Report::new("conformance").failed(failure),
    }
}

fn executable() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::with("E_RUNNER", error))
}

fn surroundings(args: &Args, lang: Lang) -> Result<Surroundings, Failure> {
    Ok(Surroundings {
        state: args.state_dir()?,
        lang,
        clock: unix_now,
        zone: TimeZone::system(),
        walls: args.walls(),
        executable: executable()?,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the terminal reads the clock"
)]
fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// `--lang`, else the locale of the environment, in the order that POSIX gives its variables.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the locale is read"
)]
fn language(args: &Args) -> Lang {
    let locale = || {
        ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
    };
    let text = args.lang.map(|lang| lang.name().to_owned()).or_else(locale);
    Lang::from_locale(&text.unwrap_or_default())
}
