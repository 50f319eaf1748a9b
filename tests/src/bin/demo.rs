//! `make demo`: one remittance through every real layer, then one cancelled and one expired, then
//! the audit. Calls only the shipped binaries, HTTP and SMTP. Everything stays in `target/demo`.

use anyhow::{Context, Result, ensure};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tests::{
    processes::{Server, json, run, wait_until},
    sink::Sink,
};

const ISSUER: &str = "demo.tegata.example";
const ALICE_START: i64 = 10_000;
const AMOUNT: i64 = 2_500;

/// The demo's files, and the two parties it speaks for.
struct Demo {
    dir: PathBuf,
    data: String,
    card: String,
    state: String,
    alice: String,
    token: String,
    number: String,
    http: Client,
}

fn main() -> Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("demo");
    if dir.exists() {
        fs::remove_dir_all(&dir).context("clearing the last demo")?;
    }
    fs::create_dir_all(&dir)?;
    let (sink, smtp) = Sink::start()?;
    let demo = Demo::prepare(&dir)?;
    let relay = format!("127.0.0.1:{smtp}");
    let server = Server::start(&dir.join("server"), &["--smtp", &relay, "--smtp-tls", "none"])?;
    say(&format!("server      {} (issuer {ISSUER}), SMTP sink on port {smtp}", server.base));
    demo.trust(&server)?;

    let id = demo.order(&server, "first", AMOUNT, None)?;
    let eml = demo.receive(&sink, 1)?;
    let first = demo.open(&eml, "credited")?;
    demo.balances("after", AMOUNT, ALICE_START - AMOUNT)?;
    let again = demo.open(&eml, "already-credited")?;
    ensure!(first["receipt"] == again["receipt"], "the second opening shows another receipt");
    fs::write(dir.join("receipt.json"), serde_json::to_vec_pretty(&first)?)?;
    demo.balances("again", AMOUNT, ALICE_START - AMOUNT)?;
    say("opened again: nothing credited, the same receipt");

    let second = demo.order(&server, "second", 700, None)?;
    demo.post(&server, &format!("/v1/orders/{second}/cancel"), "cancel-second", &json!({}))?;
    demo.returned(&server, &second, "cancelled")?;
    let third = demo.order(&server, "third", 800, Some(1))?;
    demo.returned(&server, &third, "expired")?;
    demo.balances("end", AMOUNT, ALICE_START - AMOUNT)?;

    let audit = run("tegata-server", &["audit", "--data", &demo.data])?;
    let report = String::from_utf8_lossy(&audit.stdout);
    for line in report.lines() {
        say(&format!("audit       {line}"));
    }
    ensure!(audit.status.success(), "the books do not balance");
    say(&format!("files       {}", dir.display()));
    say(&format!("demo: ok remittance={id} card={AMOUNT} JPY ledger=balanced"));
    Ok(())
}

impl Demo {
    /// Keys, holders, money and a personalised card; the server is not running yet.
    fn prepare(dir: &Path) -> Result<Self> {
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let (data, card) = (path("server"), path("card.tegata-card"));
        json("tegata-server", &["init", "--data", &data, "--issuer", ISSUER, "--json"])?;
        let holder = |name: &str, email: &str, language: &str| {
            let args = ["holder", "add", "--data", &data, "--name", name, "--email", email];
            json("tegata-server", &[&args[..], &["--language", language, "--json"]].concat())
        };
        let alice = holder("Alice", "alice@demo.tegata.example", "en")?;
        let hanako = holder("Hanako Sato", "hanako@demo.tegata.example", "en")?;
        let (alice_id, hanako_id) = (text(&alice, "id")?, text(&hanako, "id")?);
        let amount = ALICE_START.to_string();
        let fund = ["account", "fund", "--data", &data, "--holder", &alice_id, "--amount", &amount];
        json("tegata-server", &[&fund[..], &["--currency", "JPY", "--json"]].concat())?;
        say(&format!("sender      Alice, funded with JPY {ALICE_START}"));
        let new = run("tegata-card", &["new", &card])?;
        ensure!(new.status.success(), "{}", String::from_utf8_lossy(&new.stderr));
        let reader = format!("emulated:{card}");
        let issue = ["card", "issue", "--data", &data, "--reader", &reader, "--holder", &hanako_id];
        let issued =
            json("tegata-server", &[&issue[..], &["--accept-emulated-cards", "--json"]].concat())?;
        let number = text(&issued, "number")?;
        say(&format!("card        {} personalised for Hanako Sato", text(&issued, "masked")?));
        let http = Client::builder().timeout(Duration::from_secs(10)).build()?;
        let state = path("terminal");
        let token = text(&alice, "token")?;
        let demo = Self { dir: dir.to_owned(), data, card, state, alice: alice_id, token, number, http };
        demo.balances("before", 0, ALICE_START)?;
        Ok(demo)
    }

