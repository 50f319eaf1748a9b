//! The card on the virtual reader: the driver listens, the card connects. Source: docs/card-protocol.md.
//!
//! Both ways: length 2, big-endian, then that many bytes. One byte is a signal of the driver,
//! anything else a command APDU.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use card_reader::{EmulatedReader, ReaderError};

/// What a DESFire card's reader reports: no historical bytes but 80, T=0 and T=1.
const ATR: [u8; 6] = [0x3B, 0x81, 0x80, 0x01, 0x80, 0x80];

const POWER_OFF: u8 = 0x00;
const POWER_ON: u8 = 0x01;
const RESET: u8 = 0x02;
const SEND_ATR: u8 = 0x04;

/// Puts the card in `path` on the slot at `place` until the driver hangs up.
pub(crate) fn serve(path: &Path, place: (&str, u16), talk: &mut dyn Write) -> Result<()> {
    let mut reader = EmulatedReader::open(path).map_err(explain)?;
    let (host, port) = place;
    let mut driver = TcpStream::connect(place).with_context(|| {
        format!("no virtual reader at {host}:{port}; install vsmartcard-vpcd and start pcscd")
    })?;
    driver.set_nodelay(true)?;
    writeln!(
        talk,
        "{} is on the reader at {host}:{port}; interrupt to take it off",
        path.display()
    )?;
    exchange(&mut reader, &mut driver)?;
    writeln!(talk, "the reader hung up")?;
    Ok(())
}

/// Answers the driver until it closes the connection, or the card leaves.
fn exchange(reader: &mut EmulatedReader, driver: &mut (impl Read + Write)) -> Result<()> {
    while let Some(message) = receive(driver)? {
        match message.as_slice() {
            [] => {}
            [POWER_OFF | POWER_ON | RESET] => reader.power_cycle(),
            // Asked several times a second, also inside a transaction: must not touch the card.
            [SEND_ATR] => send(driver, &ATR)?,
            apdu => send(driver, &reader.transmit(apdu).map_err(explain)?)?,
        }
    }
    Ok(())
}

fn receive(driver: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 2];
    match driver.read_exact(&mut len) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    driver.read_exact(&mut message)?;
    Ok(Some(message))
}

/// One write per message, so that the driver never waits for a second packet.
fn send(driver: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let len = u16::try_from(message.len()).map_err(|_| ErrorKind::InvalidData)?;
    driver.write_all(&[&len.to_be_bytes(), message].concat())?;
    driver.flush()
}

fn explain(error: ReaderError) -> anyhow::Error {
    anyhow!("{}: {error}", error.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use card_sim::Card;
    use std::io::Cursor;

    /// What a driver sent, and what it got.
    struct Wire {
        sent: Cursor<Vec<u8>>,
        got: Vec<u8>,
    }

    impl Read for Wire {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.sent.read(buffer)
        }
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.got.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(sent: &[u8], got: &[u8]) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("test.card");
        card_reader::create(&path, &Card::new([4, 1, 2, 3, 4, 5, 6], [0; 32])).expect("new");
        let mut reader = EmulatedReader::open(&path).expect("a card");
        let mut wire = Wire {
            sent: Cursor::new(sent.to_vec()),
            got: Vec::new(),
        };
        exchange(&mut reader, &mut wire).expect("an orderly end");
        assert_eq!(wire.got, got);
    }

    #[test]
    fn the_driver_is_told_the_atr_and_the_answers() {
        check(
            &[0, 1, 1, 0, 1, 4, 0, 5, 0xFF, 0xCA, 0, 0, 0],
            &[
                0, 6, 0x3B, 0x81, 0x80, 0x01, 0x80, 0x80, 0, 9, 4, 1, 2, 3, 4, 5, 6, 0x90, 0,
            ],
        );
    }

    #[test]
    fn asking_for_the_atr_does_not_disturb_a_chain() {
        let version = [0, 5, 0x90, 0x60, 0, 0, 0];
        let more = [0, 5, 0x90, 0xAF, 0, 0, 0];
        let first = [0, 9, 4, 1, 1, 0x33, 0, 0x18, 5, 0x91, 0xAF];
        let second = [0, 9, 4, 1, 1, 3, 0, 0x18, 5, 0x91, 0xAF];
        let atr = [0, 6, 0x3B, 0x81, 0x80, 0x01, 0x80, 0x80];
        check(
            &[&version[..], &[0, 1, 4], &more].concat(),
            &[&first[..], &atr, &second].concat(),
        );
    }

    #[test]
    fn a_reset_ends_a_chain() {
        let version = [0, 5, 0x90, 0x60, 0, 0, 0];
        let more = [0, 5, 0x90, 0xAF, 0, 0, 0];
        let first = [0, 9, 4, 1, 1, 0x33, 0, 0x18, 5, 0x91, 0xAF];
        check(
            &[&version[..], &[0, 1, 2], &more].concat(),
            &[&first[..], &[0, 2, 0x91, 0x1C]].concat(),
        );
    }
}
