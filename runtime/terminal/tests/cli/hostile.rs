//! What issuers and files try that do not mean well.

use crate::world::{Answer, DAY_S, ISSUER, World};
use program::Order;
use std::fs;

/// A world whose terminal trusts the issuer at its public address.
fn trusting_in_public() -> World {
    let world = World::trusting();
    let file = world.state().join(format!("trust/{ISSUER}.json"));
    let public = fs::read_to_string(&file)
        .unwrap()
        .replace(&world.base, &format!("https://{ISSUER}"))
        .replace("\"dev\": true", "\"dev\": false");
    fs::write(&file, public).unwrap();
    world
}

#[test]
fn nobody_on_this_computer_takes_the_place_of_a_public_issuer() {
    let world = trusting_in_public();
    // The descriptor is public: whoever listens here can show the genuine one.
    world
        .run(&["trust", "add", "--dev", &world.base, "--yes"])
        .expect(2, "E_ORIGIN");
    let listed = &world.run(&["trust", "list"]).document["issuers"][0];
    assert_eq!(listed["origin"], format!("https://{ISSUER}"));
    assert_eq!(listed["dev"], false);
}

#[test]
fn an_issuer_name_that_no_file_can_have_is_one_that_is_not_trusted() {
    let world = World::trusting();
    let mut order = world.order();
    order.issuer = "a.".repeat(126) + "a";
    let file = world.program("p", &order, 77);
    let file = file.to_str().unwrap();
    let inspected = world.run(&["inspect", file]);
    assert_eq!(inspected.document["verdict"], "E_ISSUER_UNTRUSTED");
    world.open(file.as_ref()).expect(5, "E_ISSUER_UNTRUSTED");
}

#[test]
fn a_stray_file_in_the_state_folder_stops_nothing() {
    let world = World::trusting();
    let journal = world.state().join("journal");
    fs::create_dir_all(&journal).unwrap();
    fs::write(journal.join(".DS_Store"), b"x").unwrap();
    let mut order = world.order();
    order.created = world.now - 9 * DAY_S;
    order.expires = world.now - 8 * DAY_S;
    let file = world.program("p", &order, 10);
    world.open(&file).expect(4, "E_TIME");
}

#[test]
fn a_server_that_gives_no_answer_is_not_asked_about_the_next_exchange_at_this_start() {
    let world = World::trusting();
    for remittance in [0x11, 0x22] {
        let order = Order {
            remittance: [remittance; 16],
            ..world.order()
        };
        world.script([Answer::last_step()]);
        // The second start sends the first one again: no answer to that either.
        if remittance == 0x22 {
            world.script([Answer::Lost, Answer::last_step()]);
        }
        world
            .open(&world.program("p", &order, 10))
            .expect(9, "E_IN_DOUBT");
    }
    let mut over = world.order();
    over.remittance = [0x33; 16];
    over.created = world.now - 9 * DAY_S;
    over.expires = world.now - 8 * DAY_S;
    let over = world.program("over", &over, 10);
    for answer in [
        Answer::Lost,
        Answer::Status(503),
        Answer::Mistyped(Vec::new()),
        Answer::Reply(vec![0]),
        Answer::last_step(),
    ] {
        world.script([answer.clone()]);
        world.open(&over).expect(4, "E_TIME");
        assert_eq!(world.requests().len(), 1, "{answer:?}");
    }
}
