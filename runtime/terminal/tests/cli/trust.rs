//! What an issuer withdraws, which time counts, and how trust ends.

use crate::world::{Answer, DAY_S, ISSUER, World, signing, template};
use std::fs;
use wire::descriptor::{Descriptor, KeyEntry, Purpose};
use wire::status::{Replaced, StatusList};

fn told(world: &World) -> std::path::PathBuf {
    world.state().join(format!("trust/{ISSUER}.told"))
}

#[test]
fn a_withdrawn_template_or_replaced_program_does_not_run() {
    let world = World::trusting();
    let order = world.order();
    let file = world.program("p", &order, 10);
    world.withdraw(Some(&world.status(world.now, &[template().hash()])));
    world.script([]);
    world.open(&file).expect(8, "E_PROGRAM_REVOKED");
    assert!(world.requests().is_empty());

    let world = World::trusting();
    let list = |revision| {
        let programs = vec![Replaced {
            remittance: order.remittance,
            revision,
        }];
        let (issuer, templates) = (ISSUER.to_owned(), Vec::new());
        let list = StatusList {
            issuer,
            issued_at: world.now,
            templates,
            programs,
        };
        list.sign(&signing(13)).unwrap()
    };
    world.withdraw(Some(&list(order.revision + 1)));
    world.open(&file).expect(8, "E_PROGRAM_REVOKED");
    // Its lawful neighbour: the same program where this very revision is the lowest that may run.
    fs::remove_file(told(&world)).unwrap();
    world.withdraw(Some(&list(order.revision)));
    world.script([Answer::receipt(&world.receipt(&order))]);
    world.open(&file).expect_outcome("already-credited");
}

#[test]
fn without_a_status_list_of_today_nothing_runs() {
    let world = World::trusting();
    let order = world.order();
    let file = world.program("p", &order, 10);
    let old = world.now - 2 * DAY_S - 1;
    for list in [
        None,
        Some(b"nothing".to_vec()),
        Some(world.status(old, &[])),
        Some(world.receipt(&order)),
    ] {
        world.withdraw(list.as_deref());
        world.script([]);
        world.open(&file).expect(7, "E_STATUS_STALE");
        assert!(world.requests().is_empty());
    }
    world.withdraw(Some(&world.status(world.now, &[])));
    world.script([Answer::Lost]);
    world.open(&file).expect(7, "E_OFFLINE");
    // For a day the stored list will do.
    world.withdraw(None);
    world.script([Answer::receipt(&world.receipt(&order))]);
    world.open(&file).expect_outcome("already-credited");
}

#[test]
fn a_revocation_that_comes_with_a_new_status_key_counts_at_once() {
    let world = World::trusting();
    let order = world.order();
    // Broken into: the issuer gives up its program key and its status key together.
    let mut keys = Descriptor::verify_first_contact(&world.descriptor(1))
        .unwrap()
        .keys;
    keys[0].revoked_at = Some(world.now);
    keys[2].public = signing(14).verifying_key().to_bytes();
    world.publish(&world.signed_descriptor(1, keys, world.now + 1));
    let list = StatusList {
        issuer: ISSUER.to_owned(),
        issued_at: world.now,
        templates: Vec::new(),
        programs: Vec::new(),
    };
    world.withdraw(Some(&list.sign(&signing(14)).unwrap()));
    world.script([]);
    world
        .open(&world.program("p", &order, 10))
        .expect(4, "E_KEY_REVOKED");
    assert!(world.requests().is_empty());
}

#[test]
fn another_issuer_that_lists_the_key_takes_nobodys_place() {
    let world = World::trusting();
    let order = world.order();
    // Trusted as well, and lists our newest key as one of its own.
    let key = |seed, purpose| KeyEntry {
        purpose,
        public: signing(seed).verifying_key().to_bytes(),
        not_before: world.now - DAY_S,
        not_after: world.now + DAY_S,
        revoked_at: None,
    };
    let copied = Descriptor {
        issuer: "a.example.org".to_owned(),
        root: signing(2).verifying_key().to_bytes(),
        issued_at: world.now,
        keys: vec![key(20, Purpose::Receipt)],
    };
    world.publish(&copied.sign(&signing(2)).unwrap());
    world
        .run(&["trust", "add", "--dev", &world.base, "--yes"])
        .expect_outcome("trusted");
    let mut ours = Descriptor::verify_first_contact(&world.descriptor(1))
        .unwrap()
        .keys;
    ours[0] = key(20, Purpose::Program);
    world.publish(&world.signed_descriptor(1, ours, world.now + 1));
    world.script([Answer::receipt(&world.receipt(&order))]);
    world
        .open(&world.program("p", &order, 20))
        .expect_outcome("already-credited");
}

