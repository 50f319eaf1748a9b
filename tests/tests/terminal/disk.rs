//! A terminal whose disk is full or turns read-only: it sends nothing that it could not write down
//! first, says so, and comes to the end once there is room.

use crate::{AMOUNT, Desk, assert_refused, receipt_of};
use anyhow::Result;
use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};
use tests::{
    disk::{Disk, with_mounts_of_its_own},
    processes::binary,
    proxy::Fault,
    world::{Balances, SENDER_START},
};

#[test]
fn a_terminal_without_room_for_its_journal_sends_no_proof_and_loses_nothing() -> Result<()> {
    let name = "disk::a_terminal_without_room_for_its_journal_sends_no_proof_and_loses_nothing";
    with_mounts_of_its_own(name, || {
        broken_at_each_write(|dir, _| Disk::small(dir, "1m"))
    })
}

#[test]
fn a_terminal_whose_disk_turns_read_only_sends_no_proof_and_loses_nothing() -> Result<()> {
    let name = "disk::a_terminal_whose_disk_turns_read_only_sends_no_proof_and_loses_nothing";
    with_mounts_of_its_own(name, || {
        broken_at_each_write(|dir, image| Disk::failing(image, dir))
    })
}

fn broken_at_each_write(disk: fn(&Path, &Path) -> Result<Disk>) -> Result<()> {
    let (mut desk, proxy) = Desk::behind_proxy()?;
    let mount = tempfile::tempdir()?;
    let disk = Arc::new(disk(mount.path(), Path::new(&desk.path("image")))?);
    desk.world.state = mount.path().join("state").to_string_lossy().into_owned();
    desk.world.trust_at(&proxy.base)?;
    for (number, key) in ["one", "two", "three"].into_iter().enumerate() {
        desk.world.order(&desk.server, key, AMOUNT, None)?;
        desk.world.mail(number + 1)?;
    }
    let sender = SENDER_START - 3 * AMOUNT;

    // Before the start: nothing is run, nothing is sent.
    let mail = desk.world.mail(1)?;
    disk.break_down()?;
    assert_refused(&desk.world.open(&mail)?, 1, "E_STATE");
    assert_eq!(proxy.requests().len(), 0);
    disk.mend()?;
    desk.money_is(0, sender)?;
    receipt_of(&desk.world.open(&mail)?, "credited")?;
    desk.money_is(AMOUNT, sender)?;

    // Before the proof is written down: the card has it, and the proof is not sent.
    let mail = desk.world.mail(2)?;
    breaks_at(&proxy, &disk, 3);
    assert_refused(&desk.world.open(&mail)?, 9, "E_IN_DOUBT");
    assert_eq!(proxy.requests().len(), 3, "the proof was not sent");
    let doubt = Balances {
        on_card: 2 * AMOUNT,
        card_account: AMOUNT,
        sender,
    };
    assert_eq!(desk.world.balances()?, doubt);
    desk.world.audit()?;
    disk.mend()?;
    proxy.rule(|_| Fault::Deliver);
    receipt_of(&desk.world.open(&mail)?, "credited")?;
    desk.money_is(2 * AMOUNT, sender)?;

    // Before the receipt is stored: it is asked for again at the next start.
    let mail = desk.world.mail(3)?;
    breaks_at(&proxy, &disk, 4);
    assert_refused(&desk.world.open(&mail)?, 1, "E_STATE");
    desk.money_is(3 * AMOUNT, sender)?;
    disk.mend()?;
    proxy.rule(|_| Fault::Deliver);
    let receipt = receipt_of(&desk.world.open(&mail)?, "credited")?;
    assert_eq!(
        receipt_of(&desk.world.open(&mail)?, "already-credited")?,
        receipt
    );
    desk.money_is(3 * AMOUNT, sender)
}

#[test]
fn a_terminal_whose_words_nobody_can_take_credits_all_the_same() -> Result<()> {
    let desk = Desk::new()?;
    let mail = desk.ordered()?;
    let reader = format!("emulated:{}", desk.world.card);
    let status = Command::new(binary("tegata")?)
        .args(["open", &mail, "--reader", &reader, "--yes", "--json"])
        .args(["--state", &desk.world.state])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::options().write(true).open("/dev/full")?)
        .status()?;
    assert_eq!(status.code(), Some(0));
    desk.credited_once()
}

/// The disk breaks when this exchange passes the proxy.
fn breaks_at(proxy: &tests::proxy::Proxy, disk: &Arc<Disk>, exchange: usize) {
    let disk = Arc::clone(disk);
    proxy.rule(move |n| {
        if n == exchange {
            disk.break_down().expect("the disk can be broken");
        }
        Fault::Deliver
    });
}
