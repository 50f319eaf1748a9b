//! The sender's pages over real HTTP: plain forms, without script, in two languages.

use anyhow::{Context, Result, ensure};
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use tests::{
    processes::Server,
    world::{SENDER_START, World},
};

/// A browser without script: one cookie jar, redirects followed by hand.
struct Browser {
    base: String,
    http: Client,
    session: Option<String>,
    language: &'static str,
}

/// One page as it came.
struct Page {
    status: u16,
    location: Option<String>,
    text: String,
}

impl Browser {
    fn new(server: &Server, language: &'static str) -> Result<Self> {
        let http = Client::builder().redirect(Policy::none()).build()?;
        Ok(Self {
            base: server.base.clone(),
            http,
            session: None,
            language,
        })
    }

    fn get(&mut self, path: &str) -> Result<Page> {
        let request = self.http.get(format!("{}{path}", self.base));
        self.finish(request)
    }

    fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Page> {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(body.join("&"));
        self.finish(request)
    }

    fn finish(&mut self, request: reqwest::blocking::RequestBuilder) -> Result<Page> {
        let mut request = request.header("accept-language", self.language);
        if let Some(session) = &self.session {
            request = request.header(COOKIE, session);
        }
        let response = request.send()?;
        self.remember(&response)?;
        let policy = response
            .headers()
            .get(CONTENT_SECURITY_POLICY)
            .context("a policy")?
            .to_str()?;
        ensure!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        let location = response.headers().get(LOCATION);
        Ok(Page {
            status: response.status().as_u16(),
            location: location
                .map(|v| v.to_str().map(str::to_owned))
                .transpose()?,
            text: response.text()?,
        })
    }

    fn remember(&mut self, response: &Response) -> Result<()> {
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str()?;
            ensure!(
                cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
                "{cookie}"
            );
            if cookie.starts_with("tegata=") {
                let value = cookie.split(';').next().context("a value")?;
                self.session = (value != "tegata=").then(|| value.to_owned());
            }
        }
        Ok(())
    }

    /// A file to keep.
    fn file(&self, path: &str) -> Result<Vec<u8>> {
        let session = self.session.as_deref().context("signed in")?;
        let url = format!("{}{path}", self.base);
        let response = self.http.get(url).header(COOKIE, session).send()?;
        ensure!(response.status().as_u16() == 200, "{}", response.status());
        let kind = response.headers().get(CONTENT_TYPE);
        ensure!(kind.is_some_and(|kind| kind == "application/vnd.tegata.program+wasm"));
        Ok(response.bytes()?.to_vec())
    }

    fn sign_in(&mut self, token: &str) -> Result<()> {
        let page = self.post("/sign-in", &[("token", token)])?;
        ensure!(page.status == 303 && page.location.as_deref() == Some("/orders"));
        Ok(())
    }
}

fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// The value of a hidden field.
fn hidden(page: &Page, name: &str) -> Result<String> {
    let field = format!("name=\"{name}\" value=\"");
    let rest = page.text.split(&field).nth(1).context("the field")?;
    Ok(rest.split('"').next().context("a value")?.to_owned())
}

fn world() -> Result<(tempfile::TempDir, World, Server)> {
    let dir = tempfile::tempdir()?;
    let world = World::new(dir.path())?;
    let server = world.serve()?;
    Ok((dir, world, server))
}

#[test]
fn a_sender_orders_confirms_sees_and_cancels_with_plain_forms() -> Result<()> {
    let (_dir, world, server) = world()?;
    let mut browser = Browser::new(&server, "en")?;
    assert!(
        browser
            .get("/")?
            .text
            .contains("<label for=\"token\">Your token</label>")
    );
    browser.sign_in(&world.alice.token)?;
    assert!(browser.get("/orders")?.text.contains("JPY 10,000"));

    let form = browser.get("/orders/new")?;
    let key = hidden(&form, "key")?;
    let fields = [
        ("key", key.as_str()),
        ("card", &world.number),
        ("amount", "2,500"),
        ("note", "<b>rent</b>"),
    ];
    let confirm = browser.post("/orders/confirm", &fields)?;
    assert_eq!(confirm.status, 200, "{}", confirm.text);
    for shown in [
        "H••••• S•••",
        world.masked.as_str(),
        "JPY 2,500",
        "You can cancel until",
    ] {
        assert!(
            confirm.text.contains(shown),
            "{shown} missing: {}",
            confirm.text
        );
    }
    assert!(!confirm.text.contains("Hanako Sato"), "the name is masked");
    assert!(
        !confirm.text.contains("<b>rent"),
        "what a person typed is escaped"
    );
    assert_eq!(
        world.balances()?.sender,
        SENDER_START,
        "nothing is sent before yes"
    );
    let edit = browser.post("/orders/new", &fields)?;
    assert!(
        edit.text.contains("value=\"2,500\""),
        "what was typed is kept"
    );

    let placed = browser.post("/orders", &fields)?;
    let again = browser.post("/orders", &fields)?;
    assert_eq!(
        (placed.status, &placed.location),
        (303, &again.location),
        "a double click"
    );
    assert_eq!(world.balances()?.sender, SENDER_START - 2_500);
    let path = placed.location.context("a place to go")?;
    assert!(browser.get(&path)?.text.contains("Waiting to be picked up"));
    assert_eq!(browser.post(&format!("{path}/cancel"), &[])?.status, 303);
    assert!(
        browser
            .get(&path)?
            .text
            .contains("Cancelled; the money came back")
    );
    assert_eq!(world.balances()?.sender, SENDER_START);
    assert_eq!(browser.post("/sign-out", &[])?.status, 303);
    assert_eq!(browser.get("/orders")?.location.as_deref(), Some("/"));
    Ok(())
}

