//! The types of what a program imports and exports, compared with the interface `tegata:terminal`.
//!
//! Every function of it has one form: at most one parameter, a list of bytes, and a result that is
//! a list of bytes or one enum. So one description per interface is enough.

use wasmparser::PrimitiveValType;
use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType,
    ComponentFuncTypeId, ComponentItem, ComponentValType,
};
use wasmparser::types::TypesRef;

use super::{AdmitError, NETWORK, ORDER, PROGRAM, READER, Rule};

/// One interface: its enum and its function.
struct Interface {
    name: &'static str,
    error: &'static str,
    cases: &'static [&'static str],
    function: &'static str,
    parameter: Option<&'static str>,
}

const IMPORTS: [Interface; 2] = [
    Interface {
        name: READER,
        error: "reader-error",
        cases: &["no-card", "removed", "denied", "limit", "timeout", "failed"],
        function: "transmit",
        parameter: Some("command"),
    },
    Interface {
        name: NETWORK,
        error: "network-error",
        cases: &["offline", "denied", "limit", "timeout", "failed"],
        function: "exchange",
        parameter: Some("request"),
    },
];

const EXPORT: Interface = Interface {
    name: PROGRAM,
    error: "failure",
    cases: &[
        "order",
        "card-unsupported",
        "reader",
        "network",
        "protocol",
        "refused",
    ],
    function: "run",
    parameter: None,
};

/// Compares the outermost component's imports and export with the interface.
pub(super) fn check(types: TypesRef<'_>) -> Result<(), AdmitError> {
    for interface in &IMPORTS {
        if !interface.matches(types, types.component_item_for_import(interface.name)) {
            let what = "import of another type";
            return Err(AdmitError::named(Rule::ImportType, what, interface.name));
        }
    }
    if !EXPORT.matches(types, types.component_item_for_export(EXPORT.name)) {
        return Err(AdmitError::named(
            Rule::Export,
            "export of another type",
            EXPORT.name,
        ));
    }
    Ok(())
}

/// Compares what a component one level down imports and exports with the interface, before it is
/// linked: the validator would only say that the two do not fit.
///
/// A component that takes none of the three instances is no template that needs this look.
pub(super) fn check_inner(types: TypesRef<'_>) -> Result<(), AdmitError> {
    let mut any = false;
    for interface in &IMPORTS {
        let item = types.component_item_for_import(interface.name);
        any |= item.is_some();
        if item.is_some() && !interface.matches(types, item) {
            let what = "import of another type";
            return Err(AdmitError::named(Rule::ImportType, what, interface.name));
        }
    }
    any |= types.component_item_for_import(ORDER).is_some();
    let item = types.component_item_for_export(EXPORT.name);
    if any && !EXPORT.matches(types, item) {
        let what = "export missing or of another type";
        return Err(AdmitError::named(Rule::Export, what, EXPORT.name));
    }
    Ok(())
}

/// Refuses a result within a result among the types of one component, at its end.
///
/// The interface needs none, and the engine panics on some while it writes the adapter between two
/// components. A function can only be lifted with a type of its own component, so those that
/// are only declared inside an instance type need no look.
pub(super) fn flat(types: TypesRef<'_>) -> Result<(), AdmitError> {
    for index in 0..types.component_type_count() {
        let is_flat = match types.component_any_type_at(index) {
            ComponentAnyTypeId::Defined(id) => is_flat(types, ComponentValType::Type(id)),
            ComponentAnyTypeId::Func(id) => {
                let function = &types[id];
                let values = function.params.iter().map(|(_, value)| *value);
                values
                    .chain(function.result)
                    .all(|value| is_flat(types, value))
            }
            ComponentAnyTypeId::Resource(_)
            | ComponentAnyTypeId::Instance(_)
            | ComponentAnyTypeId::Component(_) => true,
        };
        if !is_flat {
            return Err(AdmitError::new(Rule::Canon, "a result within a result"));
        }
    }
    Ok(())
}

fn is_flat(types: TypesRef<'_>, value: ComponentValType) -> bool {
    let is_result = |value: &Option<ComponentValType>| match value {
        Some(ComponentValType::Type(id)) => {
            matches!(&types[*id], ComponentDefinedType::Result { .. })
        }
        Some(ComponentValType::Primitive(_)) | None => false,
    };
    match value {
        ComponentValType::Type(id) => match &types[id] {
            ComponentDefinedType::Result { ok, err, .. } => !is_result(ok) && !is_result(err),
            _ => true,
        },
        ComponentValType::Primitive(_) => true,
    }
}

impl Interface {
    fn matches(&self, types: TypesRef<'_>, item: Option<&ComponentItem>) -> bool {
        let Some(ComponentItem {
            ty: ComponentEntityType::Instance(id),
            ..
        }) = item
        else {
            return false;
        };
        let exports = &types[*id].exports;
        exports.len() == 2
            && exports
                .get(self.error)
                .is_some_and(|item| self.is_error_type(types, &item.ty))
            && exports
                .get(self.function)
                .is_some_and(|item| match item.ty {
                    ComponentEntityType::Func(id) => self.is_function(types, id),
                    _ => false,
                })
    }

    fn is_error_type(&self, types: TypesRef<'_>, entity: &ComponentEntityType) -> bool {
        match entity {
            ComponentEntityType::Type {
                created: ComponentAnyTypeId::Defined(id),
                ..
            } => self.is_error(types, *id),
            _ => false,
        }
    }

    fn is_error(&self, types: TypesRef<'_>, id: ComponentDefinedTypeId) -> bool {
        match &types[id] {
            ComponentDefinedType::Enum(cases) => cases
                .iter()
                .map(|case| case.as_str())
                .eq(self.cases.iter().copied()),
            _ => false,
        }
    }

    fn is_function(&self, types: TypesRef<'_>, id: ComponentFuncTypeId) -> bool {
        let function = &types[id];
        let parameters = match (self.parameter, &*function.params) {
            (None, []) => true,
            (Some(name), [(found, value)]) => found.as_str() == name && is_bytes(types, *value),
            _ => false,
        };
        let result = match function.result {
            Some(ComponentValType::Type(id)) => match &types[id] {
                ComponentDefinedType::Result {
                    ok: Some(ok),
                    err: Some(ComponentValType::Type(error)),
                    ..
                } => is_bytes(types, *ok) && self.is_error(types, *error),
                _ => false,
            },
            _ => false,
        };
        !function.async_ && parameters && result
    }
}

fn is_bytes(types: TypesRef<'_>, value: ComponentValType) -> bool {
    match value {
        ComponentValType::Type(id) => match &types[id] {
            ComponentDefinedType::List { element, .. } => {
                matches!(element, ComponentValType::Primitive(PrimitiveValType::U8))
            }
            _ => false,
        },
        ComponentValType::Primitive(_) => false,
    }
}
