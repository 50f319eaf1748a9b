//! What no session settles, with real processes: two persons at the command line, a late proof, a
//! lost card, a card whose record nothing explains.

use anyhow::{Context, Result, ensure};
use guest_logic::Failure;
use serde_json::{Value, json};
use tests::{
    bank::BankFile,
    processes::{self, Server, run, run_with_input, wait_until},
    recipient::{Fate, Recipient},
    world::{Balances, SENDER_START, World, text},
};

const AMOUNT: i64 = 2_500;

/// A world with two officers.
struct Office {
    world: World,
    server: Option<Server>,
    tokens: [String; 2],
    // last: dropped after what uses it
    dir: tempfile::TempDir,
}

impl Office {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let world = World::new(dir.path())?;
        let token = |name| text(&world.admin(&["officer", "add", name])?, "token");
        let tokens = [token("alice")?, token("bob")?];
        let server = Some(world.serve()?);
        Ok(Self {
            world,
            server,
            tokens,
            dir,
        })
    }

    fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("a server runs")
    }

    /// Orders; gives the order's id and its program, which is the mail of this number.
    fn order(&self, number: usize) -> Result<(String, Vec<u8>)> {
        let key = number.to_string();
        let view = self.world.order(self.server()?, &key, AMOUNT, None)?;
        Ok((text(&view, "id")?, self.world.program(number)?))
    }

    /// Hanako orders from her card to a new card of Bob's; gives the order and its debit's program, which
    /// is the mail of this number.
    fn pays_by_card(&self, number: usize) -> Result<(String, Vec<u8>)> {
        let world = &self.world;
        let bob = world.holder("Bob", "bob@demo.tegata.example", "en")?;
        let file = self.dir.path().join("bob.tegata-card");
        let file = file.to_string_lossy();
        world.new_card(&file)?;
        let to = text(&world.issue(&file, &bob.id)?, "number")?;
        let body = json!({ "recipient_card": to, "amount_minor": 1_000, "currency": "JPY",
            "fund_from": "card", "from_card": world.number });
        let (server, token) = (self.server()?, &world.hanako.token);
        let placed = world.post(server, token, "/v1/orders", "pay", &body.to_string())?;
        Ok((text(&placed.body, "id")?, world.program(number)?))
    }

    fn redeem(&self, program: &[u8], card: &str) -> Result<Result<Vec<u8>, &'static str>> {
        let mut recipient = Recipient::new(program, &self.server()?.base, card)?;
        match recipient.run() {
            Ok(receipt) => Ok(Ok(receipt)),
            Err(Failure::Refused) => Ok(Err(recipient.refusal()?)),
            Err(other) => anyhow::bail!("{other:?}"),
        }
    }

    /// Runs what two persons decide, both tokens typed in; gives exit code, document and talk.
    fn decide(&self, args: &[&str], tokens: [&str; 2]) -> Result<(i32, Value, String)> {
        let two = [
            "--by",
            "alice",
            "--and",
            "bob",
            "--reason",
            "the card was destroyed",
        ];
        let data = ["--data", &self.world.data, "--json"];
        let typed = format!("{}\n{}\n", tokens[0], tokens[1]);
        let all = [args, &two, &data].concat();
        let output = run_with_input("tegata-server", &all, typed.as_bytes())?;
        let document = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.code().unwrap_or(-1), document, talk))
    }

    fn decided(&self, args: &[&str]) -> Result<Value> {
        let (exit, document, talk) = self.decide(args, [&self.tokens[0], &self.tokens[1]])?;
        ensure!(exit == 0, "{args:?}: {talk}");
        Ok(document)
    }

    /// Gives the command that `reconcile` names for an item, as it stands there up to a semicolon; it
    /// must be accepted. `filled`: what stands in place of a word in capitals, or of another reader.
    fn follow(&self, item: &Value, filled: &[(&str, &str)]) -> Result<Value> {
        const TWO: &str = " --by NAME --and NAME --reason TEXT";
        let next = text(item, "next")?;
        let command = next.split(';').next().unwrap_or_default();
        let command = command
            .strip_prefix("tegata-server ")
            .context(next.clone())?;
        let decided = command.strip_suffix(TWO);
        let words = decided.unwrap_or(command).split(' ').map(|word| {
            let fill = filled.iter().find(|(name, _)| *name == word);
            fill.map_or(word, |(_, text)| text)
        });
        let words: Vec<_> = words.collect();
        match decided {
            Some(_) => self.decided(&words),
            None => self.world.admin(&words),
        }
    }

    /// The item of this code, which stands in `list` of a report.
    fn item(&self, list: &str, code: &str) -> Result<Value> {
        let (_, report) = self.reconcile()?;
        let mut items = report[list].as_array().context("a list")?.iter();
        let found = items.find(|item| item["code"] == code);
        found.cloned().with_context(|| format!("{code}: {report}"))
    }

    fn codes(&self, list: &str) -> Result<Vec<String>> {
        let (_, report) = self.reconcile()?;
        let items = report[list].as_array().context("a list")?.iter();
        items.map(|item| text(item, "code")).collect()
    }

    fn without_settle_window(&self) -> Result<()> {
        self.decided(&["officer", "window", "--set", "0"])?;
        Ok(())
    }

    /// The report, and whether everything agreed.
    fn reconcile(&self) -> Result<(bool, Value)> {
        let args = ["reconcile", "--data", &self.world.data, "--json"];
        let output = run("tegata-server", &args)?;
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let agrees = output.status.success();
        assert_eq!(report["agrees"], agrees, "{report}");
        let sum = |field: &str| {
            text(&report["totals"][0], field)?
                .parse::<i64>()
                .context("minor")
        };
        let parts = [
            "holders",
            "payable",
            "cards",
            "escrow",
            "in_doubt",
            "held",
            "bank",
            "loss_in_doubt",
            "written_off",
        ];
        let mut total = 0;
        for part in parts {
            total += sum(part)?;
        }
        assert_eq!(sum("issued")?, total, "{report}");
        Ok((agrees, report))
    }
}

