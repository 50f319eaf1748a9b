//! EV2 secure messaging: the MACs, encryption and counter of an authenticated session.
//!
//! Commands may be made ahead of the answers to earlier ones: what a MAC covers is the session's counter, which both sides
//! count, and never another answer. So a whole batch can travel at once, and its answers are opened in the same order.
//!
//! Source: `docs/card-protocol.md`, section "Secure messaging".

use crate::apdu::{self, Status};
use crate::crypto::{self, Block};
use crate::error::{CardError, data_of};
use crate::key::Key;
use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroizing;

/// Length of a session as bytes.
pub const SESSION_LEN: usize = 40;
/// Length of a MAC on the wire.
pub const MAC_LEN: usize = 8;

/// Labels in front of the initial vectors.
const IV_COMMAND: [u8; 2] = [0xA5, 0x5A];
const IV_ANSWER: [u8; 2] = [0x5A, 0xA5];

/// How the data of a command and its answer are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As they are.
    Plain,
    /// In clear, followed by a MAC.
    Mac,
    /// Data enciphered, followed by a MAC; where there are no data, a MAC alone.
    Full,
}

/// An authenticated session with one card.
///
/// Any error ends it on the card's side: drop it and begin again. Keys are erased when dropped; a clone is another view of
/// the same session, for checking the same answers twice.
#[derive(Clone)]
pub struct Session {
    enc: Key,
    mac: Key,
    ti: [u8; 4],
    sent: u16,
    answered: u16,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session [redacted]")
    }
}

impl Session {
    /// A session from its parts.
    ///
    /// `ti`: transaction identifier, 4 bytes as the card sent them. `counter`: commands sent and answered so far.
    #[must_use]
    pub const fn new(enc: Key, mac: Key, ti: [u8; 4], counter: u16) -> Self {
        Self {
            enc,
            mac,
            ti,
            sent: counter,
            answered: counter,
        }
    }

    /// Makes the next command.
    ///
    /// `header` stays in clear in every mode, `data` is what [`Mode::Full`] enciphers.
    /// Gives a wrapped APDU of one frame: `90 INS 00 00 Lc header data|cipher MAC 00`.
    ///
    /// # Errors
    /// [`CardError::TooLong`] when it does not fit one frame ([`apdu::DATA_LEN_MAX`]); [`CardError::CounterUsedUp`] after
    /// 65,535 commands. The session is unchanged by either.
    pub fn command(
        &mut self,
        ins: u8,
        header: &[u8],
        data: &[u8],
        mode: Mode,
    ) -> Result<Vec<u8>, CardError> {
        let next = self.sent.checked_add(1).ok_or(CardError::CounterUsedUp)?;
        let counter = self.sent.to_le_bytes();
        let mut body = Vec::with_capacity(apdu::DATA_LEN_MAX);
        body.extend_from_slice(header);
        match mode {
            Mode::Plain | Mode::Mac => body.extend_from_slice(data),
            Mode::Full if data.is_empty() => {}
            Mode::Full => {
                let mut blocks = crypto::pad(data);
                let iv = self.iv(IV_COMMAND, counter);
                crypto::cbc_encrypt(self.enc.as_bytes(), &iv, &mut blocks);
                body.extend_from_slice(blocks.as_flattened());
            }
        }
        match mode {
            Mode::Plain => {}
            Mode::Mac | Mode::Full => {
                let mac = self.mac(ins, counter, &body);
                body.extend_from_slice(&mac);
            }
        }
        let apdu = apdu::native_from_slice(ins, &body)?;
        self.sent = next;
        Ok(apdu)
    }

    /// Opens the answer to the oldest command that has none yet.
    ///
    /// `answer`: data and status word, the parts of a chained answer joined ([`apdu::join`]). Gives its data in clear,
    /// possibly none.
    ///
    /// # Errors
    /// [`CardError::Unasked`] when every command has its answer; [`CardError::Status`] for any status but 00;
    /// [`CardError::Form`] for a missing MAC or cipher text that is not whole blocks; [`CardError::Mac`] when the MAC is
    /// wrong; [`CardError::NotNative`]. After an error the session is over.
    pub fn response(&mut self, answer: &[u8], mode: Mode) -> Result<Vec<u8>, CardError> {
        if self.answered >= self.sent {
            return Err(CardError::Unasked);
        }
        let next = self
            .answered
            .checked_add(1)
            .ok_or(CardError::CounterUsedUp)?;
        let data = data_of(answer, Status::Ok)?;
        let opened = match mode {
            Mode::Plain => data.to_vec(),
            Mode::Mac => self.authentic(data, next)?.to_vec(),
            Mode::Full => self.decipher(self.authentic(data, next)?, next)?,
        };
        self.answered = next;
        Ok(opened)
    }

