//! Whatever ranges are asked for: exactly these bytes, or a refusal that RFC 9110 allows; and a
//! volume is not read where nobody asked for it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::stores::{Answer, DATA, Stores, data};

/// What the parts of a 206 say they are, as `from-to`. Their bytes are those of the whole.
pub(crate) fn parts(answer: &Answer, whole: &[u8]) -> Vec<String> {
    let check = |range: &str, bytes: &[u8]| {
        let (range, length) = range
            .strip_prefix("bytes ")
            .unwrap()
            .split_once('/')
            .unwrap();
        assert_eq!(length, whole.len().to_string());
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        assert!(bytes == &whole[first..=last], "{range}");
        range.to_owned()
    };
    if let Some(range) = answer.field("Content-Range") {
        return vec![check(range, answer.body())];
    }
    let media_type = answer.field("Content-Type").unwrap();
    let boundary = media_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let mut out = Vec::new();
    let mut rest = answer.body();
    loop {
        rest = rest
            .strip_prefix(format!("\r\n--{boundary}").as_bytes())
            .unwrap();
        if rest == b"--\r\n" {
            assert!(out.len() > 1);
            return out;
        }
        let end = rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        let range = head
            .lines()
            .find_map(|l| l.strip_prefix("Content-Range: "))
            .unwrap();
        assert!(head.contains("\r\nContent-Type: "), "{head}");
        rest = &rest[end + 4..];
        let (first, last) = range["bytes ".len()..]
            .split('/')
            .next()
            .unwrap()
            .split_once('-')
            .unwrap();
        let len = last.parse::<usize>().unwrap() + 1 - first.parse::<usize>().unwrap();
        let (bytes, after) = rest.split_at(len);
        out.push(check(range, bytes));
        rest = after;
    }
}

/// A range as it may be asked for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Between(usize, usize),
    From(usize),
    Last(usize),
}

impl Asked {
    fn text(self) -> String {
        match self {
            Self::Between(from, to) => format!("{from}-{to}"),
            Self::From(from) => format!("{from}-"),
            Self::Last(count) => format!("-{count}"),
        }
    }

    /// From the first to before the second byte.
    fn bytes(self) -> (usize, usize) {
        match self {
            Self::Between(from, to) => (from.min(DATA), (to + 1).min(DATA)),
            Self::From(from) => (from.min(DATA), DATA),
            Self::Last(count) => (DATA.saturating_sub(count), DATA),
        }
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let place = prop_oneof![
        0..DATA + 10,
        0..40_usize,
        DATA - 40..DATA + 40,
        16_300..16_500_usize
    ];
    prop_oneof![
        (place.clone(), 0..30_000_usize).prop_map(|(from, more)| Asked::Between(from, from + more)),
        place.clone().prop_map(Asked::From),
        place.prop_map(Asked::Last),
    ]
}

thread_local! {
    static STORES: Stores = Stores::new();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn these_bytes_and_no_others(asked in prop::collection::vec(asked(), 1..20)) {
        let texts: Vec<_> = asked.iter().map(|range| range.text()).collect();
        let header = format!("Range: bytes={}\r\n", texts.join(", "));
        let answer = STORES.with(|stores| stores.get("/data.bin", &header));
        let whole = data();
        let wanted: BTreeSet<usize> = asked
            .iter()
            .flat_map(|range| range.bytes().0..range.bytes().1)
            .collect();
        match answer.status() {
            206 => {
                let mut got = BTreeSet::new();
                for part in parts(&answer, &whole) {
                    let (first, last) = part.split_once('-').unwrap();
                    let part = first.parse::<usize>().unwrap()..=last.parse::<usize>().unwrap();
                    for at in part {
                        // 17.15: nobody is sent more by asking for the same again and again.
                        prop_assert!(got.insert(at));
                    }
                }
                prop_assert!(got == wanted, "{}", header);
            }
            416 => prop_assert!(wanted.is_empty(), "{}", header),
            200 => {
                prop_assert!(asked.len() > 16, "{}", header);
                prop_assert!(answer.body() == &whole[..]);
            }
            other => prop_assert!(false, "{} {}", other, header),
        }
    }
}

/// 100 bytes in the middle of a file cost the block that they are in, not the file.
#[test]
fn a_volume_is_read_where_it_is_asked_for() {
    let stores = Stores::new();
    let read = |stores: &Stores| -> u64 {
        let logs = stores.disks.iter().flat_map(|disk| disk.take_log());
        logs.map(|range| range.end - range.start).sum()
    };
    read(&stores);
    let answer = stores.get("/data.bin", "Range: bytes=50000-50099\r\n");
    assert_eq!(answer.status(), 206);
    let cost = read(&stores);
    assert!((1..=32 << 10).contains(&cost), "{cost}");
    stores.get("/data.bin", "Range: bytes=50000-50099\r\n");
    assert_eq!(read(&stores), 0);
    stores.get("/data.bin", "Range: bytes=200000-\r\n");
    assert_eq!(read(&stores), 0);
    stores.get("/data.bin", "Range: bytes=0-0,100002-\r\n");
    let cost = read(&stores);
    assert!((1..=64 << 10).contains(&cost), "{cost}");
}
