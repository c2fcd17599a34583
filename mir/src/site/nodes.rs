//! What the templates are given: the tree of pages, lists of them, and each page by itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Value, context};

use super::config::Config;
use super::pages::{NOT_FOUND, Page, Pages, parent};
use super::plan::Plan;
use super::{Item, author, escape, markdown};
use crate::media;
use crate::problem::{Problem, What};

/// All pages and lists of a site.
pub(crate) struct Nodes {
    nodes: BTreeMap<String, Node>,
    /// Which pages are in which folder, in the order in which they are listed: by weight, then the
    /// newest first, then those without a date by title.
    children: BTreeMap<String, Vec<String>>,
    /// The page for paths that are not there.
    lost: Node,
    /// What all pages are given alike.
    shared: Value,
}

/// A page, or a list that stands in for one.
struct Node {
    path: String,
    title: String,
    page: Option<Arc<Page>>,
}

impl Node {
    /// The folder whose list it is in.
    fn section(&self) -> &str {
        match &self.page {
            Some(page) => &page.section,
            None => parent(&self.path),
        }
    }
}

/// A page, rendered.
pub(crate) struct Drawn {
    pub(crate) item: Item,
    /// Its links that lead nowhere.
    pub(crate) warnings: Vec<Problem>,
}

impl Nodes {
    /// The nodes of a site with this title.
    pub(crate) fn new(
        pages: &Pages,
        config: &Config,
        order: &BTreeMap<String, usize>,
        title: String,
    ) -> Self {
        let node = |page: &Arc<Page>| Node {
            path: page.path.clone(),
            title: page.title.clone().unwrap_or_else(|| match &*page.path {
                "/" => title.clone(),
                path => words(path),
            }),
            page: Some(page.clone()),
        };
        let mut nodes: BTreeMap<_, _> = pages
            .pages
            .iter()
            .map(|page| (page.path.clone(), node(page)))
            .collect();
        for path in &pages.sections {
            nodes.entry(path.clone()).or_insert_with(|| Node {
                path: path.clone(),
                title: if path == "/" {
                    title.clone()
                } else {
                    words(path)
                },
                page: None,
            });
        }
        let lost = pages.not_found.as_ref().map_or_else(
            || Node {
                path: NOT_FOUND.to_owned(),
                title: "Page not found".to_owned(),
                page: None,
            },
            node,
        );
        let children = children(&nodes, order);
        let shared = shared(config, &title, &nodes, &children);
        Self {
            nodes,
            children,
            lost,
            shared,
        }
    }

    /// Whether there is a page or a list at this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.nodes.contains_key(path)
    }

    /// All paths of pages and lists.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    fn children(&self, path: &str) -> impl Iterator<Item = &Node> {
        let paths = self.children.get(path).into_iter().flatten();
        paths.filter_map(|path| self.nodes.get(path))
    }

    /// The folders above a page, from the top.
    fn trail(&self, node: &Node) -> Value {
        let mut above = Vec::new();
        let mut at = node.section();
        while at != "/" {
            if let Some(node) = self.nodes.get(at) {
                above.push(context! { title => node.title.clone(), url => escape::percent(at) });
            }
            at = parent(at);
        }
        above.into_iter().rev().collect()
    }

    /// The bar of links: what `site.toml` says, or what stands at the top of the site.
    fn nav(&self, config: &Config, url: &str) -> Value {
        let link = |title: &str, to: &str| {
            let inside = to != "/"
                && url
                    .strip_prefix(to)
                    .is_some_and(|rest| rest.starts_with('/'));
            context! { title, url => to, current => url == to, within => inside }
        };
        match &config.nav {
            Some(items) => items
                .iter()
                .map(|item| link(&item.title, &item.url))
                .collect(),
            None => self
                .children("/")
                .map(|node| link(&node.title, &escape::percent(&node.path)))
                .collect(),
        }
    }
}

impl Plan {
    /// Renders the page or list at a path; `None` if there is none.
    pub(crate) fn page(&self, path: &str) -> Option<Result<Drawn, Problem>> {
        self.nodes.nodes.get(path).map(|node| self.draw(node))
    }

    /// Renders the page for paths that are not there.
    pub(crate) fn not_found(&self) -> Result<Drawn, Problem> {
        self.draw(&self.nodes.lost)
    }

