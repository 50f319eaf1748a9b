//! House rules as tests: dependency direction, the home of each third party, the layout, module
//! docs, file length, and a coverage table that names every feature row.

#![expect(clippy::unwrap_used, reason = "a failed read is a failed test")]

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Longest source file; beyond it a file holds two things.
const FILE_LINES_MAX: usize = 600;

/// Longer files that are one table.
const TABLES: &[&str] = &["runtime/terminal/src/codes.rs"];

/// Who may depend on whom in the product (dev-dependencies are free). One line per crate, base first.
const DIRECTION: &[(&str, &[&str])] = &[
    ("money", &[]),
    ("crashpoint", &[]),
    ("planted", &[]),
    ("guest-logic", &[]),
    ("pack", &[]),
    ("wire", &["money"]),
    ("ledger", &["money", "planted"]),
    ("card", &[]),
    ("card-sim", &["card"]),
    ("program", &["money", "wire"]),
    ("relay", &["crashpoint", "planted", "program", "wire"]),
    (
        "redemption",
        &["card", "ledger", "money", "planted", "wire"],
    ),
    ("audit-log", &["ledger", "money", "wire"]),
    (
        "store",
        &["audit-log", "crashpoint", "ledger", "money", "planted"],
    ),
    ("mailer", &["money"]),
    ("postgres-server", &[]),
    ("card-reader", &["card-sim", "crashpoint"]),
    ("sandbox", &["card", "program", "relay", "wire"]),
    (
        "conformance",
        &[
            "card-reader",
            "card-sim",
            "money",
            "program",
            "sandbox",
            "wire",
        ],
    ),
    ("card-app", &["card", "card-reader", "card-sim"]),
    (
        "terminal",
        &[
            "card-reader",
            "conformance",
            "crashpoint",
            "money",
            "program",
            "relay",
            "sandbox",
            "wire",
        ],
    ),
    (
        "issuer",
        &[
            "audit-log",
            "card",
            "card-reader",
            "crashpoint",
            "ledger",
            "mailer",
            "money",
            "planted",
            "program",
            "redemption",
            "store",
            "wire",
        ],
    ),
    (
        "simulation",
        &[
            "card",
            "card-sim",
            "guest-logic",
            "issuer",
            "ledger",
            "mailer",
            "money",
            "postgres-server",
            "program",
            "redemption",
            "relay",
            "store",
            "wire",
        ],
    ),
    (
        "foreign",
        &[
            "audit-log",
            "card",
            "card-sim",
            "guest-logic",
            "issuer",
            "ledger",
            "money",
            "program",
            "redemption",
            "relay",
            "sandbox",
            "store",
            "terminal",
            "wire",
        ],
    ),
    (
        "measure",
        &[
            "card-sim",
            "guest-logic",
            "issuer",
            "ledger",
            "money",
            "store",
            "wire",
        ],
    ),
    (
        "tests",
        &[
            "audit-log",
            "card",
            "card-reader",
            "card-sim",
            "guest-logic",
            "issuer",
            "ledger",
            "mailer",
            "money",
            "pack",
            "postgres-server",
            "program",
            "redemption",
            "sandbox",
            "store",
            "terminal",
            "wire",
        ],
    ),
];

/// Third parties with one home. Anything else may use them in tests only.
const HOMES: &[(&str, &str)] = &[
    ("wasmtime", "sandbox"),
    ("landlock", "sandbox"),
    ("seccompiler", "sandbox"),
    ("close_fds", "sandbox"),
    ("caps", "sandbox"),
    ("axum", "issuer"),
    ("rusqlite", "store"),
    ("tokio-postgres", "store"),
    ("tokio-rustls", "issuer"),
    ("lettre", "mailer"),
    ("rpassword", "issuer"),
    ("pcsc", "card-reader"),
    ("fail", "crashpoint"),
    ("wat", "conformance"),
    ("mail-parser", "terminal"),
    ("reqwest", "terminal"),
    ("mailin-embedded", "tests"),
    ("utoipa", "issuer"),
    ("utoipa-axum", "issuer"),
];

/// Crates without I/O: `no_std`, so that the compiler keeps files, sockets and clocks out.
const CORES: &[&str] = &[
    "money",
    "wire",
    "ledger",
    "audit-log",
    "program",
    "redemption",
    "card",
    "card-sim",
    "guest-logic",
    "relay",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .unwrap()
}

#[test]
fn dependencies_point_downwards_only() {
    let metadata = metadata();
    let ours: BTreeSet<_> = metadata
        .packages
        .iter()
        .map(|p| p.name.to_string())
        .collect();
    let rules: BTreeMap<_, _> = DIRECTION.iter().copied().collect();
    for package in &metadata.packages {
        let allowed = rules
            .get(package.name.as_str())
            .unwrap_or_else(|| panic!("{} has no line in DIRECTION", package.name));
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| d.kind == DependencyKind::Normal)
        {
            assert!(
                !ours.contains(&dependency.name) || allowed.contains(&dependency.name.as_str()),
                "{} must not depend on {}",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn each_third_party_has_one_home() {
    for package in &metadata().packages {
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| d.kind == DependencyKind::Normal)
        {
            for (library, home) in HOMES {
                let elsewhere = dependency.name == *library && package.name.as_str() != *home;
                let demo = ["tests", "simulation", "measure"].contains(&package.name.as_str());
                assert!(
                    !elsewhere || demo,
                    "{library} belongs to {home}, not to {}",
                    package.name
                );
            }
        }
    }
}

#[test]
fn the_server_never_links_an_engine() {
    let all = MetadataCommand::new().current_dir(root()).exec().unwrap();
    let resolve = all.resolve.as_ref().unwrap();
    let name = |id: &cargo_metadata::PackageId| all[id].name.to_string();
    let issuer = all
        .packages
        .iter()
        .find(|p| p.name.as_str() == "issuer")
        .unwrap();
    let (mut open, mut seen) = (vec![issuer.id.clone()], BTreeSet::new());
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        assert_ne!(
            name(&id),
            "wasmtime",
            "tegata-server must not link wasmtime"
        );
        let node = resolve.nodes.iter().find(|n| n.id == id).unwrap();
        let normal = |d: &&cargo_metadata::NodeDep| {
            d.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal)
        };
        open.extend(node.deps.iter().filter(normal).map(|d| d.pkg.clone()));
    }
    assert!(seen.len() > 50, "the walk saw the tree");
}

