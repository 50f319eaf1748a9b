//! One guest, built twice: the committed template must say and do what the native build does.
//!
//! Every scripted card and issuer of `guest-logic` is played to both, and each call and the
//! outcome are compared.

use guest_logic::testing::{CLAIM_TOKEN, Call, Case, REMITTANCE, ScriptedHost, cases};
use guest_logic::{Failure, Host};
use money::{Amount, Currency};
use program::{HEADER, Kind, Order, Template};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, Store};

const TEMPLATE: &[u8] = include_bytes!("../../guest-programs/prebuilt/remittance.wasm");

/// Budget of a mailed program whose order has 256 bytes.
const PROGRAM_LEN_MAX: usize = 12_288;
/// Length of the signature section before a program's body.
const SIGNATURE_SECTION_LEN: usize = 132;
/// What the host grants to one run.
const FUEL: u64 = 2_000_000;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/terminal",
        world: "remittance-template",
    });
}

use bindings::RemittanceTemplate;
use bindings::exports::tegata::terminal::program as exported;
use bindings::tegata::terminal::{network, order, reader};

/// The script, and the order bytes for a program that imports them.
struct Terminal {
    host: ScriptedHost,
    order: Vec<u8>,
}

impl reader::Host for Terminal {
    fn transmit(&mut self, command: Vec<u8>) -> Result<Vec<u8>, reader::ReaderError> {
        use guest_logic::ReaderError;
        self.host.transmit(&command).map_err(|error| match error {
            ReaderError::NoCard => reader::ReaderError::NoCard,
            ReaderError::Removed => reader::ReaderError::Removed,
            ReaderError::Denied => reader::ReaderError::Denied,
            ReaderError::Limit => reader::ReaderError::Limit,
            ReaderError::Timeout => reader::ReaderError::Timeout,
            ReaderError::Failed => reader::ReaderError::Failed,
        })
    }
}

impl network::Host for Terminal {
    fn exchange(&mut self, request: Vec<u8>) -> Result<Vec<u8>, network::NetworkError> {
        use guest_logic::NetworkError;
        self.host.exchange(&request).map_err(|error| match error {
            NetworkError::Offline => network::NetworkError::Offline,
            NetworkError::Denied => network::NetworkError::Denied,
            NetworkError::Limit => network::NetworkError::Limit,
            NetworkError::Timeout => network::NetworkError::Timeout,
            NetworkError::Failed => network::NetworkError::Failed,
        })
    }
}

impl order::Host for Terminal {
    fn bytes(&mut self) -> Vec<u8> {
        self.order.clone()
    }
}

/// A compiled component and what it may import.
struct Guest {
    engine: Engine,
    component: Component,
    linker: Linker<Terminal>,
}

/// Everything that a run shows: its calls, its outcome, and the fuel that it took.
struct Run {
    calls: Vec<Call>,
    outcome: Result<Vec<u8>, Failure>,
    fuel: u64,
}

impl Guest {
    fn new(component: &[u8]) -> Self {
        let mut config = Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config).expect("an engine");
        let component = Component::from_binary(&engine, component).expect("a component");
        let mut linker = Linker::new(&engine);
        RemittanceTemplate::add_to_linker::<_, HasSelf<_>>(&mut linker, |terminal| terminal)
            .expect("three interfaces");
        Self {
            engine,
            component,
            linker,
        }
    }

    fn run(&self, case: &Case) -> Run {
        let host = ScriptedHost::new(case.script.clone());
        let mut store = Store::new(
            &self.engine,
            Terminal {
                host,
                order: case.order.clone(),
            },
        );
        store.set_fuel(FUEL).expect("fuel is counted");
        let program = RemittanceTemplate::instantiate(&mut store, &self.component, &self.linker)
            .expect("a program");
        let outcome = program.tegata_terminal_program().call_run(&mut store);
        let outcome = outcome.unwrap_or_else(|trap| panic!("{}: {trap}", case.name));
        Run {
            outcome: outcome.map_err(|failure| match failure {
                exported::Failure::Order => Failure::Order,
                exported::Failure::CardUnsupported => Failure::CardUnsupported,
                exported::Failure::Reader => Failure::Reader,
                exported::Failure::Network => Failure::Network,
                exported::Failure::Protocol => Failure::Protocol,
                exported::Failure::Refused => Failure::Refused,
            }),
            fuel: FUEL - store.get_fuel().expect("fuel is counted"),
            calls: store.into_data().host.calls().to_vec(),
        }
    }
}

fn check_against_native(guest: &Guest, case: &Case) -> Run {
    let mut native = ScriptedHost::new(case.script.clone());
    let outcome = guest_logic::run(&case.order, &mut native);
    let run = guest.run(case);
    assert_eq!(run.outcome, outcome, "{}", case.name);
    assert_eq!(run.calls, native.calls(), "{}", case.name);
    assert_eq!(run.outcome, case.outcome, "{}", case.name);
    run
}

/// An order of the scripted remittance whose bytes are 256, and the program made of it.
fn program() -> (Vec<u8>, Vec<u8>) {
    let template = Template::new(TEMPLATE.to_vec()).expect("a template");
    let order = Order {
        kind: Kind::Credit,
        issuer: "pay.example".into(),
        remittance: REMITTANCE,
        revision: 1,
        card_masked: "**** **** **** 1234".into(),
        card_binding: [0x55; 32],
        amount: Amount::new(2_500, Currency::Jpy).expect("positive"),
        sender: "Aiko".into(),
        note: "Thank you for lunch, and see you on Monday, when it is my turn to treat us!!".into(),
        created: 1_780_000_000,
        expires: 1_781_000_000,
        template_hash: template.hash(),
        claim_token: CLAIM_TOKEN,
    };
    let order = order.encode().expect("an order");
    let program = [&HEADER[..], &program::body(&template, &order)].concat();
    (order.as_bytes().to_vec(), program)
}

#[test]
fn the_template_and_the_native_build_have_equal_transcripts() {
    let guest = Guest::new(TEMPLATE);
    let fuel = cases()
        .iter()
        .map(|case| check_against_native(&guest, case).fuel)
        .collect::<Vec<_>>();
    println!(
        "{} runs, fuel {} if all goes well, {:?} at most",
        fuel.len(),
        fuel[0],
        fuel.iter().max()
    );
}

#[test]
fn a_program_and_the_native_build_have_equal_transcripts() {
    let (order, program) = program();
    let guest = Guest::new(&program);
    for case in cases()
        .iter()
        .filter(|case| case.outcome != Err(Failure::Order))
    {
        let case = Case {
            order: order.clone(),
            ..case.clone()
        };
        check_against_native(&guest, &case);
    }
}

#[test]
fn a_mailed_program_with_an_order_of_256_bytes_is_within_its_budget() {
    let (order, program) = program();
    assert_eq!(order.len(), 256);
    let len = program.len() + SIGNATURE_SECTION_LEN;
    println!("program: {len} bytes");
    assert!(len <= PROGRAM_LEN_MAX, "{len} bytes");
}
