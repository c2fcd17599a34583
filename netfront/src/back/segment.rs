//! What a network card does for a backend: frames with work left to do become frames for the cable.

use alloc::vec;
use alloc::vec::Vec;

use crate::checksum::{ETHERNET, Ip, Located, Protocol, Transport, locate, sum};
use crate::wire::GsoType;

/// A frame on its way through the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// It, from the Ethernet header on.
    pub bytes: Vec<u8>,
    /// What is known of its checksum.
    pub checksum: Checksum,
    /// It is to be segmented, to payloads of this size.
    pub gso: Option<(GsoType, u16)>,
}

/// What is known of a frame's TCP or UDP checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The field holds only the pseudo-header's sum.
    Blank,
    /// It is right.
    Verified,
    /// Nothing.
    Unknown,
}

/// Why a frame cannot be finished: its sender has left it in a state that no card takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// There is nothing to checksum in it.
    NoTransport,
    /// It is to be segmented, and is not TCP over the IP that it says, or its checksum is not
    /// blank.
    NotSegmentable,
    /// Its checksum field does not hold the pseudo-header's sum.
    WrongPseudoSum,
}

impl Frame {
    /// A frame that needs nothing done.
    pub fn plain(bytes: impl Into<Vec<u8>>) -> Self {
        Frame {
            bytes: bytes.into(),
            checksum: Checksum::Unknown,
            gso: None,
        }
    }

    /// As the frames that go out on the cable: segmented, with their checksums complete.
    pub fn finish(mut self) -> Result<Vec<Vec<u8>>, Unfinished> {
        let is_blank = self.checksum == Checksum::Blank;
        if !is_blank && self.gso.is_none() {
            return Ok(vec![self.bytes]);
        }
        let Located::Transport(transport) = locate(&self.bytes) else {
            return Err(Unfinished::NoTransport);
        };
        let mut blank = self.bytes.clone();
        transport.blank(&mut blank);
        if is_blank && blank != self.bytes {
            return Err(Unfinished::WrongPseudoSum);
        }
        let Some((gso, size)) = self.gso else {
            transport.fill(&mut self.bytes);
            return Ok(vec![self.bytes]);
        };
        let fits = match gso {
            GsoType::TcpV4 => transport.ip == Ip::V4,
            GsoType::TcpV6 => transport.ip == Ip::V6,
        };
        if !fits || !is_blank || transport.protocol != Protocol::Tcp || size == 0 {
            return Err(Unfinished::NotSegmentable);
        }
        segment(&self.bytes, &transport, usize::from(size))
    }
}

fn segment(frame: &[u8], tcp: &Transport, size: usize) -> Result<Vec<Vec<u8>>, Unfinished> {
    const FIN_PSH: u8 = 0x09;
    let start = tcp.bytes.start;
    let header = usize::from(frame[start + 12] >> 4) * 4;
    if header < 20 || header > tcp.bytes.len() {
        return Err(Unfinished::NotSegmentable);
    }
    let (headers, payload) = frame[..tcp.bytes.end].split_at(start + header);
    let sequence = u32::from_be_bytes([
        headers[start + 4],
        headers[start + 5],
        headers[start + 6],
        headers[start + 7],
    ]);
    let count = payload.len().div_ceil(size);
    let frames = payload.chunks(size).enumerate().map(|(number, piece)| {
        let mut frame = headers.to_vec();
        frame.extend_from_slice(piece);
        let ip = &mut frame[ETHERNET..];
        match tcp.ip {
            Ip::V4 => {
                let total = ip.len() as u16;
                let ident = u16::from_be_bytes([ip[4], ip[5]]).wrapping_add(number as u16);
                ip[2..4].copy_from_slice(&total.to_be_bytes());
                ip[4..6].copy_from_slice(&ident.to_be_bytes());
                ip[10..12].fill(0);
                let header = usize::from(ip[0] & 15) * 4;
                let checksum = !sum(&ip[..header]);
                ip[10..12].copy_from_slice(&checksum.to_be_bytes());
            }
            Ip::V6 => {
                let payload = (ip.len() - 40) as u16;
                ip[4..6].copy_from_slice(&payload.to_be_bytes());
            }
        }
        let sequence = sequence.wrapping_add((number * size) as u32);
        frame[start + 4..start + 8].copy_from_slice(&sequence.to_be_bytes());
        if number + 1 < count {
            frame[start + 13] &= !FIN_PSH;
        }
        if let Located::Transport(transport) = locate(&frame) {
            transport.fill(&mut frame);
        }
        frame
    });
    Ok(frames.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `payload` bytes of TCP over IPv4, blank.
    fn frame(payload: usize) -> Vec<u8> {
        let mut frame = vec![0; 54 + payload];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&(40 + payload as u16).to_be_bytes());
        frame[23] = 6;
        frame[26..34].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
        frame[38..42].copy_from_slice(&0xffff_fff0u32.to_be_bytes());
        frame[46] = 0x50;
        frame[47] = 0x19;
        for (at, byte) in frame[54..].iter_mut().enumerate() {
            *byte = at as u8;
        }
        if let Located::Transport(tcp) = locate(&frame) {
            tcp.blank(&mut frame);
        }
        frame
    }

    #[test]
    fn segments_are_whole_packets() {
        let bytes = frame(2500);
        let gso = Some((GsoType::TcpV4, 1000));
        let large = Frame {
            bytes: bytes.clone(),
            checksum: Checksum::Blank,
            gso,
        };
        let frames = large.clone().finish().unwrap();
        let lengths: Vec<_> = frames.iter().map(Vec::len).collect();
        assert_eq!(lengths, [1054, 1054, 554]);
        let mut payload = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            let Located::Transport(tcp) = locate(frame) else {
                panic!()
            };
            assert!(tcp.verify(frame));
            assert_eq!(sum(&frame[14..34]), 0xffff, "the IP header's checksum");
            assert_eq!(frame[47], if number == 2 { 0x19 } else { 0x10 });
            payload.extend_from_slice(&frame[54..]);
        }
        assert_eq!(
            frames[1][38..42],
            984u32.to_be_bytes(),
            "over the end of the sequence space"
        );
        assert_eq!(payload, bytes[54..]);
    }

    #[test]
    fn what_no_card_takes() {
        let gso = Some((GsoType::TcpV6, 1000));
        let wrong = Frame {
            bytes: frame(2500),
            checksum: Checksum::Blank,
            gso,
        };
        assert_eq!(wrong.finish(), Err(Unfinished::NotSegmentable));
        let mut bytes = frame(10);
        bytes[50] ^= 1;
        let wrong = Frame {
            bytes,
            checksum: Checksum::Blank,
            gso: None,
        };
        assert_eq!(wrong.finish(), Err(Unfinished::WrongPseudoSum));
        let wrong = Frame {
            bytes: vec![0; 60],
            checksum: Checksum::Blank,
            gso: None,
        };
        assert_eq!(wrong.finish(), Err(Unfinished::NoTransport));
    }
}
