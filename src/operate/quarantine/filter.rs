//! Which records in quarantine are meant.

use chrono::{DateTime, Utc};

use crate::operate::args;
use crate::operate::marker_table::{attribute_text, record_id};
use crate::rollup::Item;
use crate::rollup::model::marker::{REASON, RECORDED_AT};

/// Which records; all that is given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Filter {
    /// Only the record with this sequence number
    #[arg(long, value_name = "NUMBER")]
    pub sequence_number: Option<String>,

    /// Only records of this stream
    #[arg(long, value_name = "ARN")]
    pub stream: Option<String>,

    /// Only records whose reason contains this
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Only records that came into quarantine at this time or later, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = args::time)]
    pub since: Option<DateTime<Utc>>,

    /// Only records that came into quarantine before this time
    #[arg(long, value_name = "TIME", value_parser = args::time)]
    pub until: Option<DateTime<Utc>>,
}

impl Filter {
    /// Whether a marker passes the filter. An attribute that an index does not include, or that cannot be read, does
    /// not exclude it.
    pub(super) fn lets_through(&self, marker: &Item) -> bool {
        let Some(id) = record_id(marker) else { return false };
        let at = attribute_text(marker, RECORDED_AT).and_then(|at| at.parse::<DateTime<Utc>>().ok());
        self.sequence_number.as_ref().is_none_or(|number| id.sequence_number == *number)
            && self.stream.as_ref().is_none_or(|stream| id.stream == *stream)
            && self.since.is_none_or(|since| at.is_none_or(|at| at >= since))
            && self.until.is_none_or(|until| at.is_none_or(|at| at < until))
            && self
                .reason
                .as_ref()
                .is_none_or(|part| attribute_text(marker, REASON).is_none_or(|reason| reason.contains(part.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_that_is_given_must_hold() {
        let marker: Item = serde_json::from_value(json!({
            "SequenceNumber": {"S": "1"}, "Stream": {"S": "arn"}, "Reason": {"S": "no image"},
            "RecordedAt": {"S": "2026-01-31T12:00:00.000Z"},
        }))
        .unwrap();
        let text = |text: &str| Some(text.to_owned());
        let at = |text: &str| Some(text.parse().unwrap());
        let all = Filter {
            sequence_number: text("1"),
            stream: text("arn"),
            reason: text("image"),
            since: at("2026-01-31T12:00:00Z"),
            until: at("2026-01-31T12:00:01Z"),
        };
        assert!(Filter::default().lets_through(&marker) && all.lets_through(&marker));
        for other in [
            Filter { sequence_number: text("2"), ..all.clone() },
            Filter { stream: text("other"), ..all.clone() },
            Filter { reason: text("full"), ..all.clone() },
            Filter { since: at("2026-01-31T12:00:01Z"), ..all.clone() },
            Filter { until: at("2026-01-31T12:00:00Z"), ..all.clone() },
        ] {
            assert!(!other.lets_through(&marker), "{other:?}");
        }
    }
}
