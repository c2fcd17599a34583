//! The pack: a site as one immutable, position-independent archive, ready to be served.
//!
//! [`Writer`] makes one, [`Pack`] reads one in place. Loading checks everything that there is to
//! check, once: what comes out of a loaded pack needs no second look, and serving from it copies
//! and formats nothing. Response headers are in the pack, complete but for `Date`, `Connection` and
//! the empty line. docs/pack.md describes the bytes.
//!
//! A *manifest* is a pack whose bodies are files of a volume ([`names`] says how they are called).

mod entry;
mod head;
mod load;
mod made;
mod manifest;
pub mod names;
mod record;
mod trailer;
mod write;

pub use entry::{Body, Entry, Keys, Variant};
pub use head::may_add;
pub(crate) use head::{Head, is_name};
pub use load::{Pack, PackError};
pub use made::{Made, MadeVariant};
pub use manifest::Manifest;
pub use trailer::{Trailer, TrailerError};
pub(crate) use write::is_worth;
pub use write::{NewFile, NewVolume, Page, WriteError, Writer, check_location};

/// The first bytes of every pack. The first is no text, the line ends show a transfer that
/// "corrected" them.
pub const MAGIC: [u8; 8] = *b"\x89MIRPK\r\n";

/// The version of the format of packs that have all bodies in them.
pub const VERSION: u32 = 3;

/// The version of manifests: bodies may be files.
pub const MANIFEST_VERSION: u32 = 4;

/// Longest path, in bytes, decoded.
pub const MAX_PATH: usize = 1024;

/// Whether `path` is in the form that the pack keeps: absolute, decoded, without empty segments
/// (but for a slash at the end), without `.` and `..`, without control characters.
pub fn is_canonical(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    path.len() <= MAX_PATH
        && !path.bytes().any(|b| b.is_ascii_control())
        && (path == "/" || rest.split('/').all(|s| !matches!(s, "" | "." | "..")))
}

#[cfg(test)]
mod tests;
