//! How fast an audit is beside a bare parallel query of the same items, in one run. Small by itself; the size and the
//! demand come from the environment: `AUDIT_SPEED_ITEMS=1000 AUDIT_SPEED_POINTS=100000 AUDIT_SPEED_RATIO=0.8`.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use ddb_rollup::config::{Config, Tables};
use ddb_rollup::operate::args::Pace;
use ddb_rollup::operate::audit::{AuditScope, audit};
use ddb_rollup::operate::stop;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::audit::switch_stream;
use crate::engine::{Engine, n, s};

/// Maximum concurrent requests, of both.
const CONCURRENCY: u16 = 8;

/// How often each is measured; the best counts, as the machine has other things to do.
const RUNS: usize = 3;

pub fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Points over maps, written before the stream was switched on; with the counters that they come to, or with none.
pub async fn load(engine: &Engine, maps: usize, points: usize, counted: bool) {
    // A write costs more the longer the stream is: it is switched on when everything is there.
    switch_stream(engine, false).await;
    let point = |point: usize| {
        let category = ["Bar", "Zoo", "Park", "Inn"][point / maps % 4];
        [("MapId", format!("m{}", point % maps)), ("PointId", format!("p{point}")), ("Category", category.to_owned())]
    };
    let put = |item: HashMap<String, AttributeValue>| {
        WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().unwrap()).build()
    };
    let items = (0..points)
        .map(|number| put(point(number).into_iter().map(|(name, value)| (name.to_owned(), s(&value))).collect()));
    let mut groups: Vec<HashMap<String, i64>> = vec![HashMap::new(); maps];
    for number in 0..points {
        *groups[number % maps].entry(point(number)[2].1.clone()).or_default() += 1;
    }
    let views = groups.into_iter().enumerate().map(|(map, groups)| {
        let total = groups.values().sum();
        let groups = groups.into_iter().map(|(group, count)| (group, n(count))).collect();
        put([
            ("MapId".to_owned(), s(&format!("m{map}"))),
            ("TotalPoints".to_owned(), n(total)),
            ("CategoryCounts".to_owned(), AttributeValue::M(groups)),
            ("RollupVersion".to_owned(), n(1)),
        ]
        .into())
    });
    let views: Vec<_> = views.filter(|_| counted).collect();
    for (table, requests) in [("Point", items.collect::<Vec<_>>()), ("Map", views)] {
        for batch in requests.chunks(25) {
            engine.db.batch_write_item().request_items(table, batch.to_vec()).send().await.unwrap();
        }
    }
    switch_stream(engine, true).await;
}

/// Every point of every map by a query, and nothing done with it.
async fn bare_query(engine: &Engine, maps: usize) -> (Duration, usize) {
    let began = Instant::now();
    let queries = (0..maps).map(|map| async move {
        let query = engine.db.query().table_name("Point").consistent_read(true).key_condition_expression("MapId = :m");
        let pages = query.expression_attribute_values(":m", s(&format!("m{map}"))).into_paginator().items().send();
        pages.collect::<Result<Vec<_>, _>>().await.map(|items| items.len())
    });
    let counts: Vec<usize> =
        stream::iter(queries).buffer_unordered(usize::from(CONCURRENCY)).try_collect().await.unwrap();
    (began.elapsed(), counts.iter().sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_is_bounded_by_the_queries_of_its_items() {
    let maps = setting("AUDIT_SPEED_ITEMS").unwrap_or(20);
    let points = setting("AUDIT_SPEED_POINTS").unwrap_or(400);
    let engine = Engine::start().await;
    load(&engine, maps, points, true).await;
    let scope = AuditScope {
        pace: Pace { settle: Duration::ZERO, concurrency: CONCURRENCY, ..Pace::default() },
        ..AuditScope::default()
    };
    let (_stopper, stop) = stop::stop();
    let (mut bare, mut audited) = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        let (took, count) = bare_query(&engine, maps).await;
        assert_eq!(count, points);
        bare = bare.min(took);
        let began = Instant::now();
        let audit = audit(&engine.sdk, Config::of(Tables::default()).unwrap(), &scope, &stop);
        let report = Box::pin(audit).await.unwrap();
        audited = audited.min(began.elapsed());
        assert_eq!((report.exact, report.view_items()), (maps as u64, maps as u64));
    }
    let ratio = bare.as_secs_f64() / audited.as_secs_f64();
    let told = format!("{points} points of {maps} view items: query {bare:?}, audit {audited:?}, ratio {ratio:.2}");
    if let Some(demanded) = setting::<f64>("AUDIT_SPEED_RATIO") {
        assert!(ratio >= demanded, "{told}");
    }
    if let Some(file) = setting::<String>("AUDIT_SPEED_REPORT") {
        std::fs::write(file, told).unwrap();
    }
}