#[test]
fn two_persons_close_what_is_in_doubt_and_its_late_proof_is_accepted() -> Result<()> {
    let office = Office::new()?;
    let (id, program) = office.order(1)?;
    let hook = |n| {
        if n >= 4 {
            Fate::LoseRequest
        } else {
            Fate::Deliver
        }
    };
    let base = &office.server()?.base;
    let mut recipient = Recipient::new(&program, base, &office.world.card)?.with_hook(hook);
    ensure!(recipient.run().is_err(), "the last exchange got through");
    let close = ["reconcile", "close", &id];
    let [alice, bob] = office.tokens.each_ref().map(String::as_str);
    for (tokens, said) in [
        ([alice, alice], "do not belong"),
        ([alice, "tgt_x"], "no token"),
    ] {
        let (exit, _, talk) = office.decide(&close, tokens)?;
        assert!(exit == 1 && talk.contains(said), "{talk}");
        let (exit, _, talk) = office.decide(&close, [bob, tokens[1]])?;
        assert!(exit == 1, "{talk}");
    }
    for _ in 0..2 {
        assert_eq!(office.decided(&close)?["status"], "held");
    }
    let paid = Balances {
        on_card: AMOUNT,
        card_account: 0,
        sender: SENDER_START,
    };
    assert_eq!(office.world.balances()?, paid);
    let (agrees, report) = office.reconcile()?;
    assert!(agrees, "{report}");
    assert_eq!(report["totals"][0]["held"], AMOUNT.to_string());
    assert_eq!(report["totals"][0]["loss_in_doubt"], (-AMOUNT).to_string());
    assert_eq!(report["held"][0]["remittance"], id.as_str());

    let proof = recipient.requests[3].clone();
    let reply = recipient.send(&proof)?;
    assert!(matches!(
        wire::exchange::Reply::decode(&reply)?,
        wire::exchange::Reply::Receipt(_)
    ));
    drop(recipient);
    let proven = Balances {
        card_account: AMOUNT,
        ..paid
    };
    assert_eq!(office.world.balances()?, proven);
    let (agrees, report) = office.reconcile()?;
    assert!(agrees, "{report}");
    assert_eq!(report["totals"][0]["loss_in_doubt"], (-AMOUNT).to_string());
    office.world.audit()?;
    Ok(())
}