#[test]
fn a_sender_pays_with_a_card_by_a_file_from_the_order_page() -> Result<()> {
    let (_dir, world, server) = world()?;
    let card = world.dir.join("alice.card").to_string_lossy().into_owned();
    world.new_card(&card)?;
    let own = world.issue(&card, &world.alice.id)?;
    let own = own["number"].as_str().context("a number")?.to_owned();
    // nothing is on it yet: the form says so, with everything kept
    let mut browser = Browser::new(&server, "en")?;
    browser.sign_in(&world.hanako.token)?;
    let form = browser.get("/orders/new")?;
    assert!(
        form.text.contains("<option value=\"card\""),
        "{}",
        form.text
    );
    let key = hidden(&form, "key")?;
    let fields = [
        ("key", key.as_str()),
        ("card", own.as_str()),
        ("amount", "1,000"),
        ("note", ""),
        ("from", "card"),
        ("from_card", world.number.as_str()),
    ];
    let refused = browser.post("/orders/confirm", &fields)?;
    assert!(
        refused.text.contains("insufficient-funds"),
        "{}",
        refused.text
    );
    assert_eq!(hidden(&refused, "from_card")?, world.number);
    world.order(&server, "charge", 2_500, None)?;
    world.trust(&server)?;
    assert_eq!(world.open(&world.mail(1)?)?.exit, 0);

    let confirm = browser.post("/orders/confirm", &fields)?;
    assert!(
        confirm.text.contains("Your own card") && confirm.text.contains("owed to you"),
        "{}",
        confirm.text
    );
    let placed = browser.post("/orders", &fields)?;
    let path = placed.location.context("a place to go")?;
    let shown = browser.get(&path)?;
    let file = format!("{path}/program");
    assert!(
        shown.text.contains("Your card has not paid yet") && shown.text.contains(&file),
        "{}",
        shown.text
    );
    let program = browser.file(&file)?;
    let kept = world.dir.join("pay.tegata").to_string_lossy().into_owned();
    std::fs::write(&kept, program)?;
    let paid = world.open(&kept)?;
    assert_eq!(paid.document["outcome"], "debited", "{paid:?}");
    let shown = browser.get(&path)?;
    assert!(
        shown.text.contains("Waiting to be picked up") && !shown.text.contains(&file),
        "{}",
        shown.text
    );
    assert_eq!(browser.get(&file)?.status, 404);
    assert_eq!(browser.post(&format!("{path}/cancel"), &[])?.status, 303);
    assert!(
        browser
            .get(&path)?
            .text
            .contains("the amount is owed to you")
    );
    world.audit()?;
    Ok(())
}

#[test]
fn the_pages_speak_japanese_to_those_who_ask_for_it() -> Result<()> {
    let (_dir, world, server) = world()?;
    let mut browser = Browser::new(&server, "ja-JP,ja;q=0.9")?;
    let page = browser.get("/")?;
    assert!(page.text.contains("<html lang=\"ja\">") && page.text.contains("トークン"));
    assert!(
        browser
            .get("/?lang=en")?
            .text
            .contains("<html lang=\"en\">")
    );
    browser.sign_in(&world.alice.token)?;
    let fields = [("key", "k"), ("card", "1"), ("amount", "1"), ("note", "")];
    let refused = browser.post("/orders/confirm", &fields)?;
    assert!(
        refused.text.contains("カード番号に誤りがあります。"),
        "{}",
        refused.text
    );
    Ok(())
}

