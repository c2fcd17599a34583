//! Atom feeds: of each folder at the top of the site that has pages with dates, and of all.

use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Value, context};

use super::author::{self, Author};
use super::escape;
use super::markdown::Reader;
use super::pages::{Page, join};
use super::plan::Plan;
use super::xhtml::xhtml;
use crate::problem::Problem;

/// The most entries of a feed.
const MOST: usize = 20;
/// Longer texts are not in feeds, but their descriptions are.
const MAX_TEXT: usize = 512 << 10;

/// A feed.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) path: String,
    pub(crate) title: String,
    /// The page that lists the same.
    pub(crate) page: String,
    /// The newest pages.
    pub(crate) pages: Vec<Arc<Page>>,
}

/// Where the feed of a folder is.
pub(crate) fn path(section: &str) -> String {
    join(section, "atom.xml")
}

impl Feed {
    pub(crate) fn new(path: &str, title: String, page: &str, pages: &[Arc<Page>]) -> Self {
        Self {
            path: path.to_owned(),
            title,
            page: page.to_owned(),
            pages: pages.iter().take(MOST).cloned().collect(),
        }
    }

    /// The feed as XML, by the template `atom.xml`.
    pub(crate) fn render(&self, plan: &Plan) -> Result<Vec<u8>, Problem> {
        let config = &plan.config;
        let base = config.base_url.as_deref().unwrap_or_default();
        let url = |path: &str| format!("{base}{}", escape::percent(path));
        let mut authors = config.authors.clone();
        if authors.is_empty() {
            authors.push(Author {
                name: plan.title.clone(),
                ..Author::default()
            });
        }
        let entries = self.pages.iter().map(|page| entry(plan, page, base));
        let updated = self.pages.iter().filter_map(|page| changed(page)).max();
        let feed = context! {
            title => &self.title,
            url => url(&self.path),
            page => url(&self.page),
            updated => updated.map(|date| date.rfc3339()),
            authors => people(&authors),
        };
        let entries = entries.collect::<Value>();
        let context = context! { feed, entries, ..plan.shared.clone() };
        plan.theme.render("atom.xml", &context)
    }
}

fn entry(plan: &Plan, page: &Page, base: &str) -> Value {
    let url = format!("{base}{}", escape::percent(&page.path));
    let text = plan.text(page, Reader::Feed).html;
    let content = (text.len() <= MAX_TEXT).then(|| xhtml(&text, base, &page.path));
    let title = plan.nodes.get(&page.path).map(|node| node.title.clone());
    context! {
        title,
        url,
        published => page.front.date.map(|date| date.rfc3339()),
        updated => changed(page).map(|date| date.rfc3339()),
        authors => people(&page.front.authors),
        tags => page.front.tags.clone(),
        description => &page.front.description,
        content => content.map(Value::from_safe_string),
    }
}

/// When a page changed last, as far as it says.
fn changed(page: &Page) -> Option<super::Date> {
    page.front.updated.max(page.front.date)
}

/// Authors as feeds have them: each has a name, and addresses that are some.
fn people(authors: &[Author]) -> Value {
    let people = authors.iter().filter_map(|author| {
        let mut author = author.clone();
        author.name = author::line(std::slice::from_ref(&author))?;
        author.uri = escape::ascii(&author.uri);
        if !author.uri.starts_with("http") {
            author.uri.clear();
        }
        if !author.email.contains('@') || author.email.contains(char::is_whitespace) {
            author.email.clear();
        }
        Some(Value::from(Serde(&author)))
    });
    people.collect()
}
