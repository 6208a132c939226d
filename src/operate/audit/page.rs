//! The report as a page for a browser: one self-contained file, in the light or dark colours that the reader prefers.

use std::fmt::{self, Display, Write};

use chrono::{DateTime, SecondsFormat, Utc};

use super::judged::DriftedCounter;
use super::notes::notes;
use super::remedies::{Remedies, Remedy};
use super::report::{AuditReport, Behind, counter_name, reading_text};
use crate::operate::commands::Commands;
use crate::operate::printable::counted;
use crate::operate::slices::EarlierSlices;
use crate::rollup::check::ledger::Finding;

mod plots;

/// The most rows of a table, so that the page stays readable; `--json` prints the whole list.
const ROWS: usize = 500;

/// The colours of a light and a dark page. Colour is never the only sign of a state, for readers who cannot distinguish
/// colours.
pub(crate) const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2530;--dim:#566374;--paper:#fff;--card:#f4f6f9;--line:#d7dde5;--good:#176e41;\
--lag:#8a5c00;--bad:#b52a2a;--bar:#3b6fd4}\
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf2;--dim:#9aa8b9;--paper:#12161c;--card:#1b2129;--line:#2f3844;\
--good:#4ac281;--lag:#dba12f;--bad:#f07070;--bar:#6f9cf0}}\
*{box-sizing:border-box}body{margin:0 auto;padding:2rem 1.25rem 4rem;max-width:62rem;background:var(--paper);\
color:var(--ink);font:16px/1.5 system-ui,sans-serif}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.25rem 0 .6rem}\
p{margin:.3rem 0}.dim{color:var(--dim)}.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(6.6rem,1fr));\
gap:.75rem;margin:1.5rem 0 1rem;padding:0;list-style:none}.card{background:var(--card);border:1px solid var(--line);\
border-radius:.6rem;padding:.7rem 1rem}\
.card b{display:block;font-size:1.7rem;line-height:1.2;font-variant-numeric:tabular-nums}.good b{color:var(--good)}\
.lag b{color:var(--lag)}.bad b{color:var(--bad)}.verdict{font-weight:600}.verdict.good{color:var(--good)}\
.verdict.bad{color:var(--bad)}.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}\
th,td{text-align:left;padding:.4rem .7rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top;\
overflow-wrap:anywhere}thead th{color:var(--dim)}th{font-weight:500}td.n,th.n{text-align:right;\
font-variant-numeric:tabular-nums;white-space:nowrap}pre{margin:.3rem 0;padding:.5rem .7rem;background:var(--card);\
border:1px solid var(--line);border-radius:.4rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.88rem}\
svg{width:100%;height:auto;display:block}svg text{fill:var(--dim);font:12px system-ui,sans-serif}\
svg .bar{fill:var(--bar)}svg .less{fill:url(#hatch);stroke:var(--lag);stroke-width:1.5}svg .more{fill:var(--bad)}\
svg line{stroke:var(--line)}svg .hatch{stroke:var(--lag);stroke-width:3}";

/// Text in a page, escaped: the content of an item must not become part of the page.
pub(crate) struct Text<T>(pub(crate) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // A page cannot use control characters, and a direction mark could reorder the text beside it.
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

/// The page of a report, with the commands that fix what the audit found, and the numbers of the slices that an earlier
/// run did.
#[must_use]
pub fn page(report: &AuditReport, earlier: Option<&EarlierSlices>, commands: &Commands, now: DateTime<Utc>) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut page, Remedies { report, commands }, earlier, now);
    page
}

fn write(
    page: &mut String,
    remedies: Remedies<'_>,
    earlier: Option<&EarlierSlices>,
    now: DateTime<Utc>,
) -> fmt::Result {
    let report = remedies.report;
    let tables = report.definition.tables().iter().map(|table| table.name.as_str()).collect::<Vec<_>>().join(", ");
    let (source, view) = (Text(report.definition.source_table()), Text(tables));
    let at = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Audit of {view}</title><style>{STYLE}</style></head><body><main>\
         <h1>Audit of {view}</h1><p class=\"dim\">counters of {source}, {at}, {:.1} seconds</p>",
        report.took.as_secs_f64()
    )?;
    let clean = report.is_clean() && earlier.is_none_or(EarlierSlices::is_clean);
    let (class, words) =
        if clean { ("good", "Everything is as it should be.") } else { ("bad", "There are findings.") };
    write!(page, "<p class=\"verdict {class}\" id=\"verdict\">{words}</p>")?;
    if let Some(earlier) = earlier {
        write!(page, "<p id=\"earlier\">Not on this page: {}</p>", Text(earlier))?;
    }
    cards(page, report)?;
    seen(page, remedies)?;
    drift(page, remedies)?;
    waiting(page, remedies)?;
    quarantine(page, remedies)?;
    ledger(page, remedies)?;
    also(page, remedies)?;
    plots::events(page, report, now)?;
    page.push_str("</main></body></html>\n");
    Ok(())
}

