//! What the command prints of the data: nothing that a terminal would obey, whoever wrote it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::command::{Ran, run, run_with};
use crate::engine::{Engine, n, s};

/// A key that turns the terminal red, begins a line of its own, and turns the direction of the text.
pub const KEY: &str = "m\u{1b}[31m\nexact\u{202e}";

/// A group that clears the screen.
const GROUP: &str = "Park\u{1b}[2J\u{9b}1m\r";

/// Checks that a text shows what a terminal would obey, and that the key or the group is in it.
pub fn assert_shown(text: &str) {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let obeyed: Vec<char> = text.chars().filter(|&c| c != '\n' && (c.is_control() || turns(c))).collect();
    assert!(obeyed.is_empty(), "{obeyed:?} in {text:?}");
    assert!(text.contains("\\u{1b}["), "nothing hostile is in it: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("exact")), "a key made a line of its own: {text:?}");
}

fn shown(ran: &Ran, code: i32) {
    assert_eq!(ran.code, code, "{ran:?}");
    assert_shown(&format!("{}{}", ran.out, ran.err));
}

/// A view item whose group holds this.
async fn put_map(engine: &Engine, group: AttributeValue) {
    let groups = AttributeValue::M(HashMap::from([(GROUP.to_owned(), group)]));
    engine.put("Map", [("MapId", s(KEY)), ("TotalPoints", n(7)), ("CategoryCounts", groups)]).await;
}

#[tokio::test]
async fn audit_and_repair_show_control_characters() {
    let engine = Engine::start().await;
    engine.put_point(KEY, "p", Some(GROUP)).await;
    shown(&run(&engine, &["audit", "--settle", "0"]).await, 0);
    engine.function().deliver(&engine.stream_records().await).await;
    put_map(&engine, n(7)).await;
    shown(&run(&engine, &["audit", "--settle", "0"]).await, 1);
    shown(&run(&engine, &["repair", "--settle", "0", "--dry-run"]).await, 1);
}

#[tokio::test]
async fn quarantine_and_replay_show_control_characters() {
    let engine = Engine::start().await;
    put_map(&engine, s("many")).await;
    engine.put_point(KEY, "p", Some(GROUP)).await;
    engine.function().deliver(&engine.stream_records().await).await;
    shown(&run(&engine, &["quarantine", "list"]).await, 1);
    let listed = run(&engine, &["quarantine", "list", "--json"]).await;
    assert!(listed.json()["quarantined"][0]["reason"].as_str().unwrap().contains(KEY), "a program gets it as it is");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("failure\u{1b}[31m.json");
    std::fs::write(&file, json!({ "payload": "\u{1b}[31m" }).to_string()).unwrap();
    shown(&run(&engine, &["replay", "--from-file", file.to_str().unwrap()]).await, 2);
}

#[tokio::test]
async fn migrate_and_view_show_control_characters() {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s(KEY)), ("CategoryCounts", s("many"))]).await;
    shown(&run(&engine, &["migrate", "--settle", "0"]).await, 1);

    engine.put_point(KEY, "p", Some(GROUP)).await;
    shown(&run(&engine, &["view", "try"]).await, 0);
}

/// Runs the command on a terminal of so many columns; gives what the terminal got.
fn on_a_terminal(engine: &Engine, columns: u16, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = std::fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let size = rustix::termios::Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&side, size).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ddb-rollup"));
    command.args(arguments).env_clear().envs([("AWS_SECRET_ACCESS_KEY", "local"), ("AWS_REGION", "eu-west-1")]);
    command.envs([("AWS_ACCESS_KEY_ID", &engine.access_key), ("AWS_ENDPOINT_URL", &engine.url)]);
    command.envs(environment.iter().copied());
    command.stdin(side.try_clone().unwrap()).stdout(side.try_clone().unwrap()).stderr(side);
    let mut running = command.spawn().unwrap();
    // The command's end of the terminal is closed here, so that reading ends when the process does.
    drop(command);
    let (mut terminal, mut got) = (std::fs::File::from(terminal), Vec::new());
    // A terminal whose other end is closed ends with an error.
    let _ = std::io::Read::read_to_end(&mut terminal, &mut got);
    running.wait().unwrap();
    String::from_utf8(got).unwrap().replace("\r\n", "\n")
}

