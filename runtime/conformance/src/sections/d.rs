//! D: imports, exports, capabilities. A program reaches exactly two functions.

use super::c::components;
use crate::bench::Input;
use crate::guest::{Guest, sends};
use crate::maker::{Maker, body, signed_again};
use crate::ride::Ride;
use crate::row::{Case, Check, Row, case, guest};

const NETWORK: &str = "(import \"tegata:terminal/network@0.1.0\"";
const EXPORT: &str = "(export \"tegata:terminal/program@0.1.0\" (instance $exported))";

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "D1",
        title: "imports of WASI",
        check: Check::Open(|maker| {
            [
                "wasi:cli/environment@0.2.0",
                "wasi:filesystem/types@0.2.0",
                "wasi:sockets/tcp@0.2.0",
            ]
            .map(|name| import(maker, &format!("(import \"{name}\" (instance))")))
            .to_vec()
        }),
    },
    Row {
        id: "D2",
        title: "an import of an empty instance, which an engine links",
        check: Check::Open(|maker| vec![import(maker, "(import \"evil:x/y@1.0.0\" (instance))")]),
    },
    Row {
        id: "D3",
        title: "network under other versions: 0.1.9, build, pre-release, none",
        check: Check::Open(|maker| {
            [
                "network@0.1.9",
                "network@0.1.0+build",
                "network@0.1.0-rc1",
                "network",
                "net@0.1.0",
            ]
            .map(|name| {
                let to = format!("(import \"tegata:terminal/{name}\"");
                edited(maker, name, NETWORK, &to, "E_IMPORT")
            })
            .into_iter()
            .chain([outer(
                maker,
                "the program's own import",
                b"network@0.1.0",
                b"network@0.1.9",
            )])
            .collect()
        }),
    },
    Row {
        id: "D4",
        title: "one function more in a known interface",
        check: Check::Open(|maker| {
            let function = "(export \"exchange\" (func (type $call)))";
            let more = format!("{function} (export \"raw\" (func (type $call)))");
            vec![edited(maker, "function", function, &more, "E_IMPORT_TYPE")]
        }),
    },
    Row {
        id: "D5",
        title: "other parameters, results and enums in a known interface",
        check: Check::Open(|maker| {
            [
                ("parameter's name", "(param \"request\" $bytes)", "(param \"url\" $bytes)", "E_IMPORT_TYPE"),
                (
                    "list of u16",
                    "(type $bytes (list u8))\n    (type $answer (result $bytes (error $error)))\n    (type $call (func (param \"request\"",
                    "(type $bytes (list u16))\n    (type $answer (result $bytes (error $error)))\n    (type $call (func (param \"request\"",
                    "E_POLICY_CANON",
                ),
                (
                    "a case less",
                    "(enum \"offline\" \"denied\" \"limit\" \"timeout\" \"failed\")",
                    "(enum \"offline\" \"denied\" \"limit\" \"timeout\")",
                    "E_IMPORT_TYPE",
                ),
            ]
            .map(|(name, from, to, code)| edited(maker, name, from, to, code))
            .to_vec()
        }),
    },
    Row {
        id: "D6",
        title: "a template that imports the reader only, the network only, or nothing",
        check: Check::Run(subsets),
    },
    Row {
        id: "D7",
        title: "the same interface twice, under another name or annotated",
        check: Check::Open(|maker| {
            [
                "(import \"tegata:terminal/network@0.1.1\" (instance))",
                "(import \"tegata:terminal/network@0.1.0-a\" (instance))",
                "(import \"network\" (instance))",
            ]
            .map(|text| import(maker, text))
            .to_vec()
        }),
    },
    Row {
        id: "D8",
        title: "an interface of types only",
        check: Check::Open(|maker| {
            vec![import(
                maker,
                "(import \"tegata:terminal/types@0.1.0\" (instance (export \"t\" (type (sub resource)))))",
            )]
        }),
    },
    Row {
        id: "D9",
        title: "no program exported, of another type, one export more",
        check: Check::Open(|maker| {
            let twice = format!("{EXPORT} (export \"memory\" (func $run))");
            [
                ("nothing", EXPORT, ""),
                (
                    "another version",
                    EXPORT,
                    "(export \"tegata:terminal/program@0.1.1\" (instance $exported))",
                ),
                ("a function", EXPORT, "(export \"run\" (func $run))"),
                ("one more", EXPORT, &twice),
            ]
            .map(|(name, from, to)| edited(maker, name, from, to, "E_EXPORT"))
            .into_iter()
            .chain([guest(
                maker,
                "another failure enum",
                // Where the template declares it, and where it makes its instance of it.
                &Guest::lawful()
                    .edited("\"protocol\" \"refused\"))", "\"protocol\"))")
                    .edited("\"protocol\" \"refused\"))", "\"protocol\"))"),
                "E_EXPORT",
                &Guest::lawful(),
            )])
            .chain([outer(
                maker,
                "the program's own export",
                b"program@0.1.0",
                b"program@0.1.1",
            )])
            .collect()
        }),
    },
    Row {
        id: "D10",
        title: "what a program asks for is never linked to anything but the two capabilities",
        check: Check::Run(two_effects),
    },
];

