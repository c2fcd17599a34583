use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use twox_hash::XxHash3_64;

use super::names::Part;
use super::*;
use crate::encoding::{Accept, Encoding};

fn page(media_type: &str, body: &[u8]) -> Page {
    Page {
        media_type: media_type.into(),
        body: body.to_vec(),
        ..Page::default()
    }
}

fn small() -> Writer {
    let mut writer = Writer::new();
    writer.header("X-Content-Type-Options", "nosniff").unwrap();
    let mut index = page("text/html; charset=utf-8", &[b'a'; 200]);
    index.modified = Some(784_111_777);
    index.gzip = Some(b"gz".to_vec());
    index.br = Some(b"br".to_vec());
    index.headers = vec![("Cache-Control".into(), "max-age=60".into())];
    writer.page("/", index).unwrap();
    writer
        .page("/über.txt", page("text/plain", b"hi\n"))
        .unwrap();
    writer.redirect("/old", 301, "/%C3%BCber.txt", &[]).unwrap();
    writer
        .not_found(page("text/plain", b"nothing here\n"))
        .unwrap();
    writer.key("title", b"A site").unwrap();
    writer
}

fn bytes() -> Vec<u8> {
    small().finish(|_| [7; 32]).unwrap()
}

/// The pack with a change that its hash knows of.
fn altered(at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = bytes();
    bytes[at] = byte;
    rehash(bytes)
}

fn rehash(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 8;
    let hash = XxHash3_64::oneshot(&bytes[..end]);
    bytes[end..].copy_from_slice(&hash.to_le_bytes());
    bytes
}

fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap()
}

#[test]
fn what_goes_in_comes_out() {
    let bytes = bytes();
    let pack = Pack::load(&bytes).unwrap();
    assert_eq!(pack.id(), &[7; 32]);
    assert_eq!(pack.size(), bytes.len() as u64);
    assert_eq!(pack.key("title"), Some(&b"A site"[..]));
    assert_eq!(pack.key("titl"), None);
    let paths: Vec<_> = pack.entries().map(|e| e.path()).collect();
    assert_eq!(paths, ["/", "/old", "/über.txt"]);

    let index = pack.find(b"/").unwrap();
    assert_eq!(index.status(), 200);
    assert_eq!(index.media_type(), "text/html; charset=utf-8");
    assert_eq!(index.modified(), Some(784_111_777));
    let best = index.pick(Accept::parse(b"gzip, br")).unwrap();
    assert_eq!(
        (best.encoding, best.body),
        (Encoding::Br, Body::Here(b"br"))
    );
    let hash = XxHash3_64::oneshot(&[b'a'; 200]);
    assert_eq!(
        text(best.head),
        std::format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 2\r\n\
             Content-Encoding: br\r\nETag: \"{hash:016x}-br\"\r\nVary: Accept-Encoding\r\n\
             Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Accept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\nCache-Control: max-age=60\r\n"
        )
    );
    assert_eq!(
        text(best.not_modified),
        std::format!(
            "HTTP/1.1 304 Not Modified\r\nETag: \"{hash:016x}-br\"\r\nVary: Accept-Encoding\r\n\
             Cache-Control: max-age=60\r\n"
        )
    );
    assert_eq!(
        index.pick(Accept::parse(b"br;q=0.5, gzip")).unwrap().body,
        Body::Here(b"gz")
    );
    assert_eq!(
        index.pick(Accept::IDENTITY).unwrap().body,
        Body::Here(&[b'a'; 200])
    );
    assert_eq!(index.pick(Accept::parse(b"*;q=0")), None);

    let moved = pack.find(b"/old").unwrap();
    let variant = moved.pick(Accept::IDENTITY).unwrap();
    assert_eq!(moved.location(), "/%C3%BCber.txt");
    assert_eq!(
        text(variant.head),
        "HTTP/1.1 301 Moved Permanently\r\nLocation: /%C3%BCber.txt\r\nContent-Length: 0\r\n"
    );
    assert_eq!(variant.not_modified, b"");

    let missing = pack.not_found().unwrap();
    assert_eq!(missing.status(), 404);
    assert_eq!(
        missing.pick(Accept::IDENTITY).unwrap().body,
        Body::Here(b"nothing here\n")
    );
    assert!(pack.find(b"").is_none());
    assert!(pack.find(b"/nope").is_none());
    assert!(pack.find("/über.txt".as_bytes()).is_some());
}

