//! The site's folder, an argument of several commands.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::given::configured;
use super::{Failed, here, note, report, tell};
use crate::config::file;
use crate::fat::command::source_date_epoch;
use crate::pack::{self, Cache};
use crate::site::{self, Options, Rendered};

/// A site's folder, rendered in some way.
#[derive(clap::Args)]
pub(super) struct Site {
    /// The site's folder [default: that of mir.toml]
    #[arg(long, value_name = "DIR")]
    site: Option<PathBuf>,
    #[command(flatten)]
    rendering: Rendering,
}

/// How a site is rendered.
#[derive(clap::Args)]
pub(super) struct Rendering {
    /// Keep compressed pages in this folder [default: mir-www in the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache_dir: Option<PathBuf>,
    /// Compress everything anew
    #[arg(long)]
    no_cache: bool,
    /// Take pages in that are marked as drafts
    #[arg(long)]
    drafts: bool,
    /// Only warn of links that lead nowhere
    #[arg(long)]
    lenient: bool,
}

/// How many broken links are shown; the rest are counted.
const SHOWN: usize = 20;

/// Whether there is a folder for the site.
pub(super) fn exists(site: &Path) -> Result<(), Failed> {
    if site.is_dir() {
        return Ok(());
    }
    let missing = Failed::say(format!("{}: there is no such folder", site.display()));
    Err(missing.help("--site DIR names the site's folder"))
}

/// Refuses to build into what is served.
pub(super) fn apart(site: &Path, dist: &Path) -> Result<(), Failed> {
    let straight = |path: &Path| file::straight(path).map_err(|error| here(&error));
    let (whole, place) = (straight(site)?, straight(dist)?);
    let Ok(below) = place.strip_prefix(whole) else {
        return Ok(());
    };
    let flat = !site.join("content").is_dir();
    let served = match below.components().next().map(|part| part.as_os_str()) {
        Some(part) if part == "content" || part == "static" => true,
        Some(part) => {
            let hidden = part.as_encoded_bytes().starts_with(b".");
            flat && part != "templates" && !hidden
        }
        None => flat,
    };
    if !served {
        return Ok(());
    }
    let why = "it lies in the site, so what is built would be served with it";
    let refused = Failed::usage(format!("--dist {}: {why}", dist.display()));
    Err(refused.help("--dist DIR names another folder; or put what is served into site/content"))
}

/// How long one waits without being told what for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Compresses, and says so if it takes long.
pub(super) fn compressing<T>(files: usize, work: impl FnOnce() -> T) -> T {
    let say = || {
        note(format_args!(
            "compressing {files} pages and files: it takes a while, once for each that has changed"
        ));
    };
    patiently(PATIENCE, say, work)
}

/// Works, and says something if it takes longer than that.
fn patiently<T>(patience: Duration, say: impl FnOnce() + Send, work: impl FnOnce() -> T) -> T {
    let (done, wait) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                say();
            }
        });
        let result = work();
        drop(done);
        result
    })
}

impl Site {
    pub(super) fn render(&self) -> Result<Rendered, Failed> {
        self.render_at(None)
    }

    /// As [`Rendering::render_at`].
    pub(super) fn render_at(&self, modified: Option<u64>) -> Result<Rendered, Failed> {
        let folder = match &self.site {
            Some(folder) => folder.clone(),
            None => configured()?.site(),
        };
        self.rendering.render_at(&folder, modified)
    }

    pub(super) fn pack(&self) -> Result<Vec<u8>, Failed> {
        let rendered = self.render()?;
        let cache = self.cache();
        let packed = compressing(rendered.items.len(), || pack::pack(rendered, &cache));
        packed.map_err(Failed::say)
    }

    pub(super) fn cache(&self) -> Cache {
        self.rendering.cache()
    }
}

impl Rendering {
    /// Renders a folder; all of it changed at SOURCE_DATE_EPOCH, without that at `modified`, without
    /// that when it did.
    pub(super) fn render_at(&self, site: &Path, modified: Option<u64>) -> Result<Rendered, Failed> {
        let modified = source_date_epoch().map_err(Failed::say)?.or(modified);
        exists(site)?;
        let rendered = site::render(
            site,
            Options {
                modified,
                drafts: self.drafts,
                lenient: self.lenient,
            },
        );
        let rendered = rendered.map_err(|problems| {
            problems.iter().for_each(tell);
            let (count, s) = (problems.len(), if problems.len() == 1 { "" } else { "s" });
            Failed::say(format!(
                "{}: {count} error{s}, nothing written",
                site.display()
            ))
        })?;
        for problem in rendered.warnings.iter().take(SHOWN) {
            tell(format_args!("warning: {problem}"));
        }
        if let Some(more) = rendered.warnings.len().checked_sub(SHOWN + 1) {
            tell(format_args!("warning: {} more broken links", more + 1));
        }
        rendered.notes.iter().for_each(note);
        let (shown, count) = (site.display(), rendered.items.len());
        report(format_args!("{shown}: {count} pages and files"))?;
        Ok(rendered)
    }

    pub(super) fn cache(&self) -> Cache {
        if self.no_cache {
            return Cache::none();
        }
        let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let users = || {
            folder("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(Path::new(&folder("HOME")?).join(".cache")))
                .map(|folder| folder.join("mir-www"))
        };
        match self.cache_dir.clone().or_else(users) {
            Some(folder) => Cache::new(&folder),
            None => Cache::none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_said_and_nothing_else() {
        let never = || unreachable!("it is done");
        assert_eq!(patiently(Duration::MAX, never, || 7), 7);
        let (tell, told) = mpsc::channel();
        let said = patiently(
            Duration::ZERO,
            move || assert!(tell.send(()).is_ok()),
            || told.recv().is_ok(),
        );
        assert!(said);
    }
}
