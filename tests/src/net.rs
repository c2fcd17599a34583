//! Both ends of a cable in one thread, under a simulated clock: `www::net` on one, plain smoltcp
//! clients on the other.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use smoltcp::iface::{Config as ClientConfig, Interface, SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress, IpCidr, IpProtocol, IpRepr,
    Ipv4Cidr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};
use www::net::wire::{Abilities, Wire, pair};
use www::net::{Config, Duration, Instant, Net, NetConn, Next};
use www::{Conn, ConnError, Stack};

/// The server's MAC address.
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// The client's.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The server's IPv4 address.
pub const SERVER: IpAddress = IpAddress::v4(10, 0, 0, 2);
/// The port that it serves.
pub const PORT: u16 = 80;

/// One turn of [`World::step`] takes so long: half a round trip.
const TURN: Duration = Duration::from_micros(50);

/// A server configuration for tests.
#[must_use]
pub fn config() -> Config {
    let mut config = Config::new(SERVER_MAC, PORT, [7; 32]);
    config.ipv4 = Some(Ipv4Cidr::new([10, 0, 0, 2].into(), 8));
    config
}

/// A waker that notes that it was used.
#[derive(Default)]
pub struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    flag: Arc<Flag>,
}

/// The smallest executor that is honest about wakers.
#[derive(Clone, Default)]
pub struct Tasks {
    new: Rc<RefCell<Vec<Task>>>,
    list: Rc<RefCell<Vec<Task>>>,
    running: Rc<Cell<usize>>,
}

impl Tasks {
    /// Adds a task.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        self.new.borrow_mut().push(Task {
            future: Box::pin(future),
            flag,
        });
        self.running.set(self.running.get() + 1);
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.get()
    }

    /// Runs tasks until none is ready. True if one was.
    pub fn turn(&self) -> bool {
        // A task may add others, but not run them.
        let tasks = &mut *self.list.borrow_mut();
        let mut progress = false;
        loop {
            tasks.append(&mut self.new.borrow_mut());
            let mut again = false;
            tasks.retain_mut(|task| {
                if !task.flag.0.swap(false, Ordering::Relaxed) {
                    return true;
                }
                again = true;
                let waker = Waker::from(Arc::clone(&task.flag));
                let done = task
                    .future
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_ready();
                if done {
                    self.running.set(self.running.get() - 1);
                }
                !done
            });
            if !again {
                return progress;
            }
            progress = true;
        }
    }
}

/// A host with plain smoltcp on the other end of the cable.
pub struct Client {
    /// Its end of the cable.
    pub device: Wire,
    /// Its interface.
    pub iface: Interface,
    /// Its sockets.
    pub sockets: SocketSet<'static>,
    port: u16,
}

impl Client {
    /// Opens a connection to `server`, which may not be there.
    pub fn connect(&mut self, server: IpAddress, receive: usize, send: usize) -> SocketHandle {
        let mut socket = Socket::new(
            SocketBuffer::new(vec![0; receive]),
            SocketBuffer::new(vec![0; send]),
        );
        self.port = if self.port >= 60000 {
            1024
        } else {
            self.port + 1
        };
        socket.set_nagle_enabled(false);
        socket
            .connect(self.iface.context(), (server, PORT), self.port)
            .expect("a free port");
        self.sockets.add(socket)
    }

    /// The next connection comes from the port of the last one.
    pub fn reuse_port(&mut self) {
        self.port -= 1;
    }

    /// A socket.
    pub fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }
}

/// Everything.
pub struct World {
    /// The stack under test.
    pub net: Net<Wire>,
    /// The other end.
    pub client: Client,
    /// Tasks of the server.
    pub tasks: Tasks,
    /// The time.
    pub now: Instant,
    /// What the last poll said.
    pub next: Next,
    /// Another host on the link.
    pub neighbour: Option<Neighbour>,
    dirty: Arc<Flag>,
}

impl Drop for World {
    /// Tasks of [`World::serve`] hold the list that they are in.
    fn drop(&mut self) {
        for tasks in [&self.tasks.new, &self.tasks.list] {
            let tasks = tasks
                .try_borrow_mut()
                .map(|mut tasks| std::mem::take(&mut *tasks));
            drop(tasks);
        }
    }
}

