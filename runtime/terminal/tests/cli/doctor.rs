//! `tegata doctor`, and what a required wall does to `open`.

use crate::world::World;

#[test]
fn doctor_says_of_each_wall_whether_it_stands_here() {
    let world = World::trusting();
    let report = world.run(&["doctor"]);
    report.expect_outcome("done");
    let walls = report.document["walls"].as_array().unwrap();
    assert_eq!(walls.len(), sandbox::walls::Wall::ALL.len());
    assert!(
        walls
            .iter()
            .all(|wall| !wall["tried"].as_array().unwrap().is_empty())
    );
    assert_eq!(report.document["runs"], true);
    assert_eq!(report.document["walls_rule"], "accept");
    let missing = walls.iter().filter(|wall| wall["stands"] == false).count();

    // Landlock alone is younger than the systems that this runs on.
    let required = world.run(&["doctor", "--walls", "require"]);
    if missing == 0 {
        required.expect_outcome("done");
    } else {
        required.expect(1, "E_WALLS");
    }
    let issuer = &report.document["issuers"][0];
    assert_eq!(issuer["issuer"], crate::world::ISSUER);
    let limits = report.document["limits"].as_array().unwrap();
    assert_eq!(limits.len(), sandbox::limits::TABLE.len());
}

#[test]
fn the_runner_is_no_command_of_people() {
    let world = World::new();
    let help = assert_cmd::Command::cargo_bin("tegata")
        .unwrap()
        .arg("--help")
        .assert()
        .success();
    assert!(!String::from_utf8_lossy(&help.get_output().stdout).contains("runner"));
    // A terminal that is gone: no frame, and the process ends.
    let runner = assert_cmd::Command::cargo_bin("tegata")
        .unwrap()
        .arg("runner")
        .write_stdin("")
        .assert()
        .failure();
    let walls_frame = 7;
    assert_eq!(runner.get_output().stdout.len(), walls_frame);
    drop(world);
}
