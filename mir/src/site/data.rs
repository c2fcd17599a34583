//! What YAML and TOML say, as one kind of value that knows its lines.

use minijinja::Value;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use toml::de::{DeTable, DeValue};

/// A value, and the line on which it begins, from 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) data: Data,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Null,
    Flag(bool),
    Whole(i64),
    Fraction(f64),
    /// Dates, too.
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value; keys of a map differ.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) value: Node,
}

/// A line, from 1, and what is wrong there.
pub(crate) type Wrong = (usize, String);

/// Reads YAML. Its parser stops at the first mistake.
pub(crate) fn yaml(text: &str) -> Result<Node, Wrong> {
    let mut options = serde_saphyr::Options::default();
    options.with_snippet = false;
    // YAML 1.2: `y` is a letter, and 007 is not seven.
    options.strict_booleans = true;
    options.leading_zero_numbers_as_strings = true;
    let read = serde_saphyr::from_str_with_options::<Spanned<Data>>(text, options);
    read.map(node).map_err(|error| {
        let last = text.lines().count().max(1);
        let at = error.location().map_or(1, |at| at.line() as usize);
        let said = one_line(&error.without_snippet().to_string());
        // The parser counts lines from the fence, and a problem has a line of its own.
        let said = said.split(" at line ").next().unwrap_or_default();
        (at.clamp(1, last), said.to_owned())
    })
}

/// Reads TOML, and goes on behind mistakes: what of it is good, and all that is not.
pub(crate) fn toml(text: &str) -> (Vec<Entry>, Vec<Wrong>) {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let wrong = errors.iter().map(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (lines.of(at), one_line(error.message()))
    });
    let mut wrong: Vec<_> = wrong.collect();
    // What follows from a mistake is on the same line.
    wrong.dedup_by_key(|(line, _)| *line);
    let mut entries = from_toml(table.into_inner(), &lines);
    drop_lines(&mut entries, &wrong);
    (entries, wrong)
}

/// Takes out what the parser made up for what it could not read.
fn drop_lines(entries: &mut Vec<Entry>, wrong: &[Wrong]) {
    if wrong.is_empty() {
        return;
    }
    entries.retain_mut(|entry| {
        if let Data::Map(below) = &mut entry.value.data {
            drop_lines(below, wrong);
        }
        wrong.iter().all(|(line, _)| *line != entry.line)
    });
}

/// Parsers' messages fill several lines at times; a problem has one.
pub(crate) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Data {
    /// As templates are given it.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => ().into(),
            Self::Flag(flag) => (*flag).into(),
            Self::Whole(number) => (*number).into(),
            Self::Fraction(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(nodes) => nodes.iter().map(|node| node.data.to_value()).collect(),
            Self::Map(entries) => values(entries),
        }
    }
}

/// Keys and values, as templates are given them.
pub(crate) fn values(entries: &[Entry]) -> Value {
    let pairs = entries.iter();
    pairs
        .map(|entry| (entry.key.clone(), entry.value.data.to_value()))
        .collect::<std::collections::BTreeMap<_, _>>()
        .into()
}

fn node(spanned: Spanned<Data>) -> Node {
    Node {
        line: spanned.referenced.line().max(1) as usize,
        data: spanned.value,
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(AnyData)
    }
}

struct AnyData;

