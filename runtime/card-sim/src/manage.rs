//! Commands about the card itself: identity, applications, keys, file creation.

use alloc::vec;
use alloc::vec::Vec;

use card::crypto;

use crate::device::Card;
use crate::fault::Fault;
use crate::file::{AccessRights, Body, File, RecordBody, TransactionMacBody, ValueBody};
use crate::params::{Params, u24_bytes};
use crate::picc::{APPLICATIONS_MAX, Application, FILES_MAX, KEYS_MAX, KeySlot, MasterKey};
use crate::plan::FileKind;

/// Hardware and software frames of GetVersion as an EV3 4K gives them, then batch, week, year.
const VERSION_HARDWARE: [u8; 7] = [0x04, 0x01, 0x01, 0x33, 0x00, 0x18, 0x05];
const VERSION_SOFTWARE: [u8; 7] = [0x04, 0x01, 0x01, 0x03, 0x00, 0x18, 0x05];
const VERSION_BATCH: [u8; 7] = [0x54, 0x45, 0x47, 0x41, 0x54, 0x01, 0x26];

/// Bit 0 of the key settings: the master key may change.
pub(crate) const MASTER_CHANGEABLE: u8 = 1;
/// Bit 1: listing without the master key.
const FREE_LISTING: u8 = 1 << 1;
/// Bit 2: creating without the master key.
const FREE_CREATE: u8 = 1 << 2;
/// Bit 3: the settings may change.
const SETTINGS_CHANGEABLE: u8 = 1 << 3;
/// The two top bits of an application's second settings byte, and of the PICC key number: AES.
pub(crate) const KEY_TYPE_AES: u8 = 0x80;
/// File numbers end here.
const FILE_NUMBER_MAX: u8 = 0x1F;

impl Card {
    pub(crate) fn get_version(&self) -> Vec<u8> {
        let mut out = [VERSION_HARDWARE, VERSION_SOFTWARE, self.picc().uid].concat();
        out.extend(VERSION_BATCH);
        out
    }

    pub(crate) fn free_memory(&self) -> Vec<u8> {
        u24_bytes(self.picc().memory_free()).to_vec()
    }

    pub(crate) fn application_ids(&self) -> Result<Vec<u8>, Fault> {
        self.need_master_unless(FREE_LISTING)?;
        Ok(self
            .picc()
            .applications
            .iter()
            .flat_map(|application| application.aid)
            .collect())
    }

    pub(crate) fn file_ids(&self) -> Result<Vec<u8>, Fault> {
        self.need_master_unless(FREE_LISTING)?;
        Ok(self.application()?.files.keys().copied().collect())
    }

    pub(crate) fn file_settings(&self, mut params: Params<'_>) -> Result<Vec<u8>, Fault> {
        self.need_master_unless(FREE_LISTING)?;
        Ok(self.application()?.file(params.byte()?)?.settings())
    }

    /// First settings byte, then number and type of keys.
    pub(crate) fn key_settings(&self) -> Result<Vec<u8>, Fault> {
        self.need_master_unless(FREE_LISTING)?;
        let second = match (self.selected(), &self.picc().master_key) {
            (Some(_), _) => {
                let [keys, ..] = self.application()?.keys.len().to_le_bytes();
                KEY_TYPE_AES | keys
            }
            (None, MasterKey::Aes(_)) => KEY_TYPE_AES | 1,
            (None, MasterKey::FactoryDes) => 1,
        };
        Ok(vec![self.level_settings()?, second])
    }

    pub(crate) fn key_version(&self, mut params: Params<'_>) -> Result<Vec<u8>, Fault> {
        let number = params.byte()?;
        let version = match self.selected() {
            Some(_) => self.application()?.key(number)?.version,
            None if number == 0 => match &self.picc().master_key {
                MasterKey::Aes(slot) => slot.version,
                MasterKey::FactoryDes => 0,
            },
            None => return Err(Fault::NoSuchKey),
        };
        Ok(vec![version])
    }

    /// AID 3, key settings 1, number and type of keys 1.
    pub(crate) fn create_application(&mut self, mut params: Params<'_>) -> Result<Vec<u8>, Fault> {
        self.need_master_unless(FREE_CREATE)?;
        let (aid, settings, kind) = (params.take()?, params.byte()?, params.byte()?);
        params.end()?;
        let keys = usize::from(kind & 0x0F);
        let change_key = settings >> 4;
        let known_change_key = change_key >= 0xE || usize::from(change_key) < keys;
        if kind & 0xF0 != KEY_TYPE_AES || !(1..=KEYS_MAX).contains(&keys) || !known_change_key {
            return Err(Fault::Parameter);
        }
        if aid == [0; 3] || self.picc().application(aid).is_some() {
            return Err(Fault::Duplicate);
        }
        if self.picc().applications.len() >= APPLICATIONS_MAX {
            return Err(Fault::TooMany);
        }
        let picc = self.picc_mut();
        picc.take_memory(keys.saturating_add(1).saturating_mul(32))?;
        picc.applications
            .push(Application::new(aid, settings, keys));
        Ok(Vec::new())
    }

