//! The fixed wrapper that joins a template and an order to one component.
//!
//! Source: `docs/program-format.md`, section "Body".

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use sha2::{Digest, Sha256};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, CodeSection, Component,
    ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentImportSection,
    ComponentInstanceSection, ComponentSectionId, ComponentTypeRef, ComponentTypeSection,
    ComponentValType, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection,
    InstanceSection, InstanceType, MemorySection, MemoryType, Module, ModuleSection,
    PrimitiveValType, RawSection, TypeBounds, TypeSection, ValType,
};

use crate::order::OrderBytes;
use crate::signature::HEADER;

/// The card reader's interface: imported by every program.
pub const READER: &str = "tegata:terminal/reader@0.1.0";
/// The interface of the channel to the issuer: imported by every program.
pub const NETWORK: &str = "tegata:terminal/network@0.1.0";
/// The interface through which a template reads its order; met inside the program.
pub const ORDER: &str = "tegata:terminal/order@0.1.0";
/// What a program exports.
pub const PROGRAM: &str = "tegata:terminal/program@0.1.0";

/// Longest template in bytes: with the longest order, the file stays below
/// [`crate::FILE_LEN_MAX`].
pub const TEMPLATE_LEN_MAX: usize = 62 * 1024;

/// Cases of `reader-error`, in the order of `wit/terminal`.
const READER_ERRORS: [&str; 6] = ["no-card", "removed", "denied", "limit", "timeout", "failed"];
/// Cases of `network-error`, in the order of `wit/terminal`.
const NETWORK_ERRORS: [&str; 5] = ["offline", "denied", "limit", "timeout", "failed"];

/// Where the order component keeps the pair of pointer and length that `bytes` gives back; not
/// at 0, which guests take for null.
const RESULT_ADDRESS: i32 = 8;
/// Where it keeps the order bytes: behind the pair.
const ORDER_ADDRESS: u32 = 16;
/// Length of the order component before and behind the order bytes. Fixed, because every length
/// that the order enters takes two bytes from [`crate::ORDER_LEN_MIN`] on.
const ORDER_HEAD_LEN: usize = 82;
const ORDER_TAIL_LEN: usize = 98;

/// A template: the component that does the work, without an order.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    bytes: Vec<u8>,
    hash: [u8; 32],
}

/// Why bytes are no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// Longer than [`TEMPLATE_LEN_MAX`].
    #[error("template is longer than {TEMPLATE_LEN_MAX} bytes")]
    TooLong,
    /// Not headed as a WebAssembly component.
    #[error("template is not a WebAssembly component")]
    Header,
}

impl Template {
    /// Takes the bytes of a component of world `remittance-template`.
    ///
    /// Only length and header are checked here; what the code may do is checked at admission.
    ///
    /// # Errors
    /// [`TemplateError::TooLong`], then [`TemplateError::Header`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, TemplateError> {
        if bytes.len() > TEMPLATE_LEN_MAX {
            return Err(TemplateError::TooLong);
        }
        if !bytes.starts_with(&HEADER) {
            return Err(TemplateError::Header);
        }
        let hash = Sha256::digest(&bytes).into();
        Ok(Self { bytes, hash })
    }

    /// The component.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the component: the template's name in orders and lists.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({} bytes)", self.bytes.len())
    }
}

/// The body of a program: everything behind the signature section.
///
/// Prefix, template, order component, suffix; a function of its arguments alone.
#[must_use]
pub fn body(template: &Template, order: &OrderBytes) -> Vec<u8> {
    join(template.as_bytes(), order.as_bytes())
}

/// Where template and order lie in a body.
pub(crate) struct Parts {
    pub(crate) template: Range<usize>,
    pub(crate) order: Range<usize>,
}

/// Finds template and order in a body, and holds the body against one built from them.
///
/// Nothing if it differs by as much as one byte. The order bytes are not read here.
pub(crate) fn split(body: &[u8]) -> Option<Parts> {
    let (template, next) = component_at(body, prefix().len())?;
    let (order_component, _) = component_at(body, next)?;
    let order = Range {
        start: order_component.start.checked_add(ORDER_HEAD_LEN)?,
        end: order_component.end.checked_sub(ORDER_TAIL_LEN)?,
    };
    let rebuilt = join(body.get(template.clone())?, body.get(order.clone())?);
    (rebuilt == body).then_some(Parts { template, order })
}

