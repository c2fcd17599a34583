//! `site.toml`: what the site as a whole is called, what its bar of links holds, and what is data of
//! the site beside its texts.

use minijinja::Value;
use serde::Serialize;

use super::Redirect;
use super::author::{self, Author};
use super::data::{self, Data};
use super::table::{Placed, Table, text};
use crate::pack::HeaderRule;
use crate::problem::{Problem, What};

mod mount;
mod rules;

pub(crate) use mount::Mount;
pub(crate) use rules::is_address;

/// The file's name, in the site's folder.
pub(crate) const FILE: &str = "site.toml";

/// What `site.toml` may hold; all of it may be left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Config {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) authors: Vec<Author>,
    /// Without a slash at the end.
    pub(crate) base_url: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) nav: Option<Vec<NavItem>>,
    /// Each with its line, as the header fields.
    pub(crate) redirects: Vec<(usize, Redirect)>,
    pub(crate) headers: Vec<(usize, HeaderRule)>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) markdown: Markdown,
    pub(crate) generate: Generate,
    /// The table `[extra]`, for templates.
    pub(crate) extra: Value,
}

/// One link of the navigation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct NavItem {
    pub(crate) title: String,
    pub(crate) url: String,
    #[serde(skip)]
    pub(crate) line: usize,
}

/// How texts are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Markdown {
    /// Whether HTML is passed through; else it is text.
    pub(crate) html: bool,
    /// Whether straight quotes become curly ones, and hyphens dashes.
    pub(crate) smart_punctuation: bool,
    /// Whether code has colours.
    pub(crate) highlight: bool,
}

impl Default for Markdown {
    fn default() -> Self {
        Self {
            html: true,
            smart_punctuation: false,
            highlight: true,
        }
    }
}

/// Which pages are made besides those that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generate {
    pub(crate) feeds: bool,
    pub(crate) robots: bool,
    pub(crate) search: bool,
    pub(crate) sitemap: bool,
    pub(crate) tags: bool,
    pub(crate) updates: bool,
    pub(crate) years: bool,
}

impl Default for Generate {
    fn default() -> Self {
        Self {
            feeds: true,
            robots: true,
            search: true,
            sitemap: true,
            tags: true,
            updates: true,
            years: true,
        }
    }
}

const KEYS: &[&str] = &[
    "title",
    "description",
    "author",
    "authors",
    "base_url",
    "language",
    "nav",
    "redirects",
    "headers",
    "mount",
    "markdown",
    "generate",
    "extra",
];

impl Config {
    /// Reads all that is right of it; all that is not goes to `problems`.
    pub(crate) fn parse(text: &str, problems: &mut Vec<Problem>) -> Self {
        let (entries, wrong) = data::toml(text);
        for (line, why) in wrong {
            problems.push(Problem::new(FILE, line, What::Config(why)));
        }
        let table = Table {
            file: FILE,
            above: 0,
            entries: &entries,
            within: String::new(),
            wrong: What::Config,
        };
        table.known(KEYS, problems);
        let extra = table.table("extra", problems);
        Self {
            title: table.text("title", problems),
            description: table.text("description", problems),
            authors: author::authors(&table, problems),
            base_url: base_url(&table, problems),
            language: table.text("language", problems),
            nav: nav(&table, problems),
            redirects: rules::redirects(&table, problems),
            headers: rules::headers(&table, problems),
            mounts: mount::mounts(&table, problems),
            markdown: markdown(&table, problems),
            generate: generate(&table, problems),
            extra: data::values(extra.map_or(&[], |table| table.entries)),
        }
    }
}

/// A text that a table of a list must have.
fn needed(
    table: &Table<'_>,
    line: usize,
    key: &str,
    problems: &mut Vec<Problem>,
) -> Option<Placed> {
    match table.entry(key) {
        Some(entry) => table.get(key, "text", problems, text).map(|text| Placed {
            text,
            line: entry.line,
        }),
        None => {
            table.say(
                line,
                format!("`{}{key}` is missing", table.within),
                problems,
            );
            None
        }
    }
}

