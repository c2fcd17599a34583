//! Where the links of a page lead: names of sources and paths of the site become URLs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::config::Mount;
use super::escape;
use super::markdown::Target;
use super::pages::{Page, Pages};
use super::scan::Scan;

/// What servers make themselves.
const SERVED: [&str; 3] = ["/metrics", "/stats", "/stats.json"];

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
    /// Whose places links may lead to.
    pages: BTreeMap<String, Arc<Page>>,
    files: BTreeSet<String>,
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
            links.files.insert(path);
        }
        for page in &pages.pages {
            links
                .known
                .insert(format!("/{}", page.rel), page.path.clone());
            links.source(&page.file, &page.path);
            links.pages.insert(page.path.clone(), page.clone());
        }
        for path in pages.paths() {
            links.known.insert(path.to_owned(), path.to_owned());
        }
        for path in SERVED {
            links.add(path);
        }
        links
    }

    /// Takes note of a path that is served.
    pub(crate) fn add(&mut self, path: &str) {
        let known = self.known.entry(path.to_owned());
        known.or_insert_with(|| path.to_owned());
    }

    fn source(&mut self, file: &Path, path: &str) {
        if !self.mounts.is_empty() {
            self.sources.insert(file.to_owned(), path.to_owned());
        }
    }

    /// Resolves a link as written in a page. Relative links are relative to the file, not to the
    /// page's URL, so that they work for readers of the source too.
    pub(crate) fn resolve(&self, page: &Page, link: &str) -> Target {
        if link.is_empty() || link.starts_with('?') || is_elsewhere(link) {
            return Target::Keep;
        }
        let cut = link.find(['?', '#']).unwrap_or(link.len());
        let (path, rest) = link.split_at(cut);
        if path.is_empty() {
            let place = place(rest).filter(|place| !page.outline.has(place));
            return Target::Url(
                link.to_owned(),
                place.map(|place| (page.path.clone(), place)),
            );
        }
        let is_text = |path: &str| path.ends_with(".md") || path.ends_with(".markdown");
        let error = !path.starts_with('/') && is_text(path);
        let Some(path) = escape::unpercent(path) else {
            return Target::Broken(link.to_owned(), error);
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
            let place = place(rest).filter(|place| !self.may_have(to, place));
            return Target::Url(url(to), place.map(|place| (to.clone(), place)));
        }
        match (leaves, absolute) {
            (Some(mount), _) => match outside(mount, page, &path) {
                Some(base) => Target::Url(format!("{base}{rest}"), None),
                None => Target::Broken(link.to_owned(), true),
            },
            (None, Some(absolute)) => Target::Broken(url(&absolute), error),
            (None, None) => Target::Broken(link.to_owned(), error),
        }
    }

    /// Whether something is served at a path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.known.get(path).is_some_and(|to| to == path)
    }

    /// Whether there is such a place by a page's text, or it cannot be told: in a file.
    fn may_have(&self, path: &str, place: &str) -> bool {
        match self.pages.get(path) {
            Some(page) => page.outline.has(place),
            None => self.files.contains(path),
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

/// The place in a page that what stands behind a link's path names.
fn place(rest: &str) -> Option<String> {
    let (_, place) = rest.split_once('#')?;
    let place = escape::unpercent(place)?;
    // These are there without being written.
    let always = place.is_empty() || place == "top" || place.starts_with(":~:");
    (!always).then_some(place)
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
            files: ["/blog/a b".to_owned()].into(),
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
                Target::Url(url.into(), None),
                "{link}"
            );
        }
    }

    #[test]
    fn others_stay() {
        for link in ["", "?q", "https://a/b.md", "//a/b", "mailto:a@b", "tel:1"] {
            assert_eq!(
                links().resolve(&page("/blog"), link),
                Target::Keep,
                "{link}"
            );
        }
    }

    #[test]
    fn nowhere_is_said() {
        for (link, url, error) in [
            ("c.md", "/blog/c.md", true),
            ("/c.md#d", "/c.md#d", false),
            ("../../x", "../../x", false),
            ("%ff", "%ff", false),
            ("a/b:c", "/blog/a/b:c", false),
        ] {
            assert_eq!(
                links().resolve(&page("/blog"), link),
                Target::Broken(url.into(), error),
                "{link}"
            );
        }
    }

    #[test]
    fn places_are_looked_for() {
        let own = |place: &str| Some(("/x".to_owned(), place.to_owned()));
        let mut page = page("/blog");
        page.path = "/x".to_owned();
        page.outline = crate::site::markdown::Outline::new("## There {#é}\n", false);
        for (link, place) in [
            ("#%C3%A9", None),
            ("#", None),
            ("#top", None),
            ("#é", None),
            ("#z", own("z")),
        ] {
            let target = links().resolve(&page, link);
            assert_eq!(target, Target::Url(link.into(), place), "{link}");
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
