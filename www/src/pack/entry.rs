//! What is in a loaded pack: its entries, each with its variants, and its keys.

use super::record::{EntryRecord, VariantRecord};
use crate::encoding::{Accept, Encoding};

/// What answers for one path.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub(super) record: EntryRecord,
    pub(super) index: u32,
    pub(super) variants: &'a [[u8; VariantRecord::LEN]],
    pub(super) text: &'a [u8],
    pub(super) bodies: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The path, decoded. Empty for the page that answers for missing paths.
    pub fn path(&self) -> &'a str {
        core::str::from_utf8(self.path_bytes()).unwrap_or_default()
    }

    /// Its place among the entries, the one for missing paths included.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The place of its first variant among those of all entries.
    pub fn first(&self) -> u32 {
        self.record.first_variant
    }

    /// The status that it answers with: 200, 301, 302, 307, 308, 404 or 410.
    pub fn status(&self) -> u16 {
        self.record.status
    }

    /// The media type; empty for a redirect.
    pub fn media_type(&self) -> &'a str {
        let bytes = self.record.media_type.of(self.text).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Where a redirect leads; empty for others.
    pub fn location(&self) -> &'a str {
        let bytes = self.record.location.of(self.text).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// When it was last modified, in seconds since 1970.
    pub fn modified(&self) -> Option<u64> {
        (self.record.modified != u64::MAX).then_some(self.record.modified)
    }

    /// Its encodings, the identity first.
    pub fn variants(&self) -> impl ExactSizeIterator<Item = Variant<'a>> + use<'a> {
        let entry = *self;
        (0..self.record.variants).map(move |i| entry.variant(i))
    }

    /// The variant that this client likes best; `None` if it accepts none that there is. Where it
    /// does not care, br, then gzip, then the identity.
    pub fn pick(&self, accept: Accept) -> Option<Variant<'a>> {
        let best = self.best(accept, |_| true)?;
        Some(self.variant(best))
    }

    /// As [`pick`](Self::pick), of those variants that can be used; gives the place among the
    /// variants of all entries, which is what `usable` is asked for.
    pub fn pick_where(&self, accept: Accept, usable: impl Fn(u32) -> bool) -> Option<u32> {
        let first = self.record.first_variant;
        let best = self.best(accept, |i| usable(first + u32::from(i)))?;
        Some(first + u32::from(best))
    }

    #[inline(always)]
    fn best(&self, accept: Accept, usable: impl Fn(u16) -> bool) -> Option<u16> {
        let mut best = None;
        let mut most = 0;
        for i in 0..self.record.variants {
            let record = self.record(i);
            // In the order of `Encoding::ALL`: the later wins.
            let weight = accept.weight(Encoding::ALL[record.encoding as usize]);
            if weight > 0 && weight >= most && usable(i) {
                most = weight;
                best = Some(i);
            }
        }
        best
    }

    pub(super) fn path_bytes(&self) -> &'a [u8] {
        self.record.path.of(self.text).unwrap_or_default()
    }

    fn record(&self, index: u16) -> VariantRecord {
        let at = self.record.first_variant as usize + usize::from(index);
        VariantRecord::decode(&self.variants[at])
    }

    #[inline(always)]
    fn variant(&self, index: u16) -> Variant<'a> {
        Variant::of(&self.record(index), self.text, self.bodies)
    }
}

/// One encoding of an entry, as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant<'a> {
    /// Which one.
    pub encoding: Encoding,
    /// Its strong entity tag with the quotes; empty for a redirect and for the 404 page.
    pub etag: &'a [u8],
    /// Status line and header lines, without `Date`, `Connection` and the empty line.
    pub head: &'a [u8],
    /// The same for a 304; empty unless the status is 200.
    pub not_modified: &'a [u8],
    /// The body.
    pub body: Body<'a>,
}

impl<'a> Variant<'a> {
    #[inline(always)]
    pub(super) fn of(record: &VariantRecord, text: &'a [u8], bodies: &'a [u8]) -> Self {
        let body = match record.name {
            0 => Body::Here(record.body.of(bodies).unwrap_or_default()),
            _ => Body::File {
                name: core::str::from_utf8(record.name().of(text).unwrap_or_default())
                    .unwrap_or_default(),
                len: record.body.len,
            },
        };
        Self {
            encoding: Encoding::ALL[record.encoding as usize],
            etag: record.etag.of(text).unwrap_or_default(),
            head: record.head.of(text).unwrap_or_default(),
            not_modified: record.not_modified.of(text).unwrap_or_default(),
            body,
        }
    }
}

/// Where a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// In the pack.
    Here(&'a [u8]),
    /// In a file of the volume that the manifest is on.
    File {
        /// Its name with its folders, from the root, in the form of [`is_name`](super::names::is_name).
        name: &'a str,
        /// Its length in bytes.
        len: u32,
    },
}

impl<'a> Body<'a> {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::File { len, .. } => *len as usize,
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, if the pack has them: always in one that [`Pack::load`](super::Pack::load) took.
    pub fn here(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Here(bytes) => Some(bytes),
            Self::File { .. } => None,
        }
    }
}

/// The keys of a pack, in order: name and value.
#[derive(Clone)]
pub struct Keys<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Keys<'a> {
    type Item = (&'a str, &'a [u8]);

    /// Ends at the first that is malformed, which loading does not let pass.
    fn next(&mut self) -> Option<Self::Item> {
        let (name_len, rest) = self.0.split_first_chunk()?;
        let (value_len, rest) = rest.split_first_chunk()?;
        let (name_len, value_len) = (
            u32::from_le_bytes(*name_len),
            u32::from_le_bytes(*value_len),
        );
        if name_len == 0 {
            return None;
        }
        let (name, rest) = rest.split_at_checked(name_len as usize)?;
        let (value, rest) = rest.split_at_checked(value_len as usize)?;
        let name = core::str::from_utf8(name).ok()?;
        self.0 = rest;
        Some((name, value))
    }
}
