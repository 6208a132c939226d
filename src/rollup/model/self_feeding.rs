//! Whether a view could count an item that it creates, where the view table is the source table.
//!
//! Of an item that is created, the key attributes are known as far as their templates have text, the measures are not read
//! (a definition that reads them is refused before), and every other attribute is absent. From that a condition may be true,
//! false, or either.

use crate::rollup::Item;
use crate::rollup::model::language::{Comparator, Condition, Literal, Path, Template, Value};
use crate::rollup::model::view::{KeyPart, View};

/// Whether an item that the view creates might be in the view itself.
#[must_use]
pub fn may_count_its_own_items(view: &View) -> bool {
    let created = Created { key: view.key() };
    let selected = view.condition().is_none_or(|condition| created.of(condition).may_be_true);
    selected && view.key().iter().all(|part| part.value.paths().into_iter().all(|path| created.may_have(path)))
}

/// What a condition may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Possible {
    may_be_true: bool,
    may_be_false: bool,
}

impl Possible {
    const EITHER: Self = Self { may_be_true: true, may_be_false: true };

    fn exactly(holds: bool) -> Self {
        Self { may_be_true: holds, may_be_false: !holds }
    }
}

/// An item with these key attributes and no others.
struct Created<'v> {
    key: &'v [KeyPart],
}

impl Created<'_> {
    fn part(&self, path: &Path) -> Option<&KeyPart> {
        self.key.iter().find(|part| part.view_attribute == path.attribute && path.steps.is_empty())
    }

    fn may_have(&self, path: &Path) -> bool {
        self.part(path).is_some()
    }

    fn of(&self, condition: &Condition) -> Possible {
        match condition {
            Condition::Not(inner) => {
                let Possible { may_be_true, may_be_false } = self.of(inner);
                Possible { may_be_true: may_be_false, may_be_false: may_be_true }
            }
            Condition::And(all) => {
                let all: Vec<Possible> = all.iter().map(|condition| self.of(condition)).collect();
                Possible {
                    may_be_true: all.iter().all(|one| one.may_be_true),
                    may_be_false: all.iter().any(|one| one.may_be_false),
                }
            }
            Condition::Or(any) => {
                let any: Vec<Possible> = any.iter().map(|condition| self.of(condition)).collect();
                Possible {
                    may_be_true: any.iter().any(|one| one.may_be_true),
                    may_be_false: any.iter().all(|one| one.may_be_false),
                }
            }
            Condition::Exists(path) => Possible::exactly(self.may_have(path)),
            Condition::NotExists(path) => Possible::exactly(!self.may_have(path)),
            // Every other condition has the same value for all items without the attributes that it reads.
            other if !other.paths().into_iter().any(|path| self.may_have(path)) => {
                Possible::exactly(other.holds(&Item::default()))
            }
            Condition::Type(path, name) => {
                Possible::exactly(self.part(path).is_some_and(|part| part.key_type.to_string() == *name))
            }
            Condition::BeginsWith(Value::Path(path), beginning) => self.of_text(path, |template| {
                let known = template.literal_prefix();
                Possible {
                    may_be_true: known.starts_with(beginning.as_str())
                        || (template.holes().next().is_some() && beginning.starts_with(known)),
                    may_be_false: !known.starts_with(beginning.as_str()),
                }
            }),
            Condition::Compare(Value::Path(path), Comparator::Equal, Value::Literal(Literal::Text(text))) => {
                self.of_text(path, |template| Possible { may_be_true: template.fits(text), may_be_false: true })
            }
            Condition::In(Value::Path(path), literals) => self.of_text(path, |template| {
                let fits = |literal: &Literal| matches!(literal, Literal::Text(text) if template.fits(text));
                Possible { may_be_true: literals.iter().any(fits), may_be_false: true }
            }),
            _ => Possible::EITHER,
        }
    }

    /// What a condition on a key attribute may be, where the attribute has a template with text.
    fn of_text(&self, path: &Path, possible: impl Fn(&Template) -> Possible) -> Possible {
        match self.part(path) {
            Some(part) if !part.value.is_single_hole() => possible(&part.value),
            _ => Possible::EITHER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::model::view::{KeyType, Measure};

    fn counts_itself(condition: &str, [partition, sort]: [&str; 2]) -> bool {
        let part = |name: &str, value: &str| KeyPart {
            value: Template::parse(value).unwrap(),
            ..KeyPart::attribute(name, KeyType::S)
        };
        let condition = (!condition.is_empty()).then(|| Condition::parse(condition).unwrap());
        let key = vec![part("PK", partition), part("SK", sort)];
        let view = View::new("App", "App", condition, key, vec![Measure::parse("Likes", "count").unwrap()]).unwrap();
        may_count_its_own_items(&view)
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
            ("SK <> 'TOTAL'", ["{PK}", "TOTAL"], true),
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
