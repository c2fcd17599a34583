//! Who wrote a page.

use serde::Serialize;

use super::data::{Data, Node};
use super::table::{Table, text};
use crate::problem::Problem;

/// Somebody, as far as the author says. One of the three is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Author {
    pub(crate) name: String,
    pub(crate) uri: String,
    pub(crate) email: String,
}

const EXPECTED: &str = "text, or name, uri and email, or a list of these";

/// The authors under the keys `author` and `authors`, each of them once.
pub(crate) fn authors(table: &Table<'_>, problems: &mut Vec<Problem>) -> Vec<Author> {
    let mut authors: Vec<Author> = Vec::new();
    for key in ["author", "authors"] {
        let Some(entry) = table.entry(key) else {
            continue;
        };
        let nodes = match &entry.value.data {
            Data::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        for node in nodes {
            let Some(author) = author(table, key, node, problems) else {
                continue;
            };
            let empty = author == Author::default();
            if !empty && !authors.contains(&author) {
                authors.push(author);
            }
        }
    }
    authors
}

fn author(
    table: &Table<'_>,
    key: &str,
    node: &Node,
    problems: &mut Vec<Problem>,
) -> Option<Author> {
    match &node.data {
        Data::Null => None,
        Data::Map(entries) => {
            let table = table.below(key, entries);
            let mut get = |keys: &[&str]| table.first_text(keys, problems).unwrap_or_default();
            Some(Author {
                name: get(&["name"]),
                uri: get(&["uri", "url"]),
                email: get(&["email"]),
            })
        }
        _ => match text(node) {
            Some(name) => Some(Author {
                name,
                ..Author::default()
            }),
            None => {
                table.expected(key, node.line, EXPECTED, problems);
                None
            }
        },
    }
}

/// All names in a line, as `Ada, Grace and Barbara`.
pub(crate) fn line(authors: &[Author]) -> Option<String> {
    let names: Vec<_> = authors.iter().map(Author::shown).collect();
    let (last, others) = names.split_last()?;
    Some(match others {
        [] => (*last).to_owned(),
        _ => format!("{} and {last}", others.join(", ")),
    })
}

impl Author {
    /// What to call them.
    fn shown(&self) -> &str {
        [&self.name, &self.email, &self.uri]
            .into_iter()
            .find(|text| !text.is_empty())
            .map_or("", |text| text.as_str())
    }
}
