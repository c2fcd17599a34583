//! The changes, written.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{EditError, Editor, Job, Serial};
use crate::fat::boot::Kind;
use crate::fat::gather::Source;
use crate::fat::image::{self, Image};
use crate::fat::table::Link;
use crate::fat::volume::INFO;

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes written.
    pub done: u64,
    /// Bytes that there are to write.
    pub all: u64,
}

impl Editor {
    /// Whether it all fits.
    pub fn check_space(&self) -> Result<(), EditError> {
        if self.wanted > self.was_free {
            let size = u64::from(self.boot.cluster_size());
            let (needs, free) = (self.wanted * size, self.was_free * size);
            return Err(EditError::Space { needs, free });
        }
        Ok(())
    }

    /// Writes the volume to a file beside `path`, which then takes its name. Whatever goes wrong, a
    /// file that was there stays as it was.
    pub fn save(mut self, path: &Path, tell: &mut dyn FnMut(Progress)) -> Result<(), EditError> {
        self.check_space()?;
        // Through a symbolic link the file that it leads to is replaced, not the link.
        let path = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error.into()),
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let new = NamedTempFile::new_in(folder)?;
        let image = Image::new(new.reopen()?)?;
        let copied = self.base.as_ref().map_or(0, |volume| volume.image.len());
        let all = copied + self.jobs.iter().map(|job| job.source.len()).sum::<u64>();
        match &self.base {
            Some(volume) => {
                image::copy(&volume.image, &image, |done| tell(Progress { done, all }))?
            }
            None => {
                image.file().set_len(self.image_len())?;
                self.write_head(&image)?;
            }
        }
        let mut sum = Sha256::new();
        sum.update(self.boot.encode());
        let mut done = copied;
        for job in std::mem::take(&mut self.jobs) {
            self.write_job(&image, &job, &mut sum, &mut |bytes| {
                done += bytes;
                tell(Progress { done, all });
            })?;
        }
        self.write_folders(&image)?;
        self.write_tables(&image)?;
        self.write_info(&image)?;
        let serial = match self.serial {
            Serial::Keep => None,
            Serial::Set(serial) => Some(serial),
            Serial::Content => {
                let sum = sum.finalize();
                Some(u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]))
            }
        };
        if let Some(serial) = serial.filter(|_| self.boot.serial.is_some()) {
            for sector in [Some(0), self.backup()].into_iter().flatten() {
                let at = self.sector(sector) + self.boot.serial_at() as u64;
                image.write(at, &serial.to_le_bytes())?;
            }
        }
        let mode = match &self.base {
            Some(volume) => Some(volume.image.file().metadata()?.permissions()),
            None => public(),
        };
        if let Some(mode) = mode {
            new.as_file().set_permissions(mode)?;
        }
        new.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }

    fn sector(&self, sector: u32) -> u64 {
        u64::from(sector) * u64::from(self.boot.sector_size)
    }

    fn backup(&self) -> Option<u32> {
        Some(self.boot.backup_sector).filter(|sector| *sector != 0)
    }

    fn write_head(&self, image: &Image) -> io::Result<()> {
        let boot = self.boot.encode();
        for sector in [Some(0), self.backup()].into_iter().flatten() {
            image.write(self.sector(sector), &boot)?;
            if self.boot.kind == Kind::Fat32 {
                let info = self.sector(sector + self.boot.info_sector);
                for (at, word) in [0, 484, 508].into_iter().zip(INFO) {
                    image.write(info + at, &word.to_le_bytes())?;
                }
                image.write(info + 488, &[0xff; 8])?;
                // The third sector of the boot record, which has no code either.
                image.write(self.sector(sector + 2) + 508, &INFO[2].to_le_bytes())?;
            }
        }
        Ok(())
    }

    fn write_job(
        &self,
        image: &Image,
        job: &Job,
        sum: &mut Sha256,
        step: &mut dyn FnMut(u64),
    ) -> Result<(), EditError> {
        sum.update((job.path.len() as u64).to_le_bytes());
        sum.update(&job.path);
        sum.update(job.source.len().to_le_bytes());
        sum.update(job.stamp.date.to_le_bytes());
        sum.update(job.stamp.time.to_le_bytes());
        let failed = |error| EditError::Source(job.path.clone(), error);
        let mut file;
        let mut bytes;
        let source: &mut dyn Read = match &job.source {
            Source::File(path, _) => {
                let opened = File::open(path);
                file = opened.map_err(|e| EditError::Source(path.display().to_string(), e))?;
                &mut file
            }
            Source::Bytes(all) => {
                bytes = all.as_slice();
                &mut bytes
            }
        };
        let cluster = u64::from(self.boot.cluster_size());
        let mut left = job.source.len();
        let mut buffer = vec![0; 1 << 20];
        for run in &job.runs {
            let mut at = self.boot.cluster_at(run.first);
            let end = at + u64::from(run.count) * cluster;
            while at < end {
                let part = &mut buffer[..(end - at).min(1 << 20) as usize];
                let takes = left.min(part.len() as u64) as usize;
                source
                    .read_exact(&mut part[..takes])
                    .map_err(|error| match error.kind() {
                        io::ErrorKind::UnexpectedEof => EditError::Changed(job.path.clone()),
                        _ => failed(error),
                    })?;
                // What was in the last cluster must not show behind the file.
                part[takes..].fill(0);
                image.write(at, part)?;
                sum.update(&part[..takes]);
                at += part.len() as u64;
                left -= takes as u64;
                step(takes as u64);
            }
        }
        match source.read(&mut [0]).map_err(failed)? {
            0 => Ok(()),
            _ => Err(EditError::Changed(job.path.clone())),
        }
    }

    fn write_folders(&self, image: &Image) -> io::Result<()> {
        for folder in self.folders.iter().filter(|folder| folder.dirty) {
            let mut bytes = folder.bytes();
            if folder.runs.is_empty() {
                image.write(self.boot.root_at(), bytes)?;
            }
            for run in &folder.runs {
                let len = run.count as usize * self.boot.cluster_size() as usize;
                let (part, behind) = bytes.split_at(len);
                image.write(self.boot.cluster_at(run.first), part)?;
                bytes = behind;
            }
        }
        Ok(())
    }

    fn write_tables(&self, image: &Image) -> io::Result<()> {
        let bytes = self.table.encode();
        let copies = match self.boot.active {
            Some(active) => active..active + 1,
            None => 0..self.boot.tables,
        };
        copies
            .into_iter()
            .try_for_each(|copy| image.write(self.boot.table_at(copy), &bytes))
    }

    /// FAT32's count of free clusters, and where to look for the next one.
    fn write_info(&self, image: &Image) -> io::Result<()> {
        if self.boot.info_sector == 0 {
            return Ok(());
        }
        let at = self.sector(self.boot.info_sector);
        let is_info =
            [0, 484, 508]
                .into_iter()
                .zip(INFO)
                .try_fold(true, |all, (place, word)| {
                    let mut bytes = [0; 4];
                    image.read(at + place, &mut bytes)?;
                    io::Result::Ok(all && u32::from_le_bytes(bytes) == word)
                })?;
        if !is_info {
            return Ok(());
        }
        let mut clusters = self.table.clusters();
        let next = clusters.find(|cluster| self.table.link(*cluster) == Link::Free);
        image.write(at + 488, &self.table.free().to_le_bytes())?;
        image.write(at + 492, &next.unwrap_or(u32::MAX).to_le_bytes())
    }
}

/// Temporary files are private; what is built is for all.
#[cfg(unix)]
fn public() -> Option<std::fs::Permissions> {
    Some(std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

#[cfg(not(unix))]
fn public() -> Option<std::fs::Permissions> {
    None
}
