//! The same programs on every engine: the same calls, the same result, the same fuel.

#[expect(dead_code, reason = "each test uses its part")]
#[path = "../../../runtime/sandbox/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use engines::{Call, Ended, Kind, Run, Script, compiled, run};
use guest_logic::testing;
use program::{HEADER, OrderBytes, Template, body};
use sandbox::{Failure, NetworkError, ReaderError, admit, limits};
use support::{Guest, component};
use wasm_smith::{InstructionKind, InstructionKinds};
use wasmtime::component::Component;
use wasmtime::{Engine, Trap};

/// Generated programs: some seconds.
const SEEDS: u64 = 48;

/// Bytes that a generated program is made of, at most and roughly.
const CHOICES_MAX: u64 = 4096;

/// The product's engine, and those that it is held against.
struct Engines {
    product: Engine,
    others: Vec<(Kind, Engine)>,
}

impl Engines {
    fn new() -> Self {
        let engine = |kind: Kind| kind.engine().expect("an engine with these settings");
        Self {
            product: engine(Kind::Cranelift),
            others: [Kind::Pulley, Kind::Winch]
                .map(|kind| (kind, engine(kind)))
                .into(),
        }
    }

    /// Compiles a program for each, the product's first.
    fn compiled(&self, program: &[u8]) -> Result<Vec<Component>, String> {
        let others = self.others.iter().map(|(_, engine)| engine);
        [&self.product]
            .into_iter()
            .chain(others)
            .map(|engine| compiled(engine, program).map_err(|error| format!("{error:?}")))
            .collect()
    }

    /// Runs a program on each and requires that nothing differs but what must ([`agree`]); what the product's
    /// engine did.
    fn alike(&self, program: &[Component], script: &Script) -> Result<Run, String> {
        let [product, others @ ..] = program else {
            return Err("not compiled".to_owned());
        };
        let run = |engine: &Engine, component: &Component| {
            run(engine, component, script.clone()).map_err(|error| format!("{error:?}"))
        };
        let ours = run(&self.product, product)?;
        for ((kind, engine), component) in self.others.iter().zip(others) {
            let theirs = run(engine, component).map_err(|error| format!("{kind:?}: {error}"))?;
            if !agree(*kind, &ours, &theirs) {
                return Err(format!("{ours:?}\n{kind:?}: {theirs:?}"));
            }
        }
        Ok(ours)
    }
}

/// Whether two runs of one program are the same.
///
/// How deep calls may go differs, since every engine has frames of its own: a run that overflows its stack
/// on one of them is held to its calls so far. Winch counts fuel in a way of its own, by some units more or
/// less, so that of a run which uses it up on one of them its calls so far are compared too.
fn agree(kind: Kind, ours: &Run, theirs: &Run) -> bool {
    let either = |trap: Trap| {
        [ours, theirs]
            .iter()
            .any(|run| run.ended == Ended::Trap(trap))
    };
    let own_fuel = kind == Kind::Winch;
    if either(Trap::StackOverflow) || own_fuel && either(Trap::OutOfFuel) {
        let calls = ours.calls.iter().zip(&theirs.calls);
        return calls.into_iter().all(|(ours, theirs)| ours == theirs);
    }
    ours.ended == theirs.ended
        && ours.calls == theirs.calls
        && (own_fuel || ours.fuel == theirs.fuel)
}

fn reader_error(error: guest_logic::ReaderError) -> ReaderError {
    match error {
        guest_logic::ReaderError::NoCard => ReaderError::NoCard,
        guest_logic::ReaderError::Removed => ReaderError::Removed,
        guest_logic::ReaderError::Denied => ReaderError::Denied,
        guest_logic::ReaderError::Limit => ReaderError::Limit,
        guest_logic::ReaderError::Timeout => ReaderError::Timeout,
        guest_logic::ReaderError::Failed => ReaderError::Failed,
    }
}

