//! A disk image, mapped into memory: bytes come out by copying.
//!
//! Others may write the file while it is mapped, and may cut it short; what lies beyond its end then
//! raises a signal when it is touched. So nobody here touches it: the kernel copies
//! (`process_vm_readv`), and says where it cannot. Where it will not, as under the seccomp filters of
//! some containers, the same bytes are read from the file.

use core::ffi::c_void;
use core::fmt;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, Ordering};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, IoSliceMut, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use rustix::fs::OFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// Bytes in a sector of a regular file.
const SECTOR: u32 = 512;

/// A file or block device, mapped for reading until dropped.
#[derive(Debug)]
pub struct Map {
    file: File,
    at: NonNull<c_void>,
    len: usize,
    sector_size: u32,
    /// Whether this process may ask the kernel to copy.
    copies: AtomicBool,
}

/// Why bytes of a mapped file cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The file ends before them: it always did, or was cut short.
    BeyondEnd,
    /// The system cannot read them.
    Failed,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeyondEnd => "beyond the end of the file",
            Self::Failed => "the file cannot be read",
        })
    }
}

impl core::error::Error for ReadError {}

impl Map {
    /// Maps a regular file or a block device, all of it as it is now.
    pub fn open(path: &Path) -> io::Result<Self> {
        // A FIFO would otherwise wait for a writer.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = OpenOptions::new();
        let mut file = options.read(true).custom_flags(flags).open(path)?;
        let kind = file.metadata()?.file_type();
        let sector_size = if kind.is_file() {
            SECTOR
        } else if kind.is_block_device() {
            rustix::fs::ioctl_blksszget(&file)?
        } else if kind.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        } else {
            let what = "neither a file nor a block device";
            return Err(io::Error::new(ErrorKind::InvalidInput, what));
        };
        let len = file.seek(SeekFrom::End(0))?;
        if len == 0 {
            return Err(io::Error::new(ErrorKind::InvalidData, "it is empty"));
        }
        let len = usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge)?;
        // SAFETY: the kernel chooses an address range that is free, so this replaces no mapping.
        let at = unsafe {
            let flags = MapFlags::SHARED | MapFlags::NORESERVE;
            rustix::mm::mmap(null_mut(), len, ProtFlags::READ, flags, &file, 0)?
        };
        let at = NonNull::new(at).ok_or(ErrorKind::OutOfMemory)?;
        Ok(Self {
            file,
            at,
            len,
            sector_size,
            copies: AtomicBool::new(true),
        })
    }

    /// What the system knows of the file.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Bytes in a sector: the device's, 512 for a file.
    pub fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// How many bytes there are now, of those that were mapped.
    pub fn size(&self) -> u64 {
        let end = (&self.file).seek(SeekFrom::End(0)).unwrap_or(0);
        end.min(self.len as u64)
    }

    /// Copies the bytes from `offset` on.
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), ReadError> {
        let beyond = || ReadError::BeyondEnd;
        let start = usize::try_from(offset).map_err(|_| beyond())?;
        let end = start.checked_add(to.len()).ok_or_else(beyond)?;
        if end > self.len {
            return Err(beyond());
        }
        let done = self.copy(start, to);
        // In the last page what is beyond the end reads as zeros. A file that had these bytes after
        // they were copied had them before, unless it was cut and then grew: then zeros are right.
        if self.size() < end as u64 {
            return Err(beyond());
        }
        done.map_err(|_| ReadError::Failed)
    }

    /// Copies what is mapped from `start` on. All of it lies within the mapping.
    fn copy(&self, start: usize, to: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < to.len() && self.copies.load(Ordering::Relaxed) {
            let from = self.at.as_ptr() as usize + start + done;
            match copy_own(from, &mut to[done..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => done += n,
                Err(error) if refuses(&error) => self.copies.store(false, Ordering::Relaxed),
                Err(error) => return Err(error),
            }
        }
        self.file
            .read_exact_at(&mut to[done..], (start + done) as u64)
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: these pages were mapped by `open`, and nothing has been lent of them.
        // Should it fail, they stay mapped, which harms nobody.
        let _ = unsafe { rustix::mm::munmap(self.at.as_ptr(), self.len) };
    }
}

// SAFETY: what is mapped is reached by address, through the kernel alone; the rest is both.
unsafe impl Send for Map {}
// SAFETY: as for Send.
unsafe impl Sync for Map {}

