//! Front matter: what a page says of itself, in YAML between `---` or TOML between `+++`.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::ValueKind;

use super::date::Date;
use crate::problem::{Problem, What};

/// The front matter of one page. Unknown keys are kept for the templates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Front {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) date: Option<Date>,
    pub(crate) updated: Option<Date>,
    pub(crate) template: Option<(String, usize)>,
    pub(crate) draft: bool,
    pub(crate) weight: i64,
    /// Every key as written.
    pub(crate) keys: BTreeMap<String, Value>,
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
    let keys = if fence == "---" {
        yaml(matter)
    } else {
        toml(matter)
    };
    let keys = keys.unwrap_or_else(|(line, why)| {
        problems.push(Problem::new(name, line + 1, What::FrontMatter(why)));
        BTreeMap::new()
    });
    let mut reader = Reader {
        name,
        matter,
        keys: &keys,
        problems,
    };
    let mut front = reader.read();
    front.keys = keys;
    Split {
        front,
        body,
        body_line: lines + 1,
    }
}

type Keys = BTreeMap<String, Value>;
/// A line of the front matter, from 1, and what is wrong there.
type Wrong = (usize, String);

fn yaml(matter: &str) -> Result<Keys, Wrong> {
    let mut options = serde_saphyr::Options::default();
    options.with_snippet = false;
    // YAML 1.2: `y` is a letter, and 007 is not seven.
    options.strict_booleans = true;
    options.leading_zero_numbers_as_strings = true;
    serde_saphyr::from_str_with_options::<Option<Keys>>(matter, options)
        .map(Option::unwrap_or_default)
        .map_err(|error| {
            let last = matter.lines().count().max(1);
            let line = error
                .location()
                .map_or(1, |location| location.line() as usize);
            (
                line.clamp(1, last),
                without_place(&one_line(&error.without_snippet().to_string())),
            )
        })
}

fn toml(matter: &str) -> Result<Keys, Wrong> {
    let table: toml::Table = toml::from_str(matter).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start).min(matter.len());
        let before = &matter.as_bytes()[..at];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        (line, one_line(error.message()))
    })?;
    let keys = table.into_iter();
    Ok(keys.map(|(key, value)| (key, from_toml(value))).collect())
}

pub(crate) fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(from_toml).collect::<Value>(),
        toml::Value::Table(table) => {
            let pairs = table.into_iter();
            pairs
                .map(|(key, value)| (key, from_toml(value)))
                .collect::<BTreeMap<_, _>>()
                .into()
        }
    }
}

/// The parser counts lines from the fence, and a problem has a line of its own.
fn without_place(message: &str) -> String {
    message
        .split(" at line ")
        .next()
        .unwrap_or(message)
        .to_owned()
}

/// Parsers' messages fill several lines at times; a problem has one.
pub(crate) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Reader<'a> {
    name: &'a str,
    matter: &'a str,
    keys: &'a Keys,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn read(&mut self) -> Front {
        let title = self.get("title", "text", text);
        let title = title.or_else(|| self.get("subject", "text", text));
        let template = self.get("template", "text", text);
        Front {
            title,
            description: self.get("description", "text", text),
            date: self.get("date", "a date such as 2026-02-28", date),
            updated: self.get("updated", "a date such as 2026-02-28", date),
            template: template.map(|name| (name, self.line("template"))),
            draft: self
                .get("draft", "true or false", |value| {
                    bool::try_from(value.clone()).ok()
                })
                .unwrap_or(false),
            weight: self
                .get("weight", "a whole number", |value| {
                    i64::try_from(value.clone()).ok()
                })
                .unwrap_or(0),
            keys: BTreeMap::new(),
        }
    }

    fn get<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.keys.get(key).filter(|value| !value.is_none())?;
        let found = read(value);
        if found.is_none() {
            let line = self.line(key);
            let what = What::Key { key, expected };
            self.problems.push(Problem::new(self.name, line, what));
        }
        found
    }

    /// The line of the file on which a key stands: the parsers give none for a good value.
    fn line(&self, key: &str) -> usize {
        let found = self.matter.lines().position(|line| {
            let line = line.trim_start().trim_start_matches(['"', '\'']);
            let rest = line
                .strip_prefix(key)
                .map(|rest| rest.trim_start_matches(['"', '\'']).trim_start());
            rest.is_some_and(|rest| rest.starts_with([':', '=']))
        });
        found.unwrap_or(0) + 2
    }
}

fn text(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::String | ValueKind::Number | ValueKind::Bool => Some(value.to_string()),
        _ => None,
    }
}

fn date(value: &Value) -> Option<Date> {
    Date::parse(value.as_str()?)
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
            assert_eq!(split.front.keys["tags"].to_string(), "['x', 'y']");
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
                "content/x.md:3: front matter: `title` must be text",
                "content/x.md:4: front matter: `date` must be a date such as 2026-02-28",
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