    fn draw(&self, node: &Node) -> Result<Drawn, Problem> {
        let page = node.page.as_deref();
        let text = page.map(|page| {
            let resolve = |link: &str| self.links.resolve(page, link);
            markdown::render(&page.body, page.front.title.is_none(), resolve)
        });
        let text = text.unwrap_or_default();
        let default = match (&*node.path, page) {
            (NOT_FOUND, _) => "404.html",
            (_, None) => "list.html",
            (_, Some(_)) => "page.html",
        };
        let named = page.and_then(|page| Some((page, page.front.template.as_ref()?)));
        let template = match named {
            None => default.to_owned(),
            Some((page, named)) => self.theme.find(&named.text).ok_or_else(|| {
                let what = What::MissingTemplate(named.text.clone());
                Problem::new(&page.name, named.line, what)
            })?,
        };
        let updated = page.and_then(|page| page.front.updated);
        let nodes = &self.nodes;
        let given = context! {
            content => Value::from_safe_string(text.html),
            toc => page.map(|_| Value::from(Serde(&text.toc))),
            children => nodes.children(&node.path).map(summary).collect::<Value>(),
            trail => nodes.trail(node),
            updated => updated.map(|date| date.to_string()),
            updated_text => updated.map(|date| date.long()),
            source => page.map(|page| page.name.clone()),
            ..summary(node)
        };
        let nav = nodes.nav(&self.config, &escape::percent(&node.path));
        let context = context! { page => given, nav, ..nodes.shared.clone() };
        let body = self.theme.render(&template, &context)?;
        let broken = page.map(|page| {
            let broken = text.broken.into_iter();
            broken.map(|(line, link)| {
                let what = What::BrokenLink(link);
                Problem::new(&page.name, page.body_line + line, what)
            })
        });
        Ok(Drawn {
            item: Item {
                path: node.path.clone(),
                media_type: media::HTML,
                rendered: true,
                modified: self.modified(),
                body,
            },
            warnings: broken.into_iter().flatten().collect(),
        })
    }
}

fn children(
    nodes: &BTreeMap<String, Node>,
    order: &BTreeMap<String, usize>,
) -> BTreeMap<String, Vec<String>> {
    let mut children: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, node) in nodes.iter().filter(|(path, _)| *path != "/") {
        let section = node.section().to_owned();
        children.entry(section).or_default().push(path.clone());
    }
    for paths in children.values_mut() {
        paths.sort_by_cached_key(|path| {
            let node = &nodes[path];
            let front = node.page.as_ref().map(|page| &page.front);
            let date = front.and_then(|front| front.date.or(front.updated));
            let weight = front.map_or(0, |front| front.weight);
            let title = node.title.to_lowercase();
            let mounted = node.page.as_ref().and_then(|page| order.get(&page.name));
            let place = mounted.copied().unwrap_or(usize::MAX);
            (place, weight, Reverse(date), title, path.clone())
        });
    }
    children
}

fn shared(
    config: &Config,
    title: &str,
    nodes: &BTreeMap<String, Node>,
    children: &BTreeMap<String, Vec<String>>,
) -> Value {
    let sections: BTreeMap<_, _> = children
        .iter()
        .filter_map(|(path, children)| {
            let node = nodes.get(path)?;
            let pages = children.iter().filter_map(|path| nodes.get(path));
            let pages = pages.map(summary).collect::<Value>();
            let url = escape::percent(path);
            let section = context! { title => node.title.clone(), url, pages };
            Some((path.clone(), section))
        })
        .collect();
    context! {
        site => context! {
            title,
            description => config.description.clone(),
            author => author::line(&config.authors),
            authors => Value::from(Serde(&config.authors)),
            base_url => config.base_url.clone(),
            language => config.language.as_deref().unwrap_or("en"),
            extra => known(&config.extra),
        },
        sections,
        generator => concat!("mir ", env!("CARGO_PKG_VERSION")),
    }
}

/// What lists say of a page.
fn summary(node: &Node) -> Value {
    let front = node.page.as_ref().map(|page| &page.front);
    let date = front.and_then(|front| front.date);
    context! {
        title => node.title.clone(),
        url => escape::percent(&node.path),
        description => front.and_then(|front| front.description.clone()),
        date => date.map(|date| date.to_string()),
        date_text => date.map(|date| date.long()),
        authors => front.map(|front| Value::from(Serde(&front.authors))),
        author => front.and_then(|front| author::line(&front.authors)),
        extra => front.map_or_else(|| context! {}, |front| known(&front.keys)),
    }
}

/// Keys that templates may ask for, also if there are none.
fn known(keys: &Value) -> Value {
    match keys.is_undefined() {
        true => context! {},
        false => keys.clone(),
    }
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
    fn titles_of_paths() {
        assert_eq!(words("/x/how-it_works"), "How it works");
        assert_eq!(words("/"), "");
    }
}