/// The remedy, with each command in a block of its own, which can be copied whole.
fn remedy(page: &mut String, Remedy { does, commands }: &Remedy) -> fmt::Result {
    write!(page, "<p>{}:</p>", Text(does))?;
    commands.iter().try_for_each(|command| write!(page, "<pre><code>{}</code></pre>", Text(command)))
}

/// Begins a table with a scroll bar of its own on a narrow page. The heading of a column of numbers begins with a
/// space.
fn begin_table(page: &mut String, id: &str, label: &str, headings: &[&str]) -> fmt::Result {
    write!(
        page,
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"{label}\"><table id=\"{id}\"><thead><tr>"
    )?;
    for heading in headings {
        let class = if heading.starts_with(' ') { " class=\"n\"" } else { "" };
        write!(page, "<th scope=\"col\"{class}>{}</th>", heading.trim_start())?;
    }
    page.push_str("</tr></thead><tbody>");
    Ok(())
}

fn end_table(page: &mut String, rows: usize) -> fmt::Result {
    page.push_str("</tbody></table></div>");
    more(page, rows)
}

fn cards(page: &mut String, report: &AuditReport) -> fmt::Result {
    let bad = |count: usize| if count > 0 { "bad" } else { "" };
    let lag = if report.behind.is_empty() { "" } else { "lag" };
    page.push_str("<ul class=\"cards\">");
    for (id, class, count, words) in [
        ("view_items", "", report.view_items(), "view items"),
        ("exact", "good", report.exact, "exact"),
        ("behind", lag, report.behind.len() as u64, "behind"),
        ("unstable", bad(report.unstable.len()), report.unstable.len() as u64, "unstable"),
        ("drifted", bad(report.drifted.len()), report.drifted.len() as u64, "drifted"),
        ("quarantined", if report.quarantined > 0 { "bad" } else { "" }, report.quarantined, "in quarantine"),
        ("findings", bad(report.findings.len()), report.findings.len() as u64, "findings"),
    ] {
        write!(page, "<li class=\"card {class}\" id=\"{id}\"><b>{count}</b> {words}</li>")?;
    }
    page.push_str("</ul>");
    Ok(())
}

fn seen(page: &mut String, remedies: Remedies<'_>) -> fmt::Result {
    let report = remedies.report;
    write!(
        page,
        "<p class=\"dim\">Read: {}, {}, {}.</p>",
        counted(report.source_items, "source item", "source items"),
        counted(report.markers, "marker", "markers"),
        counted(report.repairs, "record of a repair", "records of repairs"),
    )?;
    if report.not_examined > 0 {
        let left = counted(report.not_examined, "view item was", "view items were");
        write!(page, "<p>Interrupted: {left} not examined.</p>")?;
        remedy(page, &remedies.of_the_rest())?;
    }
    Ok(())
}

fn drift(page: &mut String, remedies: Remedies<'_>) -> fmt::Result {
    let report = remedies.report;
    if report.drifted.is_empty() {
        return Ok(());
    }
    page.push_str("<h2>Drift</h2>");
    remedy(page, &remedies.of_drift())?;
    plots::drift(page, report)?;
    begin_table(page, "drift", "Drift", &["View item", "Counter", " Stored", " Recounted", " Not applied yet"])?;
    let rows = report.drifted.iter().flat_map(|item| item.counters.iter().map(move |counter| (&item.key, counter)));
    for (key, DriftedCounter { difference, pending }) in rows.clone().take(ROWS) {
        write!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{pending}</td></tr>",
            Text(report.item_name(key)),
            Text(counter_name(&report.definition, difference)),
            Text(reading_text(&difference.stored)),
            difference.expected
        )?;
    }
    end_table(page, rows.count())
}