/// The content of the component section at `offset`, and where the next section starts.
fn component_at(body: &[u8], offset: usize) -> Option<(Range<usize>, usize)> {
    let section = body.get(offset..)?;
    let (id, rest) = section.split_first()?;
    let mut len: usize = 0;
    let mut len_bytes: usize = 0;
    // Three bytes say lengths below 2^21, more than a file may have.
    for (byte, shift) in rest.iter().zip([0u32, 7, 14]) {
        len |= usize::from(byte & 0x7f).checked_shl(shift)?;
        len_bytes = len_bytes.checked_add(1)?;
        if byte & 0x80 == 0 {
            let start = offset.checked_add(1)?.checked_add(len_bytes)?;
            let end = start.checked_add(len)?;
            return (*id == ComponentSectionId::Component as u8).then_some((start..end, end));
        }
    }
    None
}

fn join(template: &[u8], order: &[u8]) -> Vec<u8> {
    let mut component = Component::new();
    interfaces(&mut component);
    for bytes in [template, &order_component(order)] {
        component.section(&RawSection {
            id: ComponentSectionId::Component as u8,
            data: bytes,
        });
    }
    instances(&mut component);
    without_header(component)
}

/// The part before the template: the same in every body.
fn prefix() -> Vec<u8> {
    let mut component = Component::new();
    interfaces(&mut component);
    without_header(component)
}

fn without_header(component: Component) -> Vec<u8> {
    let mut bytes = component.finish();
    bytes.drain(..HEADER.len());
    bytes
}

/// Types and imports of the two capabilities.
fn interfaces(component: &mut Component) {
    let mut types = ComponentTypeSection::new();
    types
        .instance(&capability(
            "reader-error",
            &READER_ERRORS,
            "transmit",
            "command",
        ))
        .instance(&capability(
            "network-error",
            &NETWORK_ERRORS,
            "exchange",
            "request",
        ));
    component.section(&types);
    let mut imports = ComponentImportSection::new();
    imports
        .import(READER, ComponentTypeRef::Instance(0))
        .import(NETWORK, ComponentTypeRef::Instance(1));
    component.section(&imports);
}

/// An interface of one error enum and one function from bytes to bytes or that error.
fn capability(error: &str, cases: &[&str], function: &str, parameter: &str) -> InstanceType {
    let mut instance = InstanceType::new();
    instance
        .ty()
        .defined_type()
        .enum_type(cases.iter().copied());
    instance.export(error, ComponentTypeRef::Type(TypeBounds::Eq(0)));
    instance
        .ty()
        .defined_type()
        .list(ComponentValType::Primitive(PrimitiveValType::U8));
    let bytes = ComponentValType::Type(2);
    instance
        .ty()
        .defined_type()
        .result(Some(bytes), Some(ComponentValType::Type(1)));
    instance
        .ty()
        .function()
        .params([(parameter, bytes)])
        .result(Some(ComponentValType::Type(3)));
    instance.export(function, ComponentTypeRef::Func(4));
    instance
}

/// Instances and the export: first the order, then the template with all it imports.
fn instances(component: &mut Component) {
    let kind = ComponentExportKind::Instance;
    let mut order = ComponentInstanceSection::new();
    order.instantiate::<_, &str>(1, []);
    component.section(&order);
    component.section(&exported_instance(2, ORDER));
    let mut template = ComponentInstanceSection::new();
    template.instantiate(0, [(READER, kind, 0), (NETWORK, kind, 1), (ORDER, kind, 3)]);
    component.section(&template);
    component.section(&exported_instance(4, PROGRAM));
    let mut exports = ComponentExportSection::new();
    exports.export(PROGRAM, kind, 5, None);
    component.section(&exports);
}

/// What `instance` exports as `name`.
fn exported_instance(instance: u32, name: &str) -> ComponentAliasSection {
    let mut aliases = ComponentAliasSection::new();
    aliases.alias(Alias::InstanceExport {
        instance,
        kind: ComponentExportKind::Instance,
        name,
    });
    aliases
}

