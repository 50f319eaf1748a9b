//! The emulated card behind its reader: what is on disk when, and who may use it.

use std::fs;
use std::path::{Path, PathBuf};

use card_reader::{CardFileError, Connection, EmulatedReader, ReaderError, ReaderSpec};
use card_sim::{Card, SNAPSHOT_LEN_MAX};
use tempfile::TempDir;

const UID: [u8; 7] = [0x04, 1, 2, 3, 4, 5, 6];
/// `CreateApplication` 112233 with two AES keys, allowed without a key on a new card.
const CREATE: [u8; 11] = [0x90, 0xCA, 0, 0, 5, 0x11, 0x22, 0x33, 0x0F, 0x82, 0];
const SELECT: [u8; 9] = [0x90, 0x5A, 0, 0, 3, 0x11, 0x22, 0x33, 0];
const FIRST: [u8; 8] = [0x90, 0x71, 0, 0, 2, 0, 0, 0];
const OK: [u8; 2] = [0x91, 0x00];

fn new_card() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.card");
    card_reader::create(&path, &Card::new(UID, [1; 32])).expect("a new file");
    (folder, path)
}

fn open(path: &Path) -> Result<Connection, ReaderError> {
    card_reader::open(&ReaderSpec::Emulated(path.to_owned()))
}

fn code<T>(result: Result<T, ReaderError>) -> &'static str {
    result.err().map_or("", |error| error.code())
}

#[test]
fn a_committed_change_is_on_disk_before_its_answer() {
    let (_folder, path) = new_card();
    let mut connection = open(&path).unwrap();
    assert_eq!(connection.transmit(&CREATE).unwrap(), OK);
    let stored = card_reader::load(&path).unwrap();
    assert_eq!(
        stored.applications().first().map(|view| view.aid),
        Some([0x11, 0x22, 0x33])
    );
}

#[test]
fn a_read_only_exchange_leaves_the_file_alone() {
    let (_folder, path) = new_card();
    let before = fs::read(&path).unwrap();
    let mut connection = open(&path).unwrap();
    let uid = connection.transmit(&[0xFF, 0xCA, 0, 0, 0]).unwrap();
    assert_eq!(uid, [&UID[..], &[0x90, 0x00]].concat());
    drop(connection);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_card_does_not_repeat_its_challenge_when_opened_again() {
    let (_folder, path) = new_card();
    open(&path).unwrap().transmit(&CREATE).unwrap();
    let challenge = || {
        let mut connection = open(&path).unwrap();
        assert_eq!(connection.transmit(&SELECT).unwrap(), OK);
        connection.transmit(&FIRST).unwrap()
    };
    let first = challenge();
    assert_eq!(first.len(), 18);
    assert_ne!(challenge(), first);
}

#[test]
fn a_card_has_one_user_at_a_time() {
    let (_folder, path) = new_card();
    let connection = open(&path).unwrap();
    assert_eq!(code(open(&path)), "E_READER_BUSY");
    drop(connection);
    assert_eq!(code(open(&path)), "");
}

#[test]
fn the_lock_outlives_the_replacement_of_the_file() {
    let (_folder, path) = new_card();
    let mut connection = open(&path).unwrap();
    connection.transmit(&CREATE).unwrap();
    assert_eq!(code(open(&path)), "E_READER_BUSY");
}

#[test]
fn each_unusable_file_has_its_code() {
    let (folder, path) = new_card();
    let good = fs::read(&path).unwrap();
    let mut damaged = good.clone();
    damaged[20] ^= 1;
    let mut newer = good.clone();
    newer[7] = 2;
    let cases: [(&str, Vec<u8>); 6] = [
        ("E_CARD_FILE_KIND", Vec::new()),
        (
            "E_CARD_FILE_KIND",
            b"just a text file that is long enough to be a card".to_vec(),
        ),
        ("E_CARD_FILE_VERSION", newer),
        ("E_CARD_FILE_DAMAGED", damaged),
        ("E_CARD_FILE_DAMAGED", good[..good.len() - 1].to_vec()),
        ("E_CARD_FILE_SIZE", vec![0; SNAPSHOT_LEN_MAX + 1]),
    ];
    for (expected, bytes) in cases {
        fs::write(&path, bytes).unwrap();
        assert_eq!(code(open(&path)), expected);
    }
    assert_eq!(
        code(open(&folder.path().join("none.card"))),
        "E_CARD_FILE_MISSING"
    );
}

#[test]
fn a_new_card_is_never_written_over_a_file() {
    let (_folder, path) = new_card();
    let before = fs::read(&path).unwrap();
    let error = card_reader::create(&path, &Card::new([9; 7], [2; 32])).unwrap_err();
    assert!(matches!(error, CardFileError::Exists(_)));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_left_by_a_crash_between_write_and_rename_changes_nothing() {
    let (folder, path) = new_card();
    let mut changed = card_reader::load(&path).unwrap();
    changed.transmit(&CREATE);
    fs::write(
        folder.path().join(".tegata-card-abc123"),
        changed.snapshot(),
    )
    .unwrap();
    assert!(card_reader::load(&path).unwrap().applications().is_empty());
    assert_eq!(
        open(&path).unwrap().transmit(&SELECT).unwrap(),
        [0x91, 0xA0]
    );
}

#[test]
fn a_card_taken_away_in_the_middle_is_removed_and_not_written_back() {
    let (_folder, path) = new_card();
    let mut connection = open(&path).unwrap();
    connection.transmit(&CREATE).unwrap();
    connection.transmit(&SELECT).unwrap();
    assert!(
        connection
            .transmit(&FIRST)
            .unwrap()
            .ends_with(&[0x91, 0xAF])
    );
    fs::remove_file(&path).unwrap();
    assert_eq!(
        code(connection.transmit(&[0x90, 0xAF, 0, 0, 0])),
        "E_READER_REMOVED"
    );
    assert_eq!(code(connection.transmit(&CREATE)), "E_READER_REMOVED");
    assert!(!path.exists());
}

#[test]
fn a_change_that_cannot_be_stored_gives_no_answer_and_ends_the_connection() {
    let (_folder, path) = new_card();
    let mut connection = open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("in the way"), "").unwrap();
    assert_eq!(code(connection.transmit(&CREATE)), "E_CARD_FILE_IO");
    assert_eq!(code(connection.transmit(&CREATE)), "E_READER_REMOVED");
}

#[test]
fn a_power_cycle_ends_the_session_and_keeps_the_content() {
    let (_folder, path) = new_card();
    let mut reader = EmulatedReader::open(&path).unwrap();
    reader.transmit(&CREATE).unwrap();
    reader.transmit(&SELECT).unwrap();
    reader.power_cycle();
    // Back at the PICC level: no file commands there.
    assert_eq!(
        reader.transmit(&[0x90, 0x6F, 0, 0, 0]).unwrap(),
        [0x91, 0x9D]
    );
    assert_eq!(reader.transmit(&SELECT).unwrap(), OK);
}
