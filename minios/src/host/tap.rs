//! A tap device: an Ethernet cable to the host, of which a process has the other end.
//!
//! Frames go in and out one a call, each behind a `struct virtio_net_hdr` of [`HEADER`] bytes where
//! the kernel knows that (`IFF_VNET_HDR`): so checksums and the segmentation of TCP can be left to
//! whoever has to do them, and for what stays on this machine that is nobody.
//!
//! Here are the calls that need `unsafe`: three ioctls of `/dev/net/tun` and three of any network
//! interface. What is in a header is not looked at here.
//!
//! The numbers are those of `linux/if_tun.h`, `linux/sockios.h` and `linux/if.h`.

use core::ffi::{c_int, c_uint};
use core::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::string::String;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::ioctl::{Getter, IntegerSetter, Opcode, Setter, Updater, ioctl, opcode};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

/// Bytes in front of each frame, if there are any: a `struct virtio_net_hdr`, in this machine's
/// byte order.
pub const HEADER: usize = 10;

/// Where tap devices are had from.
pub const DRIVER: &str = "/dev/net/tun";

/// Bytes of an interface's name, and a zero at its end.
const IFNAMSIZ: usize = 16;

const TUNSETIFF: Opcode = opcode::write::<c_int>(b'T', 202);
const TUNGETFEATURES: Opcode = opcode::read::<c_uint>(b'T', 207);
const TUNSETOFFLOAD: Opcode = opcode::write::<c_uint>(b'T', 208);
const TUNSETVNETHDRSZ: Opcode = opcode::write::<c_int>(b'T', 216);
const SIOCGIFFLAGS: Opcode = 0x8913;
const SIOCSIFFLAGS: Opcode = 0x8914;
const SIOCGIFMTU: Opcode = 0x8921;

const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;
const IFF_UP: u16 = 0x0001;

const TUN_F_CSUM: usize = 1;
const TUN_F_TSO4: usize = 2;
const TUN_F_TSO6: usize = 4;

/// A tap device, open until dropped. If it was made for this and nobody made it persistent, it goes
/// away then.
#[derive(Debug)]
pub struct Tap {
    file: File,
    /// Any socket: the interface's properties are asked for on it.
    socket: OwnedFd,
    name: String,
    made: bool,
    offloads: Offloads,
}

/// What is left to the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// There are headers. In what is sent, checksums and segmentation can be left to the kernel.
    pub send: bool,
    /// The kernel leaves checksums out in what it sends to us.
    pub receive_checksum: bool,
    /// It also leaves TCP unsegmented, up to 64 KiB a frame.
    pub receive_segments: bool,
}

/// Why there is no device.
#[derive(Debug)]
pub enum OpenError {
    /// No interface can have this name.
    Name,
    /// The system has no tap devices.
    NoDriver(io::Error),
    /// This user may not open [`DRIVER`].
    Driver,
    /// This user may not make the device, or it is another user's.
    Denied {
        /// Whether it is there.
        exists: bool,
    },
    /// Another process has it.
    Busy,
    /// There is an interface of this name, and it is no tap device, or one with several queues.
    Kind,
    /// The system says something else.
    Other(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("is not a name that an interface can have"),
            Self::NoDriver(error) => write!(f, "cannot be had without {DRIVER}: {error}"),
            Self::Driver => write!(f, "cannot be had: this user may not open {DRIVER}"),
            Self::Denied { exists: false } => f.write_str("does not exist, and only root makes it"),
            Self::Denied { exists: true } => f.write_str("is not this user's"),
            Self::Busy => f.write_str("is used by another process"),
            Self::Kind => f.write_str("exists, and is not a tap device with one queue"),
            Self::Other(error) => write!(f, "cannot be had: {error}"),
        }
    }
}

impl core::error::Error for OpenError {}

