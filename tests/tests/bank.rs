//! Orders that a bank pays for, over real processes: a bank that is slow, silent, late or refusing,
//! and one that answers after the sender took the order back.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    bank::BankFile,
    processes::{Server, wait_until},
    recipient::Recipient,
    world::{Balances, SENDER_START, World, text},
};

const AMOUNT: i64 = 2_500;
const ACCOUNT: &str = "0001-1234567";
const FUNDS: i64 = 10_000;

struct Banked {
    world: World,
    bank: BankFile,
    server: Server,
    _dir: tempfile::TempDir,
}

impl Banked {
    /// A world whose sender has an account at a bank that behaves like this.
    fn new(behaviour: Value) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let world = World::new(dir.path())?;
        let bank = BankFile::new(dir.path());
        bank.account(ACCOUNT, &behaviour)?;
        let args = ["holder", "bank", &world.alice.id, "--account", ACCOUNT];
        world.admin(&args)?;
        let server = world.serve_with("127.0.0.1:0", &["--bank", &bank.spec()])?;
        Ok(Self {
            world,
            bank,
            server,
            _dir: dir,
        })
    }

    fn order(&self, key: &str) -> Result<String> {
        let body = json!({ "recipient_card": self.world.number, "amount_minor": AMOUNT,
            "currency": "JPY", "fund_from": "bank" });
        let token = &self.world.alice.token;
        let answer = self
            .world
            .post(&self.server, token, "/v1/orders", key, &body.to_string())?;
        ensure!(answer.status == 201, "{answer:?}");
        assert_eq!(answer.body["fund_from"], "bank");
        text(&answer.body, "id")
    }

    fn cancel(&self, id: &str) -> Result<u16> {
        let path = format!("/v1/orders/{id}/cancel");
        let token = &self.world.alice.token;
        Ok(self
            .world
            .post(&self.server, token, &path, id, "{}")?
            .status)
    }

    fn wait(&self, id: &str, status: &str) -> Result<()> {
        self.world.wait_for_status(&self.server, id, status)
    }

    /// Nothing was mailed, and the books say that the money is where it was.
    fn untouched(&self) -> Result<()> {
        assert_eq!(self.world.sink.count(), 0);
        let nothing = Balances {
            on_card: 0,
            card_account: 0,
            sender: SENDER_START,
        };
        assert_eq!(self.world.balances()?, nothing);
        assert_eq!(self.bank.balance(ACCOUNT)?, FUNDS);
        self.bank_account(0)
    }

    fn bank_account(&self, minor: i64) -> Result<()> {
        let list = self.world.admin(&["account", "list"])?;
        let accounts = list["accounts"].as_array().context("accounts")?;
        let bank = accounts.iter().find(|account| account["kind"] == "bank");
        assert_eq!(bank.context("a bank")?["balance_minor"], minor);
        self.world.audit()?;
        Ok(())
    }

    /// The mail came, its program credits the card, and the bank has paid once.
    fn redeems(&self, id: &str) -> Result<()> {
        let program = self.world.program(1)?;
        let mut recipient = Recipient::new(&program, &self.server.base, &self.world.card)?;
        recipient.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
        drop(recipient);
        let credited = Balances {
            on_card: AMOUNT,
            card_account: AMOUNT,
            sender: SENDER_START,
        };
        assert_eq!(self.world.balances()?, credited);
        assert_eq!(self.bank.balance(ACCOUNT)?, FUNDS - AMOUNT);
        assert_eq!(self.bank.entry(id)?["debits"], 1);
        self.bank_account(-AMOUNT)
    }
}

#[test]
fn a_prompt_bank_pays_and_the_program_is_mailed() -> Result<()> {
    let banked = Banked::new(json!({}))?;
    let id = banked.order("one")?;
    assert_eq!(banked.order("one")?, id, "the same key is the same order");
    banked.redeems(&id)
}

#[test]
fn a_bank_that_refuses_ends_the_order_with_nothing_taken() -> Result<()> {
    for behaviour in [
        json!({ "refuse": "closed" }),
        json!({ "balance_minor": AMOUNT - 1 }),
    ] {
        let banked = Banked::new(behaviour)?;
        let before = banked.bank.balance(ACCOUNT)?;
        let id = banked.order("one")?;
        banked.wait(&id, "funding-failed")?;
        assert_eq!(banked.bank.balance(ACCOUNT)?, before);
        assert_eq!(banked.world.sink.count(), 0);
        banked.bank_account(0)?;
        assert_eq!(banked.cancel(&id)?, 200);
    }
    Ok(())
}

