//! Sockets made to measure.
//!
//! smoltcp gives no way to choose a socket's initial sequence number, to exchange its buffers, or to
//! make one that is already established. This does all three with its public interface only: a new
//! socket listens on an interface of its own, which exists for as long as it takes, and is played a
//! handshake. The interface's random generator is seeded so that the initial sequence number comes
//! out as wanted (that reads smoltcp 0.14's generator backwards; the result is checked, so another
//! version of smoltcp can make this fail, not lie).
//!
//! So a connection can be without a socket whenever nothing is in flight: while it is half open,
//! while it is idle, and between a small send buffer and a large one.

use super::border::{Indoors, Once, Swallow, indoors};
use alloc::vec::Vec;
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::DeviceCapabilities;
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    HardwareAddress, IpCidr, IpEndpoint, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr,
    TcpSeqNumber,
};

/// Where a connection stands when nothing is in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) local: IpEndpoint,
    pub(super) remote: IpEndpoint,
    /// The sequence number of the next byte that the application reads.
    pub(super) rcv_nxt: u32,
    /// The sequence number of the next byte that the application writes.
    pub(super) snd_nxt: u32,
    /// The window field that the peer sent last.
    pub(super) window: u16,
    /// The peer's window scale, if it takes part in scaling.
    pub(super) scale: Option<u8>,
    /// The peer's MSS.
    pub(super) mss: u16,
    /// The peer takes selective acknowledgements.
    pub(super) sack: bool,
}

/// What a new socket is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outfit {
    /// Bytes of receive buffer; at most 65535, so that the window scale that we announce is 0.
    pub(super) receive: usize,
    /// Bytes of send buffer.
    pub(super) send: usize,
    /// How long a peer may be silent while something is in flight.
    pub(super) timeout: Duration,
}

impl Outfit {
    /// What it takes of the heap.
    pub(super) fn cost(&self) -> usize {
        self.receive + self.send + size_of::<SocketStorage<'_>>()
    }
}

pub(super) struct Forge {
    caps: DeviceCapabilities,
    packet: Vec<u8>,
    sink: Vec<u8>,
}

impl Forge {
    pub(super) fn new(mtu: usize) -> Self {
        Forge {
            caps: indoors(mtu),
            packet: Vec::new(),
            sink: Vec::new(),
        }
    }

    /// Builds an established socket. It holds `unread`, which begins at `flow.rcv_nxt`, and has seen
    /// the peer's FIN after that if `fin`. `None`: no memory, or smoltcp is not the one we know.
    pub(super) fn build(
        &mut self,
        flow: &Flow,
        outfit: &Outfit,
        unread: &[u8],
        fin: bool,
        now: Instant,
    ) -> Option<SocketSet<'static>> {
        let mut storage = Vec::new();
        storage.try_reserve_exact(1).ok()?;
        storage.push(SocketStorage::EMPTY);
        let mut set = SocketSet::new(storage);
        let mut socket = Socket::new(
            SocketBuffer::new(buffer(outfit.receive)?),
            SocketBuffer::new(buffer(outfit.send)?),
        );
        socket.set_nagle_enabled(false);
        socket.set_timeout(Some(outfit.timeout));
        socket.set_congestion_control(CongestionControl::Reno);
        socket.listen(flow.local).ok()?;
        set.add(socket);

        let primer = Primer::new(flow.mss, outfit.send);
        let first = flow.snd_nxt.wrapping_sub(1).wrapping_sub(primer.total());
        let mut stage = Stage::new(self, flow, first, now);
        stage.syn(&mut set);
        if stage.transmit(&mut set) != Some(first) {
            return None;
        }
        let mut at = first.wrapping_add(1);
        stage.acknowledge(&mut set, at);
        for flight in primer.flights() {
            let socket = set.get_mut::<Socket<'_>>(SocketHandle::default());
            socket.send(|space| (flight.min(space.len()), ())).ok()?;
            while stage.transmit(&mut set).is_some() {}
            let mut left = flight;
            while left > 0 {
                let step = left.min(usize::from(flow.mss));
                at = at.wrapping_add(step as u32);
                left -= step;
                stage.acknowledge(&mut set, at);
            }
        }
        stage.last(&mut set, at, unread, fin);

        let socket = set.get::<Socket<'_>>(SocketHandle::default());
        let expected = if fin {
            State::CloseWait
        } else {
            State::Established
        };
        let whole = socket.state() == expected
            && socket.recv_queue() == unread.len()
            && socket.send_queue() == 0
            && at == flow.snd_nxt;
        whole.then_some(set)
    }
}

/// The interface on which one socket comes into being.
struct Stage<'f> {
    forge: &'f mut Forge,
    flow: &'f Flow,
    interface: Interface,
    now: Instant,
}

