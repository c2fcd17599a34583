//! Where the links of a page lead: names of sources and paths of the site become URLs.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::config::Mount;
use super::escape;
use super::markdown::Target;
use super::pages::{Page, Pages};
use super::scan::Scan;

/// All that can be linked to.
#[derive(Default)]
pub(crate) struct Links {
    /// From the path of a source (`/blog/a.md`) or of what is served (`/blog/a`) to the path that
    /// is served.
    known: BTreeMap<String, String>,
    /// From a source as the operating system knows it to the same; if folders are mounted, since
    /// then links may lead from one to the other.
    sources: BTreeMap<PathBuf, String>,
    mounts: Vec<Mount>,
}

impl Links {
    pub(crate) fn new(pages: &Pages, scan: &Scan, mounts: &[Mount]) -> Self {
        let mut links = Self {
            mounts: mounts.to_vec(),
            ..Self::default()
        };
        for file in &scan.files {
            let path = format!("/{}", file.rel);
            links.known.insert(path.clone(), path.clone());
            links.source(&file.path, &path);
        }
        for page in &pages.pages {
            links
                .known
                .insert(format!("/{}", page.rel), page.path.clone());
            links.source(&page.file, &page.path);
        }
        for path in pages.paths() {
            links.known.insert(path.to_owned(), path.to_owned());
        }
        links.add(super::theme::STYLE.0);
        links
    }

    /// Takes note of a path that is served.
    pub(crate) fn add(&mut self, path: &str) {
        self.known.insert(path.to_owned(), path.to_owned());
    }

    fn source(&mut self, file: &Path, path: &str) {
        if !self.mounts.is_empty() {
            self.sources.insert(file.to_owned(), path.to_owned());
        }
    }

    /// Resolves a link as written in a page. Relative links are relative to the file, not to the
    /// page's URL, so that they work for readers of the source too.
    pub(crate) fn resolve(&self, page: &Page, link: &str) -> Target {
        if link.is_empty() || link.starts_with(['#', '?']) || is_elsewhere(link) {
            return Target::Keep;
        }
        let cut = link.find(['?', '#']).unwrap_or(link.len());
        let (path, rest) = link.split_at(cut);
        let Some(path) = escape::unpercent(path) else {
            return Target::Broken(link.to_owned());
        };
        let url = |path: &str| format!("{}{rest}", escape::percent(path));
        let absolute = match path.starts_with('/') {
            true => normal(&path),
            false => normal(&format!("{}/{path}", page.folder)),
        };
        let mount = self
            .mounts
            .iter()
            .find(|mount| is_below(&page.name, &mount.from));
        let mount = mount.filter(|_| !path.starts_with('/'));
        let leaves = mount.filter(|mount| {
            let inside = |path: &String| *path == mount.to || is_below(path, &mount.to);
            !absolute.as_ref().is_some_and(inside)
        });
        let known = match (&absolute, leaves) {
            (Some(absolute), None) => self.known.get(absolute),
            _ => None,
        };
        if let Some(to) = known.or_else(|| self.by_source(page, &path)) {
            return Target::Url(url(to));
        }
        match (leaves, absolute) {
            (Some(mount), _) => match outside(mount, page, &path) {
                Some(base) => Target::Url(format!("{base}{rest}")),
                None => Target::Broken(link.to_owned()),
            },
            (None, Some(absolute)) => Target::Broken(url(&absolute)),
            (None, None) => Target::Broken(link.to_owned()),
        }
    }

    /// What is served of the file that a relative link leads to in the folders of the machine.
    fn by_source(&self, page: &Page, link: &str) -> Option<&String> {
        if self.sources.is_empty() || link.starts_with('/') {
            return None;
        }
        let mut file = page.file.parent()?.to_owned();
        for part in Path::new(link).components() {
            match part {
                Component::Normal(part) => file.push(part),
                Component::ParentDir => drop(file.pop()),
                _ => {}
            }
        }
        self.sources.get(&file)
    }
}

/// Where the part of a link's path leads that leaves the mounted folder.
fn outside(mount: &Mount, page: &Page, link: &str) -> Option<String> {
    let base = mount.outside.as_ref()?.trim_end_matches('/');
    let folder = page
        .folder
        .strip_prefix(mount.to.as_str())
        .unwrap_or_default();
    // The mounted folder itself is one below the base: its name is in no link that leaves it.
    let (mut above, mut parts) = (0, Vec::new());
    let all = folder.split('/').chain(link.split('/'));
    for part in all.filter(|part| !matches!(*part, "" | ".")) {
        match part {
            ".." if parts.pop().is_none() => above += 1,
            ".." => {}
            part => parts.push(part),
        }
    }
    let mut base = base;
    for _ in 1..above {
        let (shorter, _) = base.rsplit_once('/')?;
        base = shorter;
    }
    // What is left has to name a host.
    base.split("://").nth(1).filter(|host| !host.is_empty())?;
    let mut path = escape::percent(&parts.join("/"));
    if link.ends_with('/') && !path.is_empty() {
        path.push('/');
    }
    Some(format!("{base}/{path}"))
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
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
            ..Links::default()
        }
    }

    fn page(folder: &str) -> Page {
        let mut page = Page::empty("content/x.md");
        page.folder = folder.to_owned();
        page
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
                links().resolve(&page(folder), link),
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
            assert_eq!(
                links().resolve(&page("/blog"), link),
                Target::Keep,
                "{link}"
            );
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
                links().resolve(&page("/blog"), link),
                Target::Broken(url.into()),
                "{link}"
            );
        }
    }

    #[test]
    fn what_leaves_a_mount_has_an_address() {
        let mut mount = Mount {
            line: 1,
            from: "../docs".to_owned(),
            to: "/manual".to_owned(),
            order: Vec::new(),
            outside: Some("https://a.b/repo/main/".to_owned()),
        };
        let mut page = page("/manual/deep");
        page.name = "../docs/deep/x.md".to_owned();
        for (link, url) in [
            (
                "../../src/a b.rs",
                Some("https://a.b/repo/main/src/a%20b.rs"),
            ),
            ("../../src/", Some("https://a.b/repo/main/src/")),
            ("../..", Some("https://a.b/repo/main/")),
            ("../../../x", Some("https://a.b/repo/x")),
            ("../../../../../../x", None),
        ] {
            assert_eq!(outside(&mount, &page, link).as_deref(), url, "{link}");
        }
        mount.outside = None;
        assert_eq!(outside(&mount, &page, "../../x"), None);
    }
}
