//! Every limit exactly and one past it, every feature, section, import and export.

use super::*;

#[path = "cost_tests.rs"]
mod cost;

use crate::support::{Guest, component, remittance, verified};

#[track_caller]
fn refused(bytes: &[u8], code: &str, why: &str) {
    let error = check(bytes).expect_err(why);
    assert_eq!(error.code(), code, "{why}: {error}");
}

/// Guests of growing size: `last` is admitted, one more is refused with this code.
#[track_caller]
fn limit(last: usize, code: &str, guest: impl Fn(usize) -> Guest) {
    let admitted = check(&guest(last).standalone());
    assert_eq!(admitted, Ok(()), "the limit itself");
    refused(&guest(last + 1).standalone(), code, "one past the limit");
}

fn with_parts(parts: impl Into<String>) -> Guest {
    Guest {
        parts: parts.into(),
        ..Guest::done()
    }
}

fn with_library(library: impl Into<String>) -> Guest {
    Guest {
        library: library.into(),
        ..Guest::done()
    }
}

fn with_components(components: impl Into<String>) -> Guest {
    Guest {
        components: components.into(),
        ..Guest::done()
    }
}

/// The guest with one piece of its text replaced.
#[track_caller]
fn edited(from: &str, to: &str) -> Vec<u8> {
    let text = Guest::done().standalone_text();
    assert!(text.contains(from), "{from}");
    component(&text.replace(from, to))
}

#[test]
fn the_mailed_program_is_admitted() {
    let program = verified(remittance());
    assert_eq!(admit(program).map(|_| ()), Ok(()));
}

#[test]
fn a_file_may_have_its_longest_length_and_not_one_byte_more() {
    let fill = |len: usize| {
        let mut bytes = Guest::done().standalone();
        bytes.resize(len, 0);
        bytes
    };
    refused(
        &fill(limits::FILE_LEN_MAX + 1),
        "E_SIZE",
        "one past the limit",
    );
    let error = check(&fill(limits::FILE_LEN_MAX)).expect_err("padding is no component");
    assert_ne!(error.code(), "E_SIZE");
}

#[test]
fn no_cut_of_a_program_is_admitted_and_none_panics() {
    let bytes = Guest::done().standalone();
    assert_eq!(check(&bytes), Ok(()));
    for len in 0..bytes.len() {
        assert!(check(&bytes[..len]).is_err(), "{len}");
    }
}

#[test]
fn what_is_no_component_is_a_format_error() {
    refused(&[], "E_FORMAT", "nothing");
    refused(b"\0asm\x01\0\0\0", "E_FORMAT", "a core module");
    refused(b"(component)", "E_FORMAT", "text");
    refused(
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
        "E_FORMAT",
        "machine code",
    );
    let invalid = with_parts("(func (result i32) unreachable i64.const 0)");
    let text = invalid.standalone_text();
    refused(
        &component(&text),
        "E_FORMAT",
        "a function of the wrong type",
    );
}

#[test]
fn parts_of_the_component_are_counted_to_the_last() {
    let repeated = |part: &'static str| move |count: usize| with_components(part.repeat(count));
    let shape = "E_POLICY_SHAPE";
    // The guest itself has two modules, one nested component, three core instances, one instance.
    limit(
        limits::CORE_MODULES_MAX - 2,
        shape,
        repeated("(core module)"),
    );
    limit(limits::COMPONENTS_MAX - 1, shape, repeated("(component)"));
    limit(
        limits::INSTANCES_MAX - 3,
        shape,
        repeated("(core instance)"),
    );
    limit(limits::INSTANCES_MAX - 1, shape, repeated("(instance)"));
    limit(limits::COMPONENT_ITEMS_MAX - ITEMS, shape, |count| {
        // In parts, since the length of one section is limited too.
        with_components(
            "(type (list u8)) (instance) ".repeat(count / 8)
                + &"(type (list u8))".repeat(count - count / 8),
        )
    });
    limit(limits::COMPONENT_DEPTH_MAX, shape, |depth| {
        with_components("(component ".repeat(depth) + &")".repeat(depth))
    });
    limit(limits::ENUM_CASES_MAX, shape, |count| {
        let cases: String = (0..count).map(|case| format!(" \"c{case}\"")).collect();
        with_components(format!("(type (enum{cases}))"))
    });
}