/// What it names is done as it stands there, from a doubt on a lost card to what its holder is owed;
/// nothing is named that would be refused.
#[test]
fn each_next_action_that_reconcile_names_is_accepted() -> Result<()> {
    let office = Office::new()?;
    let world = &office.world;
    let (_, first) = office.order(1)?;
    ensure!(office.redeem(&first, &world.card)?.is_ok(), "credited");
    let (id, second) = office.order(2)?;
    let hook = |n| {
        if n >= 4 {
            Fate::LoseRequest
        } else {
            Fate::Deliver
        }
    };
    let base = &office.server()?.base;
    let mut recipient = Recipient::new(&second, base, &world.card)?.with_hook(hook);
    ensure!(recipient.run().is_err(), "the last exchange got through");
    drop(recipient);
    let card = text(&world.admin(&["card", "lost", &world.number])?, "card")?;
    let (lost, owed) = (
        format!("lost-{card}"),
        format!("payable-{}", world.hanako.id),
    );

    // a payout would be refused while that is in doubt, so only the closing is named
    assert_eq!(office.codes("queue")?, [format!("in-doubt-{id}")]);
    assert_eq!(office.codes("todo")?, Vec::<String>::new());
    office.without_settle_window()?;
    assert_eq!(office.codes("todo")?, Vec::<String>::new());
    let close = office.item("queue", &format!("in-doubt-{id}"))?;
    assert_eq!(office.follow(&close, &[])?["status"], "held");
    assert_eq!(office.codes("queue")?, Vec::<String>::new());
    let paid = office.follow(&office.item("todo", &lost)?, &[])?;
    assert_eq!(paid["paid_minor"], AMOUNT);
    assert_eq!(office.codes("todo")?, [owed.as_str()]);
    let card = office.dir.path().join("second.tegata-card");
    let card = card.to_string_lossy();
    world.new_card(&card)?;
    let number = text(&world.issue(&card, &world.hanako.id)?, "number")?;
    let sent = office.follow(&office.item("todo", &owed)?, &[("CARD", &number)])?;
    assert_eq!(sent["owed_minor"], 0);
    assert_eq!(office.codes("todo")?, Vec::<String>::new());
    world.audit()?;
    Ok(())
}

/// A restored order that a bank paid, on a lost card: two persons cannot close it before the bank has
/// answered, so the closing is not named, and who tries hears what it waits for.
#[test]
fn no_closing_is_named_while_the_bank_has_not_answered() -> Result<()> {
    const ACCOUNT: &str = "0001-1234567";
    let mut office = Office::new()?;
    let bank = BankFile::new(office.dir.path());
    bank.account(ACCOUNT, &json!({}))?;
    drop(office.server.take());
    let world = &office.world;
    world.admin(&["holder", "bank", &world.alice.id, "--account", ACCOUNT])?;
    let server = world.serve_with("127.0.0.1:0", &["--bank", &bank.spec()])?;
    let body = json!({ "recipient_card": world.number, "amount_minor": AMOUNT, "currency": "JPY",
        "fund_from": "bank" });
    let token = &world.alice.token;
    let placed = world.post(&server, token, "/v1/orders", "one", &body.to_string())?;
    let id = text(&placed.body, "id")?;
    world.wait_for_status(&server, &id, "open")?;
    drop(server);
    let copy = office.dir.path().join("copy.db");
    let copy = copy.to_string_lossy().into_owned();
    world.admin(&["backup", &copy])?;
    world.admin(&["restore", &copy])?;
    let card = text(&world.admin(&["card", "lost", &world.number])?, "card")?;
    office.without_settle_window()?;

    let code = format!("recovering-{id}");
    let item = office.item("queue", &code)?;
    assert_eq!(item["evidence"]["bank_asked"], true);
    assert!(
        text(&item, "next")?.starts_with("wait for the bank"),
        "{item}"
    );
    let tokens = [office.tokens[0].as_str(), office.tokens[1].as_str()];
    let (exit, _, talk) = office.decide(&["reconcile", "close", &id], tokens)?;
    assert!(
        exit == 1 && talk.contains("its bank has still to answer"),
        "{talk}"
    );
    let lost = office.item("todo", &format!("lost-{card}"))?;
    assert!(text(&lost, "next")?.contains("the queue"), "{lost}");

    // the bank answers: it has debited, so the order still waits, and now for the two
    let server = world.serve_with("127.0.0.1:0", &["--bank", &bank.spec()])?;
    let item = wait_until("the bank's answer", || {
        let item = office.item("queue", &code)?;
        Ok((item["evidence"]["bank_asked"] == false).then_some(item))
    })?;
    drop(server);
    assert_eq!(office.follow(&item, &[])?["status"], "held");
    office.world.audit()?;
    Ok(())
}

