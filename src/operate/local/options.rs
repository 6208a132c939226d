//! The options of `ddb-rollup local`.

use std::path::PathBuf;
use std::time::Duration;

use crate::operate::args;

/// Run the whole pipeline on this machine: tables, stream, poller, function
///
/// Starts a DynamoDB engine in this process, creates the tables that template.json declares, delivers the stream to
/// the function as Lambda does, and prints a line for every view item that changes. The engine is for small tests: it
/// slows down when its stream holds more than a few thousand changes.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Port of the engine on this machine [default: 8000, with --demo any that is free]
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub port: Option<u16>,

    /// File that keeps the tables; without it they are lost at the end
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    pub data: Option<PathBuf>,

    /// Failure destination, for records that the poller gives up: a folder, or a file of lines if the name ends in .jsonl
    #[arg(long, value_name = "PATH", default_value = "ddb-rollup-failures")]
    pub failures: PathBuf,

    /// Schema of one of your own tables: the JSON of its create-table request, or of describe-table; can be given several
    /// times. A view table without one gets the key that the definition names
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    pub table_schema: Vec<PathBuf>,

    /// File with items to put into the source table at the start: one item in DynamoDB JSON a line
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    pub load: Option<PathBuf>,

    /// Audit the stack at this interval (10s, 5m, 1h) while it runs, and print what is found, with the commands that repair it
    #[arg(long, value_name = "TIME", value_parser = interval, conflicts_with = "demo")]
    pub audit_every: Option<Duration>,

    /// Repair what an audit finds
    #[arg(long, requires = "audit_every")]
    pub repair: bool,

    /// Value of a parameter of the template; can be given several times
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    pub parameters: Vec<(String, String)>,

    /// Run the tutorial's example to its end: load maps and points, change them, deliver all again, recount, tamper, repair
    #[arg(long)]
    pub demo: bool,
}

fn port(text: &str) -> Result<u16, String> {
    args::whole(text, 0, u16::MAX)
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Parses the time between two audits, such as `10s`. A number alone means seconds.
fn interval(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        _ => None,
    };
    let interval = seconds.zip(digits.parse().ok()).and_then(|(unit, number): (u64, u64)| number.checked_mul(unit));
    let interval = interval.filter(|seconds| (1..=86_400).contains(seconds)).map(Duration::from_secs);
    interval.ok_or_else(|| "expected a time from 1s to 24h, such as 10s, 5m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_with_its_unit() {
        let seconds = |text| interval(text).map(|interval| interval.as_secs());
        for (text, expected) in [("10s", 10), ("10", 10), ("5m", 300), ("24h", 86_400)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in
            ["", "s", "0s", "25h", "1d", "1.5s", "-1s", "10 s", "99999999999999999999h", "18446744073709551615m"]
        {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
