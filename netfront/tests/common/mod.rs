//! A device and its backend in one thread.

#![allow(dead_code, unreachable_pub, missing_docs)]

use minios::host::Hypervisor;
use minios::xenbus::Mac;
use minios::{DomId, Domain};
use netfront::back::{Back, Manner};
use netfront::checksum::{Located, locate, sum};
use netfront::features::{Features, Wiring};
use netfront::{Config, Netfront};
use smoltcp::phy::{Device, PacketMeta, RxToken, TxToken};
use smoltcp::time::Instant;

pub const GUEST: DomId = DomId(1);
pub const NOW: Instant = Instant::ZERO;
pub const MAC: Mac = Mac([0, 0x16, 0x3e, 0, 0, 1]);

pub fn linux() -> Features {
    let one = || Some("1".to_string());
    let offer = [one(), one(), one(), one(), None, one(), one(), one()];
    Features::read(&offer).expect("Linux's offer")
}

pub fn qemu() -> Features {
    let offer = [
        Some("1".to_string()),
        None,
        None,
        None,
        None,
        None,
        None,
        None,
    ];
    Features::read(&offer).expect("QEMU's offer")
}

/// Rings that wrap soon.
pub fn config() -> Config {
    Config {
        ring_index: u32::MAX - 300,
        ..Config::default()
    }
}

pub struct Pair {
    pub hypervisor: Hypervisor,
    pub guest: Domain,
    pub host: Domain,
    pub front: Netfront,
    pub back: Back,
    pub wiring: Wiring,
}

impl Pair {
    pub fn new(features: Features, manner: Manner, config: &Config) -> Self {
        let hypervisor = Hypervisor::new();
        let (guest, host) = (hypervisor.domain(GUEST), hypervisor.domain(DomId::ZERO));
        let (front, wiring) =
            Netfront::new(&guest, DomId::ZERO, MAC, None, features, config).expect("a device");
        let back = Back::attach(&host, GUEST, &wiring, manner).expect("its backend");
        let mut pair = Pair {
            hypervisor,
            guest,
            host,
            front,
            back,
            wiring,
        };
        pair.turn();
        pair
    }

    pub fn linux() -> Self {
        Pair::new(linux(), Manner::linux(), &config())
    }

    /// Ends the driver's round, and lets the backend do what it can.
    pub fn turn(&mut self) {
        self.front.flush();
        self.host.dispatch();
        self.back.poll();
        self.guest.dispatch();
    }

    /// Whether the device's driver would be woken now.
    pub fn woken(&self) -> bool {
        self.guest.dispatch();
        let events = self.front.events();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        events.poll_wait(&mut cx).is_ready()
    }

    /// Sends a frame; false if there is no room.
    pub fn send(&mut self, frame: &[u8], segment: u16) -> bool {
        send(&mut self.front, frame, segment)
    }

    /// The next frame that the guest receives.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let (rx, _) = self.front.receive(NOW)?;
        Some(rx.consume(<[u8]>::to_vec))
    }

    pub fn receive_all(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.receive()).collect()
    }
}

pub fn send(device: &mut impl Device, frame: &[u8], segment: u16) -> bool {
    let Some(mut token) = device.transmit(NOW) else {
        return false;
    };
    let mut meta = PacketMeta::default();
    meta.segmentation_offload_size = segment.try_into().ok();
    token.set_meta(meta);
    token.consume(frame.len(), |buffer| buffer.copy_from_slice(frame));
    true
}

/// A TCP segment over IPv4 from a stack that leaves the TCP checksum to its device.
pub fn tcp4(payload: usize, seed: u8) -> Vec<u8> {
    let mut frame = vec![0; 54 + payload];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&(40 + payload as u16).to_be_bytes());
    frame[22] = 64;
    frame[23] = 6;
    frame[26..34].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
    let checksum = !sum(&frame[14..34]);
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    frame[46] = 0x50;
    frame[47] = 0x18;
    fill(&mut frame[54..], seed);
    frame
}

/// The same over IPv6.
pub fn tcp6(payload: usize, seed: u8) -> Vec<u8> {
    let mut frame = vec![0; 74 + payload];
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    frame[14] = 0x60;
    frame[18..20].copy_from_slice(&(20 + payload as u16).to_be_bytes());
    frame[20] = 6;
    frame[21] = 64;
    frame[22] = 0xfe;
    frame[37] = 2;
    frame[38] = 0xfe;
    frame[53] = 1;
    frame[66] = 0x50;
    frame[67] = 0x18;
    fill(&mut frame[74..], seed);
    frame
}

fn fill(bytes: &mut [u8], seed: u8) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ seed;
    }
}

/// With its checksum filled in.
pub fn checksummed(mut frame: Vec<u8>) -> Vec<u8> {
    match locate(&frame) {
        Located::Transport(transport) => transport.fill(&mut frame),
        other => panic!("{other:?}"),
    }
    frame
}

/// With the pseudo-header's sum for a checksum.
pub fn blank(mut frame: Vec<u8>) -> Vec<u8> {
    match locate(&frame) {
        Located::Transport(transport) => transport.blank(&mut frame),
        other => panic!("{other:?}"),
    }
    frame
}

/// Something that is neither TCP nor UDP.
pub fn other(len: usize, seed: u8) -> Vec<u8> {
    let mut frame = vec![0; len];
    frame[12..14].copy_from_slice(&[8, 6]);
    fill(&mut frame[14..], seed);
    frame
}