    /// The data in front of the MAC of an answer, once the MAC is checked.
    fn authentic<'a>(&self, data: &'a [u8], counter: u16) -> Result<&'a [u8], CardError> {
        let (body, mac) = data.split_last_chunk::<MAC_LEN>().ok_or(CardError::Form)?;
        let genuine = self.mac(Status::Ok.byte(), counter.to_le_bytes(), body);
        if crypto::equal(mac, &genuine) {
            Ok(body)
        } else {
            Err(CardError::Mac)
        }
    }

    fn decipher(&self, cipher: &[u8], counter: u16) -> Result<Vec<u8>, CardError> {
        if cipher.is_empty() {
            return Ok(Vec::new());
        }
        let (blocks, []) = cipher.as_chunks() else {
            return Err(CardError::Form);
        };
        let mut blocks = Zeroizing::new(blocks.to_vec());
        let iv = self.iv(IV_ANSWER, counter.to_le_bytes());
        crypto::cbc_decrypt(self.enc.as_bytes(), &iv, &mut blocks);
        let data = crypto::unpad(&blocks).ok_or(CardError::Form)?;
        Ok(data.to_vec())
    }

    /// MAC over `first || counter || TI || body`, truncated; `first` is INS of a command, the status of an answer.
    fn mac(&self, first: u8, counter: [u8; 2], body: &[u8]) -> [u8; MAC_LEN] {
        crypto::truncate(&crypto::cmac(
            self.mac.as_bytes(),
            &[&[first], &counter, &self.ti, body],
        ))
    }

    /// Initial vector: `label || TI || counter || 00*8`, enciphered.
    fn iv(&self, [l0, l1]: [u8; 2], [c0, c1]: [u8; 2]) -> Block {
        let [t0, t1, t2, t3] = self.ti;
        let block = [l0, l1, t0, t1, t2, t3, c0, c1, 0, 0, 0, 0, 0, 0, 0, 0];
        crypto::encrypt_block(self.enc.as_bytes(), &block)
    }

    /// Awaits the answers to `count` commands that were made from another view of this session.
    pub(crate) const fn expect_answers(&mut self, count: u16) {
        self.sent = self.sent.saturating_add(count);
    }

    /// This session with other keys, as after an authentication inside it: transaction identifier and counter stay.
    #[must_use]
    pub(crate) fn with_keys(self, enc: Key, mac: Key) -> Self {
        Self { enc, mac, ..self }
    }

    /// The session as bytes, to be sealed: encryption key 16, MAC key 16, transaction identifier 4, commands sent and
    /// answers opened 2 each, least significant byte first.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; SESSION_LEN]> {
        let mut bytes = Zeroizing::new([0; SESSION_LEN]);
        let parts = self
            .enc
            .as_bytes()
            .iter()
            .chain(self.mac.as_bytes())
            .copied()
            .chain(self.ti)
            .chain(self.sent.to_le_bytes())
            .chain(self.answered.to_le_bytes());
        for (to, from) in bytes.iter_mut().zip(parts) {
            *to = from;
        }
        bytes
    }

    /// The session that [`Session::to_bytes`] wrote.
    ///
    /// Any 40 bytes make a session; only the seal around them says that it is one of ours.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; SESSION_LEN]) -> Self {
        let mut rest = bytes.iter().copied();
        let mut next = || rest.next().unwrap_or_default();
        Self {
            enc: Key::new(core::array::from_fn(|_| next())),
            mac: Key::new(core::array::from_fn(|_| next())),
            ti: core::array::from_fn(|_| next()),
            sent: u16::from_le_bytes(core::array::from_fn(|_| next())),
            answered: u16::from_le_bytes(core::array::from_fn(|_| next())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn session(counter: u16) -> Session {
        Session::new(Key::new([1; 16]), Key::new([2; 16]), [3; 4], counter)
    }

    #[test]
    fn a_session_does_not_print() {
        assert_eq!(format!("{:?}", session(0)), "Session [redacted]");
    }

    #[test]
    fn the_last_counter_value_sends_no_command() {
        let mut last = session(u16::MAX - 1);
        assert!(last.command(0x6C, &[1], &[], Mode::Full).is_ok());
        assert_eq!(
            last.command(0x6C, &[1], &[], Mode::Full),
            Err(CardError::CounterUsedUp)
        );
    }

    #[test]
    fn an_answer_without_a_command_is_refused() {
        assert_eq!(
            session(0).response(&[0x91, 0x00], Mode::Plain),
            Err(CardError::Unasked)
        );
    }

    #[test]
    fn a_command_that_does_not_fit_leaves_the_session_as_it_was() {
        let mut session = session(7);
        let before = session.to_bytes();
        // 7 + 39 data bytes padded to 48 + 8 = 63
        let command = session.command(0x3D, &[0; 7], &[0; 39], Mode::Full);
        assert_eq!(command, Err(CardError::TooLong));
        assert_eq!(*session.to_bytes(), *before);
    }

    #[test]
    fn an_error_status_ends_the_session_and_is_named() {
        let mut session = session(0);
        let _ = session.command(0xC7, &[], &[], Mode::Mac);
        assert_eq!(
            session.response(&[0x91, 0x1E], Mode::Mac),
            Err(CardError::Status(Status::IntegrityError))
        );
        assert_eq!(
            session.response(&[0x90, 0x00], Mode::Mac),
            Err(CardError::NotNative)
        );
    }
}
