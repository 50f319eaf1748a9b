//! Several server processes over one PostgreSQL, and what happens when one of either dies.

use anyhow::{Context, Result, anyhow};
use postgres_server::Server as Postgres;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tests::{
    processes::{Server, wait_until},
    recipient::Recipient,
    world::{SENDER_START, World},
};

/// Orders of one thread, each of one yen.
const ORDERS: usize = 15;
const THREADS: usize = 4;

fn order(world: &World, server: &Server, key: &str) -> Result<Option<String>> {
    let body = json!({ "recipient_card": world.number, "amount_minor": 1, "currency": "JPY" });
    let answer = world.post(
        server,
        &world.alice.token,
        "/v1/orders",
        key,
        &body.to_string(),
    )?;
    let id = answer.body["id"].as_str().map(str::to_owned);
    Ok(id.filter(|_| answer.status == 201))
}

/// Orders by several threads, with `disturb` after the first few; what was acknowledged, in the end
/// each key's order. A call without an answer is made again.
fn order_under(
    world: &World,
    servers: [&Server; 2],
    disturb: impl FnOnce() -> Result<()>,
) -> Result<Vec<String>> {
    let begun = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let begun = &begun;
                scope.spawn(move || -> Result<Vec<String>> {
                    let mut ids = Vec::new();
                    for at in 0..ORDERS {
                        let key = format!("{number}-{at}");
                        let mut turn = number + at;
                        let id = wait_until("an answer", || {
                            turn += 1;
                            let server = servers[turn % 2];
                            Ok(order(world, server, &key).ok().flatten())
                        })?;
                        ids.push(id);
                        begun.store(at > 2, Ordering::Relaxed);
                    }
                    Ok(ids)
                })
            })
            .collect();
        wait_until("the first orders", || {
            Ok(begun.load(Ordering::Relaxed).then_some(()))
        })?;
        disturb()?;
        let mut ids = Vec::new();
        for thread in threads {
            ids.extend(thread.join().map_err(|_| anyhow!("a thread"))??);
        }
        Ok(ids)
    })
}

/// Every acknowledged order is there once, and paid for once.
fn counted(world: &World, server: &Server, mut ids: Vec<String>) -> Result<()> {
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), THREADS * ORDERS, "each key has its own order");
    for id in &ids {
        let found = world.get(server, &world.alice.token, &format!("/v1/orders/{id}"))?;
        assert_eq!(found.status, 200, "{id}: {found:?}");
    }
    let spent = i64::try_from(ids.len())?;
    assert_eq!(world.balances()?.sender, SENDER_START - spent);
    world.audit()?;
    Ok(())
}

#[test]
fn each_exchange_of_one_redemption_is_answered_by_another_process() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let world = World::on(dir.path(), &postgres_server::database())?;
    let servers = [world.serve()?, world.serve()?, world.serve()?];
    let [first, second, third] = &servers;
    world.order(first, "by-turns", 500, None)?;
    let program = world.program(1)?;
    let mut recipient = Recipient::new(&program, &first.base, &world.card)?
        .and_at(&second.base)
        .and_at(&third.base);
    recipient.run().map_err(|failure| anyhow!("{failure:?}"))?;
    assert_eq!(recipient.requests.len(), 4);
    let balances = world.balances()?;
    assert_eq!((balances.on_card, balances.card_account), (500, 500));
    world.audit()?;
    Ok(())
}

#[test]
fn a_process_killed_under_load_loses_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let world = World::on(dir.path(), &postgres_server::database())?;
    let (one, two) = (world.serve()?, world.serve()?);
    let pid = one.pid().to_string();
    let ids = order_under(&world, [&one, &two], || {
        let killed = std::process::Command::new("kill")
            .args(["-9", &pid])
            .status()?;
        assert!(killed.success());
        Ok(())
    })?;
    counted(&world, &two, ids)?;
    one.wait_for_kill()
}

