//! A core module made into a component without a word too many.

use anyhow::{Context as _, Result, bail, ensure};
use wasm_encoder::Encode as _;
use wasmparser::{BinaryReader, KnownCustom, Name, Parser, Payload};
use wit_component::ComponentEncoder;

/// Makes the template out of the core module that the compiler wrote.
///
/// `core` still has its names and the interface that wit-bindgen put into it. The result is a
/// component without any custom section, at any depth: names and producers are of no use to a
/// recipient, and an engine would print them unescaped.
///
/// # Errors
///
/// When `core` holds formatting code, or when its imports and exports do not fit its interface.
pub fn template(core: &[u8]) -> Result<Vec<u8>> {
    refuse_formatting(core)?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(core)
        .context("reading the core module")?
        .encode()
        .context("making a component")?;
    without_custom_sections(&component)
}

/// Refuses a module with any function of `core::fmt`: formatting is never needed in a guest, and
/// comes along unseen with a panic message.
fn refuse_formatting(core: &[u8]) -> Result<()> {
    let mut named = false;
    for payload in Parser::new(0).parse_all(core) {
        let Payload::CustomSection(section) = payload? else {
            continue;
        };
        let KnownCustom::Name(names) = section.as_known() else {
            continue;
        };
        for name in names {
            let Name::Function(functions) = name? else {
                continue;
            };
            named = true;
            for function in functions {
                let name = function?.name;
                if name.contains("core::fmt") || name.contains("4core3fmt") {
                    bail!("the guest formats text: {name}");
                }
            }
        }
    }
    ensure!(
        named,
        "the core module has no names, so its functions cannot be checked"
    );
    Ok(())
}

/// Length of the header of a module or component: magic number, version, layer.
const HEADER_LEN: usize = 8;
/// Section ids of the binary format.
const CUSTOM: u8 = 0;
const COMPONENT_CORE_MODULE: u8 = 1;
const COMPONENT_NESTED: u8 = 4;
/// The layer that a component's header has where a module has zero.
const LAYER_COMPONENT: u8 = 1;

fn without_custom_sections(binary: &[u8]) -> Result<Vec<u8>> {
    let (header, _) = binary
        .split_first_chunk::<HEADER_LEN>()
        .context("no header")?;
    let is_component = header[6] == LAYER_COMPONENT;
    let mut kept = header.to_vec();
    let mut reader = BinaryReader::new(binary, 0);
    reader.read_bytes(HEADER_LEN)?;
    while !reader.eof() {
        let id = reader.read_u8()?;
        let len = reader.read_var_u32()?;
        let content = reader.read_bytes(usize::try_from(len)?)?;
        let content = match id {
            CUSTOM => continue,
            COMPONENT_CORE_MODULE | COMPONENT_NESTED if is_component => {
                without_custom_sections(content)?
            }
            _ => content.to_vec(),
        };
        kept.push(id);
        content.encode(&mut kept);
    }
    Ok(kept)
}
