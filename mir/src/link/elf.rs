//! The few parts of ELF64 that linking a pack needs: the file header and program headers.
//!
//! Layouts: System V ABI, chapters "ELF header" and "Program header".

use super::{LinkError, note};

pub(super) const MAGIC: &[u8; 4] = b"\x7fELF";
pub(super) const PT_LOAD: u32 = 1;
pub(super) const PT_NOTE: u32 = 4;
pub(super) const PF_R: u32 = 4;

/// More program headers than a kernel needs.
const MAX_SEGMENTS: u16 = 64;

/// The file header. What is not named here is kept as it was.
#[derive(Clone, Copy)]
pub(super) struct Header {
    bytes: [u8; Self::LEN],
}

mod header {
    use std::ops::Range;

    pub(super) const CLASS: usize = 4;
    pub(super) const DATA: usize = 5;
    pub(super) const TYPE: usize = 16;
    pub(super) const MACHINE: usize = 18;
    pub(super) const PHOFF: usize = 32;
    /// The offset of the section headers; their size, number and strings are the last six bytes.
    pub(super) const SHOFF: Range<usize> = 40..48;
    pub(super) const PHENTSIZE: usize = 54;
    pub(super) const PHNUM: usize = 56;
    pub(super) const SECTIONS: Range<usize> = 58..64;
}

impl Header {
    pub(super) const LEN: usize = 64;

    pub(super) fn decode(file: &[u8]) -> Result<Self, LinkError> {
        if !file.starts_with(MAGIC) {
            return Err(LinkError::NotOurs("it does not begin as an ELF file"));
        }
        let Some(bytes) = file.first_chunk() else {
            return Err(LinkError::Headers("the file header is cut off"));
        };
        let header = Self { bytes: *bytes };
        if bytes[header::CLASS] != 2 || bytes[header::DATA] != 1 {
            return Err(LinkError::NotOurs("it is not 64-bit little-endian"));
        }
        if header.u16(header::MACHINE) != 62 {
            return Err(LinkError::NotOurs("it is for another processor"));
        }
        if usize::from(header.u16(header::PHENTSIZE)) != Segment::LEN {
            return Err(LinkError::Headers("the size of a program header"));
        }
        Ok(header)
    }

    /// Whether it is linked to fixed addresses (`ET_EXEC`).
    pub(super) fn is_fixed(&self) -> bool {
        self.u16(header::TYPE) == 2
    }

    /// The program headers. Each one's bytes are in the file.
    pub(super) fn segments(&self, file: &[u8]) -> Result<Vec<Segment>, LinkError> {
        let count = self.u16(header::PHNUM);
        if count == 0 || count > MAX_SEGMENTS {
            return Err(LinkError::Headers("the number of program headers"));
        }
        let length = usize::from(count) * Segment::LEN;
        let table = usize::try_from(read_u64(&self.bytes, header::PHOFF)).ok();
        let table = table.and_then(|at| file.get(at..at.checked_add(length)?));
        let table = table.ok_or(LinkError::Headers("program headers outside the file"))?;
        let (records, _) = table.as_chunks::<{ Segment::LEN }>();
        let segments: Vec<_> = records.iter().map(Segment::decode).collect();
        for segment in &segments {
            let end = segment.offset.checked_add(segment.file_size);
            if segment.file_size > 0 && end.is_none_or(|end| end > file.len() as u64) {
                return Err(LinkError::Headers("a segment outside the file"));
            }
        }
        Ok(segments)
    }

    /// The same header for a file of these segments, which follow it, and without sections.
    pub(super) fn encode(mut self, segments: u16) -> [u8; Self::LEN] {
        let at = (Self::LEN as u64).to_le_bytes();
        self.bytes[header::PHOFF..header::PHOFF + 8].copy_from_slice(&at);
        self.bytes[header::PHNUM..header::PHNUM + 2].copy_from_slice(&segments.to_le_bytes());
        self.bytes[header::SHOFF].fill(0);
        self.bytes[header::SECTIONS].fill(0);
        self.bytes
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }
}

/// A program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) offset: u64,
    pub(super) virt: u64,
    pub(super) phys: u64,
    pub(super) file_size: u64,
    pub(super) mem_size: u64,
    pub(super) align: u64,
}

impl Segment {
    pub(super) const LEN: usize = 56;

    pub(super) fn decode(bytes: &[u8; Self::LEN]) -> Self {
        Self {
            kind: read_u32(bytes, 0),
            flags: read_u32(bytes, 4),
            offset: read_u64(bytes, 8),
            virt: read_u64(bytes, 16),
            phys: read_u64(bytes, 24),
            file_size: read_u64(bytes, 32),
            mem_size: read_u64(bytes, 40),
            align: read_u64(bytes, 48),
        }
    }

    pub(super) fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&self.kind.to_le_bytes());
        out[4..8].copy_from_slice(&self.flags.to_le_bytes());
        let rest = [
            self.offset,
            self.virt,
            self.phys,
            self.file_size,
            self.mem_size,
            self.align,
        ];
        for (field, value) in out[8..].chunks_exact_mut(8).zip(rest) {
            field.copy_from_slice(&value.to_le_bytes());
        }
        out
    }

    /// Its bytes in a file of which it is known to be a part.
    pub(super) fn of<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        match self.file_size {
            0 => &[],
            size => &file[self.offset as usize..(self.offset + size) as usize],
        }
    }

    /// Whether these bytes of the file are among its own.
    pub(super) fn covers(&self, offset: u64, size: u64) -> bool {
        let inside = offset.checked_sub(self.offset);
        inside.is_some_and(|at| {
            at.checked_add(size)
                .is_some_and(|end| end <= self.file_size)
        })
    }
}

/// What a program says of itself, if it does: the package metadata among its notes.
pub(super) fn package(file: &[u8]) -> Option<&str> {
    let segments = Header::decode(file).ok()?.segments(file).ok()?;
    let notes = segments.iter().filter(|segment| segment.kind == PT_NOTE);
    let mut texts = notes.filter_map(|segment| note::package(segment.of(file)));
    texts.find(|text| text.contains(NAME))
}

/// What is in the metadata of programs of ours, and in nobody else's.
const NAME: &str = r#""type":"mir-www""#;

pub(super) fn read_u32(from: &[u8], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&from[at..at + 4]);
    u32::from_le_bytes(bytes)
}

pub(super) fn read_u64(from: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&from[at..at + 8]);
    u64::from_le_bytes(bytes)
}
