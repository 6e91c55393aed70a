//! The programs of the one image, as far as its recordings and scenarios use them.
//!
//! ```text
//! /bin/echo hi                                    hi\n on 1, status 0
//! /bin/sh -c 'echo o; echo e >&2; exit 3'         o\n on 1, e\n on 2, status 3
//! /bin/sleep 1000                                 nothing, and it stays
//! /bin/cat                                        what it is sent, until that ends
//! ```

/// Where a process writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Its output.
    Out,
    /// Its errors.
    Err,
}

/// What a program does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// What it writes, in order.
    pub output: Vec<(Stream, Vec<u8>)>,
    /// Its exit status; nothing where it stays.
    pub exit: Option<i32>,
    /// Whether it writes what it reads, and ends with that.
    pub echoes: bool,
    /// Its command line while it stays.
    pub title: String,
}

/// Where programs are looked for, and their names.
const DIRECTORY: &str = "/bin/";
const NAMES: [&str; 7] = ["cat", "echo", "false", "ls", "sh", "sleep", "true"];
/// What lies in the root of the image.
const ROOT: &str = "bin\ndev\netc\nproc\nsys\ntmp\n";

/// A program that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoProgram {
    /// It was named by its path.
    #[error("exec: \"{0}\": stat {0}: no such file or directory")]
    Path(String),
    /// It was named by its name.
    #[error("exec: \"{0}\": executable file not found in $PATH")]
    Name(String),
}

impl Program {
    /// What that command line does, with a terminal or without one.
    ///
    /// # Errors
    /// There is no such program.
    pub(crate) fn of(argv: &[String], tty: bool) -> Result<Self, NoProgram> {
        let (name, args) = argv.split_first().map_or(("", &[][..]), |(name, args)| (name.as_str(), args));
        let known = name.strip_prefix(DIRECTORY).unwrap_or(name);
        if !NAMES.contains(&known) {
            let name = name.to_owned();
            return Err(if name.contains('/') { NoProgram::Path(name) } else { NoProgram::Name(name) });
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut program = Self { title: argv.join(" "), ..Self::default() };
        match (known, args.as_slice()) {
            ("sh", ["-c", script, ..]) => program.runs(script),
            _ => program.run(known, &args, Stream::Out),
        }
        if tty {
            for (stream, bytes) in &mut program.output {
                *stream = Stream::Out;
                *bytes = with_returns(bytes);
            }
        }
        Ok(program)
    }

    /// Runs the commands of a script one behind the other, as far as there are any that we know.
    fn runs(&mut self, script: &str) {
        self.exit = Some(0);
        for command in script.split(';') {
            let (command, stream) = match command.trim().strip_suffix(">&2") {
                Some(command) => (command, Stream::Err),
                None => (command, Stream::Out),
            };
            let mut words = command.split_whitespace();
            let Some(name) = words.next() else { continue };
            let args: Vec<&str> = words.collect();
            if name == "exit" {
                self.exit = Some(args.first().and_then(|status| status.parse().ok()).unwrap_or(0));
                return;
            }
            self.run(name.strip_prefix(DIRECTORY).unwrap_or(name), &args, stream);
            if self.exit.is_none() {
                self.title = command.trim().to_owned();
                return;
            }
        }
    }

    fn run(&mut self, name: &str, args: &[&str], stream: Stream) {
        self.exit = Some(0);
        match name {
            "echo" => self.output.push((stream, format!("{}\n", args.join(" ")).into_bytes())),
            "ls" => self.output.push((stream, ROOT.as_bytes().to_vec())),
            "true" => {}
            "false" => self.exit = Some(1),
            "cat" => (self.exit, self.echoes) = (None, true),
            // A shell without a script waits for one.
            "sleep" | "sh" => self.exit = None,
            _ => {
                self.output.push((Stream::Err, format!("sh: {name}: not found\n").into_bytes()));
                self.exit = Some(127);
            }
        }
    }
}

/// What a terminal makes of the ends of lines.
pub(crate) fn with_returns(bytes: &[u8]) -> Vec<u8> {
    let ends = |byte: &u8| if *byte == b'\n' { b"\r\n".to_vec() } else { vec![*byte] };
    bytes.iter().flat_map(ends).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &[&str], tty: bool, out: &str, err: &str, exit: Option<i32>, title: &str) {
        let argv: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let program = Program::of(&argv, tty).expect("a program of the image");
        let of = |stream| {
            let pieces = program.output.iter().filter(move |(which, _)| *which == stream);
            String::from_utf8(pieces.flat_map(|(_, bytes)| bytes.clone()).collect()).expect("text")
        };
        assert_eq!((of(Stream::Out).as_str(), of(Stream::Err).as_str(), program.exit), (out, err, exit));
        assert_eq!(program.title, title);
    }

    #[test]
    fn the_command_lines_of_recordings_do_what_they_did() {
        check(&["/bin/echo", "hi"], false, "hi\n", "", Some(0), "/bin/echo hi");
        check(&["/bin/echo", "hi"], true, "hi\r\n", "", Some(0), "/bin/echo hi");
        check(&["/bin/ls", "/"], false, ROOT, "", Some(0), "/bin/ls /");
        check(&["/bin/true"], false, "", "", Some(0), "/bin/true");
        check(&["false"], false, "", "", Some(1), "false");
        check(&["/bin/cat"], false, "", "", None, "/bin/cat");
        check(&["/bin/sleep", "54401"], false, "", "", None, "/bin/sleep 54401");
        let script = "echo o; echo e >&2; exit 3";
        check(&["/bin/sh", "-c", script], false, "o\n", "e\n", Some(3), &format!("/bin/sh -c {script}"));
        let script = "echo out; echo err >&2; sleep 300";
        check(&["/bin/sh", "-c", script], false, "out\n", "err\n", None, "sleep 300");
    }

    #[test]
    fn programs_that_are_not_there_are_told_as_such() {
        #[track_caller]
        fn check(name: &str, expect: &str) {
            let error = Program::of(&[name.to_owned()], false).expect_err("no program of the image");
            assert_eq!(error.to_string(), expect);
        }
        check("nope", "exec: \"nope\": executable file not found in $PATH");
        check("/bin/nope", "exec: \"/bin/nope\": stat /bin/nope: no such file or directory");
    }
}
