//! The fixed-size records of a pack: one place that knows where each field is.

use core::ops::Range;

use super::MAGIC;

/// Bodies and sections begin at multiples of this, for the sake of copying.
pub(super) const ALIGN: usize = 64;

/// A range of a section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) at: u32,
    pub(super) len: u32,
}

impl Span {
    /// The bytes it names, if the section has them.
    pub(super) fn of(self, section: &[u8]) -> Option<&[u8]> {
        let at = self.at as usize;
        section.get(at..at.checked_add(self.len as usize)?)
    }
}

/// The header: what the pack is and how long its sections are. They follow it in the order of
/// these fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u32,
    /// Length of all, hash included.
    pub(super) total: u64,
    pub(super) id: [u8; 32],
    pub(super) slots: u32,
    pub(super) entries: u32,
    pub(super) variants: u32,
    /// Index of the entry that answers for paths that are not there; `NONE` for none.
    pub(super) not_found: u32,
    pub(super) text: u32,
    pub(super) keys: u32,
    pub(super) bodies: u32,
}

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

mod header {
    use super::Range;
    pub(super) const MAGIC: Range<usize> = 0..8;
    pub(super) const VERSION: usize = 8;
    pub(super) const HEADER_LEN: usize = 12;
    pub(super) const TOTAL: usize = 16;
    pub(super) const ID: Range<usize> = 24..56;
    pub(super) const SLOTS: usize = 56;
    pub(super) const ENTRIES: usize = 60;
    pub(super) const VARIANTS: usize = 64;
    pub(super) const NOT_FOUND: usize = 68;
    pub(super) const TEXT: usize = 72;
    pub(super) const KEYS: usize = 76;
    pub(super) const BODIES: usize = 80;
    pub(super) const RESERVED: Range<usize> = 84..128;
}

impl Header {
    pub(super) const LEN: usize = 128;

    /// The bytes that the content id is computed from begin here, and end before the hash.
    pub(super) const IDENTIFIED_FROM: usize = header::ID.end;

    pub(super) fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[header::MAGIC].copy_from_slice(&MAGIC);
        put_u32(&mut out, header::VERSION, self.version);
        put_u32(&mut out, header::HEADER_LEN, Self::LEN as u32);
        put_u64(&mut out, header::TOTAL, self.total);
        out[header::ID].copy_from_slice(&self.id);
        put_u32(&mut out, header::SLOTS, self.slots);
        put_u32(&mut out, header::ENTRIES, self.entries);
        put_u32(&mut out, header::VARIANTS, self.variants);
        put_u32(&mut out, header::NOT_FOUND, self.not_found);
        put_u32(&mut out, header::TEXT, self.text);
        put_u32(&mut out, header::KEYS, self.keys);
        put_u32(&mut out, header::BODIES, self.bodies);
        out
    }

    /// Reads the fields. The caller compares the magic and the version.
    pub(super) fn decode(from: &[u8; Self::LEN]) -> Option<Self> {
        let well = u32_at(from, header::HEADER_LEN) == Self::LEN as u32
            && from[header::RESERVED].iter().all(|b| *b == 0);
        let mut id = [0; 32];
        id.copy_from_slice(&from[header::ID]);
        well.then_some(Self {
            version: u32_at(from, header::VERSION),
            total: u64_at(from, header::TOTAL),
            id,
            slots: u32_at(from, header::SLOTS),
            entries: u32_at(from, header::ENTRIES),
            variants: u32_at(from, header::VARIANTS),
            not_found: u32_at(from, header::NOT_FOUND),
            text: u32_at(from, header::TEXT),
            keys: u32_at(from, header::KEYS),
            bodies: u32_at(from, header::BODIES),
        })
    }

    pub(super) fn has_magic(from: &[u8]) -> bool {
        from.starts_with(&MAGIC)
    }

    pub(super) fn version(from: &[u8; Self::LEN]) -> u32 {
        u32_at(from, header::VERSION)
    }
}