    fn trust(&self, server: &Server) -> Result<()> {
        let args = ["trust", "add", "--dev", &server.base, "--yes", "--state", &self.state, "--json"];
        let entry = json("tegata", &args)?;
        say(&format!("trust       {} fingerprint {}", text(&entry, "issuer")?, text(&entry, "fingerprint")?));
        Ok(())
    }

    /// Places an order over HTTP and returns its id.
    fn order(&self, server: &Server, key: &str, amount: i64, seconds: Option<u64>) -> Result<String> {
        let body = json!({ "recipient_card": self.number, "amount_minor": amount, "currency": "JPY",
            "note": format!("the {key} one"), "expires_in_s": seconds });
        let order = self.post(server, "/v1/orders", key, &body)?;
        let id = text(&order, "id")?;
        say(&format!("order       {key}: JPY {amount}, remittance {id}, {}", text(&order, "status")?));
        Ok(id)
    }

    fn post(&self, server: &Server, path: &str, key: &str, body: &Value) -> Result<Value> {
        let answer = self
            .http
            .post(format!("{}{path}", server.base))
            .bearer_auth(&self.token)
            .header("idempotency-key", key)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()?;
        let status = answer.status();
        let text = answer.text()?;
        ensure!(status.is_success(), "POST {path}: {status} {text}");
        serde_json::from_str(&text).with_context(|| format!("POST {path} answered {text}"))
    }

    /// Waits for the mail, keeps it and returns its path.
    fn receive(&self, sink: &Sink, count: usize) -> Result<String> {
        let mail = sink.wait_for(count, Duration::from_secs(20)).context("no mail within 20 s")?;
        let path = self.dir.join("remittance.eml");
        fs::write(&path, &mail)?;
        say(&format!("mail        {} bytes over SMTP, kept as {}", mail.len(), path.display()));
        Ok(path.to_string_lossy().into_owned())
    }

    /// Opens a mail at the recipient's terminal and requires an outcome.
    fn open(&self, eml: &str, outcome: &str) -> Result<Value> {
        let reader = format!("emulated:{}", self.card);
        let args = ["open", eml, "--reader", &reader, "--yes", "--state", &self.state, "--json"];
        let output = run("tegata", &args)?;
        let talk = String::from_utf8_lossy(&output.stderr);
        for line in talk.lines() {
            say(&format!("terminal  | {line}"));
        }
        ensure!(output.status.success(), "tegata open: {}", output.status);
        let document: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(text(&document, "outcome")? == outcome, "{document}");
        Ok(document)
    }

    /// Requires and shows the value on the card and in the sender's account.
    fn balances(&self, when: &str, card: i64, sender: i64) -> Result<()> {
        let shown = json("tegata-card", &["show", &self.card, "--json"])?;
        let on_card = shown["value"].as_i64().context("the card shows a value")?;
        let list = json("tegata-server", &["account", "list", "--data", &self.data, "--json"])?;
        let accounts = list["accounts"].as_array().context("a list of accounts")?;
        let of = |kind: &str| {
            let mine = accounts.iter().find(|a| {
                a["kind"] == kind && (kind == "card" || a["owner"] == self.alice.as_str())
            });
            mine.and_then(|a| a["balance_minor"].as_i64()).context("an account with a balance")
        };
        let (account, mirror) = (of("holder")?, of("card")?);
        say(&format!("balances    {when}: card JPY {on_card} (ledger {mirror}), Alice JPY {account}"));
        ensure!((on_card, mirror, account) == (card, card, sender), "expected {card} and {sender}");
        Ok(())
    }

    /// Waits until the money of an order is back.
    fn returned(&self, server: &Server, id: &str, why: &str) -> Result<()> {
        let url = format!("{}/v1/orders/{id}", server.base);
        wait_until("the return of an order", || {
            let answer = self.http.get(&url).bearer_auth(&self.token).send()?.text()?;
            let order: Value = serde_json::from_str(&answer)?;
            let status = text(&order, "status")?;
            Ok((status == format!("returned-{why}")).then_some(()))
        })?;
        say(&format!("returned    {id}: {why}"));
        Ok(())
    }
}

fn text(value: &Value, field: &str) -> Result<String> {
    let found = value[field].as_str().with_context(|| format!("no {field} in {value}"))?;
    Ok(found.to_owned())
}

#[expect(clippy::print_stdout, reason = "the demo talks to the person who runs it")]
fn say(line: &str) {
    println!("{line}");
}
