//! `view check` and `view try`: what a definition says and does, without anything being deployed.

use serde_json::{Value, json};

use crate::command::{Ran, run_with};
use crate::engine::{Engine, n, s};

const DEFINITION: &str = r#"{ "where": "Kind = 'order'",
    "key": [{ "attribute": "CustomerId", "type": "S", "value": "{Buyer}" }],
    "measures": { "Orders": "count", "ByStatus": "count by Status", "Revenue": "sum Price" } }"#;

struct Bench {
    engine: Engine,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let bench = Self { engine: Engine::start().await, folder: tempfile::tempdir().unwrap() };
        bench.file("definition.json", DEFINITION);
        bench
    }

    /// A file in the folder, and its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn view(&self, arguments: &[&str]) -> Ran {
        let definition = self.folder.path().join("definition.json");
        let arguments = [&["view"], arguments, &["--definition", definition.to_str().unwrap()]].concat();
        run_with(&self.engine, &arguments, &[("ROLLUP_SOURCE_TABLE", "Order"), ("ROLLUP_VIEW_TABLE", "Customer")]).await
    }

    async fn tried(&self, old: Option<Value>, new: &Value) -> Value {
        let item = self.file("item.json", &new.to_string());
        let mut arguments = vec!["try", "--json", "--item", &item];
        let old = old.map(|old| self.file("old.json", &old.to_string()));
        arguments.extend(old.iter().flat_map(|old| ["--old", old.as_str()]));
        let ran = self.view(&arguments).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    }
}

fn order(buyer: &str, status: &str, price: &str) -> Value {
    json!({ "Kind": {"S": "order"}, "Buyer": {"S": buyer}, "Status": {"S": status}, "Price": {"N": price} })
}

#[tokio::test]
async fn an_item_and_a_change_of_an_item_are_tried() {
    let bench = Bench::new().await;
    let delta = |measure: &str, group: Option<&str>, amount: Value| json!({ "view": "default", "table": "Customer", "key": "ann", "measure": measure, "group": group, "amount": amount });
    let found = bench.tried(None, &order("ann", "open", "2.5")).await;
    let deltas = [
        delta("Orders", None, json!(1)),
        delta("ByStatus", Some("open"), json!(1)),
        delta("Revenue", None, json!("2.5")),
    ];
    assert_eq!(found, json!({ "deltas": deltas, "not_in": [] }));

    // As get-item prints it.
    let item = json!({ "Item": order("ann", "open", "2.5") });
    assert_eq!(bench.tried(None, &item).await, json!({ "deltas": deltas, "not_in": [] }));

    let found = bench.tried(Some(order("ann", "open", "2")), &order("ann", "paid", "5")).await;
    let deltas = [
        delta("ByStatus", Some("open"), json!(-1)),
        delta("ByStatus", Some("paid"), json!(1)),
        delta("Revenue", None, json!(3)),
    ];
    assert_eq!(found, json!({ "deltas": deltas, "not_in": [] }));

    let found = bench.tried(None, &json!({ "Kind": {"S": "note"} })).await;
    assert_eq!(found, json!({ "deltas": [], "not_in": ["default"] }));

    let found = bench.tried(None, &order("ann", "open", "1e50")).await;
    assert_eq!((&found["deltas"], &found["not_in"]), (&json!([]), &json!([])));
    assert!(found["uncountable"][0]["reason"].as_str().unwrap().contains("out of bounds"), "{found}");
}

#[tokio::test]
async fn a_trial_is_a_line_for_people_and_sends_no_control_character() {
    let bench = Bench::new().await;
    let item = bench.file("item.json", &order("a\u{1b}[2Jnn", "open", "2").to_string());
    let ran = bench.view(&["try", "--item", &item]).await;
    let expected = "Customer a\\u{1b}[2Jnn: Orders +1\nCustomer a\\u{1b}[2Jnn: ByStatus.open +1\n\
                    Customer a\\u{1b}[2Jnn: Revenue +2\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, expected), "{}", ran.err);
}

