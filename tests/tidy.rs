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
