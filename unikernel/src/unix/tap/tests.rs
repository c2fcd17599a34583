use super::*;
use smoltcp::phy::{Device as _, RxToken as _, TxToken as _};
use std::cell::RefCell;
use std::collections::VecDeque;

/// A wire of which the test has the other end.
#[derive(Default)]
struct Fake {
    headers: bool,
    incoming: RefCell<VecDeque<Vec<u8>>>,
    reads: RefCell<u32>,
    sent: RefCell<Vec<Vec<u8>>>,
    /// What the next calls fail with.
    errors: RefCell<VecDeque<Errno>>,
}

impl Fake {
    fn error(&self) -> io::Result<()> {
        let error = self.errors.borrow_mut().pop_front();
        error.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Wire for &Fake {
    fn has_headers(&self) -> bool {
        self.headers
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        *self.reads.borrow_mut() += 1;
        self.error()?;
        let frame = self.incoming.borrow_mut().pop_front();
        let frame = frame.ok_or(io::ErrorKind::WouldBlock)?;
        let n = frame.len().min(buffer.len());
        buffer[..n].copy_from_slice(&frame[..n]);
        Ok(n)
    }

    fn write(&self, frame: &[u8]) -> io::Result<usize> {
        self.error()?;
        self.sent.borrow_mut().push(frame.to_vec());
        Ok(frame.len())
    }
}

const WITHOUT: [u8; HEADER] = [0; HEADER];
const NEEDS_CSUM: [u8; HEADER] = [1, 0, 0, 0, 0, 0, 34, 0, 16, 0];
const DATA_VALID: [u8; HEADER] = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A SYN from 10.0.0.1:43210 to 10.0.0.2:80. Its TCP checksum, at 50, is blank, and the right one
/// is 0xf7d3.
const SYN: [u8; 54] = [
    0x00, 0x16, 0x3e, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x08, 0x00, //
    0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0x26, 0xce, 10, 0, 0, 1, 10, 0, 0, 2, //
    0xa8, 0xca, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xfa, 0xf0, 0, 0, 0, 0,
];
const CHECKSUM: [u8; 2] = [0xf7, 0xd3];

fn right() -> [u8; 54] {
    let mut frame = SYN;
    frame[50..52].copy_from_slice(&CHECKSUM);
    frame
}

fn device(wire: &Fake) -> Device<&Fake> {
    Device::new(wire, "tap0", 1500, None)
}

fn headers() -> Fake {
    Fake {
        headers: true,
        ..Fake::default()
    }
}

fn receive(device: &mut Device<&Fake>) -> Option<Vec<u8>> {
    let (rx, _) = device.receive(Instant::ZERO)?;
    Some(rx.consume(<[u8]>::to_vec))
}

fn send(device: &mut Device<&Fake>, frame: &[u8], segment: Option<u16>) {
    let mut token = device.transmit(Instant::ZERO).unwrap();
    let mut meta = PacketMeta::default();
    meta.segmentation_offload_size = segment.and_then(NonZeroU16::new);
    token.set_meta(meta);
    token.consume(frame.len(), |to| to.copy_from_slice(frame));
}

#[test]
fn what_is_left_to_the_kernel() {
    let wire = headers();
    let mut device = device(&wire);
    send(&mut device, &right(), None);
    send(&mut device, &right(), Some(1460));
    // ARP: nothing in it is anybody else's work.
    let mut arp = [0; 42];
    arp[12..14].copy_from_slice(&[8, 6]);
    send(&mut device, &arp, None);
    let sent = wire.sent.borrow();
    // The sum of 10.0.0.1, 10.0.0.2, 6 and 20 bytes: where whoever goes on has to begin.
    let mut blank = SYN;
    blank[50..52].copy_from_slice(&[0x14, 0x1d]);
    let left = |segments| Left {
        checksum: Some((34, 16)),
        segments,
    };
    assert_eq!(sent[0], [&left(None).encode()[..], &blank].concat());
    let segments = NonZeroU16::new(1460).map(|size| (size, 54));
    assert_eq!(sent[1], [&left(segments).encode()[..], &blank].concat());
    assert_eq!(sent[2], [&WITHOUT[..], &arp].concat());
    let counts = device.counts();
    assert_eq!((counts.sent, counts.sent_large, counts.lost), (3, 1, 0));
}

#[test]
fn udp_without_a_byte_in_it() {
    let wire = headers();
    let mut device = device(&wire);
    let mut frame = [0; 42];
    frame[..34].copy_from_slice(&SYN[..34]);
    (frame[17], frame[23], frame[39]) = (28, 17, 8);
    send(&mut device, &frame, Some(1460));
    let left = Left {
        checksum: Some((34, 6)),
        segments: None,
    };
    assert_eq!(wire.sent.borrow()[0][..HEADER], left.encode());
}

#[test]
fn whose_checksum_is_believed() {
    let wire = headers();
    let mut device = device(&wire);
    let mut wrong = right();
    wrong[50] ^= 1;
    for (header, frame) in [
        (WITHOUT, right()),
        (WITHOUT, wrong),
        (WITHOUT, SYN),
        (NEEDS_CSUM, SYN),
        (DATA_VALID, wrong),
    ] {
        wire.incoming
            .borrow_mut()
            .push_back([&header[..], &frame].concat());
    }
    assert_eq!(receive(&mut device).unwrap(), right());
    assert_eq!(receive(&mut device).unwrap(), SYN, "the kernel left it out");
    assert_eq!(
        receive(&mut device).unwrap(),
        wrong,
        "the kernel has verified it"
    );
    assert!(receive(&mut device).is_none());
    let counts = device.counts();
    assert_eq!((counts.received, counts.refused), (3, 2));
}

#[test]
fn a_kernel_without_offloads() {
    let wire = Fake::default();
    let mut device = device(&wire);
    let capabilities = device.capabilities();
    assert!(capabilities.checksum.tcp.tx() && capabilities.checksum.tcp.rx());
    assert!(capabilities.segmentation.tcpv4.is_none());
    send(&mut device, &right(), None);
    assert_eq!(*wire.sent.borrow(), [right().to_vec()]);
    // The stack verifies it.
    wire.incoming.borrow_mut().push_back(SYN.to_vec());
    assert_eq!(receive(&mut device).unwrap(), SYN);
}

#[test]
fn what_the_stack_is_told() {
    let wire = headers();
    let capabilities = device(&wire).capabilities();
    assert_eq!(capabilities.max_transmission_unit, 1514);
    assert!(!capabilities.checksum.tcp.tx() && !capabilities.checksum.tcp.rx());
    // 44 segments of 1460 bytes behind 54 of headers; 45 would be more than 64 KiB.
    let longest = capabilities.segmentation.tcpv4.map(NonZeroUsize::get);
    assert_eq!(longest, Some(44 * 1460 + 54));
    assert!(segmented(9216).unwrap().get() <= FRAME);
    assert_eq!(segmented(40), None);
}

#[test]
fn frames_of_64_kib_come_in_whole() {
    let wire = headers();
    let mut device = device(&wire);
    let mut frame = vec![0; FRAME];
    frame[12..14].copy_from_slice(&[8, 6]);
    let large = [1, 1, 0, 0, 0xb4, 5, 34, 0, 16, 0];
    wire.incoming
        .borrow_mut()
        .push_back([&large[..], &frame].concat());
    assert_eq!(receive(&mut device).unwrap().len(), FRAME);
    assert_eq!(device.counts().received_large, 1);
}

#[test]
fn nothing_is_read_without_an_event() {
    let wire = headers();
    let mut device = device(&wire);
    assert!(device.is_readable(), "it may have been so before we asked");
    for _ in 0..3 {
        assert!(receive(&mut device).is_none());
    }
    assert_eq!(*wire.reads.borrow(), 1);
    wire.incoming
        .borrow_mut()
        .push_back([&WITHOUT[..], &right()].concat());
    device.event();
    assert!(receive(&mut device).is_some() && device.is_readable());
    assert!(receive(&mut device).is_none() && !device.is_readable());
}

#[test]
fn frames_that_are_worth_nothing_hold_nobody_up() {
    let wire = headers();
    let mut device = device(&wire);
    for len in [0, 5, HEADER, HEADER + ETHERNET - 1] {
        wire.incoming.borrow_mut().push_back(vec![0; len]);
    }
    let runts = (0..WORTHLESS).map(|_| vec![0; HEADER]);
    wire.incoming.borrow_mut().extend(runts);
    wire.incoming
        .borrow_mut()
        .push_back([&WITHOUT[..], &right()].concat());
    assert!(receive(&mut device).is_none());
    assert!(
        device.is_readable(),
        "others have their turn, then it goes on"
    );
    assert!(receive(&mut device).is_some());
    assert_eq!(device.counts().refused, u64::from(WORTHLESS) + 4);
}

#[test]
fn a_link_that_is_down_and_comes_back() {
    let wire = headers();
    let mut device = device(&wire);
    wire.errors.borrow_mut().extend([Errno::IO, Errno::INTR]);
    send(&mut device, &right(), None);
    assert_eq!(device.counts().lost, 1);
    assert!(!device.take_recovered() && !device.is_gone());
    send(&mut device, &right(), None);
    assert_eq!(device.counts().sent, 1);
    assert!(device.take_recovered());
    assert!(!device.take_recovered(), "once");
}

#[test]
fn a_device_that_is_removed() {
    let wire = headers();
    let mut device = device(&wire);
    wire.errors.borrow_mut().extend([Errno::BADFD]);
    assert!(receive(&mut device).is_none());
    assert!(device.is_gone() && !device.is_readable());
}

#[test]
fn a_frame_longer_than_any() {
    let wire = headers();
    let mut device = device(&wire);
    send(&mut device, &vec![0; FRAME + 100], None);
    assert_eq!(wire.sent.borrow()[0].len(), HEADER + FRAME + 100);
}
