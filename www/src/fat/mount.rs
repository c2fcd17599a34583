//! Mounting: the volume is walked once, and indexed.
//!
//! First all directories, breadth first, then the chains of all files. A cluster is taken once:
//! what comes to it later is broken, and the file that has it too, since nobody can tell whose it
//! is. So there is no walk longer than the volume has clusters.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use super::boot::{self, Geometry, Kind, Root};
use super::chain::{Extent, Link, Table, Taken};
use super::dir::{self, Records, Step};
use super::index::{Index, Node, ROOT, What, room};
use super::{Entries, Entry, Fault, Limits, MountError, Problem};
use crate::cache::{BLOCK, Cache, Device};
use crate::sectors::{Sectors, SectorsError};

/// Clusters that are walked, and records that are read, before others have their turn.
const TURN: u32 = 8192;

/// A volume that is ready to be read.
pub struct Volume<S> {
    pub(super) device: Device<S>,
    pub(super) geometry: Geometry,
    pub(super) index: Index,
}

impl<S: Sectors + 'static> Volume<S> {
    /// Reads the boot sector of `sectors`, then indexes all that is on the volume. Cancelling it
    /// is safe.
    pub async fn mount(sectors: S, cache: &Rc<Cache>, limits: Limits) -> Result<Self, MountError> {
        let device = Device::new(cache, sectors);
        let mut boot = [0; boot::LEN];
        read(&device, 0, &mut boot).await?;
        let mut geometry = Geometry::decode(&boot).map_err(MountError::Boot)?;
        let there = device.len();
        let needed = geometry.data;
        if needed > there {
            return Err(MountError::Truncated { needed, there });
        }
        if geometry.ocaml {
            ocaml(&device, &mut geometry).await?;
        }
        let size = geometry.size;
        let mut walk = Walk::new(&device, geometry, limits)?;
        if size > there {
            // Loop devices of 4096-byte sectors cut off the end of an image, as do bad copies.
            let whole = (there - geometry.data) / u64::from(geometry.cluster);
            geometry.clusters = geometry.clusters.min(whole as u32);
            walk.geometry = geometry;
            walk.table = Table::new(geometry);
            let fault = Fault::Truncated { size, there };
            walk.index.note(ROOT, fault, None, &mut walk.left);
        }
        walk.directories().await?;
        walk.files().await?;
        walk.owners();
        let index = walk.index;
        Ok(Self {
            device,
            geometry,
            index,
        })
    }

    /// What is at a path: names with slashes between them, from the root on, which is `/` or
    /// nothing. Names are compared as they are first, then without regard to the case of ASCII
    /// letters. If a directory on the way is broken and has nothing of that name, it is that
    /// directory.
    pub fn find(&self, path: &[u8]) -> Option<Entry<'_>> {
        self.index.find(path)
    }

    /// All files and directories but the root.
    pub fn entries(&self) -> Entries<'_> {
        self.index.entries()
    }

    /// What is wrong with the volume, up to a thousand things.
    pub fn problems(&self) -> impl ExactSizeIterator<Item = Problem<'_>> {
        self.index.problems()
    }

    /// How many more things are wrong with it than [`problems`](Self::problems) has.
    pub fn more_problems(&self) -> usize {
        self.index.unlisted()
    }

    /// What the boot sector says.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// What it is on.
    pub fn sectors(&self) -> &S {
        self.device.sectors()
    }

    /// Bytes that its index takes.
    pub fn memory(&self) -> usize {
        self.index.memory()
    }
}

impl<S> fmt::Debug for Volume<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Geometry { kind, size, .. } = &self.geometry;
        write!(f, "Volume({kind:?}, {size} bytes)")
    }
}

/// Reads bytes from anywhere.
async fn read<S: Sectors + 'static>(
    device: &Device<S>,
    mut at: u64,
    mut into: &mut [u8],
) -> Result<(), MountError> {
    while !into.is_empty() {
        let chunk = device
            .block(at / BLOCK as u64, 1)
            .await
            .map_err(|error| failed(at, error))?;
        let part = chunk.part((at % BLOCK as u64) as usize, into.len());
        let (now, later) = into.split_at_mut(part.len());
        if now.is_empty() {
            return Err(failed(at, SectorsError::OutOfRange));
        }
        now.copy_from_slice(&part);
        at += now.len() as u64;
        into = later;
    }
    Ok(())
}

fn failed(at: u64, error: SectorsError) -> MountError {
    match error {
        SectorsError::OutOfMemory => MountError::OutOfMemory,
        _ => MountError::Device { at, error },
    }
}

/// ocaml-fat writes 16-bit entries whatever the number of clusters. Whether it did so here is for
/// the table to say: its first two entries, and that it is long enough.
async fn ocaml<S: Sectors + 'static>(
    device: &Device<S>,
    geometry: &mut Geometry,
) -> Result<(), MountError> {
    let long = geometry.table / 2 >= u64::from(geometry.clusters) + 2;
    if geometry.kind == Kind::Fat12 && long {
        let mut first = [0; 4];
        read(device, geometry.tables, &mut first).await?;
        if let [0xf8, 0xff, 0xff, 0xff] = first {
            geometry.kind = Kind::Fat16;
        }
    }
    Ok(())
}

