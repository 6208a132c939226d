//! What is counted about one source table: several views, and the tables that their items are in.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Write};
use std::ops::Index;

use crate::rollup::model::arn::table_name;
use crate::rollup::model::change::Counter;
use crate::rollup::model::language::Datum;
use crate::rollup::model::measure::{Measure, MeasureId, ViewId, ViewSet};
use crate::rollup::model::number::Number;
use crate::rollup::model::set_attribute::SetAttribute;
use crate::rollup::model::view::{KeyError, KeyType, OnMissingViewItem, ROLLUP_VERSION, TableId, View, ViewKey};
use crate::rollup::model::view_key::key_value;
use crate::rollup::{AttributeValue, Item};

mod conflicts;
mod document;
mod error;
mod json;
mod place;
mod self_feeding;

pub use conflicts::Conflict;
pub use document::{Defaults, read};
pub use error::{DefinitionError, Problem};
pub use place::{Field, Position, ViewPlace};

/// The version of the language. It is part of each fingerprint, because the same text may mean something else in a
/// later version.
const LANGUAGE_VERSION: u32 = 1;

/// Digits of a fingerprint.
const FINGERPRINT_DIGITS: usize = 16;

/// The views of one source table. Views whose items are the same share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    views: Vec<View>,
    tables: Vec<ViewTable>,
    fingerprint: Fingerprint,
}

/// A table with view items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewTable {
    /// Its name or its ARN.
    pub name: String,
    /// Its key attributes, the partition key first, with their types.
    pub key: Vec<(String, KeyType)>,
}

