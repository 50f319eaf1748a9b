//! The page `docs/exchange.md` lists every refusal with its number and code.

use wire::exchange::Refusal;

#[test]
fn every_refusal_is_on_the_page_with_its_number_and_whether_to_try_again() {
    let page = include_str!("../../../docs/exchange.md");
    for refusal in Refusal::ALL {
        let start = format!("| {} | `{}` |", refusal.number(), refusal.code());
        let line = page.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_default();
        assert!(!line.is_empty(), "{start}");
        assert_eq!(line.ends_with("| no |"), !refusal.retryable(), "{line}");
    }
}
