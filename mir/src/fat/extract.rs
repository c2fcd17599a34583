//! Files of an image, written to a folder of the host and nowhere else.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tempfile::NamedTempFile;

use super::edit::Progress;
use super::volume::{Node, Tree, Volume};

/// Why a file was not extracted.
#[derive(Debug)]
pub enum ExtractError {
    /// The operating system would not write it.
    Io(PathBuf, io::Error),
    /// Its name is no file's name here, or would lead elsewhere.
    Name,
    /// There is something else: a link, a file where a folder should be, or the reverse.
    InTheWay(PathBuf),
    /// A part of it cannot be read.
    Broken,
    /// Two of the same name.
    Twice,
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Name => write!(f, "left out: its name is none that a file here can have"),
            Self::InTheWay(path) => write!(f, "left out: {} is in the way", path.display()),
            Self::Broken => write!(f, "left out: the image is damaged there, see check"),
            Self::Twice => write!(f, "left out: another has the same name"),
        }
    }
}

impl std::error::Error for ExtractError {}

/// Writes a file or folder, and all that is in it, to the folder `to`, which is made if it is not
/// there; of the root what is in it. What cannot be written is told, with its path, and left out.
pub fn extract(
    volume: &Volume,
    tree: &Tree,
    at: usize,
    to: &Path,
    tell: &mut dyn FnMut(Progress),
) -> Vec<(String, ExtractError)> {
    let mut failed = Vec::new();
    if let Err(error) = fs::create_dir_all(to) {
        return vec![(tree.path(at), ExtractError::Io(to.to_owned(), error))];
    }
    let mut stack: Vec<(usize, PathBuf)> = Vec::new();
    let nodes = &tree.nodes;
    let push = |stack: &mut Vec<_>, list: &[usize], folder: &Path, failed: &mut Vec<_>| {
        let mut names = std::collections::HashSet::new();
        for child in list {
            let name = &nodes[*child].name;
            let why = if !is_safe(name) {
                ExtractError::Name
            } else if !names.insert(name.clone()) {
                ExtractError::Twice
            } else {
                stack.push((*child, folder.join(name)));
                continue;
            };
            failed.push((tree.path(*child), why));
        }
    };
    let first = if at == 0 {
        nodes[0].children.clone()
    } else {
        vec![at]
    };
    push(&mut stack, &first, to, &mut failed);
    let mut progress = Progress {
        done: 0,
        all: total(tree, &first),
    };
    let mut folders = Vec::new();
    while let Some((node, path)) = stack.pop() {
        let file = &nodes[node];
        let done = if file.is_directory() {
            make_folder(&path).map(|()| {
                push(&mut stack, &file.children, &path, &mut failed);
                folders.push((node, path));
            })
        } else if file.broken {
            Err(ExtractError::Broken)
        } else {
            write_file(volume, file, &path, &mut |bytes| {
                progress.done += bytes;
                tell(progress);
            })
        };
        if let Err(error) = done {
            failed.push((tree.path(node), error));
        }
        if file.is_directory() && file.broken {
            failed.push((tree.path(node), ExtractError::Broken));
        }
    }
    // Last, since files that are put into a folder change its time.
    for (node, path) in folders.iter().rev() {
        if let (Ok(folder), Some(time)) = (fs::File::open(path), time(&nodes[*node])) {
            let _ = folder.set_modified(time);
        }
    }
    failed
}

/// Whether a name leads to a file in the folder that it is joined to, on any system.
fn is_safe(name: &str) -> bool {
    super::name::check(name).is_ok()
}

fn total(tree: &Tree, first: &[usize]) -> u64 {
    let (mut all, mut stack) = (0, first.to_vec());
    while let Some(at) = stack.pop() {
        let node = &tree.nodes[at];
        stack.extend(&node.children);
        all += if node.is_directory() { 0 } else { node.size };
    }
    all
}

fn make_folder(path: &Path) -> Result<(), ExtractError> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => Ok(()),
        Ok(_) => Err(ExtractError::InTheWay(path.to_owned())),
        Err(_) => fs::create_dir(path).map_err(|e| ExtractError::Io(path.to_owned(), e)),
    }
}

fn write_file(
    volume: &Volume,
    node: &Node,
    path: &Path,
    step: &mut dyn FnMut(u64),
) -> Result<(), ExtractError> {
    if fs::symlink_metadata(path).is_ok_and(|there| there.is_dir()) {
        return Err(ExtractError::InTheWay(path.to_owned()));
    }
    let failed = |error| ExtractError::Io(path.to_owned(), error);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
    let copied = volume.read(node, |bytes| {
        step(bytes.len() as u64);
        file.write_all(bytes)
    });
    copied.map_err(failed)?;
    if let Some(time) = time(node) {
        file.as_file().set_modified(time).map_err(failed)?;
    }
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(mode).map_err(failed)?;
    }
    // Takes a link's place instead of following it.
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn time(node: &Node) -> Option<std::time::SystemTime> {
    let seconds = node.modified().unix()?;
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}