impl<'de> Visitor<'de> for AnyData {
    type Value = Data;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<Data, D::Error> {
        source.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Data, E> {
        Ok(Data::Flag(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Data, E> {
        Ok(Data::Whole(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Data, E> {
        Ok(i64::try_from(number).map_or(Data::Fraction(number as f64), Data::Whole))
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Data, E> {
        Ok(Data::Fraction(number as f64))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Data, E> {
        Ok(Data::Fraction(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Data, E> {
        Ok(Data::Fraction(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Data, E> {
        Ok(Data::Text(text.to_owned()))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Data, E> {
        Ok(Data::Text(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Data, A::Error> {
        let mut nodes = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Data>>()? {
            nodes.push(node(item));
        }
        Ok(Data::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Data, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = pairs.next_key::<Spanned<String>>()? {
            let value = node(pairs.next_value::<Spanned<Data>>()?);
            entries.push(Entry {
                line: key.referenced.line().max(1) as usize,
                key: key.value,
                value,
            });
        }
        Ok(Data::Map(entries))
    }
}

fn from_toml(table: DeTable<'_>, lines: &Lines) -> Vec<Entry> {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| Entry {
            line: lines.of(key.span().start),
            value: Node {
                line: lines.of(value.span().start),
                data: from_toml_value(value.into_inner(), lines),
            },
            key: key.into_inner().into_owned(),
        })
        .collect();
    entries.sort_by_key(|entry| entry.line);
    entries
}

fn from_toml_value(value: DeValue<'_>, lines: &Lines) -> Data {
    match value {
        DeValue::String(text) => Data::Text(text.into_owned()),
        DeValue::Integer(number) => {
            match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Data::Whole(number),
                // Too long for a number, so it is what it looks like.
                Err(_) => Data::Text(number.to_string()),
            }
        }
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Data::Fraction(number),
            Err(_) => Data::Text(number.to_string()),
        },
        DeValue::Boolean(flag) => Data::Flag(flag),
        DeValue::Datetime(date) => Data::Text(date.to_string()),
        DeValue::Array(items) => {
            let nodes = items.into_iter().map(|item| Node {
                line: lines.of(item.span().start),
                data: from_toml_value(item.into_inner(), lines),
            });
            Data::List(nodes.collect())
        }
        DeValue::Table(table) => Data::Map(from_toml(table, lines)),
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(ends.map(|(at, _)| at + 1).collect())
    }

    /// The line, from 1, that holds an offset.
    fn of(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|&start| start <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(entries: &[Entry]) -> Vec<(&str, usize, usize)> {
        let lines = entries.iter();
        lines.map(|e| (&*e.key, e.line, e.value.line)).collect()
    }

    #[test]
    fn values_know_their_lines() {
        let text = "a: 1\n\"b\":\n  c: x\n  d: [1.5, true]\n\ne:\nf: 2016-2-29\n7: 0x10\n";
        let Data::Map(entries) = yaml(text).unwrap().data else {
            panic!("a map");
        };
        assert_eq!(
            lines(&entries),
            [
                ("a", 1, 1),
                ("b", 2, 3),
                ("e", 6, 6),
                ("f", 7, 7),
                ("7", 8, 8)
            ]
        );
        assert_eq!(entries[2].value.data, Data::Null);
        assert_eq!(entries[3].value.data, Data::Text("2016-2-29".to_owned()));
        let Data::Map(below) = &entries[1].value.data else {
            panic!("a map");
        };
        assert_eq!(lines(below), [("c", 3, 3), ("d", 4, 4)]);

        let text = "z = 1\n[b]\nc = 'x'\nd = [\n  1.5,\n  true]\n[[b.e]]\nf = 2016-02-29\n";
        let (entries, wrong) = toml(text);
        assert_eq!(wrong, []);
        assert_eq!(lines(&entries), [("z", 1, 1), ("b", 2, 2)]);
        let Data::Map(below) = &entries[1].value.data else {
            panic!("a map");
        };
        assert_eq!(lines(below), [("c", 3, 3), ("d", 4, 4), ("e", 7, 7)]);
        assert_eq!(
            below[2].value.data.to_value().to_string(),
            "[{'f': '2016-02-29'}]"
        );
    }

    #[test]
    fn all_mistakes_of_a_toml_are_found() {
        let (good, wrong) = toml("a = 1\nb = \nc = 3\nd = \"x\ne = 5\na = 2\n");
        let at: Vec<_> = wrong.iter().map(|(line, _)| *line).collect();
        assert_eq!(at, [2, 4, 6], "{wrong:?}");
        assert!(good.iter().any(|entry| entry.key == "e"));
    }

    #[test]
    fn yaml_says_where_it_stops() {
        for (text, line) in [("a: 1\nb: [\n", 2), ("a: 1\na: 2\n", 2), ("a: b: c", 1)] {
            let (at, why) = yaml(text).unwrap_err();
            assert_eq!(at, line, "{text:?}: {why}");
        }
        assert_eq!(yaml("").unwrap().data, Data::Null);
        assert_eq!(yaml("# only this\n").unwrap().data, Data::Null);
    }
}
