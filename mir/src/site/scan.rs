//! What is in a site's folder, before any of it is read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::walk::{Source, Walker};
use super::{config, theme};
use crate::config::file;
use crate::problem::{Problem, What};

/// All files of a site, each kind sorted by name.
#[derive(Default)]
pub(crate) struct Scan {
    /// The folder itself is the content.
    flat: bool,
    /// The site's folder, without symbolic links.
    pub(crate) root: PathBuf,
    pub(crate) config: Option<Source>,
    pub(crate) templates: Vec<Source>,
    /// Markdown.
    pub(crate) texts: Vec<Source>,
    /// What is served as it is.
    pub(crate) files: Vec<Source>,
    /// When the newest file changed of those that a page may show, in seconds since 1970.
    pub(crate) newest: u64,
    /// The folders in which anything was looked for.
    pub(crate) folders: BTreeSet<PathBuf>,
    pub(crate) problems: Vec<Problem>,
    /// What keeps all of it from being served.
    pub(crate) fatal: Vec<Problem>,
}

impl Scan {
    /// Looks for the files of the site in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::walk(folder).unwrap_or_else(|problem| Self {
            fatal: vec![problem],
            ..Self::default()
        })
    }

    fn walk(folder: &Path) -> Result<Self, Problem> {
        let shown = folder.display().to_string();
        let mut walker = Walker::new(folder).map_err(|error| Problem::io(&shown, &error))?;
        if !folder.is_dir() {
            let why = What::Unreadable("a site is a folder".to_owned());
            return Err(Problem::new(shown, None, why));
        }
        let flat = !folder.join("content").is_dir();
        let content = if flat {
            let others = [config::FILE, file::NAME, theme::FOLDER, "static"];
            walker.files("", &others)
        } else {
            walker.files("content", &[])
        };
        let templates = walker.files(theme::FOLDER, &[]);
        let fixed = walker.files("static", &[]);
        let mut fatal = Vec::new();
        if content.is_empty() && fixed.is_empty() && walker.problems.is_empty() {
            fatal.push(Problem::new(shown, None, What::Empty));
        }
        let config = walker.file(config::FILE);
        let shown = content.iter().chain(&templates).chain(&config);
        let newest = shown.map(|source| source.modified).max();
        let (texts, files): (Vec<_>, Vec<_>) = content
            .into_iter()
            .partition(|source| is_markdown(&source.rel));
        Ok(Self {
            flat,
            root: walker.root().to_owned(),
            config,
            templates,
            texts,
            files: files.into_iter().chain(fixed).collect(),
            newest: newest.unwrap_or_default(),
            folders: walker.folders,
            problems: walker.problems,
            fatal,
        })
    }

    /// The path that a problem keeps from being served.
    pub(crate) fn path(&self, problem: &Problem) -> String {
        if let What::DuplicatePath { path, .. } = &problem.what {
            return path.clone();
        }
        let name = problem.file.as_str();
        let inside = |folder| name.strip_prefix(folder)?.strip_prefix('/');
        let rel = match inside("content").filter(|_| !self.flat) {
            Some(rel) => rel,
            None => match inside("static") {
                Some(rel) => return format!("/{rel}"),
                None => name,
            },
        };
        match is_markdown(rel) {
            true => page_path(rel).0,
            false => format!("/{rel}"),
        }
    }

    /// The text of this name: a page, a template, the configuration.
    pub(crate) fn text(&self, name: &str) -> Option<&Source> {
        let mut all = self.texts.iter().chain(&self.templates).chain(&self.config);
        all.find(|source| source.name == name)
    }
}

/// The path of what a Markdown file becomes, and the folder where its relative links begin.
pub(crate) fn page_path(rel: &str) -> (String, String) {
    let stem = rel.rsplit_once('.').map_or(rel, |(stem, _)| stem);
    let (folder, file) = match stem.rsplit_once('/') {
        Some((folder, file)) => (format!("/{folder}"), file),
        None => ("/".to_owned(), stem),
    };
    match file {
        "index" => (folder.clone(), folder),
        _ => (format!("/{stem}"), folder),
    }
}

fn is_markdown(rel: &str) -> bool {
    let file = rel.rsplit('/').next().unwrap_or(rel);
    let extension = file.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|e| e.eq_ignore_ascii_case("md") || e.eq_ignore_ascii_case("markdown"))
}
