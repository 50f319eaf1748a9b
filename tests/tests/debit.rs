//! Orders that a card of their sender pays for, over real processes: two programs, two terminals, two
//! cards; whatever goes wrong on the way, both halves happen or neither.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::cell::RefCell;
use tests::{
    processes::{Server, json as run_json, wait_until},
    recipient::{Fate, Recipient},
    world::{Holder, Opened, World, text},
};

/// What Hanako's card holds before.
const CHARGED: i64 = 2_500;
/// What Hanako sends from it.
const PAID: i64 = 1_000;

/// Hanako has money on her card, and sends from it to Bob's.
struct Story {
    world: World,
    server: Server,
    /// Card file and number.
    bob: (String, String),
    /// Mails that have come.
    mails: usize,
    // last: dropped after what uses it
    dir: tempfile::TempDir,
}

/// Where the money is, in JPY: on Hanako's card, on Bob's, in both card accounts, owed to Hanako.
type Money = [i64; 4];

const BEFORE: Money = [CHARGED, 0, CHARGED, 0];
const ON_ITS_WAY: Money = [CHARGED - PAID, 0, CHARGED - PAID, 0];
const ARRIVED: Money = [CHARGED - PAID, PAID, CHARGED, 0];
const OWED: Money = [CHARGED - PAID, 0, CHARGED - PAID, PAID];

impl Story {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let world = World::new(dir.path())?;
        let bob = world.holder("Bob", "bob@demo.tegata.example", "en")?;
        let card = dir.path().join("bob.tegata-card");
        let card = card.to_string_lossy().into_owned();
        world.new_card(&card)?;
        let number = text(&world.issue(&card, &bob.id)?, "number")?;
        let server = world.serve()?;
        world.trust(&server)?;
        world.order(&server, "charge", CHARGED, None)?;
        let charged = world.open(&world.mail(1)?)?;
        ensure!(charged.exit == 0, "{charged:?}");
        let story = Self {
            world,
            server,
            bob: (card, number),
            mails: 1,
            dir,
        };
        assert_eq!(story.money()?, BEFORE);
        Ok(story)
    }

    const fn hanako(&self) -> &Holder {
        &self.world.hanako
    }

    fn body(&self) -> Value {
        json!({ "recipient_card": self.bob.1, "amount_minor": PAID, "currency": "JPY",
            "note": "from my card", "fund_from": "card", "from_card": self.world.number })
    }

    fn post(&self, path: &str, key: &str, body: &Value) -> Result<(u16, Value)> {
        let token = &self.hanako().token;
        let answer = self
            .world
            .post(&self.server, token, path, key, &body.to_string())?;
        Ok((answer.status, answer.body))
    }

    fn read(&self, id: &str) -> Result<Value> {
        let path = format!("/v1/orders/{id}");
        Ok(self
            .world
            .get(&self.server, &self.hanako().token, &path)?
            .body)
    }

    fn status(&self, id: &str) -> Result<String> {
        text(&self.read(id)?, "status")
    }

    fn wait(&self, id: &str, status: &str) -> Result<()> {
        wait_until(status, || Ok((self.status(id)? == status).then_some(())))
    }

    fn cancel(&self, id: &str) -> Result<u16> {
        Ok(self
            .post(&format!("/v1/orders/{id}/cancel"), id, &Value::Null)?
            .0)
    }

    /// Hanako orders; gives the order's id, and her mail.
    fn order(&mut self, key: &str) -> Result<(String, String)> {
        let (status, body) = self.post("/v1/orders", key, &self.body())?;
        ensure!(status == 201, "{body}");
        assert_eq!(
            (&body["fund_from"], &body["status"]),
            (&"card".into(), &"ordered".into())
        );
        self.mails += 1;
        Ok((text(&body, "id")?, self.world.mail(self.mails)?))
    }

    /// The next mail is Bob's: he opens it at his own terminal.
    fn bob_receives(&mut self) -> Result<()> {
        self.mails += 1;
        let mail = self.world.mail(self.mails)?;
        let theirs = self.dir.path().join("bob").to_string_lossy().into_owned();
        let own = std::mem::replace(&mut self.world.state, theirs);
        self.world.trust(&self.server)?;
        let opened = self.world.open_with(&mail, &self.bob.0)?;
        self.world.state = own;
        ensure!(opened.exit == 0, "{opened:?}");
        assert_eq!(opened.document["outcome"], "credited");
        Ok(())
    }

    /// The program in a mail, run without a sandbox.
    fn program(&self) -> Result<Vec<u8>> {
        self.world.program(self.mails)
    }

    fn money(&self) -> Result<Money> {
        let on = |file: &str| -> Result<i64> {
            let shown = run_json("tegata-card", &["show", file, "--json"])?;
            shown["purse"]["value_minor"].as_i64().context("a value")
        };
        let owed = self.world.admin(&["payable", "list"])?;
        let owed = owed["payable"].as_array().context("a list")?;
        let owed = owed.iter().filter_map(|row| row["balance_minor"].as_i64());
        let accounts = self.world.balances()?.card_account;
        self.world.audit()?;
        Ok([
            on(&self.world.card)?,
            on(&self.bob.0)?,
            accounts,
            owed.sum(),
        ])
    }
}

