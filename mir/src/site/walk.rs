//! Finds the files of a folder, in the same order on every machine.
//!
//! Symbolic links are followed as long as they stay inside the site's folder, or the one that is
//! mounted; names that begin with a dot are passed over, but for `.well-known`.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::problem::{Problem, What};

/// The largest file that a site may hold.
pub const MAX_FILE: u64 = 1 << 30;
/// The largest text (page, template, configuration) that a site may hold.
pub const MAX_TEXT: u64 = 16 << 20;
/// The most that all files of a site may hold together.
pub const MAX_TOTAL: u64 = 4 << 30;
/// The most files that a site may have.
pub const MAX_FILES: usize = 1_000_000;
const MAX_DEPTH: usize = 64;

/// A file that was written this short a time ago may be written again without a sign of it: clocks of
/// file systems stand still for some milliseconds.
const RECENT: Duration = Duration::from_millis(50);

/// A file of the site.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Where it is for the operating system.
    pub(crate) path: PathBuf,
    /// The folder that it may not be outside of, without symbolic links.
    pub(crate) root: Arc<Path>,
    /// Its name for people, relative to the site's folder: `content/blog/a.md`.
    pub(crate) name: String,
    /// Its name within the site, without `content` and the like: `blog/a.md`.
    pub(crate) rel: String,
    /// As text, it is what is shown of the folder that it is in.
    pub(crate) index: bool,
    /// When it was last changed, in seconds since 1970.
    pub(crate) modified: u64,
    pub(crate) stamp: Stamp,
}

/// What tells a file from itself after it was written, and from another in its place.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    pub(crate) len: u64,
    modified: Option<SystemTime>,
    /// Device, inode, and when that was last changed, in seconds and nanoseconds.
    node: [u64; 4],
    /// It may have been written again with the same stamp.
    recent: bool,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        let (node, modified) = (node(meta), meta.modified().ok());
        let changed = Duration::new(node[2], u32::try_from(node[3]).unwrap_or(0));
        let now = SystemTime::now();
        let recent = |at: SystemTime| match now.duration_since(at) {
            Ok(past) => past < RECENT,
            Err(ahead) => ahead.duration() < RECENT,
        };
        Self {
            len: meta.len(),
            modified,
            node,
            recent: modified.is_none_or(recent) || recent(UNIX_EPOCH + changed),
        }
    }

    /// Whether the file with this stamp surely is what it was when it had the stamp `before`.
    pub(crate) fn is_still(&self, before: &Self) -> bool {
        let now = (self.len, self.modified, self.node);
        now == (before.len, before.modified, before.node) && !before.recent
    }
}

#[cfg(unix)]
fn node(meta: &Metadata) -> [u64; 4] {
    use std::os::unix::fs::MetadataExt;
    let seconds = u64::try_from(meta.ctime()).unwrap_or(0);
    let nanoseconds = u64::try_from(meta.ctime_nsec()).unwrap_or(0);
    [meta.dev(), meta.ino(), seconds.min(1 << 40), nanoseconds]
}

#[cfg(not(unix))]
fn node(_: &Metadata) -> [u64; 4] {
    [0; 4]
}

/// Walks the folders of one site.
pub(crate) struct Walker {
    root: Arc<Path>,
    files: usize,
    bytes: u64,
    /// The folders that files were found in or may come to be in.
    pub(crate) folders: BTreeSet<PathBuf>,
    pub(crate) problems: Vec<Problem>,
}

impl Walker {
    pub(crate) fn new(site: &Path) -> std::io::Result<Self> {
        let root = site.canonicalize()?;
        Ok(Self {
            root: root.as_path().into(),
            folders: BTreeSet::from([root]),
            files: 0,
            bytes: 0,
            problems: Vec::new(),
        })
    }

