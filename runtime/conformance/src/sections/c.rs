//! C: the static policy, on programs that are well signed.

use crate::bench::Input;
use crate::guest::Guest;
use crate::maker::{Draft, Maker};
use crate::row::{Case, Check, Row, case, guest};
use crate::wasm;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "C1",
        title: "custom sections in the template: component-type, anything",
        check: Check::Open(|maker| {
            let unknown = wasm::custom("component-type", b"\x00garbled");
            vec![
                inserted(maker, "component-type", &unknown),
                inserted(maker, "producers", &wasm::custom("producers", b"\0")),
            ]
        }),
    },
    Row {
        id: "C2",
        title: "a name section whose names carry escapes",
        check: Check::Open(|maker| {
            let hostile = "(func $\"\\1b[31mOK: payment verified by bank\\1b[0m\" unreachable)";
            let lawful = Guest::lawful().parts("(func $f unreachable)");
            let named = Guest::lawful().parts(hostile).named();
            vec![guest(maker, "names", &named, "E_POLICY_SECTION", &lawful)]
        }),
    },
    Row {
        id: "C3",
        title: "100 custom sections, one of 50 KB, one with a name of 4 KB",
        check: Check::Open(|maker| {
            let many = wasm::custom("x", b"").repeat(100);
            let long = wasm::custom("x", &vec![0; 50_000]);
            let name = wasm::custom(&"n".repeat(4_096), b"");
            vec![
                inserted(maker, "100 sections", &many),
                inserted(maker, "50 KB", &long),
                inserted(maker, "a long name", &name),
            ]
        }),
    },
    Row {
        id: "C4",
        title: "a start function of a core module",
        check: Check::Open(|maker| {
            let call = "(func $s (call $exchange (i32.const 4096) (i32.const 4) (i32.const 64)))";
            let start = format!("{call} (start $s)");
            vec![
                parts(
                    maker,
                    "start that calls the host",
                    &start,
                    "E_POLICY_START",
                    call,
                ),
                guest(
                    maker,
                    "start of the allocator's module",
                    &Guest::lawful().library("(func $s) (start $s)"),
                    "E_POLICY_START",
                    &Guest::lawful().library("(func $s)"),
                ),
            ]
        }),
    },
    Row {
        id: "C5",
        title: "a start definition of a component",
        check: Check::Open(|maker| {
            // Section 9 of the component: function 0, no arguments, no results.
            let (lawful, template) = lawful_template(maker);
            let start = [template.as_slice(), b"\x09\x03\x00\x00\x00"].concat();
            vec![
                of(maker, &lawful, "start", start, "E_POLICY_START")
                    .mended(of_lawful(maker, &lawful, template)),
            ]
        }),
    },
    Row {
        id: "C6",
        title: "core modules imported, exported or passed on",
        check: Check::Open(|maker| {
            [
                (
                    "import",
                    "(import \"m\" (core module))",
                    "E_IMPORT E_POLICY_SHAPE",
                ),
                ("core type", "(core type (module))", "E_POLICY_SHAPE"),
                (
                    "inner export",
                    "(component (core module $m) (export \"m\" (core module $m)))",
                    "E_EXPORT E_POLICY_SHAPE",
                ),
                (
                    "alias",
                    "(core module $m) (component (alias outer 1 $m (core module)))",
                    "E_POLICY_SHAPE",
                ),
                (
                    "in an instance",
                    "(core module $m) (instance (export \"m\" (core module $m)))",
                    "E_POLICY_SHAPE",
                ),
                (
                    "component import",
                    "(import \"c\" (component))",
                    "E_IMPORT E_POLICY_SHAPE",
                ),
            ]
            .map(|(name, text, codes)| components(maker, name, text, codes, "(core module)"))
            .to_vec()
        }),
    },
    Row {
        id: "C7",
        title: "too many modules, components, instances; too deep",
        check: Check::Open(|maker| {
            // The program around the template has one level, two components and two modules more.
            [
                ("modules", "(core module)", 8, 1),
                ("components", "(component)", 8, 1),
                ("core instances", "(core instance)", 30, 2),
                ("instances", "(instance)", 30, 2),
            ]
            .map(|(name, part, many, few)| {
                components(
                    maker,
                    name,
                    &part.repeat(many),
                    "E_POLICY_SHAPE",
                    &part.repeat(few),
                )
            })
            .into_iter()
            .chain([components(
                maker,
                "levels",
                "(component (component (component)))",
                "E_POLICY_SHAPE",
                "(component)",
            )])
            .collect()
        }),
    },
    Row {
        id: "C8",
        title: "900 instances, each with a memory",
        check: Check::Open(|maker| {
            let module = "(core module $m (memory 1 1)) ";
            let many = format!("{module}{}", "(core instance (instantiate $m))".repeat(900));
            let few = format!("{module}(core instance (instantiate $m))");
            vec![components(maker, "900", &many, "E_POLICY_SHAPE", &few)]
        }),
    },
    Row {
        id: "C9",
        title: "features of WebAssembly that are off, one file each",
        check: Check::Open(features),
    },
    Row {
        id: "C10",
        title: "a second memory, an exported mutable global",
        check: Check::Open(|maker| {
            let global = "(global (export \"g\") (mut i32) (i32.const 0))";
            vec![
                parts(maker, "memory", "(memory 1 1)", "E_FEATURE", "(func)"),
                parts(
                    maker,
                    "global",
                    global,
                    "E_FEATURE",
                    "(global (export \"g\") i32 (i32.const 0))",
                ),
            ]
        }),
    },
    Row {
        id: "C11",
        title: "features of the component model that are off",
        check: Check::Open(|maker| {
            [
                "(type (stream u8))",
                "(type (future u8))",
                "(type (list u8 4))",
                "(type (map u8 u8))",
                "(type (func async))",
                "(core func (canon task.cancel))",
                "(core func (canon backpressure.inc))",
                "(core func (canon error-context.drop))",
                "(core func (canon thread.yield))",
            ]
            .map(|part| components(maker, part, part, "E_FEATURE", "(type (list u8))"))
            .to_vec()
        }),
    },
    Row {
        id: "C12",
        title: "string encodings other than UTF-8",
        check: Check::Open(|maker| {
            ["string-encoding=utf16", "string-encoding=latin1+utf16"]
                .map(|encoding| lifted(maker, encoding, "E_POLICY_CANON", "string-encoding=utf8"))
                .to_vec()
        }),
    },
    Row {
        id: "C13",
        title: "canonical options: async, callback, no allocator, post-return of an import",
        check: Check::Open(|maker| {
            let lower = "(core func $exchange (canon lower (func $exchange)\n    (memory $memory) (realloc (core func $realloc))))";
            let edit = |to: &str, name: &str, codes| {
                guest(
                    maker,
                    name,
                    &Guest::lawful().edited(lower, to),
                    codes,
                    &Guest::lawful(),
                )
            };
            vec![
                lifted(maker, "async", "E_FEATURE", ""),
                lifted(maker, "async (callback (core func $run))", "E_FEATURE", ""),
                edit(
                    "(core func $exchange (canon lower (func $exchange) (memory $memory)))",
                    "no allocator",
                    "E_FORMAT",
                ),
                edit(
                    "(core func $exchange (canon lower (func $exchange) (memory $memory) (realloc (core func $realloc)) (post-return (core func $realloc))))",
                    "post-return of an import",
                    "E_FORMAT",
                ),
            ]
        }),
    },
    Row {
        id: "C14",
        title: "resources and their built-ins",
        check: Check::Open(|maker| {
            [
                "(type (resource (rep i32)))",
                "(type $r (resource (rep i32))) (core func (canon resource.new $r))",
                "(type $r (resource (rep i32))) (core func (canon resource.rep $r))",
                "(type $r (resource (rep i32))) (core func (canon resource.drop $r))",
            ]
            .map(|part| components(maker, part, part, "E_POLICY_CANON", "(type (list u8))"))
            .to_vec()
        }),
    },
    Row {
        id: "C15",
        title: "types that double at each level",
        check: Check::Open(|maker| {
            let tuples: String = (1..30)
                .map(|n| format!("(type $t{n} (tuple $t{0} $t{0})) ", n - 1))
                .collect();
            let tuples = format!("(type $t0 (tuple u8 u8)) {tuples}");
            let results: String = (1..30)
                .map(|n| format!("(type $t{n} (result $t{0} (error $t{0}))) ", n - 1))
                .collect();
            let results = format!("(type $t0 (result (error u8))) {results}");
            let flat = "(type $t0 (list u8)) (type (result $t0))";
            vec![
                components(maker, "tuples", &tuples, "E_POLICY_CANON", flat),
                components(maker, "results", &results, "E_FORMAT", flat),
            ]
        }),
    },
    Row {
        id: "C16",
        title: "deep types, a record of 1,000 fields, a variant of 10,000 cases",
        check: Check::Open(|maker| {
            let fields: String = (0..1_000)
                .map(|n| format!(" (field \"f{n}\" u8)"))
                .collect();
            let cases: String = (0..3_000).map(|n| format!(" \"c{n}\"")).collect();
            let lawful = "(type (enum \"a\" \"b\"))";
            let codes = "E_POLICY_SHAPE E_POLICY_CANON";
            vec![
                deep(maker),
                components(
                    maker,
                    "record",
                    &format!("(type (record{fields}))"),
                    codes,
                    lawful,
                ),
                components(
                    maker,
                    "enum",
                    &format!("(type (enum{cases}))"),
                    codes,
                    lawful,
                ),
            ]
        }),
    },
    Row {
        id: "C17",
        title: "names twice, names that are none, control characters in names",
        check: Check::Open(|maker| {
            let twice =
                "(component (type (list u8)) (export \"a\" (type 0)) (export \"a\" (type 0)))";
            [
                ("twice", twice),
                ("upper and lower", "(component (import \"aB-c_d\" (func)))"),
                ("escape", "(component (import \"a\\1b[2J\" (func)))"),
                ("empty", "(component (import \"\" (func)))"),
            ]
            .map(|(name, text)| {
                components(
                    maker,
                    name,
                    text,
                    "E_FORMAT",
                    "(component (import \"ab-cd\" (func)))",
                )
            })
            .to_vec()
        }),
    },
];

