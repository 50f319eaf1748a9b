//! The cyclic log: eight records, counted back from the newest, given oldest first.

use crate::purse::{Tap, new_purse};

fn log_of(records: u8) -> Tap {
    let mut tap = Tap::new(new_purse(), 1);
    for number in 1..=records {
        tap.send(0x3B, &[4, 0, 0, 0, 30, 0, 0], &[number; 30])
            .expect("room");
        tap.commit().expect("pending");
    }
    tap
}

/// The first byte of each record read.
fn read(tap: &mut Tap, first: u8, count: u8) -> Result<Vec<u8>, u8> {
    let data = tap.send(0xBB, &[4, first, 0, 0, count, 0, 0], &[])?;
    Ok(data.chunks(30).map(|record| record[0]).collect())
}

#[test]
fn the_ninth_record_replaces_the_first() {
    assert_eq!(read(&mut log_of(8), 0, 0), Ok(vec![1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(read(&mut log_of(9), 0, 0), Ok(vec![2, 3, 4, 5, 6, 7, 8, 9]));
}

#[test]
fn records_are_counted_back_from_the_newest_and_given_oldest_first() {
    let mut tap = log_of(5);
    assert_eq!(read(&mut tap, 0, 1), Ok(vec![5]));
    assert_eq!(read(&mut tap, 1, 2), Ok(vec![3, 4]));
    assert_eq!(read(&mut tap, 3, 0), Ok(vec![1, 2]));
    assert_eq!(read(&mut tap, 4, 1), Ok(vec![1]));
}

#[test]
fn a_record_that_is_not_there_is_a_boundary_error() {
    assert_eq!(read(&mut log_of(5), 5, 1), Err(0xBE));
    assert_eq!(read(&mut log_of(5), 0, 6), Err(0xBE));
    assert_eq!(read(&mut log_of(0), 0, 0), Err(0xBE));
}

#[test]
fn several_writes_of_a_transaction_make_one_record() {
    let mut tap = log_of(0);
    tap.send(0x3B, &[4, 0, 0, 0, 1, 0, 0], &[7]).unwrap();
    tap.send(0x3B, &[4, 29, 0, 0, 1, 0, 0], &[9]).unwrap();
    tap.commit().unwrap();
    let record = tap.send(0xBB, &[4, 0, 0, 0, 0, 0, 0], &[]).unwrap();
    assert_eq!(
        (record.len(), record[0], record[28], record[29]),
        (30, 7, 0, 9)
    );
    assert_eq!(tap.send(0x3B, &[4, 29, 0, 0, 2, 0, 0], &[9, 9]), Err(0xBE));
}
