//! How a site's paths and the names of files on a volume belong together.
//!
//! Files are called as people expect: the page `/about` is `about.html`, `/` is `index.html`, a
//! static file has its path. Where FAT cannot have that name the file gets another one, which the
//! manifest knows; [`path_of`] is the way back for files of which no manifest speaks.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

use twox_hash::XxHash3_64;

use crate::encoding::Encoding;
use crate::media;

/// The manifest's own name, in the root of its volume.
pub const MANIFEST: &str = "mir-www.manifest";

/// Longest name of one file or folder, in UTF-16 units: what a long name of FAT holds.
pub const MAX_UNITS: usize = 255;

/// Longest name with its folders, in bytes.
pub const MAX_NAME: usize = 4096;

/// Folders in folders at most; what lies deeper has its path in its name.
const MAX_DEPTH: usize = 32;

/// The name of a folder's own page.
const INDEX: &str = "index.html";
const HTML: &str = ".html";

/// The two volumes of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Static files, as the author made them.
    Files = 0,
    /// What was rendered: pages, feeds, redirects, and the page for missing paths.
    Pages = 1,
}

impl Part {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Files, Self::Pages];

    /// The word for it in arguments and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Pages => "pages",
        }
    }
}

/// Whether this is the name of a file as a manifest has it: with its folders, from the root, `/`
/// between them and not in front, and such as FAT can hold.
pub fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.split('/').all(|part| {
            !part.is_empty()
                && part.chars().all(may_have)
                && !part.ends_with(['.', ' '])
                && part.encode_utf16().count() <= MAX_UNITS
        })
}

fn may_have(c: char) -> bool {
    let special = matches!(c, '"' | '*' | '/' | ':' | '<' | '>' | '?' | '\\' | '|');
    !special && !c.is_ascii_control()
}

/// The name that the file of a path has if nothing is in the way. `path` is as
/// [`is_canonical`](super::is_canonical) wants it.
pub fn wished(part: Part, path: &str, media_type: &str) -> String {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let (folders, last) = rest.rsplit_once('/').unwrap_or(("", rest));
    let slash = if rest.contains('/') { "/" } else { "" };
    // What would be taken for another path on the way back has its first letter escaped.
    let html = part == Part::Pages && media_type == media::HTML;
    let file = match last {
        "" if html => INDEX.to_owned(),
        "" => "%69ndex".to_owned(),
        "index" if html => format!("%69ndex{HTML}"),
        last if html => format!("{last}{HTML}"),
        last if part == Part::Pages && last.ends_with(HTML) => {
            let stem = last.strip_suffix('l').unwrap_or(last);
            format!("{stem}%6C")
        }
        last => last.to_owned(),
    };
    format!("{folders}{slash}{file}")
}

/// The path that a file answers for, by its name alone: the other way of [`wished`].
pub fn path_of(part: Part, name: &str) -> String {
    let stem = match part {
        Part::Files => name,
        Part::Pages => match name.strip_suffix(INDEX) {
            Some(folder) if folder.is_empty() || folder.ends_with('/') => folder,
            _ => name.strip_suffix(HTML).unwrap_or(name),
        },
    };
    format!("/{stem}")
}

/// The names of the files that may answer for a path of which no manifest speaks, the likeliest
/// first: the file of this name, or a page. `path` is absolute.
pub fn candidates(part: Part, path: &str) -> [Option<String>; 2] {
    let rest = path.strip_prefix('/').unwrap_or(path);
    if rest.is_empty() || rest.ends_with('/') {
        return [Some(format!("{rest}{INDEX}")), None];
    }
    let (page, file) = (format!("{rest}{HTML}"), rest.to_owned());
    match part {
        Part::Files => [Some(file), Some(page)],
        Part::Pages => [Some(page), Some(file)],
    }
}

/// What the name of a file with an encoded body has behind that of the identity.
pub fn suffix(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Identity => "",
        Encoding::Gzip => ".gz",
        Encoding::Br => ".br",
    }
}

/// Gives files names that FAT can hold, each only once, whatever case is written in. The same
/// wishes in the same order give the same names.
#[derive(Debug, Default)]
pub struct Names {
    /// All that there are, files and folders, in one case.
    taken: BTreeSet<String>,
    /// The names of folders, with a slash behind them, by what was wished for.
    folders: BTreeMap<String, String>,
}

