//! Paths that lead to others: aliases of pages, the rules of `site.toml`, links to elsewhere, and
//! slashes at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::claims::Claims;
use super::config::{self, Config};
use super::linked::Linked;
use super::outputs::moved;
use super::pages::Pages;
use super::plan::Plan;
use super::{Redirect, escape};
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
    /// Where a path leads, if that is elsewhere. A page has one address: with a slash behind it, the same
    /// words lead there.
    pub(crate) fn redirect(&self, path: &str) -> Option<Redirect> {
        if let Some(redirect) = self.redirects.get(path) {
            return Some(redirect.clone());
        }
        let page = path.strip_suffix('/').filter(|page| *page != "/")?;
        if self.claims.has(path) || page.is_empty() || !www::pack::is_canonical(path) {
            return None;
        }
        match self.redirects.get(page) {
            Some(redirect) => Some(Redirect {
                from: path.to_owned(),
                ..redirect.clone()
            }),
            None => self.nodes.has(page).then(|| to(path.to_owned(), page)),
        }
    }

    /// All paths that lead elsewhere.
    pub(crate) fn all_redirects(&self) -> Vec<Redirect> {
        let written = self.redirects.keys().map(String::as_str);
        let whole = written.clone().chain(self.nodes.paths());
        let slashed = whole
            .filter(|path| !path.ends_with('/'))
            .map(|path| format!("{path}/"));
        let all: BTreeSet<_> = slashed.chain(written.map(str::to_owned)).collect();
        all.iter().filter_map(|path| self.redirect(path)).collect()
    }

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

    /// Looks where the rules of `site.toml` lead, and its bar of links.
    pub(crate) fn check_redirects(&mut self) {
        let broken =
            |line, link: &str| Problem::new(config::FILE, line, What::BrokenLink(link.to_owned()));
        let mut warnings = Vec::new();
        for (line, redirect) in &self.config.redirects {
            match self.end(&redirect.to) {
                End::Somewhere => {}
                End::Nowhere => warnings.push(broken(*line, &redirect.to)),
                End::Round => {
                    let why = format!("`{}` leads back to itself", redirect.from);
                    self.problems
                        .push(Problem::new(config::FILE, *line, What::Config(why)));
                }
            }
        }
        for item in self.config.nav.iter().flatten() {
            if matches!(self.end(&item.url), End::Nowhere) {
                warnings.push(broken(item.line, &item.url));
            }
        }
        self.warnings.append(&mut warnings);
    }

    /// Where somebody ends who is sent to `to`.
    fn end(&self, to: &str) -> End {
        let mut to = to.to_owned();
        let mut seen = BTreeSet::new();
        while to.starts_with('/') && !to.starts_with("//") {
            let path = to.split(['?', '#']).next().unwrap_or_default();
            let path = escape::unpercent(path).unwrap_or_default();
            match self.redirect(&path) {
                Some(_) if !seen.insert(path.clone()) => return End::Round,
                Some(next) => to = next.to,
                None if self.links.has(&path) => return End::Somewhere,
                None => return End::Nowhere,
            }
        }
        End::Somewhere
    }
}

enum End {
    Somewhere,
    Nowhere,
    Round,
}
