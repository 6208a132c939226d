//! House rules that a machine can check.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use ddb_rollup::auditor::AUDIT_SETTINGS;
use ddb_rollup::config::ENDPOINTS;
use ddb_rollup::metrics::METRICS;
use ddb_rollup::metrics::audit::AUDIT_METRICS;

/// Every file below a folder of the repository.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    assert!(!found.is_empty(), "there is nothing below {folder}");
    found
}

fn rust(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let files = folders.iter().flat_map(|folder| files(folder));
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn the_pure_part_knows_no_sdk_async_clock_randomness_environment_or_logging() {
    let outside = [
        "aws_sdk",
        "aws_config",
        "aws_smithy",
        "tokio",
        "futures",
        "async ",
        ".await",
        "SystemTime",
        "Instant",
        "::now(",
        "new_v4",
        "std::env",
        "std::fs",
        "std::net",
        "tracing",
        "println!",
        "crate::commit",
        "crate::store",
        "crate::handler",
        "crate::config",
    ];
    for (path, text) in rust(&["src/rollup"]) {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for word in outside {
                assert!(!line.contains(word), "{}:{}: {word:?} is outside the pure part", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn there_is_one_retry_loop() {
    let sleeps: Vec<_> = rust(&["src"])
        .into_iter()
        .filter(|(path, _)| !path.components().any(|part| part.as_os_str() == "operate"))
        .flat_map(|(path, text)| text.matches("sleep(").map(|_| path.clone()).collect::<Vec<_>>())
        .collect();
    assert!(
        sleeps.iter().all(|path| path.ends_with("src/commit.rs")),
        "waiting is the commit loop's alone: {sleeps:?}"
    );
}

#[test]
fn a_file_is_a_room() {
    for (path, text) in rust(&["src", "tests", "benches", "examples"]) {
        assert!(text.lines().count() <= 450, "{} has grown: what lives in it that should not?", path.display());
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            !["utils", "util", "helpers", "helper", "common", "core", "misc"].contains(&name),
            "{}",
            path.display()
        );
    }
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
        concat!("#[ig", "nore"),
    ];
    for (path, text) in rust(&["src", "tests", "benches", "examples"]) {
        for word in words {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn no_path_of_a_machine_is_in_a_file() {
    let roots = ["/ro", "/ho", "/wo"].into_iter().zip(["ot/", "me/", "rk/"]).map(|(a, b)| format!("{a}{b}"));
    let roots: Vec<String> = roots.collect();
    for path in ["src", "tests", "docs", "benches", "examples", ".ci", "migrations"].into_iter().flat_map(files) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for root in &roots {
            let own = text
                .match_indices(root.as_str())
                .any(|(place, _)| !text[..place].ends_with(|c: char| c.is_ascii_alphanumeric() || "./-_}".contains(c)));
            assert!(!own, "{} names {root}", path.display());
        }
    }
}

#[test]
fn every_metric_and_every_setting_is_documented() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (metrics, settings) = (read("docs/reference/metrics.md"), read("docs/reference/settings.md"));
    let of_function = METRICS.map(|metric| (metric.name, metric.unit));
    let of_auditor = AUDIT_METRICS.map(|metric| (metric.name, metric.unit));
    let all: Vec<_> = of_function.into_iter().chain(of_auditor).collect();
    for (name, unit) in &all {
        assert!(metrics.contains(&format!("| `{name}` | {unit} |")), "{name}");
    }
    let units = ["Count", "Bytes", "Milliseconds", "Seconds"];
    let units = units.map(|unit| metrics.matches(&format!("| {unit} |")).count());
    assert_eq!(units.iter().sum::<usize>(), all.len());
    for name in AUDIT_SETTINGS.into_iter().chain(ENDPOINTS) {
        assert!(settings.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = files("docs").into_iter().chain([root.join("README.md"), root.join("migrations/README.md")]);
    for document in documents.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let outside = target.is_empty() || target.contains("://");
            assert!(outside || document.parent().unwrap().join(target).exists(), "{}: {link}", document.display());
        }
    }
}

/// The code spans of a document, outside its blocks of code.
fn code_spans(document: &str) -> Vec<String> {
    let prose = document.split("```").step_by(2).collect::<String>();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_file_and_type_that_a_contributor_is_told_of_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["CONTRIBUTING.md"].into_iter().map(PathBuf::from).chain(files("docs/internals"));
    let sources: String = rust(&["src"]).into_iter().map(|(_, text)| text).collect();
    for page in pages {
        let text = fs::read_to_string(root.join(&page)).unwrap();
        // A name alone is of a file in the folder of the one before it.
        let mut folders = [root.join("src"), root.join("src/rollup/model/language"), root.to_owned()].to_vec();
        for span in code_spans(&text) {
            let is_file = Path::new(&span).extension().is_some_and(|extension| extension == "rs");
            let is_path = !span.contains([' ', '*']) && (is_file || span.ends_with('/'));
            if is_path {
                let found = folders.iter().map(|folder| folder.join(&span)).find(|path| path.exists());
                let found = found.unwrap_or_else(|| panic!("{}: there is no {span}", page.display()));
                // A module's files are in a folder of its name.
                folders.truncate(3);
                folders.extend([found.parent().unwrap().to_owned(), found.with_extension("")]);
            }
        }
        let types = text.lines().filter(|line| page.ends_with("architecture.md") && line.starts_with("| `"));
        for span in types.flat_map(|line| code_spans(line.split('|').nth(1).unwrap())) {
            let declared = ["struct ", "enum ", "trait ", "type "].iter().any(|kind| {
                sources.split(&format!("{kind}{span}")).skip(1).any(|rest| !rest.starts_with(char::is_alphanumeric))
            });
            assert!(declared, "{}: there is no type {span}", page.display());
        }
    }
}

#[test]
fn the_example_of_a_change_names_every_place_of_a_function() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let contributing = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let (_, example) = contributing.split_once("## Example: a function").unwrap();
    let rows = example.lines().filter(|line| line.starts_with("| `"));
    let named: Vec<PathBuf> = rows
        .flat_map(|line| code_spans(line.split('|').nth(1).unwrap()))
        .map(|name| {
            if name.contains(['/', 'C']) { root.join(name) } else { root.join("src/rollup/model/language").join(name) }
        })
        .collect();
    let has_function = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        ["\"lower\"", "Lower(", "Value::Lower", "lower (value)", "\"lower: "].iter().any(|word| text.contains(word))
    };
    for path in named.iter().filter(|path| !path.ends_with("CHANGELOG.md")) {
        assert!(has_function(path), "the example is like lower, which is not in {}", path.display());
    }
    let places = rust(&["src", "tests/properties"]).into_iter().filter(|(path, _)| has_function(path));
    for (path, _) in places {
        let is_named = named.contains(&path);
        // It makes no expressions of its own: one with a function is enough.
        assert!(is_named || path.ends_with("tests/properties/filter.rs"), "the example leaves out {}", path.display());
    }
}

/// What is used elsewhere is explained. A field or a variant whose name says all needs no comment.
#[test]
fn every_public_item_has_a_doc_comment() {
    let kinds = ["fn ", "async fn ", "const fn ", "struct ", "enum ", "trait ", "type ", "const ", "static "];
    let mut items = 0;
    for (path, text) in rust(&["src"]) {
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        assert!(
            path.ends_with("tests.rs") || text.starts_with("//!"),
            "{} does not say what it is for",
            path.display()
        );
        for (number, line) in lines.iter().enumerate() {
            let is_public =
                line.strip_prefix("pub ").is_some_and(|rest| kinds.iter().any(|kind| rest.starts_with(kind)));
            if is_public {
                items += 1;
                let ends = |line: &str| line.is_empty() || line.ends_with(['}', ';', '{']);
                let mut before = lines[..number].iter().rev().take_while(|line| !ends(line) || line.starts_with("///"));
                let comment = before.any(|line| line.starts_with("///"));
                assert!(comment, "{}:{}: {line} has no doc comment", path.display(), number + 1);
            }
        }
    }
    assert!(items > 500, "{items} items");
}
