//! A view's definition as its user writes it: JSON, with each measure in words.
//!
//! ```json
//! {
//!   "key": [{ "attribute": "CustomerId", "type": "S" }],
//!   "measures": {
//!     "Orders": "count",
//!     "OrdersByStatus": "count by Status",
//!     "Revenue": "sum Amount"
//!   }
//! }
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::rollup::model::view::{Amount, KeyPart, KeyType, Measure, View, ViewError};

/// The words that a measure is made of.
pub const MEASURES: &str = "\"count\", \"count by ATTRIBUTE\", \"sum ATTRIBUTE\" or \"sum ATTRIBUTE by ATTRIBUTE\"";

/// A definition that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// It is no JSON, or JSON of something else.
    #[error("a view's definition, {{\"key\": [...], \"measures\": {{...}}}}: {0}")]
    Json(String),
    /// A measure in other words.
    #[error("{MEASURES} as the measure {attribute:?}, not {words:?}")]
    Measure {
        /// The attribute of the view item.
        attribute: String,
        /// What it says.
        words: String,
    },
    /// A measure that no delta can keep.
    #[error(
        "{MEASURES} as the measure {attribute:?}; {wanted:?} cannot be kept exactly: when the item that it comes from is deleted or \
         changed, the rest of the items would have to be read to find the next"
    )]
    NotInvertible {
        /// The attribute of the view item.
        attribute: String,
        /// The word.
        wanted: String,
    },
    /// The definition contradicts itself.
    #[error(transparent)]
    View(#[from] ViewError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    key: Vec<Part>,
    measures: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    attribute: String,
    #[serde(rename = "type")]
    key_type: KeyType,
    /// The source item's attribute, where it has another name.
    from: Option<String>,
}

/// Reads the definition of a view of `source_table` on the items of `view_table`.
///
/// # Errors
/// When it cannot be read or kept; the message says what would be accepted, and why a measure cannot be kept.
pub fn read(definition: &str, source_table: &str, view_table: &str) -> Result<View, DefinitionError> {
    let Definition { key, measures } =
        serde_json::from_str(definition).map_err(|error| DefinitionError::Json(error.to_string()))?;
    let key = key.into_iter().map(|Part { attribute, key_type, from }| KeyPart {
        source_attribute: from.unwrap_or_else(|| attribute.clone()),
        view_attribute: attribute,
        key_type,
    });
    let measures = measures.into_iter().map(|(attribute, words)| measure(attribute, words));
    let measures = measures.collect::<Result<_, _>>()?;
    Ok(View::new(source_table, view_table, key.collect(), measures)?)
}

fn measure(attribute: String, words: String) -> Result<Measure, DefinitionError> {
    let (amount, by) = match words.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["count"] => (Amount::One, None),
        ["count", "by", group] => (Amount::One, Some((*group).to_owned())),
        ["sum", of] => (Amount::Of((*of).to_owned()), None),
        ["sum", of, "by", group] => (Amount::Of((*of).to_owned()), Some((*group).to_owned())),
        [wanted @ ("min" | "max" | "distinct" | "avg" | "average"), ..] => {
            return Err(DefinitionError::NotInvertible { attribute, wanted: (*wanted).to_owned() });
        }
        _ => return Err(DefinitionError::Measure { attribute, words }),
    };
    Ok(Measure { attribute, amount, by })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(definition: &str) -> Result<View, DefinitionError> {
        read(definition, "Order", "Customer")
    }

    #[test]
    fn every_measure_and_every_key_is_read() {
        let view = of(r#"{
            "key": [{ "attribute": "Id", "type": "N", "from": "CustomerId" }, { "attribute": "Year", "type": "S" }],
            "measures": {
                "A": "count", "B": "count by Status", "C": "sum Amount", "D": "  sum  Amount by Status "
            }
        }"#)
        .unwrap();
        let part = |view: &str, source: &str, key_type| KeyPart {
            view_attribute: view.to_owned(),
            source_attribute: source.to_owned(),
            key_type,
        };
        assert_eq!(view.key(), [part("Id", "CustomerId", KeyType::N), part("Year", "Year", KeyType::S)]);
        let (one, amount) = (Amount::One, Amount::Of("Amount".to_owned()));
        let measure = |name: &str, amount: &Amount, by: Option<&str>| Measure {
            attribute: name.to_owned(),
            amount: amount.clone(),
            by: by.map(str::to_owned),
        };
        let status = Some("Status");
        let expected = [
            measure("A", &one, None),
            measure("B", &one, status),
            measure("C", &amount, None),
            measure("D", &amount, status),
        ];
        assert_eq!(view.measures(), expected);
    }

    #[test]
    fn the_example_can_be_written_down() {
        let example = r#"{ "key": [{ "attribute": "MapId", "type": "S" }],
            "measures": { "TotalPoints": "count", "CategoryCounts": "count by Category" } }"#;
        let view = read(example, "Point", "Map").unwrap();
        let shipped = View::points_of_maps("Point", "Map").unwrap();
        assert_eq!(view.key(), shipped.key());
        assert!(shipped.measures().iter().all(|measure| view.measures().contains(measure)));
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_what_can() {
        let with = |words: &str| {
            let key = r#"[{ "attribute": "Id", "type": "S" }]"#;
            of(&format!(r#"{{ "key": {key}, "measures": {{ "M": "{words}" }} }}"#)).unwrap_err().to_string()
        };
        for words in ["min Amount", "max Amount", "distinct Status", "avg Amount by Status"] {
            let message = with(words);
            assert!(message.contains("cannot be kept exactly") && message.contains("count by ATTRIBUTE"), "{message}");
        }
        for words in ["", "sum", "count of Status", "count by", "COUNT", "sum A by B C"] {
            let message = with(words);
            assert!(message.contains(&format!("not {words:?}")) && message.contains("sum ATTRIBUTE"), "{message}");
        }
    }

    #[test]
    fn what_is_no_definition_is_refused_with_its_place() {
        for (definition, words) in [
            ("", "EOF"),
            ("7", "invalid type"),
            (r#"{ "key": [] }"#, "missing field `measures`"),
            (r#"{ "key": [], "measures": {}, "table": "T" }"#, "unknown field `table`"),
            (r#"{ "key": [{ "attribute": "Id", "type": "BOOL" }], "measures": {} }"#, "unknown variant `BOOL`"),
            (r#"{ "key": [], "measures": { "M": "count" } }"#, "0 key attributes"),
            (r#"{ "key": [{ "attribute": "Id", "type": "S" }], "measures": {} }"#, "no measure"),
            (r#"{ "key": [{ "attribute": "Id", "type": "S" }], "measures": { "Id": "count" } }"#, "used twice"),
        ] {
            let message = of(definition).unwrap_err().to_string();
            assert!(message.contains(words), "{definition}: {message}");
        }
    }
}
