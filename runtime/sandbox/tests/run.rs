//! Programs run in a real child process.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use sandbox::{
    Deadlines, Effects, NetworkError, ReaderError, RunError, Runner, RunnerCommand, admit,
};
use support::{Guest, verified};

/// Plays card and issuer from lists, and writes down what reached them.
#[derive(Default)]
struct Scripted {
    commands: Vec<Vec<u8>>,
    requests: Vec<Vec<u8>>,
}

impl Effects for Scripted {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.commands.push(command.to_vec());
        Ok(vec![4, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x90, 0x00])
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NetworkError> {
        self.requests.push(request.to_vec());
        Ok(request.iter().rev().copied().collect())
    }
}

fn command() -> RunnerCommand {
    let test = std::env::current_exe().expect("a test is a file");
    let target = test
        .parent()
        .and_then(std::path::Path::parent)
        .expect("target/debug/deps");
    RunnerCommand {
        program: target.join("examples").join("runner"),
        args: Vec::new(),
        deadlines: Deadlines::default(),
    }
}

fn run(guest: &Guest, effects: &mut Scripted) -> Result<Vec<u8>, RunError> {
    let admitted = admit(verified(guest.template())).expect("admitted");
    Runner::spawn(admitted, &command())
        .expect("started")
        .run(effects)
}

#[test]
fn a_program_returns_its_receipt() {
    let receipt = run(&Guest::done(), &mut Scripted::default());
    assert_eq!(receipt.expect("a receipt"), b"done");
}
