//! Admission: one static pass over a verified program before anything is compiled.
//!
//! The pass admits what docs/sandbox.md, section "Admission", lists and refuses everything else:
//! features, sections, shape, exact import and export sets with their types, start sections, sizes
//! and the cost of compiling. It decides alone: the runner links only what the pass has admitted.
//! Limits are checked before the validator sees the part that they bound.

mod component;
mod interface;
mod module;
#[cfg(test)]
mod tests;

use program::{NETWORK, ORDER, PROGRAM, READER, VerifiedProgram};
use wasmparser::{Encoding, Parser, Payload, ValidPayload, Validator, WasmFeatures};

use crate::limits;

/// The only custom section that is admitted, and only as the very first section.
const SIGNATURE_SECTION: &str = "signature";

/// How deep the program's own component is, counted from one, and how deep its template.
const OUTERMOST: usize = 1;
const TEMPLATE: usize = 2;

/// Longest part of a name from the program that an error shows, in characters.
const SHOWN_LEN_MAX: usize = 80;

/// A program that was verified and has passed the static policy.
#[derive(Debug)]
pub struct AdmittedProgram(VerifiedProgram);

impl AdmittedProgram {
    /// The verified program as it was handed to [`admit`].
    #[must_use]
    pub const fn verified(&self) -> &VerifiedProgram {
        &self.0
    }
}

/// Admits a verified program to the runner.
///
/// # Errors
///
/// [`AdmitError`] with the first rule that the program breaks, in file order.
pub fn admit(program: VerifiedProgram) -> Result<AdmittedProgram, AdmitError> {
    check(program.bytes())?;
    Ok(AdmittedProgram(program))
}

/// The kind of rule that a program breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// The file is longer than a program may be.
    Size,
    /// Not a well-formed component.
    Format,
    /// A WebAssembly or component-model feature that programs may not use.
    Feature,
    /// A custom or unknown section.
    Section,
    /// A start function, which would run before the user agreed.
    Start,
    /// Too many, too long or too deep.
    Shape,
    /// A canonical option or a type that the interface does not need.
    Canon,
    /// A memory without maximum, or too much memory.
    Memory,
    /// A table without maximum, too large, or one too many.
    Table,
    /// Too expensive to compile.
    Cost,
    /// An import too many, missing, or under another name.
    Import,
    /// An import whose type is not that of the interface.
    ImportType,
    /// An export too many, missing, under another name, or of another type.
    Export,
}

impl Rule {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Size => "E_SIZE",
            Self::Format => "E_FORMAT",
            Self::Feature => "E_FEATURE",
            Self::Section => "E_POLICY_SECTION",
            Self::Start => "E_POLICY_START",
            Self::Shape => "E_POLICY_SHAPE",
            Self::Canon => "E_POLICY_CANON",
            Self::Memory => "E_POLICY_MEM",
            Self::Table => "E_POLICY_TABLE",
            Self::Cost => "E_POLICY_COST",
            Self::Import => "E_IMPORT",
            Self::ImportType => "E_IMPORT_TYPE",
            Self::Export => "E_EXPORT",
        }
    }
}

/// Why a program was not admitted.
///
/// `Display` shows a fixed text and, for imports and exports, the name with every character outside
/// printable ASCII escaped; nothing else of the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("program not admitted: {what}{}", shown(.name))]
pub struct AdmitError {
    rule: Rule,
    what: &'static str,
    name: Option<String>,
}

impl AdmitError {
    const fn new(rule: Rule, what: &'static str) -> Self {
        Self {
            rule,
            what,
            name: None,
        }
    }

    /// Names an import or export; `name` comes from the program and is escaped and cut here.
    fn named(rule: Rule, what: &'static str, name: &str) -> Self {
        let escaped = name
            .chars()
            .flat_map(char::escape_default)
            .take(SHOWN_LEN_MAX)
            .collect();
        Self {
            rule,
            what,
            name: Some(escaped),
        }
    }

    /// The rule that is broken.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        self.rule
    }

    /// The stable code of the rule.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.rule.code()
    }
}

fn shown(name: &Option<String>) -> String {
    name.as_ref()
        .map(|name| format!(": \"{name}\""))
        .unwrap_or_default()
}

/// Counts up to a limit over the whole file.
#[derive(Debug, Clone, Copy, Default)]
struct Count(usize);

