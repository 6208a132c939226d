//! `view check`: what a definition says and needs, what is wrong with it, and what it changes of the previous one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::view_command::Bench;

const TEMPLATE: &str = include_str!("../../template.json");

const ONE_VIEW: &str = r#"{ "where": "Kind = 'order'",
    "key": [{ "attribute": "CustomerId", "type": "S", "value": "{Buyer}" }],
    "measures": { "Orders": "count", "ByStatus": "count by Status", "Revenue": "sum Price" } }"#;

/// A view on the source table, and one on a table with two key attributes that counts only items that are there.
const TWO_TABLES: &str = r#"{ "views": [
    { "name": "Totals", "table": "Order", "where": "begins_with(SK, 'ORDER#')",
      "key": [{ "attribute": "PK", "type": "S" }, { "attribute": "SK", "type": "S", "value": "TOTALS" }],
      "measures": { "Orders": "count" } },
    { "name": "Days", "table": "Day", "on_missing": "skip",
      "key": [{ "attribute": "Shop", "type": "N" }, { "attribute": "Day", "type": "S", "value": "{day(At)}" }],
      "measures": { "Visits": "count" } } ] }"#;

async fn checked(bench: &Bench, definition: &str) -> Value {
    bench.file("definition.json", definition);
    let ran = bench.view(&["check", "--json"]).await;
    assert_eq!(ran.code, 0, "{definition}: {}", ran.err);
    ran.json()
}

#[tokio::test]
async fn a_definition_is_said_in_words_with_the_tables_that_it_needs() {
    let bench = Bench::new().await;
    let found = checked(&bench, ONE_VIEW).await;
    assert_eq!(found["views"][0]["measures"]["ByStatus"], "count by Status");
    let ran = bench.view(&["check"]).await;
    for words in [
        "where Kind = 'order'",
        "CustomerId (S) = {Buyer}",
        "Revenue = sum Price",
        "on missing  create",
        "Order: source items; any key; a stream of NEW_AND_OLD_IMAGES",
        "Customer: view items; key CustomerId (S, HASH)",
        "Idempotency: markers; key SequenceNumber (S, HASH), Stream (S, RANGE); time to live on ExpiresAt; \
         an index Quarantine of InQuarantine (S, HASH), RecordedAt (S, RANGE) that includes Reason",
        "table/Customer: dynamodb:UpdateItem, dynamodb:GetItem, dynamodb:BatchGetItem\n",
    ] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }

    let found = checked(&bench, TWO_TABLES).await;
    let part = |name: &str, kind: &str, role: &str| json!({ "attribute": name, "type": kind, "role": role });
    let tables = json!([
        { "name": "Order", "purposes": ["source items", "view items"], "stream": "NEW_AND_OLD_IMAGES", "time_to_live": null, "index": null,
          "key": [part("PK", "S", "HASH"), part("SK", "S", "RANGE")] },
        { "name": "Day", "purposes": ["view items"], "stream": null, "time_to_live": null, "index": null,
          "key": [part("Shop", "N", "HASH"), part("Day", "S", "RANGE")] },
        { "name": "Idempotency", "purposes": ["markers"], "stream": null, "time_to_live": "ExpiresAt",
          "index": { "name": "Quarantine", "includes": ["Reason"],
              "key": [part("InQuarantine", "S", "HASH"), part("RecordedAt", "S", "RANGE")] },
          "key": [part("SequenceNumber", "S", "HASH"), part("Stream", "S", "RANGE")] },
    ]);
    assert_eq!(found["tables"], tables);
}

/// What the role allows in DynamoDB, by the statement's id.
fn role(is_true: &dyn Fn(&str) -> bool) -> BTreeMap<String, BTreeSet<String>> {
    fn actions(value: &Value, is_true: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
        match value {
            Value::String(action) => BTreeSet::from([action.clone()]),
            Value::Array(values) => values.iter().flat_map(|value| actions(value, is_true)).collect(),
            Value::Object(_) if value["Ref"] == "AWS::NoValue" => BTreeSet::new(),
            choice => {
                let choice = choice["Fn::If"].as_array().unwrap();
                actions(&choice[if is_true(choice[0].as_str().unwrap()) { 1 } else { 2 }], is_true)
            }
        }
    }
    let template: Value = serde_json::from_str(TEMPLATE).unwrap();
    let policy = &template["Resources"]["FunctionRole"]["Properties"]["Policies"][0]["PolicyDocument"];
    let statements = policy["Statement"].as_array().unwrap().iter().filter(|statement| statement["Sid"].is_string());
    let of_statement = |statement: &Value| {
        let mut actions = actions(&statement["Action"], is_true);
        actions.retain(|action| action.starts_with("dynamodb:"));
        (statement["Sid"].as_str().unwrap().to_owned(), actions)
    };
    statements.map(of_statement).filter(|(_, actions)| !actions.is_empty()).collect()
}

