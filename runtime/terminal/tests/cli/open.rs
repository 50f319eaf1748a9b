//! `tegata open` against a scripted issuer: outcomes, exit statuses, and what is left behind.

use crate::world::{Answer, DAY_S, World, signing};
use program::Order;
use wire::descriptor::{KeyEntry, Purpose};
use wire::exchange::{Refusal, Request};

fn after(code: &str, exit: i32, change: impl FnOnce(&World, &mut Order)) {
    let world = World::trusting();
    let mut order = world.order();
    change(&world, &mut order);
    world
        .open(&world.program("p", &order, 10))
        .expect(exit, code);
    assert_eq!(world.requests(), Vec::<Vec<u8>>::new(), "nothing was sent");
}

#[test]
fn a_credited_remittance_shows_the_same_receipt_again_without_the_server() {
    let world = World::trusting();
    let order = world.order();
    let file = world.program("p", &order, 10);
    world.script([Answer::receipt(&world.receipt(&order))]);
    let first = world.open(&file);
    first.expect_outcome("already-credited");
    assert_eq!(first.document["exchanges"], 1);
    assert_eq!(first.document["amount_minor"], 2500);
    assert_eq!(first.document["consent"], "given by --yes");
    assert!(
        first.talk.contains("consent: given by --yes"),
        "{}",
        first.talk
    );
    world.script([]);
    let again = world.open(&file);
    again.expect_outcome("already-credited");
    assert_eq!(again.document["receipt"], first.document["receipt"]);
    assert!(world.requests().is_empty());
    let id = first.document["remittance"].as_str().unwrap();
    let shown = world.run(&["receipt", id]);
    assert_eq!(shown.document["receipt"], first.document["receipt"]);
}

#[test]
fn the_instruction_names_the_order_and_its_token() {
    let world = World::trusting();
    let order = world.order();
    world.script([Answer::refusal(Refusal::CardFull)]);
    world
        .open(&world.program("p", &order, 10))
        .expect(8, "E_CARD_FULL");
    let [request] = &world.requests()[..] else {
        panic!("one request")
    };
    let Ok(Request::Instruction(instruction)) = Request::decode(request) else {
        panic!("first")
    };
    assert_eq!(instruction.remittance, order.remittance);
    assert_eq!(instruction.claim_token, order.claim_token);
}

#[test]
fn an_unanswered_last_exchange_is_in_doubt_and_sent_again_at_the_next_start() {
    let world = World::trusting();
    let order = world.order();
    let file = world.program("p", &order, 10);
    world.script([Answer::last_step()]);
    world.open(&file).expect(9, "E_IN_DOUBT");
    let lost = world.requests().last().unwrap().clone();

    // Still no server: still remembered.
    world.script([]);
    let other = Order {
        remittance: [0x22; 16],
        ..order.clone()
    };
    let other = world.program("other", &other, 10);
    let talk = world.open(&other).talk;
    assert!(talk.contains("not settled yet"), "{talk}");
    assert_eq!(world.requests()[0], lost);

    world.script([
        Answer::receipt(&world.receipt(&order)),
        Answer::refusal(Refusal::CardFull),
    ]);
    let settled = world.open(&other);
    settled.expect(8, "E_CARD_FULL");
    assert_eq!(world.requests()[0], lost);
    assert_eq!(settled.document["settled"][0]["outcome"], "credited");

    world.script([]);
    world.open(&file).expect_outcome("already-credited");
    assert!(world.requests().is_empty());
}

#[test]
fn only_the_last_exchange_is_journalled_and_before_it_is_sent() {
    let world = World::trusting();
    let order = world.order();
    let receipt = world.receipt(&order);
    world.script([Answer::last_step(), Answer::Lost, Answer::receipt(&receipt)]);
    world
        .open(&world.program("p", &order, 10))
        .expect_outcome("credited");
    assert_eq!(world.journalled(), [false, true, true]);
    // Answered: nothing is sent again.
    world.script([Answer::refusal(Refusal::CardFull)]);
    let other = Order {
        remittance: [0x22; 16],
        ..order
    };
    let next = world.open(&world.program("other", &other, 10));
    assert_eq!(next.document["settled"], serde_json::Value::Null);
}

