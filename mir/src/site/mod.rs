//! A site's folder, rendered: Markdown with front matter, templates and static files become what
//! a server answers. docs/site.md describes the folder for authors.
//!
//! Everything that is wrong with a site is found in one run, and nothing is written here.

mod assets;
mod author;
mod claims;
mod config;
mod data;
mod date;
mod draw;
mod escape;
mod feeds;
mod front;
mod linked;
mod links;
mod live;
mod markdown;
mod nodes;
mod outputs;
mod pages;
mod plan;
mod redirects;
mod scan;
mod search;
mod size;
mod streams;
mod table;
mod theme;
mod walk;
mod xhtml;

use std::collections::BTreeMap;
use std::path::Path;

use crate::pack::HeaderRule;
use crate::parallel;
use crate::problem::{Problem, What};
use draw::Drawn;
use plan::{Memory, Plan};

pub use date::Date;
pub use live::{Broken, Change, Found, Live, View};
pub use walk::{MAX_FILE, MAX_FILES, MAX_TEXT, MAX_TOTAL};

/// A site, rendered.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// What the site is called.
    pub title: String,
    /// What is served, sorted by path.
    pub items: Vec<Item>,
    /// Files that are among the items, again, under names that have the hash of their content in
    /// them: those that templates asked for so.
    pub assets: Vec<Item>,
    /// The page for paths that do not exist.
    pub not_found: Option<Item>,
    /// Paths that lead elsewhere, sorted.
    pub redirects: Vec<Redirect>,
    /// Header fields that `site.toml` lists, in its order.
    pub headers: Vec<HeaderRule>,
    /// What is wrong but does not keep the site from being served: links that lead nowhere.
    pub warnings: Vec<Problem>,
    /// What is not wrong, and good to know.
    pub notes: Vec<Problem>,
    /// The bytes of all texts in the folder, as they stand there.
    pub text_bytes: u64,
}

/// One thing that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its path, decoded: `/blog/a b`.
    pub path: String,
    /// The value of Content-Type.
    pub media_type: &'static str,
    /// Whether a page was made for it; others are files as they are.
    pub rendered: bool,
    /// When it last changed, in seconds since 1970.
    pub modified: u64,
    /// The bytes.
    pub body: Vec<u8>,
}

/// A path that leads elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The path, decoded.
    pub from: String,
    /// Where it leads, percent-encoded: a path of the site, or an address. Empty for what is gone.
    pub to: String,
    /// 301, 302, 307 or 308; 410 for what is gone.
    pub status: u16,
}

/// What the renderer may be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The time that everything is said to have changed last, in seconds since 1970. Without it,
    /// files have their own times, and pages that of the newest file they could depend on.
    pub modified: Option<u64>,
    /// Drafts are pages like others.
    pub drafts: bool,
    /// Links that lead nowhere are warnings, not errors.
    pub lenient: bool,
}

/// Renders the site in `folder`. All that is wrong with it comes back together, sorted.
pub fn render(folder: &Path, options: Options) -> Result<Rendered, Vec<Problem>> {
    let mut problems = Vec::new();
    let rendered = render_or(folder, options, &mut problems);
    problems.sort();
    problems.dedup();
    match rendered {
        Some(rendered) if problems.is_empty() => Ok(rendered),
        _ => Err(problems),
    }
}

fn render_or(folder: &Path, options: Options, problems: &mut Vec<Problem>) -> Option<Rendered> {
    let plan = Plan::new(folder, options, &mut Memory::default());
    problems.extend_from_slice(&plan.problems);
    if plan.scan.root.as_os_str().is_empty() {
        return None;
    }
    let mut out = Rendered {
        title: plan.title.clone(),
        text_bytes: plan.text_bytes,
        ..Rendered::default()
    };
    let pages = parallel::map(plan.nodes.paths().collect(), |path| plan.page(path));
    let mut drawn = Vec::new();
    for page in pages.into_iter().flatten().chain([plan.not_found()]) {
        match page {
            Ok(page) => drawn.push(page),
            Err(problem) => problems.push(problem),
        }
    }
    out.warnings.clone_from(&plan.warnings);
    broken_links(&drawn, options, &mut out, problems);
    out.items.extend(drawn.into_iter().map(|drawn| drawn.item));
    // The one that was added last.
    if out
        .items
        .last()
        .is_some_and(|item| item.path == pages::NOT_FOUND)
    {
        out.not_found = out.items.pop();
    }
    let made = parallel::map(plan.outputs.keys().collect(), |path| plan.output(path));
    let files = plan.files.values().map(|&file| plan.file(file));
    for item in made.into_iter().flatten().chain(files) {
        match item {
            Ok(item) => out.items.push(item),
            Err(problem) => problems.push(problem),
        }
    }
    for (path, name) in plan.assets.used() {
        match plan.asset(&path, name) {
            Some(Ok(item)) => out.assets.push(item),
            Some(Err(problem)) => problems.push(problem),
            None => {}
        }
    }
    out.redirects = plan.redirects.values().cloned().collect();
    out.headers = plan.headers().cloned().collect();
    if plan.misses_base() {
        out.notes
            .push(Problem::new(config::FILE, None, What::NoBase));
    }
    out.items.sort_by(|a, b| a.path.cmp(&b.path));
    out.warnings.sort();
    Some(out)
}

/// Links that lead nowhere, of all pages.
fn broken_links(
    drawn: &[Drawn],
    options: Options,
    out: &mut Rendered,
    problems: &mut Vec<Problem>,
) {
    let bodies: BTreeMap<_, _> = drawn
        .iter()
        .map(|drawn| (drawn.item.path.as_str(), drawn.item.body.as_slice()))
        .collect();
    let has = |path: &str, id: &str| bodies.get(path).is_none_or(|body| draw::has(body, id));
    for page in drawn {
        let places = page.missing_places(has).into_iter();
        let places = places.map(|problem| (problem, true));
        for (problem, error) in places.chain(page.broken.iter().cloned()) {
            match error && !options.lenient {
                true => problems.push(problem),
                false => out.warnings.push(problem),
            }
        }
    }
}
