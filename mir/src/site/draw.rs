//! What the templates are given, and each page by itself.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Value, context};

use super::assets::Assets;
use super::author;
use super::config::Config;
use super::escape;
use super::markdown::{self, Anchor, Reader, Surroundings, Target};
use super::nodes::{Kind, Node, Nodes};
use super::pages::{Page, join};
use super::plan::Plan;
use super::{Item, feeds, search, size, streams};
use crate::media;
use crate::problem::{Problem, What};

/// A page, rendered.
pub(crate) struct Drawn {
    pub(crate) item: Item,
    /// Its links that lead nowhere, and whether that is an error.
    pub(crate) broken: Vec<(Problem, bool)>,
    /// Its links to places that may be there.
    pub(crate) anchors: Vec<(Problem, Anchor)>,
}

/// What is around a page.
struct Around<'a>(&'a Plan, &'a Page);

impl Surroundings for Around<'_> {
    fn resolve(&self, link: &str) -> Target {
        self.0.links.resolve(self.1, link)
    }

    fn size(&self, url: &str) -> Option<(u32, u32)> {
        let path = url.split(['?', '#']).next()?;
        let file = self.0.files.get(&escape::unpercent(path)?)?;
        size::of(&self.0.scan.files[*file])
    }
}

impl Drawn {
    /// The links to places that are not there, if `has` tells of other pages whether they have one.
    pub(crate) fn missing_places(&self, has_place: impl Fn(&str, &str) -> bool) -> Vec<Problem> {
        let missing =
            self.anchors
                .iter()
                .filter(|(_, anchor)| match anchor.path == self.item.path {
                    true => !has(&self.item.body, &anchor.id),
                    false => !has_place(&anchor.path, &anchor.id),
                });
        missing.map(|(problem, _)| problem.clone()).collect()
    }
}

/// Whether a page has a place of this name.
pub(crate) fn has(html: &[u8], id: &str) -> bool {
    let html = String::from_utf8_lossy(html);
    let id = escape::html(id);
    let names = ["id", "name"].into_iter();
    names
        .flat_map(|name| markdown::attributes(&html, name))
        .any(|found| found == id)
}

impl Plan {
    /// Renders the page or list at a path; `None` if there is none.
    pub(crate) fn page(&self, path: &str) -> Option<Result<Drawn, Problem>> {
        self.nodes.get(path).map(|node| self.draw(node))
    }

    /// Renders the page for paths that are not there.
    pub(crate) fn not_found(&self) -> Result<Drawn, Problem> {
        self.draw(&self.nodes.lost)
    }

    /// The text of a page, for somebody who reads it.
    pub(crate) fn text(&self, page: &Page, reader: Reader) -> markdown::Rendered {
        let around = Around(self, page);
        markdown::render(
            &page.body,
            &page.outline,
            self.config.markdown,
            reader,
            &around,
        )
    }

    fn draw(&self, node: &Node) -> Result<Drawn, Problem> {
        let page = node.page.as_deref();
        let text = page
            .map(|page| self.text(page, Reader::Page))
            .unwrap_or_default();
        let (kind, template) = node.kind.name();
        let named = page.and_then(|page| Some((page, page.front.template.as_ref()?)));
        let template = match named {
            None => template.to_owned(),
            Some((page, named)) => self.theme.find(&named.text).ok_or_else(|| {
                let what = What::MissingTemplate(named.text.clone());
                Problem::new(&page.name, named.line, what)
            })?,
        };
        let nodes = &self.nodes;
        let (previous, next) = nodes.neighbours(&node.path);
        let extra = match node.kind {
            Kind::Links => Value::from(Serde(&self.linked)),
            Kind::Search => search::parts(nodes),
            _ => ().into(),
        };
        let given = context! {
            kind,
            content => Value::from_safe_string(text.html),
            toc => page.map(|page| Value::from(Serde(&page.outline.headings))),
            children => nodes.children(node).map(|node| self.listed(node)).collect::<Value>(),
            trail => nodes.trail(node).into_iter().map(link).collect::<Value>(),
            previous => previous.map(link),
            next => next.map(link),
            feed => self.feed_of(node),
            source => page.map(|page| page.name.clone()),
            links => extra,
            ..self.summary(node)
        };
        let url = escape::percent(&node.path);
        let nav = nav(nodes, &self.config, &url);
        let context = context! { page => given, nav, ..self.shared.clone() };
        let body = self.theme.render(&template, &context)?;
        let (mut broken, mut anchors) = (Vec::new(), Vec::new());
        if let Some(page) = page {
            let problem = |line, what| Problem::new(&page.name, page.body_line + line, what);
            for found in text.broken {
                let what = What::BrokenLink(found.link);
                broken.push((problem(found.line, what), found.error));
            }
            for anchor in text.anchors {
                let what = What::NoPlace(anchor.link.clone());
                anchors.push((problem(anchor.line, what), anchor));
            }
        }
        Ok(Drawn {
            item: Item {
                path: node.path.clone(),
                media_type: media::HTML,
                rendered: true,
                modified: self.modified(),
                body,
            },
            broken,
            anchors,
        })
    }

