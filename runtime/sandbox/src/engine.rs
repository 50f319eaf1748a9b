//! The engine: which WebAssembly it accepts, how it compiles, and the limiter of a run.
//!
//! Settings and their reasons: docs/sandbox.md, section "Engine". One engine and one linker per
//! runner process, built once and never cloned.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::{
    Config, Engine, Inlining, OptLevel, RegallocAlgorithm, ResourceLimiter, Strategy,
    WasmBacktraceDetails, WasmFeatures,
};

use crate::limits;
use crate::outcome::Fault;

/// Length of one epoch.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The engine's settings; public for the benchmark that holds us against the engine alone.
#[must_use]
pub fn config() -> Config {
    // The adapters that the engine itself generates for calls between components need several
    // memories and mutable globals: with either off it panics. Admission forbids them to guests.
    let keep = WasmFeatures::COMPONENT_MODEL
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::CALL_INDIRECT_OVERLONG
        | WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::MULTI_MEMORY;
    let mut config = Config::new();
    config
        .wasm_features(WasmFeatures::all() - keep, false)
        .wasm_features(keep, true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(limits::STACK_LEN_MAX)
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::None)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass)
        .compiler_inlining(Inlining::No)
        // No reserved address space: explicit bounds checks with their speculation masks.
        .memory_reservation(0)
        .memory_guard_size(64 << 10)
        .memory_reservation_for_growth(1 << 20)
        .memory_init_cow(false)
        .native_unwind_info(false)
        .generate_address_map(false)
        .wasm_backtrace_max_frames(None)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .shared_memory(false);
    config
}

/// Says whether guest code is running, so that time spent waiting for the terminal is not counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct GuestTime(Arc<AtomicBool>);

impl GuestTime {
    pub(crate) fn running(&self, running: bool) {
        self.0.store(running, Ordering::Relaxed);
    }
}

/// Advances the engine's epoch once per [`TICK`] in which guest code was running.
///
/// The thread ends when the engine is gone. When this returns it has all that threads ask of the
/// system at their start. Errors: the operating system refused the thread.
pub(crate) fn start_epochs(engine: &Engine, time: GuestTime) -> std::io::Result<()> {
    let engine = engine.weak();
    let (sender, started) = std::sync::mpsc::sync_channel(0);
    std::thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            // The receiver waits for exactly this.
            let _sent = sender.send(());
            while let Some(engine) = engine.upgrade() {
                if time.0.load(Ordering::Relaxed) {
                    engine.increment_epoch();
                }
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
    started
        .recv()
        .map_err(|_| std::io::ErrorKind::BrokenPipe.into())
}

/// Adds up what a run holds, over all its memories and tables.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    memory_len: usize,
    refused: Option<Fault>,
}

impl Limiter {
    /// What was refused last.
    pub(crate) const fn refused(&self) -> Option<Fault> {
        self.refused
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .memory_len
            .saturating_sub(current)
            .saturating_add(desired);
        let fits = total <= limits::MEMORY_TOTAL_MAX;
        if fits {
            self.memory_len = total;
        } else {
            self.refused = Some(Fault::Memory);
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= limits::TABLE_ELEMENTS_MAX;
        if !fits {
            self.refused = Some(Fault::Table);
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        limits::RUN_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        limits::RUN_INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        limits::RUN_INSTANCES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_summed_over_all_memories_to_the_byte() {
        let mut limiter = Limiter::default();
        let half = limits::MEMORY_TOTAL_MAX / 2;
        assert!(limiter.memory_growing(0, half, None).expect("answers"));
        assert!(limiter.memory_growing(0, half, None).expect("answers"));
        assert_eq!(limiter.refused(), None);
        assert!(
            !limiter
                .memory_growing(half, half + 1, None)
                .expect("answers")
        );
        assert_eq!(limiter.refused(), Some(Fault::Memory));
    }

    #[test]
    fn a_table_may_hold_its_limit_and_not_one_more() {
        let mut limiter = Limiter::default();
        let limit = limits::TABLE_ELEMENTS_MAX;
        assert!(limiter.table_growing(0, limit, None).expect("answers"));
        assert!(!limiter.table_growing(0, limit + 1, None).expect("answers"));
        assert_eq!(limiter.refused(), Some(Fault::Table));
    }

    #[test]
    fn the_settings_make_an_engine() {
        assert!(Engine::new(&config()).is_ok());
    }
}
