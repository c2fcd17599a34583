//! A tap device as smoltcp sees it.
//!
//! One read or write a frame, none of which allocates or waits. Checksums and TCP segmentation are
//! left to the kernel as far as it offers that: a frame of up to 64 KiB is one write then, and what
//! stays on this machine is never cut at all. What comes from farther away with a checksum that
//! nobody has verified is verified here.

use std::io;
use std::num::{NonZeroU16, NonZeroUsize};

use minios::host::tap::{HEADER, Tap};
use netfront::checksum::{ETHERNET, Ip, Located, Protocol, locate};
use rustix::io::Errno;
use smoltcp::phy::{self, Checksum, DeviceCapabilities, PacketMeta};
use smoltcp::time::{Duration, Instant};

use super::capture::Capture;
use super::header::{Left, is_large, is_trusted};

/// The longest frame: 64 KiB of IP.
const FRAME: usize = ETHERNET + 65_535;

/// Frames in a row that are worth nothing, before others have their turn.
const WORTHLESS: u32 = 64;

/// Between two complaints.
const COMPLAIN: Duration = Duration::from_secs(10);

/// Where frames come from and go to, one a call.
pub(crate) trait Wire {
    /// Whether there is a header in front of each frame.
    fn has_headers(&self) -> bool;
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    fn write(&self, frame: &[u8]) -> io::Result<usize>;
}

impl Wire for Tap {
    fn has_headers(&self) -> bool {
        self.offloads().send
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Tap::read(self, buffer)
    }

    fn write(&self, frame: &[u8]) -> io::Result<usize> {
        Tap::write(self, frame)
    }
}

/// What has been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// Of these, longer than the MTU.
    pub(crate) received_large: u64,
    pub(crate) sent_large: u64,
    /// Thrown away: too short, or with a wrong checksum.
    pub(crate) refused: u64,
    /// The kernel did not take them.
    pub(crate) lost: u64,
}

/// A tap device, driven by the TCP/IP stack.
pub(crate) struct Device<W = Tap> {
    incoming: Vec<u8>,
    /// The wire may have something. It says `WouldBlock` once, and only an event makes it readable.
    readable: bool,
    out: Outgoing<W>,
    mtu: usize,
}

struct Outgoing<W> {
    wire: W,
    name: String,
    /// There are headers, so that work can be left to the kernel.
    headers: bool,
    /// The header, and the frame after it.
    buffer: Vec<u8>,
    capture: Option<Capture>,
    counts: Counts,
    /// What the wire failed with the last time, and when that was said.
    trouble: Option<Errno>,
    said: Option<Instant>,
    now: Instant,
    /// Frames get through again.
    recovered: bool,
    gone: bool,
}

impl<W: Wire> Device<W> {
    pub(crate) fn new(wire: W, name: &str, mtu: usize, capture: Option<Capture>) -> Self {
        let headers = wire.has_headers();
        Self {
            incoming: vec![0; HEADER + FRAME],
            readable: true,
            out: Outgoing {
                wire,
                name: name.to_owned(),
                headers,
                buffer: vec![0; HEADER + FRAME],
                capture,
                counts: Counts::default(),
                trouble: None,
                said: None,
                now: Instant::ZERO,
                recovered: false,
                gone: false,
            },
            mtu,
        }
    }

    /// The wire said that it has something.
    pub(crate) fn event(&mut self) {
        self.readable = true;
    }

    /// Whether there may be something to receive.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable && !self.out.gone
    }

    /// Whether the device has ceased to exist.
    pub(crate) fn is_gone(&self) -> bool {
        self.out.gone
    }

    /// Whether frames get through again that did not before: once.
    pub(crate) fn take_recovered(&mut self) -> bool {
        std::mem::take(&mut self.out.recovered)
    }

    /// Before a wait: writes what the capture has kept back.
    pub(crate) fn settle(&mut self) {
        if let Some(capture) = &mut self.out.capture {
            capture.settle();
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.out.counts
    }

    /// Reads the next frame that is worth something: where it is in the buffer.
    fn read(&mut self) -> Option<std::ops::Range<usize>> {
        let start = if self.out.headers { HEADER } else { 0 };
        for _ in 0..WORTHLESS {
            let n = match self.out.wire.read(&mut self.incoming) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.readable = false;
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.out.fails(&error, "received");
                    }
                    return None;
                }
            };
            let header = self.incoming.first_chunk().filter(|_| self.out.headers);
            let (trusted, large) = header.map_or((true, false), |h| (is_trusted(h), is_large(h)));
            let counts = &mut self.out.counts;
            let Some(frame) = self.incoming.get(start..n).filter(|f| f.len() >= ETHERNET) else {
                counts.refused += 1;
                continue;
            };
            if let Some(capture) = &mut self.out.capture {
                capture.frame(frame);
            }
            let verified = trusted
                || match locate(frame) {
                    Located::Transport(transport) => transport.verify(frame),
                    // Whatever it is, the stack refuses it or verifies it by itself.
                    Located::Opaque | Located::Other => true,
                };
            if !verified {
                counts.refused += 1;
                continue;
            }
            counts.received += 1;
            counts.received_large += u64::from(large);
            return Some(start..n);
        }
        None
    }
}

