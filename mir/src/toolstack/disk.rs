//! Disks in xl's words.

/// A disk, as `xl-disk-configuration(5)` has it: words between commas, with a name or by their
/// place; `target=` takes the rest.
#[derive(Default)]
pub(super) struct Disk<'a> {
    pub(super) target: Option<&'a str>,
    pub(super) vdev: Option<&'a str>,
    pub(super) read_only: bool,
}

impl<'a> Disk<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let mut disk = Self::default();
        let mut rest = Some(text);
        let mut place = 0;
        while let Some(text) = rest {
            let text = text.trim_start();
            if let Some(target) = text.strip_prefix("target=") {
                disk.target = Some(target);
                break;
            }
            let (word, more) = match text.split_once(',') {
                Some((word, more)) => (word.trim(), Some(more)),
                None => (text.trim(), None),
            };
            rest = more;
            match word.split_once('=') {
                Some(("vdev", name)) => disk.vdev = Some(name),
                Some(("access", access)) => disk.read_only = is_read_only(access),
                Some(_) => {}
                None if FLAGS.contains(&word) => {}
                None => {
                    // `phy:/dev/x,xvda,r`: the prefix says the format, and takes its place.
                    let old = ["phy:", "file:", "raw:"]
                        .iter()
                        .find_map(|prefix| word.strip_prefix(prefix));
                    match (place, old) {
                        (0, Some(target)) => {
                            disk.target = Some(target);
                            place = 1;
                        }
                        (0, None) if !word.is_empty() => disk.target = Some(word),
                        (2, _) if !word.is_empty() => disk.vdev = Some(word),
                        (3, _) => disk.read_only = is_read_only(word),
                        _ => {}
                    }
                    place += 1;
                }
            }
        }
        disk.vdev = disk.vdev.filter(|name| !name.is_empty());
        disk.target = disk.target.filter(|target| !target.is_empty());
        disk
    }
}

/// Words of a disk that stand alone, at any place.
const FLAGS: [&str; 5] = ["direct-io-safe", "discard", "no-discard", "colo", "no-colo"];

fn is_read_only(access: &str) -> bool {
    matches!(access, "ro" | "r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_names_and_by_place() {
        for (text, target, vdev, read_only) in [
            (
                "format=raw,vdev=xvda,access=ro,target=/a,b",
                "/a,b",
                "xvda",
                true,
            ),
            (
                "format=raw, vdev=xvda, access=rw, target=/a",
                "/a",
                "xvda",
                false,
            ),
            ("/dev/vg/a,raw,xvdb,r", "/dev/vg/a", "xvdb", true),
            ("/dev/vg/a,,xvdb", "/dev/vg/a", "xvdb", false),
            ("phy:/dev/vg/a,xvda,r", "/dev/vg/a", "xvda", true),
            ("file:/a.img,xvda,w", "/a.img", "xvda", false),
            ("/a.img,raw,discard,xvda,ro", "/a.img", "xvda", true),
        ] {
            let disk = Disk::parse(text);
            let read = (disk.target, disk.vdev, disk.read_only);
            assert_eq!(read, (Some(target), Some(vdev), read_only), "{text}");
        }
        for text in ["", ",", "vdev=,target="] {
            let disk = Disk::parse(text);
            assert_eq!((disk.target, disk.vdev), (None, None), "{text}");
        }
    }
}
