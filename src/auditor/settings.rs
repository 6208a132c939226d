//! What the environment says about the auditor alone.

use std::time::Duration;

use crate::config::{ConfigError, SETTINGS, endpoint, number};
use crate::operate::repair::OnDrift;
use crate::rollup::check::slice::SLICES;

/// Slices of a pass; by default as many as the sizes of the tables and the function's memory ask for.
const SLICE_COUNT: &str = "ROLLUP_AUDIT_SLICES";
/// Read capacity units that may be consumed a second, in all tables; by default as many as there are.
const MAX_READ_UNITS: &str = "ROLLUP_AUDIT_MAX_READ_UNITS";
/// Whether the auditor repairs what it finds: `true`, or `false` (the default).
const REPAIRS: &str = "ROLLUP_AUDIT_REPAIRS";
/// The bucket into which the report of a pass is put; none by default.
const REPORT_BUCKET: &str = "ROLLUP_AUDIT_REPORT_BUCKET";
/// Seconds that a write is given to reach the stream; 5 by default.
const SETTLE_SECONDS: &str = "ROLLUP_AUDIT_SETTLE_SECONDS";
/// Where Lambda says how much memory the function has, in MB.
const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

/// The endpoint of S3, or of every service; the Region's own by default.
const BUCKET_ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

/// The settings of the auditor's own.
const OWN: [&str; 5] = [SLICE_COUNT, MAX_READ_UNITS, REPAIRS, REPORT_BUCKET, SETTLE_SECONDS];

/// Every setting of the auditor: those of the function, and its own.
pub const AUDIT_SETTINGS: [&str; SETTINGS.len() + OWN.len()] = {
    let mut all = [""; SETTINGS.len() + OWN.len()];
    let mut place = 0;
    while place < all.len() {
        all[place] = if place < SETTINGS.len() { SETTINGS[place] } else { OWN[place - SETTINGS.len()] };
        place += 1;
    }
    all
};

/// How the auditor works.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditorSettings {
    /// Slices of a pass; none where the sizes of the tables decide.
    pub slices: Option<u32>,
    /// Read capacity units a second; none where there is no limit.
    pub max_read_units: Option<f64>,
    /// What is done about drift.
    pub on_drift: OnDrift,
    /// Where reports are put.
    pub report_bucket: Option<String>,
    /// The endpoint of the bucket; none where it is the Region's own.
    pub bucket_endpoint: Option<String>,
    /// How long a write may take to the stream.
    pub settle: Duration,
    /// The function's memory, in MB.
    pub memory_mb: u32,
}

impl AuditorSettings {
    /// Reads the settings, of the process's environment or any other source. What is not set, or empty, has its default.
    ///
    /// # Errors
    /// When a value cannot be used; the error names the variable, the value and what is accepted.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let slices = given(SLICE_COUNT).map(|_| number(given, SLICE_COUNT, 1, 1..=SLICES)).transpose()?;
        let on_drift = match given(REPAIRS).as_deref() {
            None | Some("false") => OnDrift::Report,
            Some("true") => OnDrift::Repair,
            Some(value) => return Err(ConfigError::new(REPAIRS, value, "\"true\" or \"false\"")),
        };
        let bucket_endpoint = BUCKET_ENDPOINTS.into_iter().find_map(|name| Some((name, given(name)?)));
        let bucket_endpoint = bucket_endpoint.map(|(name, value)| {
            endpoint(&value).map_err(|accepted| ConfigError::new(name, value, accepted.trim_start_matches("expected ")))
        });
        Ok(Self {
            slices,
            bucket_endpoint: bucket_endpoint.transpose()?,
            max_read_units: given(MAX_READ_UNITS).map(read_units).transpose()?,
            on_drift,
            report_bucket: given(REPORT_BUCKET).map(bucket).transpose()?,
            settle: given(SETTLE_SECONDS).map_or(Ok(Duration::from_secs(5)), seconds)?,
            memory_mb: number(given, MEMORY, 1024, 1..=u32::MAX)?,
        })
    }
}

fn read_units(value: String) -> Result<f64, ConfigError> {
    let units = value.parse::<f64>().ok().filter(|units| *units >= 1.0 && units.is_finite());
    units.ok_or_else(|| ConfigError::new(MAX_READ_UNITS, value, "empty, or a number of units a second from 1 on"))
}

fn seconds(value: String) -> Result<Duration, ConfigError> {
    let seconds = value.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let seconds = seconds.filter(|seconds| *seconds <= Duration::from_mins(5));
    seconds.ok_or_else(|| ConfigError::new(SETTLE_SECONDS, value, "0 to 300 seconds, fractions included"))
}

/// Names of buckets ("General purpose bucket naming rules", S3 User Guide), as far as they decide where a request goes.
fn bucket(value: String) -> Result<String, ConfigError> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if (3..=63).contains(&value.len()) && value.chars().all(letter) {
        return Ok(value);
    }
    Err(ConfigError::new(REPORT_BUCKET, value, "empty, or a bucket's name (3 to 63 of a-z, 0-9, '-', '.')"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<AuditorSettings, String> {
        AuditorSettings::read(|asked| (asked == name).then(|| value.to_owned())).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let settings = AuditorSettings::read(|_| None).unwrap();
        assert_eq!((settings.slices, settings.max_read_units), (None, None));
        assert_eq!((settings.on_drift, settings.settle), (OnDrift::Report, Duration::from_secs(5)));
        for name in OWN {
            assert_eq!(read(name, "").unwrap(), settings, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_with_what_is_accepted() {
        for (name, value, accepted) in [
            (SLICE_COUNT, "0", "a whole number from 1 to 10000"),
            (SLICE_COUNT, "10001", "a whole number from 1 to 10000"),
            (SLICE_COUNT, "8/8", "a whole number from 1 to 10000"),
            (MAX_READ_UNITS, "0.5", "empty, or a number of units a second from 1 on"),
            (MAX_READ_UNITS, "inf", "empty, or a number of units a second from 1 on"),
            (REPAIRS, "yes", "\"true\" or \"false\""),
            (REPAIRS, "TRUE", "\"true\" or \"false\""),
            (REPORT_BUCKET, "s3://reports", "empty, or a bucket's name (3 to 63 of a-z, 0-9, '-', '.')"),
            (SETTLE_SECONDS, "-1", "0 to 300 seconds, fractions included"),
            (BUCKET_ENDPOINTS[0], "s3", "a URL of http or https with a host, as http://127.0.0.1:8000"),
            (SETTLE_SECONDS, "301", "0 to 300 seconds, fractions included"),
        ] {
            assert_eq!(read(name, value), Err(format!("{name} is {value:?}; expected {accepted}")));
        }
        assert_eq!(read(SLICE_COUNT, "10000").unwrap().slices, Some(10_000));
        assert_eq!(read(REPAIRS, "true").unwrap().on_drift, OnDrift::Repair);
        assert_eq!(read(SETTLE_SECONDS, "0.5").unwrap().settle, Duration::from_millis(500));
    }
}