#[test]
fn what_moved_and_what_is_gone() {
    let mut writer = Writer::new();
    let kept = [("Cache-Control".into(), "max-age=60".into())];
    writer.redirect("/now", 307, "/then", &kept).unwrap();
    let gone = || page("text/html", &[b'g'; 500]);
    writer.gone("/gone", gone()).unwrap();
    writer.gone("/gone/", gone()).unwrap();
    writer.not_found(gone()).unwrap();
    let bytes = writer.finish(|_| [0; 32]).unwrap();
    // The same body stands there once.
    assert!(bytes.len() < 2000, "{}", bytes.len());
    let pack = Pack::load(&bytes).unwrap();
    let now = pack.find(b"/now").unwrap();
    assert_eq!((now.status(), now.location()), (307, "/then"));
    let head = now.variants().next().unwrap().head;
    assert_eq!(
        text(head),
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: /then\r\nContent-Length: 0\r\n\
         Cache-Control: max-age=60\r\n"
    );
    for path in ["/gone", "/gone/"] {
        let entry = pack.find(path.as_bytes()).unwrap();
        let variant = entry.variants().next().unwrap();
        assert_eq!((entry.status(), variant.etag), (410, &b""[..]));
        assert!(variant.head.starts_with(b"HTTP/1.1 410 Gone\r\n"));
        assert_eq!(variant.body, Body::Here(&[b'g'; 500]));
    }
    let date = [("Date".into(), "now".into())];
    assert_eq!(
        Writer::new().redirect("/a", 301, "/b", &date),
        Err(WriteError::Field("Date".into()))
    );
}

#[test]
fn an_empty_site_is_a_pack() {
    let bytes = Writer::new().finish(|_| [0; 32]).unwrap();
    let pack = Pack::load(&bytes).unwrap();
    assert!(pack.find(b"/").is_none());
    assert!(pack.not_found().is_none());
    assert_eq!(pack.entries().len(), 0);
}

/// The bytes themselves: a change of the format shows here, and wants a new [`VERSION`].
#[test]
fn golden_bytes() {
    let bytes = small().finish(|content| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&XxHash3_64::oneshot(content).to_le_bytes());
        id
    });
    let bytes = bytes.unwrap();
    let header: String = bytes[..128]
        .iter()
        .map(|b| std::format!("{b:02x}"))
        .collect();
    assert_eq!(header, std::format!("{GOLDEN_HEADER:0<256}"));
    assert_eq!(XxHash3_64::oneshot(&bytes), GOLDEN_HASH);
    // "/" hashes to a slot, which names entry 0 as 1.
    let hash = XxHash3_64::oneshot(b"/");
    let slot = 128 + 8 * (hash as usize & 7);
    assert_eq!(bytes[slot..slot + 4], ((hash >> 32) as u32).to_le_bytes());
    assert_eq!(bytes[slot + 4..slot + 8], [1, 0, 0, 0]);
}

const GOLDEN_HEADER: &str = "894d4952504b0d0a0300000080000000480b000000000000\
    29e3d1c423cc0d5c000000000000000000000000000000000000000000000000\
    08000000040000000600000003000000b00600004000000000020000";
const GOLDEN_HASH: u64 = 309373904315924093;

#[test]
fn bodies_are_aligned() {
    let bytes = bytes();
    let pack = Pack::load(&bytes).unwrap();
    for variant in pack
        .entries()
        .flat_map(|e| e.variants())
        .filter(|v| !v.body.is_empty())
    {
        let at = variant.body.here().unwrap().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(at % 64, 0);
    }
}

#[test]
fn order_of_writing_does_not_matter() {
    let mut writer = Writer::new();
    writer.key("title", b"A site").unwrap();
    writer
        .not_found(page("text/plain", b"nothing here\n"))
        .unwrap();
    writer.redirect("/old", 301, "/%C3%BCber.txt", &[]).unwrap();
    writer
        .page("/über.txt", page("text/plain", b"hi\n"))
        .unwrap();
    writer.header("X-Content-Type-Options", "nosniff").unwrap();
    let mut index = page("text/html; charset=utf-8", &[b'a'; 200]);
    index.modified = Some(784_111_777);
    index.gzip = Some(b"gz".to_vec());
    index.br = Some(b"br".to_vec());
    index.headers = vec![("Cache-Control".into(), "max-age=60".into())];
    writer.page("/", index).unwrap();
    assert_eq!(writer.finish(|_| [7; 32]).unwrap(), bytes());
}

