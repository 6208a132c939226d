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

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::rollup::model::definition::Definition;
use crate::rollup::model::definition::error::{DefinitionError, Problem};
use crate::rollup::model::definition::json::Members;
use crate::rollup::model::definition::place::{Field, Position, ViewPlace};
use crate::rollup::model::language::{Condition, Template};
use crate::rollup::model::limits;
use crate::rollup::model::number::Number;
use crate::rollup::model::set_attribute::{Constant, SetAttribute, SetValue};
use crate::rollup::model::view::{
    DEFAULT_NAME, KeyPart, KeyType, Measure, MissingKey, OnMissingViewItem, View, ViewError,
};

/// The values of what a definition leaves out.
#[derive(Debug, Clone, Copy)]
pub struct Defaults<'d> {
    /// The table whose stream is read.
    pub source_table: &'d str,
    /// The table whose items carry the measures.
    pub view_table: &'d str,
    /// What to do if a view item does not exist.
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
    measures: Option<Members<String>>,
    set: Option<Members<Box<RawValue>>>,
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
    measures: Members<String>,
    set: Option<Members<Box<RawValue>>>,
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

impl Document {
    /// The views of the definition, in either form.
    fn views(self) -> Result<Vec<ViewDocument>, Problem> {
        let Self { views, table, condition, key, on_missing, measures, set } = self;
        let Some(views) = views else {
            let key = key.ok_or(Problem::Missing("key"))?;
            let measures = measures.ok_or(Problem::Missing("measures"))?;
            let name = DEFAULT_NAME.to_owned();
            return Ok(vec![ViewDocument { name, table, condition, key, on_missing, measures, set }]);
        };
        let beside = [
            ("table", table.is_some()),
            ("where", condition.is_some()),
            ("key", key.is_some()),
            ("on_missing", on_missing.is_some()),
            ("measures", measures.is_some()),
            ("set", set.is_some()),
        ];
        match beside.into_iter().find(|(_, there)| *there) {
            Some((member, _)) => Err(Problem::Beside(member)),
            None => Ok(views),
        }
    }
}

/// Reads a definition.
///
/// # Errors
/// When it cannot be read or is refused; the message says where, and what is expected there.
pub fn read(text: &str, defaults: &Defaults<'_>) -> Result<Definition, DefinitionError> {
    unlocated(text, defaults).map_err(|error| error.located(text))
}