/// A host that is shown each frame that the server sends, and gives the frames that it answers.
pub type Neighbour = Box<dyn FnMut(Instant, &[u8]) -> Vec<Vec<u8>>>;

impl World {
    /// Both ends on a good cable.
    #[must_use]
    pub fn new(config: Config, server: Abilities, client: Abilities) -> World {
        World::at(Instant::from_secs(1000), 99, config, server, client)
    }

    /// The same, from another time on, and with another seed for the client's generator.
    #[must_use]
    pub fn at(
        now: Instant,
        seed: u64,
        config: Config,
        server: Abilities,
        client: Abilities,
    ) -> World {
        let (a, b) = pair(server, client, 42);
        let mut device = b;
        let mut cc = ClientConfig::new(EthernetAddress(CLIENT_MAC).into());
        cc.random_seed = seed;
        let mut iface = Interface::new(cc, &mut device, now);
        iface.update_ip_addrs(|own| {
            own.push(IpCidr::new(IpAddress::v4(10, 0, 0, 1), 8))
                .expect("room");
            own.push(IpCidr::new(IpAddress::v6(0xfe80, 0, 0, 0, 0, 0, 0, 1), 64))
                .expect("room");
        });
        let client = Client {
            device,
            iface,
            sockets: SocketSet::new(vec![]),
            port: 40000,
        };
        let net = Net::new(a, config, now);
        let next = Next {
            deadline: None,
            more: false,
            blocked: false,
        };
        World {
            net,
            client,
            tasks: Tasks::default(),
            now,
            next,
            neighbour: None,
            dirty: Arc::new(Flag::default()),
        }
    }

    /// One turn: server, tasks, client. True if something moved.
    pub fn step(&mut self) -> bool {
        self.now += TURN;
        let frames = self.net.stats().frames;
        let waiting = self.client.device.waiting();
        self.next = self.net.poll(self.now);
        if self.tasks.turn() {
            self.next = self.net.poll(self.now);
        }
        if let Some(neighbour) = &mut self.neighbour {
            let mut answers = Vec::new();
            let now = self.now;
            let mut see = |frame: &[u8]| answers.append(&mut neighbour(now, frame));
            self.client.device.look(&mut see);
            for answer in answers {
                self.client.device.inject(&answer);
            }
        }
        self.client
            .iface
            .poll(self.now, &mut self.client.device, &mut self.client.sockets);
        let waker = Waker::from(Arc::clone(&self.dirty));
        let dirty = self
            .net
            .poll_dirty(&mut Context::from_waker(&waker))
            .is_ready();
        dirty
            || self.next.more
            || frames != self.net.stats().frames
            || waiting > 0
            || self.net.with_device(|device| device.waiting()) > 0
    }

    /// A turn of the server and its tasks, with a look at what it sends.
    pub fn step_server(&mut self, mut see: impl FnMut(&[u8])) {
        self.next = self.net.poll(self.now);
        if self.tasks.turn() {
            self.next = self.net.poll(self.now);
        }
        self.client.device.look(&mut see);
    }

    /// Turns until `done`, skipping time in which nothing happens. Panics after `limit`.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut World) -> bool) {
        let end = self.now + limit;
        loop {
            let moved = self.step();
            if done(self) {
                return;
            }
            assert!(
                self.now < end,
                "not done after {limit}: {:?}",
                self.net.stats()
            );
            if !moved {
                self.skip(end);
            }
        }
    }

    /// Turns for `time`.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            if !self.step() {
                self.skip(end);
            }
        }
    }

    fn skip(&mut self, end: Instant) {
        let client = self.client.iface.poll_at(self.now, &self.client.sockets);
        let wake = [self.next.deadline, client]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(end);
        self.now = self.now.max(wake.min(end));
    }

    /// Serves every connection with `serve`.
    pub fn serve<F>(&self, serve: impl Fn(NetConn<Wire>) -> F + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let (net, tasks) = (self.net.clone(), self.tasks.clone());
        self.tasks.spawn(async move {
            loop {
                let conn = net.accept().await;
                tasks.spawn(serve(conn));
            }
        });
    }

    /// Lets a client connect and get established.
    pub fn connect(&mut self) -> SocketHandle {
        let handle = self.client.connect(SERVER, 65535, 65535);
        self.run_until(Duration::from_secs(10), |world| {
            world.client.socket(handle).state() == State::Established
        });
        handle
    }

    /// Sends `request` and reads until `len` bytes have come.
    pub fn ask(&mut self, handle: SocketHandle, request: &[u8], len: usize) -> Vec<u8> {
        let sent = self
            .client
            .socket(handle)
            .send_slice(request)
            .expect("open");
        assert_eq!(sent, request.len());
        let mut got = Vec::new();
        self.run_until(Duration::from_secs(60), |world| {
            collect(world.client.socket(handle), &mut got);
            got.len() >= len
        });
        got
    }
}