#[test]
fn an_encoding_must_be_worth_it() {
    let mut writer = Writer::new();
    let with = |gzip: usize| Page {
        gzip: Some(vec![0; gzip]),
        ..page("a/b", &[1; 2000])
    };
    writer.page("/kept", with(1875)).unwrap();
    writer.page("/dropped", with(1876)).unwrap();
    writer
        .page(
            "/small",
            Page {
                gzip: Some(vec![0; 1]),
                ..page("a/b", &[1; 64])
            },
        )
        .unwrap();
    let bytes = writer.finish(|_| [0; 32]).unwrap();
    let pack = Pack::load(&bytes).unwrap();
    let variants = |path: &str| pack.find(path.as_bytes()).unwrap().variants().len();
    assert_eq!(
        (variants("/kept"), variants("/dropped"), variants("/small")),
        (2, 1, 1)
    );
    let alone = pack.find(b"/dropped").unwrap().variants().next().unwrap();
    assert!(!text(alone.head).contains("Vary"));
}

#[test]
fn what_cannot_be_written() {
    let mut writer = Writer::new();
    let ok = || page("text/plain", b"x");
    writer.page("/a", ok()).unwrap();
    assert_eq!(
        writer.page("/a", ok()),
        Err(WriteError::Duplicate("/a".into()))
    );
    assert_eq!(
        writer.redirect("/a", 301, "/b", &[]),
        Err(WriteError::Duplicate("/a".into()))
    );
    for path in [
        "", "a", "//", "/a//b", "/.", "/a/../b", "/a/..", "/a\n", "/\0", "/./",
    ] {
        assert_eq!(
            writer.page(path, ok()),
            Err(WriteError::Path(path.to_string())),
            "{path:?}"
        );
    }
    let long = "/".to_string() + &"a".repeat(MAX_PATH);
    assert_eq!(writer.page(&long, ok()), Err(WriteError::Path(long)));
    for kind in [
        "",
        "text",
        "text/",
        "text/plain\r\nX: y",
        " text/plain",
        "te xt/plain",
    ] {
        let refused = writer.page("/b", page(kind, b""));
        assert_eq!(
            refused,
            Err(WriteError::MediaType(kind.to_string())),
            "{kind:?}"
        );
    }
    for (name, value) in [
        ("", "x"),
        ("X Y", "x"),
        ("X:", "x"),
        ("X", "a\r\nY: b"),
        ("X", "a\n"),
        ("X", " a"),
        ("content-length", "5"),
        ("Date", "now"),
        ("Transfer-Encoding", "chunked"),
    ] {
        let field = Err(WriteError::Field(name.to_string()));
        assert_eq!(writer.header(name, value), field, "{name:?}: {value:?}");
        let mut with = ok();
        with.headers = vec![(name.into(), value.into())];
        assert_eq!(writer.page("/b", with), field);
    }
    for to in ["", "b", "/b c", "/b\r\nSet-Cookie: x", "/ü", "1http://x"] {
        assert_eq!(
            writer.redirect("/b", 302, to, &[]),
            Err(WriteError::Location(to.to_string()))
        );
    }
    assert_eq!(
        writer.redirect("/b", 303, "/a", &[]),
        Err(WriteError::Status(303))
    );
    writer
        .redirect("/b", 302, "https://example.org/", &[])
        .unwrap();
    writer.key("k", b"").unwrap();
    assert_eq!(writer.key("k", b""), Err(WriteError::Key("k".into())));
    assert_eq!(writer.key("", b""), Err(WriteError::Key("".into())));
}

fn refused(bytes: &[u8]) -> PackError {
    match Pack::load(bytes) {
        Ok(_) => panic!("loaded"),
        Err(e) => e,
    }
}

#[test]
fn refused_with_a_reason() {
    let bytes = bytes();
    let len = bytes.len();
    assert_eq!(refused(b""), PackError::NotAPack);
    assert_eq!(
        refused(&MAGIC),
        PackError::Length {
            expected: 136,
            found: 8
        }
    );
    let cut = PackError::Length {
        expected: len as u64,
        found: len as u64 - 1,
    };
    assert_eq!(refused(&bytes[..len - 1]), cut);
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(refused(&longer), PackError::Length { .. }));
    let mut other = bytes.clone();
    other[8] = 2;
    assert_eq!(
        refused(&other),
        PackError::Version {
            expected: 3,
            found: 2
        }
    );
    let mut other = bytes.clone();
    other[len / 2] ^= 1;
    assert_eq!(refused(&other), PackError::Altered);
    let mut other = bytes.clone();
    other[0] = b'M';
    assert_eq!(refused(&other), PackError::NotAPack);
    assert_eq!(refused(&other).to_string(), "this is no pack");
    assert_eq!(
        cut.to_string(),
        std::format!("the pack should have {len} bytes and has {}", len - 1)
    );
}

