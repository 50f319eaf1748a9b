//! `make demo`: one remittance through every real layer, then one cancelled and one expired, then
//! the audit. Calls only the shipped binaries, HTTP and SMTP. Everything stays in `target/demo`.

use anyhow::{Context, Result, ensure};
use std::{fs, path::Path};
use tests::{
    processes::Server,
    world::{Balances, ISSUER, SENDER_START, World, text},
};

const AMOUNT: i64 = 2_500;

fn main() -> Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .with_file_name("target")
        .join("demo");
    if dir.exists() {
        fs::remove_dir_all(&dir).context("clearing the last demo")?;
    }
    fs::create_dir_all(&dir)?;
    let world = World::new(&dir)?;
    say("sender", &format!("Alice, funded with JPY {SENDER_START}"));
    say(
        "card",
        &format!(
            "{} personalised through its reader for Hanako Sato",
            world.masked
        ),
    );
    balances(&world, "before", 0, SENDER_START)?;
    let server = world.serve()?;
    say(
        "server",
        &format!("{} is {ISSUER}; mails go to an SMTP sink", server.base),
    );
    let entry = world.trust(&server)?;
    say(
        "trust",
        &format!(
            "{} {}",
            text(&entry, "issuer")?,
            text(&entry, "fingerprint")?
        ),
    );

    let id = order(&world, &server, "first", AMOUNT, None)?;
    let eml = world.mail(1)?;
    say(
        "mail",
        &format!(
            "{} bytes over SMTP, kept as {eml}",
            fs::metadata(&eml)?.len()
        ),
    );
    fs::write(dir.join("remittance.tegata"), world.program(1)?)?;
    let first = open(&world, &eml, "credited")?;
    balances(&world, "after", AMOUNT, SENDER_START - AMOUNT)?;
    let again = open(&world, &eml, "already-credited")?;
    ensure!(
        first["receipt"] == again["receipt"],
        "the second opening shows another receipt"
    );
    say("again", "nothing credited, the same receipt");
    balances(&world, "again", AMOUNT, SENDER_START - AMOUNT)?;
    fs::write(dir.join("receipt.json"), serde_json::to_vec_pretty(&first)?)?;

    let second = order(&world, &server, "second", 700, None)?;
    let path = format!("/v1/orders/{second}/cancel");
    let cancelled = world.post(&server, &world.alice.token, &path, "cancel-second", "{}")?;
    ensure!(cancelled.status == 200, "cancel refused: {cancelled:?}");
    returned(&world, &server, &second, "cancelled")?;
    let third = order(&world, &server, "third", 800, Some(1))?;
    returned(&world, &server, &third, "expired")?;
    balances(&world, "end", AMOUNT, SENDER_START - AMOUNT)?;

    for line in world.audit()? {
        say("audit", &line);
    }
    say("files", &dir.display().to_string());
    show(&format!(
        "demo: ok remittance={id} card={AMOUNT} JPY ledger=balanced"
    ));
    Ok(())
}

fn order(
    world: &World,
    server: &Server,
    key: &str,
    amount: i64,
    seconds: Option<u64>,
) -> Result<String> {
    let order = world.order(server, key, amount, seconds)?;
    let id = text(&order, "id")?;
    say(
        "order",
        &format!("{key}: JPY {amount}, {id}, {}", text(&order, "status")?),
    );
    Ok(id)
}

fn open(world: &World, eml: &str, outcome: &str) -> Result<serde_json::Value> {
    let opened = world.open(eml)?;
    for line in opened.talk.lines() {
        say("terminal", &format!("| {line}"));
    }
    ensure!(opened.exit == 0, "tegata open ended with {}", opened.exit);
    ensure!(
        opened.document["outcome"] == outcome,
        "expected {outcome}: {}",
        opened.document
    );
    Ok(opened.document)
}

fn returned(world: &World, server: &Server, id: &str, status: &str) -> Result<()> {
    world.wait_for_status(server, id, status)?;
    say(
        "returned",
        &format!("{id}: {status}, the money is back with Alice"),
    );
    Ok(())
}

/// Shows where the money is, and requires it.
fn balances(world: &World, when: &str, card: i64, sender: i64) -> Result<()> {
    let now = world.balances()?;
    let Balances {
        on_card,
        card_account,
        sender: account,
    } = now;
    say(
        "balances",
        &format!("{when}: card JPY {on_card}, its account JPY {card_account}, Alice JPY {account}"),
    );
    let expected = Balances {
        on_card: card,
        card_account: card,
        sender,
    };
    ensure!(now == expected, "expected {expected:?}");
    Ok(())
}

fn say(what: &str, line: &str) {
    show(&format!("{what:<10}{line}"));
}

#[expect(
    clippy::print_stdout,
    reason = "the demo talks to the person who runs it"
)]
fn show(line: &str) {
    println!("{line}");
}
