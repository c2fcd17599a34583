//! A request, looked at and done.

use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::vec::Vec;

use minios::host::{Mapping, map};
use minios::{Access, Grant, PAGE_SIZE};

use super::{Back, Fatal, Medium};
use crate::wire::{
    DIRECT, INDIRECT, INDIRECT_PAGES, IndirectRequest, Operation, Request, Response, SEGMENT, SLOT,
    STATUS_ERROR, STATUS_OKAY, STATUS_UNSUPPORTED, Segment,
};

/// A request with its pages.
pub(super) struct Job {
    id: u64,
    /// As the response names it.
    says: u8,
    operation: Operation,
    sector: u64,
    pub(super) pages: Vec<(Segment, Rc<Mapping>)>,
    supported: bool,
}

impl Job {
    pub(super) fn response(&self, status: i16) -> Response {
        Response {
            id: self.id,
            operation: self.says,
            status,
        }
    }
}

impl Back {
    pub(super) fn parse(&mut self, slot: &[u8; SLOT]) -> Result<Job, Fatal> {
        let request = Request::decode(slot);
        let operation = Operation::parse(request.operation);
        self.stats.requests += 1;
        self.media.borrow().requests += 1;
        let (meant, id, handle, sector, segments) = match operation {
            Some(Operation::Indirect) => self.indirect(slot)?,
            Some(operation) => {
                let count = usize::from(request.count);
                if count > DIRECT || (count == 0) != (operation == Operation::Flush) {
                    return Err(Fatal::Segments(count));
                }
                let segments = request.segments[..count].to_vec();
                let Request {
                    id, handle, sector, ..
                } = request;
                (operation, id, handle, sector, segments)
            }
            None => return Err(Fatal::Operation(request.operation)),
        };
        if self.held.iter().any(|(_, job)| job.id == id) {
            return Err(Fatal::Id(id));
        }
        if handle != self.handle {
            return Err(Fatal::Handle(handle));
        }
        if meant == Operation::Flush && !self.manner.flush {
            return Err(Fatal::Operation(request.operation));
        }
        if meant == Operation::Write && self.manner.read_only {
            return Err(Fatal::ReadOnly);
        }
        if self.manner.unit == crate::wire::SECTOR {
            self.check(sector, &segments)?;
        }
        let mut in_use: BTreeSet<u32> = self
            .held
            .iter()
            .flat_map(|(_, job)| job.pages.iter().map(|(segment, _)| segment.grant))
            .collect();
        self.stats.most_segments = self.stats.most_segments.max(segments.len());
        let pages = segments
            .into_iter()
            .map(|segment| match in_use.insert(segment.grant) {
                true => Ok((segment, self.map(segment.grant)?)),
                false => Err(Fatal::Shared(segment.grant)),
            })
            .collect::<Result<_, Fatal>>()?;
        let indirect = operation == Some(Operation::Indirect);
        let says = match (indirect, self.manner.says_indirect) {
            (true, true) => Operation::Indirect,
            _ => meant,
        };
        let supported = !(self.manner.unsupported && (indirect || meant == Operation::Flush));
        Ok(Job {
            id,
            says: says as u8,
            operation: meant,
            sector,
            pages,
            supported,
        })
    }

    fn indirect(
        &mut self,
        slot: &[u8; SLOT],
    ) -> Result<(Operation, u64, u16, u64, Vec<Segment>), Fatal> {
        let request = IndirectRequest::decode(slot);
        let count = usize::from(request.count);
        if count <= DIRECT || count > self.manner.segments || count > INDIRECT * INDIRECT_PAGES {
            return Err(Fatal::Segments(count));
        }
        let meant = match Operation::parse(request.operation) {
            Some(meant @ (Operation::Read | Operation::Write)) => meant,
            _ => return Err(Fatal::Operation(request.operation)),
        };
        let mut segments = Vec::new();
        for grant in &request.grants[..count.div_ceil(INDIRECT)] {
            let page = self.map(*grant)?;
            let mut bytes = [0; PAGE_SIZE];
            let read = page.read(0, &mut bytes);
            read.map_err(minios::ring::Broken::Memory)?;
            let (bytes, _) = bytes.as_chunks::<SEGMENT>();
            segments.extend(bytes.iter().map(Segment::decode));
        }
        segments.truncate(count);
        self.stats.indirect += 1;
        Ok((meant, request.id, request.handle, request.sector, segments))
    }

    fn check(&self, sector: u64, segments: &[Segment]) -> Result<(), Fatal> {
        let sector_size = self.manner.sector_size / crate::wire::SECTOR;
        for &Segment { first, last, .. } in segments {
            if first > last || last > 7 {
                return Err(Fatal::Segment { first, last });
            }
            let sectors = u64::from(last - first) + 1;
            if !sectors.is_multiple_of(sector_size as u64)
                || !usize::from(first).is_multiple_of(sector_size)
            {
                return Err(Fatal::Misaligned);
            }
        }
        if !sector.is_multiple_of(sector_size as u64) {
            return Err(Fatal::Misaligned);
        }
        Ok(())
    }

    fn map(&mut self, grant: u32) -> Result<Rc<Mapping>, Fatal> {
        if let Some(page) = self.kept.get(&grant) {
            return Ok(Rc::clone(page));
        }
        // As Linux does where pages stay mapped: a page may serve for anything later on.
        let page = map(&self.domain, self.guest, Grant(grant), Access::ReadWrite);
        let page = Rc::new(page.map_err(Fatal::Grant)?);
        if self.manner.persistent {
            self.kept.insert(grant, Rc::clone(&page));
        }
        Ok(page)
    }

    pub(super) fn perform(&mut self, job: Job) -> Response {
        let unit = self.manner.unit;
        let medium = &mut *self.media.borrow();
        let status = match job.supported {
            true if medium.perform(&job, unit) => STATUS_OKAY,
            true => STATUS_ERROR,
            false => STATUS_UNSUPPORTED,
        };
        job.response(status)
    }
}

impl Medium {
    fn perform(&mut self, job: &Job, unit: usize) -> bool {
        if self.fail_every > 0 && self.requests.is_multiple_of(self.fail_every) {
            return false;
        }
        if job.operation == Operation::Flush {
            self.flushes += 1;
            return true;
        }
        let Some(mut at) = usize::try_from(job.sector)
            .ok()
            .and_then(|sector| sector.checked_mul(unit))
        else {
            return false;
        };
        for (segment, page) in &job.pages {
            let (first, last) = (usize::from(segment.first), usize::from(segment.last));
            // As QEMU has it.
            if first > last || last * unit >= PAGE_SIZE {
                return false;
            }
            let len = (last - first + 1) * unit;
            let sectors =
                (at / crate::wire::SECTOR) as u64..((at + len) / crate::wire::SECTOR) as u64;
            if self.bad.range(sectors).next().is_some() {
                return false;
            }
            let Some(bytes) = self.bytes.get_mut(at..at + len) else {
                return false;
            };
            let moved = match job.operation {
                Operation::Write => page.read(first * unit, bytes),
                _ => page.write(first * unit, bytes),
            };
            if moved.is_err() {
                return false;
            }
            at += len;
        }
        true
    }
}
