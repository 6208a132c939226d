//! The audit's report for people. What a browser makes of it is looked at by `tests/browser/audit-report`.

use std::path::Path;

use crate::audit::switch_stream;
use crate::command::run;
use crate::engine::{Engine, n, s};

#[tokio::test]
async fn the_page_is_one_file_in_which_every_name_stays_text() {
    let engine = Engine::start().await;
    let hostile = "<script>document.title='hacked'</script>";
    for (map, category) in [("fine", "Bar"), (hostile, "\"><img src=x onerror=alert(1)>"), ("drifting", "Zoo & Co")] {
        for point in 0..4 {
            engine.put_point(map, &format!("p{point}"), Some(category)).await;
        }
    }
    engine.function().deliver(&engine.stream_records().await).await;
    switch_stream(&engine, false).await;
    for (map, stored) in [(hostile, 9), ("drifting", 1)] {
        let update = engine.db.update_item().table_name("Map").key("MapId", s(map));
        let update = update.update_expression("SET TotalPoints = :v, CategoryCounts = :m");
        let update = update.expression_attribute_values(":v", n(stored));
        let groups = aws_sdk_dynamodb::types::AttributeValue::M([("Gone".to_owned(), n(stored))].into());
        update.expression_attribute_values(":m", groups).send().await.unwrap();
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("audit.html");
    let ran = run(&engine, &["audit", "--html", file.to_str().unwrap()]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let page = std::fs::read_to_string(file).unwrap();
    assert!(page.contains("&lt;script&gt;document.title=&#39;hacked&#39;&lt;/script&gt;"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("://"), "{page}");
    assert!(page.contains("id=\"drift-plot\"") && page.contains("id=\"events-plot\""), "{page}");

    let ran = run(&engine, &["audit", "--html", "no such folder/page.html"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.contains("no such folder/page.html"), "{}", ran.err);
}
