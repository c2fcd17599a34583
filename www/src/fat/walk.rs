//! The walk over a volume, which makes its index. It is given blocks and asks for more; it neither
//! waits nor reads by itself.
//!
//! First all directories, breadth first, then the chains of all files. A cluster is taken once:
//! what comes to it later is broken, and the file that has it too, since nobody can tell whose it
//! is. So no walk is longer than the volume has clusters.

use alloc::string::String;
use alloc::vec::Vec;

use super::boot::{Geometry, Root};
use super::chain::{self, Extent, Link, Taken};
use super::dir::{self, Records, Step};
use super::index::{self, Index, Node, ROOT, What, room};
use super::{Fault, Limits, MountError};
use crate::cache::{BLOCK, Chunk};
use crate::sectors::SectorsError;

/// Clusters that are walked, and records that are read, before others have their turn.
const TURN: usize = 8192;

/// Tables that are looked into when one cannot be read.
const COPIES: u8 = 2;

/// Blocks that are kept for the walk: two for an entry of a table that lies across them, as many
/// for its copy.
const WINDOWS: usize = 4;

/// What a walk wants.
pub(super) enum Want {
    /// The block that this byte of the device is in, and soon those up to `end`.
    Block { at: u64, end: u64 },
    /// That others have their turn.
    Turn,
    /// Nothing more.
    Nothing,
}

/// What the walk is at.
#[derive(Clone, Copy)]
enum State {
    /// At the entry `next`.
    Entry,
    /// In a chain, at this cluster, which is the so manieth.
    Chain {
        cluster: u32,
        walked: u32,
        most: u32,
    },
    /// In the records of a directory, from one byte of the device to another; then in this extent.
    Records { at: u64, end: u64, extent: usize },
}

/// A walk over a volume.
pub(super) struct Walk {
    pub(super) geometry: Geometry,
    limits: Limits,
    /// Memory that the index may still take.
    left: usize,
    pub(super) index: Index,
    taken: Taken,
    /// Clusters that more than one chain led to.
    shared: Vec<u32>,
    windows: [Option<(u64, Result<Chunk, SectorsError>)>; WINDOWS],
    /// Directories are done.
    files: bool,
    next: u32,
    state: State,
    /// Of the chain that was walked last.
    extents: Vec<Extent>,
    /// What is wrong with the directory that is read.
    fault: Option<Fault>,
    records: Records,
    name: String,
    work: usize,
}

/// A block is wanted.
struct Missing {
    at: u64,
    end: u64,
}

impl Walk {
    /// A walk that is at the root.
    pub(super) fn new(geometry: Geometry, limits: Limits) -> Result<Self, MountError> {
        let mut left = limits.memory;
        let mut index = Index::default();
        room(&mut index.nodes, 1, &mut left)?;
        index.nodes.push(Node {
            name: 0,
            parent: ROOT,
            start: 0,
            count: 0,
            size: match geometry.root {
                Root::Chain(first) => first,
                Root::Fixed(..) => 0,
            },
            stamp: 0,
            name_len: 0,
            depth: 0,
            kind: What::Directory,
        });
        let mut name = String::new();
        name.try_reserve_exact(dir::MAX_NAME)
            .map_err(|_| MountError::OutOfMemory)?;
        Ok(Self {
            geometry,
            limits,
            taken: Taken::new(geometry.clusters, &mut left)?,
            left,
            index,
            shared: Vec::new(),
            windows: [const { None }; WINDOWS],
            files: false,
            next: ROOT,
            state: State::Entry,
            extents: Vec::new(),
            fault: None,
            records: Records::new(geometry.ocaml),
            name,
            work: 0,
        })
    }

