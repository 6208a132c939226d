//! The plots of the page.

use std::fmt::{self, Write};

use chrono::{DateTime, TimeDelta, Utc};

use super::Text;
use crate::operate::audit::ledger::HOURS;
use crate::operate::audit::report::AuditReport;
use crate::rollup::check::judge::StoredValue;
use crate::rollup::model::number::Number;
use crate::rollup::model::view::ViewKey;

/// The most view items in the plot of drift.
const BARS: usize = 20;

/// The width of the plots and the height of the plot over time, in SVG units.
const WIDTH: usize = 720;
const HEIGHT: usize = 140;

/// Where the bars begin, and the length of the longest bar on either side.
const AXIS: f64 = 450.0;
const LONGEST: f64 = 190.0;

/// The height of a bar of drift, and the distance from one bar to the next.
const BAR: usize = 16;
const ROW: usize = 24;

/// The drift of one counter: the stored value less the expected one. `None` if the stored value is not a number.
fn size(stored: &StoredValue, expected: &Number) -> Option<f64> {
    let StoredValue::Number(stored) = stored else { return None };
    let mut drift = stored.clone();
    drift += &-expected.clone();
    drift.to_string().parse().ok()
}

/// Plots the view items that drifted most, each by the counter that is furthest off. A bar to the left, hatched, shows
/// how much is missing; a bar to the right, filled, shows how much is too much. Each has its sign, so that a reader
/// does not need the colours.
pub(super) fn drift(page: &mut String, report: &AuditReport) -> fmt::Result {
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
    let Some(most) = bars.iter().map(|(_, size)| size.abs()).reduce(f64::max) else { return Ok(()) };
    let height = bars.len() * ROW + 8;
    write!(
        page,
        "<p class=\"dim\">The largest drift of each view item: stored less recounted. Hatched bars to the left: too few. \
         Filled bars to the right: too many.</p>\
         <svg id=\"drift-plot\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"drift-title\">\
         <title id=\"drift-title\">the largest drift of each view item: stored less recounted; the table below has the \
         numbers</title>\
         <defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><line class=\"hatch\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\"/></pattern></defs>\
         <line x1=\"{AXIS}\" y1=\"0\" x2=\"{AXIS}\" y2=\"{height}\"/>"
    )?;
    for (place, (key, size)) in bars.into_iter().enumerate() {
        drift_bar(page, place * ROW + 4, key, size, size.abs() / most)?;
    }
    page.push_str("</svg>");
    Ok(())
}

/// One bar at height `y`. `part` is its length as a part of the longest bar.
fn drift_bar(page: &mut String, y: usize, key: &ViewKey, size: f64, part: f64) -> fmt::Result {
    let length = (part * LONGEST).max(1.0);
    let (class, x, text_x, anchor) = if size < 0.0 {
        ("less", AXIS - length, AXIS - length - 8.0, "end")
    } else {
        ("more", AXIS, AXIS + length + 8.0, "start")
    };
    let name: String = key.to_string().chars().take(24).collect();
    let base = y + 13;
    write!(
        page,
        "<text x=\"0\" y=\"{base}\">{}</text><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{length:.1}\" \
         height=\"{BAR}\"/><text x=\"{text_x:.1}\" y=\"{base}\" text-anchor=\"{anchor}\">{size:+}</text>",
        Text(name)
    )
}

/// Plots the markers by the hour in which they were written.
pub(super) fn events(page: &mut String, report: &AuditReport, now: DateTime<Utc>) -> fmt::Result {
    let most = report.hours.values().copied().max().unwrap_or_default();
    write!(page, "<h2>Events of the last {HOURS} hours</h2>")?;
    if most == 0 {
        page.push_str("<p class=\"dim\">The ledger has none.</p>");
        return Ok(());
    }
    write!(
        page,
        "<svg id=\"events-plot\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" \
         aria-labelledby=\"events-title\"><title id=\"events-title\">markers by the hour in which they were written, at most \
         {most} an hour</title>",
        HEIGHT + 24
    )?;
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
