//! Changes of a volume: planned in memory, so that what does not fit is known before a byte is
//! written, then written to a copy beside the image, which takes the image's name.

mod folder;
mod save;

use std::fmt;
use std::io;

use super::boot::{Boot, Kind};
use super::gather::{Item, Source};
use super::name::{self, NameError};
use super::problem::Problem;
use super::record::{Record, Stamp, attributes};
use super::size;
use super::table::{Link, Run, Table, clusters_of, push};
use super::volume::Volume;
use folder::Folder;

pub use save::Progress;

/// A volume and the changes that are to be made.
#[derive(Debug)]
pub struct Editor {
    /// What is there already; `None` for a new volume.
    base: Option<Volume>,
    boot: Boot,
    table: Table,
    folders: Vec<Folder>,
    jobs: Vec<Job>,
    /// No cluster below this one is free.
    hint: u32,
    /// Clusters that are free now, and were or became so.
    free: u64,
    was_free: u64,
    /// Clusters that were asked for.
    wanted: u64,
    times: Times,
    serial: Serial,
    /// The length of a new image is a multiple of this.
    unit: u64,
}

/// When files are said to have been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// When they were.
    Real,
    /// All at the same time.
    Fixed(Stamp),
}

impl Times {
    fn of(self, seconds: i64) -> Stamp {
        match self {
            Self::Real => Stamp::from_unix(seconds),
            Self::Fixed(stamp) => stamp,
        }
    }
}

/// The volume's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serial {
    /// As it is.
    Keep,
    /// This one.
    Set(u32),
    /// From the old one and from what is added: the same for the same.
    Content,
}

/// Bytes for clusters.
#[derive(Debug)]
struct Job {
    path: String,
    source: Source,
    runs: Vec<Run>,
    stamp: Stamp,
}

/// Why a change is not made.
#[derive(Debug)]
pub enum EditError {
    /// The operating system would not read or write it.
    Io(io::Error),
    /// A file to be added could not be read.
    Source(String, io::Error),
    /// It changed while it was read.
    Changed(String),
    /// The volume is damaged: how many problems, the first one.
    Damaged(usize, Box<Problem>),
    /// It does not fit: bytes that are needed and that are free.
    Space {
        /// Bytes in clusters that the change takes.
        needs: u64,
        /// Bytes in free clusters.
        free: u64,
    },
    /// A folder of fixed size, the root of FAT12 and FAT16, is full.
    RootFull {
        /// Slots that the new name takes.
        needs: usize,
        /// Slots in the root directory.
        slots: usize,
    },
    /// A folder has as many entries as one may have.
    FolderFull(String),
    /// Nothing has this path.
    NotFound(String),
    /// There is something already.
    Exists(String),
    /// A file where a folder is wanted.
    NotFolder(String),
    /// A folder where a file is wanted.
    IsFolder(String),
    /// A folder that is not empty.
    NotEmpty(String),
    /// The root cannot be removed.
    Root,
    /// FAT cannot hold the name.
    Name(String, NameError),
    /// Images are written beside themselves and renamed, which devices cannot be.
    NotFile,
}

impl From<io::Error> for EditError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Source(path, error) => write!(f, "{path}: {error}"),
            Self::Changed(path) => write!(f, "{path}: changed while it was read"),
            Self::Damaged(1, first) => write!(f, "not changed, since it is damaged: {first}"),
            Self::Damaged(count, first) => write!(
                f,
                "not changed, since it is damaged: {first} (and {} more; see check)",
                count - 1
            ),
            Self::Space { needs, free } => write!(
                f,
                "no space: {needs} bytes ({}) are needed, {free} ({}) are free",
                size::say(*needs),
                size::say(*free)
            ),
            Self::RootFull { needs, slots } => write!(
                f,
                "the root directory is full: of its {slots} entries fewer than {needs} in a row \
                 are free, and on FAT12 and FAT16 it cannot grow"
            ),
            Self::FolderFull(path) => write!(f, "{path}: a folder has 65,536 entries at most"),
            Self::NotFound(path) => write!(f, "{path}: not found"),
            Self::Exists(path) => write!(f, "{path}: exists"),
            Self::NotFolder(path) => write!(f, "{path}: a file, not a folder"),
            Self::IsFolder(path) => write!(f, "{path}: a folder"),
            Self::NotEmpty(path) => write!(f, "{path}: a folder that is not empty"),
            Self::Root => write!(f, "/: the root cannot be removed"),
            Self::Name(path, why) => write!(f, "{path}: {why}"),
            Self::NotFile => write!(
                f,
                "not a file: images are written whole and renamed; write one to a file, then copy \
                 it here"
            ),
        }
    }
}

impl std::error::Error for EditError {}

