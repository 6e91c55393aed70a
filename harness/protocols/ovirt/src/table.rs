//! Tables of messages: `inputs.txt` and `probes.txt`, two lines for each entry.
//!
//! ```text
//! # a comment
//! name (word, word): what it is about, in one sentence
//! {"__name__": "fqdn", "fqdn": "%ff"}
//!
//! %ff       that byte              %|    here a write ends, and the next one begins
//! %{[*900}  that text, 900 times   %-    the end, without the line feed of every line
//! ```

/// An entry of a table.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What stands in brackets behind the name.
    pub words: Vec<&'static str>,
    /// What it is about.
    pub about: &'static str,
    /// The bytes, write by write.
    pub writes: Vec<Vec<u8>>,
}

/// Reads a table, up to what is none.
pub(crate) fn read(table: &'static str) -> impl Iterator<Item = Entry> {
    let mut lines = table.lines();
    std::iter::from_fn(move || {
        let head = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
        let (left, about) = head.split_once(": ")?;
        let (name, words) = left.split_once(" (").unwrap_or((left, ""));
        let words = words.trim_end_matches(')').split(", ").collect();
        Some(Entry { name, words, about, writes: writes(lines.next()?)? })
    })
}

fn writes(line: &str) -> Option<Vec<Vec<u8>>> {
    let mut writes = vec![Vec::new()];
    let mut rest = line;
    while let Some((plain, escape)) = rest.split_once('%') {
        let write = writes.last_mut()?;
        write.extend_from_slice(plain.as_bytes());
        if escape == "-" {
            return Some(writes);
        } else if let Some(behind) = escape.strip_prefix('|') {
            writes.push(Vec::new());
            rest = behind;
        } else if let Some(repeated) = escape.strip_prefix('{') {
            let (repeated, behind) = repeated.split_once('}')?;
            let (text, times) = repeated.split_once('*')?;
            write.extend_from_slice(text.repeat(times.parse().ok()?).as_bytes());
            rest = behind;
        } else {
            write.push(u8::from_str_radix(escape.get(..2)?, 16).ok()?);
            rest = escape.get(2..)?;
        }
    }
    let write = writes.last_mut()?;
    write.extend_from_slice(rest.as_bytes());
    write.push(b'\n');
    Some(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_tables_to_their_end() {
        let last = |table| read(table).last().map(|entry| entry.name);
        assert_eq!(last(include_str!("inputs.txt")), Some("canary-max"));
        assert_eq!(last(include_str!("probes.txt")), Some("lifecycle-event-private-type"));
    }

    #[test]
    fn writes_bytes_as_they_are_escaped() {
        #[track_caller]
        fn check(line: &str, expect: &[&[u8]]) {
            assert_eq!(writes(line).expect("a line of a table"), expect, "{line}");
        }
        check("", &[b"\n"]);
        check("a%ffb%{[*3}%0d", &[b"a\xffb[[[\r\n"]);
        check("%{x*2}%|%|y", &[b"xx", b"", b"y\n"]);
        check("{\"a%-", &[b"{\"a"]);
        assert!(["%", "%g0", "%{x}", "%{x*y}"].iter().all(|line| writes(line).is_none()));
    }
}
