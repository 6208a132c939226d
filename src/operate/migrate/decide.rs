//! Decides which migrations to apply, from those that were applied and those of this build.

use std::collections::BTreeMap;
use std::fmt;

use super::definition::Migration;

/// A migration that was applied, as the idempotency table records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedMigration {
    /// Its number in the order.
    pub number: u32,
    pub name: String,
    /// The checksum of its file when it was applied.
    pub checksum: String,
    /// When it was applied, in RFC 3339.
    pub applied_at: String,
    /// Who applied it.
    pub applied_by: String,
}

impl fmt::Display for AppliedMigration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}__{}", self.number, self.name)
    }
}

/// The state of one migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationState<'a> {
    /// It was applied as it is in this build.
    Applied(&'a AppliedMigration),
    /// It will be applied.
    Pending(&'a Migration),
    /// It was applied, but its content in this build is different.
    Edited(&'a AppliedMigration, &'a Migration),
    /// It was applied, but this build does not have it.
    Missing(&'a AppliedMigration),
}

/// The state of every migration that was applied, is in this build, or both, by number.
#[must_use]
pub fn states<'a>(applied: &'a [AppliedMigration], wanted: &'a [Migration]) -> Vec<MigrationState<'a>> {
    let mut states: BTreeMap<u32, MigrationState<'a>> =
        applied.iter().map(|one| (one.number, MigrationState::Missing(one))).collect();
    for wanted in wanted {
        let state = match states.get(&wanted.number) {
            Some(MigrationState::Missing(applied)) => {
                let same = applied.name == wanted.name && applied.checksum == wanted.checksum;
                if same { MigrationState::Applied(applied) } else { MigrationState::Edited(applied, wanted) }
            }
            _ => MigrationState::Pending(wanted),
        };
        states.insert(wanted.number, state);
    }
    states.into_values().collect()
}

/// The migrations that were applied so far, for an error message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoFar(Vec<String>);

impl fmt::Display for SoFar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("nothing") } else { f.write_str(&self.0.join(", ")) }
    }
}

/// Why no migration is applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The content of an applied migration is different in this build.
    #[error(
        "{wanted} was edited after it was applied: {applied} was applied at {} by {} with the checksum {}, but this build's \
         file has {}. Applied so far: {so_far}. Use a build with the original file, and put the change into a new migration",
        applied.applied_at, applied.applied_by, applied.checksum, wanted.checksum
    )]
    Edited {
        /// The migration in this build.
        wanted: Box<Migration>,
        /// The migration that was applied.
        applied: Box<AppliedMigration>,
        /// The migrations that were applied so far.
        so_far: SoFar,
    },
    /// An applied migration is not in this build.
    #[error(
        "{applied} was applied at {} by {}, and this build does not have it. Applied so far: {so_far}. Use the build that \
         applied it, or a later one",
        applied.applied_at, applied.applied_by
    )]
    Missing {
        /// The migration that was applied.
        applied: Box<AppliedMigration>,
        /// The migrations that were applied so far.
        so_far: SoFar,
    },
    /// A later migration was applied before this one.
    #[error(
        "{wanted} is not applied, but the later {later} is. Applied so far: {so_far}. Give {wanted} the next free number, so \
         that it comes after those that are applied"
    )]
    OutOfOrder {
        /// The migration that is not applied.
        wanted: String,
        /// The first later migration that was applied.
        later: String,
        /// The migrations that were applied so far.
        so_far: SoFar,
    },
}

