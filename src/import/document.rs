//! Documents of YAML and JSON as trees whose every part knows its place in the file and its path.
//!
//! JSON is read by the same reader, since YAML 1.2 contains it. What the parts mean is for others.

use crate::source::{Place, Remark};
use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};
use serde_json::Value;

/// Every document of a text, in its order.
pub(super) struct Documents(Vec<MarkedYaml<'static>>);

/// A part of a document.
#[derive(Clone)]
pub(super) struct Node<'a> {
    yaml: &'a MarkedYaml<'static>,
    place: Place,
    path: String,
}

impl Documents {
    /// Reads all documents of a text.
    ///
    /// # Errors
    /// The first place that is no YAML.
    pub(super) fn read(text: &str) -> Result<Self, Remark> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let documents = MarkedYaml::load_from_str(text).map_err(|error| {
            let marker = error.marker();
            let mut why = format!("it is neither YAML nor JSON: {}", error.info());
            if text.contains("{{") {
                why.push_str("; if it is a template of Helm, render it first");
            }
            Remark {
                place: Place {
                    line: marker.line().max(1),
                    column: marker.col() + 1,
                },
                text: why,
            }
        })?;
        Ok(Self(documents))
    }

    /// The documents that are not empty.
    pub(super) fn roots(&self) -> impl Iterator<Item = Node<'_>> {
        let roots = self.0.iter().map(|yaml| Node {
            yaml,
            place: place(yaml),
            path: String::new(),
        });
        roots.filter(|root| !root.is_null())
    }
}

fn place(yaml: &MarkedYaml<'_>) -> Place {
    Place {
        line: yaml.span.start.line().max(1),
        column: yaml.span.start.col() + 1,
    }
}

impl<'a> Node<'a> {
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// Something to say about this part: its path, then the words.
    pub(super) fn remark(&self, why: impl std::fmt::Display) -> Remark {
        let text = match self.path.as_str() {
            "" => why.to_string(),
            path => format!("{path}: {why}"),
        };
        Remark {
            place: self.place,
            text,
        }
    }

    /// The same about one character of a text; only what is written on one line can be pointed into.
    pub(super) fn remark_at(&self, character: usize, why: impl std::fmt::Display) -> Remark {
        let mut remark = self.remark(why);
        let span = self.yaml.span;
        if span.start.line() == span.end.line() {
            let length = self.scalar_text().map_or(0, |text| text.chars().count());
            let quoted = span.end.col().saturating_sub(span.start.col()) > length;
            remark.place.column += character + usize::from(quoted);
        }
        remark
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(
            &self.yaml.data,
            YamlData::Value(Scalar::Null) | YamlData::BadValue
        )
    }

    /// Whether there is nothing in it: no value, an empty list, or a mapping without values.
    pub(super) fn is_empty(&self) -> bool {
        match &self.yaml.data {
            YamlData::Sequence(items) => items.is_empty(),
            YamlData::Mapping(_) => self.entries().next().is_none(),
            _ => self.is_null(),
        }
    }

    /// The value of a key; none if there is no such key, or it has no value.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        self.entries()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// What a mapping has, but for keys without a value; nothing if it is no mapping.
    pub(super) fn entries(&self) -> impl Iterator<Item = (String, Self)> {
        let mapping = match &self.yaml.data {
            YamlData::Mapping(mapping) => Some(mapping),
            _ => None,
        };
        let entries = mapping.into_iter().flatten().map(|(key, value)| {
            let name = plain(&key.data);
            let path = match self.path.as_str() {
                "" => name.clone(),
                path => format!("{path}.{name}"),
            };
            let child = Self {
                yaml: value,
                place: place(value),
                path,
            };
            (name, child)
        });
        entries.filter(|(_, value)| !value.is_null())
    }

