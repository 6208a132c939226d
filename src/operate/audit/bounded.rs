//! Shortens the lists of a report so that it can be stored. All counts stay; findings stay as far as they fit.

use serde_json::{Value, json};

/// The largest report that is stored, in bytes. An item can have 400 KB (DynamoDB Developer Guide, "Quotas"), and the
/// output of a Step Functions state 256 KB (Step Functions Developer Guide, "Quotas").
pub(crate) const REPORT_BYTES: usize = 200 * 1024;

/// The lists of a report: each with its path, and the field that counts its entries.
pub(crate) const LISTS: [(&[&str], &str); 8] = [
    (&["drift"], "drifted_counters"),
    (&["behind_items"], "behind"),
    (&["unstable_items"], "unstable"),
    (&["ledger"], "ledger_findings"),
    (&["uncountable"], "uncountable_items"),
    (&["items_of_others"], "others"),
    (&["orphans", "view_items"], "without_source_items"),
    (&["orphans", "missing"], "missing_view_items"),
];

/// Adds the length of each list whose field for the count is missing.
pub(crate) fn with_counts(mut report: Value) -> Value {
    for (path, count) in LISTS {
        if report.get(count).is_none() {
            report[count] = json!(list(&mut report, path).map_or(0, |list| list.len()));
        }
    }
    report
}

/// Cuts the longest lists of a report until it has at most `bytes` bytes. Every count is raised to the length of its
/// list at least: in a sum of slices, a list may be longer than the largest count of a single slice, because equal
/// entries are merged and different ones are not.
pub(crate) fn bounded(mut report: Value, bytes: usize) -> Value {
    for (path, count) in LISTS {
        let entries = list(&mut report, path).map_or(0, |list| list.len());
        let counted = report[count].as_u64().unwrap_or_default();
        report[count] = json!(counted.max(entries as u64));
    }
    while report.to_string().len() > bytes {
        let sizes = LISTS.map(|(path, _)| list(&mut report, path).map_or(0, |list| json!(list).to_string().len()));
        let Some((longest, _)) = LISTS.iter().zip(sizes).max_by_key(|(_, size)| *size).filter(|(_, size)| *size > 2)
        else {
            break;
        };
        if let Some(list) = list(&mut report, longest.0) {
            list.truncate(list.len() / 2);
        }
    }
    report
}

fn list<'a>(report: &'a mut Value, path: &[&str]) -> Option<&'a mut Vec<Value>> {
    let place = path.iter().try_fold(report, |place, name| place.get_mut(*name))?;
    place.as_array_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::audit::merge;

    #[test]
    fn a_report_is_cut_where_it_is_longest_and_keeps_its_counts() {
        let drift: Vec<String> = (0..1_000).map(|item| format!("view item {item}")).collect();
        let report =
            with_counts(json!({ "drifted": 1_000, "drift": drift, "ledger": ["one"], "orphans": { "missing": [] } }));
        let short = bounded(report.clone(), 2_000);
        assert!(short.to_string().len() <= 2_000 && short["drift"].as_array().unwrap().len() > 50, "{short}");
        assert_eq!((&short["drifted_counters"], &short["drifted"]), (&json!(1_000), &json!(1_000)));
        assert_eq!((&short["ledger"], &short["ledger_findings"]), (&json!(["one"]), &json!(1)));
        assert_eq!(bounded(report.clone(), 1_000_000), report);
        // What has no list cannot be cut.
        assert_eq!(bounded(json!({ "drifted": 1 }), 1)["drifted"], 1);
    }

    #[test]
    fn a_sum_counts_at_least_what_it_lists() {
        let ledger = |what: &str| with_counts(json!({ "ledger": [{ "what": what }, { "what": "of all" }] }));
        let sum = bounded(merge::sum(ledger("of one"), ledger("of the other")), REPORT_BYTES);
        assert_eq!((&sum["ledger_findings"], sum["ledger"].as_array().unwrap().len()), (&json!(3), 3));
    }
}
