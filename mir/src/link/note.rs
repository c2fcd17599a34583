//! ELF notes: what a kernel says of itself, and what is put behind a pack.
//!
//! Layout: System V ABI, chapter "Note section". Notes are 4-aligned, as all that Xen reads are.

use std::ops::Range;

use super::LinkError;
use super::elf::read_u32;

/// The owner of notes of ours, with its NUL.
pub(super) const OURS: &[u8] = b"mir-www\0";
/// Ours, in a kernel: where it finds what was linked. In xen.rs.
pub(super) const LINKED: u32 = 0x101;
/// Ours: a command line, to be read before that of whoever starts the image.
pub(super) const WORDS: u32 = 0x102;

/// The owner and the type of package metadata: JSON text. One in a program says what it is, one
/// behind a pack what was put in.
/// <https://uapi-group.org/specifications/specs/package_metadata_for_executable_files/>
pub(super) const FDO: &[u8] = b"FDO\0";
pub(super) const PACKAGE: u32 = 0xcafe_1a7e;

/// A note in some bytes.
pub(super) struct Note<'a> {
    pub(super) name: &'a [u8],
    pub(super) kind: u32,
    /// Where its desc is in these bytes.
    pub(super) desc: Range<usize>,
}

/// Notes one after the other. Where they stop making sense there is one error, and they end.
pub(super) struct Notes<'a> {
    bytes: &'a [u8],
    at: usize,
}

pub(super) fn notes(bytes: &[u8]) -> Notes<'_> {
    Notes { bytes, at: 0 }
}

impl<'a> Iterator for Notes<'a> {
    type Item = Result<Note<'a>, LinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let note = self.read();
        self.at = match &note {
            Some(note) => note.desc.end.next_multiple_of(4),
            None => self.bytes.len(),
        };
        Some(note.ok_or(LinkError::Headers("a note that is cut off")))
    }
}

impl<'a> Notes<'a> {
    fn read(&self) -> Option<Note<'a>> {
        let rest = &self.bytes[self.at..];
        let head: &[u8; 12] = rest.first_chunk()?;
        let (name_size, desc_size) = (read_u32(head, 0) as usize, read_u32(head, 4) as usize);
        let name = rest[12..].get(..name_size)?;
        // Sizes of 32 bits: these sums do not overflow.
        let desc = self.at + 12 + name_size.next_multiple_of(4);
        let desc = desc..desc + desc_size;
        self.bytes.get(desc.clone())?;
        Some(Note {
            name,
            kind: read_u32(head, 8),
            desc,
        })
    }
}

/// Appends a note, and says where its desc is.
pub(super) fn put(out: &mut Vec<u8>, name: &[u8], kind: u32, desc: &[u8]) -> Range<usize> {
    out.extend_from_slice(&(name.len() as u32).to_le_bytes());
    out.extend_from_slice(&(desc.len() as u32).to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(name);
    out.resize(out.len().next_multiple_of(4), 0);
    let at = out.len();
    out.extend_from_slice(desc);
    let end = out.len();
    out.resize(end.next_multiple_of(4), 0);
    at..end
}

/// The text of the only package metadata among notes, if there is one that makes sense.
pub(super) fn package(bytes: &[u8]) -> Option<&str> {
    let ours = |note: &Note<'_>| note.name == FDO && note.kind == PACKAGE;
    let mut found = notes(bytes).flatten().filter(ours);
    let note = found.next().filter(|_| found.next().is_none())?;
    let text = std::str::from_utf8(&bytes[note.desc]).ok()?;
    Some(text.trim_end_matches('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layout() {
        let mut bytes = Vec::new();
        assert_eq!(put(&mut bytes, OURS, WORDS, b"--dhcp"), 20..26);
        assert_eq!(
            bytes,
            b"\x08\0\0\0\x06\0\0\0\x02\x01\0\0mir-www\0--dhcp\0\0"
        );
        put(&mut bytes, FDO, PACKAGE, b"{}\0\0");
        assert_eq!(package(&bytes), Some("{}"));
        put(&mut bytes, FDO, PACKAGE, b"{}");
        assert_eq!(package(&bytes), None, "which of them?");
    }

    proptest! {
        #[test]
        fn any_notes_are_read_back(
            wanted in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..9), any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)),
                0..6,
            ),
            cut in 0usize..200,
        ) {
            let mut bytes = Vec::new();
            for (name, kind, desc) in &wanted {
                put(&mut bytes, name, *kind, desc);
            }
            let read: Result<Vec<_>, _> = notes(&bytes)
                .map(|note| note.map(|n| (n.name.to_vec(), n.kind, bytes[n.desc].to_vec())))
                .collect();
            prop_assert_eq!(read, Ok(wanted.clone()));
            // What is cut off inside a note is an error, and never more than was there.
            bytes.truncate(cut);
            let read: Vec<_> = notes(&bytes).collect();
            prop_assert!(read.len() <= wanted.len());
            prop_assert!(read.iter().rev().skip(1).all(Result::is_ok));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            prop_assert!(notes(&bytes).count() <= bytes.len() / 12 + 1);
            let _ = package(&bytes);
        }
    }
}
