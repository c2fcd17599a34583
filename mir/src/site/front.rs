//! Front matter: what a page says of itself, in YAML between `---` or TOML between `+++`.

use minijinja::Value;

use super::author::{self, Author};
use super::data::{self, Data};
use super::date::Date;
use super::table::{Placed, Table, text};
use crate::problem::{Problem, What};

/// The front matter of one page. Unknown keys are kept for the templates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Front {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) authors: Vec<Author>,
    /// When it was first published, as far as is known.
    pub(crate) date: Option<Date>,
    /// When it was last changed, if that is another time.
    pub(crate) updated: Option<Date>,
    pub(crate) template: Option<Placed>,
    /// Where the page is to be.
    pub(crate) place: Option<Place>,
    /// Paths that lead to the page.
    pub(crate) aliases: Vec<Placed>,
    pub(crate) tags: Vec<String>,
    pub(crate) draft: bool,
    pub(crate) weight: i64,
    /// Every key as written.
    pub(crate) keys: Value,
}

/// An address of the author's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the page's folder, under this name.
    Here(Placed),
    /// At this path of the site.
    Path(Placed),
}

impl Place {
    /// Where it is written.
    pub(crate) fn line(&self) -> usize {
        match self {
            Self::Here(placed) | Self::Path(placed) => placed.line,
        }
    }
}

/// A page's text, cut in two.
#[derive(Debug, Default)]
pub(crate) struct Split<'a> {
    pub(crate) front: Front,
    pub(crate) body: &'a str,
    /// The line of the file on which the body begins, from 1.
    pub(crate) body_line: usize,
}

/// Reads the front matter off `text`; all that is wrong with it goes to `problems`.
pub(crate) fn split<'a>(name: &str, text: &'a str, problems: &mut Vec<Problem>) -> Split<'a> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let none = Split {
        body: text,
        body_line: 1,
        ..Split::default()
    };
    let Some((first, rest)) = text.split_once('\n') else {
        return none;
    };
    let fence = first.trim_end();
    if fence != "---" && fence != "+++" {
        return none;
    }
    let mut at = 0;
    let mut lines = 1;
    let closed = rest.split_inclusive('\n').find(|line| {
        lines += 1;
        let found = line.trim_end() == fence;
        at += if found { 0 } else { line.len() };
        found
    });
    let Some(closing) = closed else {
        let why = What::FrontMatter(format!("no line `{fence}` closes it"));
        problems.push(Problem::new(name, 1, why));
        return none;
    };
    let (matter, body) = (&rest[..at], &rest[at + closing.len()..]);
    let mut wrong = Vec::new();
    let entries = if fence == "---" {
        yaml(matter, &mut wrong)
    } else {
        let (entries, mut found) = data::toml(matter);
        wrong.append(&mut found);
        entries
    };
    for (line, why) in wrong {
        problems.push(Problem::new(name, line + 1, What::FrontMatter(why)));
    }
    let table = Table {
        file: name,
        above: 1,
        entries: &entries,
        within: String::new(),
        wrong: What::FrontMatter,
    };
    Split {
        front: read(&table, problems),
        body,
        body_line: lines + 1,
    }
}

fn yaml(matter: &str, wrong: &mut Vec<data::Wrong>) -> Vec<data::Entry> {
    match data::yaml(matter) {
        Ok(node) => match node.data {
            Data::Map(entries) => return entries,
            Data::Null => {}
            _ => wrong.push((node.line, "must be keys and values".to_owned())),
        },
        Err(error) => wrong.push(error),
    }
    Vec::new()
}

fn read(table: &Table<'_>, problems: &mut Vec<Problem>) -> Front {
    let date = table.date("date", problems);
    let updated = table.date("updated", problems);
    let template = table.get("template", "text", problems, |node| {
        let line = node.line + table.above;
        text(node).map(|text| Placed { text, line })
    });
    Front {
        title: table.first_text(&["title", "subject"], problems),
        description: table.text("description", problems),
        authors: author::authors(table, problems),
        date: date.or(updated),
        updated: updated.filter(|updated| date.is_some_and(|date| date != *updated)),
        template: template.filter(|name| !name.text.is_empty()),
        place: place(table, problems),
        aliases: table.texts("aliases", problems),
        tags: tags(table, problems),
        draft: table.flag("draft", problems).unwrap_or(false),
        weight: table.whole("weight", problems).unwrap_or(0),
        keys: data::values(table.entries),
    }
}