/// Component-level items of the guest itself.
const ITEMS: usize = 41;

#[test]
fn parts_of_the_modules_are_counted_to_the_last() {
    let repeated = |part: &'static str| move |count: usize| with_parts(part.repeat(count));
    let shape = "E_POLICY_SHAPE";
    limit(limits::FUNCTIONS_MAX - 2, shape, repeated("(func)"));
    // The library has the allocator's global.
    limit(
        limits::GLOBALS_MAX - 1,
        shape,
        repeated("(global i32 (i32.const 0))"),
    );
    limit(limits::SEGMENTS_MAX, shape, repeated("(data \"\")"));
    limit(limits::SEGMENTS_MAX, shape, |count| {
        with_parts("(table 1 1 funcref)".to_owned() + &"(elem func)".repeat(count))
    });
    limit(limits::MODULE_IMPORTS_MAX, shape, |count| {
        let imports: String = (0..count)
            .map(|n| format!("(import \"\" \"{n}\" (func))"))
            .collect();
        with_components(format!("(core module {imports})"))
    });
    limit(limits::MODULE_EXPORTS_MAX, shape, |count| {
        let exports: String = (0..count)
            .map(|n| format!("(export \"{n}\" (func 0))"))
            .collect();
        with_components(format!("(core module (func) {exports})"))
    });
    limit(
        limits::TYPES_MAX - TYPES,
        shape,
        repeated("(type (func (param i64)))"),
    );
    limit(limits::PARAMS_MAX, shape, |count| {
        with_parts(format!("(type (func (param{})))", " i32".repeat(count)))
    });
}

/// Core types of the guest itself.
const TYPES: usize = 3;

#[test]
fn functions_are_measured_to_the_last_local_byte_and_level() {
    let shape = "E_POLICY_SHAPE";
    limit(limits::LOCALS_MAX, shape, |count| {
        with_parts(format!("(func (local{}))", " i32".repeat(count)))
    });
    // The allocator has one local.
    limit(limits::LOCALS_TOTAL_MAX - 1, shape, |count| {
        let full = format!("(func (local{}))", " i32".repeat(50));
        let rest = format!("(func (local{}))", " i32".repeat(count % 50));
        with_parts(full.repeat(count / 50) + &rest)
    });
    // Locals vector and end: two bytes.
    limit(limits::BODY_LEN_MAX - 2, shape, |len| {
        with_parts(format!("(func{})", " nop".repeat(len)))
    });
    limit(limits::NESTING_MAX, shape, |depth| {
        with_parts(format!(
            "(func {}{})",
            "(block ".repeat(depth),
            ")".repeat(depth)
        ))
    });
    limit(limits::BR_TABLE_MAX, shape, |count| {
        with_parts(format!(
            "(func (br_table{} 0 (i32.const 0)))",
            " 0".repeat(count)
        ))
    });
}

#[test]
fn compile_bombs_are_refused() {
    let locals = format!("(func (local{}))", " i32".repeat(50_000));
    refused(
        &with_parts(locals).standalone(),
        "E_POLICY_SHAPE",
        "50,000 locals",
    );
    let loops = format!("{}{}", "(loop ".repeat(60), ")".repeat(60));
    let phi = format!("(func (local{}) {loops})", " i64".repeat(60));
    refused(
        &with_parts(phi.repeat(4)).standalone(),
        "E_POLICY_COST",
        "loops over locals",
    );
    refused(
        &with_parts("(func)".repeat(2_000)).standalone(),
        "E_POLICY_SHAPE",
        "functions",
    );
}

#[test]
fn memories_have_a_maximum_and_are_summed() {
    let other = |limits: &str| with_components(format!("(core module (memory {limits}))"));
    // The guest's own memory may grow to two pages.
    limit(limits::MEMORY_PAGES_MAX - 2, "E_POLICY_MEM", |pages| {
        other(&format!("0 {pages}"))
    });
    refused(&other("1").standalone(), "E_POLICY_MEM", "no maximum");
    refused(
        &other("65536 65536").standalone(),
        "E_POLICY_MEM",
        "four gigabytes",
    );
}

