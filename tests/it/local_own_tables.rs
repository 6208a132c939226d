//! `ddb-rollup local` on a user's own tables, definition and items.

#![allow(clippy::unwrap_used, reason = "all of it is test code")]

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::engine::{n, s, without_embedded_engine};
use crate::local::{Local, OWN_ENGINE, run};

/// Files of a user.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: impl std::fmt::Display) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, text.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn schema(table: &str, key: &[&str]) -> Value {
    let roles = ["HASH", "RANGE"];
    let schema = key.iter().zip(roles).map(|(name, role)| json!({ "AttributeName": name, "KeyType": role }));
    let kinds = key.iter().map(|name| json!({ "AttributeName": name, "AttributeType": "S" }));
    json!({ "TableName": table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": schema.collect::<Vec<_>>(),
        "AttributeDefinitions": kinds.collect::<Vec<_>>() })
}

/// The orders of a customer in a single-table design, beside the days in a table of their own.
fn definition() -> Value {
    json!({ "views": [
        { "name": "orders", "table": "App", "where": "begins_with(SK, 'ORDER#')", "measures": { "Orders": "count", "Spent": "sum Total" },
          "key": [{ "attribute": "PK", "type": "S", "value": "{PK}" }, { "attribute": "SK", "type": "S", "value": "SUMMARY" }] },
        { "name": "days", "table": "Day", "where": "begins_with(SK, 'ORDER#')", "measures": { "Orders": "count" },
          "key": [{ "attribute": "Day", "type": "S", "value": "{day(At)}" }] },
    ] })
}

fn order(customer: &str, number: usize, total: usize) -> String {
    json!({ "PK": { "S": customer }, "SK": { "S": format!("ORDER#{number}") }, "Total": { "N": total.to_string() },
        "At": { "S": "2026-03-05T10:00Z" } })
    .to_string()
}

#[tokio::test]
async fn counters_of_ones_own_tables_are_seen_before_anything_is_deployed() {
    if without_embedded_engine(OWN_ENGINE) {
        return;
    }
    let files = Files::new();
    let definition = files.write("views.json", definition());
    let app = files.write("app.json", json!({ "Table": schema("App", &["PK", "SK"]) }));
    let items = files.write("items.jsonl", [order("ann", 1, 5), String::new(), order("ann", 2, 7)].join("\n"));
    let arguments = ["--definition", &definition, "--source-table", "App", "--table-schema", &app, "--load", &items];
    let window = ["--parameter", "MaximumBatchingWindowInSeconds=0"];
    let mut local = Local::start(&[&arguments[..], &window].concat()).await;
    for said in [
        "the schema of App has no stream: a stream of NEW_AND_OLD_IMAGES is switched on here; your own table needs it too",
        "no --table-schema gives the view table Day: it has the key of the definition, Day (S, HASH)",
    ] {
        assert!(local.greeting().lines().any(|line| line == said), "{said:?} is missing in\n{}", local.greeting());
    }
    let mut lines = Vec::new();
    while !(lines.contains(&"App ann, SUMMARY  Orders 2  Spent 12".to_owned())
        && lines.contains(&"Day 2026-03-05  Orders 2".to_owned()))
    {
        lines.push(local.line().await);
    }
    let put = local.db().put_item().table_name("App").item("PK", s("bob")).item("SK", s("ORDER#3")).item("Total", n(1));
    put.send().await.unwrap();
    assert_eq!(local.line().await, "App bob, SUMMARY  Orders 1  Spent 1", "it has no day");
    assert_eq!(local.end("-TERM").await, (vec![], Some(0)));
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_before_anything_is_counted() {
    if without_embedded_engine(OWN_ENGINE) {
        return;
    }
    let files = Files::new();
    let definition = files.write("views.json", definition());
    let app = files.write("app.json", schema("App", &["PK", "SK"]));
    let own = ["--definition", &definition, "--source-table", "App"];
    let lines = |name: &str, line: Value| files.write(name, [order("ann", 1, 5), line.to_string()].join("\n"));
    let no_sort_key = lines("no-sort-key.jsonl", json!({ "PK": { "S": "x" } }));
    let number = lines("number.jsonl", json!({ "PK": { "S": "x" }, "SK": { "N": "1" } }));
    let empty = lines("empty.jsonl", json!({ "PK": { "S": "x" }, "SK": { "S": "" } }));
    let no_item = files.write("none.jsonl", "[]");
    let other = files.write("other.json", schema("Other", &["Id"]));
    let no_key = files.write("no-key.json", json!({ "TableName": "App", "KeySchema": [], "AttributeDefinitions": [] }));
    let no_schema = files.write("no-schema.json", "[1]");
    let day = files.write("day.json", schema("Day", &["Date"]));
    let wide = files.write("wide.json", schema("Day", &["Day", "Hour"]));
    let narrow = files.write("narrow.json", schema("App", &["PK"]));
    let markers = files.write("markers.json", schema("Idempotency", &["SequenceNumber"]));
    for (more, words) in [
        (vec![], "the key of the source table App is not known; give its create-table request"),
        (vec!["--table-schema", "no-such-file"], "cannot read no-such-file"),
        (vec!["--table-schema", &no_schema], "is not the JSON of a create-table request"),
        (vec!["--table-schema", &no_key], "must have a HASH key"),
        (
            vec!["--table-schema", &app, "--table-schema", &other],
            "the schema of the table Other, which is not in use; the tables in use are App, Day, Idempotency",
        ),
        (vec!["--table-schema", &app, "--table-schema", &app], "is a second schema of the table App"),
        (
            vec!["--table-schema", &app, "--table-schema", &day],
            "day.json, but the items of the views days need the key Day (S, HASH)",
        ),
        (
            vec!["--table-schema", &app, "--table-schema", &wide],
            "the table Day has the key Day (S, HASH), Hour (S, RANGE)",
        ),
        (
            vec!["--table-schema", &narrow],
            "narrow.json, but the items of the views orders need the key PK (S, HASH), SK (S, RANGE)",
        ),
        (
            vec!["--table-schema", &app, "--table-schema", &markers],
            "but the markers need the key SequenceNumber (S, HASH), Stream (S, RANGE)",
        ),
        (vec!["--table-schema", &app, "--load", "no-such-items"], "cannot read no-such-items"),
        (vec!["--table-schema", &app, "--load", &no_item], "line 1 of"),
        (
            vec!["--table-schema", &app, "--load", &no_sort_key],
            "no-sort-key.jsonl is not an item of the table App: it has no key attribute SK",
        ),
        (vec!["--table-schema", &app, "--load", &number], "its key attribute SK is of type N, not S"),
        (vec!["--table-schema", &app, "--load", &empty], "line 2 of"),
        (vec!["--demo"], "the demo runs only the example; omit --definition"),
    ] {
        let data = files.0.path().join("data");
        // The demo keeps nothing.
        let kept = if more == ["--demo"] { vec![] } else { vec!["--data", data.to_str().unwrap()] };
        let output = run(&[&["local", "--port", "0"][..], &kept, &own, &more].concat()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(words), "{more:?}: {said}");
        assert!(!data.exists(), "{more:?}: something was made");
    }
}