/// One slot of the hash table over the paths: open addressing, linear probing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// The high half of the path's hash.
    pub(super) tag: u32,
    /// Index of the entry plus one; zero is a free slot.
    pub(super) entry: u32,
}

impl Slot {
    pub(super) const LEN: usize = 8;

    pub(super) fn encode(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        put_u32(&mut out, 0, self.tag);
        put_u32(&mut out, 4, self.entry);
        out
    }

    pub(super) fn decode(from: &[u8; Self::LEN]) -> Self {
        Self {
            tag: u32_at(from, 0),
            entry: u32_at(from, 4),
        }
    }
}

/// One entry: a path and what is known of it in any encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryRecord {
    pub(super) path: Span,
    pub(super) media_type: Span,
    pub(super) location: Span,
    /// Unix time; `u64::MAX` if not known.
    pub(super) modified: u64,
    pub(super) first_variant: u32,
    pub(super) variants: u16,
    pub(super) status: u16,
}

impl EntryRecord {
    pub(super) const LEN: usize = 40;

    pub(super) fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        put_span(&mut out, 0, self.path);
        put_span(&mut out, 8, self.media_type);
        put_span(&mut out, 16, self.location);
        put_u64(&mut out, 24, self.modified);
        put_u32(&mut out, 32, self.first_variant);
        out[36..38].copy_from_slice(&self.variants.to_le_bytes());
        out[38..40].copy_from_slice(&self.status.to_le_bytes());
        out
    }

    pub(super) fn decode(from: &[u8; Self::LEN]) -> Self {
        Self {
            path: span_at(from, 0),
            media_type: span_at(from, 8),
            location: span_at(from, 16),
            modified: u64_at(from, 24),
            first_variant: u32_at(from, 32),
            variants: u16::from_le_bytes([from[36], from[37]]),
            status: u16::from_le_bytes([from[38], from[39]]),
        }
    }
}

/// One encoding of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VariantRecord {
    pub(super) encoding: u32,
    pub(super) etag: Span,
    pub(super) head: Span,
    pub(super) not_modified: Span,
    /// Of the bodies; if there is a name, `len` is the length of the file, and `at` and `name` are
    /// where its name is in the text.
    pub(super) body: Span,
    /// Length of the name of the file that has the body; zero if the pack has it.
    pub(super) name: u32,
}

impl VariantRecord {
    pub(super) const LEN: usize = 40;

    /// The name of the file that has the body, in the text.
    pub(super) fn name(&self) -> Span {
        Span {
            at: self.body.at,
            len: self.name,
        }
    }

    pub(super) fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        put_u32(&mut out, 0, self.encoding);
        put_span(&mut out, 4, self.etag);
        put_span(&mut out, 12, self.head);
        put_span(&mut out, 20, self.not_modified);
        put_span(&mut out, 28, self.body);
        put_u32(&mut out, 36, self.name);
        out
    }

    pub(super) fn decode(from: &[u8; Self::LEN]) -> Self {
        Self {
            encoding: u32_at(from, 0),
            etag: span_at(from, 4),
            head: span_at(from, 12),
            not_modified: span_at(from, 20),
            body: span_at(from, 28),
            name: u32_at(from, 36),
        }
    }
}

/// Reads a little-endian number. Offsets are constants of this module, within their records.
pub(super) fn u32_at(from: &[u8], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&from[at..at + 4]);
    u32::from_le_bytes(bytes)
}

/// As [`u32_at`].
pub(super) fn u64_at(from: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&from[at..at + 8]);
    u64::from_le_bytes(bytes)
}

pub(super) fn put_u32(to: &mut [u8], at: usize, value: u32) {
    to[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u64(to: &mut [u8], at: usize, value: u64) {
    to[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn span_at(from: &[u8], at: usize) -> Span {
    Span {
        at: u32_at(from, at),
        len: u32_at(from, at + 4),
    }
}

fn put_span(to: &mut [u8], at: usize, span: Span) {
    put_u32(to, at, span.at);
    put_u32(to, at + 4, span.len);
}
