//! A personalised card, and a session with it, for tests that need the reader half.

use std::sync::OnceLock;

use card::handshake::{self, Challenge};
use card::key::Key;
use card::personalise::{Blank, CardKeys, Personalisation, Step};
pub(crate) use card::secure_messaging::Mode;
use card::secure_messaging::Session;
use card_sim::{Card, FileView};

use crate::common::{UID, exchange};

pub(crate) const AID: [u8; 3] = card::purse::AID;
pub(crate) const SELECT: [u8; 9] = [0x90, 0x5A, 0, 0, 3, 0x45, 0x4D, 0x31, 0];

fn keys() -> CardKeys {
    let [picc, k0, k1, k2] = [9, 0, 1, 2].map(|byte| Key::new([byte; 16]));
    CardKeys::derive(&picc, [&k0, &k1, &k2], &UID)
}

/// Personalises `card`, cutting the power before command `cut_at`; the number of commands sent.
pub(crate) fn personalise(card: &mut Card, cut_at: usize) -> Option<usize> {
    let blank = Blank {
        uid: UID,
        card_number: *b"4111111111111111",
        keys: keys(),
    };
    let (mut apdu, mut machine) = Personalisation::start(blank);
    for sent in 0..200 {
        if sent == cut_at {
            card.reset();
            return None;
        }
        let answer = card.transmit(&apdu).answer;
        match machine
            .next(&answer, [0x5A; 16])
            .expect("a blank or half-made card of ours")
        {
            Step::Transmit(next_apdu, next) => (apdu, machine) = (next_apdu, next),
            Step::Done => return Some(sent + 1),
        }
    }
    panic!("personalisation does not end");
}

/// An empty purse, without power since its personalisation.
pub(crate) fn new_purse() -> Card {
    static PURSE: OnceLock<Vec<u8>> = OnceLock::new();
    let snapshot = PURSE.get_or_init(|| {
        let mut card = Card::new(UID, [3; 32]);
        personalise(&mut card, usize::MAX).expect("a whole run");
        card.snapshot()
    });
    Card::restore(snapshot).expect("a stored card")
}

/// Committed value, STATE and LOG.
pub(crate) fn content(card: &Card) -> [FileView; 3] {
    let applications = card.applications();
    let purse = applications
        .iter()
        .find(|view| view.aid == AID)
        .expect("a purse");
    [1, 3, 4].map(|wanted| {
        let file = purse.files.iter().find(|(number, _)| *number == wanted);
        file.expect("a file of the purse").1.clone()
    })
}

/// A card with an open session.
pub(crate) struct Tap {
    pub(crate) card: Card,
    pub(crate) session: Session,
}

impl Tap {
    /// Selects the purse and authenticates with key `key_no`.
    pub(crate) fn new(mut card: Card, key_no: u8) -> Self {
        assert_eq!(card.transmit(&SELECT).answer, [0x91, 0x00]);
        let session = login(&mut card, key_no);
        Self { card, session }
    }

    /// Sends a command of the session: the opened answer, or the status that ended the session.
    pub(crate) fn send(&mut self, ins: u8, header: &[u8], data: &[u8]) -> Result<Vec<u8>, u8> {
        self.send_as(ins, header, data, Mode::Full)
    }

    /// Like [`Tap::send`], in another mode.
    pub(crate) fn send_as(
        &mut self,
        ins: u8,
        header: &[u8],
        data: &[u8],
        mode: Mode,
    ) -> Result<Vec<u8>, u8> {
        let command = self
            .session
            .command(ins, header, data, mode)
            .expect("counter left");
        let answer = exchange(&mut self.card, &command);
        match answer[..] {
            [.., 0x91, 0x00] => Ok(self
                .session
                .response(&answer, mode)
                .expect("the card's MAC")),
            [0x91, status] => Err(status),
            _ => panic!("not a native answer: {answer:02X?}"),
        }
    }

    pub(crate) fn commit(&mut self) -> Result<Vec<u8>, u8> {
        self.send_as(0xC7, &[], &[], Mode::Mac)
    }

    /// Whether the card still knows the session.
    pub(crate) fn is_open(&mut self) -> bool {
        self.send_as(0xF5, &[1], &[], Mode::Mac).is_ok()
    }
}

/// Authenticates with a key of the purse; the reader's random number is fixed.
pub(crate) fn login(card: &mut Card, key_no: u8) -> Session {
    let key = &keys().purse[usize::from(key_no)];
    let challenge = Challenge::parse(&card.transmit(&handshake::first(key_no)).answer);
    let (apdu, pending) = challenge.expect("a challenge").answer(key, [0xA5; 16]);
    pending
        .finish(key, &card.transmit(&apdu).answer)
        .expect("the card knows the key")
}
