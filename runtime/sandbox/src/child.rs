//! The program runner: the child process that compiles and runs one program.
//!
//! It holds the program and two pipes. Whatever the program asks for is written to the terminal as
//! a frame and waited for; the terminal decides. So an escape from the engine gains only what a
//! lawful program may ask for.

use std::ffi::OsString;
use std::io::{Read, Write, stdin, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store, StoreContextMut, Trap};

use crate::effects::{NETWORK_ERRORS, NetworkError, READER_ERRORS, ReaderError, decode_answer};
use crate::engine::{self, GuestTime, Limiter, TICK};
use crate::frame::{self, FrameError, Kind};
use crate::limits;
use crate::outcome::{Failure, Fault, Outcome};
use crate::walls;
use program::{NETWORK, PROGRAM, READER};

/// The whole of `tegata runner`: runs one program for the terminal at the other end of standard
/// input and output. Called first thing in `main`, before another thread exists.
///
/// Raises the walls around this process, then speaks frames (docs/sandbox.md, section "Frames").
/// `arguments` are empty, or those of a probe that [`crate::walls::examine`] starts. Returns success
/// when an outcome was delivered, whatever it says, and failure when the terminal is gone or does
/// not speak this protocol.
pub fn runner_main(arguments: &[OsString]) -> ExitCode {
    if arguments
        .first()
        .is_some_and(|word| word == walls::probe::PROBE)
    {
        return walls::probe::main(arguments);
    }
    let walls = walls::raise();
    let workshop = Workshop::new();
    let walls = walls::seal(walls);
    let mut link = Link {
        input: Box::new(stdin()),
        output: Box::new(stdout()),
    };
    let served = link
        .send(Kind::Walls, &walls.encode())
        .and_then(|()| serve(link, workshop, Budget::default()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(LinkLost) => ExitCode::FAILURE,
    }
}

/// What compiling needs besides the program: made before the last wall, since it takes a thread.
struct Workshop(Result<(Engine, GuestTime), Fault>);

impl Workshop {
    fn new() -> Self {
        let time = GuestTime::default();
        let engine = guarded(Fault::Internal, || {
            let engine = Engine::new(&engine::config()).map_err(|_| Fault::Internal)?;
            engine::start_epochs(&engine, time.clone()).map_err(|_| Fault::Internal)?;
            Ok(engine)
        });
        Self(engine.map(|engine| (engine, time)))
    }
}

/// The terminal is gone, or sent a frame that has no place here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the terminal is gone")]
struct LinkLost;

impl From<FrameError> for LinkLost {
    fn from(_: FrameError) -> Self {
        Self
    }
}

/// What a run may spend.
#[derive(Debug, Clone, Copy)]
struct Budget {
    fuel: u64,
    ticks: u64,
}

impl Default for Budget {
    fn default() -> Self {
        let tick_ms = u64::try_from(TICK.as_millis()).unwrap_or(u64::MAX);
        Self {
            fuel: limits::FUEL_MAX,
            ticks: limits::CPU_MS_MAX / tick_ms,
        }
    }
}

/// The two pipes.
struct Link {
    input: Box<dyn Read + Send>,
    output: Box<dyn Write + Send>,
}

impl Link {
    fn expect(&mut self, kind: Kind) -> Result<Vec<u8>, LinkLost> {
        let frame = frame::read(&mut self.input)?;
        if frame.kind == kind {
            Ok(frame.payload)
        } else {
            Err(LinkLost)
        }
    }

    fn send(&mut self, kind: Kind, payload: &[u8]) -> Result<(), LinkLost> {
        frame::write(&mut self.output, kind, payload).map_err(|_| LinkLost)
    }

    fn call<E: Copy>(
        &mut self,
        kind: Kind,
        request: &[u8],
        errors: &[E],
    ) -> Result<Result<Vec<u8>, E>, LinkLost> {
        self.send(kind, request)?;
        decode_answer(&self.expect(Kind::Answer)?, errors).ok_or(LinkLost)
    }
}

fn serve(mut link: Link, workshop: Workshop, budget: Budget) -> Result<(), LinkLost> {
    let program = link.expect(Kind::Program)?;
    let prepared = workshop.0.and_then(|(engine, time)| {
        guarded(Fault::Compile, || Prepared::new(&program, engine, time))
    });
    drop(program);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(fault) => return link.send(Kind::Outcome, &Outcome::Fault(fault).encode(0)),
    };
    link.send(Kind::Ready, &[])?;
    link.expect(Kind::Go)?;
    let (mut link, fuel, outcome) = prepared.run(link, budget);
    link.send(Kind::Outcome, &outcome.encode(fuel))
}

/// Turns a panic into a fault.
fn guarded<T>(panicked: Fault, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(panicked))
}

/// State of the host functions.
struct Host {
    link: Link,
    limiter: Limiter,
    time: GuestTime,
    running: bool,
}

/// Why a host function ends the run instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Stop {
    #[error("the program called the host outside run")]
    Phase,
    #[error(transparent)]
    Link(#[from] LinkLost),
}

