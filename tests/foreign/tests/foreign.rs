//! Every fuzz target's body on its seeds and on changes to them, with every `make test`.

use foreign::TARGETS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// Changed inputs per target: some seconds for all of them together.
const CASES: u32 = 256;

/// One change to an input.
#[derive(Debug, Clone)]
enum Change {
    /// This place gets this byte.
    Set(Index, u8),
    /// Everything from this place on is gone.
    Cut(Index),
    /// These bytes are put in at this place.
    Insert(Index, Vec<u8>),
    /// What stands between these places is gone.
    Remove(Index, Index),
    /// What stands between these places stands there twice.
    Repeat(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(place, byte)| Change::Set(place, byte)),
        1 => place().prop_map(Change::Cut),
        2 => (place(), vec(any::<u8>(), 1..9)).prop_map(|(place, bytes)| Change::Insert(place, bytes)),
        1 => (place(), place()).prop_map(|(from, to)| Change::Remove(from, to)),
        1 => (place(), place()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let len = bytes.len();
        let at = |place: &Index| place.index(len + 1);
        let between = |from: &Index, to: &Index| at(from).min(at(to))..at(from).max(at(to));
        match change {
            Change::Set(_, _) if len == 0 => {}
            Change::Set(place, byte) => bytes[place.index(len)] = *byte,
            Change::Cut(place) => bytes.truncate(at(place)),
            Change::Insert(place, new) => {
                let place = at(place);
                bytes.splice(place..place, new.iter().copied());
            }
            Change::Remove(from, to) => {
                bytes.drain(between(from, to));
            }
            Change::Repeat(from, to) => {
                let part = bytes[between(from, to)].to_vec();
                let end = between(from, to).end;
                bytes.splice(end..end, part);
            }
        }
    }
    bytes
}

#[test]
fn every_seed_and_what_is_near_it_keeps_every_promise() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for seed in &seeds {
            (target.body)(seed);
        }
        let mut runner = TestRunner::new(Config::with_cases(CASES));
        let input = (prop::sample::select(seeds), vec(change(), 0..6));
        let result = runner.run(&input, |(seed, changes)| {
            (target.body)(&changed(seed, &changes));
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{}: {error}", target.name));
    }
}

#[test]
fn every_target_has_its_fuzzer_and_every_fuzzer_its_target() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz");
    let manifest = std::fs::read_to_string(format!("{folder}/Cargo.toml")).expect("the manifest");
    for target in TARGETS {
        let name = target.name;
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let path = format!("{folder}/targets/{name}.rs");
        let text = std::fs::read_to_string(&path).expect("the fuzzer");
        assert!(
            text.contains(&format!("foreign::body(\"{name}\")")),
            "{path}"
        );
    }
    let files = std::fs::read_dir(format!("{folder}/targets")).expect("the fuzzers");
    assert_eq!(files.count(), TARGETS.len());
}
