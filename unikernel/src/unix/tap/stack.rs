//! The stack on its device, driven by the loop.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use minios::host::tap::{Offloads, OpenError, Tap};
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::rand::GetRandomFlags;
use www::Stack;
use www::config::{Config, DEFAULT_TAP, Given};
use www::net::{Net, NetConn, Source};

use super::address;
use super::capture::Capture;
use super::device::Device;
use crate::clock::Clock;
use crate::driven::{Driven, FIRST_TOKEN};

/// Bytes that sockets and their buffers may take, if they are wanted.
const MEMORY: usize = 512 << 20;

/// The most that a connection has on its way: eight frames of 64 KiB, so that its client is busy
/// until the process has its next turn, on a busy machine too. (And with two frames there are a
/// third more system calls for a megabyte than with four.)
const SEND_BUFFER: usize = 512 << 10;

/// What smoltcp can do with: from IPv6's least to Ethernet's largest.
const MTU: std::ops::RangeInclusive<usize> = 1280..=9216;

/// Our own stack on a tap device.
#[derive(Clone)]
pub(crate) struct Direct(Rc<Inner>);

struct Inner {
    net: Net<Device>,
    clock: Clock,
    start: Instant,
    name: String,
    port: u16,
    /// When the stack wants its next turn, if nothing happens before.
    deadline: Cell<Option<Instant>>,
    refused: Cell<u64>,
    /// Where it serves is to be said.
    unsaid: Cell<bool>,
    /// And once more, when a DHCP server has given an address.
    awaits: Cell<bool>,
}

/// Why there is no stack.
#[derive(Debug)]
pub(crate) enum DirectError {
    Tap { name: String, why: OpenError },
    Mtu { name: String, mtu: usize },
    Capture { name: String, why: io::Error },
    Gone { name: String },
    System(io::Error),
}

impl fmt::Display for DirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tap { name, why } => {
                write!(f, "{name} {why}")?;
                match why {
                    OpenError::Denied { exists: false } => {
                        write!(f, ": sudo scripts/tap up --tap={name} makes it for you")
                    }
                    OpenError::Denied { exists: true } => {
                        write!(f, ": sudo scripts/tap up --tap={name} makes it yours")
                    }
                    OpenError::Driver => f.write_str(": sudo chmod 666 /dev/net/tun"),
                    OpenError::NoDriver(_) => f.write_str(": sudo modprobe tun"),
                    OpenError::Busy | OpenError::Kind => {
                        f.write_str(": choose another with --tap=NAME")
                    }
                    OpenError::Name => {
                        f.write_str(": at most 15 bytes, without spaces, '/', ':' and '%'")
                    }
                    OpenError::Other(_) => Ok(()),
                }
            }
            Self::Mtu { name, mtu } => {
                let (least, most) = (MTU.start(), MTU.end());
                write!(
                    f,
                    "{name} has an MTU of {mtu}: sudo ip link set {name} mtu 1500; from "
                )?;
                write!(f, "{least} to {most} will do")
            }
            Self::Capture { name, why } => write!(f, "cannot write {name}: {why}"),
            Self::Gone { name } => write!(f, "{name} has been removed"),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl Error for DirectError {}

impl Direct {
    /// A stack on the tap device that `config` names, for so many connections.
    pub(crate) fn new(
        config: &Config,
        clock: &Clock,
        registry: &Registry,
        connections: usize,
    ) -> Result<Self, DirectError> {
        let name = config.tap.as_deref().unwrap_or(DEFAULT_TAP).to_owned();
        let tap = match Tap::open(&name) {
            Ok(tap) => tap,
            Err(why) => return Err(DirectError::Tap { name, why }),
        };
        let mtu = up(&tap).map_err(DirectError::System)?;
        if !MTU.contains(&mtu) {
            return Err(DirectError::Mtu { name, mtu });
        }
        let capture = config.pcap.as_ref().map(|file| {
            Capture::create(file).map_err(|why| DirectError::Capture {
                name: file.clone(),
                why,
            })
        });
        let capture = capture.transpose()?;
        registry
            .register(
                &mut SourceFd(&tap.as_raw_fd()),
                Token(FIRST_TOKEN),
                Interest::READABLE,
            )
            .map_err(DirectError::System)?;
        let mac = config.mac.unwrap_or_else(|| address::mac(&name));
        let [a, b, c, d, e, g] = mac;
        log::info!(
            target: "net",
            "{name}: {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}, MTU {mtu}, {}",
            agreed(tap.offloads())
        );
        let mut seed = [0; 32];
        rustix::rand::getrandom(&mut seed, GetRandomFlags::empty())
            .map_err(|error| DirectError::System(error.into()))?;
        let mut stack = www::net::Config::new(mac, config.http_port, seed);
        stack.memory = MEMORY;
        stack.send_buffer_max = SEND_BUFFER;
        stack.max_connections = connections;
        stack.choose(config, Given::default(), address::hostname(), &name);
        let device = Device::new(tap, &name, mtu, capture);
        let net = Net::new(device, stack, www::net::Instant::ZERO);
        net.announce(www::net::Instant::ZERO);
        Ok(Self(Rc::new(Inner {
            net,
            clock: clock.clone(),
            start: clock.now(),
            name,
            port: config.http_port,
            deadline: Cell::new(None),
            refused: Cell::new(0),
            unsaid: Cell::new(true),
            awaits: Cell::new(config.dhcp),
        })))
    }

