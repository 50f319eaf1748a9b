//! The conformance suite against the terminal that was built, and the page that shows it.

use std::path::Path;

use tests::processes;

/// Milliseconds that one input may take here, where other tests run at the same time.
const TIME_MAX: &str = "60000";

#[test]
fn every_case_of_the_suite_ends_as_it_must() {
    let args = ["conformance", "--json", "--time-max", TIME_MAX];
    let output = processes::run("tegata", &args).unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{talk}");
    let rows = document["rows"].as_array().unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    let expected: Vec<_> = conformance::table().iter().map(|row| row.id).collect();
    assert_eq!(ids, expected);
    assert_eq!(document["failed"], 0);
    let mut not_here = 0;
    for row in rows {
        let reason = row["without_neighbour"].is_string();
        match row["status"].as_str() {
            Some("passed") => assert_eq!(reason, row["lawful"] == 0, "{row}"),
            Some("not-here") => not_here += 1,
            _ => panic!("{row}"),
        }
    }
    // Every row can be tried where the tests run.
    let expected = if cfg!(target_os = "linux") {
        0
    } else {
        not_here
    };
    assert_eq!(not_here, expected);
    assert_eq!(document["not_here"], not_here);
    assert_eq!(document["passed"], rows.len() - not_here);
}

#[test]
fn the_page_has_every_row_with_its_title_and_all_of_them_passed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    let page = std::fs::read_to_string(path).unwrap();
    let rows: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .filter(|line| !line.starts_with("row | "))
        .collect();
    let table = conformance::table();
    assert_eq!(rows.len(), table.len());
    for (row, entry) in rows.iter().zip(&table) {
        let cells: Vec<_> = row.split(" | ").collect();
        assert_eq!(cells[..2], [entry.id, entry.title]);
        assert_eq!(cells.last(), Some(&"passed"), "{row}");
    }
    let introduction = conformance::page(&[], "");
    let introduction = introduction.split("\n0 rows").next().unwrap();
    assert!(page.starts_with(introduction));
    // What is committed is a whole run: what is to be repeated was repeated.
    assert!(page.contains(" with `--full` by tegata "));
}

#[test]
fn the_suite_says_so_when_the_terminal_under_test_is_none() {
    let options = conformance::Options {
        executable: processes::binary("tegata-card").unwrap(),
        now: 1_800_000_000,
        only: Some("A1".to_owned()),
        time_max: std::time::Duration::from_secs(60),
        full: false,
    };
    assert!(conformance::run(&options, |_| ()).is_err());
}
