//! Small projects in temporary folders, and the command in them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// No command of these tests takes seconds; this is for a machine that does much else.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A project of one protocol with reference peers only.
///
/// `old` answers as LXC 4.0.6 does: it closes on an unknown request. One of its two failures is expected.
pub(crate) struct Project {
    dir: TempDir,
}

const BUILDS: &str = r#"
protocol = "lxc-command"
alias = "lxc"

[[build]]
id = "ideal"
reference = true

[[build]]
id = "old"
version = "4.0.6"
reference = true

[[build]]
id = "kept"
version = "4.0.6"
recorded = true
"#;

const MATRIX: &str = r#"
protocol = "lxc-command"

[[cells]]
name = "green"
about = "what passes"
clients = ["probe"]
servers = ["ideal"]
cases = ["probe/unknown-payload-*", "probe/two-in-one-write", "probe/header-cut-1"]
source = "reference"

[[cells]]
name = "clients"
about = "operations that pass"
clients = ["ideal"]
servers = ["ideal"]
cases = ["client/info", "client/freeze"]
source = "reference"

[[cells]]
name = "red"
about = "one failure that is expected and one that is not"
clients = ["probe"]
servers = ["old"]
cases = ["probe/unknown-payload-0", "probe/unknown-payload-16"]
source = "reference"

[[cells]]
name = "recorded"
about = "the expected failure, as it was recorded"
clients = ["probe"]
servers = ["kept"]
cases = ["probe/unknown-payload-16"]
source = "recorded"

[[cells]]
name = "replay"
about = "the recording once more"
clients = ["probe"]
servers = ["old"]
cases = ["replay/**"]
client-source = "recorded"
server-source = "reference"

[[cells]]
name = "many"
about = "enough to be interrupted"
clients = ["probe"]
servers = ["ideal"]
cases = ["probe/**"]
source = "reference"
"#;

const EXPECTATIONS: &str = r#"
protocol = "lxc-command"

[[expect]]
cells = "lxc-command/probe..old/probe/unknown-payload-16"
verdict = "broken"
shapes = ["no-reply"]
reason = "unknown commands are closed without an answer"
bug = "https://example.org/bug/1"

[[expect]]
cells = "lxc-command/probe..kept/**"
verdict = "broken"
shapes = ["no-reply"]
reason = "unknown commands are closed without an answer"
bug = "https://example.org/bug/1"
"#;

fn run_file(groups: &str) -> String {
    format!(
        "about = \"a part\"\n\n[settings]\njobs = 4\n\n[[run]]\nprotocol = \"lxc-command\"\ngroups = [{groups}]\n"
    )
}

impl Project {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let project = Self { dir };
        let folder = "matrices/lxc-command";
        project.write(&format!("{folder}/builds.toml"), BUILDS);
        project.write(&format!("{folder}/matrix.toml"), MATRIX);
        project.write(&format!("{folder}/expectations.toml"), EXPECTATIONS);
        project.write(&format!("{folder}/known-bugs.toml"), "protocol = \"lxc-command\"\n");
        project.write("matrices/default.toml", &run_file("\"green\", \"clients\""));
        project.write("matrices/many.toml", &run_file("\"many\""));
        project.write("matrices/red.toml", &run_file("\"red\""));
        project.write("matrices/recorded.toml", &run_file("\"recorded\", \"replay\""));
        project
    }

    /// One with a fixture of the build `kept`. It is a recording of our own reference peer, which is all that a
    /// test can make, under another name: what a reference peer answered is not replayed.
    pub(crate) fn with_fixture() -> Self {
        let project = Self::new();
        let ran =
            project.wireskew(&["run", "--matrix", "matrices/red.toml", "--save", "**/unknown-payload-16"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let saved = "fixtures/lxc-command/probe..old/unknown-payload-16.wire";
        project.write(FIXTURE, &project.read(saved).replace("id = \"old\"", "id = \"kept\""));
        std::fs::remove_file(project.path(saved)).expect("it was just read");
        project
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        let folder = path.parent().expect("it lies in the project");
        std::fs::create_dir_all(folder).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).expect("the file is there")
    }

    pub(crate) fn wireskew(&self, args: &[&str]) -> Ran {
        wireskew(self.dir.path(), args)
    }

    /// With a variable of the environment.
    pub(crate) fn wireskew_with(&self, (name, value): (&str, &str), args: &[&str]) -> Ran {
        finish(command(self.dir.path(), args).env(name, value).spawn().expect("the command was built"))
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        command(self.dir.path(), args).spawn().expect("the command was built")
    }

    /// The results of the last run.
    pub(crate) fn results(&self) -> Value {
        self.json("target/wireskew/results.json")
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).expect("results are JSON")
    }
}

/// The fixture of [`Project::with_fixture`].
pub(crate) const FIXTURE: &str = "fixtures/lxc-command/probe..kept/unknown-payload-16.wire";

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wireskew"));
    command.args(args).current_dir(folder).env("NO_COLOR", "1").env("COLUMNS", "100");
    for shard in ["CI_NODE_INDEX", "CI_NODE_TOTAL", "TEST_SHARD_INDEX", "TEST_TOTAL_SHARDS"] {
        command.env_remove(shard);
    }
    command.env_remove("WIRESKEW_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the command to its end.
pub(crate) fn wireskew(folder: &Path, args: &[&str]) -> Ran {
    finish(command(folder, args).spawn().expect("the command was built"))
}

/// Waits for the end of a command; ends it when its deadline passes.
pub(crate) fn finish(child: Child) -> Ran {
    let id = child.id();
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    match wait.recv_timeout(DEADLINE) {
        Ok(output) => {
            let output = output.expect("pipes can be read");
            Ran {
                code: output.status.code(),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            }
        }
        Err(_) => {
            signal(id, rustix::process::Signal::KILL);
            panic!("the command was not done after {DEADLINE:?}");
        }
    }
}

pub(crate) fn signal(id: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw).expect("a pid is positive");
    // It may have ended by itself.
    let _ = rustix::process::kill_process(pid, signal);
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !so() {
        assert!(Instant::now() < end, "{what}: not after {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The outcomes of results, by cell.
pub(crate) fn outcomes(results: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let cells = results["cells"].as_array().expect("results have cells");
    cells.iter().map(|cell| (text(&cell["cell"]), text(&cell["outcome"]))).collect()
}