/// Whether the kernel will never do this for this process.
fn refuses(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::Unsupported
    )
}

/// Has the kernel copy from this process's memory at `from`, which may be any address, as from
/// another process's. Says how much it copied: it stops where it cannot read.
fn copy_own(from: usize, to: &mut [u8]) -> io::Result<usize> {
    let remote = RemoteIoVec {
        base: from,
        len: to.len(),
    };
    Ok(process_vm_readv(
        Pid::this(),
        &mut [IoSliceMut::new(to)],
        &[remote],
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::vec;
    use std::vec::Vec;

    fn image(bytes: &[u8]) -> (tempfile::NamedTempFile, Map) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let map = Map::open(file.path()).unwrap();
        (file, map)
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8 | 1).collect()
    }

    /// Both ways of copying.
    fn both(map: &Map, check: impl Fn(&Map)) {
        check(map);
        assert!(map.copies.load(Ordering::Relaxed), "the kernel copies here");
        map.copies.store(false, Ordering::Relaxed);
        check(map);
    }

    #[test]
    fn bytes_come_out_as_they_are() {
        let bytes = pattern(300_000);
        let (_file, map) = image(&bytes);
        assert_eq!((map.size(), map.sector_size()), (300_000, 512));
        both(&map, |map| {
            for (offset, len) in [(0, 0), (0, 512), (4095, 2), (1, 299_999), (300_000, 0)] {
                let mut to = vec![0; len];
                assert_eq!(map.read(offset as u64, &mut to), Ok(()));
                assert_eq!(to, bytes[offset..offset + len]);
            }
        });
    }

    #[test]
    fn nothing_beyond_the_end() {
        let (_file, map) = image(&pattern(5000));
        both(&map, |map| {
            for (offset, len) in [(4999, 2), (5001, 0), (8192, 1), (u64::MAX, 1), (0, 5001)] {
                let read = map.read(offset, &mut vec![0; len]);
                assert_eq!(read, Err(ReadError::BeyondEnd), "{offset} {len}");
            }
        });
    }

    #[test]
    fn a_file_that_is_cut_short_is_an_error_and_no_signal() {
        let bytes = pattern(100_000);
        let (file, map) = image(&bytes);
        file.as_file().set_len(5000).unwrap();
        both(&map, |map| {
            assert_eq!(map.size(), 5000);
            let mut to = [0; 5000];
            assert_eq!(map.read(0, &mut to), Ok(()));
            assert_eq!(to, bytes[..5000]);
            // In the last page, in none, and over the end.
            for (offset, len) in [(5000, 100), (90_000, 4096), (4096, 8192)] {
                let read = map.read(offset, &mut vec![0; len]);
                assert_eq!(read, Err(ReadError::BeyondEnd), "{offset} {len}");
            }
        });
        file.as_file().set_len(100_000).unwrap();
        let mut to = [1; 100];
        assert_eq!(map.read(90_000, &mut to), Ok(()));
        assert_eq!(to, [0; 100]);
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_read() {
        let bytes = pattern(1 << 20);
        let (file, map) = image(&bytes);
        let cutter = file.reopen().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    cutter.set_len(4096).unwrap();
                    cutter.set_len(1 << 20).unwrap();
                }
            });
            let (mut failed, mut strange) = (0, 0);
            for round in 0..1_000_000 {
                if round > 2000 && failed > 0 {
                    break;
                }
                let mut to = [0; 65536];
                match map.read(1 << 19, &mut to) {
                    Ok(()) if to.iter().all(|byte| *byte == 0 || *byte & 1 == 1) => {}
                    Ok(()) => strange += 1,
                    Err(_) => failed += 1,
                }
            }
            done.store(true, Ordering::Relaxed);
            assert!(failed > 0, "it was never cut when it mattered");
            assert_eq!(strange, 0);
        });
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |path: &Path| Map::open(path).unwrap_err().kind();
        assert_eq!(kind(folder.path()), ErrorKind::IsADirectory);
        assert_eq!(kind(&folder.path().join("none")), ErrorKind::NotFound);
        assert_eq!(kind(Path::new("/dev/null")), ErrorKind::InvalidInput);
        let empty = folder.path().join("empty");
        File::create(&empty).unwrap();
        assert_eq!(kind(&empty), ErrorKind::InvalidData);
    }

    #[test]
    fn an_address_without_memory_is_an_error() {
        let error = copy_own(8, &mut [0; 8]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(14), "EFAULT");
    }
}
