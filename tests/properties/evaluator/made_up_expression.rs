//! Expressions that are made up, as text: not from a tree, so that precedence and spelling are left to the readers.

use fastrand::Rng;

use super::made_up_item::{ATTRIBUTES, NUMBERS, TEXTS, Usually, percent, pick, pick_usual};

const NESTED: [&str; 12] = [
    "Doc.Owner",
    "Doc.Lines[0].`Unit Price`",
    "Doc . Lines [ 1 ] . Name",
    "Doc.Lines[2]",
    "Doc.`in`",
    "Doc.in.Owner",
    "Doc.Tags[0]",
    "Tags[1]",
    "Labels[0].a",
    "Tags[99999999]",
    "Absent",
    "Absent.Below[0]",
];

/// A keyword or a function, in any case.
fn word(rng: &mut Rng, word: &str) -> String {
    match rng.u32(..6) {
        0 => word.to_ascii_uppercase(),
        1 => word.chars().map(|c| if rng.bool() { c.to_ascii_uppercase() } else { c }).collect(),
        _ => word.to_owned(),
    }
}

fn space(rng: &mut Rng) -> &'static str {
    pick(rng, &[" ", " ", " ", "  ", "\n", "\t", "\r\n"])
}

/// Space where none is needed.
fn gap(rng: &mut Rng) -> &'static str {
    if percent(rng, 20) { space(rng) } else { "" }
}

pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub fn text_literal(rng: &mut Rng) -> String {
    quoted(pick_usual(rng, &TEXTS))
}

fn number_literal(rng: &mut Rng) -> String {
    // A point with no digit before it is a number of an item, and not of the language.
    let numbers: Vec<&str> = NUMBERS.into_iter().filter(|number| !number.starts_with('.')).collect();
    pick_usual(rng, &numbers).to_owned()
}

fn literal(rng: &mut Rng) -> String {
    match rng.u32(..7) {
        0 => word(rng, "true"),
        1 => word(rng, "false"),
        2 | 3 => number_literal(rng),
        _ => text_literal(rng),
    }
}

/// A path, most often to an attribute that is usually so.
pub fn path(rng: &mut Rng, usually: Usually) -> String {
    let fitting: Vec<&str> = ATTRIBUTES.iter().filter(|(.., kind)| *kind == usually).map(|(path, ..)| *path).collect();
    match (rng.u32(..10), usually) {
        (0, _) => pick(rng, &NESTED).to_owned(),
        (1, _) => pick(rng, &ATTRIBUTES).0.to_owned(),
        (2, Usually::Text) => "Doc.Owner".to_owned(),
        (2, Usually::Number) => "Doc.Lines[0].`Unit Price`".to_owned(),
        (2, Usually::Elements) => "Doc.Tags".to_owned(),
        (2, Usually::Numbers) => "Doc.Weights".to_owned(),
        _ => pick(rng, &fitting).to_owned(),
    }
}

fn call(rng: &mut Rng, name: &str, arguments: &[String]) -> String {
    let separator = [gap(rng), ",", gap(rng)].concat();
    [&word(rng, name), gap(rng), "(", gap(rng), &arguments.join(&separator), gap(rng), ")"].concat()
}

pub fn any_value(rng: &mut Rng, levels: u32) -> String {
    match rng.u32(..10) {
        0..4 => number_value(rng, levels),
        4..8 => text_value(rng, levels),
        8 => literal(rng),
        _ => pick(rng, &ATTRIBUTES).0.to_owned(),
    }
}

pub fn number_value(rng: &mut Rng, levels: u32) -> String {
    if levels == 0 || percent(rng, 35) {
        return if percent(rng, 80) { path(rng, Usually::Number) } else { number_literal(rng) };
    }
    match rng.u32(..8) {
        0 => {
            let rounded = number_value(rng, levels - 1);
            let decimals = rng.u32(..18).to_string();
            call(rng, "round", &[rounded, decimals])
        }
        1 => ["-", gap(rng), &number_value(rng, levels - 1)].concat(),
        2 => ["(", gap(rng), &number_value(rng, levels - 1), gap(rng), ")"].concat(),
        _ => {
            let operator = pick(rng, &["+", "-", "*", "*"]);
            let (left, right) = (number_value(rng, levels - 1), number_value(rng, levels - 1));
            [&left, gap(rng), operator, gap(rng), &right].concat()
        }
    }
}

