//! Notes of openings that have begun, so that one that is killed leaves its record too.
//!
//! A note is a file of its own in `log/begun`, locked by the opening's process for as long as it lives,
//! and gone once the opening's record stands in the log. A note that nobody locks is of an opening that
//! was cut off: whoever comes next writes its record. Format: docs/terminal.md, section "Run log".

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crashpoint::reach;
use serde_json::{Map, Value};

use crate::consent;
use crate::failure::Failure;
use crate::log::{Head, Log, RECORD_LEN_MAX, walk};

const NOTES: &str = "log/begun";
const SUFFIX: &str = "json";

/// The field by which a note and its record are one.
pub const OPENING: &str = "opening";

/// What stands as outcome in the record of an opening that was cut off.
pub const INTERRUPTED: &str = "interrupted";

/// The note of a living opening.
#[derive(Debug)]
pub struct Begun {
    /// Names this opening: the middle of the note's name.
    pub id: String,
    name: PathBuf,
    file: File,
}

/// The records of openings that were cut off, as they were just written.
pub type Interrupted = Vec<Map<String, Value>>;

impl Log {
    /// Notes that an opening has begun, durably, and writes the records of those that were cut off.
    ///
    /// This also makes sure that a record can be written afterwards.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn begin(
        &self,
        fields: &Map<String, Value>,
        now: u64,
    ) -> Result<(Begun, Interrupted), Failure> {
        let lock = self.lock()?;
        self.append_held(&lock, None)?;
        let mut interrupted = Vec::new();
        for name in self.state.list(Path::new(NOTES), SUFFIX)? {
            // Notes come and go under the lock that is held here: this one is there.
            let Some(_dead) = self.state.try_lock(&name)? else {
                continue;
            };
            if let Some(record) = self.cut_off(&name, now)? {
                self.append_held(&lock, Some(record.clone()))?;
                interrupted.push(record);
            }
            self.state.remove(&name)?;
        }
        let (file, name) = self.state.create_new(Path::new(NOTES), SUFFIX)?;
        file.lock().map_err(|error| failed(&name, &error))?;
        let id = name.file_stem().unwrap_or_default().to_string_lossy();
        let mut begun = Begun {
            id: id.into_owned(),
            name,
            file,
        };
        begun.write(fields)?;
        Ok((begun, interrupted))
    }

    /// Appends the record of an opening and takes its note away.
    ///
    /// # Errors
    /// `E_STATE`; then the note stays, and the next opening writes what it says.
    pub fn close(&self, begun: &Begun, mut record: Map<String, Value>) -> Result<(), Failure> {
        record.insert(OPENING.to_owned(), begun.id.clone().into());
        let lock = self.lock()?;
        self.append_held(&lock, Some(record))?;
        reach!("terminal::begun::before-remove");
        self.state.remove(&begun.name)?;
        reach!("terminal::begun::after-remove");
        Ok(())
    }

    /// The record of an opening of which only the note is left; none if its own was written and only the
    /// note was not removed.
    fn cut_off(&self, name: &Path, now: u64) -> Result<Option<Map<String, Value>>, Failure> {
        let id = name.file_stem().unwrap_or_default().to_string_lossy();
        let id: Value = id.into_owned().into();
        let mut known = false;
        if let Some(lines) = self.state.open_file(Path::new(crate::log::LINES))? {
            let seen = |record: &Map<String, Value>| known |= record.get(OPENING) == Some(&id);
            walk(&mut BufReader::new(lines), Head::START, seen)
                .map_err(|error| failed(name, &error))?;
        }
        if known {
            return Ok(None);
        }
        let limit = u64::try_from(RECORD_LEN_MAX).unwrap_or(u64::MAX);
        let mut note = Vec::new();
        if let Some(file) = self.state.open_file(name)? {
            let read = file.take(limit).read_to_end(&mut note);
            read.map_err(|error| failed(name, &error))?;
        }
        // A note that the power cut off in its middle still says that there was an opening.
        let mut record: Map<String, Value> = serde_json::from_slice(&note).unwrap_or_default();
        record
            .entry("command")
            .or_insert_with(|| "open".to_owned().into());
        record.insert(OPENING.to_owned(), id);
        record.insert("outcome".to_owned(), INTERRUPTED.into());
        record.insert("found_at".to_owned(), consent::utc(now).into());
        Ok(Some(record))
    }
}

