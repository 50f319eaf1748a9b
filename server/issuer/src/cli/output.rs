//! Printing of results: text for people, or one JSON document with a version.

use serde_json::{Value, json};
use std::io::{self, Write};

/// Version of every JSON document this program prints; a changed meaning is a new number.
const JSON_VERSION: u32 = 1;

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// One JSON document instead of text.
    pub json: bool,
}

impl Output {
    /// Prints `text`, or the fields of `document` beside `"version"`.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(self, text: &str, document: Value) -> anyhow::Result<()> {
        let mut out = stdout();
        if self.json {
            let mut whole = json!({ "version": JSON_VERSION });
            if let (Value::Object(whole), Value::Object(fields)) = (&mut whole, document) {
                whole.extend(fields);
            }
            writeln!(out, "{whole}")?;
        } else {
            writeln!(out, "{}", text.trim_end_matches('\n'))?;
        }
        out.flush()?;
        Ok(())
    }
}

/// Standard output; whoever has read enough of it (`| head`) ends nothing.
pub(super) fn stdout() -> impl Write {
    UntilClosed(io::stdout().lock())
}

/// A writer whose reader may leave: what is written then is nobody's.
struct UntilClosed<W>(W);

fn unless_closed<T>(written: io::Result<T>, then: T) -> io::Result<T> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(then),
        written => written,
    }
}

impl<W: Write> Write for UntilClosed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_closed(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_closed(self.0.flush(), ())
    }
}

/// Lines of columns, each as wide as its widest cell.
#[must_use]
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    let mut lines = vec![line(&head)];
    lines.extend(rows.iter().map(|row| line(row)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![
            vec!["a".to_owned(), "10".to_owned()],
            vec!["long".to_owned(), "2".to_owned()],
        ];
        assert_eq!(table(&["id", "n"], &rows), "id    n\na     10\nlong  2");
    }
}
