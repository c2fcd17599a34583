//! Files that somebody names, read whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most that is read of a configuration.
pub(crate) const TEXT: u64 = 1 << 20;

/// The most that is read of an image: more than any domain's kernel may be.
pub(crate) const IMAGE: u64 = 1 << 31;

/// Reads a file of `most` bytes at most. What is no file, as a pipe, may never end, or never begin.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let refused = |why: String| io::Error::other(why);
    let there = path.metadata()?;
    if there.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !there.is_file() {
        return Err(refused(
            "this is no file, but a device or a pipe".to_owned(),
        ));
    }
    let larger = || refused(format!("larger than {most} bytes"));
    if there.len() > most {
        return Err(larger());
    }
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    bytes.try_reserve_exact(usize::try_from(there.len()).map_err(|_| larger())?)?;
    file.take(most + 1).read_to_end(&mut bytes)?;
    // It may have grown, or never have said how long it is.
    if bytes.len() as u64 > most {
        return Err(larger());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_and_not_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"four");
        let why = |path: &Path, most| read(path, most).unwrap_err().to_string();
        assert_eq!(why(&path, 3), "larger than 3 bytes");
        assert_eq!(why(folder.path(), 9), "is a directory");
        let sparse = File::create(&path).unwrap();
        sparse.set_len(1 << 40).unwrap();
        assert_eq!(why(&path, IMAGE), "larger than 2147483648 bytes");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_never_ends_is_not_read() {
        use std::os::fd::AsRawFd;
        let (reader, _writer) = std::io::pipe().unwrap();
        let pipe = format!("/dev/fd/{}", reader.as_raw_fd());
        for path in ["/dev/zero", &pipe] {
            let error = read(Path::new(path), IMAGE).unwrap_err().to_string();
            assert_eq!(error, "this is no file, but a device or a pipe");
        }
    }
}
