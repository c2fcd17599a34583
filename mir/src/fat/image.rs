//! The file, or block device, that holds a volume.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// An image opened, and how long it was then.
#[derive(Debug)]
pub(super) struct Image {
    file: File,
    len: u64,
}

impl Image {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    pub(super) fn new(mut file: File) -> io::Result<Self> {
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Not the metadata's length, which a block device has not.
        let len = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, len })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(into)
    }

    pub(super) fn read_vec(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read(at, &mut bytes).map(|()| bytes)
    }

    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    }
}

/// Bytes that are copied at once.
const CHUNK: usize = 1 << 20;
/// Bytes that become a hole if all are zero.
const STEP: usize = 64 << 10;

/// Copies a file to an empty one, with holes for zeros; says after each step how far it is.
pub(super) fn copy(from: &Image, to: &Image, mut step: impl FnMut(u64)) -> io::Result<()> {
    let (mut buffer, zeros) = (vec![0; CHUNK], vec![0; STEP]);
    to.file.set_len(from.len)?;
    let mut at = 0;
    while at < from.len {
        let len = (from.len - at).min(CHUNK as u64) as usize;
        from.read(at, &mut buffer[..len])?;
        for (index, part) in buffer[..len].chunks(STEP).enumerate() {
            if *part != zeros[..part.len()] {
                to.write(at + (index * STEP) as u64, part)?;
            }
        }
        at += len as u64;
        step(at);
    }
    Ok(())
}