/// Parts of times, and parts of texts.
pub fn text_value(rng: &mut Rng, levels: u32) -> String {
    if levels == 0 || percent(rng, 30) {
        return if percent(rng, 85) { path(rng, Usually::Text) } else { text_literal(rng) };
    }
    match rng.u32(..12) {
        0..5 => {
            let unit = pick(rng, &["minute", "hour", "day", "week", "month", "year"]);
            let time = if percent(rng, 90) { path(rng, Usually::Time) } else { any_value(rng, levels - 1) };
            let mut arguments = vec![time];
            if percent(rng, 30) {
                arguments
                    .push(quoted(pick(rng, &["+01:00", "-05:30", "+14:00", "-12:00", "+00:00", "-23:59", "+23:59"])));
            }
            call(rng, unit, &arguments)
        }
        5 | 6 => {
            let name = pick(rng, &["before", "after"]);
            let mark = quoted(pick(rng, &["#", "#", "#", "😀", "'", "6#", "{", "}", "O"]));
            let value = text_value(rng, levels - 1);
            call(rng, name, &[value, mark])
        }
        7 => {
            let value = text_value(rng, levels - 1);
            call(rng, "lower", &[value])
        }
        8 | 9 => {
            let parts: Vec<String> = (0..rng.usize(1..4)).map(|_| any_value(rng, levels - 1)).collect();
            call(rng, "concat", &parts)
        }
        10 => ["(", gap(rng), &text_value(rng, levels - 1), gap(rng), ")"].concat(),
        _ => {
            let value = any_value(rng, levels - 1);
            let count = pick(rng, &["2", "3", "10", "1000"]).to_owned();
            call(rng, "shard", &[value, count])
        }
    }
}

fn comparator(rng: &mut Rng) -> &'static str {
    pick(rng, &["=", "<>", "<", "<=", ">", ">="])
}

pub fn condition(rng: &mut Rng, levels: u32) -> String {
    let (spaces, gaps) = ([space(rng), space(rng)], [gap(rng), gap(rng)]);
    if levels > 0 && percent(rng, 45) {
        return match rng.u32(..4) {
            0 => [&word(rng, "not"), spaces[0], &condition(rng, levels - 1)].concat(),
            1 => ["(", gaps[0], &condition(rng, levels - 1), gaps[1], ")"].concat(),
            _ => {
                let operator = pick(rng, &["and", "or", "or"]);
                let (left, right) = (condition(rng, levels - 1), condition(rng, levels - 1));
                [&left, spaces[0], &word(rng, operator), spaces[1], &right].concat()
            }
        };
    }
    predicate(rng, levels)
}

