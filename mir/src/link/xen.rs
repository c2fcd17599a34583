//! Xen: the pack as the last segment of the kernel's ELF image, found by a note.

use std::ops::Range;

use super::elf::{self, Header, PF_R, PT_LOAD, PT_NOTE, Segment};
use super::{LinkError, PAGE};

/// The name of the note, with its NUL.
pub const NOTE_NAME: &[u8; 8] = b"mir-www\0";
/// The type of the note.
pub const NOTE_TYPE: u32 = 1;
/// The length of its desc: the pack's virtual address and its length, 8 bytes each.
pub const NOTE_DESC: usize = 16;

/// An image, ready to be booted.
#[derive(Debug)]
pub struct Image {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// How many of them are there for any site: all but the pack.
    pub without_site: u64,
}

/// Makes the image of a kernel and a pack. A pack that is in the kernel already is left away, and
/// so is all that is not needed to boot: sections, symbols, debug information.
pub fn link(base: &[u8], pack: &[u8]) -> Result<Image, LinkError> {
    let kernel = Kernel::read(base)?;
    let loads = kernel.loads(base)?;
    let end = kernel.end(&loads)?;
    let virt = end
        .checked_next_multiple_of(PAGE)
        .ok_or(LinkError::NoRoom)?;
    let length = pack.len() as u64;
    virt.checked_add(length)
        .filter(|_| length > 0)
        .ok_or(LinkError::NoRoom)?;
    let distance = loads
        .first()
        .map_or(0, |load| load.virt.wrapping_sub(load.phys));

    let others = kernel
        .segments
        .iter()
        .filter(|segment| segment.kind != PT_LOAD);
    let others: Vec<_> = others
        .copied()
        .filter(|other| {
            let covered = loads
                .iter()
                .any(|load| load.covers(other.offset, other.file_size));
            other.file_size == 0 || other.kind == PT_NOTE || covered
        })
        .collect();
    let mut out = vec![0; Header::LEN + (loads.len() + 1 + others.len()) * Segment::LEN];
    let mut table = Vec::new();
    let mut moved = Vec::new();
    for load in &loads {
        let mut new = *load;
        if load.file_size > 0 {
            let start = out.len() as u64;
            new.offset = start + load.virt.wrapping_sub(start) % PAGE;
            out.resize(new.offset as usize, 0);
            out.extend_from_slice(load.of(base));
        } else {
            new.offset = load.virt % PAGE;
        }
        new.align = PAGE;
        moved.push((load, new.offset));
        table.push(new);
    }
    for other in others {
        let mut new = other;
        let within = moved
            .iter()
            .find(|(load, _)| load.covers(other.offset, other.file_size));
        match within {
            _ if other.file_size == 0 => {}
            Some((load, offset)) => new.offset = offset + (other.offset - load.offset),
            None => {
                out.resize(out.len().next_multiple_of(8), 0);
                new.offset = out.len() as u64;
                out.extend_from_slice(other.of(base));
            }
        }
        table.push(new);
    }
    for (load, offset) in &moved {
        if load.covers(kernel.desc, NOTE_DESC as u64) {
            let at = (offset + (kernel.desc - load.offset)) as usize;
            out[at..at + 8].copy_from_slice(&virt.to_le_bytes());
            out[at + 8..at + 16].copy_from_slice(&length.to_le_bytes());
        }
    }
    out.resize(out.len().next_multiple_of(PAGE as usize), 0);
    let offset = out.len() as u64;
    let segment = Segment {
        kind: PT_LOAD,
        flags: PF_R,
        offset,
        virt,
        phys: virt.wrapping_sub(distance),
        file_size: length,
        mem_size: length,
        align: PAGE,
    };
    // Loadable segments are in the order of their addresses; this is the highest.
    table.insert(loads.len(), segment);
    let count = table.len() as u16;
    out[..Header::LEN].copy_from_slice(&kernel.header.encode(count));
    for (at, segment) in table.iter().enumerate() {
        let at = Header::LEN + at * Segment::LEN;
        out[at..at + Segment::LEN].copy_from_slice(&segment.encode());
    }
    out.extend_from_slice(pack);
    Ok(Image {
        bytes: out,
        without_site: offset,
    })
}

