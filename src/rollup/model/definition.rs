//! A view's definition as its user writes it: JSON, with expressions in the [language](super::language).
//!
//! ```json
//! {
//!   "where": "begins_with(SK, 'ORDER#')",
//!   "key": [{ "attribute": "CustomerId", "type": "S", "value": "CUSTOMER#{Customer.Id}" }],
//!   "measures": {
//!     "Orders": "count",
//!     "OrdersPerDay": "count by day(CreatedAt)",
//!     "Revenue": "sum Price * Quantity where Status <> 'cancelled'"
//!   }
//! }
//! ```

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::rollup::model::language::{Condition, SyntaxError, Template};
use crate::rollup::model::self_feeding::may_count_its_own_items;
use crate::rollup::model::view::{
    DEFAULT_NAME, KeyPart, KeyType, Measure, MissingKey, OnMissingViewItem, ROLLUP_VERSION, View, ViewError,
};

/// A definition that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// It is no JSON, or JSON of something else.
    #[error("not a view's definition, {{\"key\": [...], \"measures\": {{...}}}}: {0}")]
    Json(String),
    /// The members of a view stand beside a list of views.
    #[error("\"{0}\" stands beside \"views\"; write it into the view that it is of")]
    Beside(&'static str),
    /// A view needs a member.
    #[error("missing field `{0}`")]
    Missing(&'static str),
    /// There is not exactly one view.
    #[error("the definition has {0} views; a function keeps one: deploy a stack for each view")]
    Views(usize),
    /// A view's name in other characters.
    #[error("the name {0:?} is not 1 to 64 of the characters A-Z, a-z, 0-9, _ and -")]
    Name(String),
    /// An expression that is not in the language.
    #[error("{place}: {error}")]
    Syntax {
        /// Which member of the view it is.
        place: String,
        /// What is wrong.
        error: SyntaxError,
    },
    /// A constant that a view item cannot have, or a text that can only be of another type.
    #[error("{place}: a value with text in it is of type S, not {wanted}")]
    KeyType {
        /// Which key attribute.
        place: String,
        /// The type that it says.
        wanted: KeyType,
    },
    /// More than one key attribute is made for each element of something.
    #[error("the key has each more than once; write it into one hole of one key attribute")]
    EachTwice,
    /// The view would count what it writes itself.
    #[error(
        "the view reads the attribute {0:?}, which it writes on the items of the same table; give the measure another name"
    )]
    ReadsItself(String),
    /// The view would count the items that it creates.
    #[error(
        "the view could count the items that it creates in its own source table; add a condition that is false for them, \
         such as begins_with on a key attribute, or set on_missing to skip"
    )]
    CountsItself,
    /// The definition contradicts itself.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// What a definition does not say itself.
#[derive(Debug, Clone, Copy)]
pub struct Defaults<'d> {
    /// The table whose stream is read.
    pub source_table: &'d str,
    /// The table whose items carry the measures.
    pub view_table: &'d str,
    /// What is done about a view item that is not there.
    pub on_missing: OnMissingViewItem,
}

