//! O2: lawful files with bytes changed, added and taken out, signed again: so the change reaches
//! the stages behind the signature.

use proptest::prelude::*;

use super::{NOW, Range};
use crate::guest::Guest;
use crate::maker::{body, signed_again};
use crate::ride::{self, Script};

/// One change: what, where (as a share of the length), with which byte.
#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let place = any::<prop::sample::Index>;
    let change = prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => (place(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        1 => place().prop_map(Change::Remove),
    ];
    prop::collection::vec(change, 1..4)
}

fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in changes {
        match change {
            Change::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Change::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Change::Remove(at) => {
                bytes.remove(at.index(bytes.len()));
            }
        }
    }
    bytes
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(600))]

    /// The body is rebuilt and compared: of a changed one only another lawful order is left.
    #[test]
    fn a_changed_body_signed_again_is_refused_or_is_another_order(changes in changes()) {
        let range = Range::new();
        let whole = range.maker().lawful();
        let changed = changed(body(&whole), &changes);
        match ride::verified(NOW, signed_again(&changed)) {
            Ok(program) => prop_assert_eq!(
                program::body(
                    &program::Template::new(program.template_bytes().to_vec()).expect("headed"),
                    program.order_bytes()
                ),
                changed
            ),
            Err(code) => prop_assert!(
                ["E_MANIFEST", "E_ORDER_FORM", "E_VERSION", "E_ISSUER"].contains(&code),
                "{}", code
            ),
        }
    }
}

proptest! {
    #![proptest_config(config(150))]

    /// A changed template is a template like any other: it is admitted or not, and if so, run.
    #[test]
    fn a_changed_template_is_refused_or_runs_to_a_known_end(changes in changes()) {
        let range = Range::new();
        let maker = range.maker();
        let draft = maker.draft();
        let template = Guest::lawful().template(&draft.instruction());
        let (header, rest) = template.split_at(8);
        let changed = [header, &changed(rest, &changes)].concat();
        let ridden = range.ride(draft.file_of(&maker, changed), Script::plain());
        // Whatever it became, it asked for nothing but what the policy lets through.
        prop_assert!(ridden.script.commands.len() <= sandbox::limits::READER_CALLS_MAX);
        prop_assert!(ridden.script.requests.len() <= sandbox::limits::NETWORK_CALLS_MAX);
    }
}
