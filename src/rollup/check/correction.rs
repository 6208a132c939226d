//! Corrects counters that are written all the time: adds what they are off by, instead of setting them.
//!
//! The amount by which a counter is off does not change while the function adds to it, because its records change the
//! recount too. So a correction needs no condition on the counters that were read, but it must exclude other
//! corrections. A repair first claims the item with an identifier of its own, then reads it, then corrects it on the
//! condition that the claim is still there, and removes the claim. Every other repair of the item removes the claim as
//! well, or replaces it with its own.

use std::collections::HashMap;

use crate::rollup::check::judge::{Difference, StoredValue};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::limits;
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{REPAIR_CLAIM, ROLLUP_VERSION};
use crate::rollup::pipeline::update::Update;
use crate::rollup::{AttributeValue, Item};

/// The update that claims a view item for a correction. `claim` identifies the repair.
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

/// The update that corrects the counters of a view item that was claimed before it was read as `seen`. It corrects as
/// many differences as fit into one update. `None` if a counter is not a number or its map is missing: such an item
/// takes no records, so it is not written all the time and can be set instead.
#[must_use]
pub fn correct(definition: &Definition, seen: &Item, differences: &[Difference], claim: &str) -> Option<Update> {
    let mut names =
        HashMap::from([("#claim".to_owned(), REPAIR_CLAIM.to_owned()), ("#v".to_owned(), ROLLUP_VERSION.to_owned())]);
    let number = |number: &Number| AttributeValue::N(number.to_string());
    let mut values = HashMap::from([
        (":claim".to_owned(), AttributeValue::S(claim.to_owned())),
        (":zero".to_owned(), number(&Number::zero())),
        (":one".to_owned(), number(&Number::from(1))),
        // An item that was deleted and created again begins with no version, or with a lower one.
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