#[test]
fn tables_have_a_maximum_and_are_few_and_small() {
    limit(limits::TABLES_MAX, "E_POLICY_TABLE", |count| {
        // One per module, since several in one are a feature of their own.
        let table = "(table 1 1 funcref)";
        let other = if count > 2 {
            format!("(core module {table})")
        } else {
            String::new()
        };
        Guest {
            library: if count > 1 {
                table.to_owned()
            } else {
                String::new()
            },
            parts: table.to_owned(),
            components: other,
            ..Guest::done()
        }
    });
    limit(limits::TABLE_ELEMENTS_MAX, "E_POLICY_TABLE", |count| {
        with_parts(format!("(table 0 {count} funcref)"))
    });
    refused(
        &with_parts("(table 1 funcref)").standalone(),
        "E_POLICY_TABLE",
        "no maximum",
    );
    let huge = "(table 10000000 10000000 funcref)";
    refused(&with_parts(huge).standalone(), "E_POLICY_TABLE", "80 MB");
}

#[test]
fn features_outside_the_list_are_refused() {
    for part in [
        "(func (result f64) f64.const 1)",
        "(func (param f32))",
        "(func (drop (i32.trunc_sat_f32_s (f32.const 0))))",
        "(func (result v128) v128.const i64x2 0 0)",
        "(func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))",
        "(func (drop (i32.atomic.load (i32.const 0))))",
        "(func $t return_call $t)",
        "(tag)",
        "(func (try_table))",
        "(type (struct))",
        "(type (array i8))",
        "(func (param externref))",
        "(func (param funcref))",
        "(func (param i31ref))",
        "(table 1 1 externref)",
        "(table 1 1 funcref) (table 1 1 funcref)",
        "(table 1 1 funcref) (func (drop (table.size 0)))",
        "(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))",
        "(type $f (func)) (type (cont $f))",
        "(func (result i64 i64) (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)))",
        "(func (result i32 i32) (i32.const 0) (i32.const 0))",
        "(func (i32.const 0) (block (param i32) (drop)))",
        "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
        "(global (export \"g\") (mut i32) (i32.const 0))",
        "(memory 1 1)",
    ] {
        refused(&with_parts(part).standalone(), "E_FEATURE", part);
    }
    for memory in ["i64 1 1", "1 1 shared", "1 1 (pagesize 1)"] {
        let module = with_components(format!("(core module (memory {memory}))"));
        refused(&module.standalone(), "E_FEATURE", memory);
    }
}

#[test]
fn component_features_outside_the_list_are_refused() {
    for part in [
        "(type (stream u8))",
        "(type (future u8))",
        "(type (list u8 4))",
        "(type (map u8 u8))",
        "(type (func async))",
        "(core func (canon task.cancel))",
        "(core func (canon backpressure.inc))",
        "(core func (canon error-context.drop))",
        "(core func (canon thread.yield))",
    ] {
        refused(&with_components(part).standalone(), "E_FEATURE", part);
    }
    for part in [
        "(type (record (field \"a\" u8)))",
        "(type (variant (case \"a\" u8)))",
        "(type (tuple u8 u8))",
        "(type (flags \"a\"))",
        "(type (option u8))",
        "(type (list string))",
        "(type (list u16))",
        "(type string)",
        "(type (result string))",
        "(type (result u8 (error char)))",
        "(type (func (param \"a\" string)))",
        "(type (func (result f64)))",
        "(component (type (func (param \"a\" string) (result string))))",
        "(type (resource (rep i32)))",
        "(type $r (resource (rep i32))) (core func (canon resource.drop $r))",
    ] {
        refused(&with_components(part).standalone(), "E_POLICY_CANON", part);
    }
    for encoding in ["string-encoding=utf16", "string-encoding=latin1+utf16"] {
        let lift = "(canon lift (core func $run)";
        let bytes = edited(lift, &format!("{lift} {encoding}"));
        refused(&bytes, "E_POLICY_CANON", encoding);
    }
}

