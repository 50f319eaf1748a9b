//! Would the simulation notice? Each of these defects is switched on, and must be found.

use planted::{Bug, plant};
use simulation::{Base, run};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

/// Within so many histories each of them must be found.
const SEEDS: u64 = 5_000;

/// The first seed whose history shows the defect.
fn found(base: &Base, bug: Bug) -> Option<(u64, String)> {
    plant(Some(bug));
    let found = (0..SEEDS).find_map(|seed| Some((seed, run(base, seed, false).broken?)));
    plant(None);
    found
}

#[test]
fn each_planted_bug_is_found() {
    let base = Base::new().expect("keys and cards");
    assert!(Bug::ALL.len() >= 20);
    let threads = std::thread::available_parallelism().expect("cores").get();
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match found(&base, *bug) {
                        Some((seed, broken)) => {
                            let broken: String = broken.chars().take(110).collect();
                            println!("{bug:?}: seed {seed}: {broken}");
                        }
                        None => missed.lock().expect("no search panics").push(*bug),
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().expect("no search panics");
    assert_eq!(missed, [], "not found in {SEEDS} histories");
}

/// What ships has no defect to switch on: no dependency line asks for the feature, for whatever is built
/// beside it would have it too; none has it by default; a release with it does not even compile.
#[test]
fn no_crate_asks_for_planted_bugs_unbidden() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("the workspace");
    let mut users = 0;
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            if dependency.name != "planted" {
                continue;
            }
            users += 1;
            assert!(
                dependency.features.is_empty(),
                "{} asks for {:?}",
                package.name,
                dependency.features
            );
        }
        let named = |features: &Vec<String>| features.iter().any(|f| f.contains("planted-bugs"));
        if ["planted", "simulation"].contains(&package.name.as_str()) {
            let default = package.features.contains_key("default");
            assert!(!default, "{} switches features on by default", package.name);
        } else {
            let asks = package.features.values().any(named);
            assert!(!asks, "{} can switch planted bugs on", package.name);
        }
    }
    assert!(users >= 5, "the walk saw the users: {users}");
    let planted = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "planted")
        .expect("the crate");
    let source = std::fs::read_to_string(planted.manifest_path.with_file_name("src/lib.rs"));
    let guard = "#[cfg(all(feature = \"planted-bugs\", not(debug_assertions)))]\ncompile_error!";
    assert!(source.expect("its source").contains(guard));
}