    fn now(&self) -> www::net::Instant {
        // Rounded up, so that a deadline that has come is not asked for again.
        let since = self.0.clock.now().duration_since(self.0.start);
        let micros = since.as_nanos().div_ceil(1000);
        www::net::Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl Stack for Direct {
    type Conn = NetConn<Device>;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<NetConn<Device>> {
        self.0.net.poll_accept(cx)
    }
}

impl Driven for Direct {
    const ROUNDS: u32 = 16;

    fn turn(&self) -> Result<bool, Box<dyn Error>> {
        let inner = &*self.0;
        inner.clock.tick();
        let now = self.now();
        let next = inner.net.poll(now);
        let (more, gone, recovered) = inner.net.with_device(|device| {
            let more = device.is_readable();
            (more, device.is_gone(), device.take_recovered())
        });
        if gone {
            let name = inner.name.clone();
            return Err(DirectError::Gone { name }.into());
        }
        if recovered {
            inner.net.announce(now);
        }
        let deadline = next.deadline.map(|at| at.total_micros());
        let deadline = deadline.map(|at| Duration::from_micros(u64::try_from(at).unwrap_or(0)));
        inner
            .deadline
            .set(deadline.and_then(|at| inner.start.checked_add(at)));
        Ok(next.more || more)
    }

    fn wants_room(&self) -> u32 {
        // Whoever found no memory sends again soon; somebody who only waits makes room until then.
        let short = self.0.net.out_of_memory();
        u32::from(self.0.refused.replace(short) != short)
    }

    fn quiet_for(&self) -> Option<Duration> {
        self.0.net.with_device(Device::settle);
        let deadline = self.0.deadline.get()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    fn event(&self, _: &Event) {
        self.0.net.with_device(Device::event);
    }

    fn urls(&self) -> Option<Vec<String>> {
        let inner = &*self.0;
        let first = inner.unsaid.take();
        if !first && !inner.awaits.get() {
            return None;
        }
        let addresses = inner.net.addresses();
        let leased = addresses.iter().any(|own| own.source == Source::Dhcp);
        if !first && !leased {
            return None;
        }
        inner.awaits.set(inner.awaits.get() && !leased);
        let chosen = addresses
            .iter()
            .filter(|own| own.source != Source::LinkLocal);
        let mut urls: Vec<_> = chosen
            .map(|own| url(own.cidr.address().into(), "", inner.port))
            .collect();
        if urls.is_empty() {
            // Until others are learned.
            let local = addresses.first().map(|own| own.cidr.address());
            urls.extend(local.map(|own| url(own.into(), &inner.name, inner.port)));
        }
        Some(urls)
    }

    fn report(&self) {
        let name = &self.0.name;
        let counts = self.0.net.with_device(|device| device.counts());
        log::info!(
            target: "net",
            "{name}: {} frames in, {} longer than the MTU, {} refused; {} out, {} longer, {} lost",
            counts.received,
            counts.received_large,
            counts.refused,
            counts.sent,
            counts.sent_large,
            counts.lost
        );
    }
}

/// Brings the host's end up, if this user may; says its MTU.
fn up(tap: &Tap) -> io::Result<usize> {
    let name = tap.name();
    if tap.made() {
        log::info!(
            target: "net",
            "{name} was made, until this ends: sudo scripts/tap up --tap={name} gives the host an address on it"
        );
    }
    if let Err(error) = tap.bring_up() {
        log::warn!(target: "net", "{name} is down, and stays so ({error}): sudo ip link set {name} up");
    }
    tap.mtu()
}

/// What was agreed with the kernel, in words.
fn agreed(offloads: Offloads) -> &'static str {
    match offloads {
        Offloads { send: false, .. } => "no offloads",
        Offloads {
            receive_checksum: false,
            ..
        } => "checksums and segmentation of what is sent are left to the host",
        Offloads {
            receive_segments: false,
            ..
        } => "checksums are left out both ways, segmentation is left to the host",
        _ => "checksums and segmentation are left out both ways",
    }
}

/// The URL of what serves at this address, of this interface if there is no other way to tell.
fn url(address: IpAddr, interface: &str, port: u16) -> String {
    let zone = if interface.is_empty() { "" } else { "%" };
    let host = match address {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}{zone}{interface}]"),
    };
    match port {
        80 => format!("http://{host}/"),
        port => format!("http://{host}:{port}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let ipv4 = "10.0.0.2".parse().unwrap();
        let ipv6 = "fe80::7".parse().unwrap();
        assert_eq!(url(ipv4, "", 80), "http://10.0.0.2/");
        assert_eq!(url(ipv4, "", 8080), "http://10.0.0.2:8080/");
        assert_eq!(url(ipv6, "", 80), "http://[fe80::7]/");
        assert_eq!(url(ipv6, "tap0", 8080), "http://[fe80::7%tap0]:8080/");
    }

    #[test]
    fn what_was_agreed() {
        let mut offloads = Offloads::default();
        assert_eq!(agreed(offloads), "no offloads");
        offloads.send = true;
        assert!(agreed(offloads).contains("of what is sent"));
        offloads.receive_checksum = true;
        assert!(agreed(offloads).contains("checksums are left out both ways"));
        offloads.receive_segments = true;
        assert_eq!(
            agreed(offloads),
            "checksums and segmentation are left out both ways"
        );
    }
}
