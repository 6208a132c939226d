//! The start: settings that stop it, and surroundings that must not.

use serde_json::Value;

use super::{AMPLE, CONSOLE_TEST_EVENT};
use crate::engine::Engine;
use crate::runtime_api::{Ended, Extensions, Sandbox, Settings};

/// An endpoint that nobody needs: the start asks nothing of the engine.
const NOWHERE: &str = "http://127.0.0.1:9";

/// The message with which a start ends that cannot succeed.
async fn refusal(settings: &Settings) -> String {
    let sandbox = Sandbox::start(settings);
    let status = sandbox.exit().await;
    assert_eq!(status.code(), Some(1), "{settings:?}");
    assert_eq!(sandbox.stderr().await, [""; 0], "{settings:?}");
    let lines = sandbox.stdout().await.into_iter().map(|line| serde_json::from_str(&line).unwrap());
    let errors: Vec<Value> = lines.filter(|line: &Value| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "one line says it: {errors:?}");
    errors[0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_stops_the_start_and_is_named_with_what_is_accepted() {
    let long = "x".repeat(256);
    let names = "3 to 255 of a-z, A-Z, 0-9, '_', '-', '.'";
    for (variable, value, accepted) in [
        ("ROLLUP_SOURCE_TABLE", "", names),
        ("ROLLUP_SOURCE_TABLE", "ab", names),
        ("ROLLUP_SOURCE_TABLE", "Map", "another table than"),
        ("ROLLUP_VIEW_TABLE", "a b c", names),
        ("ROLLUP_VIEW_TABLE", &long, names),
        ("ROLLUP_VIEW_TABLE", "Point", "another table than"),
        ("ROLLUP_IDEMPOTENCY_TABLE", "arn:aws:sqs:eu-west-1:000000000000:queue", names),
        ("ROLLUP_IDEMPOTENCY_TABLE", "Map", "another table than"),
        ("ROLLUP_MARKER_RETENTION_DAYS", "", "a whole number from 1 to 3650"),
        ("ROLLUP_MARKER_RETENTION_DAYS", "0", "a whole number from 1 to 3650"),
        ("ROLLUP_MARKER_RETENTION_DAYS", "-14", "a whole number from 1 to 3650"),
        ("ROLLUP_MARKER_RETENTION_DAYS", "3651", "a whole number from 1 to 3650"),
        ("ROLLUP_MARKER_RETENTION_DAYS", "two weeks", "a whole number from 1 to 3650"),
        (
            "ROLLUP_QUARANTINE_RETENTION_DAYS",
            "13",
            "empty, or a whole number from 14, the days of ROLLUP_MARKER_RETENTION_DAYS, to 3650",
        ),
        ("ROLLUP_ON_MISSING_VIEW_ITEM", "", "\"create\" or \"skip\""),
        ("ROLLUP_ON_MISSING_VIEW_ITEM", "Create", "\"create\" or \"skip\""),
        ("ROLLUP_MAX_IN_FLIGHT", "0", "a whole number from 1 to 100"),
        ("ROLLUP_MAX_IN_FLIGHT", "101", "a whole number from 1 to 100"),
        ("ROLLUP_MAX_IN_FLIGHT", "8.5", "a whole number from 1 to 100"),
    ] {
        let message = refusal(&Settings::at(NOWHERE).with(variable, value)).await;
        for part in [variable, &format!("{value:?}"), accepted] {
            assert!(message.contains(part), "{variable}={value}: {part} is not in {message:?}");
        }
    }
}

#[tokio::test]
async fn what_lambda_always_sets_is_asked_for_by_name_where_it_is_missing() {
    for variable in
        ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_REGION"]
    {
        // Else a Region would be asked for at the address where instances of EC2 find theirs.
        let settings = Settings::at(NOWHERE).with("AWS_EC2_METADATA_DISABLED", "true");
        let message = refusal(&settings.without(variable)).await;
        assert!(message.contains(variable), "{variable} is not in {message:?}");
    }
}

#[tokio::test]
async fn the_process_registers_the_extension_that_makes_lambda_send_sigterm() {
    let sandbox = Sandbox::ready(&Settings::at(NOWHERE)).await;
    let registered = sandbox.registered().unwrap();
    assert_eq!(registered["events"], serde_json::json!([]), "it subscribes to nothing");
    assert_eq!(sandbox.init_error(), None);
}

#[tokio::test]
async fn the_first_invocation_is_asked_for_by_the_connection_of_the_registration() {
    for _ in 0..10 {
        let sandbox = Sandbox::ready(&Settings::at(NOWHERE)).await;
        let (registered, polled) = sandbox.ports();
        assert!(registered.is_some() && registered == polled, "{registered:?}, {polled:?}");
        // Lambda ends the start only then.
        sandbox.extension_is_ready().await;
    }
}

#[tokio::test]
async fn the_process_works_where_the_extensions_part_of_the_api_does_not() {
    for extensions in [Extensions::Absent, Extensions::Failing, Extensions::Hanging] {
        let engine = Engine::start().await;
        let sandbox = Sandbox::ready(&Settings::on(&engine).extensions(extensions)).await;
        assert_eq!(sandbox.invoke(CONSOLE_TEST_EVENT, AMPLE).await, Ended::nothing_failed(), "{extensions:?}");
        assert_eq!(engine.counters("SeattleMapId").await.unwrap().total, 1, "{extensions:?}");
        assert_eq!(sandbox.terminate().await.code(), Some(0), "{extensions:?}");
    }
}