    /// Deletes one application; its memory comes back only by Format.
    pub(crate) fn delete_application(&mut self, mut params: Params<'_>) -> Result<Vec<u8>, Fault> {
        self.need_master()?;
        let aid = params.take()?;
        self.picc()
            .application(aid)
            .ok_or(Fault::ApplicationNotFound)?;
        self.picc_mut()
            .applications
            .retain(|application| application.aid != aid);
        Ok(Vec::new())
    }

    pub(crate) fn format(&mut self) -> Result<Vec<u8>, Fault> {
        self.need_master()?;
        self.picc_mut().format();
        Ok(Vec::new())
    }

    /// File number 1, mode 1, access rights 2, then what the file type needs.
    pub(crate) fn create_file(
        &mut self,
        kind: FileKind,
        mut params: Params<'_>,
    ) -> Result<Vec<u8>, Fault> {
        self.need_master_unless(FREE_CREATE)?;
        let (number, mode, access) = (params.byte()?, params.byte()?, params.take()?);
        if number > FILE_NUMBER_MAX {
            return Err(Fault::Parameter);
        }
        let application = self.application()?;
        let access = AccessRights::parse(access, application.keys.len())?;
        if application.files.contains_key(&number) {
            return Err(Fault::Duplicate);
        }
        if application.files.len() >= FILES_MAX {
            return Err(Fault::TooMany);
        }
        if kind == FileKind::TransactionMac
            && (application.has_transaction_mac() || !access.is_read_only())
        {
            return Err(Fault::Parameter);
        }
        let body = self.new_body(kind, params)?;
        let file = File::new(mode, access, body)?;
        let aid = application.aid;
        let picc = self.picc_mut();
        picc.take_memory(file.memory_len())?;
        picc.application_mut(aid)
            .ok_or(Fault::PermissionDenied)?
            .files
            .insert(number, file);
        Ok(Vec::new())
    }

    /// An empty body; sizes beyond the free memory are [`Fault::OutOfMemory`] before allocating.
    fn new_body(&self, kind: FileKind, mut params: Params<'_>) -> Result<Body, Fault> {
        let free = self.picc().memory_free();
        let bounded = |len: usize| match len {
            0 => Err(Fault::Parameter),
            len if len > free => Err(Fault::OutOfMemory),
            len => Ok(len),
        };
        let body = match kind {
            FileKind::Backup => Body::Backup(vec![0; bounded(params.u24()?)?].into()),
            FileKind::Value => Body::Value(new_value(&mut params)?),
            FileKind::Linear | FileKind::Cyclic => {
                let cyclic = kind == FileKind::Cyclic;
                let (record_len, records_max) = (bounded(params.u24()?)?, bounded(params.u24()?)?);
                if cyclic && records_max < 2 {
                    return Err(Fault::Parameter);
                }
                Body::Records(RecordBody {
                    cyclic,
                    record_len,
                    records_max,
                    records: Vec::new(),
                })
            }
            FileKind::TransactionMac => {
                if params.byte()? != 2 {
                    return Err(Fault::Parameter);
                }
                let key = KeySlot {
                    key: params.take()?,
                    version: params.byte()?,
                };
                Body::TransactionMac(TransactionMacBody {
                    key,
                    counter: 0,
                    mac: [0; 8],
                })
            }
            FileKind::Standard => Body::Standard(vec![0; bounded(params.u24()?)?].into()),
        };
        params.end()?;
        Ok(body)
    }

