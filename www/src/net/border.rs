//! The border between smoltcp, which sees IP packets, and the device, which moves Ethernet frames.
//!
//! smoltcp is run without a link layer. What it sends goes to the MAC address that the connection's
//! last frame came from: a server only ever answers, so it needs no neighbour cache, and any number
//! of neighbours can be connected at once.

use super::ethernet::EthernetAddress;
use alloc::vec::Vec;
use smoltcp::phy::{
    ChecksumCapabilities, Device, DeviceCapabilities, Medium, PacketMeta, RxToken, TxToken,
};
use smoltcp::time::Instant;

pub(super) const ETHERNET: usize = 14;

/// What smoltcp is told of a device with `caps`: the same, one layer up.
///
/// The guard has verified IPv4 and TCP checksums where the device has not. IPv6 segmentation is
/// withheld: smoltcp 0.14 drops IPv6 packets over the MTU even if the device would cut them.
pub(super) fn above_ethernet(caps: &DeviceCapabilities) -> DeviceCapabilities {
    use smoltcp::phy::Checksum;
    let sending = |checksum: &Checksum| {
        if checksum.tx() {
            Checksum::Tx
        } else {
            Checksum::None
        }
    };
    let mut up = caps.clone();
    up.medium = Medium::Ip;
    up.max_transmission_unit = caps.max_transmission_unit.clamp(594, 65535) - ETHERNET;
    up.checksum.ipv4 = sending(&caps.checksum.ipv4);
    up.checksum.tcp = sending(&caps.checksum.tcp);
    let most = |size: core::num::NonZeroUsize| {
        core::num::NonZeroUsize::new(size.get().saturating_sub(ETHERNET).min(65535))
            .filter(|size| size.get() > up.max_transmission_unit && !caps.checksum.tcp.tx())
    };
    up.segmentation.tcpv4 = caps.segmentation.tcpv4.and_then(most);
    up.segmentation.tcpv6 = None;
    up
}

/// Capabilities for packets that never leave: no checksums, no offloads.
pub(super) fn indoors(mtu: usize) -> DeviceCapabilities {
    let mut caps = DeviceCapabilities::default();
    caps.medium = Medium::Ip;
    caps.max_transmission_unit = mtu;
    caps.checksum = ChecksumCapabilities::ignored();
    caps
}

/// A transmit token that writes the Ethernet header in front of the IP packet.
pub(super) struct Framing<T> {
    pub(super) inner: T,
    pub(super) source: EthernetAddress,
    pub(super) destination: EthernetAddress,
}

impl<T: TxToken> TxToken for Framing<T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.inner.consume(len + ETHERNET, |frame| {
            let (header, packet) = frame.split_at_mut(ETHERNET);
            let result = f(packet);
            let destination = group_mac(packet).unwrap_or(self.destination);
            header[..6].copy_from_slice(&destination.0);
            header[6..12].copy_from_slice(&self.source.0);
            let ethertype: u16 = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
            header[12..].copy_from_slice(&ethertype.to_be_bytes());
            result
        })
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.inner.set_meta(meta);
    }
}

/// The MAC address of the group that `packet` goes to, if it goes to one (listener reports do).
fn group_mac(packet: &[u8]) -> Option<EthernetAddress> {
    match packet {
        [first, ..] if first >> 4 == 6 && packet.len() >= 40 && packet[24] == 0xff => {
            Some(EthernetAddress([
                0x33, 0x33, packet[36], packet[37], packet[38], packet[39],
            ]))
        }
        [first, ..] if first >> 4 == 4 && packet.len() >= 20 && packet[16] >> 4 == 0xe => {
            Some(EthernetAddress([
                1,
                0,
                0x5e,
                packet[17] & 0x7f,
                packet[18],
                packet[19],
            ]))
        }
        _ => None,
    }
}

/// The device as one connection sees it: for sending only, and to one MAC address.
pub(super) struct Framed<'d, D> {
    pub(super) device: &'d mut D,
    pub(super) caps: &'d DeviceCapabilities,
    pub(super) source: EthernetAddress,
    pub(super) destination: EthernetAddress,
    /// The device had no room.
    pub(super) refused: bool,
}

impl<D: Device> Device for Framed<'_, D> {
    type RxToken<'a>
        = Packet<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Framing<D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        None
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        let (source, destination) = (self.source, self.destination);
        let token = self.device.transmit(now);
        self.refused |= token.is_none();
        token.map(|inner| Framing {
            inner,
            source,
            destination,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.caps.clone()
    }
}

/// A packet that was received already.
pub(super) struct Packet<'f>(pub(super) &'f [u8]);

impl RxToken for Packet<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// A device that has received one packet, and can send one in answer.
pub(super) struct Once<'f, T> {
    pub(super) packet: Option<&'f [u8]>,
    pub(super) answer: Option<T>,
    pub(super) caps: &'f DeviceCapabilities,
}

impl<'f, T: TxToken> Device for Once<'f, T> {
    type RxToken<'a>
        = Packet<'f>
    where
        Self: 'a;
    type TxToken<'a>
        = T
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        Some((Packet(self.packet.take()?), self.answer.take()?))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.caps.clone()
    }
}

/// A device that swallows what is sent, and shows the last of it.
pub(super) struct Indoors<'b> {
    pub(super) caps: &'b DeviceCapabilities,
    pub(super) buffer: &'b mut Vec<u8>,
    /// How much of `buffer` the last packet took.
    pub(super) sent: usize,
}

pub(super) struct Swallow<'b> {
    buffer: &'b mut Vec<u8>,
    sent: &'b mut usize,
}

impl<'b> Swallow<'b> {
    pub(super) fn new(buffer: &'b mut Vec<u8>, sent: &'b mut usize) -> Self {
        Swallow { buffer, sent }
    }
}

impl TxToken for Swallow<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        *self.sent = len;
        f(&mut self.buffer[..len])
    }
}

impl Device for Indoors<'_> {
    type RxToken<'a>
        = Packet<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Swallow<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        Some(Swallow {
            buffer: self.buffer,
            sent: &mut self.sent,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.caps.clone()
    }
}
