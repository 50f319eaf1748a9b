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
        (Command::AskBank { .. }, BeforeCommit) => reach!("store::ask-bank::before-commit"),
        (Command::AskBank { .. }, AfterCommit) => reach!("store::ask-bank::after-commit"),
        (Command::BankAnswered { .. }, BeforeCommit) => {
            reach!("store::bank-answered::before-commit");
        }
        (Command::BankAnswered { .. }, AfterCommit) => reach!("store::bank-answered::after-commit"),
        (Command::ShowReceipt { .. }, BeforeCommit) => reach!("store::show-receipt::before-commit"),
        (Command::ShowReceipt { .. }, AfterCommit) => reach!("store::show-receipt::after-commit"),
        (Command::ReportLost { .. }, BeforeCommit) => reach!("store::report-lost::before-commit"),
        (Command::ReportLost { .. }, AfterCommit) => reach!("store::report-lost::after-commit"),
        (Command::PayOut { .. }, BeforeCommit) => reach!("store::pay-out::before-commit"),
        (Command::PayOut { .. }, AfterCommit) => reach!("store::pay-out::after-commit"),
        (Command::CloseInDoubt(_), BeforeCommit) => reach!("store::close::before-commit"),
        (Command::CloseInDoubt(_), AfterCommit) => reach!("store::close::after-commit"),
        (Command::ResolveCase(_), BeforeCommit) => reach!("store::resolve::before-commit"),
        (Command::ResolveCase(_), AfterCommit) => reach!("store::resolve::after-commit"),
        (Command::BlockCard { .. }, BeforeCommit) => reach!("store::block-card::before-commit"),
        (Command::BlockCard { .. }, AfterCommit) => reach!("store::block-card::after-commit"),
    }
}
