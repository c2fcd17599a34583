//! `mir.toml`: found, read, and changed with what a person wrote into it left alone.

use std::io;
use std::path::{Component, Path, PathBuf};

use toml_edit::{Document, DocumentMut, Item, RawString};

use super::{Key, OPTIONS, Settings, Source, options};
use crate::{input, output};

/// Its name.
pub(crate) const NAME: &str = "mir.toml";

const HEADER: &str = "\
# What `mir build` makes. `mir describe` shows all options and what holds, `mir help configure` says
# what they mean. `mir configure` changes this file, and so may you: comments stay.
";

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) settings: Settings,
    text: String,
}

impl File {
    /// The folder that its paths are relative to.
    pub(crate) fn folder(&self) -> PathBuf {
        folder(&self.path)
    }

    #[cfg(test)]
    pub(super) fn of(settings: Settings) -> Self {
        Self {
            path: NAME.into(),
            settings,
            text: String::new(),
        }
    }

    /// Its name for people.
    pub(crate) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Reads a file; a mistake is a line with the file's name and the number of the line.
    pub(crate) fn read(path: &Path) -> Result<Self, Vec<String>> {
        let shown = path.display();
        let bytes = input::read(path, input::TEXT);
        let bytes = bytes.map_err(|error| vec![format!("{shown}: {error}")])?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = line_at(error.as_bytes(), error.utf8_error().valid_up_to());
            vec![format!("{shown}:{line}: not UTF-8 text")]
        })?;
        let problems = |found: Vec<(usize, String)>| {
            let found = found.into_iter();
            found
                .map(|(line, what)| format!("{shown}:{line}: {what}"))
                .collect::<Vec<_>>()
        };
        Ok(Self {
            path: path.to_owned(),
            settings: parse(&text).map_err(problems)?,
            text,
        })
    }
}

/// The file in this folder or in the next above that has one.
pub(crate) fn find(from: &Path) -> Option<PathBuf> {
    let mut files = from.ancestors().map(|folder| folder.join(NAME));
    // What has that name and cannot be read is said, not passed by.
    files.find(|file| file.symlink_metadata().is_ok())
}

/// The folder that a path is in.
pub(crate) fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The settings in a text, or each mistake with its line.
fn parse(text: &str) -> Result<Settings, Vec<(usize, String)>> {
    let line =
        |at: Option<std::ops::Range<usize>>| line_at(text.as_bytes(), at.map_or(0, |at| at.start));
    let document = Document::parse(text).map_err(|error| {
        let what = error.message().trim().replace('\n', ", ");
        vec![(line(error.span()), what)]
    })?;
    let mut settings = Settings::default();
    let mut wrong = Vec::new();
    for (name, item) in document.iter() {
        let span = document
            .key(name)
            .and_then(|key| key.span())
            .or(item.span());
        let line = line(span);
        let Some(known) = options::find(name) else {
            let near = options::nearest(name);
            let near = options::of_a_run(name).unwrap_or_else(|| match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`mir help configure` lists the options".to_owned(),
            });
            wrong.push((
                line,
                format!("unknown option `{}`: {near}", name.escape_debug()),
            ));
            continue;
        };
        match item.as_value().map(|value| known.kind.read(value)) {
            Some(Ok(text)) => settings.set(known.key, text, Source::File(line)),
            Some(Err(takes)) => wrong.push((line, format!("`{name}` takes {takes}"))),
            None => wrong.push((line, format!("`{name}` is an option, not a table"))),
        }
    }
    if wrong.is_empty() {
        Ok(settings)
    } else {
        Err(wrong)
    }
}

fn line_at(text: &[u8], at: usize) -> usize {
    let before = &text[..at.min(text.len())];
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}

/// The text of a file that says these settings. What the old one says besides, in comments and
/// order, stays.
fn edited(old: Option<&File>, settings: &Settings) -> Result<String, toml_edit::TomlError> {
    let text = old.map_or(HEADER, |old| &old.text);
    let mut document: DocumentMut = text.parse()?;
    for known in &OPTIONS {
        let Some(text) = settings.get(known.key) else {
            document.remove(known.name);
            continue;
        };
        let mut value = known.kind.write(text);
        match document.get_mut(known.name).and_then(Item::as_value_mut) {
            Some(there) => {
                if known.kind.read(there).as_deref() != Ok(text) {
                    *value.decor_mut() = there.decor().clone();
                    *there = value;
                }
            }
            None => {
                document.insert(known.name, Item::Value(value));
                // What comes after the last key in the file belongs in front of the new one.
                let before = document.trailing().as_str().unwrap_or_default().to_owned();
                let before = match before.is_empty() && document.len() > 1 {
                    true => "\n".to_owned(),
                    false if before.is_empty() || before.ends_with("\n\n") => before,
                    false => before + "\n",
                };
                let comment: String = wrap(known.help).map(|line| format!("# {line}\n")).collect();
                document.set_trailing(RawString::default());
                if let Some(mut key) = document.key_mut(known.name) {
                    key.leaf_decor_mut().set_prefix(before + &comment);
                }
            }
        }
    }
    let text = document.to_string();
    // The crate that edits knows no other ends of lines than ours.
    let theirs = old.is_some_and(|old| old.text.contains("\r\n") && !bare_line_feed(&old.text));
    Ok(match theirs {
        true => text.replace("\r\n", "\n").replace('\n', "\r\n"),
        false => text,
    })
}

