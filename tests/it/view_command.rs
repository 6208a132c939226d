//! `view try` and `view filter`: what a definition does, without anything being deployed.

use serde_json::{Value, json};

use crate::command::{Ran, run_with};
use crate::engine::{Engine, n, s};

const DEFINITION: &str = r#"{ "where": "Kind = 'order'",
    "key": [{ "attribute": "CustomerId", "type": "S", "value": "{Buyer}" }],
    "measures": { "Orders": "count", "ByStatus": "count by Status", "Revenue": "sum Price" } }"#;

pub struct Bench {
    engine: Engine,
    folder: tempfile::TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        let bench = Self { engine: Engine::start().await, folder: tempfile::tempdir().unwrap() };
        bench.file("definition.json", DEFINITION);
        bench
    }

    /// A file in the folder, and its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub async fn view(&self, arguments: &[&str]) -> Ran {
        let definition = self.folder.path().join("definition.json");
        let arguments = [&["view"], arguments, &["--definition", definition.to_str().unwrap()]].concat();
        run_with(&self.engine, &arguments, &[("ROLLUP_SOURCE_TABLE", "Order"), ("ROLLUP_VIEW_TABLE", "Customer")]).await
    }

    async fn tried(&self, old: Option<&Value>, new: Option<&Value>) -> Value {
        let file = |name, item: &Value| self.file(name, &item.to_string());
        let (old, new) = (old.map(|item| file("old.json", item)), new.map(|item| file("item.json", item)));
        let mut arguments = vec!["try", "--json"];
        arguments.extend(old.iter().flat_map(|file| ["--old", file.as_str()]));
        arguments.extend(new.iter().flat_map(|file| ["--item", file.as_str()]));
        let ran = self.view(&arguments).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    }
}

fn order(buyer: &str, status: &str, price: &str) -> Value {
    json!({ "Kind": {"S": "order"}, "Buyer": {"S": buyer}, "Status": {"S": status}, "Price": {"N": price} })
}

fn amount(measure: &str, group: Option<&str>, amount: impl Into<Value>) -> Value {
    json!({ "view": "default", "table": "Customer", "key": "ann", "measure": measure, "group": group,
        "amount": amount.into() })
}

/// The same, as one image contributes it.
fn of_image(image: &str, mut amount: Value) -> Value {
    amount["image"] = image.into();
    amount
}

fn lists(found: &Value) -> [&Value; 6] {
    ["deltas", "not_in", "contributions", "why", "uncountable", "ungrouped"].map(|list| &found[list])
}

#[tokio::test]
async fn an_item_and_a_change_of_an_item_are_tried() {
    let bench = Bench::new().await;
    let none = &json!([]);
    let open =
        |price: &str| [amount("Orders", None, 1), amount("ByStatus", Some("open"), 1), amount("Revenue", None, price)];
    let deltas = json!(open("2.5"));
    let contributed = json!(open("2.5").map(|one| of_image("new", one)));
    for item in [order("ann", "open", "2.5"), json!({ "Item": order("ann", "open", "2.5") })] {
        let found = bench.tried(None, Some(&item)).await;
        assert_eq!(lists(&found), [&deltas, none, &contributed, none, none, none], "{item} is as get-item prints it");
    }

    let (before, after) = (order("ann", "open", "2.5"), order("ann", "paid", "5.5"));
    let found = bench.tried(Some(&before), Some(&after)).await;
    let deltas =
        [amount("ByStatus", Some("open"), -1), amount("ByStatus", Some("paid"), 1), amount("Revenue", None, 3)];
    let now = [amount("Orders", None, 1), amount("ByStatus", Some("paid"), 1), amount("Revenue", None, "5.5")];
    let images = open("2.5").map(|one| of_image("old", one)).into_iter().chain(now.map(|one| of_image("new", one)));
    let images = json!(images.collect::<Vec<_>>());
    assert_eq!(lists(&found), [&json!(deltas), none, &images, none, none, none]);

    let found = bench.tried(Some(&before), None).await;
    let deltas = [amount("Orders", None, -1), amount("ByStatus", Some("open"), -1), amount("Revenue", None, "-2.5")];
    let contributed = json!(open("2.5").map(|one| of_image("old", one)));
    assert_eq!(lists(&found), [&json!(deltas), none, &contributed, none, none, none], "a deletion");
}

