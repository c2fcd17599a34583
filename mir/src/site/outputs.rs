//! Files that are made beside the pages: feeds, the site map, the index for searching.

use std::collections::BTreeMap;

use minijinja::{Value, context};

use super::feeds::{self, Feed};
use super::pages::join;
use super::plan::Plan;
use super::{Item, escape, search, theme};
use crate::media;
use crate::problem::Problem;

/// The most pages of a site map, by its standard.
const MOST: usize = 50_000;

/// A file that is made.
#[derive(Clone)]
pub(crate) enum Output {
    /// Text that is built in.
    Text(&'static str),
    Robots,
    Sitemap,
    Feed(Feed),
    Index,
}

impl Plan {
    /// All files that are to be made, by path, where the path is `free`.
    pub(crate) fn outputs(&self, free: impl Fn(&str) -> bool) -> BTreeMap<String, Output> {
        let what = self.config.generate;
        let has_base = self.config.base_url.is_some();
        let mut all = vec![text(theme::STYLE)];
        if what.search {
            all.push((search::INDEX.to_owned(), Output::Index));
            all.push(text(search::SCRIPT));
        }
        if what.robots {
            all.push(("/robots.txt".to_owned(), Output::Robots));
        }
        if what.sitemap && has_base {
            all.push(("/sitemap.xml".to_owned(), Output::Sitemap));
        }
        if what.feeds && has_base {
            all.extend(
                self.feeds()
                    .map(|feed| (feed.path.clone(), Output::Feed(feed))),
            );
        }
        all.retain(|(path, _)| {
            free(path) && !self.nodes.has(path) && www::pack::is_canonical(path)
        });
        all.into_iter().collect()
    }

    /// Whether there would be feeds if it were known where the site is.
    pub(crate) fn misses_base(&self) -> bool {
        self.config.generate.feeds && self.config.base_url.is_none() && !self.nodes.dated.is_empty()
    }

    fn feeds(&self) -> impl Iterator<Item = Feed> {
        let title = &self.title;
        let streams = self
            .nodes
            .streams
            .values()
            .filter(|stream| !stream.dated.is_empty());
        let streams = streams.flat_map(move |stream| {
            let node = self.nodes.get(&stream.path);
            let name = match node {
                Some(node) if stream.path != "/" => format!("{title}: {}", node.title),
                _ => title.clone(),
            };
            // A folder that has other names has them for its feed, too.
            let page = node.and_then(|node| node.page.as_ref());
            let page = page.filter(|page| page.index && page.path == stream.path);
            let others = page.into_iter().flat_map(|page| page.aliases());
            let places = [stream.path.clone()].into_iter().chain(others);
            places.map(move |place| {
                Feed::new(
                    &feeds::path(&place),
                    name.clone(),
                    &stream.path,
                    &stream.dated,
                )
            })
        });
        let all = ["/updates/atom.xml", "/feed.xml"].into_iter();
        let all = all
            .filter(|_| !self.nodes.dated.is_empty())
            .map(move |path| {
                let page = if self.nodes.has("/updates") {
                    "/updates"
                } else {
                    "/"
                };
                Feed::new(path, title.clone(), page, &self.nodes.dated)
            });
        streams.chain(all)
    }

    /// Makes the file at a path; `None` if there is none.
    pub(crate) fn output(&self, path: &str) -> Option<Result<Item, Problem>> {
        let output = self.outputs.get(path)?;
        let body = match output {
            Output::Text(text) => Ok(text.as_bytes().to_vec()),
            Output::Robots => self.theme.render("robots.txt", &self.map(&[])),
            Output::Sitemap => {
                let nodes = self.nodes.all().take(MOST);
                let pages: Vec<_> = nodes
                    .map(|node| {
                        let front = node.page.as_ref().map(|page| &page.front);
                        let date = front.and_then(|front| front.updated.or(front.date));
                        let url = self.absolute(&node.path);
                        context! { url, date => date.map(|date| date.to_string()) }
                    })
                    .collect();
                self.theme.render("sitemap.xml", &self.map(&pages))
            }
            Output::Feed(feed) => feed.render(self),
            Output::Index => Ok(search::index(self)),
        };
        let media_type = match output {
            Output::Feed(_) => media::of("feed.atom"),
            _ => media::of(path),
        };
        Some(body.map(|body| Item {
            path: path.to_owned(),
            media_type,
            rendered: !matches!(output, Output::Text(_)),
            modified: self.modified(),
            body,
        }))
    }

    fn absolute(&self, path: &str) -> String {
        let base = self.config.base_url.as_deref().unwrap_or_default();
        format!("{base}{}", escape::percent(path))
    }

    fn map(&self, pages: &[Value]) -> Value {
        let map = self.outputs.contains_key("/sitemap.xml");
        let sitemap = map.then(|| self.absolute("/sitemap.xml"));
        context! { pages, sitemap, ..self.shared.clone() }
    }
}

fn text((path, text): (&str, &'static str)) -> (String, Output) {
    (path.to_owned(), Output::Text(text))
}

/// A path below another, below a third instead.
pub(crate) fn moved(path: &str, from: &str, to: &str) -> Option<String> {
    let rest = path.strip_prefix(from)?.strip_prefix('/')?;
    Some(join(to, rest))
}