fn import(maker: &Maker<'_>, text: &str) -> Case {
    let name = text.split('"').nth(1).unwrap_or_default();
    components(maker, text, text, "E_IMPORT", "(type (list u8))").telling(name)
}

/// The program around the template, which is the same in every file, changed and signed again.
fn outer(maker: &Maker<'_>, name: &str, from: &[u8], to: &[u8]) -> Case {
    let lawful = maker.lawful();
    let mut changed = body(&lawful).to_vec();
    let at = changed
        .windows(from.len())
        .position(|window| window == from);
    let at = at.expect("a name of the interface");
    changed[at..at + to.len()].copy_from_slice(to);
    case(name, Input::file(signed_again(&changed)), "E_MANIFEST").mended(lawful)
}

fn edited(maker: &Maker<'_>, name: &str, from: &str, to: &str, codes: &'static str) -> Case {
    let hostile = Guest::lawful().edited(from, to);
    guest(maker, name, &hostile, codes, &Guest::lawful())
}

/// A template need not use what it may: the program around it imports both all the same.
fn subsets() -> Vec<Ride> {
    let without = |guest: Guest, interface: &str, function: &str| {
        guest
            .edited(
                &format!(
                    "(import \"tegata:terminal/{interface}@0.1.0\" (instance ${interface} (type ${interface})))"
                ),
                "",
            )
            .edited(
                &format!("(alias export ${interface} \"{function}\" (func ${function}))"),
                "",
            )
            .edited(
                &format!(
                    "(core func ${function} (canon lower (func ${function})\n    (memory $memory) (realloc (core func $realloc))))"
                ),
                "",
            )
            .edited(
                &format!("(import \"host\" \"{function}\" (func ${function} (param i32 i32 i32)))"),
                "",
            )
            .edited(&format!("(export \"{function}\" (func ${function}))"), "")
    };
    let done = || {
        Guest::returns(
            "(i32.store (i32.const 20) (i32.const 4096)) (i32.store (i32.const 24) (i32.const 4))
             (i32.const 16)",
        )
    };
    let reader_only = without(done(), "network", "exchange");
    let network_only = without(done(), "reader", "transmit");
    let nothing = without(reader_only.clone(), "reader", "transmit");
    [
        ("reader only", reader_only),
        ("network only", network_only),
        ("nothing", nothing),
    ]
    .map(|(name, guest)| Ride::new(name, guest, "ok"))
    .to_vec()
}

/// A guest that calls each import once: card and issuer see that, and nothing else happens.
fn two_effects() -> Vec<Ride> {
    let uid = [0xFF, 0xCA, 0, 0, 0];
    [("transmit", 1, 0), ("exchange", 0, 1)]
        .map(|(function, commands, requests)| {
            Ride::new(function, sends(function, &uid), "ok").reaching(commands, requests)
        })
        .to_vec()
}
