//! The language of definitions: no text makes it panic, and each thing that it reads has one text.

use std::collections::HashMap;

use ddb_rollup::rollup::model::language::{
    Amounts, Comparator, Condition, Datum, Group, Known, Literal, MeasureExpression, MeasureKind, Path, Sign, Step,
    SyntaxError, Template, TimeUnit, Value,
};
use ddb_rollup::rollup::model::number::Number;
use ddb_rollup::rollup::{AttributeValue, Item};
use proptest::prelude::*;

use crate::cases;

/// Words of the language and of others, from which nearly right texts are made.
const WORDS: [&str; 62] = [
    "count",
    "sum",
    "each",
    "by",
    "where",
    "a",
    "B",
    "`c d`",
    "a.b[2]",
    "'text'",
    "'it''s'",
    "''",
    "1",
    "-2.5",
    "1e3",
    ".5",
    "true",
    "FALSE",
    "minute",
    "day(",
    "week(",
    "before(",
    "after(",
    "lower(",
    "concat(",
    "round(",
    "shard(",
    "'+01:00'",
    "begins_with(",
    "contains(",
    "attribute_exists(",
    "attribute_type(",
    "size(",
    "'NULL'",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "+",
    "-",
    "*",
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "IN",
    "BETWEEN",
    "AND",
    "OR",
    "NOT",
    "null",
    "'",
    "`",
    "{",
    "}",
    "{{",
    "\u{e4}",
    "\u{1F600}",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&["A", "B", "C", "D", "E", "F"][..]).prop_map(str::to_owned),
        "[A-Za-z_][A-Za-z0-9_]{0,3}",
        prop::sample::select(&["and", "By", "WHERE", "null", "a b", "`", "2nd", "\u{e4}", "}", "'"][..])
            .prop_map(str::to_owned),
        any::<String>().prop_filter("an attribute has a name", |name| !name.is_empty()),
    ]
}

fn path() -> impl Strategy<Value = Path> {
    let step =
        prop_oneof![name().prop_map(Step::Name), (0..3_u32).prop_map(Step::Index), any::<u32>().prop_map(Step::Index)];
    (name(), prop::collection::vec(step, 0..3)).prop_map(|(attribute, steps)| Path { attribute, steps })
}

fn number() -> impl Strategy<Value = Number> {
    (-1_000_000..1_000_000_i64, -30..30_i32)
        .prop_map(|(digits, exponent)| format!("{digits}e{exponent}").parse().unwrap())
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        prop_oneof![any::<String>(), "[a-c'{}]{0,3}"].prop_map(Literal::Text),
        number().prop_map(Literal::Number),
        any::<bool>().prop_map(Literal::Bool)
    ]
}

fn mark() -> impl Strategy<Value = String> {
    prop_oneof!["[#'a]{1,2}", any::<String>()].prop_filter("a mark is not empty", |mark| !mark.is_empty())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![path().prop_map(Value::Path), literal().prop_map(Value::Literal)];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let several = || prop::collection::vec(inner.clone(), 1..4);
        let unit = prop::sample::select(vec![
            TimeUnit::Minute,
            TimeUnit::Hour,
            TimeUnit::Day,
            TimeUnit::Week,
            TimeUnit::Month,
            TimeUnit::Year,
        ]);
        let offset = prop::sample::select(&["+00:00", "+01:00", "-05:30", "-00:01", "+23:59"][..]);
        // An offset has no other maker than the parser.
        let time = (unit, boxed(), offset).prop_map(|(unit, time, offset)| {
            let Ok(Value::Time { offset, .. }) = Value::parse(&format!("day(A, '{offset}')")) else {
                panic!("{offset}")
            };
            Value::Time { unit, time, offset }
        });
        let sign = prop_oneof![Just(Sign::Plus), Just(Sign::Minus)];
        prop_oneof![
            (boxed(), prop::collection::vec((sign, inner.clone()), 1..3))
                .prop_map(|(first, rest)| Value::Sum(first, rest)),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Value::Product),
            boxed().prop_map(Value::Negative),
            time,
            (boxed(), mark()).prop_map(|(value, mark)| Value::Before(value, mark)),
            (boxed(), mark()).prop_map(|(value, mark)| Value::After(value, mark)),
            boxed().prop_map(Value::Lower),
            several().prop_map(Value::Concat),
            (boxed(), 0..=30_u32).prop_map(|(value, decimals)| Value::Round(value, decimals)),
            (boxed(), 2..=1_000_u32).prop_map(|(value, shards)| Value::Shard(value, shards)),
        ]
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let comparator = || {
        prop::sample::select(vec![
            Comparator::Equal,
            Comparator::NotEqual,
            Comparator::Less,
            Comparator::LessOrEqual,
            Comparator::Greater,
            Comparator::GreaterOrEqual,
        ])
    };
    let kind = prop::sample::select(&["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"][..]);
    let leaf = prop_oneof![
        4 => (value(), comparator(), value()).prop_map(|(left, by, right)| Condition::Compare(left, by, right)),
        1 => (value(), prop::collection::vec(literal(), 1..4)).prop_map(|(value, literals)| Condition::In(value, literals)),
        1 => (value(), literal(), literal()).prop_map(|(value, low, high)| Condition::Between(value, low, high)),
        1 => (value(), any::<String>()).prop_map(|(value, text)| Condition::BeginsWith(value, text)),
        1 => (path(), literal()).prop_map(|(path, literal)| Condition::Contains(path, literal)),
        1 => path().prop_map(Condition::Exists),
        1 => path().prop_map(Condition::NotExists),
        1 => (path(), kind).prop_map(|(path, kind)| Condition::Type(path, kind)),
        1 => (path(), comparator(), number()).prop_map(|(path, by, number)| Condition::Size(path, by, number)),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let several = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            inner.clone().prop_map(|condition| Condition::Not(Box::new(condition))),
            several().prop_map(Condition::And),
            several().prop_map(Condition::Or),
        ]
    })
}

