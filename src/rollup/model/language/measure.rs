//! What an item adds to one measure.

use std::collections::BTreeSet;
use std::fmt;

use crate::rollup::model::language::amount::{UncountableAmount, Window};
use crate::rollup::model::language::cursor::Parser;
use crate::rollup::model::language::datum::Datum;
use crate::rollup::model::language::elements::is_group_name;
use crate::rollup::model::language::error::SyntaxError;
use crate::rollup::model::language::group::Group;
use crate::rollup::model::language::syntax::{Condition, Path, Value, attributes};
use crate::rollup::model::number::Number;
use crate::rollup::{AttributeValue, Item};

/// Measures that a delta cannot keep, with what to do instead.
const REFUSED: [(&str, &str); 6] = [
    ("min", "use an index of the source table whose sort key is the value, and query its first item"),
    ("max", "use an index of the source table whose sort key is the value, and query its last item"),
    ("average", "keep count and sum as two measures, and divide when you read"),
    ("avg", "keep count and sum as two measures, and divide when you read"),
    ("distinct", "use count by value, and count its keys that are not zero"),
    ("latest", "use an index of the source table whose sort key is the time, and query its last item"),
];

/// A measure: what an item counts for, in which groups, and on what condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeasureExpression {
    /// What one item counts for.
    pub kind: MeasureKind,
    /// How the measure is grouped; `None` for a single number, and always for [`MeasureKind::SumEach`].
    pub by: Option<Group>,
    /// Which items it counts; `None` for all.
    pub condition: Option<Condition>,
}

/// What one item counts for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MeasureKind {
    /// One.
    Count,
    /// The value of a number.
    Sum(Value),
    /// A map of numbers: each entry's number in the group of its name.
    SumEach(Path),
}

/// What one item adds to a measure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Amounts {
    /// The amounts, each with its group if the measure has groups. No group is there twice. An amount may be zero.
    pub amounts: Vec<(Option<String>, Number)>,
    /// How many values or elements could not name a group; see [`Groups`](super::Groups).
    pub ungrouped: usize,
}

impl MeasureExpression {
    /// Reads a measure.
    ///
    /// # Errors
    /// When the text is not a measure of the language, or one that a delta cannot keep; the error names the place and
    /// what to write instead.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = Parser::new(text, 0)?;
        let mut next = "expected by, where or the end";
        let kind = if parser.take_keyword("count")? {
            parser.refuse_measures()?;
            MeasureKind::Count
        } else if parser.take_keyword("sum")? {
            if parser.take_keyword("each")? {
                next = "expected where or the end; sum each has no by, its groups are the names of the map";
                MeasureKind::SumEach(parser.path()?)
            } else {
                next = "expected +, -, *, by, where or the end";
                MeasureKind::Sum(parser.value()?)
            }
        } else {
            parser.refuse_measures()?;
            return Err(parser.unexpected("expected count or sum"));
        };
        let mut by = None;
        if !matches!(kind, MeasureKind::SumEach(_)) && parser.take_keyword("by")? {
            by = Some(if parser.take_keyword("each")? {
                next = "expected where or the end";
                Group::Each(parser.path()?)
            } else {
                next = "expected +, -, *, where or the end";
                Group::Of(parser.value()?)
            });
        }
        let mut condition = None;
        if parser.take_keyword("where")? {
            next = "expected AND, OR or the end; by is written before where";
            condition = Some(parser.condition()?);
        }
        parser.expect_end(next)?;
        Ok(Self { kind, by, condition })
    }

    /// What an item adds to the measure. It adds nothing if the condition is not true for it, or if the summed value is
    /// absent or not a number.
    ///
    /// # Errors
    /// When an amount is out of bounds, whether the item has a group or not.
    pub fn of(&self, item: &Item) -> Result<Amounts, UncountableAmount> {
        if self.condition.as_ref().is_some_and(|condition| !condition.holds(item)) {
            return Ok(Amounts::default());
        }
        let amount = match &self.kind {
            MeasureKind::Count => Number::from(1),
            MeasureKind::Sum(value) => match value.of(item) {
                Some(Datum::Number(number)) => Window::of(value).amount(&number)?,
                Some(Datum::OutOfBounds) => return Err(Window::of(value).exceeded()),
                _ => return Ok(Amounts::default()),
            },
            MeasureKind::SumEach(path) => return entries(path.of(item)),
        };
        let Some(by) = &self.by else { return Ok(Amounts { amounts: vec![(None, amount)], ungrouped: 0 }) };
        let groups = by.of(item);
        let amounts = groups.names.into_iter().map(|name| (Some(name), amount.clone())).collect();
        Ok(Amounts { amounts, ungrouped: groups.ungrouped })
    }

    /// Whether the measure is a map from group to number, and not one number.
    #[must_use]
    pub fn is_grouped(&self) -> bool {
        self.by.is_some() || matches!(self.kind, MeasureKind::SumEach(_))
    }

    /// Whether one item can add to any number of groups.
    #[must_use]
    pub fn has_each(&self) -> bool {
        matches!(self.kind, MeasureKind::SumEach(_)) || matches!(self.by, Some(Group::Each(_)))
    }

    /// Every path that the measure reads, in the order of the text.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        let mut found = match &self.kind {
            MeasureKind::Count => Vec::new(),
            MeasureKind::Sum(value) => value.paths(),
            MeasureKind::SumEach(path) => vec![path],
        };
        found.extend(self.by.iter().flat_map(Group::paths));
        found.extend(self.condition.iter().flat_map(Condition::paths));
        found
    }

    /// The item's attributes that the measure reads.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<&str> {
        attributes(self.paths())
    }
}

