//! A site's folder held open for writing: only what changed is read again, and only what is asked
//! for is rendered.
//!
//! Rendering shares all of its code with [`render`](super::render): a path answers here what it
//! answers there. What differs is what a mistake costs: there the site, here the page that has it,
//! or all pages if it is in `site.toml` or in a template. Files are served as they are in any case.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::draw::Drawn;
use super::draw::has;
use super::outputs::Output;
use super::plan::{Memory, Plan};
use super::walk::Source;
use super::{Item, Options, Redirect};
use crate::pack::HeaderRule;
use crate::problem::Problem;

mod explain;

/// A site's folder. May be used by many threads at once.
pub struct Live {
    folder: PathBuf,
    options: Options,
    memory: Mutex<Memory>,
    current: RwLock<Arc<Plan>>,
}

/// What a look at the folder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that is served has changed.
    None,
    /// Only what is in stylesheets that were there before.
    Styles,
    /// Anything else.
    All,
}

/// The site as it was at one look.
#[derive(Clone)]
pub struct View(Arc<Plan>);

/// What there is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This, with what is wrong with it that does not keep it from being served.
    Item(Item, Vec<Problem>),
    /// It is elsewhere.
    Redirect(Redirect),
    /// Nothing.
    Missing,
}

/// What is wrong with a page that cannot be served; see [`View::explain`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub Vec<Problem>);

impl Live {
    /// Reads the site in `folder`, right or wrong.
    pub fn open(folder: &Path, options: Options) -> Self {
        Self::begin(folder, options, Memory::default())
    }

    /// The same for one who writes it: files keep their names, so that pages that are open can be
    /// given other stylesheets.
    pub fn open_plain(folder: &Path, options: Options) -> Self {
        Self::begin(folder, options, Memory::with_plain_assets())
    }

    fn begin(folder: &Path, options: Options, mut memory: Memory) -> Self {
        let plan = Plan::new(folder, options, &mut memory);
        Self {
            folder: folder.to_owned(),
            options,
            memory: Mutex::new(memory),
            current: RwLock::new(Arc::new(plan)),
        }
    }

    /// Looks at all files, and reads those that have changed since the last look.
    pub fn look(&self) -> Change {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = Arc::new(Plan::new(&self.folder, self.options, &mut memory));
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let change = plan.change_since(&current);
        *current = plan;
        change
    }

    /// The site as it was at the last look.
    pub fn view(&self) -> View {
        let current = self.current.read();
        View(current.unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// How many texts were read and cut up so far.
    pub fn parsed(&self) -> u64 {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.parsed
    }
}

impl View {
    /// What there is at a path. Renders that one page.
    pub fn find(&self, path: &str) -> Result<Found, Broken> {
        let plan = &*self.0;
        if let Some(wrong) = plan.wrong.get(path) {
            return Err(Broken(wrong.clone()));
        }
        if let Some(&file) = plan.files.get(path) {
            return match plan.file(file) {
                Ok(item) => Ok(Found::Item(item, Vec::new())),
                Err(problem) => Err(Broken(vec![problem])),
            };
        }
        if let Some(file) = plan.assets.path(path)
            && let Some(item) = plan.asset(&file, path.to_owned())
        {
            return match item {
                Ok(item) => Ok(Found::Item(item, Vec::new())),
                Err(problem) => Err(Broken(vec![problem])),
            };
        }
        if let Some(redirect) = plan.redirects.get(path) {
            return Ok(Found::Redirect(redirect.clone()));
        }
        let output = plan.outputs.get(path);
        let made = output.is_some_and(|output| !matches!(output, Output::Text(_)));
        if (made || plan.nodes.has(path)) && !plan.fatal.is_empty() {
            return Err(Broken(plan.fatal.clone()));
        }
        match (plan.output(path), plan.page(path)) {
            (Some(Ok(item)), _) => Ok(Found::Item(item, Vec::new())),
            (Some(Err(problem)), _) => Err(Broken(vec![problem])),
            (None, Some(drawn)) => {
                item(plan, drawn).map(|(item, warnings)| Found::Item(item, warnings))
            }
            (None, None) => Ok(Found::Missing),
        }
    }

    /// The page for paths at which there is nothing.
    pub fn not_found(&self) -> Result<(Item, Vec<Problem>), Broken> {
        let plan = &*self.0;
        if !plan.fatal.is_empty() {
            return Err(Broken(plan.fatal.clone()));
        }
        let own = plan.pages.not_found.as_ref().map(|page| &page.problems);
        match own.filter(|problems| !problems.is_empty()) {
            Some(problems) => Err(Broken(problems.clone())),
            None => item(plan, plan.not_found()),
        }
    }

    /// All that is known to be wrong without rendering anything, sorted.
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }

    /// All paths at which there is a page, a list or a file, in no order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let files = self.0.files.keys().chain(self.0.outputs.keys());
        self.0.nodes.paths().chain(files.map(String::as_str))
    }

    /// The folders in which a change may matter, without symbolic links.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.0.scan.folders.iter().map(PathBuf::as_path)
    }

    /// The header fields that `site.toml` lists.
    pub fn headers(&self) -> Vec<HeaderRule> {
        self.0.headers().cloned().collect()
    }

    /// The bytes of all texts in the folder, as [`Rendered`](super::Rendered) has them.
    pub fn text_bytes(&self) -> u64 {
        self.0.text_bytes
    }

    /// A page, HTML, that tells the author what is wrong and where, and what else is.
    pub fn explain(&self, broken: &Broken) -> String {
        explain::page(&self.0, broken)
    }
}

fn item(plan: &Plan, drawn: Result<Drawn, Problem>) -> Result<(Item, Vec<Problem>), Broken> {
    let drawn = drawn.map_err(|problem| Broken(vec![problem]))?;
    let page = |path: &str| Some(plan.page(path)?.ok()?.item.body);
    let mut warnings =
        drawn.missing_places(|path, id| page(path).is_none_or(|html| has(&html, id)));
    warnings.extend(drawn.broken.into_iter().map(|(problem, _)| problem));
    warnings.sort();
    Ok((drawn.item, warnings))
}

impl Plan {
    fn change_since(&self, before: &Self) -> Change {
        let pages = |plan: &Self| plan.pages.all().map(Arc::as_ptr).collect::<Vec<_>>();
        let same = pages(self) == pages(before)
            && Arc::ptr_eq(&self.theme, &before.theme)
            && self.config == before.config
            && self.problems == before.problems
            && self.linked == before.linked
            && self.files.keys().eq(before.files.keys());
        if !same {
            return Change::All;
        }
        let now = self.scan.files.iter().zip(&before.scan.files);
        let changed = now.filter(|(now, before)| !now.stamp.is_still(&before.stamp));
        let changed: Vec<_> = changed.map(|(now, _)| now).collect();
        let is_style = |file: &&Source| file.rel.to_ascii_lowercase().ends_with(".css");
        match changed.is_empty() {
            true if self.modified() == before.modified() => Change::None,
            false if changed.iter().all(is_style) => Change::Styles,
            _ => Change::All,
        }
    }
}
