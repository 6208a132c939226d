//! A definition's JSON text as views.

use serde_json::Value as Json;

use super::parse::{self, Read};
use super::syntax::{Amount, Condition, Group, Measure, Path, Piece, Step, Template, Value};

#[derive(Debug, Clone)]
pub struct KeyPart {
    pub attribute: String,
    pub kind: String,
    pub template: Template,
    pub quarantine: bool,
}

#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    pub table: String,
    pub condition: Option<Condition>,
    pub key: Vec<KeyPart>,
    pub measures: Vec<(String, Measure)>,
    /// The texts that every update also sets, by attribute.
    pub set: Vec<(String, Template)>,
}

impl View {
    /// The path that the key has a view item for each element of.
    pub fn each_of_key(&self) -> Option<&Path> {
        self.key.iter().flat_map(|part| &part.template).find_map(|piece| match piece {
            Piece::Each(path) => Some(path),
            _ => None,
        })
    }

    pub fn has_each(&self) -> bool {
        let each = |measure: &Measure| {
            matches!(measure.amount, Amount::SumEach(_)) || matches!(measure.group, Some(Group::ByEach(_)))
        };
        self.each_of_key().is_some() || self.measures.iter().any(|(_, measure)| each(measure))
    }
}

/// Reads the views of a definition; `table` is where views are that name none.
pub fn views(text: &str, table: &str) -> Read<Vec<View>> {
    let document: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match document.get("views").and_then(Json::as_array) {
        Some(views) => views.iter().map(|one| view(one, table)).collect(),
        None => Ok(vec![view(&document, table)?]),
    }
}

fn text(member: Option<&Json>) -> Option<String> {
    member.and_then(Json::as_str).map(str::to_owned)
}

fn view(json: &Json, table: &str) -> Read<View> {
    let condition = text(json.get("where")).map(|text| parse::condition(&text)).transpose()?;
    let key = json["key"].as_array().ok_or("no key")?.iter().map(key_part).collect::<Read<_>>()?;
    let measures = json["measures"].as_object().ok_or("no measures")?.iter();
    let measure = |(attribute, words): (&String, &Json)| {
        let words = words.as_str().ok_or("a measure that is no text")?;
        Ok((attribute.clone(), parse::measure(words)?))
    };
    let set = json.get("set").and_then(Json::as_object).into_iter().flatten();
    let texts = set.filter_map(|(attribute, constant)| Some((attribute, constant.as_str()?)));
    let template = |(attribute, text): (&String, &str)| Ok((attribute.clone(), parse::template(text)?));
    Ok(View {
        name: text(json.get("name")).unwrap_or_else(|| "default".to_owned()),
        table: text(json.get("table")).unwrap_or_else(|| table.to_owned()),
        condition,
        key,
        measures: measures.map(measure).collect::<Read<_>>()?,
        set: texts.map(template).collect::<Read<_>>()?,
    })
}

fn key_part(json: &Json) -> Read<KeyPart> {
    let attribute = text(json.get("attribute")).ok_or("a key attribute without a name")?;
    let template = match text(json.get("value")) {
        Some(value) => parse::template(&value)?,
        None => vec![Piece::Hole(Value::Path(vec![Step::Name(attribute.clone())]))],
    };
    let quarantine = text(json.get("missing")).is_some_and(|missing| missing == "quarantine");
    Ok(KeyPart {
        attribute,
        kind: text(json.get("type")).ok_or("a key attribute without a type")?,
        template,
        quarantine,
    })
}
