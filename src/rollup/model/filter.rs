//! Which stream records no view can count, judged by their keys: the filter patterns that a definition allows.
//!
//! A pattern matches `dynamodb.Keys`, which each record has, and which never change for an item. A pattern on an image
//! would be wrong: it would drop the change with which an item leaves a view.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value as Json, json};

use crate::rollup::model::language::{Comparator, Condition, Literal, Path, Value};
use crate::rollup::model::limits;
use crate::rollup::model::view::{KeyType, View};

/// A filter pattern of an event source mapping. A record matches if each attribute matches one of its alternatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterPattern(BTreeMap<String, BTreeSet<TextMatch>>);

/// Which texts of a key match.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum TextMatch {
    Exact(String),
    Prefix(String),
}

/// Why a definition allows no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoFilter {
    /// Every item is in a view.
    #[error("the view {0:?} has no \"where\", so each record can count")]
    EveryItem(String),
    /// The condition of a view does not limit the keys.
    #[error("the condition of the view {view:?} does not limit the keys: {}", joined(parts))]
    Condition {
        view: String,
        /// The parts of its condition.
        parts: Vec<OpenPart>,
    },
    /// A pattern is longer than Lambda takes.
    #[error("the pattern of the view {view:?} has {characters} characters; Lambda takes {max}", max = limits::FILTER_PATTERN_CHARACTERS)]
    TooLong {
        view: String,
        /// Its length.
        characters: usize,
    },
    /// There are more patterns than a mapping can have.
    #[error("the views need {0} patterns; an event source mapping has {max} at most", max = limits::FILTER_PATTERNS)]
    TooMany(usize),
}

/// A part of a condition that may be true for any keys, as far as a pattern can express it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("in {part}, {why}")]
pub struct OpenPart {
    /// The part, as text.
    pub part: String,
    /// Why it does not limit the keys.
    pub why: Open,
}

/// Why a part of a condition does not limit the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Open {
    /// A pattern does not have the operator.
    #[error("only begins_with, = and IN can be a pattern")]
    Operator,
    /// It looks at something other than a key.
    #[error("no text attribute of the source table's key is compared to a text")]
    Attribute,
    /// It looks for an empty text, and every text begins with that.
    #[error("every text begins with an empty one")]
    EmptyBeginning,
    /// The alternatives limit different attributes.
    #[error("the sides of OR limit different key attributes")]
    Alternatives,
}