/// `permalink` and `slug` are within the folder unless they begin with a slash; a `path` is one of
/// the site.
fn place(table: &Table<'_>, problems: &mut Vec<Problem>) -> Option<Place> {
    let mut found = None;
    for key in ["permalink", "slug", "path"] {
        let Some(text) = table.text(key, problems) else {
            continue;
        };
        let line = table.entry(key).map_or(0, |entry| entry.line) + table.above;
        let whole = key == "path" || text.starts_with('/');
        let text = text.trim_matches('/').to_owned();
        let placed = Placed { text, line };
        found = found.or(Some(match whole {
            true => Place::Path(placed),
            false => Place::Here(placed),
        }));
    }
    found
}

/// A list, or one text with commas; each tag once.
fn tags(table: &Table<'_>, problems: &mut Vec<Problem>) -> Vec<String> {
    let is_list = table
        .entry("tags")
        .is_some_and(|entry| matches!(entry.value.data, Data::List(_)));
    let mut tags: Vec<String> = Vec::new();
    for placed in table.texts("tags", problems) {
        let parts: Vec<_> = match is_list {
            true => vec![placed.text.as_str()],
            false => placed.text.split(',').map(str::trim).collect(),
        };
        for part in parts {
            if !part.is_empty() && !tags.iter().any(|tag| tag == part) {
                tags.push(part.to_owned());
            }
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Split<'_>, Vec<String>) {
        let mut problems = Vec::new();
        let split = split("content/x.md", text, &mut problems);
        let said = problems.iter().map(Problem::to_string).collect();
        (split, said)
    }

    #[test]
    fn both_languages_say_the_same() {
        let yaml = "---\ntitle: \"A: b\"\ndate: 2026-02-28\nweight: 3\ndraft: true\ntags: [x, y]\n---\nBody\n";
        let toml = "+++\ntitle = \"A: b\"\ndate = 2026-02-28\nweight = 3\ndraft = true\ntags = [\"x\", \"y\"]\n+++\nBody\n";
        for text in [yaml, toml, &yaml.replace('\n', "\r\n")] {
            let (split, problems) = read(text);
            assert_eq!(problems, [""; 0]);
            assert_eq!(split.front.title.as_deref(), Some("A: b"));
            assert_eq!(split.front.date, Date::parse("2026-02-28"));
            assert_eq!((split.front.weight, split.front.draft), (3, true));
            assert_eq!(split.front.tags, ["x", "y"]);
            assert_eq!(split.body.trim_end(), "Body");
            assert_eq!(split.body_line, 8);
        }
    }

    #[test]
    fn none_and_empty() {
        for (text, body, line) in [
            ("", "", 1),
            ("# Hi\n", "# Hi\n", 1),
            ("---\n---\nHi", "Hi", 3),
            ("\u{feff}---\n# a comment\n---\n", "", 4),
            ("----\nx\n----\n", "----\nx\n----\n", 1),
        ] {
            let (split, problems) = read(text);
            assert_eq!((split.body, split.body_line), (body, line), "{text:?}");
            assert_eq!(problems, [""; 0]);
        }
    }

    #[test]
    fn problems_name_their_lines() {
        let (_, problems) =
            read("---\nweight: many\ntitle: [a]\n\"date\": 2026-02-30\ndraft: 7\n---\n");
        assert_eq!(
            problems,
            [
                "content/x.md:4: front matter: `date` must be a date such as 2026-02-28",
                "content/x.md:3: front matter: `title` must be text",
                "content/x.md:5: front matter: `draft` must be true or false",
                "content/x.md:2: front matter: `weight` must be a whole number",
            ]
        );
        let (_, problems) = read("---\ntitle: x\n");
        assert_eq!(
            problems,
            ["content/x.md:1: front matter: no line `---` closes it"]
        );
        for broken in [
            "---\ntitle: a\nb: [\n---\n",
            "---\ntitle: a\ntitle: b\n---\n",
            "+++\ntitle = \"a\"\nb = \n+++\n",
            "---\ntitle: a\nb: c: d\n---\n",
        ] {
            let (_, problems) = read(broken);
            assert_eq!(problems.len(), 1, "{broken:?}");
            assert!(
                problems[0].starts_with("content/x.md:3: front matter: "),
                "{broken:?}: {problems:?}"
            );
        }
        let (_, problems) = read("---\n- a list\n---\n");
        assert!(problems[0].starts_with("content/x.md:2: "), "{problems:?}");
    }
}