impl Count {
    /// Adds and refuses what passes `max`.
    fn add(
        &mut self,
        amount: usize,
        max: usize,
        rule: Rule,
        what: &'static str,
    ) -> Result<(), AdmitError> {
        self.0 = self.0.saturating_add(amount);
        at_most(self.0, max, rule, what)
    }
}

fn at_most(value: usize, max: usize, rule: Rule, what: &'static str) -> Result<(), AdmitError> {
    if value > max {
        Err(AdmitError::new(rule, what))
    } else {
        Ok(())
    }
}

/// Length of a section's list as announced.
fn announced(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// What programs may be made of. Without the two features that the engine needs for its own
/// adapters, several memories and mutable globals across modules (docs/sandbox.md, "Engine").
fn features() -> WasmFeatures {
    WasmFeatures::COMPONENT_MODEL
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::CALL_INDIRECT_OVERLONG
}

/// The static pass; see [`admit`].
///
/// Bytes that are malformed only without some feature are refused for the feature.
pub(crate) fn check(bytes: &[u8]) -> Result<(), AdmitError> {
    at_most(
        bytes.len(),
        limits::FILE_LEN_MAX,
        Rule::Size,
        "the file is too long",
    )?;
    let result = pass(bytes, features());
    let is_format = |result: &Result<(), AdmitError>| {
        result
            .as_ref()
            .is_err_and(|error| error.rule == Rule::Format)
    };
    if is_format(&result) && !is_format(&pass(bytes, WasmFeatures::all())) {
        return Err(AdmitError::new(Rule::Feature, DISABLED));
    }
    result
}

const DISABLED: &str = "a feature that programs may not use";

fn malformed(error: wasmparser::Error) -> AdmitError {
    if error.missing_wasm_feature().is_some() {
        AdmitError::new(Rule::Feature, DISABLED)
    } else {
        AdmitError::new(Rule::Format, "not a well-formed component")
    }
}

fn pass(bytes: &[u8], features: WasmFeatures) -> Result<(), AdmitError> {
    let mut validator = Validator::new_with_features(features);
    let mut allocations = wasmparser::FuncValidatorAllocations::default();
    let mut policy = Policy::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(malformed)?;
        policy.payload(&payload)?;
        match validator.payload(&payload).map_err(malformed)? {
            ValidPayload::Func(function, body) => {
                let mut function = function.into_validator(allocations);
                function.validate(&body).map_err(malformed)?;
                allocations = function.into_allocations();
            }
            ValidPayload::End(types) => {
                interface::flat(types.as_ref())?;
                if policy.levels.len() == OUTERMOST {
                    interface::check_inner(types.as_ref())?;
                }
                if policy.levels.is_empty() {
                    policy.component.complete()?;
                    policy.module.complete()?;
                    interface::check(types.as_ref())?;
                }
            }
            ValidPayload::Ok | ValidPayload::Parser(_) => {}
        }
    }
    Ok(())
}

/// Where the pass is in the file, and what it has counted.
#[derive(Default)]
struct Policy {
    levels: Vec<Encoding>,
    signature_may_follow: bool,
    component: component::Tally,
    module: module::Tally,
}

impl Policy {
    /// Checks one part before the validator looks at it.
    fn payload(&mut self, payload: &Payload<'_>) -> Result<(), AdmitError> {
        let signature_may_follow = std::mem::take(&mut self.signature_may_follow);
        match payload {
            Payload::Version { encoding, .. } => {
                match (self.levels.last(), encoding) {
                    (None, Encoding::Component) => self.signature_may_follow = true,
                    (None, Encoding::Module) => {
                        return Err(AdmitError::new(Rule::Format, "a core module, no component"));
                    }
                    (Some(_), Encoding::Component) => self.component.nested(self.levels.len())?,
                    (Some(_), Encoding::Module) => self.module.begin()?,
                }
                self.levels.push(*encoding);
                Ok(())
            }
            Payload::CustomSection(section) => {
                if signature_may_follow && section.name() == SIGNATURE_SECTION {
                    Ok(())
                } else {
                    Err(AdmitError::new(Rule::Section, "a custom section"))
                }
            }
            Payload::End(_) => {
                self.levels.pop();
                Ok(())
            }
            other if self.levels.last() == Some(&Encoding::Module) => self.module.payload(other),
            other => self.component.payload(other, self.levels.len()),
        }
    }
}
