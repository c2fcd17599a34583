//! Unix: the program, the pack, and a trailer that says where it is.

use std::ops::Range;

use www::pack::{Trailer, TrailerError};

use super::{LinkError, PAGE, trailer, xen};

/// The image as the parts of a file: the program, zeros, the pack, the trailer.
pub struct Image<'a> {
    base: &'a [u8],
    zeros: Vec<u8>,
    pack: &'a [u8],
    trailer: [u8; Trailer::LEN],
}

impl Image<'_> {
    /// The parts, to be written one after the other.
    pub fn parts(&self) -> [&[u8]; 4] {
        [self.base, &self.zeros, self.pack, &self.trailer]
    }
}

/// Puts a pack behind a program. A pack that is behind it already is left away.
pub fn link<'a>(base: &'a [u8], pack: &'a [u8]) -> Result<Image<'a>, LinkError> {
    let base = match find(base) {
        Ok(old) => &base[..old.start],
        Err(TrailerError::None) => base,
        Err(TrailerError::Damaged) => return Err(LinkError::Damaged),
    };
    if !base.starts_with(super::elf::MAGIC) {
        return Err(LinkError::NotOurs("it does not begin as an ELF file"));
    }
    if xen::find(base).is_ok() {
        return Err(LinkError::Kernel);
    }
    let offset = (base.len() as u64).next_multiple_of(PAGE);
    let trailer = Trailer {
        offset,
        length: pack.len() as u64,
    };
    Ok(Image {
        base,
        zeros: vec![0; offset as usize - base.len()],
        pack,
        trailer: trailer.encode(),
    })
}

/// Where the pack is in an image.
pub fn find(file: &[u8]) -> Result<Range<usize>, TrailerError> {
    let trailer = trailer(file)?;
    // The trailer has been compared with the file's length, so both are within `usize`.
    Ok(trailer.offset as usize..(trailer.offset + trailer.length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked(base: &[u8], pack: &[u8]) -> Vec<u8> {
        link(base, pack).unwrap().parts().concat()
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
    fn what_is_damaged_is_refused() {
        let base = [super::super::elf::MAGIC.as_slice(), &[7; 500]].concat();
        let image = linked(&base, b"a pack");
        let longer = [&[0], image.as_slice()].concat();
        assert_eq!(link(&longer, b"x").err(), Some(LinkError::Damaged));
        assert_eq!(super::super::find(&longer), Err(LinkError::Damaged));
        assert!(matches!(
            link(b"#!/bin/sh", b"x"),
            Err(LinkError::NotOurs(_))
        ));
        assert_eq!(super::super::find(b""), Err(LinkError::NoPack));
        assert_eq!(super::super::find(&base), Err(LinkError::NoPack));
    }
}