#[test]
fn every_cut_and_every_flip_is_refused() {
    let bytes = bytes();
    for end in 0..bytes.len() {
        refused(&bytes[..end]);
    }
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 0x10;
        refused(&other);
    }
}

/// A writer that lies, hash and all: whatever still loads must serve without a panic, and with
/// well-formed heads.
#[test]
fn lies_do_no_harm() {
    let bytes = bytes();
    for at in 0..bytes.len() - 8 {
        for byte in [0, b'\n', 0xff] {
            serves_well(&altered(at, byte));
        }
    }
    let len = bytes.len() as u32;
    for at in (8..bytes.len() - 8).step_by(4) {
        for word in [0, 1, 64, len - 1, len, 1 << 31, u32::MAX - 1, u32::MAX] {
            let mut bytes = bytes.clone();
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            serves_well(&rehash(bytes));
        }
    }
}

fn serves_well(bytes: &[u8]) {
    let Ok(pack) = Pack::load(bytes) else { return };
    assert!(pack.find(b"/nope").is_none());
    pack.keys().for_each(drop);
    for entry in pack.entries().chain(pack.not_found()) {
        assert!(entry.path().is_empty() || pack.find(entry.path().as_bytes()).is_some());
        assert!(entry.pick(Accept::IDENTITY).is_some());
        for variant in entry.variants() {
            let head = String::from_utf8_lossy(variant.head);
            assert!(
                head.ends_with("\r\n") && !head.contains("\r\n\r\n"),
                "{head:?}"
            );
            assert_eq!(head.matches('\n').count(), head.matches("\r\n").count());
        }
    }
}

#[test]
fn fields_that_lie() {
    for (at, byte, what) in [
        (12, 1, "header"),
        (100, 1, "header"),
        (56, 7, "sections"),
        (76, 0, "sections"),
        (84 - 4, 1, "sections"),
        // The page for missing paths is an ordinary one.
        (68, 1, "page for missing paths"),
        (128 + 64 + 40 + 16, 1, "head"),
        (128 + 64 + 38, 201, "status"),
        (128 + 64 + 32, 1, "variants"),
    ] {
        assert_eq!(
            refused(&altered(at, byte)),
            PackError::Malformed(what),
            "{at}"
        );
    }
}

#[test]
fn trailers() {
    let trailer = Trailer {
        offset: 1000,
        total: 600,
        length: 500,
        words: 1520,
        words_length: 80,
    };
    let bytes = trailer.encode();
    assert_eq!(&bytes[..8], b"MIRTRAIL");
    assert_eq!(Trailer::decode(&bytes, 1656), Ok(trailer));
    assert_eq!(Trailer::decode(&bytes, 1657), Err(TrailerError::Damaged));
    let mut other = bytes;
    other[9] ^= 1;
    assert_eq!(Trailer::decode(&other, 1656), Err(TrailerError::Damaged));
    assert_eq!(Trailer::decode(&[0; 56], 56), Err(TrailerError::None));
    for wrong in [
        Trailer {
            offset: u64::MAX,
            total: 1,
            ..trailer
        },
        Trailer {
            length: 601,
            ..trailer
        },
        Trailer {
            words: 1521,
            ..trailer
        },
        Trailer {
            words: 1499,
            ..trailer
        },
        Trailer {
            words: u64::MAX,
            ..trailer
        },
    ] {
        let damaged = Trailer::decode(&wrong.encode(), 1656);
        assert_eq!(damaged, Err(TrailerError::Damaged), "{wrong:?}");
    }
}

#[test]
fn canonical() {
    for path in [
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/...",
        "/a b",
        "/ü",
        "/.well-known/x",
    ] {
        assert!(is_canonical(path), "{path}");
    }
    for path in ["", "a", "//", "/a//", "/..", "/../", "/a/./b", "/a\u{7f}"] {
        assert!(!is_canonical(path), "{path:?}");
    }
}

fn volume() -> NewVolume {
    small().finish_volume(Part::Pages, |_| [7; 32]).unwrap()
}

