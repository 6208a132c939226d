//! The migrations of this build: the files of `migrations/`, included in the binary.

use std::fmt::{self, Write};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The files by name, in order. A test compares them with the folder.
const FILES: &[(&str, &str)] = &[
    ("V1__counter_maps_of_view_items.json", include_str!("../../../migrations/V1__counter_maps_of_view_items.json")),
    ("V2__counters_of_source_items.json", include_str!("../../../migrations/V2__counters_of_source_items.json")),
];

/// A change of live data, as its file defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its number in the order, from 1.
    pub number: u32,
    /// The name of its file, without the number and the extension.
    pub name: String,
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub checksum: String,
    /// The reason for it, from the file.
    pub why: String,
    /// The change that it makes.
    pub step: MigrationStep,
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}__{}", self.number, self.name)
    }
}

/// The kinds of changes. Each is safe while writers are running, and skips what an earlier run did.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum MigrationStep {
    /// Creates the counter maps that view items lack.
    CounterMapsOfViewItems {},
    /// Sets the counters of view items to the recount of their source items, where no function counted them or one
    /// counted them wrong.
    CountersOfSourceItems {},
}

/// A migration file that cannot be used. The binary is at fault, not the tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("migrations/{file}: {problem}")]
pub struct FileError {
    file: String,
    problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    why: String,
    step: MigrationStep,
}

/// The migrations of this build, in order.
///
/// # Errors
/// When a file is not a valid migration; the error names it.
pub fn shipped() -> Result<Vec<Migration>, FileError> {
    FILES.iter().map(|(name, text)| read(name, text)).collect()
}

/// Parses a migration from the name and the text of its file.
///
/// # Errors
/// When the name is not `V<number>__<name>.json`, or the text does not define a step.
pub fn read(file: &str, text: &str) -> Result<Migration, FileError> {
    let refuse = |problem: String| FileError { file: file.to_owned(), problem };
    let (number, name) =
        parts(file).ok_or_else(|| refuse("a migration's file is named V<number>__<name>.json, from V1".into()))?;
    let File { why, step } = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
    Ok(Migration { number, name: name.to_owned(), checksum: checksum(text), why, step })
}

fn parts(file: &str) -> Option<(u32, &str)> {
    let (number, name) = file.strip_prefix('V')?.strip_suffix(".json")?.split_once("__")?;
    // Only the plain form of a number is accepted, not "01" or "+1", so that two files cannot have the same number.
    let parsed = number.parse().ok().filter(|parsed: &u32| *parsed > 0 && parsed.to_string() == number)?;
    (!name.is_empty()).then_some((parsed, name))
}

fn checksum(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hexadecimal, byte| {
        let _ = write!(hexadecimal, "{byte:02x}");
        hexadecimal
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::operate::migrate::decide::decide;

    #[test]
    fn every_file_of_the_folder_is_in_the_binary() {
        let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).unwrap();
        let files: BTreeSet<_> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        let carried = FILES.iter().map(|(name, _)| (*name).to_owned()).chain(["README.md".to_owned()]).collect();
        assert_eq!(files, carried);
    }

    #[test]
    fn what_is_shipped_can_be_applied_in_its_order() {
        let shipped = shipped().unwrap();
        assert_eq!(decide(&[], &shipped).unwrap().len(), shipped.len());
        let numbers: Vec<u32> = shipped.iter().map(|migration| migration.number).collect();
        let expected: Vec<u32> = (1..).take(shipped.len()).collect();
        assert_eq!(numbers, expected, "numbers follow each other from V1, and none is given twice");
        assert!(shipped.iter().all(|migration| !migration.why.is_empty()));
    }

    /// A released migration must never change, because tables where it was applied would be refused. Add a line for a
    /// new one.
    #[test]
    fn what_was_released_is_unchanged() {
        let checksums: Vec<_> = shipped().unwrap().iter().map(|one| format!("{one} {}", &one.checksum[..16])).collect();
        assert_eq!(
            checksums,
            ["V1__counter_maps_of_view_items d10e20ce58bf17af", "V2__counters_of_source_items fbdf922fcfe24c24"]
        );
    }

    #[test]
    fn a_file_that_is_not_understood_is_named() {
        let good = r#"{"why": "w", "step": {"kind": "counter_maps_of_view_items"}}"#;
        assert_eq!(read("V12__a_b.json", good).unwrap().to_string(), "V12__a_b");
        for (name, text, problem) in [
            ("V01__a.json", good, "V<number>__<name>.json"),
            ("V0__a.json", good, "V<number>__<name>.json"),
            ("V+1__a.json", good, "V<number>__<name>.json"),
            ("V1__.json", good, "V<number>__<name>.json"),
            ("1__a.json", good, "V<number>__<name>.json"),
            ("V1_a.json", good, "V<number>__<name>.json"),
            ("V1__a.json", "", "EOF"),
            ("V1__a.json", r#"{"step": {"kind": "counter_maps_of_view_items"}}"#, "why"),
            ("V1__a.json", r#"{"why": "w", "step": {"kind": "drop_everything"}}"#, "drop_everything"),
            ("V1__a.json", r#"{"why": "w", "step": {"kind": "counter_maps_of_view_items", "of": 1}}"#, "of"),
            ("V1__a.json", r#"{"why": "w", "step": {}}"#, "kind"),
        ] {
            let error = read(name, text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("migrations/{name}: ")) && error.contains(problem), "{error}");
        }
    }
}
