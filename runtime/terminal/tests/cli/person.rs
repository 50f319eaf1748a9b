//! Consent at a terminal window: a pseudo terminal with somebody behind it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use wire::exchange::Refusal;

use crate::world::{Answer, World};

/// Opens the world's program at a terminal window, answers the question, and returns the exit
/// status and everything that was shown.
fn answer(world: &World, typed: &str) -> (i32, String) {
    let file = world.program("p", &world.order(), 10);
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let window = || rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let reader = format!("emulated:{}", world.dir.path().join("card").display());
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("tegata"))
        .args([
            "open",
            file.to_str().unwrap(),
            "--reader",
            &reader,
            "--lang",
            "en",
        ])
        .args(["--state", world.state().to_str().unwrap()])
        .stdin(window())
        .stderr(window())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut master = File::from(master);
    let mut shown = String::new();
    let mut buffer = [0; 1024];
    let mut asked = false;
    // The read fails once the last window end is closed: the program has ended.
    while let Ok(len) = master.read(&mut buffer) {
        shown.push_str(&String::from_utf8_lossy(&buffer[..len]));
        if shown.contains("[y/N] ") && !asked {
            asked = true;
            master.write_all(typed.as_bytes()).unwrap();
        }
    }
    assert!(asked, "{shown}");
    (child.wait().unwrap().code().unwrap(), shown)
}

#[test]
fn the_empty_line_and_everything_but_yes_declines() {
    for typed in ["\n", "n\n", "maybe\n", "\u{4}"] {
        let world = World::trusting();
        let (exit, shown) = answer(&world, typed);
        assert_eq!(exit, 3, "{typed:?}: {shown}");
        assert!(shown.contains("code E_DECLINED"), "{shown}");
        assert!(world.requests().is_empty());
    }
}

#[test]
fn yes_runs_the_program() {
    for typed in ["y\n", "yes\n", "はい\n"] {
        let world = World::trusting();
        world.script([Answer::refusal(Refusal::CardFull)]);
        let (exit, shown) = answer(&world, typed);
        assert_eq!(exit, 8, "{typed:?}: {shown}");
        assert!(shown.contains("Amount: JPY 2,500"), "{shown}");
        assert_eq!(world.requests().len(), 1);
    }
}
