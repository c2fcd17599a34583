//! Which bytes of a body a client asks for (RFC 9110, section 14).
//!
//! What it asks for may be anything: it comes to a bounded number of ranges that lie within the
//! body and do not touch each other, so that no answer is longer than the body and a line for
//! each.

/// Ranges that one request may ask for. RFC 9110, 14.2 and 17.15: who asks for more gets all.
pub(super) const MOST: usize = 16;

/// Some bytes of a body: from the first one to before the second one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Part {
    pub(super) fn len(self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    fn touches(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// What the value of `Range` comes to.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives as long as a head is made, and costs no heap"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: the field is none that is understood, or that is to be followed.
    All,
    /// These, one at least.
    Parts(Parts),
    /// Nothing that there is: 416.
    Nothing,
}

/// Ranges that do not touch each other, in the order in which they were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    parts: [Part; MOST],
    count: usize,
}

impl Parts {
    pub(super) fn as_slice(&self) -> &[Part] {
        &self.parts[..self.count]
    }

    /// Adds one; those that it touches become one with it (15.3.7.2). There is room for it.
    fn add(&mut self, mut new: Part) {
        let mut place = self.count;
        let mut at = 0;
        while at < self.count {
            let old = self.parts[at];
            if !old.touches(new) {
                at += 1;
                continue;
            }
            new.from = new.from.min(old.from);
            new.to = new.to.max(old.to);
            self.parts.copy_within(at + 1..self.count, at);
            self.count -= 1;
            place = place.min(at);
            // It has grown: one that it passed may touch it now.
            at = 0;
        }
        self.parts.copy_within(place..self.count, place + 1);
        self.parts[place] = new;
        self.count += 1;
    }
}

/// Reads the value of a `Range` field for a body of this length.
#[cold]
pub(super) fn wanted(value: &[u8], length: u64) -> Wanted {
    let Some(set) = byte_ranges(value) else {
        return Wanted::All;
    };
    let mut parts = Parts::default();
    let mut asked = 0;
    // Elements that are empty are none (5.6.1.2).
    let specs = set.split(|b| *b == b',').map(<[u8]>::trim_ascii);
    for spec in specs.filter(|spec| !spec.is_empty()) {
        asked += 1;
        match part(spec, length) {
            _ if asked > MOST => return Wanted::All,
            Err(Malformed) => return Wanted::All,
            Ok(None) => {}
            Ok(Some(part)) => parts.add(part),
        }
    }
    match parts.count {
        0 if asked > 0 => Wanted::Nothing,
        // The end of nothing can be asked for, and has no range.
        1 if parts.parts[0].len() == 0 => Wanted::All,
        0 => Wanted::All,
        _ => Wanted::Parts(parts),
    }
}

/// What follows `bytes=`. Other units there are not (14.1).
fn byte_ranges(value: &[u8]) -> Option<&[u8]> {
    let (unit, set) = value.split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(set)
}

struct Malformed;

/// One range (14.1.2): `from-to`, `from-` or `-count`; nothing if the body has no such bytes.
fn part(spec: &[u8], length: u64) -> Result<Option<Part>, Malformed> {
    let dash = spec.iter().position(|b| *b == b'-').ok_or(Malformed)?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        let count = number(last).ok_or(Malformed)?;
        let from = length.saturating_sub(count);
        return Ok((count > 0).then_some(Part { from, to: length }));
    }
    let from = number(first).ok_or(Malformed)?;
    let last = match last {
        b"" => u64::MAX,
        last => number(last).ok_or(Malformed)?,
    };
    if last < from {
        return Err(Malformed);
    }
    let to = last.saturating_add(1).min(length);
    Ok((from < length).then_some(Part { from, to }))
}