fn joined(parts: &[OpenPart]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The patterns of an event source mapping that drop only records that no view can count: one for each view, without
/// repetitions.
///
/// # Errors
/// When a record that none of the patterns matches could count, or there are more patterns than Lambda takes.
pub fn patterns(views: &[View], source_key: &[(String, KeyType)]) -> Result<Vec<FilterPattern>, NoFilter> {
    let mut patterns = Vec::new();
    for view in views {
        let name = || view.name().to_owned();
        let condition = view.condition().ok_or_else(|| NoFilter::EveryItem(name()))?;
        let pattern = FilterPattern::of(condition, source_key);
        let pattern = pattern.map_err(|parts| NoFilter::Condition { view: name(), parts })?;
        let characters = pattern.to_string().chars().count();
        if characters > limits::FILTER_PATTERN_CHARACTERS {
            return Err(NoFilter::TooLong { view: name(), characters });
        }
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    if patterns.len() > limits::FILTER_PATTERNS { Err(NoFilter::TooMany(patterns.len())) } else { Ok(patterns) }
}

impl FilterPattern {
    /// What the condition requires of the keys of an item.
    fn of(condition: &Condition, source_key: &[(String, KeyType)]) -> Result<Self, Vec<OpenPart>> {
        let open = |why| vec![OpenPart { part: condition.to_string(), why }];
        let text = |path: &Path| {
            let is_text = |(name, kind): &(String, KeyType)| *name == path.attribute && *kind == KeyType::S;
            path.steps.is_empty() && source_key.iter().any(is_text)
        };
        let limit = |value: &Value, alternatives: BTreeSet<TextMatch>| match value {
            Value::Path(path) if text(path) && !alternatives.is_empty() => {
                Ok(Self(BTreeMap::from([(path.attribute.clone(), alternatives)])))
            }
            _ => Err(open(Open::Attribute)),
        };
        match condition {
            Condition::BeginsWith(_, beginning) if beginning.is_empty() => Err(open(Open::EmptyBeginning)),
            Condition::BeginsWith(value, beginning) => {
                limit(value, BTreeSet::from([TextMatch::Prefix(beginning.clone())]))
            }
            Condition::Compare(value, Comparator::Equal, Value::Literal(literal))
            | Condition::Compare(Value::Literal(literal), Comparator::Equal, value) => limit(value, exact(&[literal])),
            Condition::In(value, literals) => limit(value, exact(&literals.iter().collect::<Vec<_>>())),
            Condition::And(conditions) => {
                let mut parts = Vec::new();
                let mut limited: Option<Self> = None;
                for condition in conditions {
                    match Self::of(condition, source_key) {
                        Ok(one) => limited = Some(limited.map_or_else(|| one.clone(), |all| all.and(&one))),
                        Err(open) => parts.extend(open),
                    }
                }
                limited.ok_or(parts)
            }
            Condition::Or(conditions) => {
                let sides = conditions.iter().map(|condition| Self::of(condition, source_key));
                let sides = sides.collect::<Result<Vec<_>, _>>()?;
                sides
                    .into_iter()
                    .reduce(Self::or)
                    .filter(|all| !all.0.is_empty())
                    .ok_or_else(|| open(Open::Alternatives))
            }
            _ => Err(open(Open::Operator)),
        }
    }

    /// What both allow. If they contradict each other, either of them is a safe result.
    fn and(mut self, other: &Self) -> Self {
        for (attribute, theirs) in &other.0 {
            let Some(ours) = self.0.get_mut(attribute) else {
                self.0.insert(attribute.clone(), theirs.clone());
                continue;
            };
            let covered = |these: &BTreeSet<TextMatch>, by: &BTreeSet<TextMatch>| {
                these.iter().filter(|one| by.iter().any(|other| other.covers(one))).cloned().collect::<BTreeSet<_>>()
            };
            let both: BTreeSet<_> = &covered(ours, theirs) | &covered(theirs, ours);
            if !both.is_empty() {
                *ours = both;
            }
        }
        self
    }

    /// What either of them allows. An attribute that only one of them limits is not limited.
    fn or(mut self, other: Self) -> Self {
        self.0.retain(|attribute, _| other.0.contains_key(attribute));
        for (attribute, theirs) in other.0 {
            if let Some(ours) = self.0.get_mut(&attribute) {
                ours.extend(theirs);
                let all = ours.clone();
                ours.retain(|one| !all.iter().any(|other| other != one && other.covers(one)));
            }
        }
        self
    }

    /// The pattern as Lambda reads it.
    #[must_use]
    pub fn json(&self) -> Json {
        let keys = self.0.iter().map(|(attribute, alternatives)| {
            let alternatives: Json = alternatives.iter().map(TextMatch::json).collect();
            (attribute.clone(), json!({ "S": alternatives }))
        });
        json!({ "dynamodb": { "Keys": keys.collect::<serde_json::Map<_, _>>() } })
    }
}

impl fmt::Display for FilterPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is printed shows control characters escaped, and there is one way of JSON to do that.
        for c in self.json().to_string().chars() {
            let bidirectional =
                matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if c.is_control() || bidirectional {
                write!(f, "\\u{:04x}", u32::from(c))?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// The texts among some literals. A text attribute is equal to nothing else.
fn exact(literals: &[&Literal]) -> BTreeSet<TextMatch> {
    let texts = literals.iter().filter_map(|literal| match literal {
        Literal::Text(text) => Some(TextMatch::Exact(text.clone())),
        Literal::Number(_) | Literal::Bool(_) => None,
    });
    texts.collect()
}

impl TextMatch {
    /// Whether it matches everything that the other matches.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Prefix(beginning), Self::Exact(text) | Self::Prefix(text)) => text.starts_with(beginning.as_str()),
            (Self::Exact(_), _) => self == other,
        }
    }

    fn json(&self) -> Json {
        match self {
            Self::Exact(text) => text.as_str().into(),
            Self::Prefix(beginning) => json!({ "prefix": beginning }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::model::view::{KeyPart, Measure};

    fn view(name: &str, condition: Option<&str>) -> View {
        let key = vec![KeyPart::attribute("PK", KeyType::S)];
        let measures = vec![Measure::parse(name, "count").unwrap()];
        let condition = condition.map(|text| Condition::parse(text).unwrap());
        View::new("App", "Total", condition, key, measures).unwrap().named(name)
    }

    fn key() -> Vec<(String, KeyType)> {
        vec![("PK".to_owned(), KeyType::S), ("SK".to_owned(), KeyType::S), ("At".to_owned(), KeyType::N)]
    }

    /// The keys that the pattern of one condition looks at.
    fn keys(condition: &str) -> Result<Json, String> {
        let found = patterns(&[view("Likes", Some(condition))], &key()).map_err(|error| error.to_string())?;
        assert_eq!(found.len(), 1);
        Ok(found[0].json()["dynamodb"]["Keys"].clone())
    }

    #[test]
    fn a_pattern_says_what_the_condition_says_of_the_keys() {
        let like = json!({ "SK": { "S": [{ "prefix": "LIKE#" }] } });
        for (condition, expected) in [
            ("begins_with(SK, 'LIKE#')", like.clone()),
            ("SK = 'it''s'", json!({ "SK": { "S": ["it's"] } })),
            ("'A' = SK", json!({ "SK": { "S": ["A"] } })),
            ("SK IN ('B', 'A', 7)", json!({ "SK": { "S": ["A", "B"] } })),
            ("begins_with(SK, 'LIKE#') AND Plan = 'pro'", like.clone()),
            ("Plan = 'pro' AND (NOT SK = 'x' AND begins_with(SK, 'LIKE#'))", like.clone()),
            ("begins_with(SK, 'LIKE#') AND begins_with(SK, 'LI')", like.clone()),
            ("begins_with(SK, 'LIKE#') AND begins_with(SK, 'POST#')", like.clone()),
            ("begins_with(SK, 'LIKE#') OR SK = 'LIKE#7'", like),
            ("begins_with(SK, 'A') AND SK IN ('A1', 'B1')", json!({ "SK": { "S": ["A1"] } })),
            (
                "(begins_with(SK, 'A') OR SK = 'B') AND (SK = 'A1' OR begins_with(SK, 'B'))",
                json!({ "SK": { "S": ["A1", "B"] } }),
            ),
            ("SK = 'A' OR begins_with(SK, 'B') AND Plan = 'pro'", json!({ "SK": { "S": ["A", { "prefix": "B" }] } })),
            (
                "begins_with(PK, 'USER#') AND begins_with(SK, 'LIKE#')",
                json!({ "PK": { "S": [{ "prefix": "USER#" }] }, "SK": { "S": [{ "prefix": "LIKE#" }] } }),
            ),
            ("SK = 'A' AND PK = 'P' OR SK = 'B'", json!({ "SK": { "S": ["A", "B"] } })),
        ] {
            assert_eq!(keys(condition), Ok(expected), "{condition}");
        }
    }

    #[test]
    fn a_condition_that_does_not_limit_the_keys_is_named_with_its_part() {
        let sides = "the sides of OR limit different key attributes";
        let attribute = "no text attribute of the source table's key is compared to a text";
        let operator = "only begins_with, = and IN can be a pattern";
        for (condition, part, why) in [
            ("Plan = 'pro'", "Plan = 'pro'", attribute),
            ("At = 7", "At = 7", attribute),
            ("SK = 7", "SK = 7", attribute),
            ("SK IN (7)", "SK IN (7)", attribute),
            ("At = '7'", "At = '7'", attribute),
            ("SK.x = 'A'", "SK.x = 'A'", attribute),
            ("begins_with(lower(SK), 'a')", "begins_with(lower(SK), 'a')", attribute),
            ("begins_with(SK, '')", "begins_with(SK, '')", "every text begins with an empty one"),
            ("SK <> 'A'", "SK <> 'A'", operator),
            ("NOT begins_with(SK, 'A')", "NOT begins_with(SK, 'A')", operator),
            ("SK BETWEEN 'A' AND 'B'", "SK BETWEEN 'A' AND 'B'", operator),
            ("SK = 'A' OR PK = 'A'", "SK = 'A' OR PK = 'A'", sides),
            ("SK = 'A' OR Plan = 'pro'", "Plan = 'pro'", attribute),
        ] {
            let expected = format!("the condition of the view \"Likes\" does not limit the keys: in {part}, {why}");
            assert_eq!(keys(condition), Err(expected), "{condition}");
        }
        let both = keys("Plan = 'pro' AND SK > 'A'").unwrap_err();
        assert!(both.ends_with(&format!("in Plan = 'pro', {attribute}; in SK > 'A', {operator}")), "{both}");
    }

    #[test]
    fn each_view_has_a_pattern_and_one_without_takes_all_away() {
        let likes = view("Likes", Some("begins_with(SK, 'LIKE#')"));
        let posts = view("Posts", Some("begins_with(SK, 'POST#') AND Plan = 'pro'"));
        let paid = view("Paid", Some("begins_with(SK, 'LIKE#') AND Plan = 'pro'"));
        let found = patterns(&[likes.clone(), posts, paid], &key()).unwrap();
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        let of = |text: &str| format!(r#"{{"dynamodb":{{"Keys":{{"SK":{{"S":[{{"prefix":"{text}"}}]}}}}}}}}"#);
        assert_eq!(texts, [of("LIKE#"), of("POST#")]);
        let all = patterns(&[likes, view("All", None)], &key());
        assert_eq!(all, Err(NoFilter::EveryItem("All".into())));
    }

    #[test]
    fn lambdas_limits_are_kept() {
        let views: Vec<_> = (0..6).map(|place| view("V", Some(&format!("SK = 'KIND{place}'")))).collect();
        assert_eq!(patterns(&views[..5], &key()).map(|found| found.len()), Ok(5));
        assert_eq!(patterns(&views, &key()), Err(NoFilter::TooMany(6)));
        // A quote takes two characters of a pattern, a letter of two bytes one; around the text there are 39.
        let long = |text: &str, times| patterns(&[view("V", Some(&format!("SK = '{}'", text.repeat(times))))], &key());
        assert!(long("ä", 2_040).is_ok());
        assert!(long("\"", 2_028).is_ok());
        assert_eq!(long("\"", 2_029), Err(NoFilter::TooLong { view: "V".into(), characters: 4_097 }));
    }
}