/// Where the pack is in an image; `None` in a kernel without one.
pub fn find(image: &[u8]) -> Result<Option<Range<usize>>, LinkError> {
    let kernel = Kernel::read(image)?;
    let Some(segment) = kernel.pack()? else {
        return Ok(None);
    };
    let at = segment.offset as usize;
    Ok(Some(at..at + segment.file_size as usize))
}

struct Kernel {
    header: Header,
    segments: Vec<Segment>,
    /// Where in the file the note's desc is.
    desc: u64,
    /// What it says: the address and the length of the pack.
    virt: u64,
    length: u64,
}

impl Kernel {
    fn read(file: &[u8]) -> Result<Self, LinkError> {
        let header = Header::decode(file)?;
        let segments = header.segments(file)?;
        let mut found = None;
        for segment in segments.iter().filter(|segment| segment.kind == PT_NOTE) {
            for desc in elf::notes(segment.of(file), NOTE_NAME, NOTE_TYPE) {
                if desc.len() != NOTE_DESC {
                    return Err(LinkError::Headers("the length of the `mir-www` note"));
                }
                // What takes no memory is left out of the image, and a segment of notes that is
                // not within another is copied away from it.
                let loaded = |load: &Segment| {
                    load.kind == PT_LOAD
                        && load.mem_size > 0
                        && load.covers(segment.offset, segment.file_size)
                };
                if !segments.iter().any(loaded) {
                    return Err(LinkError::NoteNotLoaded);
                }
                let at = segment.offset + desc.start as u64;
                if found.is_some_and(|other| other != at) {
                    return Err(LinkError::TwoNotes);
                }
                found = Some(at);
            }
        }
        let desc = found.ok_or(LinkError::NoNote)?;
        let virt = elf::read_u64(file, desc as usize);
        let length = elf::read_u64(file, desc as usize + 8);
        Ok(Self {
            header,
            segments,
            desc,
            virt,
            length,
        })
    }

    /// The segment of the pack that the kernel carries.
    fn pack(&self) -> Result<Option<&Segment>, LinkError> {
        if self.length == 0 {
            return Ok(None);
        }
        let mut loads = self
            .segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD);
        let found = loads.find(|load| load.virt == self.virt && load.file_size == self.length);
        found.map(Some).ok_or(LinkError::Damaged)
    }

    /// The segments that are the kernel's own, from the lowest address up.
    fn loads(&self, file: &[u8]) -> Result<Vec<Segment>, LinkError> {
        let pack = self.pack()?.copied();
        let own =
            |load: &&Segment| load.kind == PT_LOAD && load.mem_size > 0 && Some(**load) != pack;
        let mut loads: Vec<_> = self.segments.iter().filter(own).copied().collect();
        loads.sort_by_key(|load| load.virt);
        if loads.iter().any(|load| load.file_size > load.mem_size) {
            return Err(LinkError::Headers(
                "a segment longer in the file than in memory",
            ));
        }
        // Segments that share bytes of the file would each get a copy of them.
        let total: u64 = loads.iter().map(|load| load.file_size).sum();
        if total > file.len() as u64 {
            return Err(LinkError::Headers("segments overlap in the file"));
        }
        Ok(loads)
    }

    fn end(&self, loads: &[Segment]) -> Result<u64, LinkError> {
        let mut end = 0;
        let distance = |load: &Segment| load.virt.wrapping_sub(load.phys);
        for load in loads {
            if load.virt < end {
                return Err(LinkError::Headers("segments overlap in memory"));
            }
            if distance(load) != distance(&loads[0]) {
                return Err(LinkError::Distances);
            }
            end = load
                .virt
                .checked_add(load.mem_size)
                .ok_or(LinkError::NoRoom)?;
        }
        Ok(end)
    }
}

#[cfg(test)]
mod tests;
