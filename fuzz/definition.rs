//! Any bytes as a view's definition: refused with a message, or a view that an event can be counted on.

#![no_main]

use ddb_rollup::rollup::model::definition;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match definition::read(text, "Point", "Map") {
        Ok(view) => assert!(!view.measures().is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
