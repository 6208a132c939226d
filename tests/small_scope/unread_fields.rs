//! A field that no view reads decides nothing, whatever is in it; one that a view reads, or a key, must be readable.

use chrono::DateTime;
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::poison::Reason;
use ddb_rollup::rollup::pipeline::delta::{Effect, Retention, effect};
use ddb_rollup::rollup::pipeline::parse::{Parsed, parse_record};

/// What no DynamoDB item can have as the value of an attribute.
const UNREADABLE: [&str; 9] = [
    r#"{"B":"not base64!"}"#,
    r#"{"S":"x","N":null}"#,
    r#"{"N":null,"S":"x"}"#,
    r#"{"S":5}"#,
    r#"{"L":[{"Z":1}]}"#,
    r#"{"M":{"A":{"B":"%"}}}"#,
    "{}",
    "5",
    "null",
];

/// What the record of a change from `old` to `new` comes to, with these fields beside the images. An image that is empty
/// text is absent.
fn came_to(definition: &Definition, images: [&str; 2], keys: &str, beside: &str) -> Result<(), String> {
    let images = ["OldImage", "NewImage"].into_iter().zip(images).filter(|(_, image)| !image.is_empty());
    let images = images.map(|(name, image)| format!(r#","{name}":{image}"#)).collect::<Vec<_>>().concat();
    let raw =
        format!(r#"{{"eventSourceARN":"arn","dynamodb":{{"SequenceNumber":"1","Keys":{keys}{images}{beside}}}}}"#);
    let retention = Retention { days: 14, until: DateTime::from_timestamp(1_795_000_000, 0).unwrap() };
    let reason = match parse_record(&raw) {
        Ok(Parsed::Record(record)) => match effect(definition, record, &retention) {
            Effect::Apply(_) => return Ok(()),
            Effect::Quarantine(poison) => poison.reason,
            other @ Effect::None { .. } => panic!("{raw}: {other:?}"),
        },
        Ok(Parsed::Poison(poison)) => poison.reason,
        other => panic!("{raw}: {other:?}"),
    };
    match reason {
        Reason::Unreadable(words) => Err(words),
        other => panic!("{raw}: {other}"),
    }
}

const KEYS: &str = r#"{"MapId":{"S":"m"},"PointId":{"S":"p"}}"#;

fn point(attribute: &str, value: &str) -> String {
    let others = [("MapId", r#"{"S":"m"}"#), ("PointId", r#"{"S":"p"}"#), ("Category", r#"{"S":"Park"}"#)];
    let others = others.iter().filter(|(name, _)| *name != attribute);
    let others = others.map(|(name, value)| format!(r#","{name}":{value}"#)).collect::<Vec<_>>().concat();
    format!(r#"{{"{attribute}":{value}{others}}}"#)
}

#[test]
fn an_attribute_that_cannot_be_read_spoils_a_record_only_where_a_view_or_the_key_needs_it() {
    let definition = Definition::points_of_maps("Point", "Map").unwrap();
    for value in UNREADABLE {
        for (attribute, needed) in [("Note", false), ("Category", true), ("MapId", true), ("PointId", true)] {
            let odd = point(attribute, value);
            for images in [["", odd.as_str()], [odd.as_str(), ""]] {
                let came_to = came_to(&definition, images, KEYS, "");
                match &came_to {
                    Ok(()) => assert!(!needed, "{attribute} {value}"),
                    Err(words) => assert!(needed && words.contains(attribute), "{attribute} {value}: {words}"),
                }
            }
        }
    }
}

#[test]
fn an_image_of_which_no_attribute_can_be_read_is_still_an_image() {
    let by_nothing = r#"{"key":[{"attribute":"Board","type":"S","value":"ALL"}],"measures":{"Items":"count"}}"#;
    let definition = ddb_rollup::config::Config::read(|name| match name {
        "ROLLUP_VIEW_DEFINITION" => Some(by_nothing.to_owned()),
        _ => None,
    });
    let definition = definition.unwrap().definition;
    assert_eq!(came_to(&definition, ["", r#"{"Note":{}}"#], "null", ""), Ok(()));
    assert_eq!(came_to(&definition, [r#"{"Note":{}}"#, ""], "null", ""), Ok(()));
}

#[test]
fn a_key_of_the_record_must_be_readable() {
    let definition = Definition::points_of_maps("Point", "Map").unwrap();
    let image = point("Note", r#"{"S":"x"}"#);
    for keys in [r#"{"MapId":{"S":"m"},"PointId":{"B":"%"}}"#, "[]", "5", r#""keys""#] {
        assert!(came_to(&definition, ["", &image], keys, "").is_err(), "{keys}");
    }
}

#[test]
fn what_stands_beside_the_images_decides_nothing() {
    let definition = Definition::points_of_maps("Point", "Map").unwrap();
    for image in [point("Note", r#"{"S":"x"}"#), point("Note", r#"{"B":"%"}"#)] {
        for beside in [
            r#""SizeBytes":26.0"#,
            r#""SizeBytes":"26""#,
            r#""SizeBytes":1e300"#,
            r#""SizeBytes":-1"#,
            r#""ApproximateCreationDateTime":1795000000000"#,
            r#""ApproximateCreationDateTime":1795000000000000"#,
            r#""ApproximateCreationDateTime":1795000000000000000"#,
            r#""ApproximateCreationDateTime":"2017-03-05T14:07:00Z""#,
            r#""ApproximateCreationDateTime":"nonsense""#,
            r#""ApproximateCreationDateTime":{}"#,
            r#""SomethingNew":{"of":["any",null]}"#,
        ] {
            assert_eq!(came_to(&definition, ["", &image], KEYS, &format!(",{beside}")), Ok(()), "{beside}");
        }
    }
}
