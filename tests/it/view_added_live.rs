//! A view is added to a live function: from the deployment to exact counters, while people write, records come twice, the
//! old version still works, and processes are killed. All numbers but the moments of the kills come from a seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::engine::{n, s, text};
use crate::runtime_api::{Ended, Sandbox};
use crate::several_views::Shop;

const AMPLE: Duration = Duration::from_secs(30);
const CUSTOMERS: [&str; 3] = ["ann", "bob", "cleo"];
const VIEW_TABLES: [&str; 2] = ["Customer", "Day"];

/// The number of a customer's orders, by status too; what they spent, on the same items; the orders of a day.
fn definition(views: &[&str]) -> String {
    let order = "begins_with(SK, 'ORDER#')";
    let customer = json!([{ "attribute": "Id", "type": "S", "value": "CUSTOMER#{PK}" }]);
    let day = json!([{ "attribute": "Day", "type": "S", "value": "{At}" }]);
    let all = [
        json!({ "name": "customers", "where": order, "key": customer,
            "measures": { "Orders": "count", "ByStatus": "count by Status" } }),
        json!({ "name": "spending", "where": order, "key": customer, "set": { "Board": "ALL" },
            "measures": { "Spent": "sum Amount", "Dear": "count where Amount > 5" } }),
        json!({ "name": "days", "table": "Day", "key": day, "measures": { "Orders": "count" } }),
    ];
    let wanted = all.into_iter().filter(|view| views.iter().any(|name| view["name"] == **name));
    json!({ "views": wanted.collect::<Vec<_>>() }).to_string()
}

/// Puts, changes and deletes orders until it is over.
fn writer(shop: &Arc<Shop>, is_over: &Arc<AtomicBool>, seed: u64) -> JoinHandle<()> {
    let (shop, is_over, mut rng) = (Arc::clone(shop), Arc::clone(is_over), Rng::with_seed(seed));
    tokio::spawn(async move {
        while !is_over.load(Ordering::Relaxed) {
            let key = [("PK", s(CUSTOMERS[rng.usize(..3)])), ("SK", s(&format!("ORDER#{}", rng.u8(..12))))];
            if rng.u8(..5) == 0 {
                let delete = shop.engine.db.delete_item().table_name("App");
                let [(partition, pk), (sort, sk)] = key;
                delete.key(partition, pk).key(sort, sk).send().await.unwrap();
            } else {
                let rest = [
                    ("Amount", n(rng.i64(1..10))),
                    ("Status", s(["open", "paid"][rng.usize(..2)])),
                    ("At", s(&format!("2026-03-0{}", rng.u8(1..4)))),
                ];
                shop.engine.put("App", key.into_iter().chain(rest)).await;
            }
            tokio::time::sleep(Duration::from_millis(rng.u64(5..25))).await;
        }
    })
}

/// Execution environments of one version of the function, one after another.
struct Version<'s> {
    shop: &'s Shop,
    definition: String,
    sandbox: Option<Sandbox>,
}

impl<'s> Version<'s> {
    fn new(shop: &'s Shop, definition: &str) -> Self {
        Self { shop, definition: definition.to_owned(), sandbox: None }
    }

    /// Delivers records to a process that is killed after this time; whether it acknowledged them.
    async fn invoke(&mut self, records: &[Value], time: Duration) -> bool {
        if self.sandbox.is_none() {
            self.sandbox = Some(self.shop.function(&self.definition).await);
        }
        let sandbox = self.sandbox.as_ref().unwrap();
        match sandbox.invoke(&json!({ "Records": records }).to_string(), time).await {
            ended if ended == Ended::nothing_failed() => true,
            Ended::TimedOut | Ended::Died => {
                self.sandbox = None;
                false
            }
            Ended::Response(_) => false,
            Ended::Error { kind, message } => panic!("{kind}: {message}"),
        }
    }
}

/// How far the stream is delivered.
struct Stream {
    rng: Rng,
    acknowledged: usize,
}

impl Stream {
    /// The next records, with some before them that were delivered already: where they begin, and they.
    fn batch<'r>(&mut self, records: &'r [Value]) -> (usize, &'r [Value]) {
        let from = self.acknowledged - self.rng.usize(..8).min(self.acknowledged);
        let to = (self.acknowledged + self.rng.usize(1..20)).min(records.len());
        (from, &records[from..to.max(from)])
    }

    /// A time in which a process is through, or one in which it is killed somewhere.
    fn time(&mut self) -> Duration {
        if self.rng.u8(..3) == 0 { Duration::from_millis(self.rng.u64(2..40)) } else { AMPLE }
    }

    async fn deliver(&mut self, version: &mut Version<'_>) {
        let records = version.shop.records().await;
        let (from, batch) = self.batch(&records);
        let time = self.time();
        if version.invoke(batch, time).await {
            self.acknowledged = self.acknowledged.max(from + batch.len());
        }
    }

    /// A poller of each version at once, whose records overlap, as while a deployment is under way.
    async fn deliver_to_both(&mut self, old: &mut Version<'_>, new: &mut Version<'_>) {
        let records = new.shop.records().await;
        let ((of_old, to_old), (of_new, to_new)) = (self.batch(&records), self.batch(&records));
        let time = self.time();
        let (by_old, by_new) = tokio::join!(old.invoke(to_old, AMPLE), new.invoke(to_new, time));
        for (from, batch) in [(by_old, of_old, to_old), (by_new, of_new, to_new)]
            .into_iter()
            .filter_map(|(by, from, batch)| by.then_some((from, batch)))
        {
            self.acknowledged = self.acknowledged.max(from + batch.len());
        }
    }
}

