//! Mounting: the volume is walked once, and indexed.
//!
//! [`Walk`] says which blocks it wants, and this reads them.

use alloc::rc::Rc;
use core::fmt;

use super::boot::{self, Geometry, Kind};
use super::index::{Index, ROOT};
use super::walk::{Walk, Want};
use super::{Entries, Entry, Fault, Limits, MountError, Problem};
use crate::cache::{BLOCK, Cache, Device};
use crate::sectors::{Sectors, SectorsError};
use crate::turn;

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
        if size > there {
            // Loop devices of 4096-byte sectors cut off the end of an image, as do bad copies.
            let whole = (there - geometry.data) / u64::from(geometry.cluster);
            geometry.clusters = geometry.clusters.min(whole as u32);
        }
        let mut walk = Walk::new(geometry, limits)?;
        if size > there {
            walk.note(ROOT, Fault::Truncated { size, there });
        }
        loop {
            match walk.run()? {
                Want::Nothing => break,
                Want::Turn => turn::pass().await,
                Want::Block { at, end } => {
                    let number = at / BLOCK as u64;
                    let run = end.div_ceil(BLOCK as u64).saturating_sub(number);
                    let run = run.min(device.window() as u64) as usize;
                    walk.give(at, device.block(number, run).await);
                }
            }
        }
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
            .map_err(|error| MountError::of(error, at))?;
        let part = chunk.part((at % BLOCK as u64) as usize, into.len());
        let (now, later) = into.split_at_mut(part.len());
        if now.is_empty() {
            return Err(MountError::of(SectorsError::OutOfRange, at));
        }
        now.copy_from_slice(&part);
        at += now.len() as u64;
        into = later;
    }
    Ok(())
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
