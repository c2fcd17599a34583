//! FAT volumes: all that is on a disk.

pub(super) mod fat_volume {
    use tests::fat_image::{check, sample};
    use www::fat::Kind;

    /// What can be mounted is read to its end, within bounds on requests, turns and memory; what
    /// is broken has a reason.
    pub(in super::super) fn run(bytes: &[u8]) {
        check(bytes.to_vec(), "input");
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        let twelve = sample(Kind::Fat12, 550).bytes;
        // Small volumes have 16-bit entries if ocaml-fat made them.
        let mut sixteen = sample(Kind::Fat16, 550);
        sixteen.bytes[3..11].copy_from_slice(b"ocamlfat");
        sixteen.link(0, 0xfff8);
        let wide = sample(Kind::Fat32, 550).bytes;
        vec![twelve, sixteen.bytes, wide]
    }
}