/// Identifies a definition: two definitions with the same fingerprint count the same, whatever their wording.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// As it is stored: hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Definition {
    /// A definition of views of one source table.
    ///
    /// # Errors
    /// When the views conflict; the error names two of them.
    pub fn new(mut views: Vec<View>) -> Result<Self, Conflict> {
        let mut tables: Vec<ViewTable> = Vec::new();
        for view in &mut views {
            let known = tables.iter().position(|table| table_name(&table.name) == table_name(view.view_table()));
            let table = known.unwrap_or_else(|| {
                let key = view.key().iter().map(|part| (part.view_attribute.clone(), part.key_type));
                tables.push(ViewTable { name: view.view_table().to_owned(), key: key.collect() });
                tables.len() - 1
            });
            view.table = TableId(table);
        }
        conflicts::check(&views)?;
        let fingerprint = fingerprint(&views);
        Ok(Self { views, tables, fingerprint })
    }

    /// The default definition, on tables of any name: the points of a map, in total and per category.
    ///
    /// # Errors
    /// When a table's name is empty, or both are the same.
    pub fn points_of_maps(
        source_table: impl Into<String>,
        view_table: impl Into<String>,
    ) -> Result<Self, DefinitionError> {
        Ok(Self::new(vec![View::points_of_maps(source_table, view_table)?])?)
    }

    /// The definition with this setting for missing view items in all its views.
    #[must_use]
    pub fn with_missing(mut self, on_missing: OnMissingViewItem) -> Self {
        self.views = self.views.into_iter().map(|view| view.with_missing(on_missing)).collect();
        self.fingerprint = fingerprint(&self.views);
        self
    }

    /// The views, in the order of the definition; at least one.
    #[must_use]
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// The view of that name.
    #[must_use]
    pub fn view_named(&self, name: &str) -> Option<ViewId> {
        self.views.iter().position(|view| view.name() == name).map(ViewId)
    }

    /// The views, each with its id.
    pub fn ids(&self) -> impl Iterator<Item = (ViewId, &View)> {
        self.views.iter().enumerate().map(|(place, view)| (ViewId(place), view))
    }

    /// All views.
    #[must_use]
    pub fn all(&self) -> ViewSet {
        self.ids().map(|(view, _)| view).collect()
    }

    /// The views whose items are in a table.
    #[must_use]
    pub fn of_table(&self, table: TableId) -> ViewSet {
        self.ids().filter(|(_, view)| view.table == table).map(|(view, _)| view).collect()
    }

    /// The views of a key's table whose templates could have made the key, with any values in their holes.
    #[must_use]
    pub fn fitting(&self, key: &ViewKey) -> ViewSet {
        let fits = |view: &View| {
            let mut parts = view.key().iter().zip(&key.values);
            view.table == key.table && parts.all(|(part, value)| value.text().is_none_or(|text| part.value.fits(text)))
        };
        self.ids().filter(|(_, view)| fits(view)).map(|(view, _)| view).collect()
    }

    /// The tables with view items, each once.
    #[must_use]
    pub fn tables(&self) -> &[ViewTable] {
        &self.tables
    }

    /// The tables, each with its id.
    pub fn table_ids(&self) -> impl Iterator<Item = (TableId, &ViewTable)> {
        self.tables.iter().enumerate().map(|(place, table)| (TableId(place), table))
    }

    /// The view table of that name or ARN.
    #[must_use]
    pub fn table_named(&self, name: &str) -> Option<TableId> {
        let same = |table: &ViewTable| table_name(&table.name) == table_name(name);
        self.tables.iter().position(same).map(TableId)
    }

    /// The table whose stream is read.
    #[must_use]
    pub fn source_table(&self) -> &str {
        self.views.first().map_or("", View::source_table)
    }

    /// Whether a view table is also the source table.
    #[must_use]
    pub fn is_source(&self, table: TableId) -> bool {
        table_name(&self[table].name) == table_name(self.source_table())
    }

    /// The definition's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// What to do about a missing view item of these views. Views that share an item have the same setting.
    #[must_use]
    pub fn on_missing(&self, views: ViewSet) -> OnMissingViewItem {
        views.iter().next().map(|view| self[view].on_missing()).unwrap_or_default()
    }

    /// The measures of some views, in the order of the definition.
    pub fn measures(&self, views: ViewSet) -> impl Iterator<Item = (MeasureId, &Measure)> {
        views.iter().flat_map(|view| {
            let of_view = self[view].measures().iter().enumerate();
            of_view.map(move |(place, measure)| (MeasureId { view, place }, measure))
        })
    }

    /// The measures of some views that have groups.
    pub fn grouped(&self, views: ViewSet) -> impl Iterator<Item = (MeasureId, &Measure)> {
        self.measures(views).filter(|(_, measure)| measure.is_grouped())
    }

    /// The attributes that an update of an item of these views sets in addition to its measures.
    pub fn set(&self, views: ViewSet) -> impl Iterator<Item = &SetAttribute> {
        views.iter().flat_map(|view| self[view].set())
    }

    /// The attributes of a source item that the views read, each once.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<&str> {
        self.views.iter().flat_map(View::reads).collect()
    }

    /// The attributes of a view table's items that belong to the views: keys, measures, version.
    #[must_use]
    pub fn item_attributes(&self, table: TableId) -> BTreeSet<&str> {
        let keys = self[table].key.iter().map(|(attribute, _)| attribute.as_str());
        let measures = self.measures(self.of_table(table)).map(|(_, measure)| measure.attribute.as_str());
        keys.chain(measures).chain([ROLLUP_VERSION]).collect()
    }

    /// The view item's key as attributes of its table.
    #[must_use]
    pub fn key_item(&self, key: &ViewKey) -> Item {
        Item::from(self.key_attributes::<AttributeValue>(key))
    }

    /// The same, in the form of values that the store needs.
    #[must_use]
    pub fn key_attributes<V: From<AttributeValue>>(&self, key: &ViewKey) -> HashMap<String, V> {
        let parts = self[key.table].key.iter().zip(&key.values);
        parts.map(|((attribute, _), value)| (attribute.clone(), value.to_attribute().into())).collect()
    }

    /// The key of an item of a view table.
    ///
    /// # Errors
    /// When the item has no usable key: its table has another key than its views say.
    pub fn own_key(&self, table: TableId, item: &Item) -> Result<ViewKey, KeyError> {
        let value = |(place, (attribute, key_type)): (usize, &(String, KeyType))| {
            let value = item.get(attribute).ok_or_else(|| KeyError::Missing { attribute: attribute.clone() })?;
            key_value(place, attribute, *key_type, Datum::of_attribute(value))
        };
        let values = self[table].key.iter().enumerate().map(value).collect::<Result<_, _>>()?;
        Ok(ViewKey { table, values })
    }

    /// A view item as text: its table and its key.
    #[must_use]
    pub fn named(&self, key: &ViewKey) -> String {
        format!("{} {key}", self[key.table].name)
    }
}

impl Index<ViewId> for Definition {
    type Output = View;

    fn index(&self, view: ViewId) -> &View {
        &self.views[view.0]
    }
}

impl Index<MeasureId> for Definition {
    type Output = Measure;

    fn index(&self, measure: MeasureId) -> &Measure {
        &self.views[measure.view.0].measures()[measure.place]
    }
}

impl Index<TableId> for Definition {
    type Output = ViewTable;

    fn index(&self, table: TableId) -> &ViewTable {
        &self.tables[table.0]
    }
}

/// The views of these amounts.
#[must_use]
pub fn views_of<'c>(amounts: impl IntoIterator<Item = (&'c Counter, &'c Number)>) -> ViewSet {
    amounts.into_iter().map(|(counter, _)| counter.measure.view).collect()
}