    /// The parts of a list.
    ///
    /// # Errors
    /// If it is no list.
    pub(super) fn items(&self) -> Result<Vec<Self>, Remark> {
        let YamlData::Sequence(items) = &self.yaml.data else {
            return Err(self.remark("must be a list"));
        };
        let nodes = items.iter().enumerate().map(|(at, yaml)| Self {
            yaml,
            place: place(yaml),
            path: format!("{}[{at}]", self.path),
        });
        Ok(nodes.collect())
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.yaml.data, YamlData::Sequence(_))
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.yaml.data, YamlData::Mapping(_))
    }

    fn scalar_text(&self) -> Option<&'a str> {
        match &self.yaml.data {
            YamlData::Value(Scalar::String(text)) => Some(text),
            _ => None,
        }
    }

    /// A text.
    ///
    /// # Errors
    /// If it is something else.
    pub(super) fn text(&self) -> Result<&'a str, Remark> {
        self.scalar_text()
            .ok_or_else(|| self.remark("must be a text"))
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// If it is something else.
    pub(super) fn number(&self) -> Result<u64, Remark> {
        let number = match &self.yaml.data {
            YamlData::Value(Scalar::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        number.ok_or_else(|| self.remark("must be a whole number, 0 or more"))
    }

    /// True or false.
    ///
    /// # Errors
    /// If it is something else.
    pub(super) fn flag(&self) -> Result<bool, Remark> {
        match &self.yaml.data {
            YamlData::Value(Scalar::Boolean(flag)) => Ok(*flag),
            _ => Err(self.remark("must be true or false")),
        }
    }

    /// The same in JSON, as it is.
    pub(super) fn json(&self) -> Value {
        json(self.yaml)
    }
}

/// A key, or another single value, as it is written in a path.
fn plain(data: &YamlData<'static, MarkedYaml<'static>>) -> String {
    match data {
        YamlData::Value(Scalar::String(text)) => text.to_string(),
        YamlData::Value(Scalar::Integer(number)) => number.to_string(),
        YamlData::Value(Scalar::Boolean(flag)) => flag.to_string(),
        YamlData::Value(Scalar::FloatingPoint(number)) => number.to_string(),
        _ => "?".into(),
    }
}

fn json(yaml: &MarkedYaml<'static>) -> Value {
    match &yaml.data {
        YamlData::Value(Scalar::Boolean(flag)) => Value::from(*flag),
        YamlData::Value(Scalar::Integer(number)) => Value::from(*number),
        YamlData::Value(Scalar::FloatingPoint(number)) => Value::from(number.into_inner()),
        YamlData::Value(Scalar::String(text)) => Value::from(text.as_ref()),
        YamlData::Representation(text, ..) => Value::from(text.as_ref()),
        YamlData::Sequence(items) => items.iter().map(json).collect(),
        YamlData::Mapping(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|(key, value)| (plain(&key.data), json(value)));
            Value::Object(entries.collect())
        }
        YamlData::Tagged(_, inner) => json(inner),
        YamlData::Value(Scalar::Null) | YamlData::Alias(_) | YamlData::BadValue => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(remark: &Remark) -> (usize, usize) {
        (remark.place.line, remark.place.column)
    }

    #[test]
    fn every_part_knows_its_place_and_path_in_yaml_and_in_json() {
        for (text, place) in [
            ("a:\n  - b: 1\n    c: x\n", (3, 8)),
            (
                "{\n\t\"a\": [\n\t\t{\"b\": 1,\n\t\t \"c\": \"x\"}]}",
                (4, 9),
            ),
        ] {
            let documents = Documents::read(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            let root = documents.roots().next().unwrap();
            let item = root.get("a").unwrap().items().unwrap().remove(0);
            assert_eq!(item.get("b").unwrap().number().unwrap(), 1);
            let wrong = item.get("c").unwrap().number().unwrap_err();
            assert_eq!(at(&wrong), place, "{text}");
            assert!(wrong.text.starts_with("a[0].c: must"), "{wrong}");
        }
    }

    #[test]
    fn a_character_of_a_text_can_be_pointed_at_with_and_without_quotes() {
        for (text, column) in [("s: abc", 6), ("s: \"abc\"", 7), ("s: 'abc'", 7)] {
            let documents = Documents::read(text).unwrap();
            let part = documents.roots().next().unwrap().get("s").unwrap();
            assert_eq!(at(&part.remark_at(2, "no")), (1, column), "{text}");
        }
    }

    #[test]
    fn what_is_no_yaml_names_its_place_and_templates_are_recognised() {
        let why = Documents::read("a: b\n  - c\n d: {{ .Values.e }}\n")
            .err()
            .unwrap();
        assert!(why.place.line >= 2 && why.text.contains("Helm"), "{why}");
        assert!(Documents::read("a: [1,\n").is_err());
        assert!(
            Documents::read("a: 1\na: 2\n").is_err(),
            "a key that is there twice"
        );
    }

    #[test]
    fn documents_of_nothing_are_left_out() {
        let documents = Documents::read("---\n---\na: 1\n---\n# only words\n").unwrap();
        assert_eq!(documents.roots().count(), 1);
    }
}
