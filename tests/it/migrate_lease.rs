//! Two operators, one that crashes, one that is too slow: the lease under which migrations are applied.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ddb_rollup::operate::migrate::definition::Migration;
use ddb_rollup::operate::migrate::report::Report;
use ddb_rollup::operate::migrate::steps::{Did, Mode, Steps};
use ddb_rollup::operate::migrate::{MigrateError, Migrator};
use ddb_rollup::operate::stop;
use serde_json::json;
use tokio::sync::oneshot;

use crate::command::{command, run};
use crate::engine::{Engine, s, text};
use crate::migrate::{forget_versions, history, markers, migrator};
use crate::request_hook::hang_after;

/// Migrations that this build has.
const SHIPPED: usize = 3;

/// The lease's end is moved back: as if time had passed.
pub async fn time_passes(engine: &Engine, by: Duration) {
    let lease = &history(engine).await["migration-lease Map"];
    let ends_at: DateTime<Utc> = text(&lease["LeaseEndsAt"]).parse().unwrap();
    let earlier = (ends_at - by).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let lease = lease.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let lease: HashMap<_, _> = lease.chain([("LeaseEndsAt", s(&earlier))]).collect();
    engine.put("Idempotency", lease).await;
}

#[tokio::test]
async fn a_run_that_is_killed_keeps_others_out_until_its_lease_ends_and_is_gone_on_with() {
    const BEFORE_IT_HANGS: usize = 20;
    let engine = Engine::start().await;
    for point in 0..60 {
        engine.put_point("m", &format!("p{point}"), None).await;
    }
    engine.function().deliver(&engine.stream_records().await).await;
    forget_versions(&engine).await;
    let (url, mut hung) = hang_after(&engine.url, "UpdateItem", BEFORE_IT_HANGS).await;
    let mut first =
        command(&engine, &["migrate", "--by", "ann", "--endpoint-url", &url]).stderr(Stdio::null()).spawn().unwrap();
    hung.recv().await.unwrap();

    let refused = async |who| {
        let ran = run(&engine, &["migrate", "--by", who]).await;
        let ends_at = text(&history(&engine).await["migration-lease Map"]["LeaseEndsAt"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.contains("ann is applying") && ran.err.contains(&ends_at), "{}", ran.err);
    };
    refused("bob").await;
    let status = run(&engine, &["migrate", "status", "--json"]).await;
    assert_eq!((status.code, status.json()["lease"]["holder"].clone()), (1, json!("ann")), "{status:?}");

    first.kill().await.unwrap();
    refused("bob").await;
    // The lease has just ended, but somebody's clock may be behind.
    time_passes(&engine, Duration::from_secs(65)).await;
    refused("bob").await;
    assert_eq!(run(&engine, &["migrate", "status", "--json"]).await.json()["lease"]["holder"], json!("ann"));
    let done = || async { markers(&engine).await.iter().filter(|marker| marker.contains_key("FormatVersion")).count() };
    let done_before = done().await;
    assert!((1..60).contains(&done_before), "{done_before} of 60 were done when it was killed");
    assert_eq!(history(&engine).await.len(), 1, "nothing but the lease is recorded");

    time_passes(&engine, Duration::from_secs(10)).await;
    let ran = run(&engine, &["migrate", "--by", "bob", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["migrations"][0]["changed"], json!(60 - done_before), "what was done is not done again");
    assert_eq!(done().await, 60);
    assert_eq!(history(&engine).await.len(), SHIPPED);
    engine.assert_exact().await;
}

/// Steps whose course the test decides.
struct Fake<F>(F);

impl<F: AsyncFn(&Migration) -> Did> Steps for Fake<F> {
    async fn run(&self, migration: &Migration, _: Mode) -> Result<Did, MigrateError> {
        Ok((self.0)(migration).await)
    }
}

#[tokio::test]
async fn who_lost_the_lease_records_nothing() {
    let engine = Engine::start().await;
    let slow = migrator(
        &engine,
        "ann",
        Fake(async |_: &Migration| {
            // Ann's process was asleep for longer than her lease; Bob has begun.
            let lease =
                [("LeaseToken", s("of Bob")), ("Holder", s("bob")), ("LeaseEndsAt", s("2999-01-01T00:00:00.000Z"))];
            let key = [("SequenceNumber", s("migration-lease")), ("Stream", s("Map"))];
            engine.put("Idempotency", key.into_iter().chain(lease)).await;
            Did::default()
        }),
    );
    let (_stopper, stop) = stop::stop();
    let mut report = Report::default();
    let error = slow.apply(&mut report, &stop).await.unwrap_err();
    assert!(matches!(error, MigrateError::Lost), "{error}");
    assert!(report.is_empty());
    let left = history(&engine).await;
    assert_eq!(left.keys().collect::<Vec<_>>(), ["migration-lease Map"]);
    assert_eq!(left["migration-lease Map"]["Holder"], s("bob"), "Bob's lease is not given back by Ann");
}

#[tokio::test]
async fn a_lease_is_renewed_while_the_work_goes_on_and_given_back_when_it_is_stopped() {
    let engine = Engine::start().await;
    let (stopper, stop) = stop::stop();
    let (start, started) = oneshot::channel();
    let start = std::sync::Mutex::new(Some(start));
    let mut endless = migrator(
        &engine,
        "ann",
        Fake(async |_: &Migration| {
            start.lock().unwrap().take().unwrap().send(()).unwrap();
            std::future::pending().await
        }),
    );
    endless.term = Duration::from_millis(900);
    let watch = async {
        started.await.unwrap();
        let ends_at = async || text(&history(&engine).await["migration-lease Map"]["LeaseEndsAt"]);
        let first = ends_at().await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let later = ends_at().await;
        assert!(later > first && later.parse::<DateTime<Utc>>().unwrap() > Utc::now(), "{first}, then {later}");
        stopper.stop();
    };
    let mut report = Report::default();
    let (ended, ()) = tokio::join!(endless.apply(&mut report, &stop), watch);
    let message = ended.unwrap_err().to_string();
    assert!(message.contains("stopped before V1__format_version_of_markers was complete"), "{message}");
    assert!(history(&engine).await.is_empty(), "the lease is given back");
}

#[tokio::test]
async fn of_two_operators_at_once_one_applies_and_each_migration_is_applied_once() {
    let engine = Engine::start().await;
    let runs = AtomicUsize::new(0);
    let operator = |who: &str| {
        migrator(
            &engine,
            who,
            Fake(async |_: &Migration| {
                runs.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
                Did::default()
            }),
        )
    };
    let operators: Vec<_> = (0..4).map(|number| operator(&format!("operator {number}"))).collect();
    let (_stopper, stop) = stop::stop();
    let run = async |operator: &Migrator<_, _>| operator.apply(&mut Report::default(), &stop).await;
    let ended = futures_util::future::join_all(operators.iter().map(run)).await;
    assert_eq!(runs.load(Ordering::SeqCst), SHIPPED);
    assert!(ended.iter().any(Result::is_ok));
    for error in ended.into_iter().filter_map(Result::err) {
        assert!(matches!(error, MigrateError::Held(_) | MigrateError::JustReleased), "{error}");
    }
    assert_eq!(history(&engine).await.len(), SHIPPED);
}
