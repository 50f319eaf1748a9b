//! The run log: one record for every opening and every change of trust, chained by hashes.
//!
//! Line: hash (64 lower-case hexadecimal digits), blank, one JSON object, line feed. The hash is
//! SHA-256 over the 32 bytes of the hash before (zeros for the first) and the bytes of the object. Records
//! hold sizes and outcomes, never contents: no card data, no token, no amount of anybody's card.
//! Format: docs/terminal.md, section "Run log".

use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crashpoint::reach;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::hex;
use crate::state::{Lock, StateDir};

/// Longest record in bytes, line feed included: one run makes at most some hundred calls of some
/// forty bytes each.
pub const RECORD_LEN_MAX: usize = 32 * 1024;

pub(crate) const LINES: &str = "log/runs.log";
const HEAD: &str = "log/head.json";
const LOCK: &str = "log/lock";
const HASH_DIGITS: usize = 64;

/// Where the chain stands: what the next record is chained to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Records so far.
    pub count: u64,
    /// Bytes so far.
    pub len: u64,
    /// Hash of the last record; zeros before the first.
    #[serde(with = "hex::array")]
    pub hash: [u8; 32],
}

impl Head {
    /// Before the first record.
    pub const START: Self = Self {
        count: 0,
        len: 0,
        hash: [0; 32],
    };

    /// The chain after a record of these bytes.
    fn after(self, record: &[u8]) -> Self {
        let hash = Sha256::new()
            .chain_update(self.hash)
            .chain_update(record)
            .finalize();
        let line = HASH_DIGITS + 1 + record.len() + 1;
        Self {
            count: self.count.saturating_add(1),
            len: self
                .len
                .saturating_add(u64::try_from(line).unwrap_or(u64::MAX)),
            hash: hash.into(),
        }
    }
}

/// What is wrong with a log, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The record's own bytes or its hash are not what was written.
    #[error("record {0} was altered")]
    Altered(u64),
    /// Another record stands where this one belongs: it was removed, moved, or one was put before it.
    #[error("record {0} is missing or out of its place")]
    Misplaced(u64),
    /// The log ends before this record, which was written.
    #[error("record {0} and those after it are missing")]
    Cut(u64),
    /// The last line has no end: a write that was cut off. The next record mends it and says so.
    #[error("record {0} was not written to its end")]
    Unfinished(u64),
}

/// Reads records from `lines`, each held against the chain, until the end or the first flaw.
///
/// # Errors
/// [`Flaw`], or the error of reading.
pub fn walk(
    lines: &mut dyn BufRead,
    from: Head,
    mut each: impl FnMut(&Map<String, Value>),
) -> io::Result<(Head, Option<Flaw>)> {
    let mut head = from;
    let limit = u64::try_from(RECORD_LEN_MAX).unwrap_or(u64::MAX);
    loop {
        let number = head.count.saturating_add(1);
        let mut line = Vec::new();
        if lines.take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok((head, None));
        }
        let Some((b'\n', line)) = line.split_last() else {
            let flaw = if line.len() < RECORD_LEN_MAX {
                Flaw::Unfinished(number)
            } else {
                Flaw::Altered(number)
            };
            return Ok((head, Some(flaw)));
        };
        match check(head, line) {
            Ok((next, record)) => {
                each(&record);
                head = next;
            }
            Err(flaw) => return Ok((head, Some(flaw))),
        }
    }
}

fn check(head: Head, line: &[u8]) -> Result<(Head, Map<String, Value>), Flaw> {
    let number = head.count.saturating_add(1);
    let altered = Flaw::Altered(number);
    let (digits, rest) = line.split_at_checked(HASH_DIGITS).ok_or(altered)?;
    let record = rest.strip_prefix(b" ").ok_or(altered)?;
    let object: Map<String, Value> = serde_json::from_slice(record).map_err(|_| altered)?;
    if object.get("seq").and_then(Value::as_u64) != Some(number) {
        return Err(Flaw::Misplaced(number));
    }
    let next = head.after(record);
    if HEXLOWER.encode(&next.hash).as_bytes() != digits {
        return Err(altered);
    }
    Ok((next, object))
}

/// The run log in the state folder.
#[derive(Debug, Clone)]
pub struct Log {
    pub(crate) state: StateDir,
}

impl Log {
    /// The log of `state`.
    #[must_use]
    pub const fn new(state: StateDir) -> Self {
        Self { state }
    }

