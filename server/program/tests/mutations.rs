//! Every truncation and every flipped bit of a valid file is refused, by a code and not a panic.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use std::collections::BTreeSet;
use std::thread;

use common::{code_of, echo, file, remittance};
use program::BODY_OFFSET;

/// The codes with which `changed` copies of a file are refused, found by all cores.
fn codes(count: usize, changed: impl Fn(usize) -> Vec<u8> + Sync) -> BTreeSet<&'static str> {
    let threads = thread::available_parallelism().unwrap().get();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                let changed = &changed;
                scope.spawn(move || {
                    let mine = (first..count).step_by(threads);
                    mine.map(|index| code_of(&changed(index)))
                        .collect::<BTreeSet<_>>()
                })
            })
            .collect();
        let found = workers.into_iter().map(|worker| worker.join().unwrap());
        found.flatten().collect()
    })
}

#[test]
fn every_truncation_of_a_file_is_refused() {
    for template in [echo(), remittance()] {
        let file = file(&template);
        let of_len = |len: usize| file[..len].to_vec();
        assert_eq!(codes(8, of_len), BTreeSet::from(["E_FORMAT"]));
        let in_section = codes(BODY_OFFSET - 8, |index| of_len(8 + index));
        assert_eq!(in_section, BTreeSet::from(["E_SIG_FORM"]));
        let in_body = codes(file.len() - BODY_OFFSET, |index| {
            of_len(BODY_OFFSET + index)
        });
        assert_eq!(in_body, BTreeSet::from(["E_SIG"]));
    }
}

#[test]
fn every_flipped_bit_of_a_file_is_refused() {
    for template in [echo(), remittance()] {
        let file = file(&template);
        let flipped = |bit: usize| {
            let mut file = file.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            file
        };
        let before_body = codes(BODY_OFFSET * 8, flipped);
        let expected = ["E_FORMAT", "E_KEY_UNKNOWN", "E_SIG", "E_SIG_FORM"];
        assert_eq!(before_body, BTreeSet::from(expected));
        let in_body = codes((file.len() - BODY_OFFSET) * 8, |bit| {
            flipped(BODY_OFFSET * 8 + bit)
        });
        assert_eq!(in_body, BTreeSet::from(["E_SIG"]));
    }
}
