//! A site's folder, rendered: Markdown with front matter, templates and static files become what
//! a server answers. docs/site.md describes the folder for authors.
//!
//! Everything that is wrong with a site is found in one run, and nothing is written here.

mod author;
mod config;
mod data;
mod date;
mod escape;
mod front;
mod linked;
mod links;
mod live;
mod markdown;
mod nodes;
mod pages;
mod plan;
mod scan;
mod table;
mod theme;
mod walk;

use std::path::Path;

use crate::parallel;
use crate::problem::Problem;
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
    /// The page for paths that do not exist.
    pub not_found: Option<Item>,
    /// Paths that lead elsewhere, sorted.
    pub redirects: Vec<Redirect>,
    /// Fields that answers have besides their own, in the order of `site.toml`.
    pub headers: Vec<Header>,
    /// What is wrong but does not keep the site from being served: links that lead nowhere.
    pub warnings: Vec<Problem>,
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
    /// Where it leads, percent-encoded: a path of the site, or an address.
    pub to: String,
    /// The status that says so: 301, 302 or 308.
    pub status: u16,
}

/// Fields that the answers for some paths have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The path, decoded; with `*` at its end, all that begin like this.
    pub path: String,
    /// Names and values, as HTTP has them.
    pub values: Vec<(String, String)>,
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
    for drawn in pages.into_iter().flatten() {
        match drawn {
            Ok(mut drawn) => {
                out.warnings.append(&mut drawn.warnings);
                out.items.push(drawn.item);
            }
            Err(problem) => problems.push(problem),
        }
    }
    match plan.not_found() {
        Ok(mut drawn) => {
            out.warnings.append(&mut drawn.warnings);
            out.not_found = Some(drawn.item);
        }
        Err(problem) => problems.push(problem),
    }
    out.items.extend(plan.built_in_style());
    for &file in plan.files.values() {
        match plan.file(file) {
            Ok(item) => out.items.push(item),
            Err(problem) => problems.push(problem),
        }
    }
    let paths = plan.nodes.paths().map(|path| format!("{path}/"));
    out.redirects = paths.filter_map(|path| plan.redirect(&path)).collect();
    out.items.sort_by(|a, b| a.path.cmp(&b.path));
    out.redirects.sort_by(|a, b| a.from.cmp(&b.from));
    out.headers = plan.config.headers.clone();
    out.warnings.sort();
    Some(out)
}
