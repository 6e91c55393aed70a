//! What the lock files have in common.

use toml::Spanned;

use crate::section::Section;

/// A TOML string with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// A TOML key, quoted where it has to be.
pub(crate) fn key(text: &str) -> String {
    let bare =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if bare { text.to_owned() } else { quoted(text) }
}

/// Reads `format` and refuses every other than the known one.
pub(crate) fn read_format(root: &mut Section<'_>, known: u64) -> Option<()> {
    let format = root.required::<Spanned<u64>>("format")?;
    if *format.get_ref() == known {
        return Some(());
    }
    let message = format!("the file has format {}, this program reads {known}", format.get_ref());
    let help = if *format.get_ref() > known {
        "a newer wireskew wrote it: use that, or write the file anew"
    } else {
        "write the file anew"
    };
    let problem = root.problem(format.span(), message, "unknown format").help(help.to_owned());
    root.context().report(problem);
    None
}
