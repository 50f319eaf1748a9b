//! `docs/terminal.md` lists the codes as they are.

use std::fs;

use card_reader::ReaderError;
use terminal::codes;
use terminal::lang::Lang;
use wire::exchange::Refusal;

#[test]
fn the_table_of_codes_in_the_manual_is_the_one_in_the_program() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/terminal.md");
    let manual = fs::read_to_string(path).unwrap();
    let listed: Vec<&str> = manual
        .lines()
        .filter(|line| line.starts_with("| `E_"))
        .collect();
    let expected: Vec<String> = codes::table()
        .iter()
        .map(|row| {
            format!(
                "| `{}` | {} | {} |",
                row.code,
                row.exit.status(),
                row.what(Lang::En)
            )
        })
        .collect();
    assert_eq!(listed, expected, "expected:\n{}", expected.join("\n"));
}

#[test]
fn every_refusal_and_every_reader_error_has_words() {
    for refusal in Refusal::ALL {
        let row = codes::explain(refusal.code()).unwrap_or_else(|| panic!("{}", refusal.code()));
        let in_doubt = matches!(refusal, Refusal::InDoubt | Refusal::Recovering);
        assert_eq!(
            row.exit.status(),
            if in_doubt { 9 } else { 8 },
            "{}",
            row.code
        );
    }
    for error in [
        ReaderError::NoReader,
        ReaderError::SeveralCards,
        ReaderError::NoCard,
        ReaderError::Removed,
        ReaderError::Busy,
        ReaderError::Service,
        ReaderError::Timeout,
        ReaderError::Failed(String::new()),
    ] {
        let row = codes::explain(error.code()).unwrap_or_else(|| panic!("{}", error.code()));
        assert_eq!(row.exit.status(), 6);
    }
}
