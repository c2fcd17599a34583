//! A volume, opened and walked once: its tree, and all that is wrong with it.

mod walk;

use std::fmt;
use std::io;
use std::path::Path;

use super::boot::{Boot, BootError, SLOT};
use super::image::Image;
use super::name;
use super::problem::{MAX_PROBLEMS, Problem};
use super::record::{Record, Stamp};
use super::table::{Run, Table, clusters_of};

/// An image whose boot sector and table have been read.
#[derive(Debug)]
pub struct Volume {
    pub(super) image: Image,
    /// Its layout.
    pub boot: Boot,
    /// The table that is in use.
    pub table: Table,
}

/// Why an image cannot be looked at.
#[derive(Debug)]
pub enum OpenError {
    /// The operating system would not read it.
    Io(io::Error),
    /// It holds no FAT volume.
    Boot(BootError),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Boot(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// A file or folder of a volume.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name; empty for the root.
    pub name: String,
    /// The number of the folder that it is in.
    pub parent: usize,
    /// What its slot says.
    pub record: Record,
    /// Its clusters, as far as they are its own, and no more than its size takes.
    pub runs: Vec<Run>,
    /// Of a folder: what is in it, in the order of its slots.
    pub children: Vec<usize>,
    /// Of a folder: the bytes that its entries take, up to the last one in use. Of a file: its size.
    pub size: u64,
    /// Whether a part of it cannot be read.
    pub broken: bool,
    /// The byte of the image at which its slot is.
    pub offset: u64,
    depth: usize,
}

impl Node {
    /// Whether it is a folder.
    pub fn is_directory(&self) -> bool {
        self.record.is_directory()
    }

    /// When it was last written.
    pub fn modified(&self) -> Stamp {
        self.record.modified
    }
}

/// What is in a volume.
#[derive(Debug)]
pub struct Tree {
    /// Files and folders; the first is the root.
    pub nodes: Vec<Node>,
    /// What is wrong, in the order of the volume: the first [`MAX_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many problems there are beyond these.
    pub more: usize,
    /// The label in the root directory.
    pub label: Option<[u8; 11]>,
}

impl Volume {
    /// Opens an image: a file or a block device.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::new(Image::open(path)?)
    }

    pub(super) fn new(image: Image) -> Result<Self, OpenError> {
        let head = image.read_vec(0, image.len().min(512) as usize)?;
        let boot = Boot::decode(&head, image.len()).map_err(OpenError::Boot)?;
        let copy = boot.active.unwrap_or(0);
        let bytes = image.read_vec(boot.table_at(copy), boot.table_len() as usize)?;
        let table = Table::decode(&boot, &bytes);
        Ok(Self { image, boot, table })
    }

    /// Bytes in the image, which may be more than the volume has.
    pub fn image_len(&self) -> u64 {
        self.image.len()
    }

    /// Walks through the whole volume.
    pub fn walk(&self) -> io::Result<Tree> {
        walk::walk(self)
    }

    /// The bytes of a directory: of the fixed root if it is `root`, of its clusters otherwise.
    pub(super) fn directory(&self, runs: &[Run]) -> io::Result<Vec<u8>> {
        if runs.is_empty() {
            let len = (self.boot.root_slots * SLOT) as usize;
            return self.image.read_vec(self.boot.root_at(), len);
        }
        let size = self.boot.cluster_size() as usize;
        let count: usize = runs.iter().map(|run| run.count as usize).sum();
        let mut bytes = vec![0; count * size];
        let mut rest = bytes.as_mut_slice();
        for run in runs {
            let (part, behind) = rest.split_at_mut(run.count as usize * size);
            self.image.read(self.boot.cluster_at(run.first), part)?;
            rest = behind;
        }
        Ok(bytes)
    }

    /// The bytes of a file, a part at a time.
    pub fn read(
        &self,
        node: &Node,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 20];
        let mut left = node.size;
        for run in &node.runs {
            let bytes = u64::from(run.count) * u64::from(self.boot.cluster_size());
            let bytes = bytes.min(left);
            left -= bytes;
            let mut done = 0;
            while done < bytes {
                let part = &mut buffer[..(bytes - done).min(1 << 20) as usize];
                self.image
                    .read(self.boot.cluster_at(run.first) + done, part)?;
                take(part)?;
                done += part.len() as u64;
            }
        }
        Ok(())
    }

    /// The byte of the image at which a directory's slot is.
    fn slot_at(&self, runs: &[Run], slot: usize) -> u64 {
        let mut bytes = slot as u64 * u64::from(SLOT);
        let size = u64::from(self.boot.cluster_size());
        for run in runs {
            let len = u64::from(run.count) * size;
            if bytes < len {
                return self.boot.cluster_at(run.first) + bytes;
            }
            bytes -= len;
        }
        self.boot.root_at() + bytes
    }

    /// The byte at which a cluster's entry is in the table.
    fn entry_at(&self, copy: u32, cluster: u32) -> u64 {
        self.boot.table_at(copy) + u64::from(cluster) * u64::from(self.boot.kind.bits()) / 8
    }
}

/// Why a path leads to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFound;

impl Tree {
    /// Finds a path: names as they are, else without a difference in case, else short names.
    pub fn find(&self, path: &str) -> Result<usize, NotFound> {
        let mut at = 0;
        for part in path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
        {
            let folded = name::fold(part);
            let children = &self.nodes[at].children;
            let by = |fits: &dyn Fn(&Node) -> bool| {
                children
                    .iter()
                    .copied()
                    .find(|child| fits(&self.nodes[*child]))
            };
            at = by(&|node| node.name == part)
                .or_else(|| by(&|node| name::fold(&node.name) == folded))
                .or_else(|| by(&|node| name::decode(&node.record.short, 0) == folded))
                .ok_or(NotFound)?;
        }
        Ok(at)
    }

    /// The path of a file or folder, to be shown: what a terminal or a path could take for
    /// something else is written as `\u{..}`.
    pub fn path(&self, mut at: usize) -> String {
        let mut names = Vec::new();
        while at != 0 {
            names.push(show(&self.nodes[at].name));
            at = self.nodes[at].parent;
        }
        names.reverse();
        format!("/{}", names.join("/"))
    }

    /// The same, but no longer than a line should be: the end of a long one.
    pub fn short_path(&self, at: usize) -> String {
        let path = self.path(at);
        match path.char_indices().rev().nth(MAX_SHOWN) {
            Some((start, _)) => format!("…{}", &path[start..]),
            None => path,
        }
    }

    fn push(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }
}

/// The most characters of a path in a problem.
const MAX_SHOWN: usize = 1024;

/// A name to be shown.
pub fn show(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_control() || c == '/' || c == '\\' {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// The signatures of an FSInfo sector, at 0, 484 and 508.
pub(super) const INFO: [u32; 3] = [0x4161_5252, 0x6141_7272, 0xaa55_0000];

/// The last cluster of a chain.
pub(super) fn last(runs: &[Run]) -> Option<u32> {
    clusters_of(runs).last()
}
