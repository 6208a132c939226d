//! The part of DynamoDB's expression language that the roll-up speaks. What is not part of it is refused by name.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use ddb_rollup::rollup::model::attribute_type::type_name;
use ddb_rollup::rollup::model::number::Number;
use ddb_rollup::rollup::pipeline::update::Update;
use ddb_rollup::rollup::{AttributeValue, Item};

/// The longest expression, in bytes.
const MAX_BYTES: usize = 4_096;

/// The most operators and functions of an update expression.
const MAX_OPERATORS: usize = 300;

/// An update with its condition, every placeholder replaced by what it stands for.
#[derive(Debug, Default)]
pub struct Expressions {
    sets: Vec<(Path, Operand)>,
    additions: Vec<(Path, AttributeValue)>,
    tests: Vec<Test>,
    /// Operators and functions of the update expression.
    pub operators: usize,
}

/// An attribute, or an entry of a map.
type Path = Vec<String>;

#[derive(Debug)]
struct Operand {
    first: Term,
    plus: Option<Term>,
}

#[derive(Debug)]
enum Term {
    Value(AttributeValue),
    IfNotExists(Path, AttributeValue),
}

#[derive(Debug)]
enum Test {
    Exists(Path),
    NotExists(Path),
    Type(Path, AttributeValue),
}

impl Expressions {
    /// Reads an update and its condition as DynamoDB does before it looks at any item.
    pub fn read(update: &Update) -> Result<Self, String> {
        let condition = update.condition.as_deref();
        for text in [Some(update.expression.as_str()), condition].into_iter().flatten() {
            if text.len() > MAX_BYTES {
                return Err(format!("Expression size has exceeded the maximum allowed size; it is {}", text.len()));
            }
        }
        let mut expressions = Self::default();
        let mut used = BTreeSet::new();
        if !update.expression.is_empty() {
            let mut reader = Reader::new(&update.expression, update, &mut used)?;
            reader.update(&mut expressions)?;
            expressions.operators = reader.operators;
        }
        if let Some(condition) = condition {
            expressions.tests = Reader::new(condition, update, &mut used)?.condition()?;
        }
        if expressions.operators > MAX_OPERATORS {
            return Err(format!("The expression contains too many operators: {}", expressions.operators));
        }
        if let Some(unused) = update.names.keys().chain(update.values.keys()).find(|name| !used.contains(name.as_str()))
        {
            return Err(format!("Value provided but unused in expressions: {unused}"));
        }
        if update.names.values().any(String::is_empty) {
            return Err("ExpressionAttributeNames contains invalid value: an empty name".to_owned());
        }
        expressions.refuse_overlaps()?;
        Ok(expressions)
    }

    fn refuse_overlaps(&self) -> Result<(), String> {
        let paths = self.sets.iter().map(|(path, _)| path).chain(self.additions.iter().map(|(path, _)| path));
        let mut paths: Vec<&Path> = paths.collect();
        paths.sort();
        match paths.windows(2).find(|pair| pair[1].starts_with(pair[0])) {
            Some(pair) => Err(format!("Two document paths overlap with each other: {:?}, {:?}", pair[0], pair[1])),
            None => Ok(()),
        }
    }

    /// Whether an item, or its absence, meets the condition.
    pub fn hold(&self, item: Option<&Item>) -> bool {
        let find = |path: &Path| item.and_then(|item| find(item, path));
        self.tests.iter().all(|test| match test {
            Test::Exists(path) => find(path).is_some(),
            Test::NotExists(path) => find(path).is_none(),
            Test::Type(path, wanted) => {
                find(path).is_some_and(|value| *wanted == AttributeValue::S(type_name(value).to_owned()))
            }
        })
    }

    /// What an item becomes; the error is one of the item, not of the expression.
    pub fn apply(&self, before: &Item) -> Result<Item, String> {
        let mut after = before.clone();
        for (path, operand) in &self.sets {
            let value = operand.value(before)?;
            put(&mut after, path, value)?;
        }
        for (path, amount) in &self.additions {
            let value = match find(before, path) {
                None => add(&AttributeValue::N("0".to_owned()), amount)?,
                Some(value) => add(value, amount)?,
            };
            put(&mut after, path, value)?;
        }
        Ok(after)
    }
}

impl Operand {
    fn value(&self, item: &Item) -> Result<AttributeValue, String> {
        let first = self.first.value(item);
        match &self.plus {
            None => Ok(first),
            Some(term) => add(&first, &term.value(item)),
        }
    }
}

impl Term {
    fn value(&self, item: &Item) -> AttributeValue {
        match self {
            Self::Value(value) => value.clone(),
            Self::IfNotExists(path, value) => find(item, path).unwrap_or(value).clone(),
        }
    }
}

fn find<'a>(item: &'a Item, path: &Path) -> Option<&'a AttributeValue> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(item.get(first)?, |value, name| match value {
        AttributeValue::M(map) => map.get(name),
        _ => None,
    })
}

fn put(item: &mut Item, path: &Path, value: AttributeValue) -> Result<(), String> {
    let invalid = || "The document path provided in the update expression is invalid for update".to_owned();
    let (last, parents) = path.split_last().ok_or_else(invalid)?;
    let mut map: &mut HashMap<String, AttributeValue> = item;
    for name in parents {
        let Some(AttributeValue::M(inner)) = map.get_mut(name) else { return Err(invalid()) };
        map = inner;
    }
    map.insert(last.clone(), value);
    Ok(())
}

