//! The device's task: what moves its requests, watches its backend, and lets go.

use alloc::rc::Rc;
use core::fmt;

use minios::exec::{Either, race};
use minios::xenbus::{Ending, Frontend, Step, XenbusError};

use crate::device::{Phase, Shared, name};
use crate::features::size;
use crate::lie::Lie;

/// A device's connection to its backend. Without it the device does nothing: dropping it ends the
/// device.
pub struct Link {
    pub(crate) frontend: Frontend,
    shared: Rc<Shared>,
    end: Ending,
}

impl Link {
    pub(crate) fn new(frontend: Frontend, shared: Rc<Shared>) -> Self {
        Link {
            frontend,
            shared,
            end: Ending::default(),
        }
    }

    /// Moves requests and responses, follows the device's size, and watches the backend until it
    /// gives the device up or goes away; then closes it on our side, too. Or until
    /// [`shutdown`](Self::shutdown) is called. To be run as a task. Cancelling it stops all of
    /// this, until it is called again.
    ///
    /// A backend that lies breaks the device, and is watched on: it is let go when it closes. An
    /// error is one of closing, or of xenstore; the device has ended whatever this ends with.
    pub async fn run(&self) -> Result<(), XenbusError> {
        if self.end.has_begun() {
            // Whoever did so may have been cancelled at it.
            return self.shutdown().await;
        }
        let work = race(self.watch(), self.shared.pump());
        // The first of the two first: only one task at a time may wait for the backend.
        match race(self.end.begins(), work).await {
            Either::Left(()) => Ok(()),
            Either::Right(Either::Left(Err(error))) => {
                log::error!(target: "blkfront", "{}: {error}", name(self.shared.vdev));
                self.shared.end(Phase::Closed);
                Err(error)
            }
            Either::Right(_) => {
                log::warn!(target: "blkfront", "{}: the backend closes the device", name(self.shared.vdev));
                self.shutdown().await
            }
        }
    }

    async fn watch(&self) -> Result<(), XenbusError> {
        let resized = self.frontend.backend().watch("sectors").await?;
        loop {
            match race(self.frontend.next(), resized.changed()).await {
                Either::Left(step) => {
                    if let Step::Close = step? {
                        return Ok(());
                    }
                }
                Either::Right(changed) => {
                    changed?;
                    self.read_size().await?;
                }
            }
        }
    }

    async fn read_size(&self) -> Result<(), XenbusError> {
        let sectors = match self.frontend.read_backend("sectors").await {
            // Gone: so is the device, or soon.
            Ok(None) => return Ok(()),
            Ok(Some(sectors)) => size(&sectors),
            Err(XenbusError::BadValue { .. }) => None,
            Err(error) => return Err(error),
        };
        match sectors {
            Some(sectors) => self.shared.resize(sectors),
            None => self.shared.breaks(Lie::Sectors),
        }
        Ok(())
    }

    /// Closes the device in good order, once: whoever else calls this meanwhile waits, and has
    /// nothing left to do. All that is under way fails with [`IoError::Away`](crate::IoError::Away)
    /// at once, and the pages go back when the backend has let go of them.
    ///
    /// An error says that the backend, in the time that it had, did not let go of our pages, or that
    /// xenstore failed. Cancelling it leaves the device half closed; call it again.
    pub async fn shutdown(&self) -> Result<(), XenbusError> {
        self.shared.end(Phase::Closed);
        let closing = async {
            let result = self.frontend.close().await;
            self.shared.release();
            result
        };
        self.end.close(closing).await.unwrap_or(Ok(()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.release();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({:?})", self.frontend)
    }
}
