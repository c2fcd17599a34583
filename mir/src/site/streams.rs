//! The folders at the top of a site as streams of pages: by date, by year, by tag.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::pages::{Page, Pages};

/// What is in one folder at the top of the site, or in none: those are a stream, too.
#[derive(Default)]
pub(crate) struct Stream {
    /// `/blog`, or `/`.
    pub(crate) path: String,
    /// The pages that have a date, the newest first.
    pub(crate) dated: Vec<Arc<Page>>,
    /// By the name in the address: the tag as written, and its pages in order.
    pub(crate) tags: BTreeMap<String, Tag>,
    /// How many pages it has.
    pub(crate) pages: usize,
}

/// The pages with one tag.
#[derive(Default)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) pages: Vec<Arc<Page>>,
}

impl Stream {
    /// All streams, by path. What is shown of a stream's folder itself is in none.
    pub(crate) fn all(pages: &Pages) -> BTreeMap<String, Self> {
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        for page in &pages.pages {
            let path = of(page);
            if page.index && page.folder == path {
                continue;
            }
            let stream = all.entry(path.to_owned()).or_insert_with(|| Self {
                path: path.to_owned(),
                ..Self::default()
            });
            stream.pages += 1;
            if page.front.date.is_some() {
                stream.dated.push(page.clone());
            }
            for tag in &page.front.tags {
                let entry = stream.tags.entry(slug(tag)).or_default();
                // Written in two ways, it is called the way that sorts first.
                if entry.name.is_empty() || *tag < entry.name {
                    entry.name.clone_from(tag);
                }
                entry.pages.push(page.clone());
            }
        }
        for stream in all.values_mut() {
            newest_first(&mut stream.dated);
            stream
                .tags
                .values_mut()
                .for_each(|tag| newest_first(&mut tag.pages));
        }
        all
    }

    /// Whether it is a diary rather than a book.
    pub(crate) fn is_dated(&self) -> bool {
        self.dated.len() * 2 > self.pages
    }

    /// Its pages by year.
    pub(crate) fn years(&self) -> BTreeMap<u16, Vec<Arc<Page>>> {
        let mut years: BTreeMap<u16, Vec<_>> = BTreeMap::new();
        for page in &self.dated {
            if let Some(date) = page.front.date {
                years.entry(date.year()).or_default().push(page.clone());
            }
        }
        years
    }
}

/// Sorts pages by their dates; of one day by their paths.
pub(crate) fn newest_first(pages: &mut [Arc<Page>]) {
    pages.sort_by(|a, b| {
        let key = |page: &Page| (Reverse(page.front.date.is_some()), Reverse(page.front.date));
        key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path))
    });
}

/// The stream that a page is in, by its file.
pub(crate) fn of(page: &Page) -> &str {
    let rest = page.folder.trim_start_matches('/');
    let first = rest.split('/').next().unwrap_or_default();
    &page.folder[..1 + first.len()]
}

/// A tag as a part of an address.
pub(crate) fn slug(tag: &str) -> String {
    let lower = tag.chars().flat_map(char::to_lowercase);
    let slug: String = lower
        .map(|c| match c {
            '/' => '-',
            c if c.is_whitespace() || c.is_control() => '-',
            c => c,
        })
        .collect();
    match &*slug {
        "" | "." | ".." => "-".to_owned(),
        _ => slug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_addresses() {
        for (tag, expected) in [
            ("Rust 2024", "rust-2024"),
            ("C++", "c++"),
            ("a/b", "a-b"),
            ("..", "-"),
        ] {
            assert_eq!(slug(tag), expected);
        }
    }

    #[test]
    fn a_page_is_in_the_folder_at_the_top() {
        let mut page = Page::empty("x");
        for (folder, stream) in [("/", "/"), ("/a", "/a"), ("/a/b/c", "/a"), ("/ä/b", "/ä")] {
            page.folder = folder.to_owned();
            assert_eq!(of(&page), stream);
        }
    }
}
