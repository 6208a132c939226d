//! Bugs put in on purpose, each with the first seed at which the rule that it breaks complains: what the simulation would
//! notice.
//!
//! A change of the function or of the world may change what happens at a seed. Then
//! `cargo run --example simulate -- --bugs` prints this list anew.

use crate::seeds::SEEDS;
use crate::world::{Bug, Rule, Wanted, simulate};

const FOUND: [(Bug, u64); Bug::ALL.len()] = [
    (Bug::NoMarkerCondition, 1),
    (Bug::FreshTokenAndNoMarkerCondition, 1),
    (Bug::FreshToken, 1),
    (Bug::OneToken, 1),
    (Bug::DuplicateFromAnyCancellation, 1),
    (Bug::MarkerDroppedWithZeroSum, 2),
    (Bug::AcknowledgedPastFailure, 7),
    (Bug::TextOrder, 68),
    (Bug::LostAnswerTakenAsDone, 2),
    (Bug::MarkerInSeparateTransaction, 1),
    (Bug::OldGroupForgotten, 1),
    (Bug::OtherStreamTakenAsDuplicate, 2),
    (Bug::DeadlineIgnored, 7),
    (Bug::QuarantineWithoutRecord, 1),
    (Bug::QuarantineExpires, 1),
    (Bug::QuarantineEndedByFunction, 1),
    (Bug::PoisonDropped, 1),
    (Bug::FirstTouchOverwrites, 6),
    (Bug::VersionNotRaised, 1),
    (Bug::RetentionIgnored, 8),
    (Bug::MarkerKeptTooShort, 1),
    (Bug::LedgerEmpty, 1),
    (Bug::HedgedRequests, 1),
    (Bug::MoreInFlight, 2),
    (Bug::EveryFailureReported, 9),
    (Bug::ReportedByPosition, 4),
    (Bug::FirstAlwaysReported, 1),
    (Bug::MissingViewItemCreated, 2),
    (Bug::ViewItemWriteLost, 1),
    (Bug::GroupLost, 1),
    (Bug::CrossingMissed, 6),
    (Bug::ViewForgotten, 6),
    (Bug::HalfADefinition, 6),
    (Bug::SharedItemNotMerged, 6),
    (Bug::ElementCountedTwice, 6),
    (Bug::GroupFromOldImage, 1),
    (Bug::BadImageTakesTheOther, 2),
    (Bug::TablesMixedUp, 6),
    (Bug::FingerprintOfAnother, 6),
    (Bug::NotFoundTakenAsNew, 2),
    (Bug::FoundMarkerNotCompared, 39),
    (Bug::ThrottledNeverHalved, 7),
];

/// The rule behind another, so that none can be added without a bug that breaks it.
fn next(rule: Rule) -> Option<Rule> {
    Some(match rule {
        Rule::Xo1 => Rule::Xo2,
        Rule::Xo2 => Rule::Xo3,
        Rule::Xo3 => Rule::Xo4,
        Rule::Xo4 => Rule::Xo5,
        Rule::Xo5 => Rule::Xo6,
        Rule::Xo6 => Rule::Version,
        Rule::Version => Rule::Missing,
        Rule::Missing => Rule::SideBySide,
        Rule::SideBySide => Rule::Token,
        Rule::Token => Rule::Deadline,
        Rule::Deadline => Rule::InFlight,
        Rule::InFlight => Rule::Response,
        Rule::Response => Rule::Progress,
        Rule::Progress => return None,
    })
}

#[test]
fn every_rule_has_a_bug_that_breaks_it() {
    for rule in std::iter::successors(Some(Rule::Xo1), |rule| next(*rule)) {
        assert!(Bug::ALL.iter().any(|bug| bug.breaks() == rule), "{rule}");
    }
}

#[test]
fn every_bug_put_in_on_purpose_is_found() {
    assert!(FOUND.iter().map(|(bug, _)| *bug).eq(Bug::ALL), "every bug of the list has its seed");
    for (bug, seed) in FOUND {
        let run = simulate(seed, bug.wanted());
        let found = run.failure.as_ref().map(|failure| failure.violation.rule);
        assert_eq!(found, Some(bug.breaks()), "{bug:?}: {run}");
        println!("{bug:?} | {} | {seed} | {}", bug.breaks(), run.steps);
    }
}

#[test]
fn a_bug_is_found_at_the_same_step_each_time() {
    for (bug, seed) in FOUND.into_iter().take(4) {
        assert_eq!(simulate(seed, bug.wanted()), simulate(seed, bug.wanted()), "{bug:?}");
    }
}

#[test]
fn without_the_bug_the_same_seed_holds() {
    for (bug, seed) in FOUND.into_iter().filter(|(_, seed)| *seed > SEEDS) {
        let run = simulate(seed, Wanted::default());
        assert!(run.failure.is_none(), "{bug:?}: {run}");
    }
}
