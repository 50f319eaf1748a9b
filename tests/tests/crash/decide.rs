//! What officers and the bank decide, and what the log and the address queue take in, killed around
//! their commits: given again, or started again, each comes to one end.

use crate::{AMOUNT, Desk, Story, Told, points};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio};
use tests::{
    bank::BankFile,
    processes::{armed, binary, was_killed},
    recipient::{Fate, Recipient},
    world::{World, text},
};

/// Two officers of a world, and their tokens.
struct Two([String; 2]);

impl Two {
    fn new(world: &World) -> Result<Self> {
        let token = |name| text(&world.admin(&["officer", "add", name])?, "token");
        Ok(Self([token("alice")?, token("bob")?]))
    }

    /// Runs a command that both approve; gives its document.
    fn decide(&self, world: &World, failpoint: Option<&str>, args: &[&str]) -> Result<Value> {
        let two = ["--by", "alice", "--and", "bob", "--reason", "a test"];
        let mut command = match failpoint {
            Some(point) => armed("tegata-server", &format!("{point}=return"))?,
            None => std::process::Command::new(binary("tegata-server")?),
        };
        let output = command
            .args(args)
            .args(two)
            .args(["--data", &world.data, "--json"])
            .env("TEGATA_BY_TOKEN", &self.0[0])
            .env("TEGATA_AND_TOKEN", &self.0[1])
            .stdin(Stdio::null())
            .output()?;
        if let Some(point) = failpoint {
            ensure!(was_killed(output.status), "{point}: {output:?}");
            return Ok(Value::Null);
        }
        ensure!(output.status.success(), "{args:?}: {output:?}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The same, killed at the point first and then given twice: the answer stays.
    fn decided(&self, world: &World, point: &str, args: &[&str]) -> Result<Value> {
        self.decide(world, Some(point), args)?;
        world.audit()?;
        let done = self.decide(world, None, args)?;
        world.audit()?;
        Ok(done)
    }
}

/// A card of its own for one point, and the mails that came so far.
struct Own<'a> {
    desk: &'a Desk,
    point: &'a str,
    file: String,
    number: String,
    card: String,
}

impl<'a> Own<'a> {
    fn new(desk: &'a Desk, point: &'a str) -> Result<Self> {
        let name = point.replace("::", "-");
        let file = desk.world.dir.join(name).to_string_lossy().into_owned();
        desk.world.new_card(&file)?;
        let issued = desk.world.issue(&file, &desk.world.hanako.id)?;
        Ok(Self {
            desk,
            point,
            file,
            number: text(&issued, "number")?,
            card: text(&issued, "card")?,
        })
    }

    /// Orders to this card; gives the order's id and its program, the mail of this number.
    fn order(&self, key: &str, mails: &mut usize) -> Result<(String, Vec<u8>)> {
        let world = &self.desk.world;
        let body =
            json!({ "recipient_card": self.number, "amount_minor": AMOUNT, "currency": "JPY" });
        let key = format!("{}-{key}", self.point);
        let (server, token) = (self.desk.server()?, &world.alice.token);
        let answer = world.post(server, token, "/v1/orders", &key, &body.to_string())?;
        ensure!(answer.status == 201, "{answer:?}");
        *mails += 1;
        Ok((text(&answer.body, "id")?, world.program(*mails)?))
    }