/// The fingerprint does not depend on the order of views, measures and set attributes, because it means nothing.
fn fingerprint(views: &[View]) -> Fingerprint {
    let mut text = format!("language {LANGUAGE_VERSION}\n");
    let mut views: Vec<&View> = views.iter().collect();
    views.sort_by_key(|view| view.name());
    for view in views {
        let (source, table) = (table_name(view.source_table()), table_name(view.view_table()));
        let missing = view.on_missing().as_str();
        let _ = writeln!(text, "view {} of {source} in {table}, {missing}", view.name());
        let _ = view.condition().map(|condition| writeln!(text, "where {condition}"));
        for part in view.key() {
            let _ = writeln!(text, "key {:?} {} {} {:?}", part.view_attribute, part.key_type, part.value, part.missing);
        }
        let measures = view.measures().iter().map(|one| format!("measure {:?} {}", one.attribute, one.expression));
        let set = view.set().iter().map(|one| format!("set {:?} {}", one.attribute, one.value));
        for line in measures.chain(set).collect::<BTreeSet<_>>() {
            let _ = writeln!(text, "{line}");
        }
    }
    let digest = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, text.as_bytes());
    Fingerprint(digest.simple().to_string()[..FINGERPRINT_DIGITS].to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollup::model::view::KeyPart;

    #[test]
    fn a_key_is_of_its_type_and_of_a_length_that_a_key_may_have() {
        let measure = Measure::parse("Count", "count").unwrap();
        let key = vec![KeyPart::attribute("P", KeyType::S), KeyPart::attribute("R", KeyType::B)];
        let view = View::new("Source", "View", None, key, vec![measure]).unwrap();
        let definition = Definition::new(vec![view]).unwrap();
        let of = |partition: usize, sort: usize| {
            let item = [
                ("P".to_owned(), AttributeValue::S("p".repeat(partition))),
                ("R".to_owned(), AttributeValue::B(vec![7; sort])),
            ];
            definition.own_key(TableId(0), &Item::from(HashMap::from(item)))
        };
        let too_long =
            |attribute: &str, bytes, limit| KeyError::TooLong { attribute: attribute.to_owned(), bytes, limit };
        assert_eq!(of(2_048, 1_024).map(|key| key.to_string().len() > 2_048), Ok(true));
        assert_eq!(of(2_049, 1), Err(too_long("P", 2_049, 2_048)));
        assert_eq!(of(1, 1_025), Err(too_long("R", 1_025, 1_024)));
        assert_eq!(of(0, 1), Err(KeyError::Empty { attribute: "P".to_owned() }));
        assert_eq!(of(1, 0), Err(KeyError::Empty { attribute: "R".to_owned() }));
        assert_eq!(of(1, 2).map(|key| key.to_string()), Ok("p, [07, 07]".to_owned()));
        for (found, kind) in [(json!({"N": "1"}), "N"), (json!({"BOOL": true}), "BOOL"), (json!({"L": []}), "L")] {
            let item: Item = serde_json::from_value(json!({"P": found, "R": {"S": "r"}})).unwrap();
            let error = definition.own_key(TableId(0), &item).unwrap_err();
            let wanted = KeyType::S;
            assert_eq!(error, KeyError::Type { attribute: "P".to_owned(), found: kind, wanted });
            assert!(error.to_string().contains(&format!("of type {kind}; the view's key needs S")), "{error}");
        }
        assert_eq!([KeyType::S, KeyType::N, KeyType::B].map(|key_type| key_type.to_string()), ["S", "N", "B"]);
    }

    fn read_text(text: &str) -> Definition {
        let defaults = Defaults { source_table: "A", view_table: "B", on_missing: OnMissingViewItem::Create };
        read(text, &defaults).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_fingerprint_tells_what_is_counted_and_not_how_it_is_written() {
        let one = r#"{ "views": [
            { "name": "P", "key": [{ "attribute": "Id", "type": "S", "value": "P#{A}" }], "measures": { "N": "count", "M": "sum B" } },
            { "name": "Q", "key": [{ "attribute": "Id", "type": "S", "value": "Q#{A}" }], "measures": { "N": "count" }, "set": { "X": 1 } } ] }"#;
        let same = r#"{ "views": [
            { "name": "Q", "key": [{ "attribute": "Id", "type": "S", "value": "Q#{ A }" }], "set": { "X": 1.0 }, "measures": { "N": "COUNT" } },
            { "name": "P", "table": "arn:aws:dynamodb:eu-west-1:123456789012:table/B",
              "key": [{ "attribute": "Id", "type": "S", "value": "P#{A}" }], "measures": { "M": "sum  B", "N": "count" } } ] }"#;
        let print = |text: &str| read_text(text).fingerprint().clone();
        assert_eq!(print(one), print(same));
        assert_eq!(print(one).as_str().len(), FINGERPRINT_DIGITS);
        for (from, to) in [
            ("sum B", "sum C"),
            (r#""P#{A}""#, r#""P{A}""#),
            (r#""name": "P""#, r#""name": "R""#),
            (r#""X": 1"#, r#""X": 2"#),
            (r#""X": 1"#, r#""X": "1""#),
            (r#""name": "P""#, r#""name": "P", "on_missing": "skip""#),
            (r#""name": "P""#, r#""name": "P", "table": "C""#),
            (r#""name": "P""#, r#""name": "P", "where": "A > 1""#),
            (r#""value": "Q#{A}""#, r#""value": "Q#{A}", "missing": "quarantine""#),
        ] {
            assert_ne!(print(&one.replace(from, to)), print(one), "{to}");
        }
        assert_ne!(read_text(one).with_missing(OnMissingViewItem::Skip).fingerprint(), &print(one));
    }
}
