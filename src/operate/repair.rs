//! `ddb-rollup repair`: an audit, and one conditional write for each view item that is not as it should be.
//!
//! Records without a marker are applied first, by the function's own way. Then the counters of an item are set to what its
//! source items come to, less what records will still add, if the item is as it was seen; with them goes a record of the
//! repair. What was in quarantine for the item is in the counters then, so the same transaction closes it: a replay would
//! count it once more. In the end what was set is audited again.

use std::collections::{HashMap, HashSet};
use std::env;
use std::io::{self, Write};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue as SdkValue, Put, TransactWriteItem, Update};
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::args::Shared;
use super::audit::examine::{LookOnly, Mend, Mended, Seen};
use super::audit::report::{Report, counter_name, reading_text};
use super::audit::tables::Tables;
use super::audit::{Audit, AuditError, Reading};
use super::replay::{self, apply::Applier};
use super::stop::{Stop, until_stopped};
use super::{Ending, TableError};
use crate::commit::Randomness;
use crate::config::Config;
use crate::operate::cause::cause;
use crate::randomness::OsRandomness;
use crate::rollup::Item;
use crate::rollup::check::judge::{NotApplied, PendingRecord, StoredCounters};
use crate::rollup::check::repair::{self, REPAIR, REPAIRED_BY, set};
use crate::rollup::model::limits::TRANSACTION_ACTIONS;
use crate::rollup::model::marker::{EXPIRES_AT, MarkerOutcome, OUTCOME, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::view::ViewKey;

/// Quarantined records that one transaction closes, beside the view item and the record of the repair.
const CLOSED_AT_ONCE: usize = TRANSACTION_ACTIONS - 2;

/// How often items are set, and audited again after each time: a record that took longer than the settling time to appear
/// in the stream is mended by the second time.
const PASSES: usize = 2;

/// Make every counter exact; writers and the function go on meanwhile
///
/// It also gives first counters to tables that had items before they had a function. Run it again after an interruption:
/// what is exact is left alone.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reading: Reading,

    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Repairs, and writes the report.
///
/// # Errors
/// When it could not run to its end. What was set by then stays set.
pub async fn run(shared: &Shared, args: &Args) -> Result<Ending, AuditError> {
    let sdk = shared.sdk().await;
    let config = shared.config()?;
    let mut mender = Mender::new(args.dry_run, config.clone(), who());
    let ended = until_stopped(async |stop| repair_by(&sdk, config, &args.reading, &mut mender, stop).await).await;
    let report = match ended {
        Ok(report) => report,
        Err(error) => {
            if mender.set > 0 {
                // The error follows on the same way; it is what decides how the command ends.
                let _ = writeln!(io::stderr(), "{} view items were set before this: run it again to go on", mender.set);
            }
            return Err(error);
        }
    };
    if shared.json {
        let mut json = report.repair_json();
        json["applied"] = json!(mender.applied);
        if args.dry_run {
            json["writes"] = json!(mender.writes);
        }
        writeln!(io::stdout(), "{json}")?;
    } else {
        for write in &mender.writes {
            writeln!(io::stdout(), "{} {}", if args.dry_run { "would set" } else { "set" }, line(write))?;
        }
        if mender.applied > 0 {
            writeln!(io::stdout(), "{} records without a marker applied", mender.applied)?;
        }
        writeln!(io::stdout(), "{} view items repaired", report.repaired)?;
        write!(io::stdout(), "{report}")?;
    }
    Ok(Ending::found_unless(report.is_clean()))
}

/// A write in one line, for people.
pub(super) fn line(write: &Value) -> String {
    let changes = write["changes"].as_array().into_iter().flatten().map(|change| {
        let text = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
        format!("{} from {} to {}", text("counter"), text("from"), text("to"))
    });
    format!("{}: {}", write["item"].as_str().unwrap_or_default(), changes.collect::<Vec<_>>().join(", "))
}

/// Repairs a view, for the ledger in the name of `who`.
///
/// # Errors
/// When it could not run to its end. What was set by then stays set.
pub async fn repair(
    sdk: &SdkConfig,
    config: Config,
    reading: &Reading,
    who: &str,
    stop: &Stop,
) -> Result<Report, AuditError> {
    let mut mender = Mender::new(false, config.clone(), who.to_owned());
    repair_by(sdk, config, reading, &mut mender, stop).await
}

/// Repairs with a mender, which knows what was set by the time of an error.
pub(super) async fn repair_by(
    sdk: &SdkConfig,
    config: Config,
    reading: &Reading,
    mender: &mut Mender,
    stop: &Stop,
) -> Result<Report, AuditError> {
    let mut audit = Audit::begin(sdk, config.clone(), reading).await?;
    if !mender.dry_run {
        audit.trail.applier = Some(Applier::new(config, sdk));
    }
    // A repair closes the quarantine of what it sets, however old that is.
    audit.read_ledger().await?;
    let suspects = audit.first_pass(reading).await?;
    // From here on the function is left to its own records: to apply them too would only be in its way.
    if let Some(applier) = audit.trail.applier.take() {
        mender.applied = applier.applied.applied;
    }
    let mut repaired = HashSet::new();
    let sources: HashMap<ViewKey, u64> = suspects.iter().cloned().collect();
    let mut suspects = suspects;
    for _ in 0..PASSES {
        let mut set = HashSet::new();
        audit.examine(suspects, mender, &mut set, reading, stop).await?;
        repaired.extend(set.iter().cloned());
        // Whoever is set is looked at again; also the other view items of records that were closed with it.
        set.extend(mender.concerned.drain());
        let about = |key: &ViewKey| sources.get(key).copied().unwrap_or(1);
        suspects = set.into_iter().map(|key| (key.clone(), about(&key))).collect();
        suspects.sort();
        if suspects.is_empty() || mender.dry_run || stop.requested() {
            break;
        }
    }
    if !stop.requested() && !suspects.is_empty() {
        audit.examine(suspects, &mut LookOnly, &mut HashSet::new(), reading, stop).await?;
    }
    audit.repaired = u64::try_from(repaired.len()).unwrap_or(u64::MAX);
    Ok(audit.report())
}

/// Sets counters.
pub(super) struct Mender {
    dry_run: bool,
    config: Config,
    who: String,
    run: String,
    set: usize,
    /// Records without a marker that were applied.
    pub(super) applied: usize,
    /// What was written, or would be.
    pub(super) writes: Vec<Value>,
    /// Other view items of records that were closed.
    concerned: HashSet<ViewKey>,
}

impl Mender {
    /// One that sets counters in somebody's name; in a dry run it only tells what it would set.
    pub(super) fn new(dry_run: bool, config: Config, who: String) -> Self {
        let run = format!("repair-run-{}", OsRandomness.token());
        Self { dry_run, config, who, run, set: 0, applied: 0, writes: Vec::new(), concerned: HashSet::new() }
    }
}

/// The user and the machine, as far as the environment tells them.
fn who() -> String {
    let variable = |names: &[&str]| names.iter().find_map(|name| env::var(name).ok()).filter(|value| !value.is_empty());
    let host = variable(&["HOSTNAME", "COMPUTERNAME"])
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().to_owned()));
    let user = variable(&["USER", "LOGNAME", "USERNAME"]);
    format!("{}@{}", user.as_deref().unwrap_or("unknown"), host.as_deref().unwrap_or("unknown"))
}

