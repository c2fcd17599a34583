//! Paths that lead to others: aliases of pages, the rules of `site.toml`, and links to elsewhere.
//! Servers themselves have other spellings of a path lead to it.

use std::collections::{BTreeMap, BTreeSet};

use super::claims::Claims;
use super::config::{self, Config};
use super::linked::Linked;
use super::outputs::moved;
use super::pages::{NOT_FOUND, Pages};
use super::plan::Plan;
use super::{Redirect, escape};
use crate::pack::{self, HeaderRule};
use crate::problem::{Problem, What};

/// Those that somebody wrote down.
pub(crate) fn written(
    pages: &Pages,
    config: &Config,
    linked: &[Linked],
    claims: &mut Claims,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Redirect> {
    let mut all = BTreeMap::new();
    let mut add = |redirect: Redirect, file: &str, line| {
        let known = claims.has(&redirect.from);
        claims.claim(&redirect.from, file, Some(line), problems);
        if !known {
            all.insert(redirect.from.clone(), redirect);
        }
    };
    for page in &pages.pages {
        for (from, alias) in page.aliases().zip(&page.front.aliases) {
            add(to(from, &page.path), &page.name, alias.line);
        }
    }
    for (line, redirect) in &config.redirects {
        add(redirect.clone(), config::FILE, *line);
    }
    for link in linked {
        add(link.redirect(), &link.file, link.line);
    }
    all
}

/// A path that leads to another of the site for good.
fn to(from: String, path: &str) -> Redirect {
    Redirect {
        from,
        to: escape::percent(path),
        status: 301,
    }
}

impl Plan {
    /// The other names of a folder are those of what is in it, too.
    pub(crate) fn redirect_folders(&mut self) {
        let mut more = BTreeMap::new();
        let indexes = self.pages.pages.iter().filter(|page| page.index);
        for page in indexes {
            for alias in page.aliases() {
                let nodes = self.nodes.paths();
                let others = self.files.keys().chain(self.outputs.keys());
                for path in nodes.chain(others.map(String::as_str)) {
                    let Some(from) = moved(path, &page.path, &alias) else {
                        continue;
                    };
                    let taken = self.claims.has(&from)
                        || self.nodes.has(&from)
                        || self.outputs.contains_key(&from);
                    if !taken && www::pack::is_canonical(&from) {
                        more.entry(from.clone()).or_insert_with(|| to(from, path));
                    }
                }
            }
        }
        for (from, redirect) in more {
            self.redirects.entry(from).or_insert(redirect);
        }
    }

    /// Looks where the rules of `site.toml` lead and what they are about, and its bar of links.
    pub(crate) fn check_rules(&mut self) {
        let broken =
            |line, link: &str| Problem::new(config::FILE, line, What::BrokenLink(link.to_owned()));
        let mut warnings = Vec::new();
        for (line, redirect) in &self.config.redirects {
            match self.end(&redirect.from, &redirect.to) {
                End::Somewhere => {}
                End::Nowhere => warnings.push(broken(*line, &redirect.to)),
                End::Round(way) => {
                    let why = format!("a redirect in a circle: {way}");
                    self.problems
                        .push(Problem::new(config::FILE, *line, What::Config(why)));
                }
            }
        }
        for item in self.config.nav.iter().flatten() {
            if matches!(self.end("", &item.url), End::Nowhere) {
                warnings.push(broken(item.line, &item.url));
            }
        }
        for (line, rule) in &self.config.headers {
            if !self.answers(rule) {
                let why = format!("no path of the site is {}", rule.path);
                warnings.push(Problem::new(config::FILE, *line, What::NoEffect(why)));
            }
        }
        self.warnings.append(&mut warnings);
    }

    /// Whether there is anything that a rule for header fields is about.
    fn answers(&self, rule: &HeaderRule) -> bool {
        let files = self.files.keys().chain(self.outputs.keys());
        // Templates may ask for names with a hash, which is not known yet.
        let hashed = files.clone().map(|path| pack::hashed(path, &[]));
        let mut paths = files.chain(self.redirects.keys()).map(String::as_str);
        rule.matches(NOT_FOUND)
            || self.nodes.paths().any(|path| rule.matches(path))
            || paths.any(|path| rule.matches(path))
            || hashed.into_iter().any(|path| rule.matches(&path))
    }

    /// Where somebody ends who asks for `from` and is sent to `to`.
    fn end(&self, from: &str, to: &str) -> End {
        let mut way = from.to_owned();
        let mut to = to.to_owned();
        let mut seen = BTreeSet::new();
        while to.starts_with('/') && !to.starts_with("//") {
            let path = to.split(['?', '#']).next().unwrap_or_default();
            let Some(path) = escape::unpercent(path).and_then(|path| self.spelled(path)) else {
                return End::Nowhere;
            };
            let Some(next) = self.redirects.get(&path) else {
                return End::Somewhere;
            };
            way = format!("{way} → {path}");
            if path == from {
                return End::Round(way);
            }
            to.clone_from(&next.to);
            if !seen.insert(path) {
                // Into a circle that others make.
                return End::Somewhere;
            }
        }
        End::Somewhere
    }

    /// The path that answers for this one: itself, or the one to which servers have it lead.
    fn spelled(&self, path: String) -> Option<String> {
        let there = |path: &String| self.links.has(path);
        if there(&path) {
            return Some(path);
        }
        let address = www::http::page_address(path.as_bytes());
        let address = address.and_then(|address| str::from_utf8(address).ok());
        let index = format!("{}/index.html", path.trim_end_matches('/'));
        let others = address.map(str::to_owned).into_iter().chain([index]);
        others.into_iter().find(there)
    }
}

enum End {
    Somewhere,
    Nowhere,
    /// Back where it began, by this way.
    Round(String),
}
