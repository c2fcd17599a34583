//! Two Ethernet devices and the cable between them, in memory, with faults on demand.
//!
//! Strict: the device checks what it is given to send (length against the MTU, segmentation only as
//! announced) and cuts large segments as hardware does. Faults come from a generator with a seed, so
//! that a run can be repeated.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::num::NonZeroUsize;
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, PacketMeta, RxToken, TxToken};
use smoltcp::time::Instant;

/// What goes wrong on the way, in frames per 65536 each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Lost.
    pub loss: u16,
    /// Delivered twice.
    pub duplicate: u16,
    /// Delivered before the frame that was sent before it.
    pub reorder: u16,
    /// Delivered with one bit changed.
    pub corrupt: u16,
}

/// What one end can do.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// Largest frame, with its Ethernet header.
    pub mtu: usize,
    /// Frames that it holds for the other end; full beyond that.
    pub depth: usize,
    /// Checksums are done by the device.
    pub checksums: bool,
    /// TCP over IPv4 up to this frame size is cut by the device. Needs `checksums`.
    pub segmentation: Option<NonZeroUsize>,
    /// Large segments reach the other end whole, as between guests of one host.
    pub deliver_whole: bool,
}

impl Default for Abilities {
    fn default() -> Self {
        Abilities {
            mtu: 1514,
            depth: 4096,
            checksums: false,
            segmentation: None,
            deliver_whole: false,
        }
    }
}

/// What one end has sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Frames, before they were cut.
    pub frames: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Frames over the MTU, cut by the device.
    pub large: u64,
    /// The longest frame.
    pub longest: usize,
}

/// One end of the cable.
pub struct Wire {
    send: Rc<RefCell<Lane>>,
    receive: Rc<RefCell<Lane>>,
    abilities: Abilities,
}

#[derive(Default)]
struct Lane {
    frames: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    faults: Faults,
    state: u64,
    sent: Sent,
}

/// A cable between two devices.
#[must_use]
pub fn pair(a: Abilities, b: Abilities, seed: u64) -> (Wire, Wire) {
    let lane = |salt: u64| {
        let state = seed.wrapping_mul(2).wrapping_add(salt);
        Rc::new(RefCell::new(Lane {
            state,
            ..Lane::default()
        }))
    };
    let (ab, ba) = (lane(1), lane(2));
    let left = Wire {
        send: Rc::clone(&ab),
        receive: Rc::clone(&ba),
        abilities: a,
    };
    (
        left,
        Wire {
            send: ba,
            receive: ab,
            abilities: b,
        },
    )
}

impl Wire {
    /// Sets what happens to frames that this end sends from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.send.borrow_mut().faults = faults;
    }

    /// Sends any bytes as a frame, without faults.
    pub fn inject(&self, frame: &[u8]) {
        let mut lane = self.send.borrow_mut();
        let mut copy = lane.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(frame);
        lane.frames.push_back(copy);
    }

    /// Takes the next frame that the other end has sent.
    #[must_use]
    pub fn take(&self) -> Option<Vec<u8>> {
        self.receive.borrow_mut().frames.pop_front()
    }

    /// Gives back a frame that [`take`](Self::take) gave, to be used again.
    pub fn recycle(&self, frame: Vec<u8>) {
        self.receive.borrow_mut().spare.push(frame);
    }

    /// Looks at the frames on their way to this end.
    pub fn look(&self, see: &mut dyn FnMut(&[u8])) {
        for frame in &self.receive.borrow().frames {
            see(frame);
        }
    }

    /// Frames on their way to this end.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.receive.borrow().frames.len()
    }

    /// What this end has sent.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.send.borrow().sent
    }
}

impl Lane {
    /// xorshift64*, and the upper bits of it.
    fn draw(&mut self) -> u16 {
        self.state |= 1;
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 48) as u16
    }

    fn deliver(&mut self, mut frame: Vec<u8>) {
        let Faults {
            loss,
            duplicate,
            reorder,
            corrupt,
        } = self.faults;
        if loss > 0 && self.draw() < loss {
            self.spare.push(frame);
            return;
        }
        if corrupt > 0 && self.draw() < corrupt && !frame.is_empty() {
            let bit = usize::from(self.draw()) * 8 + usize::from(self.draw() & 7);
            let at = bit / 8 % frame.len();
            frame[at] ^= 1 << (bit % 8);
        }
        if duplicate > 0 && self.draw() < duplicate {
            self.frames.push_back(frame.clone());
        }
        if reorder > 0 && self.draw() < reorder && !self.frames.is_empty() {
            let at = self.frames.len() - 1;
            self.frames.insert(at, frame);
        } else {
            self.frames.push_back(frame);
        }
    }
}