    /// Lists what is wrong with an entry.
    pub(super) fn note(&mut self, number: u32, fault: Fault) {
        let table = |cluster| {
            let Geometry { tables, table, .. } = self.geometry;
            let (entry, _) = chain::place(self.geometry.kind, cluster);
            Some(tables + u64::from(self.geometry.active) * table + entry)
        };
        let at = match fault {
            Fault::Free(cluster) | Fault::Bad(cluster) | Fault::Long(cluster) => table(cluster),
            Fault::Shared(cluster) => self.geometry.cluster_at(cluster),
            _ => None,
        };
        self.index.note(number, fault, at, &mut self.left);
    }

    /// The block that was wanted, or why it cannot be had.
    pub(super) fn give(&mut self, at: u64, block: Result<Chunk, SectorsError>) {
        self.windows.rotate_right(1);
        self.windows[0] = Some((at / BLOCK as u64, block));
    }

    /// Goes on as far as it can.
    pub(super) fn run(&mut self) -> Result<Want, MountError> {
        loop {
            if self.work >= TURN {
                self.work = 0;
                return Ok(Want::Turn);
            }
            let missing = match self.state {
                State::Entry => {
                    if !self.enter()? {
                        return Ok(Want::Nothing);
                    }
                    None
                }
                State::Chain { .. } => self.step()?,
                State::Records { .. } => self.read()?,
            };
            if let Some(Missing { at, end }) = missing {
                return Ok(Want::Block { at, end });
            }
        }
    }

    /// Begins with the next entry; says whether there is one.
    fn enter(&mut self) -> Result<bool, MountError> {
        let Some(node) = self.index.node(self.next).copied() else {
            if self.files {
                self.owners();
                return Ok(false);
            }
            self.files = true;
            self.next = ROOT;
            return Ok(true);
        };
        self.extents.clear();
        self.work += 1;
        match (node.kind, self.files) {
            (What::File, true) => {
                self.follow(node.start, node.size.div_ceil(self.geometry.cluster));
            }
            (What::Directory, false) if node.depth > self.limits.depth => {
                self.done(Some(Fault::TooDeep));
            }
            (What::Directory, false) => {
                self.fault = None;
                self.records.clear();
                self.index.nodes[self.next as usize].start = self.index.nodes.len() as u32;
                match self.geometry.root {
                    Root::Fixed(at, len) if self.next == ROOT => {
                        let end = at + u64::from(len);
                        self.state = State::Records { at, end, extent: 0 };
                    }
                    _ => self.follow(node.size, (dir::MAX_BYTES / self.geometry.cluster).max(1)),
                }
            }
            _ => self.next += 1,
        }
        Ok(true)
    }

    /// Begins with a chain, of which `most` clusters are of interest. Cluster 0 is none: a file
    /// without bytes has no other, and ocaml-fat's empty directories neither.
    fn follow(&mut self, cluster: u32, most: u32) {
        self.state = State::Chain {
            cluster,
            walked: 0,
            most: if cluster == 0 { 0 } else { most },
        };
    }

    /// Goes on by one cluster.
    fn step(&mut self) -> Result<Option<Missing>, MountError> {
        let State::Chain {
            cluster,
            walked,
            most,
        } = self.state
        else {
            return Ok(None);
        };
        if walked == most {
            self.chained(None)?;
            return Ok(None);
        }
        let index = cluster.wrapping_sub(2);
        if index >= self.geometry.clusters {
            self.chained(Some(Fault::OutOfRange(cluster)))?;
            return Ok(None);
        }
        let link = match self.link(cluster)? {
            Ok(link) => link,
            Err(missing) => return Ok(Some(missing)),
        };
        self.work += 1;
        let fault = match link {
            Err(at) => Some(Fault::Unreadable {
                at,
                error: SectorsError::Failed,
            }),
            Ok(Link::Free) => Some(Fault::Free(cluster)),
            Ok(Link::Bad) => Some(Fault::Bad(cluster)),
            Ok(_) if !self.taken.take(index, &mut self.left)? => {
                room(&mut self.shared, 1, &mut self.left)?;
                self.shared.push(cluster);
                Some(Fault::Shared(cluster))
            }
            Ok(_) => None,
        };
        if fault.is_some() {
            self.chained(fault)?;
            return Ok(None);
        }
        match self.extents.last_mut() {
            Some(last) if last.first + last.count == cluster => last.count += 1,
            _ => {
                room(&mut self.extents, 1, &mut self.left)?;
                self.extents.push(Extent {
                    first: cluster,
                    count: 1,
                });
            }
        }
        match link {
            Ok(Link::Next(_)) if walked + 1 == most => {
                self.chained(Some(Fault::Long(cluster)))?;
            }
            Ok(Link::Next(next)) => {
                self.state = State::Chain {
                    cluster: next,
                    walked: walked + 1,
                    most,
                };
            }
            _ => self.chained(None)?,
        }
        Ok(None)
    }

