//! The parts of an expression.

use std::collections::BTreeSet;

use crate::rollup::model::number::Number;

/// Where a value is in an item: an attribute, or something inside its maps and lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The item's attribute.
    pub attribute: String,
    /// The steps from there, the outermost first.
    pub steps: Vec<Step>,
}

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into a map, by a name.
    Name(String),
    /// Into a list, by an index from zero.
    Index(u32),
}

/// A value that is written in the expression.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Literal {
    /// A text, without its quotes.
    Text(String),
    Number(Number),
    /// True or false.
    Bool(bool),
}

/// An expression that gives a value for an item, or none.
///
/// Chains are flat, so that their length does not add to the depth.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// The value at a path of the item.
    Path(Path),
    /// A constant.
    Literal(Literal),
    /// `a + b - c`: the first operand, and each further one with its sign.
    Sum(Box<Value>, Vec<(Sign, Value)>),
    /// `a * b * c`.
    Product(Vec<Value>),
    /// `-a`.
    Negative(Box<Value>),
    /// The part of a time down to a unit.
    Time {
        unit: TimeUnit,
        time: Box<Value>,
        /// The offset from UTC.
        offset: Offset,
    },
    /// The text before the first mark. The mark is not empty.
    Before(Box<Value>, String),
    /// The text after the first mark. The mark is not empty.
    After(Box<Value>, String),
    /// A text in lower case.
    Lower(Box<Value>),
    /// Texts, numbers and booleans as one text.
    Concat(Vec<Value>),
    /// A number rounded half to even to so many decimals, at most [`ROUND_MAX_DECIMALS`](super::ROUND_MAX_DECIMALS).
    Round(Box<Value>, u32),
    /// One of this many texts, from `0` on, by a hash of the value.
    Shard(Box<Value>, u32),
}

/// How an operand counts in a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sign {
    /// It is added.
    Plus,
    /// It is subtracted.
    Minus,
}

/// The units that a time can be cut down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// `2026-03-05T14:07`.
    Minute,
    /// `2026-03-05T14`.
    Hour,
    /// `2026-03-05`.
    Day,
    /// `2026-W10`: the ISO week and its year.
    Week,
    /// `2026-03`.
    Month,
    /// `2026`.
    Year,
}

/// How far a local time is ahead of UTC, in minutes: less than a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Offset(pub(super) i32);

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparator {
    /// `=`.
    Equal,
    /// `<>`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
}

/// An expression that is true or false for an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Two values compared.
    Compare(Value, Comparator, Value),
    /// Equal to one of the literals.
    In(Value, Vec<Literal>),
    /// From the one literal to the other, both included.
    Between(Value, Literal, Literal),
    /// A text with this beginning.
    BeginsWith(Value, String),
    /// A text with this part, or a set or list with this element.
    Contains(Path, Literal),
    /// The path has a value.
    Exists(Path),
    /// The path has no value.
    NotExists(Path),
    /// What is there has the type, as DynamoDB writes it.
    Type(Path, &'static str),
    /// The size of what is there, compared to a number.
    Size(Path, Comparator, Number),
    /// Not true.
    Not(Box<Condition>),
    /// All of them are true.
    And(Vec<Condition>),
    /// One of them at least is true.
    Or(Vec<Condition>),
}

impl Path {
    /// The path of an attribute itself.
    #[must_use]
    pub fn attribute(name: impl Into<String>) -> Self {
        Self { attribute: name.into(), steps: Vec::new() }
    }
}

/// The distinct attributes that paths begin with.
pub(super) fn attributes(paths: Vec<&Path>) -> BTreeSet<&str> {
    paths.into_iter().map(|path| path.attribute.as_str()).collect()
}

impl Value {
    /// Every path that the expression reads, in the order of the text.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    /// The item's attributes that the expression reads.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<&str> {
        attributes(self.paths())
    }

    fn collect<'v>(&'v self, found: &mut Vec<&'v Path>) {
        match self {
            Self::Path(path) => found.push(path),
            Self::Literal(_) => {}
            Self::Sum(first, rest) => {
                first.collect(found);
                for (_, value) in rest {
                    value.collect(found);
                }
            }
            Self::Product(values) | Self::Concat(values) => {
                for value in values {
                    value.collect(found);
                }
            }
            Self::Negative(value)
            | Self::Time { time: value, .. }
            | Self::Before(value, _)
            | Self::After(value, _)
            | Self::Lower(value)
            | Self::Round(value, _)
            | Self::Shard(value, _) => value.collect(found),
        }
    }
}

impl Condition {
    /// Every path that the condition reads, in the order of the text.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    /// The item's attributes that the condition reads.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<&str> {
        attributes(self.paths())
    }

    fn collect<'c>(&'c self, found: &mut Vec<&'c Path>) {
        match self {
            Self::Compare(left, _, right) => {
                left.collect(found);
                right.collect(found);
            }
            Self::In(value, _) | Self::Between(value, _, _) | Self::BeginsWith(value, _) => value.collect(found),
            Self::Contains(path, _)
            | Self::Exists(path)
            | Self::NotExists(path)
            | Self::Type(path, _)
            | Self::Size(path, _, _) => found.push(path),
            Self::Not(condition) => condition.collect(found),
            Self::And(conditions) | Self::Or(conditions) => {
                for condition in conditions {
                    condition.collect(found);
                }
            }
        }
    }
}
