//! One small issuer with two holders and a card, as its operator would set it up, driven through
//! the shipped binaries, HTTP and SMTP only.

use crate::{
    processes::{Server, armed, binary, json, run, wait_until},
    sink::Sink,
};
use anyhow::{Context, Result, ensure};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

/// DNS name of the issuer.
pub const ISSUER: &str = "demo.tegata.example";
/// What the sender's account starts with, in JPY.
pub const SENDER_START: i64 = 10_000;

/// A holder as the issuer's office knows them.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Holder id.
    pub id: String,
    /// Bearer token, shown once at creation.
    pub token: String,
}

/// Answer of an HTTP call: status and JSON body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body; `Null` when it was empty.
    pub body: Value,
}

/// How `tegata open` ended.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Exit code.
    pub exit: i32,
    /// The document on stdout; `Null` when there was none.
    pub document: Value,
    /// What it told the person, line by line.
    pub talk: String,
}

impl Opened {
    /// What a finished process told.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        Self {
            exit: output.status.code().unwrap_or(-1),
            document: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            talk: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The set-up: files, parties, the SMTP sink. The server is started apart, so that it can die.
#[derive(Debug)]
pub struct World {
    /// Everything lives below.
    pub dir: PathBuf,
    /// Data directory of the server.
    pub data: String,
    /// File of the recipient's card.
    pub card: String,
    /// Number of the recipient's card.
    pub number: String,
    /// Masked number of the recipient's card.
    pub masked: String,
    /// Pays.
    pub alice: Holder,
    /// Receives.
    pub hanako: Holder,
    /// Where the mails arrive.
    pub sink: Sink,
    /// State folder of the recipient's terminal.
    pub state: String,
    relay: String,
    http: Client,
}

/// Whether the issuers of the stories keep their ledgers in PostgreSQL.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the test command chooses it so")]
pub fn on_postgres() -> bool {
    std::env::var("TEGATA_TEST_DATABASE").is_ok_and(|database| database == "postgres")
}

impl World {
    /// Makes keys, holders, money and a personalised card below `dir`.
    ///
    /// # Errors
    /// The first step that fails, with what the binary said.
    pub fn new(dir: &Path) -> Result<Self> {
        Self::of(dir, ISSUER)
    }

    /// The same over a database of its own.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn on(dir: &Path, database: &str) -> Result<Self> {
        Self::with(dir, ISSUER, Some(database))
    }

