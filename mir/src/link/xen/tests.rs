use std::ops::Range;

use super::*;
use crate::link::note::{FDO, LINKED, OURS, PACKAGE, put};

/// A small kernel: text with the notes in it, data, bss.
#[derive(Clone)]
struct Made {
    segments: Vec<Segment>,
    notes: Vec<u8>,
    machine: u8,
    /// Bytes between the headers and the text, and after everything: what is stripped.
    debug: usize,
}

const BASE: u64 = 0xffff_ffff_8010_0000;
const DISTANCE: u64 = 0xffff_ffff_8000_0000;
const TEXT: u64 = 0x3000;
const DATA: u64 = 0x5000;

fn note(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, name, kind, desc);
    out
}

/// With a pack alone, as most of these tests want it.
fn link(base: &[u8], pack: &[u8]) -> Result<Image, LinkError> {
    let payload = Payload {
        pack,
        ..Payload::default()
    };
    super::link(base, &payload)
}

fn find(image: &[u8]) -> Result<Range<usize>, LinkError> {
    read(image).map(|contents| contents.pack)
}

fn load(offset: u64, virt: u64, file_size: u64, mem_size: u64, flags: u32) -> Segment {
    let phys = virt - DISTANCE;
    Segment {
        kind: PT_LOAD,
        flags,
        offset,
        virt,
        phys,
        file_size,
        mem_size,
        align: PAGE,
    }
}

impl Made {
    fn new() -> Self {
        let xen = note(b"Xen\0", 6, b"linux\0");
        let ours = note(OURS, LINKED, &[0; DESC]);
        let notes = [xen, ours].concat();
        let in_text = Segment {
            kind: PT_NOTE,
            align: 4,
            ..load(
                TEXT + 0x20,
                BASE + 0x20,
                notes.len() as u64,
                notes.len() as u64,
                PF_R,
            )
        };
        let segments = vec![
            load(TEXT, BASE, 0x1234, 0x1234, 5),
            load(DATA, BASE + 0x2000, 0x321, 0x8765, 6),
            in_text,
            // The stack's flags; and an empty segment as linker scripts leave them.
            Segment {
                kind: 0x6474_e551,
                ..load(0, DISTANCE, 0, 0, 6)
            },
            load(0, BASE + 0xf000, 0, 0, PF_R),
        ];
        Self {
            segments,
            notes,
            machine: 62,
            debug: 0x4000,
        }
    }

    fn file(&self) -> Vec<u8> {
        let mut out = vec![0; (DATA + 0x321) as usize + self.debug];
        for (at, byte) in out.iter_mut().enumerate() {
            *byte = (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
        }
        out[..64].fill(0);
        out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        out[16] = 2;
        out[18] = self.machine;
        out[24..32].copy_from_slice(&(BASE + 0x100).to_le_bytes());
        out[32..40].copy_from_slice(&128_u64.to_le_bytes());
        out[40..48].copy_from_slice(&(DATA + 0x1000).to_le_bytes());
        out[52] = 64;
        out[54] = 56;
        out[56] = self.segments.len() as u8;
        out[58..64].copy_from_slice(&[64, 0, 9, 0, 8, 0]);
        for (at, segment) in self.segments.iter().enumerate() {
            let at = 128 + at * Segment::LEN;
            out[at..at + Segment::LEN].copy_from_slice(&segment.encode());
        }
        let at = (TEXT + 0x20) as usize;
        out[at..at + self.notes.len()].copy_from_slice(&self.notes);
        out
    }
}

/// What Xen's loader makes of an image: the bytes of memory from the lowest segment on.
fn boot(image: &[u8]) -> (u64, Vec<u8>) {
    let segments = Header::decode(image).unwrap().segments(image).unwrap();
    let loads: Vec<_> = segments.iter().filter(|s| s.kind == PT_LOAD).collect();
    let start = loads.iter().map(|s| s.virt).min().unwrap();
    let end = loads.iter().map(|s| s.virt + s.mem_size).max().unwrap();
    let mut memory = vec![0; (end - start) as usize];
    for load in loads {
        assert_eq!(load.virt - load.phys, DISTANCE);
        assert_eq!(load.offset % PAGE, load.virt % PAGE);
        let at = (load.virt - start) as usize;
        memory[at..][..load.file_size as usize].copy_from_slice(load.of(image));
    }
    (start, memory)
}

fn pack(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8 | 1).collect()
}

