//! Writes a counter behind the function's back. An audit finds it, and a repair fixes it.

use aws_sdk_dynamodb::types::AttributeValue;

use super::observed_stack::ObservedStack;
use super::output::DemoOutput;
use super::recount::differences;
use crate::operate::args::Shared;
use crate::operate::local::error::LocalError;
use crate::operate::local::self_audit::{Audited, SelfAudit};
use crate::operate::repair::OnDrift;
use crate::operate::repair::report::CounterChange;
use crate::operate::stop;

/// The map and the counter that are written, and the new value.
const MAP: &str = "SeattleMapId";
const COUNTER: &str = "TotalPoints";
const WRITTEN: &str = "5";

/// The result of the tampering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tampering {
    /// It was found, and nothing else was; then it was repaired.
    FoundAndMended,
    /// It was not found, something else was found, or it was not repaired.
    Missed,
}

/// Overwrites a counter, and lets the stack audit itself once.
pub(super) async fn tamper(
    stack: &ObservedStack<'_>,
    shared: &Shared,
    output: &mut DemoOutput,
) -> Result<Tampering, LocalError> {
    let exact = stack.counters().await?;
    stack.maps.set_of_map(MAP, COUNTER, AttributeValue::N(WRITTEN.to_owned())).await?;
    let tampered = stack.counters().await?;
    output.step("Somebody writes to a counter of Seattle, past the function", &[], &exact, &tampered)?;

    let (_stopper, stop) = stop::stop();
    let audit = SelfAudit::new(stack.stack, shared, OnDrift::Repair);
    let Audited::Repaired(report) = Box::pin(audit.once(&stop)).await? else { return Ok(Tampering::Missed) };
    let definition = &report.audit.definition;
    let seen = report.writes.iter().flat_map(|write| {
        let map = write.name(definition);
        write.changes(definition).map(move |CounterChange { counter, from, to }| {
            format!("{map} {counter} was {from}, and a recount says {to}: it is set to {to}")
        })
    });
    let seen: Vec<_> = seen.collect();
    let (mended, recounted) = (stack.counters().await?, stack.recounted().await?);
    let title = "An audit finds it and repairs it; `local --audit-every 10s --repair` does so every 10 seconds";
    output.step(title, &seen, &tampered, &mended)?;
    let all = seen.len() == 1 && report.repaired == 1 && differences(&mended, &recounted).is_empty();
    Ok(if all && report.audit.is_clean() { Tampering::FoundAndMended } else { Tampering::Missed })
}