impl Begun {
    /// Replaces what the note says, durably.
    ///
    /// # Errors
    /// `E_STATE`.
    pub fn write(&mut self, fields: &Map<String, Value>) -> Result<(), Failure> {
        let note = serde_json::to_vec(fields).map_err(|error| Failure::with("E_STATE", error))?;
        reach!("terminal::begun::before-write");
        let write = |file: &mut File| {
            file.seek(SeekFrom::Start(0))?;
            file.set_len(0)?;
            file.write_all(&note)?;
            file.sync_all()
        };
        write(&mut self.file).map_err(|error| failed(&self.name, &error))?;
        reach!("terminal::begun::after-write");
        Ok(())
    }
}

fn failed(name: &Path, error: &io::Error) -> Failure {
    Failure::with("E_STATE", format!("{}: {error}", name.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateDir;
    use serde_json::json;
    use std::fs;

    const NOW: u64 = 1_790_000_000;

    fn fields(text: &str) -> Map<String, Value> {
        let Value::Object(fields) = json!({ "command": "open", "text": text }) else {
            panic!("an object")
        };
        fields
    }

    struct Kept {
        dir: tempfile::TempDir,
        log: Log,
    }

    impl Kept {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let log = Log::new(StateDir::open(&dir.path().join("state")).unwrap());
            Self { dir, log }
        }

        fn notes(&self) -> Vec<PathBuf> {
            let folder = self.dir.path().join("state").join(NOTES);
            fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect()
        }

        fn records(&self) -> Vec<Map<String, Value>> {
            let mut records = Vec::new();
            let count = self.log.verify(|record| records.push(record.clone()));
            assert_eq!(count.unwrap(), records.len() as u64);
            records
        }
    }

    #[test]
    fn an_opening_that_ends_leaves_its_record_and_no_note() {
        let kept = Kept::new();
        let (mut begun, interrupted) = kept.log.begin(&fields("first"), NOW).unwrap();
        assert!(interrupted.is_empty() && kept.notes().len() == 1);
        begun.write(&fields("more is known")).unwrap();
        assert_eq!(kept.records(), []);
        kept.log.close(&begun, fields("the end")).unwrap();
        assert_eq!(kept.notes(), Vec::<PathBuf>::new());
        let records = kept.records();
        assert_eq!((records.len(), &records[0]["text"]), (1, &"the end".into()));
        assert_eq!(records[0][OPENING], begun.id);
    }

    #[test]
    fn of_an_opening_that_was_cut_off_the_next_one_writes_the_record_once() {
        let kept = Kept::new();
        let (mut begun, _) = kept.log.begin(&fields("first"), NOW).unwrap();
        begun.write(&fields("what was known")).unwrap();
        // As the kernel does with the lock of a process that is killed.
        drop(begun);
        let (second, interrupted) = kept.log.begin(&fields("second"), NOW + 5).unwrap();
        assert_eq!(interrupted.len(), 1);
        assert_eq!(interrupted[0]["text"], "what was known");
        assert_eq!(interrupted[0]["outcome"], INTERRUPTED);
        assert_eq!(interrupted[0]["found_at"], consent::utc(NOW + 5));
        // One that lives is left alone.
        let (third, interrupted) = kept.log.begin(&fields("third"), NOW).unwrap();
        assert!(interrupted.is_empty() && kept.notes().len() == 2);
        kept.log.close(&third, fields("third")).unwrap();
        kept.log.close(&second, fields("second")).unwrap();
        let texts: Vec<_> = kept.records().iter().map(|r| r["text"].clone()).collect();
        assert_eq!(texts, ["what was known", "third", "second"]);
        assert_eq!(kept.notes(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_note_whose_record_was_written_brings_no_second_one() {
        let kept = Kept::new();
        let (begun, _) = kept.log.begin(&fields("first"), NOW).unwrap();
        let note = fs::read(&kept.notes()[0]).unwrap();
        let path = kept.notes()[0].clone();
        kept.log.close(&begun, fields("first")).unwrap();
        drop(begun);
        // The process was killed between the two.
        fs::write(&path, note).unwrap();
        let (_second, interrupted) = kept.log.begin(&fields("second"), NOW).unwrap();
        assert!(interrupted.is_empty() && !path.exists());
        assert_eq!(kept.records().len(), 1);
    }

    #[test]
    fn a_note_cut_off_at_any_byte_is_an_opening_all_the_same() {
        let whole = serde_json::to_vec(&fields("first")).unwrap();
        for len in 0..whole.len() {
            let kept = Kept::new();
            drop(kept.log.begin(&fields("first"), NOW).unwrap());
            fs::write(&kept.notes()[0], &whole[..len]).unwrap();
            let (_begun, interrupted) = kept.log.begin(&fields("second"), NOW).unwrap();
            assert_eq!(interrupted.len(), 1, "{len}");
            assert_eq!(kept.records()[0]["outcome"], INTERRUPTED, "{len}");
        }
    }
}
