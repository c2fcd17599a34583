//! Pages: from the files of `content/` to what the templates are given.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::Serde;
use minijinja::{Value, context};

use super::config::Config;
use super::front::{self, Front};
use super::links::Links;
use super::markdown;
use super::theme::Theme;
use super::walk::{Source, read_text};
use super::{Claims, Item, Redirect, Rendered, escape};
use crate::problem::{Problem, What};
use crate::{media, parallel};

/// The page for paths that are not there: `content/404.md`, or only a template.
const NOT_FOUND: &str = "/404";

/// All pages of a site, before they are rendered.
#[derive(Default)]
pub(crate) struct Pages {
    pages: Vec<Page>,
    not_found: Option<Page>,
    /// Folders that hold pages, by path, each with a page of its own or a list made for it.
    sections: BTreeSet<String>,
}

struct Page {
    /// `content/blog/a.md`
    name: String,
    /// `blog/a.md`
    rel: String,
    /// `/blog/a`
    path: String,
    /// Where its relative links begin: `/blog`.
    folder: String,
    front: Front,
    body: String,
    body_line: usize,
}

/// Reads and cuts up all texts.
pub(crate) fn read(sources: &[Source], problems: &mut Vec<Problem>) -> Pages {
    let mut out = Pages::default();
    let read = parallel::map(sources.iter().collect(), |source| {
        let mut problems = Vec::new();
        let page = read_text(source)
            .map_err(|problem| problems.push(problem))
            .map(|text| Page::new(source, &text, &mut problems));
        (page, problems)
    });
    for (page, mut found) in read {
        problems.append(&mut found);
        match page {
            Ok(page) if page.front.draft => {}
            Ok(page) if page.path == NOT_FOUND && out.not_found.is_none() => {
                out.not_found = Some(page);
            }
            Ok(page) => out.pages.push(page),
            Err(()) => {}
        }
    }
    out.sections.insert("/".to_owned());
    for page in &out.pages {
        let mut folder = page.folder.as_str();
        while folder != "/" && out.sections.insert(folder.to_owned()) {
            folder = parent(folder);
        }
    }
    out
}

impl Page {
    fn new(source: &Source, text: &str, problems: &mut Vec<Problem>) -> Self {
        let split = front::split(&source.name, text, problems);
        let stem = source
            .rel
            .rsplit_once('.')
            .map_or(&*source.rel, |(stem, _)| stem);
        let (folder, file) = match stem.rsplit_once('/') {
            Some((folder, file)) => (format!("/{folder}"), file),
            None => ("/".to_owned(), stem),
        };
        let path = match file {
            "index" => folder.clone(),
            _ => format!("/{stem}"),
        };
        Self {
            name: source.name.clone(),
            rel: source.rel.clone(),
            path,
            folder,
            front: split.front,
            body: split.body.to_owned(),
            body_line: split.body_line,
        }
    }
}

impl Pages {
    /// Claims the paths of the pages, and of the folders that have none.
    pub(crate) fn claim(&self, claims: &mut Claims, problems: &mut Vec<Problem>) {
        for page in self.not_found.iter().chain(&self.pages) {
            claims.claim(&page.path, &page.name, problems);
        }
        for section in &self.sections {
            if !claims.has(section) {
                claims.take(section, &format!("the list of {section}"), problems);
            }
        }
    }

    /// All paths, with the source that each comes from.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let lists = self.sections.iter().map(|path| (path.as_str(), None));
        let pages = self.pages.iter();
        lists.chain(pages.map(|page| (page.path.as_str(), Some(page.rel.as_str()))))
    }
}

/// The folder that a path is in.
fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder,
        _ => "/",
    }
}

/// Everything that rendering pages needs.
pub(crate) struct Renderer<'a> {
    pub(crate) config: &'a Config,
    /// The name of the site's folder: its title if it has no other.
    pub(crate) folder: &'a str,
    pub(crate) theme: &'a Theme,
    pub(crate) links: Links,
    pub(crate) modified: u64,
}

/// A page with its text rendered, or a list that stands in for one.
struct Node<'a> {
    path: &'a str,
    title: String,
    page: Option<(&'a Page, markdown::Rendered)>,
}

