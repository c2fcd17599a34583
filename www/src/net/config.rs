//! What the stack is told, and its limits.

use super::addresses::Learn;
use super::dhcp::Hostname;
use alloc::vec::Vec;
use core::net::Ipv6Addr;
use smoltcp::time::Duration;
use smoltcp::wire::{Ipv4Cidr, Ipv6Cidr};

/// What a DHCP server is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dhcp {
    /// Our name, if we have one.
    pub hostname: Option<Hostname>,
}

/// Addresses and limits. [`Config::new`] gives limits that suit a small guest.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our MAC address.
    pub mac: [u8; 6],
    /// Our IPv4 address, if any.
    pub ipv4: Option<Ipv4Cidr>,
    /// Our IPv6 addresses, at most six. The link-local one made from the MAC address is always
    /// there as well. No gateway is needed: answers go to the MAC address that asked.
    pub ipv6: Vec<Ipv6Cidr>,
    /// Learn addresses, and look after those that there are.
    pub learn: Option<Learn>,
    /// The port that we serve.
    pub port: u16,
    /// Keys for hashes, sequence numbers and cookies: random, new at each start.
    pub seed: [u8; 32],
    /// Connections at a time.
    pub max_connections: usize,
    /// Handshakes that wait for their last part; beyond these, cookies are sent.
    pub max_half_open: usize,
    /// Records of connections that we have closed.
    pub max_lingering: usize,
    /// Connections with something to read that wait to be accepted.
    pub backlog: usize,
    /// Bytes that sockets and their buffers may take in all.
    pub memory: usize,
    /// Receive buffer of a connection, at most 65535.
    pub receive_buffer: usize,
    /// Send buffer of a connection at first.
    pub send_buffer: usize,
    /// The most that a send buffer grows to when a larger response is written.
    pub send_buffer_max: usize,
    /// Hand out a connection when its first byte (or FIN) arrives, not before. One that says nothing
    /// then costs a record of some 300 bytes and no task.
    pub defer_accept: bool,
    /// How long a connection may stay silent with `defer_accept`.
    pub silent_timeout: Duration,
    /// How long a handshake may take.
    pub half_open_timeout: Duration,
    /// A peer that acknowledges nothing for so long has vanished.
    pub user_timeout: Duration,
    /// A connection idle for so long has its socket and buffers taken away until it is used again.
    pub sleep_after: Duration,
    /// A connection idle for so long is probed, four times at most, ten seconds apart.
    pub keep_alive: Duration,
    /// How long TIME-WAIT and FIN-WAIT-2 are remembered.
    pub time_wait: Duration,
    /// How long a closed connection may still take to deliver what was written.
    pub close_timeout: Duration,
    /// Resets, and other answers to what belongs to no connection, per second.
    pub resets_per_second: u32,
    /// Echo replies per second.
    pub echoes_per_second: u32,
    /// Frames taken in by one poll.
    pub poll_frames: usize,
}

impl Config {
    /// No address but the link-local one, and default limits.
    #[must_use]
    pub fn new(mac: [u8; 6], port: u16, seed: [u8; 32]) -> Self {
        Config {
            mac,
            ipv4: None,
            ipv6: Vec::new(),
            learn: None,
            port,
            seed,
            max_connections: 4096,
            max_half_open: 512,
            max_lingering: 1024,
            backlog: 256,
            memory: 4 << 20,
            receive_buffer: 4096,
            send_buffer: 16 << 10,
            send_buffer_max: 128 << 10,
            defer_accept: true,
            silent_timeout: Duration::from_secs(30),
            half_open_timeout: Duration::from_secs(5),
            user_timeout: Duration::from_secs(30),
            sleep_after: Duration::from_secs(2),
            keep_alive: Duration::from_secs(60),
            time_wait: Duration::from_secs(10),
            close_timeout: Duration::from_secs(20),
            resets_per_second: 200,
            echoes_per_second: 2000,
            poll_frames: 256,
        }
    }
}

/// The link-local address that `mac` gives (EUI-64).
#[must_use]
pub fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let mut octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0];
    octets[8..11].copy_from_slice(&mac[..3]);
    octets[13..].copy_from_slice(&mac[3..]);
    octets[8] ^= 2;
    Ipv6Addr::from(octets)
}
