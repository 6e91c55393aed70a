//! The front matter: provenance as TOML in comment lines.
//!
//! It is read with the `toml` crate and written by hand, so that the canonical text does not depend
//! on how a release of that crate likes to lay out its output.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::error::{Fault, ParseErrorKind};
use super::words::{Place, push_quoted};
use crate::{Endpoint, Provenance};

/// The TOML of a provenance, without the recorder, which stands on the first line.
pub(crate) fn render(provenance: &Provenance) -> String {
    let Provenance {
        protocol,
        case,
        recorder: _,
        recorded,
        note,
        seed,
        transport,
        masks,
        masked,
        environment,
        client,
        server,
        builds,
    } = provenance;
    let mut out = String::new();
    text(&mut out, "protocol", protocol);
    text(&mut out, "case", case);
    text_unless_empty(&mut out, "recorded", recorded);
    text_unless_empty(&mut out, "transport", transport);
    text_unless_empty(&mut out, "note", note);
    if let Some(seed) = seed {
        line(&mut out, format_args!("seed = {seed}"));
    }
    list(&mut out, "masks", masks);
    if !masked.is_empty() {
        out.push_str("masked = [\n");
        for mask in masked {
            out.push_str("  { name = ");
            push_quoted(&mut out, &mask.name, Place::Comment);
            let (conn, dir, span) = (mask.conn, mask.dir, &mask.span);
            line(
                &mut out,
                format_args!(
                    ", conn = {conn}, dir = \"{dir}\", start = {}, end = {} }},",
                    span.start, span.end
                ),
            );
        }
        out.push_str("]\n");
    }
    map(&mut out, "environment", environment);
    endpoint(&mut out, "client", client);
    endpoint(&mut out, "server", server);
    for change in builds {
        line(&mut out, format_args!("\n[[builds]]\nfrom_us = {}", change.from_us));
        endpoint(&mut out, "builds.client", &change.client);
        endpoint(&mut out, "builds.server", &change.server);
    }
    out
}

fn endpoint(out: &mut String, table: &str, endpoint: &Endpoint) {
    let Endpoint { id, name, version, package, source, digest, command, modified, details } = endpoint;
    line(out, format_args!("\n[{table}]"));
    text(out, "id", id);
    text(out, "name", name);
    for (key, value) in [("version", version), ("package", package), ("source", source), ("digest", digest)] {
        if let Some(value) = value {
            text(out, key, value);
        }
    }
    list(out, "command", command);
    if *modified {
        out.push_str("modified = true\n");
    }
    map(out, &format!("{table}.details"), details);
}

fn map(out: &mut String, table: &str, map: &BTreeMap<String, String>) {
    if map.is_empty() {
        return;
    }
    line(out, format_args!("\n[{table}]"));
    for (key, value) in map {
        text(out, key, value);
    }
}

fn list(out: &mut String, key: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    out.push_str(key);
    for (index, item) in items.iter().enumerate() {
        out.push_str(if index == 0 { " = [" } else { ", " });
        push_quoted(out, item, Place::Comment);
    }
    out.push_str("]\n");
}

fn text_unless_empty(out: &mut String, key: &str, value: &str) {
    if !value.is_empty() {
        text(out, key, value);
    }
}

fn text(out: &mut String, key: &str, value: &str) {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare {
        out.push_str(key);
    } else {
        push_quoted(out, key, Place::Comment);
    }
    out.push_str(" = ");
    push_quoted(out, value, Place::Comment);
    out.push('\n');
}

fn line(out: &mut String, args: std::fmt::Arguments<'_>) {
    writeln!(out, "{args}").expect("writing to a String cannot fail");
}

/// Reads the TOML back. `first_line` is the number of its first line in the file; each of its lines
/// stands there behind `# `.
pub(super) fn parse(toml: &str, first_line: usize, recorder: String) -> Result<Provenance, Fault> {
    let mut provenance: Provenance = toml::from_str(toml).map_err(|error| {
        let before = error.span().and_then(|span| toml.get(..span.start)).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = first_line + before.matches('\n').count();
        let column = before[line_start..].chars().count() + "# ".len() + 1;
        let message = error.message().trim_end().replace('\n', "; ");
        Fault::new(line, column, ParseErrorKind::FrontMatter(message))
    })?;
    if !provenance.recorder.is_empty() {
        let message = "`recorder` stands on the first line, behind `written by`".to_owned();
        return Err(Fault::new(first_line, 1, ParseErrorKind::FrontMatter(message)));
    }
    provenance.recorder = recorder;
    Ok(provenance)
}