fn outcome(opened: &Opened) -> Result<(String, String)> {
    ensure!(opened.exit == 0, "{opened:?}");
    let receipt = text(&opened.document, "receipt")?;
    Ok((text(&opened.document, "outcome")?, receipt))
}

#[test]
fn from_the_senders_card_to_the_recipients_by_two_mails() -> Result<()> {
    let mut story = Story::new()?;
    let (id, mail) = story.order("one")?;
    let (status, again) = story.post("/v1/orders", "one", &story.body())?;
    assert_eq!((status, text(&again, "id")?), (201, id.clone()));
    let written = std::fs::read_to_string(&mail)?;
    assert!(
        written.contains("To: \"Hanako Sato\"") || written.contains("hanako@"),
        "{written}"
    );
    assert_eq!(story.money()?, BEFORE);

    let opened = story.world.open(&mail)?;
    let (said, receipt) = outcome(&opened)?;
    assert_eq!(said, "debited");
    assert_eq!(opened.document["kind"], "debit", "{opened:?}");
    assert_eq!(story.money()?, ON_ITS_WAY);
    assert_eq!(story.status(&id)?, "open");
    let again = outcome(&story.world.open(&mail)?)?;
    assert_eq!(again, ("already-debited".to_owned(), receipt));
    assert_eq!(story.money()?, ON_ITS_WAY);

    story.bob_receives()?;
    assert_eq!(story.money()?, ARRIVED);
    assert_eq!(story.status(&id)?, "credited");
    Ok(())
}

#[test]
fn a_line_that_breaks_at_any_exchange_takes_the_amount_once() -> Result<()> {
    for fate in [Fate::LoseRequest, Fate::LoseReply] {
        let mut story = Story::new()?;
        for broken in 1..=4 {
            let (id, _) = story.order(&format!("at-{broken}"))?;
            let program = story.program()?;
            let base = story.server.base.clone();
            let hook = |n| if n >= broken { fate } else { Fate::Deliver };
            let mut sender = Recipient::new(&program, &base, &story.world.card)?.with_hook(hook);
            ensure!(sender.run().is_err(), "exchange {broken} got through");
            drop(sender);
            let status = story.status(&id)?;
            let expected = match (broken, fate) {
                (1 | 2, _) | (3, Fate::LoseRequest) => "ordered",
                (4, Fate::LoseReply) => "open",
                _ => "funding-unknown",
            };
            assert_eq!(status, expected, "{fate:?} {broken}");
            let taken = (broken, fate) == (4, Fate::LoseReply);
            let [card, _, accounts, owed] = story.money()?;
            assert_eq!(owed, 0);
            assert!(taken || accounts - card <= PAID, "{fate:?} {broken}");

            let mut sender = Recipient::new(&program, &base, &story.world.card)?;
            sender.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
            drop(sender);
            assert_eq!(story.status(&id)?, "open");
            let [card, _, accounts, _] = story.money()?;
            assert_eq!((card, accounts), (CHARGED - PAID, CHARGED - PAID));
            // back on the card for the next round, through Bob's hands
            story.mails += 1;
            story.world.mail(story.mails)?;
            assert_eq!(story.cancel(&id)?, 200);
            story.paid_back(&format!("back-{fate:?}-{broken}"))?;
        }
    }
    Ok(())
}

impl Story {
    /// What is owed to Hanako goes to her card, by an order of the office.
    fn paid_back(&mut self, key: &str) -> Result<()> {
        let minor = PAID.to_string();
        let to = [
            "payable",
            "send",
            &self.hanako().id,
            "--to",
            &self.world.number,
        ];
        let how = ["--minor", &minor, "--key", key];
        self.world.admin(&[&to[..], &how].concat())?;
        self.mails += 1;
        let opened = self.world.open(&self.world.mail(self.mails)?)?;
        assert_eq!(outcome(&opened)?.0, "credited");
        assert_eq!(self.money()?, BEFORE);
        Ok(())
    }
}

