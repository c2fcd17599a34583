//! Sockets that listen.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::TcpListener;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use www::config::Config;

/// Connections that may wait to be taken; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// Why nothing listens.
#[derive(Debug)]
pub(crate) struct ListenError {
    address: SocketAddr,
    why: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.address.port();
        match Errno::from_io_error(&self.why) {
            Some(Errno::ADDRINUSE) => {
                write!(
                    f,
                    "port {port} is in use: choose another with --http-port=PORT"
                )
            }
            Some(Errno::ACCESS) => write!(
                f,
                "port {port} is not for this user: choose one above 1023 with --http-port=PORT"
            ),
            Some(Errno::ADDRNOTAVAIL) => {
                write!(f, "{} is not an address of this machine", self.address.ip())
            }
            _ => write!(f, "cannot listen on {}: {}", self.address, self.why),
        }
    }
}

impl std::error::Error for ListenError {}

/// Listens where `config` says: on the addresses it names, or on all of both families.
pub(crate) fn listen(config: &Config) -> Result<Vec<TcpListener>, ListenError> {
    let ipv4 = config.ipv4.map(|net| IpAddr::V4(net.address));
    let ipv6 = config.ipv6.asked().map(|net| IpAddr::V6(net.address));
    let mut port = config.http_port;
    let mut listeners = Vec::new();
    for address in [ipv4, ipv6].into_iter().flatten() {
        let listener = open(SocketAddr::new(address, port))?;
        // With port 0 the first address has the choice.
        port = listener.local_addr().map_or(port, |address| address.port());
        listeners.push(listener);
    }
    if listeners.is_empty() {
        let all = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let listener = open(all).or_else(|error| match Errno::from_io_error(&error.why) {
            // A system without IPv6.
            Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
                open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
            }
            _ => Err(error),
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn open(address: SocketAddr) -> Result<TcpListener, ListenError> {
    socket(address).map_err(|why| ListenError {
        address,
        why: why.into(),
    })
}

fn socket(address: SocketAddr) -> Result<TcpListener, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if family == AddressFamily::INET6 {
        // Whether IPv4 comes in here too is otherwise up to the system's settings.
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    // Connections inherit it. Answers are written in one piece: there is nothing to wait for.
    sockopt::set_tcp_nodelay(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// How people name what listens on these addresses.
pub(crate) fn url(listener: &TcpListener) -> String {
    let Ok(address) = listener.local_addr() else {
        return "http://?/".to_owned();
    };
    let host = match address.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    match address.port() {
        80 => format!("http://{host}/"),
        port => format!("http://{host}:{port}/"),
    }
}