#[tokio::test]
async fn items_of_the_source_table_are_tried_up_to_a_limit() {
    let bench = Bench::new().await;
    bench.engine.create_table("Order", &["OrderId"], true).await;
    for id in ["1", "2", "3"] {
        let order = [("OrderId", s(id)), ("Kind", s("order")), ("Buyer", s("ann")), ("Price", n(1))];
        bench.engine.put("Order", order).await;
    }
    for (limit, expected) in [("2", 2), ("10", 3)] {
        let ran = bench.view(&["try", "--limit", limit, "--json"]).await;
        let found: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(found["items"].as_array().unwrap().len(), expected, "{found}");
        assert_eq!(found["items"][0]["deltas"][0]["key"], "ann");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_said_with_what_is_expected() {
    let bench = Bench::new().await;
    let text = bench.file("text.json", "many");
    let plain = bench.file("plain.json", r#"{ "Id": 1 }"#);
    for (arguments, words) in [
        (vec!["try", "--item", "/nowhere/item.json"], "cannot read /nowhere/item.json"),
        (vec!["try", "--item", &text], "is not an item in DynamoDB JSON"),
        (vec!["try", "--item", &plain], "is not an item in DynamoDB JSON"),
        (vec!["try", "--limit", "0"], "0 is not in 1..=1000"),
        (vec!["try"], "cannot scan the table Order"),
    ] {
        let ran = bench.view(&arguments).await;
        assert!(ran.code == 2 && ran.err.contains(words) && ran.out.is_empty(), "{arguments:?}: {}", ran.err);
    }
}

#[tokio::test]
async fn a_definition_is_checked() {
    let bench = Bench::new().await;
    let ran = bench.view(&["check"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    for words in ["where Kind = 'order'", "CustomerId (S) = {Buyer}", "Revenue = sum Price", "on missing  create"] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    let ran = bench.view(&["check", "--json"]).await;
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found["views"][0]["measures"]["ByStatus"], "count by Status");
    for (broken, words) in [
        ("{", "EOF"),
        (&DEFINITION.replace("sum Price", "max Price"), "the measure \"Revenue\": at character 1, \"max\""),
        (&DEFINITION.replace("Kind = ", "Kind LIKE "), "where: at character 6, \"LIKE\""),
        (&DEFINITION.replace("\"key\"", "\"keys\""), "unknown field `keys`"),
    ] {
        bench.file("definition.json", broken);
        let ran = bench.view(&["check"]).await;
        assert!(ran.code == 2 && ran.err.contains(words) && ran.err.contains("--definition"), "{broken}: {}", ran.err);
    }
}

const SINGLE_TABLE: &str = r#"{ "views": [
    { "name": "Likes", "table": "Customer", "where": "begins_with(SK, 'LIKE#') AND Plan = 'pro'",
      "key": [{ "attribute": "CustomerId", "type": "S", "value": "{PK}" }], "measures": { "Likes": "count" } },
    { "name": "Posts", "table": "Customer", "where": "SK IN ('POST', 'DRAFT')",
      "key": [{ "attribute": "CustomerId", "type": "S", "value": "{PK}" }], "measures": { "Posts": "count" } } ] }"#;

#[tokio::test]
async fn the_filter_of_a_definition_is_told_for_the_template_and_for_the_mapping() {
    let bench = Bench::new().await;
    bench.engine.create_table("Order", &["PK", "SK"], true).await;
    bench.file("definition.json", SINGLE_TABLE);
    let likes = r#"{"dynamodb":{"Keys":{"SK":{"S":[{"prefix":"LIKE#"}]}}}}"#;
    let posts = r#"{"dynamodb":{"Keys":{"SK":{"S":["DRAFT","POST"]}}}}"#;
    let ran = bench.view(&["filter"]).await;
    assert_eq!((ran.code, ran.out), (0, format!("FilterPattern1={likes}\nFilterPattern2={posts}\n")), "{}", ran.err);
    let ran = bench.view(&["filter", "--json"]).await;
    assert_eq!(ran.json(), json!({ "Filters": [{ "Pattern": likes }, { "Pattern": posts }] }));

    bench.file("definition.json", &SINGLE_TABLE.replace(" AND Plan", " OR Plan"));
    let why = "the condition of the view \"Likes\" does not limit the keys: in Plan = 'pro', \
               no text attribute of the source table's key is compared to a text";
    let ran = bench.view(&["filter"]).await;
    assert_eq!((ran.code, ran.out), (1, format!("no filter can be given: {why}\n")), "{}", ran.err);
    let ran = bench.view(&["filter", "--json"]).await;
    assert_eq!((ran.code, ran.json()), (1, json!({ "Filters": [], "why_none": why })));
}

#[tokio::test]
async fn a_filter_needs_the_key_of_the_source_table() {
    let bench = Bench::new().await;
    bench.file("definition.json", SINGLE_TABLE);
    let ran = bench.view(&["filter"]).await;
    assert!(ran.code == 2 && ran.err.contains("cannot describe the table Order"), "{}", ran.err);
    for (key, code) in [("PK,SK", 0), ("PK", 1), ("PK,SK:N", 1), ("PK,SK,More", 2)] {
        let ran = bench.view(&["filter", "--source-key", key]).await;
        assert_eq!(ran.code, code, "{key}: {}", ran.err);
    }
}