impl Renderer<'_> {
    pub(crate) fn render(&self, pages: &Pages, problems: &mut Vec<Problem>) -> Rendered {
        let mut out = Rendered::default();
        let mut nodes: BTreeMap<&str, Node<'_>> = BTreeMap::new();
        for page in self.texts(pages, &mut out.warnings) {
            nodes.insert(page.path, page);
        }
        let not_found = nodes
            .remove(NOT_FOUND)
            .filter(|_| pages.not_found.is_some());
        for path in &pages.sections {
            nodes.entry(path).or_insert_with(|| Node {
                path,
                title: if path == "/" {
                    self.title()
                } else {
                    words(path)
                },
                page: None,
            });
        }
        let tree = Tree::new(&nodes);
        let shared = self.shared(&nodes, &tree);
        let made = parallel::map(nodes.values().collect(), |node| {
            self.page(node, &nodes, &tree, &shared)
        });
        for item in made {
            match item {
                Ok(item) => out.items.push(item),
                Err(problem) => problems.push(problem),
            }
        }
        let lost = not_found.unwrap_or(Node {
            path: NOT_FOUND,
            title: "Page not found".to_owned(),
            page: None,
        });
        match self.page(&lost, &nodes, &tree, &shared) {
            Ok(item) => out.not_found = Some(item),
            Err(problem) => problems.push(problem),
        }
        // One page, one address: with a slash behind it, the same words lead there.
        let paths = nodes.keys().filter(|path| **path != "/");
        out.redirects = paths
            .map(|path| Redirect {
                path: format!("{path}/"),
                location: escape::percent(path),
            })
            .collect();
        out
    }

    fn title(&self) -> String {
        self.config
            .title
            .clone()
            .unwrap_or_else(|| self.folder.to_owned())
    }

    fn texts<'p>(&self, pages: &'p Pages, warnings: &mut Vec<Problem>) -> Vec<Node<'p>> {
        let all = pages.pages.iter().chain(&pages.not_found).collect();
        let rendered = parallel::map(all, |page: &Page| {
            let resolve = |link: &str| self.links.resolve(&page.folder, link);
            (
                page,
                markdown::render(&page.body, page.front.title.is_none(), resolve),
            )
        });
        let mut nodes = Vec::with_capacity(rendered.len());
        for (page, mut text) in rendered {
            for (line, link) in text.broken.drain(..) {
                let what = What::BrokenLink(link);
                warnings.push(Problem::new(&page.name, page.body_line + line, what));
            }
            let title = page.front.title.clone().or(text.title.take());
            let title = title.unwrap_or_else(|| match page.path.as_str() {
                "/" => self.title(),
                path => words(path),
            });
            nodes.push(Node {
                path: &page.path,
                title,
                page: Some((page, text)),
            });
        }
        nodes
    }

    /// What all pages are given alike.
    fn shared(&self, nodes: &BTreeMap<&str, Node<'_>>, tree: &Tree<'_>) -> Value {
        let sections: BTreeMap<String, Value> = tree
            .children
            .iter()
            .filter_map(|(path, children)| {
                let node = nodes.get(path)?;
                let pages = summaries(children, nodes);
                let url = escape::percent(path);
                Some((
                    (*path).to_owned(),
                    context! { title => node.title.clone(), url, pages },
                ))
            })
            .collect();
        context! {
            site => context! {
                title => self.title(),
                description => self.config.description.clone(),
                author => self.config.author.clone(),
                base_url => self.config.base_url.as_deref().map(|url| url.trim_end_matches('/')),
                language => self.config.language.as_deref().unwrap_or("en"),
                extra => self.config.extra(),
            },
            sections,
            generator => concat!("mir ", env!("CARGO_PKG_VERSION")),
        }
    }

    fn page(
        &self,
        node: &Node<'_>,
        nodes: &BTreeMap<&str, Node<'_>>,
        tree: &Tree<'_>,
        shared: &Value,
    ) -> Result<Item, Problem> {
        let url = escape::percent(node.path);
        let children = tree
            .children
            .get(node.path)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let default = match (node.path, &node.page) {
            (NOT_FOUND, _) => "404.html",
            (_, None) => "list.html",
            (_, Some(_)) => "page.html",
        };
        let front = node.page.as_ref().map(|(page, _)| &page.front);
        let template = match node.page.as_ref().and_then(|(page, _)| {
            let (name, line) = page.front.template.as_ref()?;
            Some((page, name, *line))
        }) {
            None => default.to_owned(),
            Some((page, name, line)) => self.theme.find(name).ok_or_else(|| {
                Problem::new(&page.name, line, What::MissingTemplate(name.clone()))
            })?,
        };
        let page = context! {
            content => Value::from_safe_string(
                node.page.as_ref().map(|(_, text)| text.html.clone()).unwrap_or_default(),
            ),
            toc => node.page.as_ref().map(|(_, text)| Value::from(Serde(&text.toc))),
            children => summaries(children, nodes),
            trail => trail(node.path, nodes),
            updated => front.and_then(|front| front.updated).map(|date| date.to_string()),
            updated_text => front.and_then(|front| front.updated).map(|date| date.long()),
            source => node.page.as_ref().map(|(page, _)| page.name.clone()),
            ..summary(node)
        };
        let context = context! { page, nav => self.nav(&url, nodes, tree), ..shared.clone() };
        let body = self.theme.render(&template, &context)?;
        Ok(Item {
            path: node.path.to_owned(),
            media_type: media::HTML,
            rendered: true,
            modified: self.modified,
            body: body.into_bytes(),
        })
    }

    /// The bar of links: what `site.toml` says, or what stands at the top of the site.
    fn nav(&self, url: &str, nodes: &BTreeMap<&str, Node<'_>>, tree: &Tree<'_>) -> Value {
        let link = |title: &str, to: &str| {
            let inside = to != "/"
                && url
                    .strip_prefix(to)
                    .is_some_and(|rest| rest.starts_with('/'));
            context! { title, url => to, current => url == to, within => inside }
        };
        if let Some(items) = &self.config.nav {
            return items
                .iter()
                .map(|item| link(&item.title, &item.url))
                .collect();
        }
        let top = tree.children.get("/").into_iter().flatten();
        top.filter_map(|path| Some(link(&nodes.get(path)?.title, &escape::percent(path))))
            .collect()
    }
}