/// Digits; what is too large is as large as can be.
fn number(digits: &[u8]) -> Option<u64> {
    let well = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let next = |n: u64, digit: &u8| n.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    well.then(|| digits.iter().fold(0, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// `a-b` with both ends in it, as in `Content-Range`.
    fn parts(value: &str, length: u64) -> String {
        match wanted(value.as_bytes(), length) {
            Wanted::All => "all".into(),
            Wanted::Nothing => "nothing".into(),
            Wanted::Parts(parts) => {
                let parts = parts.as_slice().iter();
                let parts = parts.map(|p| std::format!("{}-{}", p.from, p.to - 1));
                parts.collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn what_is_asked_for() {
        for (value, expected) in [
            ("bytes=0-0", "0-0"),
            ("bytes=0-499", "0-99"),
            ("bytes=50-", "50-99"),
            ("bytes=-1", "99-99"),
            ("bytes=-1000", "0-99"),
            ("Bytes=1-2", "1-2"),
            ("bytes= 1-2 , 4-5 ", "1-2 4-5"),
            ("bytes=,1-2,,", "1-2"),
            ("bytes=007-8", "7-8"),
            ("bytes=99-99999999999999999999999999", "99-99"),
            // In the order that was asked for; what touches is one.
            ("bytes=90-,0-1", "90-99 0-1"),
            ("bytes=0-9,10-19", "0-19"),
            ("bytes=0-9,11-19", "0-9 11-19"),
            ("bytes=0-9,20-29,5-24", "0-29"),
            ("bytes=20-29,0-9,15-22,8-14", "0-29"),
            ("bytes=50-59,0-9,70-79,55-75", "50-79 0-9"),
            ("bytes=100-,1-2", "1-2"),
            ("bytes=-0,1-2", "1-2"),
            // Nothing that there is.
            ("bytes=100-", "nothing"),
            ("bytes=100-200,300-", "nothing"),
            ("bytes=-0", "nothing"),
            ("bytes=99999999999999999999999999-", "nothing"),
            // Nothing that is understood.
            ("bytes=2-1", "all"),
            ("bytes=1-2,2-1", "all"),
            ("bytes=100-,x", "all"),
            ("bytes=", "all"),
            ("bytes=,", "all"),
            ("bytes=-", "all"),
            ("bytes=1", "all"),
            ("bytes=1-2-3", "all"),
            ("bytes=--1", "all"),
            ("bytes=+1-2", "all"),
            ("bytes=1 -2", "all"),
            ("bytes = 1-2", "all"),
            ("bytes:1-2", "all"),
            ("lines=1-2", "all"),
            ("1-2", "all"),
            ("", "all"),
        ] {
            assert_eq!(parts(value, 100), expected, "{value}");
        }
    }

    #[test]
    fn the_empty_body() {
        assert_eq!(parts("bytes=0-", 0), "nothing");
        assert_eq!(parts("bytes=-0", 0), "nothing");
        assert_eq!(parts("bytes=-1", 0), "all");
    }

    #[test]
    fn too_many() {
        let list = |n: u64| {
            let list: Vec<_> = (0..n)
                .map(|i| std::format!("{}-{}", 2 * i, 2 * i))
                .collect();
            std::format!("bytes={}", list.join(","))
        };
        let most = parts(&list(MOST as u64), 100);
        assert_eq!(most.split(' ').count(), MOST);
        assert_eq!(parts(&list(MOST as u64 + 1), 100), "all");
        assert_eq!(parts(&std::format!("{},3000-", list(16)), 100), "all");
    }

    proptest! {
        /// Every byte that is asked for is in exactly one part, and parts have room between them.
        #[test]
        fn parts_are_what_was_asked_for(
            asked in prop::collection::vec((0..60_u64, 0..60_u64), 1..=MOST),
            length in 1..50_u64,
        ) {
            let texts: Vec<_> = asked.iter().map(|(a, b)| std::format!("{}-{}", a.min(b), a.max(b))).collect();
            let value = std::format!("bytes={}", texts.join(","));
            let inside = |at: u64| asked.iter().any(|(a, b)| (*a.min(b)..=*a.max(b)).contains(&at));
            let expected: Vec<_> = (0..length).filter(|at| inside(*at)).collect();
            match wanted(value.as_bytes(), length) {
                Wanted::All => prop_assert!(false, "{}", value),
                Wanted::Nothing => prop_assert!(expected.is_empty()),
                Wanted::Parts(parts) => {
                    let parts = parts.as_slice();
                    let mut got: Vec<_> = parts.iter().flat_map(|p| p.from..p.to).collect();
                    got.sort_unstable();
                    prop_assert_eq!(got, expected);
                    for (i, part) in parts.iter().enumerate() {
                        prop_assert!(part.len() > 0);
                        prop_assert!(parts[i + 1..].iter().all(|other| !part.touches(*other)));
                    }
                }
            }
        }

        #[test]
        fn no_value_panics(value in "(bytes=)?[-0-9, x]{0,60}", length: u64) {
            if let Wanted::Parts(parts) = wanted(value.as_bytes(), length) {
                prop_assert!(parts.as_slice().iter().all(|p| p.from < p.to && p.to <= length));
            }
        }
    }
}