    /// Makes sure, before anything is run, that a record can be written afterwards.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn ready(&self) -> Result<(), Failure> {
        self.append_held(&self.lock()?, None)
    }

    /// Held while the log is written, and its notes come and go.
    pub(crate) fn lock(&self) -> Result<Lock, Failure> {
        self.state.lock(Path::new(LOCK))
    }

    /// Adds one record, durably; `seq` is filled in here.
    ///
    /// What an earlier append left unfinished is cut off and its length noted as `cut`. Records that
    /// were taken away are not mended: the chain goes on from the head, and [`Log::verify`] names the gap.
    ///
    /// # Errors
    /// `E_STATE`, also for a record beyond [`RECORD_LEN_MAX`].
    pub fn append(&self, record: Map<String, Value>) -> Result<(), Failure> {
        self.append_held(&self.lock()?, Some(record))
    }

    /// Adds one record as [`Log::append`] does; without one, only makes sure that it could.
    pub(crate) fn append_held(
        &self,
        _lock: &Lock,
        record: Option<Map<String, Value>>,
    ) -> Result<(), Failure> {
        let mut head = self.head()?;
        let path = PathBuf::from(LINES);
        let mut file = self.state.append(&path)?;
        let Some(mut record) = record else {
            return Ok(());
        };
        let failed = |error: io::Error| Failure::with("E_STATE", format!("{LINES}: {error}"));
        let len = file.metadata().map_err(failed)?.len();
        if len > head.len {
            // Written, but the power went before the head was: go on from what is whole.
            file.seek(SeekFrom::Start(head.len)).map_err(failed)?;
            let (whole, flaw) = walk(&mut BufReader::new(&file), head, |_| ()).map_err(failed)?;
            head = whole;
            if let Some(Flaw::Unfinished(_)) = flaw {
                file.set_len(head.len).map_err(failed)?;
                record.insert("cut".to_owned(), (len - head.len).into());
            }
        }
        record.insert("seq".to_owned(), head.count.saturating_add(1).into());
        let bytes = serde_json::to_vec(&record).map_err(|error| Failure::with("E_STATE", error))?;
        let next = head.after(&bytes);
        let mut line = HEXLOWER.encode(&next.hash).into_bytes();
        line.push(b' ');
        line.extend_from_slice(&bytes);
        line.push(b'\n');
        if line.len() > RECORD_LEN_MAX {
            return Err(Failure::with(
                "E_STATE",
                format!("{LINES}: a record is too long"),
            ));
        }
        reach!("terminal::log-record::before-write");
        file.write_all(&line).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        reach!("terminal::log-record::after-write");
        let head = serde_json::to_vec(&next).map_err(|error| Failure::with("E_STATE", error))?;
        self.state.write(Path::new(HEAD), &head)
    }

    /// Checks the whole chain and gives each good record to `each`.
    ///
    /// # Errors
    /// `E_LOG` names the first flaw; `E_STATE`.
    pub fn verify(&self, each: impl FnMut(&Map<String, Value>)) -> Result<u64, Failure> {
        let _lock = self.state.lock(Path::new(LOCK))?;
        let head = self.head()?;
        let Some(file) = self.state.open_file(Path::new(LINES))? else {
            return if head == Head::START {
                Ok(0)
            } else {
                Err(Failure::with("E_LOG", Flaw::Cut(1)))
            };
        };
        let (found, flaw) = walk(&mut BufReader::new(file), Head::START, each)
            .map_err(|error| Failure::with("E_STATE", format!("{LINES}: {error}")))?;
        match flaw {
            Some(flaw) => Err(Failure::with("E_LOG", flaw)),
            None if found.count < head.count => {
                Err(Failure::with("E_LOG", Flaw::Cut(found.count + 1)))
            }
            None if found.count == head.count && found.hash != head.hash => {
                Err(Failure::with("E_LOG", Flaw::Altered(found.count)))
            }
            None => Ok(found.count),
        }
    }

    fn head(&self) -> Result<Head, Failure> {
        match self.state.read(Path::new(HEAD))? {
            None => Ok(Head::START),
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Failure::with("E_STATE", format!("{HEAD}: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Flaw, HEAD, Head, LINES, Log, RECORD_LEN_MAX, walk};
    use crate::state::StateDir;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};
    use std::fs;
    use std::path::PathBuf;
    use std::sync::LazyLock;

    struct Kept {
        _dir: tempfile::TempDir,
        lines: PathBuf,
        head: PathBuf,
        log: Log,
    }

    fn record(text: &str) -> Map<String, Value> {
        let Value::Object(record) = json!({ "command": "open", "text": text }) else {
            panic!("an object")
        };
        record
    }

    fn kept(count: u64) -> Kept {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state");
        let log = Log::new(StateDir::open(&root).unwrap());
        for number in 0..count {
            log.append(record(&number.to_string())).unwrap();
        }
        Kept {
            lines: root.join(LINES),
            head: root.join(HEAD),
            log,
            _dir: dir,
        }
    }

    fn lines(kept: &Kept) -> Vec<String> {
        let text = fs::read_to_string(&kept.lines).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    }

    #[track_caller]
    fn expect(kept: &Kept, flaw: Flaw) {
        let failure = kept.log.verify(|_| ()).unwrap_err();
        assert_eq!(failure.code, "E_LOG");
        assert_eq!(failure.detail, Some(flaw.to_string()));
    }

    #[test]
    fn a_log_that_nobody_touched_verifies() {
        let kept = kept(3);
        let mut seen = Vec::new();
        let count = kept.log.verify(|record| seen.push(record["seq"].clone()));
        assert_eq!(
            (count.unwrap(), seen),
            (3, vec![1.into(), 2.into(), 3.into()])
        );
        let none = self::kept(0);
        assert_eq!(none.log.verify(|_| ()).unwrap(), 0);
    }

    #[test]
    fn the_first_record_that_was_altered_removed_moved_or_put_in_is_named() {
        for (change, flaw) in [
            (0, Flaw::Altered(2)),
            (1, Flaw::Misplaced(2)),
            (2, Flaw::Misplaced(2)),
            (3, Flaw::Misplaced(3)),
            (4, Flaw::Cut(4)),
            (5, Flaw::Cut(1)),
        ] {
            let kept = kept(4);
            let mut lines = lines(&kept);
            match change {
                0 => lines[1] = lines[1].replace("\"1\"", "\"7\""),
                1 => drop(lines.remove(1)),
                2 => lines.swap(1, 2),
                3 => lines.insert(2, lines[1].clone()),
                4 => drop(lines.pop()),
                _ => lines.clear(),
            }
            fs::write(&kept.lines, lines.concat()).unwrap();
            expect(&kept, flaw);
            // Whatever is added afterwards does not cover it up.
            kept.log.append(record("later")).unwrap();
            assert_eq!(
                kept.log.verify(|_| ()).unwrap_err().code,
                "E_LOG",
                "{change}"
            );
        }
    }

    #[test]
    fn a_record_rewritten_with_its_own_hash_breaks_the_chain_at_the_next() {
        let kept = kept(3);
        let mut lines = lines(&kept);
        let record = lines[0][65..].trim_end().replace("\"0\"", "\"9\"");
        let hash = Head::START.after(record.as_bytes()).hash;
        lines[0] = format!("{} {record}\n", crate::hex::encode(&hash));
        fs::write(&kept.lines, lines.concat()).unwrap();
        expect(&kept, Flaw::Altered(2));
    }

    #[test]
    fn a_log_that_is_gone_is_missed() {
        let kept = kept(2);
        fs::remove_file(&kept.lines).unwrap();
        expect(&kept, Flaw::Cut(1));
    }

    #[test]
    fn an_append_cut_at_any_byte_is_mended_by_the_next_one_which_says_so() {
        let whole = kept(2);
        let (first, second) = (lines(&whole)[0].clone(), lines(&whole)[1].clone());
        for cut in 0..=second.len() {
            let kept = kept(1);
            fs::write(&kept.lines, format!("{first}{}", &second[..cut])).unwrap();
            if (1..second.len()).contains(&cut) {
                expect(&kept, Flaw::Unfinished(2));
            }
            kept.log.append(record("next")).unwrap();
            let mut last = Map::new();
            let count = kept.log.verify(|record| last = record.clone()).unwrap();
            assert_eq!(count, if cut == second.len() { 3 } else { 2 });
            let noted = last.get("cut").and_then(Value::as_u64);
            let torn = (1..second.len()).contains(&cut).then_some(cut as u64);
            assert_eq!(noted, torn);
        }
    }

    #[test]
    fn the_longest_record_is_written_and_one_byte_more_is_not() {
        let kept = kept(0);
        let line = |text: &str| {
            let mut record = record(text);
            record.insert("seq".to_owned(), 1.into());
            64 + 1 + serde_json::to_vec(&record).unwrap().len() + 1
        };
        let room = RECORD_LEN_MAX - line("");
        let longer = kept.log.append(record(&"x".repeat(room + 1)));
        assert_eq!(longer.unwrap_err().code, "E_STATE");
        kept.log.append(record(&"x".repeat(room))).unwrap();
        assert_eq!(kept.log.verify(|_| ()).unwrap(), 1);
        assert_eq!(
            fs::metadata(&kept.lines).unwrap().len(),
            RECORD_LEN_MAX as u64
        );
    }

    #[test]
    fn a_head_that_was_exchanged_is_found() {
        let (kept, other) = (kept(2), kept(2));
        other.log.append(record("x")).unwrap();
        let foreign = fs::read(&other.head).unwrap();
        fs::write(&kept.head, foreign).unwrap();
        expect(&kept, Flaw::Cut(3));
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_found(at in 0_usize..400, to in any::<u8>()) {
            static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| fs::read(kept(4).lines).unwrap());
            let mut bytes = WHOLE.clone();
            let at = at % bytes.len();
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            let mut count = 0;
            let (_, flaw) = walk(&mut bytes.as_slice(), Head::START, |_| count += 1).unwrap();
            prop_assert!(flaw.is_some() && count < 4);
        }
    }
}
