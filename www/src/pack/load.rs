//! Reading a pack in place.

use core::fmt;

use twox_hash::XxHash3_64;

use super::entry::{Entry, Keys, Variant};
use super::head::{self, Expected};
use super::record::{ALIGN, EntryRecord, Header, NONE, Slot, Span, VariantRecord, u64_at};
use super::{MANIFEST_VERSION, VERSION, is_canonical, names};
use crate::encoding::Encoding;

/// Length of the hash at the end.
const HASH_LEN: usize = 8;

/// Slots that are looked at to find each path once, for each slot that there is: a table that a
/// [`Writer`](super::Writer) made needs less than one, as half of it is free.
const PROBES: usize = 16;

/// A loaded pack: a view of its bytes, cheap to copy.
#[derive(Clone, Copy)]
pub struct Pack<'a> {
    header: Header,
    slots: &'a [[u8; Slot::LEN]],
    entries: &'a [[u8; EntryRecord::LEN]],
    variants: &'a [[u8; VariantRecord::LEN]],
    text: &'a [u8],
    keys: &'a [u8],
    bodies: &'a [u8],
}

/// Why bytes are not a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackError {
    /// They do not begin as a pack does.
    NotAPack,
    /// Another version than the one that is wanted here.
    Version {
        /// Which is wanted.
        expected: u32,
        /// Which it is.
        found: u32,
    },
    /// Fewer or more bytes than the pack says it has.
    Length {
        /// What the pack says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// The hash over all bytes is another one: the pack was altered.
    Altered,
    /// The hash is right and the contents are not: whatever wrote this is at fault. Says which
    /// part is malformed.
    Malformed(&'static str),
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAPack => f.write_str("this is no pack"),
            Self::Version { expected, found } => {
                write!(f, "the pack has version {found}, not {expected}")
            }
            Self::Length { expected, found } => {
                write!(f, "the pack should have {expected} bytes and has {found}")
            }
            Self::Altered => f.write_str("the pack is altered: its hash does not match"),
            Self::Malformed(what) => write!(f, "the pack is malformed: {what}"),
        }
    }
}

impl core::error::Error for PackError {}

impl<'a> Pack<'a> {
    /// Checks all of `data`, which takes time in proportion to its length, and gives a view of it.
    /// All bodies are in it.
    pub fn load(data: &'a [u8]) -> Result<Self, PackError> {
        Self::load_as(VERSION, data)
    }

    /// As [`load`](Self::load), for a manifest: bodies may be files.
    pub fn load_manifest(data: &'a [u8]) -> Result<Self, PackError> {
        Self::load_as(MANIFEST_VERSION, data)
    }

    fn load_as(version: u32, data: &'a [u8]) -> Result<Self, PackError> {
        let length = |expected| PackError::Length {
            expected,
            found: data.len() as u64,
        };
        if !Header::has_magic(data) {
            return Err(PackError::NotAPack);
        }
        let fixed = (Header::LEN + HASH_LEN) as u64;
        let first = data.first_chunk().ok_or(length(fixed))?;
        let found = Header::version(first);
        if found != version {
            return Err(PackError::Version {
                expected: version,
                found,
            });
        }
        let header = Header::decode(first).ok_or(PackError::Malformed("header"))?;
        if header.total != data.len() as u64 || header.total < fixed {
            return Err(length(header.total));
        }
        let (content, hash) = data.split_at(data.len() - HASH_LEN);
        if XxHash3_64::oneshot(content) != u64_at(hash, 0) {
            return Err(PackError::Altered);
        }
        let pack = Self::view(header, content).ok_or(PackError::Malformed("sections"))?;
        pack.check()?;
        Ok(pack)
    }

    /// The sections of what stands before the hash, unchecked.
    fn view(header: Header, content: &'a [u8]) -> Option<Self> {
        let mut rest = content.get(Header::LEN..)?;
        let mut take = |count: u32, size: usize| {
            let length = usize::try_from(u64::from(count) * size as u64).ok();
            let (section, after) = rest.split_at_checked(length?)?;
            rest = after;
            Some(section)
        };
        let pack = Self {
            header,
            slots: take(header.slots, Slot::LEN)?.as_chunks().0,
            entries: take(header.entries, EntryRecord::LEN)?.as_chunks().0,
            variants: take(header.variants, VariantRecord::LEN)?.as_chunks().0,
            text: take(header.text, 1)?,
            keys: take(header.keys, 1)?,
            bodies: take(header.bodies, 1)?,
        };
        let well = rest.is_empty() && (header.bodies as usize).is_multiple_of(ALIGN);
        well.then_some(pack)
    }

    /// The view of bytes that were checked when `header` was read from them.
    pub(super) fn checked(header: Header, data: &'a [u8]) -> Option<Self> {
        Self::view(header, data.get(..data.len().checked_sub(HASH_LEN)?)?)
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// What names this content: the digest that its writer was given.
    pub fn id(&self) -> &[u8; 32] {
        &self.header.id
    }

    /// Length of the pack in bytes.
    pub fn size(&self) -> u64 {
        self.header.total
    }

    /// The entry at a decoded path.
    pub fn find(&self, path: &[u8]) -> Option<Entry<'a>> {
        let mut probes = usize::MAX;
        self.find_within(path, &mut probes)
    }

