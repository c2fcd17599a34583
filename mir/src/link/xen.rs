//! Xen: the pack as the last segment of the kernel's ELF image, found by a note.

use super::elf::{self, Header, PF_R, PT_LOAD, PT_NOTE, Segment};
use super::{Behind, Contents, Kind, LinkError, PAGE, Payload, note};

/// The length of the note's desc: the address of what is put in, the length of the pack that it
/// begins with, and where in it the words are and how long they are, 8 bytes each.
const DESC: usize = 32;

/// An image, ready to be booted.
#[derive(Debug)]
pub struct Image {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// How many of them are there for any site: all but the pack.
    pub without_site: u64,
}

/// Makes the image of a kernel and a pack, and what goes with it. What is in the kernel already is
/// left away, and so is all that is not needed to boot: sections, symbols, debug information.
pub fn link(base: &[u8], payload: &Payload<'_>) -> Result<Image, LinkError> {
    let kernel = Kernel::read(base)?;
    let behind = Behind::new(payload);
    let loads = kernel.loads(base)?;
    let end = kernel.end(&loads)?;
    let virt = end
        .checked_next_multiple_of(PAGE)
        .ok_or(LinkError::NoRoom)?;
    let length = (payload.pack.len() + behind.bytes.len()) as u64;
    virt.checked_add(length)
        .filter(|_| length > 0)
        .ok_or(LinkError::NoRoom)?;
    let distance = loads
        .first()
        .map_or(0, |load| load.virt.wrapping_sub(load.phys));

    let old = kernel.put_in()?.copied();
    let in_old = |segment: &Segment| {
        old.is_some_and(|old| {
            segment.file_size > 0 && old.covers(segment.offset, segment.file_size)
        })
    };
    let others = kernel
        .segments
        .iter()
        .filter(|segment| segment.kind != PT_LOAD && !in_old(segment));
    let others: Vec<_> = others
        .copied()
        .filter(|other| {
            let covered = loads
                .iter()
                .any(|load| load.covers(other.offset, other.file_size));
            other.file_size == 0 || other.kind == PT_NOTE || covered
        })
        .collect();
    let notes = usize::from(!behind.bytes.is_empty());
    let count = loads.len() + 1 + others.len() + notes;
    let mut out = vec![0; Header::LEN + count * Segment::LEN];
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
        if load.covers(kernel.desc, DESC as u64) {
            let at = (offset + (kernel.desc - load.offset)) as usize;
            let words = &behind.words;
            let from = match words.len() {
                0 => 0,
                _ => payload.pack.len() + words.start,
            };
            let fields = [
                virt,
                payload.pack.len() as u64,
                from as u64,
                words.len() as u64,
            ];
            for (bytes, field) in out[at..at + DESC].chunks_exact_mut(8).zip(fields) {
                bytes.copy_from_slice(&field.to_le_bytes());
            }
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
    if !behind.bytes.is_empty() {
        let before = (payload.pack.len() + behind.padding) as u64;
        let size = length - before;
        table.push(Segment {
            kind: PT_NOTE,
            offset: offset + before,
            virt: segment.virt + before,
            phys: segment.phys.wrapping_add(before),
            file_size: size,
            mem_size: size,
            align: 4,
            ..segment
        });
    }
    out[..Header::LEN].copy_from_slice(&kernel.header.encode(count as u16));
    for (at, segment) in table.iter().enumerate() {
        let at = Header::LEN + at * Segment::LEN;
        out[at..at + Segment::LEN].copy_from_slice(&segment.encode());
    }
    out.extend_from_slice(payload.pack);
    out.extend_from_slice(&behind.bytes);
    Ok(Image {
        bytes: out,
        without_site: offset,
    })
}

/// Reads a kernel, or an image made of one.
pub fn read(image: &[u8]) -> Result<Contents<'_>, LinkError> {
    let kernel = Kernel::read(image)?;
    let mut contents = Contents {
        kind: Kind::Xen,
        pack: 0..0,
        words: "",
        about: None,
        program: elf::package(image),
    };
    if let Some(segment) = kernel.put_in()? {
        let (start, [_, length, from, words]) = (segment.offset as usize, kernel.linked);
        // They are in the segment, and that is in the file.
        contents.pack = start..start + length as usize;
        let words = from as usize..(from + words) as usize;
        (contents.words, contents.about) = Behind::read(segment.of(image), length as usize, words)?;
    }
    Ok(contents)
}

struct Kernel {
    header: Header,
    segments: Vec<Segment>,
    /// Where in the file the note's desc is.
    desc: u64,
    /// What it says.
    linked: [u64; DESC / 8],
}

impl Kernel {
    fn read(file: &[u8]) -> Result<Self, LinkError> {
        let header = Header::decode(file)?;
        if !header.is_fixed() {
            return Err(LinkError::NotOurs("it is not linked to fixed addresses"));
        }
        let segments = header.segments(file)?;
        let mut found = None;
        for segment in segments.iter().filter(|segment| segment.kind == PT_NOTE) {
            // A linker may leave something behind its notes.
            let notes = note::notes(segment.of(file)).map_while(Result::ok);
            for note in notes.filter(|n| n.name == note::OURS && n.kind != note::WORDS) {
                if note.kind != note::LINKED || note.desc.len() != DESC {
                    return Err(LinkError::OtherVersion);
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
                let at = segment.offset + note.desc.start as u64;
                if found.is_some_and(|other| other != at) {
                    return Err(LinkError::TwoNotes);
                }
                found = Some(at);
            }
        }
        let desc = found.ok_or(LinkError::NoNote)?;
        let field = |number| elf::read_u64(file, desc as usize + number * 8);
        Ok(Self {
            header,
            segments,
            desc,
            linked: std::array::from_fn(field),
        })
    }

    /// The segment of what was put into the kernel.
    fn put_in(&self) -> Result<Option<&Segment>, LinkError> {
        if self.linked == [0; 4] {
            return Ok(None);
        }
        let [virt, length, from, words] = self.linked;
        let end = from.checked_add(words).ok_or(LinkError::Damaged)?;
        let as_said = |load: &&Segment| {
            load.kind == PT_LOAD
                && load.virt == virt
                && load.file_size == load.mem_size
                && length.max(end) <= load.file_size
                && load.file_size > 0
        };
        let found = self.segments.iter().find(as_said);
        found.map(Some).ok_or(LinkError::Damaged)
    }

    /// The segments that are the kernel's own, from the lowest address up.
    fn loads(&self, file: &[u8]) -> Result<Vec<Segment>, LinkError> {
        let put_in = self.put_in()?.copied();
        let own =
            |load: &&Segment| load.kind == PT_LOAD && load.mem_size > 0 && Some(**load) != put_in;
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