fn measure() -> impl Strategy<Value = MeasureExpression> {
    let group = prop_oneof![value().prop_map(Group::Of), path().prop_map(Group::Each)];
    let kind = prop_oneof![
        Just(MeasureKind::Count),
        value().prop_map(MeasureKind::Sum),
        path().prop_map(MeasureKind::SumEach)
    ];
    (kind, prop::option::of(group), prop::option::of(condition())).prop_map(|(kind, by, condition)| {
        let by = by.filter(|_| !matches!(kind, MeasureKind::SumEach(_)));
        MeasureExpression { kind, by, condition }
    })
}

/// The text of a template, of which the parts are right.
fn template() -> impl Strategy<Value = String> {
    let literal =
        prop_oneof![any::<String>(), "[A-C#{}]{0,3}"].prop_map(|text| text.replace('{', "{{").replace('}', "}}"));
    let each = path().prop_map(|path| format!("{{each {path}}}"));
    let parts = prop::collection::vec((literal.clone(), value().prop_map(|value| format!("{{{value}}}"))), 0..3);
    (parts, prop::option::of(each), literal).prop_map(|(parts, each, literal)| {
        let parts = parts.into_iter().map(|(literal, hole)| literal + &hole).collect::<String>();
        parts + &each.unwrap_or_default() + &literal
    })
}

/// Any attribute, of a depth that is worth looking into.
fn attribute() -> impl Strategy<Value = AttributeValue> {
    let text = || prop_oneof![any::<String>(), "[a-c#]{0,4}", Just("2026-03-05T14:07:00Z".to_owned())];
    let number = || prop_oneof![number().prop_map(|number| number.to_string()), Just("9e125".into()), Just("x".into())];
    let leaf = prop_oneof![
        text().prop_map(AttributeValue::S),
        number().prop_map(AttributeValue::N),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null(true)),
        any::<Vec<u8>>().prop_map(AttributeValue::B),
        prop::collection::vec(text(), 0..3).prop_map(AttributeValue::Ss),
        prop::collection::vec(number(), 0..3).prop_map(AttributeValue::Ns),
    ];
    leaf.prop_recursive(2, 8, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(AttributeValue::L),
            prop::collection::hash_map(name(), inner, 0..3).prop_map(AttributeValue::M),
        ]
    })
}

fn item() -> impl Strategy<Value = Item> {
    prop::collection::hash_map(name(), attribute(), 0..8).prop_map(Item::from)
}

