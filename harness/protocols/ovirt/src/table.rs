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

/// Reads a table to its end, and makes of each entry what it says. An error names the line.
pub(crate) fn read<T>(
    table: &'static str,
    of: impl Fn(Entry) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let (mut lines, mut all) = ((1..).zip(table.lines()), Vec::new());
    while let Some((at, head)) = lines.find(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let bytes = lines.next().map_or("", |(_, line)| line);
        let read = entry(head, bytes).and_then(&of);
        all.push(read.map_err(|what| format!("line {at}: {what}"))?);
    }
    Ok(all)
}

fn entry(head: &'static str, bytes: &str) -> Result<Entry, String> {
    let (left, about) = head.split_once(": ").ok_or("it says not what it is about")?;
    let (name, words) = match left.split_once(" (") {
        Some((name, words)) => {
            (name, words.strip_suffix(')').ok_or("words without a `)`")?.split(", ").collect())
        }
        None => (left, Vec::new()),
    };
    if name.is_empty() || name.contains(|c: char| c != '-' && !c.is_ascii_alphanumeric()) {
        return Err(format!("`{name}` is no name"));
    }
    let writes = writes(bytes).filter(|_| !bytes.is_empty());
    Ok(Entry {
        name,
        words,
        about,
        writes: writes.ok_or_else(|| format!("`{bytes}` below it are no bytes"))?,
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
    fn an_entry_that_is_none_is_an_error_with_its_line() {
        #[track_caller]
        fn check(table: &'static str, expect: &str) {
            assert_eq!(read(table, Ok).err().as_deref(), Some(expect), "{table}");
        }
        check("# a\n\na: b\nc\nd\ne", "line 5: it says not what it is about");
        check("a (b: c\nd", "line 1: words without a `)`");
        check("a(b): c\nd", "line 1: `a(b)` is no name");
        check(": c\nd", "line 1: `` is no name");
        check("a: b\n\nc: d\ne", "line 1: `` below it are no bytes");
        check("a: b", "line 1: `` below it are no bytes");
        check("a: b\n%g0", "line 1: `%g0` below it are no bytes");
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
