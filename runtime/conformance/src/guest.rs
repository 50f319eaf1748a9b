//! Guests: one lawful template as text, and what a case changes in it.

use crate::wasm;

/// Sends the lawful instruction of this remittance and returns what the issuer answered.
const ASK: &str =
    "(call $exchange (i32.const 4096) (i32.const {len}) (i32.const 64)) (i32.const 64)";

/// A template as text. The lawful one asks the issuer for the receipt and returns it; a case puts
/// something before that, beside it, or in its place.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    library: String,
    memory: String,
    parts: String,
    before: String,
    result: String,
    components: String,
    edits: Vec<(String, String)>,
    names: bool,
}

impl Guest {
    /// The lawful guest.
    pub(crate) fn lawful() -> Self {
        Self {
            library: String::new(),
            memory: "1 2".to_owned(),
            parts: String::new(),
            before: String::new(),
            result: ASK.to_owned(),
            components: String::new(),
            edits: Vec::new(),
            names: false,
        }
    }

    /// Does this first, then what is lawful. `$transmit` and `$exchange` take pointer, length and
    /// the address of the result; a result is a tag byte, and at 4 pointer and length, or the error.
    pub(crate) fn does(statements: impl Into<String>) -> Self {
        Self {
            before: statements.into(),
            ..Self::lawful()
        }
    }

    /// Returns the result at the address that this leaves on the stack.
    pub(crate) fn returns(expression: impl Into<String>) -> Self {
        Self {
            result: expression.into(),
            ..Self::lawful()
        }
    }

    /// With further parts of the main module.
    pub(crate) fn parts(self, parts: impl Into<String>) -> Self {
        Self {
            parts: parts.into(),
            ..self
        }
    }

    /// With further parts of the module that has the memory and the allocator.
    pub(crate) fn library(self, library: impl Into<String>) -> Self {
        Self {
            library: library.into(),
            ..self
        }
    }

    /// With these limits of the memory.
    pub(crate) fn memory(self, limits: impl Into<String>) -> Self {
        Self {
            memory: limits.into(),
            ..self
        }
    }

    /// With further parts at the level of the component.
    pub(crate) fn components(self, components: impl Into<String>) -> Self {
        Self {
            components: components.into(),
            ..self
        }
    }

    /// With one piece of its text replaced.
    pub(crate) fn edited(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.to_owned(), to.to_owned()));
        self
    }

    /// With the name sections that the text leaves behind.
    pub(crate) fn named(self) -> Self {
        Self {
            names: true,
            ..self
        }
    }

    fn text(&self, instruction: &[u8]) -> String {
        let run = format!("{} {}", self.before, self.result);
        let run = run.replace("{len}", &instruction.len().to_string());
        let filled = [
            ("{components}", self.components.as_str()),
            ("{library}", &self.library),
            ("{memory}", &self.memory),
            ("{parts}", &self.parts),
            ("{run}", &run),
            ("{instruction}", &wasm::escaped(instruction)),
        ]
        .into_iter()
        .fold(include_str!("guest.wat").to_owned(), |text, (from, to)| {
            text.replace(from, to)
        });
        self.edits.iter().fold(filled, |text, (from, to)| {
            assert!(text.contains(from.as_str()), "nothing to edit: {from}");
            text.replacen(from.as_str(), to, 1)
        })
    }

    /// The template's bytes; `instruction` is the request that the lawful guest sends.
    pub(crate) fn template(&self, instruction: &[u8]) -> Vec<u8> {
        let text = self.text(instruction);
        if self.names {
            wasm::with_names(&text)
        } else {
            wasm::component(&text)
        }
    }
}

/// Statements that send `bytes` over `$transmit` or `$exchange`, and the data they need.
///
/// The bytes lie at 2,048; the result at 64 is what the guest returns if nothing follows.
pub(crate) fn sends(function: &str, bytes: &[u8]) -> Guest {
    Guest::returns(format!(
        "(call ${function} (i32.const 2048) (i32.const {}) (i32.const 64)) (i32.const 64)",
        bytes.len()
    ))
    .parts(format!(
        "(data (i32.const 2048) \"{}\")",
        wasm::escaped(bytes)
    ))
}

/// Statements that send the same bytes `count` times, before what is lawful.
pub(crate) fn floods(function: &str, bytes: &[u8], count: usize) -> Guest {
    Guest::does(format!(
        "(local $left i32) (local.set $left (i32.const {count}))
         (block (loop
           (br_if 1 (i32.eqz (local.get $left)))
           (call ${function} (i32.const 2048) (i32.const {}) (i32.const 128))
           (local.set $left (i32.sub (local.get $left) (i32.const 1)))
           (br 0)))",
        bytes.len()
    ))
    .parts(format!(
        "(data (i32.const 2048) \"{}\")",
        wasm::escaped(bytes)
    ))
}

/// Makes these calls one after the other and returns the answer to the last.
pub(crate) fn sequence(calls: &[(&str, &[u8])]) -> Guest {
    let mut at = 2_048;
    let mut statements = String::new();
    let mut data = Vec::new();
    for (function, bytes) in calls {
        let len = bytes.len();
        statements.push_str(&format!(
            "(call ${function} (i32.const {at}) (i32.const {len}) (i32.const 64)) "
        ));
        data.extend_from_slice(bytes);
        at += len;
    }
    Guest::returns(format!("{statements} (i32.const 64)")).parts(format!(
        "(data (i32.const 2048) \"{}\")",
        wasm::escaped(&data)
    ))
}