#[test]
fn a_result_within_a_result_is_refused_wherever_a_function_could_have_it() {
    for part in [
        "(type $r (result (error u8))) (type (result $r))",
        "(type $r (result u8)) (type (result u8 (error $r)))",
        "(component (type $r (result u8)) (type (func (param \"a\" (result $r)))))",
        "(type $r (result u8)) (component (alias outer 1 $r (type $s)) (type (result $s)))",
        // Two levels down: one level down only the instances of the interface are imported.
        "(component (component (import \"i\" (instance $i
           (type $r (result u8)) (type $f (func (result (result $r))))
           (export \"f\" (type (eq $f)))))
         (alias export $i \"f\" (type $g))))",
    ] {
        refused(&with_components(part).standalone(), "E_POLICY_CANON", part);
    }
    let flat = "(type $l (list u8)) (type (result $l (error u8)))";
    assert_eq!(check(&with_components(flat).standalone()), Ok(()));
}

#[test]
fn code_does_not_cross_between_components() {
    for part in [
        "(core type (module))",
        "(type (component))",
        "(import \"c\" (component))",
        "(component (core module $m) (export \"m\" (core module $m)))",
        "(component (component $c) (export \"c\" (component $c)))",
        "(core module $m) (component (alias outer 1 $m (core module)))",
        "(component $c) (component (alias outer 1 $c (component)))",
        "(core module $m) (instance (export \"m\" (core module $m)))",
    ] {
        let error = check(&with_components(part).standalone()).expect_err(part);
        assert!(
            ["E_POLICY_SHAPE", "E_EXPORT"].contains(&error.code()),
            "{part}: {error}"
        );
    }
    let import = "(component (core type $t (module)) (import \"m\" (core module (type $t))))";
    refused(
        &with_components(import).standalone(),
        "E_POLICY_SHAPE",
        import,
    );
}

#[test]
fn start_functions_are_refused() {
    refused(
        &with_parts("(func $s) (start $s)").standalone(),
        "E_POLICY_START",
        "core",
    );
    refused(
        &with_library("(func $s) (start $s)").standalone(),
        "E_POLICY_START",
        "library",
    );
}

#[test]
fn the_signature_is_the_only_custom_section_and_comes_first() {
    let custom = |name: &str, len: usize| {
        let mut section = vec![u8::try_from(name.len()).expect("short")];
        section.extend_from_slice(name.as_bytes());
        section.resize(section.len() + len, 0);
        let mut bytes = vec![0, u8::try_from(section.len()).expect("short")];
        bytes.extend_from_slice(&section);
        bytes
    };
    let plain = Guest::done().standalone();
    let inserted = |at: usize, section: &[u8]| [&plain[..at], section, &plain[at..]].concat();
    let signature = custom("signature", 4);
    assert_eq!(check(&inserted(8, &signature)), Ok(()));
    let section = "E_POLICY_SECTION";
    refused(&inserted(plain.len(), &signature), section, "at the end");
    refused(&inserted(8, &signature.repeat(2)), section, "twice");
    refused(&inserted(8, &custom("name", 4)), section, "another name");
    refused(
        &inserted(8, &custom("\u{1b}[2J", 100)),
        section,
        "a name with escapes",
    );
    let named = wat::parse_str(Guest::done().standalone_text()).expect("well formed");
    refused(&named, section, "names of functions inside");
}

#[test]
fn only_the_two_capabilities_are_imported() {
    let network = "(import \"tegata:terminal/network@0.1.0\"";
    for name in [
        "network@0.1.9",
        "network@0.1.0-rc1",
        "network",
        "network@0.1.0+build",
        "net@0.1.0",
    ] {
        let bytes = edited(network, &format!("(import \"tegata:terminal/{name}\""));
        refused(&bytes, "E_IMPORT", name);
    }
    for import in [
        "(import \"wasi:cli/environment@0.2.0\" (instance))",
        "(import \"evil:x/y@1.0.0\" (instance))",
        "(import \"tegata:terminal/order@0.1.0\" (instance))",
        "(import \"f\" (func))",
        "(import \"t\" (type (sub resource)))",
    ] {
        refused(&with_components(import).standalone(), "E_IMPORT", import);
    }
    for import in ["wasi:cli/environment@0.2.0", "network"] {
        let inner = format!("(component (import \"{import}\" (instance)))");
        refused(&with_components(&inner).standalone(), "E_IMPORT", import);
    }
    let alone = "(component (component))";
    refused(&component(alone), "E_IMPORT", "imports nothing");
}

#[test]
fn imports_have_exactly_the_types_of_the_interface() {
    for (from, to) in [
        ("(param \"command\" $bytes)", "(param \"cmd\" $bytes)"),
        ("(param \"request\" $bytes)", "(param \"url\" $bytes)"),
        (
            "\"limit\" \"timeout\" \"failed\"))\n    (export \"reader",
            "\"timeout\" \"failed\"))\n    (export \"reader",
        ),
        (
            "(export \"exchange\" (func (type $call)))",
            "(export \"exchange\" (func (type $call))) (export \"more\" (func (type $call)))",
        ),
        (
            "(export \"exchange\" (func (type $call)))",
            "(export \"exchange\" (func (type $call))) (export \"more\" (type (eq $bytes)))",
        ),
    ] {
        refused(&edited(from, to), "E_IMPORT_TYPE", to);
    }
}

#[test]
fn exactly_the_program_is_exported_with_its_type() {
    let export = "(export \"tegata:terminal/program@0.1.0\" (instance $exported))";
    for (to, why) in [
        ("", "nothing exported"),
        (
            "(export \"tegata:terminal/program@0.1.1\" (instance $exported))",
            "another version",
        ),
        ("(export \"run\" (func $run))", "a function"),
        (
            "(export \"tegata:terminal/program@0.1.0\" (func $run))",
            "a function of that name",
        ),
    ] {
        refused(&edited(export, to), "E_EXPORT", why);
    }
    let twice = format!("{export} (export \"other\" (func $run))");
    refused(&edited(export, &twice), "E_EXPORT", "one export more");
    let shorter = edited("\"protocol\" \"refused\"))", "\"protocol\"))");
    refused(&shorter, "E_EXPORT", "another failure enum");
    let empty = edited(
        "(instance $exported (instantiate $program",
        "(instance $exported) (instance (instantiate $program",
    );
    refused(&empty, "E_EXPORT", "an instance without run");
}

#[test]
fn names_from_a_program_are_escaped_and_cut_in_messages() {
    let name = format!("evil:x/{}@1.0.0", "y".repeat(200));
    let import = with_components(format!("(import \"{name}\" (instance))"));
    let shown = check(&import.standalone())
        .expect_err("unknown import")
        .to_string();
    assert!(shown.len() < 140, "{shown}");
    let hostile = AdmitError::named(Rule::Import, "import not allowed", "\u{1b}[2J\u{202e}\n\"");
    assert_eq!(
        hostile.to_string(),
        "program not admitted: import not allowed: \"\\u{1b}[2J\\u{202e}\\n\\\"\""
    );
}

#[test]
fn deeply_nested_types_are_refused_before_they_are_read() {
    // One instance type in the other, 20,000 deep: a parser that went in would overflow the stack.
    let mut types = vec![1];
    for _ in 0..20_000 {
        types.extend([0x42, 1, 1]);
    }
    types.extend([0x42, 0]);
    let mut bytes = b"\0asm\x0d\0\x01\0\x07".to_vec();
    let mut len = types.len();
    while len >= 0x80 {
        bytes.push(u8::try_from(len & 0x7F | 0x80).expect("eight bits"));
        len >>= 7;
    }
    bytes.push(u8::try_from(len).expect("seven bits"));
    bytes.extend(types);
    refused(&bytes, "E_POLICY_SHAPE", "20,000 levels");
    // The same behind a part that only a feature that is off makes valid.
    let stream = [7, 3, 1, 0x66, 0].as_slice();
    let behind = [&bytes[..8], stream, &bytes[8..]].concat();
    refused(&behind, "E_FEATURE", "behind a stream");
}

#[test]
fn a_section_of_component_types_has_at_most_its_length() {
    // Number of types; one enum: 6d, number of cases, length of the name (two bytes).
    let of_len = |len: usize| {
        let name = "a".repeat(len - 5);
        with_components(format!("(component (type (enum \"{name}\")))"))
    };
    let max = limits::COMPONENT_TYPES_LEN_MAX;
    limit(max, "E_POLICY_SHAPE", of_len);
}
