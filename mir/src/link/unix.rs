//! Unix: the program, the pack, and a trailer that says where it is.

use www::pack::{Trailer, TrailerError};

use super::{Behind, Contents, Kind, LinkError, PAGE, Payload, elf, xen};

/// The image as the parts of a file: the program, zeros, the pack, notes, the trailer.
pub struct Image<'a> {
    base: &'a [u8],
    zeros: Vec<u8>,
    pack: &'a [u8],
    behind: Vec<u8>,
    trailer: [u8; Trailer::LEN],
}

impl Image<'_> {
    /// The parts, to be written one after the other.
    pub fn parts(&self) -> [&[u8]; 5] {
        [
            self.base,
            &self.zeros,
            self.pack,
            &self.behind,
            &self.trailer,
        ]
    }
}

/// Puts a pack, and what goes with it, behind a program. What is behind it already is left away.
pub fn link<'a>(base: &'a [u8], payload: &Payload<'a>) -> Result<Image<'a>, LinkError> {
    let base = match trailer(base) {
        Ok(old) => &base[..old.offset as usize],
        Err(TrailerError::None) => base,
        Err(TrailerError::Damaged) => return Err(LinkError::Damaged),
    };
    if !base.starts_with(elf::MAGIC) {
        return Err(LinkError::NotOurs("it does not begin as an ELF file"));
    }
    if xen::read(base).is_ok() {
        return Err(LinkError::Kernel);
    }
    let behind = Behind::new(payload);
    let offset = (base.len() as u64).next_multiple_of(PAGE);
    let length = payload.pack.len() as u64;
    let trailer = Trailer {
        offset,
        total: length + behind.bytes.len() as u64,
        length,
        words: offset + length + behind.words.start as u64,
        words_length: behind.words.len() as u64,
    };
    if trailer.total == 0 {
        return Err(LinkError::NoRoom);
    }
    Ok(Image {
        base,
        zeros: vec![0; offset as usize - base.len()],
        pack: payload.pack,
        behind: behind.bytes,
        trailer: trailer.encode(),
    })
}

/// Reads an image, that is a file with a trailer.
pub fn read(file: &[u8]) -> Result<Contents<'_>, TrailerError> {
    let trailer = trailer(file)?;
    // The trailer has been compared with the file's length, so all of it is within `usize`.
    let (start, length) = (trailer.offset as usize, trailer.length as usize);
    let put_in = &file[start..start + trailer.total as usize];
    let words = match trailer.words_length as usize {
        0 => 0..0,
        length => trailer.words as usize - start..trailer.words as usize - start + length,
    };
    let (words, about) = Behind::read(put_in, length, words).map_err(|_| TrailerError::Damaged)?;
    Ok(Contents {
        kind: Kind::Unix,
        pack: start..start + length,
        words,
        about,
        program: elf::package(&file[..start]),
    })
}

/// The last bytes of a file, as a trailer.
fn trailer(file: &[u8]) -> Result<Trailer, TrailerError> {
    let bytes = file.last_chunk().ok_or(TrailerError::None)?;
    Trailer::decode(bytes, file.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pack: &[u8]) -> Payload<'_> {
        Payload {
            pack,
            ..Payload::default()
        }
    }

    fn linked(base: &[u8], pack: &[u8]) -> Vec<u8> {
        link(base, &of(pack)).unwrap().parts().concat()
    }

    fn find(image: &[u8]) -> Result<std::ops::Range<usize>, TrailerError> {
        read(image).map(|contents| contents.pack)
    }

    #[test]
    fn the_pack_is_aligned_found_and_replaced() {
        let base = [super::super::elf::MAGIC.as_slice(), &[7; 5000]].concat();
        let image = linked(&base, b"a pack");
        let at = find(&image).unwrap();
        assert_eq!(at.start as u64 % PAGE, 0);
        assert_eq!(&image[at], b"a pack");
        assert_eq!(image[..base.len()], base);
        assert_eq!(linked(&image, b"another"), linked(&base, b"another"));
        assert_eq!(super::super::find(&image), Ok(8192..8198));
    }

    #[test]
    fn words_and_description_come_with_the_pack_or_without() {
        let base = [elf::MAGIC.as_slice(), &[7; 500]].concat();
        for pack in [&b"five."[..], b"four", b""] {
            let payload = Payload {
                pack,
                words: "--http-port=81",
                about: "{}",
            };
            let image = link(&base, &payload).unwrap().parts().concat();
            let contents = read(&image).unwrap();
            assert_eq!(&image[contents.pack], pack);
            assert_eq!(
                (contents.words, contents.about),
                ("--http-port=81", Some("{}"))
            );
            // Again, and without: what was there is gone.
            let again = link(&image, &payload).unwrap().parts().concat();
            assert_eq!(again, image);
            assert_eq!(linked(&image, b"a pack"), linked(&base, b"a pack"));
            // The trailer is whole, and what it speaks of is not.
            for at in base.len()..image.len() - Trailer::LEN {
                let mut altered = image.clone();
                altered[at] ^= 0x11;
                if let Ok(contents) = read(&altered) {
                    assert!(contents.words.len() == 14);
                }
            }
        }
        assert_eq!(link(&base, &of(b"")).err(), Some(LinkError::NoRoom));
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let base = [super::super::elf::MAGIC.as_slice(), &[7; 500]].concat();
        let image = linked(&base, b"a pack");
        let longer = [&[0], image.as_slice()].concat();
        assert_eq!(link(&longer, &of(b"x")).err(), Some(LinkError::Damaged));
        assert_eq!(super::super::find(&longer), Err(LinkError::Damaged));
        assert!(matches!(
            link(b"#!/bin/sh", &of(b"x")),
            Err(LinkError::NotOurs(_))
        ));
        assert_eq!(super::super::find(b""), Err(LinkError::NoPack));
        assert_eq!(super::super::find(&base), Err(LinkError::NoPack));
    }
}
