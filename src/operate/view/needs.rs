//! The tables that a definition needs, and the permissions that the function needs on them.

use serde_json::{Value, json};

use crate::config::Config;
use crate::rollup::model::arn::table_name;
use crate::rollup::model::marker::{EXPIRES_AT, REASON, RECORDED_AT, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::quarantine_index::{IN_QUARANTINE, INDEX};
use crate::rollup::model::view::{KeyType, OnMissingViewItem};

/// A table that a definition needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NeededTable {
    name: String,
    /// What the table is for.
    purposes: Vec<&'static str>,
    /// Its key attributes, the partition key first; `None` if any key is suitable.
    key: Option<Vec<(String, KeyType)>>,
    /// The view type of its stream, if it needs one.
    stream: Option<&'static str>,
    /// The attribute with the expiry time of its items, if they expire.
    time_to_live: Option<&'static str>,
    /// The global secondary index that it needs, if any.
    index: Option<NeededIndex>,
}

/// A global secondary index that a table needs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NeededIndex {
    name: &'static str,
    key: Vec<(String, KeyType)>,
    /// The attributes that it includes in addition to keys.
    includes: &'static str,
}

/// The key attributes, each with its type and its role.
fn with_roles(key: &[(String, KeyType)]) -> impl Iterator<Item = (&str, KeyType, &'static str)> {
    key.iter().zip(["HASH", "RANGE"]).map(|((name, kind), role)| (name.as_str(), *kind, role))
}

fn key_json(key: &[(String, KeyType)]) -> Value {
    let part = |(attribute, kind, role): (&str, KeyType, &str)| json!({ "attribute": attribute, "type": kind.to_string(), "role": role });
    with_roles(key).map(part).collect()
}

fn key_text(key: &[(String, KeyType)]) -> String {
    let parts: Vec<_> = with_roles(key).map(|(name, kind, role)| format!("{name} ({kind}, {role})")).collect();
    parts.join(", ")
}

impl NeededTable {
    /// The tables of a definition, the source table first.
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let definition = &config.definition;
        let table = |name: &str, purposes, key| Self {
            name: name.to_owned(),
            purposes,
            key,
            stream: None,
            time_to_live: None,
            index: None,
        };
        let of_source = definition.table_ids().find(|(id, _)| definition.is_source(*id)).map(|(_, table)| table);
        let mut purposes = vec!["source items"];
        purposes.extend(of_source.map(|_| "view items"));
        let mut source = table(definition.source_table(), purposes, of_source.map(|table| table.key.clone()));
        source.stream = Some("NEW_AND_OLD_IMAGES");
        let views = definition.table_ids().filter(|(id, _)| !definition.is_source(*id));
        let views = views.map(|(_, view)| table(&view.name, vec!["view items"], Some(view.key.clone())));
        let texts = |attributes: [&str; 2]| attributes.map(|attribute| (attribute.to_owned(), KeyType::S)).into();
        let mut markers = table(&config.idempotency_table, vec!["markers"], Some(texts([SEQUENCE_NUMBER, STREAM])));
        markers.time_to_live = Some(EXPIRES_AT);
        markers.index = Some(NeededIndex { name: INDEX, key: texts([IN_QUARANTINE, RECORDED_AT]), includes: REASON });
        std::iter::once(source).chain(views).chain([markers]).collect()
    }

    pub(super) fn json(&self) -> Value {
        let index = self
            .index
            .as_ref()
            .map(|index| json!({ "name": index.name, "key": key_json(&index.key), "includes": [index.includes] }));
        json!({
            "name": self.name,
            "purposes": self.purposes,
            "key": self.key.as_deref().map(key_json),
            "stream": self.stream,
            "time_to_live": self.time_to_live,
            "index": index,
        })
    }
}

impl std::fmt::Display for NeededTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.purposes.join(" and "))?;
        match &self.key {
            None => write!(f, "; any key")?,
            Some(key) => write!(f, "; key {}", key_text(key))?,
        }
        self.stream.iter().try_for_each(|carries| write!(f, "; a stream of {carries}"))?;
        self.time_to_live.iter().try_for_each(|attribute| write!(f, "; time to live on {attribute}"))?;
        self.index.iter().try_for_each(|NeededIndex { name, key, includes }| {
            write!(f, "; an index {name} of {} that includes {includes}", key_text(key))
        })
    }
}

/// A permission of the function on a resource. Lambda also needs permissions for the queue, the logs and the traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Right {
    /// The part of the ARN after the account.
    pub(super) resource: String,
    pub(super) actions: Vec<&'static str>,
}

impl Right {
    /// The permissions that the function needs for a definition.
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let definition = &config.definition;
        let right = |resource: String, actions: &[&'static str]| Self { resource, actions: actions.to_vec() };
        let of_stream = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"];
        let mut rights = vec![
            right(format!("table/{}/stream/*", table_name(definition.source_table())), &of_stream),
            right("*".to_owned(), &["dynamodb:ListStreams"]),
        ];
        for (id, table) in definition.table_ids() {
            let mut views = definition.of_table(id).iter().map(|view| definition[view].on_missing());
            let mut actions = vec!["dynamodb:UpdateItem", "dynamodb:GetItem", "dynamodb:BatchGetItem"];
            // If missing view items are skipped, a transaction checks that the item is still missing.
            actions.extend(views.any(|missing| missing == OnMissingViewItem::Skip).then_some(CHECK));
            rights.push(right(format!("table/{}", table_name(&table.name)), &actions));
        }
        // Markers are looked up once a duplicate was found.
        let of_markers = ["dynamodb:PutItem", "dynamodb:BatchGetItem"];
        rights.push(right(format!("table/{}", table_name(&config.idempotency_table)), &of_markers));
        rights
    }
}

const CHECK: &str = "dynamodb:ConditionCheckItem";