    /// Replaces a key. Source: docs/card-protocol.md.
    ///
    /// Another key: `(new xor old) 16 || version 1 || JAMCRC(new) 4`. The session's own key:
    /// `new 16 || version 1`, after which the session is over and the answer carries no MAC.
    pub(crate) fn change_key(&mut self, mut params: Params<'_>) -> Result<Vec<u8>, Fault> {
        let session_key = self.session_key().ok_or(Fault::Authentication)?;
        let number = params.byte()?;
        let mut new = KeySlot {
            key: params.take()?,
            version: params.byte()?,
        };
        let Some(aid) = self.selected() else {
            if number & 0x0F != 0 {
                return Err(Fault::NoSuchKey);
            }
            if number != KEY_TYPE_AES {
                return Err(Fault::Parameter);
            }
            self.need_setting(MASTER_CHANGEABLE)?;
            params.end()?;
            self.picc_mut().master_key = MasterKey::Aes(new);
            self.end_session();
            return Ok(Vec::new());
        };
        let old = self.application()?.key(number)?.clone();
        self.may_change_key(number, session_key)?;
        let own = number == session_key;
        if !own {
            for (byte, old) in new.key.iter_mut().zip(old.key) {
                *byte ^= old;
            }
            if crypto::jamcrc(&[&new.key]) != u32::from_le_bytes(params.take()?) {
                return Err(Fault::Integrity);
            }
        }
        params.end()?;
        let application = self
            .picc_mut()
            .application_mut(aid)
            .ok_or(Fault::PermissionDenied)?;
        *application
            .keys
            .get_mut(usize::from(number))
            .ok_or(Fault::NoSuchKey)? = new;
        if own {
            self.end_session();
        }
        Ok(Vec::new())
    }

    /// Upper nibble of the settings: which key changes the others. Source: docs/card-protocol.md.
    fn may_change_key(&self, number: u8, session_key: u8) -> Result<(), Fault> {
        let settings = self.level_settings()?;
        let policy = settings >> 4;
        let needed = match policy {
            _ if number == 0 => {
                self.need_setting(MASTER_CHANGEABLE)?;
                0
            }
            0xE => number,
            0xF => return Err(Fault::PermissionDenied),
            key if key == number => 0,
            key => key,
        };
        if session_key == needed {
            Ok(())
        } else {
            Err(Fault::Authentication)
        }
    }

    pub(crate) fn change_key_settings(&mut self, mut params: Params<'_>) -> Result<Vec<u8>, Fault> {
        self.need_master()?;
        self.need_setting(SETTINGS_CHANGEABLE)?;
        let settings = params.byte()?;
        match self.selected() {
            None => self.picc_mut().key_settings = settings,
            Some(aid) => {
                let keys = self.application()?.keys.len();
                let change_key = settings >> 4;
                if change_key < 0xE && usize::from(change_key) >= keys {
                    return Err(Fault::Parameter);
                }
                let application = self.picc_mut().application_mut(aid);
                application.ok_or(Fault::PermissionDenied)?.key_settings = settings;
            }
        }
        Ok(Vec::new())
    }

    /// File number 1, mode 1, access rights 2; at once, outside any transaction.
    pub(crate) fn change_file_settings(
        &mut self,
        mut params: Params<'_>,
    ) -> Result<Vec<u8>, Fault> {
        let (number, mode, access) = (params.byte()?, params.byte()?, params.take()?);
        let application = self.application()?;
        let access = AccessRights::parse(access, application.keys.len())?;
        let transaction_mac = matches!(application.file(number)?.body, Body::TransactionMac(_));
        if transaction_mac && !access.is_read_only() {
            return Err(Fault::Parameter);
        }
        let aid = application.aid;
        let application = self
            .picc_mut()
            .application_mut(aid)
            .ok_or(Fault::PermissionDenied)?;
        application
            .file_mut(number)?
            .change_settings(mode, access)?;
        Ok(Vec::new())
    }

    fn level_settings(&self) -> Result<u8, Fault> {
        Ok(match self.selected() {
            Some(_) => self.application()?.key_settings,
            None => self.picc().key_settings,
        })
    }

    fn need_setting(&self, bit: u8) -> Result<(), Fault> {
        if self.level_settings()? & bit == bit {
            Ok(())
        } else {
            Err(Fault::PermissionDenied)
        }
    }

    fn need_master(&self) -> Result<(), Fault> {
        if self.session_key() == Some(0) {
            Ok(())
        } else {
            Err(Fault::Authentication)
        }
    }

    fn need_master_unless(&self, free: u8) -> Result<(), Fault> {
        if self.level_settings()? & free == free {
            Ok(())
        } else {
            self.need_master()
        }
    }
}

impl Application {
    pub(crate) fn key(&self, number: u8) -> Result<&KeySlot, Fault> {
        self.keys.get(usize::from(number)).ok_or(Fault::NoSuchKey)
    }
}

/// Lower 4, upper 4, initial 4, flags 1: bit 1 free `GetValue`; limited credit is not offered.
fn new_value(params: &mut Params<'_>) -> Result<ValueBody, Fault> {
    let (lower, upper, value) = (params.i32()?, params.i32()?, params.i32()?);
    let flags = params.byte()?;
    if lower >= upper || !(lower..=upper).contains(&value) || flags & !2 != 0 {
        return Err(Fault::Parameter);
    }
    Ok(ValueBody {
        lower,
        upper,
        value,
        free_get_value: flags == 2,
    })
}
