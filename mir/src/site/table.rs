//! Takes keys out of what was read, and notes what is not as it should be, with its line.

use super::data::{Data, Entry, Node};
use super::date::Date;
use crate::problem::{Problem, What};

/// Keys and values of one file, or of a part of one.
pub(crate) struct Table<'a> {
    /// The file's name.
    pub(crate) file: &'a str,
    /// What stands before the first key's line in the file: none, or the fence of front matter.
    pub(crate) above: usize,
    pub(crate) entries: &'a [Entry],
    /// What keys are called in what is said: `nav.`, or nothing.
    pub(crate) within: String,
    /// What kind of problem a wrong value is.
    pub(crate) wrong: fn(String) -> What,
}

/// A text and its line in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl<'a> Table<'a> {
    /// What stands under a key; nothing and `null` are the same.
    pub(crate) fn entry(&self, key: &str) -> Option<&'a Entry> {
        let found = self.entries.iter().find(|entry| entry.key == key);
        found.filter(|entry| entry.value.data != Data::Null)
    }

    /// What `read` makes of the value under a key. If it makes nothing of it, that is a problem.
    pub(crate) fn get<T>(
        &self,
        key: &str,
        expected: &str,
        problems: &mut Vec<Problem>,
        read: impl FnOnce(&'a Node) -> Option<T>,
    ) -> Option<T> {
        let entry = self.entry(key)?;
        let found = read(&entry.value);
        if found.is_none() {
            self.expected(key, entry.line, expected, problems);
        }
        found
    }

    /// Text under a key; none of it is like no key.
    pub(crate) fn text(&self, key: &str, problems: &mut Vec<Problem>) -> Option<String> {
        let found = self.get(key, "text", problems, text);
        found.filter(|text| !text.is_empty())
    }

    /// Text under the first of several keys that has any.
    pub(crate) fn first_text(&self, keys: &[&str], problems: &mut Vec<Problem>) -> Option<String> {
        let found: Vec<_> = keys.iter().map(|key| self.text(key, problems)).collect();
        found.into_iter().flatten().next()
    }

    pub(crate) fn flag(&self, key: &str, problems: &mut Vec<Problem>) -> Option<bool> {
        self.get(key, "true or false", problems, |node| match node.data {
            Data::Flag(flag) => Some(flag),
            _ => None,
        })
    }

    pub(crate) fn whole(&self, key: &str, problems: &mut Vec<Problem>) -> Option<i64> {
        self.get(key, "a whole number", problems, |node| match node.data {
            Data::Whole(number) => Some(number),
            _ => None,
        })
    }

    pub(crate) fn date(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Date> {
        self.get(key, "a date such as 2026-02-28", problems, date)
            .flatten()
    }

    /// One text, or a list of them, without those that are empty.
    pub(crate) fn texts(&self, key: &str, problems: &mut Vec<Problem>) -> Vec<Placed> {
        let expected = "text, or a list of texts";
        let Some(entry) = self.entry(key) else {
            return Vec::new();
        };
        let nodes = match &entry.value.data {
            Data::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        let mut found = Vec::new();
        for node in nodes.iter().filter(|node| node.data != Data::Null) {
            match text(node) {
                Some(text) => found.push(Placed {
                    text: text.trim().to_owned(),
                    line: node.line + self.above,
                }),
                None => self.expected(key, node.line, expected, problems),
            }
        }
        found.retain(|placed| !placed.text.is_empty());
        found
    }

    /// The tables of a list, each with the line on which it begins.
    pub(crate) fn tables(
        &self,
        key: &str,
        expected: &str,
        problems: &mut Vec<Problem>,
    ) -> Vec<(usize, Table<'a>)> {
        let Some(entry) = self.entry(key) else {
            return Vec::new();
        };
        let Data::List(nodes) = &entry.value.data else {
            self.expected(key, entry.line, expected, problems);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for node in nodes {
            match &node.data {
                Data::Map(entries) => {
                    tables.push((node.line + self.above, self.below(key, entries)))
                }
                _ => self.expected(key, node.line, expected, problems),
            }
        }
        tables
    }

    /// The table under a key.
    pub(crate) fn table(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Table<'a>> {
        let entries = self.get(key, "a table", problems, |node| match &node.data {
            Data::Map(entries) => Some(entries),
            _ => None,
        });
        entries.map(|entries| self.below(key, entries))
    }

    /// A part of this one.
    pub(crate) fn below(&self, key: &str, entries: &'a [Entry]) -> Table<'a> {
        Table {
            entries,
            within: format!("{}{key}.", self.within),
            ..*self
        }
    }

    /// Says which keys there are besides those that are known.
    pub(crate) fn known(&self, known: &[&str], problems: &mut Vec<Problem>) {
        for entry in self.entries {
            if !known.contains(&entry.key.as_str()) {
                let (key, known) = (&entry.key, known.join("`, `"));
                let why = format!("unknown key `{}{key}`, expected `{known}`", self.within);
                self.say(entry.line, why, problems);
            }
        }
    }

    /// Notes that a value is not what it should be. `line` is one of the parser's.
    pub(crate) fn expected(
        &self,
        key: &str,
        line: usize,
        expected: &str,
        problems: &mut Vec<Problem>,
    ) {
        let why = format!("`{}{key}` must be {expected}", self.within);
        self.say(line, why, problems);
    }

    /// Notes that something is wrong in a line of the parser's.
    pub(crate) fn say(&self, line: usize, why: String, problems: &mut Vec<Problem>) {
        let line = line + self.above;
        problems.push(Problem::new(self.file, line, (self.wrong)(why)));
    }
}

/// Text as it is; numbers and truth values as they are written.
pub(crate) fn text(node: &Node) -> Option<String> {
    match &node.data {
        Data::Text(text) => Some(text.trim().to_owned()),
        Data::Flag(_) | Data::Whole(_) | Data::Fraction(_) => {
            Some(node.data.to_value().to_string())
        }
        _ => None,
    }
}

/// A date; empty text is none.
fn date(node: &Node) -> Option<Option<Date>> {
    match &node.data {
        Data::Text(text) if text.trim().is_empty() => Some(None),
        Data::Text(text) => Date::parse(text).map(Some),
        _ => None,
    }
}
