//! The terminal as people run it: the shipped binaries, a real server, a card file, a bad line.
//!
//! Each refusal with its exit status and stable code; after each, the money is where it belongs
//! and the audit finds nothing.

mod card;
mod disk;
mod line;
mod program;

use anyhow::{Context, Result};
use tests::{
    processes::Server,
    proxy::Proxy,
    world::{Balances, Opened, SENDER_START, World, text},
};

/// Amount of the orders, in JPY.
const AMOUNT: i64 = 2_500;

/// A world whose terminal trusts the running server.
struct Desk {
    world: World,
    server: Server,
    // Last: the others are dropped before their folder.
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Result<Self> {
        let desk = Self::untrusting()?;
        desk.world.trust(&desk.server)?;
        Ok(desk)
    }

    /// The terminal reaches the server through a proxy only.
    fn behind_proxy() -> Result<(Self, Proxy)> {
        let desk = Self::untrusting()?;
        let proxy = Proxy::start(&desk.server.base)?;
        desk.world.trust_at(&proxy.base)?;
        Ok((desk, proxy))
    }

    fn untrusting() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let world = World::new(dir.path())?;
        let server = world.serve()?;
        Ok(Self { world, server, dir })
    }

    /// A path below the folder of this test.
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    /// Writes a file for the terminal to open.
    fn file(&self, name: &str, bytes: &[u8]) -> Result<String> {
        let path = self.path(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    }

    /// Orders [`AMOUNT`] and returns the path of the mail, the only one so far.
    fn ordered(&self) -> Result<String> {
        self.world.order(&self.server, "one", AMOUNT, None)?;
        self.world.mail(1)
    }

    /// Requires the value on the card, the same on its account, and the sender's balance.
    fn money_is(&self, on_card: i64, sender: i64) -> Result<()> {
        let expected = Balances {
            on_card,
            card_account: on_card,
            sender,
        };
        assert_eq!(self.world.balances()?, expected);
        self.world.audit()?;
        Ok(())
    }

    /// Requires that the order was credited once.
    fn credited_once(&self) -> Result<()> {
        self.money_is(AMOUNT, SENDER_START - AMOUNT)
    }

    /// Requires that the order waits in escrow.
    fn still_open(&self) -> Result<()> {
        self.money_is(0, SENDER_START - AMOUNT)
    }
}

/// Requires exit status and code, and a document that says the same.
fn assert_refused(opened: &Opened, exit: i32, code: &str) {
    let outcome = match exit {
        3 => "declined",
        8 => "refused",
        9 => "in-doubt",
        _ => "failed",
    };
    let document = &opened.document;
    assert_eq!(opened.exit, exit, "{opened:?}");
    assert_eq!(document["code"], code, "{opened:?}");
    assert_eq!(document["outcome"], outcome);
    assert_versioned(opened);
    assert!(
        opened.talk.contains(&format!("code {code}")),
        "{}",
        opened.talk
    );
}

/// Requires success with an outcome, and returns the receipt's bytes in hexadecimal.
fn receipt_of(opened: &Opened, outcome: &str) -> Result<String> {
    assert_eq!(opened.exit, 0, "{opened:?}");
    assert_eq!(opened.document["outcome"], outcome, "{opened:?}");
    assert_versioned(opened);
    text(&opened.document, "receipt").context("a receipt")
}

fn assert_versioned(opened: &Opened) {
    let document = &opened.document;
    assert_eq!(document["tegata"], "open");
    assert_eq!(document["version"], 1);
    assert_eq!(document["exit"], opened.exit);
}
