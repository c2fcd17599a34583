//! A site's folder: front matter, Markdown and `site.toml`.

pub(super) mod site_folder {
    use std::fs;

    use mir::pack::Cache;
    use mir::site::{Options, render};
    use www::pack::Pack;

    /// What stands between the page, `site.toml` and `links.yml`.
    const CUT: &str = "\n=====\n";

    /// A folder is rendered to what makes a good pack, or all that is wrong with it is named.
    pub(in super::super) fn run(bytes: &[u8]) {
        let cut = |bytes: &[u8]| -> Option<usize> {
            let mut windows = bytes.windows(CUT.len());
            windows.position(|window| window == CUT.as_bytes())
        };
        let folder = tempfile::tempdir().expect("a folder");
        let mut rest = Some(bytes);
        for name in ["page.md", "site.toml", "links.yml"] {
            let Some(bytes) = rest else {
                break;
            };
            let at = cut(bytes);
            let part = &bytes[..at.unwrap_or(bytes.len())];
            rest = at.map(|at| &bytes[at + CUT.len()..]);
            fs::write(folder.path().join(name), part).expect("a file");
        }
        fs::write(
            folder.path().join("index.md"),
            "# Front\n\n[on](page.md#there)\n",
        )
        .expect("a file");
        let options = Options {
            modified: Some(0),
            lenient: true,
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
            "---\nauthors: [{name: A, uri: \"\"}]\naliases: [/a, b]\npermalink: /c\nupdated: 2016-2-29 12:30\n---\na[^1] https://a.b\n\n[^1]: *b* <i>c<br>\n\n```console\n$ ls\n```\n\
             \n=====\nbase_url = \"https://a.b\"\n[[redirects]]\nfrom = \"/x\"\nto = \"/page\"\n\
             [[headers]]\npath = \"/*\"\nvalues = { X-A = \"b\" }\n[markdown]\nhtml = false\n\
             \n=====\n- id: a\n  uri: https://a.b/c\n  title: T\n  date: 2015-06-12\n  stream: s\n",
            "text\n=====\ntitle = \"A site\"\nlanguage = \"en\"\n\n[[nav]]\ntitle = \"Front\"\nurl = \"/\"\n",
        ])
    }
}
