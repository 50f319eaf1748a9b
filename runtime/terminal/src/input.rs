//! Bounded reading of what the person wants to open.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::failure::Failure;
use crate::mail::{self, Found};
use crate::sniff::{self, Content};

/// Largest program file in bytes (docs/program-format.md).
pub const PROGRAM_LEN_MAX: usize = program::FILE_LEN_MAX;

/// Largest mail in bytes: a program of the largest size in base64 with its text is 90 KiB; the
/// rest is room for what gateways and forwards add.
pub const MAIL_LEN_MAX: usize = 1024 * 1024;

/// Where the bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `-`: standard input.
    Stdin,
    /// A regular file, or a link to one.
    File(PathBuf),
}

impl Source {
    /// `-` is standard input, anything else a path.
    #[must_use]
    pub fn from_argument(argument: &Path) -> Self {
        if argument == "-" {
            Self::Stdin
        } else {
            Self::File(argument.to_owned())
        }
    }
}

/// Reads the program bytes from a program file, which has nothing beside it, or from the mail that holds
/// one.
///
/// At most [`PROGRAM_LEN_MAX`] + 1 bytes are read before the content is known, and at most
/// [`MAIL_LEN_MAX`] + 1 of a mail.
///
/// # Errors
/// Those of [`regular_file`] and [`mail::program`], `E_SIZE`, `E_FORMAT`.
pub fn program_bytes(source: &Source) -> Result<Found, Failure> {
    match source {
        Source::Stdin => program_from(io::stdin().lock()),
        Source::File(path) => program_from(regular_file(path)?),
    }
}

/// Opens the regular file at `path`, or the one that a link there leads to, without ever waiting.
///
/// # Errors
/// `E_INPUT`, also for folders, pipes and devices: they might never end.
pub fn regular_file(path: &Path) -> Result<File, Failure> {
    let unreadable = |error: &dyn core::fmt::Display| {
        Failure::with("E_INPUT", format!("{}: {error}", path.display()))
    };
    // Opening a named pipe would otherwise wait for a writer.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| unreadable(&error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    if metadata.is_file() {
        Ok(file)
    } else {
        Err(unreadable(&"not a regular file"))
    }
}

fn program_from(mut input: impl Read) -> Result<Found, Failure> {
    let mut bytes = Vec::new();
    read_up_to(&mut input, PROGRAM_LEN_MAX.saturating_add(1), &mut bytes)?;
    match sniff::content(&bytes) {
        Content::Program if bytes.len() > PROGRAM_LEN_MAX => Err(Failure::new("E_SIZE")),
        Content::Program => Ok(Found {
            program: bytes,
            others: 0,
        }),
        Content::Mail => {
            let rest = MAIL_LEN_MAX.saturating_add(1).saturating_sub(bytes.len());
            read_up_to(&mut input, rest, &mut bytes)?;
            if bytes.len() > MAIL_LEN_MAX {
                return Err(Failure::new("E_SIZE"));
            }
            let found = mail::program(&bytes)?;
            if found.program.len() > PROGRAM_LEN_MAX {
                return Err(Failure::new("E_SIZE"));
            }
            Ok(found)
        }
        Content::Other => Err(Failure::new("E_FORMAT")),
    }
}

fn read_up_to(input: &mut impl Read, limit: usize, into: &mut Vec<u8>) -> Result<(), Failure> {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    input
        .take(limit)
        .read_to_end(into)
        .map(drop)
        .map_err(|error| Failure::with("E_INPUT", error))
}

#[cfg(test)]
mod tests {
    use super::{MAIL_LEN_MAX, PROGRAM_LEN_MAX, Source, program_bytes, program_from};
    use program::HEADER;
    use std::io::{self, Read as _};
    use std::path::Path;

    fn check(input: &[u8], expected: Result<usize, &str>) {
        let result = program_from(input)
            .map(|found| found.program.len())
            .map_err(|f| f.code);
        assert_eq!(result, expected);
    }

    #[test]
    fn a_program_of_the_largest_size_is_read_and_one_byte_more_is_not() {
        let mut bytes = HEADER.to_vec();
        bytes.resize(PROGRAM_LEN_MAX, 0);
        check(&bytes, Ok(PROGRAM_LEN_MAX));
        bytes.push(0);
        check(&bytes, Err("E_SIZE"));
    }

    #[test]
    fn a_mail_of_the_largest_size_is_read_and_one_byte_more_is_not() {
        let mut bytes = b"Subject: x\r\n\r\n".to_vec();
        bytes.resize(MAIL_LEN_MAX, b'x');
        check(&bytes, Err("E_NO_PROGRAM"));
        bytes.push(b'x');
        check(&bytes, Err("E_SIZE"));
    }

    #[test]
    fn endless_input_is_given_up_after_the_limit() {
        let result = program_from(io::repeat(0)).map_err(|f| f.code);
        assert_eq!(result, Err("E_FORMAT"));
        let endless = HEADER.chain(io::repeat(0));
        assert_eq!(program_from(endless).map_err(|f| f.code), Err("E_SIZE"));
        let endless = (&b"Subject: "[..]).chain(io::repeat(b'x'));
        assert_eq!(program_from(endless).map_err(|f| f.code), Err("E_SIZE"));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success());
        for path in [
            dir.path(),
            &pipe,
            Path::new("/dev/zero"),
            &dir.path().join("absent"),
        ] {
            let result = program_bytes(&Source::File(path.to_owned()));
            assert_eq!(result.unwrap_err().code, "E_INPUT", "{}", path.display());
        }
    }
}
