//! Groups that count nothing any more: what they cost is told, and they are removed without harm to a function that counts.

use std::sync::Arc;

use serde_json::json;

use crate::audit::{audit, settled};
use crate::engine::{Engine, n};
use crate::request_hook::before_each_request;

/// More groups than one update removes.
const GROUPS: usize = 120;

/// A map with one point, and the groups of points that are gone.
async fn with_zero_groups(groups: usize) -> Engine {
    let engine = Engine::start().await;
    for group in 0..groups {
        engine.put_point("m0", "moving", Some(&format!("group {group}"))).await;
    }
    engine.put_point("m0", "moving", Some("Bar")).await;
    // One by one: in a batch they would add up to nothing, and no group would begin.
    let function = engine.function();
    for record in engine.stream_records().await {
        function.deliver(&[record]).await;
    }
    engine
}

async fn stored_groups(engine: &Engine) -> Vec<(String, String)> {
    let item = engine.scan("Map").await.remove(0);
    let groups = item["CategoryCounts"].as_m().unwrap().iter();
    let mut groups: Vec<_> = groups.map(|(name, count)| (name.clone(), count.as_n().unwrap().clone())).collect();
    groups.sort();
    groups
}

#[tokio::test]
async fn they_are_told_with_what_they_cost_and_removed_when_asked_for() {
    let engine = with_zero_groups(GROUPS).await;
    let ran = audit(&engine).await;
    let bytes: usize = (0..GROUPS).map(|group| format!("group {group}").len() + 3).sum();
    let told = json!({ "groups": GROUPS, "bytes": bytes, "view_items": 1 });
    assert_eq!((ran.code, &ran.json()["zero_groups"]), (0, &told), "{ran:?}");
    assert!(ran.json()["largest_view_item"]["bytes"].as_u64().unwrap() > bytes as u64, "{ran:?}");
    assert_eq!(ran.json()["largest_view_item"]["key"], "m0");
    for option in [&[][..], &["--dry-run"]] {
        let ran = settled(&engine, "repair", option).await;
        assert_eq!((ran.code, &ran.json()["zero_groups"]), (0, &told), "{ran:?}");
    }
    assert_eq!(stored_groups(&engine).await.len(), GROUPS + 1);

    let ran = settled(&engine, "repair", &["--remove-zero-groups"]).await;
    assert_eq!((ran.code, &ran.json()["removed_zero_groups"]), (0, &json!(GROUPS)), "{ran:?}");
    assert_eq!(ran.json()["zero_groups"], json!({ "groups": 0, "bytes": 0, "view_items": 0 }));
    assert_eq!(stored_groups(&engine).await, [("Bar".to_owned(), "1".to_owned())]);
    assert_eq!(audit(&engine).await.code, 0);
}

#[tokio::test]
async fn a_group_that_counts_again_stays_and_a_removed_one_begins_anew() {
    let engine = Arc::new(with_zero_groups(3).await);
    let live = Arc::clone(&engine);
    let url = before_each_request(&engine.url, move |operation| {
        let live = Arc::clone(&live);
        async move {
            if operation == "UpdateItem" {
                live.put_point("m0", "again", Some("group 1")).await;
                live.function().deliver(&live.stream_records().await).await;
            }
        }
    })
    .await;
    let ran = settled(&engine, "repair", &["--remove-zero-groups", "--endpoint-url", &url]).await;
    assert_eq!((ran.code, &ran.json()["removed_zero_groups"]), (0, &json!(0)), "{ran:?}");
    engine.assert_exact().await;

    let ran = settled(&engine, "repair", &["--remove-zero-groups"]).await;
    assert_eq!((ran.code, &ran.json()["removed_zero_groups"]), (0, &json!(2)), "{ran:?}");
    engine.put_point("m0", "back", Some("group 0")).await;
    engine.function().deliver(&engine.stream_records().await).await;
    engine.assert_exact().await;
    assert_eq!(engine.scan("Map").await[0]["TotalPoints"], n(3));
    assert_eq!(audit(&engine).await.code, 0);
}