    /// As [`find`](Self::find), looking at no more than so many slots, which are counted down.
    #[inline(always)]
    fn find_within(&self, path: &[u8], probes: &mut usize) -> Option<Entry<'a>> {
        let hash = XxHash3_64::oneshot(path);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        // There is always a free slot: loading has seen to it.
        loop {
            let slot = Slot::decode(&self.slots[at]);
            if slot.entry == 0 {
                return None;
            }
            if slot.tag == (hash >> 32) as u32 {
                let entry = self.entry(slot.entry - 1);
                if entry.path_bytes() == path {
                    return Some(entry);
                }
            }
            *probes = probes.checked_sub(1)?;
            at = (at + 1) & mask;
        }
    }

    /// The page for paths that are not there, if the site has one.
    pub fn not_found(&self) -> Option<Entry<'a>> {
        (self.header.not_found != NONE).then(|| self.entry(self.header.not_found))
    }

    /// All entries that have a path, sorted by it.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'a>> + use<'a> {
        let pack = *self;
        let paths = pack.paths() as u32;
        (0..paths).map(move |i| pack.entry(i))
    }

    /// What is said of the site as a whole, by name: room for what later versions want to know.
    pub fn keys(&self) -> Keys<'a> {
        Keys(self.keys)
    }

    /// The value of a key.
    pub fn key(&self, name: &str) -> Option<&'a [u8]> {
        self.keys()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value)
    }

    /// A variant by its place among those of all entries.
    pub fn variant(&self, number: u32) -> Option<Variant<'a>> {
        let record = self.variants.get(number as usize)?;
        let record = VariantRecord::decode(record);
        Some(Variant::of(&record, self.text, self.bodies))
    }

    /// The [`Variant::head`] of the variant of this number.
    pub fn head(&self, number: u32) -> &'a [u8] {
        self.text_of(number, |record| record.head)
    }

    /// The [`Variant::not_modified`] of the variant of this number.
    pub fn not_modified(&self, number: u32) -> &'a [u8] {
        self.text_of(number, |record| record.not_modified)
    }

    /// The [`Variant::etag`] of the variant of this number.
    pub fn etag(&self, number: u32) -> &'a [u8] {
        self.text_of(number, |record| record.etag)
    }

    #[inline(always)]
    fn text_of(&self, number: u32, span: impl Fn(&VariantRecord) -> Span) -> &'a [u8] {
        let record = self.variants.get(number as usize);
        let record = record.map(VariantRecord::decode);
        let text = record.and_then(|record| span(&record).of(self.text));
        text.unwrap_or_default()
    }

    /// All variants of all entries, in the order of [`Entry::first`].
    pub fn variants(&self) -> impl ExactSizeIterator<Item = Variant<'a>> + use<'a> {
        let pack = *self;
        let records = pack.variants.iter().map(VariantRecord::decode);
        records.map(move |record| Variant::of(&record, pack.text, pack.bodies))
    }

    fn entry(&self, index: u32) -> Entry<'a> {
        let record = EntryRecord::decode(&self.entries[index as usize]);
        Entry {
            record,
            index,
            variants: self.variants,
            text: self.text,
            bodies: self.bodies,
        }
    }

    /// The number of entries with a path. The page for missing ones has none, and is the last.
    fn paths(&self) -> usize {
        self.entries.len() - usize::from(self.header.not_found != NONE)
    }

    fn check(&self) -> Result<(), PackError> {
        let not_found = self.header.not_found;
        if not_found != NONE && not_found as usize + 1 != self.entries.len() {
            return Err(PackError::Malformed("page for missing paths"));
        }
        let mut last = "";
        let mut first_variant = 0;
        // Nothing is written twice but media types and locations, each of which is in a head as
        // well: more text than this is the same text again and again.
        let mut room = 2 * self.text.len() as u64;
        let mut budget = |spans: &[Span]| {
            let length = spans.iter().map(|span| u64::from(span.len)).sum();
            room = room
                .checked_sub(length)
                .ok_or(PackError::Malformed("text"))?;
            Ok(())
        };
        for record in self.entries {
            let record = EntryRecord::decode(record);
            budget(&[record.path, record.media_type, record.location])?;
        }
        for record in self.variants {
            let record = VariantRecord::decode(record);
            let (head, name) = (record.head, record.name());
            budget(&[record.etag, head, record.not_modified, name])?;
        }
        for (i, record) in self.entries.iter().enumerate() {
            let record = EntryRecord::decode(record);
            if record.first_variant != first_variant {
                return Err(PackError::Malformed("variants"));
            }
            first_variant += u32::from(record.variants);
            let missing = i == not_found as usize;
            let path = self.check_entry(&record, missing)?;
            if !missing && path <= last {
                return Err(PackError::Malformed("order of paths"));
            }
            last = path;
        }
        if first_variant as usize != self.variants.len() {
            return Err(PackError::Malformed("variants"));
        }
        self.check_slots()?;
        let mut last = "";
        let mut keys = self.keys();
        for (name, _) in &mut keys {
            if name <= last {
                return Err(PackError::Malformed("keys"));
            }
            last = name;
        }
        if keys.0.iter().any(|b| *b != 0) || keys.0.len() >= ALIGN {
            return Err(PackError::Malformed("keys"));
        }
        Ok(())
    }

    /// Checks one entry with its variants, and gives its path.
    fn check_entry(&self, record: &EntryRecord, missing: bool) -> Result<&'a str, PackError> {
        let text = |span: Span, what| {
            let bytes = span.of(self.text).ok_or(PackError::Malformed(what))?;
            core::str::from_utf8(bytes).map_err(|_| PackError::Malformed(what))
        };
        let path = text(record.path, "path")?;
        let well = if missing {
            path.is_empty()
        } else {
            is_canonical(path)
        };
        if !well {
            return Err(PackError::Malformed("path"));
        }
        let location = text(record.location, "location")?;
        text(record.media_type, "media type")?;
        let well = match record.status {
            200 => !missing && location.is_empty(),
            301 | 302 | 307 | 308 => !missing && !location.is_empty(),
            410 => !missing && location.is_empty(),
            404 => missing && location.is_empty(),
            _ => false,
        };
        if !well {
            return Err(PackError::Malformed("status"));
        }
        let first = record.first_variant as usize;
        let variants = self
            .variants
            .get(first..first + usize::from(record.variants));
        let variants = variants.ok_or(PackError::Malformed("variants"))?;
        let mut next = 0;
        for variant in variants {
            let variant = VariantRecord::decode(variant);
            // The identity is always there and comes first.
            if variant.encoding < next || (next == 0 && variant.encoding != 0) {
                return Err(PackError::Malformed("encoding"));
            }
            self.check_variant(record, &variant, location)?;
            next = variant.encoding + 1;
        }
        if next == 0 {
            return Err(PackError::Malformed("encoding"));
        }
        Ok(path)
    }

    fn check_variant(
        &self,
        entry: &EntryRecord,
        variant: &VariantRecord,
        location: &str,
    ) -> Result<(), PackError> {
        let encoding = Encoding::ALL.get(variant.encoding as usize).copied();
        let encoding = encoding.ok_or(PackError::Malformed("encoding"))?;
        let length = if variant.name == 0 {
            let body = variant.body.of(self.bodies);
            body.ok_or(PackError::Malformed("body"))?.len()
        } else {
            let name = variant.name().of(self.text);
            let name = name.and_then(|name| core::str::from_utf8(name).ok());
            if self.header.version == VERSION || !name.is_some_and(names::is_name) {
                return Err(PackError::Malformed("file name"));
            }
            variant.body.len as usize
        };
        let etag = variant
            .etag
            .of(self.text)
            .ok_or(PackError::Malformed("entity tag"))?;
        let well = if entry.status == 200 {
            head::is_etag(etag)
        } else {
            etag.is_empty()
        };
        if !well {
            return Err(PackError::Malformed("entity tag"));
        }
        let full = variant
            .head
            .of(self.text)
            .ok_or(PackError::Malformed("head"))?;
        let expected = Expected {
            status: entry.status,
            length: Some(length),
            etag,
            encoding: Some(encoding),
            location: location.as_bytes(),
        };
        if !head::check(full, &expected) {
            return Err(PackError::Malformed("head"));
        }
        let short = variant.not_modified.of(self.text);
        let short = short.ok_or(PackError::Malformed("head of a 304"))?;
        let expected = Expected {
            status: 304,
            length: None,
            etag,
            encoding: None,
            location: b"",
        };
        let well = match entry.status {
            200 => head::check(short, &expected),
            _ => short.is_empty(),
        };
        well.then_some(())
            .ok_or(PackError::Malformed("head of a 304"))
    }

    /// Checks that looking up finds each path, and ends for any other.
    fn check_slots(&self) -> Result<(), PackError> {
        let used = || self.slots.iter().map(Slot::decode).filter(|s| s.entry != 0);
        let in_range = used().all(|s| s.entry as usize <= self.paths());
        let well = self.slots.len().is_power_of_two()
            && used().count() == self.paths()
            && self.paths() < self.slots.len()
            && in_range;
        let mut probes = self.slots.len().saturating_mul(PROBES);
        let mut found = || {
            self.entries().all(|entry| {
                let found = self.find_within(entry.path_bytes(), &mut probes);
                found.is_some_and(|found| found.index == entry.index)
            })
        };
        if well && found() {
            Ok(())
        } else {
            Err(PackError::Malformed("slots"))
        }
    }
}