impl Mend for Mender {
    async fn mend(&mut self, tables: &Tables, key: &ViewKey, seen: &Seen) -> Result<Mended, AuditError> {
        let view = tables.view();
        let quarantined: Vec<&PendingRecord> =
            seen.open.iter().filter(|open| open.waiting == NotApplied::Quarantined).collect();
        let (close, stay) = quarantined.split_at(quarantined.len().min(CLOSED_AT_ONCE));
        let wanted = seen.wanted(stay);
        let differences = StoredCounters::read(view, seen.item.as_ref()).differences(&wanted);
        let changes = differences.iter().map(|difference| {
            json!({
                "counter": counter_name(view, difference),
                "from": reading_text(&difference.stored),
                "to": difference.expected.to_string(),
            })
        });
        let closed: Vec<_> = close.iter().map(|open| open.id.to_string()).collect();
        let write = json!({ "item": key.to_string(), "changes": changes.collect::<Vec<_>>(), "closed": closed });
        if self.dry_run {
            self.writes.push(write);
            return Ok(Mended::Refused);
        }

        let id = format!("{REPAIR}{}", OsRandomness.token());
        let at = replay::now();
        let retention_days = self.config.marker_retention_days;
        let note = repair::Repair { id: &id, who: &self.who, run: &self.run, at, retention_days };
        let update = set(view, seen.item.as_ref(), &wanted);
        let unbuildable = |cause: aws_sdk_dynamodb::error::BuildError| refused(tables, cause.to_string());
        let item = Update::builder()
            .table_name(view.view_table())
            .set_key(Some(view.key_item(key).into()))
            .update_expression(update.expression)
            .set_condition_expression(update.condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(Item::from(update.values).into()));
        let note = Put::builder()
            .table_name(&self.config.idempotency_table)
            .set_item(Some(repair::repaired(view, &note, key, &differences).into()))
            .condition_expression(format!("attribute_not_exists({SEQUENCE_NUMBER})"));
        let mut actions = vec![
            TransactWriteItem::builder().update(item.build().map_err(unbuildable)?).build(),
            TransactWriteItem::builder().put(note.build().map_err(unbuildable)?).build(),
        ];
        let expires_at = (at + TimeDelta::days(i64::from(retention_days))).timestamp().to_string();
        for open in close {
            let text = |value: &str| SdkValue::S(value.to_owned());
            let discard = Update::builder()
                .table_name(&self.config.idempotency_table)
                .key(SEQUENCE_NUMBER, text(&open.id.sequence_number))
                .key(STREAM, text(&open.id.stream))
                .update_expression("SET #outcome = :discarded, #expires = :expires, #by = :by")
                .condition_expression("#outcome = :quarantined")
                .expression_attribute_names("#outcome", OUTCOME)
                .expression_attribute_names("#expires", EXPIRES_AT)
                .expression_attribute_names("#by", REPAIRED_BY)
                .expression_attribute_values(":discarded", text(MarkerOutcome::Discarded.as_str()))
                .expression_attribute_values(":quarantined", text(MarkerOutcome::Quarantined.as_str()))
                .expression_attribute_values(":expires", SdkValue::N(expires_at.clone()))
                .expression_attribute_values(":by", text(&id));
            actions.push(TransactWriteItem::builder().update(discard.build().map_err(unbuildable)?).build());
        }
        match tables.client.transact_write_items().set_transact_items(Some(actions)).send().await {
            Ok(_) => {
                self.set += 1;
                self.writes.push(write);
                let others = close.iter().flat_map(|open| open.others.iter());
                self.concerned.extend(others.cloned());
                Ok(if stay.is_empty() { Mended::Set } else { Mended::More })
            }
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let codes = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
                    let passing = [
                        "None",
                        "ConditionalCheckFailed",
                        "TransactionConflict",
                        "ThrottlingError",
                        "ProvisionedThroughputExceeded",
                    ];
                    let lasting = codes.into_iter().any(|code| !passing.contains(&code));
                    Ok(if lasting { Mended::Refused } else { Mended::Changed })
                }
                _ => Err(refused(tables, cause(&error))),
            },
        }
    }
}

fn refused(tables: &Tables, cause: String) -> AuditError {
    TableError::new("repair", tables.view().view_table(), cause).into()
}
