//! Every limit of the sandbox, in one table: name, value, unit, code and reason.
//!
//! The constants are what the code compares with; [`TABLE`] is the same list as data, for
//! `tegata doctor` and for docs/sandbox.md. A limit is the largest value that is still accepted.

use std::time::Duration;

/// One row of [`TABLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Name of the constant, in lower case.
    pub name: &'static str,
    /// Largest accepted value.
    pub value: u64,
    /// What `value` counts.
    pub unit: &'static str,
    /// Stable code that is reported when the limit is passed.
    pub code: &'static str,
    /// Why the limit is where it is.
    pub reason: &'static str,
}

macro_rules! limits {
    ($($name:ident: $type:ty = $value:expr, $unit:literal, $code:literal, $reason:literal;)*) => {
        $(
            #[doc = concat!($reason, "\n\nUnit: ", $unit, ". Code: `", $code, "`.")]
            pub const $name: $type = $value;
        )*
        /// All limits, in the order in which a program meets them.
        pub const TABLE: &[Limit] = &[$(Limit {
            name: stringify!($name),
            value: $name as u64,
            unit: $unit,
            code: $code,
            reason: $reason,
        }),*];
    };
}

limits! {
    FILE_LEN_MAX: usize = 64 << 10, "bytes", "E_SIZE",
        "A mailed program is about 11 KB; six times that leaves room for larger templates and bounds every later pass.";
    CORE_MODULES_MAX: usize = 4, "modules in the file", "E_POLICY_SHAPE",
        "The guest, the two modules its component wrapper adds, and the module that holds the order.";
    COMPONENTS_MAX: usize = 4, "nested components", "E_POLICY_SHAPE",
        "Template and order, each with at most one inner component that gives its export a typed instance.";
    COMPONENT_DEPTH_MAX: usize = 2, "levels below the outermost", "E_POLICY_SHAPE",
        "Program, template, typed export: nothing is nested deeper.";
    INSTANCES_MAX: usize = 16, "instances in the file, core and component counted apart", "E_POLICY_SHAPE",
        "Each module and component is instantiated once; bundles of exports count as instances too.";
    COMPONENT_ITEMS_MAX: usize = 128, "component-level types, aliases, imports, exports and canonical functions", "E_POLICY_SHAPE",
        "Our own program has under a hundred; type checking time grows with these.";
    COMPONENT_TYPES_LEN_MAX: usize = 1 << 10, "bytes of one section of component types", "E_POLICY_SHAPE",
        "Parsers recurse into nested types: 60 KB of them overflow the stack. Ours has 320 bytes.";
    ENUM_CASES_MAX: usize = 16, "cases of one enum", "E_POLICY_SHAPE",
        "The longest enum of the interface has six; large ones only slow down type checking.";
    TYPES_MAX: usize = 128, "core types in the file", "E_POLICY_SHAPE",
        "One per function signature in use; the guest has about thirty.";
    MODULE_IMPORTS_MAX: usize = 32, "imports of one core module", "E_POLICY_SHAPE",
        "Only wiring inside the component: the interface has three functions in all.";
    MODULE_EXPORTS_MAX: usize = 32, "exports of one core module", "E_POLICY_SHAPE",
        "Only wiring inside the component.";
    FUNCTIONS_MAX: usize = 256, "function bodies in the file", "E_POLICY_SHAPE",
        "Each function costs the compiler a fixed amount; thousands of empty ones are a compile bomb.";
    PARAMS_MAX: usize = 16, "parameters of one core function type", "E_POLICY_SHAPE",
        "A thousand parameters on every call is a known compile bomb.";
    LOCALS_MAX: usize = 64, "declared locals of one function", "E_POLICY_SHAPE",
        "50,000 locals in a tiny function cost seconds of compile time and hundreds of megabytes.";
    LOCALS_TOTAL_MAX: usize = 2_000, "declared locals in the file", "E_POLICY_SHAPE",
        "Keeps many functions with the most locals each from adding up.";
    BODY_LEN_MAX: usize = 16 << 10, "bytes of one function body", "E_POLICY_SHAPE",
        "Register allocation is more than linear in the length of a function.";
    NESTING_MAX: usize = 64, "levels of block, loop and if", "E_POLICY_SHAPE",
        "Thousands of nested loops cost the compiler a third of a second.";
    BR_TABLE_MAX: usize = 256, "targets of one br_table", "E_POLICY_SHAPE",
        "A table of 65,000 targets is a compile bomb; a match over bytes fits.";
    GLOBALS_MAX: usize = 16, "globals in the file", "E_POLICY_SHAPE",
        "A stack pointer, an allocator and little else.";
    SEGMENTS_MAX: usize = 16, "data segments and element segments in the file, counted apart", "E_POLICY_SHAPE",
        "More than 32,000 segments once broke the compiler's bookkeeping; two or three are normal.";
    COST_MAX: usize = 20_000, "cost score of the file", "E_POLICY_COST",
        "Branches times locals, and points for calls and checks: the dearest lawful program compiles in an eighth of a second; measured bombs score 39,000 and more.";
    MEMORY_PAGES_MAX: usize = 32, "pages of 64 KiB, all memories of the file together", "E_POLICY_MEM",
        "2 MiB in all, maximum declared; the guest needs a quarter of a megabyte.";
    TABLES_MAX: usize = 2, "tables in the file", "E_POLICY_TABLE",
        "One for the guest's function pointers, one for its component wrapper.";
    TABLE_ELEMENTS_MAX: usize = 64, "elements of one table, maximum declared", "E_POLICY_TABLE",
        "A table of ten million elements is 80 MB of host memory.";
    MEMORY_TOTAL_MAX: usize = 2 << 20, "bytes, all memories of a run together", "E_LIMIT_MEM",
        "The engine's own limit counts each memory alone; this one adds them up at run time.";
    RUN_INSTANCES_MAX: usize = 32, "core instances, memories and tables of a run, counted apart", "E_INSTANTIATE",
        "The instances of the file and one adapter for each call between components.";
    STACK_LEN_MAX: usize = 256 << 10, "bytes", "E_TRAP_STACK",
        "Guest code calls a few levels deep; half the engine's default leaves the host headroom.";
    FUEL_MAX: u64 = 2_000_000, "fuel units", "E_FUEL",
        "A whole redemption uses under ten thousand; the same count on every machine.";
    HANDLES_MAX: usize = 0, "component handles", "E_POLICY_CANON",
        "The interface has no resources.";
    CPU_MS_MAX: u64 = 5_000, "milliseconds of guest time", "E_DEADLINE",
        "Second line behind fuel, for an instruction whose price in fuel is wrong.";
    COMPILE_MS_MAX: u64 = 10_000, "milliseconds", "E_COMPILE_LIMIT",
        "Compiling takes about 20 ms; a loaded small machine may need fifty times that.";
    WALL_MS_MAX: u64 = 120_000, "milliseconds for a whole run", "E_WALL",
        "A person waits at the terminal; four exchanges and a dozen card commands take seconds.";
    RUNNER_SPACE_MAX: u64 = 512 << 20, "bytes of address space of the runner process", "E_RUNNER_LOST",
        "Program, libraries and stacks of the process take a quarter of it, the dearest lawful compile less than another.";
    RUNNER_CPU_S_MAX: u64 = 16, "seconds of processor time of the runner process", "E_RUNNER_LOST",
        "What compile and guest time may take together, and one more; third line behind fuel and the guest's time.";
    READER_CALL_MS_MAX: u64 = 5_000, "milliseconds for one command to the card", "timeout",
        "The card answers in tens of milliseconds. Kept by the implementor of the effects.";
    NETWORK_CALL_MS_MAX: u64 = 15_000, "milliseconds for one exchange", "timeout",
        "One round trip on a bad mobile line. Kept by the implementor of the effects.";
    READER_CALLS_MAX: usize = 64, "commands to the card in a run", "limit",
        "A redemption sends twelve or thirteen; chained frames and a second attempt fit.";
    NETWORK_CALLS_MAX: usize = 16, "exchanges in a run", "limit",
        "A redemption makes four, each sent at most three times.";
    CALL_LEN_MAX: usize = 16 << 10, "bytes of one request or answer", "E_LIMIT_BYTES",
        "The longest message of the exchange protocol is half of it.";
    TOTAL_LEN_MAX: usize = 256 << 10, "bytes of all requests and answers of a run", "limit",
        "Sixteen messages of the greatest length.";
    REFUSALS_MAX: usize = 16, "calls answered with denied or limit in a run", "E_LIMIT_CALLS",
        "A lawful program ends at the first; one that goes on asking is ended.";
    WRITE_LEN_MAX: usize = relay::apdu::WRITE_LEN_MAX, "bytes that one write to the card may announce", "denied",
        "Our longest record has 30 bytes.";
}

