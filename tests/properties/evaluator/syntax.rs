//! What the texts of a definition say.

use super::decimal::Decimal;

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Name(String),
    Index(usize),
}

pub type Path = Vec<Step>;

#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Text(String),
    Number(Decimal),
    Bool(bool),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Unit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Path(Path),
    Literal(Literal),
    Time { unit: Unit, time: Box<Value>, offset_minutes: i64 },
    Before(Box<Value>, String),
    After(Box<Value>, String),
    Lower(Box<Value>),
    Concat(Vec<Value>),
    Round(Box<Value>, i64),
    Shard(Box<Value>, u64),
    Times(Box<Value>, Box<Value>),
    Plus(Box<Value>, Box<Value>),
    Minus(Box<Value>, Box<Value>),
    Negated(Box<Value>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Comparator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    Compare(Value, Comparator, Value),
    Size(Path, Comparator, Decimal),
    In(Value, Vec<Literal>),
    Between(Value, Literal, Literal),
    BeginsWith(Value, String),
    Contains(Path, Literal),
    Exists(Path),
    NotExists(Path),
    HasType(Path, String),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Amount {
    Count,
    Sum(Value),
    SumEach(Path),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Group {
    By(Value),
    ByEach(Path),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    pub amount: Amount,
    pub group: Option<Group>,
    pub condition: Option<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    Text(String),
    Hole(Value),
    Each(Path),
}

pub type Template = Vec<Piece>;