    /// The feed that a page belongs to.
    fn feed_of(&self, node: &Node) -> Option<String> {
        let stream = match (&node.page, node.kind) {
            (_, Kind::Tags | Kind::Tag | Kind::Year) => node.path.split('/').nth(1),
            (Some(page), _) => streams::of(page).get(1..),
            _ => node.path.split('/').nth(1),
        };
        let own = feeds::path(&join("/", stream?.trim_matches('/')));
        let all = feeds::path("/updates");
        let mut feeds = [own, all].into_iter();
        feeds
            .find(|path| self.outputs.contains_key(path))
            .map(|path| escape::percent(&path))
    }

    /// What lists say of a page.
    fn listed(&self, node: &Node) -> Value {
        context! { title => &node.short, ..self.summary(node) }
    }

    /// What there is to say of a page without its text.
    fn summary(&self, node: &Node) -> Value {
        let front = node.page.as_ref().map(|page| &page.front);
        let date = front.and_then(|front| front.date);
        let updated = front.and_then(|front| front.updated);
        let tags = node.page.iter().flat_map(|page| {
            let base = join(streams::of(page), "tags");
            page.front.tags.iter().map(move |tag| {
                let path = join(&base, &streams::slug(tag));
                let url = self.nodes.has(&path).then(|| escape::percent(&path));
                context! { title => tag, url }
            })
        });
        context! {
            title => &node.title,
            path => &node.path,
            url => escape::percent(&node.path),
            description => front.and_then(|front| front.description.as_ref()),
            date => date.map(|date| date.to_string()),
            date_text => date.map(|date| date.long()),
            updated => updated.map(|date| date.to_string()),
            updated_text => updated.map(|date| date.long()),
            authors => front.map(|front| Value::from(Serde(&front.authors))),
            author => front.and_then(|front| author::line(&front.authors)),
            tags => tags.collect::<Value>(),
            extra => front.map_or_else(|| context! {}, |front| known(&front.keys)),
        }
    }

    /// What all pages are given alike.
    pub(crate) fn share(&mut self) {
        let sections: BTreeMap<_, _> = self
            .nodes
            .sections()
            .map(|(node, children)| {
                let pages = children.map(|node| self.listed(node)).collect::<Value>();
                let listed = |kind| {
                    let all = self.nodes.all();
                    let own = all.filter(|made| made.kind == kind && made.follows_from(&node.path));
                    own.map(|made| {
                        let count = self.nodes.children(made).count();
                        context! { count, ..link(made) }
                    })
                    .collect::<Value>()
                };
                let is_stream = self.nodes.streams.contains_key(&node.path);
                let (tags, years) = match is_stream {
                    true => (listed(Kind::Tag), listed(Kind::Year)),
                    false => Default::default(),
                };
                let feed = feeds::path(&node.path);
                let feed = self
                    .outputs
                    .contains_key(&feed)
                    .then(|| escape::percent(&feed));
                let section = context! { pages, tags, years, feed, ..link(node) };
                (node.path.clone(), section)
            })
            .collect();
        let config = &self.config;
        let there = |path: &'static str| self.nodes.has(path).then_some(path);
        self.shared = context! {
            site => context! {
                title => &self.title,
                description => &config.description,
                author => author::line(&config.authors),
                authors => Value::from(Serde(&config.authors)),
                base_url => &config.base_url,
                language => config.language.as_deref().unwrap_or("en"),
                icon => icon(&self.files),
                search => there("/search"),
                updates => there("/updates"),
                links => there("/links"),
                feed => self.outputs.contains_key("/feed.xml").then_some("/feed.xml"),
                extra => known(&config.extra),
            },
            sections,
            asset => Assets::function(&self.assets),
            generator => concat!("mir ", env!("CARGO_PKG_VERSION")),
        };
    }
}

/// The picture of the site, if it has one under a usual name.
fn icon(files: &BTreeMap<String, usize>) -> Option<&'static str> {
    let names = ["/favicon.svg", "/favicon.png", "/favicon.ico"];
    names.into_iter().find(|name| files.contains_key(*name))
}

fn link(node: &Node) -> Value {
    context! { title => &node.short, path => &node.path, url => escape::percent(&node.path) }
}

/// Keys that templates may ask for, also if there are none.
fn known(keys: &Value) -> Value {
    match keys.is_undefined() {
        true => context! {},
        false => keys.clone(),
    }
}

/// The bar of links: what `site.toml` says, or what stands at the top of the site.
fn nav(nodes: &Nodes, config: &Config, url: &str) -> Value {
    let link = |title: &str, to: &str| {
        let inside = to != "/"
            && url
                .strip_prefix(to)
                .is_some_and(|rest| rest.starts_with('/'));
        context! { title, url => to, current => url == to, within => inside }
    };
    match (&config.nav, nodes.get("/")) {
        (Some(items), _) => items
            .iter()
            .map(|item| link(&item.title, &item.url))
            .collect(),
        (None, Some(front)) => nodes
            .children(front)
            .map(|node| link(&node.title, &escape::percent(&node.path)))
            .collect(),
        (None, None) => ().into(),
    }
}
