//! Making a pack.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use twox_hash::XxHash3_64;

use super::head;
use super::made::{Made, MadeVariant};
use super::names::{self, Names, Part};
use super::record::{ALIGN, EntryRecord, Header, NONE, Slot, Span, VariantRecord};
use super::{MANIFEST_VERSION, VERSION, is_canonical};
use crate::encoding::Encoding;

/// An encoded body is kept only if it saves this many bytes, and one in [`SAVES_SHARE`].
const SAVES_BYTES: usize = 64;
const SAVES_SHARE: usize = 16;

/// Whether an encoded body of this length is worth having beside a plain one.
pub(crate) fn is_worth(plain: usize, encoded: usize) -> bool {
    encoded.saturating_add((plain / SAVES_SHARE).max(SAVES_BYTES)) <= plain
}

/// Collects what a site answers, in any order, and writes it as a pack. The same input gives the
/// same bytes.
#[derive(Default)]
pub struct Writer {
    entries: BTreeMap<String, New>,
    not_found: Option<Page>,
    headers: Vec<(String, String)>,
    keys: BTreeMap<String, Vec<u8>>,
}

/// Something with a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its media type, the value of `Content-Type`.
    pub media_type: String,
    /// When it was last modified, in seconds since 1970.
    pub modified: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
    /// The body as gzip. Left out if it is not worth it.
    pub gzip: Option<Vec<u8>>,
    /// The body as Brotli. Left out if it is not worth it.
    pub br: Option<Vec<u8>>,
    /// More header fields of this page, beside those of the whole site.
    pub headers: Vec<(String, String)>,
}

/// What goes on one volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVolume {
    /// All files but the manifest, sorted by name.
    pub files: Vec<NewFile>,
    /// The manifest.
    pub manifest: NewFile,
}

/// A file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Its name with its folders, from the root: `blog/a.html`. FAT can hold it.
    pub name: String,
    /// When it was last modified, in seconds since 1970.
    pub modified: Option<u64>,
    /// What is in it.
    pub body: Vec<u8>,
}

/// Why something cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// A path that is not absolute, decoded and free of `.`, `..`, `//` and control characters,
    /// or is longer than [`MAX_PATH`](super::MAX_PATH).
    Path(String),
    /// This path is there already.
    Duplicate(String),
    /// A header field that is malformed, or that the pack or the connection sets itself.
    Field(String),
    /// A media type that is none.
    MediaType(String),
    /// A redirect to what is no absolute path and no URI.
    Location(String),
    /// A redirect with another status than 301, 302, 307 or 308.
    Status(u16),
    /// A key without a name, or one that is there already.
    Key(String),
    /// More than 4 GiB of a kind.
    TooLarge,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(p) => write!(f, "{p:?} is not a path that can be served"),
            Self::Duplicate(p) => write!(f, "there are two answers for the path {p:?}"),
            Self::Field(n) => write!(f, "the header field {n:?} cannot be set"),
            Self::MediaType(t) => write!(f, "{t:?} is not a media type"),
            Self::Location(l) => write!(f, "{l:?} is not a place to redirect to"),
            Self::Status(s) => write!(f, "{s} is not the status of a redirect"),
            Self::Key(n) => write!(f, "the key {n:?} is empty or there already"),
            Self::TooLarge => f.write_str("the site has more than 4 GiB"),
        }
    }
}

impl core::error::Error for WriteError {}

enum New {
    /// With the status 200, or 410.
    Page(u16, Page),
    Redirect {
        status: u16,
        location: String,
        headers: Vec<(String, String)>,
    },
}