#[test]
fn a_program_is_opened_from_a_mail() {
    let world = World::trusting();
    let order = world.order();
    let program = std::fs::read(world.program("p", &order, 10)).unwrap();
    let attachment = format!(
        "--b\r\nContent-Type: application/octet-stream; name=letter.pdf\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        data_encoding::BASE64_MIME.encode(&program)
    );
    let mail = |parts: &str| {
        let path = world.dir.path().join("letter.eml");
        let head = "Subject: x\r\nMIME-Version: 1.0\r\n\
                    Content-Type: multipart/mixed; boundary=b\r\n";
        std::fs::write(&path, format!("{head}\r\n{parts}--b--\r\n")).unwrap();
        path
    };
    world.script([Answer::receipt(&world.receipt(&order))]);
    world
        .open(&mail(&attachment))
        .expect_outcome("already-credited");
    world
        .open(&mail(&attachment.repeat(2)))
        .expect(4, "E_SEVERAL_PROGRAMS");
}

#[test]
fn an_answer_of_another_kind_does_not_end_the_doubt() {
    let world = World::trusting();
    let order = world.order();
    let file = world.program("p", &order, 10);
    let forged = world.receipt(&Order {
        remittance: [0x33; 16],
        ..order.clone()
    });
    world.script([Answer::last_step(), Answer::receipt(&forged)]);
    world.open(&file).expect(9, "E_IN_DOUBT");
    for (answer, outcome) in [
        (
            Answer::refusal(Refusal::RemittanceUnknown),
            "E_REMITTANCE_UNKNOWN",
        ),
        (Answer::Status(503), "E_SERVER_UNAVAILABLE"),
        (Answer::receipt(&forged), "E_RECEIPT"),
        (Answer::refusal(Refusal::InDoubt), "E_IN_DOUBT"),
    ] {
        world.script([answer, Answer::refusal(Refusal::CardBusy)]);
        let ended = world.open(&file);
        assert_eq!(
            ended.document["settled"][0]["outcome"], outcome,
            "{}",
            ended.talk
        );
    }
    // The last one was conclusive: the server has judged these answers.
    world.script([Answer::refusal(Refusal::CardBusy)]);
    assert_eq!(
        world.open(&file).document["settled"],
        serde_json::Value::Null
    );
}

#[test]
fn a_receipt_for_another_order_is_none() {
    let world = World::trusting();
    let order = world.order();
    let other = world.receipt(&Order {
        note: "other".to_owned(),
        ..order.clone()
    });
    world.script([Answer::receipt(&other)]);
    world
        .open(&world.program("p", &order, 10))
        .expect(1, "E_RECEIPT");
}

#[test]
fn a_server_that_is_gone_busy_or_strange_is_unavailable() {
    let world = World::trusting();
    let order = world.order();
    let file = world.program("p", &order, 10);
    let receipt = wire::exchange::Reply::Receipt(world.receipt(&order))
        .encode()
        .unwrap();
    for (answer, code) in [
        (Answer::Lost, "E_OFFLINE"),
        (Answer::Status(503), "E_SERVER_UNAVAILABLE"),
        (Answer::Status(429), "E_SERVER_UNAVAILABLE"),
        (Answer::Status(307), "E_SERVER_REPLY"),
        (Answer::Status(404), "E_SERVER_REPLY"),
        (Answer::Mistyped(receipt.clone()), "E_SERVER_REPLY"),
        (Answer::Reply(vec![0xff; 9000]), "E_SERVER_REPLY"),
        (Answer::Reply(vec![0xff]), "E_SERVER_REPLY"),
    ] {
        world.script([answer.clone(), answer.clone(), answer]);
        world.open(&file).expect(7, code);
    }
}

#[test]
fn a_lost_request_is_repeated_with_the_same_bytes() {
    let world = World::trusting();
    let order = world.order();
    world.script([
        Answer::Lost,
        Answer::Lost,
        Answer::receipt(&world.receipt(&order)),
    ]);
    world
        .open(&world.program("p", &order, 10))
        .expect_outcome("already-credited");
    let requests = world.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| *request == requests[0]));
}

#[test]
fn without_a_person_and_without_yes_nothing_runs() {
    let world = World::trusting();
    let file = world.program("p", &world.order(), 10);
    let ended = world.run(&["open", file.to_str().unwrap(), "--reader", "emulated:none"]);
    ended.expect(3, "E_NO_CONSENT");
    assert!(ended.talk.contains("Amount: JPY 2,500"), "{}", ended.talk);
    assert!(world.requests().is_empty());
}

#[test]
fn times_beyond_a_day_are_refused_and_within_a_day_left_to_the_server() {
    after("E_TIME", 4, |world, order| {
        (order.created, order.expires) = (world.now - 9 * DAY_S, world.now - DAY_S - 60);
    });
    after("E_TIME", 4, |world, order| {
        (order.created, order.expires) = (world.now + DAY_S + 60, world.now + 9 * DAY_S);
    });
    let world = World::trusting();
    let order = Order {
        created: world.now - 9 * DAY_S,
        expires: world.now - DAY_S / 2,
        ..world.order()
    };
    world.script([Answer::refusal(Refusal::Expired)]);
    world
        .open(&world.program("p", &order, 10))
        .expect(8, "E_EXPIRED");
}

