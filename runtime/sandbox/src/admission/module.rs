//! Limits of the core modules inside a program.

use wasmparser::{CompositeInnerType, FunctionBody, Operator, Payload};

use super::{AdmitError, Count, Rule, announced, at_most, malformed};
use crate::limits;

/// What all core modules of a file have in common.
#[derive(Debug, Default)]
pub(super) struct Tally {
    modules: Count,
    types: Count,
    functions: Count,
    locals: Count,
    globals: Count,
    memory_pages: Count,
    tables: Count,
    data_segments: Count,
    element_segments: Count,
    cost: Count,
}

impl Tally {
    /// Counts one more module.
    pub(super) fn begin(&mut self) -> Result<(), AdmitError> {
        self.modules.add(
            1,
            limits::CORE_MODULES_MAX,
            Rule::Shape,
            "too many core modules",
        )
    }

    /// A program without a core module does nothing.
    pub(super) fn complete(&self) -> Result<(), AdmitError> {
        if self.modules.0 == 0 {
            return Err(AdmitError::new(Rule::Shape, "no core module"));
        }
        Ok(())
    }

    /// The cost score so far.
    #[cfg(test)]
    pub(super) const fn cost(&self) -> usize {
        self.cost.0
    }

    /// Checks one part of a module before it is validated.
    pub(super) fn payload(&mut self, payload: &Payload<'_>) -> Result<(), AdmitError> {
        let shape = Rule::Shape;
        match payload {
            Payload::TypeSection(types) => self.types(types.clone()),
            Payload::ImportSection(imports) => {
                let count = announced(imports.count());
                at_most(
                    count,
                    limits::MODULE_IMPORTS_MAX,
                    shape,
                    "too many imports of a module",
                )
            }
            Payload::ExportSection(exports) => {
                let count = announced(exports.count());
                at_most(
                    count,
                    limits::MODULE_EXPORTS_MAX,
                    shape,
                    "too many exports of a module",
                )
            }
            Payload::FunctionSection(functions) => {
                let count = announced(functions.count());
                self.functions
                    .add(count, limits::FUNCTIONS_MAX, shape, "too many functions")
            }
            Payload::GlobalSection(globals) => {
                let count = announced(globals.count());
                self.globals
                    .add(count, limits::GLOBALS_MAX, shape, "too many globals")
            }
            Payload::ElementSection(segments) => {
                let count = announced(segments.count());
                let what = "too many element segments";
                self.element_segments
                    .add(count, limits::SEGMENTS_MAX, shape, what)
            }
            Payload::DataSection(segments) => {
                let count = announced(segments.count());
                self.data_segments
                    .add(count, limits::SEGMENTS_MAX, shape, "too many data segments")
            }
            Payload::MemorySection(memories) => self.memories(memories.clone()),
            Payload::TableSection(tables) => self.tables(tables.clone()),
            Payload::CodeSectionEntry(body) => self.function(body),
            Payload::StartSection { .. } => Err(AdmitError::new(Rule::Start, "a start function")),
            Payload::TagSection(_) => Err(AdmitError::new(Rule::Feature, "exceptions")),
            // Two counts that the sections above are compared with by the validator.
            Payload::CodeSectionStart { .. } | Payload::DataCountSection { .. } => Ok(()),
            _ => Err(AdmitError::new(
                Rule::Section,
                "an unknown section in a module",
            )),
        }
    }

    fn types(&mut self, types: wasmparser::TypeSectionReader<'_>) -> Result<(), AdmitError> {
        let count = announced(types.count());
        self.types
            .add(count, limits::TYPES_MAX, Rule::Shape, "too many types")?;
        for group in types {
            let group = group.map_err(malformed)?;
            for sub_type in group.types() {
                let CompositeInnerType::Func(function) = &sub_type.composite_type.inner else {
                    return Err(AdmitError::new(
                        Rule::Feature,
                        "a type other than a function",
                    ));
                };
                let what = "too many parameters";
                at_most(
                    function.params().len(),
                    limits::PARAMS_MAX,
                    Rule::Shape,
                    what,
                )?;
            }
        }
        Ok(())
    }

    fn memories(
        &mut self,
        memories: wasmparser::MemorySectionReader<'_>,
    ) -> Result<(), AdmitError> {
        for memory in memories {
            let memory = memory.map_err(malformed)?;
            // A memory of another kind is for the validator to refuse, as a feature.
            if memory.memory64 || memory.shared || memory.page_size_log2.is_some() {
                return Err(AdmitError::new(Rule::Feature, "a memory of another kind"));
            }
            let Some(maximum) = memory.maximum else {
                return Err(AdmitError::new(Rule::Memory, "a memory without maximum"));
            };
            let pages = usize::try_from(maximum.max(memory.initial)).unwrap_or(usize::MAX);
            let max = limits::MEMORY_PAGES_MAX;
            self.memory_pages
                .add(pages, max, Rule::Memory, "too much memory")?;
        }
        Ok(())
    }

