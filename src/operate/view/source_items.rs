//! What the first items of the source table contribute, each alone and all together.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::filter::key_of;
use super::trial::{Trial, add_all, amounts_json, not_in, show_amounts};
use crate::operate::args::Shared;
use crate::operate::error::{TableError, failure_text};
use crate::operate::printable::printable;
use crate::rollup::Item;
use crate::rollup::model::change::Sums;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::view::ViewKey;

/// The first items of a source table, each with its key and its contributions.
pub(super) struct SourceItems<'d> {
    definition: &'d Definition,
    trials: Vec<(Value, Trial<'d>)>,
}

impl<'d> SourceItems<'d> {
    /// Reads and tries up to `limit` items of the source table.
    pub(super) async fn tried(shared: &Shared, definition: &'d Definition, limit: u16) -> Result<Self, TableError> {
        let table = definition.source_table();
        let client = aws_sdk_dynamodb::Client::new(&shared.sdk().await);
        let described = client.describe_table().table_name(table).send().await;
        let described = described.map_err(|error| TableError::new("describe", table, failure_text(&error)))?;
        let key = described.table.as_ref().map(key_of).unwrap_or_default();
        let mut items = client.scan().table_name(table).limit(i32::from(limit)).into_paginator().items().send();
        let mut trials = Vec::new();
        while trials.len() < usize::from(limit)
            && let Some(item) = items.next().await
        {
            let item = Item::from(item.map_err(|error| TableError::new("scan", table, failure_text(&error)))?);
            let attributes = key.iter().filter_map(|(name, _)| Some((name.clone(), item.get(name)?.clone())));
            let key = Item::from(attributes.collect::<std::collections::HashMap<_, _>>());
            let key = serde_json::to_value(key).unwrap_or_default();
            trials.push((key, Trial::of(definition, None, Some(&item))));
        }
        Ok(Self { definition, trials })
    }

    fn sum(&self) -> BTreeMap<ViewKey, Sums> {
        let mut sum = BTreeMap::new();
        self.trials.iter().for_each(|(_, trial)| add_all(&mut sum, &trial.deltas));
        sum
    }

    /// The object that `--json` prints: the sum of the contributions, and the contributions of each item.
    pub(super) fn json(&self) -> Value {
        let mut views = ViewSet::default();
        self.trials.iter().for_each(|(_, trial)| views.extend(trial.views()));
        let items = self.trials.iter().map(|(key, trial)| {
            let mut object = trial.json();
            object["item"] = key.clone();
            object
        });
        json!({
            "deltas": amounts_json(self.definition, &self.sum()).collect::<Vec<_>>(),
            "not_in": not_in(self.definition, views),
            "items": items.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for SourceItems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, trial) in &self.trials {
            writeln!(f, "{}", printable(key))?;
            trial.to_string().lines().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        match self.trials.len() {
            0 => writeln!(f, "the table {} has no items", self.definition.source_table()),
            1 => writeln!(f, "1 item, in all"),
            items => writeln!(f, "{items} items, in all"),
        }?;
        show_amounts(f, "  ", self.definition, &self.sum())
    }
}