/// A walk over a volume.
struct Walk<'d, S> {
    device: &'d Device<S>,
    geometry: Geometry,
    limits: Limits,
    /// Memory that the index may still take.
    left: usize,
    index: Index,
    table: Table,
    taken: Taken,
    /// Clusters that more than one chain led to.
    shared: Vec<u32>,
    turn: u32,
}

impl<'d, S: Sectors + 'static> Walk<'d, S> {
    /// A walk that is at the root.
    fn new(device: &'d Device<S>, geometry: Geometry, limits: Limits) -> Result<Self, MountError> {
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
        Ok(Self {
            device,
            geometry,
            limits,
            taken: Taken::new(geometry.clusters, &mut left)?,
            left,
            index,
            table: Table::new(geometry),
            shared: Vec::new(),
            turn: 0,
        })
    }

    /// Indexes the directories, each of which adds those that are in it.
    async fn directories(&mut self) -> Result<(), MountError> {
        let mut extents = Vec::new();
        let mut name = String::new();
        name.try_reserve_exact(dir::MAX_NAME)
            .map_err(|_| MountError::OutOfMemory)?;
        let mut next = 0;
        while let Some(node) = self.index.node(next).copied() {
            if node.kind == What::Directory {
                extents.clear();
                self.directory(next, node, &mut extents, &mut name).await?;
            }
            next += 1;
        }
        Ok(())
    }

    async fn directory(
        &mut self,
        number: u32,
        node: Node,
        extents: &mut Vec<Extent>,
        name: &mut String,
    ) -> Result<(), MountError> {
        let start = self.index.nodes.len();
        let mut fault = None;
        let mut records = Records::new(self.geometry.ocaml);
        if let (ROOT, Root::Fixed(at, len)) = (number, self.geometry.root) {
            fault = self
                .region(number, at, u64::from(len), &mut records, name)
                .await?
                .err();
        } else if node.size != 0 {
            // ocaml-fat has directories without a cluster: they are empty.
            let most = (dir::MAX_BYTES / self.geometry.cluster).max(1);
            let end = self.chain(node.size, most, extents).await?;
            fault = match end {
                Ok(None) => None,
                Ok(Some(_)) => Some(Fault::TooLong),
                Err(fault) => Some(fault),
            };
            for extent in extents.iter() {
                let Some(at) = self.geometry.cluster_at(extent.first) else {
                    break;
                };
                let len = u64::from(extent.count) * u64::from(self.geometry.cluster);
                match self.region(number, at, len, &mut records, name).await? {
                    Ok(true) => {}
                    // What comes after its end is nothing to us.
                    Ok(false) => {
                        fault = None;
                        break;
                    }
                    Err(unreadable) => {
                        fault = Some(unreadable);
                        break;
                    }
                }
            }
            if let (ROOT, true, Some(fault)) = (number, extents.is_empty(), fault) {
                return Err(MountError::Root(fault));
            }
        }
        self.index.sort(start);
        let count = self.index.nodes.len() - start;
        let node = &mut self.index.nodes[number as usize];
        node.start = start as u32;
        node.count = count as u32;
        if let Some(fault) = fault {
            self.fault(number, fault)?;
        }
        Ok(())
    }

    /// Reads the records in a region of the device. Says whether the directory may go on after it.
    async fn region(
        &mut self,
        number: u32,
        start: u64,
        len: u64,
        records: &mut Records,
        name: &mut String,
    ) -> Result<Result<bool, Fault>, MountError> {
        let (mut at, end) = (start, start + len);
        while at < end {
            let block = at / BLOCK as u64;
            let run = end.div_ceil(BLOCK as u64) - block;
            let run = run.min(self.device.window() as u64) as usize;
            let chunk = match self.device.block(block, run).await {
                Ok(chunk) => chunk,
                Err(error @ SectorsError::Failed) => {
                    return Ok(Err(Fault::Unreadable { at, error }));
                }
                Err(error) => return Err(failed(at, error)),
            };
            let len = (end - at).min(BLOCK as u64) as usize;
            let chunk = chunk.part((at % BLOCK as u64) as usize, len);
            let (parts, _) = chunk.as_chunks::<{ dir::RECORD }>();
            if parts.is_empty() {
                return Ok(Err(Fault::Unreadable {
                    at,
                    error: SectorsError::OutOfRange,
                }));
            }
            for record in parts {
                match records.push(record) {
                    Step::More => {}
                    Step::End => return Ok(Ok(false)),
                    Step::Found(found) => self.add(number, &found, name)?,
                }
            }
            at += chunk.len() as u64;
            self.turn(parts.len() as u32).await;
        }
        Ok(Ok(true))
    }

    /// Adds an entry of a directory.
    fn add(
        &mut self,
        parent: u32,
        found: &dir::Found<'_>,
        name: &mut String,
    ) -> Result<(), MountError> {
        if self.index.nodes.len() >= self.limits.entries {
            return Err(MountError::TooManyEntries);
        }
        name.clear();
        found.name(name);
        room(&mut self.index.nodes, 1, &mut self.left)?;
        room(&mut self.index.names, name.len(), &mut self.left)?;
        let start = u32::try_from(self.index.names.len()).map_err(|_| MountError::TooLarge)?;
        self.index.names.extend_from_slice(name.as_bytes());
        let depth = self.index.node(parent).map_or(0, |node| node.depth);
        let directory = found.is_directory();
        let first = found.cluster(self.geometry.kind);
        self.index.nodes.push(Node {
            name: start,
            parent,
            start: if directory { 0 } else { first },
            count: 0,
            size: if directory { first } else { found.size() },
            stamp: found.modified(),
            name_len: name.len() as u16,
            depth: depth.saturating_add(1),
            kind: if directory {
                What::Directory
            } else {
                What::File
            },
        });
        Ok(())
    }

    /// Finds the extents of the files.
    async fn files(&mut self) -> Result<(), MountError> {
        let mut extents = Vec::new();
        let mut next = 0;
        while let Some(node) = self.index.node(next).copied() {
            if node.kind == What::File {
                extents.clear();
                let clusters = node.size.div_ceil(self.geometry.cluster);
                let fault = match self.chain(node.start, clusters, &mut extents).await? {
                    Ok(Some(last)) => Some(Fault::Long(last)),
                    Ok(None) => None,
                    Err(fault) => Some(fault),
                };
                let there: u32 = extents.iter().map(|extent| extent.count).sum();
                let fault = match fault {
                    None if there < clusters => Some(Fault::Short {
                        size: node.size,
                        clusters: there,
                    }),
                    fault => fault,
                };
                let start = self.index.extents.len() as u32;
                room(&mut self.index.extents, extents.len(), &mut self.left)?;
                self.index.extents.extend_from_slice(&extents);
                let node = &mut self.index.nodes[next as usize];
                node.start = start;
                node.count = extents.len() as u32;
                if let Some(fault) = fault {
                    self.fault(next, fault)?;
                }
            }
            next += 1;
        }
        Ok(())
    }

    /// Walks a chain of at most `most` clusters. Says which is the last one if it goes on after
    /// that.
    async fn chain(
        &mut self,
        first: u32,
        most: u32,
        extents: &mut Vec<Extent>,
    ) -> Result<Result<Option<u32>, Fault>, MountError> {
        let mut cluster = first;
        // A file with bytes and without a first cluster is short of clusters.
        for walked in 1..=if first == 0 { 0 } else { most } {
            let Some(index) = cluster
                .checked_sub(2)
                .filter(|index| *index < self.geometry.clusters)
            else {
                return Ok(Err(Fault::OutOfRange(cluster)));
            };
            let link = match self.table.link(self.device, cluster).await {
                Ok(link) => link,
                Err(Fault::Unreadable { at, error }) if error != SectorsError::Failed => {
                    return Err(failed(at, error));
                }
                Err(fault) => return Ok(Err(fault)),
            };
            match link {
                Link::Free => return Ok(Err(Fault::Free(cluster))),
                Link::Bad => return Ok(Err(Fault::Bad(cluster))),
                Link::Next(_) | Link::End => {}
            }
            if !self.taken.take(index, &mut self.left)? {
                room(&mut self.shared, 1, &mut self.left)?;
                self.shared.push(cluster);
                return Ok(Err(Fault::Shared(cluster)));
            }
            match extents.last_mut() {
                Some(last) if last.first + last.count == cluster => last.count += 1,
                _ => {
                    room(extents, 1, &mut self.left)?;
                    extents.push(Extent {
                        first: cluster,
                        count: 1,
                    });
                }
            }
            self.turn(1).await;
            match link {
                Link::Next(_) if walked == most => return Ok(Ok(Some(cluster))),
                Link::Next(next) => cluster = next,
                _ => break,
            }
        }
        Ok(Ok(None))
    }

    /// The files that have a cluster which another chain led to.
    fn owners(&mut self) {
        self.shared.sort_unstable();
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
                let at = self.geometry.cluster_at(cluster);
                let fault = Fault::Shared(cluster);
                self.index.note(number as u32, fault, at, &mut self.left);
            }
        }
    }

    fn fault(&mut self, number: u32, fault: Fault) -> Result<(), MountError> {
        let at = match fault {
            Fault::Free(cluster) | Fault::Bad(cluster) | Fault::Long(cluster) => {
                Some(self.table.place(cluster))
            }
            Fault::Shared(cluster) => self.geometry.cluster_at(cluster),
            _ => None,
        };
        self.index.note(number, fault, at, &mut self.left);
        Ok(())
    }

    /// Lets others have their turn now and then: what is in the cache is never waited for.
    async fn turn(&mut self, work: u32) {
        self.turn += work;
        if self.turn >= TURN {
            self.turn = 0;
            let mut waited = false;
            poll_fn(|cx| {
                if core::mem::replace(&mut waited, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
    }
}