#[test]
fn a_cancel_at_any_exchange_is_decided_by_the_card() -> Result<()> {
    for at in 1..=4 {
        let mut story = Story::new()?;
        let (id, _) = story.order("one")?;
        let program = story.program()?;
        let answers = RefCell::new(Vec::new());
        let mut sender = Recipient::new(&program, &story.server.base, &story.world.card)?
            .with_hook(|n| {
                if n == at {
                    answers.borrow_mut().push(story.cancel(&id).unwrap_or(0));
                }
                Fate::Deliver
            });
        let ended = sender.run();
        drop(sender);
        // from exchange 4 on the amount is off the card
        let in_flight = at == 4;
        assert_eq!(ended.is_ok(), in_flight, "{at}: {ended:?}");
        let expected = if in_flight { 202 } else { 200 };
        assert_eq!(answers.take(), [expected], "{at}");
        let (status, money) = match in_flight {
            true => ("cancelled", OWED),
            false => ("cancelled-unfunded", BEFORE),
        };
        assert_eq!(
            (story.status(&id)?.as_str(), story.money()?),
            (status, money)
        );
    }
    Ok(())
}

#[test]
fn an_order_expires_before_its_debit_or_waits_for_it() -> Result<()> {
    let mut story = Story::new()?;
    // the clock has passed when another order of the same time has expired
    let mut body = story.body();
    body["expires_in_s"] = json!(3);
    let (status, sent) = story.post("/v1/orders", "sent", &body)?;
    ensure!(status == 201, "{sent}");
    story.mails += 1;
    let id = text(&sent, "id")?;
    let program = story.program()?;
    let hook = |n| {
        if n >= 4 {
            Fate::LoseRequest
        } else {
            Fate::Deliver
        }
    };
    let mut sender =
        Recipient::new(&program, &story.server.base, &story.world.card)?.with_hook(hook);
    ensure!(sender.run().is_err(), "the last exchange got through");
    body["amount_minor"] = json!(10);
    let (_, left) = story.post("/v1/orders", "left", &body)?;
    let left = text(&left, "id")?;
    story.wait(&left, "expired-unfunded")?;
    assert_eq!(
        story.status(&id)?,
        "funding-unknown",
        "the card may have paid"
    );
    let proof = sender.requests.last().context("a proof")?.clone();
    let reply = wire::exchange::Reply::decode(&sender.send(&proof)?)?;
    assert!(
        matches!(reply, wire::exchange::Reply::Receipt(_)),
        "{reply:?}"
    );
    drop(sender);
    assert_eq!(story.status(&id)?, "expired");
    assert_eq!(story.money()?, OWED);
    Ok(())
}

#[test]
fn what_nobody_picked_up_is_owed_and_reaches_another_card() -> Result<()> {
    let mut story = Story::new()?;
    let mut body = story.body();
    body["expires_in_s"] = json!(5);
    let (status, sent) = story.post("/v1/orders", "one", &body)?;
    ensure!(status == 201, "{sent}");
    story.mails += 1;
    let id = text(&sent, "id")?;
    let paid = story.world.open(&story.world.mail(story.mails)?)?;
    assert_eq!(outcome(&paid)?.0, "debited");
    story.mails += 1;
    story.world.mail(story.mails)?;
    story.wait(&id, "expired")?;
    assert_eq!(story.money()?, OWED);

    let second = story.dir.path().join("second.tegata-card");
    let second = second.to_string_lossy().into_owned();
    story.world.new_card(&second)?;
    let number = text(&story.world.issue(&second, &story.hanako().id)?, "number")?;
    let minor = PAID.to_string();
    let to = ["payable", "send", &story.hanako().id, "--to", &number];
    let sent = [&to[..], &["--minor", &minor, "--key", "once"]].concat();
    story.world.admin(&sent)?;
    story.mails += 1;
    let mail = story.world.mail(story.mails)?;
    let opened = story.world.open_with(&mail, &second)?;
    assert_eq!(outcome(&opened)?.0, "credited");
    let [first, _, accounts, owed] = story.money()?;
    assert_eq!((first, accounts, owed), (CHARGED - PAID, CHARGED, 0));
    Ok(())
}

#[test]
fn a_card_with_too_little_is_told_before_and_on_the_reader() -> Result<()> {
    let mut story = Story::new()?;
    let mut body = story.body();
    body["amount_minor"] = json!(CHARGED + 1);
    let (status, refused) = story.post("/v1/orders", "dear", &body)?;
    assert_eq!(
        (status, &refused["code"]),
        (422, &"insufficient-funds".into())
    );
    // two that are covered one by one, and not together
    body["amount_minor"] = json!(CHARGED);
    let (status, all) = story.post("/v1/orders", "all", &body)?;
    ensure!(status == 201, "{all}");
    story.mails += 1;
    let all = story.world.mail(story.mails)?;
    let (id, mail) = story.order("one")?;
    assert_eq!(outcome(&story.world.open(&mail)?)?.0, "debited");
    let short = story.world.open(&all)?;
    assert_eq!(
        (short.exit, &short.document["code"]),
        (8, &"E_CARD_SHORT".into()),
        "{short:?}"
    );
    assert_eq!(story.money()?, ON_ITS_WAY);
    assert_eq!(story.status(&id)?, "open");
    story.bob_receives()?;
    assert_eq!(story.money()?, ARRIVED);
    Ok(())
}
