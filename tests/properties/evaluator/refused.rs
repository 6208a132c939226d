//! Definitions that the contract does not have: each is refused with words that help.

use ddb_rollup::rollup::model::definition::{self, Defaults};
use ddb_rollup::rollup::model::view::OnMissingViewItem;

/// Why a definition of a view on a table is refused.
fn refusal(definition: &str, view_table: &str) -> String {
    let defaults = Defaults { source_table: "Source", view_table, on_missing: OnMissingViewItem::Create };
    match definition::read(definition, &defaults) {
        Ok(_) => panic!("it is not refused: {definition}"),
        Err(error) => error.to_string(),
    }
}

/// Each text is made a definition, whose refusal must have the words.
fn are_refused(cases: &[(&str, &str)], view_table: &str, definition: impl Fn(&str) -> String) {
    for (text, words) in cases {
        let message = refusal(&definition(text), view_table);
        assert!(message.contains(words), "{text}: {message}");
    }
}

const KEY: &str = r#""key": [{ "attribute": "Id", "type": "S" }]"#;

fn of_measure(measure: &str) -> String {
    format!(r#"{{ {KEY}, "measures": {{ "M": {} }} }}"#, serde_json::Value::from(measure))
}

fn of_condition(condition: &str) -> String {
    format!(r#"{{ "where": {}, {KEY}, "measures": {{ "M": "count" }} }}"#, serde_json::Value::from(condition))
}

fn of_key(parts: &str) -> String {
    format!(r#"{{ "key": [{parts}], "measures": {{ "M": "count" }} }}"#)
}

fn of_template(template: &str) -> String {
    of_key(&format!(r#"{{ "attribute": "Id", "type": "S", "value": {} }}"#, serde_json::Value::from(template)))
}

#[test]
fn documents_that_are_no_definition_are_refused() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let view = |view: &str| format!(r#"{{ "views": [{{ {view} }}] }}"#);
    let named = |name: &str| view(&format!(r#""name": "{name}", {KEY}, "measures": {{ "M": "count" }}"#));
    let long = named(&"n".repeat(65));
    let (spaced, unnamed) = (named("a b"), named(""));
    let nameless = view(&format!(r#"{KEY}, "measures": {{ "M": "count" }}"#));
    let unknown_in_view = view(&format!(r#""name": "v", {KEY}, "measures": {{ "M": "count" }}, "filter": "A = 1""#));
    let twice_in_view = view(&format!(r#""name": "v", "name": "v", {KEY}, "measures": {{ "M": "count" }}"#));
    let tail = format!(r#"{{ {KEY}, "measures": {{ "M": "count" }} }} {{}}"#);
    let deep_measure = format!(r#"{{ {KEY}, "measures": {{ "M": {deep} }} }}"#);
    let with = |members: &str| format!(r"{{ {KEY}, {members} }}");
    are_refused(
        &[
            ("", "line 1, column 1"),
            ("[]", "invalid"),
            ("null", "invalid type"),
            ("{", "EOF"),
            (&tail, "trailing characters"),
            (&deep, "line 1, column"),
            (&deep_measure, "line 1, column"),
            ("{}", "`key`"),
            (r#"{ "views": {} }"#, "invalid type"),
            (r#"{ "views": [] }"#, "0 views"),
            (&long, "1 to 64"),
            (&spaced, "\"a b\""),
            (&unnamed, "1 to 64"),
            (&nameless, "missing field `name`"),
            (&unknown_in_view, "unknown field `filter`"),
            (&twice_in_view, "duplicate field `name`"),
            (&with(r#""name": "v", "measures": { "M": "count" }"#), "`name`"),
            (&with(r#""source": "T", "measures": { "M": "count" }"#), "unknown field `source`"),
            (&with(r#""measures": { "M": "count" }, "measures": { "N": "count" }"#), "duplicate field `measures`"),
            (&with(r#""measures": { "M": "count", "M": "sum A" }"#), "\"M\" appears twice"),
            (&with(r#""measures": { "M": 1 }"#), "expected a string"),
            (&with(r#""measures": ["count"]"#), "invalid type"),
            (&with(r#""measures": {}"#), "no measure"),
            (&with(r#""measures": { "": "count" }"#), "is empty"),
            (&with(r#""measures": { "RollupVersion": "count" }"#), "\"RollupVersion\""),
            (&with(r#""measures": { "Id": "count" }"#), "\"Id\""),
            (&with(r#""measures": { "M": "count" }, "on_missing": "sometimes""#), "`create` or `skip`"),
            (&with(r#""measures": { "M": "count" }, "table": """#), "is empty"),
            (&with(r#""measures": { "M": "count" }, "where": true"#), "expected a string"),
            (&with(r#""measures": { "M": "count" }, "views": []"#), "beside \"views\""),
            (&with(r#""measures": { "M": "count" }, "set": []"#), "invalid type"),
        ],
        "View",
        str::to_owned,
    );
    let measures: Vec<String> = (0..51).map(|number| format!(r#""M{number}": "count""#)).collect();
    let many = with(&format!(r#""measures": {{ {} }}"#, measures.join(", ")));
    assert!(refusal(&many, "View").contains("at most 50"));
}

#[test]
fn keys_that_a_view_table_cannot_have_are_refused() {
    let part = r#"{ "attribute": "Id", "type": "S" }"#;
    let three = [part, &part.replace("Id", "B"), &part.replace("Id", "C")].join(", ");
    are_refused(
        &[
            ("", "0 key attributes"),
            (&three, "3 key attributes"),
            (&[part, part].join(", "), "\"Id\" of the view item is used twice"),
            (r#"{ "type": "S" }"#, "missing field `attribute`"),
            (r#"{ "attribute": "Id" }"#, "missing field `type`"),
            (r#"{ "attribute": "", "type": "S" }"#, "is empty"),
            (r#"{ "attribute": "Id", "type": "BOOL" }"#, "`S`, `N`, `B`"),
            (r#"{ "attribute": "Id", "type": "s" }"#, "`S`, `N`, `B`"),
            (r#"{ "attribute": "Id", "type": "S", "from": "A" }"#, "unknown field `from`"),
            (r#"{ "attribute": "Id", "type": "S", "type": "N" }"#, "duplicate field `type`"),
            (r#"{ "attribute": "Id", "type": "S", "missing": "ignore" }"#, "quarantine"),
            (r#"{ "attribute": "Id", "type": "S", "value": 7 }"#, "expected a string"),
            (r#"{ "attribute": "Id", "type": "N", "value": "7" }"#, "type S"),
            (r#"{ "attribute": "Id", "type": "N", "value": "A#{B}" }"#, "type S"),
            (r#"{ "attribute": "Id", "type": "B", "value": "{A}{B}" }"#, "type S"),
            (r#"{ "attribute": "Id", "type": "N", "value": "{each Tags}" }"#, "type S"),
            (
                r#"{ "attribute": "A", "type": "S", "value": "{each A}" }, { "attribute": "B", "type": "S", "value": "{each B}" }"#,
                "each more than once",
            ),
        ],
        "View",
        of_key,
    );
    are_refused(
        &[
            ("", "\"Id\""),
            ("{", "expected"),
            ("{A", "}"),
            ("A}", "}}"),
            ("{}", "expected a value"),
            ("{A B}", "expected"),
            ("{A = 1}", "}"),
            ("{{A}", "}}"),
            ("{each}", "path"),
            ("{each lower(Tags)}", "}"),
            ("{each A}{each B}", "one each"),
            ("{by}", "`by`"),
            ("{sum A}", "expected"),
        ],
        "View",
        of_template,
    );
}

#[test]
fn measures_that_are_none_are_refused() {
    are_refused(
        &[
            ("", "count or sum"),
            ("counts", "count or sum"),
            ("Price", "count or sum"),
            ("max Price", "index of the source"),
            ("MIN Price", "index of the source"),
            ("average Price", "count and sum"),
            ("distinct Customer", "count by"),
            ("latest At", "index of the source"),
            ("count(*)", "expected by, where or the end"),
            ("count Price", "expected by, where or the end"),
            ("sum", "expected a value"),
            ("sum each", "path"),
            ("sum each M by G", "sum each has no by"),
            ("sum each lower(A)", "expected where or the end"),
            ("count by", "expected a value"),
            ("count by each", "path"),
            ("count by each lower(Tags)", "expected where or the end"),
            ("count by A, B", "expected"),
            ("count where", "expected a value"),
            ("count where A = 1 by B", "by is written before where"),
            ("count by A by B", "expected"),
            ("count by A = 1", "expected"),
            ("sum Price / 2", "no division"),
            ("sum Price *", "expected a value"),
            ("sum (Price", "expected )"),
            ("sum 1e126", "38 digits"),
            ("sum 123456789012345678901234567890123456789", "38 digits"),
            ("sum round(Price)", "decimals"),
            ("sum round(Price, n)", "whole number"),
            ("sum round(Price, -1)", "whole number"),
            ("sum round(Price, 31)", "from 0 to 30"),
            ("count by shard(Id, 1)", "from 2 to 1000"),
            ("count by shard(Id, 1001)", "from 2 to 1000"),
            ("count by shard(Id, n)", "from 2 to 1000"),
            ("count by shard(Id)", "shards"),
            ("count by day(At, 'Europe/Zurich')", "+01:00"),
            ("count by day(At, '+24:00')", "+01:00"),
            ("count by day(At, '+0100')", "+01:00"),
            ("count by day(At, Zone)", "+01:00"),
            ("count by day()", "expected a value"),
            ("count by before(A)", "before(SK, '#')"),
            ("count by after(A, B)", "text"),
            ("count by after(A, '')", "not empty"),
            ("count by lower(A, B)", "expected )"),
            ("count by concat()", "expected a value"),
            ("count by upper(A)", "lower(value)"),
            ("count by begins_with(A, 'x')", "not a condition"),
            ("count by A.", "name"),
            ("count by A[-1]", "from 0 on"),
            ("count by A[x]", "from 0 on"),
            ("count by 2nd", "backquotes"),
            ("count by Größe", "backquotes"),
            ("count by ``", "not empty"),
            ("count by `A", "closing"),
        ],
        "View",
        of_measure,
    );
}

#[test]
fn conditions_that_are_none_are_refused() {
    let nested = ["(".repeat(40), "A = 1".to_owned(), ")".repeat(40)].concat();
    are_refused(
        &[
            ("", "expected a value"),
            ("A", "write `path = true`"),
            ("A =", "expected a value"),
            ("A != 1", "<>"),
            ("A == 1", "="),
            ("A = \"x\"", "single quotes"),
            ("A = 'x", "closing '"),
            ("A = 1 AND", "expected a value"),
            ("A = 1 B = 2", "AND, OR"),
            ("A = 1 && B = 2", "AND"),
            ("A = 1 || B = 2", "OR"),
            ("NOT", "expected a value"),
            ("A NOT IN (1)", "NOT a IN"),
            ("(A = 1", ")"),
            ("A = 1)", "expected"),
            ("A = B = C", "expected"),
            ("A IN ()", "literal"),
            ("A IN (B)", "literal"),
            ("A IN 1", "parentheses"),
            ("A BETWEEN 1", "AND"),
            ("A BETWEEN B AND 2", "literal"),
            ("A LIKE 'x%'", "begins_with"),
            ("A IS NULL", "attribute_not_exists"),
            ("A = null", "attribute_type"),
            ("begins_with(A)", "beginning"),
            ("begins_with(A, B)", "text"),
            ("contains('abc', 'a')", "path"),
            ("contains(A, B)", "literal"),
            ("attribute_exists('A')", "path"),
            ("attribute_exists(A, B)", ")"),
            ("attribute_type(A, 'X')", "'SS'"),
            ("size(A)", "comparison with a number"),
            ("size(A) = '1'", "comparison with a number"),
            ("size(lower(A)) = 1", ")"),
            ("lower(A)", "expected ="),
            ("A = :v", "value itself"),
            ("#a = 1", "name itself"),
            (&nested, "nested"),
        ],
        "View",
        of_condition,
    );
}

#[test]
fn a_view_on_its_own_source_that_would_feed_itself_is_refused() {
    are_refused(
        &[
            ("sum M", "\"M\""),
            ("count by M", "\"M\""),
            ("count by each M", "\"M\""),
            ("sum each M", "\"M\""),
            ("sum A * M.x[0]", "\"M\""),
            ("count by lower(concat(A, M))", "\"M\""),
            ("count where attribute_exists(M)", "\"M\""),
            ("count where A = 1 OR NOT size(M) > 1", "\"M\""),
            ("count by RollupVersion", "\"RollupVersion\""),
            ("count", "on_missing"),
            ("count where A = 1", "on_missing"),
        ],
        "Source",
        of_measure,
    );
    are_refused(
        &[
            ("M > 1", "\"M\""),
            ("A = 1 AND contains(M, 'x')", "\"M\""),
            ("RollupVersion = 1", "\"RollupVersion\""),
            ("attribute_not_exists(A)", "on_missing"),
            ("NOT A = 1", "on_missing"),
            ("A <> 1", "on_missing"),
            ("begins_with(Id, 'x') OR A = 1", "on_missing"),
        ],
        "Source",
        of_condition,
    );
    are_refused(
        &[("{M}", "\"M\""), ("A#{M.b}", "\"M\""), ("{RollupVersion}", "\"RollupVersion\"")],
        "Source",
        of_template,
    );
}

#[test]
fn what_cannot_be_set_is_refused() {
    let of_set = |set: &str| {
        let key = r#"[{ "attribute": "Id", "type": "S", "value": "A#{A}" }, { "attribute": "Raw", "type": "B" }]"#;
        format!(r#"{{ "key": {key}, "measures": {{ "M": "count" }}, "set": {{ {set} }} }}"#)
    };
    let long = format!(r#""T": "{}""#, "x".repeat(1_025));
    are_refused(
        &[
            (r#""T": """#, "1 to 1024 bytes"),
            (&long, "1 to 1024 bytes"),
            (r#""T": null"#, "\"T\""),
            (r#""T": ["a"]"#, "\"T\""),
            (r#""T": 1e126"#, "a number that DynamoDB can hold"),
            (r#""T": "{B}""#, "is not in the view's key"),
            (r#""T": "{lower(A)}""#, "is not in the view's key"),
            (r#""T": "{A""#, "\"T\""),
            (r#""T": "{Raw}""#, "type B"),
            (r#""T": 1, "T": 2"#, "\"T\" appears twice"),
            (r#""": 1"#, "is empty"),
            (r#""M": 1"#, "\"M\""),
            (r#""Id": 1"#, "\"Id\""),
            (r#""RollupVersion": 1"#, "\"RollupVersion\""),
        ],
        "View",
        of_set,
    );
}

#[test]
fn views_that_cannot_be_kept_together_are_refused() {
    let view = |name: &str, table: &str, key: &str, members: &str| {
        let key = format!(r#"[{{ "attribute": "Id", "type": "S", "value": "{key}" }}]"#);
        format!(r#"{{ "name": "{name}", "table": "{table}", "key": {key}, {members} }}"#)
    };
    let of_views = |views: &[String]| format!(r#"{{ "views": [{}] }}"#, views.join(", "));
    let counted = |measures: usize, prefix: &str| {
        let measures: Vec<String> = (0..measures).map(|number| format!(r#""{prefix}{number}": "count""#)).collect();
        format!(r#""measures": {{ {} }}"#, measures.join(", "))
    };
    let (m, n) = (r#""measures": { "M": "count" }"#, r#""measures": { "N": "count" }"#);
    let skip = format!(r#"{n}, "on_missing": "skip""#);
    let set = format!(r#"{n}, "set": {{ "M": "ALL" }}"#);
    let one = |members: &str| view("one", "T", "{A}", members);
    let two = |key: &str, members: &str| view("two", "T", key, members);
    let many: Vec<String> = (0..21).map(|place| view(&format!("v{place}"), &format!("T{place}"), "{A}", m)).collect();
    let other_key = two("{B}", n).replace(r#""attribute": "Id""#, r#""attribute": "Other""#);
    let other_type = two("{B}", n).replace(r#""type": "S""#, r#""type": "N""#);
    for (views, words) in [
        (many.as_slice(), "21 views"),
        (&[one(m), view("one", "Other", "{A}", m)], "the name \"one\""),
        (&[one(m), other_key], "give them the same key"),
        (&[one(m), other_type], "give them the same key"),
        (&[one(m), two("{B}", m)], "the attribute \"M\""),
        (&[one(m), two("A#{B}", m)], "the attribute \"M\""),
        (&[view("one", "T", "A#{A}", m), two("A#B#{B}", m)], "the attribute \"M\""),
        (&[one(m), two("{B}", &set)], "the attribute \"M\""),
        (&[one(m), two("{B}", &skip)], "on_missing"),
        (&[one(&counted(26, "M")), two("{B}", &counted(25, "N"))], "at most 50"),
        (&[one(m), view("two", "Source", "{M}", &skip)], ""),
        (&[view("one", "Source", "A#{A}", m), view("two", "T", "{M}", n)], "\"M\""),
        (&[view("one", "Source", "A#{A}", m), view("two", "T", "{Id}", n)], "on_missing"),
        (&[view("one", "arn:aws:dynamodb:eu-west-1:123456789012:table/Source", "{Id}", m)], "on_missing"),
    ] {
        let definition = of_views(views);
        if words.is_empty() {
            let defaults =
                Defaults { source_table: "Source", view_table: "View", on_missing: OnMissingViewItem::Create };
            assert!(definition::read(&definition, &defaults).is_ok(), "{definition}");
        } else {
            let message = refusal(&definition, "View");
            assert!(message.contains(words), "{definition}: {message}");
        }
    }
}
