//! What `www::net` costs on the server's side alone, in memory:
//! `cargo run --release -p tests --example net_bench`.
//!
//! The peer keeps no state to speak of: it answers by patching the addresses and numbers of ready
//! frames, and its time is not counted. Plain smoltcp is measured in the same way, for comparison.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::task::{Context, Poll, Waker};
use std::time::{Duration as Time, Instant as Clock};

use smoltcp::iface::{Config as IfaceConfig, Interface, SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::wire::{
    EthernetAddress, IpAddress, IpCidr, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr,
    TcpSeqNumber,
};
use tests::net::{CLIENT_MAC, PORT, SERVER, SERVER_MAC, config};
use www::net::wire::{Abilities, Wire, pair};
use www::net::{Duration, Instant, Net, NetConn};
use www::{Conn, Stack};

const REQUEST: &[u8; 100] = &[b'q'; 100];
const RESPONSE: &[u8; 4096] = &[b'r'; 4096];

fn frame(port: u16, control: TcpControl, seq: u32, ack: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let source = IpAddress::v4(10, 1, (port >> 8) as u8, port as u8);
    let tcp = TcpRepr {
        src_port: port,
        dst_port: PORT,
        control,
        seq_number: TcpSeqNumber(seq as i32),
        ack_number: ack.map(|ack| TcpSeqNumber(ack as i32)),
        window_len: u16::MAX,
        window_scale: (control == TcpControl::Syn).then_some(7),
        max_seg_size: (control == TcpControl::Syn).then_some(1460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    };
    let ip = IpRepr::new(source, SERVER, IpProtocol::Tcp, tcp.buffer_len(), 64);
    let mut frame = vec![0; 14 + ip.buffer_len()];
    frame[..6].copy_from_slice(&SERVER_MAC);
    frame[6..12].copy_from_slice(&CLIENT_MAC);
    frame[12..14].copy_from_slice(&[8, 0]);
    let checksum = ChecksumCapabilities::default();
    ip.emit(&mut frame[14..], &checksum);
    let mut segment = TcpPacket::new_unchecked(&mut frame[34..]);
    tcp.emit(&mut segment, &source, &SERVER, &checksum);
    frame
}

/// What the server is, for the bench.
trait Server {
    /// Takes in what has come, answers requests, sends.
    fn turn(&mut self, now: Instant);
    /// From now on `port` is sent data without end.
    fn bulk(&mut self, port: u16);
}

struct Ours {
    net: Net<Wire>,
    conns: Vec<NetConn<Wire>>,
    bulk: Option<usize>,
}

impl Server for Ours {
    fn turn(&mut self, now: Instant) {
        self.net.poll(now);
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(conn) = self.net.poll_accept(&mut cx) {
            READY.lock().unwrap().push(self.conns.len());
            self.conns.push(conn);
        }
        let ready = std::mem::take(&mut *READY.lock().unwrap());
        let mut buf = [0; 2048];
        for index in ready {
            let Some(conn) = self.conns.get_mut(index) else {
                continue;
            };
            let waker = Waker::from(std::sync::Arc::new(Ready(index)));
            let mut cx = Context::from_waker(&waker);
            while let Poll::Ready(Ok(n @ 1..)) = conn.poll_read(&mut cx, &mut buf) {
                for _ in 0..n / REQUEST.len() {
                    black_box(conn.poll_write(&mut cx, &[RESPONSE]).is_ready());
                }
            }
            if self.bulk == Some(index) {
                let more = [0; 1 << 18];
                while conn.poll_write(&mut cx, &[&more]).is_ready() {}
            }
        }
        self.net.poll(now);
    }

    fn bulk(&mut self, port: u16) {
        let index = self
            .conns
            .iter()
            .position(|conn| conn.peer().port() == port);
        self.bulk = index;
        READY.lock().unwrap().extend(index);
    }
}

static READY: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());

struct Ready(usize);

impl std::task::Wake for Ready {
    fn wake(self: std::sync::Arc<Self>) {
        READY.lock().unwrap().push(self.0);
    }
}

/// smoltcp as it comes: all sockets in one set.
struct Plain {
    device: Wire,
    iface: Interface,
    sockets: SocketSet<'static>,
    bulk: Option<SocketHandle>,
}

impl Server for Plain {
    fn turn(&mut self, now: Instant) {
        self.iface.poll(now, &mut self.device, &mut self.sockets);
        for (handle, socket) in self.sockets.iter_mut() {
            let smoltcp::socket::Socket::Tcp(socket) = socket;
            while socket.can_recv() {
                let mut buf = [0; 2048];
                let n = socket.recv_slice(&mut buf).unwrap_or(0);
                for _ in 0..n / REQUEST.len() {
                    black_box(socket.send_slice(RESPONSE).is_ok());
                }
            }
            if self.bulk == Some(handle) {
                black_box(socket.send_slice(&[0; 1 << 18]).is_ok());
            }
        }
        self.iface.poll(now, &mut self.device, &mut self.sockets);
    }

    fn bulk(&mut self, port: u16) {
        self.bulk = self.sockets.iter().find_map(|(handle, socket)| {
            let smoltcp::socket::Socket::Tcp(socket) = socket;
            (socket.remote_endpoint()?.port == port).then_some(handle)
        });
    }
}

/// The peer's side, and the clock that runs for the server only.
struct Bench<S> {
    server: S,
    far: Wire,
    now: Instant,
    spent: Time,
}

struct Line {
    port: u16,
    mine: u32,
    theirs: u32,
}

impl<S: Server> Bench<S> {
    fn turn(&mut self) {
        self.now += Duration::from_micros(20);
        let start = Clock::now();
        self.server.turn(self.now);
        self.spent += start.elapsed();
    }

    /// Payload that came, and the number after the last of it, by port.
    fn drain(&mut self, mut each: impl FnMut(u16, u32, usize, u8)) {
        while let Some(frame) = self.far.take() {
            if frame[12..14] != [8, 0] {
                continue;
            }
            let port = u16::from_be_bytes([frame[36], frame[37]]);
            let seq = u32::from_be_bytes([frame[38], frame[39], frame[40], frame[41]]);
            let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
            let len = total - 20 - usize::from(frame[46] >> 4) * 4;
            each(port, seq, len, frame[47]);
            self.far.recycle(frame);
        }
    }

    fn open(&mut self, port: u16) -> Line {
        self.far
            .inject(&frame(port, TcpControl::Syn, 100, None, &[]));
        self.turn();
        let mut theirs = None;
        self.drain(|to, seq, _, flags| {
            if to == port && flags == 0x12 {
                theirs = Some(seq.wrapping_add(1));
            }
        });
        let theirs = theirs.expect("SYN|ACK");
        self.far
            .inject(&frame(port, TcpControl::None, 101, Some(theirs), &[]));
        self.turn();
        Line {
            port,
            mine: 101,
            theirs,
        }
    }

    fn ask(&mut self, lines: &mut [Line]) {
        for line in lines.iter_mut() {
            let ask = frame(
                line.port,
                TcpControl::Psh,
                line.mine,
                Some(line.theirs),
                REQUEST,
            );
            self.far.inject(&ask);
            line.mine = line.mine.wrapping_add(REQUEST.len() as u32);
        }
        let mut missing = lines.len() * RESPONSE.len();
        for _ in 0..20 {
            self.turn();
            self.drain(|port, seq, len, _| {
                if let Some(line) = lines.iter_mut().find(|line| line.port == port) {
                    missing -= len;
                    line.theirs = seq.wrapping_add(len as u32);
                }
            });
            if missing == 0 {
                return;
            }
            for line in lines.iter() {
                let ack = frame(
                    line.port,
                    TcpControl::None,
                    line.mine,
                    Some(line.theirs),
                    &[],
                );
                self.far.inject(&ack);
            }
        }
        panic!("{missing} bytes are missing");
    }

    fn run(&mut self, name: &str, idle: usize) {
        let mut lines: Vec<Line> = (0..32).map(|n| self.open(10_000 + n)).collect();
        for n in 0..idle {
            let line = self.open(20_000 + n as u16);
            self.ask(&mut [line]);
        }
        for _ in 0..20 {
            self.ask(&mut lines);
        }
        self.spent = Time::ZERO;
        let begin = Clock::now();
        let mut asked = 0;
        while begin.elapsed() < Time::from_secs(1) {
            self.ask(&mut lines);
            asked += lines.len();
        }
        let request = self.spent.as_secs_f64() * 1e6 / asked as f64;
        let line = &mut lines[0];
        self.server.bulk(line.port);
        let mut bytes = 0;
        let begin = Clock::now();
        let mut warm = 0;
        while begin.elapsed() < Time::from_secs(1) {
            if warm == 200 {
                (self.spent, bytes) = (Time::ZERO, 0);
            }
            warm += 1;
            self.turn();
            let mut ends = Vec::new();
            self.drain(|port, seq, len, _| {
                if port == line.port {
                    bytes += len;
                    ends.push(seq.wrapping_add(len as u32));
                }
            });
            for end in ends {
                line.theirs = end;
                let ack = frame(line.port, TcpControl::None, line.mine, Some(end), &[]);
                self.far.inject(&ack);
            }
        }
        let rate = bytes as f64 / self.spent.as_secs_f64() / 1e6;
        println!("{name:34} {idle:5} idle  {request:7.2} us/request  {rate:8.0} MB/s");
    }
}

fn ours(abilities: Abilities, limit: usize) -> Bench<Ours> {
    let (near, far) = pair(
        abilities,
        Abilities {
            depth: 1 << 20,
            ..Abilities::default()
        },
        1,
    );
    let now = Instant::from_secs(1);
    let mut config = config();
    config.max_connections = limit;
    config.memory = 1 << 30;
    config.backlog = limit;
    config.defer_accept = false;
    // So that the idle ones stay awake, which is the harder case.
    config.sleep_after = Duration::from_secs(1000);
    READY.lock().unwrap().clear();
    let net = Net::new(near, config, now);
    Bench {
        server: Ours {
            net,
            conns: Vec::new(),
            bulk: None,
        },
        far,
        now,
        spent: Time::ZERO,
    }
}

fn plain(abilities: Abilities, sockets: usize) -> Bench<Plain> {
    let (mut device, far) = pair(
        abilities,
        Abilities {
            depth: 1 << 20,
            ..Abilities::default()
        },
        1,
    );
    let now = Instant::from_secs(1);
    let iface_config = IfaceConfig::new(EthernetAddress(SERVER_MAC).into());
    let mut iface = Interface::new(iface_config, &mut device, now);
    iface.update_ip_addrs(|own| own.push(IpCidr::new(SERVER, 24)).expect("room"));
    // One gateway for all clients: its cache of neighbours would not hold them.
    let gateway = [10, 0, 0, 1].into();
    iface
        .routes_mut()
        .add_default_ipv4_route(gateway)
        .expect("room");
    let mut arp = SERVER_MAC.to_vec();
    arp.extend_from_slice(&CLIENT_MAC);
    arp.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend_from_slice(&CLIENT_MAC);
    arp.extend_from_slice(&[10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    far.inject(&arp);
    let mut set = SocketSet::new(vec![]);
    for _ in 0..sockets {
        let buffers = (
            SocketBuffer::new(vec![0; 4096]),
            SocketBuffer::new(vec![0; 1 << 17]),
        );
        let mut socket = Socket::new(buffers.0, buffers.1);
        socket.set_nagle_enabled(false);
        socket.listen(PORT).expect("closed");
        set.add(socket);
    }
    let server = Plain {
        device,
        iface,
        sockets: set,
        bulk: None,
    };
    Bench {
        server,
        far,
        now,
        spent: Time::ZERO,
    }
}

fn main() {
    let only = std::env::args().nth(1);
    let wanted = |name: &str| {
        only.as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
    };
    let soft = Abilities {
        depth: 1 << 20,
        ..Abilities::default()
    };
    let sums = Abilities {
        checksums: true,
        ..soft
    };
    let tso = Abilities {
        segmentation: NonZeroUsize::new(61_440),
        deliver_whole: true,
        ..sums
    };
    for (name, abilities) in [
        ("checksums in software", soft),
        ("checksums offloaded", sums),
        ("segmentation offloaded", tso),
    ] {
        for idle in [1, 1000, 5000] {
            let ours_name = format!("www::net, {name}");
            if wanted(&ours_name) {
                ours(abilities, idle + 40).run(&ours_name, idle);
            }
        }
    }
    for idle in [1, 1000, 5000] {
        if wanted("plain smoltcp") {
            plain(soft, idle + 33).run("plain smoltcp, software", idle);
        }
    }
    if wanted("memory") {
        memory();
    }
}

/// Bytes of the heap that a connection takes, by what it does.
fn memory() {
    let mut bench = ours(Abilities::default(), 5000);
    let before = bench.server.net.stats();
    let lines: Vec<Line> = (0..1000).map(|n| bench.open(20_000 + n)).collect();
    let silent = bench.server.net.stats();
    for line in lines {
        bench.ask(&mut [line]);
    }
    let awake = bench.server.net.stats();
    println!(
        "memory in buffers and sockets: silent {} bytes a connection, in use {}",
        (silent.memory - before.memory) / 1000,
        (awake.memory - before.memory) / 1000,
    );
    println!(
        "a connection's own record: {} bytes",
        www::net::CONNECTION_RECORD
    );
}
