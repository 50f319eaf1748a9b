//! Limits and allow-lists of the component layer around the core modules.

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentDefinedType, ComponentExternName,
    ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentType,
    ComponentTypeRef, ComponentValType, InstanceTypeDeclaration, Payload, PrimitiveValType,
};

use super::{
    AdmitError, Count, NETWORK, ORDER, OUTERMOST, PROGRAM, READER, Rule, TEMPLATE, announced,
    at_most, malformed,
};
use crate::limits;

/// What all components of a file have in common, and the outermost one's imports and exports.
#[derive(Debug, Default)]
pub(super) struct Tally {
    components: Count,
    items: Count,
    core_instances: Count,
    instances: Count,
    reader: bool,
    network: bool,
    program: bool,
    /// The component one level down that is being read takes an instance: it is the template.
    is_template: bool,
}

impl Tally {
    /// Counts one more nested component, `depth` levels below the outermost.
    pub(super) fn nested(&mut self, depth: usize) -> Result<(), AdmitError> {
        if depth == OUTERMOST {
            self.is_template = false;
        }
        let what = "too deeply nested components";
        at_most(depth, limits::COMPONENT_DEPTH_MAX, Rule::Shape, what)?;
        let max = limits::COMPONENTS_MAX;
        self.components
            .add(1, max, Rule::Shape, "too many nested components")
    }

    /// Requires every import and export that a program must have.
    pub(super) fn complete(&self) -> Result<(), AdmitError> {
        for (present, rule, name) in [
            (self.reader, Rule::Import, READER),
            (self.network, Rule::Import, NETWORK),
            (self.program, Rule::Export, PROGRAM),
        ] {
            if !present {
                return Err(AdmitError::named(rule, "missing from the program", name));
            }
        }
        Ok(())
    }

    /// Checks one part of a component before it is validated.
    pub(super) fn payload(
        &mut self,
        payload: &Payload<'_>,
        depth: usize,
    ) -> Result<(), AdmitError> {
        match payload {
            // Each begins a part that reports its own version and sections.
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => Ok(()),
            Payload::InstanceSection(instances) => {
                let count = announced(instances.count());
                let what = "too many core instances";
                self.core_instances
                    .add(count, limits::INSTANCES_MAX, Rule::Shape, what)
            }
            Payload::CoreTypeSection(_) => {
                // Only a module that is imported or exported would need one.
                Err(AdmitError::new(Rule::Shape, "a core type in a component"))
            }
            Payload::ComponentInstanceSection(instances) => {
                let count = announced(instances.count());
                let what = "too many instances";
                self.instances
                    .add(count, limits::INSTANCES_MAX, Rule::Shape, what)?;
                each(instances.clone(), |instance| self.instance(&instance))
            }
            Payload::ComponentAliasSection(aliases) => {
                self.items(aliases.count())?;
                each(aliases.clone(), |item| alias(&item))
            }
            Payload::ComponentTypeSection(types) => {
                let len = types.range().len();
                let max = limits::COMPONENT_TYPES_LEN_MAX;
                at_most(
                    len,
                    max,
                    Rule::Shape,
                    "too long a section of component types",
                )?;
                self.items(types.count())?;
                each(types.clone(), |item| self.defined_type(&item))
            }
            Payload::ComponentCanonicalSection(functions) => {
                self.items(functions.count())?;
                each(functions.clone(), |function| canonical(&function))
            }
            Payload::ComponentImportSection(imports) => {
                self.items(imports.count())?;
                each(imports.clone(), |item| {
                    self.import(&item.name, item.ty, depth)
                })
            }
            Payload::ComponentExportSection(exports) => {
                self.items(exports.count())?;
                each(exports.clone(), |item| {
                    self.export(&item.name, item.kind, depth)
                })
            }
            Payload::ComponentStartSection { .. } => Err(AdmitError::new(
                Rule::Start,
                "a start function of a component",
            )),
            _ => Err(AdmitError::new(
                Rule::Section,
                "an unknown section in a component",
            )),
        }
    }

    fn items(&mut self, count: u32) -> Result<(), AdmitError> {
        let max = limits::COMPONENT_ITEMS_MAX;
        self.items.add(
            announced(count),
            max,
            Rule::Shape,
            "too many component items",
        )
    }

