//! `tegata cards`: which readers there are, and which hold a card.

use serde_json::json;

use crate::effects;
use crate::escape;
use crate::failure::Failure;
use crate::report::Report;
use crate::terminal::Terminal;

/// Lists the readers of this computer.
pub fn cards(terminal: &Terminal<'_>) -> Report {
    let mut report = Report::new("cards");
    let readers = match card_reader::list() {
        Ok(readers) => readers,
        Err(error) => return report.failed(effects::reader_failure(&error)),
    };
    if readers.is_empty() {
        return report.failed(Failure::new("E_READER_NONE"));
    }
    let mut documents = Vec::new();
    for reader in &readers {
        let name = escape::shown(&reader.name);
        let card = if reader.card_present {
            terminal.lang.pick("card present", "カードあり")
        } else {
            terminal.lang.pick("no card", "カードなし")
        };
        report.lines.push(format!("pcsc:{name}  {card}"));
        documents.push(json!({ "reader": reader.name, "card": reader.card_present }));
    }
    report.fact("readers", documents);
    report
}