#[test]
fn the_value_of_a_lost_card_reaches_another_card_and_the_old_one_is_a_case() -> Result<()> {
    let office = Office::new()?;
    let world = &office.world;
    let (_, first) = office.order(1)?;
    let (_, second) = office.order(2)?;
    ensure!(
        office.redeem(&first, &world.card)?.is_ok(),
        "the first is credited"
    );
    let lost = world.admin(&["card", "lost", &world.number])?;
    assert_eq!(lost["status"], "blocked");
    let payout = ["card", "payout", &world.number, "--data", &world.data];
    let early = run("tegata-server", &payout)?;
    assert_eq!(early.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&early.stderr).contains("settle window"));
    office.without_settle_window()?;
    for paid in [AMOUNT, 0] {
        let done = world.admin(&["card", "payout", &world.number])?;
        assert_eq!(
            (&done["paid_minor"], &done["total_minor"]),
            (&paid.into(), &AMOUNT.into())
        );
    }
    let (agrees, report) = office.reconcile()?;
    assert!(agrees, "{report}");
    assert_eq!(
        report["todo"][0]["code"],
        format!("payable-{}", world.hanako.id)
    );

    let card = office.dir.path().join("second.tegata-card");
    let card = card.to_string_lossy();
    world.new_card(&card)?;
    let issued = world.issue(&card, &world.hanako.id)?;
    let number = text(&issued, "number")?;
    let minor = AMOUNT.to_string();
    let send = [
        "payable",
        "send",
        &world.hanako.id,
        "--to",
        &number,
        "--minor",
        &minor,
        "--key",
        "once",
    ];
    for _ in 0..2 {
        let sent = world.admin(&send[..])?;
        assert_eq!(
            (&sent["amount_minor"], &sent["owed_minor"]),
            (&AMOUNT.into(), &0.into())
        );
    }
    let program = world.program(3)?;
    ensure!(
        office.redeem(&program, &card)?.is_ok(),
        "what was owed is credited"
    );
    let shown = processes::json("tegata-card", &["show", &card, "--json"])?;
    assert!(shown.to_string().contains(&AMOUNT.to_string()), "{shown}");

    assert_eq!(office.redeem(&second, &world.card)?, Err("E_CARD_BLOCKED"));
    let (agrees, report) = office.reconcile()?;
    assert!(!agrees, "{report}");
    let case = &report["queue"][0];
    assert_eq!(case["code"], "case-1");
    assert!(text(case, "what")?.starts_with("old-card-seen"), "{case}");
    assert_eq!(case["evidence"]["card_says"]["value_minor"], AMOUNT);
    office.follow(case, &[])?;
    assert!(office.reconcile()?.0);
    office.world.audit()?;
    Ok(())
}

#[test]
fn a_debit_in_doubt_on_a_lost_card_is_closed_and_its_card_paid_out_with_it() -> Result<()> {
    let office = Office::new()?;
    let world = &office.world;
    let (_, charge) = office.order(1)?;
    ensure!(office.redeem(&charge, &world.card)?.is_ok(), "charged");
    let (server, (order, program)) = (office.server()?, office.pays_by_card(2)?);
    let hook = |n| {
        if n >= 4 {
            Fate::LoseRequest
        } else {
            Fate::Deliver
        }
    };
    let mut sender = Recipient::new(&program, &server.base, &world.card)?.with_hook(hook);
    ensure!(sender.run().is_err(), "the last exchange got through");

    world.admin(&["card", "lost", &world.number])?;
    office.without_settle_window()?;
    let payout = ["card", "payout", &world.number, "--data", &world.data];
    let refused = run("tegata-server", &payout)?;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("in doubt"));
    let (agrees, report) = office.reconcile()?;
    assert!(!agrees, "{report}");
    let item = &report["queue"][0];
    assert!(text(item, "what")?.contains(&order), "{item}");
    let debit = text(item, "code")?;
    let debit = debit
        .strip_prefix("in-doubt-")
        .context("a debit in doubt")?;
    for _ in 0..2 {
        let closed = office.decided(&["reconcile", "close", debit])?;
        assert_eq!(closed["status"], "held");
    }
    let shown = world.admin(&["order", "show", &order])?;
    assert_eq!(shown["order"]["status"], "funding-failed");
    let late = sender.requests.last().context("a proof")?.clone();
    for paid in [AMOUNT, 0] {
        let done = world.admin(&["card", "payout", &world.number])?;
        assert_eq!(
            (&done["paid_minor"], &done["total_minor"]),
            (&paid.into(), &AMOUNT.into())
        );
        // the proof that comes after it is accepted, and moves nothing: it was paid out too
        let reply = wire::exchange::Reply::decode(&sender.send(&late)?)?;
        assert!(
            matches!(reply, wire::exchange::Reply::Receipt(_)),
            "{reply:?}"
        );
        let (agrees, report) = office.reconcile()?;
        assert!(agrees, "{report}");
        assert_eq!(report["totals"][0]["payable"], AMOUNT.to_string());
        world.audit()?;
    }
    Ok(())
}

