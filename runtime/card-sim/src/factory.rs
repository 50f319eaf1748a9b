//! The factory's DES key of the PICC level: one old authentication, to put an AES key in its place.
//!
//! EV2 messaging needs an AES key, and a factory card has none. The session of the old
//! authentication is good for exactly one command here, `ChangeKey` to AES; any other command
//! forgets it. Source: docs/card-protocol.md.

use alloc::vec::Vec;

use card::crypto::{self, DesBlock};
use zeroize::Zeroizing;

use crate::device::Card;
use crate::fault::Fault;
use crate::manage::{KEY_TYPE_AES, MASTER_CHANGEABLE};
use crate::params::Params;
use crate::picc::{KeySlot, MasterKey};

/// `ChangeKey`, the one command of an old session; its byte enters the checksum.
pub(crate) const INS_CHANGE_KEY: u8 = 0xC4;

/// The factory key; the first chain of blocks starts with the same bytes.
const ZERO: DesBlock = [0; 8];
/// Key 16, version 1, checksum 4, zeros up to whole blocks.
const PADDING_LEN: usize = 3;

/// Between the card's old-style challenge and the reader's answer.
pub(crate) struct FactoryHandshake {
    challenge: DesBlock,
    /// Last block of the chain.
    last: DesBlock,
}

/// Session key of the old authentication.
pub(crate) struct FactorySession(Zeroizing<DesBlock>);

impl Card {
    /// `AuthenticateISO`: key number 1, at the PICC level of a card with its factory key.
    ///
    /// Answer: the encrypted challenge, 8 bytes, status AF.
    pub(crate) fn begin_factory(&mut self, data: &[u8]) -> Result<Vec<u8>, Fault> {
        self.end_session();
        let mut params = Params::new(data);
        let key_no = params.byte()?;
        params.end()?;
        if self.selected().is_some() || !matches!(self.picc().master_key, MasterKey::FactoryDes) {
            return Err(Fault::Authentication);
        }
        if key_no != 0 {
            return Err(Fault::NoSuchKey);
        }
        let challenge: DesBlock = self.draw();
        let mut sealed = [challenge];
        crypto::des_cbc_encrypt(&ZERO, &ZERO, &mut sealed);
        let [last] = sealed;
        self.open_factory(FactoryHandshake { challenge, last });
        Ok(last.to_vec())
    }

    /// The reader's answer, `RndA || rotated RndB`, 16 bytes; the chain of blocks runs on.
    ///
    /// Answer: the rotated `RndA`, 8 bytes.
    pub(crate) fn finish_factory(
        &mut self,
        handshake: &FactoryHandshake,
        data: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let ([first, last], []) = data.as_chunks::<8>() else {
            return Err(Fault::Length);
        };
        let mut opened = [*first, *last];
        crypto::des_cbc_decrypt(&ZERO, &handshake.last, &mut opened);
        let [reader, echo] = opened;
        if !crypto::equal(&echo, &crypto::rotate(handshake.challenge)) {
            return Err(Fault::Authentication);
        }
        let mut key = Zeroizing::new(ZERO);
        let halves = reader
            .iter()
            .take(4)
            .chain(handshake.challenge.iter().take(4));
        for (slot, byte) in key.iter_mut().zip(halves) {
            *slot = *byte;
        }
        self.start_factory(FactorySession(key));
        let mut proof = [crypto::rotate(reader)];
        crypto::des_cbc_encrypt(&ZERO, last, &mut proof);
        Ok(proof.as_flattened().to_vec())
    }

    /// `ChangeKey` of the session's own key: key number and type 80 in clear, then encrypted
    /// `new 16 || version 1 || JAMCRC(C4 80 new version) 4 || 00 * 3`.
    ///
    /// The session ends; the answer carries no MAC.
    pub(crate) fn change_factory_key(
        &mut self,
        session: &FactorySession,
        data: &[u8],
    ) -> Result<(), Fault> {
        let (number, sealed) = data.split_first().ok_or(Fault::Length)?;
        let ([first, second, third], []) = sealed.as_chunks::<8>() else {
            return Err(Fault::Length);
        };
        if *number != KEY_TYPE_AES {
            return Err(Fault::Parameter);
        }
        if self.picc().key_settings & MASTER_CHANGEABLE == 0 {
            return Err(Fault::PermissionDenied);
        }
        let mut opened = Zeroizing::new([*first, *second, *third]);
        crypto::des_cbc_decrypt(&session.0, &ZERO, &mut *opened);
        let mut params = Params::new(opened.as_flattened());
        let slot = KeySlot {
            key: params.take()?,
            version: params.byte()?,
        };
        let sum = crypto::jamcrc(&[&[INS_CHANGE_KEY, KEY_TYPE_AES], &slot.key, &[slot.version]]);
        let (sent, padding) = (params.take()?, params.take::<PADDING_LEN>()?);
        if sum != u32::from_le_bytes(sent) || padding != [0; PADDING_LEN] {
            return Err(Fault::Integrity);
        }
        self.picc_mut().master_key = MasterKey::Aes(slot);
        Ok(())
    }
}
