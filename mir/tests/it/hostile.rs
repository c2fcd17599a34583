//! Whatever stands in a site's files, rendering ends with a site or with reasons.

use crate::common::{folder, render};
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes that are mostly what parsers take for structure.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("---\n"),
        Just("+++\n"),
        Just("title: "),
        Just("date: "),
        Just("date = "),
        Just("2026-02-30\n"),
        Just("- "),
        Just("["),
        Just("]"),
        Just("]: "),
        Just("("),
        Just(")"),
        Just("{"),
        Just("}"),
        Just("\n"),
        Just("\r\n"),
        Just("# "),
        Just("> "),
        Just("```"),
        Just("| a | b |\n|--|--|\n"),
        Just("[^1]"),
        Just("[^1]: "),
        Just("<div>"),
        Just("</"),
        Just("&a"),
        Just("*a"),
        Just("<<: *a\n"),
        Just("!!binary "),
        Just("\""),
        Just("'"),
        Just("\t"),
        Just("\\"),
        Just("\u{feff}"),
        Just("ü"),
        Just("{#x}"),
        Just("{{ x }}"),
        Just("{% for"),
        Just("../.."),
        Just("%ff"),
        Just("~~"),
        Just("![x]("),
        Just(": "),
        Just("= "),
        Just("a"),
        Just("\0"),
        Just("|\n "),
        Just("999999999999999999999"),
    ];
    prop_oneof![
        vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes()),
        vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn texts(one in text(), two in text(), name in "[ -~äü]{1,20}") {
        let name = name.replace('/', "-");
        let site = folder(&[
            (&format!("content/{name}.md"), &one),
            ("content/fenced.md", &[b"---\n", two.as_slice(), b"\n---\n", one.as_slice()].concat()),
        ]);
        let _ = render(site.path());
    }

    #[test]
    fn templates_and_configuration(template in text(), config in text()) {
        let site = folder(&[
            ("content/a.md", b"text"),
            ("templates/page.html", &template),
            ("site.toml", &config),
        ]);
        let _ = render(site.path());
    }
}

/// Nothing that nests takes more stack than there is: it is refused, or rendered.
#[test]
fn nesting() {
    let deep = |open: &str, close: &str| open.repeat(50_000) + &close.repeat(50_000);
    let yaml = format!("---\na: {}\n---\n", deep("[", "]"));
    let toml = format!("+++\na = {}\n+++\n", deep("[", "]"));
    let site = folder(&[
        ("content/a.md", yaml.as_bytes()),
        ("content/b.md", toml.as_bytes()),
        (
            "templates/c.html",
            deep("{% if x %}", "{% endif %}").as_bytes(),
        ),
        (
            "templates/d.html",
            format!("{{{{ {} }}}}", deep("(", ")")).as_bytes(),
        ),
    ]);
    let problems = render(site.path()).unwrap_err();
    let files: Vec<_> = problems
        .iter()
        .filter_map(|problem| problem.split(':').next())
        .collect();
    assert_eq!(
        files,
        [
            "content/a.md",
            "content/b.md",
            "templates/c.html",
            "templates/d.html"
        ]
    );

    let site = folder(&[
        ("content/a.md", b"text"),
        ("templates/page.html", b"\n{% include 'page.html' %}"),
    ]);
    let problems = render(site.path()).unwrap_err();
    assert_eq!(
        problems,
        ["templates/page.html:2: invalid operation: recursion limit exceeded"]
    );

    let texts: Vec<_> = [
        ">", "[", "*a ", "- ", "`", "![[", "<a ", "_*", "[^1]", "|", "&",
    ]
    .iter()
    .enumerate()
    .map(|(at, piece)| (format!("content/{at}.md"), piece.repeat(50_000)))
    .collect();
    let files: Vec<_> = texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_bytes()))
        .collect();
    assert_eq!(
        render(folder(&files).path()).unwrap().items.len(),
        texts.len() + 6
    );
}