/// A definition that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The view.
    pub view: View,
    /// What is done about a view item that is not there.
    pub on_missing: OnMissingViewItem,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    views: Option<Vec<ViewDocument>>,
    table: Option<String>,
    #[serde(rename = "where")]
    condition: Option<String>,
    key: Option<Vec<PartDocument>>,
    on_missing: Option<OnMissingViewItem>,
    measures: Option<Members>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewDocument {
    name: String,
    table: Option<String>,
    #[serde(rename = "where")]
    condition: Option<String>,
    key: Vec<PartDocument>,
    on_missing: Option<OnMissingViewItem>,
    measures: Members,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartDocument {
    attribute: String,
    #[serde(rename = "type")]
    key_type: KeyType,
    value: Option<String>,
    #[serde(default)]
    missing: MissingKey,
}

/// The members of an object of texts, in their order. One that stands there twice is an error.
struct Members(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfTexts;
        impl<'de> Visitor<'de> for OfTexts {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, String)> = Vec::new();
                while let Some((name, text)) = map.next_entry::<String, String>()? {
                    if members.iter().any(|(other, _)| *other == name) {
                        return Err(de::Error::custom(format_args!("{name:?} stands there twice")));
                    }
                    members.push((name, text));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(OfTexts)
    }
}

impl Document {
    /// The one view of the definition, in either form.
    fn view(self) -> Result<ViewDocument, DefinitionError> {
        let Self { views, table, condition, key, on_missing, measures } = self;
        let Some(mut views) = views else {
            let key = key.ok_or(DefinitionError::Missing("key"))?;
            let measures = measures.ok_or(DefinitionError::Missing("measures"))?;
            return Ok(ViewDocument { name: DEFAULT_NAME.to_owned(), table, condition, key, on_missing, measures });
        };
        let beside = [
            ("table", table.is_some()),
            ("where", condition.is_some()),
            ("key", key.is_some()),
            ("on_missing", on_missing.is_some()),
            ("measures", measures.is_some()),
        ];
        if let Some((member, _)) = beside.into_iter().find(|(_, there)| *there) {
            return Err(DefinitionError::Beside(member));
        }
        match (views.pop(), views.len()) {
            (Some(view), 0) => Ok(view),
            (last, others) => Err(DefinitionError::Views(others + usize::from(last.is_some()))),
        }
    }
}

/// Reads a definition.
///
/// # Errors
/// When it cannot be read or kept; the message says where, and what is expected there.
pub fn read(text: &str, defaults: &Defaults<'_>) -> Result<Definition, DefinitionError> {
    let document: Document = serde_json::from_str(text).map_err(|error| DefinitionError::Json(error.to_string()))?;
    let ViewDocument { name, table, condition, key, on_missing, measures } = document.view()?;
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !(1..=64).contains(&name.len()) || !name.chars().all(named) {
        return Err(DefinitionError::Name(name));
    }
    let at = |place: String| move |error| DefinitionError::Syntax { place, error };
    let condition = condition.map(|text| Condition::parse(&text).map_err(at("where".to_owned()))).transpose()?;
    let key = key.into_iter().map(key_part).collect::<Result<Vec<_>, _>>()?;
    if key.iter().filter(|part| part.value.has_each()).count() > 1 {
        return Err(DefinitionError::EachTwice);
    }
    let measure = |(attribute, words): (String, String)| {
        let place = format!("the measure {attribute:?}");
        Measure::parse(attribute, &words).map_err(at(place))
    };
    let measures = measures.0.into_iter().map(measure).collect::<Result<Vec<_>, _>>()?;
    let view_table = table.unwrap_or_else(|| defaults.view_table.to_owned());
    let view = View::new(defaults.source_table, view_table, condition, key, measures)?.named(name);
    let on_missing = on_missing.unwrap_or(defaults.on_missing);
    if view.is_on_its_source() {
        does_not_read_itself(&view)?;
        if on_missing == OnMissingViewItem::Create && may_count_its_own_items(&view) {
            return Err(DefinitionError::CountsItself);
        }
    }
    Ok(Definition { view, on_missing })
}

fn key_part(part: PartDocument) -> Result<KeyPart, DefinitionError> {
    let PartDocument { attribute, key_type, value, missing } = part;
    let place = format!("the key attribute {attribute:?}");
    let value = match value {
        None => Template::attribute(attribute.clone()),
        Some(text) => {
            Template::parse(&text).map_err(|error| DefinitionError::Syntax { place: place.clone(), error })?
        }
    };
    // An element of `each` is a text as well, whatever it was.
    if key_type != KeyType::S && (!value.is_single_hole() || value.has_each()) {
        return Err(DefinitionError::KeyType { place, wanted: key_type });
    }
    Ok(KeyPart { view_attribute: attribute, key_type, value, missing })
}

/// What the function writes comes back in the stream where view and source are one table: it must change nothing.
fn does_not_read_itself(view: &View) -> Result<(), DefinitionError> {
    let reads = view.reads();
    let mut written = view.measures().iter().map(|measure| measure.attribute.as_str()).chain([ROLLUP_VERSION]);
    match written.find(|attribute| reads.contains(attribute)) {
        Some(attribute) => Err(DefinitionError::ReadsItself(attribute.to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::Item;

    const DEFAULTS: Defaults<'_> =
        Defaults { source_table: "Order", view_table: "Customer", on_missing: OnMissingViewItem::Create };

    fn of(definition: &str) -> Result<View, DefinitionError> {
        read(definition, &DEFAULTS).map(|definition| definition.view)
    }

    #[test]
    fn every_part_is_read() {
        let text = r#"{ "views": [{
            "name": "a-View_1", "table": "Other", "on_missing": "skip", "where": "Kind = 'order'",
            "key": [{ "attribute": "Id", "type": "N", "value": "{CustomerId}", "missing": "quarantine" },
                    { "attribute": "Day", "type": "S", "value": "DAY#{day(At)}" }, { "attribute": "Tag", "type": "S" }],
            "measures": { "B": "count by Status", "A": "  sum  Amount * 2  where Paid = true " } }] }"#;
        let Err(DefinitionError::View(ViewError::KeyParts(3))) = of(text) else { panic!("a key has two attributes") };
        let text = text.replace(r#", { "attribute": "Tag", "type": "S" }"#, "");
        let Definition { view, on_missing } = read(&text, &DEFAULTS).unwrap();
        assert_eq!((view.source_table(), view.view_table(), on_missing), ("Order", "Other", OnMissingViewItem::Skip));
        let [id, day] = view.key() else { panic!("{view:?}") };
        assert_eq!(
            (id.key_type, id.missing, id.source_attribute()),
            (KeyType::N, MissingKey::Quarantine, Some("CustomerId"))
        );
        assert_eq!((day.key_type, day.missing, day.source_attribute()), (KeyType::S, MissingKey::Sparse, None));
        let words: Vec<_> = view
            .measures()
            .iter()
            .map(|measure| (measure.attribute.as_str(), measure.expression.to_string()))
            .collect();
        assert_eq!(words, [("B", "count by Status".to_owned()), ("A", "sum Amount * 2 where Paid = true".to_owned())]);
        let image = |kind: &str| {
            let item = serde_json::json!({ "Kind": { "S": kind }, "CustomerId": { "N": "7" }, "At": { "N": "0" } });
            serde_json::from_value::<Item>(item).unwrap()
        };
        assert!(view.selects(&image("order")) && !view.selects(&image("return")));
        let keys = view.keys_of(&image("order")).unwrap();
        assert_eq!(keys.iter().map(ToString::to_string).collect::<Vec<_>>(), ["7, DAY#1970-01-01"]);
    }

    #[test]
    fn the_example_can_be_written_down() {
        let example = r#"{ "key": [{ "attribute": "MapId", "type": "S", "missing": "quarantine" }],
            "measures": { "TotalPoints": "count", "CategoryCounts": "count by Category" } }"#;
        let defaults = Defaults { source_table: "Point", view_table: "Map", ..DEFAULTS };
        assert_eq!(read(example, &defaults).unwrap().view, View::points_of_maps("Point", "Map").unwrap());
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_place_and_what_is_expected() {
        let key = r#""key": [{ "attribute": "Id", "type": "S" }]"#;
        let measure = |words: &str| format!(r#"{{ {key}, "measures": {{ "M": "{words}" }} }}"#);
        let part = |part: &str| format!(r#"{{ "key": [{part}], "measures": {{ "M": "count" }} }}"#);
        for (definition, words) in [
            (String::new(), "EOF"),
            ("7".to_owned(), "invalid type"),
            (r#"{ "key": [] }"#.to_owned(), "missing field `measures`"),
            (r#"{ "measures": {} }"#.to_owned(), "missing field `key`"),
            (r#"{ "key": [], "measures": {}, "from": "T" }"#.to_owned(), "unknown field `from`"),
            (r#"{ "key": [], "key": [], "measures": {} }"#.to_owned(), "duplicate field `key`"),
            (format!(r#"{{ {key}, "measures": {{ "M": "count", "M": "count" }} }}"#), "\"M\" stands there twice"),
            (r#"{ "views": [], "key": [] }"#.to_owned(), "\"key\" stands beside \"views\""),
            (r#"{ "views": [] }"#.to_owned(), "0 views"),
            (format!(r#"{{ "views": [{{ "name": "a b", {key}, "measures": {{}} }}] }}"#), "the name \"a b\""),
            (part(r#"{ "attribute": "Id", "type": "BOOL" }"#), "unknown variant `BOOL`"),
            (part(r#"{ "attribute": "Id", "type": "N", "value": "a{B}" }"#), "is of type S, not N"),
            (part(r#"{ "attribute": "Id", "type": "S", "value": "a{B" }"#), "the key attribute \"Id\": at the end"),
            (
                part(
                    r#"{ "attribute": "A", "type": "S", "value": "{each A}" }, { "attribute": "B", "type": "S", "value": "{each B}" }"#,
                ),
                "each more than once",
            ),
            (r#"{ "key": [], "measures": { "M": "count" } }"#.to_owned(), "0 key attributes"),
            (format!(r#"{{ {key}, "measures": {{}} }}"#), "no measure"),
            (format!(r#"{{ {key}, "measures": {{ "Id": "count" }} }}"#), "used twice"),
            (format!(r#"{{ {key}, "where": "A LIKE 'x'", "measures": {{ "M": "count" }} }}"#), "where: at character 3"),
            (measure("max Amount"), "the measure \"M\": at character 1, \"max\""),
            (measure("sum"), "the measure \"M\": at the end"),
            (measure("sum M"), ""),
        ] {
            match of(&definition) {
                Err(error) => assert!(error.to_string().contains(words), "{definition}: {error}"),
                Ok(_) => assert_eq!(words, "", "{definition}"),
            }
        }
        let itself = Defaults { view_table: "Order", ..DEFAULTS };
        for words in ["sum M", "count by M", "count where RollupVersion > 1", "sum A.b * M[0].c"] {
            let error = read(&measure(words), &itself).unwrap_err();
            assert!(matches!(error, DefinitionError::ReadsItself(_)), "{words}: {error}");
        }
        assert_eq!(read(&measure("count"), &itself), Err(DefinitionError::CountsItself));
        let of_orders =
            r#"{ "where": "Other > 1", "key": [{ "attribute": "Id", "type": "S" }], "measures": { "M": "count" } }"#;
        assert!(read(of_orders, &itself).is_ok());
        assert!(read(&measure("count"), &Defaults { on_missing: OnMissingViewItem::Skip, ..itself }).is_ok());
    }
}