impl Parser<'_> {
    /// The error for a measure that cannot be kept, with what to do instead.
    fn refuse_measures(&self) -> Result<(), SyntaxError> {
        let Some((word, instead)) = REFUSED.into_iter().find(|(word, _)| self.is_keyword(word)) else { return Ok(()) };
        let message = format!(
            "expected count or sum: {word} cannot be kept exactly when items are changed or deleted; {instead}"
        );
        Err(self.refuse(self.range(), message))
    }
}

/// The entries of a map of numbers. What is not a number is skipped, and what is not a map has no entries.
fn entries(value: Option<&AttributeValue>) -> Result<Amounts, UncountableAmount> {
    let mut found = Amounts::default();
    let Some(AttributeValue::M(map)) = value else { return Ok(found) };
    let window = Window::USUAL;
    for (name, value) in map {
        let amount = match Datum::of_attribute(value) {
            Datum::Number(number) => window.amount(&number)?,
            Datum::OutOfBounds => return Err(window.exceeded()),
            _ => continue,
        };
        if is_group_name(name) {
            found.amounts.push((Some(name.clone()), amount));
        } else {
            found.ungrouped += 1;
        }
    }
    found.amounts.sort_unstable();
    Ok(found)
}

impl fmt::Display for MeasureExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            MeasureKind::Count => f.write_str("count")?,
            MeasureKind::Sum(value) => write!(f, "sum {value}")?,
            MeasureKind::SumEach(path) => write!(f, "sum each {path}")?,
        }
        self.by.iter().try_for_each(|group| write!(f, " by {group}"))?;
        self.condition.iter().try_for_each(|condition| write!(f, " where {condition}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item() -> Item {
        serde_json::from_value(json!({
            "Plan": {"S": "pro"}, "Price": {"N": "2.50"}, "Quantity": {"N": "3"}, "Text": {"S": "7"},
            "Status": {"S": "open"}, "Empty": {"S": ""}, "Code": {"N": "1E3"}, "Paid": {"BOOL": true},
            "Nothing": {"NULL": true}, "B": {"B": "AQID"}, "L": {"L": []}, "Bad": {"N": "1e999"},
            "At": {"S": "2026-03-05T14:07Z"}, "Long": {"S": "x".repeat(1_025)}, "Fits": {"S": "x".repeat(1_024)},
            "Tags": {"SS": ["b", "a"]}, "Numbers": {"NS": ["1.0", "2"]}, "Bytes": {"BS": ["AQID", "BA=="]},
            "Mixed": {"L": [{"S": "a"}, {"N": "1"}, {"S": "1"}, {"S": "a"}, {"S": ""}, {"BOOL": true}, {"N": "x"},
                {"S": "y".repeat(1_025)}, {"NULL": true}, {"L": [{"S": "deep"}]}]},
            "Votes": {"M": {"yes": {"N": "3"}, "no": {"N": "-1.5"}, "none": {"S": "3"}, "null": {"NULL": true}}},
            "Wrong": {"M": {"a": {"N": "1e999"}}}, "Huge": {"M": {"yes": {"N": "1e13"}, "no": {"N": "1"}}}, "Odd": {"M": {"": {"N": "1"}, "a": {"N": "0"}}}
        }))
        .unwrap()
    }

    fn shown(text: &str) -> String {
        let measure = MeasureExpression::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(MeasureExpression::parse(&measure.to_string()).as_ref(), Ok(&measure), "{text}");
        match measure.of(&item()) {
            Err(UncountableAmount { decimals, whole_digits }) => format!("uncountable {whole_digits}.{decimals}"),
            Ok(Amounts { amounts, ungrouped }) => {
                let of = |(group, amount): &(Option<String>, Number)| match group {
                    Some(group) => format!("{group}: {amount}"),
                    None => amount.to_string(),
                };
                let amounts: Vec<_> = amounts.iter().map(of).collect();
                let rest = if ungrouped > 0 { format!(" ({ungrouped} not)") } else { String::new() };
                format!("{}{rest}", amounts.join(", "))
            }
        }
    }

    #[test]
    fn an_item_adds_to_a_measure() {
        let long = format!("{}: 1", "x".repeat(1_024));
        for (text, expected) in [
            ("count", "1"),
            ("COUNT", "1"),
            ("count where Plan IN ('pro', 'team')", "1"),
            ("count where Plan = 'free'", ""),
            ("sum Price", "2.5"),
            ("Sum Price * Quantity", "7.5"),
            ("sum (Price)", "2.5"),
            ("sum 3", "3"),
            ("sum -Price", "-2.5"),
            ("sum Price - Price", "0"),
            ("sum Price WHERE Quantity > 3", ""),
            ("sum Text", ""),
            ("sum Absent", ""),
            ("sum Nothing", ""),
            ("sum Paid", ""),
            ("sum Price * Text", ""),
            ("sum Absent by Status", ""),
            ("count by Status", "open: 1"),
            ("count BY Code", "1000: 1"),
            ("count by Paid", "true: 1"),
            ("count by day(At)", "2026-03-05: 1"),
            ("count by Price * 2", "5: 1"),
            ("sum Price by concat(Plan, '/', Status)", "pro/open: 2.5"),
            ("count by Fits", &long),
            ("count by Long", " (1 not)"),
            ("count by Empty", " (1 not)"),
            ("count by Absent", " (1 not)"),
            ("count by Nothing", " (1 not)"),
            ("count by B", " (1 not)"),
            ("count by L", " (1 not)"),
            ("count by Tags", " (1 not)"),
            ("count by Bad", " (1 not)"),
            ("sum Price by Absent", " (1 not)"),
            ("count by Absent where Plan = 'free'", ""),
            ("sum Price by Status where Paid = true", "open: 2.5"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn each_element_is_a_group() {
        for (text, expected) in [
            ("count by each Tags", "a: 1, b: 1"),
            ("sum Price by EACH Numbers", "1: 2.5, 2: 2.5"),
            ("count by each Mixed", "1: 1, a: 1 (6 not)"),
            ("count by each Votes", "no: 1, none: 1, null: 1, yes: 1"),
            ("count by each Mixed[9]", "deep: 1"),
            ("count by each L", ""),
            ("count by each Bytes", " (2 not)"),
            ("count by each Status", " (1 not)"),
            ("count by each Absent", " (1 not)"),
            ("count by each Nothing", " (1 not)"),
            ("count by each Tags where Paid = false", ""),
            ("sum each Votes", "no: -1.5, yes: 3"),
            ("sum each Votes where Paid = true", "no: -1.5, yes: 3"),
            ("sum each Odd", "a: 0 (1 not)"),
            ("sum each Tags", ""),
            ("sum each Absent", ""),
            ("sum each Price", ""),
            ("sum each Huge", "uncountable 13.17"),
            ("sum each Wrong", "uncountable 13.17"),
            ("sum each Huge where Plan = 'free'", ""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_what_to_do_instead() {
        for (text, instead) in [
            ("min Price", "query its first item"),
            ("MAX Price", "query its last item"),
            ("average Price", "keep count and sum"),
            ("Avg Price by Plan", "keep count and sum"),
            ("distinct Plan", "use count by value"),
            ("count distinct Plan", "use count by value"),
            ("latest At", "index of the source"),
        ] {
            let error = MeasureExpression::parse(text).unwrap_err();
            assert!(error.message().contains(instead) && error.message().contains("cannot be kept"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_measure_is_refused_with_its_place() {
        for (text, at, message) in [
            ("", 0, "expected count or sum"),
            ("median Price", 0, "expected count or sum"),
            ("count Price", 6, "expected by, where or the end"),
            ("count(*)", 5, "expected by, where or the end"),
            ("sum", 3, "expected a value"),
            ("sum by Plan", 4, "by is a keyword"),
            ("sum each", 8, "expected a path"),
            ("sum each Votes by Plan", 15, "sum each has no by"),
            ("sum each lower(Votes)", 14, "expected where or the end"),
            ("count by", 8, "expected a value"),
            ("count by each", 13, "expected a path"),
            ("count by each 'x'", 14, "expected a path"),
            ("count by Plan, Status", 13, "where or the end"),
            ("count by each Tags + 1", 19, "expected where or the end"),
            ("count where", 11, "expected a value"),
            ("count where Paid", 16, "a path alone is not a condition"),
            ("count where Paid = true by Plan", 24, "by is written before where"),
            ("count where Paid = true LIMIT 5", 24, "expected AND, OR or the end"),
            ("count by Plan by Status", 14, "where or the end"),
            ("sum Price = 3", 10, "by, where or the end"),
            ("sum (Price = 3)", 4, "a value, not a condition"),
        ] {
            let error = MeasureExpression::parse(text).unwrap_err();
            assert_eq!(error.at(), at, "{text}: {error}");
            assert!(error.message().contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_measure_tells_what_it_is_and_reads() {
        for (text, grouped, each, reads) in [
            ("count", false, false, ""),
            ("count by A where B.c = 1", true, false, "A B"),
            ("sum C * D by each A.x where B = A", true, true, "A B C D"),
            ("sum each M", true, true, "M"),
        ] {
            let measure = MeasureExpression::parse(text).unwrap();
            let read: Vec<_> = measure.reads().into_iter().collect();
            assert_eq!((measure.is_grouped(), measure.has_each(), read.join(" ").as_str()), (grouped, each, reads));
        }
    }
}