/// Which pages are in which folder, in the order in which they are listed: by weight, then the
/// newest first, then those without a date by title.
struct Tree<'a> {
    children: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Tree<'a> {
    fn new(nodes: &'a BTreeMap<&str, Node<'_>>) -> Self {
        let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for node in nodes.values().filter(|node| node.path != "/") {
            children
                .entry(parent(node.path))
                .or_default()
                .push(node.path);
        }
        for paths in children.values_mut() {
            paths.sort_by_cached_key(|path| {
                let node = &nodes[path];
                let front = node.page.as_ref().map(|(page, _)| &page.front);
                let date = front.and_then(|front| front.date.or(front.updated));
                let weight = front.map_or(0, |front| front.weight);
                (weight, Reverse(date), node.title.to_lowercase(), *path)
            });
        }
        Self { children }
    }
}

fn summaries(paths: &[&str], nodes: &BTreeMap<&str, Node<'_>>) -> Value {
    paths
        .iter()
        .filter_map(|path| nodes.get(path))
        .map(summary)
        .collect()
}

/// What lists say of a page.
fn summary(node: &Node<'_>) -> Value {
    let front = node.page.as_ref().map(|(page, _)| &page.front);
    let date = front.and_then(|front| front.date);
    context! {
        title => node.title.clone(),
        url => escape::percent(node.path),
        description => front.and_then(|front| front.description.clone()),
        date => date.map(|date| date.to_string()),
        date_text => date.map(|date| date.long()),
        extra => front.map_or_else(|| context! {}, |front| Value::from(front.keys.clone())),
    }
}

/// The folders above a page, from the top.
fn trail(path: &str, nodes: &BTreeMap<&str, Node<'_>>) -> Value {
    let mut above = Vec::new();
    let mut at = path;
    while parent(at) != "/" {
        at = parent(at);
        if let Some(node) = nodes.get(at) {
            above.push(context! { title => node.title.clone(), url => escape::percent(at) });
        }
    }
    above.into_iter().rev().collect()
}

/// A title made of the last part of a path: `/how-it-works` → `How it works`.
fn words(path: &str) -> String {
    let last = path
        .rsplit('/')
        .next()
        .unwrap_or(path)
        .replace(['-', '_'], " ");
    let mut chars = last.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_helpers() {
        assert_eq!(parent("/a/b"), "/a");
        assert_eq!(parent("/a"), "/");
        assert_eq!(parent("/"), "/");
        assert_eq!(words("/x/how-it_works"), "How it works");
        assert_eq!(words("/"), "");
    }
}
