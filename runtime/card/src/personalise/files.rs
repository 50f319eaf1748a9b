//! The files of the purse: how each is created, and what the card then says about it.

use crate::purse::{FILE_CARD_NUMBER, FILE_LOG, FILE_STATE, FILE_VALUE};

/// One file of the purse.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) no: u8,
    /// Command that creates it.
    pub(super) ins: u8,
    /// Its parameters after the file number: mode, access rights 2 (least significant byte first), what the type needs.
    pub(super) parameters: &'static [u8],
    /// Answer of `GetFileSettings` while the file is unused: type, mode, access rights 2, what the type tells.
    pub(super) settings: &'static [u8],
}

/// All files, in the order in which they are created; every one in full mode.
///
/// Access rights, as read: the value file is debited by key 2 and credited by key 1; STATE and LOG are written by key 2 and
/// by key 1; the card number is read by key 1 and written by key 0.
pub(super) static FILES: [File; 4] = [
    File {
        no: FILE_VALUE,
        ins: 0xCC,
        // lower 0, upper 1,000,000, initial 0, neither limited credit nor free reading
        parameters: &[
            0x03, 0x10, 0x2F, 0, 0, 0, 0, 0x40, 0x42, 0x0F, 0, 0, 0, 0, 0, 0,
        ],
        // the third number is the limited credit that is left
        settings: &[
            0x02, 0x03, 0x10, 0x2F, 0, 0, 0, 0, 0x40, 0x42, 0x0F, 0, 0, 0, 0, 0, 0,
        ],
    },
    File {
        no: FILE_STATE,
        ins: 0xCB,
        parameters: &[0x03, 0x10, 0x22, 24, 0, 0],
        settings: &[0x01, 0x03, 0x10, 0x22, 24, 0, 0],
    },
    File {
        no: FILE_LOG,
        ins: 0xC0,
        // 9 records, of which 8 can be read
        parameters: &[0x03, 0x10, 0x22, 30, 0, 0, 9, 0, 0],
        // no record yet
        settings: &[0x04, 0x03, 0x10, 0x22, 30, 0, 0, 9, 0, 0, 0, 0, 0],
    },
    File {
        no: FILE_CARD_NUMBER,
        ins: 0xCD,
        parameters: &[0x03, 0x00, 0x1F, 16, 0, 0],
        settings: &[0x00, 0x03, 0x00, 0x1F, 16, 0, 0],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purse::{CARD_NUMBER_LEN, LOG_RECORD_LEN, STATE_LEN, VALUE_MAX};

    #[test]
    fn the_table_agrees_with_the_purse_s_constants() {
        let [value, state, log, number] = &FILES;
        assert_eq!(value.parameters[7..11], VALUE_MAX.to_le_bytes());
        for (file, len) in [
            (state, STATE_LEN),
            (log, LOG_RECORD_LEN),
            (number, CARD_NUMBER_LEN),
        ] {
            assert_eq!(usize::from(file.parameters[3]), len);
        }
    }

    #[test]
    fn settings_repeat_mode_and_rights_of_creation() {
        for file in &FILES {
            assert_eq!(file.settings[1..4], file.parameters[..3]);
        }
    }
}
