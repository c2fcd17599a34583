//! The device as smoltcp sees it, and what its driver does besides.

use alloc::rc::Rc;
use core::cell::Cell;
use core::fmt;
use core::num::{NonZeroU16, NonZeroUsize};
use core::task::{Context, Poll, Waker};

use minios::Port;
use minios::xenbus::Mac;
use smoltcp::phy::{self, Checksum, DeviceCapabilities, PacketMeta};
use smoltcp::time::Instant;

use crate::checksum::ETHERNET;
use crate::features::Features;
use crate::lie::Lie;
use crate::receiver::{Received, Receiver};
use crate::sender::Sender;
use crate::stats::Stats;
use crate::wire::FRAME_MAX;

/// A connected virtual interface.
///
/// Its driver's round: hand it to smoltcp, which takes frames in and writes frames out; then
/// [`flush`](Self::flush), which publishes these; then wait for [`Events`] or a timer. Whatever the
/// backend does, no call panics, blocks or runs on without bound; a backend that lies makes it
/// [`Phase::Broken`], silent for good.
pub struct Netfront {
    pub(crate) tx: Sender,
    pub(crate) rx: Receiver,
    pub(crate) shared: Rc<Shared>,
    pub(crate) mac: Mac,
    pub(crate) mtu: usize,
    pub(crate) features: Features,
    pub(crate) stats: Stats,
    /// The last call to receive gave a frame, so there may be more, and no event will come for
    /// them.
    pub(crate) unread: bool,
}

/// How the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It works.
    Running,
    /// The backend lied.
    Broken(Lie),
    /// It was closed, by us or by the backend.
    Closed,
}

/// What the device shares with those who wait for it.
pub(crate) struct Shared {
    phase: Cell<Phase>,
    pub(crate) carrier: Cell<bool>,
    /// There is something to do for which no event will come.
    unfinished: Cell<bool>,
    /// Who waits.
    driver: Cell<Option<Waker>>,
    tx: Port,
    /// If it is not the same.
    rx: Option<Port>,
}

impl Shared {
    pub(crate) fn new(tx: Port, rx: Option<Port>) -> Self {
        Shared {
            phase: Cell::new(Phase::Running),
            carrier: Cell::new(true),
            unfinished: Cell::new(false),
            driver: Cell::new(None),
            tx,
            rx,
        }
    }

    /// Ends the use of the device, and tells the driver, who may wait for room that will not come.
    pub(crate) fn end(&self, phase: Phase) {
        if self.phase.get() == Phase::Running {
            self.phase.set(phase);
            self.unfinished.set(true);
            if let Some(driver) = self.driver.take() {
                driver.wake();
            }
        }
    }

    pub(crate) fn notify_tx(&self) {
        self.tx.notify();
    }

    pub(crate) fn notify_rx(&self) {
        self.rx.as_ref().unwrap_or(&self.tx).notify();
    }
}

/// Says when the device wants its driver. Several may be had, but only the last one that waited is
/// woken.
#[derive(Clone)]
pub struct Events(Rc<Shared>);

impl Events {
    /// Ready if frames may have come, or room for frames to send; and once more when the device has
    /// ceased to run, then never again.
    pub fn poll_wait(&self, cx: &mut Context<'_>) -> Poll<()> {
        let shared = &self.0;
        let mut ready = shared.unfinished.take();
        if shared.phase.get() == Phase::Running {
            // All of them, so that all know whom to wake.
            ready |= shared.tx.poll_event(cx).is_ready();
            if let Some(rx) = &shared.rx {
                ready |= rx.poll_event(cx).is_ready();
            }
            if !ready {
                shared.driver.set(Some(cx.waker().clone()));
            }
        }
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Waits for [`poll_wait`](Self::poll_wait). Cancelling it loses no event.
    pub async fn wait(&self) {
        core::future::poll_fn(|cx| self.poll_wait(cx)).await;
    }
}

impl Netfront {
    /// The interface's address.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// The interface's MTU, of IP.
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// What was agreed with the backend.
    pub fn features(&self) -> Features {
        self.features
    }

    /// How it is.
    pub fn phase(&self) -> Phase {
        self.shared.phase.get()
    }

    /// Whether the link is up, as far as the backend says.
    pub fn carrier(&self) -> bool {
        self.shared.carrier.get()
    }

    /// What to wait for between rounds.
    pub fn events(&self) -> Events {
        Events(Rc::clone(&self.shared))
    }

