//! Our wrapper against composition by `wac-graph`, both run by the engine under the settings of
//! the terminal: same imports, same export, same calls, same outcome.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use std::sync::{Arc, Mutex};

use common::{echo, file, order, remittance};
use program::{BODY_OFFSET, NETWORK, PROGRAM, READER, Template};
use wac_graph::{CompositionGraph, EncodeOptions, plug, types::Package};
use wasmparser::{Parser, Payload, Validator};
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Config, Engine, OptLevel, Store, WasmFeatures};

/// The template with its order, joined by wac-graph; the order component is the one of our file.
fn composed_by_wac(template: &Template) -> Vec<u8> {
    let file = file(template);
    let nested: Vec<_> = Parser::new(0)
        .parse_all(&file)
        .filter_map(|payload| match payload.unwrap() {
            Payload::ComponentSection {
                unchecked_range, ..
            } => Some(unchecked_range),
            _ => None,
        })
        .collect();
    let order_component = &file[nested.last().unwrap().clone()];
    let mut graph = CompositionGraph::new();
    let [socket, order] = [
        ("test:template", template.as_bytes()),
        ("test:order", order_component),
    ]
    .map(|(name, bytes)| {
        let package = Package::from_bytes(name, None, bytes, graph.types_mut()).unwrap();
        graph.register_package(package).unwrap()
    });
    plug(&mut graph, vec![order], socket).unwrap();
    graph.encode(EncodeOptions::default()).unwrap()
}

/// The features that a terminal has on. Source: `docs/sandbox.md`, section "Engine".
fn features() -> WasmFeatures {
    WasmFeatures::COMPONENT_MODEL
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::CALL_INDIRECT_OVERLONG
        | WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::MULTI_MEMORY
}

/// The engine with nothing on that a terminal has off.
fn engine() -> Engine {
    let mut config = Config::new();
    config
        .wasm_features(WasmFeatures::all() - features(), false)
        .wasm_features(features(), true)
        .cranelift_opt_level(OptLevel::None)
        .max_wasm_stack(256 << 10)
        .memory_reservation(0)
        .memory_guard_size(64 << 10)
        .memory_init_cow(false);
    Engine::new(&config).unwrap()
}

fn imports_and_exports(engine: &Engine, component: &Component) -> (Vec<String>, Vec<String>) {
    let ty = component.component_type();
    let mut imports: Vec<_> = ty
        .imports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let exports = ty
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    imports.sort_unstable();
    (imports, exports)
}

type Calls = Arc<Mutex<Vec<Vec<u8>>>>;
/// What card and issuer answer, by the number of the call.
type Script = fn(usize) -> Result<Vec<u8>, &'static str>;

fn list(bytes: &[u8]) -> Val {
    Val::List(bytes.iter().copied().map(Val::U8).collect())
}

fn bytes_of(list: &Val) -> Vec<u8> {
    let Val::List(items) = list else {
        panic!("not a list: {list:?}")
    };
    let byte = |item: &Val| match item {
        Val::U8(byte) => *byte,
        other => panic!("not a byte: {other:?}"),
    };
    items.iter().map(byte).collect()
}

fn define(linker: &mut Linker<()>, interface: &str, function: &str, calls: &Calls, script: Script) {
    let calls = Arc::clone(calls);
    linker
        .instance(interface)
        .unwrap()
        .func_new(function, move |_, _, arguments, results| {
            let mut calls = calls.lock().unwrap();
            calls.push(bytes_of(&arguments[0]));
            results[0] = Val::Result(match script(calls.len() - 1) {
                Ok(answer) => Ok(Some(Box::new(list(&answer)))),
                Err(case) => Err(Some(Box::new(Val::Enum(case.to_owned())))),
            });
            Ok(())
        })
        .unwrap();
}

/// Runs a program; gives its calls in order and its outcome.
fn run(engine: &Engine, component: &[u8], script: Script) -> (Vec<Vec<u8>>, Val) {
    let component = Component::from_binary(engine, component).unwrap();
    let calls = Calls::default();
    let mut linker = Linker::new(engine);
    define(&mut linker, READER, "transmit", &calls, script);
    define(&mut linker, NETWORK, "exchange", &calls, script);
    let mut store = Store::new(engine, ());
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let interface = instance
        .get_export_index(&mut store, None, PROGRAM)
        .unwrap();
    let function = instance
        .get_export_index(&mut store, Some(&interface), "run")
        .unwrap();
    let function = instance.get_func(&mut store, function).unwrap();
    let mut results = [Val::Bool(false)];
    function.call(&mut store, &[], &mut results).unwrap();
    let [outcome] = results;
    let calls = calls.lock().unwrap().clone();
    (calls, outcome)
}

#[test]
fn our_files_are_valid_with_the_features_that_the_terminal_allows() {
    for template in [echo(), remittance()] {
        Validator::new_with_features(features())
            .validate_all(&file(&template))
            .unwrap();
    }
}

#[test]
fn a_program_imports_and_exports_exactly_what_wac_leaves_open() {
    let engine = engine();
    for template in [echo(), remittance()] {
        let ours = Component::from_binary(&engine, &file(&template)).unwrap();
        let theirs = Component::from_binary(&engine, &composed_by_wac(&template)).unwrap();
        let ours = imports_and_exports(&engine, &ours);
        assert_eq!(ours, imports_and_exports(&engine, &theirs));
        let exact = (
            vec![NETWORK.to_owned(), READER.to_owned()],
            vec![PROGRAM.to_owned()],
        );
        assert_eq!(ours, exact);
    }
}

#[test]
fn the_guest_reads_exactly_the_order_bytes_and_its_result_comes_back() {
    let engine = engine();
    let (calls, outcome) = run(&engine, &file(&echo()), |_| Ok(b"receipt".to_vec()));
    let ordered = order(echo().hash()).encode().unwrap();
    assert_eq!(calls, [ordered.as_bytes()]);
    assert_eq!(outcome, Val::Result(Ok(Some(Box::new(list(b"receipt"))))));
}

#[test]
fn a_program_behaves_as_the_one_composed_by_wac() {
    const REFUSED: &[u8] = &[0x83, 0x01, 0x02, 0x08];
    let scripts: [Script; 5] = [
        |_| Ok(b"\x90\x00".to_vec()),
        |_| Err("failed"),
        |_| Err("limit"),
        |call| match call {
            0 => Ok(b"\x04\x01\x02\x03\x04\x05\x06\x90\x00".to_vec()),
            1 => Ok(b"\x91\x00".to_vec()),
            2 => Ok([[9u8; 16].as_slice(), b"\x91\xaf"].concat()),
            _ => Ok(REFUSED.to_vec()),
        },
        |call| match call {
            0 => Ok(b"\x04\x01\x02\x03\x04\x05\x06\x90\x00".to_vec()),
            1 => Ok(b"\x91\x00".to_vec()),
            2 => Ok([[9u8; 16].as_slice(), b"\x91\xaf"].concat()),
            _ => Ok(b"\x83\x01\x01\x47receipt".to_vec()),
        },
    ];
    let engine = engine();
    for template in [echo(), remittance()] {
        let ours = file(&template);
        let theirs = composed_by_wac(&template);
        assert_ne!(ours[BODY_OFFSET..], theirs[8..]);
        for script in scripts {
            assert_eq!(run(&engine, &ours, script), run(&engine, &theirs, script));
        }
    }
}