impl<'f> Stage<'f> {
    fn new(forge: &'f mut Forge, flow: &'f Flow, first: u32, now: Instant) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed_for(first);
        let mut device = Indoors {
            caps: &forge.caps,
            buffer: &mut forge.sink,
            sent: 0,
        };
        let mut interface = Interface::new(config, &mut device, now);
        let address = flow.local.addr;
        let bits = if matches!(flow.local.addr, smoltcp::wire::IpAddress::Ipv4(_)) {
            32
        } else {
            128
        };
        interface.update_ip_addrs(|own| {
            // Room for eight, and this is the first.
            let _ = own.push(IpCidr::new(address, bits));
        });
        Stage {
            forge,
            flow,
            interface,
            now,
        }
    }

    /// Plays the peer's SYN.
    fn syn(&mut self, set: &mut SocketSet<'static>) {
        let flow = self.flow;
        self.receive(
            set,
            TcpRepr {
                control: TcpControl::Syn,
                seq_number: TcpSeqNumber(flow.rcv_nxt.wrapping_sub(1) as i32),
                ack_number: None,
                window_scale: flow.scale,
                max_seg_size: Some(flow.mss),
                sack_permitted: flow.sack,
                ..self.segment(0)
            },
        );
    }

    /// Plays an acknowledgement, with a window that is wide open.
    fn acknowledge(&mut self, set: &mut SocketSet<'static>, ack: u32) {
        let segment = self.segment(ack);
        self.receive(set, segment);
    }

    /// Plays the last segment, with the window that the peer has in truth.
    fn last(&mut self, set: &mut SocketSet<'static>, ack: u32, payload: &[u8], fin: bool) {
        let control = if fin {
            TcpControl::Fin
        } else {
            TcpControl::None
        };
        let window_len = self.flow.window;
        let segment = TcpRepr {
            control,
            window_len,
            ..self.segment(ack)
        };
        self.receive(set, TcpRepr { payload, ..segment });
    }

    fn segment(&self, ack: u32) -> TcpRepr<'static> {
        TcpRepr {
            src_port: self.flow.remote.port,
            dst_port: self.flow.local.port,
            control: TcpControl::None,
            seq_number: TcpSeqNumber(self.flow.rcv_nxt as i32),
            ack_number: Some(TcpSeqNumber(ack as i32)),
            window_len: u16::MAX,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        }
    }

    fn receive(&mut self, set: &mut SocketSet<'static>, tcp: TcpRepr<'_>) {
        let flow = self.flow;
        let (source, destination) = (flow.remote.addr, flow.local.addr);
        let ip = IpRepr::new(source, destination, IpProtocol::Tcp, tcp.buffer_len(), 64);
        let Forge { caps, packet, .. } = &mut *self.forge;
        packet.clear();
        packet.resize(ip.buffer_len(), 0);
        ip.emit(&mut packet[..], &caps.checksum);
        let header = ip.header_len();
        let mut segment = TcpPacket::new_unchecked(&mut packet[header..]);
        tcp.emit(&mut segment, &source, &destination, &caps.checksum);
        let mut nothing = Vec::new();
        let mut sent = 0;
        let mut once = Once {
            packet: Some(&packet[..]),
            answer: Some(Swallow::new(&mut nothing, &mut sent)),
            caps,
        };
        self.interface.poll_ingress_single(self.now, &mut once, set);
    }

    /// Lets the socket send once; the sequence number that it sent.
    fn transmit(&mut self, set: &mut SocketSet<'static>) -> Option<u32> {
        let Forge { caps, sink, .. } = &mut *self.forge;
        let mut device = Indoors {
            caps,
            buffer: sink,
            sent: 0,
        };
        if self.interface.poll_egress(self.now, &mut device, set) == PollResult::None {
            return None;
        }
        let sent = device.sent;
        let header = match self.flow.local.addr {
            smoltcp::wire::IpAddress::Ipv4(_) => 20,
            smoltcp::wire::IpAddress::Ipv6(_) => 40,
        };
        let segment = TcpPacket::new_checked(sink.get(header..sent)?).ok()?;
        Some(segment.seq_number().0 as u32)
    }
}

/// Opens the congestion window.
///
/// smoltcp begins with two kilobytes, which costs a page of a web site three round trips more than
/// RFC 6928's ten segments. So a new socket is given something to send, and its acknowledgements,
/// until its window has that size. What it sends goes nowhere.
#[derive(Clone, Copy)]
struct Primer {
    /// The largest flight.
    most: usize,
    target: usize,
}

/// The window that smoltcp's Reno begins with.
const INITIAL_WINDOW: usize = 2048;

impl Primer {
    fn new(mss: u16, send: usize) -> Self {
        let mss = usize::from(mss);
        let target = if send == 0 {
            0
        } else {
            (10 * mss).min((2 * mss).max(14600))
        };
        Primer { most: send, target }
    }

    /// What to send, flight by flight. Each acknowledgement opens the window by what it
    /// acknowledges, at most one MSS, so a flight opens it by its own size.
    fn flights(self) -> impl Iterator<Item = usize> {
        let mut window = INITIAL_WINDOW;
        core::iter::from_fn(move || {
            if window >= self.target {
                return None;
            }
            let flight = window.min(self.most).min(self.target - window);
            window += flight;
            Some(flight)
        })
    }

    fn total(self) -> u32 {
        self.flights().sum::<usize>() as u32
    }
}

fn buffer(len: usize) -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).ok()?;
    buffer.resize(len, 0);
    Some(buffer)
}

// smoltcp's generator: state = state * MULTIPLIER + INCREMENT, then the top bits of it.
const MULTIPLIER: u64 = 0xbb2e_fcec_3c39_611d;
const INCREMENT: u64 = 0x7590_ef39;
const INVERSE: u64 = inverse(MULTIPLIER);

/// The inverse of an odd number modulo 2^64, by Newton's iteration.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut round = 0;
    while round < 6 {
        x = x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)));
        round += 1;
    }
    x
}

/// The seed with which an interface's first sequence number is `wanted`.
///
/// An interface draws for its IPv4 identification when it is made, again if that comes out as 0;
/// the sequence number is the next draw. With the top three bits of the state clear, a draw is the
/// state shifted right by 29, so the low 29 bits are free to avoid the second case.
fn seed_for(wanted: u32) -> u64 {
    let back = |state: u64| state.wrapping_sub(INCREMENT).wrapping_mul(INVERSE);
    let mut free = 0;
    loop {
        let identification = back((u64::from(wanted) << 29) | free);
        let drawn = (identification >> (29 - (identification >> 61))) as u32;
        if (drawn ^ (drawn >> 16)) as u16 != 0 {
            return back(identification);
        }
        free += 1;
    }
}