/// Longest run of the whole program.
pub const WALL: Duration = Duration::from_millis(WALL_MS_MAX);
/// Longest time from the start of the child to the end of its compile.
pub const COMPILE: Duration = Duration::from_millis(COMPILE_MS_MAX);
/// Longest time for one command to the card; whoever implements `Effects` keeps it.
pub const READER_CALL: Duration = Duration::from_millis(READER_CALL_MS_MAX);
/// Longest time for one exchange; whoever implements `Effects` keeps it.
pub const NETWORK_CALL: Duration = Duration::from_millis(NETWORK_CALL_MS_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn with_commas(value: u64) -> String {
        let digits = value.to_string();
        let mut text = String::new();
        for (place, digit) in digits.char_indices() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let rows: Vec<_> = include_str!("../../../docs/sandbox.md")
            .lines()
            .skip_while(|line| *line != "## Limits")
            .filter(|line| line.starts_with("| `"))
            .collect();
        let expected: Vec<_> = TABLE
            .iter()
            .map(|limit| {
                let Limit {
                    name,
                    value,
                    unit,
                    code,
                    reason,
                } = limit;
                format!(
                    "| `{name}` | {} | {unit} | `{code}` | {reason} |",
                    with_commas(*value)
                )
            })
            .collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn the_table_names_each_limit_once_with_its_reason() {
        let mut names: Vec<_> = TABLE.iter().map(|limit| limit.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        assert!(
            TABLE
                .iter()
                .all(|limit| limit.reason.len() > 20 && !limit.code.is_empty())
        );
    }
}
