//! The tree of pages and lists: those that were written, and those that follow from them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config::Config;
use super::pages::{NOT_FOUND, Page, Pages, join, parent};
use super::streams::{self, Stream, Tag};
use crate::site::config::Generate;

/// All pages and lists of a site.
#[derive(Default)]
pub(crate) struct Nodes {
    nodes: BTreeMap<String, Node>,
    /// Which pages are in which folder, in the order in which they are listed: as mounts say, by
    /// weight, then the newest first, then those without a date by title.
    children: BTreeMap<String, Vec<String>>,
    /// The folders at the top.
    pub(crate) streams: BTreeMap<String, Stream>,
    /// All pages that have a date, the newest first.
    pub(crate) dated: Vec<Arc<Page>>,
    /// What comes before a page, and what after it.
    neighbours: BTreeMap<String, (Option<String>, Option<String>)>,
    /// The page for paths that are not there.
    pub(crate) lost: Node,
}

/// A page, or a list that stands in for one.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) path: String,
    pub(crate) title: String,
    /// What it is called among others of its kind: `rust` for `Blog: rust`.
    pub(crate) short: String,
    pub(crate) kind: Kind,
    pub(crate) page: Option<Arc<Page>>,
    /// The folder whose list it is in.
    pub(crate) section: String,
    /// What it lists, if that is not what is in its folder.
    listed: Vec<String>,
}

/// What a node is there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To be read.
    #[default]
    Page,
    /// To list a folder.
    List,
    /// To list all tags of a stream.
    Tags,
    /// To list the pages with a tag.
    Tag,
    /// To list the pages of a year.
    Year,
    /// To list all pages that have a date.
    Updates,
    /// To list links to elsewhere.
    Links,
    /// To find pages.
    Search,
    /// To say that there is none.
    Lost,
}

impl Node {
    /// Whether it follows from the pages of this folder.
    pub(crate) fn follows_from(&self, folder: &str) -> bool {
        self.section == folder || self.section == join(folder, "tags")
    }
}

impl Kind {
    /// What templates call it, and what its template is called.
    pub(crate) fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Page => ("page", "page.html"),
            Self::List => ("list", "list.html"),
            Self::Tags => ("tags", "list.html"),
            Self::Tag => ("tag", "list.html"),
            Self::Year => ("year", "list.html"),
            Self::Updates => ("updates", "list.html"),
            Self::Links => ("links", "links.html"),
            Self::Search => ("search", "search.html"),
            Self::Lost => ("lost", "404.html"),
        }
    }
}

impl Nodes {
    /// The nodes of a site with this title. Those that follow from others come where a path is
    /// `free`.
    pub(crate) fn new(
        pages: &Pages,
        config: &Config,
        order: &BTreeMap<String, usize>,
        title: &str,
        has_links: bool,
        free: impl Fn(&str) -> bool,
    ) -> Self {
        let named = |page: &Page| {
            page.title
                .clone()
                .unwrap_or_else(|| called(&page.path, title))
        };
        let written = |page: &Arc<Page>, kind| Node {
            path: page.path.clone(),
            title: named(page),
            short: named(page),
            kind,
            section: page.section.clone(),
            page: Some(page.clone()),
            listed: Vec::new(),
        };
        let mut out = Self::default();
        for page in &pages.pages {
            out.nodes
                .insert(page.path.clone(), written(page, Kind::Page));
        }
        for path in &pages.sections {
            out.nodes.entry(path.clone()).or_insert_with(|| Node {
                path: path.clone(),
                title: called(path, title),
                short: called(path, title),
                kind: Kind::List,
                section: parent(path).to_owned(),
                ..Node::default()
            });
        }
        out.lost = match &pages.not_found {
            Some(page) => written(page, Kind::Lost),
            None => Node {
                path: NOT_FOUND.to_owned(),
                title: "Page not found".to_owned(),
                short: "Page not found".to_owned(),
                kind: Kind::Lost,
                section: "/".to_owned(),
                ..Node::default()
            },
        };
        out.children = children(&out.nodes, order);
        out.streams = Stream::all(pages);
        out.dated = pages
            .pages
            .iter()
            .filter(|page| is_dated(page))
            .cloned()
            .collect();
        streams::newest_first(&mut out.dated);
        out.neighbours = neighbours(&out);
        out.follow(config.generate, has_links, free);
        out
    }

