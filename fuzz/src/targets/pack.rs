//! Packs, the trailers that say where they are, and the executables that carry them.

use std::sync::OnceLock;

use twox_hash::XxHash3_64;
use www::pack::names::Part;
use www::pack::{Page, Writer};

/// A small site.
pub(super) fn sample() -> &'static [u8] {
    static PACK: OnceLock<Vec<u8>> = OnceLock::new();
    PACK.get_or_init(|| writer().finish(|_| [7; 32]).expect("a pack"))
}

/// The manifest of the same.
fn manifest() -> &'static [u8] {
    static MANIFEST: OnceLock<Vec<u8>> = OnceLock::new();
    MANIFEST.get_or_init(|| {
        let volume = writer().finish_volume(Part::Pages, |_| [7; 32]);
        volume.expect("a manifest").manifest.body
    })
}

fn writer() -> Writer {
    let page = |body: &[u8]| Page {
        media_type: "text/html".into(),
        modified: Some(784_111_777),
        body: body.to_vec(),
        ..Page::default()
    };
    let encoded = Page {
        gzip: Some(b"gzip".to_vec()),
        br: Some(b"br".to_vec()),
        ..page(&[b'x'; 400])
    };
    let mut writer = Writer::new();
    let made = writer
        .page("/", encoded)
        .and_then(|()| writer.page("/page", page(b"a page")))
        .and_then(|()| writer.page("/a b", page(&long())))
        .and_then(|()| writer.redirect("/old", 301, "/page", &[]))
        .and_then(|()| writer.redirect("/now", 307, "/page", &[]))
        .and_then(|()| writer.gone("/gone", page(b"nothing here")))
        .and_then(|()| writer.not_found(page(b"nothing here")))
        .and_then(|()| writer.key("title", b"a site"));
    made.expect("a site");
    writer
}

/// The body of `/a b`, no two parts of which are the same.
pub(super) fn long() -> Vec<u8> {
    (0..1500_u16).flat_map(u16::to_be_bytes).collect()
}

