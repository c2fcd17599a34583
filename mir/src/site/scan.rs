//! What is in a site's folder, before any of its texts is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::config::{self, Config, Mount};
use super::walk::{Source, Walker, read_text, stem};
use super::{linked, theme};
use crate::config::file;
use crate::problem::{Problem, What};

/// All files of a site, each kind sorted by name, and what `site.toml` says.
#[derive(Default)]
pub(crate) struct Scan {
    /// The folder itself is the content.
    flat: bool,
    /// The site's folder, without symbolic links.
    pub(crate) root: PathBuf,
    pub(crate) config: Option<Source>,
    pub(crate) said: Config,
    pub(crate) templates: Vec<Source>,
    /// Markdown.
    pub(crate) texts: Vec<Source>,
    /// What is served as it is.
    pub(crate) files: Vec<Source>,
    /// The list of links to elsewhere.
    pub(crate) linked: Option<Source>,
    /// Where a mount puts a page among its others, by the page's name.
    pub(crate) order: BTreeMap<String, usize>,
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
        let mut scan = Self {
            flat: !folder.join("content").is_dir(),
            root: walker.root().to_owned(),
            config: walker.file(config::FILE),
            ..Self::default()
        };
        scan.read_config();
        let mut content = if scan.flat {
            let others = [config::FILE, file::NAME, theme::FOLDER, "static"];
            walker.files("", &others)
        } else {
            walker.files("content", &[])
        };
        let linked = |source: &mut Source| linked::FILES.contains(&source.rel.as_str());
        scan.linked = content.extract_if(.., linked).next();
        for at in 0..scan.said.mounts.len() {
            let mount = scan.said.mounts[at].clone();
            content.append(&mut scan.mount(&mount, &mut walker));
        }
        content.sort_by(|a, b| a.rel.cmp(&b.rel));
        scan.templates = walker.files(theme::FOLDER, &[]);
        let fixed = walker.files("static", &[]);
        if content.is_empty() && fixed.is_empty() && walker.problems.is_empty() {
            scan.fatal.push(Problem::new(shown, None, What::Empty));
        }
        let shown = content.iter().chain(&scan.templates);
        let shown = shown.chain(&scan.config).chain(&scan.linked);
        scan.newest = shown
            .map(|source| source.modified)
            .max()
            .unwrap_or_default();
        let is_text = |source: &Source| is_markdown(&source.rel);
        (scan.texts, scan.files) = content.into_iter().partition(is_text);
        scan.files.extend(fixed);
        scan.folders.append(&mut walker.folders);
        scan.problems.append(&mut walker.problems);
        Ok(scan)
    }

    fn read_config(&mut self) {
        let Some(source) = &self.config else {
            return;
        };
        match read_text(source) {
            Ok(text) => self.said = Config::parse(&text, &mut self.fatal),
            Err(problem) => self.fatal.push(problem),
        }
    }

    /// The files of a folder from elsewhere.
    fn mount(&mut self, mount: &Mount, walker: &mut Walker) -> Vec<Source> {
        let mut failed = |line, why: String| {
            let problem = Problem::new(config::FILE, line, What::Config(why));
            self.problems.push(problem);
        };
        let folder = self.root.join(&mount.from);
        // It may come to be there later.
        let above = folder.parent().and_then(|above| above.canonicalize().ok());
        walker.folders.extend(above);
        let from = &mount.from;
        if !folder.is_dir() {
            failed(mount.line, format!("there is no folder `{from}`"));
            return Vec::new();
        }
        match folder.canonicalize() {
            Ok(real) if self.root.starts_with(&real) => {
                failed(mount.line, format!("`{from}` has the site itself in it"));
                return Vec::new();
            }
            _ => {}
        }
        let mut found = match walker.mounted(&folder, from, &mount.to[1..]) {
            Ok(found) => found,
            Err(error) => {
                failed(mount.line, format!("`{from}` cannot be read: {error}"));
                return Vec::new();
            }
        };
        readme_is_index(&mut found);
        for (at, wanted) in mount.order.iter().enumerate() {
            let name = format!("{from}/{}", wanted.text);
            let is = |source: &&Source| {
                is_markdown(&source.rel)
                    && (source.name == name || without_extension(&source.name) == name)
            };
            match found.iter().find(is) {
                Some(source) => drop(self.order.insert(source.name.clone(), at)),
                None => failed(wanted.line, format!("there is no page `{}`", wanted.text)),
            }
        }
        found
    }

    /// The path that a problem keeps from being served.
    pub(crate) fn path(&self, problem: &Problem) -> String {
        if let What::DuplicatePath { path, .. } = &problem.what {
            return path.clone();
        }
        let name = problem.file.as_str();
        let mut known = self.texts.iter().chain(&self.files);
        if let Some(source) = known.find(|source| source.name == name) {
            return match is_markdown(&source.rel) {
                true => page_path(source).0,
                false => format!("/{}", source.rel),
            };
        }
        let inside = |folder| name.strip_prefix(folder)?.strip_prefix('/');
        let content = inside("content").filter(|_| !self.flat);
        format!("/{}", content.or(inside("static")).unwrap_or(name))
    }

    /// The text of this name: a page, a template, the configuration.
    pub(crate) fn text(&self, name: &str) -> Option<&Source> {
        let all = self.texts.iter().chain(&self.templates);
        let mut all = all.chain(&self.config).chain(&self.linked);
        all.find(|source| source.name == name)
    }
}

/// The path of what a Markdown file becomes, and the folder where its relative links begin.
pub(crate) fn page_path(source: &Source) -> (String, String) {
    let path = format!("/{}", without_extension(&source.rel));
    let folder = match path.rsplit_once('/') {
        Some(("", _)) | None => "/".to_owned(),
        Some((folder, _)) => folder.to_owned(),
    };
    match source.index {
        true => (folder.clone(), folder),
        false => (path, folder),
    }
}

/// What hosts of repositories show of a folder is its README.
fn readme_is_index(found: &mut [Source]) {
    let folder = |source: &Source| {
        source
            .rel
            .rsplit_once('/')
            .map(|(folder, _)| folder.to_owned())
    };
    let is_index = |source: &&Source| source.index && is_markdown(&source.rel);
    let have: BTreeSet<_> = found.iter().filter(is_index).map(folder).collect();
    for source in found {
        let is_readme = is_markdown(&source.rel) && stem(&source.rel) == "README";
        source.index |= is_readme && !have.contains(&folder(source));
    }
}

fn without_extension(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn is_markdown(rel: &str) -> bool {
    let file = rel.rsplit('/').next().unwrap_or(rel);
    let extension = file.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|e| e.eq_ignore_ascii_case("md") || e.eq_ignore_ascii_case("markdown"))
}
