//! The commands on the pages: each of this tool is one that it takes, and each script is there.
//!
//! What they do is shown elsewhere: `own_table_page`, `operator_walk` and `.ci/runbooks` run the commands of their pages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands for a value on the pages, and such a value. The longest come first.
const PLACEHOLDERS: [(&str, &str); 5] = [
    ("FAILURE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/failures"),
    ("FUNCTION_NAME", "points"),
    ("NUMBER", "1"),
    ("TIME", "2026-01-31T12:00:00Z"),
    ("URL", "https://sqs.eu-west-1.amazonaws.com/1/failures"),
];

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The lines of commands on a page, those that go on joined: of its blocks of code, and of code within a sentence.
fn commands(page: &str) -> Vec<String> {
    let joined = page.replace("\\\n", " ");
    let programs = ["ddb-rollup ", "cargo run -- ", ".ci/", "packaging/", "tests/"];
    let is_command = |text: &&str| programs.iter().any(|program| text.starts_with(program));
    let blocks = joined.lines().filter_map(|line| {
        let block = line.strip_prefix("$ ").or_else(|| line.strip_prefix("    "))?;
        Some(block.trim_start())
    });
    let spans = joined.split('`').skip(1).step_by(2).filter(|span| span.starts_with("ddb-rollup "));
    blocks.chain(spans).filter(is_command).map(str::to_owned).collect()
}

/// A program of this name in a folder, which is this script.
fn put_program(folder: &Path, name: &str, script: &str) {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn every_command_on_a_page_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    // To ask for help is to have every option before it read, and to do nothing.
    let binary = env!("CARGO_BIN_EXE_ddb-rollup");
    put_program(folder.path(), "ddb-rollup", &format!("exec '{binary}' \"$@\" --help"));
    put_program(folder.path(), "aws", "echo https://sqs.eu-west-1.amazonaws.com/1/failures");
    put_program(folder.path(), "jq", "exec cat");
    let mut all = ["README.md", "CONTRIBUTING.md", "migrations/README.md"].map(|name| root.join(name)).to_vec();
    pages(&root.join("docs"), &mut all);
    // What `--help` prints, which `.ci/command` checks.
    all.retain(|page| !page.ends_with("docs/reference/command.md"));
    let (mut of_tool, mut scripts) = (0, 0);
    for page in all {
        for command in commands(&fs::read_to_string(&page).unwrap()) {
            let told = format!("{}: {command}", page.display());
            let Some(line) = command.strip_prefix("cargo run -- ").or_else(|| command.strip_prefix("ddb-rollup "))
            else {
                assert!(root.join(command.split_whitespace().next().unwrap()).exists(), "{told}");
                scripts += 1;
                continue;
            };
            let filled = PLACEHOLDERS.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value));
            let mut shell = Command::new("/bin/sh");
            shell.args(["-ec", &format!("ddb-rollup {filled}")]).current_dir(folder.path()).env_clear();
            let ran = shell.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display())).output().unwrap();
            assert!(ran.status.success(), "{told}: {}", String::from_utf8_lossy(&ran.stderr));
            of_tool += 1;
        }
    }
    assert!(of_tool > 80 && scripts > 5, "{of_tool} commands and {scripts} scripts were found");
}