#[test]
fn every_crate_takes_the_one_lint_table() {
    for package in &metadata().packages {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{}",
            package.manifest_path
        );
    }
}

#[test]
fn cores_are_no_std() {
    for package in metadata()
        .packages
        .iter()
        .filter(|p| CORES.contains(&p.name.as_str()))
    {
        let lib = package.manifest_path.parent().unwrap().join("src/lib.rs");
        let text = fs::read_to_string(&lib).unwrap();
        assert!(
            text.contains("no_std"),
            "{lib} is a core and must be no_std"
        );
    }
}

#[test]
fn the_top_level_is_the_one_people_expect() {
    let expected = BTreeSet::from([
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "Makefile",
        "README.md",
        "docs",
        "guest-programs",
        "runtime",
        "rust-toolchain.toml",
        "server",
        "target",
        "tests",
        "wit",
    ]);
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name.starts_with('.') || expected.contains(name.as_str()),
            "{name} at the top"
        );
    }
}

fn sources() -> Vec<PathBuf> {
    let (mut open, mut files) = (vec![root()], Vec::new());
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    open.push(path);
                }
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 30, "the walk saw the sources");
    files
}

#[test]
fn files_are_short_open_with_a_doc_and_hide_no_test() {
    let ignore = concat!("#[", "ignore");
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(
            lines <= FILE_LINES_MAX || TABLES.iter().any(|table| path.ends_with(table)),
            "{} has {lines} lines",
            path.display()
        );
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//!") || first.starts_with("#!"),
            "{} does not open with what it is",
            path.display()
        );
        assert!(!text.contains(ignore), "{} hides a test", path.display());
    }
}

/// Rows of the five systems: letter and how many.
const ROWS: &[(char, u32)] = &[
    ('A', 15),
    ('B', 11),
    ('C', 22),
    ('D', 8),
    ('E', 19),
    ('F', 47),
];

#[test]
fn the_coverage_table_names_every_row_and_its_tests_exist() {
    let table = fs::read_to_string(root().join("docs/COVERAGE.md")).unwrap();
    for (letter, count) in ROWS {
        for number in 1..=*count {
            let row = format!("| {letter}{number} |");
            assert_eq!(
                table.matches(&row).count(),
                1,
                "row {letter}{number} of docs/COVERAGE.md"
            );
        }
    }
    let code: String = sources()
        .iter()
        .map(|p| fs::read_to_string(p).unwrap())
        .collect();
    for line in table.lines().filter(|l| l.starts_with("| ")) {
        for test in line.split('`').skip(1).step_by(2) {
            let name = test.rsplit("::").next().unwrap();
            assert!(
                code.contains(&format!("fn {name}(")),
                "{test} of docs/COVERAGE.md"
            );
        }
    }
}

#[test]
fn the_tests_that_the_threat_page_names_exist() {
    let page = fs::read_to_string(root().join("docs/THREATS.md")).unwrap();
    let code: String = sources()
        .iter()
        .map(|p| fs::read_to_string(p).unwrap())
        .collect();
    let quoted = page.split('`').skip(1).step_by(2);
    let tests: Vec<_> = quoted
        .filter(|name| name.contains('_') && !name.contains(' '))
        .collect();
    assert!(tests.len() > 5, "{tests:?}");
    for test in tests {
        assert!(code.contains(&format!("fn {test}(")), "{test}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut pages = vec![root().join("README.md")];
    for folder in ["docs", "docs/adr"] {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        pages.extend(entries.map(|e| e.unwrap().path()));
    }
    for page in pages
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "md"))
    {
        let text = fs::read_to_string(page).unwrap();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap();
            let inside = !file.is_empty() && !file.contains("://") && !file.starts_with("mailto:");
            assert!(
                !inside || page.parent().unwrap().join(file).exists(),
                "{}: {target}",
                page.display()
            );
        }
    }
}

#[test]
fn pages_that_the_code_names_as_its_source_exist() {
    let folder = concat!("docs", "/");
    let mut named = BTreeSet::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        for rest in text.split(folder).skip(1) {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "-_/.".contains(*c))
                .collect();
            if let Some((stem, _)) = name.split_once(".md") {
                named.insert(format!("{folder}{stem}.md"));
            }
        }
    }
    assert!(named.len() > 5, "the walk saw the pages: {named:?}");
    for page in &named {
        assert!(root().join(page).exists(), "{page}");
    }
}