    /// What it has counted, and its levels now.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats;
        self.tx.levels(&mut stats);
        self.rx.levels(&mut stats);
        stats
    }

    /// Publishes the frames that were written since the last time, and posts the pages that were
    /// read: to be called at the end of each round, for one event at most each way.
    pub fn flush(&mut self) {
        if !self.runs() {
            return;
        }
        if self.unread {
            self.shared.unfinished.set(true);
        }
        match self.rx.post() {
            Ok(true) => self.kick_rx(),
            Ok(false) => {}
            Err(_) => return self.breaks(Lie::RxIndex),
        }
        match self.tx.flush(&mut self.stats) {
            Ok(true) => self.shared.notify_tx(),
            Ok(false) => {}
            Err(lie) => self.breaks(lie),
        }
    }

    fn runs(&self) -> bool {
        self.shared.phase.get() == Phase::Running
    }

    fn breaks(&mut self, lie: Lie) {
        log::error!(target: "netfront", "{}: the backend lies: {lie}; the device is not used any more",
            self.mac
        );
        self.stats.broken += 1;
        self.shared.end(Phase::Broken(lie));
    }

    fn kick_rx(&mut self) {
        self.stats.rx_notifies += 1;
        self.shared.notify_rx();
    }

    fn can_send(&mut self, answer: bool) -> bool {
        match self.tx.ready(answer, &mut self.stats) {
            Ok(ready) => ready,
            Err(lie) => {
                self.breaks(lie);
                false
            }
        }
    }
}

impl fmt::Debug for Netfront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Netfront({}, {:?})", self.mac, self.phase())
    }
}

impl phy::Device for Netfront {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        // An answer must find room before the frame is taken.
        if !self.runs() || !self.can_send(true) {
            return None;
        }
        let (received, notify) = match self.rx.receive(&mut self.stats) {
            Ok(received) => received,
            Err(lie) => {
                self.breaks(lie);
                return None;
            }
        };
        if notify {
            self.kick_rx();
        }
        self.unread = matches!(received, Received::Frame(_));
        let len = match received {
            Received::Frame(len) => len,
            Received::Nothing => return None,
            Received::Unfinished => {
                self.shared.unfinished.set(true);
                return None;
            }
        };
        let frame = self.rx.frame(len);
        let tx = TxToken::new(&mut self.tx, &mut self.stats, true);
        Some((RxToken { frame }, tx))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        let live = self.runs();
        let room = !live || self.can_send(false);
        room.then(|| TxToken::new(&mut self.tx, &mut self.stats, live))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        // Frames of Ethernet: what `medium` is by default, in builds where smoltcp knows of it.
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = self.mtu + ETHERNET;
        // The driver sees to both directions: offloaded, or computed where the offload is not to be
        // had.
        capabilities.checksum.tcp = Checksum::None;
        capabilities.checksum.udp = Checksum::None;
        capabilities.segmentation.tcpv4 = self
            .features
            .tso4
            .then(|| segmented(self.mtu, 20))
            .flatten();
        // Not over IPv6, though the device could: smoltcp 0.14 drops such packets before they get
        // here.
        capabilities
    }
}

/// The longest frame to be segmented: one of full segments only.
pub(crate) fn segmented(mtu: usize, ip_header: usize) -> Option<NonZeroUsize> {
    const TCP: usize = 20;
    let headers = ETHERNET + ip_header + TCP;
    let segment = (mtu + ETHERNET)
        .checked_sub(headers)
        .filter(|&segment| segment > 0)?;
    NonZeroUsize::new(headers + (FRAME_MAX - headers) / segment * segment)
}

/// A frame received.
#[derive(Debug)]
pub struct RxToken<'a> {
    frame: &'a [u8],
}

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.frame)
    }
}

/// Room for a frame to send.
pub struct TxToken<'a> {
    tx: &'a mut Sender,
    stats: &'a mut Stats,
    segment: Option<NonZeroU16>,
    live: bool,
}

impl<'a> TxToken<'a> {
    fn new(tx: &'a mut Sender, stats: &'a mut Stats, live: bool) -> Self {
        TxToken {
            tx,
            stats,
            segment: None,
            live,
        }
    }
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        match self.live {
            true => self.tx.send(len, self.segment, self.stats, f),
            false => self.tx.discard(len, self.stats, f),
        }
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size;
    }
}
