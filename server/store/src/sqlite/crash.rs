//! Where tests end the process around the commit of a command; nothing of it is in what is shipped.

use crashpoint::reach;
use ledger::Command;

/// On which side of the commit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// All is written, nothing of it stays.
    BeforeCommit,
    /// It is on the disk, and nobody has heard of it.
    AfterCommit,
}

use Moment::{AfterCommit, BeforeCommit};

/// The places of one command.
pub(super) fn reach(command: &Command, moment: Moment) {
    match (command, moment) {
        (Command::Transfer { .. }, BeforeCommit) => reach!("store::transfer::before-commit"),
        (Command::Transfer { .. }, AfterCommit) => reach!("store::transfer::after-commit"),
        (Command::PlaceOrder(_), BeforeCommit) => reach!("store::place-order::before-commit"),
        (Command::PlaceOrder(_), AfterCommit) => reach!("store::place-order::after-commit"),
        (Command::Invite(_), BeforeCommit) => reach!("store::invite::before-commit"),
        (Command::Invite(_), AfterCommit) => reach!("store::invite::after-commit"),
        (Command::BindInvitation(_), BeforeCommit) => reach!("store::bind::before-commit"),
        (Command::BindInvitation(_), AfterCommit) => reach!("store::bind::after-commit"),
        (Command::Revise(_), BeforeCommit) => reach!("store::revise::before-commit"),
        (Command::Revise(_), AfterCommit) => reach!("store::revise::after-commit"),
        (Command::Cancel { .. }, BeforeCommit) => reach!("store::cancel::before-commit"),
        (Command::Cancel { .. }, AfterCommit) => reach!("store::cancel::after-commit"),
        (Command::Expire { .. }, BeforeCommit) => reach!("store::expire::before-commit"),
        (Command::Expire { .. }, AfterCommit) => reach!("store::expire::after-commit"),
        (Command::Decide(_), BeforeCommit) => reach!("store::decide::before-commit"),
        (Command::Decide(_), AfterCommit) => reach!("store::decide::after-commit"),
        (Command::Settle(_), BeforeCommit) => reach!("store::settle::before-commit"),
        (Command::Settle(_), AfterCommit) => reach!("store::settle::after-commit"),
        // the server is killed while a bank that takes its time is asked: tests/tests/bank.rs
        (Command::AskBank { .. } | Command::BankAnswered { .. }, BeforeCommit | AfterCommit) => {}
        (Command::ShowReceipt { .. }, BeforeCommit) => reach!("store::show-receipt::before-commit"),
        (Command::ShowReceipt { .. }, AfterCommit) => reach!("store::show-receipt::after-commit"),
        // by an officer at the command line, who sees how it ended and repeats it
        (
            Command::ReportLost { .. }
            | Command::PayOut { .. }
            | Command::CloseInDoubt(_)
            | Command::ResolveCase(_),
            BeforeCommit | AfterCommit,
        ) => {}
        (Command::BlockCard { .. }, BeforeCommit) => reach!("store::block-card::before-commit"),
        (Command::BlockCard { .. }, AfterCommit) => reach!("store::block-card::after-commit"),
    }
}
