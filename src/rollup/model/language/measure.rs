//! What an item adds to one measure.

use std::collections::BTreeSet;
use std::fmt;

use crate::rollup::model::language::cursor::Parser;
use crate::rollup::model::language::elements::is_group_name;
use crate::rollup::model::language::error::SyntaxError;
use crate::rollup::model::language::evaluate::Datum;
use crate::rollup::model::language::group::Group;
use crate::rollup::model::language::syntax::{Condition, Path, Value, attributes};
use crate::rollup::model::language::{AMOUNT_DECIMALS, AMOUNT_DIGITS};
use crate::rollup::model::number::Number;
use crate::rollup::{AttributeValue, Item};

/// Measures that a delta cannot keep, each with what to do instead.
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
pub struct Measure {
    /// What one item counts for.
    pub kind: MeasureKind,
    /// What the measure is kept by; nothing for one number, and always nothing for [`MeasureKind::SumEach`].
    pub by: Option<Group>,
    /// Of which items it is; nothing for all.
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
    /// The amounts, each with its group, if the measure has groups. No group is there twice. An amount may be zero.
    pub amounts: Vec<(Option<String>, Number)>,
    /// How many values or elements could not name a group; see [`Groups`](super::Groups).
    pub ungrouped: usize,
}

/// The item has an amount that the view cannot count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the amount is out of bounds: rounded to {decimals} decimals it may have {whole_digits} digits before the point"
)]
pub struct UncountableAmount {
    /// The decimals that an amount of this measure is rounded to.
    pub decimals: u32,
    /// The digits before the point that it may have.
    pub whole_digits: u32,
}

impl Measure {
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

    /// What an item adds to the measure: nothing if the condition is not true of it, or if what is summed has no value
    /// or is no number.
    ///
    /// # Errors
    /// When an amount is out of bounds. It is looked at whether the item has a group or not.
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
    /// Says what to do instead where the token is a measure that is not kept.
    fn refuse_measures(&self) -> Result<(), SyntaxError> {
        let Some((word, instead)) = REFUSED.into_iter().find(|(word, _)| self.is_keyword(word)) else { return Ok(()) };
        let message = format!(
            "expected count or sum: {word} cannot be kept exactly when items are changed or deleted; {instead}"
        );
        Err(self.refuse(self.range(), message))
    }
}

/// How many digits an amount may have on each side of the point.
struct Window {
    decimals: u32,
}

impl Window {
    /// The usual window, unless the whole amount is rounded.
    fn of(value: &Value) -> Self {
        Self { decimals: if let Value::Round(_, decimals) = value { *decimals } else { AMOUNT_DECIMALS } }
    }

    /// The amount that an exact number is.
    fn amount(&self, number: &Number) -> Result<Number, UncountableAmount> {
        let amount = number.rounded(self.decimals);
        let fits = amount.whole_digits() <= u64::from(self.whole_digits());
        if fits { Ok(amount) } else { Err(self.exceeded()) }
    }

    fn exceeded(&self) -> UncountableAmount {
        UncountableAmount { decimals: self.decimals, whole_digits: self.whole_digits() }
    }

    fn whole_digits(&self) -> u32 {
        AMOUNT_DIGITS - self.decimals
    }
}

/// The entries of a map of numbers. What is no number is skipped, and what is no map has no entries.
fn entries(value: Option<&AttributeValue>) -> Result<Amounts, UncountableAmount> {
    let mut found = Amounts::default();
    let Some(AttributeValue::M(map)) = value else { return Ok(found) };
    let window = Window { decimals: AMOUNT_DECIMALS };
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

impl fmt::Display for Measure {
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
