//! The image that everybody has: an archive with a busybox and links to it, as `POST /images/create?fromSrc=-` takes it.
//!
//! ```text
//! 0    name    100  mode    108  user    116  group    124  size    136  time    148  sum of the head, with spaces here
//! 156  type    157  where a link leads    257  "ustar" 0 "00"                    up to 512
//! ```

/// Its directories, which are all that is in its root.
pub(super) const DIRECTORIES: [&str; 2] = ["bin", "tmp"];
/// What busybox is called there besides.
const APPLETS: [&str; 8] = ["cat", "echo", "false", "ls", "ps", "sh", "sleep", "true"];

/// Length of a head, and that to which files are filled.
const BLOCK_LEN: usize = 512;
/// Kinds of entries.
const FILE: u8 = b'0';
const LINK: u8 = b'2';
const DIRECTORY: u8 = b'5';

/// The archive, with that program for busybox.
pub(super) fn archive(busybox: &[u8]) -> Vec<u8> {
    let mut archive = Vec::with_capacity(busybox.len() + (DIRECTORIES.len() + APPLETS.len() + 5) * BLOCK_LEN);
    for name in DIRECTORIES {
        archive.extend(head(&format!("{name}/"), DIRECTORY, 0, ""));
    }
    archive.extend(head("bin/busybox", FILE, busybox.len(), ""));
    archive.extend_from_slice(busybox);
    archive.resize(archive.len().next_multiple_of(BLOCK_LEN), 0);
    for name in APPLETS {
        archive.extend(head(&format!("bin/{name}"), LINK, 0, "busybox"));
    }
    archive.resize(archive.len() + 2 * BLOCK_LEN, 0);
    archive
}

/// The head of an entry; all of them belong to root and may be executed.
fn head(name: &str, kind: u8, len: usize, to: &str) -> [u8; BLOCK_LEN] {
    let mut head = [0; BLOCK_LEN];
    let mut put = |at: usize, text: &str| {
        for (byte, new) in head.iter_mut().skip(at).zip(text.bytes()) {
            *byte = new;
        }
    };
    put(0, name);
    put(100, "0000755");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{len:011o}"));
    put(136, "00000000000");
    put(148, "        ");
    put(156, &char::from(kind).to_string());
    put(157, to);
    put(257, "ustar\u{0}00");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    for (byte, new) in head.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *byte = new;
    }
    head
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn an_archive_is_read_by_tar() {
        let archive = archive(b"#!busybox");
        assert_eq!(archive.len() % BLOCK_LEN, 0);
        let mut tar = Command::new("tar");
        let tar = tar.args(["-tvf", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut tar = tar.spawn().expect("there is a tar");
        tar.stdin.take().expect("it is piped").write_all(&archive).expect("it reads");
        let listed = tar.wait_with_output().expect("it ends");
        assert!(listed.status.success());
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let names: Vec<_> = listed
            .lines()
            .map(|line| line.split_whitespace().skip(5).collect::<Vec<_>>().join(" "))
            .collect();
        let expect = ["bin/", "tmp/", "bin/busybox", "bin/cat -> busybox", "bin/echo -> busybox"];
        assert_eq!(names.get(..5), Some(&expect.map(str::to_owned)[..]), "{listed}");
        assert_eq!(names.len(), 3 + APPLETS.len());
        assert!(listed.contains("-rwxr-xr-x 0/0 ") || listed.contains("-rwxr-xr-x root/root"), "{listed}");
    }
}