    /// Adds what follows from the pages that were written.
    fn follow(&mut self, what: Generate, has_links: bool, free: impl Fn(&str) -> bool) {
        let paths = |pages: &[Arc<Page>]| pages.iter().map(|page| page.path.clone()).collect();
        let mut made = Vec::new();
        for (stream, all) in &self.streams {
            let mut add = |path: &str, short: &str, kind, section: &str, listed: Vec<String>| {
                let title = match &**stream {
                    "/" => short.to_owned(),
                    path => format!("{}: {short}", self.title(path)),
                };
                let short = short.to_owned();
                made.push(node(path, (title, short), kind, section, listed));
            };
            let base = join(stream, "tags");
            if what.tags && !all.tags.is_empty() {
                let listed = all.tags.keys().map(|slug| join(&base, slug)).collect();
                add(&base, "tags", Kind::Tags, stream, listed);
                for (slug, Tag { name, pages }) in &all.tags {
                    add(&join(&base, slug), name, Kind::Tag, &base, paths(pages));
                }
            }
            for (year, pages) in all.years() {
                if what.years && all.is_dated() {
                    let year = year.to_string();
                    add(
                        &join(stream, &year),
                        &year,
                        Kind::Year,
                        stream,
                        paths(&pages),
                    );
                }
            }
        }
        let dated = paths(&self.dated);
        let updates = what.updates && !self.dated.is_empty();
        for (path, title, kind, wanted, listed) in [
            ("/updates", "Updates", Kind::Updates, updates, dated),
            ("/links", "Links", Kind::Links, has_links, Vec::new()),
            ("/search", "Search", Kind::Search, what.search, Vec::new()),
        ] {
            if wanted {
                let titles = (title.to_owned(), title.to_owned());
                made.push(node(path, titles, kind, "/", listed));
            }
        }
        for node in made {
            match self.nodes.get_mut(&node.path) {
                // A page of this name says something above the list.
                Some(written)
                    if written.page.is_some() && !self.children.contains_key(&node.path) =>
                {
                    written.kind = node.kind;
                    written.listed = node.listed;
                }
                None if free(&node.path) && www::pack::is_canonical(&node.path) => {
                    self.nodes.insert(node.path.clone(), node);
                }
                _ => {}
            }
        }
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Whether there is a page or a list at this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.nodes.contains_key(path)
    }

    /// All paths of pages and lists.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// All pages and lists.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// What a node lists.
    pub(crate) fn children(&self, node: &Node) -> impl Iterator<Item = &Node> {
        let paths = match node.listed.is_empty() {
            true => self.children.get(&node.path).map(Vec::as_slice),
            false => None,
        };
        let paths = paths.into_iter().flatten().chain(&node.listed);
        paths
            .filter_map(|path| self.nodes.get(path))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The folders that have something in them, and that.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (&Node, impl Iterator<Item = &Node>)> {
        self.children.iter().filter_map(|(path, children)| {
            let children = children.iter().filter_map(|path| self.nodes.get(path));
            Some((self.nodes.get(path)?, children))
        })
    }

    /// What comes before a page, and what after it.
    pub(crate) fn neighbours(&self, path: &str) -> (Option<&Node>, Option<&Node>) {
        let Some((before, after)) = self.neighbours.get(path) else {
            return (None, None);
        };
        let node = |path: &Option<String>| self.nodes.get(path.as_ref()?);
        (node(before), node(after))
    }

    /// The folders above a page, from the top.
    pub(crate) fn trail(&self, node: &Node) -> Vec<&Node> {
        let mut above = Vec::new();
        let mut at = node.section.as_str();
        while at != "/" {
            above.extend(self.nodes.get(at));
            at = parent(at);
        }
        above.reverse();
        above
    }

    fn title(&self, path: &str) -> &str {
        self.nodes.get(path).map_or("", |node| &node.title)
    }
}

fn node(
    path: &str,
    (title, short): (String, String),
    kind: Kind,
    section: &str,
    listed: Vec<String>,
) -> Node {
    Node {
        path: path.to_owned(),
        title,
        short,
        kind,
        page: None,
        section: section.to_owned(),
        listed,
    }
}

fn is_dated(page: &Page) -> bool {
    page.front.date.is_some() && page.path != "/"
}

fn children(
    nodes: &BTreeMap<String, Node>,
    order: &BTreeMap<String, usize>,
) -> BTreeMap<String, Vec<String>> {
    let mut children: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let listed = |(path, node): &(&String, &Node)| *path != "/" && **path != node.section;
    for (path, node) in nodes.iter().filter(listed) {
        children
            .entry(node.section.clone())
            .or_default()
            .push(path.clone());
    }
    for paths in children.values_mut() {
        paths.sort_by_cached_key(|path| {
            let node = &nodes[path];
            let front = node.page.as_ref().map(|page| &page.front);
            let date = front.and_then(|front| front.date);
            let weight = front.map_or(0, |front| front.weight);
            let mounted = node.page.as_ref().and_then(|page| order.get(&page.name));
            let place = mounted.copied().unwrap_or(usize::MAX);
            (
                place,
                weight,
                Reverse(date),
                node.title.to_lowercase(),
                path.clone(),
            )
        });
    }
    children
}

/// A diary is read by date, and anything else from the top of the list to its end, with what is
/// in a folder behind the folder.
fn neighbours(nodes: &Nodes) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let mut all = BTreeMap::new();
    for (path, stream) in nodes.streams.iter().filter(|(path, _)| *path != "/") {
        let row: Vec<_> = match stream.is_dated() {
            true => stream
                .dated
                .iter()
                .rev()
                .map(|page| page.path.clone())
                .collect(),
            false => in_order(nodes, path),
        };
        for (at, path) in row.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| row.get(at));
            let after = row.get(at + 1);
            all.insert(path.clone(), (before.cloned(), after.cloned()));
        }
    }
    all
}

fn in_order(nodes: &Nodes, top: &str) -> Vec<String> {
    let mut row = Vec::new();
    // Addresses of the authors' choice may lead around in a circle.
    let mut seen = BTreeSet::new();
    let mut left = vec![top];
    while let Some(path) = left.pop() {
        if !seen.insert(path) {
            continue;
        }
        if nodes
            .nodes
            .get(path)
            .is_some_and(|node| node.page.is_some())
        {
            row.push(path.to_owned());
        }
        let below = nodes.children.get(path).into_iter().flatten();
        left.extend(below.rev().map(String::as_str));
    }
    row
}

/// What a page without a title is called.
fn called(path: &str, title: &str) -> String {
    match path {
        "/" => title.to_owned(),
        path => words(path),
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
