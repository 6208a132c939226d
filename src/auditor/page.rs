//! The report of a whole pass as a page for a browser, in the style of the command's page. The sum of many slices has counts, and
//! findings as far as there was room.

use std::fmt::Write;

use serde_json::Value;

use super::bounded::entries;
use crate::operate::audit::page::{STYLE, Text};
use crate::rollup::model::definition::Definition;

/// Rows of a table; a page of more could not be read.
const ROWS: usize = 500;

/// The numbers on cards, each with what it counts and how it is shown when it is not zero.
const CARDS: [(&str, &str, &str); 8] = [
    ("view_items", "view items", ""),
    ("exact", "exact", "good"),
    ("behind", "behind", "lag"),
    ("unstable", "unstable", "bad"),
    ("drifted", "drifted", "bad"),
    ("repaired", "repaired", "lag"),
    ("quarantined", "in quarantine", "bad"),
    ("uncountable", "uncountable", "bad"),
];

/// The lists on the page, each with what counts its entries and the fields that are shown.
const TABLES: [(&str, &str, &str, &[&str]); 3] = [
    (
        "Drift",
        "drift",
        "drifted_counters",
        &["view", "table", "key", "measure", "group", "stored", "recounted", "pending"],
    ),
    ("Findings in the ledger", "ledger", "ledger_findings", &["invariant", "subject", "what"]),
    ("Source items that a view cannot count", "uncountable", "uncountable_items", &["view", "key", "reason"]),
];

/// The page.
pub(super) fn page(definition: &Definition, report: &Value, summary: &Value) -> String {
    let tables = definition.tables().iter().map(|table| table.name.as_str()).collect::<Vec<_>>().join(", ");
    let (source, view) = (Text(definition.source_table()), Text(tables));
    let (began, ended) = (Text(text(&summary["began"])), Text(text(&summary["ended"])));
    let (class, words) = if summary["clean"] == true {
        ("good", "Everything is as it should be.")
    } else {
        ("bad", "There are findings.")
    };
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Audit of {view}</title><style>{STYLE}</style></head><body>\
         <h1>Audit of {view}</h1><p class=\"dim\">counters of {source}, from {began} to {ended}</p>\
         <p class=\"verdict {class}\" id=\"verdict\">{words}</p><div class=\"cards\">"
    );
    // Writing to a string cannot fail.
    for (name, words, class) in CARDS {
        let count = summary[name].as_u64().unwrap_or_default();
        let class = if count > 0 { class } else { "" };
        let _ = write!(page, "<div class=\"card {class}\" id=\"{name}\"><b>{count}</b>{words}</div>");
    }
    page.push_str("</div>");
    for (title, list, count, fields) in TABLES {
        table(&mut page, title, entries(report, list), report[count].as_u64().unwrap_or_default(), fields);
    }
    page.push_str("</body></html>\n");
    page
}

fn table(page: &mut String, title: &str, found: &[Value], count: u64, fields: &[&str]) {
    if count == 0 {
        return;
    }
    let _ = write!(page, "<h2>{title}</h2><div class=\"wide\"><table><thead><tr>");
    for field in fields {
        let _ = write!(page, "<th>{field}</th>");
    }
    page.push_str("</tr></thead><tbody>");
    for finding in found.iter().take(ROWS) {
        page.push_str("<tr>");
        for field in fields {
            let _ = write!(page, "<td>{}</td>", Text(text(&finding[*field])));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>");
    let more = count.saturating_sub(found.len().min(ROWS) as u64);
    if more > 0 {
        let _ = write!(page, "<p class=\"dim\">... and {more} more; the log has more of them.</p>");
    }
}

/// A value for people.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_shows_findings_and_what_is_left_out_and_obeys_nothing_in_them() {
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let drift =
            json!([{ "key": "<script>", "measure": "TotalPoints", "stored": 9, "recounted": 2, "group": null }]);
        let report = json!({ "drift": drift, "drifted_counters": 3, "ledger": [], "uncountable": [] });
        let summary = json!({ "drifted": 2, "exact": 5, "clean": false, "began": "a", "ended": "b" });
        let page = page(&definition, &report, &summary);
        for part in
            ["<b>2</b>drifted", "<td>TotalPoints</td>", "<td>&lt;script&gt;</td>", "and 2 more", "There are findings."]
        {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<script>") && !page.contains("ledger"), "{page}");
    }
}