#[test]
fn the_kernel_finds_the_pack_in_its_memory() {
    let base = Made::new().file();
    let pack = pack(10_001);
    let image = link(&base, &pack).unwrap();
    let (start, memory) = boot(&image.bytes);
    let (_, before) = boot(&base);
    assert_eq!(start, BASE);

    let desc = 0x20 + Made::new().notes.len() - DESC;
    let virt = elf::read_u64(&memory, desc);
    assert_eq!(elf::read_u64(&memory, desc + 8), 10_001);
    assert_eq!(virt, BASE + 0xb000);
    let at = (virt - start) as usize;
    assert_eq!(&memory[at..], pack);

    // Nothing else in memory has changed.
    let mut rest = memory[..before.len().min(at)].to_vec();
    rest[desc..desc + DESC].fill(0);
    assert_eq!(rest, before[..rest.len()]);
    assert_eq!(image.bytes.len() as u64, image.without_site + 10_001);
}

#[test]
fn what_boots_is_kept_and_the_rest_is_left() {
    let made = Made::new();
    let image = link(&made.file(), &pack(5)).unwrap();
    assert!(image.without_site <= 0x4000, "{:#x}", image.without_site);
    let header = Header::decode(&image.bytes).unwrap();
    let segments = header.segments(&image.bytes).unwrap();
    assert_eq!(image.bytes[24..32], (BASE + 0x100).to_le_bytes());
    assert_eq!(image.bytes[40..48], [0; 8]);
    assert_eq!(image.bytes[58..64], [0; 6]);
    // Text, data, pack, notes, stack; the empty segment is gone.
    let kinds: Vec<_> = segments.iter().map(|segment| segment.kind).collect();
    assert_eq!(kinds, [1, 1, 1, 4, 0x6474_e551]);
    let notes = segments[3].of(&image.bytes);
    let xen = note::notes(notes).next().unwrap().unwrap();
    assert_eq!((xen.name, xen.kind), (&b"Xen\0"[..], 6));
    assert_eq!(&notes[xen.desc], b"linux\0");
}

#[test]
fn linking_again_replaces() {
    let base = Made::new().file();
    let once = link(&base, &pack(4096)).unwrap();
    let twice = link(&once.bytes, &pack(7)).unwrap();
    assert_eq!(twice.bytes, link(&base, &pack(7)).unwrap().bytes);
    assert_eq!(&twice.bytes[find(&twice.bytes).unwrap()], pack(7));
    assert_eq!(find(&base), Ok(0..0));
    assert_eq!(super::super::find(&base), Err(LinkError::NoPack));
    let at = super::super::find(&once.bytes).unwrap();
    assert_eq!(&once.bytes[at], pack(4096));
    let program = Payload {
        pack: b"x",
        ..Payload::default()
    };
    let error = super::super::unix::link(&once.bytes, &program).err();
    assert_eq!(error, Some(LinkError::Kernel));
}

#[test]
fn notes_outside_the_segments_are_taken_along() {
    let mut made = Made::new();
    let xen = note(b"Xen\0", 6, b"linux\0");
    let ours = note(OURS, LINKED, &[0; DESC]);
    // Xen's notes where only the debug information is.
    made.notes = ours;
    made.segments[2].file_size = made.notes.len() as u64;
    let far = DATA + 0x800;
    let size = xen.len() as u64;
    made.segments[3] = Segment {
        kind: PT_NOTE,
        ..load(far, DISTANCE, size, size, PF_R)
    };
    let mut base = made.file();
    base[far as usize..][..xen.len()].copy_from_slice(&xen);
    let image = link(&base, &pack(5)).unwrap().bytes;
    let segments = Header::decode(&image).unwrap().segments(&image).unwrap();
    assert!(
        segments
            .iter()
            .any(|s| s.kind == PT_NOTE && s.of(&image) == xen)
    );
}

