//! One program on each of Wasmtime's three engines, under the product's settings.
//!
//! The product compiles with Cranelift. Pulley is an interpreter of code that Cranelift makes for it; Winch is
//! a compiler of its own. Where all three agree on every call, the result and the fuel, a fault would have to be
//! in all of them.

use std::collections::VecDeque;

use program::{NETWORK, PROGRAM, READER};
use sandbox::{Failure, NetworkError, ReaderError, engine_config, limits};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store, StoreContextMut, Strategy, Trap};

/// Pulley's machine on computers of 64 bits.
const PULLEY: &str = "pulley64";

/// How a program is made to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As the product does.
    Cranelift,
    /// Interpreted.
    Pulley,
    /// Compiled in one pass.
    Winch,
}

impl Kind {
    /// The product's settings with nothing but the way of compiling changed.
    ///
    /// # Errors
    /// The engine's own: it lacks that way, or a setting does not go with it.
    pub fn config(self) -> wasmtime::Result<Config> {
        let mut config = engine_config();
        match self {
            Self::Cranelift => {}
            Self::Pulley => {
                config.target(PULLEY)?;
            }
            Self::Winch => {
                config.strategy(Strategy::Winch);
            }
        }
        Ok(config)
    }

    /// The engine.
    ///
    /// # Errors
    /// As [`Kind::config`].
    pub fn engine(self) -> wasmtime::Result<Engine> {
        Engine::new(&self.config()?)
    }
}

/// What card and issuer answer, each in order; beyond that no card and no network.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The card.
    pub card: VecDeque<Result<Vec<u8>, ReaderError>>,
    /// The issuer.
    pub network: VecDeque<Result<Vec<u8>, NetworkError>>,
}

/// One call of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// A command to the card.
    Transmit(Vec<u8>),
    /// A request to the issuer.
    Exchange(Vec<u8>),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With a receipt.
    Receipt(Vec<u8>),
    /// The program gave up.
    Failure(Failure),
    /// The engine stopped it.
    Trap(Trap),
    /// Something else, in the engine's words.
    Error(String),
}

/// What there is to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// How it ended.
    pub ended: Ended,
    /// What was asked for, in order.
    pub calls: Vec<Call>,
    /// Fuel used.
    pub fuel: u64,
}

struct Host {
    script: Script,
    calls: Vec<Call>,
}

type Answered<E> = wasmtime::Result<(Result<Vec<u8>, E>,)>;

/// Compiles a program.
///
/// # Errors
/// The engine's own.
pub fn compiled(engine: &Engine, program: &[u8]) -> wasmtime::Result<Component> {
    Component::from_binary(engine, program)
}

/// Runs a program once, with what the product gives a run.
///
/// # Errors
/// The engine's own, for what cannot be begun.
pub fn run(engine: &Engine, component: &Component, script: Script) -> wasmtime::Result<Run> {
    let mut linker: Linker<Host> = Linker::new(engine);
    linker.instance(READER)?.func_wrap(
        "transmit",
        |mut store: StoreContextMut<'_, Host>, (command,): (Vec<u8>,)| -> Answered<ReaderError> {
            let host = store.data_mut();
            host.calls.push(Call::Transmit(command));
            let answer = host.script.card.pop_front();
            Ok((answer.unwrap_or(Err(ReaderError::NoCard)),))
        },
    )?;
    linker.instance(NETWORK)?.func_wrap(
        "exchange",
        |mut store: StoreContextMut<'_, Host>, (request,): (Vec<u8>,)| -> Answered<NetworkError> {
            let host = store.data_mut();
            host.calls.push(Call::Exchange(request));
            let answer = host.script.network.pop_front();
            Ok((answer.unwrap_or(Err(NetworkError::Offline)),))
        },
    )?;
    let host = Host {
        script,
        calls: Vec::new(),
    };
    let mut store = Store::new(engine, host);
    store.set_fuel(limits::FUEL_MAX)?;
    // Nothing here counts time.
    store.set_epoch_deadline(u64::MAX / 2);
    store.set_hostcall_fuel(limits::CALL_LEN_MAX);
    store.set_max_component_handles(limits::HANDLES_MAX);
    let ended = match called(&mut store, &linker, component) {
        Ok(Ok(receipt)) => Ended::Receipt(receipt),
        Ok(Err(failure)) => Ended::Failure(failure),
        Err(error) => match error.downcast_ref::<Trap>() {
            Some(trap) => Ended::Trap(*trap),
            None => Ended::Error(error.root_cause().to_string()),
        },
    };
    let fuel = limits::FUEL_MAX - store.get_fuel()?;
    let calls = store.into_data().calls;
    Ok(Run { ended, calls, fuel })
}

fn called(
    store: &mut Store<Host>,
    linker: &Linker<Host>,
    component: &Component,
) -> wasmtime::Result<Result<Vec<u8>, Failure>> {
    let instance = linker.instantiate(&mut *store, component)?;
    let interface = component.get_export_index(None, PROGRAM);
    let export = interface
        .and_then(|interface| component.get_export_index(Some(&interface), "run"))
        .ok_or_else(|| wasmtime::Error::msg("a program has a run"))?;
    let run = instance.get_typed_func::<(), (Result<Vec<u8>, Failure>,)>(&mut *store, export)?;
    Ok(run.call(&mut *store, ())?.0)
}
