//! Counters corrected while they are written all the time: by what they are off, and not to what they should be.
//!
//! What a counter is off by does not change while a function adds to it: its records are added to what it should be too. So a
//! correction needs no condition on what was seen, but on who else corrects. A repair first claims the item by an identifier
//! of its own, then looks, then corrects on the condition that the claim is still there, and takes it away. Every other
//! repair of the item takes the claim away too, or puts its own in its place.

use std::collections::HashMap;

use crate::rollup::check::judge::{Difference, StoredValue};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::limits;
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{REPAIR_CLAIM, ROLLUP_VERSION};
use crate::rollup::pipeline::update::Update;
use crate::rollup::{AttributeValue, Item};

/// The update that claims a view item for a correction.
#[must_use]
pub fn claim(claim: &str) -> Update {
    Update {
        expression: "SET #claim = :claim".to_owned(),
        condition: Some("attribute_exists(#v)".to_owned()),
        names: HashMap::from([
            ("#claim".to_owned(), REPAIR_CLAIM.to_owned()),
            ("#v".to_owned(), ROLLUP_VERSION.to_owned()),
        ]),
        values: HashMap::from([(":claim".to_owned(), AttributeValue::S(claim.to_owned()))]),
    }
}

/// The update that corrects counters of a view item that was claimed before it was seen like this: as many as fit into one.
/// None where a counter is not a number, or has no map: such an item takes no records, so it is not written all the time.
#[must_use]
pub fn correct(definition: &Definition, seen: &Item, differences: &[Difference], claim: &str) -> Option<Update> {
    let mut names =
        HashMap::from([("#claim".to_owned(), REPAIR_CLAIM.to_owned()), ("#v".to_owned(), ROLLUP_VERSION.to_owned())]);
    let number = |number: &Number| AttributeValue::N(number.to_string());
    let mut values = HashMap::from([
        (":claim".to_owned(), AttributeValue::S(claim.to_owned())),
        (":zero".to_owned(), number(&Number::zero())),
        (":one".to_owned(), number(&Number::from(1))),
        // An item that was put anew begins with no version, or with a lower one.
        (":seen".to_owned(), seen.get(ROLLUP_VERSION)?.clone()),
    ]);
    let mut set = Vec::new();
    for (place, Difference { counter, stored, expected }) in differences.iter().take(limits::IMAGE_COUNTERS).enumerate()
    {
        let StoredValue::Number(stored) = stored else { return None };
        let attribute = &definition[counter.measure].attribute;
        let mut by = expected.clone();
        by += &-stored.clone();
        let mut path = format!("#m{place}");
        names.insert(path.clone(), attribute.clone());
        if let Some(group) = &counter.group {
            let Some(AttributeValue::M(_)) = seen.get(attribute) else { return None };
            names.insert(format!("#g{place}"), group.clone());
            path = format!("{path}.#g{place}");
        }
        values.insert(format!(":m{place}"), number(&by));
        set.push(format!("{path} = if_not_exists({path}, :zero) + :m{place}"));
    }
    Some(Update {
        expression: format!("SET {} REMOVE #claim ADD #v :one", set.join(", ")),
        condition: Some("#claim = :claim AND #v >= :seen".to_owned()),
        names,
        values,
    })
}