fn unlocated(text: &str, defaults: &Defaults<'_>) -> Result<Definition, DefinitionError> {
    let document: Document = serde_json::from_str(text).map_err(|error| not_a_definition(&error))?;
    let has_list = document.views.is_some();
    let views = document.views()?.into_iter().enumerate().map(|(place, document)| {
        let name = document.name.clone();
        view(document, defaults).map_err(|error| if has_list { error.of(ViewPlace { place, name }) } else { error })
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    Definition::new(views.clone()).map_err(|conflict| {
        let of = conflict.view().and_then(|name| views.iter().rposition(|view| view.name() == name));
        let Some(place) = of else { return conflict.into() };
        let field = conflict.field(&views[place]);
        let error = DefinitionError { field, ..conflict.into() };
        if has_list { error.of(ViewPlace { place, name: views[place].name().to_owned() }) } else { error }
    })
}

fn not_a_definition(error: &serde_json::Error) -> DefinitionError {
    // It counts no column where the text ends before one.
    let position = Position { line: error.line().max(1), column: error.column().max(1) };
    let words = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let words = words.strip_suffix(&place).unwrap_or(&words).to_owned();
    DefinitionError { position: Some(position), ..Problem::Json(words).into() }
}

fn view(document: ViewDocument, defaults: &Defaults<'_>) -> Result<View, DefinitionError> {
    let ViewDocument { name, table, condition, key, on_missing, measures, set } = document;
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !(1..=64).contains(&name.len()) || !name.chars().all(named) {
        return Err(Problem::Name(name).at(Field::Name));
    }
    let condition = condition.map(|text| Condition::parse(&text)).transpose();
    let condition = condition.map_err(|error| Problem::from(error).at(Field::Where))?;
    let key = key.into_iter().enumerate().map(|(place, part)| {
        let field = Field::KeyPart { place, attribute: part.attribute.clone() };
        key_part(part).map_err(|problem| problem.at(field))
    });
    let key = key.collect::<Result<Vec<_>, _>>()?;
    if key.iter().filter(|part| part.value.has_each()).count() > 1 {
        return Err(Problem::EachTwice.at(Field::Key));
    }
    let measure = |(attribute, words): (String, String)| {
        let field = Field::Measure(attribute.clone());
        Measure::parse(attribute, &words).map_err(|error| Problem::from(error).at(field))
    };
    let measures = measures.0.into_iter().map(measure).collect::<Result<Vec<_>, _>>()?;
    let set = set.into_iter().flat_map(|set| set.0).map(|(attribute, value)| {
        let field = Field::Set(attribute.clone());
        set_attribute(attribute, &value, &key).map_err(|problem| problem.at(field))
    });
    let set = set.collect::<Result<Vec<_>, _>>()?;
    let view_table = table.unwrap_or_else(|| defaults.view_table.to_owned());
    let is_measure: Vec<String> = measures.iter().map(|measure| measure.attribute.clone()).collect();
    let view = View::new(defaults.source_table, view_table, condition, key, measures);
    let view = view.map_err(|error| {
        let field = Field::refused_by(&error, |attribute| is_measure.iter().any(|measure| measure == attribute));
        Problem::View(error).at(field)
    })?;
    let view = view.named(name).with_set(set).map_err(|error| {
        let field = match &error {
            ViewError::Attribute(attribute) => Field::Set(attribute.clone()),
            _ => Field::AllSet,
        };
        Problem::View(error).at(field)
    })?;
    Ok(view.with_missing(on_missing.unwrap_or(defaults.on_missing)))
}

fn key_part(part: PartDocument) -> Result<KeyPart, Problem> {
    let PartDocument { attribute, key_type, value, missing } = part;
    let value = match value {
        None => Template::attribute(attribute.clone()),
        Some(text) => Template::parse(&text).map_err(Problem::from)?,
    };
    // An element of `each` is a text as well, whatever it was.
    if key_type != KeyType::S && (!value.is_single_hole() || value.has_each()) {
        return Err(Problem::KeyType { wanted: key_type });
    }
    Ok(KeyPart { view_attribute: attribute, key_type, value, missing })
}

fn set_attribute(attribute: String, value: &RawValue, key: &[KeyPart]) -> Result<SetAttribute, Problem> {
    let refuse = || Problem::SetValue { found: value.get().chars().take(64).collect() };
    let value = match serde_json::from_str(value.get()) {
        Ok(serde_json::Value::Bool(value)) => SetValue::Constant(Constant::Bool(value)),
        Ok(serde_json::Value::Number(_)) => {
            let number = value.get().parse::<Number>().ok().filter(Number::is_storable);
            SetValue::Constant(Constant::Number(number.ok_or_else(refuse)?))
        }
        Ok(serde_json::Value::String(text)) if !text.is_empty() => {
            let template = Template::parse(&text).map_err(Problem::from)?;
            match template.holes().count() {
                1.. => SetValue::Text(template),
                0 if template.literal_prefix().len() <= limits::SET_TEXT_BYTES => {
                    SetValue::Constant(Constant::Text(template.literal_prefix().to_owned()))
                }
                0 => return Err(refuse()),
            }
        }
        _ => return Err(refuse()),
    };
    if let SetValue::Text(template) = &value {
        for hole in template.holes() {
            let parts = || key.iter().filter(|part| part.value.holes().any(|of_key| of_key == hole));
            let of_bytes = parts().any(|part| part.key_type == KeyType::B);
            let hole = hole.to_string();
            if of_bytes {
                return Err(Problem::SetBytes { hole });
            }
            if parts().next().is_none() {
                return Err(Problem::SetHole { hole });
            }
        }
    }
    Ok(SetAttribute { attribute, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::Item;
    use crate::rollup::model::definition::Conflict;

    const DEFAULTS: Defaults<'_> =
        Defaults { source_table: "Order", view_table: "Customer", on_missing: OnMissingViewItem::Create };

    fn of(definition: &str) -> Result<View, DefinitionError> {
        read(definition, &DEFAULTS).map(|definition| definition.views()[0].clone())
    }

    fn is_conflict(error: &DefinitionError, expected: fn(&Conflict) -> bool) -> bool {
        matches!(&error.problem, Problem::Conflict(conflict) if expected(conflict))
    }

    #[test]
    fn every_part_is_read() {
        let text = r#"{ "views": [{
            "name": "a-View_1", "table": "Other", "on_missing": "skip", "where": "Kind = 'order'",
            "key": [{ "attribute": "Id", "type": "N", "value": "{CustomerId}", "missing": "quarantine" },
                    { "attribute": "Day", "type": "S", "value": "DAY#{day(At)}" }, { "attribute": "Tag", "type": "S" }],
            "measures": { "B": "count by Status", "A": "  sum  Amount * 2  where Paid = true " } }] }"#;
        let Problem::View(ViewError::KeyParts(3)) = of(text).unwrap_err().problem else {
            panic!("a key has two attributes")
        };
        let text = text.replace(r#", { "attribute": "Tag", "type": "S" }"#, "");
        let view = of(&text).unwrap();
        let place = (view.source_table(), view.view_table(), view.on_missing());
        assert_eq!(place, ("Order", "Other", OnMissingViewItem::Skip));
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
        let items = view.items_of(&image("order")).unwrap();
        assert_eq!(items.iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>(), ["7, DAY#1970-01-01"]);
    }

    #[test]
    fn the_example_can_be_written_down() {
        let example = r#"{ "key": [{ "attribute": "MapId", "type": "S", "missing": "quarantine" }],
            "measures": { "TotalPoints": "count", "CategoryCounts": "count by Category" } }"#;
        let defaults = Defaults { source_table: "Point", view_table: "Map", ..DEFAULTS };
        let (written, shipped) =
            (read(example, &defaults).unwrap(), Definition::points_of_maps("Point", "Map").unwrap());
        assert_eq!(written, shipped);
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
            (format!(r#"{{ {key}, "measures": {{ "M": "count", "M": "count" }} }}"#), "\"M\" appears twice"),
            (r#"{ "views": [], "key": [] }"#.to_owned(), "\"key\" is beside \"views\""),
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
            assert!(
                is_conflict(&error, |conflict| matches!(conflict, Conflict::ReadsWritten { .. })),
                "{words}: {error}"
            );
        }
        let error = read(&measure("count"), &itself).unwrap_err();
        assert!(is_conflict(&error, |conflict| matches!(conflict, Conflict::CountsCreated { .. })), "{error}");
        let of_orders =
            r#"{ "where": "Other > 1", "key": [{ "attribute": "Id", "type": "S" }], "measures": { "M": "count" } }"#;
        assert!(read(of_orders, &itself).is_ok());
        assert!(read(&measure("count"), &Defaults { on_missing: OnMissingViewItem::Skip, ..itself }).is_ok());
    }
}
