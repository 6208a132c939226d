//! The corpus of `tests/fixtures/hostile`: whatever comes gets a clear message, and nothing is lost by it.
//!
//! Every file there is taken. The messages are snapshots, one page for each kind of file, to be read as a new user would.

mod records;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};

/// The files of a folder of the corpus, by name.
fn corpus(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hostile").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Compares a page of messages with its snapshot.
fn assert_page(name: &str, page: &str) {
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "hostile/snapshots" }, {
        insta::assert_snapshot!(name, page);
    });
}
