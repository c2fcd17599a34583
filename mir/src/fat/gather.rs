//! Files and folders of the host that are to be added, in an order of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::name::{self, NameError};

/// A file or folder to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where in the image it goes: its path's parts.
    pub path: Vec<String>,
    /// What it holds; nothing for a folder.
    pub source: Option<Source>,
    /// When it was last written, in seconds since 1970.
    pub modified: i64,
}

/// Where a file's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a file of so many bytes.
    File(PathBuf, u64),
    /// Here.
    Bytes(Vec<u8>),
}

impl Source {
    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        match self {
            Self::File(_, len) => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why files cannot be added.
#[derive(Debug)]
pub enum GatherError {
    /// The operating system would not read it.
    Io(PathBuf, io::Error),
    /// FAT cannot hold its name.
    Name(PathBuf, NameError),
    /// A path with `..` in it.
    Up(PathBuf),
    /// Longer than 4 GiB - 1.
    Large(PathBuf),
    /// A folder that a link leads back into.
    Loop(PathBuf),
    /// Two files for the same name, as FAT compares names.
    Same(PathBuf, PathBuf),
}

impl fmt::Display for GatherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Name(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Up(path) => {
                let path = path.display();
                write!(f, "{path}: where would .. be in the image? See -C and --to")
            }
            Self::Large(path) => write!(f, "{}: more than FAT's 4 GiB - 1", path.display()),
            Self::Loop(path) => write!(f, "{}: a link back to where it is", path.display()),
            Self::Same(one, two) => {
                let (one, two) = (one.display(), two.display());
                write!(
                    f,
                    "{one} and {two} would have the same name, in which FAT ignores case"
                )
            }
        }
    }
}

impl std::error::Error for GatherError {}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Files and folders, each folder before what is in it, sorted.
    pub items: Vec<Item>,
    /// What is neither file nor folder, and left out.
    pub skipped: Vec<PathBuf>,
}

/// Finds files and, in folders, all that is in them. `files` are paths below `from`; each keeps its
/// path below the folder `to` of the image.
pub fn gather(files: &[PathBuf], from: &Path, to: &[String]) -> Result<Found, GatherError> {
    let mut gather = Gather::default();
    for file in files {
        let mut path = to.to_vec();
        for part in file.components() {
            match part {
                Component::Normal(name) => path.push(text(file, name)?),
                Component::ParentDir => return Err(GatherError::Up(file.clone())),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        gather.add(&from.join(file), path, &mut Vec::new())?;
    }
    let items = gather.items.into_values().map(|(item, _)| item).collect();
    Ok(Found {
        items,
        skipped: gather.skipped,
    })
}

fn text(path: &Path, name: &std::ffi::OsStr) -> Result<String, GatherError> {
    let refused = |why| GatherError::Name(path.to_owned(), why);
    let name = name
        .to_str()
        .ok_or_else(|| refused(NameError::NotUnicode))?;
    name::check(name).map_err(refused)?;
    Ok(name.to_owned())
}

#[derive(Default)]
struct Gather {
    /// By path as FAT compares it.
    items: BTreeMap<Vec<String>, (Item, PathBuf)>,
    skipped: Vec<PathBuf>,
}

impl Gather {
    fn add(
        &mut self,
        file: &Path,
        path: Vec<String>,
        above: &mut Vec<PathBuf>,
    ) -> Result<(), GatherError> {
        let io = |error| GatherError::Io(file.to_owned(), error);
        let metadata = fs::metadata(file).map_err(io)?;
        let modified = metadata.modified().map_err(io)?;
        let modified = match modified.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_secs() as i64,
            Err(before) => -(before.duration().as_secs() as i64) - 1,
        };
        let source = if metadata.is_dir() {
            None
        } else if !metadata.is_file() {
            self.skipped.push(file.to_owned());
            return Ok(());
        } else if metadata.len() > u64::from(u32::MAX) {
            return Err(GatherError::Large(file.to_owned()));
        } else {
            Some(Source::File(file.to_owned(), metadata.len()))
        };
        let is_folder = source.is_none();
        // The root is there already.
        if !path.is_empty() {
            let item = Item {
                path: path.clone(),
                source,
                modified,
            };
            self.put(item, file)?;
        }
        if is_folder {
            let real = fs::canonicalize(file).map_err(io)?;
            if above.contains(&real) {
                return Err(GatherError::Loop(file.to_owned()));
            }
            above.push(real);
            for entry in fs::read_dir(file).map_err(io)? {
                let entry = entry.map_err(io)?;
                let mut path = path.clone();
                path.push(text(&entry.path(), &entry.file_name())?);
                self.add(&entry.path(), path, above)?;
            }
            above.pop();
        }
        Ok(())
    }

    fn put(&mut self, item: Item, file: &Path) -> Result<(), GatherError> {
        let folded = item.path.iter().map(|part| name::fold(part)).collect();
        if let Some((other, path)) = self.items.get(&folded) {
            let both_folders = other.source.is_none() && item.source.is_none();
            if other.path != item.path || !both_folders && other.source != item.source {
                return Err(GatherError::Same(path.clone(), file.to_owned()));
            }
        }
        self.items.insert(folded, (item, file.to_owned()));
        Ok(())
    }
}
