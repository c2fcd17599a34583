//! A TCP/IP stack around smoltcp, for many connections to one port.
//!
//! smoltcp looks at every socket for every packet. Here each connection has a `SocketSet` of its
//! own: a guard drops what no host should send, a keyed hash of the addresses and ports finds the
//! connection, and only that one is polled; what has something to send is on a queue, and a heap of
//! timers wakes the rest. So a packet costs the same however many connections there are.
//!
//! Half-open, idle and closed connections are records without a socket (`forge` makes sockets in
//! any state when they are needed), so that what a peer can make us keep is small and bounded.
//!
//! Sans-io: [`Net::poll`] is told the time, takes frames from the device and gives it others, and
//! says when it wants to be called again. It reads no clock and waits for nothing.
//!
//! | module | what |
//! |---|---|
//! | `guard` | frames that are let in |
//! | `core` | the stack, and the life of connections |
//! | `ingress`, `egress` | what comes in, what goes out |
//! | `room` | places and memory, and who has to go |
//! | `shake`, `linger` | before a connection and after it, without a socket |
//! | `entry`, `conn` | a connection, and what the service does with it |
//! | `forge` | sockets made to measure |
//! | `first` | the addresses to begin with |
//! | `addresses` | our addresses, and how they come and go |
//! | [`dhcp`], [`slaac`] | addresses learned from the network |
//! | `groups` | which groups we listen to |
//! | `border`, `reply` | smoltcp's packets and our own to frames |
//! | `mac` | MAC addresses in the log |
//! | `table`, `timers` | finding connections, waking them |
//! | [`wire`] | two devices with a bad cable between them, for tests |

mod addresses;
mod border;
mod config;
mod conn;
mod core;
pub mod dhcp;
mod egress;
mod entry;
mod ethernet;
mod first;
mod forge;
mod groups;
mod guard;
mod ingress;
mod lines;
mod linger;
mod random;
mod reply;
mod room;
mod shake;
pub mod slaac;
mod stats;
mod table;
mod timers;
pub mod wire;

pub use self::addresses::{Address, Learn, Source};
pub use self::config::{Config, Dhcp, link_local};
pub use self::conn::NetConn;
pub use self::ethernet::EthernetAddress;
pub use self::stats::{NetStats, Refusal};
pub use smoltcp::time::{Duration, Instant};

/// Bytes that a connection takes beside its socket and buffers, which it has while it is in use.
pub const CONNECTION_RECORD: usize = table::slot_size::<entry::Entry>();

use self::core::Core;
use self::entry::Owner;
use crate::seam::Stack;
use ::core::cell::RefCell;
use ::core::task::{Context, Poll};
use alloc::rc::Rc;
use smoltcp::phy::{Device, RxToken};

/// The stack on a device. Cloning gives another handle to the same one; all stay in one thread.
pub struct Net<D: Device> {
    inner: Rc<RefCell<Inner<D>>>,
}

struct Inner<D> {
    device: D,
    core: Core,
}

/// When to call [`Net::poll`] again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// At this time, if nothing happens before.
    pub deadline: Option<Instant>,
    /// At once: the device may hold more frames, or connections have more to send.
    pub more: bool,
    /// When the device can send again: it was full.
    pub blocked: bool,
}

impl<D: Device> Clone for Net<D> {
    fn clone(&self) -> Self {
        Net {
            inner: Rc::clone(&self.inner),
        }
    }
}

impl<D: Device> Net<D> {
    /// Makes a stack on `device`, whose capabilities must not change afterwards.
    pub fn new(device: D, config: Config, now: Instant) -> Self {
        let core = Core::new(config, &device.capabilities(), now);
        Net {
            inner: Rc::new(RefCell::new(Inner { device, core })),
        }
    }

    /// Takes in what the device has received, up to `Config::poll_frames`, runs the timers that are
    /// due, and sends what there is to send.
    pub fn poll(&self, now: Instant) -> Next {
        let (next, wakes) = {
            let mut inner = self.inner.borrow_mut();
            let Inner { device, core } = &mut *inner;
            core.now = core.now.max(now);
            // The driver is here; it need not be woken for what it does itself.
            core.driver = None;
            let mut left = core.config.poll_frames;
            while left > 0
                && let Some((rx, tx)) = device.receive(now)
            {
                left -= 1;
                rx.consume(|frame| core.frame(frame, tx));
            }
            core.run_timers();
            core.addressing(device);
            let blocked = core.egress(device);
            core.reports(device);
            core.fresh = false;
            let more = left == 0 || (!blocked && !core.dirty.is_empty());
            let next = Next {
                deadline: core.next_deadline(),
                more,
                blocked,
            };
            (next, ::core::mem::take(&mut core.wakes))
        };
        self.wake(wakes);
        next
    }

    /// Ready when a connection has something to send that no poll has seen yet. Only the last task
    /// to ask is woken.
    pub fn poll_dirty(&self, cx: &mut Context<'_>) -> Poll<()> {
        let core = &mut self.inner.borrow_mut().core;
        if core.fresh {
            return Poll::Ready(());
        }
        core.driver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Lends the device. Must not use this stack meanwhile.
    pub fn with_device<R>(&self, f: impl FnOnce(&mut D) -> R) -> R {
        f(&mut self.inner.borrow_mut().device)
    }

    /// What has been counted.
    #[must_use]
    pub fn stats(&self) -> NetStats {
        self.inner.borrow().core.stats()
    }

    /// [`NetStats::out_of_memory`] alone, cheap enough to look at after each poll.
    #[must_use]
    pub fn out_of_memory(&self) -> u64 {
        self.inner.borrow().core.stats.out_of_memory
    }

    /// Says to all on the link where our addresses are: gratuitous ARP, unsolicited neighbour
    /// advertisements, listener reports. At the start, and when the link comes back.
    pub fn announce(&self, now: Instant) {
        let mut inner = self.inner.borrow_mut();
        let Inner { device, core } = &mut *inner;
        core.now = core.now.max(now);
        core.announce(device);
    }

    /// The addresses that are ours now, those among them that are learned included.
    #[must_use]
    pub fn addresses(&self) -> alloc::vec::Vec<Address> {
        self.inner.borrow().core.addresses()
    }

    fn with_core<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        let (result, wakes) = {
            let core = &mut self.inner.borrow_mut().core;
            let result = f(core);
            if core.wakes.is_empty() {
                return result;
            }
            (result, ::core::mem::take(&mut core.wakes))
        };
        self.wake(wakes);
        result
    }

    /// Wakes tasks while nothing is borrowed, and gives the vector back.
    fn wake(&self, mut wakes: alloc::vec::Vec<::core::task::Waker>) {
        for waker in wakes.drain(..) {
            waker.wake();
        }
        let core = &mut self.inner.borrow_mut().core;
        if core.wakes.is_empty() {
            core.wakes = wakes;
        }
    }
}

impl<D: Device> Stack for Net<D> {
    type Conn = NetConn<D>;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<NetConn<D>> {
        let core = &mut self.inner.borrow_mut().core;
        while let Some(handle) = core.backlog.pop_front() {
            if let Some(index) = core.conns.resolve(handle)
                && let Some(entry) = core.conns.get_mut(index)
            {
                entry.owner = Owner::Task;
                let peer = conn::peer(entry);
                core.stats.accepted += 1;
                core.arm(index);
                return Poll::Ready(NetConn {
                    net: self.clone(),
                    handle,
                    peer,
                });
            }
        }
        core.acceptor = Some(cx.waker().clone());
        Poll::Pending
    }
}
