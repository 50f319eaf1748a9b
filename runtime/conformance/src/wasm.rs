//! Bytes of components: assembled from text, and changed section by section.

const HEADER_LEN: usize = 8;

/// A section of a component or module: its id and its content.
pub(crate) type Section = (u8, Vec<u8>);

/// Assembles a component from text and drops every custom section in it, since the names that the
/// text leaves behind are not admitted.
///
/// # Panics
/// If the text is not well formed: the texts are this crate's own.
pub(crate) fn component(text: &str) -> Vec<u8> {
    without_custom_sections(&with_names(text))
}

/// Assembles text and leaves the custom sections in.
pub(crate) fn with_names(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn without_custom_sections(bytes: &[u8]) -> Vec<u8> {
    let is_component = bytes.get(4) == Some(&0x0D);
    let kept = sections(bytes)
        .into_iter()
        .filter(|(id, _)| *id != 0)
        .map(|(id, content)| match id {
            1 | 4 if is_component => (id, without_custom_sections(&content)),
            _ => (id, content),
        })
        .collect::<Vec<_>>();
    join(bytes, &kept)
}

/// The sections behind the header of `bytes`.
///
/// # Panics
/// If `bytes` are not a whole module or component.
pub(crate) fn sections(bytes: &[u8]) -> Vec<Section> {
    let mut found = Vec::new();
    let mut rest = bytes.get(HEADER_LEN..).expect("a header");
    while let [id, tail @ ..] = rest {
        let (len, tail) = leb(tail);
        let (content, tail) = tail.split_at_checked(len).expect("a whole section");
        found.push((*id, content.to_vec()));
        rest = tail;
    }
    found
}

/// The header of `bytes` and these sections, their lengths in the shortest form.
pub(crate) fn join(bytes: &[u8], sections: &[Section]) -> Vec<u8> {
    let mut out = bytes.get(..HEADER_LEN).expect("a header").to_vec();
    for (id, content) in sections {
        out.extend(section(*id, content));
    }
    out
}

/// One section.
pub(crate) fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![id];
    push_leb(&mut out, content.len());
    out.extend_from_slice(content);
    out
}

/// A custom section.
pub(crate) fn custom(name: &str, content: &[u8]) -> Vec<u8> {
    let mut inner = Vec::new();
    push_leb(&mut inner, name.len());
    inner.extend_from_slice(name.as_bytes());
    inner.extend_from_slice(content);
    section(0, &inner)
}

fn leb(bytes: &[u8]) -> (usize, &[u8]) {
    let last = bytes.iter().position(|byte| byte & 0x80 == 0);
    let (number, rest) = bytes.split_at(last.expect("a length ends") + 1);
    let value = number
        .iter()
        .rev()
        .fold(0, |value, byte| value << 7 | usize::from(byte & 0x7F));
    (value, rest)
}

/// Appends `value` as LEB128 in its shortest form.
pub(crate) fn push_leb(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7F).unwrap_or(0x7F);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Bytes as they stand in a string of the text format.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}