impl<W: Wire> Outgoing<W> {
    /// Sends the frame of `len` bytes that is in the buffer.
    fn send(&mut self, len: usize, segment: Option<NonZeroU16>) {
        let frame = &mut self.buffer[HEADER..HEADER + len];
        let left = match (self.headers, locate(frame)) {
            (true, Located::Transport(transport)) => {
                transport.blank(frame);
                let start = transport.bytes.start;
                let offset = transport.checksum().start - start;
                let (start, offset) = (start as u16, offset as u16);
                let tcp4 = transport.protocol == Protocol::Tcp && transport.ip == Ip::V4;
                // The header's length is in words of 4, in its 13th byte.
                let headers = |size| {
                    (
                        size,
                        start + u16::from(frame[usize::from(start) + 12] >> 4) * 4,
                    )
                };
                Left {
                    checksum: Some((start, offset)),
                    segments: segment.filter(|_| tcp4).map(headers),
                }
            }
            _ => Left::default(),
        };
        if let Some(capture) = &mut self.capture {
            capture.frame(frame);
        }
        let from = match self.headers {
            true => {
                self.buffer[..HEADER].copy_from_slice(&left.encode());
                0
            }
            false => HEADER,
        };
        loop {
            match self.wire.write(&self.buffer[from..HEADER + len]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.counts.lost += 1;
                    return self.fails(&error, "sent");
                }
                Ok(_) => break,
            }
        }
        self.counts.sent += 1;
        self.counts.sent_large += u64::from(left.segments.is_some());
        if self.trouble.take().is_some() {
            log::info!(target: "net", "{}: frames are sent again", self.name);
            self.recovered = true;
        }
    }

    #[cold]
    fn fails(&mut self, error: &io::Error, what: &str) {
        let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
        if matches!(errno, Errno::BADFD | Errno::NODEV | Errno::NXIO) {
            self.gone = true;
        }
        let again = self.trouble.replace(errno) == Some(errno);
        let lately = self.said.is_some_and(|said| self.now < said + COMPLAIN);
        if again || lately || self.gone {
            return;
        }
        self.said = Some(self.now);
        match errno {
            Errno::IO => {
                log::warn!(target: "net", "{0} is down: sudo ip link set {0} up", self.name);
            }
            _ => log::warn!(target: "net", "{}: a frame cannot be {what}: {error}", self.name),
        }
    }
}

impl<W: Wire> phy::Device for Device<W> {
    type RxToken<'a>
        = RxToken<'a>
    where
        W: 'a;
    type TxToken<'a>
        = TxToken<'a, W>
    where
        W: 'a;

    fn receive(&mut self, now: Instant) -> Option<(RxToken<'_>, TxToken<'_, W>)> {
        self.out.now = now;
        if !self.is_readable() {
            return None;
        }
        let frame = self.read()?;
        let token = RxToken(&self.incoming[frame]);
        Some((token, TxToken::new(&mut self.out)))
    }

    fn transmit(&mut self, now: Instant) -> Option<TxToken<'_, W>> {
        self.out.now = now;
        Some(TxToken::new(&mut self.out))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        // Frames of Ethernet: what `medium` is by default, in builds where smoltcp knows of it.
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = self.mtu + ETHERNET;
        if self.out.headers {
            // Left to the kernel, and verified here where it was not.
            capabilities.checksum.tcp = Checksum::None;
            capabilities.checksum.udp = Checksum::None;
            // Not over IPv6, though the kernel could: smoltcp 0.14 drops such packets before they
            // get here.
            capabilities.segmentation.tcpv4 = segmented(self.mtu);
        }
        capabilities
    }
}

/// The longest frame to be segmented: one of full segments only.
fn segmented(mtu: usize) -> Option<NonZeroUsize> {
    const HEADERS: usize = 40;
    let segment = mtu.checked_sub(HEADERS).filter(|&segment| segment > 0)?;
    NonZeroUsize::new(ETHERNET + HEADERS + (65_535 - HEADERS) / segment * segment)
}

/// A frame received.
pub(crate) struct RxToken<'a>(&'a [u8]);

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// A frame to send.
pub(crate) struct TxToken<'a, W> {
    out: &'a mut Outgoing<W>,
    segment: Option<NonZeroU16>,
}

impl<'a, W> TxToken<'a, W> {
    fn new(out: &'a mut Outgoing<W>) -> Self {
        Self { out, segment: None }
    }
}

impl<W: Wire> phy::TxToken for TxToken<'_, W> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let out = self.out;
        if out.buffer.len() < HEADER + len {
            // Longer than any that we say we can send.
            out.buffer.resize(HEADER + len, 0);
        }
        let result = f(&mut out.buffer[HEADER..HEADER + len]);
        out.send(len, self.segment);
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size;
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
