//! Records as a function with a bug reads them.

use serde_json::Value;

use super::bug::Bug;
use super::source::TOO_LARGE;

/// The record that a function with the bug takes this one for.
pub fn misread(bug: Option<Bug>, record: &str) -> String {
    let attribute = match bug {
        Some(Bug::CrossingMissed) => "Open",
        Some(Bug::GroupFromOldImage) => "Category",
        Some(Bug::BadImageTakesTheOther) => "Size",
        _ => return record.to_owned(),
    };
    let mut read: Value = serde_json::from_str(record).unwrap();
    let change = &mut read["dynamodb"];
    let both = change["OldImage"].is_object() && change["NewImage"].is_object();
    if !both {
        return record.to_owned();
    }
    let value = |image: &str| change[image].get(attribute).cloned();
    let (old, new) = (value("OldImage"), value("NewImage"));
    match bug {
        Some(Bug::CrossingMissed) => set(&mut change["OldImage"], attribute, new),
        Some(Bug::BadImageTakesTheOther) if is_too_large(new.as_ref()) => set(&mut change["OldImage"], attribute, new),
        Some(Bug::BadImageTakesTheOther) if !is_too_large(old.as_ref()) => return record.to_owned(),
        _ => set(&mut change["NewImage"], attribute, old),
    }
    read.to_string()
}

fn set(image: &mut Value, attribute: &str, value: Option<Value>) {
    let Some(image) = image.as_object_mut() else { return };
    match value {
        Some(value) => image.insert(attribute.to_owned(), value),
        None => image.remove(attribute),
    };
}

fn is_too_large(size: Option<&Value>) -> bool {
    let whole = size.and_then(|size| size["N"].as_str()).and_then(|text| text.split('.').next()?.parse::<i64>().ok());
    whole.is_some_and(|whole| 10 * whole >= TOO_LARGE)
}