#[tokio::test]
async fn it_is_said_why_an_image_does_not_count() {
    let bench = Bench::new().await;
    bench.file(
        "definition.json",
        r#"{ "views": [
            { "name": "buyers", "table": "Customer", "where": "Kind = 'order' AND Price > 1 AND attribute_exists(Buyer)",
              "key": [{ "attribute": "CustomerId", "type": "S", "value": "{Buyer}" }],
              "measures": { "Orders": "count", "ByStatus": "count by Status", "ByTag": "count by each Tags" } },
            { "name": "days", "table": "Day", "measures": { "Revenue": "sum Price" },
              "key": [{ "attribute": "Shop", "type": "S", "value": "SHOP" },
                      { "attribute": "Day", "type": "S", "value": "{Kind}#{day(At)}" }] } ] }"#,
    );
    let old = json!({ "Kind": {"S": "note"}, "Price": {"N": "1"}, "Buyer": {"S": "ann"} });
    let new = json!({ "Kind": {"S": "order"}, "Price": {"N": "1e50"}, "Buyer": {"S": "ann"}, "At": {"N": "0"},
        "Tags": {"L": [{"S": ""}, {"BOOL": true}, {"S": "a"}]} });
    let found = bench.tried(Some(&old), Some(&new)).await;
    let why = json!([
        { "view": "buyers", "image": "old", "reason": "its condition is not true: Kind = 'order'; Price > 1" },
        { "view": "days", "image": "old", "reason":
            "the key attribute Day = {Kind}#{day(At)} has no value: day(At) has none" },
    ]);
    assert_eq!((&found["why"], &found["not_in"]), (&why, &json!([])), "the new one is in both");
    let ungrouped = json!([
        { "view": "buyers", "image": "new", "measure": "ByStatus", "values": 1 },
        { "view": "buyers", "image": "new", "measure": "ByTag", "values": 2 },
    ]);
    assert_eq!(found["ungrouped"], ungrouped);
    let uncountable = &found["uncountable"];
    assert_eq!((uncountable.as_array().map(Vec::len), &uncountable[0]["image"]), (Some(1), &json!("new")), "{found}");
    assert!(uncountable[0]["reason"].as_str().unwrap().contains("the measure \"Revenue\""), "{found}");
    assert_eq!(bench.tried(None, Some(&old)).await["not_in"], json!(["buyers", "days"]));

    let (old, new) = (bench.file("old.json", &old.to_string()), bench.file("item.json", &new.to_string()));
    let ran = bench.view(&["try", "--old", &old, "--item", &new]).await;
    for line in [
        "Customer ann: Orders +1",
        "the old item is not in the view buyers: its condition is not true: Kind = 'order'; Price > 1",
        "the old item is not in the view days: the key attribute Day = {Kind}#{day(At)} has no value: day(At) has none",
        "the new item is in the view buyers",
        "  Customer ann: ByTag.a +1",
        "the new item is ungrouped in ByTag of the view buyers: 2 values cannot name a group",
    ] {
        assert!(ran.out.lines().any(|printed| printed == line), "{line:?} is missing in\n{}", ran.out);
    }
    assert!(
        ran.out.contains("the new item cannot be counted by the view days: the measure \"Revenue\""),
        "{}",
        ran.out
    );
}