#[test]
fn a_new_status_key_is_learned() {
    let world = World::trusting();
    let order = world.order();
    let mut keys = Descriptor::verify_first_contact(&world.descriptor(1))
        .unwrap()
        .keys;
    keys[2].public = signing(14).verifying_key().to_bytes();
    world.publish(&world.signed_descriptor(1, keys, world.now + 1));
    let list = StatusList {
        issuer: ISSUER.to_owned(),
        issued_at: world.now,
        templates: Vec::new(),
        programs: Vec::new(),
    };
    world.withdraw(Some(&list.sign(&signing(14)).unwrap()));
    world.script([Answer::receipt(&world.receipt(&order))]);
    world
        .open(&world.program("p", &order, 10))
        .expect_outcome("already-credited");
}

#[test]
fn a_clock_set_back_brings_no_expired_order_to_life_and_the_person_can_say_so() {
    let world = World::trusting();
    let mut order = world.order();
    // By this computer's clock the order is over within the tolerance; the issuer has signed a
    // time almost a day ahead, by which it is over beyond it.
    order.created = world.now - 3 * DAY_S;
    order.expires = world.now - 3_600;
    let file = world.program("p", &order, 10);
    world.withdraw(Some(&world.status(world.now + DAY_S - 60, &[])));
    world.script([]);
    world.open(&file).expect(4, "E_TIME");
    let shown = world.run(&["trust", "show", ISSUER]);
    shown.expect_outcome("done");
    assert!(shown.document["latest_signed_time"].is_string());
    world
        .run(&["trust", "reset-time", ISSUER])
        .expect_outcome("done");
    let shown = world.run(&["trust", "show", ISSUER]);
    assert_eq!(
        shown.document["latest_signed_time"],
        serde_json::Value::Null
    );
    world.withdraw(Some(&world.status(world.now, &[])));
    world.script([Answer::receipt(&world.receipt(&order))]);
    world.open(&file).expect_outcome("already-credited");
}

#[test]
fn an_issuer_is_shown_and_removed_by_its_name() {
    let world = World::trusting();
    let shown = world.run(&["trust", "show", ISSUER]);
    shown.expect_outcome("done");
    assert_eq!(shown.document["keys"][2]["purpose"], "status");
    let order = world.order();
    let file = world.program("p", &order, 10);
    world.script([Answer::receipt(&world.receipt(&order))]);
    world.open(&file).expect_outcome("already-credited");
    world
        .run(&["trust", "remove", ISSUER])
        .expect_outcome("removed");
    assert!(!told(&world).exists());
    world.open(&file).expect(5, "E_ISSUER_UNTRUSTED");
    for name in [ISSUER, "../journal", "other.example.org"] {
        world
            .run(&["trust", "show", name])
            .expect(5, "E_NOT_TRUSTED");
        world
            .run(&["trust", "remove", name])
            .expect(5, "E_NOT_TRUSTED");
    }
    // The receipt is the person's own and stays.
    let listed = world.run(&["receipt"]).document;
    assert_eq!(listed["receipts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_new_root_counts_as_far_as_the_trusted_one_has_named_it() {
    // What the issuer serves, and of which root its list of keys is then.
    let good: [(&[(u8, u8)], u8); 3] = [
        (&[(1, 2)], 2),
        (&[(1, 2), (2, 3)], 3),
        (&[(7, 1), (1, 2)], 2),
    ];
    for (roots, root) in good {
        let world = World::trusting();
        world.succeed(Some(roots));
        world.publish(&world.descriptor(root));
        let add = ["trust", "add", "--dev", &world.base, "--yes"];
        let added = world.run(&add);
        added.expect_outcome("trusted");
        assert_eq!(added.document["basis"], "succession");
        assert!(added.talk.contains("new root key"), "{}", added.talk);
        let shown = world.run(&["trust", "show", ISSUER]).document;
        let links = roots.iter().filter(|(from, _)| *from != 7).count();
        assert_eq!(shown["former_roots"].as_array().unwrap().len(), links);
        assert_eq!(world.run(&add).document["basis"], "known root");
        // No way back: what was given up may be in other hands.
        world.succeed(Some(&[(root, 1)]));
        world.publish(&world.descriptor(1));
        world.run(&add).expect(5, "E_ROOT_CHANGED");
    }
    let world = World::trusting();
    let add = ["trust", "add", "--dev", &world.base, "--yes"];
    world.publish(&world.descriptor(2));
    let bad: [Option<&[(u8, u8)]>; 6] = [
        None,
        Some(&[]),
        Some(&[(1, 3)]),
        Some(&[(3, 2)]),
        Some(&[(1, 2), (2, 1)]),
        Some(&[(2, 1)]),
    ];
    for roots in bad {
        world.succeed(roots);
        world.run(&add).expect(5, "E_ROOT_CHANGED");
    }
}

#[test]
fn another_root_is_taken_only_after_the_old_trust_was_removed() {
    let world = World::trusting();
    world.publish(&world.descriptor(2));
    let add = ["trust", "add", "--dev", &world.base, "--yes"];
    world.run(&add).expect(5, "E_ROOT_CHANGED");
    world
        .run(&["trust", "remove", ISSUER])
        .expect_outcome("removed");
    world.run(&add).expect_outcome("trusted");
}
