//! What each command says: transcripts/*.md are read as terminals would show them, and played.
//! `TRYCMD=overwrite cargo test -p mir --test transcripts` writes down what is said now; lengths
//! that change with the program or the built-in theme are then to be made `[..]` again.
//!
//! xen.in/mir-www-xen is a kernel as small as one can be: ELF headers for one segment, with the two
//! notes that docs/image.md asks for.

#[test]
fn transcripts() {
    // Whoever builds this may have set what changes a build.
    let cache = tempfile::tempdir().expect("a folder");
    let cache = cache.path().to_str().expect("its name");
    let cases = trycmd::TestCases::new();
    cases
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("XDG_CACHE_HOME", cache)
        .env("COLUMNS", "100")
        .case("tests/transcripts/*.md");
}
