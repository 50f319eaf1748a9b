//! The mutual authentication that opens an EV2 session.
//!
//! Three steps, one type each: [`first`] gives the command that may travel before the reader half knows anything;
//! [`Challenge`] is the card's answer to it; [`Pending`] awaits the card's proof and gives the [`Session`].
//!
//! Source: `docs/card-protocol.md`, section "Handshake".

use crate::apdu::{self, INS_MORE, Status};
use crate::crypto::{self, Block, ZERO};
use crate::error::{CardError, data_of};
use crate::key::Key;
use crate::secure_messaging::Session;
use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroizing;

/// INS of the authentication that opens a session.
pub const INS_FIRST: u8 = 0x71;

/// Length of a pending handshake as bytes.
pub const PENDING_LEN: usize = 48;

/// Labels in front of the two session vectors.
const SV_ENC: [u8; 2] = [0xA5, 0x5A];
const SV_MAC: [u8; 2] = [0x5A, 0xA5];
/// What both session vectors say after their label: counter 1 and 128 bits.
const SV_FIXED: [u8; 4] = [0x00, 0x01, 0x00, 0x80];

/// First command of the handshake with key `key_no`, without capabilities: `90 71 00 00 02 key_no 00 00`.
#[must_use]
pub fn first(key_no: u8) -> Vec<u8> {
    apdu::native(INS_FIRST, &[key_no, 0])
}

/// The card's enciphered random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge(Block);

impl Challenge {
    /// The 16 enciphered bytes.
    #[must_use]
    pub const fn new(enciphered: Block) -> Self {
        Self(enciphered)
    }

    /// Reads the answer to the first command: 16 bytes and `91 AF`.
    ///
    /// # Errors
    /// [`CardError::Status`] for another status, of which `AE` means that the key is of another type and `40` that there is
    /// none; [`CardError::Form`] for another length; [`CardError::NotNative`].
    pub fn parse(answer: &[u8]) -> Result<Self, CardError> {
        let data = data_of(answer, Status::AdditionalFrame)?;
        Ok(Self(data.try_into().map_err(|_| CardError::Form)?))
    }

    /// Answers the challenge.
    ///
    /// `rnd_a`: 16 fresh random bytes. Gives the second command, `90 AF 00 00 20 .. 00`, and what to check its answer with.
    #[must_use]
    pub fn answer(self, key: &Key, rnd_a: Block) -> (Vec<u8>, Pending) {
        let mut rnd_b = Zeroizing::new([self.0]);
        crypto::cbc_decrypt(key.as_bytes(), &ZERO, &mut *rnd_b);
        let [rnd_b] = *rnd_b;
        let mut both = [rnd_a, crypto::rotate(rnd_b)];
        crypto::cbc_encrypt(key.as_bytes(), &ZERO, &mut both);
        let mut data = [0; 32];
        data.copy_from_slice(both.as_flattened());
        let (enc, mac) = session_keys(key, &rnd_a, &rnd_b);
        let pending = Pending {
            rnd_a: Key::new(rnd_a),
            enc,
            mac,
        };
        (apdu::native(INS_MORE, &data), pending)
    }
}

/// The two session keys: CMAC under the card's key over the two session vectors.
///
/// Vector: `label 2 || 00 01 00 80 || A[0..2] || A[2..8] xor B[0..6] || B[6..16] || A[8..16]`, 32 bytes.
fn session_keys(key: &Key, rnd_a: &Block, rnd_b: &Block) -> (Key, Key) {
    let (a_head, a_tail) = rnd_a.split_at(8);
    let (b_head, b_tail) = rnd_b.split_at(6);
    let mut mixed = Zeroizing::new([0_u8; 8]);
    let masks = [0; 2].iter().chain(b_head);
    for ((to, from), mask) in mixed.iter_mut().zip(a_head).zip(masks) {
        *to = from ^ mask;
    }
    let derive = |label: [u8; 2]| {
        let parts: [&[u8]; 5] = [&label, &SV_FIXED, &*mixed, b_tail, a_tail];
        Key::new(crypto::cmac(key.as_bytes(), &parts))
    };
    (derive(SV_ENC), derive(SV_MAC))
}