    /// The site's folder, without symbolic links.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// All files under the folder `name` of the site (`""` for the site's folder itself), but for
    /// the names in `but` at its top. A folder that is not there has no files.
    pub(crate) fn files(&mut self, name: &str, but: &[&str]) -> Vec<Source> {
        let mut found = Vec::new();
        let dir = self.root.join(name);
        if dir.exists() {
            let mut above = Vec::new();
            self.walk(&dir, name, "", but, &mut above, &mut found);
        }
        found.sort_by(|a, b| a.rel.cmp(&b.rel));
        found
    }

    /// All files under `folder`, which is called `name` and is shown at `rel`: as if they were the
    /// site's, but for links, which have to stay in that folder.
    pub(crate) fn mounted(
        &mut self,
        folder: &Path,
        name: &str,
        rel: &str,
    ) -> std::io::Result<Vec<Source>> {
        let root = folder.canonicalize()?;
        let site = std::mem::replace(&mut self.root, root.as_path().into());
        let mut found = Vec::new();
        self.walk(&root, name, rel, &[], &mut Vec::new(), &mut found);
        self.root = site;
        found.sort_by(|a, b| a.rel.cmp(&b.rel));
        Ok(found)
    }

    /// One file of the site's folder, if it is there.
    pub(crate) fn file(&mut self, name: &str) -> Option<Source> {
        let path = self.root.join(name);
        let mut found = Vec::new();
        if path.exists() {
            self.entry(&path, true, name, name, &mut Vec::new(), &mut found);
        }
        found.pop().filter(|source| source.name == name)
    }

    fn walk(
        &mut self,
        dir: &Path,
        name: &str,
        rel: &str,
        but: &[&str],
        above: &mut Vec<PathBuf>,
        found: &mut Vec<Source>,
    ) {
        let real = match self.inside(dir, name) {
            Some(real) => real,
            None => return,
        };
        let wrong = if above.contains(&real) {
            Some(What::BadLink("leads back into a folder that it is in"))
        } else {
            (above.len() >= MAX_DEPTH).then_some(What::TooDeep(MAX_DEPTH))
        };
        if let Some(why) = wrong {
            return self.problems.push(Problem::new(name, None, why));
        }
        let entries = match fs::read_dir(&real) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => return self.problems.push(Problem::io(name, &error)),
        };
        self.folders.insert(real.clone());
        above.push(real);
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.problems.push(Problem::io(name, &error));
                    continue;
                }
            };
            let file = entry.file_name();
            let Some(file) = file.to_str() else {
                let lossy = join(name, &file.to_string_lossy());
                let why = What::BadName("is not UTF-8");
                self.problems.push(Problem::new(lossy, None, why));
                continue;
            };
            if file.starts_with('.') && file != ".well-known" || but.contains(&file) {
                continue;
            }
            // What is in a folder of the site and is no link is in the site.
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let (name, rel) = (join(name, file), join(rel, file));
            self.entry(&entry.path(), is_link, &name, &rel, above, found);
        }
        above.pop();
    }

    fn entry(
        &mut self,
        path: &Path,
        is_link: bool,
        name: &str,
        rel: &str,
        above: &mut Vec<PathBuf>,
        found: &mut Vec<Source>,
    ) {
        if name.chars().any(char::is_control) {
            let why = What::BadName("holds a control character");
            return self
                .problems
                .push(Problem::new(name.escape_debug().to_string(), None, why));
        }
        let meta = match fs::metadata(path) {
            Ok(meta) => meta,
            // Somebody writes the folder, and has removed it since it was found.
            Err(error) if !is_link && error.kind() == ErrorKind::NotFound => return,
            Err(error) => return self.problems.push(Problem::io(name, &error)),
        };
        if meta.is_dir() {
            return self.walk(path, name, rel, &[], above, found);
        }
        if !meta.is_file() {
            return;
        }
        if is_link {
            match self.inside(path, name).as_deref().map(Path::parent) {
                Some(folder) => self.folders.extend(folder.map(Path::to_owned)),
                None => return,
            }
        }
        self.files += 1;
        self.bytes += meta.len();
        let too_large = if meta.len() > MAX_FILE {
            Some(("this file", MAX_FILE))
        } else if self.bytes > MAX_TOTAL || self.files > MAX_FILES {
            Some(("the site", MAX_TOTAL))
        } else {
            None
        };
        if let Some((what, limit)) = too_large {
            let why = What::TooLarge { what, limit };
            return self.problems.push(Problem::new(name, None, why));
        }
        let modified = meta.modified().ok();
        found.push(Source {
            path: path.to_owned(),
            root: self.root.clone(),
            name: name.to_owned(),
            rel: rel.to_owned(),
            index: stem(rel) == "index",
            modified: modified
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                .map_or(0, |since| since.as_secs()),
            stamp: Stamp::of(&meta),
        });
    }

    fn inside(&mut self, path: &Path, name: &str) -> Option<PathBuf> {
        let problem = match path.canonicalize() {
            Ok(real) if real.starts_with(&*self.root) => return Some(real),
            Ok(_) => Problem::new(name, None, What::BadLink("leads out of the site's folder")),
            // It led somewhere a moment ago.
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => Problem::io(name, &error),
        };
        self.problems.push(problem);
        None
    }
}

