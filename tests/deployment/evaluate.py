"""What CloudFormation makes of the template with given parameters, as far as that is known before a deployment."""

import json
import re
from dataclasses import dataclass
from typing import Any

from cloud import TEMPLATE

Json = dict[str, Any]

NOTHING = object()


def substituted(text: str, names: dict[str, str]) -> str:
    """A text with the names in it that are known; `${AWS::Region}` and the like stay."""
    return re.sub(r"\$\{(\w+)}", lambda name: names.get(name[1], name[0]), text)


def as_text(value: Any) -> str:
    """What a name stands for in a text; what a resource is known by is written as in a text."""
    match value:
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"${{{resource}.{attribute}}}"
    return str(value)


@dataclass
class Template:
    """The template with parameters. `Fn::GetAtt` and `Ref` of a resource stay as they are; the rest is evaluated."""

    text: Json
    parameters: dict[str, str]

    @classmethod
    def read(cls, **parameters: str) -> "Template":
        text = json.loads(TEMPLATE.read_text())
        declared = text["Parameters"]
        assert parameters.keys() <= declared.keys()
        given = {"CodeS3Bucket": "bucket", "CodeS3Key": "key"} | parameters
        defaults = {name: str(one["Default"]) for name, one in declared.items() if "Default" in one}
        return cls(text, defaults | given)

    def resources(self, kind: str | None = None) -> dict[str, Json]:
        """The resources that there are, by name."""
        return {
            name: self._value(resource)
            for name, resource in self.text["Resources"].items()
            if kind in (None, resource["Type"]) and self._condition(resource.get("Condition"))
        }

    def outputs(self) -> set[str]:
        """The outputs that there are."""
        return {name for name, output in self.text["Outputs"].items() if self._condition(output.get("Condition"))}

    def properties(self, name: str) -> Json:
        return dict(self.resources()[name]["Properties"])

    def _condition(self, name: str | None) -> bool:
        return name is None or self._holds(self.text["Conditions"][name])

    def _holds(self, condition: Json) -> bool:
        ((function, argument),) = condition.items()
        match function:
            case "Fn::Equals":
                left, right = (str(self._value(side)) for side in argument)
                return left == right
            case "Fn::Not":
                return not self._holds(argument[0])
            case "Fn::And":
                return all(map(self._holds, argument))
            case "Fn::Or":
                return any(map(self._holds, argument))
            case "Condition":
                return self._condition(argument)
        raise AssertionError(f"no condition that is known here: {function}")

    def _value(self, value: Any) -> Any:
        match value:
            case {"Fn::If": [name, then, otherwise]}:
                return self._value(then if self._condition(name) else otherwise)
            case {"Ref": "AWS::NoValue"}:
                return NOTHING
            case {"Ref": "AWS::Partition"}:
                return "aws"
            case {"Ref": name} if name in self.parameters:
                return self.parameters[name]
            case {"Fn::Sub": str(text)}:
                return substituted(text, self.parameters)
            case {"Fn::Sub": [text, names]}:
                return substituted(text, self.parameters | {name: as_text(self._value(names[name])) for name in names})
            case {"Fn::Join": [separator, parts]}:
                return separator.join(map(as_text, self._value(parts)))
            case {"Fn::Split": [separator, text]}:
                return self._value(text).split(separator)
            case {"Fn::Select": [index, items]}:
                return self._value(items)[index]
            case dict():
                found = {name: self._value(inner) for name, inner in value.items()}
                return {name: inner for name, inner in found.items() if inner is not NOTHING}
            case list():
                return [inner for inner in map(self._value, value) if inner is not NOTHING]
        return value
