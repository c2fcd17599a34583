//! The index: every file and directory of a volume, compactly.
//!
//! The entries of a directory stand side by side, sorted, so that a path is found by a binary
//! search for each of its names, and nothing but the names themselves is needed for it.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use super::chain::Extent;
use super::{Fault, MountError, dir};

/// Problems that are kept; more are counted.
const MAX_PROBLEMS: usize = 1000;

/// The root directory.
pub(super) const ROOT: u32 = 0;

/// A file or a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Where the name is.
    pub(super) name: u32,
    /// The directory that it is in.
    pub(super) parent: u32,
    /// Where its extents are, or its entries.
    pub(super) start: u32,
    /// How many of these it has.
    pub(super) count: u32,
    /// Bytes in a file. The first cluster of a directory.
    pub(super) size: u32,
    /// Date and time, as FAT has them.
    pub(super) stamp: u32,
    /// Bytes in the name.
    pub(super) name_len: u16,
    pub(super) depth: u8,
    pub(super) kind: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    File,
    BrokenFile,
    Directory,
    /// There is or may be more in it than is known.
    BrokenDirectory,
}

#[derive(Clone, Copy, Debug)]
struct Note {
    node: u32,
    fault: Fault,
    at: Option<u64>,
}

#[derive(Default)]
pub(super) struct Index {
    pub(super) names: Vec<u8>,
    pub(super) nodes: Vec<Node>,
    pub(super) extents: Vec<Extent>,
    notes: Vec<Note>,
    unlisted: usize,
}

impl Index {
    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.names.capacity()
            + self.nodes.capacity() * size_of::<Node>()
            + self.extents.capacity() * size_of::<Extent>()
            + self.notes.capacity() * size_of::<Note>()
    }

    pub(super) fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)
    }

    /// Lists what is wrong with an entry, and marks it.
    pub(super) fn note(&mut self, node: u32, fault: Fault, at: Option<u64>, left: &mut usize) {
        if !fault.is_harmless()
            && let Some(node) = self.nodes.get_mut(node as usize)
        {
            node.kind = match node.kind {
                What::File | What::BrokenFile => What::BrokenFile,
                What::Directory | What::BrokenDirectory => What::BrokenDirectory,
            };
        }
        if self.notes.len() < MAX_PROBLEMS && room(&mut self.notes, 1, left).is_ok() {
            self.notes.push(Note { node, fault, at });
        } else {
            self.unlisted += 1;
        }
    }

    pub(super) fn unlisted(&self) -> usize {
        self.unlisted
    }

    pub(super) fn problems(&self) -> impl ExactSizeIterator<Item = super::Problem<'_>> {
        self.notes.iter().map(|note| super::Problem {
            entry: Entry {
                index: self,
                number: note.node,
            },
            fault: note.fault,
            at: note.at,
        })
    }

    fn name(&self, node: &Node) -> &[u8] {
        let start = node.name as usize;
        self.names
            .get(start..start + usize::from(node.name_len))
            .unwrap_or(&[])
    }

    fn children(&self, node: &Node) -> &[Node] {
        let start = node.start as usize;
        match node.kind {
            What::File | What::BrokenFile => &[],
            _ => self
                .nodes
                .get(start..start + node.count as usize)
                .unwrap_or(&[]),
        }
    }

    /// Sorts the entries of a directory, which are the last ones.
    pub(super) fn sort(&mut self, from: usize) {
        let names = &self.names;
        let name = |node: &Node| {
            let start = node.name as usize;
            names
                .get(start..start + usize::from(node.name_len))
                .unwrap_or(&[])
        };
        let less = |a: &Node, b: &Node| {
            let order = fold(name(a), name(b))
                .then_with(|| name(a).cmp(name(b)))
                // Of two equal names the first one is meant, as everywhere.
                .then(a.name.cmp(&b.name));
            order == Ordering::Less
        };
        if let Some(nodes) = self.nodes.get_mut(from..) {
            sort(nodes, less);
        }
    }

    /// The entry of this name, or else one that differs from it by case alone.
    fn child(&self, node: &Node, name: &[u8]) -> Option<u32> {
        let children = self.children(node);
        let start =
            children.partition_point(|child| fold(self.name(child), name) == Ordering::Less);
        let mut found = None;
        for (at, child) in children.iter().enumerate().skip(start) {
            let there = self.name(child);
            if there == name {
                found = Some(at);
                break;
            }
            if fold(there, name) != Ordering::Equal {
                break;
            }
            found = found.or(Some(at));
        }
        Some(node.start + found? as u32)
    }

    pub(super) fn find(&self, path: &[u8]) -> Option<Entry<'_>> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let mut number = ROOT;
        for name in path.split(|byte| *byte == b'/') {
            if path.is_empty() {
                break;
            }
            let node = self.node(number)?;
            match self.child(node, name) {
                Some(child) => number = child,
                None if node.kind == What::BrokenDirectory => break,
                None => return None,
            }
        }
        Some(Entry {
            index: self,
            number,
        })
    }

    pub(super) fn entries(&self) -> Entries<'_> {
        Entries {
            index: self,
            numbers: 1..self.nodes.len() as u32,
        }
    }
}

