//! Joins a pack and a binary that was built without one, so that a site can change without a
//! compiler. docs/image.md is the contract with the two binaries.
//!
//! What is given as a base is trusted to be nothing: every offset in it is checked before it is
//! followed, and a base that breaks the contract is refused with the reason.

mod elf;
mod note;
pub mod unix;
pub mod xen;

use std::fmt;
use std::ops::Range;

use www::pack::TrailerError;

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
    /// A kernel whose note is of another version of this tool.
    OtherVersion,
    /// The pack does not fit behind the segments, or there is nothing to put there.
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
            Self::OtherVersion => {
                f.write_str("a kernel of another version of mir-www: build it anew")
            }
            Self::NoRoom => f.write_str("no room for the pack behind the segments"),
            Self::Damaged => f.write_str("damaged: what was put into it is not as it should be"),
            Self::Kernel => f.write_str("a mir-www kernel for Xen; it wants `-t xen`"),
            Self::NoPack => f.write_str("neither a pack nor an image that carries one"),
        }
    }
}

impl std::error::Error for LinkError {}

/// What is put into an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payload<'a> {
    /// The pack, or nothing: the site may be elsewhere.
    pub pack: &'a [u8],
    /// A command line that is read before that of whoever starts the image: its defaults.
    pub words: &'a str,
    /// What the image is, as JSON, for those who look at it; or nothing.
    pub about: &'a str,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents<'a> {
    /// What sort of file.
    pub kind: Kind,
    /// Where the pack is. Empty if there is none.
    pub pack: Range<usize>,
    /// The command line that is built in.
    pub words: &'a str,
    /// What was said of the image when it was made.
    pub about: Option<&'a str>,
    /// What the program says of itself.
    pub program: Option<&'a str>,
}

/// A sort of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pack or a manifest.
    Pack,
    /// A program for Unix, perhaps with something behind it.
    Unix,
    /// A kernel for Xen, perhaps with something linked to it.
    Xen,
}

/// Reads a file: a pack, a program for Unix or a kernel for Xen, with a site or without.
pub fn read(file: &[u8]) -> Result<Contents<'_>, LinkError> {
    if file.starts_with(&www::pack::MAGIC) {
        return Ok(Contents {
            kind: Kind::Pack,
            pack: 0..file.len(),
            words: "",
            about: None,
            program: None,
        });
    }
    match unix::read(file) {
        Ok(contents) => return Ok(contents),
        Err(TrailerError::Damaged) => return Err(LinkError::Damaged),
        Err(TrailerError::None) => {}
    }
    match xen::read(file) {
        Err(LinkError::NotOurs(_) | LinkError::NoNote) => {}
        result => return result,
    }
    // A program without a site: it says itself what it is.
    match elf::package(file) {
        Some(program) => Ok(Contents {
            kind: Kind::Unix,
            pack: 0..0,
            words: "",
            about: None,
            program: Some(program),
        }),
        None => Err(LinkError::NoPack),
    }
}

/// Where the pack is in a file: a pack, an image for Xen or one for Unix.
pub fn find(file: &[u8]) -> Result<Range<usize>, LinkError> {
    let pack = read(file)?.pack;
    match pack.is_empty() {
        true => Err(LinkError::NoPack),
        false => Ok(pack),
    }
}

/// What comes behind a pack: notes with the words and with what the image is.
struct Behind {
    /// The bytes, from the end of the pack on.
    bytes: Vec<u8>,
    /// How many of them there are before the first note.
    padding: usize,
    /// Where the words are among them.
    words: Range<usize>,
}

impl Behind {
    fn new(payload: &Payload<'_>) -> Self {
        let padding = payload.pack.len().next_multiple_of(4) - payload.pack.len();
        let mut notes = Vec::new();
        let mut words = 0..0;
        if !payload.words.is_empty() {
            let at = note::put(
                &mut notes,
                note::OURS,
                note::WORDS,
                payload.words.as_bytes(),
            );
            words = at.start + padding..at.end + padding;
        }
        if !payload.about.is_empty() {
            // As the format has it, a NUL and more up to a multiple of 4.
            let mut text = payload.about.as_bytes().to_vec();
            text.push(0);
            text.resize(text.len().next_multiple_of(4), 0);
            note::put(&mut notes, note::FDO, note::PACKAGE, &text);
        }
        if notes.is_empty() {
            return Self {
                bytes: Vec::new(),
                padding: 0,
                words: 0..0,
            };
        }
        let mut bytes = vec![0; padding];
        bytes.append(&mut notes);
        Self {
            bytes,
            padding,
            words,
        }
    }

    /// Reads it back, and compares where the words are with where `words` says. All three are
    /// counted in the bytes of `put_in`, at the start of which there is a pack of this length.
    fn read(
        put_in: &[u8],
        pack: usize,
        words: Range<usize>,
    ) -> Result<(&str, Option<&str>), LinkError> {
        let start = pack.next_multiple_of(4).min(put_in.len());
        let notes = &put_in[start..];
        let mut found = start..start;
        for note in note::notes(notes) {
            let note = note.map_err(|_| LinkError::Damaged)?;
            if note.name == note::OURS && note.kind == note::WORDS {
                if !found.is_empty() {
                    return Err(LinkError::Damaged);
                }
                found = start + note.desc.start..start + note.desc.end;
            }
        }
        if found != words && !(found.is_empty() && words.is_empty()) {
            return Err(LinkError::Damaged);
        }
        let words = std::str::from_utf8(&put_in[found]).map_err(|_| LinkError::Damaged)?;
        Ok((words, note::package(notes)))
    }
}
