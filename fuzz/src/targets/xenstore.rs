//! What xenstored says.

use minios::xenstore::codec::{Kind, encode};

/// A message.
fn message(kind: Kind, req_id: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = std::collections::VecDeque::new();
    encode(&mut out, kind, req_id, 0, &[payload]).expect("short enough");
    out.into()
}

pub(super) mod xenstore_codec {
    use std::collections::VecDeque;

    use minios::xenstore::codec::{
        DecodeError, Decoder, Errno, Kind, PAYLOAD_MAX, encode, number, strings, two_strings,
    };

    use super::message;

    type Said = (Kind, u32, u32, Vec<u8>);

    fn decode<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Said>, Option<DecodeError>) {
        let mut decoder = Decoder::new();
        let mut said = Vec::new();
        for mut chunk in chunks {
            loop {
                match decoder.next(&mut chunk) {
                    Ok(Some(m)) => {
                        assert!(m.payload.len() <= PAYLOAD_MAX);
                        said.push((m.kind, m.req_id, m.tx_id, m.payload.to_vec()));
                    }
                    Ok(None) => break assert!(chunk.is_empty()),
                    Err(error) => {
                        assert!(decoder.next(&mut chunk).is_err(), "it has lost its place");
                        return (said, Some(error));
                    }
                }
            }
        }
        (said, None)
    }

    /// Chunks make no difference, and what was decoded is encoded as it came.
    pub(in super::super) fn run(bytes: &[u8]) {
        let (&size, stream) = bytes.split_first().unwrap_or((&0, &[]));
        let whole = decode(std::iter::once(stream));
        for size in [1, usize::from(size) + 1] {
            assert_eq!(decode(stream.chunks(size)), whole);
        }
        let mut again = VecDeque::new();
        for (kind, req_id, tx_id, payload) in &whole.0 {
            encode(&mut again, *kind, *req_id, *tx_id, &[payload]).expect("it was short enough");
            if let Some((path, token)) = two_strings(payload) {
                assert_eq!(&[path, b"\0", token, b"\0"].concat(), payload);
            }
            if let Some(strings) = strings(payload) {
                let len: usize = strings.map(|string| string.len() + 1).sum();
                assert_eq!(len, payload.len());
            }
            let _ = (number(payload), Errno::from_payload(payload).name());
        }
        assert!(Vec::from(again) == stream[..again_len(&whole.0)]);
    }

    fn again_len(said: &[Said]) -> usize {
        said.iter().map(|(.., payload)| 16 + payload.len()).sum()
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        let stream = [
            message(Kind::Read, 1, b"value"),
            message(Kind::WatchEvent, 0, b"device/vif/0\x007\0"),
            message(Kind::Error, 2, b"ENOENT\0"),
            message(Kind::Directory, 3, b"a\0b\0c\0"),
        ];
        vec![[&[6][..], &stream.concat()].concat()]
    }
}

pub(super) mod xenstore_connection {
    use std::task::{Poll, Waker};

    use minios::xenstore::codec::Kind;
    use minios::xenstore::connection::Connection;

    use super::message;
    use crate::input::Input;

    /// More than any number of requests that may be under way, and their longest.
    const OUTPUT_MAX: usize = 300 * (16 + 4096);

    /// Whatever comes back, memory is bounded, every request gets an answer or goes on waiting, and
    /// nobody waits once the connection is broken.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let mut connection = Connection::new();
        let (mut requests, mut watches) = (Vec::new(), Vec::new());
        let mut sent = 0;
        while !input.is_empty() {
            match input.u8() % 10 {
                0 => requests.extend(connection.request(Kind::Read, 0, &[b"a\0"])),
                1 => requests.extend(connection.request(Kind::TransactionStart, 0, &[b"\0"])),
                2 => {
                    let len = usize::from(input.u16()) % 5000;
                    let path = input.take(len);
                    if let Ok((token, id)) = connection.watch(path) {
                        watches.push(token);
                        requests.push(id);
                    }
                }
                3 if !requests.is_empty() => {
                    let at = usize::from(input.u8()) % requests.len();
                    connection.abandon(requests.swap_remove(at));
                }
                4 if !watches.is_empty() => {
                    let at = usize::from(input.u8()) % watches.len();
                    connection.unwatch(watches.swap_remove(at));
                }
                5 => {
                    let output = connection.output().len();
                    connection.sent(output.min(usize::from(input.u8())));
                    sent += output;
                }
                6 => {
                    let number = u32::from(input.u8());
                    let kinds = [Kind::Read, Kind::TransactionStart, Kind::Error, Kind::Watch];
                    let kind = kinds[usize::from(input.u8()) % kinds.len()];
                    let len = usize::from(input.u8());
                    connection.input(&message(kind, number, input.take(len)));
                }
                7 => {
                    let token = format!("path\0{}\0", input.u8());
                    connection.input(&message(Kind::WatchEvent, 0, token.as_bytes()));
                }
                8 => requests.retain(|id| connection.poll_reply(*id, Waker::noop()).is_pending()),
                _ => {
                    let len = usize::from(input.u8());
                    connection.input(input.take(len));
                }
            }
            assert!(
                connection.output().len() <= OUTPUT_MAX,
                "after {sent} bytes"
            );
            assert!(watches.len() <= 128 && requests.len() <= 192);
        }
        if let Some(lie) = connection.broken() {
            assert!(!lie.to_string().is_empty());
            assert!(connection.output().is_empty());
            assert!(connection.request(Kind::Read, 0, &[b"a\0"]).is_err());
            for id in requests {
                assert!(connection.poll_reply(id, Waker::noop()).is_ready());
            }
            for token in watches {
                let polled = connection.poll_watch(token, Waker::noop());
                assert!(matches!(polled, Poll::Ready(Err(_))));
            }
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        vec![
            vec![
                0, 1, 2, 3, 0, b'a', b'/', b'b', 6, 1, 0, 2, b'o', b'k', 6, 2, 1, 1, b'5', 8, 7, 1,
                5, 99,
            ],
            [
                &[0, 0, 1, 3, 2, 9, 22][..],
                &message(Kind::TransactionStart, 3, b"12\0"),
            ]
            .concat(),
            vec![2, 1, 0, b'x', 4, 0, 0, 6, 1, 3, 3, b'O', b'K', 0, 8],
        ]
    }
}
