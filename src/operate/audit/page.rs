//! The report as a page for a browser: one file, nothing from elsewhere, light or dark as the reader has it.

use std::fmt::{self, Display, Write};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::judged::DriftedCounter;
use super::ledger::HOURS;
use super::report::{AuditReport, Behind, counter_name, reading_text};
use crate::rollup::check::judge::StoredValue;
use crate::rollup::model::number::Number;
use crate::rollup::model::view::ViewKey;

/// Rows of a table; a page of more could not be read. The whole list is what `--json` prints.
const ROWS: usize = 500;

/// View items in the plot of drift.
const BARS: usize = 20;

/// The plots' width and the height of the one over time, in the units of the drawing.
const WIDTH: usize = 720;
const HEIGHT: usize = 140;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2530;--dim:#5d6b7c;--paper:#fff;--card:#f4f6f9;--line:#d7dde5;--good:#1a7f4b;\
--lag:#9a6700;--bad:#c02f2f;--bar:#3b6fd4}\
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf2;--dim:#93a1b3;--paper:#12161c;--card:#1b2129;--line:#2f3844;\
--good:#4ac281;--lag:#dba12f;--bad:#f07070;--bar:#6f9cf0}}\
*{box-sizing:border-box}body{margin:0 auto;padding:2rem 1.25rem 4rem;max-width:62rem;background:var(--paper);\
color:var(--ink);font:16px/1.5 system-ui,sans-serif}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.25rem 0 .6rem}\
p{margin:.3rem 0}.dim{color:var(--dim)}.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(6.6rem,1fr));\
gap:.75rem;margin-top:1.5rem}.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.7rem 1rem}\
.card b{display:block;font-size:1.7rem;line-height:1.2;font-variant-numeric:tabular-nums}.good b{color:var(--good)}\
.lag b{color:var(--lag)}.bad b{color:var(--bad)}.verdict{font-weight:600}.verdict.good{color:var(--good)}\
.verdict.bad{color:var(--bad)}.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}\
th,td{text-align:left;padding:.4rem .7rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top;\
overflow-wrap:anywhere}th{color:var(--dim);font-weight:500}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;\
white-space:nowrap}svg{width:100%;height:auto;display:block}svg text{fill:var(--dim);font:12px system-ui,sans-serif}\
svg .bar{fill:var(--bar)}svg .less{fill:var(--lag)}svg .more{fill:var(--bad)}svg line{stroke:var(--line)}";

/// Text in a page: what is in an item must not become a part of it.
struct Text<T>(T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Neither a page nor its reader can use these; a direction mark could turn the text beside it around.
                c if c.is_control()
                    || ('\u{202a}'..='\u{202e}').contains(&c)
                    || ('\u{2066}'..='\u{2069}').contains(&c) =>
                {
                    f.write_char('\u{fffd}')?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The page.
#[must_use]
pub fn page(report: &AuditReport, now: DateTime<Utc>) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut page, report, now);
    page
}

fn write(page: &mut String, report: &AuditReport, now: DateTime<Utc>) -> fmt::Result {
    let tables = report.definition.tables().iter().map(|table| table.name.as_str()).collect::<Vec<_>>().join(", ");
    let (source, view) = (Text(report.definition.source_table()), Text(tables));
    let at = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Audit of {view}</title><style>{STYLE}</style></head><body>\
         <h1>Audit of {view}</h1><p class=\"dim\">counters of {source}, {at}, {:.1} seconds</p>",
        report.took.as_secs_f64()
    )?;
    let (class, words) = if report.is_clean() {
        ("good", "Everything is as it should be.")
    } else {
        ("bad", "There is something to look at.")
    };
    write!(page, "<p class=\"verdict {class}\" id=\"verdict\">{words}</p>")?;
    cards(page, report)?;
    notes(page, report)?;
    drift(page, report)?;
    events(page, report, now)?;
    findings(page, report)?;
    waiting(page, report)?;
    page.push_str("</body></html>\n");
    Ok(())
}