#[test]
fn what_breaks_the_contract_is_refused() {
    let refused = |made: &Made| link(&made.file(), &pack(5)).map(|_| ()).unwrap_err();
    let made = Made::new();

    let mut other = made.clone();
    other.machine = 40;
    assert_eq!(
        refused(&other),
        LinkError::NotOurs("it is for another processor")
    );

    let mut none = made.clone();
    none.notes = note(b"Xen\0", 6, b"linux\0");
    none.segments[2].file_size = none.notes.len() as u64;
    assert_eq!(refused(&none), LinkError::NoNote);

    let mut two = made.clone();
    two.notes.extend(note(OURS, LINKED, &[0; DESC]));
    two.segments[2].file_size = two.notes.len() as u64;
    assert_eq!(refused(&two), LinkError::TwoNotes);

    let mut short = made.clone();
    short.notes = note(OURS, LINKED, &[0; 8]);
    short.segments[2].file_size = short.notes.len() as u64;
    assert_eq!(refused(&short), LinkError::OtherVersion);

    let mut old = made.clone();
    old.notes = note(OURS, 1, &[0; 16]);
    old.segments[2].file_size = old.notes.len() as u64;
    assert_eq!(refused(&old), LinkError::OtherVersion);

    let mut unloaded = made.clone();
    unloaded.segments[0].file_size = 0x20;
    assert_eq!(refused(&unloaded), LinkError::NoteNotLoaded);
    // In the file, and without a place in memory.
    let mut placeless = made.clone();
    placeless.segments[0].mem_size = 0;
    assert_eq!(refused(&placeless), LinkError::NoteNotLoaded);
    // In memory, but in a segment that reaches over the end of what is loaded.
    let mut overhanging = made.clone();
    overhanging.segments[2].file_size = 0x1300;
    assert_eq!(refused(&overhanging), LinkError::NoteNotLoaded);

    let mut distances = made.clone();
    distances.segments[1].phys += PAGE;
    assert_eq!(refused(&distances), LinkError::Distances);

    let mut overlap = made.clone();
    overlap.segments[1].virt = BASE + 0x1000;
    overlap.segments[1].phys = BASE + 0x1000 - DISTANCE;
    assert!(matches!(refused(&overlap), LinkError::Headers(_)));

    let mut full = made.clone();
    full.segments[1].mem_size = 0u64.wrapping_sub(full.segments[1].virt) - 1;
    assert_eq!(refused(&full), LinkError::NoRoom);

    let mut outside = made.clone();
    outside.segments[1].offset = u64::MAX - 5;
    assert_eq!(
        refused(&outside),
        LinkError::Headers("a segment outside the file")
    );

    let mut promised = made.file();
    let desc = (TEXT + 0x20) as usize + made.notes.len() - DESC;
    promised[desc + 8] = 1;
    assert_eq!(
        link(&promised, &pack(5)).map(|_| ()),
        Err(LinkError::Damaged)
    );

    assert_eq!(link(&made.file(), &[]).map(|_| ()), Err(LinkError::NoRoom));
}

const WORDS: &str = "--kv_ro=fat --http-port=81";
const ABOUT: &str = r#"{"type":"mir-www-image"}"#;

fn full(pack: &[u8]) -> Payload<'_> {
    Payload {
        pack,
        words: WORDS,
        about: ABOUT,
    }
}

