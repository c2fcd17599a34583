//! Making a device: its ring, pool and port, all at once and for good.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::time::Duration;

use minios::ring::request::Front;
use minios::{DomId, Domain, SetupError};

use crate::device::Shared;
use crate::engine::Engine;
use crate::features::{Keys, Wiring, answer};
use crate::pool::Pool;
use crate::vdev::Vdev;

/// What a device may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Pages that data pass through, 16 to 4096, rounded up to a multiple of 16. With the default,
    /// 272, 1 MiB is one request of a backend that takes 256 segments: 256 pages, one that
    /// describes them, and some for others meanwhile.
    pub pages: usize,
    /// The order of the ring's size in pages, if the backend takes as many: 2, the default, has room
    /// for 128 requests. 4 at most.
    pub ring_order: u32,
    /// How long the backend may take to make its offer, and again to connect.
    pub patience: Duration,
    /// Where the ring's indices start. Tests begin near where they wrap.
    pub ring_index: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            pages: 272,
            ring_order: 2,
            // A toolstack runs scripts before a disk's backend connects.
            patience: Duration::from_secs(30),
            ring_index: 0,
        }
    }
}

/// A device towards the backend in `peer`, and what that is told: all but the talk on xenstore.
pub(crate) fn make(
    domain: &Domain,
    peer: DomId,
    vdev: Vdev,
    ring_order: u32,
    config: &Config,
) -> Result<(Rc<Shared>, Keys), SetupError> {
    let ring = domain.share(domain.pages(1 << ring_order)?, peer)?;
    let ring = Front::starting_at(ring, config.ring_index)?;
    let pool = Pool::new(domain, peer, config.pages)?;
    let port = domain.listen(peer)?;
    let grants: Vec<u32> = ring.memory().grants().iter().map(|grant| grant.0).collect();
    let keys = answer(&Wiring {
        ring: &grants,
        port: port.number().0,
    });
    // The field has 16 bits, and backends do not look at it.
    let engine = Engine::new(ring, port, pool, vdev.0 as u16)?;
    Ok((Rc::new(Shared::new(vdev, engine)), keys))
}