impl Writer {
    /// One without anything in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header field to every page of the site.
    pub fn header(&mut self, name: &str, value: &str) -> Result<(), WriteError> {
        check_field(name, value)?;
        self.headers.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Adds a page. `path` is decoded: as people read it, not as it is in a URI.
    pub fn page(&mut self, path: &str, page: Page) -> Result<(), WriteError> {
        check_page(&page)?;
        self.add(path, New::Page(200, page))
    }

    /// Adds what answers for a path at which there was something, with the status 410.
    pub fn gone(&mut self, path: &str, page: Page) -> Result<(), WriteError> {
        check_page(&page)?;
        self.add(path, New::Page(410, page))
    }

    /// Adds a redirect with the status 301, 302, 307 or 308 to `location`: a path beginning with `/`,
    /// or a URI, percent-encoded. `headers` are its header fields; those of the whole site are for
    /// pages.
    pub fn redirect(
        &mut self,
        path: &str,
        status: u16,
        location: &str,
        headers: &[(String, String)],
    ) -> Result<(), WriteError> {
        check_location(status, location)?;
        check_fields(headers)?;
        self.add(
            path,
            New::Redirect {
                status,
                location: location.to_owned(),
                headers: headers.to_owned(),
            },
        )
    }

    /// Sets the page that is sent, with status 404, for paths that are not there.
    pub fn not_found(&mut self, page: Page) -> Result<(), WriteError> {
        check_page(&page)?;
        self.not_found = Some(page);
        Ok(())
    }

    /// Says something of the site as a whole.
    pub fn key(&mut self, name: &str, value: &[u8]) -> Result<(), WriteError> {
        if name.is_empty() || self.keys.contains_key(name) {
            return Err(WriteError::Key(name.to_owned()));
        }
        self.keys.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Writes the pack. `digest` names the content: it is given all that is in the pack but the
    /// bytes before the name, the name itself and the hash.
    pub fn finish(self, digest: impl FnOnce(&[u8]) -> [u8; 32]) -> Result<Vec<u8>, WriteError> {
        let (bytes, _) = self.write(None, digest)?;
        Ok(bytes)
    }

    /// Writes a manifest, and gives the files that it speaks of: all bodies. `digest` is as for
    /// [`finish`](Self::finish).
    pub fn finish_volume(
        self,
        part: Part,
        digest: impl FnOnce(&[u8]) -> [u8; 32],
    ) -> Result<NewVolume, WriteError> {
        let mut names = Names::default();
        // Claimed first, so that no file of the site bears it.
        let manifest = names.claim(names::MANIFEST);
        let pages = self.entries.iter().filter_map(|(path, new)| match new {
            New::Page(_, page) => Some((path.as_str(), page)),
            New::Redirect { .. } => None,
        });
        let missing = self.not_found.iter().map(|page| ("/404", page));
        // Bodies as they are before encoded ones, which nobody looks for by name.
        let plain = pages.chain(missing).map(|(path, page)| {
            let wish = names::wished(part, path, &page.media_type);
            names.claim(&wish)
        });
        let plain: Vec<_> = plain.collect();
        let apart = Apart {
            names,
            plain: plain.into_iter(),
            files: Vec::new(),
        };
        let (bytes, mut files) = self.write(Some(apart), digest)?;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        // No older than any file: what is younger is not what the manifest speaks of.
        let modified = files.iter().filter_map(|file| file.modified).max();
        Ok(NewVolume {
            files,
            manifest: NewFile {
                name: manifest,
                modified,
                body: bytes,
            },
        })
    }

    fn write(
        self,
        apart: Option<Apart>,
        digest: impl FnOnce(&[u8]) -> [u8; 32],
    ) -> Result<(Vec<u8>, Vec<NewFile>), WriteError> {
        let mut layout = Layout {
            apart,
            ..Layout::default()
        };
        let mut slots = vec![Slot::default(); (self.entries.len() * 2).next_power_of_two().max(2)];
        for (path, new) in self.entries {
            let index = layout.entries.len();
            insert(&mut slots, &path, index)?;
            match new {
                New::Page(status, page) => layout.page(&path, status, page, &self.headers)?,
                New::Redirect {
                    status,
                    location,
                    headers,
                } => layout.redirect(&path, status, &location, &headers)?,
            }
        }
        let not_found = match self.not_found {
            Some(page) => {
                layout.page("", 404, page, &self.headers)?;
                number(layout.entries.len() - 1)?
            }
            None => NONE,
        };
        let mut keys = Vec::new();
        for (name, value) in &self.keys {
            keys.extend_from_slice(&number(name.len())?.to_le_bytes());
            keys.extend_from_slice(&number(value.len())?.to_le_bytes());
            keys.extend_from_slice(name.as_bytes());
            keys.extend_from_slice(value);
        }
        layout.write(&slots, keys, not_found, digest)
    }

    fn add(&mut self, path: &str, new: New) -> Result<(), WriteError> {
        if !is_canonical(path) {
            return Err(WriteError::Path(path.to_owned()));
        }
        if self.entries.contains_key(path) {
            return Err(WriteError::Duplicate(path.to_owned()));
        }
        self.entries.insert(path.to_owned(), new);
        Ok(())
    }
}

/// Whether [`Writer::redirect`] takes this status and this location.
pub fn check_location(status: u16, location: &str) -> Result<(), WriteError> {
    if !matches!(status, 301 | 302 | 307 | 308) {
        return Err(WriteError::Status(status));
    }
    let scheme = location.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    });
    let visible = location.bytes().all(|b| b.is_ascii_graphic());
    if !visible || !(scheme || location.starts_with('/')) {
        return Err(WriteError::Location(location.to_owned()));
    }
    Ok(())
}