impl Editor {
    /// An editor for an image that is there, unless it is damaged.
    pub fn open(volume: Volume, times: Times) -> Result<Self, EditError> {
        if !volume.image.file().metadata()?.is_file() {
            return Err(EditError::NotFile);
        }
        let mut problems = volume.walk()?.problems;
        problems.retain(|problem| !problem.what.is_mended());
        if let Some(first) = problems.first() {
            let first = Box::new(first.clone());
            return Err(EditError::Damaged(problems.len(), first));
        }
        let (boot, table) = (volume.boot.clone(), volume.table.clone());
        let runs = chain(&table, boot.root_cluster);
        let bytes = volume.directory(&runs)?;
        let root = Folder::read("/".to_owned(), runs, bytes, boot.kind == Kind::Fat32);
        let free = table.free().into();
        Ok(Self {
            base: Some(volume),
            folders: vec![root],
            ..Self::empty(boot, table, free, times)
        })
    }

    /// One that plans nothing as yet, without a root.
    fn empty(boot: Boot, table: Table, free: u64, times: Times) -> Self {
        Self {
            base: None,
            boot,
            table,
            folders: Vec::new(),
            jobs: Vec::new(),
            hint: 2,
            free,
            was_free: free,
            wanted: 0,
            times,
            serial: Serial::Keep,
            unit: 1,
        }
    }

    /// An editor for a new volume; `now` in seconds since 1970.
    pub fn create(boot: Boot, times: Times, now: i64) -> Self {
        let free = boot.clusters.into();
        let wide = boot.kind == Kind::Fat32;
        let table = Table::new(&boot);
        let mut new = Self::empty(boot, table, free, times);
        let len = match wide {
            true => new.boot.cluster_size(),
            false => new.boot.root_slots * super::boot::SLOT,
        };
        let runs = if wide { new.allocate(1) } else { Vec::new() };
        let mut root = Folder::read("/".to_owned(), runs, vec![0; len as usize], wide);
        if let Some(label) = new
            .boot
            .label
            .filter(|label| label != super::boot::NO_LABEL)
        {
            let modified = times.of(now);
            root.append(&Record {
                short: label,
                attributes: attributes::LABEL,
                lower: 0,
                modified,
                cluster: 0,
                size: 0,
            });
        }
        root.dirty = true;
        new.folders.push(root);
        new
    }

    /// What the volume's number is to be.
    pub fn set_serial(&mut self, serial: Serial) {
        self.serial = serial;
    }

    /// Makes a new image longer than its volume, up to a multiple of `bytes`.
    pub fn set_unit(&mut self, bytes: u64) {
        self.unit = bytes.max(1);
    }

    /// Bytes in the image that [`Editor::save`] writes.
    pub fn image_len(&self) -> u64 {
        match &self.base {
            Some(volume) => volume.image.len(),
            None => self.boot.len().next_multiple_of(self.unit),
        }
    }

    /// Bytes in clusters that are free now.
    pub fn free(&self) -> u64 {
        self.free * u64::from(self.boot.cluster_size())
    }

    /// The layout.
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// Adds files and folders, each folder before what is in it. A file that is there is replaced,
    /// a folder that is there stays and gets more.
    pub fn add(&mut self, items: Vec<Item>) -> Result<(), EditError> {
        // What is replaced makes room first.
        for item in &items {
            self.make_room(item)?;
        }
        for item in items {
            let stamp = self.times.of(item.modified);
            let Some((last, above)) = item.path.split_last() else {
                continue;
            };
            let folder = self.make_folders(above, stamp)?;
            match item.source {
                None => drop(self.make_folder(folder, last, stamp)?),
                Some(source) => self.make_file(folder, last, source, stamp)?,
            }
        }
        Ok(())
    }

    /// Makes a folder: with those above it, and without complaint if it is there, if `parents`.
    pub fn mkdir(&mut self, path: &str, parents: bool) -> Result<(), EditError> {
        let stamp = self.times.of(now());
        let parts = parts(path);
        if parents {
            return self.make_folders(&parts, stamp).map(|_| ());
        }
        let exists = || EditError::Exists(absolute(path));
        let (last, above) = parts.split_last().ok_or_else(exists)?;
        let mut folder = 0;
        for (at, part) in above.iter().enumerate() {
            let shown = || format!("/{}", above[..=at].join("/"));
            let entry = self.folders[folder].find(part);
            let entry = entry.ok_or_else(|| EditError::NotFound(shown()))?;
            folder = self.enter(folder, entry)?;
        }
        if self.folders[folder].find(last).is_some() {
            return Err(exists());
        }
        self.make_folder(folder, last, stamp).map(|_| ())
    }

