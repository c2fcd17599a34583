//! Lies on demand.

use minios::abi::ring::RSP_PROD;
use minios::ring::Broken;

use super::{Back, Fatal};
use crate::wire::{Response, STATUS_OKAY};

/// Something that a backend must not do. All but the first need a request that is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deceit {
    /// So many more responses than there are.
    Index(u32),
    /// A response to a request of this number.
    Id(u64),
    /// The oldest request, answered once more in place of the second: needs two.
    Twice,
    /// The oldest request answered as if it had been of this operation.
    Operation(u8),
    /// The oldest request answered with this verdict.
    Status(i16),
}

impl Back {
    /// Does it, and raises an event.
    pub fn deceive(&mut self, deceit: Deceit) {
        let done = self.try_deceive(deceit);
        self.done(done);
        self.port.notify();
    }

    fn try_deceive(&mut self, deceit: Deceit) -> Result<(), Fatal> {
        if let Deceit::Index(ahead) = deceit {
            let memory = self.ring.memory();
            let now = memory.load_u32(RSP_PROD).map_err(Broken::Memory)?;
            let lie = memory.store_u32(RSP_PROD, now.wrapping_add(ahead));
            return Ok(lie.map_err(Broken::Memory)?);
        }
        let Some((_, job)) = self.held.front() else {
            return Ok(());
        };
        let honest = job.response(STATUS_OKAY);
        match deceit {
            Deceit::Index(_) => {}
            Deceit::Id(id) => drop(self.ring.push(&Response { id, ..honest })?),
            Deceit::Twice => {
                self.ring.push(&honest)?;
                self.ring.push(&honest)?;
            }
            Deceit::Operation(operation) => drop(self.ring.push(&Response {
                operation,
                ..honest
            })?),
            Deceit::Status(status) => drop(self.ring.push(&Response { status, ..honest })?),
        }
        self.ring.publish()?;
        Ok(())
    }

    /// Answers any request with these words, whoever asked for what.
    pub fn raw(&mut self, response: &Response) {
        self.respond(response);
    }
}