fn predicate(rng: &mut Rng, levels: u32) -> String {
    let usually = pick(rng, &ATTRIBUTES).2;
    match rng.u32(..14) {
        0..3 => {
            let (left, right) = match rng.u32(..5) {
                0 | 1 => (number_value(rng, levels), number_value(rng, levels)),
                2 | 3 => (text_value(rng, levels), text_value(rng, levels)),
                _ => (any_value(rng, levels), any_value(rng, levels)),
            };
            [&left, gap(rng), comparator(rng), gap(rng), &right].concat()
        }
        3 if rng.bool() => {
            let pairs =
                [("Tags", "Labels"), ("Raw2", "Raw"), ("Price", "`Unit Price`"), ("PK", "SK"), ("Doc", "Weights")];
            let (left, right) = pick(rng, &pairs);
            [left, gap(rng), comparator(rng), gap(rng), right].concat()
        }
        3 => [&path(rng, usually), gap(rng), comparator(rng), gap(rng), &path(rng, usually)].concat(),
        4 => [&path(rng, usually), " ", comparator(rng), " ", &literal(rng)].concat(),
        5 | 6 => {
            let value = if rng.bool() { path(rng, Usually::Text) } else { any_value(rng, levels) };
            let literals: Vec<String> = (0..rng.usize(1..5)).map(|_| literal(rng)).collect();
            [&value, space(rng), &word(rng, "in"), gap(rng), "(", &literals.join(", "), ")"].concat()
        }
        7 | 8 => {
            let (low, high) = ordered_literals(rng);
            let value = if rng.bool() { path(rng, usually) } else { any_value(rng, levels) };
            [
                &value,
                space(rng),
                &word(rng, "between"),
                space(rng),
                &low,
                space(rng),
                &word(rng, "and"),
                space(rng),
                &high,
            ]
            .concat()
        }
        9 => {
            let value = if rng.bool() { path(rng, Usually::Text) } else { text_value(rng, levels) };
            let beginning =
                if rng.bool() { quoted(pick(rng, &["ORDER#", "a", "20", "", "p"])) } else { text_literal(rng) };
            call(rng, "begins_with", &[value, beginning])
        }
        10 => {
            let searched = pick(rng, &[Usually::Text, Usually::Elements, Usually::Elements]);
            let part = if percent(rng, 30) { number_literal(rng) } else { literal(rng) };
            let path = path(rng, searched);
            call(rng, "contains", &[path, part])
        }
        11 => {
            let name = pick(rng, &["attribute_exists", "attribute_not_exists"]);
            let path = path(rng, usually);
            call(rng, name, &[path])
        }
        12 => {
            let kind = quoted(pick(rng, &["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"]));
            let path = path(rng, usually);
            call(rng, "attribute_type", &[path, kind])
        }
        _ => {
            let path = path(rng, usually);
            let number = pick(rng, &["0", "1", "2", "3", "12", "1.5", "-1"]);
            [&call(rng, "size", &[path]), gap(rng), comparator(rng), gap(rng), number].concat()
        }
    }
}

/// Two literals of one type, in their order.
fn ordered_literals(rng: &mut Rng) -> (String, String) {
    if rng.bool() {
        let mut texts = [pick(rng, &TEXTS), pick(rng, &TEXTS)];
        texts.sort_unstable();
        return (quoted(texts[0]), quoted(texts[1]));
    }
    let (low, high) = pick(rng, &[("0", "3"), ("-2.5", "1e3"), ("-1E125", "1e125"), ("007", "7"), ("-1", "-1")]);
    (low.to_owned(), high.to_owned())
}

pub fn measure(rng: &mut Rng) -> String {
    let amount = match rng.u32(..10) {
        0..4 => word(rng, "count"),
        4..6 => [&word(rng, "sum"), space(rng), &number_value(rng, 2)].concat(),
        6 => {
            let (value, decimals) = (number_value(rng, 1), rng.u32(..31).to_string());
            [&word(rng, "sum"), space(rng), &call(rng, "round", &[value, decimals])].concat()
        }
        7 => [&word(rng, "sum"), space(rng), &any_value(rng, 1)].concat(),
        _ => [&word(rng, "sum"), space(rng), &word(rng, "each"), space(rng), &path(rng, Usually::Numbers)].concat(),
    };
    let is_each = amount.to_ascii_lowercase().split_whitespace().nth(1) == Some("each");
    let mut measure = amount;
    if !is_each && percent(rng, 60) {
        measure += space(rng);
        measure += &word(rng, "by");
        measure += space(rng);
        if percent(rng, 40) {
            measure += &[&word(rng, "each"), space(rng), &path(rng, Usually::Elements)].concat();
        } else {
            measure += &any_value(rng, 2);
        }
    }
    if percent(rng, 35) {
        measure += space(rng);
        measure += &[&word(rng, "where"), space(rng), &condition(rng, 2)].concat();
    }
    measure
}
