//! The canonical text of an expression. Parsing it gives the same expression. Fingerprints are made from these texts,
//! so a change of them is a new version of the language.

use std::fmt;

use crate::rollup::model::language::syntax::{
    Comparator, Condition, Literal, Offset, Path, Sign, Step, TimeUnit, Value,
};
use crate::rollup::model::language::token::{is_plain_name, is_reserved};
use crate::rollup::model::number::Number;

/// A name, in backquotes where it needs them.
struct Name<'n>(&'n str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain_name(self.0) && !is_reserved(self.0) {
            return f.write_str(self.0);
        }
        write!(f, "`{}`", self.0.replace('`', "``"))
    }
}

/// A text in quotes.
struct Quoted<'t>(&'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

/// Things with a mark between them.
struct Joined<'t, T>(&'t [T], &'static str);

impl<T: fmt::Display> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, one) in self.0.iter().enumerate() {
            let mark = if place == 0 { "" } else { self.1 };
            write!(f, "{mark}{one}")?;
        }
        Ok(())
    }
}

/// An operand, in parentheses where it would otherwise be read as part of what is around it.
struct Part<T>(T, bool);

impl<T: fmt::Display> fmt::Display for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 { write!(f, "({})", self.0) } else { self.0.fmt(f) }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Name(&self.attribute).fmt(f)?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Name(name) => write!(f, ".{}", Name(name)),
            Step::Index(index) => write!(f, "[{index}]"),
        })
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => Quoted(text).fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Bool(value) => value.fmt(f),
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        let minutes = self.0.abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        })
    }
}

impl fmt::Display for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Literal(literal) => literal.fmt(f),
            Self::Sum(first, rest) => {
                write!(f, "{}", self.operand(first))?;
                rest.iter().try_for_each(|(sign, value)| {
                    let sign = if *sign == Sign::Plus { '+' } else { '-' };
                    write!(f, " {sign} {}", self.operand(value))
                })
            }
            Self::Product(factors) => {
                let factors: Vec<_> = factors.iter().map(|factor| self.operand(factor)).collect();
                Joined(&factors, " * ").fmt(f)
            }
            Self::Negative(value) => write!(f, "-{}", self.operand(value)),
            Self::Time { unit, time, offset: Offset(0) } => write!(f, "{unit}({time})"),
            Self::Time { unit, time, offset } => write!(f, "{unit}({time}, '{offset}')"),
            Self::Before(value, mark) => write!(f, "before({value}, {})", Quoted(mark)),
            Self::After(value, mark) => write!(f, "after({value}, {})", Quoted(mark)),
            Self::Lower(value) => write!(f, "lower({value})"),
            Self::Concat(parts) => write!(f, "concat({})", Joined(parts, ", ")),
            Self::Round(value, decimals) => write!(f, "round({value}, {decimals})"),
            Self::Shard(value, shards) => write!(f, "shard({value}, {shards})"),
        }
    }
}

impl Value {
    /// An operand of this sum, product or negative.
    fn operand<'v>(&self, operand: &'v Value) -> Part<&'v Value> {
        let apart = match (self, operand) {
            (Self::Sum(..), Self::Sum(..))
            | (Self::Product(_) | Self::Negative(_), Self::Sum(..) | Self::Product(_)) => true,
            // `-5` is a literal, and not the negative of one.
            (Self::Negative(_), Self::Literal(Literal::Number(number))) => *number >= Number::zero(),
            _ => false,
        };
        Part(operand, apart)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(left, comparator, right) => write!(f, "{left} {comparator} {right}"),
            Self::In(value, literals) => write!(f, "{value} IN ({})", Joined(literals, ", ")),
            Self::Between(value, low, high) => write!(f, "{value} BETWEEN {low} AND {high}"),
            Self::BeginsWith(value, beginning) => write!(f, "begins_with({value}, {})", Quoted(beginning)),
            Self::Contains(path, literal) => write!(f, "contains({path}, {literal})"),
            Self::Exists(path) => write!(f, "attribute_exists({path})"),
            Self::NotExists(path) => write!(f, "attribute_not_exists({path})"),
            Self::Type(path, kind) => write!(f, "attribute_type({path}, '{kind}')"),
            Self::Size(path, comparator, number) => write!(f, "size({path}) {comparator} {number}"),
            Self::Not(condition) => write!(f, "NOT {}", self.part(condition)),
            Self::And(conditions) => {
                let parts: Vec<_> = conditions.iter().map(|condition| self.part(condition)).collect();
                Joined(&parts, " AND ").fmt(f)
            }
            Self::Or(conditions) => {
                let parts: Vec<_> = conditions.iter().map(|condition| self.part(condition)).collect();
                Joined(&parts, " OR ").fmt(f)
            }
        }
    }
}

impl Condition {
    /// A part of this negation or chain.
    fn part<'c>(&self, part: &'c Condition) -> Part<&'c Condition> {
        let apart = match self {
            Self::Or(_) => matches!(part, Self::Or(_)),
            _ => matches!(part, Self::Or(_) | Self::And(_)),
        };
        Part(part, apart)
    }
}