/// Every counter of the view tables that is not zero.
async fn stored(shop: &Shop) -> BTreeMap<String, i64> {
    let mut counters = BTreeMap::new();
    for (table, key) in [("Customer", "Id"), ("Day", "Day")] {
        for item in shop.engine.scan(table).await {
            let of = |name: &str| format!("{} {name}", text(&item[key]));
            let number =
                |value: &aws_sdk_dynamodb::types::AttributeValue| value.as_n().unwrap().parse::<i64>().unwrap();
            for name in ["Orders", "Spent", "Dear"] {
                counters.extend(item.get(name).map(|value| (of(name), number(value))));
            }
            for (status, value) in item.get("ByStatus").and_then(|groups| groups.as_m().ok()).into_iter().flatten() {
                counters.insert(of(status), number(value));
            }
        }
    }
    counters.retain(|_, count| *count != 0);
    counters
}

/// The same, counted from the orders.
async fn recounted(shop: &Shop) -> BTreeMap<String, i64> {
    let mut counters = BTreeMap::new();
    for order in shop.engine.scan("App").await {
        let amount: i64 = order["Amount"].as_n().unwrap().parse().unwrap();
        let customer = format!("CUSTOMER#{}", text(&order["PK"]));
        let mut add = |counter: String, amount| *counters.entry(counter).or_default() += amount;
        add(format!("{customer} Orders"), 1);
        add(format!("{customer} {}", text(&order["Status"])), 1);
        add(format!("{customer} Spent"), amount);
        add(format!("{customer} Dear"), i64::from(amount > 5));
        add(format!("{} Orders", text(&order["At"])), 1);
    }
    counters.retain(|_, count| *count != 0);
    counters
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_is_added_under_fire_is_exact_after_one_repair() {
    let (before, after) = (definition(&["customers", "days"]), definition(&["customers", "spending", "days"]));
    let shop = Arc::new(Shop::open().await);
    let is_over = Arc::<AtomicBool>::default();
    let writers = [writer(&shop, &is_over, 1), writer(&shop, &is_over, 2)];
    let mut stream = Stream { rng: Rng::with_seed(3), acknowledged: 0 };
    let (mut old, mut new) = (Version::new(&shop, &before), Version::new(&shop, &after));

    while stream.acknowledged < 40 {
        stream.deliver(&mut old).await;
    }
    // The new version is deployed; environments of the old one still have invocations, and no new ones start.
    for _ in 0..6 {
        stream.deliver_to_both(&mut old, &mut new).await;
    }
    let uncounted = stored(&shop).await;
    // One time-out later the old version is gone.
    drop(old);

    let acknowledged = stream.acknowledged;
    let repaired = async {
        // What never rested may be left: once more, as the command says.
        for _ in 0..5 {
            let ran = shop.command(&["repair", "--view", "spending"], &after).await;
            assert_eq!(ran.json()["drifted"], 0, "{ran:?}");
            if ran.json()["unstable"] == 0 {
                return;
            }
        }
        panic!("nothing rested");
    };
    let under_fire = async {
        loop {
            stream.deliver(&mut new).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = repaired => {}
        () = under_fire => {}
    }
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let records = shop.records().await;
    assert!(records.len() > acknowledged, "people wrote while the view was repaired");
    for batch in records.chunks(60) {
        assert!(new.invoke(batch, AMPLE).await, "the rest, and everything else once more");
    }
    let expected = recounted(&shop).await;
    assert_eq!(stored(&shop).await, expected);
    assert_ne!(uncounted, expected);
    let told = shop.engine.everything_of(&VIEW_TABLES).await;
    for batch in records.chunks(45).rev() {
        assert!(new.invoke(batch, AMPLE).await, "everything twice, the newest first");
    }
    assert_eq!(shop.engine.everything_of(&VIEW_TABLES).await, told, "nothing counts twice");
    let ran = shop.command(&["audit"], &after).await;
    assert_eq!((ran.code, &ran.json()["drifted"], &ran.json()["behind"]), (0, &json!(0), &json!(0)), "{ran:?}");
    let customers = shop.engine.scan("Customer").await;
    assert!(customers.iter().all(|item| item["Board"] == s("ALL")), "{customers:?}");
}
