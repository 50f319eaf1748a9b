//! The server over real HTTP: every faulty order with its problem, many equal orders at once, and
//! a disk without room.

mod disk;
mod orders;

use anyhow::{Context, Result};
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;
use tests::{
    processes::Server,
    world::{Balances, SENDER_START, World},
};

/// Amount of the orders, in JPY.
const AMOUNT: i64 = 2_500;

/// A world, its running server, and a client that sees status and media type.
struct Office {
    world: World,
    server: Server,
    client: Client,
    // Last: the others are dropped before their folder.
    _dir: tempfile::TempDir,
}

/// An answer as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    media_type: String,
    body: Value,
}

impl Office {
    fn new() -> Result<Self> {
        Self::below(tempfile::tempdir()?)
    }

    fn below(dir: tempfile::TempDir) -> Result<Self> {
        let world = World::new(dir.path())?;
        let server = world.serve()?;
        // No connection outlives its request: the server may be restarted in between.
        let client = Client::builder()
            .timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            world,
            server,
            client,
            _dir: dir,
        })
    }

    /// What Alice orders if nothing is wrong.
    fn order(&self) -> Value {
        json!({ "recipient_card": self.world.number, "amount_minor": AMOUNT, "currency": "JPY" })
    }

    fn post(&self, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.server.base);
        self.client
            .post(url)
            .header("content-type", "application/json")
    }

    /// Alice posts a body to `/v1/orders` under a key.
    fn place(&self, key: &str, body: impl Into<reqwest::blocking::Body>) -> Result<Answer> {
        let request = self.post("/v1/orders").bearer_auth(&self.world.alice.token);
        send(request.header("idempotency-key", key).body(body))
    }

    fn get(&self, token: &str, path: &str) -> Result<Answer> {
        let url = format!("{}{path}", self.server.base);
        send(self.client.get(url).bearer_auth(token))
    }

    /// How many orders Alice has, of at most one page.
    fn orders(&self) -> Result<usize> {
        let page = self.get(&self.world.alice.token, "/v1/orders")?.body;
        assert_eq!(page["next"], Value::Null, "one page");
        Ok(page["items"].as_array().context("orders")?.len())
    }

    /// Requires that this much is in escrow, nothing on the card, and that the books balance.
    fn in_escrow(&self, escrow: i64) -> Result<()> {
        let expected = Balances {
            on_card: 0,
            card_account: 0,
            sender: SENDER_START - escrow,
        };
        assert_eq!(self.world.balances()?, expected);
        self.world.audit()?;
        Ok(())
    }
}

fn send(request: RequestBuilder) -> Result<Answer> {
    let response = request.send()?;
    let status = response.status().as_u16();
    let media_type = response.headers().get("content-type");
    let media_type = media_type
        .map_or(Ok(""), |value| value.to_str())?
        .to_owned();
    let text = response.text()?;
    Ok(Answer {
        status,
        media_type,
        body: serde_json::from_str(&text).context(text)?,
    })
}

/// Requires a problem document (RFC 9457) with this status and code.
fn assert_problem(what: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(
        answer.media_type, "application/problem+json",
        "{what}: {answer:?}"
    );
    assert_eq!(answer.body["code"], code, "{what}: {answer:?}");
    assert_eq!(answer.body["status"], status, "{what}");
    assert_eq!(answer.body["type"], format!("/problems/{code}"), "{what}");
}