impl Names {
    /// A name as near to the wish as can be.
    pub fn claim(&mut self, wish: &str) -> String {
        let mut folder = String::new();
        let mut begin = 0;
        let slashes = wish.match_indices('/').map(|(at, _)| at).take(MAX_DEPTH);
        for end in slashes {
            let (wished, part) = (&wish[..end], &wish[begin..end]);
            folder = match self.folders.get(wished) {
                Some(known) => known.clone(),
                None => {
                    let name = self.free(&folder, part, wished) + "/";
                    self.folders.insert(wished.to_owned(), name.clone());
                    name
                }
            };
            begin = end + 1;
        }
        self.free(&folder, &wish[begin..], wish)
    }

    /// A name for a file beside one that was claimed: its folder is there already, and is called
    /// as the wish says.
    pub fn beside(&mut self, wish: &str) -> String {
        let (folder, part) = match wish.rfind('/') {
            Some(slash) => wish.split_at(slash + 1),
            None => ("", wish),
        };
        self.free(folder, part, wish)
    }

    /// The first name for `part` that is free in `folder`; `whole` tells it from others of that
    /// name.
    fn free(&mut self, folder: &str, part: &str, whole: &str) -> String {
        let legal = escape(part);
        let mark = XxHash3_64::oneshot(whole.as_bytes()) as u32;
        let mut name = match legal.encode_utf16().count() {
            0 => "%".to_owned(),
            1..=MAX_UNITS => legal.clone(),
            _ => marked(&legal, mark),
        };
        let mut again = mark;
        loop {
            let full = format!("{folder}{name}");
            if self.taken.insert(one_case(&full)) {
                return full;
            }
            name = marked(&legal, again);
            again = again.wrapping_add(1);
        }
    }
}

