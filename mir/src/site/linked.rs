//! `links.yml`: what others wrote elsewhere, each behind an address of the site.

use serde::{Serialize, Serializer};

use super::config::is_address;
use super::data::{self, Data};
use super::date::Date;
use super::scan::Scan;
use super::streams::slug;
use super::table::{Table, text};
use super::walk::read_text;
use super::{Redirect, escape};
use crate::problem::{Problem, What};

/// The names that the file may have in `content/`.
pub(crate) const FILES: [&str; 2] = ["links.yml", "links.yaml"];

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Linked {
    pub(crate) title: String,
    /// Where it leads, by way of the site.
    pub(crate) url: String,
    /// Where that leads.
    pub(crate) to: String,
    pub(crate) stream: String,
    pub(crate) description: Option<String>,
    #[serde(serialize_with = "day")]
    pub(crate) date: Option<Date>,
    pub(crate) date_text: Option<String>,
    #[serde(skip)]
    pub(crate) file: String,
    #[serde(skip)]
    pub(crate) line: usize,
}

fn day<S: Serializer>(date: &Option<Date>, out: S) -> Result<S::Ok, S::Error> {
    date.map(|date| date.to_string()).serialize(out)
}

impl Linked {
    /// The path that leads there.
    pub(crate) fn redirect(&self) -> Redirect {
        Redirect {
            from: escape::unpercent(&self.url).unwrap_or_default(),
            to: self.to.clone(),
            status: 302,
        }
    }
}

/// Reads the list, the newest first; all that is wrong with it goes to `problems`.
pub(crate) fn read(scan: &Scan, problems: &mut Vec<Problem>) -> Vec<Linked> {
    let Some(source) = &scan.linked else {
        return Vec::new();
    };
    match read_text(source) {
        Ok(text) => parse(&source.name, &text, problems),
        Err(problem) => {
            problems.push(problem);
            Vec::new()
        }
    }
}

fn parse(file: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<Linked> {
    let wrong = |(line, why)| Problem::new(file, line, What::Config(why));
    let nodes = match data::yaml(text) {
        Ok(node) => match node.data {
            Data::List(nodes) => nodes,
            Data::Null => Vec::new(),
            _ => {
                problems.push(wrong((node.line, "must be a list".to_owned())));
                return Vec::new();
            }
        },
        Err(error) => {
            problems.push(wrong(error));
            return Vec::new();
        }
    };
    let mut all = Vec::new();
    for node in &nodes {
        let Data::Map(entries) = &node.data else {
            let why = "must be id, uri, title, date and stream".to_owned();
            problems.push(wrong((node.line, why)));
            continue;
        };
        let table = Table {
            file,
            above: 0,
            entries,
            within: String::new(),
            wrong: What::Config,
        };
        let line = entries.first().map_or(node.line, |entry| entry.line);
        all.extend(one(&table, line, problems));
    }
    all.sort_by(|a, b| (b.date, &a.url).cmp(&(a.date, &b.url)));
    all
}

fn one(table: &Table<'_>, line: usize, problems: &mut Vec<Problem>) -> Option<Linked> {
    let uri = if table.entry("url").is_some() {
        "url"
    } else {
        "uri"
    };
    for key in ["id", uri, "title"] {
        if table.entry(key).is_none() {
            table.say(line, format!("`{key}` is missing"), problems);
        }
    }
    let expected = "an address that begins with http";
    let to = table.get(uri, expected, problems, |node| {
        text(node)
            .map(|text| escape::ascii(&text))
            .filter(|text| is_address(text))
    });
    let id = table.text("id", problems);
    let title = table.text("title", problems);
    let date = table.date("date", problems);
    let stream = table
        .text("stream", problems)
        .unwrap_or_else(|| "links".to_owned());
    let path = format!("/links/{}/{}", slug(&stream), slug(&id?));
    Some(Linked {
        title: title?,
        url: escape::percent(&path),
        to: to?,
        stream,
        description: table.text("description", problems),
        date,
        date_text: date.map(|date| date.long()),
        file: table.file.to_owned(),
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_or_refused() {
        let text = "- id: a b\n  uri: https://x.y/z#v\n  title: 'A: b'\n  date: 2015-6-12\n  stream: Press\n\
                    - title: No date\n  url: http://x.y\n  id: 7\n\
                    - id: c\n  uri: ftp://x.y\n  date: never\n\
                    - nothing\n";
        let mut problems = Vec::new();
        let all = parse("content/links.yml", text, &mut problems);
        problems.sort();
        let said: Vec<_> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            said,
            [
                "content/links.yml:9: `title` is missing",
                "content/links.yml:10: `uri` must be an address that begins with http",
                "content/links.yml:11: `date` must be a date such as 2026-02-28",
                "content/links.yml:12: must be id, uri, title, date and stream",
            ]
        );
        let shown: Vec<_> = all.iter().map(|link| (&*link.title, &*link.url)).collect();
        assert_eq!(
            shown,
            [("A: b", "/links/press/a-b"), ("No date", "/links/links/7")]
        );
        let redirect = all[0].redirect();
        assert_eq!((&*redirect.to, redirect.status), ("https://x.y/z#v", 302));
    }
}
