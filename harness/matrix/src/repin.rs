//! `wireskew builds update`: another pinned version in `builds.toml`, everything else as it was.

use toml_edit::{DocumentMut, Item, Value};

use crate::BuildId;

/// Why a version cannot be pinned.
#[derive(Debug, thiserror::Error)]
pub enum RepinError {
    /// The text is no TOML.
    #[error(transparent)]
    Toml(#[from] toml_edit::TomlError),
    /// The build does not pin this package.
    #[error("build `{id}` pins no package `{package}`")]
    NotPinned {
        /// The build.
        id: BuildId,
        /// The package.
        package: String,
    },
}

/// The text of a `builds.toml` in which a build pins another version of a package. Comments and layout stay.
///
/// # Errors
/// See [`RepinError`].
pub fn repin(text: &str, id: &BuildId, package: &str, version: &str) -> Result<String, RepinError> {
    let mut document: DocumentMut = text.parse()?;
    let pin = pins(&mut document, id)
        .find(|pin| name_of(pin) == Some(package))
        .ok_or_else(|| RepinError::NotPinned { id: id.clone(), package: package.to_owned() })?;
    let decor = pin.decor().clone();
    *pin = Value::from(format!("{package}={version}"));
    *pin.decor_mut() = decor;
    Ok(document.to_string())
}

/// The pins of a build, `package=version` each.
fn pins<'a>(document: &'a mut DocumentMut, id: &'a BuildId) -> impl Iterator<Item = &'a mut Value> {
    let tables = document.get_mut("build").and_then(Item::as_array_of_tables_mut).into_iter();
    tables
        .flat_map(|tables| tables.iter_mut())
        .filter(|table| table.get("id").and_then(Item::as_str) == Some(id.as_str()))
        .filter_map(|table| table.get_mut("debian")?.get_mut("packages")?.as_array_mut())
        .flat_map(|packages| packages.iter_mut())
}

fn name_of(pin: &Value) -> Option<&str> {
    Some(pin.as_str()?.split_once('=')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# who
[[build]]
id = \"1\"                 # one
debian = { suite = \"s\", packages = [\"a=1\", \"b=2\"], extra = [\"c\"] }

[[build]]
id = \"2\"
debian = { suite = \"t\", packages = [\"a=1\"] }
";

    #[track_caller]
    fn check(id: &str, package: &str, expect: Result<(&str, &str), &str>) {
        let got = repin(TEXT, &BuildId::new(id), package, "9:9-9").map_err(|error| error.to_string());
        let expect = expect.map(|(old, new)| TEXT.replacen(old, new, 1)).map_err(str::to_owned);
        assert_eq!(got, expect);
    }

    #[test]
    fn changes_one_pin_and_nothing_else() {
        check("1", "b", Ok(("b=2", "b=9:9-9")));
        check("2", "a", Ok(("t\", packages = [\"a=1", "t\", packages = [\"a=9:9-9")));
    }

    #[test]
    fn refuses_what_is_not_pinned() {
        check("1", "c", Err("build `1` pins no package `c`"));
        check("3", "a", Err("build `3` pins no package `a`"));
    }
}
