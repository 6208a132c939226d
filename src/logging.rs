//! Log lines: JSON in Lambda, text on a terminal.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The level that Lambda's logging configuration sets.
pub const LAMBDA_LOG_LEVEL: &str = "AWS_LAMBDA_LOG_LEVEL";

/// Lines of JSON on standard output, which is where Lambda reads them. Libraries speak from `WARN` on.
///
/// A level that is not known is taken as `INFO`: Lambda sets it, not the user.
pub fn json(level: Option<&str>) {
    let level = match level {
        Some("FATAL") => LevelFilter::ERROR,
        level => level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO),
    };
    let targets = Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("ddb_rollup", level)
        .with_target("bootstrap", level)
        .with_target("auditor", level);
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(io::stdout);
    tracing_subscriber::registry().with(targets).with(lines).init();
}

/// Writes a line that is not a log line: one that CloudWatch reads metrics from.
pub fn line(line: &str) {
    // One write a line: a log line of another task must not come in between.
    let _ = io::Write::write_all(&mut io::stdout().lock(), format!("{line}\n").as_bytes());
}