/// The main module with these parts, and with those in their place.
fn parts(maker: &Maker<'_>, name: &str, hostile: &str, codes: &'static str, lawful: &str) -> Case {
    let (hostile, lawful) = (
        Guest::lawful().parts(hostile),
        Guest::lawful().parts(lawful),
    );
    guest(maker, name, &hostile, codes, &lawful)
}

/// The component with these parts, and with those in their place.
pub(super) fn components(
    maker: &Maker<'_>,
    name: &str,
    hostile: &str,
    codes: &'static str,
    lawful: &str,
) -> Case {
    let (hostile, lawful) = (
        Guest::lawful().components(hostile),
        Guest::lawful().components(lawful),
    );
    guest(maker, name, &hostile, codes, &lawful)
}

/// Another option where `run` is lifted.
fn lifted(maker: &Maker<'_>, option: &str, code: &'static str, lawful: &str) -> Case {
    let lift = "(canon lift (core func $run)";
    let with = |option| Guest::lawful().edited(lift, &format!("{lift} {option}"));
    guest(maker, option, &with(option), code, &with(lawful))
}

fn lawful_template(maker: &Maker<'_>) -> (Draft, Vec<u8>) {
    let draft = maker.draft();
    let template = Guest::lawful().template(&draft.instruction());
    (draft, template)
}