/// The rights that the command names, by the statement of the role that has them.
fn rights(checked: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut rights: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for right in checked["rights"].as_array().unwrap() {
        let sid = match right["resource"].as_str().unwrap() {
            "*" => "ListStreamsAndTrace",
            "table/Idempotency" => "WriteMarkers",
            stream if stream.ends_with("/stream/*") => "ReadStream",
            _ => "UpdateViews",
        };
        let actions = right["actions"].as_array().unwrap().iter().map(|action| action.as_str().unwrap().to_owned());
        rights.entry(sid.to_owned()).or_default().extend(actions);
    }
    rights
}

#[tokio::test]
async fn the_rights_of_a_definition_are_those_of_the_templates_role() {
    let bench = Bench::new().await;
    // Points on maps, created and skipped: the role has exactly these rights.
    for skipped in [false, true] {
        let mut example = json!({ "key": [{ "attribute": "MapId", "type": "S", "missing": "quarantine" }],
            "measures": { "TotalPoints": "count", "CategoryCounts": "count by Category" } });
        example["on_missing"] = if skipped { "skip" } else { "create" }.into();
        let named = rights(&checked(&bench, &example.to_string()).await);
        let role = role(&|condition| match condition {
            "MissingViewItemsAreSkipped" => skipped,
            "PointsOnMapsAreCounted" => true,
            _ => false,
        });
        assert_eq!(named, role, "skipped: {skipped}");
    }
    // Of a ViewDefinition the template cannot see whether it skips: the role has the right for that in any case.
    let role = role(&|_| false);
    assert_eq!(rights(&checked(&bench, TWO_TABLES).await), role);
    let mut creates = rights(&checked(&bench, ONE_VIEW).await);
    assert!(creates.get_mut("UpdateViews").unwrap().insert("dynamodb:ConditionCheckItem".to_owned()));
    assert_eq!(creates, role);
}

/// What stands at the line and column that a message names.
fn from<'t>(text: &'t str, message: &str) -> &'t str {
    let number = |name: &str| -> usize {
        let (_, rest) = message.split_once(name).unwrap();
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    let (line, column) = (number(", line "), number(", column "));
    let line = text.split_inclusive('\n').nth(line - 1).unwrap();
    &line[column - 1..]
}

#[tokio::test]
async fn what_is_wrong_is_told_with_the_place_in_the_file_and_in_the_expression() {
    let bench = Bench::new().await;
    let two = |from: &str, to: &str| {
        assert!(TWO_TABLES.contains(from), "{from}");
        TWO_TABLES.replacen(from, to, 1)
    };
    for (broken, at, words) in [
        ("[".to_owned(), "", "EOF"),
        (ONE_VIEW.replace("\"key\"", "\"keys\""), "\": [{", "unknown field `keys`, expected one of"),
        (
            ONE_VIEW.replace("sum Price", "max Price"),
            "max Price",
            "the measure \"Revenue\": at character 1, \"max\": expected count or sum: max cannot be kept",
        ),
        (ONE_VIEW.replace("Kind = ", "Kind LIKE "), "LIKE 'order'", "where: at character 6, \"LIKE\""),
        (ONE_VIEW.replace("Buyer}", "Buyer"), "\" }],", "the key attribute \"CustomerId\": at the end"),
        (ONE_VIEW.replace("\"Revenue\"", "\"Orders\""), "\": \"sum Price", "\"Orders\" appears twice"),
        (
            two("\"Visits\": \"count\"", "\"Visits\": \"count by\\t day(At, 7)\""),
            "7)\"",
            "the view \"Days\": the measure \"Visits\": at character 19, \"7\"",
        ),
        (two("{day(At)}", "{each A}{each B}"), "each B}", "the view \"Days\": the key attribute \"Day\""),
        (two("\"N\" }", "\"N\", \"value\": \"a{B}\" }"), "\"a{B}\"", "is of type S, not N; write S, or only one hole"),
        (two("{ \"Visits\": \"count\" }", "{}"), "{} } ] }", "the view \"Days\": the view has no measure"),
        (two("\"Days\"", "\"Totals\""), "\"Totals\", \"table\": \"Day\"", "two views have the name \"Totals\""),
        (two("\"Days\"", "\"All days\""), "\"All days\"", "the name \"All days\" is not"),
        (two("begins_with(SK, 'ORDER#')", "Orders = 1"), "{ \"name\": \"Totals\"", "reads the attribute \"Orders\""),
        (two("\"Day\", \"on_missing\": \"skip\"", "\"Order\""), "[{ \"attribute\": \"Shop\"", "give them the same key"),
    ] {
        bench.file("definition.json", &broken);
        let ran = bench.view(&["check"]).await;
        let is_told = ran.code == 2 && ran.out.is_empty() && ran.err.contains(words);
        assert!(is_told && ran.err.contains("--definition"), "{broken}: {}", ran.err);
        assert!(from(&broken, &ran.err).starts_with(at), "{broken}: {}", ran.err);
        // The other commands tell the place as well.
        let ran = bench.view(&["filter"]).await;
        assert!(ran.code == 2 && ran.err.contains(words), "{broken}: {}", ran.err);
        assert!(from(&broken, &ran.err).starts_with(at), "{broken}: {}", ran.err);
    }
    bench.file("definition.json", &ONE_VIEW.replace("sum Price", "sum Price * lover(Name)"));
    let ran = bench.view(&["check", "--json"]).await;
    let shown = format!("\n  sum Price * lover(Name)\n{}^^^^^\n", " ".repeat(14));
    assert!(ran.code == 2 && ran.err.contains(&shown), "{}", ran.err);
    let error = &ran.json()["error"];
    for (field, expected) in [
        ("view", Value::Null),
        ("field", "measures.Revenue".into()),
        ("line", 3.into()),
        ("column", 93.into()),
        ("expression", "sum Price * lover(Name)".into()),
        ("character", 13.into()),
    ] {
        assert_eq!(error[field], expected, "{field}: {error}");
    }
    assert!(error["message"].as_str().unwrap().starts_with("the measure \"Revenue\": at character 13"), "{error}");
}

