//! A restore, and the taking in of a receipt, killed at every step.

use crate::{AMOUNT, Desk, Story, Told, office_killed, points};
use anyhow::{Context, Result, bail};
use std::fs;
use tests::{
    processes::{run, wait_until},
    world::text,
};

#[test]
fn a_restore_killed_at_any_step_is_given_again() -> Result<()> {
    for (point, story) in points(Told::Restore) {
        match story {
            Story::Restore => restore(point)?,
            Story::Receipt(status) => receipt(point, status)?,
            other => bail!("{point}: {other:?} is told elsewhere"),
        }
    }
    Ok(())
}

/// A desk with one credited order that the backup knows as open; the server is stopped.
fn backed_up() -> Result<(Desk, String, String, Vec<u8>)> {
    let mut desk = Desk::new()?;
    let order = text(&desk.order("one")?, "id")?;
    let copy = desk
        .world
        .dir
        .join("copy.db")
        .to_string_lossy()
        .into_owned();
    // else the backup would have the mail as unsent, and it would come twice
    wait_until("the mail went out", || {
        let shown = desk.world.admin(&["order", "show", &order])?;
        Ok((shown["order"]["mail"] == "sent").then_some(()))
    })?;
    desk.world.admin(&["backup", &copy])?;
    let mail = desk.world.mail(1)?;
    desk.credited_by(&mail, "before")?;
    let opened = desk.world.open(&mail)?;
    let receipt = bytes_of_hex(&text(&opened.document, "receipt")?)?;
    drop(desk.server.take());
    Ok((desk, copy, order, receipt))
}

fn bytes_of_hex(text: &str) -> Result<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(std::str::from_utf8);
    pairs
        .map(|pair| Ok(u8::from_str_radix(pair?, 16)?))
        .collect()
}

/// Until the mark is gone nobody works on half a restore; given again, it is done.
fn restore(point: &str) -> Result<()> {
    let (mut desk, copy, order, _) = backed_up()?;
    office_killed(&desk.world, point, &["restore", &copy])?;
    let audit = run("tegata-server", &["audit", "--data", &desk.world.data])?;
    let untouched = point.ends_with("::copied");
    assert_eq!(audit.status.success(), untouched, "{point}");
    let done = desk.world.admin(&["restore", &copy])?;
    assert_eq!(done["recovering"], 1, "{point}");
    desk.world.audit()?;
    desk.restart()?;
    let shown = desk.world.admin(&["order", "show", &order])?;
    assert_eq!(shown["order"]["status"], "recovering", "{point}");
    let opened = desk.world.open(&desk.world.mail(1)?)?;
    assert_eq!(opened.exit, 0, "{point}: {opened:?}");
    let shown = desk.world.admin(&["order", "show", &order])?;
    // its terminal has the receipt and asks nobody: the card is read by the next mail
    assert_eq!(shown["order"]["status"], "recovering", "{point}");
    desk.order("two")?;
    let mail = desk.world.mail(2)?;
    desk.world.open(&mail)?;
    let balances = desk.world.balances()?;
    assert_eq!(
        (balances.on_card, balances.card_account),
        (2 * AMOUNT, 2 * AMOUNT),
        "{point}"
    );
    desk.world.audit()?;
    Ok(())
}

/// A receipt credits wholly or not at all, and once however often it is shown.
fn receipt(point: &str, after: &str) -> Result<()> {
    let (desk, copy, order, receipt) = backed_up()?;
    desk.world.admin(&["restore", &copy])?;
    let file = desk.world.dir.join("the.receipt");
    fs::write(&file, receipt)?;
    let file = file.to_str().context("a path in UTF-8")?.to_owned();
    office_killed(&desk.world, point, &["order", "receipt", &file])?;
    let status = || {
        text(
            &desk.world.admin(&["order", "show", &order])?["order"],
            "status",
        )
    };
    assert_eq!(status()?, after, "{point}");
    desk.world.audit()?;
    desk.world.admin(&["order", "receipt", &file])?;
    assert_eq!(status()?, "credited", "{point}");
    let balances = desk.world.balances()?;
    assert_eq!(balances.card_account, AMOUNT, "{point}");
    desk.world.audit()?;
    Ok(())
}