impl Device for Wire {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, now: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        if self.send.borrow().frames.len() >= self.abilities.depth {
            return None;
        }
        let frame = self.receive.borrow_mut().frames.pop_front()?;
        let received = Received {
            lane: &self.receive,
            frame,
        };
        let _ = now;
        Some((
            received,
            Sending {
                wire: &self.send,
                abilities: self.abilities,
                cut: None,
            },
        ))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        if self.send.borrow().frames.len() >= self.abilities.depth {
            return None;
        }
        Some(Sending {
            wire: &self.send,
            abilities: self.abilities,
            cut: None,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        // Frames of Ethernet: what `medium` is by default, in builds where smoltcp knows of it.
        let mut caps = DeviceCapabilities::default();
        caps.max_transmission_unit = self.abilities.mtu;
        if self.abilities.checksums {
            caps.checksum.ipv4 = Checksum::None;
            caps.checksum.tcp = Checksum::None;
        }
        caps.segmentation.tcpv4 = self.abilities.segmentation;
        caps
    }
}

/// A frame that has arrived.
pub struct Received<'a> {
    lane: &'a RefCell<Lane>,
    frame: Vec<u8>,
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.frame);
        self.lane.borrow_mut().spare.push(self.frame);
        result
    }
}

/// Room for a frame.
pub struct Sending<'a> {
    wire: &'a RefCell<Lane>,
    abilities: Abilities,
    cut: Option<usize>,
}

impl TxToken for Sending<'_> {
    /// # Panics
    /// If the frame is longer than was announced, or is to be cut and was not announced.
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = self.wire.borrow_mut().spare.pop().unwrap_or_default();
        frame.clear();
        frame.resize(len, 0);
        let result = f(&mut frame);
        let mut lane = self.wire.borrow_mut();
        lane.sent.frames += 1;
        lane.sent.bytes += len as u64;
        lane.sent.longest = lane.sent.longest.max(len);
        match self.cut {
            None => {
                assert!(len <= self.abilities.mtu, "{len} bytes are over the MTU");
                lane.deliver(frame);
            }
            Some(size) => {
                let most = self.abilities.segmentation.map_or(0, NonZeroUsize::get);
                assert!(len <= most, "{len} bytes are over what the device cuts");
                lane.sent.large += 1;
                if self.abilities.deliver_whole {
                    lane.deliver(frame);
                } else {
                    for part in segments(&frame, size, self.abilities.mtu) {
                        lane.deliver(part);
                    }
                }
            }
        }
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.cut = meta
            .segmentation_offload_size
            .map(|size| usize::from(size.get()));
    }
}

/// Cuts an IPv4 TCP frame into segments of `size` bytes of payload, headers made anew.
fn segments(frame: &[u8], size: usize, mtu: usize) -> Vec<Vec<u8>> {
    const IP: usize = 14;
    const TCP: usize = 34;
    let headers = TCP + usize::from(frame[TCP + 12] >> 4) * 4;
    assert!(frame[IP] == 0x45 && frame[IP + 9] == 6, "not TCP over IPv4");
    assert!(headers + size <= mtu, "segments over the MTU");
    let payload = &frame[headers..];
    let seq = u32::from_be_bytes([frame[38], frame[39], frame[40], frame[41]]);
    let mut parts = Vec::new();
    for (n, chunk) in payload.chunks(size).enumerate() {
        let mut part = frame[..headers].to_vec();
        part.extend_from_slice(chunk);
        let total = (part.len() - IP) as u16;
        part[IP + 2..IP + 4].copy_from_slice(&total.to_be_bytes());
        let at = seq.wrapping_add((n * size) as u32);
        part[TCP + 4..TCP + 8].copy_from_slice(&at.to_be_bytes());
        if (n + 1) * size < payload.len() {
            // FIN and PSH belong to the last one.
            part[TCP + 13] &= !0x09;
        }
        parts.push(part);
    }
    parts
}
