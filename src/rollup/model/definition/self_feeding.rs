//! Whether a view could count an item that a view creates, where the view table is the source table.

use crate::rollup::model::language::{Datum, Known};
use crate::rollup::model::view::{KeyPart, View};

/// Whether an item that `writer` creates might be in the view `reader`.
///
/// The key attributes of such an item are known as far as their templates have text. It has what the view writes; every
/// other attribute is absent.
#[must_use]
pub(super) fn may_be_counted(writer: &View, reader: &View) -> bool {
    let known = |attribute: &str| match writer.key().iter().find(|part| part.view_attribute == attribute) {
        Some(part) => known(part),
        None if writer.writes().any(|written| written == attribute) => Known::Something,
        None => Known::Absent,
    };
    let selected = reader.condition().is_none_or(|condition| condition.could_hold(&known));
    let has_value = |attribute: &str| !matches!(known(attribute), Known::Absent);
    selected && reader.key().iter().all(|part| part.value.reads().into_iter().all(has_value))
}

fn known(part: &KeyPart) -> Known<'_> {
    let beginning = part.value.literal_prefix().into();
    match part.value.holes().next() {
        None => Known::Value(Datum::Text(beginning)),
        Some(_) if part.value.is_single_hole() => Known::Something,
        Some(_) => Known::Beginning(beginning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::model::language::{Condition, Template};
    use crate::rollup::model::measure::Measure;
    use crate::rollup::model::view::KeyType;

    fn counts_itself(condition: &str, [partition, sort]: [&str; 2]) -> bool {
        let part = |name: &str, value: &str| KeyPart {
            value: Template::parse(value).unwrap(),
            ..KeyPart::attribute(name, KeyType::S)
        };
        let condition = (!condition.is_empty()).then(|| Condition::parse(condition).unwrap());
        let key = vec![part("PK", partition), part("SK", sort)];
        let view = View::new("App", "App", condition, key, vec![Measure::parse("Likes", "count").unwrap()]).unwrap();
        may_be_counted(&view, &view)
    }

    #[test]
    fn a_view_is_told_from_its_own_items_by_its_condition_or_by_what_its_key_needs() {
        for (condition, key, expected) in [
            ("", ["{PK}", "{SK}"], true),
            ("", ["{PK}", "TOTAL"], true),
            ("", ["{Owner}", "TOTAL"], false),
            ("", ["{PK}", "{Post.Id}"], false),
            ("begins_with(SK, 'LIKE#')", ["{PK}", "TOTAL"], false),
            ("begins_with(SK, 'LIKE#')", ["{PK}", "LIKE#{SK}"], true),
            ("begins_with(SK, 'LIKE#')", ["{PK}", "LI{SK}"], true),
            ("begins_with(SK, 'LIKE#')", ["{PK}", "LI"], false),
            ("begins_with(SK, 'LIKE#')", ["{PK}", "LX{SK}"], false),
            ("begins_with(SK, 'LIKE#')", ["{PK}", "{SK}"], true),
            ("NOT begins_with(SK, 'TOTAL')", ["{PK}", "TOTAL#{SK}"], false),
            ("NOT begins_with(SK, 'TOTAL#1')", ["{PK}", "TOTAL#{SK}"], true),
            ("SK = 'x'", ["{PK}", "TOTAL#{SK}"], false),
            ("SK = 'TOTAL#x'", ["{PK}", "TOTAL#{SK}"], true),
            ("SK <> 'TOTAL'", ["{PK}", "TOTAL"], false),
            ("SK IN ('a', 'b')", ["{PK}", "TOTAL"], false),
            ("SK IN ('a', 'TOTAL')", ["{PK}", "TOTAL"], true),
            ("Kind = 'order'", ["{PK}", "TOTAL"], false),
            ("Kind <> 'order'", ["{PK}", "TOTAL"], true),
            ("attribute_exists(Kind)", ["{PK}", "TOTAL"], false),
            ("attribute_not_exists(Kind)", ["{PK}", "TOTAL"], true),
            ("attribute_exists(SK.x)", ["{PK}", "TOTAL"], false),
            ("attribute_type(SK, 'N')", ["{PK}", "TOTAL"], false),
            ("attribute_type(SK, 'S')", ["{PK}", "TOTAL"], true),
            ("Kind = 'a' OR begins_with(SK, 'T')", ["{PK}", "TOTAL"], true),
            ("Kind = 'a' AND begins_with(SK, 'T')", ["{PK}", "TOTAL"], false),
            ("size(SK) > 100", ["{PK}", "TOTAL#{SK}"], true),
        ] {
            assert_eq!(counts_itself(condition, key), expected, "{condition:?} {key:?}");
        }
    }
}