fn cards(page: &mut String, report: &AuditReport) -> fmt::Result {
    let bad = |count: usize| if count > 0 { "bad" } else { "" };
    let lag = if report.behind.is_empty() { "" } else { "lag" };
    page.push_str("<div class=\"cards\">");
    for (id, class, count, words) in [
        ("view_items", "", report.view_items(), "view items"),
        ("exact", "good", report.exact, "exact"),
        ("behind", lag, report.behind.len() as u64, "behind"),
        ("unstable", bad(report.unstable.len()), report.unstable.len() as u64, "unstable"),
        ("drifted", bad(report.drifted.len()), report.drifted.len() as u64, "drifted"),
        ("quarantined", if report.quarantined > 0 { "bad" } else { "" }, report.quarantined, "in quarantine"),
        ("findings", bad(report.findings.len()), report.findings.len() as u64, "findings"),
    ] {
        write!(page, "<div class=\"card {class}\" id=\"{id}\"><b>{count}</b>{words}</div>")?;
    }
    page.push_str("</div>");
    Ok(())
}

fn notes(page: &mut String, report: &AuditReport) -> fmt::Result {
    let missing = report.orphans.without_view_item.len();
    write!(
        page,
        "<p class=\"dim\">{} source items, {} markers, {} repairs on record; {} view items have counters and no source \
         items, {missing} are missing.</p>",
        report.source_items,
        report.markers,
        report.repairs,
        report.orphans.without_sources.len()
    )?;
    if report.not_examined > 0 {
        write!(page, "<p>Interrupted: {} view items were not looked at.</p>", report.not_examined)?;
    }
    if report.stream_records.is_none() {
        page.push_str("<p>The source table has no stream: this holds only if nobody wrote to it meanwhile.</p>");
    }
    Ok(())
}

/// The drift of one item in one number: of its first counter, which is its total where there is one.
fn size(stored: &StoredValue, expected: &Number) -> Option<f64> {
    let StoredValue::Number(stored) = stored else { return None };
    let mut drift = stored.clone();
    drift += &-expected.clone();
    drift.to_string().parse().ok()
}

fn drift(page: &mut String, report: &AuditReport) -> fmt::Result {
    if report.drifted.is_empty() {
        return Ok(());
    }
    page.push_str("<h2>Drift</h2>");
    drift_plot(page, report)?;
    drift_table(page, report)
}