    /// Removes a file or folder: one that is not empty only if `recursive`.
    pub fn remove(&mut self, path: &str, recursive: bool) -> Result<(), EditError> {
        let parts = parts(path);
        let (last, above) = parts.split_last().ok_or(EditError::Root)?;
        let not_found = || EditError::NotFound(absolute(path));
        let mut folder = 0;
        for part in above {
            let entry = self.folders[folder].find(part).ok_or_else(not_found)?;
            folder = self.enter(folder, entry)?;
        }
        let entry = self.folders[folder].find(last).ok_or_else(not_found)?;
        if self.folders[folder].entry(entry).record.is_directory() {
            let inner = self.enter(folder, entry)?;
            if !self.folders[inner].is_empty() && !recursive {
                return Err(EditError::NotEmpty(absolute(path)));
            }
            // Bounded: the volume was walked when it was opened.
            let mut stack = vec![inner];
            while let Some(at) = stack.pop() {
                for entry in self.folders[at].all() {
                    match self.folders[at].entry(entry).record.is_directory() {
                        true => stack.push(self.enter(at, entry)?),
                        false => self.release(self.folders[at].entry(entry).record.cluster),
                    }
                }
                let start = self.folders[at].start();
                self.release(start);
                self.folders[at].dirty = false;
                self.folders[at].runs.clear();
            }
        } else {
            self.release(self.folders[folder].entry(entry).record.cluster);
        }
        self.folders[folder].remove(entry);
        Ok(())
    }

    /// Frees the clusters of a file that is to be replaced, and refuses what cannot be.
    fn make_room(&mut self, item: &Item) -> Result<(), EditError> {
        let mut folder = 0;
        for (at, part) in item.path.iter().enumerate() {
            let shown = || format!("/{}", item.path[..=at].join("/"));
            let Some(entry) = self.folders[folder].find(part) else {
                return Ok(());
            };
            let is_folder = self.folders[folder].entry(entry).record.is_directory();
            let last = at + 1 == item.path.len();
            match (is_folder, last && item.source.is_some()) {
                (true, true) => return Err(EditError::IsFolder(shown())),
                (false, false) => return Err(EditError::NotFolder(shown())),
                (true, false) => folder = self.enter(folder, entry)?,
                (false, true) => {
                    self.release(self.folders[folder].entry(entry).record.cluster);
                    self.folders[folder].update(entry, |record| record.cluster = 0);
                }
            }
        }
        Ok(())
    }

    fn make_folders(&mut self, path: &[String], stamp: Stamp) -> Result<usize, EditError> {
        let mut folder = 0;
        for part in path {
            folder = self.make_folder(folder, part, stamp)?;
        }
        Ok(folder)
    }

    /// The folder in `parent` with this name, made if it is not there.
    fn make_folder(&mut self, parent: usize, name: &str, stamp: Stamp) -> Result<usize, EditError> {
        if let Some(entry) = self.folders[parent].find(name) {
            return self.enter(parent, entry);
        }
        let path = self.folders[parent].path_of(name);
        name::check(name).map_err(|why| EditError::Name(path.clone(), why))?;
        let runs = self.allocate(1);
        let record = Record {
            short: [0; 11],
            attributes: attributes::DIRECTORY,
            lower: 0,
            modified: stamp,
            cluster: runs.first().map_or(0, |run| run.first),
            size: 0,
        };
        let entry = self.enlist(parent, name, record)?;
        let up = if parent == 0 {
            0
        } else {
            self.folders[parent].start()
        };
        let len = self.boot.cluster_size() as usize;
        let folder = Folder::new(path, runs, len, up, stamp);
        Ok(self.put_folder(parent, entry, folder))
    }

    fn make_file(
        &mut self,
        folder: usize,
        name: &str,
        source: Source,
        stamp: Stamp,
    ) -> Result<(), EditError> {
        let path = self.folders[folder].path_of(name);
        name::check(name).map_err(|why| EditError::Name(path.clone(), why))?;
        let runs = self.allocate(self.boot.clusters_for(source.len()));
        let cluster = runs.first().map_or(0, |run| run.first);
        let size = source.len() as u32;
        let old = self.folders[folder].find(name);
        match old.filter(|entry| self.folders[folder].entry(*entry).name == name) {
            Some(entry) => self.folders[folder].update(entry, |record| {
                record.attributes |= attributes::ARCHIVE;
                (record.cluster, record.size, record.modified) = (cluster, size, stamp);
            }),
            None => {
                // It differs in case: the new name is the one to keep.
                if let Some(entry) = old {
                    self.folders[folder].remove(entry);
                }
                let record = Record {
                    short: [0; 11],
                    attributes: attributes::ARCHIVE,
                    lower: 0,
                    modified: stamp,
                    cluster,
                    size,
                };
                self.enlist(folder, name, record)?;
            }
        }
        self.jobs.push(Job {
            path,
            source,
            runs,
            stamp,
        });
        Ok(())
    }