impl Host {
    fn call<E: Copy>(
        &mut self,
        kind: Kind,
        request: &[u8],
        errors: &[E],
    ) -> Result<Result<Vec<u8>, E>, Stop> {
        if !self.running {
            return Err(Stop::Phase);
        }
        self.time.running(false);
        let answer = self.link.call(kind, request, errors);
        self.time.running(true);
        Ok(answer?)
    }
}

/// A program that is compiled and linked.
struct Prepared {
    engine: Engine,
    time: GuestTime,
    component: Component,
    instance: InstancePre<Host>,
}

impl Prepared {
    fn new(program: &[u8], engine: Engine, time: GuestTime) -> Result<Self, Fault> {
        let component = Component::from_binary(&engine, program).map_err(|_| Fault::Compile)?;
        let linker = linker(&engine).map_err(|_| Fault::Internal)?;
        let instance = linker
            .instantiate_pre(&component)
            .map_err(|_| Fault::Instantiate)?;
        Ok(Self {
            engine,
            time,
            component,
            instance,
        })
    }

    /// Runs the program once and gives the pipes back, with the fuel that it used.
    fn run(self, link: Link, budget: Budget) -> (Link, u64, Outcome) {
        let time = self.time.clone();
        let host = Host {
            link,
            limiter: Limiter::default(),
            time: time.clone(),
            running: false,
        };
        let mut store = Store::new(&self.engine, host);
        let outcome = guarded(Fault::Internal, || {
            arm(&mut store, budget)?;
            time.running(true);
            let outcome = self.call(&mut store);
            time.running(false);
            outcome
        });
        // An engine that cannot say what is left has used nothing of it.
        let left = store.get_fuel().unwrap_or(budget.fuel);
        (
            store.into_data().link,
            budget.fuel.saturating_sub(left),
            outcome.unwrap_or_else(Outcome::Fault),
        )
    }

    fn call(&self, store: &mut Store<Host>) -> Result<Outcome, Fault> {
        let instance = self.instance.instantiate(&mut *store).map_err(|error| {
            store
                .data()
                .limiter
                .refused()
                .unwrap_or_else(|| classify(&error, Fault::Instantiate))
        })?;
        let interface = self.component.get_export_index(None, PROGRAM);
        let export = interface
            .and_then(|interface| self.component.get_export_index(Some(&interface), "run"))
            .ok_or(Fault::Instantiate)?;
        let run = instance
            .get_typed_func::<(), (Result<Vec<u8>, Failure>,)>(&mut *store, export)
            .map_err(|_| Fault::Instantiate)?;
        store.data_mut().running = true;
        let result = run.call(&mut *store, ());
        store.data_mut().running = false;
        match result {
            Ok((Ok(receipt),)) => Ok(Outcome::Receipt(receipt)),
            Ok((Err(failure),)) => Ok(Outcome::Failure(failure)),
            Err(error) => Err(classify(&error, Fault::TrapAbi)),
        }
    }
}

/// Sets every limit of a store; before instantiation, since instantiation runs guest code too.
fn arm(store: &mut Store<Host>, budget: Budget) -> Result<(), Fault> {
    store.limiter(|host| &mut host.limiter);
    store.set_fuel(budget.fuel).map_err(|_| Fault::Internal)?;
    store.set_epoch_deadline(budget.ticks);
    store.set_hostcall_fuel(limits::CALL_LEN_MAX);
    store.set_max_component_handles(limits::HANDLES_MAX);
    Ok(())
}

type Answered<E> = wasmtime::Result<(Result<Vec<u8>, E>,)>;

fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    linker.instance(READER)?.func_wrap(
        "transmit",
        |mut store: StoreContextMut<'_, Host>, (command,): (Vec<u8>,)| -> Answered<ReaderError> {
            Ok((store
                .data_mut()
                .call(Kind::Transmit, &command, &READER_ERRORS)?,))
        },
    )?;
    linker.instance(NETWORK)?.func_wrap(
        "exchange",
        |mut store: StoreContextMut<'_, Host>, (request,): (Vec<u8>,)| -> Answered<NetworkError> {
            Ok((store
                .data_mut()
                .call(Kind::Exchange, &request, &NETWORK_ERRORS)?,))
        },
    )?;
    Ok(linker)
}

/// The fault that an error of the engine means; `otherwise` if it is none of the known ones.
fn classify(error: &wasmtime::Error, otherwise: Fault) -> Fault {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::Phase => Fault::Phase,
            Stop::Link(LinkLost) => Fault::Internal,
        };
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return Fault::of_trap(*trap).unwrap_or(Fault::Internal);
    }
    // The engine keeps the type of this error to itself; a test watches over its text.
    if error
        .root_cause()
        .to_string()
        .contains("fuel allocated for hostcalls")
    {
        return Fault::Bytes;
    }
    otherwise
}

#[cfg(test)]
#[path = "child_tests.rs"]
mod tests;