/// Without the characters that FAT cannot hold: these are `%` and their number instead.
fn escape(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let last = part.char_indices().next_back().map_or(0, |(at, _)| at);
    for (at, c) in part.char_indices() {
        if !may_have(c) || (at == last && matches!(c, '.' | ' ')) {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// The name with a mark before its extension, cut to what FAT can hold.
fn marked(name: &str, mark: u32) -> String {
    let (stem, extension) = match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= 16 => name.split_at(at),
        _ => (name, ""),
    };
    let mut room = MAX_UNITS - extension.encode_utf16().count() - 9;
    let kept = stem.chars().take_while(|c| {
        let fits = c.len_utf16() <= room;
        room = room.saturating_sub(c.len_utf16());
        fits
    });
    let stem: String = kept.collect();
    format!("{stem}~{mark:08x}{extension}")
}

/// Names that a file system may take for the same come out the same, and perhaps more.
fn one_case(name: &str) -> String {
    let upper = name.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn as_people_expect() {
        for (part, path, media_type, name) in [
            (Part::Pages, "/", media::HTML, "index.html"),
            (Part::Pages, "/about", media::HTML, "about.html"),
            (Part::Pages, "/blog/", media::HTML, "blog/index.html"),
            (Part::Pages, "/v1.2", media::HTML, "v1.2.html"),
            (Part::Pages, "/a.html", media::HTML, "a.html.html"),
            (Part::Pages, "/feed.xml", "application/atom+xml", "feed.xml"),
            (Part::Files, "/x/y.css", "text/css", "x/y.css"),
            (Part::Files, "/x/index.html", media::HTML, "x/index.html"),
            (Part::Files, "/LICENSE", media::UNKNOWN, "LICENSE"),
        ] {
            assert_eq!(wished(part, path, media_type), name);
            assert_eq!(path_of(part, name), path);
            let mut names = Names::default();
            assert_eq!(names.claim(name), name);
        }
        // These would come back as other paths, and do not bear the plain name.
        assert_eq!(
            wished(Part::Pages, "/a/index", media::HTML),
            "a/%69ndex.html"
        );
        assert_eq!(wished(Part::Pages, "/x.html", "text/plain"), "x.htm%6C");
        assert_eq!(wished(Part::Files, "/x/", "text/plain"), "x/%69ndex");
    }

    #[test]
    fn names_that_fat_cannot_have() {
        let mut names = Names::default();
        for (wish, name) in [
            ("a:b?.txt", "a%3Ab%3F.txt"),
            ("ends.", "ends%2E"),
            ("ends ", "ends%20"),
            ("a /b", "a%20/b"),
            ("\\\"*<>|", "%5C%22%2A%3C%3E%7C"),
            ("...", "..%2E"),
            (" ", "%20"),
            // No names of devices on FAT itself.
            ("con", "con"),
            ("größe/日本語.html", "größe/日本語.html"),
        ] {
            assert_eq!(names.claim(wish), name);
            assert!(is_name(name));
        }
    }

    #[test]
    fn names_that_are_the_same_but_for_case() {
        let mut names = Names::default();
        assert_eq!(names.claim("About.html"), "About.html");
        let other = names.claim("about.html");
        assert!(
            other.starts_with("about~") && other.ends_with(".html"),
            "{other}"
        );
        // A folder and a file of one name; the same folder again is the same.
        assert_eq!(names.claim("a"), "a");
        let inside = names.claim("a/b");
        assert!(
            inside.starts_with("a~") && inside.ends_with("/b"),
            "{inside}"
        );
        let folder = inside.strip_suffix("b").unwrap();
        assert_eq!(names.claim("a/c"), folder.to_string() + "c");
        assert_ne!(names.claim("A/c"), folder.to_string() + "c");
        // Even the same wish twice.
        assert_ne!(names.claim("a/c"), folder.to_string() + "c");
        let twice = [names.claim("x/y"), names.claim("x/y"), names.claim("x/y")];
        assert!(twice[0] != twice[1] && twice[1] != twice[2] && twice[0] != twice[2]);
    }

    #[test]
    fn names_that_are_too_long() {
        let mut names = Names::default();
        let fits = "é".repeat(MAX_UNITS);
        assert_eq!(names.claim(&fits), fits);
        for long in ["a".repeat(256), "😀".repeat(128), "b".repeat(1000) + ".css"] {
            let name = names.claim(&long);
            assert!(is_name(&name), "{name}");
            assert_eq!(long.ends_with(".css"), name.ends_with(".css"));
        }
        let deep = "d/".repeat(100) + "x.html";
        let name = names.claim(&deep);
        assert!(is_name(&name) && name.ends_with(".html"), "{name}");
        assert_eq!(name.matches('/').count(), MAX_DEPTH);
    }

    #[test]
    fn names_of_a_manifest() {
        for name in ["a", "a/b.css", "index.html.br", ".well-known/x", "a b"] {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(256);
        for name in [
            "", "/a", "a/", "a//b", ".", "..", "a/../b", "a./b", "a ", "a\\b", "a:b", "a\0", &long,
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    proptest! {
        /// Where no escape is needed, a path comes back from its file's name.
        #[test]
        fn there_and_back(path in "/([a-zé0-9-]{1,6}/){0,3}([a-zé0-9-]{1,6}(\\.[a-z]{1,4})?)?", page: bool) {
            let (part, media_type) = match page {
                true => (Part::Pages, media::HTML),
                false => (Part::Files, media::of(&path)),
            };
            let wish = wished(part, &path, media_type);
            let name = Names::default().claim(&wish);
            if !wish.contains('%') {
                prop_assert_eq!(&name, &wish);
                prop_assert_eq!(path_of(part, &name), path.clone());
                prop_assert!(candidates(part, &path).contains(&Some(name)));
            }
        }

        /// Whatever is wished for, each gets a name of its own, one that FAT can hold.
        #[test]
        fn each_has_its_own(wishes in prop::collection::vec("[aA.: é/]{1,8}|[a-b/]{1,90}|\\PC{0,300}", 0..40)) {
            let mut names = Names::default();
            let given: Vec<_> = wishes.iter().map(|wish| names.claim(wish)).collect();
            let mut all: BTreeSet<_> = given.iter().map(|name| one_case(name)).collect();
            prop_assert_eq!(all.len(), given.len());
            for name in &given {
                prop_assert!(is_name(name), "{:?}", name);
            }
            // No file is a folder as well.
            for name in &given {
                let folded = one_case(name);
                let folders = folded.match_indices('/').map(|(at, _)| folded[..at].to_owned());
                for folder in folders {
                    prop_assert!(!all.contains(&folder));
                }
            }
            all.clear();
            let mut again = Names::default();
            let same: Vec<_> = wishes.iter().map(|wish| again.claim(wish)).collect();
            prop_assert_eq!(same, given);
        }
    }
}