    fn run(&self, program: &[u8], last: usize) -> Result<bool> {
        let hook = |n| {
            if n >= last {
                Fate::LoseRequest
            } else {
                Fate::Deliver
            }
        };
        let base = &self.desk.server()?.base;
        let mut recipient = Recipient::new(program, base, &self.file)?.with_hook(hook);
        Ok(recipient.run().is_ok())
    }
}

#[test]
fn what_two_persons_decide_killed_around_its_commit_is_decided_once() -> Result<()> {
    let desk = Desk::new()?;
    let world = &desk.world;
    let two = Two::new(world)?;
    two.decide(world, None, &["officer", "window", "--set", "0"])?;
    let mut mails = 0;
    let mut windows = [60_u32, 0].into_iter();
    let mut names = ["carol", "dora", "erin", "fred"].into_iter();
    for (point, story) in points(Told::Decision) {
        match story {
            Story::Officer => officer(world, &two, point, names.next().context("a name")?)?,
            Story::Withdraw => {
                let name = names.next().context("a name")?;
                two.decide(world, None, &["officer", "add", name])?;
                two.decided(world, point, &["officer", "remove", name])?;
                ensure!(is_withdrawn(world, name)? == Some(true), "{point}");
            }
            Story::Window => {
                let seconds = windows.next().context("a window")?;
                let set = ["officer", "window", "--set", &seconds.to_string()];
                let done = two.decided(world, point, &set)?;
                assert_eq!(done["settle_window_s"], seconds, "{point}");
            }
            Story::Close => {
                let own = Own::new(&desk, point)?;
                let (id, program) = own.order("one", &mut mails)?;
                ensure!(!own.run(&program, 4)?, "{point}: it ended with a receipt");
                let done = two.decided(world, point, &["reconcile", "close", &id])?;
                assert_eq!(done["status"], "held", "{point}");
                let again = two.decide(world, None, &["reconcile", "close", &id])?;
                assert_eq!(again, done, "{point}");
            }
            Story::Lost => lost(&desk, &two, point, &mut mails)?,
            other => bail!("{point}: {other:?} is told elsewhere"),
        }
        world.audit().with_context(|| point.to_owned())?;
    }
    Ok(())
}

fn is_withdrawn(world: &World, name: &str) -> Result<Option<bool>> {
    let list = world.admin(&["officer", "list"])?;
    let rows = list["officers"].as_array().context("officers")?.clone();
    let mut mine = rows.into_iter().filter(|row| row["officer"] == name);
    let first = mine.next();
    ensure!(mine.next().is_none(), "{name} is there twice");
    Ok(first.map(|row| !row["withdrawn_at"].is_null()))
}

/// The file has the token before the database has its hash: the same command gives out the same one.
fn officer(world: &World, two: &Two, point: &str, name: &str) -> Result<()> {
    let file = world.dir.join(format!("{name}.token"));
    let path = file.to_string_lossy().into_owned();
    let add = ["officer", "add", name, "--token-file", &path];
    two.decided(world, point, &add)?;
    ensure!(is_withdrawn(world, name)? == Some(false), "{point}");
    // what the file holds is this officer's token
    let token = std::fs::read_to_string(&file)?.trim().to_owned();
    let with = Two([two.0[0].clone(), token]);
    let output = std::process::Command::new(binary("tegata-server")?)
        .args(["officer", "window", "--set", "0", "--reason", "a test"])
        .args(["--by", "alice", "--and", name, "--data", &world.data])
        .env("TEGATA_BY_TOKEN", &with.0[0])
        .env("TEGATA_AND_TOKEN", &with.0[1])
        .output()?;
    ensure!(output.status.success(), "{point}: {output:?}");
    Ok(())
}

/// A card with value and an unopened mail is lost, paid out and presented; killed at one of the three.
fn lost(desk: &Desk, two: &Two, point: &str, mails: &mut usize) -> Result<()> {
    let world = &desk.world;
    two.decide(world, None, &["officer", "window", "--set", "0"])?;
    let own = Own::new(desk, point)?;
    let (_, first) = own.order("one", mails)?;
    let (_, second) = own.order("two", mails)?;
    ensure!(own.run(&first, usize::MAX)?, "{point}: not credited");
    let alone = |args: &[&str], at: &str| -> Result<Value> {
        if point.contains(at) {
            crate::office_killed(world, point, args)?;
            world.audit()?;
        }
        world.admin(args)
    };
    let done = alone(&["card", "lost", &own.card], "report-lost")?;
    assert_eq!(done["status"], "blocked", "{point}");
    let done = alone(&["card", "payout", &own.card], "pay-out")?;
    assert_eq!(done["total_minor"], AMOUNT, "{point}");
    let done = world.admin(&["card", "payout", &own.card])?;
    assert_eq!(done["paid_minor"], 0, "{point}");
    ensure!(
        !own.run(&second, usize::MAX)?,
        "{point}: a lost card took more"
    );
    let cases = world_cases(world)?;
    let case = cases.last().context("a case")?;
    let resolve = ["reconcile", "resolve", case, "--block"];
    if point.contains("::resolve::") {
        two.decide(world, Some(point), &resolve)?;
        world.audit()?;
        // decided by then, or given again
        if world_cases(world)?.contains(case) {
            two.decide(world, None, &resolve)?;
        }
    } else {
        two.decide(world, None, &resolve)?;
    }
    ensure!(world_cases(world)?.is_empty(), "{point}: a case is open");
    Ok(())
}

/// The open cases, as `reconcile` names them.
fn world_cases(world: &World) -> Result<Vec<String>> {
    let args = ["reconcile", "--data", &world.data, "--json"];
    let output = tests::processes::run("tegata-server", &args)?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let queue = report["queue"].as_array().context("a queue")?;
    let codes = queue.iter().map(|item| text(item, "code"));
    let cases = codes.filter(|code| code.as_ref().is_ok_and(|code| code.starts_with("case-")));
    cases.collect()
}

#[test]
fn a_server_killed_around_the_banks_word_debits_once() -> Result<()> {
    let mut desk = Desk::new()?;
    let bank = BankFile::new(&desk.world.dir);
    let spec = bank.spec();
    let account = "0001-1234567";
    bank.account(account, &json!({}))?;
    let alice = desk.world.alice.id.clone();
    desk.world
        .admin(&["holder", "bank", &alice, "--account", account])?;
    let mut paid = 0;
    for (point, _) in points(Told::Bank) {
        let body = json!({ "recipient_card": desk.world.number, "amount_minor": AMOUNT,
            "currency": "JPY", "fund_from": "bank" });
        let body = body.to_string();
        drop(desk.server.take());
        let armed_at = format!("{point}=return");
        let server = desk
            .world
            .serve_armed_with(&desk.address, &armed_at, &["--bank", &spec])?;
        let token = &desk.world.alice.token;
        let answer = desk
            .world
            .post(&server, token, "/v1/orders", point, &body)?;
        ensure!(answer.status == 201, "{point}: {answer:?}");
        let id = text(&answer.body, "id")?;
        server.wait_for_kill().with_context(|| point.to_owned())?;
        desk.world.audit()?;
        let server = desk.world.serve_with(&desk.address, &["--bank", &spec])?;
        bank_lease_is_over(&desk.world)?;
        desk.world.wait_for_status(&server, &id, "open")?;
        paid += AMOUNT;
        assert_eq!(bank.entry(&id)?["debits"], 1, "{point}");
        assert_eq!(bank.balance(account)?, 10_000 - paid, "{point}");
        desk.server = Some(server);
        desk.world.audit().with_context(|| point.to_owned())?;
    }
    Ok(())
}

/// Lets the question of a dead server be due now, as a clock would.
fn bank_lease_is_over(world: &World) -> Result<()> {
    use store::Store as _;
    let store = store::SqlStore::open(&Path::new(&world.data).join("tegata.db"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let now = store.time_floor().await?;
        store.lease_bank(now.plus_s(3_600), now, 16).await?;
        Ok(())
    })
}

#[test]
fn a_server_killed_while_it_seals_leaves_a_chain_and_all_its_records() -> Result<()> {
    let mut desk = Desk::new()?;
    for (point, _) in points(Told::Log) {
        drop(desk.server.take());
        let armed_at = format!("{point}=return");
        match desk.world.serve_armed(&desk.address, &armed_at) {
            Ok(server) => {
                // it may die before it answers
                let _ = desk.world.order(&server, point, AMOUNT, None);
                server.wait_for_kill().with_context(|| point.to_owned())?;
            }
            // something waited to be sealed when it started
            Err(early) => ensure!(
                early.to_string().contains("signal: 9"),
                "{point}: {early:#}"
            ),
        }
        desk.world.audit().with_context(|| point.to_owned())?;
        desk.restart()?;
        desk.order(point)?;
        desk.adds_up(point)?;
    }
    Ok(())
}

#[test]
fn an_address_asked_for_around_a_kill_gets_one_code_that_counts() -> Result<()> {
    let mut desk = Desk::new()?;
    let holder = desk.world.hanako.id.clone();
    for (point, _) in points(Told::Asked) {
        let email = format!("{}@cards.example", point.replace("::", "."));
        let ask = ["holder", "email", &holder, "--set", &email];
        drop(desk.server.take());
        crate::office_killed(&desk.world, point, &ask)?;
        desk.world.audit()?;
        desk.world.admin(&ask)?;
        let count = desk.world.sink.count();
        desk.restart()?;
        let letter = desk.world.mail(count + 1)?;
        let letter = crate::address::text_of(&letter)?;
        crate::address::verify(&desk.world, &email, &letter)?;
        desk.world.audit()?;
    }
    Ok(())
}
