//! Money sent to a mail address: from the mailed code to the credited card, over real HTTP and SMTP.

use anyhow::{Context, Result};
use serde_json::json;
use tests::{
    processes::Server,
    recipient::Recipient,
    world::{SENDER_START, World, text},
};

const EMAIL: &str = "hanako@cards.example";
const AMOUNT: i64 = 700;

/// The code in the mail number `count`.
fn code_of(world: &World, count: usize) -> Result<String> {
    let mail = std::fs::read(world.mail(count)?)?;
    let parsed = mail_parser::MessageParser::default()
        .parse(&mail)
        .context("no mail")?;
    let body = parsed.body_text(0).context("no text")?.into_owned();
    let code = body.lines().map(str::trim).find(|line| {
        line.len() == 19 && line.chars().all(|c| c == '-' || c.is_ascii_alphanumeric())
    });
    Ok(code.context("no code in the mail")?.to_owned())
}

fn order(world: &World, server: &Server, key: &str) -> Result<(u16, serde_json::Value)> {
    let body = json!({ "recipient_email": EMAIL, "amount_minor": AMOUNT, "currency": "JPY" });
    let body = body.to_string();
    let answer = world.post(server, &world.alice.token, "/v1/orders", key, &body)?;
    Ok((answer.status, answer.body))
}

#[test]
fn money_sent_to_a_verified_address_reaches_the_card_of_its_time() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let world = World::new(dir.path())?;
    let server = world.serve()?;
    let holder = world.hanako.id.clone();
    assert_eq!(
        order(&world, &server, "early")?.1["code"],
        "recipient-unknown"
    );
    world.admin(&["holder", "email", &holder, "--set", EMAIL])?;
    let code = code_of(&world, 1)?;
    let typed = json!({ "email": EMAIL, "code": code }).to_string();
    for status in [204, 422] {
        let answer = world.post(&server, "", "/v1/address/verify", "", &typed)?;
        assert_eq!(answer.status, status, "{answer:?}");
    }

    let (status, first) = order(&world, &server, "first")?;
    assert_eq!(status, 201, "{first}");
    let program = world.program(2)?;

    let second = format!("{}-second", world.card);
    world.new_card(&second)?;
    let issued = world.issue(&second, &holder)?;
    let (status, undecided) = order(&world, &server, "undecided")?;
    assert_eq!(
        (status, &undecided["code"]),
        (422, &json!("recipient-unknown"))
    );
    let card = text(&issued, "card")?;
    world.admin(&[
        "holder",
        "email",
        &holder,
        "--address",
        EMAIL,
        "--default-card",
        &card,
    ])?;
    assert_eq!(order(&world, &server, "first")?.1["id"], first["id"]);
    let (status, other) = order(&world, &server, "second")?;
    assert_eq!(status, 201, "{other}");
    assert_eq!(other["recipient_masked"], issued["masked"]);

    // bound to the first card, whatever the address stands for by now; the other card is refused
    let mut wrong = Recipient::new(&program, &server.base, &second)?;
    assert!(wrong.run().is_err());
    drop(wrong);
    let mut right = Recipient::new(&program, &server.base, &world.card)?;
    right.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    drop(right);
    let balances = world.balances()?;
    assert_eq!(
        (balances.on_card, balances.sender),
        (AMOUNT, SENDER_START - 2 * AMOUNT)
    );
    let history = world.admin(&["holder", "email", &holder, "--history"])?;
    let history = history["history"].as_array().context("no history")?;
    let what: Vec<_> = history.iter().map(|event| event["what"].as_str()).collect();
    assert_eq!(
        what,
        [Some("default-card"), Some("verified"), Some("asked")]
    );
    world.audit()?;
    Ok(())
}

/// Sets `invite` in `issuer.json`.
fn hold(world: &World) -> Result<()> {
    let file = std::path::Path::new(&world.data).join("issuer.json");
    let mut issuer: serde_json::Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    issuer["invite"] = "hold".into();
    std::fs::write(&file, issuer.to_string())?;
    Ok(())
}

#[test]
fn an_order_to_a_person_without_a_card_is_held_until_there_is_one() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let world = World::new(dir.path())?;
    hold(&world)?;
    let server = world.serve()?;
    let token = &world.alice.token;
    let (status, first) = order(&world, &server, "first")?;
    assert_eq!((status, &first["status"]), (201, &json!("invited")));
    assert_eq!(first["recipient_masked"], EMAIL);
    assert_eq!(order(&world, &server, "first")?.1["id"], first["id"]);
    let mail = std::fs::read(world.mail(1)?)?;
    let parsed = mail_parser::MessageParser::default().parse(&mail);
    let letter = parsed
        .context("no mail")?
        .body_text(0)
        .context("no text")?
        .into_owned();
    for fact in ["for a card", "カード", "/address", "Alice", "JPY 700"] {
        assert!(letter.contains(fact), "{fact} missing in {letter}");
    }

    // listed with the others, taken back at once, and only once
    let (_, second) = order(&world, &server, "second")?;
    world.mail(2)?;
    world.order(&server, "by-card", 100, None)?;
    world.mail(3)?;
    let page = world.get(&server, token, "/v1/orders")?.body;
    let items = page["items"].as_array().context("no items")?;
    let listed: Vec<_> = items.iter().map(|item| item["status"].as_str()).collect();
    assert_eq!(listed, [Some("open"), Some("invited"), Some("invited")]);
    let cancel = format!("/v1/orders/{}/cancel", text(&second, "id")?);
    for _ in 0..2 {
        let answer = world.post(&server, token, &cancel, "c", "")?;
        let seen = (answer.status, &answer.body["status"]);
        assert_eq!(seen, (200, &json!("cancelled")));
    }
    assert_eq!(world.balances()?.sender, SENDER_START - AMOUNT - 100);

    let id = text(&first, "id")?;
    let shown = world.admin(&["order", "show", &id])?;
    assert_eq!(shown["order"]["status"], "invited");
    let holder = world.hanako.id.clone();
    world.admin(&["holder", "email", &holder, "--set", EMAIL])?;
    let typed = json!({ "email": EMAIL, "code": code_of(&world, 4)? }).to_string();
    let verified = world.post(&server, "", "/v1/address/verify", "", &typed)?;
    assert_eq!(verified.status, 204);
    let program = world.program(5)?;
    let mut recipient = Recipient::new(&program, &server.base, &world.card)?;
    recipient.run().map_err(|f| anyhow::anyhow!("{f:?}"))?;
    drop(recipient);
    world.wait_for_status(&server, &id, "credited")?;
    // asked for again, it gets its first answer
    assert_eq!(order(&world, &server, "first")?.1["status"], "invited");

    // nobody came for this one
    let short = json!({ "recipient_email": "nobody@cards.example", "amount_minor": 1,
        "currency": "JPY", "expires_in_s": 1 });
    let short = world.post(&server, token, "/v1/orders", "short", &short.to_string())?;
    world.wait_for_status(&server, &text(&short.body, "id")?, "expired")?;
    assert_eq!(world.balances()?.sender, SENDER_START - AMOUNT - 100);
    world.audit()?;
    Ok(())
}
