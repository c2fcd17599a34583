//! What answers for one path, ready to be sent as from a pack, but by itself: for stores that make
//! pages when they are asked for. The writer makes its entries of the same.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use twox_hash::XxHash3_64;

use super::head::Head;
use super::write::{Page, WriteError, check_fields, check_location, check_page, is_worth};
use crate::date;
use crate::encoding::{Accept, Encoding};

/// What answers for one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// 200, 301, 302, 307, 308, 404, 410 or 500.
    pub status: u16,
    /// When it was last modified, in seconds since 1970.
    pub modified: Option<u64>,
    /// Its encodings, the identity first.
    pub variants: Vec<MadeVariant>,
}

/// One encoding of it: as [`Variant`](super::Variant), but with bytes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeVariant {
    /// Which one.
    pub encoding: Encoding,
    /// Its strong entity tag with the quotes; empty unless the status is 200.
    pub etag: String,
    /// Status line and header lines, without `Date`, `Connection` and the empty line.
    pub head: Vec<u8>,
    /// The same for a 304; empty unless the status is 200.
    pub not_modified: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Made {
    /// A page with the status 200; with 404, what answers for missing paths; with 410, for one that is
    /// gone; with 500, for a page that is broken.
    pub fn page(status: u16, page: Page) -> Result<Self, WriteError> {
        check_page(&page)?;
        match status {
            200 | 404 | 410 | 500 => Ok(Self::new(status, page, &[])),
            other => Err(WriteError::Status(other)),
        }
    }

    /// A redirect, as [`Writer::redirect`](super::Writer::redirect) has it.
    pub fn redirect(
        status: u16,
        location: &str,
        headers: &[(String, String)],
    ) -> Result<Self, WriteError> {
        check_location(status, location)?;
        check_fields(headers)?;
        Ok(Self::to(status, location, headers))
    }

    /// The variant that this client likes best; `None` if it accepts none that there is. Where it
    /// does not care, br, then gzip, then the identity.
    pub fn pick(&self, accept: Accept) -> Option<usize> {
        // A redirect has no content that could be encoded.
        let accept = match self.status / 100 {
            3 => Accept::IDENTITY,
            _ => accept,
        };
        let weights = self.variants.iter().map(|v| accept.weight(v.encoding));
        // Of equals, the last.
        let best = weights.enumerate().filter(|(_, weight)| *weight > 0);
        best.max_by_key(|(_, weight)| *weight).map(|(at, _)| at)
    }

    /// A page that was checked, of a site that adds `headers` to all of them.
    pub(super) fn new(status: u16, page: Page, headers: &[(String, String)]) -> Self {
        let extra: Vec<_> = headers.iter().chain(&page.headers).map(field).collect();
        let modified = page.modified.map(|m| m.min(date::MAX));
        let plain = page.body.len();
        let hash = XxHash3_64::oneshot(&page.body);
        let bodies = [Some(page.body), page.gzip, page.br];
        let kept = Encoding::ALL
            .into_iter()
            .zip(bodies)
            .filter_map(|(encoding, body)| {
                let body = body?;
                let worth = encoding == Encoding::Identity || is_worth(plain, body.len());
                worth.then_some((encoding, body))
            });
        let kept: Vec<_> = kept.collect();
        let varies = kept.len() > 1;
        let variants = kept.into_iter().map(|(encoding, body)| {
            let etag = match (status, encoding) {
                (200, Encoding::Identity) => format!("\"{hash:016x}\""),
                // What is encoded otherwise is another representation, with another strong tag.
                (200, other) => format!("\"{hash:016x}-{}\"", other.name()),
                _ => String::new(),
            };
            let head = Head {
                status,
                media_type: &page.media_type,
                length: body.len(),
                etag: &etag,
                modified: modified.filter(|_| status == 200),
                encoding,
                varies,
                location: "",
                extra: &extra,
            };
            MadeVariant {
                encoding,
                head: head.full(),
                not_modified: match status {
                    200 => head.not_modified(),
                    _ => Vec::new(),
                },
                etag,
                body,
            }
        });
        Self {
            status,
            modified,
            variants: variants.collect(),
        }
    }

    /// A redirect that was checked.
    pub(super) fn to(status: u16, location: &str, headers: &[(String, String)]) -> Self {
        let extra: Vec<_> = headers.iter().map(field).collect();
        let head = Head {
            status,
            media_type: "",
            length: 0,
            etag: "",
            modified: None,
            encoding: Encoding::Identity,
            varies: false,
            location,
            extra: &extra,
        };
        Self {
            status,
            modified: None,
            variants: vec![MadeVariant {
                encoding: Encoding::Identity,
                etag: String::new(),
                head: head.full(),
                not_modified: Vec::new(),
                body: Vec::new(),
            }],
        }
    }
}

fn field((name, value): &(String, String)) -> (&str, &str) {
    (name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{Pack, Writer};
    use alloc::borrow::ToOwned;

    fn page() -> Page {
        Page {
            media_type: "text/plain".to_owned(),
            modified: Some(784_111_777),
            body: vec![b'a'; 1000],
            gzip: Some(vec![1; 100]),
            br: Some(vec![2; 990]),
            headers: vec![("Cache-Control".to_owned(), "no-cache".to_owned())],
        }
    }

    #[test]
    fn what_is_made_is_what_a_pack_has() {
        let mut writer = Writer::new();
        writer.page("/a", page()).unwrap();
        let kept = [("Cache-Control".to_owned(), "max-age=60".to_owned())];
        writer.redirect("/b", 301, "/a", &kept).unwrap();
        writer.gone("/c", page()).unwrap();
        writer.not_found(page()).unwrap();
        let bytes = writer.finish(|_| [0; 32]).unwrap();
        let pack = Pack::load(&bytes).unwrap();
        let cases = [
            (pack.find(b"/a"), Made::page(200, page())),
            (pack.find(b"/b"), Made::redirect(301, "/a", &kept)),
            (pack.find(b"/c"), Made::page(410, page())),
            (pack.not_found(), Made::page(404, page())),
        ];
        for (entry, made) in cases {
            let (entry, made) = (entry.unwrap(), made.unwrap());
            assert_eq!(
                (entry.status(), entry.variants().len()),
                (made.status, made.variants.len())
            );
            for (one, two) in entry.variants().zip(&made.variants) {
                assert_eq!(one.encoding, two.encoding);
                assert_eq!(one.etag, two.etag.as_bytes());
                assert_eq!(one.head, two.head);
                assert_eq!(one.not_modified, two.not_modified);
                assert_eq!(one.body.here(), Some(&two.body[..]));
            }
            for accept in [
                "",
                "gzip",
                "br, gzip",
                "identity;q=0",
                "*;q=0",
                "gzip;q=0.1",
            ] {
                let accept = Accept::parse(accept.as_bytes());
                let of_pack = entry.pick(match entry.status() {
                    301 => Accept::IDENTITY,
                    _ => accept,
                });
                let picked = made.pick(accept).map(|at| made.variants[at].encoding);
                assert_eq!(picked, of_pack.map(|variant| variant.encoding));
            }
        }
    }

    #[test]
    fn a_broken_page_says_so() {
        let made = Made::page(500, page()).unwrap();
        let head = &made.variants[0].head;
        assert!(
            head.starts_with(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\n")
        );
        assert_eq!(made.variants[0].etag, "");
        assert_eq!(Made::page(201, page()), Err(WriteError::Status(201)));
        assert_eq!(
            Made::redirect(301, "a b", &[]),
            Err(WriteError::Location("a b".to_owned()))
        );
    }
}
