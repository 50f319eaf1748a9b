//! kill -9 at every journal and commit point of terminal, card file and server, each by a failpoint of
//! its own; then restart and resume: the money adds up and the person comes to the same end.

mod address;
mod debit;
mod decide;
mod many;
mod office;
mod plain;
mod redeem;
mod restore;
mod webhooks;

use anyhow::{Context, Result, ensure};
use std::{collections::BTreeSet, fs, path::Path, process::Stdio};
use tests::{
    processes::{Server, armed, was_killed},
    world::{Balances, Opened, SENDER_START, World, text},
};

/// How a point is reached, and what must be so afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// `tegata open` dies at these passes of the point.
    Open(&'static [u32]),
    /// It dies while it sends the proof of an earlier run again.
    Resend,
    /// The server dies while a card is being credited.
    Redeem,
    /// The server dies while it takes an order.
    Order,
    /// The server dies while it takes an order back.
    Cancel,
    /// The server dies while it returns what expired.
    Expire,
    /// The server dies while a mail goes out: this many arrive in the end, all of them equal.
    Mail(usize),
    /// The server dies while it notes that a mail did not go out.
    MailFailed,
    /// `account fund` dies.
    Fund,
    /// `card block` dies; afterwards the card has this status.
    Block(&'static str),
    /// `card issue` dies.
    Issue,
    /// `holder add` dies; this many holders are new afterwards.
    Holder(usize),
    /// `holder token add` or `holder token revoke` dies.
    Token,
    /// `webhook add` dies.
    Register,
    /// The server dies while an endpoint is told: it hears of it so many times, under one id.
    Webhook(usize),
    /// The server dies before it serves.
    Start,
    /// `keys rotate` dies; this many keys are new afterwards.
    Rotate(usize),
    /// `keys revoke` dies.
    Revoke,
    /// `restore` dies.
    Restore,
    /// `order receipt` dies; afterwards the order has this status.
    Receipt(&'static str),
    /// `order revise` dies; afterwards the order has this revision.
    Revise(u32),
    /// The server dies while it holds an order for an address.
    Invite,
    /// The server dies after it mailed an invitation.
    InvitationMail,
    /// The server dies after it mailed the code for an address.
    CodeMail,
    /// The server dies while it makes a remittance of an invitation.
    Bind,
    /// `officer add` dies.
    Officer,
    /// `officer remove` dies.
    Withdraw,
    /// `officer window` dies.
    Window,
    /// `reconcile close` dies.
    Close,
    /// `card lost`, `card payout` or `reconcile resolve` dies.
    Lost,
    /// The server dies around the bank's word.
    Bank,
    /// The server dies while it seals the audit log.
    Seal,
    /// `holder email --set` dies.
    Asked,
}

/// The commands to the card of a plain redemption, by their numbers.
const APDUS: &[u32] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// Every failpoint of the code, and the story that reaches it.
const POINTS: &[(&str, Story)] = &[
    ("terminal::entry::before-write", Story::Open(&[1])),
    ("terminal::entry::after-write", Story::Open(&[1])),
    // Each exchange, and each command to the card.
    (
        "terminal::exchange::before-send",
        Story::Open(&[1, 2, 3, 4]),
    ),
    (
        "terminal::exchange::after-answer",
        Story::Open(&[1, 2, 3, 4]),
    ),
    ("terminal::apdu::before", Story::Open(APDUS)),
    ("terminal::apdu::after", Story::Open(APDUS)),
    ("card-reader::commit::before-write", Story::Open(&[1])),
    ("card-reader::commit::after-write", Story::Open(&[1])),
    ("terminal::request::before-write", Story::Open(&[1])),
    ("terminal::request::after-write", Story::Open(&[1])),
    ("terminal::receipt::before-write", Story::Open(&[1])),
    ("terminal::receipt::after-write", Story::Open(&[1])),
    ("terminal::settle::before-write", Story::Open(&[1])),
    ("terminal::settle::after-write", Story::Open(&[1])),
    // That an opening has begun, and with which program.
    ("terminal::begun::before-write", Story::Open(&[1, 2])),
    ("terminal::begun::after-write", Story::Open(&[1, 2])),
    ("terminal::begun::before-remove", Story::Open(&[1])),
    ("terminal::begun::after-remove", Story::Open(&[1])),
    ("terminal::log-record::before-write", Story::Open(&[1])),
    ("terminal::log-record::after-write", Story::Open(&[1])),
    // Entry, request, receipt, the entry again, and the head of the run log; the very first time what
    // the issuer told, too.
    (
        "terminal::state-file::before-rename",
        Story::Open(&[1, 2, 3, 4, 5]),
    ),
    ("terminal::resend::before-send", Story::Resend),
    ("terminal::resend::after-answer", Story::Resend),
    ("store::decide::before-commit", Story::Redeem),
    ("store::decide::after-commit", Story::Redeem),
    ("store::settle::before-commit", Story::Redeem),
    ("store::settle::after-commit", Story::Redeem),
    ("store::place-order::before-commit", Story::Order),
    ("store::place-order::after-commit", Story::Order),
    ("store::revise::before-commit", Story::Revise(0)),
    ("store::revise::after-commit", Story::Revise(1)),
    ("store::cancel::before-commit", Story::Cancel),
    ("store::cancel::after-commit", Story::Cancel),
    ("store::expire::before-commit", Story::Expire),
    ("store::expire::after-commit", Story::Expire),
    ("store::add-officer::before-commit", Story::Officer),
    ("store::add-officer::after-commit", Story::Officer),
    ("store::withdraw-officer::before-commit", Story::Withdraw),
    ("store::withdraw-officer::after-commit", Story::Withdraw),
    ("store::settle-window::before-commit", Story::Window),
    ("store::settle-window::after-commit", Story::Window),
    ("store::close::before-commit", Story::Close),
    ("store::close::after-commit", Story::Close),
    ("store::report-lost::before-commit", Story::Lost),
    ("store::report-lost::after-commit", Story::Lost),
    ("store::pay-out::before-commit", Story::Lost),
    ("store::pay-out::after-commit", Story::Lost),
    ("store::resolve::before-commit", Story::Lost),
    ("store::resolve::after-commit", Story::Lost),
    ("store::ask-bank::before-commit", Story::Bank),
    ("store::ask-bank::after-commit", Story::Bank),
    ("store::bank-answered::before-commit", Story::Bank),
    ("store::bank-answered::after-commit", Story::Bank),
    ("store::log-append::before-commit", Story::Seal),
    ("issuer::log-append::after-commit", Story::Seal),
    ("store::note-keys::before-commit", Story::Rotate(1)),
    ("issuer::note-keys::after-commit", Story::Rotate(1)),
    ("store::request-address::before-commit", Story::Asked),
    ("issuer::request-address::after-commit", Story::Asked),
    ("store::invite::before-commit", Story::Invite),
    ("store::invite::after-commit", Story::Invite),
    ("store::bind::before-commit", Story::Bind),
    ("store::bind::after-commit", Story::Bind),
    ("issuer::invitation::handed-over", Story::InvitationMail),
    ("issuer::code::handed-over", Story::CodeMail),
    ("store::lease-mail::before-commit", Story::Mail(1)),
    ("store::lease-mail::after-commit", Story::Mail(1)),
    ("issuer::mail::handed-over", Story::Mail(2)),
    ("store::mail-sent::before-commit", Story::Mail(2)),
    ("store::mail-sent::after-commit", Story::Mail(1)),
    ("store::mail-failed::before-commit", Story::MailFailed),
    ("store::mail-failed::after-commit", Story::MailFailed),
    ("store::transfer::before-commit", Story::Fund),
    ("store::transfer::after-commit", Story::Fund),
    ("store::block-card::before-commit", Story::Block("active")),
    ("store::block-card::after-commit", Story::Block("blocked")),
    ("store::put-template::before-commit", Story::Start),
    ("store::put-template::after-commit", Story::Start),
    ("store::add-holder::before-commit", Story::Holder(0)),
    ("store::add-holder::after-commit", Story::Holder(1)),
    ("store::add-token::before-commit", Story::Token),
    ("store::add-token::after-commit", Story::Token),
    ("store::revoke-token::before-commit", Story::Token),
    ("store::revoke-token::after-commit", Story::Token),
    ("store::add-webhook::before-commit", Story::Register),
    ("store::add-webhook::after-commit", Story::Register),
    ("store::queue-deliveries::before-commit", Story::Webhook(1)),
    ("store::queue-deliveries::after-commit", Story::Webhook(1)),
    ("store::lease-deliveries::before-commit", Story::Webhook(1)),
    ("store::lease-deliveries::after-commit", Story::Webhook(1)),
    ("issuer::webhook::sent", Story::Webhook(2)),
    (
        "store::delivery-attempted::before-commit",
        Story::Webhook(2),
    ),
    ("store::delivery-attempted::after-commit", Story::Webhook(1)),
    ("store::begin-issue::before-commit", Story::Issue),
    ("store::begin-issue::after-commit", Story::Issue),
    ("store::finish-issue::before-commit", Story::Issue),
    ("store::finish-issue::after-commit", Story::Issue),
    ("issuer::new-file::before-rename", Story::Rotate(0)),
    ("issuer::new-file::after-rename", Story::Rotate(1)),
    ("issuer::file::before-rename", Story::Revoke),
    ("issuer::file::after-rename", Story::Revoke),
    ("issuer::restore::copied", Story::Restore),
    ("issuer::restore::marked", Story::Restore),
    ("issuer::restore::set-aside", Story::Restore),
    ("issuer::restore::replaced", Story::Restore),
    (
        "store::show-receipt::before-commit",
        Story::Receipt("recovering"),
    ),
    (
        "store::show-receipt::after-commit",
        Story::Receipt("credited"),
    ),
];

/// Which test tells a story; each is told by exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Card,
    Terminal,
    Server,
    Office,
    Revision,
    Mail,
    Restore,
    Address,
    Decision,
    Bank,
    Log,
    Asked,
    Webhook,
}

fn told(point: &str, story: Story) -> Told {
    match story {
        Story::Open(_) if point.contains("::apdu::") => Told::Card,
        Story::Open(_) | Story::Resend => Told::Terminal,
        Story::Redeem | Story::Order | Story::Cancel | Story::Expire => Told::Server,
        Story::Fund
        | Story::Block(_)
        | Story::Issue
        | Story::Holder(_)
        | Story::Token
        | Story::Start
        | Story::Rotate(_)
        | Story::Revoke => Told::Office,
        Story::Revise(_) => Told::Revision,
        Story::Mail(_) | Story::MailFailed => Told::Mail,
        Story::Restore | Story::Receipt(_) => Told::Restore,
        Story::Officer | Story::Withdraw | Story::Window | Story::Close | Story::Lost => {
            Told::Decision
        }
        Story::Bank => Told::Bank,
        Story::Seal => Told::Log,
        Story::Asked => Told::Asked,
        Story::Register | Story::Webhook(_) => Told::Webhook,
        Story::Invite | Story::InvitationMail | Story::CodeMail | Story::Bind => Told::Address,
    }
}

/// The points of one test.
fn points(by: Told) -> impl Iterator<Item = (&'static str, Story)> {
    let mine = move |(point, story): &(&'static str, Story)| told(point, *story) == by;
    POINTS.iter().copied().filter(mine)
}

/// Amount of each order, in JPY.
const AMOUNT: i64 = 100;

/// A world whose terminal trusts the server, which keeps its address when it is started again.
struct Desk {
    world: World,
    server: Option<Server>,
    address: String,
    /// Orders credited, and orders in escrow.
    credited: i64,
    escrow: i64,
    // Last: the others are dropped before their folder.
    _dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let world = World::new(dir.path())?;
        let server = world.serve()?;
        world.trust(&server)?;
        let address = server.base.trim_start_matches("http://").to_owned();
        Ok(Self {
            world,
            server: Some(server),
            address,
            credited: 0,
            escrow: 0,
            _dir: dir,
        })
    }

    fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("a server runs")
    }

    /// Orders under a key, and gives the order's view.
    fn order(&mut self, key: &str) -> Result<serde_json::Value> {
        let view = self.world.order(self.server()?, key, AMOUNT, None)?;
        self.escrow += 1;
        Ok(view)
    }

    /// Runs the server with an armed point until it has killed itself in `act`, and gives what `act`
    /// saw; no server runs afterwards.
    fn killed<T>(
        &mut self,
        point: &str,
        act: impl FnOnce(&Self, &Server) -> Result<T>,
    ) -> Result<T> {
        drop(self.server.take());
        let server = self
            .world
            .serve_armed(&self.address, &format!("{point}=return"))?;
        let seen = act(self, &server)?;
        server.wait_for_kill().with_context(|| point.to_owned())?;
        Ok(seen)
    }

    /// Starts the shipped server.
    fn restart(&mut self) -> Result<()> {
        self.server = Some(self.world.serve_on(&self.address)?);
        Ok(())
    }

    /// Runs `tegata open` until the armed point kills it at its n-th pass.
    fn open_killed(&self, mail: &str, point: &str, pass: u32) -> Result<()> {
        let failpoint = match pass.saturating_sub(1) {
            0 => format!("{point}=return"),
            before => format!("{point}={before}*off->return"),
        };
        let reader = format!("emulated:{}", self.world.card);
        let status = armed("tegata", &failpoint)?
            .args(["open", mail, "--reader", &reader, "--yes", "--json"])
            .args(["--state", &self.world.state])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        ensure!(was_killed(status), "{point}, pass {pass}: {status}");
        self.world.audit()?;
        Ok(())
    }

    /// Opens a mail at the shipped terminal to its end: credited, by this run or before, and the same
    /// receipt from then on.
    fn credited_by(&mut self, mail: &str, what: &str) -> Result<()> {
        let opened = self.world.open(mail)?;
        let receipt = receipt_of(&opened).with_context(|| what.to_owned())?;
        assert_eq!(receipt_of(&self.world.open(mail)?)?, receipt, "{what}");
        self.credited += 1;
        self.escrow -= 1;
        self.adds_up(what)
    }

    /// Requires that card, ledger and sender agree with what was credited and ordered here.
    fn adds_up(&self, what: &str) -> Result<()> {
        let expected = Balances {
            on_card: self.credited * AMOUNT,
            card_account: self.credited * AMOUNT,
            sender: SENDER_START - (self.credited + self.escrow) * AMOUNT,
        };
        assert_eq!(self.world.balances()?, expected, "{what}");
        self.world.audit().with_context(|| what.to_owned())?;
        Ok(())
    }
}

