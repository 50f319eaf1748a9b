//! What issuers and files try that do not mean well.

use crate::world::{DAY_S, ISSUER, World};
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
