//! A manifest that owns its bytes, as they were read from a volume.

use alloc::vec::Vec;

use super::load::{Pack, PackError};
use super::record::Header;

/// The bytes of a manifest, checked once.
pub struct Manifest {
    header: Header,
    bytes: Vec<u8>,
}

impl Manifest {
    /// Checks all of it, as [`Pack::load_manifest`] does.
    pub fn load(bytes: Vec<u8>) -> Result<Self, PackError> {
        let header = *Pack::load_manifest(&bytes)?.header();
        Ok(Self { header, bytes })
    }

    /// What it says. This costs no second check.
    pub fn pack(&self) -> Pack<'_> {
        Pack::checked(self.header, &self.bytes)
            .expect("sections that were there when it was loaded")
    }
}
