//! Bearer tokens at the command line: given out once, or into a file, and read without an echo.

use crate::{
    app::{new_token, token_hash},
    clock::Random,
    files,
};
use anyhow::{Context, ensure};
use ledger::TokenHash;
use serde_json::Value;
use std::{
    io::{BufRead, IsTerminal, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Longest line that is read as a token, in bytes: a token takes below 50.
const LINE_MAX: u64 = 256;

/// Where a new token goes.
#[derive(Debug, clap::Args)]
pub struct TokenFile {
    /// Write the token into this new file, mode 0600, before anything else, and print it nowhere; a
    /// command that was interrupted is given again with the same file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A token that is given out.
pub(super) struct Issued {
    text: Zeroizing<String>,
    file: Option<PathBuf>,
    there: bool,
    pub(super) hash: TokenHash,
}

impl TokenFile {
    /// A new token; that of the file, where an interrupted command has left one. `data`: the data folder,
    /// whose owner has to own such a file.
    ///
    /// # Errors
    /// The file cannot be written, is readable by others, or holds something else.
    pub(super) fn issue(self, data: &Path, random: &dyn Random) -> anyhow::Result<Issued> {
        let Some(path) = self.token_file else {
            let (text, hash) = new_token(random);
            let file = None;
            let there = false;
            return Ok(Issued {
                text,
                file,
                there,
                hash,
            });
        };
        let name = || format!("--token-file {}", path.display());
        let there = match std::fs::symlink_metadata(&path) {
            Ok(found) => {
                // another's file, or a link to one, would be a token that somebody else knows
                let own = found.is_file() && found.uid() == std::fs::metadata(data)?.uid();
                ensure!(
                    own,
                    "{}: it is no file of the owner of the data folder",
                    name()
                );
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(error).with_context(name),
        };
        if !there {
            let (text, _) = new_token(random);
            files::write_new(&path, format!("{}\n", text.as_str()).as_bytes())
                .with_context(name)?;
        }
        let text = files::read_secret(&path).with_context(name)?;
        let text = Zeroizing::new(text.trim().to_owned());
        let hash = token_hash(&text)
            .context("it holds no token")
            .with_context(name)?;
        let file = Some(path);
        Ok(Issued {
            text,
            file,
            there,
            hash,
        })
    }
}

impl Issued {
    /// What the person reads.
    pub(super) fn told(&self) -> String {
        match &self.file {
            None => format!(
                "token    {}\n\nThe token is shown this once; only its hash is kept.",
                self.text.as_str()
            ),
            Some(path) if self.there => format!(
                "token    in {}, which was there before: of this command, interrupted, or of whoever put it there",
                path.display()
            ),
            Some(path) => format!("token    in {}", path.display()),
        }
    }

    /// Name and value in a document.
    pub(super) fn member(&self) -> (String, Value) {
        match &self.file {
            None => ("token".to_owned(), self.text.as_str().into()),
            Some(path) => ("token_file".to_owned(), path.to_string_lossy().into()),
        }
    }
}

/// Asks a person for their token: from `variable` for scripts, else a line of standard input, which is
/// not shown while it is typed.
///
/// # Errors
/// It is no token; the terminal cannot be read.
pub(super) fn ask(who: &str, variable: &str) -> anyhow::Result<TokenHash> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a secret: an argument would show in the list of processes"
    )]
    let given = std::env::var(variable).ok().map(Zeroizing::new);
    let text = match given {
        Some(token) => token,
        None => typed(who)?,
    };
    let token = token_hash(text.trim());
    token.with_context(|| format!("what {who} gave is no token"))
}

fn typed(who: &str) -> anyhow::Result<Zeroizing<String>> {
    let prompt = format!("Token of {who}:");
    let input = std::io::stdin();
    if input.is_terminal() {
        let typed = rpassword::prompt_password(format!("{prompt} ")).map(Zeroizing::new);
        return typed.context("the terminal");
    }
    writeln!(std::io::stderr(), "{prompt}")?;
    let mut line = Zeroizing::new(String::new());
    let mut input = Read::take(input.lock(), LINE_MAX);
    let read = input.read_line(&mut line).context("standard input")?;
    ensure!(read > 0, "standard input ended before the token of {who}");
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;

    fn at(path: &Path) -> TokenFile {
        TokenFile {
            token_file: Some(path.to_owned()),
        }
    }

    #[test]
    fn a_token_file_is_written_once_and_read_back_by_the_same_command() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alice");
        let first = at(&path).issue(dir.path(), &SystemRandom).unwrap();
        let again = at(&path).issue(dir.path(), &SystemRandom).unwrap();
        assert_eq!(first.hash, again.hash);
        assert!(!first.told().contains("before") && again.told().contains("before"));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(at(&link).issue(dir.path(), &SystemRandom).is_err());
        assert!(!first.told().contains(first.text.as_str()), "not printed");
        assert_eq!(first.member().0, "token_file");
        std::fs::write(&path, "something else").unwrap();
        assert!(at(&path).issue(dir.path(), &SystemRandom).is_err());
        let shown = TokenFile { token_file: None }
            .issue(dir.path(), &SystemRandom)
            .unwrap();
        assert!(shown.told().contains(shown.text.as_str()));
        assert_ne!(shown.hash, first.hash);
    }
}
