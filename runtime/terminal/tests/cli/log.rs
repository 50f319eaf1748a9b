//! The run log: one record for every opening.

use crate::world::{Answer, ISSUER, World};
use serde_json::{Value, json};
use std::fs;

fn records(world: &World) -> Vec<Value> {
    let listed = world.run(&["log", "--last", "1000"]);
    listed.expect_outcome("done");
    listed.document["records"].as_array().unwrap().clone()
}

#[test]
fn each_opening_leaves_exactly_one_record_whatever_became_of_it() {
    let world = World::trusting();
    let before = records(&world).len();
    let order = world.order();
    let file = world.program("p", &order, 10);
    let stranger = world.program("stranger", &order, 77);
    let text = world.dir.path().join("text");
    fs::write(&text, b"hello").unwrap();
    world.script([Answer::last_step()]);
    world.open(&file).expect(9, "E_IN_DOUBT");
    world.script([Answer::receipt(&world.receipt(&order))]);
    world.open(&file).expect_outcome("credited");
    world.open(&file).expect_outcome("already-credited");
    world.open(&stranger).expect(4, "E_KEY_UNKNOWN");
    world.open(&text).expect(4, "E_FORMAT");
    world.open("no-such-file".as_ref()).expect(1, "E_INPUT");
    let records = records(&world).split_off(before);
    let told: Vec<_> = records
        .iter()
        .map(|r| (r["outcome"].as_str().unwrap(), r["code"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("in-doubt", Some("E_IN_DOUBT")),
            ("credited", None),
            ("already-credited", None),
            ("failed", Some("E_KEY_UNKNOWN")),
            ("failed", Some("E_FORMAT")),
            ("failed", Some("E_INPUT")),
        ]
    );
    let ran = &records[0];
    assert_eq!(ran["issuer"], ISSUER);
    assert_eq!(ran["kind"], "credit");
    assert_eq!(ran["consent"], "given by --yes");
    assert_eq!(
        ran["granted"],
        json!(["reader.transmit", "network.exchange"])
    );
    assert_eq!(ran["calls"][0], json!(["transmit", 5, 9]));
    let fuel = ran["fuel"].as_u64().unwrap();
    assert!((1..sandbox::limits::FUEL_MAX).contains(&fuel), "{fuel}");
    assert!(ran["time_ms"].is_u64());
    // A file is named by its hash as soon as it was read, a program only once it is verified.
    assert_eq!(records[3]["file_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(records[3]["remittance"], Value::Null);
}

#[test]
fn an_opening_that_was_cut_off_has_its_record_from_the_next_one() {
    let world = World::trusting();
    let order = world.order();
    let file = world.program("p", &order, 10);
    world.script([Answer::receipt(&world.receipt(&order))]);
    world.open(&file).expect_outcome("already-credited");
    let before = records(&world);
    let last = before.last().unwrap();
    // The note that a killed process leaves behind it.
    let note = json!({ "command": "open", "at": last["at"], "remittance": last["remittance"] });
    let begun = world.state().join("log/begun");
    assert_eq!(fs::read_dir(&begun).unwrap().count(), 0);
    fs::write(begun.join("dead.json"), note.to_string()).unwrap();

    let opened = world.open(&file);
    opened.expect_outcome("already-credited");
    let id = last["remittance"].as_str().unwrap();
    let told = format!("(remittance {id}) was cut off");
    assert!(opened.talk.contains(&told), "{}", opened.talk);
    assert_eq!(opened.document["interrupted"][0]["remittance"], id);
    let added = records(&world).split_off(before.len());
    let outcomes: Vec<_> = added.iter().map(|r| r["outcome"].clone()).collect();
    assert_eq!(outcomes, ["interrupted", "already-credited"]);
    assert_eq!(added[0]["opening"], "dead");
    assert_eq!(fs::read_dir(&begun).unwrap().count(), 0);
    world.open(&file).expect_outcome("already-credited");
    assert_eq!(records(&world).len(), before.len() + 3);
}

#[test]
fn no_content_of_a_call_and_no_token_stands_in_the_log() {
    let world = World::trusting();
    let order = world.order();
    world.script([Answer::last_step()]);
    world
        .open(&world.program("p", &order, 10))
        .expect(9, "E_IN_DOUBT");
    let log = fs::read_to_string(world.state().join("log/runs.log")).unwrap();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    for secret in [hex(&order.claim_token), hex(&[4, 1, 2, 3, 4, 5, 6])] {
        assert!(!log.contains(&secret), "{secret}");
    }
    assert!(!log.contains("Alice") && !log.contains("for lunch"));
}

#[test]
fn a_changed_log_is_named_and_stops_no_opening() {
    let world = World::trusting();
    let order = world.order();
    world.script([Answer::receipt(&world.receipt(&order))]);
    let file = world.program("p", &order, 10);
    world.open(&file).expect_outcome("already-credited");
    world.run(&["log", "verify"]).expect_outcome("done");
    let path = world.state().join("log/runs.log");
    let log = fs::read_to_string(&path).unwrap();
    fs::write(&path, log.replace("already-credited", "credited")).unwrap();
    let verified = world.run(&["log", "verify"]);
    verified.expect(1, "E_LOG");
    let last = log.lines().count();
    let detail = format!("record {last} was altered");
    assert_eq!(verified.document["detail"], detail);
    world.open(&file).expect_outcome("already-credited");
    assert_eq!(world.run(&["log", "verify"]).document["detail"], detail);
}

#[test]
fn without_a_place_for_its_record_nothing_is_opened() {
    let world = World::trusting();
    let file = world.program("p", &world.order(), 10);
    fs::remove_dir_all(world.state().join("log")).ok();
    fs::write(world.state().join("log"), b"a file").unwrap();
    world.script([]);
    world.open(&file).expect(1, "E_STATE");
    assert!(world.requests().is_empty());
}