fn network_error(error: guest_logic::NetworkError) -> NetworkError {
    match error {
        guest_logic::NetworkError::Offline => NetworkError::Offline,
        guest_logic::NetworkError::Denied => NetworkError::Denied,
        guest_logic::NetworkError::Limit => NetworkError::Limit,
        guest_logic::NetworkError::Timeout => NetworkError::Timeout,
        guest_logic::NetworkError::Failed => NetworkError::Failed,
    }
}

fn script(script: &testing::Script) -> Script {
    let card = script.card.iter().cloned();
    let network = script.network.iter().cloned();
    Script {
        card: card.map(|answer| answer.map_err(reader_error)).collect(),
        network: network.map(|reply| reply.map_err(network_error)).collect(),
    }
}

fn failure(failure: guest_logic::Failure) -> Failure {
    match failure {
        guest_logic::Failure::Order => Failure::Order,
        guest_logic::Failure::CardUnsupported => Failure::CardUnsupported,
        guest_logic::Failure::Reader => Failure::Reader,
        guest_logic::Failure::Network => Failure::Network,
        guest_logic::Failure::Protocol => Failure::Protocol,
        guest_logic::Failure::Refused => Failure::Refused,
    }
}

#[test]
fn the_mailed_program_runs_alike_in_every_case_and_as_its_logic_does_natively() {
    let engines = Engines::new();
    let template = Template::new(support::remittance()).expect("the template");
    let mut ran = 0;
    // Nearly all cases have the same order, and so the same program.
    let mut programs = BTreeMap::new();
    for case in testing::cases() {
        // Order bytes that no issuer can make are never wrapped.
        let Ok(order) = OrderBytes::new(case.order.clone()) else {
            continue;
        };
        let program = programs.entry(case.order.clone()).or_insert_with(|| {
            let program = [&HEADER[..], &body(&template, &order)].concat();
            engines.compiled(&program).expect("every engine takes it")
        });
        let run = engines
            .alike(program, &script(&case.script))
            .unwrap_or_else(|difference| panic!("{}: {difference}", case.name));
        let expected = match &case.outcome {
            Ok(receipt) => Ended::Receipt(receipt.clone()),
            Err(reason) => Ended::Failure(failure(*reason)),
        };
        assert_eq!(run.ended, expected, "{}", case.name);
        let mut host = testing::ScriptedHost::new(case.script.clone());
        let _native = guest_logic::run(&case.order, &mut host);
        let native = host.calls().iter().map(|call| match call {
            testing::Call::Transmit(command) => Call::Transmit(command.clone()),
            testing::Call::Exchange(request) => Call::Exchange(request.clone()),
        });
        assert!(native.eq(run.calls), "{}", case.name);
        assert!((1..limits::FUEL_MAX).contains(&run.fuel), "{}", case.name);
        ran += 1;
    }
    assert!(ran > 50, "{ran} cases");
}

/// The lawful features, and numbers of things about as large as admission lets pass.
fn features() -> wasm_smith::Config {
    wasm_smith::Config {
        module_shape: Some(wat::parse_str(SHAPE).expect("text")),
        allow_floats: false,
        allow_start_export: false,
        allowed_instructions: InstructionKinds::new(&[
            InstructionKind::NumericInt,
            InstructionKind::Parametric,
            InstructionKind::Variable,
            InstructionKind::Table,
            InstructionKind::MemoryInt,
            InstructionKind::Control,
        ]),
        bulk_memory_enabled: true,
        exceptions_enabled: false,
        extended_const_enabled: false,
        gc_enabled: false,
        generate_custom_sections: false,
        max_data_segments: 8,
        max_element_segments: 8,
        max_funcs: 12,
        max_globals: 8,
        max_instructions: 160,
        max_memories: 1,
        max_memory32_bytes: 2 << 16,
        max_table_elements: 32,
        max_tables: 1,
        max_types: 16,
        memory64_enabled: false,
        memory_max_size_required: true,
        multi_value_enabled: false,
        reference_types_enabled: false,
        relaxed_simd_enabled: false,
        saturating_float_to_int_enabled: false,
        sign_extension_ops_enabled: true,
        simd_enabled: false,
        table_max_size_required: true,
        tail_call_enabled: false,
        threads_enabled: false,
        ..wasm_smith::Config::default()
    }
}

