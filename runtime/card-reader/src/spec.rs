//! How a user names a reader.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

const EMULATED: &str = "emulated";
const PCSC: &str = "pcsc";

/// Where the card is: `emulated:PATH`, `pcsc`, or `pcsc:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReaderSpec {
    /// The emulated card in this file, or in the process that listens at this socket.
    Emulated(PathBuf),
    /// PC/SC; with a name only the readers that carry it, else all.
    Pcsc(Option<String>),
}

/// The text is none of the three forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a card reader: use emulated:PATH, pcsc or pcsc:NAME")]
pub struct ReaderSpecError;

impl FromStr for ReaderSpec {
    type Err = ReaderSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == PCSC => Ok(Self::Pcsc(None)),
            Some((EMULATED, path)) if !path.is_empty() => Ok(Self::Emulated(path.into())),
            Some((PCSC, name)) if !name.is_empty() => Ok(Self::Pcsc(Some(name.to_owned()))),
            Some(_) | None => Err(ReaderSpecError),
        }
    }
}

impl fmt::Display for ReaderSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Emulated(path) => write!(f, "{EMULATED}:{}", path.display()),
            Self::Pcsc(None) => f.write_str(PCSC),
            Self::Pcsc(Some(name)) => write!(f, "{PCSC}:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read_and_written_back() {
        for text in ["emulated:/tmp/a:b.card", "pcsc", "pcsc:ACME Reader 00 00"] {
            let spec: ReaderSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "emulated", "emulated:", "pcsc:", "file:x", "PCSC"] {
            assert_eq!(text.parse::<ReaderSpec>(), Err(ReaderSpecError), "{text}");
        }
    }
}
