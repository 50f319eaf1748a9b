//! A disk without room, and one that turns read-only: what cannot be written is refused, nothing is
//! half written, and it goes on afterwards.

use crate::{AMOUNT, Answer, Office, assert_problem};
use anyhow::{Context, Result, anyhow, ensure};
use std::sync::Arc;
use tests::{
    disk::{Disk, with_mounts_of_its_own},
    recipient::{Fate, Recipient},
    world::{Balances, SENDER_START},
};

/// Room for database, log and index of one small issuer, and little more.
const SMALL_DISK: &str = "8m";
/// More orders than fit into what a full disk may still have free inside its files.
const ORDERS_MAX: usize = 40;
/// Amount of the many orders: all of them are within Alice's funds.
const SMALL: i64 = 10;

#[test]
fn on_a_full_disk_no_order_is_taken_and_nothing_is_half_written() -> Result<()> {
    let name = "disk::on_a_full_disk_no_order_is_taken_and_nothing_is_half_written";
    with_mounts_of_its_own(name, orders_on_a_full_disk)
}

#[test]
fn a_redemption_that_meets_a_full_disk_is_credited_once_afterwards() -> Result<()> {
    let name = "disk::a_redemption_that_meets_a_full_disk_is_credited_once_afterwards";
    with_mounts_of_its_own(name, || {
        redemptions(Broken::new(|dir, _| Disk::small(dir, SMALL_DISK))?)
    })
}

#[test]
fn a_database_whose_disk_turns_read_only_refuses_and_goes_on_once_repaired() -> Result<()> {
    let name = "disk::a_database_whose_disk_turns_read_only_refuses_and_goes_on_once_repaired";
    with_mounts_of_its_own(name, || {
        redemptions(Broken::new(|dir, image| Disk::failing(image, dir))?)
    })
}

/// An issuer on a disk that breaks, the card on another one.
struct Broken {
    office: Office,
    disk: Arc<Disk>,
    _elsewhere: tempfile::TempDir,
}

impl Broken {
    fn new(disk: impl FnOnce(&std::path::Path, &std::path::Path) -> Result<Disk>) -> Result<Self> {
        let (dir, elsewhere) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let disk = Arc::new(disk(dir.path(), &elsewhere.path().join("image"))?);
        let mut office = Office::below(dir)?;
        let card = elsewhere.path().join("card");
        std::fs::copy(&office.world.card, &card)?;
        office.world.card = card.to_string_lossy().into_owned();
        Ok(Self {
            office,
            disk,
            _elsewhere: elsewhere,
        })
    }

    /// Mends the disk as its operator would, with the server stopped, and starts it again.
    fn mended(&mut self) -> Result<()> {
        let address = self
            .office
            .server
            .base
            .trim_start_matches("http://")
            .to_owned();
        let (disk, world) = (&self.disk, &self.office.world);
        self.office.server.restart(|| {
            disk.mend()?;
            world.serve_on(&address)
        })
    }

    /// Runs a program on the card; the disk breaks before the given exchange is sent.
    fn run(&self, program: &[u8], breaks_at: usize) -> Result<Recipient<'static>> {
        let disk = Arc::clone(&self.disk);
        let hook = move |n| {
            if n == breaks_at {
                disk.break_down().expect("the disk can be broken");
            }
            Fate::Deliver
        };
        let base = self.office.server.base.as_str();
        let recipient = Recipient::new(program, base, &self.office.world.card)?;
        let mut recipient = recipient.with_hook(hook);
        ensure!(recipient.run().is_err(), "nothing can be written");
        Ok(recipient)
    }

    fn money(&self, credited: i64, orders: i64) -> Result<()> {
        let expected = Balances {
            on_card: credited * AMOUNT,
            card_account: credited * AMOUNT,
            sender: SENDER_START - orders * AMOUNT,
        };
        assert_eq!(self.office.world.balances()?, expected);
        self.office.world.audit()?;
        Ok(())
    }
}

fn orders_on_a_full_disk() -> Result<()> {
    let Broken { office, disk, .. } = &Broken::new(|dir, _| Disk::small(dir, SMALL_DISK))?;
    disk.break_down()?;
    let mut taken = 0;
    let refused = loop {
        ensure!(taken < ORDERS_MAX, "the disk was never full");
        let answer = small_order(office, taken)?;
        if answer.status != 201 {
            break answer;
        }
        taken += 1;
    };
    assert_problem("full", &refused, 503, "unavailable");
    // It stays refused, reading goes on, and what is read is whole.
    let again = small_order(office, taken)?;
    assert_problem("still full", &again, 503, "unavailable");
    assert_eq!(office.orders()?, taken);

    disk.mend()?;
    office.in_escrow(SMALL * i64::try_from(taken)?)?;
    // The refusal was not kept: the same order under the same key is taken now.
    let placed = small_order(office, taken)?;
    assert_eq!(placed.status, 201, "{placed:?}");
    assert_eq!(office.orders()?, taken + 1);
    office.in_escrow(SMALL * i64::try_from(taken + 1)?)
}

/// Orders and redemptions that meet the broken disk, each of them once.
fn redemptions(mut broken: Broken) -> Result<()> {
    // Broken at exchange 3: the decision cannot be written, so the card gets no batch.
    let order = broken.office.order().to_string();
    broken.office.place("one", order.clone())?;
    let program = broken.office.world.program(1)?;
    let recipient = broken.run(&program, 3)?;
    assert_eq!((recipient.requests.len(), recipient.replies.len()), (5, 2));
    drop(recipient);
    // Nor is an order taken; reading goes on.
    let refused = broken.office.place("two", order.clone())?;
    assert_problem("broken", &refused, 503, "unavailable");
    assert_eq!(broken.office.orders()?, 1);
    broken.mended()?;
    broken.money(0, 1)?;
    let base = broken.office.server.base.clone();
    let mut recipient = Recipient::new(&program, &base, &broken.office.world.card)?;
    recipient.run().map_err(|failure| anyhow!("{failure:?}"))?;
    drop(recipient);
    broken.money(1, 1)?;

    // Broken at exchange 4: the card has it, the books cannot say so yet; the proof is not lost.
    let placed = broken.office.place("two", order)?;
    assert_eq!(placed.status, 201, "{placed:?}");
    let program = broken.office.world.program(2)?;
    let recipient = broken.run(&program, 4)?;
    broken.mended()?;
    let proof = recipient.requests.last().context("a proof")?.clone();
    let reply = wire::exchange::Reply::decode(&recipient.send(&proof)?)?;
    assert!(
        matches!(reply, wire::exchange::Reply::Receipt(_)),
        "{reply:?}"
    );
    drop(recipient);
    broken.money(2, 2)
}

fn small_order(office: &Office, number: usize) -> Result<Answer> {
    let mut order = office.order();
    order["amount_minor"] = SMALL.into();
    office.place(&format!("order-{number}"), order.to_string())
}