#[test]
fn what_is_wrong_is_said_in_the_form_with_its_code_and_nothing_is_lost() -> Result<()> {
    let (_dir, world, server) = world()?;
    let mut browser = Browser::new(&server, "en")?;
    browser.sign_in(&world.alice.token)?;
    let own = world.dir.join("alice.card").to_string_lossy().into_owned();
    world.new_card(&own)?;
    let own = world.issue(&own, &world.alice.id)?["number"]
        .as_str()
        .context("a number")?
        .to_owned();
    let good = world.number.clone();
    let typo = good.replacen(&good[..1], if good.starts_with('1') { "2" } else { "1" }, 1);
    for (card, amount, code) in [
        (good.as_str(), "0", "amount-not-positive"),
        (good.as_str(), "-5", "amount-not-positive"),
        (good.as_str(), "1.5", "amount-exponent"),
        (good.as_str(), "9999999", "amount-over-limit"),
        (good.as_str(), "10001", "insufficient-funds"),
        (typo.as_str(), "5", "card-number-malformed"),
        ("4111111111111111", "5", "card-unknown"),
        (own.as_str(), "5", "self-remittance"),
    ] {
        // The API remembers a refusal under its key; the corrected form comes with a new one.
        let key = format!("{code}{amount}");
        let fields = [
            ("key", key.as_str()),
            ("card", card),
            ("amount", amount),
            ("note", "kept"),
        ];
        for path in ["/orders/confirm", "/orders"] {
            let page = browser.post(path, &fields)?;
            assert!(
                page.text.contains(code),
                "{card} {amount} at {path}: {}",
                page.text
            );
            assert!(page.text.contains("role=\"alert\"") && page.text.contains("value=\"kept\""));
            assert_eq!(page.status, 422);
            let again = hidden(&page, "key")?;
            assert_eq!(again == key, path == "/orders/confirm", "{path}: {again}");
        }
    }
    assert_eq!(world.balances()?.sender, SENDER_START);
    Ok(())
}

#[test]
fn a_stranger_or_another_site_gets_nowhere() -> Result<()> {
    let (_dir, world, server) = world()?;
    let mut browser = Browser::new(&server, "en")?;
    for path in [
        "/orders",
        "/orders/new",
        "/orders/00000000-0000-7000-8000-000000000000",
    ] {
        assert_eq!(browser.get(path)?.location.as_deref(), Some("/"), "{path}");
    }
    let wrong = browser.post("/sign-in", &[("token", "tgt_wrong")])?;
    assert!(wrong.status == 401 && wrong.text.contains("This token is not known."));
    browser.sign_in(&world.hanako.token)?;
    let order = world.order(&server, "hers", 100, None)?;
    let path = format!("/orders/{}", order["id"].as_str().context("an id")?);
    assert_eq!(browser.get(&path)?.status, 404, "an order of somebody else");
    assert_eq!(browser.post(&format!("{path}/cancel"), &[])?.status, 404);
    let forged = Client::new()
        .post(format!("{}/sign-out", server.base))
        .header("sec-fetch-site", "cross-site")
        .header("origin", "https://evil.example")
        .send()?;
    assert_eq!(forged.status().as_u16(), 403);
    Ok(())
}

#[test]
fn a_claim_code_typed_into_the_page_fetches_the_mailed_bytes() -> Result<()> {
    let (_dir, world, server) = world()?;
    world.order(&server, "one", 100, None)?;
    let mailed = world.program(1)?;
    let eml = std::fs::read(world.mail(1)?)?;
    let parsed = mail_parser::MessageParser::default()
        .parse(&eml)
        .context("a mail")?;
    let text = parsed.body_text(0).context("a text")?.into_owned();
    let code = text
        .lines()
        .map(str::trim)
        .find(|line| {
            line.len() > 16
                && line.contains('-')
                && line
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
        })
        .context("a claim code in the mail")?;
    let response = Client::new()
        .post(format!("{}/claim", server.base))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("code={code}"))
        .send()?;
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.bytes()?.to_vec(), mailed);
    let mut browser = Browser::new(&server, "en")?;
    let wrong = browser.post("/claim", &[("code", "AAAA-AAAA")])?;
    assert!(
        wrong.status == 404 && wrong.text.contains("claim-unknown"),
        "{}",
        wrong.text
    );
    // nothing was to be sent, and the page says which language it is in
    assert!(!wrong.text.contains("Nothing was sent"), "{}", wrong.text);
    assert!(wrong.text.contains("Compare it with the mail"));
    assert!(wrong.text.contains("aria-current=\"true\">English</a>"));
    assert_eq!(wrong.text.matches("aria-current").count(), 1);
    Ok(())
}