/// The same as the pack in all that is sent; bodies are in files.
#[test]
fn a_manifest_says_what_a_pack_says() {
    let volume = volume();
    let names: Vec<_> = volume.files.iter().map(|f| (&*f.name, &*f.body)).collect();
    assert_eq!(
        names,
        [
            ("404", &b"nothing here\n"[..]),
            ("index.html", &[b'a'; 200]),
            ("index.html.br", b"br"),
            ("index.html.gz", b"gz"),
            ("über.txt", b"hi\n"),
        ]
    );
    assert_eq!(volume.manifest.name, "mir-www.manifest");
    assert_eq!(volume.manifest.modified, Some(784_111_777));
    let bytes = bytes();
    let pack = Pack::load(&bytes).unwrap();
    let manifest = Manifest::load(volume.manifest.body).unwrap();
    let manifest = manifest.pack();
    assert_eq!(manifest.id(), pack.id());
    assert!(manifest.keys().eq(pack.keys()));
    let all = |pack: Pack<'static>| pack.entries().chain(pack.not_found());
    let (pack, manifest) = (leaked(pack), leaked(manifest));
    assert_eq!(all(pack).count(), all(manifest).count());
    let mut first = 0;
    for (a, b) in all(pack).zip(all(manifest)) {
        let entry = |e: &Entry<'static>| (e.path(), e.status(), e.media_type(), e.location());
        assert_eq!((entry(&a), a.modified()), (entry(&b), b.modified()));
        assert_eq!((b.index(), b.first()), (a.index(), first));
        first += b.variants().len() as u32;
        assert_eq!(a.variants().len(), b.variants().len());
        for (a, b) in a.variants().zip(b.variants()) {
            let heads = |v: &Variant<'static>| (v.encoding, v.etag, v.head, v.not_modified);
            assert_eq!(heads(&a), heads(&b));
            assert_eq!(a.body.len(), b.body.len());
            match b.body {
                Body::File { name, .. } => {
                    let file = volume.files.iter().find(|f| f.name == name).unwrap();
                    assert_eq!(a.body.here(), Some(&*file.body));
                }
                Body::Here(body) => assert!(body.is_empty()),
            }
        }
    }
    assert!(
        manifest
            .variants()
            .eq(all(manifest).flat_map(|e| e.variants()))
    );
}

fn leaked(pack: Pack<'_>) -> Pack<'static> {
    let version = pack.header().version;
    let bytes = std::boxed::Box::leak(match version {
        VERSION => bytes().into_boxed_slice(),
        _ => volume().manifest.body.into_boxed_slice(),
    });
    assert_eq!(pack.size(), bytes.len() as u64);
    match version {
        VERSION => Pack::load(bytes).unwrap(),
        _ => Pack::load_manifest(bytes).unwrap(),
    }
}

#[test]
fn golden_bytes_of_a_manifest() {
    let bytes = volume().manifest.body;
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| std::format!("{b:02x}")).collect() };
    assert_eq!(hex(&bytes[8..12]), "04000000");
    // 8 slots, 4 entries, then the variants: the third is the index in br.
    let variant = &bytes[128 + 64 + 160 + 80..][..40];
    assert_eq!(hex(variant), GOLDEN_VARIANT);
    assert_eq!(XxHash3_64::oneshot(&bytes), GOLDEN_MANIFEST);
    let text = 128 + 64 + 160 + 240;
    let at = u32::from_le_bytes(variant[28..32].try_into().unwrap()) as usize;
    assert_eq!(&bytes[text + at..][..13], b"index.html.br");
}

const GOLDEN_VARIANT: &str =
    "020000002c030000150000004103000016010000570400006a000000c1040000020000000d000000";
const GOLDEN_MANIFEST: u64 = 9064904245548400645;

#[test]
fn each_kind_is_refused_as_the_other() {
    let version = |expected, found| PackError::Version { expected, found };
    let manifest = volume().manifest.body;
    assert_eq!(refused(&manifest), version(3, 4));
    assert_eq!(refused_manifest(&bytes()), version(4, 3));
    // Nor does a pack refer to files, whatever its version says.
    let mut lie = manifest.clone();
    lie[8] = 3;
    assert_eq!(refused(&rehash(lie)), PackError::Malformed("file name"));
    for (at, byte, what) in [
        // The names of files: of no length that the head says, outside the text, not UTF-8.
        (28 + 4, 201, "head"),
        (28 + 3, 0x7f, "file name"),
        (36, 0, "body"),
        (36, 11, "file name"),
    ] {
        let mut lie = manifest.clone();
        lie[128 + 64 + 160 + at] = byte;
        let refused = refused_manifest(&rehash(lie));
        assert_eq!(refused, PackError::Malformed(what), "{at}");
    }
    let text = String::from_utf8_lossy(&manifest).into_owned();
    assert!(text.contains("index.html.gz"));
    for name in [
        "../etc/passwd",
        "index.html/gz",
        "/ndex.html.gz",
        "index.html.g.",
    ] {
        let mut lie = manifest.clone();
        let at = manifest
            .windows(13)
            .position(|w| w == b"index.html.gz")
            .unwrap();
        lie[at..at + 13].copy_from_slice(name.as_bytes());
        match Manifest::load(rehash(lie)) {
            // Another file, in a folder: whether it is there is for the volume to say.
            Ok(_) => assert_eq!(name, "index.html/gz"),
            Err(error) => assert_eq!(error, PackError::Malformed("file name"), "{name}"),
        }
    }
}

