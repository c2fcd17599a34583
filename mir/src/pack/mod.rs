//! A rendered site as a pack: compresses what is worth it and writes the archive.

mod cache;

use std::io::Write;

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use www::pack::{Page, WriteError, Writer};

use crate::site::{Item, Rendered};
use crate::{media, parallel};

pub use cache::Cache;

/// Brotli's best quality saves a tenth against the next and takes ten times as long: for bodies up
/// to this size, of sites whose texts have up to that size together.
const BEST_UP_TO: usize = 1 << 20;
const BEST_IN_SITES_UP_TO: usize = 16 << 20;

/// Writes a site as a pack. The same site gives the same bytes, with a cache or without.
pub fn pack(site: Rendered, cache: &Cache) -> Result<Vec<u8>, WriteError> {
    let mut writer = Writer::new();
    let texts = site
        .items
        .iter()
        .filter(|item| media::compressible(item.media_type));
    let effort = match texts.map(|item| item.body.len()).sum::<usize>() {
        ..=BEST_IN_SITES_UP_TO => Effort::Best,
        _ => Effort::Good,
    };
    let page = |item: Item| (item.path.clone(), compress(item, effort, cache));
    for (path, page) in parallel::map(site.items, page) {
        writer.page(&path, page)?;
    }
    if let Some(item) = site.not_found {
        writer.not_found(compress(item, effort, cache))?;
    }
    for redirect in site.redirects {
        writer.redirect(&redirect.path, 301, &redirect.location)?;
    }
    writer.finish(|content| Sha256::digest(content).into())
}

/// How hard to try. It follows from the site alone, so the same site gives the same bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    Best,
    Good,
}

fn compress(item: Item, effort: Effort, cache: &Cache) -> Page {
    let body = item.body;
    let (gzip, br) = if media::compressible(item.media_type) {
        (
            cache.get_or("gzip-9", &body, gzip),
            match effort {
                Effort::Best if body.len() <= BEST_UP_TO => {
                    cache.get_or("br-11", &body, |body| brotli(body, 11))
                }
                _ => cache.get_or("br-9", &body, |body| brotli(body, 9)),
            },
        )
    } else {
        (None, None)
    };
    Page {
        media_type: item.media_type.to_owned(),
        modified: Some(item.modified),
        body,
        gzip,
        br,
        headers: Vec::new(),
    }
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    // Neither a time nor the name of an operating system: the same bytes everywhere.
    let mut encoder = GzBuilder::new()
        .operating_system(255)
        .write(Vec::new(), Compression::best());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn brotli(body: &[u8], quality: i32) -> Option<Vec<u8>> {
    // A window larger than the body only makes tables larger.
    let window = usize::BITS - body.len().leading_zeros() + 1;
    let params = brotli::enc::BrotliEncoderParams {
        quality,
        lgwin: window.clamp(16, 22) as i32,
        size_hint: body.len(),
        ..Default::default()
    };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &*body, &mut out, &params).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn text(len: usize) -> Vec<u8> {
        b"All that is served was packed. "
            .iter()
            .copied()
            .cycle()
            .take(len)
            .collect()
    }

    #[test]
    fn both_encodings_hold_the_body() {
        for len in [0, 256, 70_000, BEST_UP_TO + 1] {
            let body = text(len);
            let mut back = Vec::new();
            let packed = gzip(&body).unwrap();
            flate2::read::GzDecoder::new(&*packed)
                .read_to_end(&mut back)
                .unwrap();
            assert_eq!(back, body);
            for quality in [9, 11] {
                back.clear();
                let packed = brotli(&body, quality).unwrap();
                let mut reader = brotli::Decompressor::new(&*packed, 4096);
                reader.read_to_end(&mut back).unwrap();
                assert_eq!(back, body);
            }
        }
    }

    #[test]
    fn what_does_not_pay_is_left_out() {
        let noise: Vec<u8> = (0..64_u8)
            .flat_map(|n| Sha256::digest([n]).to_vec())
            .collect();
        let item = |path: &str, media_type, body| Item {
            path: path.to_owned(),
            media_type,
            modified: 0,
            body,
        };
        let items = vec![
            item("/image", "image/png", text(5000)),
            item("/noise", media::HTML, noise),
            item("/small", media::HTML, text(100)),
            item("/text", media::HTML, text(5000)),
        ];
        let site = Rendered {
            items,
            ..Rendered::default()
        };
        let bytes = pack(site, &Cache::none()).unwrap();
        let pack = www::pack::Pack::load(&bytes).unwrap();
        let variants: Vec<_> = pack.entries().map(|entry| entry.variants().len()).collect();
        assert_eq!(variants, [1, 1, 1, 3]);
    }
}