impl Tap {
    /// Takes the device of this name, or makes it. What the kernel does not know of `IFF_VNET_HDR`
    /// and offloads is gone without: [`offloads`](Self::offloads) says.
    pub fn open(name: &str) -> Result<Self, OpenError> {
        let mut request = Request::new(name).ok_or(OpenError::Name)?;
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
            .map_err(OpenError::other)?;
        let exists = netdevice::name_to_index(&socket, name).is_ok();
        let mut options = OpenOptions::new();
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = options
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(DRIVER)
            .map_err(OpenError::driver)?;
        let headers = features(&file).is_ok_and(|has| has & c_uint::from(IFF_VNET_HDR) != 0);
        let vnet = if headers { IFF_VNET_HDR } else { 0 };
        request.set_flags(IFF_TAP | IFF_NO_PI | vnet);
        request
            .ioctl::<TUNSETIFF>(&file)
            .map_err(|error| OpenError::attach(error, exists))?;
        let offloads = match headers {
            true => announce(&file).map_err(OpenError::other)?,
            false => Offloads::default(),
        };
        Ok(Self {
            file,
            socket,
            name: name.into(),
            made: !exists,
            offloads,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it was not there before.
    pub fn made(&self) -> bool {
        self.made
    }

    /// What was agreed with the kernel.
    pub fn offloads(&self) -> Offloads {
        self.offloads
    }

    /// Its MTU, of IP, now.
    pub fn mtu(&self) -> io::Result<usize> {
        let mut request = self.request()?;
        request.ioctl::<SIOCGIFMTU>(&self.socket)?;
        usize::try_from(request.number()).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Brings the host's end up, which only root may, if it is down.
    pub fn bring_up(&self) -> io::Result<()> {
        let mut request = self.request()?;
        request.ioctl::<SIOCGIFFLAGS>(&self.socket)?;
        let flags = request.flags();
        if flags & IFF_UP == 0 {
            request.set_flags(flags | IFF_UP);
            request.ioctl::<SIOCSIFFLAGS>(&self.socket)?;
        }
        Ok(())
    }

    /// Takes one frame, with its header if there are any, or says `WouldBlock`. What is longer than
    /// `buffer` is cut off.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(buffer)
    }

    /// Gives the host one frame, with its header if there are any.
    pub fn write(&self, frame: &[u8]) -> io::Result<usize> {
        (&self.file).write(frame)
    }

    fn request(&self) -> io::Result<Request> {
        Request::new(&self.name).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl OpenError {
    fn other(error: Errno) -> Self {
        Self::Other(error.into())
    }

    fn driver(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => Self::NoDriver(error),
            Some(Errno::ACCESS | Errno::PERM) => Self::Driver,
            _ => Self::Other(error),
        }
    }

    fn attach(error: Errno, exists: bool) -> Self {
        match error {
            Errno::PERM | Errno::ACCESS => Self::Denied { exists },
            Errno::BUSY => Self::Busy,
            Errno::INVAL if exists => Self::Kind,
            error => Self::Other(error.into()),
        }
    }
}

/// What the driver can do.
fn features(driver: &File) -> Result<c_uint, Errno> {
    // SAFETY: this ioctl writes one unsigned int, which is what the getter has room for.
    unsafe { ioctl(driver, Getter::<TUNGETFEATURES, c_uint>::new()) }
}

/// Agrees on the header's size, which an earlier user may have set to something else, and says what
/// frames we take.
fn announce(device: &File) -> Result<Offloads, Errno> {
    // SAFETY: this ioctl reads one int, which is what the setter holds.
    unsafe {
        ioctl(
            device,
            Setter::<TUNSETVNETHDRSZ, c_int>::new(HEADER as c_int),
        )
    }?;
    let tries = [(true, true), (true, false), (false, false)];
    for (receive_checksum, receive_segments) in tries {
        let segments = if receive_segments {
            TUN_F_TSO4 | TUN_F_TSO6
        } else {
            0
        };
        let checksum = if receive_checksum { TUN_F_CSUM } else { 0 };
        // SAFETY: this ioctl takes its argument by value, and reaches no memory of ours.
        let said = unsafe {
            ioctl(
                device,
                IntegerSetter::<TUNSETOFFLOAD>::new_usize(checksum | segments),
            )
        };
        if said.is_ok() {
            return Ok(Offloads {
                send: true,
                receive_checksum,
                receive_segments,
            });
        }
    }
    // The kernel may then send what it likes; its headers say what.
    Ok(Offloads {
        send: true,
        receive_checksum: true,
        receive_segments: true,
    })
}

/// A `struct ifreq`: an interface's name, and a union, of which flags and one number are used here.
#[repr(C)]
struct Request {
    name: [u8; IFNAMSIZ],
    union: [u8; 24],
}

// Of 64-bit Linux.
const _: () = assert!(size_of::<Request>() == 40 && size_of::<usize>() == 8);

impl Request {
    /// About the interface of this name; `None` if none can have it. The kernel's rules, but for `%`,
    /// which would ask it to choose a number.
    fn new(name: &str) -> Option<Self> {
        let bad = |byte: u8| {
            byte == 0 || byte == b'/' || byte == b':' || byte == b'%' || byte.is_ascii_whitespace()
        };
        let bytes = name.as_bytes();
        if matches!(name, "" | "." | "..") || bytes.len() >= IFNAMSIZ || name.bytes().any(bad) {
            return None;
        }
        let mut request = Self {
            name: [0; IFNAMSIZ],
            union: [0; 24],
        };
        request.name[..bytes.len()].copy_from_slice(bytes);
        Some(request)
    }

    fn flags(&self) -> u16 {
        u16::from_ne_bytes([self.union[0], self.union[1]])
    }

    fn set_flags(&mut self, flags: u16) {
        self.union[..2].copy_from_slice(&flags.to_ne_bytes());
    }

    fn number(&self) -> c_int {
        let [a, b, c, d, ..] = self.union;
        c_int::from_ne_bytes([a, b, c, d])
    }

    /// Asks the kernel.
    fn ioctl<const WHAT: Opcode>(&mut self, of: impl AsFd) -> Result<(), Errno> {
        const {
            assert!(matches!(
                WHAT,
                TUNSETIFF | SIOCGIFFLAGS | SIOCSIFFLAGS | SIOCGIFMTU
            ));
        }
        // SAFETY: each of these four reads a struct ifreq and may write it, which is 40 bytes, any
        // bytes, and so is `Self`; the kernel asks for no alignment. Neither flags nor MTU are
        // pointers, and what is done with the interface reaches no memory of ours. A descriptor of
        // another kind would be refused.
        unsafe { ioctl(of, Updater::<'_, WHAT, Self>::new(self)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for well in ["tap0", "a", "fifteen-letters", "t.p", "täp"] {
            assert!(Request::new(well).is_some(), "{well}");
        }
        for not in [
            "",
            ".",
            "..",
            "tap/0",
            "tap 0",
            "tap%d",
            "tap:0",
            "t\0",
            "sixteen-letters0",
            "tääääääää",
        ] {
            assert!(Request::new(not).is_none(), "{not:?}");
            assert!(matches!(Tap::open(not), Err(OpenError::Name)), "{not:?}");
        }
    }

    #[test]
    fn the_numbers_of_the_kernels_headers() {
        assert_eq!(TUNSETIFF, 0x4004_54ca);
        assert_eq!(TUNGETFEATURES, 0x8004_54cf);
        assert_eq!(TUNSETOFFLOAD, 0x4004_54d0);
        assert_eq!(TUNSETVNETHDRSZ, 0x4004_54d8);
    }

    #[test]
    fn an_interface_that_is_no_tap_device() {
        // Where there is a driver, and this user may open it.
        let Err(error) = Tap::open("lo") else {
            panic!("the loopback interface is no tap device");
        };
        let said = std::format!("lo {error}");
        match error {
            OpenError::Kind => {
                assert_eq!(said, "lo exists, and is not a tap device with one queue")
            }
            OpenError::Denied { exists } => assert!(exists),
            OpenError::NoDriver(_) | OpenError::Driver => assert!(said.contains(DRIVER)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn requests() {
        let mut request = Request::new("tap0").unwrap();
        request.set_flags(0x8102);
        assert_eq!(request.flags(), 0x8102);
        assert_eq!(request.union[..4], [0x02, 0x81, 0, 0]);
        assert_eq!(&request.name[..5], b"tap0\0");
        request.union[..4].copy_from_slice(&1500_i32.to_ne_bytes());
        assert_eq!(request.number(), 1500);
    }
}