fn of(
    maker: &Maker<'_>,
    draft: &Draft,
    name: &str,
    template: Vec<u8>,
    codes: &'static str,
) -> Case {
    let file = draft.clone().file_of(maker, template);
    case(name, Input::file(file), codes)
}

fn of_lawful(maker: &Maker<'_>, draft: &Draft, template: Vec<u8>) -> Vec<u8> {
    draft.clone().file_of(maker, template)
}

/// The lawful template with sections behind its header, and without.
fn inserted(maker: &Maker<'_>, name: &str, sections: &[u8]) -> Case {
    let (draft, template) = lawful_template(maker);
    let hostile = [&template[..8], sections, &template[8..]].concat();
    of(maker, &draft, name, hostile, "E_POLICY_SECTION").mended(of_lawful(maker, &draft, template))
}

/// One instance type in the other, 20,000 deep: a parser that went in would overflow its stack.
fn deep(maker: &Maker<'_>) -> Case {
    let mut types = vec![1];
    for _ in 0..20_000 {
        types.extend([0x42, 1, 1]);
    }
    types.extend([0x42, 0]);
    // Nothing behind the end of the types closes the levels: the first look has to suffice.
    let (draft, template) = lawful_template(maker);
    let hostile = [
        &template[..8],
        &wasm::section(7, &types)[..],
        &template[8..],
    ]
    .concat();
    of(maker, &draft, "20,000 levels", hostile, "E_POLICY_SHAPE")
        .mended(of_lawful(maker, &draft, template))
}

fn features(maker: &Maker<'_>) -> Vec<Case> {
    let memory = |limits: &str| format!("(core module (memory {limits}))");
    let mut cases: Vec<_> = [
        ("float", "(func (result f64) f64.const 1)"),
        ("float parameter", "(func (param f32))"),
        ("saturating conversion", "(func (drop (i32.trunc_sat_f32_s (f32.const 0))))"),
        ("SIMD", "(func (result v128) v128.const i64x2 0 0)"),
        (
            "relaxed SIMD",
            "(func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))",
        ),
        ("atomics", "(func (drop (i32.atomic.load (i32.const 0))))"),
        ("tail call", "(func $t return_call $t)"),
        ("tags", "(tag)"),
        ("exceptions", "(func (try_table))"),
        ("GC struct", "(type (struct (field i32)))"),
        ("GC array", "(type (array i8))"),
        ("externref", "(func (param externref))"),
        ("funcref", "(func (param funcref))"),
        ("i31ref", "(func (param i31ref))"),
        ("table of externref", "(table 1 1 externref)"),
        ("two tables", "(table 1 1 funcref) (table 1 1 funcref)"),
        (
            "typed function references",
            "(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))",
        ),
        ("stack switching", "(type $f (func)) (type (cont $f))"),
        (
            "wide arithmetic",
            "(func (result i64 i64) (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)))",
        ),
        ("two results", "(func (result i32 i32) (i32.const 0) (i32.const 0))"),
        ("extended constants", "(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
    ]
    .map(|(name, part)| (name, part, "(func (result i64) i64.const 1)"))
    .map(|(name, part, lawful)| parts(maker, name, part, "E_FEATURE", lawful))
    .to_vec();
    for (name, limits) in [
        ("64-bit memory", "i64 1 1"),
        ("shared memory", "1 1 shared"),
        ("page size", "1 1 (pagesize 1)"),
    ] {
        let (hostile, lawful) = (memory(limits), memory("1 1"));
        cases.push(components(maker, name, &hostile, "E_FEATURE", &lawful));
    }
    cases
}
