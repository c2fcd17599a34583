//! Frames to a file, as libpcap's tools read them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::SystemTime;

use rustix::fs::OFlags;
use smoltcp::phy::{PcapLinkType, PcapSink};
use smoltcp::time::Instant;

/// Bytes that are kept back for one write.
const BUFFER: usize = 1 << 20;

/// A file being written. What fails ends the capture, and nothing else.
pub(crate) struct Capture {
    name: String,
    file: Option<BufWriter<File>>,
}

impl Capture {
    /// Begins a new file, which takes the place of an old one. A pipe must have a reader, and the
    /// capture ends when it reads too slowly: nobody here waits for it.
    pub(crate) fn create(name: &str) -> io::Result<Self> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true);
        let file = options.custom_flags(flags).open(name)?;
        let mut capture = Self {
            name: name.to_owned(),
            file: Some(BufWriter::with_capacity(BUFFER, file)),
        };
        capture.global_header(PcapLinkType::Ethernet);
        // What cannot take even this is known at the start.
        if let Some(file) = &mut capture.file {
            file.flush()?;
        }
        Ok(capture)
    }

    /// Takes a frame down, now.
    pub(crate) fn frame(&mut self, frame: &[u8]) {
        if self.file.is_none() {
            return;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let micros = now.map_or(0, |since| since.as_micros());
        let now = Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX));
        self.packet_header(now, frame.len());
        self.write(frame);
    }

    /// Writes what was kept back.
    pub(crate) fn settle(&mut self) {
        self.attempt(BufWriter::flush);
    }

    fn attempt(&mut self, what: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = what(file) {
            let name = &self.name;
            match error.kind() {
                ErrorKind::WouldBlock => {
                    log::error!(target: "net", "the capture ends, {name} is read too slowly");
                }
                _ => {
                    log::error!(target: "net", "the capture ends, {name} cannot be written: {error}")
                }
            }
            // Not flushed once more, which would only fail again.
            drop(self.file.take().map(BufWriter::into_parts));
        }
    }
}

impl PcapSink for Capture {
    fn write(&mut self, data: &[u8]) {
        self.attempt(|file| file.write_all(data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut capture = Capture::create(file.path().to_str().unwrap()).unwrap();
        capture.frame(&[7; 60]);
        capture.settle();
        let bytes = std::fs::read(file.path()).unwrap();
        assert_eq!(bytes.len(), 24 + 16 + 60);
        let number = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        // Magic number, longest frame, Ethernet.
        assert_eq!(
            (number(0), number(16), number(20)),
            (0xa1b2_c3d4, 262_144, 1)
        );
        assert!(number(24) > 1_600_000_000 && number(28) < 1_000_000);
        assert_eq!((number(32), number(36)), (60, 60));
        assert_eq!(bytes[40..], [7; 60]);
    }

    #[test]
    fn a_full_disk_ends_the_capture() {
        assert!(Capture::create("/dev/full").is_err(), "known at the start");
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut capture = Capture {
            name: "/dev/full".into(),
            file: Some(BufWriter::new(file)),
        };
        capture.frame(&[7; 60]);
        assert!(capture.file.is_some());
        capture.settle();
        assert!(capture.file.is_none());
        capture.frame(&[7; 60]);
        capture.settle();
    }

    #[test]
    fn a_pipe_without_a_reader_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert!(Capture::create(pipe.to_str().unwrap()).is_err());
    }
}