/// A handshake that lacks the card's proof; its session keys are of no use before.
///
/// It does not hold the card's own key, so that what travels as a sealed ticket dies with the session.
#[derive(Clone)]
pub struct Pending {
    rnd_a: Key,
    enc: Key,
    mac: Key,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending [redacted]")
    }
}

impl Pending {
    /// Checks the card's proof and opens the session, with counter 0 and the card's transaction identifier.
    ///
    /// `key`: the one that answered the challenge. `answer`: 32 bytes and `91 00`, holding transaction identifier 4, our
    /// random number rotated 16, capabilities of card and reader 6 each (not looked at).
    ///
    /// # Errors
    /// [`CardError::Status`], where `AE` means that the card knows another key; [`CardError::Form`] for another length;
    /// [`CardError::NotGenuine`] when our random number does not come back; [`CardError::NotNative`].
    pub fn finish(self, key: &Key, answer: &[u8]) -> Result<Session, CardError> {
        let mut proof = Zeroizing::new(proof::<2>(answer)?);
        crypto::cbc_decrypt(key.as_bytes(), &ZERO, &mut *proof);
        let (ti, rest) = proof
            .as_flattened()
            .split_first_chunk::<4>()
            .ok_or(CardError::Form)?;
        let (rnd_a, _) = rest.split_at_checked(16).ok_or(CardError::Form)?;
        self.check(rnd_a)?;
        Ok(Session::new(self.enc, self.mac, *ti, 0))
    }

    /// Checks the card's proof of a handshake inside `session`, which goes on with new keys.
    ///
    /// `answer`: 16 bytes and `91 00`, our random number rotated. Transaction identifier and counter stay.
    ///
    /// # Errors
    /// Those of [`Pending::finish`].
    pub fn finish_within(
        self,
        key: &Key,
        session: Session,
        answer: &[u8],
    ) -> Result<Session, CardError> {
        let mut proof = Zeroizing::new(proof::<1>(answer)?);
        crypto::cbc_decrypt(key.as_bytes(), &ZERO, &mut *proof);
        self.check(proof.as_flattened())?;
        Ok(session.with_keys(self.enc, self.mac))
    }

    fn check(&self, rotated: &[u8]) -> Result<(), CardError> {
        let genuine = Zeroizing::new(crypto::rotate(*self.rnd_a.as_bytes()));
        if crypto::equal(rotated, &*genuine) {
            Ok(())
        } else {
            Err(CardError::NotGenuine)
        }
    }

    /// The pending handshake as bytes, to be sealed: our random number, encryption key, MAC key, 16 each.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; PENDING_LEN]> {
        let mut bytes = Zeroizing::new([0; PENDING_LEN]);
        let parts = [&self.rnd_a, &self.enc, &self.mac];
        for (to, from) in bytes
            .iter_mut()
            .zip(parts.into_iter().flat_map(Key::as_bytes))
        {
            *to = *from;
        }
        bytes
    }

    /// The pending handshake that [`Pending::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; PENDING_LEN]) -> Self {
        let mut rest = bytes.iter().copied();
        let mut next = || Key::new(core::array::from_fn(|_| rest.next().unwrap_or_default()));
        Self {
            rnd_a: next(),
            enc: next(),
            mac: next(),
        }
    }
}

/// The enciphered proof: whole blocks and `91 00`.
fn proof<const BLOCKS: usize>(answer: &[u8]) -> Result<[Block; BLOCKS], CardError> {
    let (blocks, []) = data_of(answer, Status::Ok)?.as_chunks() else {
        return Err(CardError::Form);
    };
    blocks.try_into().map_err(|_| CardError::Form)
}