#[tokio::test]
async fn the_changes_from_the_previous_definition_are_told_with_what_to_do() {
    let bench = Bench::new().await;
    let definition = bench.file("definition.json", ONE_VIEW);
    let repair = format!("ddb-rollup repair --source-table Order --view-table Customer --definition {definition}");
    let view = |name: &str, key: &str, measures: Value| json!({ "name": name, "measures": measures, "key": [{ "attribute": "Id", "type": "S", "value": key }] });
    let views = |views: &[&Value]| json!({ "views": views }).to_string();
    let against = async |old: &str, new: &str| {
        let old = bench.file("old.json", old);
        bench.file("definition.json", new);
        let ran = bench.view(&["check", "--json", "--against", &old]).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        (ran.json()["against"].clone(), bench.view(&["check", "--against", &old]).await.out)
    };
    let a = view("a", "A#{X}", json!({ "N": "count", "Sum": "sum Y" }));
    let b = view("b", "B#{X}", json!({ "N": "count" }));
    let c = view("c", "C#{X}", json!({ "N": "count" }));
    let (same, said) = against(&views(&[&a, &b]), &views(&[&b, &a])).await;
    let none = json!({ "added": [], "removed": [], "changed": [], "left_behind": [], "repair": [] });
    assert_eq!(same, none, "their order means nothing");
    assert!(said.contains("no repair is needed"), "{said}");

    let less = view("a", "A#{X}", json!({ "N": "count where Y > 1" }));
    let (changes, said) = against(&views(&[&a, &b]), &views(&[&less, &c])).await;
    let expected = json!({
        "added": ["c"], "removed": ["b"], "changed": [{ "view": "a", "members": ["measures"] }],
        "left_behind": [
            { "view": "a", "table": "Customer", "key": ["A#{X}"], "attributes": ["Sum"] },
            { "view": "b", "table": "Customer", "key": ["B#{X}"], "attributes": ["N", "RollupVersion"] },
        ],
        "repair": [format!("{repair} --view a"), format!("{repair} --view c")],
    });
    assert_eq!(changes, expected);
    for words in [
        "added    view c",
        "removed  view b",
        "changed  view a: measures",
        "Sum on the items A#{X} of the table Customer",
        "wait one time-out of the function",
        &format!("  {repair} --view c\n"),
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }

    let renamed = view("d", "{X}", json!({ "N": "count", "Sum": "sum Y" }));
    let (changes, _) = against(&views(&[&a]), &views(&[&renamed])).await;
    assert_eq!((&changes["left_behind"], &changes["removed"]), (&json!([]), &json!(["a"])), "its items may be d's");

    let each = view("e", "E#{X}", json!({ "N": "count by each Tags" }));
    for (old, new) in [([&a, &each], vec![&a]), ([&a, &each], vec![&each, &a, &b]), ([&a, &b], vec![&a, &b, &each])] {
        let (changes, _) = against(&views(&old), &views(&new)).await;
        assert_eq!(changes["repair"], json!([repair]), "views with each share the bounds of an image");
    }

    let old = bench.file("old.json", "{ \"views\": [] }");
    let ran = bench.view(&["check", "--against", &old]).await;
    assert!(ran.code == 2 && ran.err.contains("--against") && ran.err.contains("0 views"), "{}", ran.err);
}