/// The view items that drifted most, with how far.
fn drift_plot(page: &mut String, report: &AuditReport) -> fmt::Result {
    let mut bars: Vec<(&ViewKey, f64)> = report
        .drifted
        .iter()
        .filter_map(|item| {
            let sizes = item.counters.iter().filter_map(|one| size(&one.difference.stored, &one.difference.expected));
            sizes.max_by(|a, b| a.abs().total_cmp(&b.abs())).map(|size| (&item.key, size))
        })
        .collect();
    bars.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
    bars.truncate(BARS);
    if let Some(most) = bars.iter().map(|(_, size)| size.abs()).reduce(f64::max) {
        let height = bars.len() * 24 + 8;
        write!(page, "<svg id=\"drift-plot\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">")?;
        page.push_str("<title>the largest drift of each view item: stored less recounted</title>");
        for (place, (key, size)) in bars.iter().enumerate() {
            let (y, width) = (place * 24 + 4, (size.abs() / most * 380.0).max(1.0));
            let class = if *size < 0.0 { "less" } else { "more" };
            let name: String = key.to_string().chars().take(24).collect();
            write!(
                page,
                "<text x=\"0\" y=\"{}\">{}</text><rect class=\"{class}\" x=\"200\" y=\"{y}\" width=\"{width:.1}\" \
                 height=\"16\" rx=\"3\"/><text x=\"{:.1}\" y=\"{}\">{size:+}</text>",
                y + 13,
                Text(name),
                width + 208.0,
                y + 13
            )?;
        }
        page.push_str("</svg>");
    }
    Ok(())
}

fn drift_table(page: &mut String, report: &AuditReport) -> fmt::Result {
    page.push_str(
        "<div class=\"wide\"><table id=\"drift\"><thead><tr><th>View item</th><th>Counter</th><th class=\"n\">Stored</th>\
         <th class=\"n\">Recounted</th><th class=\"n\">Not applied yet</th></tr></thead><tbody>",
    );
    let rows = report.drifted.iter().flat_map(|item| item.counters.iter().map(move |counter| (&item.key, counter)));
    for (key, DriftedCounter { difference, pending }) in rows.clone().take(ROWS) {
        write!(
            page,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{pending}</td></tr>",
            Text(key),
            Text(counter_name(&report.definition, difference)),
            Text(reading_text(&difference.stored)),
            difference.expected
        )?;
    }
    page.push_str("</tbody></table></div>");
    more(page, rows.count())
}

fn events(page: &mut String, report: &AuditReport, now: DateTime<Utc>) -> fmt::Result {
    let most = report.hours.values().copied().max().unwrap_or_default();
    write!(page, "<h2>Events of the last {HOURS} hours</h2>")?;
    if most == 0 {
        page.push_str("<p class=\"dim\">The ledger has none.</p>");
        return Ok(());
    }
    write!(page, "<svg id=\"events-plot\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\">", HEIGHT + 24)?;
    page.push_str("<title>markers by the hour in which they were written</title>");
    let hours = usize::try_from(HOURS).unwrap_or(1);
    let step = WIDTH / hours;
    for (hour, count) in &report.hours {
        let ago = usize::try_from((now - *hour).num_hours()).unwrap_or_default().min(hours - 1);
        #[allow(clippy::cast_precision_loss, reason = "the height of a bar")]
        let height = (*count as f64 / most as f64 * (HEIGHT - 20) as f64).max(1.0);
        #[allow(clippy::cast_precision_loss, reason = "the place of a bar")]
        let y = HEIGHT as f64 - height;
        write!(
            page,
            "<rect class=\"bar\" x=\"{}\" y=\"{y:.1}\" width=\"{}\" height=\"{height:.1}\" rx=\"2\"><title>{}: {count}\
             </title></rect>",
            (hours - 1 - ago) * step + 1,
            step - 2,
            hour.format("%Y-%m-%d %H:00 UTC")
        )?;
    }
    write!(
        page,
        "<line x1=\"0\" y1=\"{HEIGHT}\" x2=\"{WIDTH}\" y2=\"{HEIGHT}\"/><text x=\"0\" y=\"12\">{most} an hour</text>"
    )?;
    for ago in [HOURS, HOURS / 2] {
        let x = (HOURS - ago) * i64::try_from(step).unwrap_or_default();
        let at = now - TimeDelta::hours(ago);
        write!(page, "<text x=\"{x}\" y=\"{}\">{}</text>", HEIGHT + 18, at.format("%b %d %H:%M"))?;
    }
    write!(page, "<text x=\"{WIDTH}\" y=\"{}\" text-anchor=\"end\">now (UTC)</text></svg>", HEIGHT + 18)
}

fn findings(page: &mut String, report: &AuditReport) -> fmt::Result {
    if report.findings.is_empty() {
        return Ok(());
    }
    page.push_str(
        "<h2>Findings</h2><div class=\"wide\"><table id=\"findings-table\"><thead><tr><th>Invariant</th><th>Record or view item\
         </th><th>What is wrong</th></tr></thead><tbody>",
    );
    for finding in report.findings.iter().take(ROWS) {
        let (subject, what) = (Text(&finding.subject), Text(&finding.what));
        write!(page, "<tr><td>{}</td><td>{subject}</td><td>{what}</td></tr>", finding.invariant)?;
    }
    page.push_str("</tbody></table></div>");
    more(page, report.findings.len())
}

fn waiting(page: &mut String, report: &AuditReport) -> fmt::Result {
    if report.behind.is_empty() && report.unstable.is_empty() {
        return Ok(());
    }
    page.push_str(
        "<h2>Behind or unstable</h2><div class=\"wide\"><table id=\"waiting\"><thead><tr><th>View item</th>\
         <th class=\"n\">Without a marker</th><th class=\"n\">In quarantine</th></tr></thead><tbody>",
    );
    for Behind { key, unmarked, quarantined } in report.behind.iter().take(ROWS) {
        let key = Text(key);
        write!(page, "<tr><td>{key}</td><td class=\"n\">{unmarked}</td><td class=\"n\">{quarantined}</td></tr>")?;
    }
    for key in report.unstable.iter().take(ROWS) {
        write!(page, "<tr><td>{}</td><td class=\"n\" colspan=\"2\">never at rest</td></tr>", Text(key))?;
    }
    page.push_str("</tbody></table></div>");
    more(page, report.behind.len().max(report.unstable.len()))
}

fn more(page: &mut String, count: usize) -> fmt::Result {
    if count > ROWS { write!(page, "<p class=\"dim\">and {} more: see --json</p>", count - ROWS) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_an_item_stays_text() {
        let hostile = "<script>alert('x')</script>&\"\u{202e}\u{0}";
        assert_eq!(
            Text(hostile).to_string(),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}\u{fffd}"
        );
    }
}
