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
    let ran = run(&engine, &["audit", "--html", file.to_str().unwrap(), "--endpoint-url", &engine.url]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let page = std::fs::read_to_string(file).unwrap();
    assert!(page.contains("&lt;script&gt;document.title=&#39;hacked&#39;&lt;/script&gt;"), "{page}");
    for from_elsewhere in ["<script", "<img", "<link", "<iframe", "@import", "<a "] {
        assert!(!page.contains(from_elsewhere), "{from_elsewhere}: {page}");
    }
    // An address is in the commands alone, as text.
    let without_commands: Vec<&str> =
        page.split("<code>").map(|part| part.split_once("</code>").map_or(part, |(_, rest)| rest)).collect();
    assert!(!without_commands.concat().contains("://"), "{page}");
    let repair = format!("<pre><code>ddb-rollup repair --endpoint-url {}</code></pre>", engine.url);
    assert!(page.contains(&repair), "{repair}: {page}");
    // Too many to the right of the axis, too few to the left; each has its sign.
    for bar in ["class=\"more\" x=\"450.0\"", ">+9</text>", "class=\"less\" x=\"", ">-4</text>"] {
        assert!(page.contains(bar), "{bar}: {page}");
    }
    for part in ["<html lang=\"en\">", "<main>", "<h1>", "<h2>Drift</h2>", "<th scope=\"col\">", "<th scope=\"row\">"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.contains("id=\"drift-plot\"") && page.contains("id=\"events-plot\""), "{page}");

    let ran = run(&engine, &["audit", "--html", "no such folder/page.html"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.contains("no such folder/page.html"), "{}", ran.err);
}
