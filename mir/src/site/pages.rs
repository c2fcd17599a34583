//! Pages as they are read from the files of `content/`.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use super::claims::Claims;
use super::front::{self, Front, Place};
use super::markdown::Outline;
use super::plan::Memory;
use super::scan::{Scan, page_path};
use super::walk::{Source, read_text};
use crate::parallel;
use crate::problem::Problem;

/// The page for paths that are not there: `content/404.md`, or only a template.
pub(crate) const NOT_FOUND: &str = "/404";

/// All pages of a site, before they are rendered.
#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) pages: Vec<Arc<Page>>,
    pub(crate) not_found: Option<Arc<Page>>,
    /// Pages that are left out.
    drafts: Vec<Arc<Page>>,
    /// Folders that hold pages, by path, each with a page of its own or a list made for it.
    pub(crate) sections: BTreeSet<String>,
}

/// A page's text, cut up.
pub(crate) struct Page {
    /// `content/blog/a.md`
    pub(crate) name: String,
    /// `blog/a.md`
    pub(crate) rel: String,
    /// Where it is for the operating system.
    pub(crate) file: PathBuf,
    /// It is what is shown of its folder.
    pub(crate) index: bool,
    /// `/blog/a`
    pub(crate) path: String,
    /// Where its relative links begin: `/blog`.
    pub(crate) folder: String,
    /// The folder whose list it is in: `/blog`, for an index the one above.
    pub(crate) section: String,
    pub(crate) front: Front,
    /// What the front matter calls it, or the heading that opens it.
    pub(crate) title: Option<String>,
    pub(crate) outline: Outline,
    pub(crate) body: String,
    pub(crate) body_line: usize,
    /// What is wrong with its file. If that cannot be read, the page is empty.
    pub(crate) problems: Vec<Problem>,
    hash: u64,
}

impl Pages {
    /// Reads and cuts up all texts that have changed since they were put into the memory.
    pub(crate) fn read(scan: &Scan, memory: &mut Memory, drafts: bool) -> Self {
        let known = |source: &&Source| match memory.texts.get(&source.name) {
            Some((before, page)) => source.stamp.is_still(before) && page.is_of(source),
            None => false,
        };
        let changed = scan.texts.iter().filter(|source| !known(source)).collect();
        let read = parallel::map(changed, |source: &Source| {
            let text = read_text(source);
            let hash = hash(&text);
            match memory.texts.get(&source.name) {
                Some((_, page)) if page.hash == hash && page.is_of(source) => {
                    (source, page.clone(), false)
                }
                _ => (source, Arc::new(Page::new(source, text, hash)), true),
            }
        });
        for (source, page, parsed) in read {
            let entry = (source.stamp.clone(), page);
            memory.texts.insert(source.name.clone(), entry);
            memory.parsed += u64::from(parsed);
        }
        if memory.texts.len() > scan.texts.len() {
            let there: BTreeSet<_> = scan.texts.iter().map(|source| &source.name).collect();
            memory.texts.retain(|name, _| there.contains(name));
        }
        let mut out = Self::default();
        for source in &scan.texts {
            let Some((_, page)) = memory.texts.get(&source.name) else {
                continue;
            };
            let page = page.clone();
            if page.front.draft && !drafts {
                out.drafts.push(page);
            } else if page.path == NOT_FOUND && out.not_found.is_none() {
                out.not_found = Some(page);
            } else {
                out.pages.push(page);
            }
        }
        out.sections.insert("/".to_owned());
        for page in &out.pages {
            let mut folder = page.folder.as_str();
            while folder != "/" && out.sections.insert(folder.to_owned()) {
                folder = parent(folder);
            }
        }
        out
    }

    /// All that were read.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Page>> {
        self.pages.iter().chain(&self.not_found).chain(&self.drafts)
    }

    /// What is wrong with the files of all pages.
    pub(crate) fn problems(&self, problems: &mut Vec<Problem>) {
        problems.extend(self.all().flat_map(|page| page.problems.iter().cloned()));
    }

    /// Claims the paths of the pages, and of the folders that have none.
    pub(crate) fn claim(&self, claims: &mut Claims, problems: &mut Vec<Problem>) {
        for page in self.not_found.iter().chain(&self.pages) {
            let line = page.front.place.as_ref().map(Place::line);
            claims.claim(&page.path, &page.name, line, problems);
        }
        for section in &self.sections {
            if !claims.has(section) {
                claims.take(section, &format!("the list of {section}"), None, problems);
            }
        }
    }

    /// The paths of all pages and lists.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        let lists = self.sections.iter().map(String::as_str);
        lists.chain(self.pages.iter().map(|page| page.path.as_str()))
    }
}

impl Page {
    /// One for tests, with nothing in it.
    #[cfg(test)]
    pub(crate) fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            rel: String::new(),
            file: PathBuf::new(),
            index: false,
            path: String::new(),
            folder: String::new(),
            section: String::new(),
            front: Front::default(),
            title: None,
            outline: Outline::default(),
            body: String::new(),
            body_line: 1,
            problems: Vec::new(),
            hash: 0,
        }
    }

    fn new(source: &Source, text: Result<String, Problem>, hash: u64) -> Self {
        let mut problems = Vec::new();
        let text = text.unwrap_or_else(|problem| {
            problems.push(problem);
            String::new()
        });
        let split = front::split(&source.name, &text, &mut problems);
        let (natural, folder) = page_path(source);
        let path = match &split.front.place {
            Some(Place::Path(place)) => format!("/{}", place.text),
            Some(Place::Here(place)) => join(parent(&natural), &place.text),
            None => natural,
        };
        let title = split.front.title.clone();
        let outline = Outline::new(split.body, title.is_none());
        Self {
            name: source.name.clone(),
            rel: source.rel.clone(),
            file: source.path.clone(),
            index: source.index,
            section: match source.index {
                true => parent(&folder).to_owned(),
                false => folder.clone(),
            },
            path,
            folder,
            title: title.or_else(|| outline.title.clone()),
            outline,
            front: split.front,
            body: split.body.to_owned(),
            body_line: split.body_line,
            problems,
            hash,
        }
    }
}

impl Page {
    /// The paths that lead to it, as written without a slash at the end.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = String> {
        let written = self.front.aliases.iter().map(|alias| &*alias.text);
        written.map(|alias| match alias.strip_prefix('/') {
            Some(rest) => format!("/{}", rest.trim_end_matches('/')),
            None => join(&self.section, alias.trim_end_matches('/')),
        })
    }

    /// Whether it was made of this file, for the place where that is now.
    fn is_of(&self, source: &Source) -> bool {
        self.rel == source.rel && self.index == source.index && self.file == source.path
    }
}

/// Tells a text from another.
fn hash(text: &Result<String, Problem>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match text {
        Ok(text) => text.hash(&mut hasher),
        Err(problem) => problem.to_string().hash(&mut hasher),
    }
    hasher.finish()
}

/// The folder that a path is in.
pub(crate) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder,
        _ => "/",
    }
}

/// A path in a folder.
pub(crate) fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents() {
        assert_eq!(parent("/a/b"), "/a");
        assert_eq!(parent("/a"), "/");
        assert_eq!(parent("/"), "/");
    }
}
