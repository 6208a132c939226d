//! Reads the whole idempotency table once: records in quarantine, contradictions, and the number of events by hour.

use std::cell::RefCell;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::error::AuditError;
use super::stream_records::FINDINGS;
use super::table_reader::TableReader;
use crate::operate::marker_table::{is_of_commands, record_id};
use crate::rollup::check::judge::NotApplied;
use crate::rollup::check::ledger::{Finding, MarkerState, OpenEffect, inspect, marker_state, quarantined_effect};
use crate::rollup::check::repair_start::REPAIRED;
use crate::rollup::model::kept_record::{is_part, part_count};
use crate::rollup::model::marker::{
    DEFINITION, DELTAS, EVENT_ID, FINGERPRINT, MarkerOutcome, OUTCOME, PARTS, REASON, RECORD, RECORDED_AT,
    SEQUENCE_NUMBER, SOURCE_KEY, STREAM,
};
use crate::rollup::model::record::RecordId;
use crate::rollup::{AttributeValue, Item};

/// The most events that are compared with each other, to find an event that was counted under two numbers. The limit
/// bounds the memory: each event takes some bytes.
const EVENTS: usize = 4_000_000;

/// For how many hours back the events are counted by hour.
pub const HOURS: i64 = 48;

/// What the markers say.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Number of markers of records.
    pub markers: u64,
    /// Number of records of repairs.
    pub repairs: u64,
    /// Records in quarantine, with their effects.
    pub quarantined: Vec<(RecordId, OpenEffect)>,
    /// Violated invariants.
    pub findings: Vec<Finding>,
    /// Number of markers by the hour in which they were written, for the last [`HOURS`] hours.
    pub hours: BTreeMap<DateTime<Utc>, u64>,
    events: HashMap<u64, u64>,
    /// Quarantined markers whose records are kept in parts. The parts are read one record after another.
    in_parts: Vec<(RecordId, Item)>,
}

/// Reads the ledger.
///
/// # Errors
/// When the table cannot be read.
pub async fn read(tables: &TableReader, now: DateTime<Utc>) -> Result<Ledger, AuditError> {
    let ledger = RefCell::new(Ledger::default());
    let attributes = [
        SEQUENCE_NUMBER,
        STREAM,
        OUTCOME,
        DELTAS,
        EVENT_ID,
        SOURCE_KEY,
        RECORDED_AT,
        REASON,
        RECORD,
        PARTS,
        FINGERPRINT,
    ];
    tables.markers(&attributes, |marker| ledger.borrow_mut().take(tables, marker, now)).await?;
    let mut ledger = ledger.into_inner();
    for (id, marker) in std::mem::take(&mut ledger.in_parts) {
        let parts = tables.parts_of(&id, &marker).await?;
        let effect = quarantined_effect(tables.definition(), &marker, &parts);
        ledger.quarantined.push((id, effect));
    }
    Ok(ledger)
}

impl Ledger {
    fn take(&mut self, tables: &TableReader, marker: Item, now: DateTime<Utc>) {
        let Some(id) = record_id(&marker) else { return };
        // The items of migrations, repairs, slices and definitions, and the parts of records, are not markers.
        let number = id.sequence_number.as_str();
        if [DEFINITION, REPAIRED].contains(&number) || is_of_commands(number) || is_part(&marker) {
            return;
        }
        let text = |name: &str| match marker.get(name) {
            Some(AttributeValue::S(value)) => Some(value.as_str()),
            _ => None,
        };
        if text(OUTCOME) == Some(MarkerOutcome::Repaired.as_str()) {
            self.repairs += 1;
            return;
        }
        self.markers += 1;
        let recorded_at = text(RECORDED_AT).and_then(|at| at.parse::<DateTime<Utc>>().ok());
        let hour = recorded_at.and_then(|at| at.duration_trunc(TimeDelta::hours(1)).ok());
        if let Some(hour) = hour.filter(|hour| now.signed_duration_since(hour) < TimeDelta::hours(HOURS)) {
            *self.hours.entry(hour).or_default() += 1;
        }
        self.find(inspect(tables.definition(), &id, &marker));
        if marker_state(Some(&marker)) == MarkerState::Pending(NotApplied::Quarantined) {
            if part_count(&marker) > 0 {
                self.in_parts.push((id, marker));
                return;
            }
            let effect = quarantined_effect(tables.definition(), &marker, &[]);
            self.quarantined.push((id, effect));
        } else if let Some(event) = text(EVENT_ID).filter(|event| !event.is_empty())
            && self.events.len() < EVENTS
        {
            let event = digest(&(event, &id.stream));
            let number = digest(&id.sequence_number);
            if self.events.insert(event, number).is_some_and(|other| other != number) {
                let what = "its event has a marker under another sequence number too: it may have counted twice";
                self.find(Some(Finding { invariant: "XO-2", subject: id.to_string(), what: what.to_owned() }));
            }
        }
    }

    fn find(&mut self, finding: Option<Finding>) {
        if self.findings.len() < FINDINGS {
            self.findings.extend(finding);
        }
    }
}

fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