/// Opens a file that was found, unless something else has come in its place.
pub(crate) fn open(source: &Source) -> Result<File, Problem> {
    let failed = |error| Problem::io(&source.name, &error);
    let real = source.path.canonicalize().map_err(failed)?;
    if !real.starts_with(&*source.root) {
        let why = What::BadLink("leads out of the site's folder");
        return Err(Problem::new(&source.name, None, why));
    }
    if !fs::metadata(&real).map_err(failed)?.is_file() {
        let why = What::Unreadable("it is no file any more".to_owned());
        return Err(Problem::new(&source.name, None, why));
    }
    File::open(&real).map_err(failed)
}

/// Reads a file that was found, unless something else has come in its place.
pub(crate) fn read(source: &Source) -> Result<Vec<u8>, Problem> {
    let failed = |error| Problem::io(&source.name, &error);
    let mut bytes =
        Vec::with_capacity(usize::try_from(source.stamp.len.min(MAX_FILE)).unwrap_or(0));
    let file = open(source)?;
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    match bytes.len() as u64 {
        ..=MAX_FILE => Ok(bytes),
        _ => Err(too_large(source, "this file", MAX_FILE)),
    }
}

/// Reads a text of bounded size; says at which line it stops being UTF-8.
pub(crate) fn read_text(source: &Source) -> Result<String, Problem> {
    if source.stamp.len > MAX_TEXT {
        return Err(too_large(source, "this text", MAX_TEXT));
    }
    String::from_utf8(read(source)?).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        Problem::new(&source.name, line, What::NotUtf8)
    })
}

fn too_large(source: &Source, what: &'static str, limit: u64) -> Problem {
    Problem::new(&source.name, None, What::TooLarge { what, limit })
}

/// A file's name without its folders and what stands behind its last dot.
pub(crate) fn stem(rel: &str) -> &str {
    let file = rel.rsplit('/').next().unwrap_or(rel);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn join(folder: &str, file: &str) -> String {
    if folder.is_empty() {
        file.to_owned()
    } else {
        format!("{folder}/{file}")
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_since_it_was_found_is_not_there() {
        let site = tempfile::tempdir().unwrap();
        let mut walker = Walker::new(site.path()).unwrap();
        let (gone, link) = (walker.root().join("gone"), walker.root().join("link"));
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        let mut entry = |path: &Path, is_link, name: &str| {
            let mut found = Vec::new();
            walker.entry(path, is_link, name, name, &mut Vec::new(), &mut found);
            walker.walk(&gone, "gone", "", &[], &mut Vec::new(), &mut found);
            assert!(found.is_empty());
            walker.problems.len()
        };
        assert_eq!(entry(&gone, false, "gone"), 0);
        assert_eq!(entry(&link, true, "link"), 1);
    }
}
