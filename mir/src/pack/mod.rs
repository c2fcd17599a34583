//! A rendered site as a pack: compresses what is worth it and writes the archive.

mod cache;
mod csp;
mod policy;

use std::io::Write;

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use www::pack::names::Part;
use www::pack::{NewVolume, Page, WriteError, Writer};

use crate::site::{Item, Redirect, Rendered};
use crate::{media, parallel};

pub use cache::Cache;
pub use policy::{HeaderRule, hashed, headers, redirect_headers, set, unhashed};

/// Brotli's best quality saves a tenth against the next and takes ten times as long: for bodies up
/// to this size, of sites whose texts have up to that size together.
const BEST_UP_TO: usize = 1 << 20;
const BEST_IN_SITES_UP_TO: u64 = 16 << 20;

/// Writes a site as a pack. The same site gives the same bytes, with a cache or without.
pub fn pack(site: Rendered, cache: &Cache) -> Result<Vec<u8>, WriteError> {
    let effort = Effort::of(site.text_bytes);
    writer(site, effort, cache)?.finish(digest)
}

/// A site as it goes on two volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volumes {
    /// The static files.
    pub files: NewVolume,
    /// What was rendered, with the redirects and the page for missing paths.
    pub pages: NewVolume,
}

/// Makes of a site the files of its two volumes and their manifests. What they answer together is
/// what the pack of the same site answers.
pub fn volumes(mut site: Rendered, cache: &Cache) -> Result<Volumes, WriteError> {
    let effort = Effort::of(site.text_bytes);
    let (pages, files) = site.items.into_iter().partition(|item| item.rendered);
    site.items = pages;
    let files = Rendered {
        items: files,
        assets: std::mem::take(&mut site.assets),
        headers: site.headers.clone(),
        ..Rendered::default()
    };
    let volume = |part, site| writer(site, effort, cache)?.finish_volume(part, digest);
    Ok(Volumes {
        files: volume(Part::Files, files)?,
        pages: volume(Part::Pages, site)?,
    })
}

fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn writer(site: Rendered, effort: Effort, cache: &Cache) -> Result<Writer, WriteError> {
    let mut writer = Writer::new();
    let rules = &site.headers;
    let made = |item: Item| (item.path.clone(), page(item, rules, effort, cache));
    let items = site.items.into_iter().chain(site.assets).collect();
    for (path, page) in parallel::map(items, made) {
        writer.page(&path, page)?;
    }
    for Redirect { from, to, status } in site.redirects {
        if status == 410 {
            let page = page(gone(&from, site.not_found.as_ref()), rules, effort, cache);
            writer.gone(&from, page)?;
        } else {
            let headers = redirect_headers(rules, &from, status);
            writer.redirect(&from, status, &to, &headers)?;
        }
    }
    if let Some(item) = site.not_found {
        writer.not_found(page(item, rules, effort, cache))?;
    }
    Ok(writer)
}

/// What is shown where there was a page: what is shown where there never was one.
pub fn gone(path: &str, not_found: Option<&Item>) -> Item {
    let path = path.to_owned();
    match not_found {
        Some(item) => Item {
            path,
            ..item.clone()
        },
        None => Item {
            path,
            media_type: media::of("gone.txt"),
            rendered: true,
            modified: 0,
            body: b"gone\n".to_vec(),
        },
    }
}

/// How hard to try. It follows from the site alone, so the same site gives the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For sites of a usual size.
    Best,
    /// For sites that would take minutes.
    Good,
}

impl Effort {
    /// That for a site with texts of so many bytes in its folder.
    pub fn of(text_bytes: u64) -> Self {
        match text_bytes {
            ..=BEST_IN_SITES_UP_TO => Self::Best,
            _ => Self::Good,
        }
    }
}

/// One item as it goes into a pack, with its encodings if it is of a kind that shrinks.
pub fn page(item: Item, rules: &[HeaderRule], effort: Effort, cache: &Cache) -> Page {
    let headers = headers(rules, &item.path, item.media_type, &item.body);
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
        headers,
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
            rendered: true,
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

    /// Both volumes together are the pack: the same heads for the same paths.
    #[test]
    fn two_volumes_are_one_site() {
        let item = |path: &str, media_type, rendered, body| Item {
            path: path.to_owned(),
            media_type,
            rendered,
            modified: 784_111_777,
            body,
        };
        let site = || Rendered {
            items: vec![
                item("/", media::HTML, true, text(5000)),
                item("/blog", media::HTML, true, text(4000)),
                item("/blog/a", media::HTML, true, text(300)),
                item("/logo.png", "image/png", false, text(70)),
                item("/old.html", media::HTML, false, text(600)),
            ],
            not_found: Some(item("/404", media::HTML, true, text(900))),
            redirects: vec![
                Redirect {
                    from: "/weblog".to_owned(),
                    to: "/blog".to_owned(),
                    status: 308,
                },
                Redirect {
                    from: "/gone".to_owned(),
                    to: String::new(),
                    status: 410,
                },
            ],
            ..Rendered::default()
        };
        let volumes = volumes(site(), &Cache::none()).unwrap();
        let names = |volume: &NewVolume| {
            let names = volume.files.iter().map(|file| file.name.clone());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            names(&volumes.files),
            "logo.png old.html old.html.br old.html.gz"
        );
        let pages = "404.html 404.html.br 404.html.gz blog.html blog.html.br blog.html.gz \
                     blog/a.html blog/a.html.br blog/a.html.gz gone.html \
                     gone.html.br gone.html.gz index.html index.html.br \
                     index.html.gz";
        assert_eq!(names(&volumes.pages), pages);
        let bytes = pack(site(), &Cache::none()).unwrap();
        let whole = www::pack::Pack::load(&bytes).unwrap();
        let loaded = [&volumes.files, &volumes.pages]
            .map(|volume| www::pack::Pack::load_manifest(&volume.manifest.body).unwrap());
        for entry in whole.entries() {
            let found = loaded
                .iter()
                .filter_map(|p| p.find(entry.path().as_bytes()));
            let found: Vec<_> = found.collect();
            assert_eq!(found.len(), 1, "{}", entry.path());
            let heads = |e: &www::pack::Entry<'_>| {
                let heads = e.variants().map(|v| [v.head, v.not_modified].concat());
                heads.collect::<Vec<_>>()
            };
            assert_eq!(heads(&found[0]), heads(&entry), "{}", entry.path());
        }
        let missing = |pack: &www::pack::Pack<'_>| {
            pack.not_found()
                .map(|e| e.variants().map(|v| v.head.to_vec()).collect::<Vec<_>>())
        };
        assert_eq!(missing(&loaded[1]), missing(&whole));
        assert_eq!(missing(&loaded[0]), None);
    }
}