    fn instance(&mut self, instance: &ComponentInstance<'_>) -> Result<(), AdmitError> {
        match instance {
            ComponentInstance::Instantiate { args, .. } => {
                self.items(u32::try_from(args.len()).unwrap_or(u32::MAX))?;
                let passed_code = args.iter().any(|arg| !is_plain(arg.kind));
                refuse_if(passed_code, Rule::Shape, "code passed to a component")
            }
            ComponentInstance::FromExports(exports) => {
                self.items(u32::try_from(exports.len()).unwrap_or(u32::MAX))?;
                for export in exports {
                    plain_name(&export.name, Rule::Export)?;
                    refuse_if(!is_plain(export.kind), Rule::Shape, "code in an instance")?;
                }
                Ok(())
            }
        }
    }

    fn import(
        &mut self,
        name: &ComponentExternName<'_>,
        item: ComponentTypeRef,
        depth: usize,
    ) -> Result<(), AdmitError> {
        plain_name(name, Rule::Import)?;
        let refused = || {
            Err(AdmitError::named(
                Rule::Import,
                "import not allowed",
                name.name,
            ))
        };
        if !is_plain(item.kind()) {
            return refused();
        }
        if depth > OUTERMOST {
            // The template is one level down, and so are components that take functions and types to make
            // an instance of them; whoever takes an instance takes one of these three.
            let instance = depth == TEMPLATE && item.kind() == ComponentExternalKind::Instance;
            let known = !instance || [READER, NETWORK, ORDER].contains(&name.name);
            self.is_template |= instance && known;
            return if known { Ok(()) } else { refused() };
        }
        let seen = match name.name {
            READER => &mut self.reader,
            NETWORK => &mut self.network,
            _ => return refused(),
        };
        if std::mem::replace(seen, true) || item.kind() != ComponentExternalKind::Instance {
            return refused();
        }
        Ok(())
    }

    fn export(
        &mut self,
        name: &ComponentExternName<'_>,
        kind: ComponentExternalKind,
        depth: usize,
    ) -> Result<(), AdmitError> {
        plain_name(name, Rule::Export)?;
        let program = name.name == PROGRAM && kind == ComponentExternalKind::Instance;
        let expected = if depth == OUTERMOST {
            program && !std::mem::replace(&mut self.program, true)
        } else {
            // Twice the same name is the validator's.
            program || depth > TEMPLATE || !self.is_template
        };
        if !expected || !is_plain(kind) {
            return Err(AdmitError::named(
                Rule::Export,
                "export not allowed",
                name.name,
            ));
        }
        Ok(())
    }

    /// Types at the boundary are lists of bytes, enums and results of these, in functions and
    /// instances; a component type is only read, for the nested components' own imports.
    fn defined_type(&mut self, item: &ComponentType<'_>) -> Result<(), AdmitError> {
        match item {
            ComponentType::Defined(defined) => defined_value(defined),
            ComponentType::Func(function) => {
                refuse_if(function.async_, Rule::Feature, "an async function")?;
                let max = limits::PARAMS_MAX;
                let what = "too many parameters";
                at_most(function.params.len(), max, Rule::Shape, what)?;
                let values = function.params.iter().map(|(_, value)| *value);
                values.chain(function.result).try_for_each(value)
            }
            ComponentType::Instance(declarations) => {
                self.items(u32::try_from(declarations.len()).unwrap_or(u32::MAX))?;
                declarations
                    .iter()
                    .try_for_each(|declaration| match declaration {
                        InstanceTypeDeclaration::CoreType(_) => {
                            Err(AdmitError::new(Rule::Shape, "a core type in a component"))
                        }
                        InstanceTypeDeclaration::Type(item) => self.defined_type(item),
                        InstanceTypeDeclaration::Alias(item) => alias(item),
                        InstanceTypeDeclaration::Export { name, ty } => {
                            plain_name(name, Rule::Export)?;
                            refuse_if(!is_plain(ty.kind()), Rule::Shape, "code in an instance")
                        }
                    })
            }
            ComponentType::Component(_) => Err(AdmitError::new(Rule::Shape, "a component type")),
            ComponentType::Resource { .. } => Err(AdmitError::new(Rule::Canon, "a resource")),
        }
    }
}

fn each<'a, T: wasmparser::FromReader<'a>>(
    section: wasmparser::SectionLimited<'a, T>,
    mut check: impl FnMut(T) -> Result<(), AdmitError>,
) -> Result<(), AdmitError> {
    for item in section {
        check(item.map_err(malformed)?)?;
    }
    Ok(())
}

fn refuse_if(refused: bool, rule: Rule, what: &'static str) -> Result<(), AdmitError> {
    if refused {
        Err(AdmitError::new(rule, what))
    } else {
        Ok(())
    }
}