/// A component whose `bytes` gives the order bytes from its memory and computes nothing.
fn order_component(order: &[u8]) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&ModuleSection(&order_module(order)));
    let mut core = InstanceSection::new();
    core.instantiate::<_, &str>(0, []);
    component.section(&core);
    let mut aliases = ComponentAliasSection::new();
    for (kind, name) in [(ExportKind::Memory, "memory"), (ExportKind::Func, "bytes")] {
        aliases.alias(Alias::CoreInstanceExport {
            instance: 0,
            kind,
            name,
        });
    }
    component.section(&aliases);
    let mut types = ComponentTypeSection::new();
    types
        .defined_type()
        .list(ComponentValType::Primitive(PrimitiveValType::U8));
    types
        .function()
        .params::<[(&str, ComponentValType); 0], _>([])
        .result(Some(ComponentValType::Type(0)));
    component.section(&types);
    let mut functions = CanonicalFunctionSection::new();
    functions.lift(0, 1, [CanonicalOption::Memory(0)]);
    component.section(&functions);
    let mut section = ComponentInstanceSection::new();
    section.export_items([("bytes", ComponentExportKind::Func, 0)]);
    component.section(&section);
    let mut exports = ComponentExportSection::new();
    exports.export(ORDER, ComponentExportKind::Instance, 0, None);
    component.section(&exports);
    component.finish()
}

/// One page with the pair of pointer and length and the order; one function giving the pair.
fn order_module(order: &[u8]) -> Module {
    let mut module = Module::new();
    let mut types = TypeSection::new();
    types.ty().function([], [ValType::I32]);
    module.section(&types);
    let mut functions = FunctionSection::new();
    functions.function(0);
    module.section(&functions);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1,
        maximum: Some(1),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    module.section(&memories);
    let mut exports = ExportSection::new();
    exports
        .export("memory", ExportKind::Memory, 0)
        .export("bytes", ExportKind::Func, 0);
    module.section(&exports);
    let mut code = CodeSection::new();
    let mut function = Function::new([]);
    function.instructions().i32_const(RESULT_ADDRESS).end();
    code.function(&function);
    module.section(&code);
    let len = u32::try_from(order.len()).unwrap_or(u32::MAX);
    let pair = [ORDER_ADDRESS.to_le_bytes(), len.to_le_bytes()].concat();
    let mut data = DataSection::new();
    data.active(
        0,
        &ConstExpr::i32_const(RESULT_ADDRESS),
        pair.iter().chain(order).copied().collect::<Vec<u8>>(),
    );
    module.section(&data);
    module
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FILE_LEN_MAX, ORDER_LEN_MAX, ORDER_LEN_MIN};
    use alloc::vec;

    #[test]
    fn the_order_lies_at_a_fixed_place_in_its_component_at_every_length() {
        for len in [ORDER_LEN_MIN, 255, 256, ORDER_LEN_MAX] {
            let order: Vec<u8> = (0..=250u8).cycle().take(len).collect();
            let component = order_component(&order);
            let place = ORDER_HEAD_LEN..component.len() - ORDER_TAIL_LEN;
            assert_eq!(component.get(place), Some(order.as_slice()), "{len}");
        }
    }

    #[test]
    fn the_longest_template_with_the_longest_order_fits_a_file() {
        let mut template = HEADER.to_vec();
        template.resize(TEMPLATE_LEN_MAX, 0);
        let body = join(&template, &vec![0; ORDER_LEN_MAX]);
        assert!(body.len() + crate::BODY_OFFSET <= FILE_LEN_MAX);
        let parts = split(&body).expect("a body is found to be one");
        assert_eq!(parts.template.len(), TEMPLATE_LEN_MAX);
        assert_eq!(parts.order.len(), ORDER_LEN_MAX);
    }

    #[test]
    fn templates_have_the_header_and_the_length_of_templates() {
        let mut bytes = HEADER.to_vec();
        assert!(Template::new(bytes.clone()).is_ok());
        bytes.resize(TEMPLATE_LEN_MAX, 0);
        assert!(Template::new(bytes.clone()).is_ok());
        bytes.push(0);
        assert_eq!(Template::new(bytes), Err(TemplateError::TooLong));
        for bytes in [b"".as_slice(), b"\0asm\x0d\0\x01", b"\0asm\x01\0\0\0\0"] {
            assert_eq!(Template::new(bytes.to_vec()), Err(TemplateError::Header));
        }
    }
}
