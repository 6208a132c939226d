//! Several views in one definition, on the real process and the real command: what the function writes down about its
//! definition, commands that were given another one, and a view that is added while records flow.

use std::time::Duration;

use serde_json::{Value, json};

use crate::command::{Ran, run_with};
use crate::engine::{Engine, n, s};
use crate::runtime_api::{Ended, Sandbox, Settings};

const AMPLE: Duration = Duration::from_secs(30);

/// The orders of a customer, and of all customers on one item of the same table.
fn definition(views: &[&str]) -> String {
    let all = [
        (
            "customers",
            json!({ "where": "begins_with(SK, 'ORDER#')", "measures": { "Orders": "count", "ByTag": "count by each Tags" },
            "key": [{ "attribute": "Id", "type": "S", "value": "CUSTOMER#{PK}" }] }),
        ),
        (
            "spending",
            json!({ "where": "begins_with(SK, 'ORDER#')", "measures": { "Spent": "sum Amount" },
            "key": [{ "attribute": "Id", "type": "S", "value": "CUSTOMER#{PK}" }], "set": { "Board": "ALL", "Name": "{PK}" } }),
        ),
        (
            "days",
            json!({ "table": "Day", "measures": { "Orders": "count where Amount > 0" },
            "key": [{ "attribute": "Day", "type": "S", "value": "{day(At)}" }] }),
        ),
    ];
    let wanted = all.into_iter().filter(|(name, _)| views.contains(name)).map(|(name, mut view)| {
        view["name"] = name.into();
        view
    });
    json!({ "views": wanted.collect::<Vec<_>>() }).to_string()
}

/// The tables of a shop, and a function with a definition.
pub struct Shop {
    pub engine: Engine,
}

impl Shop {
    pub async fn open() -> Self {
        let engine = Engine::start().await;
        engine.create_table("App", &["PK", "SK"], true).await;
        engine.create_table("Customer", &["Id"], false).await;
        engine.create_table("Day", &["Day"], false).await;
        Self { engine }
    }

    async fn order(&self, customer: &str, number: usize, amount: i64) {
        let tags = aws_sdk_dynamodb::types::AttributeValue::Ss(vec!["red".to_owned(), format!("n{}", number % 2)]);
        let at = format!("2026-03-0{}T10:00Z", number % 3 + 1);
        let key = [("PK", s(customer)), ("SK", s(&format!("ORDER#{number}")))];
        let rest = [("Amount", n(amount)), ("Tags", tags), ("At", s(&at))];
        self.engine.put("App", key.into_iter().chain(rest)).await;
    }

