//! Sites made for a test.

use std::fs;
use std::path::Path;

use mir::site::{self, Item, Options, Rendered};
use tempfile::TempDir;

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        put(folder.path(), name, content);
    }
    folder
}

pub(crate) fn put(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub(crate) fn render(folder: &Path) -> Result<Rendered, Vec<String>> {
    let options = Options {
        modified: Some(1),
        ..Options::default()
    };
    site::render(folder, options)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

pub(crate) fn errors(files: &[(&str, &[u8])]) -> Vec<String> {
    render(folder(files).path()).expect_err("a broken site")
}

pub(crate) fn item<'a>(site: &'a Rendered, path: &str) -> &'a Item {
    site.items
        .iter()
        .find(|item| item.path == path)
        .unwrap_or_else(|| panic!("no {path}"))
}

pub(crate) fn html(site: &Rendered, path: &str) -> String {
    String::from_utf8(item(site, path).body.clone()).unwrap()
}