/// Reads a text as everything that it could be. What is read has a text that is read as the same, and can be evaluated.
fn read(text: &str, item: &Item) {
    fn place(text: &str, error: &SyntaxError) {
        assert!(text.get(error.at()..).is_some_and(|rest| rest.starts_with(error.found())), "{text:?}: {error:?}");
        assert!(!error.message().is_empty() && !error.to_string().contains('\n'), "{text:?}: {error}");
    }
    // The canonical text may be longer than a text may be: a number is written without an exponent.
    let short = |text: &str| text.len() <= 4_096;
    match Value::parse(text) {
        Ok(value) => {
            let canonical = value.to_string();
            assert!(!short(&canonical) || Value::parse(&canonical) == Ok(value.clone()), "{text:?}");
            let _ = value.of(item);
        }
        Err(error) => place(text, &error),
    }
    match Condition::parse(text) {
        Ok(condition) => {
            let canonical = condition.to_string();
            assert!(!short(&canonical) || Condition::parse(&canonical) == Ok(condition.clone()), "{text:?}");
            let _ = condition.holds(item);
        }
        Err(error) => place(text, &error),
    }
    match MeasureExpression::parse(text) {
        Ok(measure) => {
            let canonical = measure.to_string();
            assert!(!short(&canonical) || MeasureExpression::parse(&canonical) == Ok(measure.clone()), "{text:?}");
            let _ = measure.of(item);
        }
        Err(error) => place(text, &error),
    }
    match Template::parse(text) {
        Ok(template) => {
            let canonical = template.to_string();
            assert!(!short(&canonical) || Template::parse(&canonical) == Ok(template.clone()), "{text:?}");
            let _ = template.of(item);
        }
        Err(error) => place(text, &error),
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn no_text_makes_it_panic(bytes in any::<Vec<u8>>(), text in any::<String>(), item in item()) {
        read(&String::from_utf8_lossy(&bytes), &item);
        read(&text, &item);
    }

    #[test]
    fn no_words_make_it_panic(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..12), spaces in any::<bool>(), item in item()) {
        let text = words.join(if spaces { " " } else { "" });
        read(&text, &item);
        for start in ["count where ", "sum ", "count by ", "A{", "a = 1 AND "] {
            read(&format!("{start}{text}"), &item);
        }
    }

    #[test]
    fn a_right_text_with_something_wrong_in_it(measure in measure(), place in any::<prop::sample::Index>(), word in prop::sample::select(&WORDS[..]), cut in any::<bool>(), item in item()) {
        let mut text = measure.to_string();
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        let place = places[place.index(places.len())];
        if cut { text.truncate(place) } else { text.insert_str(place, word) }
        read(&text, &item);
    }

    #[test]
    fn nesting_of_any_kind_is_bounded(opens in prop::collection::vec(prop::sample::select(&["(", "-", "NOT ", "lower(", "a + (", "1 * -", "a = 1 OR ("][..]), 30..600), item in item()) {
        let text = opens.concat();
        read(&text, &item);
        read(&format!("{text}a = 1{}", ")".repeat(opens.len())), &item);
    }

    #[test]
    fn what_is_written_is_read_as_the_same(value in value(), condition in condition(), measure in measure()) {
        prop_assert_eq!(Value::parse(&value.to_string()), Ok(value));
        prop_assert_eq!(Condition::parse(&condition.to_string()), Ok(condition));
        prop_assert_eq!(MeasureExpression::parse(&measure.to_string()), Ok(measure));
    }

    #[test]
    fn a_template_fits_what_it_makes(text in template().prop_filter("it is not empty", |text| !text.is_empty()), item in item()) {
        let template = Template::parse(&text).unwrap();
        prop_assert_eq!(Template::parse(&template.to_string()), Ok(template.clone()));
        for made in template.of(&item).into_iter().flatten() {
            let Datum::Text(made) = made else {
                prop_assert!(template.is_single_hole(), "only a lone hole gives another type");
                continue;
            };
            prop_assert!(template.fits(&made), "{} could have made {}", template, made);
        }
    }

    #[test]
    fn what_an_expression_does_not_read_has_no_effect(measure in measure(), item in item(), other in item()) {
        let reads = measure.reads();
        let ours = item.inner().iter().filter(|(name, _)| reads.contains(name.as_str()));
        let theirs = other.inner().iter().filter(|(name, _)| !reads.contains(name.as_str()));
        let mixed: HashMap<String, AttributeValue> = ours.chain(theirs).map(|(name, value)| (name.clone(), value.clone())).collect();
        prop_assert_eq!(measure.of(&item), measure.of(&Item::from(mixed)));
    }

    #[test]
    fn an_amount_stays_within_its_window(measure in measure(), item in item()) {
        let decimals = match &measure.kind {
            MeasureKind::Sum(Value::Round(_, decimals)) => u64::from(*decimals),
            _ => 17,
        };
        let Ok(Amounts { amounts, .. }) = measure.of(&item) else { return Ok(()) };
        let groups: std::collections::HashSet<_> = amounts.iter().map(|(group, _)| group).collect();
        prop_assert_eq!(groups.len(), amounts.len(), "no group is there twice");
        for (group, amount) in &amounts {
            prop_assert!(amount.decimals() <= decimals && amount.whole_digits() <= 30 - decimals, "{}", amount);
            prop_assert!(amount.is_storable());
            prop_assert_eq!(group.is_some(), measure.is_grouped());
            prop_assert!(group.as_ref().is_none_or(|group| (1..=1_024).contains(&group.len())));
        }
    }

    #[test]
    fn what_holds_could_hold_by_any_part_of_what_is_known(condition in condition(), item in item(), choices in any::<[u8; 16]>()) {
        let known = |name: &str| {
            let choice = choices[name.bytes().fold(0, |sum, byte| (sum + usize::from(byte)) % 16)];
            match (item.get(name), choice % 4) {
                (None, 0) | (_, 1) => Known::Nothing,
                (None, _) => Known::Absent,
                (Some(AttributeValue::S(text)), 2) => {
                    let beginning = text.chars().take(usize::from(choice / 64)).collect::<String>();
                    Known::Beginning(beginning.into())
                }
                (Some(_), 3) => Known::Something,
                (Some(value), _) => Known::Value(Datum::of_attribute(value)),
            }
        };
        let negation = Condition::Not(Box::new(condition.clone()));
        let holding = if condition.holds(&item) { &condition } else { &negation };
        prop_assert!(holding.could_hold(&known), "{}", holding);
    }

    #[test]
    fn a_condition_and_its_negation_are_never_alike(condition in condition(), item in item()) {
        let negation = Condition::Not(Box::new(condition.clone()));
        prop_assert_ne!(condition.holds(&item), negation.holds(&item));
    }
}
