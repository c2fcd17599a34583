//! Making a device: its pages, grants and ports, all at once and for good.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::time::Duration;

use minios::ring::request::Front;
use minios::xenbus::Mac;
use minios::{DomId, Domain, SetupError, Share};

use crate::checksum::ETHERNET;
use crate::device::{Netfront, Shared, segmented};
use crate::features::{Features, Wiring};
use crate::receiver::{Receiver, SHARE, SHARES};
use crate::rx::PACKET_MAX;
use crate::sender::{RESERVE, Sender};
use crate::stats::Stats;
use crate::tx::CHUNK;
use crate::wire::{PAGE, RING_SIZE};

/// What a device may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Pages to send from, 64, 128, 192 or 256: as many can be in flight. Another 256 are for
    /// reception.
    pub tx_pages: usize,
    /// Whether to leave segmentation to the backend, if it can.
    pub tso: bool,
    /// How long the backend may take to make its offer, and again to connect.
    pub patience: Duration,
    /// Where the indices of both rings start. Tests begin near where they wrap.
    pub ring_index: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            tx_pages: 256,
            tso: true,
            patience: Duration::from_secs(10),
            ring_index: 0,
        }
    }
}

impl Netfront {
    /// A device towards the backend in `peer`, and where that finds it: all but the talk on
    /// xenstore.
    pub fn new(
        domain: &Domain,
        peer: DomId,
        mac: Mac,
        mtu: Option<&str>,
        features: Features,
        config: &Config,
    ) -> Result<(Netfront, Wiring), SetupError> {
        let chunks = config.tx_pages.clamp(CHUNK, RING_SIZE as usize) / CHUNK;
        let features = if config.tso {
            features
        } else {
            features.without_tso()
        };
        let mtu = features.mtu(mtu);
        let frame_max = [
            Some(mtu + ETHERNET),
            segmented(mtu, 20)
                .filter(|_| features.tso4)
                .map(usize::from),
            segmented(mtu, 40)
                .filter(|_| features.tso6)
                .map(usize::from),
        ];
        let frame_max = frame_max.into_iter().flatten().max().unwrap_or(PAGE);
        debug_assert!(frame_max.div_ceil(PAGE) + RESERVE <= chunks * CHUNK);

        let page = || -> Result<Share, SetupError> { Ok(domain.share(domain.pages(1)?, peer)?) };
        let tx_ring = Front::starting_at(page()?, config.ring_index)?;
        let rx_ring = Front::starting_at(page()?, config.ring_index)?;
        let published = (0..chunks)
            .map(|_| Ok(domain.publish(domain.pages(CHUNK)?, peer)?))
            .collect::<Result<_, SetupError>>()?;
        let shares = (0..SHARES)
            .map(|_| Ok(domain.share(domain.pages(SHARE)?, peer)?))
            .collect::<Result<_, SetupError>>()?;
        let tx_port = domain.listen(peer)?;
        let rx_port = if features.split {
            Some(domain.listen(peer)?)
        } else {
            None
        };
        let wiring = Wiring {
            tx_ring: tx_ring.memory().grants()[0].0,
            rx_ring: rx_ring.memory().grants()[0].0,
            tx_port: tx_port.number().0,
            rx_port: rx_port.as_ref().map(|port| port.number().0),
        };
        let device = Netfront {
            tx: Sender::new(
                tx_ring,
                published,
                zeroes(frame_max)?,
                mtu + ETHERNET,
                features,
            ),
            rx: Receiver::new(rx_ring, config.ring_index, shares, zeroes(PACKET_MAX)?)?,
            shared: Rc::new(Shared::new(tx_port, rx_port)),
            mac,
            mtu,
            features,
            stats: Stats::default(),
            unread: false,
        };
        Ok((device, wiring))
    }
}

fn zeroes(len: usize) -> Result<Vec<u8>, SetupError> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(len)
        .map_err(|_| SetupError::OutOfMemory)?;
    bytes.resize(len, 0);
    Ok(bytes)
}