    fn tables(&mut self, tables: wasmparser::TableSectionReader<'_>) -> Result<(), AdmitError> {
        for table in tables {
            let table = table.map_err(malformed)?.ty;
            self.tables
                .add(1, limits::TABLES_MAX, Rule::Table, "too many tables")?;
            let Some(maximum) = table.maximum else {
                return Err(AdmitError::new(Rule::Table, "a table without maximum"));
            };
            let elements = usize::try_from(maximum.max(table.initial)).unwrap_or(usize::MAX);
            at_most(
                elements,
                limits::TABLE_ELEMENTS_MAX,
                Rule::Table,
                "too large a table",
            )?;
        }
        Ok(())
    }

    fn function(&mut self, body: &FunctionBody<'_>) -> Result<(), AdmitError> {
        at_most(
            body.range().len(),
            limits::BODY_LEN_MAX,
            Rule::Shape,
            "too long a function",
        )?;
        let mut locals = 0_usize;
        for group in body.get_locals_reader().map_err(malformed)? {
            let (count, _type) = group.map_err(malformed)?;
            locals = locals.saturating_add(announced(count));
        }
        at_most(
            locals,
            limits::LOCALS_MAX,
            Rule::Shape,
            "too many locals in a function",
        )?;
        let total = limits::LOCALS_TOTAL_MAX;
        self.locals
            .add(locals, total, Rule::Shape, "too many locals in all")?;
        let Weight { branches, straight } = weigh(body)?;
        let cost = locals
            .saturating_add(4)
            .saturating_mul(branches.saturating_add(1))
            .saturating_add(straight);
        self.cost.add(
            cost,
            limits::COST_MAX,
            Rule::Cost,
            "too expensive to compile",
        )
    }
}

/// What the compiler makes of a function's operators.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    /// What makes control flow: a loop four times, each target of a `br_table` once.
    branches: usize,
    /// What makes much code where it stands, control flow or not.
    straight: usize,
}

/// Points of an operator that calls: another function, or the engine to work on the memory. Measured:
/// a file full of indirect calls compiled for a second, thirty times as long as full of branches.
const CALL_POINTS: usize = 16;

/// Points of an operator that checks bounds or a divisor.
const CHECK_POINTS: usize = 2;

/// Points of an operator that leaves the function: what it has spent is written back there.
const LEAVE_POINTS: usize = 4;

fn weigh(body: &FunctionBody<'_>) -> Result<Weight, AdmitError> {
    let mut weight = Weight::default();
    let mut depth = Count::default();
    let mut operators = body.get_operators_reader().map_err(malformed)?;
    while !operators.eof() {
        let operator = operators.read().map_err(malformed)?;
        let branches = match &operator {
            Operator::Block { .. } | Operator::If { .. } | Operator::Loop { .. } => {
                depth.add(1, limits::NESTING_MAX, Rule::Shape, "too deep nesting")?;
                if matches!(operator, Operator::Loop { .. }) {
                    4
                } else {
                    1
                }
            }
            Operator::End => {
                depth.0 = depth.0.saturating_sub(1);
                0
            }
            Operator::Else | Operator::BrIf { .. } => 1,
            Operator::BrTable { targets } => {
                let count = announced(targets.len());
                at_most(
                    count,
                    limits::BR_TABLE_MAX,
                    Rule::Shape,
                    "too many branch targets",
                )?;
                count
            }
            _ => 0,
        };
        weight.branches = weight.branches.saturating_add(branches);
        weight.straight = weight.straight.saturating_add(straight(&operator));
    }
    Ok(weight)
}

const fn straight(operator: &Operator<'_>) -> usize {
    match operator {
        Operator::Call { .. }
        | Operator::CallIndirect { .. }
        | Operator::MemoryGrow { .. }
        | Operator::MemoryFill { .. }
        | Operator::MemoryCopy { .. }
        | Operator::MemoryInit { .. }
        | Operator::DataDrop { .. }
        | Operator::TableCopy { .. }
        | Operator::TableInit { .. }
        | Operator::ElemDrop { .. } => CALL_POINTS,
        Operator::I32Load { .. }
        | Operator::I64Load { .. }
        | Operator::I32Load8S { .. }
        | Operator::I32Load8U { .. }
        | Operator::I32Load16S { .. }
        | Operator::I32Load16U { .. }
        | Operator::I64Load8S { .. }
        | Operator::I64Load8U { .. }
        | Operator::I64Load16S { .. }
        | Operator::I64Load16U { .. }
        | Operator::I64Load32S { .. }
        | Operator::I64Load32U { .. }
        | Operator::I32Store { .. }
        | Operator::I64Store { .. }
        | Operator::I32Store8 { .. }
        | Operator::I32Store16 { .. }
        | Operator::I64Store8 { .. }
        | Operator::I64Store16 { .. }
        | Operator::I64Store32 { .. }
        | Operator::I32DivS
        | Operator::I32DivU
        | Operator::I32RemS
        | Operator::I32RemU
        | Operator::I64DivS
        | Operator::I64DivU
        | Operator::I64RemS
        | Operator::I64RemU => CHECK_POINTS,
        Operator::Unreachable | Operator::Return => LEAVE_POINTS,
        _ => 0,
    }
}