/// The migrations to apply, in order.
///
/// # Errors
/// When an applied migration was edited or is missing in this build, or when a pending one has a lower number than an
/// applied one.
pub fn decide<'a>(applied: &'a [AppliedMigration], wanted: &'a [Migration]) -> Result<Vec<&'a Migration>, Refusal> {
    let mut order: Vec<_> = applied.iter().collect();
    order.sort_by_key(|one| one.number);
    let so_far = || SoFar(order.iter().map(ToString::to_string).collect());

    let mut pending = Vec::new();
    for state in states(applied, wanted) {
        match state {
            MigrationState::Edited(applied, wanted) => {
                let (wanted, applied) = (Box::new(wanted.clone()), Box::new(applied.clone()));
                return Err(Refusal::Edited { wanted, applied, so_far: so_far() });
            }
            MigrationState::Missing(applied) => {
                return Err(Refusal::Missing { applied: Box::new(applied.clone()), so_far: so_far() });
            }
            MigrationState::Pending(migration) => pending.push(migration),
            MigrationState::Applied(_) => {}
        }
    }
    if let (Some(first), Some(last)) = (pending.first(), order.last())
        && first.number < last.number
    {
        let later = order.iter().find(|one| one.number > first.number).unwrap_or(last);
        return Err(Refusal::OutOfOrder { wanted: first.to_string(), later: later.to_string(), so_far: so_far() });
    }
    Ok(pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::migrate::definition::MigrationStep;

    /// `2a` is V2 of the name and checksum `a`.
    fn wanted(text: &str) -> Vec<Migration> {
        let one = |word: &str| Migration {
            number: word[..1].parse().unwrap(),
            name: word[1..].to_owned(),
            checksum: format!("sum-{}", &word[1..]),
            why: "why".into(),
            step: MigrationStep::CounterMapsOfViewItems {},
        };
        text.split_whitespace().map(one).collect()
    }

    fn applied(text: &str) -> Vec<AppliedMigration> {
        let applied = |one: Migration| AppliedMigration {
            number: one.number,
            name: one.name,
            checksum: one.checksum,
            applied_at: format!("time-{}", one.number),
            applied_by: "somebody".into(),
        };
        wanted(text).into_iter().map(applied).collect()
    }

    #[test]
    fn what_is_applied_follows_from_what_was_and_what_is_wanted() {
        for (was, want, expected) in [
            ("", "", Ok("")),
            ("", "1a", Ok("1a")),
            ("", "1a 2b 3c", Ok("1a 2b 3c")),
            ("", "3c 1a 2b", Ok("1a 2b 3c")),
            ("1a", "1a 2b 3c", Ok("2b 3c")),
            ("2b 1a", "1a 2b 3c", Ok("3c")),
            ("1a 2b 3c", "1a 2b 3c", Ok("")),
            ("1a", "1x", Err(&["V1__x was edited", "V1__a was applied at time-1 by somebody", "sum-a", "sum-x"][..])),
            ("1a 2b", "1a 2x 3c", Err(&["V2__x was edited", "so far: V1__a, V2__b.", "a new migration"])),
            ("1a 2b", "1a", Err(&["V2__b was applied at time-2", "does not have it", "so far: V1__a, V2__b."])),
            ("1a", "", Err(&["V1__a was applied", "does not have it"])),
            ("1a", "2b", Err(&["V1__a was applied", "does not have it"])),
            ("1a 3c", "1a 2b 3c", Err(&["V2__b is not applied, but the later V3__c is", "so far: V1__a, V3__c."])),
            ("2b 3c", "1a 2b 3c 4d", Err(&["V1__a is not applied, but the later V2__b is"])),
        ] {
            let (was_applied, want_applied) = (applied(was), wanted(want));
            match (decide(&was_applied, &want_applied), expected) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(found, wanted(expected).iter().collect::<Vec<_>>(), "{was:?} {want:?}");
                }
                (Err(refusal), Err(parts)) => {
                    let message = refusal.to_string();
                    assert!(parts.iter().all(|part| message.contains(part)), "{was:?} {want:?}: {message}");
                }
                (found, _) => panic!("{was:?} {want:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_same_name_with_another_content_is_another_migration() {
        let mut edited = wanted("1a");
        edited[0].checksum = "sum-b".into();
        assert!(matches!(decide(&applied("1a"), &edited), Err(Refusal::Edited { .. })));
        let mut renamed = wanted("1a");
        renamed[0].name = "b".into();
        assert!(matches!(decide(&applied("1a"), &renamed), Err(Refusal::Edited { .. })));
    }

    #[test]
    fn every_migration_has_a_state() {
        let (was, want) = (applied("1a 2b 4d"), wanted("1a 2x 3c"));
        let expected = [
            MigrationState::Applied(&was[0]),
            MigrationState::Edited(&was[1], &want[1]),
            MigrationState::Pending(&want[2]),
            MigrationState::Missing(&was[2]),
        ];
        assert_eq!(states(&was, &want), expected);
    }
}