fn bare_line_feed(text: &str) -> bool {
    text.split_inclusive('\n')
        .any(|line| line.ends_with('\n') && !line.ends_with("\r\n"))
}

/// Lines of a comment.
fn wrap(text: &str) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines
            .last()
            .is_some_and(|line| line.len() + word.len() > 95);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.into_iter()
}

/// Writes settings to a file, whole or not at all; whether that changed it.
pub(crate) fn save(path: &Path, old: Option<&File>, settings: &Settings) -> io::Result<bool> {
    let text = edited(old, settings).map_err(io::Error::other)?;
    if old.is_some_and(|old| old.text == text) {
        return Ok(false);
    }
    output::write(path, &[text.as_bytes()], false)?;
    Ok(true)
}

/// Paths of arguments are relative to where we are; in the file they are relative to it.
pub(crate) fn rebase(settings: &mut Settings, root: &Path) -> io::Result<()> {
    for key in [Key::Site, Key::Dist] {
        let Some(given) = settings
            .given(key)
            .filter(|given| given.source == Source::Argument)
        else {
            continue;
        };
        let given = PathBuf::from(&given.text);
        let mut path = relative(&straight(&given)?, &straight(root)?);
        // A full path that leads elsewhere is meant as one.
        if given.is_absolute() && path.starts_with("..") {
            path = given;
        }
        let text = path.to_str().ok_or_else(|| {
            io::Error::other(format!("a path that is not UTF-8: {}", path.display()))
        })?;
        settings.set(key, text, Source::Argument);
    }
    Ok(())
}

/// A full path without `..`, but for those behind a symbolic link, which lead elsewhere than they
/// seem to.
pub(crate) fn straight(path: &Path) -> io::Result<PathBuf> {
    let mut out = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        let up = part == Component::ParentDir && !out.ends_with("..") && !out.is_symlink();
        if !(up && out.pop()) {
            out.push(part);
        }
    }
    Ok(out)
}

