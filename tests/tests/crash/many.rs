//! Fifty at once: terminals as processes, and clients that speak the exchange themselves.

use crate::{AMOUNT, Desk, receipt_of};
use anyhow::{Context, Result, anyhow, ensure};
use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
    sync::Barrier,
};
use tests::{
    processes::{binary, wait_until},
    recipient::{Fate, Recipient},
    world::Opened,
};

/// Terminals and clients at once.
const MANY: usize = 50;

#[test]
fn fifty_terminals_claiming_one_program_at_once_credit_once() -> Result<()> {
    let mut desk = Desk::new()?;
    desk.order("one")?;
    let mail = desk.world.mail(1)?;
    let reader = format!("emulated:{}", desk.world.card);
    let mut running = Vec::new();
    for number in 0..MANY {
        // Each a terminal of its own, that trusts the issuer as the first one does.
        let state = desk.world.dir.join(format!("terminal-{number}"));
        copy(std::path::Path::new(&desk.world.state), &state)?;
        let child = Command::new(binary("tegata")?)
            .args([
                "open", &mail, "--reader", &reader, "--yes", "--json", "--state",
            ])
            .arg(&state)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        running.push(child);
    }
    let mut credited = 0;
    for child in running {
        let output = child.wait_with_output()?;
        let opened = Opened::of(&output);
        match opened.document["outcome"].as_str().context("an outcome")? {
            "credited" => credited += 1,
            "already-credited" => {}
            "failed" => assert_eq!(
                (opened.exit, &opened.document["code"]),
                (6, &"E_READER_BUSY".into()),
                "{opened:?}"
            ),
            other => return Err(anyhow!("{other}: {opened:?}")),
        }
    }
    assert_eq!(credited, 1, "one of them credited it");
    (desk.credited, desk.escrow) = (1, 0);
    desk.adds_up("fifty terminals")?;
    // Each of the others comes to the same receipt.
    let receipts = ["terminal-0", "terminal-1", "terminal-49"].map(|name| {
        desk.world.state = desk.world.dir.join(name).to_string_lossy().into_owned();
        receipt_of(&desk.world.open(&mail)?)
    });
    let receipts: BTreeSet<String> = receipts.into_iter().collect::<Result<_>>()?;
    assert_eq!(receipts.len(), 1, "one receipt");
    desk.adds_up("fifty terminals, again")
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[test]
fn each_exchange_sent_by_fifty_at_once_is_one_exchange() -> Result<()> {
    let mut desk = Desk::new()?;
    desk.order("one")?;
    let program = desk.world.program(1)?;
    let base = desk.server()?.base.clone();
    // A first run tells what is sent; its last two exchanges go out fifty times at once.
    let lose_last = |n| {
        if n >= 4 {
            Fate::LoseRequest
        } else {
            Fate::Deliver
        }
    };
    let mut first = Recipient::new(&program, &base, &desk.world.card)?.with_hook(lose_last);
    ensure!(first.run().is_err(), "its last exchange got lost");
    let (third, last) = (first.requests[2].clone(), first.requests[3].clone());
    let batch = first.replies[2].clone();
    drop(first);
    assert_eq!(
        at_once(&base, &third)?,
        BTreeSet::from([batch]),
        "one batch for all"
    );
    desk.world.audit()?;
    let receipts = at_once(&base, &last)?;
    assert_eq!(receipts.len(), 1, "one receipt for all");
    (desk.credited, desk.escrow) = (1, 0);
    desk.adds_up("fifty proofs")?;
    assert_eq!(desk.world.balances()?.on_card, AMOUNT);
    Ok(())
}

/// The distinct replies to one request sent by many at the same moment.
fn at_once(base: &str, request: &[u8]) -> Result<BTreeSet<Vec<u8>>> {
    let start = Barrier::new(MANY);
    let send = || -> Result<Vec<u8>> {
        let client = reqwest::blocking::Client::new();
        start.wait();
        // The server may be out of places for a moment; the same bytes mean the same again.
        wait_until("a place", || {
            let answer = client
                .post(format!("{base}/v1/exchange"))
                .header("content-type", wire::exchange::MEDIA_TYPE)
                .body(request.to_vec())
                .send()?;
            Ok(match answer.status().as_u16() {
                200 => Some(answer.bytes()?.to_vec()),
                429 | 503 => None,
                other => return Err(anyhow!("answered {other}")),
            })
        })
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..MANY).map(|_| scope.spawn(send)).collect();
        let replies = clients
            .into_iter()
            .map(|client| client.join().map_err(|_| anyhow!("a client panicked"))?);
        replies.collect()
    })
}