    fn settings(definition: &str) -> [(&'static str, &str); 3] {
        [("ROLLUP_SOURCE_TABLE", "App"), ("ROLLUP_VIEW_TABLE", "Customer"), ("ROLLUP_VIEW_DEFINITION", definition)]
    }

    pub async fn function(&self, definition: &str) -> Sandbox {
        let on = Settings::on(&self.engine);
        let settings = Self::settings(definition).into_iter().fold(on, |on, (name, value)| on.with(name, value));
        Sandbox::ready(&settings).await
    }

    pub async fn records(&self) -> Vec<Value> {
        self.engine.stream_records_of("App").await
    }

    pub async fn command(&self, arguments: &[&str], definition: &str) -> Ran {
        let arguments = [arguments, &["--settle", "0", "--json"]].concat();
        run_with(&self.engine, &arguments, &Self::settings(definition)).await
    }

    /// The item that says under which definition the records are counted.
    async fn written_down(&self) -> Option<String> {
        let items = self.engine.scan("Idempotency").await;
        let item = items.into_iter().find(|item| item["SequenceNumber"] == s("definition"))?;
        Some(item["Fingerprint"].as_s().unwrap().clone())
    }
}

async fn deliver(function: &Sandbox, records: &[Value]) {
    let event = json!({ "Records": records }).to_string();
    let Ended::Response(response) = function.invoke(&event, AMPLE).await else { panic!("no response") };
    assert_eq!(response, json!({ "batchItemFailures": [] }));
}

/// During a deployment, environments of both definitions are at work: the newer one's word stands.
#[tokio::test]
async fn an_older_environment_does_not_write_its_definition_over_a_newer_ones() {
    let shop = Shop::open().await;
    let (one, other) = (definition(&["customers", "days"]), definition(&["customers", "spending", "days"]));
    let older = shop.function(&one).await;
    let newer = shop.function(&other).await;
    shop.order("ann", 1, 5).await;
    deliver(&newer, &shop.records().await).await;
    let written = shop.written_down().await;

    shop.order("bob", 2, 0).await;
    deliver(&older, &shop.records().await).await;
    assert_eq!(shop.written_down().await, written);
    let ran = shop.command(&["audit"], &other).await;
    assert!(ran.code != 2, "{ran:?}");

    let newest = shop.function(&one).await;
    deliver(&newest, &shop.records().await).await;
    assert_ne!(shop.written_down().await, written, "a definition that is taken back is written again");
}

#[tokio::test]
async fn a_command_with_another_definition_than_the_functions_does_not_run() {
    let shop = Shop::open().await;
    let (one, other) = (definition(&["customers", "days"]), definition(&["customers", "spending", "days"]));
    shop.order("ann", 1, 5).await;
    shop.order("bob", 2, 0).await;
    assert_eq!(shop.command(&["audit"], &other).await.code, 0, "without a function, nothing is written down");
    let function = shop.function(&one).await;
    deliver(&function, &[]).await;
    assert_eq!(shop.written_down().await, None, "nothing was committed under it");
    deliver(&function, &shop.records().await).await;
    let first = shop.written_down().await.unwrap();

    let ran = shop.command(&["audit"], &one).await;
    assert_eq!((ran.code, &ran.json()["exact"]), (0, &json!(4)), "{ran:?}");
    let before = shop.engine.everything_of(&["Customer", "Day", "Idempotency"]).await;
    for subcommand in [&["audit"][..], &["repair"], &["replay", "--from-stream"], &["migrate"]] {
        let arguments = if subcommand == ["migrate"] { vec!["migrate"] } else { subcommand.to_vec() };
        let ran = shop.command(&arguments, &other).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{subcommand:?}: {ran:?}");
        for words in [first.as_str(), "another definition", "--definition FILE", "--any-definition"] {
            assert!(ran.err.contains(words), "{subcommand:?}: {words} in {}", ran.err);
        }
    }
    assert_eq!(shop.engine.everything_of(&["Customer", "Day", "Idempotency"]).await, before, "nothing was written");
    let check = |definition| {
        let settings = Shop::settings(definition);
        let engine = &shop.engine;
        async move { run_with(engine, &["deploy-check", "--tables-only", "--json"], &settings).await.out }
    };
    let words = "the definition under which the function counts";
    let told = |out: String| {
        let report: Value = serde_json::from_str(&out).unwrap();
        let checks = report["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["what"] == words).unwrap()["ok"].clone()
    };
    assert_eq!((told(check(&one).await), told(check(&other).await)), (json!(true), json!(false)));
    let ran = shop.command(&["audit", "--any-definition"], &other).await;
    assert_eq!(
        (ran.code, &ran.json()["drifted"]),
        (1, &json!(1)),
        "what bob has not spent is as good as absent: {ran:?}"
    );
    assert_eq!(ran.json()["drift"][0]["view"], json!("spending"));

    // The same definition in other words, and then another one.
    deliver(&shop.function(&one.replace("count by each Tags", "COUNT  by each  Tags")).await, &shop.records().await)
        .await;
    assert_eq!(shop.written_down().await, Some(first.clone()));
    shop.order("ann", 3, 1).await;
    deliver(&shop.function(&other).await, &shop.records().await[2..]).await;
    assert_ne!(shop.written_down().await, Some(first));
}

#[tokio::test]
async fn a_view_is_added_while_records_flow() {
    let shop = Shop::open().await;
    let (old, new) = (definition(&["customers", "days"]), definition(&["customers", "spending", "days"]));
    for number in 0..12 {
        shop.order(["ann", "bob", "cleo"][number % 3], number, 1 + i64::try_from(number).unwrap()).await;
    }
    let records = shop.records().await;
    let before = shop.function(&old).await;
    deliver(&before, &records[..6]).await;
    // The new function is there; an invocation of the old one still goes on, and what it did is delivered to the new one.
    let after = shop.function(&new).await;
    deliver(&after, &records[4..9]).await;
    deliver(&before, &records[8..]).await;
    deliver(&after, &records[6..]).await;
    drop(before);

    let ran = shop.command(&["audit"], &new).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let drifted: Vec<Value> = ran.json()["drift"].as_array().unwrap().iter().map(|one| one["view"].clone()).collect();
    assert!(!drifted.is_empty() && drifted.iter().all(|view| view == "spending"), "{ran:?}");
    assert_eq!(shop.command(&["audit", "--view", "customers"], &new).await.code, 0);
    let typo = shop.command(&["audit", "--view", "Spending"], &new).await;
    assert!(typo.code == 2 && typo.err.contains("customers, spending, days"), "{typo:?}");

    shop.order("ann", 40, 100).await;
    let ran = shop.command(&["repair", "--view", "spending"], &new).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    shop.order("bob", 41, 7).await;
    shop.order("ann", 0, 50).await;
    deliver(&after, &shop.records().await).await;
    let ran = shop.command(&["audit"], &new).await;
    assert_eq!((ran.code, &ran.json()["drifted"]), (0, &json!(0)), "{ran:?}");
    let customers = shop.engine.scan("Customer").await;
    let ann = customers.iter().find(|item| item["Id"] == s("CUSTOMER#ann")).unwrap();
    assert_eq!((&ann["Spent"], &ann["Board"], &ann["Name"]), (&n(50 + 4 + 7 + 10 + 100), &s("ALL"), &s("ann")));
    assert_eq!(ann["Orders"], n(5));
}
