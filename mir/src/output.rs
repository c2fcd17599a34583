//! Files written whole or not at all, and text that a terminal shows as it is.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// Writes `parts`, one after the other, to `path`: first to a temporary file beside it, which then
/// takes its name. Whatever goes wrong, a file that was there before stays as it was.
///
/// Where `path` is a link, what it leads to is written. A file that was there keeps who may read and
/// write it. A device or a pipe stays what it is, and is given the bytes.
pub fn write(path: &Path, parts: &[&[u8]], executable: bool) -> io::Result<()> {
    let Some(path) = place(path)? else {
        let mut there = OpenOptions::new().write(true).open(path)?;
        return put(&mut there, parts);
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    // The name of the temporary file would say nothing to anybody.
    let mut file = temporary(folder, executable).map_err(|error| error.kind())?;
    put(file.as_file_mut(), parts)?;
    keep_mode(&file, &path, executable)?;
    file.persist(&path)?;
    Ok(())
}

fn put(file: &mut File, parts: &[&[u8]]) -> io::Result<()> {
    parts.iter().try_for_each(|part| file.write_all(part))
}

/// The file that is to be replaced; `None` if what is there cannot be.
fn place(path: &Path) -> io::Result<Option<PathBuf>> {
    let there = match path.metadata() {
        Ok(there) => there,
        Err(error) if path.is_symlink() => {
            let why = "it is a symbolic link that leads nowhere";
            return Err(io::Error::new(error.kind(), why));
        }
        Err(_) => return Ok(Some(path.to_owned())),
    };
    if !there.is_file() && !there.is_dir() {
        return Ok(None);
    }
    // What has no name any more, as behind `/dev/stdout`, cannot be replaced either.
    Ok(path.canonicalize().ok())
}

/// Temporary files are private; what is made is for all whom the umask lets.
#[cfg(unix)]
fn temporary(folder: &Path, executable: bool) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    let mode = if executable { 0o777 } else { 0o666 };
    let mode = PermissionsExt::from_mode(mode);
    Builder::new().permissions(mode).tempfile_in(folder)
}

#[cfg(not(unix))]
fn temporary(folder: &Path, _: bool) -> io::Result<NamedTempFile> {
    Builder::new().tempfile_in(folder)
}

#[cfg(unix)]
fn keep_mode(file: &NamedTempFile, path: &Path, executable: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let Ok(there) = path.metadata() else {
        return Ok(());
    };
    let mode = there.permissions().mode() & 0o777;
    let new = file.as_file().metadata()?.permissions().mode();
    let mode = if executable { mode | new & 0o111 } else { mode };
    file.as_file()
        .set_permissions(PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn keep_mode(_: &NamedTempFile, _: &Path, _: bool) -> io::Result<()> {
    Ok(())
}

/// Displays as what is in it, on one line, and without what a terminal would obey: control
/// characters and those that change the direction of text are escaped.
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Plain(f), "{}", self.0)
    }
}

struct Plain<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Plain<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            c if c.is_control() => c.escape_default().try_for_each(|c| self.0.write_char(c)),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                write!(self.0, "{}", c.escape_unicode())
            }
            c => self.0.write_char(c),
        })
    }
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

    #[test]
    #[cfg(unix)]
    fn links_are_followed_and_modes_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("real"), "old").unwrap();
        std::fs::set_permissions(at("real"), PermissionsExt::from_mode(0o600)).unwrap();
        symlink("real", at("link")).unwrap();
        write(&at("link"), &[b"new"], false).unwrap();
        assert!(at("link").is_symlink());
        assert_eq!(std::fs::read(at("real")).unwrap(), b"new");
        let mode = |name| at(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("real"), 0o600);
        write(&at("program"), &[b"x"], true).unwrap();
        assert_eq!(mode("program") & 0o700, 0o700);
        for (name, to) in [("round", "round"), ("nowhere", "missing")] {
            symlink(to, at(name)).unwrap();
            let error = write(&at(name), &[b"x"], false).unwrap_err();
            assert!(error.to_string().contains("leads nowhere"), "{error}");
            assert!(at(name).is_symlink() && !at("missing").exists());
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_device_or_a_pipe_stays_one() {
        use std::os::fd::AsRawFd;
        let (mut reader, writer) = std::io::pipe().unwrap();
        let path = format!("/dev/fd/{}", writer.as_raw_fd());
        write(Path::new(&path), &[b"t", b"wo"], false).unwrap();
        assert!(Path::new(&path).exists());
        drop(writer);
        assert_eq!(std::io::read_to_string(&mut reader).unwrap(), "two");
    }

    #[test]
    fn a_terminal_is_told_nothing() {
        let shown = Shown("a\x1b[31m\u{9b}b\nc\u{202e}d é".to_owned()).to_string();
        assert_eq!(shown, r"a\u{1b}[31m\u{9b}b\nc\u{202e}d é");
    }
}