/// What a generated module imports and exports: the memory of the program and the two functions, and what the
/// program calls.
const SHAPE: &str = r#"(module
  (import "library" "memory" (memory 1 2))
  (import "host" "transmit" (func (param i32 i32 i32)))
  (import "host" "exchange" (func (param i32 i32 i32)))
  (func (export "go") (param i32) (result i32) (i32.const 0)))"#;

/// A template around a generated module: it calls `go`, asks the card once more with what `go` left in memory,
/// and returns that answer.
fn around(module: &[u8]) -> Vec<u8> {
    let module = wasmprinter::print_bytes(module).expect("a module");
    let module = module.replacen("(module", "(core module $generated", 1);
    let guest = Guest::new(
        "(i32.store (i32.const 2048) (call $go (i32.const 7)))
         (call $transmit (i32.const 2048) (i32.const 5) (i32.const 64)) (i32.const 64)",
    );
    let text = guest.template_text();
    let generated = format!(
        "{module}
         (core instance $generated (instantiate $generated
           (with \"library\" (instance $library))
           (with \"host\" (instance
             (export \"transmit\" (func $transmit)) (export \"exchange\" (func $exchange))))))
         (alias core export $generated \"go\" (core func $go))
         (core module $main (import \"generated\" \"go\" (func $go (param i32) (result i32)))"
    );
    let text = text
        .replacen("(core module $main", &generated, 1)
        .replacen(
            "(core instance $main (instantiate $main",
            "(core instance $main (instantiate $main (with \"generated\" (instance (export \"go\" (func $go))))",
            1,
        );
    component(&text)
}

fn answers() -> Script {
    let uid = vec![4, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x90, 0x00];
    let card = (0..64).map(|number| match number % 3 {
        0 => Ok(uid.clone()),
        1 => Err(ReaderError::Removed),
        _ => Ok(vec![0x91, 0xAF]),
    });
    let network = (0..16).map(|number| match number % 2 {
        0 => Ok(vec![7; 300]),
        _ => Err(NetworkError::Timeout),
    });
    Script {
        card: card.collect(),
        network: network.collect(),
    }
}

/// Numbers that look random and are the same everywhere.
fn choices(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    let words = 32 + next() % (CHOICES_MAX / 8);
    (0..words).flat_map(|_| next().to_le_bytes()).collect()
}

/// What became of the program of this seed; an error where two engines differ.
fn generated(engines: &Engines, seed: u64) -> Result<String, String> {
    let choices = choices(seed);
    let Ok(module) = wasm_smith::Module::new(features(), &mut Unstructured::new(&choices)) else {
        return Ok("no module".to_owned());
    };
    let admitted = match admit(support::verified(around(&module.to_bytes()))) {
        Ok(admitted) => admitted,
        Err(refused) => return Ok(refused.code().to_owned()),
    };
    let program = engines.compiled(admitted.verified().bytes())?;
    let run = engines.alike(&program, &answers())?;
    Ok(match run.ended {
        Ended::Receipt(_) => "receipt".to_owned(),
        Ended::Failure(failure) => failure.code().to_owned(),
        Ended::Trap(trap) => format!("{trap:?}"),
        Ended::Error(text) => text,
    })
}

#[test]
fn generated_programs_are_refused_with_a_code_or_run_alike_on_every_engine() {
    let engines = Engines::new();
    let mut ends = BTreeMap::<String, u32>::new();
    for seed in 0..SEEDS {
        let end = generated(&engines, seed)
            .unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        *ends.entry(end).or_default() += 1;
    }
    println!("{ends:?}");
    let of = |end: &str| ends.get(end).copied().unwrap_or_default();
    assert!(of("receipt") > 0 && of("OutOfFuel") > 0, "{ends:?}");
}
