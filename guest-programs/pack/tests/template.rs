//! What the committed remittance template is made of.

use wasm_encoder::{Module, NameMap, NameSection};
use wasmparser::{
    ComponentExternalKind, ComponentTypeRef, FunctionBody, Operator, Parser, Payload, Validator,
    WasmFeatures,
};

const TEMPLATE: &[u8] = include_bytes!("../../prebuilt/remittance.wasm");

/// The budget of a mailed program is 12,288 bytes; an order of 256 bytes with everything around
/// it takes about 900 of them.
const LEN_MAX: usize = 11 << 10;

fn payloads() -> impl Iterator<Item = Payload<'static>> {
    Parser::new(0)
        .parse_all(TEMPLATE)
        .map(|payload| payload.expect("well-formed"))
}

fn bodies() -> impl Iterator<Item = FunctionBody<'static>> {
    payloads().filter_map(|payload| match payload {
        Payload::CodeSectionEntry(body) => Some(body),
        _ => None,
    })
}

#[test]
fn it_leaves_room_for_an_order_in_a_mailed_program() {
    println!("template: {} bytes", TEMPLATE.len());
    assert!(TEMPLATE.len() <= LEN_MAX, "{} bytes", TEMPLATE.len());
}

#[test]
fn it_holds_no_text_of_a_panic_and_no_path() {
    let telltales = [
        "panicked",
        "src/",
        ".rs",
        "called `",
        "capacity overflow",
        "core::",
        "rustc",
        "index out",
        "out of range",
        "attempt to",
        "assertion",
        "unwrap",
        "/home",
        "/root",
        "memory allocation",
    ];
    for telltale in telltales {
        let found = TEMPLATE
            .windows(telltale.len())
            .any(|bytes| bytes == telltale.as_bytes());
        assert!(!found, "{telltale:?}");
    }
}

#[test]
fn it_has_no_custom_section_at_any_depth() {
    assert!(!payloads().any(|payload| matches!(payload, Payload::CustomSection(_))));
}

#[test]
fn it_imports_three_interfaces_and_exports_one() {
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0);
    for payload in payloads() {
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let import = import.expect("well-formed");
                    assert!(matches!(import.ty, ComponentTypeRef::Instance(_)));
                    imports.push(import.name.name);
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export.expect("well-formed");
                    assert_eq!(export.kind, ComponentExternalKind::Instance);
                    exports.push(export.name.name);
                }
            }
            _ => {}
        }
    }
    imports.sort_unstable();
    let expected = [
        "tegata:terminal/network@0.1.0",
        "tegata:terminal/order@0.1.0",
        "tegata:terminal/reader@0.1.0",
    ];
    assert_eq!(imports, expected);
    assert_eq!(exports, ["tegata:terminal/program@0.1.0"]);
}

#[test]
fn nothing_runs_before_run_is_called() {
    assert!(!payloads().any(|payload| matches!(
        payload,
        Payload::StartSection { .. } | Payload::ComponentStartSection { .. }
    )));
}

#[test]
fn it_needs_no_floats_and_little_else_of_an_engine() {
    let features = WasmFeatures::COMPONENT_MODEL
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::CALL_INDIRECT_OVERLONG;
    Validator::new_with_features(features)
        .validate_all(TEMPLATE)
        .expect("valid without the rest");
    assert!(!features.contains(WasmFeatures::FLOATS));
}

#[test]
fn its_one_memory_has_a_small_maximum_and_never_grows() {
    let memories: Vec<_> = payloads()
        .filter_map(|payload| match payload {
            Payload::MemorySection(section) => Some(section),
            _ => None,
        })
        .flatten()
        .map(|memory| memory.expect("well-formed"))
        .collect();
    assert_eq!(memories.len(), 1);
    assert_eq!((memories[0].initial, memories[0].maximum), (2, Some(2)));
}

/// Price of a function before compile: locals times branches, loops four times.
fn cost(locals: u32, body: &FunctionBody<'_>) -> u32 {
    let mut branches = 1;
    for operator in body.get_operators_reader().expect("well-formed") {
        branches += match operator.expect("well-formed") {
            Operator::Block { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::BrIf { .. } => 1,
            Operator::Loop { .. } => 4,
            Operator::BrTable { targets } => targets.len(),
            _ => 0,
        };
    }
    (locals + 4) * branches
}

#[test]
fn it_stays_far_within_what_admission_allows() {
    let (mut functions, mut locals_total, mut cost_total) = (0, 0, 0);
    for body in bodies() {
        let locals = body.get_locals_reader().expect("well-formed").into_iter();
        let locals: u32 = locals.map(|group| group.expect("well-formed").0).sum();
        assert!(locals <= 64, "{locals} locals in one function");
        assert!(
            body.range().len() <= 16 << 10,
            "a body of {} bytes",
            body.range().len()
        );
        functions += 1;
        locals_total += locals;
        cost_total += cost(locals, &body);
    }
    println!("functions: {functions}, locals: {locals_total}, cost score: {cost_total}");
    assert!(functions <= 256);
    assert!(locals_total <= 2_000);
    assert!(
        cost_total <= 20_000 / 2,
        "half is kept for templates to come: {cost_total}"
    );
}

fn module_with_function_named(name: &str) -> Vec<u8> {
    let mut functions = NameMap::new();
    functions.append(0, name);
    let mut names = NameSection::new();
    names.functions(&functions);
    Module::new().section(&names).clone().finish()
}

#[test]
fn a_guest_that_formats_text_is_not_packed() {
    for name in [
        "core::fmt::write::h0123456789abcdef",
        "_RNvNtCs1_4core3fmt5write",
    ] {
        let refused = pack::template(&module_with_function_named(name)).expect_err("refused");
        assert!(refused.to_string().contains("formats text"), "{refused}");
    }
}

#[test]
fn a_guest_without_names_is_not_packed() {
    let refused = pack::template(&Module::new().finish()).expect_err("refused");
    assert!(refused.to_string().contains("no names"), "{refused}");
}