#[test]
fn a_frozen_card_is_examined_and_its_truth_adopted() -> Result<()> {
    let mut office = Office::new()?;
    let copy = office.dir.path().join("copy.db");
    let copy = copy.to_string_lossy().into_owned();
    let (_, known) = office.order(1)?;
    office.world.admin(&["backup", &copy])?;
    let (_, forgotten) = office.order(2)?;
    for program in [&known, &forgotten] {
        ensure!(
            office.redeem(program, &office.world.card)?.is_ok(),
            "credited"
        );
    }
    let base = office.server()?.base.clone();
    drop(office.server.take());
    office.world.admin(&["restore", &copy])?;
    office.server = Some(office.world.serve_on(base.trim_start_matches("http://"))?);
    assert_eq!(
        office.redeem(&known, &office.world.card)?,
        Err("E_CARD_FROZEN")
    );
    let (agrees, report) = office.reconcile()?;
    assert!(!agrees, "{report}");
    assert_eq!(report["queue"][0]["code"], "case-1");

    let reader = format!("emulated:{}", office.world.card);
    let said = office
        .world
        .admin(&["card", "examine", "--reader", &reader])?;
    assert_eq!(
        (&said["value_minor"], &said["agrees"]),
        (&(2 * AMOUNT).into(), &false.into())
    );
    assert_eq!(said["log"].as_array().context("the log")?.len(), 2);
    let log = &report["queue"][0]["evidence"]["card_says"]["log"];
    assert_eq!(log, &said["log"], "one form of a log");
    let done = office.follow(&report["queue"][0], &[("pcsc", &reader)])?;
    assert_eq!(
        (&done["status"], &done["adjusted_minor"]),
        (&"active".into(), &AMOUNT.into())
    );
    let (_, report) = office.reconcile()?;
    assert_eq!(report["totals"][0]["written_off"], (-AMOUNT).to_string());
    let said = office
        .world
        .admin(&["card", "examine", "--reader", &reader])?;
    assert_eq!(said["agrees"], true);

    office.world.order(office.server()?, "next", AMOUNT, None)?;
    // the mail that the backup had queued may have come once more
    for mail in 3..=4 {
        let next = office.world.program(mail)?;
        ensure!(
            office.redeem(&next, &office.world.card)?.is_ok(),
            "mail {mail}"
        );
        if office.world.balances()?.on_card == 3 * AMOUNT {
            break;
        }
    }
    assert_eq!(office.world.balances()?.card_account, 3 * AMOUNT);
    office.world.audit()?;
    Ok(())
}

#[test]
fn a_debit_in_the_log_of_a_frozen_card_is_found_when_its_truth_is_adopted() -> Result<()> {
    let mut office = Office::new()?;
    let copy = office.dir.path().join("copy.db");
    let copy = copy.to_string_lossy().into_owned();
    let card = office.world.card.clone();
    let (_, charge) = office.order(1)?;
    ensure!(office.redeem(&charge, &card)?.is_ok(), "charged");
    let (order, debit) = office.pays_by_card(2)?;
    office.world.admin(&["backup", &copy])?;
    ensure!(office.redeem(&debit, &card)?.is_ok(), "paid");
    office.world.mail(3)?;
    let (_, forgotten) = office.order(4)?;
    ensure!(office.redeem(&forgotten, &card)?.is_ok(), "credited");
    let base = office.server()?.base.clone();
    drop(office.server.take());
    office.world.admin(&["restore", &copy])?;
    office.server = Some(office.world.serve_on(base.trim_start_matches("http://"))?);
    assert_eq!(office.redeem(&debit, &card)?, Err("E_CARD_FROZEN"));
    let (_, report) = office.reconcile()?;
    let reader = format!("emulated:{card}");
    let done = office.follow(&report["queue"][0], &[("pcsc", &reader)])?;
    // paid, and the order knows it; only what nobody remembers is adjusted
    assert_eq!(done["adjusted_minor"], AMOUNT);
    let shown = office.world.admin(&["order", "show", &order])?;
    assert_eq!(shown["order"]["status"], "recovering");
    let balances = office.world.balances()?;
    assert_eq!(
        (balances.on_card, balances.card_account),
        (2 * AMOUNT - 1_000, 2 * AMOUNT - 1_000)
    );
    office.world.audit()?;
    Ok(())
}
