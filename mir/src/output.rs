//! Files written whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes `parts`, one after the other, to `path`: first to a temporary file beside it, which then
/// takes its name. Whatever goes wrong, a file that was there before stays as it was.
pub fn write(path: &Path, parts: &[&[u8]], executable: bool) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    for part in parts {
        file.write_all(part)?;
    }
    set_mode(&file, executable)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(unix)]
fn set_mode(file: &NamedTempFile, executable: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // Temporary files are private; what is built is for all.
    let mode = if executable { 0o755 } else { 0o644 };
    file.as_file()
        .set_permissions(PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &NamedTempFile, _: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/out");
        write(&path, &[b"one"], false).unwrap();
        write(&path, &[b"t", b"wo"], true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        std::fs::create_dir(folder.path().join("deep/taken")).unwrap();
        assert!(write(&folder.path().join("deep/taken"), &[b"x"], false).is_err());
        assert_eq!(
            std::fs::read_dir(folder.path().join("deep"))
                .unwrap()
                .count(),
            2
        );
    }
}
