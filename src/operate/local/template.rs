//! Evaluates a CloudFormation template, as far as the shipped template needs it: parameters, conditions that compare
//! values, and the functions that refer to other values. Only what is requested is evaluated, so a parameter without a
//! value is not an error until something uses it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

/// A template with values for its parameters.
#[derive(Debug, Clone)]
pub(super) struct StackTemplate {
    document: Value,
    parameters: BTreeMap<String, String>,
    /// Values for `Fn::GetAtt`, by `Resource.Attribute`.
    attributes: BTreeMap<String, String>,
}

/// A template that cannot be read, or uses something that is unknown here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is not JSON.
    #[error("the template is not JSON: {0}")]
    NotJson(String),
    /// A value was given for a parameter that the template does not have.
    #[error("the template has no parameter {name}; it has {parameters}")]
    UnknownParameter {
        /// The name that was given.
        name: String,
        /// The names that exist.
        parameters: String,
    },
    /// A parameter does not accept the given value.
    #[error("the template's parameter {name} cannot be {value:?}: {accepted}")]
    Parameter {
        /// The parameter's name.
        name: String,
        value: String,
        /// The accepted values.
        accepted: String,
    },
    /// Something is missing or has the wrong type.
    #[error("{place} in the template: {problem}")]
    Place {
        /// The resource and the property.
        place: String,
        /// What is wrong, and what is expected.
        problem: String,
    },
}

impl StackTemplate {
    /// A template whose parameters have the values in `overrides` instead of their defaults.
    pub(super) fn new(text: &str, overrides: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let document: Value = serde_json::from_str(text).map_err(|e| TemplateError::NotJson(e.to_string()))?;
        let none = Map::new();
        let declared = document.get("Parameters").and_then(Value::as_object).unwrap_or(&none);
        if let Some(name) = overrides.keys().find(|name| !declared.contains_key(*name)) {
            let parameters = declared.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(TemplateError::UnknownParameter { name: name.clone(), parameters });
        }
        let mut parameters = BTreeMap::new();
        for (name, declaration) in declared {
            let default = declaration.get("Default").and_then(text_of);
            if let Some(value) = overrides.get(name).cloned().or(default) {
                check_parameter(name, &value, declaration)?;
                parameters.insert(name.clone(), value);
            }
        }
        Ok(Self { document, parameters, attributes: BTreeMap::new() })
    }

    /// Sets the value that `Fn::GetAtt` returns for an attribute, named as `Resource.Attribute`.
    pub(super) fn set_attribute(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.attributes.insert(name.into(), value.into());
    }