/// Names without regard to the case of ASCII letters.
fn fold(a: &[u8], b: &[u8]) -> Ordering {
    let lower = |byte: &u8| byte.to_ascii_lowercase();
    a.iter().map(lower).cmp(b.iter().map(lower))
}

/// Heap sort. It takes a tenth of the code of `sort_unstable_by`, which is 15 KiB in the guest.
pub(in crate::fat) fn sort<T>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let sift = |items: &mut [T], mut at: usize| {
        loop {
            let mut child = 2 * at + 1;
            if child + 1 < items.len() && less(&items[child], &items[child + 1]) {
                child += 1;
            }
            if child >= items.len() || !less(&items[at], &items[child]) {
                return;
            }
            items.swap(at, child);
            at = child;
        }
    };
    let half = items.len() / 2;
    for step in (0..items.len() + half).rev() {
        if step >= items.len() {
            sift(items, step - items.len());
        } else {
            items.swap(0, step);
            sift(&mut items[..step], 0);
        }
    }
}

/// Makes room for `more` items, and takes what that costs out of `left`.
pub(super) fn room<T>(vec: &mut Vec<T>, more: usize, left: &mut usize) -> Result<(), MountError> {
    if vec.capacity() - vec.len() >= more {
        return Ok(());
    }
    let Some(wanted) = wanted(vec.len(), vec.capacity(), more, size_of::<T>(), *left) else {
        return Err(MountError::TooLarge);
    };
    let had = vec.capacity();
    vec.try_reserve_exact(wanted - vec.len())
        .map_err(|_| MountError::OutOfMemory)?;
    *left = left.saturating_sub((vec.capacity() - had) * size_of::<T>());
    Ok(())
}

/// The capacity that a list is to have: more than it needs, if it can be.
fn wanted(len: usize, had: usize, more: usize, size: usize, left: usize) -> Option<usize> {
    let needed = len.checked_add(more)?;
    let generous = needed.max(had + had / 2).max(16);
    let fits = |wanted: &usize| (wanted - had).saturating_mul(size) <= left;
    [generous, needed].into_iter().find(fits)
}

/// A file or a directory of a volume.
#[derive(Clone, Copy)]
pub struct Entry<'v> {
    index: &'v Index,
    number: u32,
}

impl<'v> Entry<'v> {
    fn node(&self) -> &'v Node {
        // An entry is made of nothing but numbers of the index.
        &self.index.nodes[self.number as usize]
    }

    /// Its name; the root has an empty one.
    pub fn name(&self) -> &'v str {
        core::str::from_utf8(self.index.name(self.node())).unwrap_or("")
    }

    /// Its whole path, which begins with a slash and has none at its end. The root's is empty.
    pub fn path(&self) -> Path<'v> {
        Path(*self)
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.node().kind, What::Directory | What::BrokenDirectory)
    }

    /// Whether it is a file that cannot be read, or a directory of which not all is known.
    pub fn is_broken(&self) -> bool {
        matches!(self.node().kind, What::BrokenFile | What::BrokenDirectory)
    }

    /// The file that it is, unless it is a directory.
    pub fn file(&self) -> Option<File> {
        let node = self.node();
        (!self.is_dir()).then(|| File {
            number: self.number,
            size: node.size,
            stamp: node.stamp,
            broken: node.kind == What::BrokenFile,
        })
    }

    /// What is in a directory, sorted by name without regard to the case of ASCII letters.
    pub fn children(&self) -> Entries<'v> {
        let node = self.node();
        let count = if self.is_dir() { node.count } else { 0 };
        Entries {
            index: self.index,
            numbers: node.start..node.start + count,
        }
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({:?}, {:?})", self.name(), self.node().kind)
    }
}

/// The path of an entry, to be formatted.
#[derive(Clone, Copy)]
pub struct Path<'v>(Entry<'v>);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // From the root on: at each step the ancestor that is so deep.
        let deepest = self.0.node().depth;
        for depth in 1..=deepest {
            let mut entry = self.0;
            while entry.node().depth > depth {
                entry.number = entry.node().parent;
            }
            write!(f, "/{}", entry.name())?;
        }
        Ok(())
    }
}

/// Entries of a volume.
#[derive(Clone)]
pub struct Entries<'v> {
    index: &'v Index,
    numbers: core::ops::Range<u32>,
}

impl<'v> Iterator for Entries<'v> {
    type Item = Entry<'v>;

    fn next(&mut self) -> Option<Entry<'v>> {
        Some(Entry {
            index: self.index,
            number: self.numbers.next()?,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.numbers.size_hint()
    }
}

impl ExactSizeIterator for Entries<'_> {}

/// A file of a volume, as it was when the volume was mounted. It is for that volume alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    pub(super) number: u32,
    size: u32,
    stamp: u32,
    broken: bool,
}

impl File {
    /// Bytes in it.
    pub fn size(&self) -> u64 {
        u64::from(self.size)
    }

    /// When it was last written, in seconds since 1970, if the volume says so. FAT keeps local
    /// time without saying which: it is taken for UTC.
    pub fn modified(&self) -> Option<u64> {
        dir::unix_time(self.stamp)
    }

    /// Whether it cannot be read.
    pub fn is_broken(&self) -> bool {
        self.broken
    }
}
