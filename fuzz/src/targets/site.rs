//! A site's folder: front matter, Markdown and `site.toml`.

pub(super) mod site_folder {
    use std::fs;

    use mir::pack::Cache;
    use mir::site::{Options, render};
    use www::pack::Pack;

    /// What stands between the page and `site.toml`.
    const CUT: &[u8] = b"\n=====\n";

    /// A folder is rendered to what makes a good pack, or all that is wrong with it is named.
    pub(in super::super) fn run(bytes: &[u8]) {
        let at = bytes.windows(CUT.len()).position(|window| window == CUT);
        let (page, settings) = match at {
            Some(at) => (&bytes[..at], Some(&bytes[at + CUT.len()..])),
            None => (bytes, None),
        };
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("page.md"), page).expect("a file");
        fs::write(
            folder.path().join("index.md"),
            "# Front\n\n[on](page.md#there)\n",
        )
        .expect("a file");
        if let Some(settings) = settings {
            fs::write(folder.path().join("site.toml"), settings).expect("a file");
        }
        let options = Options {
            modified: Some(0),
            ..Options::default()
        };
        match render(folder.path(), options) {
            Ok(site) => {
                let paths: Vec<_> = site.items.iter().map(|item| item.path.clone()).collect();
                let pack = mir::pack::pack(site, &Cache::none()).expect("a pack");
                let pack = Pack::load(&pack).expect("a good pack");
                for path in paths {
                    assert!(pack.find(path.as_bytes()).is_some(), "{path}");
                }
            }
            Err(problems) => {
                assert!(!problems.is_empty());
                for problem in problems {
                    assert!(!problem.to_string().is_empty());
                }
            }
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        super::super::texts(&[
            "---\ntitle: A page\ndate: 2026-11-23\ntags: [a, b]\n---\n# One\n\n## Two\n\nText, *more*, `code`.\n",
            "+++\ntitle = \"A page\"\nweight = 7\ndraft = false\n+++\n\n- [ ] one\n- [x] two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[^1]: note\n",
            "# No front matter\n\n[a](index.md) ![b](c.png) <https://d> [e]: /f \"g\"\n\n```rust\nfn main() {}\n```\n\n> q\n\n<script>x</script>\n",
            "text\n=====\ntitle = \"A site\"\nlanguage = \"en\"\n\n[[nav]]\ntitle = \"Front\"\nurl = \"/\"\n",
        ])
    }
}