    /// The resource with this logical id and type.
    pub(super) fn resource(&self, id: &str, kind: &str) -> Result<Property<'_>, TemplateError> {
        let resource = &self.document["Resources"][id];
        let properties = Property { template: self, place: id.to_owned(), value: resource["Properties"].clone() };
        if resource["Type"] != kind {
            return Err(properties.wrong(format!("there must be a resource of the type {kind}")));
        }
        if let Some(condition) = resource.get("Condition") {
            let name = condition.as_str().unwrap_or_default();
            if !self.condition(name, &properties.place)? {
                return Err(properties.wrong(format!(
                    "the condition {name} is false with these parameters, so this resource does not exist"
                )));
            }
        }
        Ok(properties)
    }

    fn condition(&self, name: &str, place: &str) -> Result<bool, TemplateError> {
        let place = format!("{place}: condition {name:?}");
        let condition = self.document["Conditions"].get(name).ok_or_else(|| TemplateError::Place {
            place: place.clone(),
            problem: "it is not among the template's Conditions".to_owned(),
        })?;
        self.holds(condition, &place)
    }

    fn holds(&self, condition: &Value, place: &str) -> Result<bool, TemplateError> {
        let list = |argument: &'_ Value| argument.as_array().cloned().unwrap_or_default();
        match only_field(condition).map(|(function, argument)| (function, argument, list(argument))) {
            Some(("Fn::Equals", _, sides)) if sides.len() == 2 => {
                Ok(self.text(&sides[0], place)? == self.text(&sides[1], place)?)
            }
            Some(("Fn::Not", _, conditions)) if conditions.len() == 1 => Ok(!self.holds(&conditions[0], place)?),
            Some(("Fn::And", _, conditions)) => {
                conditions.iter().try_fold(true, |all, one| Ok(all && self.holds(one, place)?))
            }
            Some(("Fn::Or", _, conditions)) => {
                conditions.iter().try_fold(false, |any, one| Ok(any || self.holds(one, place)?))
            }
            Some(("Condition", Value::String(name), _)) => self.condition(name, place),
            _ => Err(TemplateError::Place {
                place: place.to_owned(),
                problem: "only Fn::Equals, Fn::Not, Fn::And, Fn::Or and other conditions can be evaluated here"
                    .to_owned(),
            }),
        }
    }

    /// A value with the functions at its top level applied; `None` for `AWS::NoValue`, which means absent.
    fn value(&self, value: &Value, place: &str) -> Result<Option<Value>, TemplateError> {
        let fail = |problem: String| TemplateError::Place { place: place.to_owned(), problem };
        let Some((function, argument)) =
            only_field(value).filter(|(name, _)| *name == "Ref" || name.starts_with("Fn::"))
        else {
            return Ok(Some(value.clone()));
        };
        let list = || argument.as_array().map_or(&[][..], Vec::as_slice);
        match (function, list()) {
            ("Ref", _) => match argument.as_str() {
                Some("AWS::NoValue") => Ok(None),
                name => self.reference(name.unwrap_or_default(), place).map(|text| Some(Value::String(text))),
            },
            ("Fn::If", [Value::String(condition), then, otherwise]) => {
                self.value(if self.condition(condition, place)? { then } else { otherwise }, place)
            }
            ("Fn::GetAtt", [Value::String(resource), Value::String(attribute)]) => {
                self.attribute(resource, attribute, place).map(|text| Some(Value::String(text)))
            }
            ("Fn::Sub", _) => {
                let text = argument.as_str().ok_or_else(|| fail("Fn::Sub is read here with one text only".into()))?;
                self.substitute(text, place).map(|text| Some(Value::String(text)))
            }
            ("Fn::Split", [Value::String(separator), source]) => {
                let text = self.text(source, place)?;
                Ok(Some(text.split(separator.as_str()).collect()))
            }
            ("Fn::Select", [index, source]) => {
                let index = self.text(index, place)?.parse::<usize>().map_err(|e| fail(format!("Fn::Select: {e}")))?;
                let items = self.value(source, place)?;
                let item = items.as_ref().and_then(|items| items.get(index));
                let item = item.ok_or_else(|| fail(format!("Fn::Select: the list has no item {index}")))?;
                self.value(item, place)
            }
            _ => Err(fail(format!("{function} with these arguments cannot be evaluated here"))),
        }
    }

    fn text(&self, value: &Value, place: &str) -> Result<String, TemplateError> {
        let text = self.value(value, place)?.as_ref().and_then(text_of);
        text.ok_or_else(|| TemplateError::Place { place: place.to_owned(), problem: "a text is expected".into() })
    }

    fn reference(&self, name: &str, place: &str) -> Result<String, TemplateError> {
        if let Some(value) = self.parameters.get(name) {
            return Ok(value.clone());
        }
        let problem = if self.document["Parameters"].get(name).is_some() {
            format!("it needs the parameter {name}, which has no default; give it a value")
        } else if self.document["Resources"].get(name).is_some() {
            return Ok(name.to_owned());
        } else {
            format!("{name} is neither a parameter nor a resource, or is only known to a deployed stack")
        };
        Err(TemplateError::Place { place: place.to_owned(), problem })
    }

    fn attribute(&self, resource: &str, attribute: &str, place: &str) -> Result<String, TemplateError> {
        let name = format!("{resource}.{attribute}");
        self.attributes.get(&name).cloned().ok_or_else(|| TemplateError::Place {
            place: place.to_owned(),
            problem: format!("{name} is only known when the resource is there"),
        })
    }

    fn substitute(&self, text: &str, place: &str) -> Result<String, TemplateError> {
        let mut parts = text.split("${");
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let Some((name, rest)) = part.split_once('}') else {
                return Err(TemplateError::Place { place: place.to_owned(), problem: format!("${{{part} has no end") });
            };
            result.push_str(&self.reference(name, place)?);
            result.push_str(rest);
        }
        Ok(result)
    }
}