    /// A chain came to its end, in whatever way.
    fn chained(&mut self, fault: Option<Fault>) -> Result<(), MountError> {
        if !self.files {
            self.fault = match fault {
                Some(Fault::Long(_)) => Some(Fault::TooLong),
                fault => fault,
            };
            if let (Some(fault), ROOT, true) = (fault, self.next, self.extents.is_empty()) {
                return Err(MountError::Root(fault));
            }
            self.state = State::Records {
                at: 0,
                end: 0,
                extent: 0,
            };
            return Ok(());
        }
        let start = self.index.extents.len() as u32;
        let count = self.extents.len();
        room(&mut self.index.extents, count, &mut self.left)?;
        self.index.extents.extend_from_slice(&self.extents);
        let node = &mut self.index.nodes[self.next as usize];
        (node.start, node.count) = (start, count as u32);
        let size = node.size;
        let there: u32 = self.extents.iter().map(|extent| extent.count).sum();
        let short = there < size.div_ceil(self.geometry.cluster);
        let fault = fault.or(short.then_some(Fault::Short {
            size,
            clusters: there,
        }));
        self.done(fault);
        Ok(())
    }

    /// Ends with an entry.
    fn done(&mut self, fault: Option<Fault>) {
        if let Some(fault) = fault {
            self.note(self.next, fault);
        }
        self.next += 1;
        self.state = State::Entry;
    }

    /// Reads records as far as there are any in one block.
    fn read(&mut self) -> Result<Option<Missing>, MountError> {
        let State::Records { at, end, extent } = self.state else {
            return Ok(None);
        };
        if at == end {
            if let Some(next) = self.extents.get(extent)
                && let Some(at) = self.geometry.cluster_at(next.first)
            {
                let end = at + u64::from(next.count) * u64::from(self.geometry.cluster);
                self.state = State::Records {
                    at,
                    end,
                    extent: extent + 1,
                };
            } else {
                self.listed(self.fault);
            }
            return Ok(None);
        }
        let block = match self.window(at) {
            None => return Ok(Some(Missing { at, end })),
            Some(Ok(block)) => block.clone(),
            Some(Err(error @ SectorsError::Failed)) => {
                self.listed(Some(Fault::Unreadable { at, error: *error }));
                return Ok(None);
            }
            Some(Err(error)) => return Err(MountError::of(*error, at)),
        };
        let len = usize::try_from(end - at).map_or(BLOCK, |len| len.min(BLOCK));
        let chunk = block.part((at % BLOCK as u64) as usize, len);
        let (records, _) = chunk.as_chunks();
        if records.is_empty() {
            return Err(MountError::of(SectorsError::OutOfRange, at));
        }
        for record in records {
            match self.records.push(record) {
                Step::More => {}
                // What comes after the end of a directory is nothing to us.
                Step::End => {
                    self.listed(None);
                    return Ok(None);
                }
                Step::Found => self.add(record)?,
            }
        }
        self.work += records.len();
        self.state = State::Records {
            at: at + chunk.len() as u64,
            end,
            extent,
        };
        Ok(None)
    }

