// Shared by the tests of the crates that hold the bodies of fuzz targets, which `include!` this file:
// every input in `fuzz/regressions/<target>/` goes through the body once more.

/// Runs `body` over every regression of `target`. A folder that cannot be read or is empty fails.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path();
        let input = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let held = std::panic::catch_unwind(|| body(&input));
        assert!(held.is_ok(), "{} fails again", path.display());
        count += 1;
    }
    assert!(count > 0, "{} holds no input", folder.display());
}
