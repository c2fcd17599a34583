//! What the stack counts.

/// Why the guard threw a frame away. Each has a counter in [`NetStats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Refusal {
    /// Too short for the headers that it claims to have.
    Runt,
    /// Neither our MAC address nor a group's.
    NotOurMac,
    /// A group MAC address, or our own, as the source.
    MacSource,
    /// A protocol above Ethernet that we do not speak.
    EtherType,
    /// ARP that is malformed or lies about its sender.
    Arp,
    /// IP version or header length that cannot be.
    IpHeader,
    /// An IPv4 header with a wrong checksum.
    IpChecksum,
    /// An IP packet longer than its frame.
    IpLength,
    /// IPv4 options: no client needs them, source routes abuse them.
    IpOptions,
    /// A fragment.
    Fragment,
    /// An IP source that no host may use: group, loopback, unspecified, our own.
    IpSource,
    /// Not to one of our addresses, or unicast IP in a group frame.
    IpDestination,
    /// A protocol above IP, or an ICMP message, that we do not answer.
    Protocol,
    /// IPv6 extension headers in front of what should have none.
    ExtensionHeader,
    /// TCP data offset or options that cannot be, or port 0.
    TcpHeader,
    /// TCP flags that no host sends together.
    TcpFlags,
    /// A wrong TCP or ICMPv6 checksum, where the device has not checked it.
    Checksum,
    /// A reset whose sequence number is not the one expected (RFC 5961).
    Reset,
    /// A DHCP message or a router advertisement that is not for us, not asked for, or unusable.
    Configuration,
    /// No answer, since too many were given lately (RST and ICMP).
    RateLimit,
}

impl Refusal {
    /// How many reasons there are.
    pub const COUNT: usize = Refusal::RateLimit as usize + 1;
}

/// Counters since the start, and a few levels. All are cheap to keep.
#[derive(Clone, Debug, Default)]
pub struct NetStats {
    /// Frames thrown away, by [`Refusal`].
    pub refused: [u64; Refusal::COUNT],
    /// Frames taken from the device.
    pub frames: u64,
    /// SYNs for our port.
    pub syns: u64,
    /// SYNs answered with a cookie, since the table of half-open connections was full.
    pub cookies_sent: u64,
    /// Connections that a cookie established.
    pub cookies_taken: u64,
    /// Half-open connections given up.
    pub half_open_reaped: u64,
    /// Connections established.
    pub established: u64,
    /// Connections handed out by `poll_accept`.
    pub accepted: u64,
    /// Handshakes refused, since there was no room for another connection.
    pub no_room: u64,
    /// Connections that never said anything, dropped to make room or for being late.
    pub evicted_silent: u64,
    /// Idle connections dropped to make room.
    pub evicted_idle: u64,
    /// Connections reset by their peer.
    pub resets_received: u64,
    /// Resets sent.
    pub resets_sent: u64,
    /// Connections given up since the peer was silent for too long.
    pub vanished: u64,
    /// TIME-WAIT records dropped before their time, to make room.
    pub time_wait_reaped: u64,
    /// Sockets built for a connection that had none.
    pub woken: u64,
    /// Sockets taken away from an idle connection.
    pub slept: u64,
    /// Sockets replaced by one with a larger send buffer.
    pub grown: u64,
    /// Sockets that could not be built for lack of memory.
    pub out_of_memory: u64,

    /// Claims of other hosts to an address of ours, or to one that we were about to use.
    pub conflicts: u64,

    /// Work: looks into the table of connections.
    pub lookups: u64,
    /// Work: calls into smoltcp.
    pub polls: u64,
    /// Work: timers that fired.
    pub timers: u64,

    /// Connections now.
    pub connections: usize,
    /// Of these, the ones with a socket and buffers now.
    pub awake: usize,
    /// Half-open connections now.
    pub half_open: usize,
    /// TIME-WAIT and FIN-WAIT-2 records now.
    pub lingering: usize,
    /// Bytes that sockets and their buffers take now.
    pub memory: usize,
}

impl NetStats {
    /// Frames refused for `reason`.
    #[must_use]
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.refused[reason as usize]
    }

    pub(super) fn refuse(&mut self, reason: Refusal) {
        self.refused[reason as usize] += 1;
    }
}
