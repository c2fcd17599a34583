//! A site's folder, rendered: Markdown with front matter, templates and static files become what
//! a server answers. docs/site.md describes the folder for authors.
//!
//! Everything that is wrong with a site is found in one run, and nothing is written here.

mod config;
mod date;
mod escape;
mod front;
mod links;
mod markdown;
mod pages;
mod theme;
mod walk;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::media;
use crate::problem::{Problem, What};
use config::Config;
use links::Links;
use theme::Theme;
use walk::{Source, Walker, read_text};

pub use date::Date;
pub use walk::{MAX_FILE, MAX_FILES, MAX_TEXT, MAX_TOTAL};

/// A site, rendered.
#[derive(Debug, Default)]
pub struct Rendered {
    /// What is served, sorted by path.
    pub items: Vec<Item>,
    /// The page for paths that do not exist.
    pub not_found: Option<Item>,
    /// Paths that lead to others, sorted.
    pub redirects: Vec<Redirect>,
    /// What is wrong but does not keep the site from being served: links that lead nowhere.
    pub warnings: Vec<Problem>,
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

/// A path that leads to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The path, decoded.
    pub path: String,
    /// Where it leads, percent-encoded.
    pub location: String,
}

/// What the renderer may be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The time that everything is said to have changed last, in seconds since 1970. Without it,
    /// files have their own times, and pages that of the newest file they could depend on.
    pub modified: Option<u64>,
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
    let shown = folder.display().to_string();
    let mut walker = match Walker::new(folder) {
        Ok(_) if !folder.is_dir() => {
            let why = What::Unreadable("a site is a folder".to_owned());
            problems.push(Problem::new(shown, None, why));
            return None;
        }
        Ok(walker) => walker,
        Err(error) => {
            problems.push(Problem::io(shown, &error));
            return None;
        }
    };
    let content = if folder.join("content").is_dir() {
        walker.files("content", &[])
    } else {
        walker.files("", &[config::FILE, theme::FOLDER, "static"])
    };
    let templates = walker.files(theme::FOLDER, &[]);
    let fixed = walker.files("static", &[]);
    problems.append(&mut walker.problems);

    if content.is_empty() && fixed.is_empty() && problems.is_empty() {
        problems.push(Problem::new(shown, None, What::Empty));
        return None;
    }

    let (config, config_modified) = read_config(folder, problems);
    let newest = content
        .iter()
        .chain(&templates)
        .map(|source| source.modified);
    let newest = newest.chain([config_modified]).max().unwrap_or_default();
    let theme = Theme::new(read_templates(&templates, problems), problems);

    let (texts, files): (Vec<_>, Vec<_>) = content
        .into_iter()
        .partition(|source| is_markdown(&source.rel));
    let pages = pages::read(&texts, problems);
    let mut claims = Claims::default();
    pages.claim(&mut claims, problems);
    let files: Vec<_> = files.into_iter().chain(fixed).collect();
    for file in &files {
        claims.claim(&format!("/{}", file.rel), &file.name, problems);
    }
    let own_style = claims.has(theme::STYLE.0);

    let name = folder.canonicalize().ok();
    let name = name
        .as_deref()
        .and_then(Path::file_name)
        .unwrap_or_default();
    let renderer = pages::Renderer {
        config: &config,
        folder: &name.to_string_lossy(),
        theme: &theme,
        links: Links::new(&pages, files.iter().map(|file| file.rel.as_str())),
        modified: options.modified.unwrap_or(newest),
    };
    let mut out = renderer.render(&pages, problems);
    if !own_style {
        out.items.push(Item {
            path: theme::STYLE.0.to_owned(),
            media_type: media::of(theme::STYLE.0),
            rendered: false,
            modified: options.modified.unwrap_or(newest),
            body: theme::STYLE.1.into(),
        });
    }
    for file in files {
        match fs::read(&file.path) {
            Ok(body) => out.items.push(Item {
                path: format!("/{}", file.rel),
                media_type: media::of(&file.rel),
                rendered: false,
                modified: options.modified.unwrap_or(file.modified),
                body,
            }),
            Err(error) => problems.push(Problem::io(file.name, &error)),
        }
    }
    out.items.sort_by(|a, b| a.path.cmp(&b.path));
    out.redirects.retain(|redirect| !claims.has(&redirect.path));
    out.redirects.sort_by(|a, b| a.path.cmp(&b.path));
    out.warnings.sort();
    Some(out)
}

fn is_markdown(rel: &str) -> bool {
    let file = rel.rsplit('/').next().unwrap_or(rel);
    let extension = file.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|e| e.eq_ignore_ascii_case("md") || e.eq_ignore_ascii_case("markdown"))
}

fn read_config(folder: &Path, problems: &mut Vec<Problem>) -> (Config, u64) {
    let mut walker = match Walker::new(folder) {
        Ok(walker) => walker,
        Err(_) => return Default::default(),
    };
    let Some(source) = walker.file(config::FILE) else {
        problems.append(&mut walker.problems);
        return Default::default();
    };
    match read_text(&source).and_then(|text| Config::parse(&text)) {
        Ok(config) => (config, source.modified),
        Err(problem) => {
            problems.push(problem);
            Default::default()
        }
    }
}

fn read_templates(sources: &[Source], problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let mut templates = BTreeMap::new();
    for source in sources {
        match read_text(source) {
            Ok(text) => drop(templates.insert(source.rel.clone(), text)),
            Err(problem) => problems.push(problem),
        }
    }
    templates
}

/// Which file has which path.
#[derive(Default)]
pub(crate) struct Claims {
    taken: BTreeMap<String, String>,
}

impl Claims {
    /// Claims a path for a file, if it is one that can be served.
    pub(crate) fn claim(&mut self, path: &str, file: &str, problems: &mut Vec<Problem>) {
        if !www::pack::is_canonical(path) {
            let why = What::BadName("makes a path that is too long or not canonical");
            problems.push(Problem::new(file, None, why));
        }
        self.take(path, file, problems);
    }

    fn take(&mut self, path: &str, file: &str, problems: &mut Vec<Problem>) {
        if let Some(first) = self.taken.get(path) {
            let (path, first) = (path.to_owned(), first.clone());
            problems.push(Problem::new(
                file,
                None,
                What::DuplicatePath { path, first },
            ));
        } else {
            self.taken.insert(path.to_owned(), file.to_owned());
        }
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.taken.contains_key(path)
    }
}
