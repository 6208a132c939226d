//! `view filter`: the filter patterns that a definition allows for the event source mapping.

use std::fmt;
use std::str::FromStr;

use aws_sdk_dynamodb::types::{ScalarAttributeType, TableDescription};
use serde_json::{Value, json};

use crate::operate::args::Shared;
use crate::operate::error::{TableError, failure_text};
use crate::rollup::model::filter::{FilterPattern, NoFilter, patterns};
use crate::rollup::model::view::{KeyType, View};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct FilterArgs {
    /// Key of the source table, instead of asking DynamoDB for it: the partition key and the sort key, each with its type
    /// if that is not S, as in PK,SK or Id,At:N
    #[arg(long, value_name = "KEY")]
    source_key: Option<SourceKey>,
}

/// The key attributes of a source table, each with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SourceKey(Vec<(String, KeyType)>);

impl FromStr for SourceKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ACCEPTED: &str = "expected the names of one or two key attributes, as in PK,SK or Id,At:N";
        let part = |part: &str| {
            let (name, kind) = part.rsplit_once(':').unwrap_or((part, "S"));
            let kind = match kind {
                "S" => KeyType::S,
                "N" => KeyType::N,
                "B" => KeyType::B,
                _ => return Err(ACCEPTED),
            };
            if name.is_empty() { Err(ACCEPTED) } else { Ok((name.to_owned(), kind)) }
        };
        let parts = text.split(',').map(part).collect::<Result<Vec<_>, _>>()?;
        if parts.len() > 2 { Err(ACCEPTED) } else { Ok(Self(parts)) }
    }
}

/// The filter patterns that the views allow, or why they allow none.
pub(super) struct Filter(Result<Vec<FilterPattern>, NoFilter>);

impl Filter {
    /// The patterns for the views of a table.
    pub(super) async fn of(
        views: &[View],
        table: &str,
        shared: &Shared,
        args: &FilterArgs,
    ) -> Result<Self, TableError> {
        let key = if let Some(SourceKey(key)) = &args.source_key {
            key.clone()
        } else {
            let client = aws_sdk_dynamodb::Client::new(&shared.sdk().await);
            let answer = client.describe_table().table_name(table).send().await;
            let answer = answer.map_err(|error| TableError::new("describe", table, failure_text(&error)))?;
            answer.table.as_ref().map(key_of).unwrap_or_default()
        };
        Ok(Self(patterns(views, &key)))
    }

    /// Whether there are patterns.
    pub(super) fn is_possible(&self) -> bool {
        self.0.is_ok()
    }

    /// The patterns as the `FilterCriteria` of the event source mapping.
    pub(super) fn json(&self) -> Value {
        match &self.0 {
            Ok(patterns) => {
                json!({ "Filters": patterns.iter().map(|pattern| json!({ "Pattern": pattern.to_string() })).collect::<Vec<_>>() })
            }
            Err(why) => json!({ "Filters": [], "why_none": why.to_string() }),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(patterns) => {
                let mut numbered = (1..).zip(patterns);
                numbered.try_for_each(|(number, pattern)| writeln!(f, "FilterPattern{number}={pattern}"))
            }
            Err(why) => writeln!(f, "no filter can be given: {}", crate::operate::printable::printable(why)),
        }
    }
}

/// The key attributes of a table, each with its type.
pub(in crate::operate) fn key_of(table: &TableDescription) -> Vec<(String, KeyType)> {
    let key = table.key_schema().iter().filter_map(|element| {
        let name = element.attribute_name();
        let definition = table.attribute_definitions().iter().find(|one| one.attribute_name() == name)?;
        let kind = match definition.attribute_type() {
            ScalarAttributeType::S => KeyType::S,
            ScalarAttributeType::N => KeyType::N,
            ScalarAttributeType::B => KeyType::B,
            _ => return None,
        };
        Some((name.to_owned(), kind))
    });
    key.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_with_its_types() {
        let read = |text: &str| text.parse().map(|SourceKey(key)| key);
        let part = |name: &str, kind| (name.to_owned(), kind);
        assert_eq!(read("PK"), Ok(vec![part("PK", KeyType::S)]));
        assert_eq!(read("PK,SK"), Ok(vec![part("PK", KeyType::S), part("SK", KeyType::S)]));
        assert_eq!(read("Id:B,At:N"), Ok(vec![part("Id", KeyType::B), part("At", KeyType::N)]));
        for text in ["", "PK,", "PK:", ":S", "PK:X", "a,b,c"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