#[test]
fn a_slow_bank_that_answers_late_is_asked_until_it_is_known() -> Result<()> {
    // longer than the server waits for one call: the debit happens, its answer is not heard
    let banked = Banked::new(json!({ "slow_ms": 5_000, "pending_polls": 1 }))?;
    let id = banked.order("one")?;
    banked.wait(&id, "funding-unknown")?;
    banked.untouched()?;
    banked.bank.set(ACCOUNT, "slow_ms", json!(0))?;
    banked.wait(&id, "open")?;
    banked.redeems(&id)
}

#[test]
fn a_lost_question_and_a_lost_answer_debit_once() -> Result<()> {
    let banked = Banked::new(json!({ "lose_requests": 1, "lose_answers": 1 }))?;
    let id = banked.order("one")?;
    banked.wait(&id, "open")?;
    banked.redeems(&id)
}

#[test]
fn a_server_killed_while_the_bank_is_asked_learns_it_afterwards() -> Result<()> {
    let mut banked = Banked::new(json!({ "slow_ms": 60_000 }))?;
    let id = banked.order("one")?;
    wait_until("the debit at the bank", || {
        Ok((banked.bank.entry(&id)?["state"] == "confirmed").then_some(()))
    })?;
    let (world, spec) = (&banked.world, banked.bank.spec());
    banked
        .server
        .restart(|| world.serve_with("127.0.0.1:0", &["--bank", &spec]))?;
    banked.bank.set(ACCOUNT, "slow_ms", json!(0))?;
    banked.wait(&id, "open")?;
    banked.redeems(&id)
}

#[test]
fn a_bank_that_confirms_after_the_cancel_pays_back_once() -> Result<()> {
    let banked = Banked::new(json!({ "hold": true, "lose_refund_answers": 2 }))?;
    let id = banked.order("one")?;
    banked.wait(&id, "funding-unknown")?;
    assert_eq!(banked.cancel(&id)?, 202);
    banked.wait(&id, "funding-unknown")?;
    banked.bank.set(ACCOUNT, "hold", json!(false))?;
    banked.wait(&id, "cancelled")?;
    let entry = banked.bank.entry(&id)?;
    assert_eq!(
        (&entry["debits"], &entry["refunds"]),
        (&json!(1), &json!(1))
    );
    banked.untouched()
}

#[test]
fn a_cancelled_order_whose_question_was_lost_is_made_impossible_at_the_bank() -> Result<()> {
    let banked = Banked::new(json!({ "lose_requests": 1_000 }))?;
    let id = banked.order("one")?;
    banked.wait(&id, "funding-unknown")?;
    assert_eq!(banked.cancel(&id)?, 202);
    banked.wait(&id, "cancelled-unfunded")?;
    assert_eq!(banked.bank.entry(&id)?["state"], "void");
    banked.untouched()
}

#[test]
fn a_paid_order_taken_back_goes_to_the_bank_and_not_to_the_account_here() -> Result<()> {
    let banked = Banked::new(json!({}))?;
    let id = banked.order("one")?;
    banked.wait(&id, "open")?;
    banked.world.mail(1)?;
    banked.cancel(&id)?;
    banked.wait(&id, "cancelled")?;
    assert_eq!(banked.bank.entry(&id)?["refunds"], 1);
    assert_eq!(banked.bank.balance(ACCOUNT)?, FUNDS);
    assert_eq!(banked.world.balances()?.sender, SENDER_START);
    banked.bank_account(0)
}

#[test]
fn an_order_from_a_bank_needs_a_bank_and_an_account_there() -> Result<()> {
    let banked = Banked::new(json!({}))?;
    banked
        .world
        .admin(&["holder", "bank", &banked.world.alice.id, "--none"])?;
    let body = json!({ "recipient_card": banked.world.number, "amount_minor": AMOUNT,
        "currency": "JPY", "fund_from": "bank" })
    .to_string();
    let post = |server: &Server, key: &str| {
        let token = &banked.world.alice.token;
        banked.world.post(server, token, "/v1/orders", key, &body)
    };
    let refused = post(&banked.server, "one")?;
    assert_eq!(refused.body["code"], "funding-unavailable");
    let without = banked.world.serve()?;
    let args = [
        "holder",
        "bank",
        &banked.world.alice.id,
        "--account",
        ACCOUNT,
    ];
    banked.world.admin(&args)?;
    let refused = post(&without, "two")?;
    assert_eq!(refused.body["code"], "funding-unavailable");
    assert_eq!(
        post(&banked.server, "two")?.status,
        201,
        "it left no answer"
    );
    Ok(())
}