    /// Ends with a directory.
    fn listed(&mut self, fault: Option<Fault>) {
        let node = &mut self.index.nodes[self.next as usize];
        let start = node.start as usize;
        let count = self.index.nodes.len() - start;
        self.index.nodes[self.next as usize].count = count as u32;
        self.index.sort(start);
        self.done(fault);
    }

    /// Adds an entry to the directory that is read.
    fn add(&mut self, record: &[u8; dir::RECORD]) -> Result<(), MountError> {
        if self.index.nodes.len() >= self.limits.entries {
            return Err(MountError::TooManyEntries);
        }
        self.name.clear();
        self.records.name(record, &mut self.name);
        let names = &mut self.index.names;
        room(names, self.name.len(), &mut self.left)?;
        room(&mut self.index.nodes, 1, &mut self.left)?;
        let start = u32::try_from(names.len()).map_err(|_| MountError::TooLarge)?;
        names.extend_from_slice(self.name.as_bytes());
        let depth = self.index.node(self.next).map_or(0, |node| node.depth);
        let first = dir::cluster(record, self.geometry.kind);
        let directory = dir::is_directory(record);
        self.index.nodes.push(Node {
            name: start,
            parent: self.next,
            start: if directory { 0 } else { first },
            count: 0,
            size: if directory { first } else { dir::size(record) },
            stamp: dir::modified(record),
            name_len: self.name.len() as u16,
            depth: depth.saturating_add(1),
            kind: if directory {
                What::Directory
            } else {
                What::File
            },
        });
        Ok(())
    }

    /// What the table says of a cluster; the place of its entry if it cannot be read. What the
    /// device cannot read is taken from a copy of the table, if there is one; what it can read is
    /// believed, whatever the copies say.
    fn link(&self, cluster: u32) -> Result<Result<Result<Link, u64>, Missing>, MountError> {
        let Geometry { tables, table, .. } = self.geometry;
        let (entry, len) = chain::place(self.geometry.kind, cluster);
        let first = tables + u64::from(self.geometry.active) * table + entry;
        let copies = if self.geometry.mirrored {
            self.geometry.copies.min(COPIES)
        } else {
            1
        };
        'copies: for copy in 0..u64::from(copies) {
            let mut bytes = 0;
            let start = first + copy * table;
            for at in (start..start + len).rev() {
                let Some(block) = self.window(at) else {
                    let end = tables + u64::from(self.geometry.copies) * table;
                    return Ok(Err(Missing { at, end }));
                };
                let byte = match block {
                    Ok(block) => block.get((at % BLOCK as u64) as usize).copied(),
                    Err(SectorsError::Failed) => continue 'copies,
                    Err(error) => return Err(MountError::of(*error, at)),
                };
                bytes = bytes << 8 | u32::from(byte.unwrap_or(0));
            }
            return Ok(Ok(Ok(chain::link(&self.geometry, cluster, bytes))));
        }
        Ok(Ok(Err(first)))
    }

    fn window(&self, at: u64) -> Option<&Result<Chunk, SectorsError>> {
        let number = at / BLOCK as u64;
        let mut windows = self.windows.iter().flatten();
        windows
            .find(|(there, _)| *there == number)
            .map(|(_, block)| block)
    }

    /// Marks the files that have a cluster which another chain led to.
    fn owners(&mut self) {
        index::sort(&mut self.shared, |a, b| a < b);
        for number in 0..self.index.nodes.len() {
            let node = self.index.nodes[number];
            if node.kind != What::File {
                continue;
            }
            let start = node.start as usize;
            let extents = &self.index.extents[start..start + node.count as usize];
            let met = extents.iter().find_map(|extent| {
                let next = self
                    .shared
                    .partition_point(|cluster| *cluster < extent.first);
                let cluster = *self.shared.get(next)?;
                (cluster - extent.first < extent.count).then_some(cluster)
            });
            if let Some(cluster) = met {
                self.note(number as u32, Fault::Shared(cluster));
            }
        }
    }
}