fn word(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

pub(super) mod pack_load {
    use www::encoding::Accept;
    use www::pack::{Body, Pack, names};

    use super::{XxHash3_64, manifest, sample, word};

    /// Where a header says how long the pack is.
    const TOTAL: usize = 16;

    /// What loads can be read to its end. The first byte says whether the length and the hash are
    /// made right, without which nothing is read.
    pub(in super::super) fn run(bytes: &[u8]) {
        let Some((&mend, pack)) = bytes.split_first() else {
            return;
        };
        // Bodies are aligned as in a file that is mapped.
        let mut pack = pack.to_vec();
        if mend & 1 == 1 && pack.len() >= 136 {
            let len = pack.len();
            word(&mut pack, TOTAL, len as u64);
            let hash = XxHash3_64::oneshot(&pack[..len - 8]);
            word(&mut pack, len - 8, hash);
        }
        let whole = pack.as_ptr_range();
        let within = |part: &[u8]| {
            let part = part.as_ptr_range();
            assert!(part.start == part.end || (whole.start <= part.start && part.end <= whole.end));
        };
        match Pack::load(&pack).or_else(|_| Pack::load_manifest(&pack)) {
            Ok(pack) => {
                for entry in pack.entries().chain(pack.not_found()) {
                    for variant in entry.variants() {
                        match variant.body {
                            Body::Here(body) => within(body),
                            Body::File { name, .. } => {
                                within(name.as_bytes());
                                assert!(names::is_name(name));
                            }
                        }
                        within(variant.head);
                        within(variant.not_modified);
                        within(variant.etag);
                        let length = format!("\r\nContent-Length: {}\r\n", variant.body.len());
                        let head = String::from_utf8_lossy(variant.head).to_lowercase();
                        assert!(head.contains(&length.to_lowercase()));
                    }
                    assert!(entry.pick(Accept::IDENTITY).is_some());
                }
                for entry in pack.entries() {
                    let found = pack.find(entry.path().as_bytes()).expect("what is there");
                    assert_eq!(found.path(), entry.path());
                }
                assert!(
                    pack.find(b"/nowhere at all")
                        .is_none_or(|e| e.path() == "/nowhere at all")
                );
                assert!(pack.keys().count() <= 1000);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        let seed = |mend, bytes: &[u8]| [&[mend], bytes].concat();
        vec![seed(0, sample()), seed(1, sample()), seed(1, manifest())]
    }
}

pub(super) mod pack_trailer {
    use www::pack::Trailer;

    use super::{XxHash3_64, word};

    /// What is read lies in the file.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = crate::input::Input::new(bytes);
        let mend = input.u8();
        let file_len = u64::from_le_bytes(input.array());
        let mut trailer = input.array::<{ Trailer::LEN }>();
        if mend & 1 == 1 {
            let hash = XxHash3_64::oneshot(&trailer[..48]);
            word(&mut trailer, 48, hash);
        }
        if let Ok(read) = Trailer::decode(&trailer, file_len) {
            let end = read.offset.checked_add(read.total).expect("no overflow");
            assert_eq!(end.checked_add(Trailer::LEN as u64), Some(file_len));
            assert!(read.length <= read.total);
            let words = read.words.checked_add(read.words_length);
            assert!(read.words_length == 0 || words.expect("no overflow") <= end);
            assert_eq!(read.encode(), trailer);
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        let trailer = Trailer {
            offset: 4096,
            total: 1200,
            length: 1000,
            words: 5120,
            words_length: 100,
        };
        let seed = |mend, len: u64| [&[mend], &len.to_le_bytes()[..], &trailer.encode()].concat();
        vec![seed(0, 5352), seed(1, 5352), seed(1, u64::MAX)]
    }
}

pub(super) mod image {
    use mir::link::{self, Payload};

    use super::sample;

    const PAGE: usize = 4096;

    fn payload() -> Payload<'static> {
        Payload {
            pack: sample(),
            words: "--http-port=81",
            about: r#"{"type":"mir-www-image","mir":"0.1.0"}"#,
        }
    }

    /// What is found is within its file; what was linked is found again.
    pub(in super::super) fn run(bytes: &[u8]) {
        if let Ok(contents) = link::read(bytes) {
            assert!(bytes.get(contents.pack).is_some());
        }
        match mir::describe::describe(bytes) {
            Ok(description) => {
                let text = description.to_string();
                assert!(text.lines().count() <= 6 && !text.contains(['\x1b', '\r']));
                assert!(description.to_json().starts_with('{'));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        let check = |file: &[u8]| {
            let contents = link::read(file).expect("our own image");
            assert!(&file[contents.pack] == sample());
            assert_eq!(contents.words, payload().words);
            assert_eq!(contents.about, Some(payload().about));
        };
        if let Ok(image) = link::xen::link(bytes, &payload()) {
            check(&image.bytes);
        }
        if let Ok(image) = link::unix::link(bytes, &payload()) {
            check(&image.parts().concat());
        }
    }

    /// A kernel of one page, with its note.
    fn kernel() -> Vec<u8> {
        let mut file = vec![0; 2 * PAGE];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[16] = 2;
        file[18] = 62;
        let mut put = |at: usize, value: u64, len: usize| {
            file[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        };
        put(20, 1, 4);
        put(24, 0xffff_ffff_8010_0000, 8);
        put(32, 64, 8);
        put(52, 64, 2);
        put(54, 56, 2);
        put(56, 2, 2);
        for (number, (kind, offset, size)) in
            [(1, 4096, 4096), (4, 4128, 56)].into_iter().enumerate()
        {
            let at = 64 + number * 56;
            put(at, kind, 4);
            put(at + 4, 5, 4);
            put(at + 8, offset, 8);
            put(at + 16, 0xffff_ffff_8010_0000 + offset - 4096, 8);
            put(at + 24, 0x10_0000 + offset - 4096, 8);
            put(at + 32, size, 8);
            put(at + 40, size, 8);
            put(at + 48, 4096, 8);
        }
        let note = PAGE + 32;
        file[note..note + 12].copy_from_slice(&[8, 0, 0, 0, 32, 0, 0, 0, 1, 1, 0, 0]);
        file[note + 12..note + 20].copy_from_slice(b"mir-www\0");
        file
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        let program =
            link::unix::link(&b"\x7fELF, the program"[..], &payload()).expect("an ELF file");
        let guest = link::xen::link(&kernel(), &payload()).expect("a kernel");
        vec![
            kernel(),
            sample().to_vec(),
            program.parts().concat(),
            guest.bytes,
        ]
    }
}