#[test]
fn the_kernel_finds_its_words_in_its_memory() {
    let base = Made::new().file();
    for length in [10_001, 8, 0] {
        let pack = pack(length);
        let image = super::link(&base, &full(&pack)).unwrap();
        let (start, memory) = boot(&image.bytes);
        let desc = 0x20 + Made::new().notes.len() - DESC;
        let field = |number: usize| elf::read_u64(&memory, desc + 8 * number) as usize;
        let at = field(0) - start as usize;
        assert_eq!(&memory[at..][..field(1)], pack);
        assert_eq!(&memory[at + field(2)..][..field(3)], WORDS.as_bytes());

        let contents = read(&image.bytes).unwrap();
        assert_eq!(&image.bytes[contents.pack], pack);
        assert_eq!((contents.words, contents.about), (WORDS, Some(ABOUT)));
        // Others see them as notes.
        let segments = Header::decode(&image.bytes).unwrap().segments(&image.bytes);
        let last = *segments.unwrap().last().unwrap();
        assert_eq!((last.kind, last.offset % 4, last.virt % 4), (PT_NOTE, 0, 0));
        assert_eq!(note::package(last.of(&image.bytes)), Some(ABOUT));

        let again = super::link(&image.bytes, &full(&pack)).unwrap();
        assert_eq!(again.bytes, image.bytes);
        let bare = link(&image.bytes, b"pack").unwrap();
        assert_eq!(bare.bytes, link(&base, b"pack").unwrap().bytes);
    }
}

#[test]
fn what_the_program_says_of_itself_stays() {
    let mut made = Made::new();
    let said = r#"{"type":"mir-www","name":"x"}"#;
    made.notes.extend(note(FDO, PACKAGE, said.as_bytes()));
    made.segments[2].file_size = made.notes.len() as u64;
    let base = made.file();
    assert_eq!(read(&base).unwrap().program, Some(said));
    let image = super::link(&base, &full(b"pack")).unwrap();
    let contents = read(&image.bytes).unwrap();
    assert_eq!(
        (contents.program, contents.about),
        (Some(said), Some(ABOUT))
    );
}

#[test]
fn words_that_are_not_where_they_should_be_are_refused() {
    let base = Made::new().file();
    let image = super::link(&base, &full(&pack(10))).unwrap().bytes;
    let linked = Kernel::read(&image).unwrap();
    let altered = |number: u64, value: u64| {
        let mut image = image.clone();
        let at = (linked.desc + 8 * number) as usize;
        image[at..at + 8].copy_from_slice(&value.to_le_bytes());
        (
            read(&image).map(|_| ()),
            super::link(&image, &full(b"x")).map(|_| ()),
        )
    };
    let [virt, _, from, words] = linked.linked;
    // Where it cannot be at all it is not followed; where it could be the notes tell.
    for (number, value) in [
        (0, 0),
        (0, virt + 1),
        (1, 1 << 20),
        (1, u64::MAX),
        (2, 1 << 20),
        (2, u64::MAX),
        (3, u64::MAX),
    ] {
        assert_eq!(
            altered(number, value),
            (Err(LinkError::Damaged), Err(LinkError::Damaged)),
            "{number}"
        );
    }
    for (number, value) in [(2, from - 1), (2, 0), (3, words - 1), (3, 0), (1, 40)] {
        assert_eq!(
            altered(number, value).0,
            Err(LinkError::Damaged),
            "{number}"
        );
    }
    for length in image.len() - 90..image.len() {
        assert!(read(&image[..length]).is_err(), "{length}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let file = Made {
        debug: 0,
        ..Made::new()
    }
    .file();
    let last = 128 + Made::new().segments.len() * Segment::LEN;
    let notes = TEXT as usize..TEXT as usize + 0x80;
    for at in (0..last).chain(notes) {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut altered = file.clone();
            altered[at] = value;
            let _ = (link(&altered, b"pack"), find(&altered));
        }
    }
    for len in 0..file.len() {
        let cut = &file[..len];
        let _ = (link(cut, b"pack"), find(cut));
    }
    let image = super::link(&file, &full(b"pack")).unwrap().bytes;
    let put_in = image.len() - 4 - 100..image.len();
    for at in (0..600).chain(0x1000..0x1080).chain(put_in) {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut altered = image.clone();
            altered[at] = value;
            let _ = (link(&altered, b"pack"), read(&altered));
        }
    }
}