fn waiting(page: &mut String, remedies: Remedies<'_>) -> fmt::Result {
    let report = remedies.report;
    if !report.behind.is_empty() {
        page.push_str("<h2>Behind</h2><p>This is lag: the counters are right when the function has caught up.</p>");
        begin_table(
            page,
            "behind-table",
            "Behind",
            &["View item", " Records without a marker", " Records in quarantine"],
        )?;
        for Behind { key, unmarked, quarantined } in report.behind.iter().take(ROWS) {
            let key = Text(report.item_name(key));
            write!(
                page,
                "<tr><th scope=\"row\">{key}</th><td class=\"n\">{unmarked}</td><td class=\"n\">{quarantined}</td></tr>"
            )?;
        }
        end_table(page, report.behind.len())?;
    }
    if !report.unstable.is_empty() {
        page.push_str("<h2>Unstable</h2>");
        begin_table(page, "unstable-table", "Unstable", &["View item", "What to do"])?;
        for key in report.unstable.iter().take(ROWS) {
            write!(page, "<tr><th scope=\"row\">{}</th><td>", Text(report.item_name(key)))?;
            remedy(page, &remedies.of_unstable(key))?;
            page.push_str("</td></tr>");
        }
        end_table(page, report.unstable.len())?;
    }
    Ok(())
}

fn quarantine(page: &mut String, remedies: Remedies<'_>) -> fmt::Result {
    if remedies.report.quarantined == 0 {
        return Ok(());
    }
    let records = counted(remedies.report.quarantined, "record waits", "records wait");
    write!(page, "<h2>In quarantine</h2><p>{records} for a decision.</p>")?;
    remedy(page, &remedies.of_quarantine())
}

fn ledger(page: &mut String, remedies: Remedies<'_>) -> fmt::Result {
    let findings = &remedies.report.findings;
    if findings.is_empty() {
        return Ok(());
    }
    page.push_str("<h2>Findings</h2>");
    remedies.of_ledger().iter().try_for_each(|each| remedy(page, each))?;
    begin_table(page, "findings-table", "Findings", &["Invariant", "Record or view item", "What is wrong"])?;
    for Finding { invariant, subject, what } in findings.iter().take(ROWS) {
        write!(page, "<tr><td>{invariant}</td><td>{}</td><td>{}</td></tr>", Text(subject), Text(what))?;
    }
    end_table(page, findings.len())
}

fn also(page: &mut String, remedies: Remedies<'_>) -> fmt::Result {
    let notes = notes(remedies);
    if notes.is_empty() {
        return Ok(());
    }
    page.push_str("<h2>Also found</h2><ul id=\"also\">");
    for note in notes {
        write!(page, "<li><p>{}</p>", Text(note.text))?;
        note.remedy.iter().try_for_each(|each| remedy(page, each))?;
        page.push_str("</li>");
    }
    page.push_str("</ul>");
    Ok(())
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

    /// The relative luminance of a colour as `#rgb` or `#rrggbb`, by WCAG 2.
    fn luminance(colour: &str) -> f64 {
        let hex = colour.trim_start_matches('#');
        let each = if hex.len() == 3 { 1 } else { 2 };
        let channel = |place: usize| {
            let digits = &hex[place * each..(place + 1) * each];
            let value = f64::from(u8::from_str_radix(&digits.repeat(2 / each), 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(1) + 0.0722 * channel(2)
    }

    #[test]
    fn every_colour_stands_out_from_what_is_behind_it() {
        let themes: Vec<_> = STYLE.split(":root{").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        assert_eq!(themes.len(), 2, "light and dark");
        for theme in themes {
            let colour = |name: &str| {
                let rest = theme.split(&format!("--{name}:")).nth(1).unwrap_or_else(|| panic!("{name}: {theme}"));
                luminance(rest.split(';').next().unwrap())
            };
            // WCAG 2 requires a contrast of 4.5 for text (1.4.3) and 3 for graphics (1.4.11).
            let text = ["ink", "dim", "good", "lag", "bad"].map(|name| (name, 4.5));
            for (name, least) in text.into_iter().chain([("bar", 3.0)]) {
                for behind in ["paper", "card"] {
                    let (one, other) = (colour(name), colour(behind));
                    let ratio = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                    assert!(ratio >= least, "{name} on {behind}: {ratio:.2}, at least {least}");
                }
            }
        }
    }
}
