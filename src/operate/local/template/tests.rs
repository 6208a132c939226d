use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn template(overrides: &[(&str, &str)]) -> Result<StackTemplate, TemplateError> {
    let text = json!({
        "Parameters": {
            "Name": { "Type": "String", "Default": "Point", "MinLength": 3, "MaxLength": 8 },
            "Arn": { "Type": "String", "Default": "" },
            "Size": {
                "Type": "Number", "Default": 1000, "MinValue": 1, "MaxValue": 10000,
                "ConstraintDescription": "A whole number from 1 to 10000."
            },
            "Kind": { "Type": "String", "Default": "create", "AllowedValues": ["create", "skip"] },
            "Days": { "Type": "Number", "Default": 1, "AllowedValues": [1, 3] },
            "Bucket": { "Type": "String" }
        },
        "Conditions": {
            "IsNew": { "Fn::Equals": [{ "Ref": "Arn" }, ""] },
            "IsOld": { "Fn::Equals": [{ "Ref": "Arn" }, "a"] },
            "Odd": { "Fn::Contains": [["a"], "a"] },
            "IsNotNew": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "Arn" }, ""] }] },
            "IsOldAndSkipped": { "Fn::And": [{ "Condition": "IsNotNew" }, { "Fn::Equals": [{ "Ref": "Kind" }, "skip"] }] },
            "IsNewOrOld": { "Fn::Or": [{ "Condition": "IsNew" }, { "Condition": "IsOld" }] },
            "OddInside": { "Fn::Not": [{ "Condition": "Odd" }] }
        },
        "Resources": {
            "Thing": {
                "Type": "A::Thing",
                "Properties": {
                    "Plain": "text", "Number": 7, "Flag": true, "Empty": null,
                    "Name": { "Ref": "Name" },
                    "Size": { "Ref": "Size" },
                    "Bucket": { "Ref": "Bucket" },
                    "Unknown": { "Ref": "Nothing" },
                    "Other": { "Ref": "OldThing" },
                    "New": { "Fn::If": ["IsNew", "new", "old"] },
                    "Old": { "Fn::If": ["IsOld", { "Ref": "Arn" }, { "Ref": "AWS::NoValue" }] },
                    "Odd": { "Fn::If": ["Odd", "yes", "no"] },
                    "Missing": { "Fn::If": ["Missing", "yes", "no"] },
                    "Not": { "Fn::If": ["IsNotNew", "yes", "no"] },
                    "And": { "Fn::If": ["IsOldAndSkipped", "yes", "no"] },
                    "Or": { "Fn::If": ["IsNewOrOld", "yes", "no"] },
                    "OddInside": { "Fn::If": ["OddInside", "yes", "no"] },
                    "Sub": { "Fn::Sub": "${Name}-${Size}." },
                    "OpenSub": { "Fn::Sub": "${Name" },
                    "Select": { "Fn::Select": [1, { "Fn::Split": ["/", { "Fn::Sub": "${Arn}/${Name}" }] }] },
                    "Beyond": { "Fn::Select": [9, { "Fn::Split": ["/", "a/b"] }] },
                    "Att": { "Fn::GetAtt": ["Thing", "Arn"] },
                    "Later": { "Fn::GetAtt": ["Thing", "Id"] },
                    "Import": { "Fn::ImportValue": "x" },
                    "List": ["a", { "Ref": "Name" }, { "Ref": "AWS::NoValue" }, { "Inner": { "Ref": "Size" } }]
                }
            },
            "OldThing": { "Type": "A::Thing", "Condition": "IsOld", "Properties": {} }
        }
    });
    let overrides: BTreeMap<_, _> = overrides.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut template = StackTemplate::new(&text.to_string(), &overrides)?;
    template.set_attribute("Thing.Arn", "arn:thing");
    Ok(template)
}

fn property(name: &str, overrides: &[(&str, &str)]) -> Result<Option<String>, String> {
    let template = template(overrides).map_err(|e| e.to_string())?;
    let thing = template.resource("Thing", "A::Thing").map_err(|e| e.to_string())?;
    let property = thing.find(name).map_err(|e| e.to_string())?;
    property.map(|property| property.text().map_err(|e| e.to_string())).transpose()
}