#[test]
fn a_primary_killed_under_load_is_replaced_by_its_standby_and_loses_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let primary = Postgres::start(&[]);
    let direct = primary.database();
    let standby = primary.standby();
    let name = direct.rsplit('/').next().context("a name")?;
    let world = World::on(dir.path(), &primary.url_with(&standby, name))?;
    let flags = ["--require-standby"];
    let servers = ["127.0.0.1:0"; 2].map(|at| world.serve_with(at, &flags));
    let [one, two] = servers;
    let (one, two) = (one?, two?);
    assert_eq!(ready(&one)?, 200);
    let ids = order_under(&world, [&one, &two], || {
        primary.kill();
        standby.promote();
        Ok(())
    })?;
    counted(&world, &two, ids)?;
    // what is acknowledged now has one copy only
    assert_eq!(ready(&one)?, 503);
    Ok(())
}

/// Whether the server may be sent requests.
fn ready(server: &Server) -> Result<u16> {
    let answer = reqwest::blocking::get(format!("{}/readyz", server.base))?;
    Ok(answer.status().as_u16())
}

#[test]
fn without_its_synchronous_standby_a_primary_acknowledges_nothing_until_it_may() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let primary = Postgres::start(&[]);
    let url = primary.database();
    let standby = primary.standby();
    let world = World::on(dir.path(), &url)?;
    let server = world.serve_with("127.0.0.1:0", &["--require-standby"])?;
    world.order(&server, "before", 5, None)?;
    assert_eq!(ready(&server)?, 200);
    standby.kill();
    wait_until("not ready", || Ok((ready(&server)? == 503).then_some(())))?;
    assert!(world.order(&server, "alone", 7, None).is_err());
    // what docs/postgresql.md says to whoever takes the risk
    let names = "ALTER SYSTEM SET synchronous_standby_names = ''";
    for sql in [names, "SELECT pg_reload_conf()"] {
        primary.sql("postgres", sql);
    }
    wait_until("the order", || {
        Ok(world.order(&server, "alone", 7, None).ok())
    })?;
    assert_eq!(world.balances()?.sender, SENDER_START - 12);
    assert_eq!(ready(&server)?, 503);
    world.audit()?;
    Ok(())
}

#[test]
fn a_database_that_was_put_back_learns_from_the_card_what_it_forgot() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let postgres = Postgres::start(&["--no-sync"]);
    let url = postgres.database();
    let name = url.rsplit('/').next().context("a name")?;
    let world = World::on(dir.path(), &url)?;
    let redeem = |server: &Server, mail: usize| -> Result<()> {
        let program = world.program(mail)?;
        let mut recipient = Recipient::new(&program, &server.base, &world.card)?;
        recipient.run().map_err(|failure| anyhow!("{failure:?}"))?;
        Ok(())
    };
    let server = world.serve()?;
    let id = world.order(&server, "before", 300, None)?["id"].clone();
    let path = format!("/v1/orders/{}", id.as_str().context("an id")?);
    wait_until("the mail", || {
        let order = world.get(&server, &world.alice.token, &path)?;
        Ok((order.body["mail"] == "sent").then_some(()))
    })?;
    server.kill()?;
    // by PostgreSQL's own means: a copy, and later the copy in the place of the original
    postgres.sql(
        "postgres",
        &format!("CREATE DATABASE saved TEMPLATE {name}"),
    );
    let server = world.serve()?;
    redeem(&server, 1)?;
    let in_use = world.admin(&["restore", "--in-place"]);
    assert!(in_use.is_err_and(|error| error.to_string().contains("in use")));
    server.kill()?;
    postgres.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    postgres.sql(
        "postgres",
        &format!("ALTER DATABASE saved RENAME TO {name}"),
    );
    let begun = world.admin(&["restore", "--in-place"])?;
    assert_eq!(
        (&begun["recovering"], &begun["cards_to_read"]),
        (&json!(1), &json!(1))
    );
    let server = world.serve()?;
    world.order(&server, "after", 200, None)?;
    redeem(&server, 2)?;
    let balances = world.balances()?;
    assert_eq!((balances.on_card, balances.card_account), (500, 500));
    world.audit()?;
    Ok(())
}