/// What a terminal shows of a text: the last of what was written over each other, without what moves and colours it.
fn lines_of(text: &str) -> Vec<String> {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, escape)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = escape.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain.lines().flat_map(|line| line.split('\r')).map(str::to_owned).collect()
}

fn assert_fits(text: &str, columns: u16) {
    for line in lines_of(text) {
        let command = ["ddb-rollup ", "aws "].iter().any(|program| line.trim_start().starts_with(program));
        // A word that is longer than the line cannot be broken.
        let one_word = line.split_whitespace().count() == 1;
        assert!(line.chars().count() <= usize::from(columns) || command || one_word, "{columns}: {line:?} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_and_progress_fit_a_narrow_terminal_and_need_no_colours() {
    let engine = Engine::start().await;
    for map in 0..30 {
        engine
            .put_point(&format!("a map with a longer name, number {map}"), "p", Some("A category with a long name"))
            .await;
    }
    put_map(&engine, s("many")).await;
    engine.put_point(KEY, "p", Some(GROUP)).await;
    engine.function().deliver(&engine.stream_records().await).await;
    for (map, total) in [(0, 5), (1, -5)] {
        let key = s(&format!("a map with a longer name, number {map}"));
        engine.put("Map", [("MapId", key), ("TotalPoints", n(total))]).await;
    }
    for arguments in [
        &["audit", "--settle", "0"][..],
        &["repair", "--settle", "0", "--dry-run"],
        &["quarantine", "list"],
        &["quarantine", "replay", "--all"],
        &["migrate", "--settle", "0", "--dry-run"],
        &["view", "check"],
        &["view", "try"],
        &["deploy-check"],
        &["audit", "--item", "{}", "--view", "none"],
        &["repair", "--help"],
    ] {
        // Lines of the log stay whole: what they are searched for must not be broken.
        let shown = on_a_terminal(&engine, 60, arguments, &[("RUST_LOG", "off"), ("NO_COLOR", "1")]);
        assert!(shown.lines().count() > 0 && !coloured(&shown), "{arguments:?}: {shown:?}");
        assert_fits(&shown, 60);
    }
    let replay = ["quarantine", "replay", "--all"];
    assert!(coloured(&on_a_terminal(&engine, 60, &replay, &[])), "the level of a warning has a colour on a terminal");
    assert!(!coloured(&on_a_terminal(&engine, 60, &replay, &[("NO_COLOR", "1")])));
}

/// Whether something in a text is bold or has a colour.
fn coloured(text: &str) -> bool {
    text.split("\u{1b}[")
        .skip(1)
        .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_bold_on_a_terminal_only_and_fits_a_narrow_one() {
    let engine = Engine::start().await;
    let demo = |environment: &[(&str, &str)]| on_a_terminal(&engine, 60, &["local", "--demo"], environment);
    let shown = demo(&[]);
    assert!(coloured(&shown), "{shown:?}");
    assert_fits(&shown, 60);
    assert!(shown.contains("   SeattleMapId\n     before  "), "{shown}");
    assert!(!coloured(&demo(&[("NO_COLOR", "1")])));
    assert!(coloured(&demo(&[("NO_COLOR", "")])), "an empty variable is as if it were not set");
    let piped = run(&engine, &["local", "--demo"]).await;
    assert!(!coloured(&piped.out), "{piped:?}");
    assert!(piped.out.contains("   map              before  after\n"), "{piped:?}");
}

#[tokio::test]
async fn lines_stay_whole_in_a_pipe_unless_the_columns_are_named() {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s("m")), ("TotalPoints", n(1))]).await;
    let piped = run(&engine, &["audit", "--item", "{}", "--view", "none"]).await;
    assert_eq!(piped.err.lines().count(), 1, "{piped:?}");
    let narrow = run_with(&engine, &["audit", "--item", "{}", "--view", "none"], &[("COLUMNS", "40")]).await;
    assert!(narrow.err.lines().count() > 1, "{narrow:?}");
    assert_fits(&narrow.err, 40);
}