pub(super) fn check_page(page: &Page) -> Result<(), WriteError> {
    check_fields(&page.headers)?;
    let (essence, _) = page
        .media_type
        .split_once(';')
        .unwrap_or((&page.media_type, ""));
    let well = essence
        .trim_end()
        .split_once('/')
        .is_some_and(|(t, s)| head::is_token(t.as_bytes()) && head::is_token(s.as_bytes()));
    if !well || !head::is_value(page.media_type.as_bytes()) {
        return Err(WriteError::MediaType(page.media_type.clone()));
    }
    Ok(())
}

pub(super) fn check_fields(headers: &[(String, String)]) -> Result<(), WriteError> {
    let mut fields = headers.iter();
    fields.try_for_each(|(name, value)| check_field(name, value))
}

fn check_field(name: &str, value: &str) -> Result<(), WriteError> {
    if head::may_add(name, value) {
        Ok(())
    } else {
        Err(WriteError::Field(name.to_owned()))
    }
}

fn insert(slots: &mut [Slot], path: &str, entry: usize) -> Result<(), WriteError> {
    let hash = XxHash3_64::oneshot(path.as_bytes());
    let mask = slots.len() - 1;
    let mut at = hash as usize & mask;
    while slots[at].entry != 0 {
        at = (at + 1) & mask;
    }
    slots[at] = Slot {
        tag: (hash >> 32) as u32,
        entry: number(entry + 1)?,
    };
    Ok(())
}

fn number(n: usize) -> Result<u32, WriteError> {
    // NONE is no number.
    u32::try_from(n)
        .ok()
        .filter(|n| *n != NONE)
        .ok_or(WriteError::TooLarge)
}

/// The sections as they grow.
#[derive(Default)]
struct Layout {
    entries: Vec<EntryRecord>,
    variants: Vec<VariantRecord>,
    text: Vec<u8>,
    bodies: Vec<u8>,
    /// Bodies, by their hashes.
    written: BTreeMap<u64, Span>,
    /// Texts that many entries share.
    shared: BTreeMap<Vec<u8>, Span>,
    /// Where bodies go if not into the pack.
    apart: Option<Apart>,
}

/// Bodies as files.
struct Apart {
    names: Names,
    /// The names of the identity bodies, in the order of the entries.
    plain: vec::IntoIter<String>,
    files: Vec<NewFile>,
}

impl Layout {
    fn page(
        &mut self,
        path: &str,
        status: u16,
        page: Page,
        headers: &[(String, String)],
    ) -> Result<(), WriteError> {
        let media_type = page.media_type.clone();
        let made = Made::new(status, page, headers);
        let variants = made.variants.len() as u16;
        let first_variant = number(self.variants.len())?;
        let name = self.apart.as_mut().and_then(|apart| apart.plain.next());
        for variant in made.variants {
            let MadeVariant { encoding, body, .. } = variant;
            let mut record = VariantRecord {
                encoding: encoding as u32,
                etag: self.text(variant.etag.as_bytes())?,
                head: self.text(&variant.head)?,
                not_modified: self.text(&variant.not_modified)?,
                body: Span::default(),
                name: 0,
            };
            match &name {
                None => record.body = self.body(&body)?,
                Some(plain) => self.file(&mut record, plain, encoding, body, made.modified)?,
            }
            self.variants.push(record);
        }
        let record = EntryRecord {
            path: self.text(path.as_bytes())?,
            media_type: self.share(media_type.as_bytes())?,
            location: Span::default(),
            modified: made.modified.unwrap_or(u64::MAX),
            first_variant,
            variants,
            status,
        };
        self.entries.push(record);
        Ok(())
    }

    fn redirect(
        &mut self,
        path: &str,
        status: u16,
        location: &str,
        headers: &[(String, String)],
    ) -> Result<(), WriteError> {
        let made = Made::to(status, location, headers).variants.pop();
        let head = made.map(|variant| variant.head).unwrap_or_default();
        let variant = VariantRecord {
            encoding: Encoding::Identity as u32,
            etag: Span::default(),
            head: self.text(&head)?,
            not_modified: Span::default(),
            body: Span::default(),
            name: 0,
        };
        let record = EntryRecord {
            path: self.text(path.as_bytes())?,
            media_type: Span::default(),
            location: self.share(location.as_bytes())?,
            modified: u64::MAX,
            first_variant: number(self.variants.len())?,
            variants: 1,
            status,
        };
        self.variants.push(variant);
        self.entries.push(record);
        Ok(())
    }

