//! The network's side of the interface, as a smoltcp device.

use core::num::NonZeroU16;

use smoltcp::phy::{self, DeviceCapabilities, PacketMeta};
use smoltcp::time::Instant;

use super::segment::{Checksum, Frame};
use super::{Back, Fatal};
use crate::checksum::{ETHERNET, Ip, Located, locate};
use crate::device::segmented;
use crate::wire::GsoType;

/// How the network's side sends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Far {
    offloads: bool,
}

impl Back {
    /// Whether what the network's side sends arrives with blank checksums and unsegmented, as from
    /// a dom0, or complete and unchecked, as from a cable.
    pub fn send_offloaded(&mut self, offloads: bool) {
        self.far.offloads = offloads;
    }

    /// The next frame for the network: checksummed, and of no more than an MTU's length.
    pub fn take_finished(&mut self) -> Option<alloc::vec::Vec<u8>> {
        while self.cable.is_empty() {
            match self.frames.pop_front()?.finish() {
                Ok(frames) => self.cable.extend(frames),
                Err(unfinished) => self.fatal = Some(Fatal::Frame(unfinished)),
            }
        }
        self.cable.pop_front()
    }

    fn send(&mut self, mut bytes: alloc::vec::Vec<u8>, segment: Option<NonZeroU16>) {
        let mut frame = Frame::plain([]);
        if let (true, Located::Transport(transport)) = (self.far.offloads, locate(&bytes)) {
            transport.blank(&mut bytes);
            let gso = match transport.ip {
                Ip::V4 => GsoType::TcpV4,
                Ip::V6 => GsoType::TcpV6,
            };
            frame.checksum = Checksum::Blank;
            frame.gso = segment.map(|size| (gso, size.get()));
        }
        frame.bytes = bytes;
        self.inject(frame);
        self.poll();
    }
}

impl phy::Device for Back {
    type RxToken<'a> = FarRxToken;
    type TxToken<'a> = FarTxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(FarRxToken, FarTxToken<'_>)> {
        self.poll();
        let frame = self.take_finished()?;
        let segment = None;
        Some((
            FarRxToken { frame },
            FarTxToken {
                back: self,
                segment,
            },
        ))
    }

    fn transmit(&mut self, _: Instant) -> Option<FarTxToken<'_>> {
        // As a network card's queue, not as memory.
        const QUEUE: usize = 256;
        let segment = None;
        (self.queued() < QUEUE).then_some(FarTxToken {
            back: self,
            segment,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        const MTU: usize = 1500;
        // Frames of Ethernet: what `medium` is by default, in builds where smoltcp knows of it.
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = MTU + ETHERNET;
        if self.far.offloads {
            capabilities.checksum.tcp = phy::Checksum::Rx;
            capabilities.checksum.udp = phy::Checksum::Rx;
            let [v4, _] = self.manner.gso;
            capabilities.segmentation.tcpv4 = segmented(MTU, 20).filter(|_| v4);
        }
        capabilities
    }
}

/// A frame that left the guest.
#[derive(Debug)]
pub struct FarRxToken {
    frame: alloc::vec::Vec<u8>,
}

impl phy::RxToken for FarRxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.frame)
    }
}

/// Room for a frame to the guest.
pub struct FarTxToken<'a> {
    back: &'a mut Back,
    segment: Option<NonZeroU16>,
}

impl phy::TxToken for FarTxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = alloc::vec![0; len];
        let result = f(&mut bytes);
        self.back.send(bytes, self.segment);
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size;
    }
}
