//! A card that knows the commands of a personalisation and nothing else, written against the protocol page.

use card::apdu::Command;
use card::crypto::{self, Block, DesBlock, ZERO};
use std::collections::BTreeMap;

/// Master key of the PICC level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PiccKey {
    Des,
    Aes(Block, u8),
}

/// The purse application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Application {
    pub(crate) settings: Vec<u8>,
    pub(crate) keys: [(Block, u8); 3],
    /// Creating command and its parameters after the file number.
    pub(crate) files: BTreeMap<u8, (u8, Vec<u8>)>,
    pub(crate) number: Vec<u8>,
    pub(crate) state: [u8; 24],
    pub(crate) value: i32,
}

impl Application {
    pub(crate) fn new(settings: &[u8]) -> Self {
        Self {
            settings: settings.to_vec(),
            keys: [(ZERO, 0); 3],
            files: BTreeMap::new(),
            number: vec![0; 16],
            state: [0; 24],
            value: 0,
        }
    }
}

/// What stays without power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) uid: [u8; 7],
    pub(crate) picc: PiccKey,
    pub(crate) purse: Option<Application>,
}

#[derive(Clone)]
struct Session {
    key_no: u8,
    enc: Block,
    mac: Block,
    counter: u16,
}

enum Open {
    Ev2(u8, Block),
    Old,
    OldSession(DesBlock),
}

/// The card in the field.
pub(crate) struct BenchCard {
    pub(crate) memory: Memory,
    in_purse: bool,
    session: Option<Session>,
    open: Option<Open>,
    /// Commands seen, as INS.
    pub(crate) seen: Vec<u8>,
}

const TI: [u8; 4] = [9, 8, 7, 6];
const RND_B: Block = [0xB7; 16];
const OLD_RND_B: DesBlock = [0xB1, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8];

type Refused = Result<Vec<u8>, u8>;

impl BenchCard {
    pub(crate) fn new(memory: Memory) -> Self {
        Self {
            memory,
            in_purse: false,
            session: None,
            open: None,
            seen: Vec::new(),
        }
    }