/// The sum of two numbers, if the database could keep it.
pub fn add(first: &AttributeValue, second: &AttributeValue) -> Result<AttributeValue, String> {
    let (AttributeValue::N(first), AttributeValue::N(second)) = (first, second) else {
        return Err("An operand in the update expression has an incorrect data type".to_owned());
    };
    let whole = |text: &str| text.parse::<i64>().ok();
    if let Some(sum) = whole(first).zip(whole(second)).and_then(|(first, second)| first.checked_add(second)) {
        return Ok(AttributeValue::N(sum.to_string()));
    }
    let number = |text: &str| text.parse::<Number>().map_err(|error| error.to_string());
    let mut sum = number(first)?;
    sum += &number(second)?;
    // Its text is parsed again because a sum may have more digits than a number can.
    Ok(AttributeValue::N(number(&sum.to_string())?.to_string()))
}

/// Reads one expression, word by word.
struct Reader<'a, 'u> {
    words: Vec<&'a str>,
    at: usize,
    update: &'a Update,
    used: &'u mut BTreeSet<&'a str>,
    pub operators: usize,
}

impl<'a, 'u> Reader<'a, 'u> {
    fn new(text: &'a str, update: &'a Update, used: &'u mut BTreeSet<&'a str>) -> Result<Self, String> {
        Ok(Self { words: words(text)?, at: 0, update, used, operators: 0 })
    }

    fn update(&mut self, into: &mut Expressions) -> Result<(), String> {
        if self.skip("SET") {
            loop {
                let path = self.path()?;
                self.expect("=")?;
                into.sets.push((path, self.operand()?));
                if !self.skip(",") {
                    break;
                }
            }
        }
        if self.skip("ADD") {
            loop {
                let path = self.path()?;
                into.additions.push((path, self.value()?));
                if !self.skip(",") {
                    break;
                }
            }
        }
        self.end()
    }

    fn condition(&mut self) -> Result<Vec<Test>, String> {
        let mut tests = Vec::new();
        loop {
            let function = self.word()?;
            self.expect("(")?;
            let path = self.path()?;
            tests.push(match function {
                "attribute_exists" => Test::Exists(path),
                "attribute_not_exists" => Test::NotExists(path),
                "attribute_type" => {
                    self.expect(",")?;
                    Test::Type(path, self.value()?)
                }
                other => return Err(format!("not a condition that is understood: {other:?}")),
            });
            self.expect(")")?;
            if !self.skip("AND") {
                return self.end().map(|()| tests);
            }
        }
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let first = self.term()?;
        let plus = if self.skip("+") {
            self.operators += 1;
            Some(self.term()?)
        } else {
            None
        };
        Ok(Operand { first, plus })
    }

    fn term(&mut self) -> Result<Term, String> {
        if !self.skip("if_not_exists") {
            return self.value().map(Term::Value);
        }
        self.operators += 1;
        self.expect("(")?;
        let path = self.path()?;
        self.expect(",")?;
        let value = self.value()?;
        self.expect(")")?;
        Ok(Term::IfNotExists(path, value))
    }

    fn path(&mut self) -> Result<Path, String> {
        let mut path = vec![self.name()?];
        while self.skip(".") {
            path.push(self.name()?);
        }
        Ok(path)
    }

    fn name(&mut self) -> Result<String, String> {
        let word = self.word()?;
        if !word.starts_with('#') {
            return Err(format!("a name without a placeholder, which may be a reserved word: {word:?}"));
        }
        self.used.insert(word);
        let name = self.update.names.get(word);
        name.cloned().ok_or_else(|| format!("An expression attribute name is not defined: {word}"))
    }

    fn value(&mut self) -> Result<AttributeValue, String> {
        let word = self.word()?;
        self.used.insert(word);
        let value = self.update.values.get(word);
        value.cloned().ok_or_else(|| format!("An expression attribute value is not defined: {word}"))
    }

    fn word(&mut self) -> Result<&'a str, String> {
        let word = self.words.get(self.at).copied().ok_or("the expression ends too early")?;
        self.at += 1;
        Ok(word)
    }

    fn skip(&mut self, word: &str) -> bool {
        let there = self.words.get(self.at) == Some(&word);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.skip(word) {
            return Ok(());
        }
        Err(format!("Syntax error: {word:?} is expected, there is {:?}", self.words.get(self.at)))
    }

    fn end(&self) -> Result<(), String> {
        match self.at.cmp(&self.words.len()) {
            Ordering::Less => Err(format!("Syntax error: not understood from {:?}", self.words[self.at])),
            _ if self.at == 0 => Err("the expression is empty".to_owned()),
            _ => Ok(()),
        }
    }
}

/// The words and signs of an expression.
pub fn words(text: &str) -> Result<Vec<&str>, String> {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || "#:_".contains(c);
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if part_of_word(first) => rest.find(|c| !part_of_word(c)).unwrap_or(rest.len()),
            '=' | ',' | '.' | '(' | ')' | '+' => 1,
            other => return Err(format!("Syntax error: {other:?}")),
        };
        words.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    Ok(words)
}