fn nav(table: &Table<'_>, problems: &mut Vec<Problem>) -> Option<Vec<NavItem>> {
    table.entry("nav")?;
    let tables = table.tables("nav", "a list of tables with title and url", problems);
    let items = tables.into_iter().filter_map(|(line, item)| {
        item.known(&["title", "url"], problems);
        let title = needed(&item, line, "title", problems);
        let url = needed(&item, line, "url", problems)?;
        Some(NavItem {
            title: title?.text,
            url: url.text,
            line: url.line,
        })
    });
    Some(items.collect())
}

/// Links within pages begin with a slash, so a site is all of a host.
fn base_url(table: &Table<'_>, problems: &mut Vec<Problem>) -> Option<String> {
    let expected = "the site's own address without a path, such as https://example.org";
    let url = table.get("base_url", expected, problems, |node| {
        let Data::Text(url) = &node.data else {
            return None;
        };
        let url = url.trim().trim_end_matches('/');
        if url.is_empty() {
            return Some(None);
        }
        let host = ["https://", "http://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme))?;
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._~:[]%".contains(c);
        (!host.is_empty() && host.chars().all(is_host)).then(|| Some(url.to_owned()))
    });
    url.flatten()
}

fn markdown(table: &Table<'_>, problems: &mut Vec<Problem>) -> Markdown {
    let mut all = Markdown::default();
    let Some(table) = table.table("markdown", problems) else {
        return all;
    };
    table.known(&["html", "smart_punctuation", "highlight"], problems);
    for (key, place) in [
        ("html", &mut all.html),
        ("smart_punctuation", &mut all.smart_punctuation),
        ("highlight", &mut all.highlight),
    ] {
        *place = table.flag(key, problems).unwrap_or(*place);
    }
    all
}

fn generate(table: &Table<'_>, problems: &mut Vec<Problem>) -> Generate {
    let mut all = Generate::default();
    let Some(table) = table.table("generate", problems) else {
        return all;
    };
    let places = [
        ("feeds", &mut all.feeds),
        ("robots", &mut all.robots),
        ("search", &mut all.search),
        ("sitemap", &mut all.sitemap),
        ("tags", &mut all.tags),
        ("updates", &mut all.updates),
        ("years", &mut all.years),
    ];
    table.known(&places.each_ref().map(|(key, _)| *key), problems);
    for (key, place) in places {
        *place = table.flag(key, problems).unwrap_or(*place);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn read(text: &str) -> (Config, Vec<String>) {
        let mut problems = Vec::new();
        let config = Config::parse(text, &mut problems);
        problems.sort();
        (config, problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn all_that_it_may_hold() {
        let (config, problems) = read(
            "title = \"T\"\nauthor = \"A\"\nbase_url = \"https://example.org/\"\n\
             [[nav]]\ntitle = \"A\"\nurl = \"/a\"\n\
             [markdown]\nhtml = false\n[generate]\nsearch = false\n[extra]\nx = 1\n",
        );
        assert_eq!(problems, [""; 0]);
        assert_eq!(config.base_url.as_deref(), Some("https://example.org"));
        assert_eq!(config.nav.unwrap()[0].url, "/a");
        assert_eq!(config.authors[0].name, "A");
        assert!(!config.markdown.html && config.markdown.highlight);
        assert!(!config.generate.search && config.generate.feeds);
        assert_eq!(config.extra.to_string(), "{'x': 1}");
        assert_eq!(read("nav = []\n").0.nav, Some(Vec::new()));
    }

    #[test]
    fn every_mistake_has_a_line() {
        let (_, problems) = read(
            "title = [1]\ntitel = \"U\"\nbase_url = \"example.org\"\nlanguage = \n\
             [[nav]]\ntitle = \"A\"\n[[nav]]\nurl = 3\n[markdown]\nhtml = \"yes\"\nmath = true\n",
        );
        let starts = [
            "site.toml:1: `title` must be text",
            "site.toml:2: unknown key `titel`, expected `title`",
            "site.toml:3: `base_url` must be the site's own address without a path",
            "site.toml:4: ",
            "site.toml:5: `nav.url` is missing",
            "site.toml:7: `nav.title` is missing",
            "site.toml:10: `markdown.html` must be true or false",
            "site.toml:11: unknown key `markdown.math`",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
        }
    }
}
