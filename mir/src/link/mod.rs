//! Joins a pack and a binary that was built without one, so that a site can change without a
//! compiler. docs/image.md is the contract with the two binaries.
//!
//! What is given as a base is trusted to be nothing: every offset in it is checked before it is
//! followed, and a base that breaks the contract is refused with the reason.

mod elf;
pub mod unix;
pub mod xen;

use std::fmt;
use std::ops::Range;

use www::pack::{Trailer, TrailerError};

/// Packs begin at multiples of this in files and in memory: the pages of x86-64.
pub const PAGE: u64 = 4096;

/// Why a pack cannot be linked to a base, or found in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// Not a little-endian ELF64 executable for x86-64; says what is different.
    NotOurs(&'static str),
    /// The ELF headers say what the file does not have, or contradict each other.
    Headers(&'static str),
    /// No note of ours: not a mir-www kernel.
    NoNote,
    /// More than one note of ours.
    TwoNotes,
    /// The note is not in a loaded segment: the kernel could not read it.
    NoteNotLoaded,
    /// The segments are not all at one distance from virtual to physical addresses.
    Distances,
    /// The pack does not fit behind the segments.
    NoRoom,
    /// A pack is promised and is not where it should be.
    Damaged,
    /// A Xen kernel was given as a Unix program.
    Kernel,
    /// Neither a pack nor an image that carries one.
    NoPack,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs(why) => write!(f, "not an ELF64 executable for x86-64: {why}"),
            Self::Headers(why) => write!(f, "malformed ELF headers: {why}"),
            Self::NoNote => f.write_str("no `mir-www` ELF note: not a mir-www kernel for Xen"),
            Self::TwoNotes => f.write_str("more than one `mir-www` ELF note"),
            Self::NoteNotLoaded => f.write_str("the `mir-www` ELF note is in no loaded segment"),
            Self::Distances => f.write_str("segments differ in virtual minus physical address"),
            Self::NoRoom => f.write_str("no room for the pack behind the segments"),
            Self::Damaged => f.write_str("damaged: its pack is not where it should be"),
            Self::Kernel => f.write_str("a mir-www kernel for Xen; it wants `-t xen`"),
            Self::NoPack => f.write_str("neither a pack nor an image that carries one"),
        }
    }
}

impl std::error::Error for LinkError {}

/// Where the pack is in a file: a pack, an image for Xen or one for Unix.
pub fn find(file: &[u8]) -> Result<Range<usize>, LinkError> {
    if file.starts_with(&www::pack::MAGIC) {
        return Ok(0..file.len());
    }
    match unix::find(file) {
        Ok(range) => return Ok(range),
        Err(TrailerError::Damaged) => return Err(LinkError::Damaged),
        Err(TrailerError::None) => {}
    }
    match xen::find(file) {
        Ok(range) => range.ok_or(LinkError::NoPack),
        Err(LinkError::NotOurs(_) | LinkError::NoNote) => Err(LinkError::NoPack),
        Err(other) => Err(other),
    }
}

/// The last bytes of a file, as a trailer.
fn trailer(file: &[u8]) -> Result<Trailer, TrailerError> {
    let bytes = file.last_chunk().ok_or(TrailerError::None)?;
    Trailer::decode(bytes, file.len() as u64)
}