/// A property of a resource, or a value inside one.
#[derive(Debug, Clone)]
pub(super) struct Property<'a> {
    template: &'a StackTemplate,
    place: String,
    value: Value,
}

impl<'a> Property<'a> {
    /// The value under this name; `None` if it is absent.
    pub(super) fn find(&self, name: &str) -> Result<Option<Property<'a>>, TemplateError> {
        let place = format!("{}.{name}", self.place);
        let Some(value) = self.value.get(name) else { return Ok(None) };
        let value = self.template.value(value, &place)?;
        Ok(value.map(|value| Property { template: self.template, place, value }))
    }

    /// The value under this name; an error if it is absent.
    pub(super) fn get(&self, name: &str) -> Result<Property<'a>, TemplateError> {
        self.find(name)?.ok_or_else(|| TemplateError::Place {
            place: format!("{}.{name}", self.place),
            problem: "it is missing".into(),
        })
    }

    /// The names of the members.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.value.as_object().into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Result<Vec<Property<'a>>, TemplateError> {
        let items = self.value.as_array().ok_or_else(|| self.wrong("it must be a list"))?;
        let mut found = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = format!("{}[{index}]", self.place);
            if let Some(value) = self.template.value(item, &place)? {
                found.push(Property { template: self.template, place, value });
            }
        }
        Ok(found)
    }

    /// The value as a text. Numbers and booleans have one, as in CloudFormation.
    pub(super) fn text(&self) -> Result<String, TemplateError> {
        text_of(&self.value).ok_or_else(|| self.wrong("it must be a text"))
    }

    /// The value that the text stands for: a number, `true` or `false`.
    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(&self) -> Result<T, TemplateError> {
        let text = self.text()?;
        text.parse().map_err(|error| self.wrong(format!("{text:?} cannot be used: {error}")))
    }

    /// An error about this property.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> TemplateError {
        TemplateError::Place { place: self.place.clone(), problem: problem.into() }
    }
}

fn only_field(value: &Value) -> Option<(&str, &Value)> {
    let fields = value.as_object()?;
    let mut fields = fields.iter();
    let (name, argument) = fields.next()?;
    fields.next().is_none().then_some((name.as_str(), argument))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn check_parameter(name: &str, value: &str, declaration: &Value) -> Result<(), TemplateError> {
    let fail =
        |accepted: String| Err(TemplateError::Parameter { name: name.to_owned(), value: value.to_owned(), accepted });
    if let Some(allowed) = declaration.get("AllowedValues").and_then(Value::as_array) {
        let allowed: Vec<_> = allowed.iter().filter_map(text_of).collect();
        if !allowed.iter().any(|one| one == value) {
            return fail(format!("expected one of {}", allowed.join(", ")));
        }
    }
    let limit = |field: &str| declaration.get(field).and_then(text_of).and_then(|text| text.parse::<f64>().ok());
    let (measured, unit, least, most) = if declaration["Type"] == "Number" {
        let Ok(number) = value.parse::<f64>() else { return fail("expected a number".into()) };
        (number, "", limit("MinValue"), limit("MaxValue"))
    } else {
        let length = u32::try_from(value.chars().count()).unwrap_or(u32::MAX);
        (f64::from(length), " characters", limit("MinLength"), limit("MaxLength"))
    };
    let explain = |side: &str, limit: f64| {
        let explained = declaration["ConstraintDescription"].as_str();
        match (explained, least, most) {
            (Some(explained), _, _) => explained.to_owned(),
            (None, Some(least), Some(most)) if unit.is_empty() => format!("A whole number from {least} to {most}."),
            _ => format!("{side} {limit}{unit}"),
        }
    };
    if let Some(least) = least.filter(|least| measured < *least) {
        return fail(explain("at least", least));
    }
    if let Some(most) = most.filter(|most| measured > *most) {
        return fail(explain("at most", most));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
