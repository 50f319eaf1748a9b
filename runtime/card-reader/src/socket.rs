//! An emulated card in another process, behind a Unix socket.
//!
//! Both ways: length 2, big-endian, then that many bytes; a command APDU there, its answer back. The
//! other side holds the card for one connection; that it hangs up, or answers with nothing, is taking
//! the card off the reader.

use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::ANSWER_TIMEOUT;
use crate::error::ReaderError;

/// A connection to a process that is a card.
#[derive(Debug)]
pub(crate) struct SocketReader {
    path: PathBuf,
    stream: UnixStream,
}

/// Whether a process could be a card at `path`.
pub(crate) fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

impl SocketReader {
    /// Connects to the process at `path`.
    ///
    /// # Errors
    /// [`ReaderError::NoCard`] when nobody listens; [`ReaderError::Failed`].
    pub(crate) fn open(path: &Path) -> Result<Self, ReaderError> {
        let stream = UnixStream::connect(path).map_err(|_| ReaderError::NoCard)?;
        stream
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .map_err(|error| ReaderError::Failed(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            stream,
        })
    }

    /// Sends one command APDU.
    ///
    /// # Errors
    /// [`ReaderError::Timeout`], [`ReaderError::Removed`]; the connection is then dead.
    pub(crate) fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, ReaderError> {
        let answer = self.exchange(apdu).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ReaderError::Timeout,
            _ => ReaderError::Removed,
        })?;
        if answer.is_empty() {
            return Err(ReaderError::Removed);
        }
        Ok(answer)
    }

    fn exchange(&mut self, apdu: &[u8]) -> io::Result<Vec<u8>> {
        let len = u16::try_from(apdu.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        self.stream
            .write_all(&[&len.to_be_bytes(), apdu].concat())?;
        let mut len = [0; 2];
        self.stream.read_exact(&mut len)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::SocketReader;
    use crate::error::ReaderError;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    /// A card that answers so, once for each answer, and then hangs up.
    fn met(
        answers: &'static [&'static [u8]],
        command: &[u8],
    ) -> Vec<Result<Vec<u8>, &'static str>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card");
        let listener = UnixListener::bind(&path).unwrap();
        let expected = command.to_vec();
        let card = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let mut seen = vec![0; 2 + expected.len()];
                stream.read_exact(&mut seen).unwrap();
                assert_eq!(seen[2..], expected);
                stream.write_all(answer).unwrap();
            }
        });
        let mut reader = SocketReader::open(&path).unwrap();
        let seen = (0..=answers.len())
            .map(|_| reader.transmit(command).map_err(|error| error.code()))
            .collect();
        card.join().unwrap();
        seen
    }

    #[test]
    fn answers_come_back_until_the_card_leaves() {
        let removed = Err("E_READER_REMOVED");
        assert_eq!(
            met(&[b"\0\x02\x90\0"], &[0x90, 0x60, 0, 0, 0]),
            [Ok(vec![0x90, 0]), removed.clone()]
        );
        assert_eq!(met(&[b"\0\0"], &[1]), [removed.clone(), removed.clone()]);
        assert_eq!(met(&[b"\0\x04\x90"], &[1])[0], removed);
    }

    #[test]
    fn where_nobody_listens_there_is_no_card() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card");
        drop(UnixListener::bind(&path).unwrap());
        assert!(super::is_socket(&path));
        let refused = SocketReader::open(&path);
        assert!(matches!(refused, Err(ReaderError::NoCard)));
    }
}
