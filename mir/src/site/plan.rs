//! A whole site before it is rendered: everything that is known once its files were found and its
//! texts were read. From then on each page and each file stands for itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::config::Config;
use super::links::Links;
use super::nodes::Nodes;
use super::pages::{Page, Pages};
use super::scan::Scan;
use super::theme::{self, Theme};
use super::walk::{Source, Stamp, read, read_text};
use super::{Item, Options, Redirect, escape};
use crate::media;
use crate::problem::{Problem, What};

/// What was read and need not be read again while it stays as it is.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) texts: BTreeMap<String, (Stamp, Arc<Page>)>,
    theme: Option<(BTreeMap<String, String>, Arc<Theme>)>,
    /// Texts that were read and cut up so far.
    pub(crate) parsed: u64,
}

/// All of a site but its rendered pages.
pub(crate) struct Plan {
    /// What the site is called.
    pub(crate) title: String,
    pub(crate) scan: Scan,
    pub(crate) config: Config,
    pub(crate) theme: Arc<Theme>,
    pub(crate) links: Links,
    pub(crate) nodes: Nodes,
    pub(crate) pages: Pages,
    /// Files that are served as they are, by path: the place among those that were found.
    pub(crate) files: BTreeMap<String, usize>,
    /// What is wrong, of all that can be known before anything is rendered.
    pub(crate) problems: Vec<Problem>,
    /// What of it concerns every page.
    pub(crate) fatal: Vec<Problem>,
    /// What is wrong, by the path that it keeps from being served.
    pub(crate) wrong: BTreeMap<String, Vec<Problem>>,
    /// The bytes of all texts in the folder.
    pub(crate) text_bytes: u64,
    modified: Option<u64>,
    claims: Claims,
}

impl Plan {
    /// Reads what of the site in `folder` is not in the memory.
    pub(crate) fn new(folder: &Path, options: Options, memory: &mut Memory) -> Self {
        let mut scan = Scan::new(folder);
        let mut fatal = std::mem::take(&mut scan.fatal);
        let mut problems = std::mem::take(&mut scan.problems);
        let config = std::mem::take(&mut scan.said);
        let theme = read_theme(&scan, memory, &mut fatal);
        let pages = Pages::read(&scan, memory, options.drafts);
        pages.problems(&mut problems);

        let mut claims = Claims::default();
        pages.claim(&mut claims, &mut problems);
        let mut files = BTreeMap::new();
        for (at, file) in scan.files.iter().enumerate() {
            let path = format!("/{}", file.rel);
            claims.claim(&path, &file.name, None, &mut problems);
            files.entry(path).or_insert(at);
        }
        let name = scan.root.file_name().unwrap_or_default().to_string_lossy();
        let title = config.title.clone();
        let title = title.unwrap_or_else(|| name.into_owned());
        let links = Links::new(&pages, &scan, &config.mounts);
        let nodes = Nodes::new(&pages, &config, &scan.order, title.clone());
        let texts = scan.texts.iter();
        let shrinks = |file: &&Source| media::compressible(media::of(&file.rel));
        let texts = texts.chain(scan.files.iter().filter(shrinks));
        let text_bytes = texts.map(|source| source.stamp.len).sum();
        problems.extend(fatal.iter().cloned());
        problems.sort();
        problems.dedup();
        let mut wrong: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for problem in &problems {
            let path = scan.path(problem);
            wrong.entry(path).or_default().push(problem.clone());
        }
        Self {
            title,
            scan,
            config,
            theme,
            links,
            nodes,
            pages,
            files,
            problems,
            fatal,
            wrong,
            text_bytes,
            modified: options.modified,
            claims,
        }
    }

    /// When the site's pages changed last.
    pub(crate) fn modified(&self) -> u64 {
        self.modified.unwrap_or(self.scan.newest)
    }

    /// The stylesheet of the built-in templates, unless the site has its own.
    pub(crate) fn built_in_style(&self) -> Option<Item> {
        let (path, text) = theme::STYLE;
        (!self.claims.has(path)).then(|| Item {
            path: path.to_owned(),
            media_type: media::of(path),
            rendered: false,
            modified: self.modified(),
            body: text.into(),
        })
    }

    /// A file as it is.
    pub(crate) fn file(&self, at: usize) -> Result<Item, Problem> {
        let file = &self.scan.files[at];
        Ok(Item {
            path: format!("/{}", file.rel),
            media_type: media::of(&file.rel),
            rendered: false,
            modified: self.modified.unwrap_or(file.modified),
            body: read(file)?,
        })
    }

    /// One page, one address: with a slash behind it, the same words lead there.
    pub(crate) fn redirect(&self, path: &str) -> Option<Redirect> {
        let page = path.strip_suffix('/').filter(|page| *page != "/")?;
        (self.nodes.has(page) && !self.claims.has(path)).then(|| Redirect {
            from: path.to_owned(),
            to: escape::percent(page),
            status: 301,
        })
    }
}

fn read_theme(scan: &Scan, memory: &mut Memory, problems: &mut Vec<Problem>) -> Arc<Theme> {
    let mut texts = BTreeMap::new();
    for source in &scan.templates {
        match read_text(source) {
            Ok(text) => drop(texts.insert(source.rel.clone(), text)),
            Err(problem) => problems.push(problem),
        }
    }
    let theme = match &memory.theme {
        Some((known, theme)) if *known == texts => theme.clone(),
        _ => Arc::new(Theme::new(texts.clone())),
    };
    problems.extend_from_slice(&theme.problems);
    memory.theme = Some((texts, theme.clone()));
    theme
}

/// Which file has which path.
#[derive(Default)]
pub(crate) struct Claims {
    taken: BTreeMap<String, String>,
}

impl Claims {
    /// Claims a path for a file, if it is one that can be served.
    pub(crate) fn claim(
        &mut self,
        path: &str,
        file: &str,
        line: Option<usize>,
        problems: &mut Vec<Problem>,
    ) {
        if !www::pack::is_canonical(path) {
            let why = match line {
                None => What::BadName("makes a path that is too long or not canonical"),
                Some(_) => What::FrontMatter(format!(
                    "`{path}` must be a path without empty parts, `.` and `..`"
                )),
            };
            problems.push(Problem::new(file, line, why));
        }
        self.take(path, file, line, problems);
    }

    pub(crate) fn take(
        &mut self,
        path: &str,
        file: &str,
        line: Option<usize>,
        problems: &mut Vec<Problem>,
    ) {
        if let Some(first) = self.taken.get(path) {
            let (path, first) = (path.to_owned(), first.clone());
            let what = What::DuplicatePath { path, first };
            problems.push(Problem::new(file, line, what));
        } else {
            self.taken.insert(path.to_owned(), file.to_owned());
        }
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.taken.contains_key(path)
    }
}
