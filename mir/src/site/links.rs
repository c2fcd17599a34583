//! Where the links of a page lead: names of sources and paths of the site become URLs.

use std::collections::BTreeMap;

use super::escape;
use super::markdown::Target;
use super::pages::Pages;

/// All that can be linked to.
pub(crate) struct Links {
    /// From the path of a source (`/blog/a.md`) or of what is served (`/blog/a`) to the URL.
    known: BTreeMap<String, String>,
}

impl Links {
    pub(crate) fn new<'a>(pages: &Pages, files: impl Iterator<Item = &'a str>) -> Self {
        let mut known = BTreeMap::new();
        for file in files {
            let path = format!("/{file}");
            known.insert(path.clone(), path);
        }
        for (path, source) in pages.paths() {
            if let Some(source) = source {
                known.insert(format!("/{source}"), path.to_owned());
            }
            known.insert(path.to_owned(), path.to_owned());
        }
        known.insert(
            super::theme::STYLE.0.to_owned(),
            super::theme::STYLE.0.to_owned(),
        );
        Self { known }
    }

    /// Resolves a link as written in a file of `folder` (`/blog`, or `/` for the root). Relative
    /// links are relative to the file, not to the page's URL, so that they work for readers of
    /// the source too.
    pub(crate) fn resolve(&self, folder: &str, link: &str) -> Target {
        if link.is_empty() || link.starts_with(['#', '?']) || is_elsewhere(link) {
            return Target::Keep;
        }
        let cut = link.find(['?', '#']).unwrap_or(link.len());
        let (path, rest) = link.split_at(cut);
        let absolute = match escape::unpercent(path) {
            Some(path) if path.starts_with('/') => normal(&path),
            Some(path) => normal(&format!("{folder}/{path}")),
            None => None,
        };
        let Some(absolute) = absolute else {
            return Target::Broken(link.to_owned());
        };
        match self.known.get(&absolute) {
            Some(url) => Target::Url(format!("{}{rest}", escape::percent(url))),
            None => Target::Broken(format!("{}{rest}", escape::percent(&absolute))),
        }
    }
}

/// Whether the link names a scheme or a host.
fn is_elsewhere(link: &str) -> bool {
    if link.starts_with("//") {
        return true;
    }
    let scheme = link.split([':', '/', '?', '#']).next().unwrap_or_default();
    link[scheme.len()..].starts_with(':')
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// The path without `.`, `..`, empty parts and a slash at the end; `None` if it leads above the
/// root.
fn normal(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            other => parts.push(other),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        let known = [
            ("/", "/"),
            ("/index.md", "/"),
            ("/blog", "/blog"),
            ("/blog/a b.md", "/blog/a b"),
            ("/blog/a b", "/blog/a b"),
            ("/img/x.png", "/img/x.png"),
        ];
        let known = known.map(|(from, to)| (from.to_owned(), to.to_owned()));
        Links {
            known: known.into(),
        }
    }

    #[test]
    fn links_resolve() {
        for (folder, link, url) in [
            ("/blog", "a%20b.md#x", "/blog/a%20b#x"),
            ("/blog", "./a b", "/blog/a%20b"),
            ("/blog", "../index.md", "/"),
            ("/blog", "..", "/"),
            ("/", "blog/?q", "/blog?q"),
            ("/blog/deep", "../../img/x.png", "/img/x.png"),
            ("/blog", "/blog/", "/blog"),
        ] {
            assert_eq!(
                links().resolve(folder, link),
                Target::Url(url.into()),
                "{link}"
            );
        }
    }

    #[test]
    fn others_stay() {
        for link in [
            "",
            "#x",
            "?q",
            "https://a/b.md",
            "//a/b",
            "mailto:a@b",
            "tel:1",
        ] {
            assert_eq!(links().resolve("/blog", link), Target::Keep, "{link}");
        }
    }

    #[test]
    fn nowhere_is_said() {
        for (link, url) in [
            ("c.md", "/blog/c.md"),
            ("/c#d", "/c#d"),
            ("../../x", "../../x"),
            ("%ff", "%ff"),
            ("a/b:c", "/blog/a/b:c"),
        ] {
            assert_eq!(
                links().resolve("/blog", link),
                Target::Broken(url.into()),
                "{link}"
            );
        }
    }
}
