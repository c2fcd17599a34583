//! A whole site before it is rendered: everything that is known once its files were found and its
//! texts were read. From then on each page and each file stands for itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use minijinja::Value;

use super::assets::{Assets, Content};
use super::claims::Claims;
use super::config::Config;
use super::linked::{self, Linked};
use super::links::Links;
use super::nodes::Nodes;
use super::outputs::Output;
use super::pages::{Page, Pages};
use super::scan::Scan;
use super::theme::Theme;
use super::walk::{Source, Stamp, read, read_text};
use super::{Item, Options, Redirect, redirects};
use crate::media;
use crate::pack::HeaderRule;
use crate::problem::Problem;

/// What was read and need not be read again while it stays as it is.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) texts: BTreeMap<String, (Stamp, Arc<Page>)>,
    theme: Option<(BTreeMap<String, String>, Arc<Theme>)>,
    /// Files keep their names, whatever is in them.
    plain_assets: bool,
    /// Texts that were read and cut up so far.
    pub(crate) parsed: u64,
}

impl Memory {
    /// One for a site whose files keep their names, whatever is in them.
    pub(crate) fn with_plain_assets() -> Self {
        Self {
            plain_assets: true,
            ..Self::default()
        }
    }
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
    /// Links to elsewhere, the newest first.
    pub(crate) linked: Vec<Linked>,
    /// Paths that lead elsewhere, or at which something was.
    pub(crate) redirects: BTreeMap<String, Redirect>,
    /// Files that are served as they are, by path: the place among those that were found.
    pub(crate) files: BTreeMap<String, usize>,
    /// Files that are made, by path.
    pub(crate) outputs: BTreeMap<String, Output>,
    /// What all pages are given.
    pub(crate) shared: Value,
    /// What is wrong, of all that can be known before anything is rendered.
    pub(crate) problems: Vec<Problem>,
    /// What of it concerns every page.
    pub(crate) fatal: Vec<Problem>,
    /// What is wrong, by the path that it keeps from being served.
    pub(crate) wrong: BTreeMap<String, Vec<Problem>>,
    /// What of `site.toml` leads nowhere or has no effect.
    pub(crate) warnings: Vec<Problem>,
    /// What templates may ask for under names that follow from what is in it.
    pub(crate) assets: Arc<Assets>,
    /// The bytes of all texts in the folder.
    pub(crate) text_bytes: u64,
    modified: Option<u64>,
    pub(crate) claims: Claims,
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
        let linked = linked::read(&scan, &mut problems);

        let mut claims = Claims::default();
        pages.claim(&mut claims, &mut problems);
        let mut files = BTreeMap::new();
        for (at, file) in scan.files.iter().enumerate() {
            let path = format!("/{}", file.rel);
            claims.claim(&path, &file.name, None, &mut problems);
            files.entry(path).or_insert(at);
        }
        let redirects = redirects::written(&pages, &config, &linked, &mut claims, &mut problems);
        let name = scan.root.file_name().unwrap_or_default().to_string_lossy();
        let title = config.title.clone();
        let title = title.unwrap_or_else(|| name.into_owned());
        let free = |path: &str| !claims.has(path);
        let has_links = scan.linked.is_some();
        let nodes = Nodes::new(&pages, &config, &scan.order, &title, has_links, free);
        let links = Links::new(&pages, &scan, &config.mounts);
        let texts = scan.texts.iter();
        let shrinks = |file: &&Source| media::compressible(media::of(&file.rel));
        let texts = texts.chain(scan.files.iter().filter(shrinks));
        let text_bytes = texts.map(|source| source.stamp.len).sum();
        let mut plan = Self {
            title,
            scan,
            config,
            theme,
            links,
            nodes,
            pages,
            linked,
            redirects,
            files,
            outputs: BTreeMap::new(),
            shared: ().into(),
            problems,
            fatal,
            wrong: BTreeMap::new(),
            warnings: Vec::new(),
            assets: Arc::default(),
            text_bytes,
            modified: options.modified,
            claims,
        };
        plan.outputs = plan.outputs(|path| !plan.claims.has(path));
        plan.assets = Arc::new(plan.assets(memory.plain_assets));
        plan.redirect_folders();
        plan.know_links();
        plan.check_rules();
        plan.share();
        plan.sort_problems();
        plan
    }

    /// Lets texts link to what follows from others.
    fn know_links(&mut self) {
        let made = self
            .nodes
            .paths()
            .chain(self.outputs.keys().map(String::as_str));
        for path in made.chain(self.redirects.keys().map(String::as_str)) {
            self.links.add(path);
        }
    }

    fn sort_problems(&mut self) {
        self.problems.extend(self.fatal.iter().cloned());
        self.problems.sort();
        self.problems.dedup();
        for problem in &self.problems {
            let path = self.scan.path(problem);
            self.wrong.entry(path).or_default().push(problem.clone());
        }
    }

    /// When the site's pages changed last.
    pub(crate) fn modified(&self) -> u64 {
        self.modified.unwrap_or(self.scan.newest)
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

    /// A file, or a text that is built in, under another name; `None` if there is none.
    pub(crate) fn asset(&self, path: &str, name: String) -> Option<Result<Item, Problem>> {
        let item = match self.files.get(path) {
            Some(file) => self.file(*file),
            None => self.output(path)?,
        };
        Some(item.map(|item| Item { path: name, ..item }))
    }

    /// The header fields that `site.toml` lists.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &HeaderRule> {
        self.config.headers.iter().map(|(_, rule)| rule)
    }

    /// Files, and texts that are built in. What is made of pages is not among them: pages ask while
    /// they are made.
    fn assets(&self, plain: bool) -> Assets {
        let file = |at: &usize| Content::File(self.scan.files[*at].clone());
        let files = self.files.iter().map(|(path, at)| (path.clone(), file(at)));
        let texts = self
            .outputs
            .iter()
            .filter_map(|(path, output)| match output {
                Output::Text(text) => Some((path.clone(), Content::BuiltIn(text))),
                _ => None,
            });
        Assets::new(files.chain(texts).collect(), plain)
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