#[test]
fn values_are_evaluated() {
    for (name, overrides, expected) in [
        ("Plain", &[][..], Some("text")),
        ("Number", &[], Some("7")),
        ("Flag", &[], Some("true")),
        ("Absent", &[], None),
        ("Name", &[], Some("Point")),
        ("Name", &[("Name", "Site")], Some("Site")),
        ("Size", &[], Some("1000")),
        ("Bucket", &[("Bucket", "b")], Some("b")),
        ("Other", &[], Some("OldThing")),
        ("New", &[], Some("new")),
        ("New", &[("Arn", "a")], Some("old")),
        ("Old", &[], None),
        ("Old", &[("Arn", "a")], Some("a")),
        ("Not", &[], Some("no")),
        ("Not", &[("Arn", "a")], Some("yes")),
        ("And", &[("Kind", "skip")], Some("no")),
        ("And", &[("Arn", "a")], Some("no")),
        ("And", &[("Arn", "a"), ("Kind", "skip")], Some("yes")),
        ("Or", &[], Some("yes")),
        ("Or", &[("Arn", "a")], Some("yes")),
        ("Or", &[("Arn", "b")], Some("no")),
        ("Sub", &[], Some("Point-1000.")),
        ("Select", &[], Some("Point")),
        ("Select", &[("Arn", "arn/Site/stream")], Some("Site")),
        ("Att", &[], Some("arn:thing")),
    ] {
        assert_eq!(property(name, overrides), Ok(expected.map(str::to_owned)), "{name} {overrides:?}");
    }
}

#[test]
fn what_cannot_be_evaluated_names_resource_and_property() {
    for (name, problem) in [
        ("Empty", "it must be a text"),
        ("Bucket", "it needs the parameter Bucket, which has no default; give it a value"),
        ("Unknown", "Nothing is neither a parameter nor a resource"),
        ("Odd", "only Fn::Equals, Fn::Not, Fn::And, Fn::Or and other conditions can be evaluated here"),
        ("OddInside", "condition \"OddInside\": condition \"Odd\" in the template: only Fn::Equals"),
        ("Missing", "it is not among the template's Conditions"),
        ("OpenSub", "has no end"),
        ("Beyond", "the list has no item 9"),
        ("Later", "Thing.Id is only known when the resource is there"),
        ("Import", "Fn::ImportValue with these arguments cannot be evaluated here"),
        ("List", "it must be a text"),
    ] {
        let error = property(name, &[]).unwrap_err();
        assert!(error.starts_with(&format!("Thing.{name}")), "{error}");
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn what_is_inside_is_evaluated_too() {
    let template = template(&[]).unwrap();
    let thing = template.resource("Thing", "A::Thing").unwrap();
    let items = thing.get("List").unwrap().items().unwrap();
    assert_eq!(items.len(), 3, "AWS::NoValue is absent");
    assert_eq!(items[1].text().unwrap(), "Point");
    assert_eq!(items[2].get("Inner").unwrap().parse::<u32>().unwrap(), 1000);
    let error = items[2].get("Outer").unwrap_err().to_string();
    assert_eq!(error, "Thing.List[3].Outer in the template: it is missing");
    let error = thing.get("Plain").unwrap().parse::<u32>().unwrap_err().to_string();
    assert_eq!(error, r#"Thing.Plain in the template: "text" cannot be used: invalid digit found in string"#);
    assert!(thing.get("Plain").unwrap().items().is_err());
}

#[test]
fn a_resource_must_be_there_and_of_its_type() {
    let fresh = template(&[]).unwrap();
    for (id, kind, problem) in [
        ("Nothing", "A::Thing", "there must be a resource of the type A::Thing"),
        ("Thing", "Another::Thing", "there must be a resource of the type Another::Thing"),
        ("OldThing", "A::Thing", "the condition IsOld is false with these parameters"),
    ] {
        let error = fresh.resource(id, kind).unwrap_err().to_string();
        assert!(error.starts_with(id) && error.contains(problem), "{error}");
    }
    assert!(template(&[("Arn", "a")]).unwrap().resource("OldThing", "A::Thing").is_ok());
}

#[test]
fn parameters_take_only_what_they_declare() {
    for (name, value, problem) in [
        ("Nothing", "x", "has no parameter Nothing; it has Arn, Bucket, Days, Kind, Name, Size"),
        ("Kind", "other", "expected one of create, skip"),
        ("Days", "2", "expected one of 1, 3"),
        ("Size", "many", "expected a number"),
        ("Size", "0", "A whole number from 1 to 10000."),
        ("Size", "10001", "A whole number from 1 to 10000."),
        ("Name", "ab", "at least 3 characters"),
        ("Name", "abcdefghi", "at most 8 characters"),
    ] {
        let error = template(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    for (name, value) in [("Kind", "skip"), ("Days", "3"), ("Size", "1"), ("Size", "10000"), ("Name", "äöü")] {
        assert!(template(&[(name, value)]).is_ok(), "{name} {value}");
    }
    assert!(matches!(StackTemplate::new("{", &BTreeMap::new()), Err(TemplateError::NotJson(_))));
}