    pub(crate) fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        let (ins, data) = Command::parse(apdu).unwrap().native().unwrap();
        self.seen.push(ins);
        let outcome = match (ins, self.open.take()) {
            (0xAF, Some(open)) => self.finish(open, data).map(|data| (data, 0x00)),
            (0xC4, Some(Open::OldSession(key))) => self.old_change(key, data).map(|d| (d, 0)),
            (0x5A, _) => self.select(data).map(|data| (data, 0x00)),
            (0x71 | 0x1A, _) => self.begin(ins, data).map(|data| (data, 0xAF)),
            _ => self.managed(ins, data).map(|data| (data, 0x00)),
        };
        let (mut answer, status) = outcome.unwrap_or_else(|status| {
            self.session = None;
            (vec![], status)
        });
        answer.extend([0x91, status]);
        answer
    }

    fn select(&mut self, aid: &[u8]) -> Refused {
        self.session = None;
        self.in_purse = match aid {
            [0, 0, 0] => false,
            [0x45, 0x4D, 0x31] if self.memory.purse.is_some() => true,
            _ => return Err(0xA0),
        };
        Ok(vec![])
    }

    fn begin(&mut self, ins: u8, data: &[u8]) -> Refused {
        self.session = None;
        let key = match (ins, self.in_purse, &self.memory.picc) {
            (0x1A, false, PiccKey::Des) => {
                let mut block = [OLD_RND_B];
                crypto::des_cbc_encrypt(&[0; 8], &[0; 8], &mut block);
                self.open = Some(Open::Old);
                return Ok(block[0].to_vec());
            }
            (0x71, true, _) => self.purse()?.keys[usize::from(data[0])].0,
            (0x71, false, PiccKey::Aes(key, _)) => *key,
            _ => return Err(0xAE),
        };
        let mut block = [RND_B];
        crypto::cbc_encrypt(&key, &ZERO, &mut block);
        self.open = Some(Open::Ev2(data[0], key));
        Ok(block[0].to_vec())
    }

    fn finish(&mut self, open: Open, data: &[u8]) -> Refused {
        match open {
            Open::Ev2(key_no, key) => self.finish_ev2(key_no, &key, data),
            Open::Old => self.finish_old(data),
            Open::OldSession(_) => Err(0x1C),
        }
    }

    fn finish_ev2(&mut self, key_no: u8, key: &Block, data: &[u8]) -> Refused {
        let mut blocks: [Block; 2] = data.as_chunks().0.try_into().map_err(|_| 0x7E)?;
        crypto::cbc_decrypt(key, &ZERO, &mut blocks);
        let [a, echo] = blocks;
        if echo != crypto::rotate(RND_B) {
            return Err(0xAE);
        }
        let mut tail = vec![0x00, 0x01, 0x00, 0x80, a[0], a[1]];
        tail.extend((0..6).map(|index| a[index + 2] ^ RND_B[index]));
        tail.extend(&RND_B[6..]);
        tail.extend(&a[8..]);
        self.session = Some(Session {
            key_no,
            enc: crypto::cmac(key, &[&[0xA5, 0x5A], &tail]),
            mac: crypto::cmac(key, &[&[0x5A, 0xA5], &tail]),
            counter: 0,
        });
        let plain = [&TI[..], &crypto::rotate(a), &[0; 12]].concat();
        let mut blocks = plain.as_chunks().0.to_vec();
        crypto::cbc_encrypt(key, &ZERO, &mut blocks);
        Ok(blocks.as_flattened().to_vec())
    }

    fn finish_old(&mut self, data: &[u8]) -> Refused {
        let mut iv = [OLD_RND_B];
        crypto::des_cbc_encrypt(&[0; 8], &[0; 8], &mut iv);
        let sent: [DesBlock; 2] = data.as_chunks().0.try_into().map_err(|_| 0x7E)?;
        let mut blocks = sent;
        crypto::des_cbc_decrypt(&[0; 8], &iv[0], &mut blocks);
        let [a, echo] = blocks;
        if echo != crypto::rotate(OLD_RND_B) {
            return Err(0xAE);
        }
        let key = [a[0], a[1], a[2], a[3], 0xB1, 0xB2, 0xB3, 0xB4];
        self.open = Some(Open::OldSession(key));
        let mut proof = [crypto::rotate(a)];
        crypto::des_cbc_encrypt(&[0; 8], &sent[1], &mut proof);
        Ok(proof[0].to_vec())
    }

    fn old_change(&mut self, key: DesBlock, data: &[u8]) -> Refused {
        let mut blocks = data[1..].as_chunks().0.to_vec();
        crypto::des_cbc_decrypt(&key, &[0; 8], &mut blocks);
        let plain = blocks.as_flattened();
        let checksum = crypto::jamcrc(&[&[0xC4, data[0]], &plain[..17]]);
        if data[0] != 0x80 || plain[17..] != [&checksum.to_le_bytes()[..], &[0; 3]].concat() {
            return Err(0x1E);
        }
        self.memory.picc = PiccKey::Aes(plain[..16].try_into().unwrap(), plain[16]);
        Ok(vec![])
    }

    /// Everything that carries a MAC when there is a session.
    fn managed(&mut self, ins: u8, data: &[u8]) -> Refused {
        let Some(mut session) = self.session.clone() else {
            return self.run(ins, data, None);
        };
        let (body, mac) = data.split_last_chunk::<8>().ok_or(0x7E)?;
        if *mac != session.code(ins, body) {
            return Err(0x1E);
        }
        let header_len = match ins {
            0xC4 => 1,
            0x3D => 7,
            _ => body.len(),
        };
        let (header, cipher) = body.split_at(header_len);
        let mut blocks = cipher.as_chunks().0.to_vec();
        crypto::cbc_decrypt(&session.enc, &session.iv([0xA5, 0x5A]), &mut blocks);
        let clear = crypto::unpad(&blocks).unwrap_or_default();
        let parameters = [header, clear].concat();
        session.counter += 1;
        let answer = self.run(ins, &parameters, Some(&session))?;
        if ins == 0xC4 && parameters[0] & 0x0F == session.key_no {
            self.session = None;
            return Ok(vec![]);
        }
        let mut body = answer;
        if matches!(ins, 0x51 | 0x6C | 0xBD) {
            let mut blocks = crypto::pad(&body);
            crypto::cbc_encrypt(&session.enc, &session.iv([0x5A, 0xA5]), &mut blocks);
            body = blocks.as_flattened().to_vec();
        }
        body.extend(session.code(0x00, &body));
        self.session = Some(session);
        Ok(body)
    }

    fn run(&mut self, ins: u8, data: &[u8], session: Option<&Session>) -> Refused {
        let key_no = session.map(|session| session.key_no);
        let master = || key_no.filter(|key_no| *key_no == 0).ok_or(0xAE);
        match ins {
            0xCA => {
                self.memory.purse = Some(Application::new(&data[3..]));
                Ok(vec![])
            }
            0x64 if !self.in_purse => Ok(vec![match self.memory.picc {
                PiccKey::Des => 0,
                PiccKey::Aes(_, version) => version,
            }]),
            0x64 => Ok(vec![self.purse()?.keys[usize::from(data[0])].1]),
            0x51 => master().map(|_| self.memory.uid.to_vec()),
            0x45 => Ok(self.purse()?.settings.clone()),
            0x6F => Ok(self.purse()?.files.keys().copied().collect()),
            0xF5 => Ok(settings(self.purse()?.files.get(&data[0]).ok_or(0xF0)?)),
            0xCC | 0xCB | 0xC0 | 0xCD => {
                master()?;
                let files = &mut self.purse()?.files;
                if files.contains_key(&data[0]) {
                    return Err(0xDE);
                }
                files.insert(data[0], (ins, data[1..].to_vec()));
                Ok(vec![])
            }
            0xC4 => self.change_key(data, master()?),
            0x3D => {
                master()?;
                self.purse()?.number = data[7..].to_vec();
                Ok(vec![])
            }
            0x6C if key_no == Some(1) => Ok(self.purse()?.value.to_le_bytes().to_vec()),
            0xBD if key_no == Some(1) && data[0] == 3 => Ok(self.purse()?.state.to_vec()),
            0xBD if key_no == Some(1) && data[0] == 5 => Ok(self.purse()?.number.clone()),
            _ => Err(0x9D),
        }
    }

    fn change_key(&mut self, data: &[u8], _master: u8) -> Refused {
        let mut new: Block = data[1..17].try_into().unwrap();
        if !self.in_purse {
            if data[0] != 0x80 {
                return Err(0x9E);
            }
            self.memory.picc = PiccKey::Aes(new, data[17]);
            return Ok(vec![]);
        }
        let slot = &mut self.purse()?.keys[usize::from(data[0])];
        if data[0] != 0 {
            for (byte, old) in new.iter_mut().zip(slot.0) {
                *byte ^= old;
            }
            if data[18..] != crypto::jamcrc(&[&new]).to_le_bytes() {
                return Err(0x1E);
            }
        }
        *slot = (new, data[17]);
        Ok(vec![])
    }

    fn purse(&mut self) -> Result<&mut Application, u8> {
        self.memory
            .purse
            .as_mut()
            .filter(|_| self.in_purse)
            .ok_or(0x9D)
    }
}

/// Type, mode, rights, then what each type tells of itself.
fn settings((ins, parameters): &(u8, Vec<u8>)) -> Vec<u8> {
    let (kind, rest): (u8, &[u8]) = match ins {
        0xCD => (0, &[]),
        0xCB => (1, &[]),
        0xCC => (2, &[]),
        _ => (4, &[0; 3]),
    };
    [&[kind], &parameters[..], rest].concat()
}

impl Session {
    fn code(&self, first: u8, body: &[u8]) -> [u8; 8] {
        let counter = self.counter.to_le_bytes();
        crypto::truncate(&crypto::cmac(&self.mac, &[&[first], &counter, &TI, body]))
    }

    fn iv(&self, label: [u8; 2]) -> Block {
        let mut block = ZERO;
        block[..2].copy_from_slice(&label);
        block[2..6].copy_from_slice(&TI);
        block[6..8].copy_from_slice(&self.counter.to_le_bytes());
        crypto::encrypt_block(&self.enc, &block)
    }
}
