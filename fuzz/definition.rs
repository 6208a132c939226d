//! Any bytes as a view's definition: refused with a message, or a view that an event can be counted on.

#![no_main]

use ddb_rollup::rollup::model::definition::{self, Defaults};
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let on_missing = OnMissingViewItem::Create;
    match definition::read(text, &Defaults { source_table: "Point", view_table: "Map", on_missing }) {
        Ok(definition) => assert!(!definition.views().is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
