//! A disk without room: what cannot be written is refused, nothing is half written, and it goes on
//! afterwards.

use crate::{AMOUNT, Answer, Office, assert_problem};
use anyhow::{Context, Result, anyhow, ensure};
use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};
use tests::{
    processes::is_root,
    recipient::{Fate, Recipient},
    world::{Balances, SENDER_START},
};

/// Set in the copy of a test that runs with mounts of its own.
const INSIDE: &str = "TEGATA_TEST_SMALL_DISK";
/// Room for database, log and index of one small issuer, and little more.
const DISK: &str = "size=8m";
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
    with_mounts_of_its_own(name, redemptions_on_a_full_disk)
}

/// Runs the named test again in a namespace whose mounts end with it; there, runs `inside`.
fn with_mounts_of_its_own(name: &str, inside: fn() -> Result<()>) -> Result<()> {
    if !is_root("a disk of its own")? {
        return Ok(());
    }
    if std::env::vars_os().any(|(name, _)| name == INSIDE) {
        return inside();
    }
    let output = Command::new("unshare")
        .arg("-m")
        .arg(std::env::current_exe()?)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success() && told.contains("1 passed"),
        "{told}\n{errors}"
    );
    Ok(())
}

/// An issuer on a small disk, the card on another one, and the file that fills the disk.
fn on_small_disk() -> Result<(Office, PathBuf, tempfile::TempDir)> {
    let dir = tempfile::tempdir()?;
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", DISK, "tegata-test"])
        .arg(dir.path())
        .status()?;
    ensure!(mounted.success(), "mounting a small disk");
    let mut office = Office::below(dir)?;
    let elsewhere = tempfile::tempdir()?;
    let card = elsewhere.path().join("card");
    std::fs::copy(&office.world.card, &card)?;
    office.world.card = card.to_string_lossy().into_owned();
    let filler = office.dir.path().join("filler");
    Ok((office, filler, elsewhere))
}

fn orders_on_a_full_disk() -> Result<()> {
    let (office, filler, _elsewhere) = on_small_disk()?;
    fill(&filler)?;
    let mut taken = 0;
    let refused = loop {
        ensure!(taken < ORDERS_MAX, "the disk was never full");
        let answer = small_order(&office, taken)?;
        if answer.status != 201 {
            break answer;
        }
        taken += 1;
    };
    assert_problem("full", &refused, 503, "unavailable");
    // It stays refused, reading goes on, and what is read is whole.
    let again = small_order(&office, taken)?;
    assert_problem("still full", &again, 503, "unavailable");
    assert_eq!(office.orders()?, taken);

    std::fs::remove_file(&filler)?;
    office.in_escrow(SMALL * i64::try_from(taken)?)?;
    // The refusal was not kept: the same order under the same key is taken now.
    let placed = small_order(&office, taken)?;
    assert_eq!(placed.status, 201, "{placed:?}");
    assert_eq!(office.orders()?, taken + 1);
    office.in_escrow(SMALL * i64::try_from(taken + 1)?)
}

fn redemptions_on_a_full_disk() -> Result<()> {
    let (office, filler, _elsewhere) = on_small_disk()?;
    let base = office.server.base.as_str();
    let money = |on_card, card_account, orders| -> Result<()> {
        let sender = SENDER_START - orders * AMOUNT;
        let expected = Balances {
            on_card,
            card_account,
            sender,
        };
        assert_eq!(office.world.balances()?, expected);
        office.world.audit()?;
        Ok(())
    };
    let full_from = |exchange| {
        let filler = filler.clone();
        move |n| {
            if n == exchange {
                fill(&filler).expect("the disk can be filled");
            }
            Fate::Deliver
        }
    };

    // Full at exchange 3: the decision cannot be written, so the card gets no batch.
    office.place("one", office.order().to_string())?;
    let program = office.world.program(1)?;
    let mut recipient = Recipient::new(&program, base, &office.world.card)?.with_hook(full_from(3));
    ensure!(recipient.run().is_err(), "nothing can be written");
    assert_eq!((recipient.requests.len(), recipient.replies.len()), (5, 2));
    drop(recipient);
    std::fs::remove_file(&filler)?;
    money(0, 0, 1)?;
    let mut recipient = Recipient::new(&program, base, &office.world.card)?;
    recipient.run().map_err(|failure| anyhow!("{failure:?}"))?;
    drop(recipient);
    money(AMOUNT, AMOUNT, 1)?;

    // Full at exchange 4: the card has it, the books cannot say so yet; the proof is not lost.
    office.place("two", office.order().to_string())?;
    let program = office.world.program(2)?;
    let mut recipient = Recipient::new(&program, base, &office.world.card)?.with_hook(full_from(4));
    ensure!(recipient.run().is_err(), "nothing can be written");
    std::fs::remove_file(&filler)?;
    let proof = recipient.requests.last().context("a proof")?.clone();
    let reply = wire::exchange::Reply::decode(&recipient.send(&proof)?)?;
    assert!(
        matches!(reply, wire::exchange::Reply::Receipt(_)),
        "{reply:?}"
    );
    drop(recipient);
    money(2 * AMOUNT, 2 * AMOUNT, 2)
}

fn small_order(office: &Office, number: usize) -> Result<Answer> {
    let mut order = office.order();
    order["amount_minor"] = SMALL.into();
    office.place(&format!("order-{number}"), order.to_string())
}

/// Writes until nothing fits any more.
fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    for size in [1 << 16, 1 << 12, 1] {
        let chunk = vec![0; size];
        loop {
            match file.write(&chunk) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