/// Functions, instances and types may cross between components; modules, components, values not.
const fn is_plain(kind: ComponentExternalKind) -> bool {
    match kind {
        ComponentExternalKind::Func
        | ComponentExternalKind::Type
        | ComponentExternalKind::Instance => true,
        ComponentExternalKind::Module
        | ComponentExternalKind::Component
        | ComponentExternalKind::Value => false,
    }
}

/// A name is a name: without the annotations that let one stand for another.
fn plain_name(name: &ComponentExternName<'_>, rule: Rule) -> Result<(), AdmitError> {
    let annotated =
        name.implements.is_some() || name.version_suffix.is_some() || name.external_id.is_some();
    if annotated {
        Err(AdmitError::named(rule, "annotated name", name.name))
    } else {
        Ok(())
    }
}

fn alias(alias: &ComponentAlias<'_>) -> Result<(), AdmitError> {
    let plain = match alias {
        ComponentAlias::InstanceExport { kind, .. } => is_plain(*kind),
        ComponentAlias::CoreInstanceExport { .. } => true,
        ComponentAlias::Outer { kind, .. } => match kind {
            ComponentOuterAliasKind::Type => true,
            ComponentOuterAliasKind::CoreModule
            | ComponentOuterAliasKind::CoreType
            | ComponentOuterAliasKind::Component => false,
        },
    };
    refuse_if(!plain, Rule::Shape, "an alias of code")
}

/// A value in a function or a result: text would bring in the engine's transcoders, which only
/// components that pass text to each other need.
fn value(value: ComponentValType) -> Result<(), AdmitError> {
    match value {
        ComponentValType::Primitive(
            PrimitiveValType::Bool
            | PrimitiveValType::S8
            | PrimitiveValType::U8
            | PrimitiveValType::S16
            | PrimitiveValType::U16
            | PrimitiveValType::S32
            | PrimitiveValType::U32
            | PrimitiveValType::S64
            | PrimitiveValType::U64,
        )
        | ComponentValType::Type(_) => Ok(()),
        ComponentValType::Primitive(
            PrimitiveValType::F32
            | PrimitiveValType::F64
            | PrimitiveValType::Char
            | PrimitiveValType::String
            | PrimitiveValType::ErrorContext,
        ) => Err(AdmitError::new(
            Rule::Canon,
            "a type that the interface does not need",
        )),
    }
}

fn defined_value(defined: &ComponentDefinedType<'_>) -> Result<(), AdmitError> {
    match defined {
        ComponentDefinedType::List(element) => {
            let bytes = ComponentValType::Primitive(PrimitiveValType::U8);
            refuse_if(
                *element != bytes,
                Rule::Canon,
                "a list of something else than bytes",
            )
        }
        ComponentDefinedType::Enum(cases) => at_most(
            cases.len(),
            limits::ENUM_CASES_MAX,
            Rule::Shape,
            "too many enum cases",
        ),
        ComponentDefinedType::Result { ok, err } => {
            ok.iter().chain(err).try_for_each(|item| value(*item))
        }
        ComponentDefinedType::Future(_)
        | ComponentDefinedType::Stream(_)
        | ComponentDefinedType::Map(..)
        | ComponentDefinedType::FixedLengthList(..) => Err(AdmitError::new(
            Rule::Feature,
            "a type that programs may not use",
        )),
        ComponentDefinedType::Primitive(_)
        | ComponentDefinedType::Record(_)
        | ComponentDefinedType::Variant(_)
        | ComponentDefinedType::Tuple(_)
        | ComponentDefinedType::Flags(_)
        | ComponentDefinedType::Option(_)
        | ComponentDefinedType::Own(_)
        | ComponentDefinedType::Borrow(_) => Err(AdmitError::new(
            Rule::Canon,
            "a type that the interface does not need",
        )),
    }
}

fn canonical(function: &CanonicalFunction) -> Result<(), AdmitError> {
    let options = match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            options
        }
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => {
            return Err(AdmitError::new(Rule::Canon, "a resource"));
        }
        _ => return Err(AdmitError::new(Rule::Feature, "a component built-in")),
    };
    options.iter().try_for_each(|option| match option {
        CanonicalOption::UTF8
        | CanonicalOption::Memory(_)
        | CanonicalOption::Realloc(_)
        | CanonicalOption::PostReturn(_) => Ok(()),
        CanonicalOption::UTF16 | CanonicalOption::CompactUTF16 => {
            Err(AdmitError::new(Rule::Canon, "a string encoding"))
        }
        CanonicalOption::Async
        | CanonicalOption::Callback(_)
        | CanonicalOption::CoreType(_)
        | CanonicalOption::Gc => Err(AdmitError::new(Rule::Feature, "a canonical option")),
    })
}
