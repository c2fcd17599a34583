//! What a program is, in an ELF note: tools read it without running the program.
//!
//! The format is the package metadata of the UAPI group, which readelf prints as text and
//! systemd's tools know: a note of the owner `FDO` with JSON in it.
//! Source: <https://uapi-group.org/specifications/specs/package_metadata_for_executable_files/>.

/// Puts a note with this JSON text, a constant `&str`, into the program.
#[macro_export]
macro_rules! package_note {
    ($json:expr) => {
        const _: () = {
            const JSON: &str = $json;
            #[used]
            #[unsafe(link_section = ".note.package")]
            static NOTE: $crate::package::Note<{ $crate::package::room(JSON) }> =
                $crate::package::Note::new(JSON);
        };
    };
}

/// The note, as it is in the file.
#[repr(C, align(4))]
#[derive(Debug)]
pub struct Note<const N: usize> {
    name_size: u32,
    desc_size: u32,
    kind: u32,
    name: [u8; 4],
    desc: [u8; N],
}

impl<const N: usize> Note<N> {
    /// The note of a text, for which there is [`room`].
    pub const fn new(json: &str) -> Self {
        let mut desc = [0; N];
        let text = json.as_bytes();
        let mut at = 0;
        while at < text.len() {
            desc[at] = text[at];
            at += 1;
        }
        Self {
            name_size: 4,
            desc_size: N as u32,
            kind: 0xcafe_1a7e,
            name: *b"FDO\0",
            desc,
        }
    }
}

/// Bytes that a text takes in a note: itself and at least one NUL, up to a multiple of 4.
pub const fn room(json: &str) -> usize {
    (json.len() + 1).next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        let note = Note::<{ room("{\"a\":1}") }>::new("{\"a\":1}");
        assert_eq!(size_of_val(&note), 24);
        assert_eq!((note.name_size, note.desc_size), (4, 8));
        assert_eq!(&note.name, b"FDO\0");
        assert_eq!(&note.desc, b"{\"a\":1}\0");
    }
}