/// Requires success, and gives the receipt's bytes in hexadecimal.
fn receipt_of(opened: &Opened) -> Result<String> {
    ensure!(opened.exit == 0, "{opened:?}");
    text(&opened.document, "receipt")
}

/// Runs an armed command of the office, which must be killed.
fn office_killed(world: &World, point: &str, args: &[&str]) -> Result<()> {
    let status = armed("tegata-server", &format!("{point}=return"))?
        .args(args)
        .args(["--data", &world.data])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(was_killed(status), "{point}: {status}");
    Ok(())
}

/// The names in the code: every literal of a `reach!`.
fn names_in(folder: &Path, names: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            names_in(&path, names)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            let code = fs::read_to_string(&path)?;
            let calls = code.split("reach!(\"").skip(1);
            names.extend(calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    Ok(())
}

#[test]
fn every_failpoint_of_the_code_is_in_the_table_once() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    for family in ["runtime", "server"] {
        for member in fs::read_dir(root.join(family))? {
            let (folder, own) = (member?.path(), family == "server");
            // The macro's own page shows an example.
            if !(own && folder.ends_with("crashpoint")) && folder.join("src").is_dir() {
                names_in(&folder.join("src"), &mut names)?;
            }
        }
    }
    let table: BTreeSet<String> = POINTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, table);
    assert_eq!(table.len(), POINTS.len(), "no name twice");
    Ok(())
}
