//! Content codings, and what a client accepts of them.

/// A content coding that we serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// As it is.
    Identity = 0,
    /// gzip, RFC 1952.
    Gzip = 1,
    /// Brotli, RFC 7932.
    Br = 2,
}

impl Encoding {
    /// All of them; where a client does not care, the later is the better.
    pub const ALL: [Self; 3] = [Self::Identity, Self::Gzip, Self::Br];

    /// Its name in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Br => "br",
        }
    }
}

/// How much a client wants each [`Encoding`]: its `Accept-Encoding`, in thousandths. Zero is "not
/// acceptable".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept([u16; 3]);

impl Accept {
    /// What a client accepts that sends no `Accept-Encoding`. It may be sent anything, by the
    /// letter; what it surely understands is the identity.
    pub const IDENTITY: Self = Self([1, 0, 0]);

    /// Reads the value of an `Accept-Encoding` field (RFC 9110, 12.5.3). Elements that are not
    /// well-formed are passed over.
    pub fn parse(value: &[u8]) -> Self {
        let mut named = Named::default();
        named.add(value);
        named.accept()
    }

    /// The weight of one encoding, 0 to 1001.
    pub fn weight(self, encoding: Encoding) -> u16 {
        self.0[encoding as usize]
    }
}

/// `Accept-Encoding` as it is gathered from a message that may have several such fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named {
    weights: [Option<u16>; 3],
    any: Option<u16>,
}

impl Named {
    /// Takes in one more field value.
    pub fn add(&mut self, value: &[u8]) {
        for element in value.split(|b| *b == b',') {
            let mut parts = element.split(|b| *b == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let mut weight = Some(1000);
            for part in parts {
                weight = match part.trim_ascii() {
                    [b'q' | b'Q', b'=', q @ ..] => thousandths(q),
                    _ => None,
                };
            }
            let Some(weight) = weight else { continue };
            let slot = if name.eq_ignore_ascii_case(b"br") {
                &mut self.weights[Encoding::Br as usize]
            } else if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
                &mut self.weights[Encoding::Gzip as usize]
            } else if name.eq_ignore_ascii_case(b"identity") {
                &mut self.weights[Encoding::Identity as usize]
            } else if name == b"*" {
                &mut self.any
            } else {
                continue;
            };
            *slot = Some(weight);
        }
    }

    /// What it comes to.
    pub fn accept(&self) -> Accept {
        let [identity, gzip, br] = self.weights;
        // Named weights are moved up by one: an identity that is not named is acceptable, and comes
        // after all that are.
        let of = |w: Option<u16>| w.or(self.any).map(|w| w + u16::from(w > 0));
        Accept([
            of(identity).unwrap_or(1),
            of(gzip).unwrap_or(0),
            of(br).unwrap_or(0),
        ])
    }
}

/// A qvalue in thousandths: `0`, `0.5`, `1.000`.
fn thousandths(q: &[u8]) -> Option<u16> {
    let (whole, fraction) = match q {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut value = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    let mut unit = 100;
    for digit in fraction {
        if !digit.is_ascii_digit() {
            return None;
        }
        value += u16::from(digit - b'0') * unit;
        unit /= 10;
    }
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn order(value: &str) -> [u16; 3] {
        Accept::parse(value.as_bytes()).0
    }

    #[test]
    fn what_browsers_send() {
        assert_eq!(order("gzip, deflate, br, zstd"), [1, 1001, 1001]);
        assert_eq!(order(""), [1, 0, 0]);
        assert_eq!(order("identity"), [1001, 0, 0]);
        assert_eq!(order("gzip;q=0.5"), [1, 501, 0]);
        assert_eq!(order("GZIP ; Q=0.5 , br; q=0"), [1, 501, 0]);
    }

    #[test]
    fn refusing_the_identity() {
        assert_eq!(order("identity;q=0"), [0, 0, 0]);
        assert_eq!(order("*;q=0"), [0, 0, 0]);
        assert_eq!(order("*;q=0, gzip"), [0, 1001, 0]);
        assert_eq!(order("identity;q=0, *"), [0, 1001, 1001]);
        assert_eq!(order("*"), [1001, 1001, 1001]);
        assert_eq!(order("br;q=0.001, *;q=0"), [0, 0, 2]);
    }

    #[test]
    fn nonsense_is_passed_over() {
        assert_eq!(order("gzip;q=2, br;q=0.0001, identity;level=1"), [1, 0, 0]);
        assert_eq!(order(",,;;=,gzip;q="), [1, 0, 0]);
        assert_eq!(order("gzip;q=1.001"), [1, 0, 0]);
    }

    proptest! {
        #[test]
        fn nothing_panics(value: Vec<u8>) {
            let accept = Accept::parse(&value);
            prop_assert!(accept.0.iter().all(|w| *w <= 1001));
        }
    }
}