    /// Makes the body a file, called after the one of the identity.
    fn file(
        &mut self,
        record: &mut VariantRecord,
        plain: &str,
        encoding: Encoding,
        body: Vec<u8>,
        modified: Option<u64>,
    ) -> Result<(), WriteError> {
        let Some(apart) = &mut self.apart else {
            return Ok(());
        };
        let name = match encoding {
            Encoding::Identity => plain.to_owned(),
            other => {
                let wish = format!("{plain}{}", names::suffix(other));
                apart.names.beside(&wish)
            }
        };
        let len = number(body.len())?;
        apart.files.push(NewFile {
            name: name.clone(),
            modified,
            body,
        });
        let name = self.text(name.as_bytes())?;
        record.body = Span { at: name.at, len };
        record.name = name.len;
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) -> Result<Span, WriteError> {
        if bytes.is_empty() {
            return Ok(Span::default());
        }
        let span = Span {
            at: number(self.text.len())?,
            len: number(bytes.len())?,
        };
        self.text.extend_from_slice(bytes);
        Ok(span)
    }

    fn share(&mut self, bytes: &[u8]) -> Result<Span, WriteError> {
        if let Some(span) = self.shared.get(bytes) {
            return Ok(*span);
        }
        let span = self.text(bytes)?;
        self.shared.insert(bytes.to_owned(), span);
        Ok(span)
    }

    fn body(&mut self, bytes: &[u8]) -> Result<Span, WriteError> {
        if bytes.is_empty() {
            return Ok(Span::default());
        }
        // What is there already, such as the page for what is gone, is not written again.
        let hash = XxHash3_64::oneshot(bytes);
        let same = self.written.get(&hash).copied();
        if let Some(span) = same.filter(|span| span.of(&self.bodies) == Some(bytes)) {
            return Ok(span);
        }
        let span = Span {
            at: number(self.bodies.len())?,
            len: number(bytes.len())?,
        };
        self.bodies.extend_from_slice(bytes);
        pad(&mut self.bodies);
        self.written.insert(hash, span);
        Ok(span)
    }

    fn write(
        mut self,
        slots: &[Slot],
        mut keys: Vec<u8>,
        not_found: u32,
        digest: impl FnOnce(&[u8]) -> [u8; 32],
    ) -> Result<(Vec<u8>, Vec<NewFile>), WriteError> {
        let (version, files) = match self.apart.take() {
            None => (VERSION, Vec::new()),
            Some(apart) => (MANIFEST_VERSION, apart.files),
        };
        let records = Header::LEN
            + slots.len() * Slot::LEN
            + self.entries.len() * EntryRecord::LEN
            + self.variants.len() * VariantRecord::LEN;
        // The bodies begin aligned, relative to the pack.
        let ragged = (records + self.text.len()) % ALIGN;
        self.text
            .resize(self.text.len() + (ALIGN - ragged) % ALIGN, 0);
        pad(&mut keys);
        let total = records + self.text.len() + keys.len() + self.bodies.len() + 8;
        let mut header = Header {
            version,
            total: total as u64,
            id: [0; 32],
            slots: number(slots.len())?,
            entries: number(self.entries.len())?,
            variants: number(self.variants.len())?,
            not_found,
            text: number(self.text.len())?,
            keys: number(keys.len())?,
            bodies: number(self.bodies.len())?,
        };
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(&header.encode());
        slots
            .iter()
            .for_each(|s| out.extend_from_slice(&s.encode()));
        self.entries
            .iter()
            .for_each(|e| out.extend_from_slice(&e.encode()));
        self.variants
            .iter()
            .for_each(|v| out.extend_from_slice(&v.encode()));
        for section in [&self.text, &keys, &self.bodies] {
            out.extend_from_slice(section);
        }
        header.id = digest(&out[Header::IDENTIFIED_FROM..]);
        out[..Header::LEN].copy_from_slice(&header.encode());
        let hash = XxHash3_64::oneshot(&out);
        out.extend_from_slice(&hash.to_le_bytes());
        Ok((out, files))
    }
}

fn pad(section: &mut Vec<u8>) {
    section.resize(section.len().next_multiple_of(ALIGN), 0);
}