    /// The same for an issuer of another name.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn of(dir: &Path, issuer: &str) -> Result<Self> {
        let database = on_postgres().then(postgres_server::database);
        Self::with(dir, issuer, database.as_deref())
    }

    fn with(dir: &Path, issuer: &str, database: Option<&str>) -> Result<Self> {
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let (sink, port) = Sink::start()?;
        let mut world = Self {
            dir: dir.to_owned(),
            data: path("server"),
            card: path("card.tegata-card"),
            number: String::new(),
            masked: String::new(),
            alice: Holder {
                id: String::new(),
                token: String::new(),
            },
            hanako: Holder {
                id: String::new(),
                token: String::new(),
            },
            sink,
            relay: format!("127.0.0.1:{port}"),
            state: path("terminal"),
            http: Client::builder().timeout(Duration::from_secs(10)).build()?,
        };
        let init = ["init", "--data", &world.data, "--issuer", issuer, "--json"];
        let flag = database.iter().flat_map(|url| ["--database", *url]);
        let init: Vec<&str> = init.into_iter().chain(flag).collect();
        json("tegata-server", &init)?;
        world.alice = world.holder("Alice", "alice@demo.tegata.example", "en")?;
        world.hanako = world.holder("Hanako Sato", "hanako@demo.tegata.example", "ja")?;
        let amount = SENDER_START.to_string();
        world.admin(&[
            "account",
            "fund",
            "--holder",
            &world.alice.id,
            "--amount",
            &amount,
        ])?;
        world.new_card(&world.card)?;
        let issued = world.issue(&world.card, &world.hanako.id)?;
        (world.number, world.masked) = (text(&issued, "number")?, text(&issued, "masked")?);
        Ok(world)
    }

    /// Adds a holder at the office.
    ///
    /// # Errors
    /// If the command fails.
    pub fn holder(&self, name: &str, email: &str, language: &str) -> Result<Holder> {
        let args = [
            "holder",
            "add",
            "--name",
            name,
            "--email",
            email,
            "--language",
            language,
        ];
        let added = self.admin(&args)?;
        Ok(Holder {
            id: text(&added, "holder")?,
            token: text(&added, "token")?,
        })
    }

    /// Makes an emulated factory card in a file.
    ///
    /// # Errors
    /// If the command fails.
    pub fn new_card(&self, file: &str) -> Result<()> {
        let new = run("tegata-card", &["new", file])?;
        ensure!(
            new.status.success(),
            "{}",
            String::from_utf8_lossy(&new.stderr)
        );
        Ok(())
    }

    /// Personalises a card on the office's reader.
    ///
    /// # Errors
    /// If the command fails.
    pub fn issue(&self, card: &str, holder: &str) -> Result<Value> {
        let reader = format!("emulated:{card}");
        let args = ["card", "issue", "--reader", &reader, "--holder", holder];
        self.admin(&[&args[..], &["--accept-emulated-cards"]].concat())
    }

    /// Runs an admin command of `tegata-server` on this data and reads its document.
    ///
    /// # Errors
    /// If the command fails or prints no JSON.
    pub fn admin(&self, args: &[&str]) -> Result<Value> {
        json(
            "tegata-server",
            &[args, &["--data", &self.data, "--json"]].concat(),
        )
    }

    /// Starts the server on a free port with its mails going to the sink.
    ///
    /// # Errors
    /// If it does not become ready.
    pub fn serve(&self) -> Result<Server> {
        self.serve_on("127.0.0.1:0")
    }

    /// Starts the server on an address, such as the one it had before it was stopped.
    ///
    /// # Errors
    /// If it does not become ready.
    pub fn serve_on(&self, address: &str) -> Result<Server> {
        self.serve_as(Command::new(binary("tegata-server")?), address, &[])
    }

    /// Starts the server on an address with further flags.
    ///
    /// # Errors
    /// If it does not become ready.
    pub fn serve_with(&self, address: &str, more: &[&str]) -> Result<Server> {
        self.serve_as(Command::new(binary("tegata-server")?), address, more)
    }

    /// Starts a server that an armed failpoint will kill.
    ///
    /// # Errors
    /// If it does not become ready.
    pub fn serve_armed(&self, address: &str, failpoint: &str) -> Result<Server> {
        self.serve_as(armed("tegata-server", failpoint)?, address, &[])
    }

    /// Starts a server with further flags that an armed failpoint will kill.
    ///
    /// # Errors
    /// If it does not become ready.
    pub fn serve_armed_with(
        &self,
        address: &str,
        failpoint: &str,
        more: &[&str],
    ) -> Result<Server> {
        self.serve_as(armed("tegata-server", failpoint)?, address, more)
    }

    fn serve_as(&self, binary: Command, address: &str, more: &[&str]) -> Result<Server> {
        let mail = [
            "--smtp",
            &self.relay,
            "--smtp-tls",
            "none",
            "--listen",
            address,
        ];
        let flags = [&mail[..], more].concat();
        Server::start_as(binary, Path::new(&self.data), &flags)
    }

    /// Lets the recipient's terminal trust this server, and returns the entry.
    ///
    /// # Errors
    /// If the command fails.
    pub fn trust(&self, server: &Server) -> Result<Value> {
        self.trust_at(&server.base)
    }

    /// Lets the recipient's terminal trust the issuer that answers at an address.
    ///
    /// # Errors
    /// If the command fails.
    pub fn trust_at(&self, base: &str) -> Result<Value> {
        json(
            "tegata",
            &[
                "trust",
                "add",
                "--dev",
                base,
                "--yes",
                "--state",
                &self.state,
                "--json",
            ],
        )
    }

    /// A POST of a JSON body with a bearer token and, if not empty, an idempotency key.
    ///
    /// # Errors
    /// If no HTTP answer with an empty or JSON body arrives.
    pub fn post(
        &self,
        server: &Server,
        token: &str,
        path: &str,
        key: &str,
        body: &str,
    ) -> Result<Answer> {
        let mut request = self
            .http
            .post(format!("{}{path}", server.base))
            .header("content-type", "application/json")
            .body(body.to_owned());
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        answer(request.send()?)
    }

    /// A GET with a bearer token.
    ///
    /// # Errors
    /// If no HTTP answer with an empty or JSON body arrives.
    pub fn get(&self, server: &Server, token: &str, path: &str) -> Result<Answer> {
        answer(
            self.http
                .get(format!("{}{path}", server.base))
                .bearer_auth(token)
                .send()?,
        )
    }

    /// Alice orders a remittance to the card; the view of the accepted order.
    ///
    /// # Errors
    /// If it is refused.
    pub fn order(
        &self,
        server: &Server,
        key: &str,
        amount: i64,
        seconds: Option<u64>,
    ) -> Result<Value> {
        let body = json!({ "recipient_card": self.number, "amount_minor": amount, "currency": "JPY",
            "note": format!("the {key} one"), "expires_in_s": seconds });
        let answer = self.post(
            server,
            &self.alice.token,
            "/v1/orders",
            key,
            &body.to_string(),
        )?;
        ensure!(answer.status == 201, "order refused: {answer:?}");
        Ok(answer.body)
    }

    /// Waits until an order has a status.
    ///
    /// # Errors
    /// If it has not after 30 s.
    pub fn wait_for_status(&self, server: &Server, id: &str, status: &str) -> Result<()> {
        wait_until(status, || {
            let order = self.get(server, &self.alice.token, &format!("/v1/orders/{id}"))?;
            Ok((order.body["status"] == status).then_some(()))
        })
    }

    /// Waits for the mail number `count` (from 1), keeps it in a file and returns its path.
    ///
    /// # Errors
    /// If it does not arrive within 30 s.
    pub fn mail(&self, count: usize) -> Result<String> {
        let mail = self
            .sink
            .wait_for(count, Duration::from_secs(30))
            .context("no mail came")?;
        let path = self.dir.join(format!("mail-{count}.eml"));
        fs::write(&path, &mail)?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// The program attached to the mail number `count`.
    ///
    /// # Errors
    /// If the mail does not arrive or holds no attachment.
    pub fn program(&self, count: usize) -> Result<Vec<u8>> {
        let mail = fs::read(self.mail(count)?)?;
        let parsed = mail_parser::MessageParser::default()
            .parse(&mail)
            .context("no mail")?;
        Ok(parsed
            .attachment(0)
            .context("no attachment")?
            .contents()
            .to_vec())
    }

    /// Opens a file at the recipient's terminal with the recipient's card, saying yes.
    ///
    /// # Errors
    /// If the terminal cannot be started.
    pub fn open(&self, file: &str) -> Result<Opened> {
        self.open_with(file, &self.card)
    }

    /// Opens a file at the recipient's terminal with some card, saying yes.
    ///
    /// # Errors
    /// If the terminal cannot be started.
    pub fn open_with(&self, file: &str, card: &str) -> Result<Opened> {
        let reader = format!("emulated:{card}");
        self.terminal(&["open", file, "--reader", &reader, "--yes", "--json"])
    }

    /// Runs `tegata` on the recipient's state.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn terminal(&self, args: &[&str]) -> Result<Opened> {
        let output = run("tegata", &[args, &["--state", &self.state]].concat())?;
        Ok(Opened::of(&output))
    }

    /// Value on a card and what the ledger says of Hanako's cards and of Alice's account.
    ///
    /// # Errors
    /// If a command fails.
    pub fn balances(&self) -> Result<Balances> {
        let shown = json("tegata-card", &["show", &self.card, "--json"])?;
        let list = self.admin(&["account", "list"])?;
        let accounts = list["accounts"].as_array().context("a list of accounts")?;
        let sum = |kind: &str, owner: Option<&str>| {
            let mine = |a: &&Value| a["kind"] == kind && owner.is_none_or(|o| a["id"] == o);
            accounts
                .iter()
                .filter(mine)
                .filter_map(|a| a["balance_minor"].as_i64())
                .sum()
        };
        Ok(Balances {
            on_card: shown["purse"]["value_minor"]
                .as_i64()
                .context("the card shows a value")?,
            card_account: sum("card", None),
            sender: sum("holder", Some(&self.alice.id)),
        })
    }

    /// The lines of the audit, which must find the books balanced.
    ///
    /// # Errors
    /// If it finds anything.
    pub fn audit(&self) -> Result<Vec<String>> {
        let audit = run("tegata-server", &["audit", "--data", &self.data])?;
        let report = String::from_utf8_lossy(&audit.stdout).into_owned();
        ensure!(audit.status.success(), "the books do not balance: {report}");
        Ok(report.lines().map(str::to_owned).collect())
    }
}

/// Where the money is, in JPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balances {
    /// On the recipient's card.
    pub on_card: i64,
    /// On all card accounts.
    pub card_account: i64,
    /// On the sender's account.
    pub sender: i64,
}

fn answer(response: reqwest::blocking::Response) -> Result<Answer> {
    let status = response.status().as_u16();
    let text = response.text()?;
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).context(text)?
    };
    Ok(Answer { status, body })
}

/// A string field of a document.
///
/// # Errors
/// If it is absent.
pub fn text(value: &Value, field: &str) -> Result<String> {
    let found = value[field]
        .as_str()
        .with_context(|| format!("no {field} in {value}"))?;
    Ok(found.to_owned())
}