/// A TCP segment from any host behind the client's MAC address, all checksums right.
#[must_use]
pub fn segment(
    source: [u8; 4],
    port: u16,
    control: TcpControl,
    seq: u32,
    ack: Option<u32>,
    payload: &[u8],
) -> Vec<u8> {
    let source = IpAddress::Ipv4(source.into());
    let tcp = TcpRepr {
        src_port: port,
        dst_port: PORT,
        control,
        seq_number: TcpSeqNumber(seq as i32),
        ack_number: ack.map(|ack| TcpSeqNumber(ack as i32)),
        window_len: 8000,
        window_scale: None,
        max_seg_size: (control == TcpControl::Syn).then_some(1460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    };
    let ip = IpRepr::new(source, SERVER, IpProtocol::Tcp, tcp.buffer_len(), 64);
    let mut frame = vec![0; 14 + ip.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
    ethernet.set_dst_addr(EthernetAddress(SERVER_MAC));
    ethernet.set_src_addr(EthernetAddress(CLIENT_MAC));
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let checksum = ChecksumCapabilities::default();
    ip.emit(&mut frame[14..], &checksum);
    tcp.emit(
        &mut TcpPacket::new_unchecked(&mut frame[34..]),
        &source,
        &SERVER,
        &checksum,
    );
    frame
}

/// Moves what has arrived to the end of `into`.
pub fn collect(socket: &mut Socket<'_>, into: &mut Vec<u8>) {
    while socket.can_recv() {
        let n = socket.recv(|bytes| {
            into.extend_from_slice(bytes);
            (bytes.len(), bytes.len())
        });
        if n.unwrap_or(0) == 0 {
            break;
        }
    }
}

/// Reads once.
pub async fn read(conn: &mut NetConn<Wire>, buf: &mut [u8]) -> Result<usize, ConnError> {
    std::future::poll_fn(|cx| conn.poll_read(cx, buf)).await
}

/// Writes all of `bytes`.
pub async fn write_all(conn: &mut NetConn<Wire>, mut bytes: &[u8]) -> Result<(), ConnError> {
    while !bytes.is_empty() {
        let n = std::future::poll_fn(|cx| conn.poll_write(cx, &[bytes])).await?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// Closes, and waits until that is done.
pub async fn close(conn: &mut NetConn<Wire>) -> Result<(), ConnError> {
    std::future::poll_fn(|cx| conn.poll_close(cx)).await
}

/// Sends back what comes, until the peer has no more; then closes.
pub async fn echo(mut conn: NetConn<Wire>) {
    let mut buf = [0; 2000];
    while let Ok(n @ 1..) = read(&mut conn, &mut buf).await {
        if write_all(&mut conn, &buf[..n]).await.is_err() {
            return;
        }
    }
    let _ = close(&mut conn).await;
}

/// Answers a decimal number and a newline with so many bytes, the pattern of [`pattern`].
pub async fn blocks(mut conn: NetConn<Wire>) {
    let mut line = Vec::new();
    let mut buf = [0; 200];
    loop {
        match read(&mut conn, &mut buf).await {
            Ok(n @ 1..) => line.extend_from_slice(&buf[..n]),
            _ => break,
        }
        while let Some(end) = line.iter().position(|&byte| byte == b'\n') {
            let wanted = std::str::from_utf8(&line[..end])
                .ok()
                .and_then(|n| n.parse().ok());
            line.drain(..=end);
            let Some(wanted) = wanted else { return };
            if write_all(&mut conn, &pattern(wanted)).await.is_err() {
                return;
            }
        }
    }
    let _ = close(&mut conn).await;
}

/// `len` bytes in which a mistake shows.
#[must_use]
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect()
}

/// Resolves at the next turn.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
