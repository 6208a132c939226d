use serde_json::json;

use super::*;

fn item() -> Item {
    serde_json::from_value(json!({
        "Id": {"S": "7"}, "Empty": {"S": ""}, "N": {"N": "1E3"}, "Yes": {"BOOL": true}, "B": {"B": "AQID"},
        "Nothing": {"NULL": true}, "L": {"L": []}, "M": {"M": {"x": {"S": "deep"}}}, "Bad": {"N": "1e999"},
        "Max": {"N": "9e125"}, "At": {"S": "2026-03-05"}, "Tags": {"SS": ["b", "a"]}, "Long": {"S": "x".repeat(300_000)},
        "Mixed": {"L": [{"N": "1.0"}, {"S": "1"}, {"BOOL": true}, {"S": "z"}]}, "SK": {"S": "LIKE#9"}
    }))
    .unwrap()
}

fn shown(text: &str) -> String {
    let template = Template::parse(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(Template::parse(&template.to_string()).as_ref(), Ok(&template), "{text}");
    let item = item();
    let Ok(values) = template.of(&item) else { return "out of bounds".to_owned() };
    let of = |value: &Datum<'_>| match value {
        Datum::Text(text) => {
            assert!(template.is_single_hole() || template.fits(text), "{template} could have made {text}");
            format!("S {text}")
        }
        Datum::Number(number) => format!("N {number}"),
        Datum::Bytes(bytes) => format!("B {bytes:?}"),
        other => format!("{other:?}"),
    };
    values.iter().map(of).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_template_gives_a_text_and_a_lone_hole_its_value() {
    for (text, expected) in [
        ("ALL", "S ALL"),
        ("USER#{Id}", "S USER#7"),
        ("{Id}", "S 7"),
        ("{ Id }", "S 7"),
        ("{N}", "N 1000"),
        ("{N * 2}", "N 2000"),
        ("{Max * 10}", &format!("N 9{}", "0".repeat(126))),
        ("{B}", "B [1, 2, 3]"),
        ("{Empty}", "S "),
        ("{Yes}", "Bool(true)"),
        ("{Nothing}", ""),
        ("{Absent}", ""),
        ("{Bad}", "out of bounds"),
        ("{N}#", "S 1000#"),
        ("{Yes}/{N}/{day(At)}", "S true/1000/2026-03-05"),
        ("{Id}{Id}", "S 77"),
        ("POST#{after(SK, '#')}", "S POST#9"),
        ("P#{M.x}", "S P#deep"),
        ("P#{Empty}", "S P#"),
        ("P#{Absent}", ""),
        ("P#{Nothing}", ""),
        ("P#{B}", ""),
        ("P#{L}", ""),
        ("P#{M}", ""),
        ("P#{Tags}", ""),
        ("P#{Bad}", "out of bounds"),
        ("{{{Id}}}", "S {7}"),
        ("{{}}{{Id}}", "S {}{Id}"),
        ("{concat('}', Id, '{', '''')}", "S }7{'"),
        ("\u{e4}{Id}\u{1F600}", "S \u{e4}7\u{1F600}"),
        ("{Long}{Long}", "out of bounds"),
        ("{Long}{Long}{Absent}", ""),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn each_gives_a_text_for_each_distinct_element() {
    for (text, expected) in [
        ("{each Tags}", "S a, S b"),
        ("TAG#{each Tags}#{Id}", "S TAG#a#7, S TAG#b#7"),
        ("{EACH Mixed}", "S 1, S z"),
        ("{each M}", "S x"),
        ("{each L}", ""),
        ("{each Id}", ""),
        ("{each Absent}", ""),
        ("{each Tags}{Absent}", ""),
        ("{Long}{each Tags}", "out of bounds"),
        ("{`each`}", ""),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn a_template_gives_the_text_of_one_element() {
    let item = item();
    for (text, elements, expected) in [
        ("{N}", vec![], Ok(Some("1000"))),
        ("{Yes}", vec![], Ok(Some("true"))),
        ("{B}", vec![], Ok(None)),
        ("{Nothing}", vec![], Ok(None)),
        ("{Bad}", vec![], Err(OutOfBounds)),
        ("{each Tags}", vec!["a", "b"], Ok(Some("z"))),
        ("{Id}/{each Mixed}", vec!["1", "z"], Ok(Some("7/z"))),
    ] {
        let template = Template::parse(text).unwrap();
        assert_eq!(template.elements(&item), elements, "{text}");
        assert_eq!(template.text_of(&item, "z").as_ref().map(Option::as_deref), expected.as_ref().copied(), "{text}");
    }
}

#[test]
fn a_text_fits_if_the_literal_texts_are_in_it() {
    for (template, fitting, others) in [
        ("ALL", "ALL", "ALL2;AL;all;ALLALL"),
        ("USER#{Id}", "USER#;USER#7;USER#USER#", "USER;user#7;XUSER#7"),
        ("{Id}#END", "#END;7#END;#END#END", "#END7;END"),
        ("A#{Id}#B#{N}#C", "A#1#B#2#C;A##B##C;A##B#B##C", "A#B#C;A#1#B#C;A#1#C;A#1#B#2#"),
        ("aXa{Id}aXa", "aXaaXa;aXa1aXa", "aXa;aXaXa"),
        ("{Id}{N}", "x;1", ""),
        ("{Id}{{{N}", "{;a{b", "ab"),
    ] {
        let template = Template::parse(template).unwrap();
        for (texts, fits) in [(fitting, true), (others, false)] {
            for text in texts.split(';').filter(|text| !text.is_empty()) {
                assert_eq!(template.fits(text), fits, "{template} and {text}");
            }
        }
    }
}

#[test]
fn a_template_tells_what_it_is_made_of() {
    for (text, parts, single, each, reads) in [
        ("ALL", vec!["ALL"], false, false, ""),
        ("{Id}", vec!["", ""], true, false, "Id"),
        ("{each Tags}", vec!["", ""], true, true, "Tags"),
        ("{{A#{Id.x}#{N + Z}", vec!["{A#", "#", ""], false, false, "Id N Z"),
    ] {
        let template = Template::parse(text).unwrap();
        assert_eq!(template.literal_parts(), parts, "{text}");
        assert_eq!(template.literal_prefix(), parts[0], "{text}");
        assert_eq!(template.holes().count() + 1, parts.len(), "{text}");
        assert_eq!((template.is_single_hole(), template.has_each()), (single, each), "{text}");
        assert_eq!(template.reads().into_iter().collect::<Vec<_>>().join(" "), reads, "{text}");
    }
}

#[test]
fn what_is_no_template_is_refused_with_its_place() {
    let long = format!("\u{e4}{}", "x".repeat(4_095));
    for (text, at, message) in [
        ("", 0, "expected a text, or a hole"),
        ("A}", 1, "there is no {"),
        ("A{", 2, "expected a value"),
        ("A{}", 2, "expected a value"),
        ("{Id", 3, "at the end of the hole"),
        ("{Id{{", 3, "at the end of the hole"),
        ("{Id = 1}", 4, "at the end of the hole"),
        ("{'x}", 1, "no closing '"),
        ("{each Tags}{each Tags}", 12, "at most one each"),
        ("{each lower(Tags)}", 11, "at the end of the hole"),
        ("{each 'x'}", 6, "expected a path"),
        ("\u{e4}{Id }}", 7, "there is no {"),
        (&long, 4_096, "4097 bytes"),
    ] {
        let error = Template::parse(text).unwrap_err();
        assert_eq!(error.at(), at, "{text}: {error}");
        assert!(error.message().contains(message), "{text}: {error}");
    }
}