    /// Puts a new entry into a folder, which grows if it must.
    fn enlist(&mut self, at: usize, name: &str, record: Record) -> Result<usize, EditError> {
        let (first, slots) = self.folders[at].prepare(name, record);
        let missing = (first + slots.len()).saturating_sub(self.folders[at].slots());
        if missing > 0 {
            let path = self.folders[at].path.clone();
            if at == 0 && self.boot.kind != Kind::Fat32 {
                let (needs, slots) = (slots.len(), self.folders[at].slots());
                return Err(EditError::RootFull { needs, slots });
            }
            if first + slots.len() > super::problem::MAX_SLOTS {
                return Err(EditError::FolderFull(path));
            }
            let bytes = missing as u64 * u64::from(super::boot::SLOT);
            let clusters = self.boot.clusters_for(bytes);
            let more = self.allocate(clusters);
            if let (Some(last), Some(next)) =
                (super::volume::last(&self.folders[at].runs), more.first())
            {
                self.table.set(last, Link::Next(next.first));
            }
            let bytes = clusters as usize * self.boot.cluster_size() as usize;
            self.folders[at].grow(&more, bytes);
        }
        Ok(self.folders[at].insert(name, first, slots))
    }

    /// The folder that an entry leads to.
    fn enter(&mut self, parent: usize, entry: usize) -> Result<usize, EditError> {
        if let Some(folder) = self.folders[parent].inner.get(&entry) {
            return Ok(*folder);
        }
        let found = self.folders[parent].entry(entry);
        let path = self.folders[parent].path_of(&found.name);
        if !found.record.is_directory() {
            return Err(EditError::NotFolder(path));
        }
        let runs = chain(&self.table, found.record.cluster);
        // A folder that is not in memory was there before, so the volume was, too.
        let bytes = match &self.base {
            Some(volume) => volume.directory(&runs)?,
            None => Vec::new(),
        };
        let folder = Folder::read(path, runs, bytes, self.boot.kind == Kind::Fat32);
        Ok(self.put_folder(parent, entry, folder))
    }

    fn put_folder(&mut self, parent: usize, entry: usize, folder: Folder) -> usize {
        let at = self.folders.len();
        self.folders.push(folder);
        self.folders[parent].inner.insert(entry, at);
        at
    }

    /// Takes clusters: in one run if there is one, else the lowest ones. What is not there is
    /// counted, and [`Editor::save`] refuses.
    fn allocate(&mut self, count: u64) -> Vec<Run> {
        self.wanted += count;
        if count == 0 || count > self.free {
            return Vec::new();
        }
        self.free -= count;
        let end = self.table.clusters().end;
        let is_free = |table: &Table, at: u32| table.link(at) == Link::Free;
        while self.hint < end && !is_free(&self.table, self.hint) {
            self.hint += 1;
        }
        let count = count as u32;
        let mut runs = Vec::new();
        let mut at = self.hint;
        while at < end {
            let first = at;
            while at < end && at - first < count && is_free(&self.table, at) {
                at += 1;
            }
            if at - first == count {
                runs.push(Run { first, count });
                break;
            }
            at += 1;
        }
        if runs.is_empty() {
            let free = (self.hint..end).filter(|at| is_free(&self.table, *at));
            free.take(count as usize).for_each(|at| push(&mut runs, at));
        }
        let mut before = None;
        for at in clusters_of(&runs) {
            if let Some(before) = before {
                self.table.set(before, Link::Next(at));
            }
            self.table.set(at, Link::End);
            before = Some(at);
        }
        runs
    }

    /// Gives a chain's clusters back.
    fn release(&mut self, start: u32) {
        for cluster in clusters_of(&chain(&self.table, start)) {
            self.table.set(cluster, Link::Free);
            self.hint = self.hint.min(cluster);
            self.free += 1;
            self.was_free += 1;
        }
    }
}

/// The clusters of a chain in a table that has been checked; those before it goes wrong in one that
/// has not.
fn chain(table: &Table, start: u32) -> Vec<Run> {
    let (mut runs, mut at) = (Vec::new(), start);
    let mut left = table.clusters().len();
    while table.exists(at) && left > 0 && table.link(at) != Link::Free {
        push(&mut runs, at);
        left -= 1;
        match table.link(at) {
            Link::Next(next) => at = next,
            _ => break,
        }
    }
    runs
}

/// The parts of a path in an image.
pub fn parts(path: &str) -> Vec<String> {
    let parts = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".");
    parts.map(str::to_owned).collect()
}

fn absolute(path: &str) -> String {
    format!("/{}", parts(path).join("/"))
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as i64)
}