#[test]
fn another_program_under_the_same_number_is_a_conflict_and_a_lower_revision_is_old() {
    let world = World::trusting();
    let order = Order {
        revision: 2,
        ..world.order()
    };
    world.script([Answer::refusal(Refusal::CardFull)]);
    world
        .open(&world.program("p", &order, 10))
        .expect(8, "E_CARD_FULL");
    let conflicting = Order {
        note: "other".to_owned(),
        ..order.clone()
    };
    world
        .open(&world.program("q", &conflicting, 10))
        .expect(4, "E_ORDER_CONFLICT");
    let older = Order {
        revision: 1,
        ..order.clone()
    };
    world
        .open(&world.program("r", &older, 10))
        .expect(8, "E_SUPERSEDED");
    world.script([Answer::refusal(Refusal::WrongCard)]);
    let newer = Order {
        revision: 3,
        ..order
    };
    world
        .open(&world.program("s", &newer, 10))
        .expect(8, "E_WRONG_CARD");
}

#[test]
fn programs_that_no_trusted_issuer_signed_do_not_run() {
    let world = World::trusting();
    let order = world.order();
    // Some key; a receipt key; another issuer's name.
    world
        .open(&world.program("p", &order, 99))
        .expect(4, "E_KEY_UNKNOWN");
    world
        .open(&world.program("p", &order, 11))
        .expect(4, "E_KEY_PURPOSE");
    let foreign = Order {
        issuer: "other.example.org".to_owned(),
        ..order.clone()
    };
    world
        .open(&world.program("p", &foreign, 10))
        .expect(4, "E_ISSUER");
    world
        .open(&world.program("p", &foreign, 99))
        .expect(5, "E_ISSUER_UNTRUSTED");
    // One bit.
    let file = world.program("p", &order, 10);
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    world.open(&file).expect(4, "E_SIG");
    assert!(world.requests().is_empty());
}

#[test]
fn a_new_program_key_is_fetched_and_a_revoked_one_learned() {
    let world = World::trusting();
    let key = |seed, purpose, revoked_at| KeyEntry {
        purpose,
        public: signing(seed).verifying_key().to_bytes(),
        not_before: world.now - DAY_S,
        not_after: world.now + DAY_S,
        revoked_at,
    };
    let keys = vec![
        key(10, Purpose::Program, Some(world.now)),
        key(12, Purpose::Program, None),
        key(11, Purpose::Receipt, None),
        key(13, Purpose::Status, None),
    ];
    world.publish(&world.signed_descriptor(1, keys, world.now + 1));
    world.script([Answer::refusal(Refusal::CardFull)]);
    world
        .open(&world.program("p", &world.order(), 12))
        .expect(8, "E_CARD_FULL");
    let by_old_key = Order {
        remittance: [0x44; 16],
        ..world.order()
    };
    world
        .open(&world.program("q", &by_old_key, 10))
        .expect(4, "E_KEY_REVOKED");
    // An older list does not bring the revoked key back.
    world.publish(&world.descriptor(1));
    world
        .run(&["trust", "add", "--dev", &world.base])
        .expect(5, "E_DESCRIPTOR");
    world
        .open(&world.program("q", &by_old_key, 10))
        .expect(4, "E_KEY_REVOKED");
}

#[test]
fn the_reader_is_asked_for_only_after_consent_and_its_absence_has_a_code() {
    let world = World::trusting();
    let file = world.program("p", &world.order(), 10);
    let missing = world.run(&[
        "open",
        file.to_str().unwrap(),
        "--yes",
        "--reader",
        "emulated:/no",
    ]);
    missing.expect(6, "E_CARD_FILE_MISSING");
    assert!(missing.talk.contains("Amount: JPY 2,500"));
    let bad = world.run(&[
        "open",
        file.to_str().unwrap(),
        "--yes",
        "--reader",
        "bluetooth",
    ]);
    bad.expect(2, "E_READER_SPEC");
    // A factory card has no purse.
    let blank = world.dir.path().join("blank");
    card_reader::create(&blank, &card_sim::Card::new([4; 7], [1; 32])).unwrap();
    let reader = format!("emulated:{}", blank.display());
    let blank = world.run(&["open", file.to_str().unwrap(), "--yes", "--reader", &reader]);
    blank.expect(6, "E_CARD_UNSUPPORTED");
    assert!(world.requests().is_empty());
}
