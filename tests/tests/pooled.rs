//! Card accounts kept as one pool: chosen at the office, switched there, and the same to everybody
//! else. The stories of the other files are told in this setting too: `.ci/test`.

use anyhow::{Context, Result};
use rusqlite::Connection;
use serde_json::Value;
use std::path::Path;
use tests::{
    processes::{json, run},
    recipient::Recipient,
    world::{SENDER_START, World, text},
};

const AMOUNT: i64 = 2_500;

/// Balance of the pool, if there is one.
fn pool(world: &World) -> Result<Option<i64>> {
    let list = world.admin(&["account", "list"])?;
    let accounts = list["accounts"].as_array().context("a list of accounts")?;
    let pool = accounts.iter().find(|a| a["kind"] == "pool");
    Ok(pool.and_then(|a| a["balance_minor"].as_i64()))
}

fn set(world: &World, setting: &str) -> Result<Value> {
    world.admin(&["accounts", setting])
}

#[test]
fn an_issuer_is_made_pooled_by_a_flag() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("d").to_string_lossy().into_owned();
    let init = ["init", "--data", &data, "--issuer", "pool.example"];
    let args = [&init[..], &["--accounts", "pooled", "--json"]].concat();
    assert_eq!(json("tegata-server", &args)?["accounts"], "pooled");
    let shown = json("tegata-server", &["accounts", "--data", &data, "--json"])?;
    assert_eq!(shown["accounts"], "pooled");
    Ok(())
}

#[test]
fn the_setting_is_switched_with_nothing_open_and_moves_what_the_cards_hold() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let world = World::new(dir.path())?;
    set(&world, "individual")?;
    let server = world.serve()?;
    let redeem = |number: usize| -> Result<()> {
        let program = world.program(number)?;
        let mut recipient = Recipient::new(&program, &server.base, &world.card)?;
        recipient.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
        assert_eq!(recipient.requests.len(), 4);
        assert!(recipient.apdus <= 12, "{}", recipient.apdus);
        Ok(())
    };
    let first = text(&world.order(&server, "one", AMOUNT, None)?, "id")?;
    let refused = run(
        "tegata-server",
        &["accounts", "pooled", "--data", &world.data],
    )?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&first), "the open remittances: {said}");
    redeem(1)?;
    assert_eq!(pool(&world)?, None);

    // the server goes on while the office switches
    set(&world, "pooled")?;
    assert_eq!(pool(&world)?, Some(AMOUNT));
    world.order(&server, "two", 700, None)?;
    redeem(2)?;
    assert_eq!(pool(&world)?, Some(AMOUNT + 700));
    let balances = world.balances()?;
    assert_eq!((balances.on_card, balances.card_account), (3_200, 3_200));
    world.audit()?;

    set(&world, "individual")?;
    assert_eq!(pool(&world)?, None);
    let balances = world.balances()?;
    assert_eq!((balances.on_card, balances.card_account), (3_200, 3_200));
    assert_eq!(balances.sender, SENDER_START - 3_200);
    world.audit()?;
    Ok(())
}

#[test]
fn a_sub_record_that_disagrees_freezes_its_card_and_no_other() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let world = World::new(dir.path())?;
    set(&world, "pooled")?;
    let other = dir.path().join("other").to_string_lossy().into_owned();
    world.new_card(&other)?;
    let bob = world.holder("Bob", "bob@demo.tegata.example", "en")?;
    let second = text(&world.issue(&other, &bob.id)?, "card")?;
    let server = world.serve()?;
    world.order(&server, "one", AMOUNT, None)?;
    let program = world.program(1)?;
    let mut recipient = Recipient::new(&program, &server.base, &world.card)?;
    recipient.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    drop(recipient);
    // somebody writes into the file
    let file = Connection::open(Path::new(&world.data).join("tegata.db"))?;
    let sql = "UPDATE account SET balance = balance + 1 WHERE kind = 2 AND balance > 0";
    assert_eq!(file.execute(sql, [])?, 1);
    drop(file);
    for flag in [&[][..], &["--freeze"]] {
        let args = [&["audit", "--data", &world.data], flag].concat();
        let audit = run("tegata-server", &args)?;
        let said = String::from_utf8_lossy(&audit.stdout).into_owned();
        assert_eq!(audit.status.code(), Some(1), "{said}");
        assert!(said.contains("pool-is-its-cards  JPY"), "{said}");
    }
    let list = world.admin(&["card", "list"])?;
    let cards = list["cards"].as_array().context("a list of cards")?;
    for card in cards {
        let status = if card["card"] == second.as_str() {
            "active"
        } else {
            "frozen"
        };
        assert_eq!(card["status"], status, "{card}");
    }
    Ok(())
}