fn refused_manifest(bytes: &[u8]) -> PackError {
    match Pack::load_manifest(bytes) {
        Ok(_) => panic!("loaded"),
        Err(e) => e,
    }
}

#[test]
fn every_flip_of_a_manifest_is_refused_and_lies_do_no_harm() {
    let bytes = volume().manifest.body;
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 0x10;
        refused_manifest(&other);
        for byte in [0, 1, b'.', b'/', 0xff] {
            let mut other = bytes.clone();
            other[at] = byte;
            if let Ok(pack) = Pack::load_manifest(&rehash(other)) {
                for variant in pack.variants() {
                    if let Body::File { name, .. } = variant.body {
                        assert!(names::is_name(name));
                    }
                }
            }
        }
    }
}

/// A table that sends every look-up through all of it, and a text that is read again and again:
/// both are refused before they cost more than their length.
#[test]
fn what_would_take_long_is_refused() {
    let paths = 30_000;
    let mut writer = Writer::new();
    for i in 0..paths {
        writer
            .redirect(&std::format!("/{i}"), 301, "/", &[])
            .unwrap();
    }
    let bytes = writer.finish(|_| [0; 32]).unwrap();
    let slots = u32::from_le_bytes(bytes[56..60].try_into().unwrap()) as usize;
    let mut filled = bytes.clone();
    // All slots but one taken, as densely as can be, by what is not looked for.
    let table = &mut filled[128..128 + 8 * slots];
    table
        .as_chunks_mut::<8>()
        .0
        .sort_by_key(|slot| *slot == [0; 8]);
    assert_eq!(refused(&rehash(filled)), PackError::Malformed("slots"));

    let mut again = bytes.clone();
    let text = u32::from_le_bytes(bytes[72..76].try_into().unwrap());
    for entry in 0..paths {
        // The media type is all the text there is.
        let at = 128 + 8 * slots + 40 * entry + 8;
        again[at..at + 8].fill(0);
        again[at + 4..at + 8].copy_from_slice(&text.to_le_bytes());
    }
    assert_eq!(refused(&rehash(again)), PackError::Malformed("text"));
}

proptest! {
    #[test]
    fn many_lies_at_once(lies in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = bytes();
        for (at, byte) in lies {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        serves_well(&rehash(bytes));
    }

    #[test]
    fn any_site_survives(
        pages in prop::collection::btree_map("/[a-zé/]{0,12}", prop::collection::vec(any::<u8>(), 0..300), 0..60),
    ) {
        let mut writer = Writer::new();
        let mut kept = Vec::new();
        for (path, body) in &pages {
            if writer.page(path, page("text/plain", body)).is_ok() {
                kept.push((path, body));
            }
        }
        let bytes = writer.finish(|_| [1; 32]).unwrap();
        let pack = Pack::load(&bytes).unwrap();
        prop_assert_eq!(pack.entries().len(), kept.len());
        for (path, body) in kept {
            let entry = pack.find(path.as_bytes()).unwrap();
            prop_assert_eq!(entry.pick(Accept::IDENTITY).unwrap().body, Body::Here(body));
        }
        prop_assert!(pack.find(b"/not/there").is_none());
    }

    #[test]
    fn no_bytes_panic(tail in prop::collection::vec(any::<u8>(), 0..400), fix: bool) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0, 0, 0, 128, 0, 0, 0]);
        bytes.extend(tail);
        bytes.resize(bytes.len().max(136), 0);
        let total = bytes.len() as u64;
        if fix {
            bytes[16..24].copy_from_slice(&total.to_le_bytes());
            bytes = rehash(bytes);
        }
        let _ = Pack::load(&bytes);
    }
}
