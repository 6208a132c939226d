//! The page on a user's own table: its files and its commands, as they stand there.

use std::path::Path;

use crate::engine::without_embedded_engine;
use crate::local::{Local, OWN_ENGINE, run};

const PAGE: &str = include_str!("../../docs/start/your-own-table.md");

/// Writes the files of the page into a folder.
fn write_files(folder: &Path) {
    for part in PAGE.split("<!-- file: ").skip(1) {
        let (name, rest) = part.split_once(" -->\n```json\n").unwrap();
        let (text, _) = rest.split_once("\n```").unwrap();
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// The arguments of the page's command that begins like this, with its files in a folder.
fn arguments(command: &str, folder: &Path) -> Vec<String> {
    let line = PAGE.lines().find_map(|line| line.strip_prefix(&format!("    cargo run -- {command}"))).unwrap();
    let words = command.split_whitespace().chain(line.split_whitespace());
    let in_folder = |word: &str| {
        let file = folder.join(word);
        if file.is_file() { file.to_str().unwrap().to_owned() } else { word.to_owned() }
    };
    words.map(in_folder).collect()
}

fn as_given(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn each_command_of_the_page_does_what_it_says() {
    if without_embedded_engine(OWN_ENGINE) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    let check = run(&as_given(&arguments("view check", folder.path()))).await;
    assert_eq!(check.status.code(), Some(0), "{check:?}");
    let printed = String::from_utf8(check.stdout).unwrap();
    for line in printed.lines().filter(|line| line.contains("; key ")) {
        assert!(PAGE.contains(&format!("    {}\n", line.trim_start())), "{line}");
    }
    let tried = run(&as_given(&arguments("view try", folder.path()))).await;
    let printed = String::from_utf8(tried.stdout).unwrap();
    for line in printed.lines() {
        assert!(PAGE.contains(&format!("    {line}\n")), "{line}");
    }
    assert_eq!((tried.status.code(), printed.lines().count()), (Some(0), 5), "{printed}");

    let local = arguments("local", folder.path());
    let more = ["--parameter".to_owned(), "MaximumBatchingWindowInSeconds=0".to_owned()];
    let local: Vec<String> = local.into_iter().skip(1).chain(more).collect();
    let mut local = Local::start(&as_given(&local)).await;
    let mut expected: Vec<&str> = ["App CUSTOMER#ann, SUMMARY  Orders 2", "Day 2026-03-05  Orders 2"]
        .map(|beginning| PAGE.lines().map(str::trim_start).find(|line| line.starts_with(beginning)).unwrap())
        .into();
    while !expected.is_empty() {
        let line = local.line().await;
        expected.retain(|one| *one != line);
    }
    local.end("-TERM").await;
}
