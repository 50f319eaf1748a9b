//! The card's end of the EV2 handshake, first and following. Source: docs/card-protocol.md.

use alloc::vec::Vec;

use card::crypto::{self, Block};
use zeroize::Zeroizing;

use crate::device::Card;
use crate::fault::Fault;
use crate::params::Params;
use crate::picc::MasterKey;
use crate::session::{Challenges, Session};

/// Capability bytes of the card, all zero on normal cards; the reader's come back as zeros too.
const CAPABILITIES: [u8; 12] = [0; 12];
/// Capability bytes that a reader may send.
const READER_CAPABILITIES_LEN_MAX: usize = 6;

/// Between the card's challenge and the reader's answer.
pub(crate) struct Handshake {
    key_no: u8,
    key: Zeroizing<Block>,
    challenge: Block,
    /// The session that a following handshake replaces; `None` for a first one.
    running: Option<Session>,
}

impl Card {
    /// `EV2First`: key number 1, length 1, that many capability bytes. Ends session and transaction.
    ///
    /// Answer: the encrypted challenge, 16 bytes, status AF.
    pub(crate) fn begin_first(&mut self, data: &[u8]) -> Result<Vec<u8>, Fault> {
        self.end_session();
        let mut params = Params::new(data);
        let (key_no, capabilities_len) = (params.byte()?, usize::from(params.byte()?));
        let capabilities = params.rest();
        if capabilities_len > READER_CAPABILITIES_LEN_MAX || capabilities.len() != capabilities_len
        {
            return Err(Fault::Length);
        }
        self.challenge(key_no, None)
    }

    /// `EV2NonFirst`: key number 1; needs a session, whose id, counter and transaction go on.
    pub(crate) fn begin_following(&mut self, data: &[u8]) -> Result<Vec<u8>, Fault> {
        let running = self.take_session().ok_or(Fault::Authentication)?;
        let mut params = Params::new(data);
        let key_no = params.byte()?;
        params.end()?;
        self.challenge(key_no, Some(running))
    }

    fn challenge(&mut self, key_no: u8, running: Option<Session>) -> Result<Vec<u8>, Fault> {
        let key = match self.selected() {
            Some(_) => self.application()?.key(key_no)?,
            None if key_no != 0 => return Err(Fault::NoSuchKey),
            None => match &self.picc().master_key {
                MasterKey::Aes(slot) => slot,
                MasterKey::FactoryDes => return Err(Fault::Authentication),
            },
        };
        let key = Zeroizing::new(key.key);
        let challenge: Block = self.draw();
        let mut sealed = [challenge];
        crypto::cbc_encrypt(&key, &crypto::ZERO, &mut sealed);
        self.open_handshake(Handshake {
            key_no,
            key,
            challenge,
            running,
        });
        Ok(sealed.as_flattened().to_vec())
    }

    /// The reader's answer: `E(RndA || rotated RndB)`, 32 bytes.
    ///
    /// Answer: `E(TI 4 || rotated RndA 16 || capabilities 12)` after a first handshake,
    /// `E(rotated RndA)` after a following one.
    pub(crate) fn finish_handshake(
        &mut self,
        handshake: Handshake,
        data: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let ([first, second], []) = data.as_chunks::<16>() else {
            return Err(Fault::Length);
        };
        let mut opened = [*first, *second];
        crypto::cbc_decrypt(&handshake.key, &crypto::ZERO, &mut opened);
        let [reader, echo] = opened;
        if !crypto::equal(&echo, &crypto::rotate(handshake.challenge)) {
            return Err(Fault::Authentication);
        }
        let challenges = Challenges {
            reader: &reader,
            card: &handshake.challenge,
        };
        let session = Session::derive(handshake.key_no, &handshake.key, &challenges);
        let proof = crypto::rotate(reader);
        let (session, answer) = match handshake.running {
            Some(running) => (session.resume(&running), proof.to_vec()),
            None => {
                let transaction_id: [u8; 4] = self.draw();
                let answer = [&transaction_id[..], &proof, &CAPABILITIES].concat();
                (session.start(transaction_id), answer)
            }
        };
        self.start_session(session);
        let mut blocks = answer.as_chunks::<16>().0.to_vec();
        crypto::cbc_encrypt(&handshake.key, &crypto::ZERO, &mut blocks);
        Ok(blocks.as_flattened().to_vec())
    }
}