/// A sum whose operand is missing adds nothing: who wrote the definition has to see which one it is.
#[tokio::test]
async fn it_is_said_why_an_image_in_a_view_adds_nothing_to_a_measure() {
    let bench = Bench::new().await;
    bench.file(
        "definition.json",
        r#"{ "key": [{ "attribute": "CustomerId", "type": "S", "value": "{Buyer}" }],
             "measures": { "Orders": "count", "Revenue": "sum Price * Quantity * (1 - Discount)",
                           "Large": "count by Status where Price > 100 AND Quantity > 1", "Hours": "sum day(At)",
                           "ByTag": "count by each Tags", "Parts": "sum each Parts", "ByStatus": "count by Status" } }"#,
    );
    let item = json!({ "Buyer": {"S": "ann"}, "Price": {"N": "3"}, "Quantity": {"S": "2"}, "At": {"N": "0"},
        "Tags": {"L": []}, "Parts": {"M": {"a": {"S": "x"}}} });
    let found = bench.tried(None, Some(&item)).await;
    let left_out = |measure: &str, reason: &str| json!({ "view": "default", "image": "new", "measure": measure, "reason": reason });
    let expected = json!([
        left_out("Revenue", "no number in Quantity, Discount"),
        left_out("Large", "its condition is not true: Price > 100; Quantity > 1"),
        left_out("Hours", "no number in day(At)"),
        left_out("ByTag", "no element of Tags counts"),
        left_out("Parts", "no element of Parts counts"),
    ]);
    assert_eq!(found["left_out"], expected, "a value that names no group is told as ungrouped");
    assert_eq!(found["deltas"].as_array().map(Vec::len), Some(1), "{found}");

    let item = bench.file("item.json", &item.to_string());
    let printed = bench.view(&["try", "--item", &item]).await.out;
    let line = "  nothing for Revenue: no number in Quantity, Discount";
    assert!(printed.lines().any(|printed| printed == line), "{printed}");
}

#[tokio::test]
async fn a_record_for_quarantine_counts_nowhere() {
    let bench = Bench::new().await;
    bench.file("definition.json", &DEFINITION.replace(r#""value": "{Buyer}""#, r#""missing": "quarantine""#));
    let found = bench.tried(None, Some(&order("ann", "open", "2"))).await;
    let none = &json!([]);
    assert_eq!(lists(&found), [none; 6]);
    assert!(found["quarantined"].as_str().unwrap().contains("CustomerId"), "{found}");
}

#[tokio::test]
async fn a_trial_is_a_line_for_people_and_sends_no_control_character() {
    let bench = Bench::new().await;
    let item = bench.file("item.json", &order("a\u{1b}[2Jnn", "open", "2").to_string());
    let ran = bench.view(&["try", "--item", &item]).await;
    let expected = "Customer a\\u{1b}[2Jnn: Orders +1\nCustomer a\\u{1b}[2Jnn: ByStatus.open +1\n\
                    Customer a\\u{1b}[2Jnn: Revenue +2\nthe item is in the view default\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, expected), "{}", ran.err);
}

#[tokio::test]
async fn items_of_the_source_table_are_tried_up_to_a_limit_each_and_together() {
    let bench = Bench::new().await;
    bench.engine.create_table("Order", &["OrderId"], true).await;
    for (id, kind) in [("1", "order"), ("2", "order"), ("3", "note")] {
        let order = [("OrderId", s(id)), ("Kind", s(kind)), ("Buyer", s("ann")), ("Price", n(1))];
        bench.engine.put("Order", order).await;
    }
    for (limit, items) in [("1", 1), ("10", 3)] {
        let ran = bench.view(&["try", "--limit", limit, "--json"]).await;
        let found: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(found["items"].as_array().unwrap().len(), items, "{found}");
    }
    let ran = bench.view(&["try", "--json"]).await;
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    let deltas = [amount("Orders", None, 2), amount("Revenue", None, 2)];
    assert_eq!((&found["deltas"], &found["not_in"]), (&json!(deltas), &json!([])));
    let items = found["items"].as_array().unwrap();
    let note = items.iter().find(|one| one["item"] == json!({ "OrderId": {"S": "3"} })).unwrap();
    assert_eq!(note["why"][0]["reason"], "its condition is not true: Kind = 'order'");
    let ran = bench.view(&["try"]).await;
    for line in [
        r#"{"OrderId":{"S":"3"}}"#,
        "  the item is not in the view default: its condition is not true: Kind = 'order'",
        "3 items, in all",
        "  Customer ann: Orders +2",
    ] {
        assert!(ran.out.lines().any(|printed| printed == line), "{line:?} is missing in\n{}", ran.out);
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
        (vec!["try", "--old", &plain], "is not an item in DynamoDB JSON"),
        (vec!["try"], "cannot describe the table Order"),
    ] {
        let ran = bench.view(&arguments).await;
        assert!(ran.code == 2 && ran.err.contains(words) && ran.out.is_empty(), "{arguments:?}: {}", ran.err);
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