/// The way from one folder to another, where that is short.
fn relative(path: &Path, from: &Path) -> PathBuf {
    for (above, folder) in from.ancestors().enumerate() {
        // The root alone is not something that both are in.
        if folder.parent().is_none() && above > 0 {
            break;
        }
        if let Ok(below) = path.strip_prefix(folder) {
            let ups = std::iter::repeat_n(Component::ParentDir, above);
            let way: PathBuf = ups.chain(below.components()).collect();
            return match way.as_os_str().is_empty() {
                true => ".".into(),
                false => way,
            };
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(text: &str) -> File {
        File {
            path: "mir.toml".into(),
            settings: parse(text).unwrap(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn every_mistake_has_its_line() {
        let wrong = parse("target = \"xen\"\nhttp-prot = 80\n\n[ipv4]\na = 1\n[x]\n").unwrap_err();
        assert_eq!(
            wrong,
            [
                (
                    2,
                    "unknown option `http-prot`: did you mean `http-port`?".into()
                ),
                (4, "`ipv4` is an option, not a table".into()),
                (
                    6,
                    "unknown option `x`: `mir help configure` lists the options".into()
                ),
            ]
        );
        let wrong = parse("memory = \"64\"\ndhcp = \"yes\"\ntarget = \"mac\"").unwrap_err();
        assert_eq!(
            wrong[0],
            (1, "`memory` takes a number from 8 to 1048576".into())
        );
        assert_eq!(wrong[1], (2, "`dhcp` takes true or false".into()));
        assert_eq!(wrong[2], (3, "`target` takes unix or xen".into()));
        assert_eq!(parse("a = 1\nb =").unwrap_err()[0].0, 2);
        assert_eq!(parse("dhcp = true\ndhcp = true\n").unwrap_err()[0].0, 2);
    }

    #[test]
    fn what_a_person_wrote_stays() {
        let old = file("# mine\nhttp-port = 8000 # not 80\n\n# the end\n");
        let mut settings = old.settings.clone();
        assert_eq!(edited(Some(&old), &settings).unwrap(), old.text);
        settings.set(Key::HttpPort, "8001", Source::Argument);
        settings.set(Key::Target, "xen", Source::Argument);
        assert_eq!(
            edited(Some(&old), &settings).unwrap(),
            "# mine\nhttp-port = 8001 # not 80\n\n# the end\n\n# What it runs on\ntarget = \"xen\"\n"
        );
        settings.remove(Key::HttpPort);
        let text = edited(Some(&old), &settings).unwrap();
        assert_eq!(parse(&text).unwrap().arguments(), ["-t xen"]);
    }

    #[test]
    fn ends_of_lines_stay() {
        let old = file("# mine\r\nmemory = 8 # why\r\n");
        let mut settings = old.settings.clone();
        assert_eq!(edited(Some(&old), &settings).unwrap(), old.text);
        settings.set(Key::Target, "xen", Source::Argument);
        assert_eq!(
            edited(Some(&old), &settings).unwrap(),
            "# mine\r\nmemory = 8 # why\r\n\r\n# What it runs on\r\ntarget = \"xen\"\r\n"
        );
        let mixed = file("# mine\r\nmemory = 8\n");
        let text = edited(Some(&mixed), &settings).unwrap();
        assert!(text.ends_with("target = \"xen\"\n"), "{text:?}");
    }

    #[test]
    fn a_path_is_written_as_the_way_from_the_file() {
        for (path, root, way) in [
            ("/p/site", "/p", "site"),
            ("/p", "/p", "."),
            ("/club", "/p", "/club"),
            ("/home/club/site", "/home/p", "../club/site"),
            ("/home", "/home/p/q", "../.."),
            ("/", "/p", "/"),
        ] {
            let found = relative(Path::new(path), Path::new(root));
            assert_eq!(found, Path::new(way), "{path} from {root}");
        }
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let at = |name: &str| folder.join(name);
        assert_eq!(straight(&at("a/b/../../c/./d")).unwrap(), at("c/d"));
        assert_eq!(straight(Path::new("/../x")).unwrap(), Path::new("/../x"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/usr/lib", at("link")).unwrap();
            assert_eq!(straight(&at("link/../x")).unwrap(), at("link/../x"));
        }
    }

    #[test]
    fn what_has_the_name_and_is_no_file_is_not_passed_by() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        std::fs::create_dir_all(below.join(NAME)).unwrap();
        std::fs::write(folder.path().join(NAME), "").unwrap();
        assert_eq!(find(&below), Some(below.join(NAME)));
        assert!(File::read(&below.join(NAME)).is_err());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut settings = Settings::default();
        settings.set(Key::Dhcp, "yes", Source::Argument);
        settings.set(Key::Memory, "64", Source::Argument);
        settings.set(Key::Site, "a \"b\" c", Source::Argument);
        settings.set(Key::Logs, "net:debug,*:info", Source::Argument);
        let text = edited(None, &settings).unwrap();
        assert!(text.starts_with(HEADER), "{text}");
        assert_eq!(parse(&text).unwrap().arguments(), settings.arguments());
        let again = edited(Some(&file(&text)), &settings).unwrap();
        assert_eq!(again, text);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.toml"), folder.path().join(NAME));
        std::os::unix::fs::symlink(&real, &link).unwrap();
        std::fs::write(&real, "# mine\n").unwrap();
        let old = File::read(&link).unwrap();
        let mut settings = old.settings.clone();
        settings.set(Key::Dhcp, "yes", Source::Argument);
        assert!(save(&link, Some(&old), &settings).unwrap());
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        let text = std::fs::read_to_string(&real).unwrap();
        assert!(
            text.starts_with("# mine\n") && text.ends_with("dhcp = true\n"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}", lines in prop::collection::vec(
            "(target|dhcp|memory|x|\\[a\\]|a\\.b|\"site\")? ?=? ?(\"xen\"|true|7|\\{a=1\\}|\\[1|1979-05-27)? ?(#.{0,8})?\r?",
            0..8,
        )) {
            let _ = parse(&text);
            let _ = parse(&lines.join("\n"));
        }

        #[test]
        fn changed_in_any_way_it_says_what_it_should(
            old in prop::collection::vec(0usize..9, 0..9),
            new in prop::collection::btree_set(0usize..6, 0..6),
            last: bool,
        ) {
            let options = [
                (Key::Target, "xen"),
                (Key::Site, "a \"b\" c"),
                (Key::Dhcp, "yes"),
                (Key::Memory, "64"),
                (Key::Logs, "*:info"),
                (Key::KvRo, "fat"),
            ];
            let lines = [
                "target = 'unix' # why",
                "site = \"x\"",
                "dhcp = false",
                "memory=8",
                "\"logs\" = '''off'''",
                "  kv_ro = \"crunch\"",
                "# a comment",
                "",
                "\t",
            ];
            let mut seen = std::collections::BTreeSet::new();
            let old = old.into_iter().filter(|at| *at > 5 || seen.insert(*at));
            let mut text = old.map(|at| lines[at]).collect::<Vec<_>>().join("\n");
            text.push_str(if last { "\n" } else { "" });
            let mut settings = Settings::default();
            for at in new {
                settings.set(options[at].0, options[at].1, Source::Argument);
            }
            let changed = edited(Some(&file(&text)), &settings).unwrap();
            let read = parse(&changed).unwrap();
            prop_assert_eq!(read.arguments(), settings.arguments(), "{}", changed);
            prop_assert_eq!(edited(Some(&file(&changed)), &settings).unwrap(), changed);
        }
    }
}
